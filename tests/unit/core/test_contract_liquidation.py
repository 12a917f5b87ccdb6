"""The liquidation engine: who is taken, how far it goes, and what it costs whom."""

from typing import Final, TypeVar

import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, USD, kinds, order, refusal
from tests.helpers.contracts import PERP, ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core import Reject
from steelyard.core.commands import (
    FundInsurance,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    MoveMargin,
    SetContractModes,
    SetKillSwitch,
    SetLeverage,
)
from steelyard.core.entry import Outcome, Refused
from steelyard.core.events import (
    AdlRow,
    AdlSettled,
    AnyEvent,
    DebtTaken,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStarted,
    LiquidationStepped,
    LossShared,
    OrderExpired,
    RiskLevelChanged,
    Traded,
    WithdrawalGateSet,
)
from steelyard.core.limits import GATE_NS, LIQUIDATION_STEPS_PER_ENTRY_MAX
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    Leg,
    LiquidationEnd,
    LiquidationId,
    MarginMode,
    OrderId,
    RiskLevel,
    Side,
)

E = TypeVar("E")
DAVE: Final = AccountId(1003)
EVE: Final = AccountId(1004)
NET: Final = Leg.NET
FIRST: Final = LiquidationId(1)
NO_INSTRUMENT: Final = InstrumentId(0)
SAFE, LIQUIDATING = RiskLevel.SAFE, RiskLevel.LIQUIDATING
THIN: Final = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=15_000)])


def market(wallets: dict[AccountId, int], price: int, **liquidation: int) -> ContractVenue:
    """Return a market at this mark, where these accounts have these margin wallets."""
    rules = contract_rules(margin=THIN, liquidation=LiquidationTerms(**{"penalty_ppm": 2_000, **liquidation}))
    venue = contract_market(
        perpetual(rules=rules), price_ticks=price, wallet_atoms=0, accounts=tuple(wallets)
    )
    for account, atoms in wallets.items():
        venue.pay_in(account, atoms)
    return venue


def done(outcome: Outcome) -> None:
    """Insist that a request was accepted."""
    assert not isinstance(outcome.reply, Refused), outcome


def deal(venue: ContractVenue, buyer: AccountId, seller: AccountId, lots: int, price: int) -> None:
    """Let two accounts trade."""
    number = venue.exchange.state.last_number + 1
    for account, side in ((seller, Side.SELL), (buyer, Side.BUY)):
        outcome = venue.ask(account, order(side, number, lots, price, account=account, instrument=PERP))
        done(outcome)
    assert not venue.instrument().book.asks.keys


def bid(venue: ContractVenue, account: AccountId, number: int, lots: int, price: int) -> None:
    outcome = venue.ask(account, order(Side.BUY, number, lots, price, account=account, instrument=PERP))
    done(outcome)


def of(kind: type[E], events: list[AnyEvent]) -> list[E]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def isolate(venue: ContractVenue, *accounts: AccountId, leverage: int = 10) -> None:
    for account in accounts:
        modes = SetContractModes(account=account, instrument=PERP, margin=MarginMode.ISOLATED)
        done(venue.ask(account, modes))
        chosen = SetLeverage(account=account, instrument=PERP, leverage=leverage)
        done(venue.ask(account, chosen))


def set_bucket(venue: ContractVenue, account: AccountId, atoms: int) -> None:
    """Let an isolated position have this bucket, at its wallet's cost."""
    position = venue.position(account)
    position.margin.wallet_atoms += position.bucket_atoms - atoms
    position.bucket_atoms = atoms
    venue.exchange.state.trigger_index.touch(position)


def short_of_margin(**liquidation: int) -> ContractVenue:
    """Return a market at 1012, where Alice is long 1000 lots with a wallet of 20,000."""
    venue = market({ALICE: 20_000, BOB: 10_000_000, CAROL: 10_000_000}, 1012, **liquidation)
    deal(venue, ALICE, BOB, 1000, 1012)
    return venue


