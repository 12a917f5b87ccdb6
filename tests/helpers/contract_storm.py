"""Seeded storms over contracts of every kind: few traders, thin books, jumping marks, frequent funding."""

from random import Random
from typing import Any, Final

import msgspec
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, USD
from tests.helpers.contracts import (
    BTC_INDEX,
    FEEDER,
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import snapshot
from steelyard.core.commands import (
    AdjustBucket,
    AmendOrder,
    AnyCommand,
    CancelOrder,
    CancelOrders,
    Deposit,
    FundingTerms,
    FundInsurance,
    IndexQuote,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OrderTerms,
    PayReferral,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetInstrumentState,
    SetKillSwitch,
    SetLeverage,
    SetMark,
    SetReferrer,
    StartAuction,
)
from steelyard.core.entry import Accepted, Outcome
from steelyard.core.events import AnyEvent
from steelyard.core.ledger.postings import Balances, post
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    ContractKind,
    FundingRule,
    InstrumentId,
    InstrumentState,
    Leg,
    ListKind,
    MarginMode,
    MarkRule,
    OrderId,
    OrderKind,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

DAVE: Final = AccountId(1003)
TRADERS: Final = (ALICE, BOB, CAROL, DAVE)
#: Linear as well; its funding accrues with every sample, and its mark is worked out.
BAND_PERP: Final = InstrumentId(4)
CONTRACTS: Final = (PERP, INVERSE_PERP, BAND_PERP)

_MINUTE_NS: Final = 60 * 10**9
_SECOND_NS: Final = 10**9
_PAUSES_NS: Final = (1, 10**6, 10**8, _SECOND_NS, 3 * _SECOND_NS)
_TIERS: Final = MarginTerms(
    tiers=[
        MarginTier(floor_atoms=0, maintenance_ppm=20_000, initial_ppm=40_000),
        MarginTier(floor_atoms=20_000_000, maintenance_ppm=50_000, initial_ppm=100_000),
    ]
)
_SLOPED: Final = MarginTerms(
    tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)],
    slope_ppb=200_000,
    open_interest_low_atoms=50_000_000,
    open_interest_high_atoms=500_000_000,
)
_AT_ENTRY: Final = MarginTerms(
    tiers=[MarginTier(floor_atoms=0, maintenance_ppm=15_000, initial_ppm=30_000)], at_entry=True
)
_WIDE: Final = 500_000


def storm_market() -> ContractVenue:
    """Return open markets of three contracts with fees, and four traders with margin in both assets."""
    funding = FundingTerms(interval_ns=_MINUTE_NS, interest_ppb=1_000_000)
    engine = LiquidationTerms(adl_share_ppm=400_000, step_ppm=100_000)
    fees: dict[str, Any] = {"maker_ppm": -100, "taker_ppm": 500}
    venue = contract_market(
        perpetual(rules=contract_rules(margin=_TIERS, funding=funding, liquidation=engine), **fees),
        perpetual(
            ContractKind.INVERSE,
            contract_rules(
                margin=_AT_ENTRY,
                mark_rule=MarkRule.MEDIAN,
                mark_band_ppm=_WIDE,
                funding=msgspec.structs.replace(funding, rule=FundingRule.SAMPLED),
                open_interest_max_lots=10**9,
                position_max_lots=10**9,
            ),
            size_max_lots=10**8,
            **fees,
        ),
        perpetual(
            rules=contract_rules(
                margin=_SLOPED,
                mark_rule=MarkRule.MEDIAN,
                mark_band_ppm=_WIDE,
                funding=msgspec.structs.replace(funding, rule=FundingRule.DEAD_BAND),
            ),
            instrument=BAND_PERP,
            symbol="BTC-BAND",
            maker_ppm=100,
            taker_ppm=500,
        ),
        decimals=4,
        funds_atoms=10**10,
        wallet_atoms=8_000_000,
        accounts=TRADERS,
    )
    venue.accepted(SetReferrer(account=ALICE, referrer=DAVE, share_ppm=200_000))
    for account, instrument, margin, hedge in (
        (CAROL, PERP, MarginMode.ISOLATED, False),
        (DAVE, BAND_PERP, MarginMode.CROSS, True),
        (BOB, INVERSE_PERP, MarginMode.ISOLATED, True),
    ):
        modes = SetContractModes(account=account, instrument=instrument, margin=margin, hedge=hedge)
        assert isinstance(venue.ask(account, modes).reply, Accepted)
    return venue


