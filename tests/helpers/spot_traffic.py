"""Seeded traffic of version 2: its small world, its operator, and what it learns from what comes back."""

from collections.abc import Generator
from dataclasses import dataclass, field

from msgspec.structs import replace
from tests.helpers.spot_wishes import Known, SpotWishes
from tests.helpers.world import CUSTOMERS, SECOND_NS, listings

from steelyard.core.commands import (
    ActivateVersion,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrders,
    CreateApiKey,
    FoundGroup,
    FoundGroupAt,
    HoldFunds,
    ListInstrument,
    OpenAccount,
    OpenSubAccount,
    PlaceOrder,
    PlaceOrderList,
    ReleaseHold,
    ReplaceOrder,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetIndexSources,
    SetInstrumentRules,
    SetInstrumentState,
    SetLegalHold,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    StartAuction,
)
from steelyard.core.entry import Applied, Entry, Request
from steelyard.core.events import (
    AccountFrozen,
    AccountRulesSet,
    AnyEvent,
    InstrumentStateChanged,
    LegalHoldSet,
    MarkSet,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderReplenished,
    Traded,
    VersionActivated,
)
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    InstrumentState,
    KeyId,
    Permission,
    PriceSource,
    SelfTrade,
)

TRADER = int(Permission.READ | Permission.TRADE | Permission.TRANSFER)
FEEDER = int(Permission.READ | Permission.OPERATE | Permission.FEED)
#: One seed in five begins in the first version and goes on in the second.
OLD_SEEDS = 5


