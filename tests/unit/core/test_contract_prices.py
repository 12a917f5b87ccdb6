"""What the feed says about contracts: indices, marks, and an index that falls silent."""

from typing import Final

import pytest
from tests.helpers.builders import ALICE, CAROL, kinds, order, refusal
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

from steelyard.core import Reject, snapshot
from steelyard.core.commands import (
    FundingTerms,
    IndexQuote,
    OrderTerms,
    PlaceOrderOnTerms,
    SetIndexSources,
    SetInstrumentRules,
    SetMark,
)
from steelyard.core.entry import Accepted
from steelyard.core.events import (
    IndexSet,
    IndexStale,
    MarkSet,
    OrderTriggered,
    PremiumSampled,
    StateScheduled,
    TradingHalted,
)
from steelyard.core.limits import INTEGER_MAX, SAMPLE_NS, SOURCES_MAX
from steelyard.core.units import (
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    InstrumentState,
    MarkRule,
    OrderState,
    PriceSource,
    Side,
    TriggerKind,
)

SECOND_NS: Final = 10**9
STALE_NS: Final = 10 * SECOND_NS
MEDIAN: Final = contract_rules(mark_rule=MarkRule.MEDIAN)


def median_market() -> ContractVenue:
    """Return a market of one contract whose mark is worked out inside, at 100."""
    return contract_market(perpetual(rules=MEDIAN))


def said(*prices: int, time_ns: int = 0, weight: int = 1) -> list[IndexQuote]:
    return [
        IndexQuote(source=source, price_ticks=price, weight=weight, time_ns=time_ns)
        for source, price in enumerate(prices, 1)
    ]


def test_an_index_is_worked_out_and_then_the_marks_of_its_contracts() -> None:
    venue = median_market()
    quotes = said(100, 101, 110, time_ns=venue.exchange.time_ns)

    outcome = venue.ask(FEEDER, SetIndexSources(index=BTC_INDEX, quotes=quotes))

    # 110 is 8.9 % from the median of all; the others' mean is floored.
    assert outcome.events == [IndexSet(index=BTC_INDEX, price_ticks=100, stale=False, quotes=quotes)]
    quotes = said(104, 105, 106, time_ns=venue.exchange.time_ns)
    assert venue.ask(FEEDER, SetIndexSources(index=BTC_INDEX, quotes=quotes)).events == [
        IndexSet(index=BTC_INDEX, price_ticks=105, stale=False, quotes=quotes),
        MarkSet(instrument=PERP, mark_ticks=105),
    ]
    assert venue.instrument().mark_ticks == 105


def test_all_marks_change_together_by_id() -> None:
    venue = contract_market(
        perpetual(ContractKind.INVERSE, MEDIAN),
        perpetual(rules=MEDIAN),
        perpetual(instrument=InstrumentId(9), symbol="FED"),
    )

    assert venue.feed(90).events[1:] == [
        MarkSet(instrument=PERP, mark_ticks=90),
        MarkSet(instrument=INVERSE_PERP, mark_ticks=90),
    ]
    assert venue.instrument(InstrumentId(9)).mark_ticks == 100


def test_a_mark_that_stays_is_not_said_again() -> None:
    venue = median_market()

    assert kinds(venue.feed(100).events) == ["IndexSet"]


@pytest.mark.parametrize(
    "quotes",
    [
        [],
        said(*[100] * (SOURCES_MAX + 1)),
        [*said(100), *said(101)],
        said(0),
        said(INTEGER_MAX + 1),
        said(100, weight=-1),
        said(100, weight=0),
        said(100, time_ns=-1),
    ],
)
def test_sources_that_make_no_sense_are_refused(quotes: list[IndexQuote]) -> None:
    venue = median_market()

    assert refusal(venue.ask(FEEDER, SetIndexSources(index=IndexId(7), quotes=quotes))) == Reject.MALFORMED