class Storm:
    """One market, what one seed makes of it, and what its events have moved since the storm began."""

    def __init__(self, seed: int, venue: ContractVenue | None = None) -> None:
        self.random = Random(seed)
        self.venue = storm_market() if venue is None else venue
        self.price_ticks = 100
        self.events: list[AnyEvent] = []
        self.moved: Balances = {}
        self.last_order = 0

    def restored(self, seed: int) -> "Storm":
        """Return another storm over an exchange that was loaded from this one's snapshot."""
        venue = ContractVenue()
        venue.exchange = snapshot.load(snapshot.dump(self.venue.exchange))
        venue.keys, venue.sessions = dict(self.venue.keys), dict(self.venue.sessions)
        other = Storm(seed, venue)
        other.price_ticks, other.last_order = self.price_ticks, self.last_order
        return other

    def blow(self, commands: int) -> None:
        """Send so many commands, each as an entry of its own, with pauses between them."""
        for _ in range(commands):
            account, command = self.wish()
            self.send(account, command, self.random.choice(_PAUSES_NS))

    def send(self, account: AccountId, command: AnyCommand, after_ns: int = 1000) -> Outcome:
        """Send one command and note what happened."""
        outcome = self.venue.send(self.venue.request(account, command), after_ns=after_ns)[0]
        happened = [*self.venue.due, *outcome.events]
        self.events += happened
        post(self.moved, happened, self.venue.exchange.state.markets.instruments)
        return outcome

    def settle_down(self) -> None:
        """Let pass whatever can go on without anybody asking for it."""
        while self.venue.exchange.next_due_ns() == self.venue.exchange.time_ns:
            happened = self.venue.tick()
            self.events += happened
            post(self.moved, happened, self.venue.exchange.state.markets.instruments)

    def wish(self) -> tuple[AccountId, AnyCommand]:
        """Return who asks for what next."""
        random = self.random
        account = random.choice(TRADERS)
        kind = random.randrange(100)
        if kind < 16:
            return FEEDER, self._index()
        if kind < 22:
            return FEEDER, SetMark(instrument=PERP, mark_ticks=self._walked())
        if kind < 62:
            return account, self._order(account)
        if kind < 66:
            return account, CancelOrder(
                account=account, order=OrderId(random.randint(1, self.last_order + 1))
            )
        if kind < 68:
            return account, CancelOrders(account=account)
        if kind < 72:
            return account, AmendOrder(
                account=account,
                order=OrderId(random.randint(max(1, self.last_order - 40), self.last_order + 1)),
                size_lots=random.choice((0, 1, 5, 30)),
                limit_ticks=random.choice((0, self._near())),
            )
        if kind < 92:
            return account, self._margin(account)
        return OPERATOR, self._operation()

    def _walked(self) -> int:
        """Let the price walk, and sometimes jump."""
        step = self.random.choice((*(-1, 0, 1) * 4, -2, 2, -6, 6, -25, 25))
        self.price_ticks = min(max(self.price_ticks + step, 20), 400)
        return self.price_ticks

    def _near(self) -> int:
        return max(1, self.price_ticks + self.random.randint(-6, 6))

    def _index(self) -> SetIndexSources:
        now_ns = self.venue.exchange.time_ns
        old_ns = self.random.choice((*[0] * 20, 20 * _SECOND_NS))
        price_ticks = self._walked()
        quotes = [
            IndexQuote(source=source, price_ticks=price_ticks, weight=1, time_ns=max(0, now_ns - old_ns))
            for source in (1, 2, 3)
        ]
        return SetIndexSources(index=BTC_INDEX, quotes=quotes)

    def _order(self, account: AccountId) -> AnyCommand:
        random = self.random
        self.last_order += 1
        instrument = random.choice(CONTRACTS)
        lots = random.choice((1, 2, 3, 7, 20, 40)) * (1000 if instrument == INVERSE_PERP else 1)
        leg, side = Leg.NET, random.choice(tuple(Side))
        if instrument in self.venue.margin(account, self.venue.contract(instrument).settle).hedged:
            leg = random.choice((Leg.LONG, Leg.SHORT))
        kind = random.randrange(20)
        if kind < 8 and leg == Leg.NET:
            market = kind == 0
            return PlaceOrder(
                account=account,
                instrument=instrument,
                order=OrderId(self.last_order),
                side=side,
                size_lots=lots,
                limit_ticks=0 if market else self._near(),
                kind=OrderKind.MARKET if market else OrderKind.LIMIT,
                time_in_force=TimeInForce.IOC if market else TimeInForce.GTC,
            )
        trigger = kind in (8, 9, 10)
        close = kind == 10
        order = PlaceContractOrder(
            account=account,
            instrument=instrument,
            order=OrderId(self.last_order),
            side=side,
            size_lots=0 if close else lots,
            limit_ticks=0 if close else self._near(),
            kind=OrderKind.MARKET if close else OrderKind.LIMIT,
            time_in_force=TimeInForce.IOC if close else TimeInForce.GTC,
            leg=leg,
            reduce_only=kind > 15,
            close_position=close,
            terms=OrderTerms(
                display_lots=2 if kind in (11, 13) and 2 < lots < 100 else 0,
                trigger=random.choice(tuple(TriggerKind)) if trigger else None,
                trigger_source=random.choice(tuple(PriceSource)) if trigger else PriceSource.LAST,
                trigger_ticks=self._near() if trigger else 0,
            ),
        )
        if kind != 12:
            return order
        self.last_order += 1
        stop = msgspec.structs.replace(
            order,
            order=OrderId(self.last_order),
            terms=OrderTerms(
                trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=self._near()
            ),
        )
        return PlaceOrderList(account=account, instrument=instrument, kind=ListKind.OCO, legs=[order, stop])

    def _margin(self, account: AccountId) -> AnyCommand:
        random = self.random
        instrument = random.choice(CONTRACTS)
        asset = self.venue.contract(instrument).settle
        kind = random.randrange(9)
        if kind < 3:
            atoms = random.choice((-10_000_000, -1_000_000, -5_000, 1, 700_000, 3_000_000))
            return MoveMargin(account=account, asset=asset, amount_atoms=atoms)
        if kind < 6:
            atoms = random.choice((-500_000, -1000, 1, 200_000, 1_000_000))
            leg = random.choice((Leg.NET, Leg.NET, Leg.LONG, Leg.SHORT))
            return AdjustBucket(account=account, instrument=instrument, amount_atoms=atoms, leg=leg)
        if kind == 6:
            leg = random.choice((Leg.NET, Leg.NET, Leg.LONG, Leg.SHORT))
            return SetLeverage(
                account=account, instrument=instrument, leverage=random.choice((0, 2, 10, 20)), leg=leg
            )
        if kind == 7:
            return SetContractModes(
                account=account,
                instrument=instrument,
                margin=random.choice(tuple(MarginMode)),
                hedge=random.random() < 0.4,
            )
        return PayReferral(account=account, asset=asset)

    def _operation(self) -> AnyCommand:
        """Return what operators do; whatever they switched off or halted they bring back soon."""
        random = self.random
        switches = self.venue.exchange.state.kill_switches
        if switches:
            account, instrument = next(iter(switches))
            return SetKillSwitch(on=False, account=account, instrument=instrument)
        for instrument in CONTRACTS:
            state = self.venue.instrument(instrument).state
            if state == InstrumentState.POST_ONLY:
                return SetInstrumentState(instrument=instrument, state=InstrumentState.OPEN)
            if state == InstrumentState.HALTED and random.random() < 0.5:
                return StartAuction(instrument=instrument, auction_ns=2 * _SECOND_NS)
            if state not in (InstrumentState.OPEN, InstrumentState.AUCTION):
                return SetInstrumentState(instrument=instrument, state=InstrumentState.POST_ONLY)
        kind = random.randrange(6)
        instrument = random.choice(CONTRACTS)
        if kind < 2:
            amount_atoms = random.choice((-5_000, 20_000, 500_000))
            return FundInsurance(asset=random.choice((USD, BTC)), amount_atoms=amount_atoms)
        if kind == 2:
            nobody, nowhere = AccountId(0), InstrumentId(0)
            account, instrument = random.choice(((nobody, instrument), (BOB, nowhere), (nobody, nowhere)))
            return SetKillSwitch(on=True, account=account, instrument=instrument)
        if kind == 3:
            rules = self.venue.contract(instrument).rules
            penalty_ppm = random.choice((0, 5_000, 9_999))
            engine = msgspec.structs.replace(rules.liquidation, penalty_ppm=penalty_ppm)
            return SetContractRules(
                instrument=instrument, rules=msgspec.structs.replace(rules, liquidation=engine)
            )
        if kind == 4:
            return SetInstrumentState(instrument=instrument, state=InstrumentState.HALTED)
        return Deposit(account=random.choice(TRADERS), asset=USD, amount_atoms=1_000)
