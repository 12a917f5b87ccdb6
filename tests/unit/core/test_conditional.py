"""Orders that wait for a price: placed, woken, followed, admitted."""

from itertools import count

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    on_terms,
    order,
    refusal,
    sell,
)

from steelyard.core import Outcome, Reject, snapshot
from steelyard.core.commands import OrderTerms, PlaceOrder, SetInstrumentRules, SetMark
from steelyard.core.entry import Waiting
from steelyard.core.events import (
    AnyEvent,
    OrderExpired,
    OrderReplaced,
    OrderRested,
    OrderTriggered,
    Traded,
    TrailingActivated,
)
from steelyard.core.units import (
    InstrumentState,
    OrderId,
    OrderKind,
    OrderNumber,
    Permission,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

STOP, TAKE_PROFIT = TriggerKind.STOP, TriggerKind.TAKE_PROFIT
MARK = PriceSource.MARK
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC
BUY, SELL = Side.BUY, Side.SELL


class Floor:
    """A market with a last price; Alice's orders wait, Bob and Carol make the prices."""

    def __init__(self, last_ticks: int = 100) -> None:
        self.venue: Venue = complete()
        self._ids = count(1)
        self.venue.keys[CAROL] = self.venue.create_key(
            CAROL, int(Permission.READ | Permission.TRADE | Permission.FEED)
        )
        if last_ticks:
            self.trade_at(last_ticks)

    def trade_at(self, ticks: int) -> list[AnyEvent]:
        """Make a trade, and so the last price; return what else happened with it."""
        self.venue.place(BOB, sell(next(self._ids), 1, ticks))
        events = self.venue.place(CAROL, buy(next(self._ids), 1, ticks, IOC)).events
        assert kinds(events[1:4]) == ["Traded", "OrderFilled", "OrderFilled"]
        return events[4:]

    def mark(self, ticks: int) -> list[AnyEvent]:
        """Set the mark; return what else happened with it."""
        return self.venue.ask(CAROL, SetMark(instrument=BTC_USD, mark_ticks=ticks)).events[1:]

    def wait(
        self,
        command: PlaceOrder,
        trigger: TriggerKind = STOP,
        trigger_ticks: int = 0,
        callback_ppm: int = 0,
        source: PriceSource = PriceSource.LAST,
        **others: int,
    ) -> Outcome:
        """Place an order of Alice's with a trigger."""
        terms = OrderTerms(
            trigger=trigger,
            trigger_ticks=trigger_ticks,
            callback_ppm=callback_ppm,
            trigger_source=source,
            expires_ns=others.get("expires_ns", 0),
            slide=bool(others.get("slide", 0)),
        )
        return self.venue.place(ALICE, on_terms(command, terms))

    def price_ticks(self, number: int) -> int:
        """Return the price of a living order."""
        return self.venue.exchange.state.orders[OrderNumber(number)].price_ticks


def market_order(side: Side, number: int, size_lots: int) -> PlaceOrder:
    return order(side, number, size_lots, kind=OrderKind.MARKET, time_in_force=IOC)


def triggered(number: int, price_ticks: int, source: PriceSource = PriceSource.LAST) -> OrderTriggered:
    """Return what is said of Alice's order whose id is ``number - 2``: two orders made the first price."""
    return OrderTriggered(
        account=ALICE,
        instrument=BTC_USD,
        order=OrderId(number - 2),
        number=OrderNumber(number),
        source=source,
        price_ticks=price_ticks,
    )


def test_a_stop_order_waits_with_its_pledge_and_is_in_no_book() -> None:
    floor = Floor()

    outcome = floor.wait(buy(1, 5, 110), STOP, 105)

    assert outcome.reply == Waiting(request=1, fingerprint=0, number=OrderNumber(3))
    assert kinds(outcome.events) == ["OrderAccepted", "OrderTermsSet"]
    assert floor.venue.held_atoms(ALICE, USD) == 550
    assert not floor.venue.exchange.state.markets.instruments[BTC_USD].book.bids.keys


def test_the_trade_that_meets_the_trigger_says_so_and_the_next_entry_admits() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 110), STOP, 105)

    assert floor.trade_at(104) == []
    assert floor.trade_at(105) == [triggered(3, 105)]
    assert floor.venue.exchange.next_due_ns() == floor.venue.exchange.time_ns

    assert kinds(floor.venue.tick()) == ["OrderReplaced", "OrderRested"]
    assert floor.venue.exchange.next_due_ns() is None


def test_an_admitted_order_is_the_youngest_at_its_price() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 100), STOP, 105)
    floor.trade_at(105)
    assert floor.venue.due == []
    floor.venue.place(BOB, buy(500, 1, 100))
    assert floor.venue.due == [
        OrderReplaced(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(1),
            before=OrderNumber(3),
            number=OrderNumber(6),
            limit_ticks=100,
            size_lots=5,
            open_lots=5,
        ),
        OrderRested(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(1),
            number=OrderNumber(6),
            side=BUY,
            price_ticks=100,
            open_lots=5,
        ),
    ]

    taken = [
        event for event in floor.venue.place(CAROL, sell(501, 6, 100)).events if isinstance(event, Traded)
    ]

    assert [trade.maker for trade in taken] == [ALICE, BOB]