def test_a_partial_step_restores_margin_and_buffer() -> None:
    venue = short_of_margin()
    bid(venue, CAROL, 9, 2000, 1000)

    marked = venue.mark(1000)

    assert marked.events[1:] == [
        RiskLevelChanged(
            account=ALICE,
            asset=USD,
            instrument=NO_INSTRUMENT,
            leg=NET,
            before=SAFE,
            after=LIQUIDATING,
            ratio_ppm=1_250_000,
        ),
        LiquidationStarted(
            liquidation=FIRST,
            account=ALICE,
            asset=USD,
            instrument=NO_INSTRUMENT,
            leg=NET,
            equity_atoms=8000,
            maintenance_atoms=10_000,
        ),
    ]
    assert venue.exchange.next_due_ns() == venue.exchange.time_ns

    events = venue.tick()

    assert of(LiquidationStepped, events) == [
        LiquidationStepped(
            liquidation=FIRST,
            instrument=PERP,
            leg=NET,
            side=Side.SELL,
            lots=334,
            equity_atoms=8000,
            maintenance_atoms=10_000,
            mark_ticks=1000,
            bankruptcy_atoms=331_328,
            limit_ticks=992,
        )
    ]
    (traded,) = of(Traded, events)
    assert (traded.taker, traded.taker_order, traded.price_ticks, traded.size_lots) == (ALICE, 0, 1000, 334)
    assert traded.taker_fee_atoms == 0
    assert of(LiquidationPaid, events) == [
        LiquidationPaid(
            liquidation=FIRST,
            account=ALICE,
            instrument=PERP,
            lots=334,
            received_atoms=334_000,
            bankruptcy_atoms=331_328,
            insurance_atoms=668,
        )
    ]
    assert events[-2:] == [
        LiquidationEnded(
            liquidation=FIRST,
            account=ALICE,
            asset=USD,
            instrument=NO_INSTRUMENT,
            leg=NET,
            how=LiquidationEnd.CURED,
            equity_atoms=7332,
            maintenance_atoms=6660,
        ),
        RiskLevelChanged(
            account=ALICE,
            asset=USD,
            instrument=NO_INSTRUMENT,
            leg=NET,
            before=LIQUIDATING,
            after=RiskLevel.CRITICAL,
            ratio_ppm=908_346,
        ),
    ]
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == 668
    assert not venue.exchange.state.liquidations
    due_ns = venue.exchange.next_due_ns()
    assert due_ns is None or due_ns > venue.exchange.time_ns


def test_its_own_orders_end_first_and_that_alone_starts_nothing_anew() -> None:
    venue = short_of_margin()
    bid(venue, ALICE, 8, 1, 900)
    bid(venue, ALICE, 7, 1, 901)
    venue.mark(1000)

    events = venue.tick()

    assert [(event.order, event.reason) for event in of(OrderExpired, events)][:2] == [
        (OrderId(8), Reject.LIQUIDATED),
        (OrderId(7), Reject.LIQUIDATED),
    ]
    assert not venue.position(ALICE).orders
    assert not of(LiquidationStarted, events)


def test_a_mark_that_comes_back_before_the_engine_does_anything_cures() -> None:
    venue = short_of_margin()
    venue.mark(1000)
    venue.exchange.state.markets.instruments[PERP].mark_ticks = 1012

    events = venue.tick()

    assert [event.how for event in of(LiquidationEnded, events)] == [LiquidationEnd.CURED]
    assert not of(LiquidationStepped, events)
    assert venue.margin(ALICE).level == RiskLevel.SAFE


def test_with_equity_and_without_a_book_it_waits_for_another_mark() -> None:
    venue = short_of_margin()
    venue.mark(1000)

    assert of(LiquidationStepped, venue.tick())
    due_ns = venue.exchange.next_due_ns()
    assert due_ns is None or due_ns > venue.exchange.time_ns
    assert not venue.tick()

    bid(venue, CAROL, 9, 2000, 1001)
    assert not venue.tick()
    venue.mark(1001)

    assert [event.how for event in of(LiquidationEnded, venue.tick())] == [LiquidationEnd.CURED]


def test_money_that_comes_in_lets_the_engine_look_again() -> None:
    venue = short_of_margin()
    venue.mark(1000)
    venue.tick()

    venue.pay_in(ALICE, 5_000)

    assert [event.how for event in of(LiquidationEnded, venue.tick())] == [LiquidationEnd.CURED]


