"""Call auctions, from their beginning to the first trade after them."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    CAROL,
    STEP_NS,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    refusal,
    sell,
)

from steelyard.core import Entry, Reject, snapshot
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    ArmCountdown,
    CancelOrder,
    CancelOrders,
    OrderTerms,
    PlaceOrder,
    PlaceOrderOnTerms,
    ScheduleState,
    SetAccountRules,
    SetInstrumentRules,
    SetInstrumentState,
    SetMark,
    StartAuction,
)
from steelyard.core.entry import Placed
from steelyard.core.events import (
    AnyEvent,
    AuctionEnded,
    InstrumentStateChanged,
    OrderReplenished,
    OrdersSwept,
    StateScheduled,
    Traded,
    TradePrevented,
)
from steelyard.core.instruments import Instrument
from steelyard.core.limits import PAUSE_NS_MAX, WORK_PER_ENTRY_MAX
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    InstrumentState,
    OrderId,
    Permission,
    SelfTrade,
    Side,
    TimeInForce,
)

PRE_OPEN, POST_ONLY, OPEN, CANCEL_ONLY, HALTED, CLOSED, AUCTION = InstrumentState


def instrument(venue: Venue) -> Instrument:
    return venue.exchange.state.markets.instruments[BTC_USD]


def on_terms(command: PlaceOrder, **terms: object) -> PlaceOrderOnTerms:
    fields = msgspec.structs.asdict(command)
    return PlaceOrderOnTerms(**fields, terms=OrderTerms(**terms))  # type: ignore[arg-type]


def in_auction(auction_ns: int = 100 * STEP_NS) -> Venue:
    """Return a market that collects orders."""
    venue = complete()
    venue.move(CANCEL_ONLY)
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=auction_ns))
    return venue


def trades(events: list[AnyEvent]) -> list[tuple[AccountId, AccountId, int, int]]:
    """Return (maker, taker, price, lots) of each trade."""
    return [
        (event.maker, event.taker, event.price_ticks, event.size_lots)
        for event in events
        if isinstance(event, Traded)
    ]


def test_an_auction_collects_orders_and_nothing_trades() -> None:
    venue = in_auction()
    venue.place(ALICE, buy(1, 5, 110))

    outcome = venue.place(BOB, sell(1, 5, 100))

    assert kinds(outcome.events) == ["OrderAccepted", "OrderRested"]
    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 550


@pytest.mark.parametrize(
    "order",
    [
        buy(1, 1, 100, TimeInForce.IOC),
        buy(1, 1, 100, TimeInForce.FOK),
        buy(1, 1, 100, post_only=True),
    ],
)
def test_an_auction_takes_only_orders_that_rest(order: PlaceOrder) -> None:
    assert refusal(in_auction().place(ALICE, order)) == Reject.INSTRUMENT_STATE


@pytest.mark.parametrize("before", [OPEN, CLOSED, AUCTION])
def test_an_auction_begins_only_where_nothing_trades(before: InstrumentState) -> None:
    venue = in_auction() if before == AUCTION else complete()
    if before == CLOSED:
        venue.move(CLOSED)

    assert refusal(venue.operate(StartAuction(instrument=BTC_USD, auction_ns=5))) == Reject.STATE_MOVE


@pytest.mark.parametrize("auction_ns", [0, -1, PAUSE_NS_MAX + 1])
def test_an_auction_has_a_length(auction_ns: int) -> None:
    venue = complete()
    venue.move(HALTED)

    assert refusal(venue.operate(StartAuction(instrument=BTC_USD, auction_ns=auction_ns))) == Reject.MALFORMED


def test_everybody_trades_at_one_price_best_price_and_oldest_first() -> None:
    venue = in_auction()
    venue.place(ALICE, buy(1, 4, 104))
    venue.place(BOB, sell(1, 3, 101))
    venue.place(CAROL, buy(1, 2, 106))
    venue.place(BOB, sell(2, 4, 102))
    venue.place(CAROL, sell(2, 9, 109))

    events = venue.tick(100 * STEP_NS)

    # Six lots are wanted at 102 to 104, seven offered: no reference, so the lowest price.
    assert events[0] == AuctionEnded(instrument=BTC_USD, price_ticks=102, volume_lots=6, imbalance_lots=-1)
    assert trades(events) == [(BOB, CAROL, 102, 2), (ALICE, BOB, 102, 1), (ALICE, BOB, 102, 3)]
    assert events[-1] == InstrumentStateChanged(instrument=BTC_USD, before=AUCTION, after=OPEN)
    assert instrument(venue).last_ticks == 102
    assert venue.held_atoms(ALICE, USD) == 0


def test_the_reference_decides_between_equal_prices() -> None:
    venue = complete()
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.FEED | Permission.OPERATE))
    venue.accepted(SetMark(instrument=BTC_USD, mark_ticks=104))
    venue.move(HALTED)
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=10 * STEP_NS))
    venue.place(ALICE, buy(1, 4, 105))
    venue.place(BOB, sell(1, 4, 101))

    assert trades(venue.tick(10 * STEP_NS)) == [(ALICE, BOB, 105, 4)]


def test_an_auction_that_nothing_crosses_opens_at_once() -> None:
    venue = in_auction()
    venue.place(ALICE, buy(1, 4, 100))
    venue.place(BOB, sell(1, 4, 101))

    assert venue.tick(100 * STEP_NS) == [
        AuctionEnded(instrument=BTC_USD, price_ticks=0, volume_lots=0, imbalance_lots=0),
        InstrumentStateChanged(instrument=BTC_USD, before=AUCTION, after=OPEN),
    ]
    assert instrument(venue).last_ticks == 0


def crowded(pairs: int) -> Venue:
    """Return an auction at whose end so many pairs trade at 100."""
    venue = in_auction(10**6 * STEP_NS)
    for order in range(1, pairs + 1):
        venue.place(ALICE, buy(order, 1, 100))
        venue.place(BOB, sell(order, 1, 100))
    return venue


def test_a_long_auction_goes_on_with_the_next_entries() -> None:
    venue = crowded(WORK_PER_ENTRY_MAX + 5)

    first = venue.tick(10**6 * STEP_NS)

    assert len(trades(first)) == WORK_PER_ENTRY_MAX
    assert venue.exchange.next_due_ns() == venue.exchange.time_ns
    assert instrument(venue).state == AUCTION
    second = venue.tick()
    assert len(trades(second)) == 5
    assert second[-1] == InstrumentStateChanged(instrument=BTC_USD, before=AUCTION, after=OPEN)
    assert venue.exchange.next_due_ns() is None


def test_between_its_trades_an_auction_keeps_its_orders() -> None:
    pairs = 2 * WORK_PER_ENTRY_MAX + 5
    venue = crowded(pairs)
    venue.tick(10**6 * STEP_NS)
    asked = venue.last_request(ALICE) + 1

    cancelled, placed, swept, closed = venue.send(
        venue.request(ALICE, CancelOrder(account=ALICE, order=OrderId(pairs)), number=asked),
        venue.request(ALICE, msgspec.structs.replace(buy(900, 1, 100), account=ALICE), number=asked + 1),
        venue.request(ALICE, CancelOrders(account=ALICE), number=asked + 2),
        venue.request(OPERATOR, SetInstrumentState(instrument=BTC_USD, state=CLOSED)),
    )

    assert instrument(venue).state == AUCTION
    assert [refusal(each) for each in (cancelled, placed, closed)] == [
        Reject.INSTRUMENT_STATE,
        Reject.INSTRUMENT_STATE,
        Reject.STATE_MOVE,
    ]
    assert swept.events == [OrdersSwept(account=ALICE, count=0)]
    assert kinds(venue.tick())[-1] == "InstrumentStateChanged"
    assert not venue.exchange.state.accounts[ALICE].orders


def test_a_restored_member_goes_on_with_the_same_trades() -> None:
    venue = crowded(WORK_PER_ENTRY_MAX + 5)
    venue.tick(10**6 * STEP_NS)
    restored = snapshot.load(snapshot.dump(venue.exchange))
    restored.check_invariants()

    entry = Entry(venue.exchange.state.version, venue.exchange.time_ns + STEP_NS, [])
    index = venue.exchange.applied_index + 1

    assert restored.apply(index, entry) == venue.exchange.apply(index, entry)
    assert snapshot.dump(restored) == snapshot.dump(venue.exchange)


def test_a_countdown_acts_between_the_trades_of_an_auction() -> None:
    venue = crowded(WORK_PER_ENTRY_MAX + 5)
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=10**6 * STEP_NS))
    venue.accepted(ScheduleState(instrument=BTC_USD, state=OPEN, at_ns=venue.exchange.time_ns + 2 * STEP_NS))
    venue.tick()

    events = venue.tick(10**6 * STEP_NS)

    assert kinds(events) == ["CountdownFired", *["OrderExpired"] * 5, "InstrumentStateChanged"]
    assert len(venue.exchange.state.accounts[BOB].orders) == 5


def test_an_operator_may_move_the_end_of_an_auction() -> None:
    venue = in_auction(10**6 * STEP_NS)
    at_ns = venue.exchange.time_ns + 10 * STEP_NS

    venue.accepted(ScheduleState(instrument=BTC_USD, state=OPEN, at_ns=at_ns))

    assert kinds(venue.tick(10 * STEP_NS)) == ["AuctionEnded", "InstrumentStateChanged"]
    assert venue.tick(10**7 * STEP_NS) == []


def test_a_crossed_book_is_opened_only_by_an_auction() -> None:
    venue = in_auction(10**6 * STEP_NS)
    venue.place(ALICE, buy(1, 1, 110))
    venue.place(BOB, sell(1, 1, 100))
    venue.move(HALTED)
    post_only = SetInstrumentState(instrument=BTC_USD, state=POST_ONLY)

    assert refusal(venue.operate(post_only)) == Reject.STATE_MOVE
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=STEP_NS))
    assert trades(venue.tick()) == [(ALICE, BOB, 100, 1)]
    assert instrument(venue).state == OPEN


def test_an_auction_that_was_broken_off_does_not_open_when_its_time_comes() -> None:
    venue = in_auction(10 * STEP_NS)
    venue.move(CANCEL_ONLY)

    assert venue.tick(10 * STEP_NS) == [StateScheduled(instrument=BTC_USD, state=OPEN, at_ns=0)]
    assert instrument(venue).state == CANCEL_ONLY


def test_hidden_lots_count_for_the_price_and_each_slice_queues_anew() -> None:
    venue = in_auction()
    venue.ask(ALICE, msgspec.structs.replace(on_terms(buy(1, 6, 100), display_lots=2), account=ALICE))
    venue.place(CAROL, buy(1, 2, 100))
    venue.place(BOB, sell(1, 7, 100))

    events = venue.tick(100 * STEP_NS)

    assert events[0] == AuctionEnded(instrument=BTC_USD, price_ticks=100, volume_lots=7, imbalance_lots=1)
    assert trades(events) == [
        (ALICE, BOB, 100, 2),
        (CAROL, BOB, 100, 2),
        (BOB, ALICE, 100, 2),
        (BOB, ALICE, 100, 1),
    ]
    shown = [event.shown_lots for event in events if isinstance(event, OrderReplenished)]
    assert shown == [2, 2]
    assert instrument(venue).book.bids.levels[100].open_lots == 1


def test_an_order_whose_time_has_come_is_not_counted_and_expires_when_it_is_reached() -> None:
    venue = in_auction(100 * STEP_NS)
    soon_ns = venue.exchange.time_ns + 50 * STEP_NS
    venue.ask(ALICE, msgspec.structs.replace(on_terms(buy(1, 6, 105), expires_ns=soon_ns), account=ALICE))
    venue.place(CAROL, buy(1, 2, 103))
    venue.place(BOB, sell(1, 7, 100))

    events = venue.tick(100 * STEP_NS)

    assert kinds(events)[:3] == ["AuctionEnded", "OrderExpired", "Traded"]
    assert events[0] == AuctionEnded(instrument=BTC_USD, price_ticks=100, volume_lots=2, imbalance_lots=-5)
    assert trades(events) == [(CAROL, BOB, 100, 2)]


def test_one_house_does_not_trade_with_itself_in_an_auction() -> None:
    venue = in_auction()
    for account in (ALICE, BOB):
        venue.accepted(SetAccountRules(account=account, trade_group=7, permissions=ALL_PERMISSIONS))
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, self_trade=SelfTrade.DECREMENT))
    venue.place(ALICE, buy(1, 3, 105))
    venue.place(BOB, sell(1, 5, 100))
    venue.place(CAROL, buy(1, 1, 101))

    events = venue.tick(100 * STEP_NS)

    prevented = [event for event in events if isinstance(event, TradePrevented)]
    assert [(event.maker, event.taker, event.maker_lots, event.taker_lots) for event in prevented] == [
        (ALICE, BOB, 3, 3)
    ]
    assert kinds(events)[1:4] == ["TradePrevented", "OrderExpired", "OrderReduced"]
    assert trades(events) == [(BOB, CAROL, 100, 1)]


def test_a_book_that_prevention_leaves_crossed_has_another_price() -> None:
    venue = in_auction()
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, self_trade=SelfTrade.EXPIRE_BOTH))
    venue.place(ALICE, buy(1, 10, 110))
    venue.place(ALICE, sell(2, 1, 100))
    venue.place(BOB, sell(1, 9, 109))
    venue.place(CAROL, buy(1, 1, 105))
    venue.place(BOB, sell(2, 1, 104))

    events = venue.tick(100 * STEP_NS)

    assert [event for event in events if isinstance(event, AuctionEnded)] == [
        AuctionEnded(instrument=BTC_USD, price_ticks=109, volume_lots=10, imbalance_lots=-1),
        AuctionEnded(instrument=BTC_USD, price_ticks=104, volume_lots=1, imbalance_lots=0),
    ]
    assert trades(events) == [(CAROL, BOB, 104, 1)]
    assert instrument(venue).state == OPEN


ORDERS = st.tuples(
    st.sampled_from([ALICE, BOB, CAROL]),
    st.sampled_from(Side),
    st.integers(1, 9),
    st.integers(95, 105),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([None, *SelfTrade]),
)


@settings(max_examples=60)
@given(st.lists(ORDERS, max_size=24), st.booleans())
def test_whatever_is_collected_trades_within_its_limits_and_leaves_an_uncrossed_book(
    orders: list[tuple[AccountId, Side, int, int, int, SelfTrade | None]], grouped: bool
) -> None:
    venue = in_auction(10**6 * STEP_NS)
    if grouped:
        for account in (ALICE, BOB):
            venue.accepted(SetAccountRules(account=account, trade_group=7, permissions=ALL_PERMISSIONS))
    limits: dict[tuple[AccountId, OrderId], tuple[Side, int]] = {}
    for name, (account, side, size_lots, price_ticks, display_lots, mode) in enumerate(orders, 1):
        placed = buy(name, size_lots, price_ticks) if side == Side.BUY else sell(name, size_lots, price_ticks)
        shown = display_lots if display_lots < size_lots else 0
        terms = on_terms(placed, display_lots=shown, self_trade=mode)
        outcome = venue.ask(account, msgspec.structs.replace(terms, account=account))
        assert isinstance(outcome.reply, Placed), outcome
        limits[account, OrderId(name)] = side, price_ticks

    venue.accepted(ScheduleState(instrument=BTC_USD, state=OPEN, at_ns=venue.exchange.time_ns + 2 * STEP_NS))
    events = venue.tick()
    while instrument(venue).state == AUCTION:
        events += venue.tick()

    assert not instrument(venue).book.is_crossed()
    price_ticks = 0
    for event in events:
        if isinstance(event, AuctionEnded):
            price_ticks = event.price_ticks
        elif isinstance(event, Traded):
            assert event.price_ticks == price_ticks
            for party, order in ((event.maker, event.maker_order), (event.taker, event.taker_order)):
                side, limit_ticks = limits[party, order]
                assert price_ticks <= limit_ticks if side == Side.BUY else price_ticks >= limit_ticks