def test_an_admitted_order_trades_under_the_number_it_has() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 110), STOP, 105)
    floor.venue.place(BOB, sell(500, 5, 108))

    floor.trade_at(105)
    (trade,) = [event for event in floor.venue.tick() if isinstance(event, Traded)]

    assert (trade.taker_number, trade.price_ticks, trade.size_lots) == (3, 108, 5)
    assert floor.venue.held_atoms(ALICE, USD) == 0


def test_who_is_met_together_goes_by_trigger_then_by_number() -> None:
    floor = Floor()
    for number, ticks in ((1, 107), (2, 105), (3, 107), (4, 106)):
        floor.wait(buy(number, 1, 200), STOP, ticks)

    assert floor.trade_at(110) == [
        triggered(4, 110),
        triggered(6, 110),
        triggered(3, 110),
        triggered(5, 110),
    ]


def test_a_trigger_that_is_met_already_is_refused() -> None:
    floor = Floor()

    assert refusal(floor.wait(buy(1, 1, 110), STOP, 100)) == Reject.TRIGGER_ALREADY_MET
    assert refusal(floor.wait(sell(1, 1, 110), STOP, 100)) == Reject.TRIGGER_ALREADY_MET
    assert refusal(floor.wait(buy(1, 1, 110), TAKE_PROFIT, 100)) == Reject.TRIGGER_ALREADY_MET
    assert isinstance(floor.wait(buy(1, 1, 110), TAKE_PROFIT, 99).reply, Waiting)


def test_without_a_price_nothing_is_met_and_nothing_can_trail() -> None:
    floor = Floor(last_ticks=0)

    assert isinstance(floor.wait(buy(1, 1, 110), STOP, 1).reply, Waiting)
    assert refusal(floor.wait(buy(2, 1, 110), STOP, callback_ppm=1)) == Reject.NO_REFERENCE_PRICE
    assert isinstance(floor.wait(buy(2, 1, 110), STOP, 90, callback_ppm=1).reply, Waiting)


def test_the_mark_wakes_those_who_wait_for_the_mark() -> None:
    floor = Floor()
    floor.wait(buy(1, 1, 110), STOP, 105, source=MARK)

    assert floor.trade_at(120) == []
    assert floor.mark(104) == []
    assert floor.mark(105) == [triggered(3, 105, MARK)]


def test_a_trailing_sell_follows_the_high_and_triggers_ten_per_cent_below() -> None:
    floor = Floor(40_000)
    outcome = floor.wait(sell(1, 1, 30_000), STOP, callback_ppm=100_000)
    assert outcome.events[2:] == [
        TrailingActivated(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(1),
            number=OrderNumber(3),
            price_ticks=40_000,
        )
    ]

    assert floor.trade_at(41_000) == []
    assert floor.trade_at(36_901) == []
    assert floor.trade_at(36_900) == [triggered(3, 36_900)]


def test_a_trailing_buy_follows_the_low_and_triggers_five_per_cent_above() -> None:
    floor = Floor(50_000)
    floor.wait(buy(1, 1, 60_000), STOP, callback_ppm=50_000)

    assert floor.trade_at(42_000) == []
    assert floor.trade_at(44_099) == []
    assert floor.trade_at(44_100) == [triggered(3, 44_100)]


def test_a_trailing_order_with_a_trigger_begins_there() -> None:
    floor = Floor()
    outcome = floor.wait(sell(1, 1, 50), TAKE_PROFIT, 110, callback_ppm=100_000)
    assert kinds(outcome.events) == ["OrderAccepted", "OrderTermsSet"]

    assert floor.trade_at(80) == []
    assert kinds(floor.trade_at(110)) == ["TrailingActivated"]
    assert floor.trade_at(120) == []
    assert floor.trade_at(109) == []
    assert floor.trade_at(108) == [triggered(3, 108)]


def test_a_trailing_order_whose_trigger_is_met_begins_at_once() -> None:
    floor = Floor()

    outcome = floor.wait(sell(1, 1, 50), TAKE_PROFIT, 90, callback_ppm=100_000)

    assert kinds(outcome.events) == ["OrderAccepted", "OrderTermsSet", "TrailingActivated"]


def test_a_market_order_that_waits_pledges_beyond_its_trigger_and_trades_up_to_what_woke_it() -> None:
    floor = Floor()
    floor.wait(market_order(BUY, 1, 10), STOP, 105)
    assert floor.venue.held_atoms(ALICE, USD) == 10 * 110
    floor.venue.place(BOB, sell(500, 4, 110))
    floor.venue.place(BOB, sell(501, 4, 111))

    assert floor.trade_at(105) == [triggered(3, 105)]
    events = floor.venue.tick()

    assert kinds(events) == ["Traded", "OrderFilled", "OrderExpired"]
    assert floor.venue.held_atoms(ALICE, USD) == 0