def test_a_thin_book_is_taken_step_by_step() -> None:
    venue = short_of_margin()
    bid(venue, CAROL, 9, 100, 1000)
    bid(venue, CAROL, 8, 100, 999)
    venue.mark(1000)

    events = venue.tick()

    paid = of(LiquidationPaid, events)
    assert [each.lots for each in paid] == [200]
    # Lots are left, and somebody traded: once more, and then nobody is there.
    assert len(of(LiquidationStepped, events)) == 2
    assert not of(LiquidationEnded, events)


def test_the_fund_pays_down_to_the_limit_and_takes_nothing_for_it() -> None:
    venue = short_of_margin()
    venue.accepted(FundInsurance(asset=USD, amount_atoms=100_000))
    bid(venue, CAROL, 9, 2000, 950)
    venue.mark(990)

    events = venue.tick()

    # Equity is -2000: everything is sold, and the price of 992 at which nobody lost is out of reach.
    (stepped,) = of(LiquidationStepped, events)
    assert (stepped.lots, stepped.bankruptcy_atoms, stepped.limit_ticks) == (1000, 992_000, 943)
    (paid,) = of(LiquidationPaid, events)
    assert paid.insurance_atoms == 950_000 - 992_000
    assert [event.how for event in of(LiquidationEnded, events)] == [LiquidationEnd.FUND]
    assert venue.margin(ALICE).wallet_atoms == 0
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == 58_000


def test_the_fund_does_not_pay_for_sweeping_a_thin_book() -> None:
    venue = short_of_margin()
    venue.accepted(FundInsurance(asset=USD, amount_atoms=10**8))
    for number, (lots, price) in enumerate([(100, 980), (100, 943), (100, 942), (2000, 1)], start=9):
        bid(venue, CAROL, number, lots, price)
    venue.mark(990)

    events = venue.tick()

    # 5 % of what a step closes: a full fund would pay for any price.
    assert [(each.price_ticks, each.size_lots) for each in of(Traded, events)] == [(980, 100), (943, 100)]
    (paid,) = of(LiquidationPaid, events)
    assert paid.insurance_atoms == 98_000 + 94_300 - 2 * 99_200
    # What the book does not take at a fair price is closed against who has the gain.
    assert [event.lots for event in of(AdlSettled, events)] == [800]


def test_a_fund_that_is_too_far_below_its_peak_spends_nothing_on_steps() -> None:
    venue = short_of_margin(fund_drawdown_ppm=400_000)
    venue.accepted(FundInsurance(asset=USD, amount_atoms=100_000))
    venue.accepted(FundInsurance(asset=USD, amount_atoms=-40_000))
    bid(venue, CAROL, 9, 2000, 950)
    venue.mark(990)

    (stepped,) = of(LiquidationStepped, venue.tick())

    assert stepped.limit_ticks == 992


def adl_market(share_ppm: int = 1_000_000) -> ContractVenue:
    """Return a market: Alice is long 10 at 100, short are Bob 6 at 120, Carol 8 at 100, Dave 4 at 85."""
    accounts = (ALICE, BOB, CAROL, DAVE, EVE)
    venue = market(dict.fromkeys(accounts, 10_000), 100, adl_share_ppm=share_ppm, penalty_ppm=0)
    isolate(venue, ALICE, BOB, CAROL, DAVE)
    deal(venue, EVE, BOB, 6, 120)
    deal(venue, ALICE, CAROL, 8, 100)
    deal(venue, EVE, DAVE, 2, 85)
    deal(venue, ALICE, DAVE, 2, 85)
    # Dave's lots to Alice were sold at 85: let her have paid 100 for them.
    alice = venue.position(ALICE)
    alice.cash_flow_atoms -= 30
    alice.margin.wallet_atoms += 30
    eve = venue.position(EVE)
    eve.cash_flow_atoms += 30
    eve.margin.wallet_atoms -= 30
    return venue


