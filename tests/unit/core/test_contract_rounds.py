"""Samples and funding of a contract by log time, and the sweep that collects from every position."""

from typing import Final

import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, kinds, order
from tests.helpers.contracts import (
    FEEDER,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import snapshot
from steelyard.core.commands import (
    ContractRules,
    FundingTerms,
    IndexQuote,
    ListIndex,
    SetContractRules,
    SetIndexSources,
    SetInstrumentState,
)
from steelyard.core.entry import Accepted
from steelyard.core.events import (
    AnyEvent,
    FundingPaid,
    FundingSet,
    FundingSwept,
    PositionsTraded,
    PremiumSampled,
)
from steelyard.core.limits import PAUSE_NS_MAX, SAMPLE_NS
from steelyard.core.units import AccountId, FundingRule, IndexId, InstrumentState, Leg, Side

SECOND_NS: Final = 10**9
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 3600 * SECOND_NS
#: An index that hardly ever becomes stale, so that tests may let time pass.
LASTING: Final = IndexId(2)
MINUTELY: Final = FundingTerms(interval_ns=MINUTE_NS)
ACCRUING: Final = FundingTerms(rule=FundingRule.DEAD_BAND, interval_ns=10 * MINUTE_NS, dead_band_ppb=0)


def funded_market(terms: FundingTerms = MINUTELY, *, price_ticks: int = 1001) -> ContractVenue:
    """Return an open contract with these funding terms on an index that stays fresh, all at one price."""
    venue = contract_market(price_ticks=price_ticks, wallet_atoms=1_000_000)
    venue.accepted(
        ListIndex(index=LASTING, symbol="LASTING", tick_mantissa=1, tick_decimals=0, stale_ns=PAUSE_NS_MAX)
    )
    venue.accepted(
        perpetual(rules=funding_rules(terms), index=LASTING, instrument=LONG_PERP, symbol="LASTING-PERP")
    )
    feed(venue, price_ticks)
    assert isinstance(venue.mark(price_ticks, LONG_PERP).reply, Accepted)
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN, instrument=LONG_PERP)
    return venue


def funding_rules(terms: FundingTerms) -> ContractRules:
    return contract_rules(funding=terms)


LONG_PERP: Final = type(PERP)(8)


def feed(venue: ContractVenue, price_ticks: int) -> None:
    quote = IndexQuote(source=1, price_ticks=price_ticks, weight=1, time_ns=venue.exchange.time_ns)
    assert isinstance(venue.ask(FEEDER, SetIndexSources(index=LASTING, quotes=[quote])).reply, Accepted)


def deal(
    venue: ContractVenue, number: int, buyer: AccountId, seller: AccountId, lots: int, price: int
) -> None:
    """Let two accounts trade."""
    for account, side in ((seller, Side.SELL), (buyer, Side.BUY)):
        venue.ask(account, order(side, number, lots, price, account=account, instrument=LONG_PERP))
    assert not venue.instrument(LONG_PERP).book.asks.keys


def pass_to(venue: ContractVenue, time_ns: int) -> list[AnyEvent]:
    """Let an entry without requests come at a time, and return what it said of the contract."""
    events = venue.tick(after_ns=time_ns - venue.exchange.time_ns)
    return [event for event in events if getattr(event, "instrument", None) == LONG_PERP]


def next_minute(venue: ContractVenue) -> int:
    return (venue.exchange.time_ns // MINUTE_NS + 1) * MINUTE_NS


def paid(events: list[AnyEvent]) -> list[tuple[AccountId, int]]:
    return [(event.account, event.paid_atoms) for event in events if isinstance(event, FundingPaid)]


def test_longs_pay_and_shorts_receive_and_roundings_stay_with_the_house() -> None:
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 3, 1001)
    deal(venue, 2, ALICE, CAROL, 4, 1001)

    happened = pass_to(venue, next_minute(venue))

    assert happened == [
        PremiumSampled(instrument=LONG_PERP, premium_ppb=0, predicted_ppb=100_000),
        FundingSet(
            instrument=LONG_PERP,
            rate_ppb=100_000,
            mark_ticks=1001,
            delta_nanoatoms=100_100_000,
            cumulative_nanoatoms=100_100_000,
        ),
        FundingPaid(account=ALICE, instrument=LONG_PERP, leg=Leg.NET, paid_atoms=1),
        FundingSwept(instrument=LONG_PERP, rounding_atoms=1),
    ]
    contract = venue.contract(LONG_PERP)
    assert contract.funding_atoms == 0
    assert venue.exchange.state.ledger.houses[contract.settle].rounding_atoms == 1
    assert venue.margin(ALICE).wallet_atoms == 1_000_000 - 1