def test_only_the_feed_says_what_sources_say_and_only_of_an_index_that_is_listed() -> None:
    venue = median_market()

    assert (
        refusal(venue.ask(ALICE, SetIndexSources(index=IndexId(7), quotes=said(100)))) == Reject.NOT_PERMITTED
    )
    assert (
        refusal(venue.ask(FEEDER, SetIndexSources(index=IndexId(7), quotes=said(100))))
        == Reject.UNKNOWN_INDEX
    )
    late = SetIndexSources(index=IndexId(7), quotes=said(100))
    assert refusal(venue.ask(ALICE, late, not_after_ns=1)) == Reject.TOO_LATE


def test_sources_that_are_all_old_leave_the_price_and_make_the_index_stale() -> None:
    venue = median_market()
    venue.tick(after_ns=20 * SECOND_NS)
    quotes = said(200, time_ns=SECOND_NS)

    outcome = venue.ask(FEEDER, SetIndexSources(index=BTC_INDEX, quotes=quotes))

    assert outcome.events == [IndexSet(index=BTC_INDEX, price_ticks=100, stale=True, quotes=quotes)]
    assert venue.instrument().mark_ticks == 100


def test_an_index_becomes_stale_by_time_once_when_its_youngest_quote_does() -> None:
    venue = median_market()
    set_ns = venue.exchange.state.markets.indices[BTC_INDEX].quotes[0].time_ns

    to_go_ns = set_ns + STALE_NS - venue.exchange.time_ns
    assert venue.exchange.next_due_ns() == SAMPLE_NS
    assert IndexStale(index=BTC_INDEX) not in venue.tick(after_ns=to_go_ns - 1)
    assert venue.tick(after_ns=1) == [IndexStale(index=BTC_INDEX)]
    assert venue.contract().index.is_stale
    # Nothing is said any more: neither samples nor, after eight hours, a rate.
    for _ in range(9):
        assert venue.tick(after_ns=3600 * SECOND_NS) == []


def test_an_index_that_hears_something_in_time_stays_fresh() -> None:
    venue = median_market()
    for _ in range(5):
        venue.tick(after_ns=STALE_NS - SECOND_NS)
        assert isinstance(venue.feed(100).reply, Accepted)
        assert IndexStale(index=BTC_INDEX) not in venue.due
    # However often it was fed, hardly a timer stands.
    for _ in range(50):
        venue.feed(100)
    assert len(venue.exchange.state.timers.urgent) <= 3


def test_a_stale_index_that_comes_back_is_sampled_from_the_next_multiple_on() -> None:
    venue = median_market()
    venue.tick(after_ns=STALE_NS + SECOND_NS)
    venue.tick(after_ns=7 * SECOND_NS)

    assert kinds(venue.feed(101).events) == ["IndexSet", "MarkSet"]

    due_ns = venue.exchange.next_due_ns()
    assert due_ns is not None
    assert due_ns % SAMPLE_NS == 0
    assert 0 < due_ns - venue.exchange.time_ns <= SAMPLE_NS
    assert kinds(venue.tick(after_ns=due_ns - venue.exchange.time_ns)) == ["PremiumSampled"]


def test_while_an_index_is_stale_orders_that_add_risk_are_refused_and_cancels_pass() -> None:
    venue = median_market()
    venue.ask(ALICE, order(Side.BUY, 1, 1, 90, account=ALICE, instrument=PERP))
    venue.tick(after_ns=STALE_NS + SECOND_NS)

    adding = order(Side.BUY, 2, 1, 90, account=ALICE, instrument=PERP)
    assert refusal(venue.ask(ALICE, adding)) == Reject.NO_REFERENCE_PRICE
    assert kinds(venue.cancel(ALICE, 1).events) == ["OrderCancelled"]


def risky_market() -> ContractVenue:
    """Return a market where Alice has 1,000 lots, bought at 100, on a margin of 3,000; marks are fed."""
    venue = contract_market(wallet_atoms=3_000)
    venue.pay_in(CAROL, 1_000_000)
    for account, side in ((CAROL, Side.SELL), (ALICE, Side.BUY)):
        venue.ask(account, order(side, 1, 1000, 100, account=account, instrument=PERP))
    assert venue.position(ALICE).qty_lots == 1000
    return venue


