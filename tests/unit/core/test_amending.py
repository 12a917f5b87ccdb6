"""Changing living orders: what keeps its place, what loses it, and what may not be changed."""

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
    STEP_NS,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    listing,
    on_terms,
    order,
    refusal,
    sell,
)

from steelyard.core import Reject
from steelyard.core.commands import AmendOrder, OrderTerms, PlaceOrderList
from steelyard.core.entry import Amended, Outcome
from steelyard.core.events import OrderExpired, OrderReplaced, Traded
from steelyard.core.units import (
    InstrumentState,
    ListKind,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
    TriggerKind,
)

STOP = OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=120)


def amend(venue: Venue, order_id: int, **fields: object) -> Outcome:
    """Amend one of Alice's orders by its id."""
    return venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(order_id), **fields))  # type: ignore[arg-type]


def amended(outcome: Outcome) -> Amended:
    assert isinstance(outcome.reply, Amended), outcome
    return outcome.reply


def makers(outcome: Outcome) -> list[tuple[int, int]]:
    return [(e.maker_order, e.size_lots) for e in outcome.events if isinstance(e, Traded)]


def test_an_order_made_smaller_keeps_its_place() -> None:
    venue = complete()
    for number, lots in ((1, 100), (2, 550), (3, 400)):
        venue.place(ALICE, sell(number, lots, 100))

    reply = amended(outcome := amend(venue, 2, size_lots=500))

    assert kinds(outcome.events) == ["OrderReduced"]
    assert (reply.number, reply.open_lots) == (2, 500)
    assert venue.held_atoms(ALICE, BTC) == 1000
    assert makers(venue.place(BOB, buy(1, 700, 100))) == [(1, 100), (2, 500), (3, 100)]


def test_an_order_made_larger_goes_to_the_back_of_the_queue() -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 5, 100))
    venue.place(ALICE, sell(2, 5, 100))

    reply = amended(outcome := amend(venue, 1, size_lots=6))

    assert kinds(outcome.events) == ["OrderReplaced", "OrderRested"]
    assert reply.number == 3
    assert makers(venue.place(BOB, buy(1, 7, 100))) == [(2, 5), (1, 2)]


def test_what_was_executed_stays_so_and_the_size_is_the_total() -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 10, 100))
    venue.place(BOB, buy(1, 4, 100))

    assert amended(amend(venue, 1, size_lots=12)).open_lots == 8
    assert amended(amend(venue, 1, size_lots=9)).open_lots == 5
    ended = amend(venue, 1, size_lots=4)

    assert isinstance(ended.events[0], OrderExpired)
    assert ended.events[0].reason == Reject.AMENDED_BELOW_FILLED
    assert ended.events[0].open_lots == 5
    assert amended(ended).open_lots == 0
    assert venue.held_atoms(ALICE, BTC) == 0


def test_a_new_price_may_trade_at_once() -> None:
    venue = complete(listing(taker_ppm=10_000))
    venue.place(BOB, sell(1, 3, 105))
    venue.place(ALICE, buy(1, 10, 100))

    reply = amended(outcome := amend(venue, 1, limit_ticks=106))

    assert kinds(outcome.events) == ["OrderReplaced", "Traded", "OrderFilled", "OrderRested"]
    assert (reply.executed_lots, reply.executed_atoms, reply.fee_atoms, reply.open_lots) == (3, 315, 4, 7)
    assert venue.held_atoms(ALICE, USD) == 7 * (106 + 2)


def test_the_larger_pledge_must_be_there() -> None:
    venue = complete(funds_atoms=1000)
    venue.place(ALICE, buy(1, 10, 90))
    before = venue.business()

    refused = amend(venue, 1, limit_ticks=101)

    assert refusal(refused) == Reject.INSUFFICIENT_FUNDS
    assert venue.business() == before
    assert amended(amend(venue, 1, limit_ticks=100)).open_lots == 10
    assert venue.free_atoms(ALICE, USD) == 0


def test_a_label_and_an_expiry_change_in_place_and_can_be_taken_back() -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 5, 100, label="a"))
    due_ns = venue.exchange.time_ns + 10 * STEP_NS

    assert kinds(amend(venue, 1, new_label="b", expires_ns=due_ns).events) == ["OrderAmended"]
    assert venue.exchange.next_due_ns() == due_ns
    assert kinds(amend(venue, 1, expires_ns=-1).events) == ["OrderAmended"]
    venue.tick(after_ns=20 * STEP_NS)

    assert list(venue.exchange.state.accounts[ALICE].labels) == ["b"]
    assert venue.exchange.state.orders[OrderNumber(1)].special is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, Reject.NOTHING_TO_CHANGE),
        ({"size_lots": 5, "limit_ticks": 100}, Reject.NOTHING_TO_CHANGE),
        ({"size_lots": -1}, Reject.MALFORMED),
        ({"expires_ns": -2}, Reject.MALFORMED),
        ({"new_label": "\n"}, Reject.MALFORMED),
        ({"number": OrderNumber(1), "size_lots": 4}, Reject.MALFORMED),
        ({"trigger_ticks": 90}, Reject.MALFORMED),
        ({"callback_ppm": 90}, Reject.MALFORMED),
        ({"display_lots": 5}, Reject.MALFORMED),
        ({"new_label": "taken"}, Reject.DUPLICATE_LABEL),
        ({"limit_ticks": 100_001}, Reject.PRICE_OUT_OF_RANGE),
        ({"size_lots": 10_001}, Reject.SIZE_OUT_OF_RANGE),
        ({"expires_ns": 1}, Reject.EXPIRY_IN_PAST),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], fault: Reject) -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 5, 100))
    venue.place(ALICE, sell(2, 5, 100, label="taken"))

    assert refusal(amend(venue, 1, **fields)) == fault