def test_a_round_that_was_missed_happens_once() -> None:
    venue = funded_market()
    start_ns = next_minute(venue)

    happened = pass_to(venue, start_ns + 10 * MINUTE_NS + 1)

    assert kinds(happened) == ["PremiumSampled", "FundingSet", "FundingSwept"]
    assert venue.contract(LONG_PERP).funding_ns == start_ns + 11 * MINUTE_NS
    assert venue.contract(LONG_PERP).sample_ns == start_ns + 10 * MINUTE_NS + SAMPLE_NS


def test_samples_come_at_multiples_of_five_seconds_of_log_time() -> None:
    venue = funded_market()
    times = []
    for _ in range(20):
        due_ns = venue.contract(LONG_PERP).sample_ns
        assert "PremiumSampled" in kinds(pass_to(venue, due_ns + 123))
        times.append(due_ns)

    assert times == [times[0] + n * SAMPLE_NS for n in range(20)]
    assert times[0] % SAMPLE_NS == 0


@pytest.mark.parametrize("state", [InstrumentState.CANCEL_ONLY, InstrumentState.HALTED])
def test_a_contract_that_does_not_trade_is_sampled_and_funded_all_the_same(state: InstrumentState) -> None:
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 10, 1001)
    venue.accepted(SetInstrumentState(instrument=LONG_PERP, state=state))

    assert kinds(pass_to(venue, next_minute(venue))) == [
        "PremiumSampled",
        "FundingSet",
        "FundingPaid",
        "FundingPaid",
        "FundingSwept",
    ]


@pytest.mark.parametrize("rule", list(FundingRule))
def test_without_a_sample_the_rate_is_zero(rule: FundingRule) -> None:
    venue = funded_market(FundingTerms(rule=rule, interval_ns=MINUTE_NS, dead_band_ppb=0), price_ticks=1000)
    venue.mark(1001, LONG_PERP)
    pass_to(venue, next_minute(venue))
    venue.exchange.state.markets.instruments[LONG_PERP].state = InstrumentState.AUCTION

    happened = pass_to(venue, next_minute(venue))

    assert kinds(happened) == ["FundingSet", "FundingSwept"]
    assert isinstance(happened[0], FundingSet)
    assert happened[0].rate_ppb == 0


def test_funding_accrues_with_each_sample_by_a_minute_at_most() -> None:
    venue = funded_market(ACCRUING, price_ticks=1000)
    deal(venue, 1, ALICE, BOB, 10, 1000)
    venue.mark(1001, LONG_PERP)
    first_ns = venue.contract(LONG_PERP).sample_ns

    # p = F = 0.1 %; the first sample only begins.
    assert kinds(pass_to(venue, first_ns)) == ["PremiumSampled"]
    second = pass_to(venue, first_ns + SAMPLE_NS)
    late = pass_to(venue, first_ns + 4 * MINUTE_NS)

    assert second[0] == PremiumSampled(instrument=LONG_PERP, premium_ppb=1_000_000, predicted_ppb=1_000_000)
    deltas = [event.delta_nanoatoms for event in (*second, *late) if isinstance(event, FundingSet)]
    assert deltas == [1001 * 1_000_000 * 5 // (8 * 3600), 1001 * 1_000_000 * 60 // (8 * 3600)]
    assert venue.contract(LONG_PERP).cumulative_nanoatoms == sum(deltas)


def test_an_interval_of_accruals_ends_with_a_sweep_and_owes_nothing_more() -> None:
    venue = funded_market(ACCRUING, price_ticks=1000)
    deal(venue, 1, ALICE, BOB, 10_000, 1000)
    venue.mark(1001, LONG_PERP)
    end_ns = venue.contract(LONG_PERP).funding_ns
    pass_to(venue, end_ns - SAMPLE_NS)

    happened = pass_to(venue, end_ns)

    assert kinds(happened) == [
        "PremiumSampled",
        "FundingSet",
        "FundingSet",
        "FundingPaid",
        "FundingPaid",
        "FundingSwept",
    ]
    assert isinstance(happened[2], FundingSet)
    assert (happened[2].delta_nanoatoms, happened[2].rate_ppb) == (0, 1_000_000)
    assert paid(happened) == [(ALICE, 2), (BOB, -1)]


def test_a_round_that_comes_while_a_sweep_runs_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 1)
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 3000, 1001)
    deal(venue, 2, ALICE, CAROL, 4000, 1001)
    contract = venue.contract(LONG_PERP)
    minute_ns = next_minute(venue)

    assert paid(pass_to(venue, minute_ns)) == [(ALICE, 701)]
    assert venue.exchange.next_due_ns() == venue.exchange.time_ns
    later = pass_to(venue, minute_ns + MINUTE_NS)

    assert kinds(later) == ["PremiumSampled", "FundingSet", "FundingPaid"]
    assert isinstance(later[1], FundingSet)
    assert later[1].cumulative_nanoatoms == 2 * later[1].delta_nanoatoms == 2 * 100_100_000
    assert paid(later) == [(BOB, -300)]
    assert contract.cumulative_nanoatoms == contract.pending_nanoatoms == 100_100_000
    assert paid(venue.tick()) == [(CAROL, -400)]
    assert venue.tick() == [FundingSwept(instrument=LONG_PERP, rounding_atoms=1)]
    assert (contract.cumulative_nanoatoms, contract.pending_nanoatoms) == (2 * 100_100_000, 0)
    assert venue.exchange.next_due_ns() == contract.sample_ns