def test_what_nobody_takes_is_closed_against_the_best_ranked() -> None:
    venue = adl_market()
    carols = order(Side.SELL, 99, 1, 130, account=CAROL, instrument=PERP)
    done(venue.ask(CAROL, carols))
    for account, atoms in ((ALICE, 100), (BOB, 150), (CAROL, 100), (DAVE, 40)):
        set_bucket(venue, account, atoms)
    before = {account: venue.margin(account).wallet_atoms for account in (BOB, CAROL, DAVE)}
    held_atoms = venue.position(CAROL).held_atoms
    venue.mark(80)

    events = venue.tick()

    assert [(event.order, event.reason) for event in of(OrderExpired, events) if event.order] == [
        (OrderId(99), Reject.AUTO_DELEVERAGED)
    ]
    assert of(AdlSettled, events) == [
        AdlSettled(
            liquidation=FIRST,
            instrument=PERP,
            account=ALICE,
            leg=NET,
            mark_ticks=80,
            lots=10,
            cash_atoms=900,
            ranked=3,
            givers=[
                AdlRow(1, CAROL, NET, -8, 492_307, 8, -720, 80, 0),
                AdlRow(2, BOB, NET, -6, 410_255, 2, -180, 60, 0),
            ],
            realised_atoms=-100,
            funding_atoms=0,
        )
    ]
    assert [event.how for event in of(LiquidationEnded, events)] == [LiquidationEnd.ADL]
    assert not of(DebtTaken, events)
    assert venue.position(ALICE).qty_lots == 0
    assert venue.position(ALICE).bucket_atoms == 0
    # Carol has closed everything, Bob a third, and Dave has not been touched.
    assert venue.margin(CAROL).wallet_atoms - before[CAROL] == 100 + 80 + held_atoms
    assert venue.margin(BOB).wallet_atoms - before[BOB] == 50 + 60
    assert venue.margin(DAVE).wallet_atoms == before[DAVE]
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == 0


def indebted(fund_atoms: int) -> ContractVenue:
    """Return a market where Alice will lack 100 at 80, and whoever is short cannot pay more than the mark.

    Short are Bob 10 and Carol 2, both at 81; Eve holds the other two long.
    """
    venue = market(dict.fromkeys((ALICE, BOB, CAROL, EVE), 10_000), 81, penalty_ppm=0)
    isolate(venue, ALICE, BOB, CAROL)
    deal(venue, ALICE, BOB, 10, 81)
    deal(venue, EVE, CAROL, 2, 81)
    if fund_atoms:
        venue.accepted(FundInsurance(asset=USD, amount_atoms=fund_atoms))
    alice, eve = venue.position(ALICE), venue.position(EVE)
    alice.cash_flow_atoms -= 190
    alice.margin.wallet_atoms += 190
    eve.cash_flow_atoms += 190
    eve.margin.wallet_atoms -= 190
    for account, atoms in ((ALICE, 100), (BOB, 20), (CAROL, 10)):
        set_bucket(venue, account, atoms)
    # Bob and Carol would have less than nothing at 90; at the mark anybody gives.
    venue.mark(80)
    return venue


def test_a_debt_is_paid_by_the_fund_and_the_rest_is_shared() -> None:
    venue = indebted(fund_atoms=60)

    events = venue.tick()

    assert [(event.lots, event.cash_atoms) for event in of(AdlSettled, events)] == [(10, 800)]
    assert of(DebtTaken, events) == [
        DebtTaken(
            liquidation=FIRST,
            account=ALICE,
            asset=USD,
            instrument=PERP,
            insurance_atoms=60,
            debt_atoms=40,
        )
    ]
    (shared,) = of(LossShared, events)
    assert [event.how for event in of(LiquidationEnded, events)] == [LiquidationEnd.SHARED]
    # Eve's two lots have a gain of 188, Carol's or Bob's of what they have left: each bears its part.
    assert sum(atoms for _, _, atoms in shared.shares) == shared.debt_atoms == 40
    assert venue.exchange.state.ledger.houses[USD].debt_atoms == 0
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == 0
    assert venue.margin(ALICE).level == SAFE


def test_while_a_loss_is_open_nothing_leaves_margin_wallets_and_a_while_after() -> None:
    venue = indebted(fund_atoms=0)
    outward = MoveMargin(account=EVE, asset=USD, amount_atoms=-1)

    assert venue.exchange.state.ledger.houses[USD].gate_on
    assert refusal(venue.ask(EVE, outward)) == Reject.WITHDRAWAL_GATE
    assert not venue.exchange.state.liquidations
    assert refusal(venue.ask(EVE, outward)) == Reject.WITHDRAWAL_GATE
    opens_ns = venue.exchange.state.ledger.houses[USD].gate_ns
    assert GATE_NS - 10**6 < opens_ns - venue.exchange.time_ns <= GATE_NS

    events = venue.tick(after_ns=opens_ns - venue.exchange.time_ns)

    assert WithdrawalGateSet(asset=USD, on=False) in events
    done(venue.ask(EVE, outward))