@dataclass
class SpotTraffic(SpotWishes):
    """A source of entries of version 2: a tiny world if the seed is even, a patient one if it is 3 · n."""

    version: int = 1
    feed_key: KeyId = OPERATOR_KEY
    #: what would let accounts act again that may not
    stopped: dict[tuple[str, AccountId], AnyCommand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose what the world is like."""
        super().__post_init__()
        self.tiny = self.seed % 2 == 0
        self.patient = self.seed % 3 == 0

    # ---- the script

    def founding(self) -> Generator[Entry, Applied, None]:
        """Found the group, list markets, fund four customers of whom two are a family, open sessions."""
        key = bytes(range(32))
        begins = self.founded_at()
        found = (
            FoundGroup(group="twin", operator_public_key=key)
            if begins == 1
            else FoundGroupAt(group="twin", operator_public_key=key, version=begins)
        )
        yield self.entry([self.bare(found, KeyId(0))])
        self.version = begins
        yield from self.open(OPERATOR, OPERATOR_KEY)
        if begins == 1:
            yield from self.as_operator([ActivateVersion(version=2)])
        yield from self.as_operator([self.of_a_family(command) for command in listings()])
        feeder = CreateApiKey(account=OPERATOR, public_key=bytes(32), permissions=FEEDER)
        house = [SetAccountRules(account=a, trade_group=7, permissions=63) for a in CUSTOMERS[:2]]
        yield from self.as_operator([feeder, *house])
        self.feed_key = self.newest_keys[OPERATOR]
        for account in CUSTOMERS:
            yield from self.open(account, self.newest_keys[account])
        self.lines[CUSTOMERS[0]].lazy = True

    def founded_at(self) -> int:
        """Return the version in which the group begins."""
        return 1 if self.seed % OLD_SEEDS == 0 else 2

    def repair(self) -> Generator[Entry, Applied, None]:
        """Bring back what has ended, and now and then lead an instrument back to where it trades."""
        yield from super().repair()
        for market, _ in self.markets:
            state = self.states.get(market)
            forward = {
                InstrumentState.HALTED: InstrumentState.POST_ONLY,
                InstrumentState.CANCEL_ONLY: InstrumentState.POST_ONLY,
                InstrumentState.POST_ONLY: InstrumentState.OPEN,
            }
            if state in forward and self.random.random() < 0.12:
                yield from self.as_operator([SetInstrumentState(instrument=market, state=forward[state])])
            if state == InstrumentState.OPEN and self.random.random() < 0.006:
                length_ns = self.random.randint(SECOND_NS, 4 * SECOND_NS)
                pause = SetInstrumentState(instrument=market, state=InstrumentState.HALTED)
                yield from self.as_operator([pause, StartAuction(instrument=market, auction_ns=length_ns)])

    def of_a_family(self, command: AnyCommand) -> AnyCommand:
        """Let the last customer be a sub-account of the one before, all keys transfer, and tiers fit."""
        if isinstance(command, OpenAccount) and command.account == CUSTOMERS[-1]:
            return OpenSubAccount(master=CUSTOMERS[-2], account=command.account, permissions=63)
        if isinstance(command, ListInstrument):
            # Beside a rebate as high as the highest fee, nobody could have a tier.
            return replace(command, maker_ppm=max(command.maker_ppm, -400))
        return replace(command, permissions=TRADER) if isinstance(command, CreateApiKey) else command

    def entry(self, requests: list[Request]) -> Entry:
        """Stamp a batch with the version in force."""
        return Entry(version=self.version, time_ns=super().entry(requests).time_ns, requests=requests)

    def request(self) -> Request:
        """Make one request; some need no session, and marks another key."""
        request = super().request()
        if isinstance(request.command, SetMark | SetIndexSources) and request.key == self.lines[OPERATOR].key:
            return replace(request, key=self.feed_key)
        if isinstance(request.command, CancelOrders | ArmCountdown) and self.random.random() < 0.3:
            line = next((line for line in self.lines.values() if line.session == request.session), None)
            if line is not None and line.last == request.request:
                line.last -= 1
                return self.bare(request.command, request.key)
        return request

    # ---- operators

    def operator_command(self) -> AnyCommand:
        """Do what operators do; what stops trading is taken back sooner than it is done."""
        pick = self.random.random()
        if self.stopped and pick < 0.3:
            return self.random.choice(list(self.stopped.values()))
        if pick < 0.35:
            return super().operator_command()
        if pick < 0.5:
            market = self.a_market()
            ticks = self.scale(market) * self.random.randint(4, 10)
            return SetMark(instrument=market, mark_ticks=ticks)
        if pick < 0.57:
            return self.state_command()
        if pick < 0.64:
            return self.rules()
        if pick < 0.67:
            length_ns = self.random.randint(1, 2 * SECOND_NS)
            return StartAuction(instrument=self.a_market(), auction_ns=length_ns)
        if pick < 0.72:
            state = self.random.choice(tuple(InstrumentState))
            at_ns = max(0, self.random.choice((0, self.soon())))
            return ScheduleState(instrument=self.a_market(), state=state, at_ns=at_ns)
        return self.about_accounts()

    def a_market(self) -> InstrumentId:
        """Pick an instrument, in a tiny world the one."""
        return self.markets[0][0] if self.tiny else self.random.choice(self.markets)[0]

    def rules(self) -> SetInstrumentRules:
        """Set protections: none, one of them, or several."""
        rules = SetInstrumentRules(instrument=self.a_market())
        if self.random.random() < 0.3:
            return rules
        wish: dict[str, object] = {}
        pick = self.random.random
        some = self.random.choice
        if pick() < 0.2:
            wish |= {"price_step_ticks": 2, "size_step_lots": some((1, 2)), "size_min_lots": some((1, 2, 3))}
        if pick() < 0.2:
            wish |= {"notional_max_atoms": some((100_000, 150_000)), "orders_max": some((0, 4, 8))}
        if pick() < 0.3:
            wish |= {"buy_down_ppm": some((0, 500_000)), "buy_up_ppm": some((1_200_000, 1_500_000))}
            wish |= {"sell_down_ppm": some((0, 800_000)), "sell_up_ppm": some((0, 1_500_000))}
        if pick() < 0.4:
            wish |= {"execution_down_ppm": some((700_000, 850_000)), "execution_up_ppm": some((0, 1_150_000))}
        if pick() < 0.3:
            wish |= {
                "halt_ppm": some((140_000, 300_000, 500_000)),
                "halt_window_ns": some((1, 5 * SECOND_NS)),
            }
            wish |= {"halt_ns": some((1, SECOND_NS)), "auction_ns": some((1, SECOND_NS))}
        if pick() < 0.5:
            wish |= {"self_trade": some(tuple(SelfTrade))}
        return replace(rules, **wish)

    def about_accounts(self) -> AnyCommand:
        """Decide something about an account."""
        account, asset = self.random.choice(CUSTOMERS), AssetId(self.random.randint(1, 5))
        pick = self.random.random()
        if pick < 0.15:
            group = self.random.choice((0, 7, 7, 7))
            rights = self.random.choice((63, 63, 63, 63, 63, 63, 63, 5))
            bound = self.random.choice((0, 0, 0, 6))
            return SetAccountRules(account=account, trade_group=group, permissions=rights, orders_max=bound)
        if pick < 0.25:
            size, notional = self.random.choice(((0, 0), (0, 0), (6, 0), (0, 120_000), (8, 120_000)))
            return SetOrderLimit(
                account=account,
                instrument=self.a_market(),
                size_max_lots=size,
                notional_max_atoms=notional,
            )
        if pick < 0.37:
            return SetFrozen(account=account, frozen=self.random.random() < 0.3)
        if pick < 0.45:
            return SetLegalHold(account=account, on=self.random.random() < 0.3)
        if pick < 0.57:
            return SetFeeTier(
                tier=self.random.choice((1, 2, 2, 3, 65)),
                instrument=self.random.choice((InstrumentId(0), self.a_market(), InstrumentId(77))),
                maker_ppm=self.random.choice((-500, -100, 0, 0, 300, 300, 300, 100_001)),
                taker_ppm=self.random.choice((0, 500, 900, 900, 2_000, 50_000)),
            )
        if pick < 0.67:
            return SetAccountTier(account=account, tier=self.random.choice((0, 1, 2, 3, 9)))
        if pick < 0.79:
            referrer = self.random.choice((AccountId(0), *CUSTOMERS, *CUSTOMERS))
            share = self.random.choice((0, 200_000, 1_000_000))
            return SetReferrer(account=account, referrer=referrer, share_ppm=share)
        hold = HoldId(self.random.randint(1, 3))
        if pick < 0.88:
            amount = self.random.choice((1, 100, 50_000))
            legal = self.random.random() < 0.4
            return HoldFunds(account=account, hold=hold, asset=asset, amount_atoms=amount, legal=legal)
        return ReleaseHold(account=account, hold=hold, legal=self.random.random() < 0.7)

    def state_command(self) -> SetInstrumentState:
        """Move an instrument; closed ones are listed anew, so that is rare."""
        command = super().state_command()
        if command.state == InstrumentState.CLOSED and self.random.random() < 0.7:
            return replace(command, state=InstrumentState.POST_ONLY)
        return command

    # ---- learning from what came back

    def learn(self, requests: list[Request], applied: Applied) -> None:
        """Follow every order by its events, due ones first."""
        super().learn(requests, applied)
        orders = {
            (order.account, int(order.order)): order
            for request in requests
            for order in placed_by(request.command)
        }
        for event in (*applied.due, *(event for outcome in applied.outcomes for event in outcome.events)):
            self.follow(event, orders)

    def follow(self, event: AnyEvent, orders: dict[tuple[AccountId, int], PlaceOrder]) -> None:
        """Note what one event says."""
        match event:
            case OrderAccepted():
                order = orders.get((event.account, int(event.order)))
                if order is not None:
                    place = (event.account, int(event.order))
                    self.known[place] = Known(event.account, order, event.number, event.label)
            case OrderFilled() | OrderCancelled() | OrderExpired():
                self.known.pop((event.account, int(event.order)), None)
            case OrderReplaced() | OrderReplenished() if (event.account, int(event.order)) in self.known:
                known = self.known[event.account, int(event.order)]
                known.number = event.number
                if isinstance(event, OrderReplaced):
                    known.command = replace(known.command, size_lots=event.size_lots)
            case OrderAmended() if (event.account, int(event.order)) in self.known:
                self.known[event.account, int(event.order)].label = event.label
            case Traded():
                self.seen[event.instrument, PriceSource.LAST] = event.price_ticks
            case MarkSet():
                self.seen[event.instrument, PriceSource.MARK] = event.mark_ticks
            case InstrumentStateChanged():
                self.states[event.instrument] = event.after
            case AccountFrozen() | LegalHoldSet() | AccountRulesSet():
                self.note_stop(event)
            case VersionActivated():
                self.version = event.version
            case _:
                pass

    def note_stop(self, event: AccountFrozen | LegalHoldSet | AccountRulesSet) -> None:
        """Note which accounts may not act, and what would lift that."""
        account = event.account
        lift: AnyCommand
        match event:
            case AccountFrozen():
                stops, lift = event.frozen, SetFrozen(account=account, frozen=False)
            case LegalHoldSet():
                stops, lift = event.on, SetLegalHold(account=account, on=False)
            case AccountRulesSet():
                stops = not event.permissions & Permission.TRADE
                lift = SetAccountRules(account=account, trade_group=event.trade_group, permissions=63)
        kind = type(event).__name__
        if stops and account in CUSTOMERS:
            self.stopped[kind, account] = lift
        else:
            self.stopped.pop((kind, account), None)


def placed_by(command: AnyCommand) -> list[PlaceOrder]:
    """Return the orders that a command would place."""
    match command:
        case PlaceOrder():
            return [command]
        case ReplaceOrder():
            return [command.place]
        case PlaceOrderList() | Batch():
            return [leg for leg in command.legs if isinstance(leg, PlaceOrder)]
        case _:
            return []