def test_whoever_trades_while_a_sweep_runs_pays_at_once_and_has_no_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 1)
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 3000, 1001)
    deal(venue, 2, ALICE, CAROL, 4000, 1001)
    assert paid(pass_to(venue, next_minute(venue))) == [(ALICE, 701)]

    both = [
        venue.request(account, order(side, 3, 1000, 1001, account=account, instrument=LONG_PERP))
        for account, side in ((ALICE, Side.SELL), (CAROL, Side.BUY))
    ]
    outcomes = venue.send(*both)

    assert paid(venue.due) == [(BOB, -300)]
    traded = outcomes[1].events[2]
    assert isinstance(traded, PositionsTraded)
    assert (traded.maker_funding_atoms, traded.taker_funding_atoms) == (0, -400)
    assert venue.tick() == [FundingSwept(instrument=LONG_PERP, rounding_atoms=1)]


def test_a_restored_exchange_goes_on_with_the_same_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 1)
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 3000, 1001)
    deal(venue, 2, ALICE, CAROL, 4000, 1001)
    pass_to(venue, next_minute(venue))
    other = ContractVenue()
    other.exchange = snapshot.load(snapshot.dump(venue.exchange))

    said = [[each.tick(), each.tick(), each.tick()] for each in (venue, other)]

    assert said[0] == said[1]
    assert [kinds(events) for events in said[0]] == [["FundingPaid"], ["FundingPaid"], ["FundingSwept"]]
    assert venue.exchange.digest == other.exchange.digest


def test_other_funding_terms_begin_a_new_interval_without_samples() -> None:
    venue = funded_market()
    pass_to(venue, next_minute(venue) - SAMPLE_NS)
    assert venue.contract(LONG_PERP).premiums.count > 0

    terms = FundingTerms(interval_ns=HOUR_NS)
    venue.accepted(SetContractRules(instrument=LONG_PERP, rules=funding_rules(terms)))

    contract = venue.contract(LONG_PERP)
    assert (contract.premiums.count, contract.predicted_ppb) == (0, 0)
    assert contract.funding_ns == (venue.exchange.time_ns // HOUR_NS + 1) * HOUR_NS
    assert kinds(pass_to(venue, next_minute(venue))) == ["PremiumSampled"]
    venue.accepted(SetContractRules(instrument=LONG_PERP, rules=funding_rules(MINUTELY)))
    assert kinds(pass_to(venue, next_minute(venue))) == ["PremiumSampled", "FundingSet", "FundingSwept"]


def test_a_cumulative_funding_that_grows_too_large_begins_anew_after_a_sweep() -> None:
    venue = funded_market()
    deal(venue, 1, ALICE, BOB, 3000, 1001)
    contract = venue.contract(LONG_PERP)
    for position in contract.positions.values():
        position.settled_nanoatoms = 2**61 - 50_000_000
    contract.cumulative_nanoatoms = 2**61 - 50_000_000

    happened = pass_to(venue, next_minute(venue))

    assert paid(happened) == [(ALICE, 301), (BOB, -300)]
    assert contract.cumulative_nanoatoms == 0
    assert [position.settled_nanoatoms for position in contract.positions.values()] == [0, 0]
    assert paid(pass_to(venue, next_minute(venue))) == [(ALICE, 301), (BOB, -300)]