def test_who_lacks_margin_most_comes_first_and_each_comes_once() -> None:
    accounts = [AccountId(1000 + number) for number in range(30)]
    wallets = {account: 1_000 + 5 * number for number, account in enumerate(accounts)}
    venue = market({**wallets, AccountId(2000): 10_000_000}, 1000)
    for account in accounts:
        deal(venue, account, AccountId(2000), 40, 1000)
    marked = venue.mark(980)

    started = of(LiquidationStarted, marked.events)
    assert [event.liquidation for event in started] == list(range(1, len(started) + 1))
    assert [event.account for event in started] == accounts[: len(started)]
    assert len(started) > LIQUIDATION_STEPS_PER_ENTRY_MAX

    events = venue.tick()
    assert len(of(LiquidationStepped, events)) == 0
    assert sum(each.has_begun for each in venue.exchange.state.liquidations.rows) == (
        LIQUIDATION_STEPS_PER_ENTRY_MAX
    )
    for _ in range(10):
        events += venue.tick()
    assert not of(LiquidationStarted, events)


def test_a_halted_contract_is_begun_with_and_waits() -> None:
    venue = short_of_margin()
    bid(venue, CAROL, 9, 2000, 1000)
    venue.mark(1000)
    venue.exchange.state.markets.instruments[PERP].state = InstrumentState.HALTED

    assert not of(LiquidationStepped, venue.tick())
    assert not venue.tick()
    venue.exchange.state.markets.instruments[PERP].state = InstrumentState.OPEN

    assert of(LiquidationStepped, venue.tick())


def test_under_a_stale_index_nobody_is_taken_and_who_was_waits() -> None:
    venue = short_of_margin()
    bid(venue, CAROL, 9, 2000, 1000)
    assert kinds(venue.tick(after_ns=11 * 10**9))[-1] == "IndexStale"

    assert kinds(venue.mark(1000).events) == ["MarkSet"]
    fresh = venue.feed(1012)
    assert of(LiquidationStarted, fresh.events)
    assert kinds(venue.tick(after_ns=11 * 10**9))[-1] == "IndexStale"
    assert not venue.tick()

    venue.feed(1012)

    assert [event.how for event in of(LiquidationEnded, venue.tick())] == [LiquidationEnd.CURED]


def test_kill_switches_stop_no_liquidation() -> None:
    venue = short_of_margin()
    bid(venue, CAROL, 9, 2000, 1000)
    venue.accepted(SetKillSwitch(on=True))
    venue.mark(1000)

    events = venue.tick()

    assert [event.how for event in of(LiquidationEnded, events)] == [LiquidationEnd.CURED]
    refused = venue.ask(CAROL, order(Side.BUY, 10, 1, 990, account=CAROL, instrument=PERP))
    assert refusal(refused) == Reject.KILL_SWITCH


@pytest.mark.parametrize("threshold_ppm", [600_000, 750_000, 900_000])
def test_a_ratio_that_dithers_around_a_threshold_is_told_once_per_direction(threshold_ppm: int) -> None:
    venue = market({ALICE: 200_000, BOB: 10_000_000}, 10_000)
    deal(venue, ALICE, BOB, 1000, 10_000)
    # Equity 200,000 + 1000 * (mark - 10,000), margin 10 * mark.
    above = next(
        mark
        for mark in range(10_000, 9_000, -1)
        if 10 * mark * 10**6 // (200_000 + 1000 * (mark - 10_000)) >= threshold_ppm
    )
    told: list[AnyEvent] = []
    for _ in range(5):
        told += venue.mark(above).events
        told += venue.mark(above + 1).events
    told += venue.mark(10_000).events

    changed = of(RiskLevelChanged, told)
    assert [event.after > event.before for event in changed] == [True, False]