def test_a_market_buy_never_pays_above_what_it_pledged() -> None:
    floor = Floor()
    floor.wait(market_order(BUY, 1, 10), STOP, 105)

    floor.trade_at(150)

    assert floor.price_ticks(3) == 110


def test_a_market_sell_follows_what_woke_it_down() -> None:
    floor = Floor()
    floor.wait(market_order(SELL, 1, 10), STOP, 95)

    floor.trade_at(60)

    assert floor.price_ticks(3) == 57


@pytest.mark.parametrize("state", [InstrumentState.HALTED, InstrumentState.POST_ONLY])
def test_orders_stay_in_the_work_while_their_instrument_is_not_open(state: InstrumentState) -> None:
    floor = Floor()
    floor.wait(buy(1, 1, 110), STOP, 105)
    floor.trade_at(105)
    move = floor.venue.exchange.state.markets.instruments[BTC_USD]
    move.state = state

    assert floor.venue.tick() == []
    assert floor.venue.exchange.next_due_ns() is None

    move.state = InstrumentState.OPEN
    assert floor.venue.exchange.next_due_ns() == floor.venue.exchange.time_ns
    assert kinds(floor.venue.tick()) == ["OrderReplaced", "OrderRested"]


def test_nobody_looks_at_a_price_while_the_instrument_is_closed_to_trading_but_all_do_when_it_opens() -> None:
    floor = Floor()
    floor.wait(buy(1, 1, 110), STOP, 105, source=MARK)
    floor.venue.move(InstrumentState.POST_ONLY)
    assert floor.mark(120) == []

    floor.venue.move(InstrumentState.OPEN)

    assert kinds(floor.venue.tick()) == ["OrderReplaced", "OrderRested"]


def test_the_collar_is_asked_again_when_an_order_is_admitted() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 200), STOP, 105)
    floor.venue.accepted(SetInstrumentRules(instrument=BTC_USD, buy_up_ppm=1_100_000))
    floor.trade_at(105)

    assert floor.venue.tick() == [
        OrderExpired(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(1),
            number=OrderNumber(3),
            open_lots=5,
            reason=Reject.PRICE_BAND,
        )
    ]
    assert floor.venue.held_atoms(ALICE, USD) == 0


def test_a_post_only_order_that_would_trade_when_admitted_expires() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 110, post_only=True), STOP, 105)
    floor.venue.place(BOB, sell(500, 1, 106))
    floor.trade_at(105)

    (expired,) = floor.venue.tick()

    assert isinstance(expired, OrderExpired)
    assert expired.reason == Reject.POST_ONLY_WOULD_TRADE


def test_one_that_slides_rests_behind_and_gives_back_what_it_no_longer_needs() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 110, post_only=True), STOP, 105, slide=1)
    floor.venue.place(BOB, sell(500, 1, 106))
    floor.trade_at(105)
    assert floor.venue.held_atoms(ALICE, USD) == 550

    rested = floor.venue.tick()[-1]

    assert isinstance(rested, OrderRested)
    assert rested.price_ticks == 105
    assert floor.venue.held_atoms(ALICE, USD) == 525


def test_a_waiting_order_can_be_cancelled_and_so_can_one_that_has_its_turn_to_come() -> None:
    floor = Floor()
    floor.wait(buy(1, 5, 110), STOP, 105)
    floor.wait(sell(2, 5, 110), TAKE_PROFIT, 105)
    assert kinds(floor.venue.cancel(ALICE, 1).events) == ["OrderCancelled"]
    floor.trade_at(105)
    floor.venue.exchange.state.markets.instruments[BTC_USD].state = InstrumentState.HALTED
    assert kinds(floor.venue.cancel(ALICE, 2).events) == ["OrderCancelled"]

    assert floor.venue.held_atoms(ALICE, USD) == floor.venue.held_atoms(ALICE, BTC) == 0
    assert not floor.venue.exchange.state.work


def test_waiting_orders_and_the_work_to_come_survive_a_snapshot() -> None:
    floor = Floor()
    floor.wait(sell(1, 1, 300), STOP, callback_ppm=100_000)
    floor.wait(buy(2, 1, 50), STOP, 130)
    floor.wait(buy(3, 1, 50), STOP, 120)
    floor.trade_at(120)
    first = floor.venue.exchange
    loaded = snapshot.load(snapshot.dump(first))

    went_on: list[list[AnyEvent]] = []
    for exchange in (first, loaded):
        floor.venue.exchange = exchange
        went_on += [floor.venue.tick(), floor.trade_at(108), floor.trade_at(130)]

    assert went_on[3:] == went_on[:3]
    assert kinds(went_on[0]) == ["OrderReplaced", "OrderRested"]
    assert went_on[1:3] == [[triggered(3, 108)], [triggered(4, 130)]]