def test_while_an_index_is_stale_nobody_is_liquidated_and_when_it_is_back_all_are_judged() -> None:
    venue = risky_market()
    venue.tick(after_ns=STALE_NS + SECOND_NS)

    assert kinds(venue.mark(97).events) == ["MarkSet"]
    assert venue.tick() == []
    assert not venue.exchange.state.liquidations

    assert kinds(venue.feed(100).events) == ["IndexSet", "RiskLevelChanged", "LiquidationStarted"]


def test_a_liquidation_that_has_begun_waits_for_its_index() -> None:
    venue = risky_market()
    venue.tick(after_ns=STALE_NS - SECOND_NS)
    assert "LiquidationStarted" in kinds(venue.mark(97).events)
    late = venue.tick(after_ns=2 * SECOND_NS)

    # The index became stale before the engine had a turn.
    assert kinds(late)[-1] == "IndexStale"
    assert venue.tick(after_ns=3600 * SECOND_NS) == []
    (liquidation,) = venue.exchange.state.liquidations.rows
    assert not liquidation.has_begun

    venue.feed(97)
    assert venue.exchange.next_due_ns() == venue.exchange.time_ns
    assert "LiquidationStepped" in kinds(venue.tick())


def test_while_an_index_is_stale_orders_that_reduce_pass() -> None:
    venue = risky_market()
    venue.tick(after_ns=STALE_NS + SECOND_NS)

    selling = order(Side.SELL, 2, 400, 100, account=ALICE, instrument=PERP)
    buying = order(Side.BUY, 3, 1, 100, account=ALICE, instrument=PERP)

    assert kinds(venue.ask(ALICE, selling).events) == ["OrderAccepted", "OrderRested"]
    assert refusal(venue.ask(ALICE, buying)) == Reject.NO_REFERENCE_PRICE


def test_a_mark_from_outside_is_taken_where_the_rules_say_so_alone() -> None:
    fed = contract_market()
    inside = median_market()

    assert fed.mark(123).events == [MarkSet(instrument=PERP, mark_ticks=123)]
    assert refusal(inside.mark(123)) == Reject.NOT_THIS_KIND
    assert (
        refusal(inside.ask(FEEDER, SetMark(instrument=InstrumentId(99), mark_ticks=1)))
        == Reject.UNKNOWN_INSTRUMENT
    )


def test_the_mark_follows_the_book_within_the_band() -> None:
    venue = median_market()
    venue.ask(ALICE, order(Side.BUY, 1, 1, 103, account=ALICE, instrument=PERP))
    venue.ask(CAROL, order(Side.SELL, 1, 1, 105, account=CAROL, instrument=PERP))

    # P1 = 100, P2 = 100 + 4 from the first sample on, P3 = 104: the mark comes first, then the sample.
    sampled = PremiumSampled(instrument=PERP, premium_ppb=30_000_000, predicted_ppb=20_000_000)
    assert venue.tick(after_ns=SAMPLE_NS) == [sampled]
    assert kinds(venue.feed(100).events) == ["IndexSet", "MarkSet"]
    assert venue.tick(after_ns=SAMPLE_NS) == [sampled]
    assert venue.instrument().mark_ticks == 104


def test_orders_that_wait_for_the_index_wake_with_it() -> None:
    venue = median_market()
    stop = PlaceOrderOnTerms(
        account=ALICE,
        instrument=PERP,
        order=order(Side.BUY, 1, 1).order,
        side=Side.BUY,
        size_lots=1,
        limit_ticks=104,
        terms=OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=104, trigger_source=PriceSource.INDEX),
    )
    placed = venue.ask(ALICE, stop)
    assert isinstance(placed.reply, object)
    assert venue.exchange.state.orders, placed
    assert kinds(venue.feed(103).events) == ["IndexSet", "MarkSet"]

    woken = venue.feed(104).events

    assert kinds(woken) == ["IndexSet", "MarkSet", "OrderTriggered"]
    assert isinstance(woken[-1], OrderTriggered)
    assert (woken[-1].source, woken[-1].price_ticks) == (PriceSource.INDEX, 104)
    special = next(iter(venue.exchange.state.orders.values())).special
    assert special is not None
    assert special.state == OrderState.WAITING


