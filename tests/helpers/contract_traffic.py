"""Seeded traffic of version 3: its world of contracts, and what it learns of positions."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace
from tests.helpers.contract_wishes import ContractWishes
from tests.helpers.contract_world import (
    CENTRE_TICKS,
    CONTRACTS,
    HEAVY,
    INDICES,
    TIERED,
    contract_listings,
    insurance,
)
from tests.helpers.spot_traffic import FEEDER, SpotTraffic
from tests.helpers.world import BASE, CUSTOMERS, MARKETS, QUOTE, SECOND_NS

from steelyard.core.commands import (
    ActivateVersion,
    AnyCommand,
    CancelOrders,
    CreateApiKey,
    FundInsurance,
    IndexQuote,
    MoveMargin,
    PlaceContractOrder,
    SetContractRules,
    SetIndexSources,
    SetInstrumentState,
    SetKillSwitch,
    SetLeverage,
    SetMark,
)
from steelyard.core.entry import Applied, Entry, Refused, Request
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractModesSet,
    IndexSet,
    KillSwitchSet,
    PositionSettled,
    PositionsTraded,
)
from steelyard.core.limits import GATE_NS
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    OrderId,
    Side,
)

#: One seed in three begins in an older version.
OLD_SEEDS = 3


@dataclass
class ContractTraffic(ContractWishes, SpotTraffic):
    """A source of entries of version 3."""

    feed_lost: bool = False

    def __post_init__(self) -> None:
        """Let contracts come first; one spot market stays."""
        super().__post_init__()
        self.stormy, self.poor = self.seed % 4 in (1, 2), self.seed % 4 == 1
        self.tight = self.seed % 4 == 3
        first = self.random.randrange(len(CONTRACTS))
        turned = (*CONTRACTS[first:], *CONTRACTS[:first])
        self.markets = [(listing.instrument, listing) for listing in (*turned, MARKETS[0])]

    # ---- the script

    def founding(self) -> Generator[Entry, Applied, None]:
        """Found the group of the spot traffic, list contracts beside it, and give everyone margin."""
        yield from super().founding()
        if self.version < 3:
            yield from self.as_operator([ActivateVersion(version=3)])
        yield from self.as_operator([*contract_listings(), *([] if self.poor else insurance())])
        if self.tight:
            yield from self.as_operator(
                [
                    SetContractRules(instrument=row.instrument, rules=replace(row.rules, margin=HEAVY))
                    for row in CONTRACTS
                ]
            )
        for index in INDICES:
            yield from self.fed(self.said(index.index, CENTRE_TICKS))
        for listing in CONTRACTS:
            if listing.index == 2:
                yield from self.fed(SetMark(instrument=listing.instrument, mark_ticks=CENTRE_TICKS))
        for account in CUSTOMERS:
            moves = [
                MoveMargin(account=account, asset=asset, amount_atoms=amount)
                for asset, amount in ((QUOTE, 1_500 if self.tight else 9_000), (BASE, 120))
            ]
            yield from self.asked(account, moves)

    def repair(self) -> Generator[Entry, Applied, None]:
        """Bring back what has ended; ruin someone now and then, as the fund is."""
        yield from super().repair()
        if self.feed_lost:
            self.feed_lost = False
            feeder = CreateApiKey(account=OPERATOR, public_key=bytes(32), permissions=FEEDER)
            yield from self.as_operator([feeder])
            self.feed_key = self.newest_keys[OPERATOR]
        held = [market for market, row in self.markets if row.symbol in ("BTC-PERP", "ETH-PERP")]
        trades = all(self.states.get(market) == InstrumentState.OPEN for market in held)
        if trades and self.random.random() < (0.03 if self.poor else 0.01):
            yield from self.ruin(held) if self.poor else self.slip(held)

    def ruin(self, held: list[InstrumentId]) -> Generator[Entry, Applied, None]:
        """Let one hold two contracts against two others, and the price of one of them fall by half."""
        loser, fourth, *others = self.random.sample(CUSTOMERS, 4)
        if self.random.random() < 0.4:
            # Not enough for what is lost here, but for some of what was lost before.
            yield from self.as_operator([FundInsurance(asset=QUOTE, amount_atoms=300)])
        yield from self.made_ready(held)
        for market, winner in zip(held, others, strict=True):
            for account, side, lots in (
                (winner, Side.SELL, 40),
                (loser, Side.BUY, 40),
                (winner, Side.SELL, 15),
                (fourth, Side.BUY, 15),
            ):
                yield from self.opened(account, market, side, lots)
        for winner in others:
            # Nobody is rich enough to bear it for him.
            amounts = (-40_000, -20_000, -10_000, -5_000, -2_000, -1_000)
            out = [MoveMargin(account=winner, asset=QUOTE, amount_atoms=amount) for amount in amounts]
            yield from self.asked(winner, out)
        for market in held:
            # Winners of the one contract have gained a little in the other.
            yield from self.fed(SetMark(instrument=market, mark_ticks=CENTRE_TICKS * 96 // 100))
        fall = self.said(INDICES[0].index, CENTRE_TICKS // self.random.choice((2, 4)))
        requests = [replace(self.numbered(self.lines[OPERATOR], fall), key=self.feed_key)]
        if self.random.random() < 0.6:
            # What is settled has nobody on the other side who could give it up.
            fallen = [market for market, row in self.markets if row.symbol == "BTC-PERP"]
            closing = SetInstrumentState(instrument=fallen[0], state=InstrumentState.CLOSED)
            requests.append(self.numbered(self.lines[OPERATOR], closing))
        self.learn(requests, (yield self.entry(requests)))

    def slip(self, held: list[InstrumentId]) -> Generator[Entry, Applied, None]:
        """Let one lose a little more than he has, where somebody takes his lots and the fund pays for it."""
        market = self.random.choice(held)
        loser, winner, taker, _ = self.random.sample(CUSTOMERS, 4)
        yield from self.made_ready(held)
        yield from self.opened(winner, market, Side.SELL, 40)
        yield from self.opened(loser, market, Side.BUY, 40)
        amounts = (-40_000, -20_000, -10_000, -5_000, -2_000, -1_000, -500, -200)
        out = [MoveMargin(account=loser, asset=QUOTE, amount_atoms=amount) for amount in amounts]
        yield from self.asked(loser, out)
        # A tenth of the position's worth has stayed.
        yield from self.opened(taker, market, Side.BUY, 40, CENTRE_TICKS * 88 // 100)
        fallen = CENTRE_TICKS * self.random.choice((88, 89)) // 100
        for index in INDICES:
            yield from self.fed(self.said(index.index, fallen))
        yield from self.fed(SetMark(instrument=market, mark_ticks=fallen))

    def made_ready(self, held: list[InstrumentId]) -> Generator[Entry, Applied, None]:
        """Let everybody trade some contracts at the centre, with margin and without orders."""
        lifted = [SetKillSwitch(on=False, account=account) for account in (AccountId(0), *CUSTOMERS)]
        lifted += [SetKillSwitch(on=False, instrument=market) for market in held]
        wide = replace(TIERED, position_max_lots=100, open_interest_max_lots=300)
        ruled = [SetContractRules(instrument=market, rules=wide) for market in held]
        # Gates have opened again by then.
        self.time_ns += 2 * GATE_NS
        yield from self.as_operator([*lifted, *ruled])
        for index in INDICES:
            yield from self.fed(self.said(index.index, CENTRE_TICKS))
        for account in CUSTOMERS:
            moved = MoveMargin(account=account, asset=QUOTE, amount_atoms=8_000)
            yield from self.asked(account, [CancelOrders(account=account), moved])

    def opened(
        self,
        account: AccountId,
        market: InstrumentId,
        side: Side,
        lots: int,
        limit_ticks: int = CENTRE_TICKS,
    ) -> Generator[Entry, Applied, None]:
        """Place an order about the position that such a one has, without a leverage of its own."""
        leg = Leg.LONG if side == Side.BUY else Leg.SHORT
        self.next_order += 1
        order = PlaceContractOrder(
            account=account,
            instrument=market,
            order=OrderId(self.next_order),
            side=side,
            size_lots=lots,
            limit_ticks=limit_ticks,
            leg=leg if self.hedged.get((account, market)) else Leg.NET,
        )
        plain = SetLeverage(account=account, instrument=market, leverage=0, leg=order.leg)
        yield from self.asked(account, [plain, order])

    def said(self, index: IndexId, price: int) -> SetIndexSources:
        """Return what a lone source says now."""
        quote = IndexQuote(source=1, price_ticks=price, weight=1, time_ns=self.time_ns)
        return SetIndexSources(index=index, quotes=[quote])

    def asked(self, account: AccountId, commands: Sequence[AnyCommand]) -> Generator[Entry, Applied, None]:
        """Send commands through an account's session, unbent."""
        requests = [self.numbered(self.lines[account], command) for command in commands]
        self.learn(requests, (yield self.entry(requests)))

    def founded_at(self) -> int:
        """Begin in version 3, or in an older one."""
        return 3 if self.seed % OLD_SEEDS else super().founded_at()

    def fed(self, command: AnyCommand) -> Generator[Entry, Applied, None]:
        """Send one command with the key that feeds."""
        request = replace(self.numbered(self.lines[OPERATOR], command), key=self.feed_key)
        self.learn([request], (yield self.entry([request])))

    def entry(self, requests: list[Request]) -> Entry:
        """Stamp a batch; now and then some time has passed, so that samples, funding and gates come."""
        pick = self.random.random()
        if pick < 0.1:
            self.time_ns += self.random.randint(1, 6 * SECOND_NS)
        elif pick < 0.103:
            self.time_ns += self.random.choice((30, 70, 700)) * SECOND_NS
        return super().entry(requests)

    def request(self) -> Request:
        """Make one request; one in eight is a feed's."""
        if self.random.random() < 0.12:
            command = self.feed()
            if self.random.random() < 0.03:
                command = self.bend(command)
            request = self.numbered(self.lines[OPERATOR], command)
            return replace(request, key=self.feed_key) if self.random.random() < 0.97 else request
        return super().request()

    def operator_command(self) -> AnyCommand:
        """Do what operators do."""
        if self.random.random() < 0.35:
            return self.about_contracts()
        return super().operator_command()

    # ---- learning from what came back

    def learn_refusal(self, request: Request, refused: Refused) -> None:
        """Notice, too, when the key that feeds was revoked."""
        super().learn_refusal(request, refused)
        spent = refused.reason == Reject.KEY_EXPIRED and request.key == self.feed_key
        self.feed_lost = self.feed_lost or spent

    def follow(self, event: AnyEvent, orders: dict[tuple[AccountId, int], object]) -> None:  # type: ignore[override]
        """Note what one event says."""
        super().follow(event, orders)  # type: ignore[arg-type]
        match event:
            case PositionsTraded():
                self.held[event.maker, event.instrument, event.maker_leg] = event.maker_qty_lots
                self.held[event.taker, event.instrument, event.taker_leg] = event.taker_qty_lots
            case AdlSettled():
                self.held.pop((event.account, event.instrument, event.leg), None)
                for row in event.givers:
                    left = row.qty_lots + (row.lots if row.qty_lots < 0 else -row.lots)
                    self.held[row.account, event.instrument, row.leg] = left
            case PositionSettled():
                self.held.pop((event.account, event.instrument, event.leg), None)
            case ContractModesSet():
                self.hedged[event.account, event.instrument] = event.hedge
            case IndexSet():
                if event.price_ticks:
                    self.prices[event.index] = max(30, min(event.price_ticks, 1_200))
            case KillSwitchSet():
                lift = SetKillSwitch(on=False, account=event.account, instrument=event.instrument)
                kind = f"switch {event.instrument}"
                if event.on:
                    self.stopped[kind, event.account] = lift
                else:
                    self.stopped.pop((kind, event.account), None)
            case _:
                pass