def test_nobody_amends_orders_of_others_or_orders_that_are_gone() -> None:
    venue = complete()
    venue.place(BOB, sell(1, 5, 100))

    gone = amend(venue, 1, size_lots=4)
    of_bob = venue.ask(ALICE, AmendOrder(account=ALICE, number=OrderNumber(1), size_lots=4))

    assert refusal(gone) == Reject.UNKNOWN_ORDER
    assert refusal(of_bob) == Reject.UNKNOWN_ORDER


def test_a_post_only_order_still_must_not_trade() -> None:
    venue = complete()
    venue.place(BOB, sell(1, 5, 105))
    venue.place(ALICE, buy(1, 5, 100, post_only=True))
    venue.place(ALICE, on_terms(buy(2, 5, 100, post_only=True), OrderTerms(slide=True)))

    assert refusal(amend(venue, 1, limit_ticks=105)) == Reject.POST_ONLY_WOULD_TRADE
    slid = amend(venue, 2, limit_ticks=110)

    assert isinstance(slid.events[0], OrderReplaced)
    assert slid.events[0].limit_ticks == 104


def test_while_only_makers_may_come_no_amended_order_trades() -> None:
    venue = complete()
    venue.place(BOB, sell(1, 5, 105))
    venue.place(ALICE, buy(1, 5, 100))
    venue.move(InstrumentState.POST_ONLY)

    assert refusal(amend(venue, 1, limit_ticks=105)) == Reject.POST_ONLY_WOULD_TRADE
    assert kinds(amend(venue, 1, limit_ticks=104).events) == ["OrderReplaced", "OrderRested"]


def test_an_iceberg_goes_on_showing_its_slice_until_it_is_used_up() -> None:
    venue = complete()
    venue.place(ALICE, on_terms(sell(1, 10, 100), OrderTerms(display_lots=4)))

    assert kinds(amend(venue, 1, display_lots=2).events) == ["OrderAmended"]
    assert venue.exchange.state.orders[OrderNumber(1)].shown_lots == 4
    assert kinds(amend(venue, 1, size_lots=3).events) == ["OrderReduced"]
    assert venue.exchange.state.orders[OrderNumber(1)].shown_lots == 3
    assert kinds(amend(venue, 1, size_lots=9).events) == ["OrderReplaced", "OrderRested"]
    assert venue.exchange.state.orders[OrderNumber(2)].shown_lots == 2


def test_a_waiting_order_waits_for_its_new_trigger_with_its_new_pledge() -> None:
    venue = complete()
    stop = order(Side.BUY, 1, 5, kind=OrderKind.MARKET, time_in_force=TimeInForce.IOC)
    venue.place(ALICE, on_terms(stop, STOP))
    assert venue.held_atoms(ALICE, USD) == 5 * 126

    outcome = amend(venue, 1, trigger_ticks=140)

    assert kinds(outcome.events) == ["OrderReplaced", "OrderAmended"]
    assert venue.held_atoms(ALICE, USD) == 5 * 147
    for ticks, triggers in ((139, False), (140, True)):
        venue.place(BOB, sell(ticks, 1, ticks))
        traded = venue.place(CAROL, buy(ticks, 1, ticks))
        assert ("OrderTriggered" in kinds(traded.events)) == triggers


def test_a_trigger_that_is_met_already_is_refused() -> None:
    venue = complete()
    venue.place(BOB, sell(1, 1, 100))
    venue.place(CAROL, buy(1, 1, 100))
    venue.place(ALICE, on_terms(buy(1, 5, 130), STOP))

    assert refusal(amend(venue, 1, trigger_ticks=100)) == Reject.TRIGGER_ALREADY_MET
    assert amended(amend(venue, 1, trigger_ticks=101)).open_lots == 5


def oco(venue: Venue) -> None:
    """Place two alternatives to sell of 5 lots: at 110, or if the price falls to 90."""
    below = OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=90)
    legs = [
        msgspec.structs.replace(leg, account=ALICE)
        for leg in (on_terms(sell(1, 5, 110), OrderTerms()), on_terms(sell(2, 5, 85), below))
    ]
    venue.ask(ALICE, PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OCO, legs=legs))


def test_a_new_size_of_one_alternative_is_the_size_of_both() -> None:
    venue = complete()
    oco(venue)

    smaller = amend(venue, 1, size_lots=3)
    larger = amend(venue, 2, size_lots=8)

    assert kinds(smaller.events) == ["OrderReduced", "OrderReplaced"]
    assert kinds(larger.events) == ["OrderReplaced", "OrderAmended", "OrderReplaced", "OrderRested"]
    assert venue.held_atoms(ALICE, BTC) == 8
    assert {o.size_lots for o in venue.exchange.state.orders.values()} == {8}


def test_an_alternative_in_the_book_does_not_become_a_taker() -> None:
    venue = complete()
    oco(venue)
    venue.place(BOB, buy(1, 1, 100))

    assert refusal(amend(venue, 1, limit_ticks=100)) == Reject.POST_ONLY_WOULD_TRADE
    assert kinds(amend(venue, 1, limit_ticks=101).events) == ["OrderReplaced", "OrderRested"]