def test_a_mark_outside_the_window_of_trades_halts_the_contract() -> None:
    venue = contract_market()
    venue.accepted(
        SetInstrumentRules(
            instrument=PERP,
            halt_ppm=50_000,
            halt_window_ns=60 * SECOND_NS,
            halt_ns=30 * SECOND_NS,
            auction_ns=5 * SECOND_NS,
        )
    )
    for number in (1, 2):
        venue.ask(ALICE, order(Side.SELL, number, 1, 100, account=ALICE, instrument=PERP))
        venue.ask(CAROL, order(Side.BUY, number, 1, 100, account=CAROL, instrument=PERP))
    assert venue.instrument().anchor_ticks == 100

    assert kinds(venue.mark(105).events) == ["MarkSet"]
    halted = venue.mark(106).events

    assert halted[1] == TradingHalted(
        instrument=PERP,
        anchor_ticks=100,
        price_ticks=106,
        until_ns=venue.exchange.time_ns + 30 * SECOND_NS,
    )
    assert isinstance(halted[-1], StateScheduled)
    assert venue.instrument().state == InstrumentState.HALTED


def test_a_mark_that_is_said_again_halts_nothing() -> None:
    venue = contract_market()
    venue.mark(106)
    rules = SetInstrumentRules(
        instrument=PERP,
        halt_ppm=50_000,
        halt_window_ns=60 * SECOND_NS,
        halt_ns=30 * SECOND_NS,
        auction_ns=5 * SECOND_NS,
    )
    venue.accepted(rules)
    for number in (1, 2):
        venue.ask(ALICE, order(Side.SELL, number, 1, 100, account=ALICE, instrument=PERP))
        venue.ask(CAROL, order(Side.BUY, number, 1, 100, account=CAROL, instrument=PERP))
    assert venue.instrument().anchor_ticks == 100

    assert kinds(venue.mark(106).events) == ["MarkSet"]
    assert venue.instrument().state == InstrumentState.OPEN
    assert "TradingHalted" in kinds(venue.mark(107).events)


def test_a_restored_exchange_goes_on_with_the_same_timers() -> None:
    venue = median_market()
    venue.ask(ALICE, order(Side.BUY, 1, 1, 103, account=ALICE, instrument=PERP))
    restored = snapshot.load(snapshot.dump(venue.exchange))

    assert restored.next_due_ns() == venue.exchange.next_due_ns()
    other = ContractVenue()
    other.exchange, other.keys, other.sessions = restored, venue.keys, venue.sessions
    for after_ns in (SAMPLE_NS, SECOND_NS, SAMPLE_NS, STALE_NS):
        assert other.tick(after_ns=after_ns) == venue.tick(after_ns=after_ns)
    assert snapshot.dump(other.exchange) == snapshot.dump(venue.exchange)


@pytest.mark.parametrize(
    ("rule", "rate_is_for_hours"), [(FundingRule.AVERAGED, 1), (FundingRule.DEAD_BAND, 8)]
)
def test_what_is_left_of_a_rate_moves_the_mark_by_the_time_that_the_rate_is_for(
    rule: FundingRule, rate_is_for_hours: int
) -> None:
    hour_ns = 3600 * SECOND_NS
    terms = FundingTerms(rule=rule, interval_ns=hour_ns)
    venue = contract_market(perpetual(rules=contract_rules(mark_rule=MarkRule.MEDIAN, funding=terms)))
    venue.ask(ALICE, order(Side.BUY, 1, 1, 10_400, account=ALICE, instrument=PERP))
    contract = venue.contract()
    contract.rate_ppb = 20_000_000

    venue.feed(10_000)

    # P2 is the index, P3 the bid, and P1 stands between them.
    left_ns = contract.funding_ns - venue.exchange.time_ns
    assert 0 < left_ns <= hour_ns
    assert venue.instrument().mark_ticks == 10_000 + 200 * left_ns // (rate_is_for_hours * hour_ns)
