"""Reduce-only orders: cut to their room, trimmed in the command that moved the position, and foreseen."""

from typing import TypeVar

import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, kinds, refusal
from tests.helpers.contracts import PERP, ContractVenue, about, contract_market

from steelyard.core import Reject
from steelyard.core.commands import (
    AmendOrder,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrderList,
    SetContractModes,
    SetInstrumentRules,
)
from steelyard.core.entry import Accepted, Placed, Waiting
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderContractSet,
    OrderExpired,
    OrderReduced,
    OrderRested,
    PositionsTraded,
)
from steelyard.core.units import (
    AccountId,
    Leg,
    ListKind,
    MarginMode,
    OrderId,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

_E = TypeVar("_E")
BUY, SELL = Side.BUY, Side.SELL
FOK = TimeInForce.FOK


def with_a_long(lots: int = 10) -> ContractVenue:
    """Return a market in which Alice is long against Bob."""
    venue = contract_market()
    placed(venue, ALICE, about(BUY, 901, lots, 100))
    placed(venue, BOB, about(SELL, 901, lots, 100))
    return venue


def placed(venue: ContractVenue, account: AccountId, command: PlaceContractOrder) -> list[AnyEvent]:
    """Place an order that must be taken, and return what happened."""
    outcome = venue.place(account, command)
    assert isinstance(outcome.reply, Placed | Waiting), outcome
    return outcome.events


def one(events: list[AnyEvent], kind: type[_E]) -> _E:
    """Return the only event of a kind."""
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def test_an_order_that_is_larger_than_its_room_is_cut_to_it() -> None:
    venue = with_a_long(10)
    venue.accepted(SetInstrumentRules(instrument=PERP, size_min_lots=5, size_step_lots=5))

    events = placed(venue, ALICE, about(SELL, 1, 3, 110, reduce_only=True))
    assert one(events, OrderContractSet).reduce_only
    events = placed(venue, ALICE, about(SELL, 2, 50, 110, reduce_only=True))

    assert one(events, OrderAccepted).size_lots == 7
    assert one(events, OrderRested).open_lots == 7
    outcome = venue.place(ALICE, about(SELL, 3, 5, 110, reduce_only=True))
    assert refusal(outcome) == Reject.REDUCE_ONLY_NOTHING


def test_an_order_against_its_leg_is_reduce_only_whether_it_says_so_or_not() -> None:
    venue = contract_market()
    for account in (ALICE, BOB):
        modes = SetContractModes(account=account, instrument=PERP, margin=MarginMode.CROSS, hedge=True)
        assert isinstance(venue.ask(account, modes).reply, Accepted)
    placed(venue, ALICE, about(BUY, 1, 10, 100, leg=Leg.LONG))
    placed(venue, BOB, about(SELL, 1, 10, 100, leg=Leg.SHORT))

    events = placed(venue, ALICE, about(SELL, 2, 25, 110, leg=Leg.LONG))
    assert one(events, OrderContractSet).reduce_only
    assert one(events, OrderAccepted).size_lots == 10
    opening = placed(venue, ALICE, about(SELL, 3, 4, 101, leg=Leg.SHORT))
    assert not one(opening, OrderContractSet).reduce_only
    events = placed(venue, BOB, about(BUY, 2, 4, 101, leg=Leg.SHORT))
    assert venue.position(ALICE, leg=Leg.LONG).qty_lots == 10
    assert venue.position(ALICE, leg=Leg.SHORT).qty_lots == -4
    assert venue.position(BOB, leg=Leg.SHORT).qty_lots == -6
    assert "PositionsTraded" in kinds(events)


def test_the_newest_are_trimmed_first_in_the_command_that_moved_the_position() -> None:
    venue = with_a_long(10)
    for number, lots in ((1, 4), (2, 3), (3, 3)):
        placed(venue, ALICE, about(SELL, number, lots, 110, reduce_only=True))

    events = placed(venue, ALICE, about(SELL, 4, 5, 90, time_in_force=TimeInForce.IOC))
    assert not any(isinstance(event, OrderReduced) for event in events)
    placed(venue, CAROL, about(BUY, 1, 5, 95))
    events = placed(venue, ALICE, about(SELL, 5, 5, 90, time_in_force=TimeInForce.IOC))

    assert kinds(events) == [
        "OrderAccepted",
        "Traded",
        "PositionsTraded",
        "OrderFilled",
        "OrderExpired",
        "OrderReduced",
        "OrderFilled",
    ]
    expired = one(events, OrderExpired)
    assert (expired.order, expired.reason, expired.open_lots) == (3, Reject.REDUCED_AWAY, 3)
    reduced = one(events, OrderReduced)
    assert (reduced.order, reduced.size_lots, reduced.open_lots) == (2, 1, 1)


def test_all_end_when_the_position_turns() -> None:
    venue = with_a_long(10)
    for number in (1, 2):
        placed(venue, ALICE, about(SELL, number, 5, 110, reduce_only=True))
    placed(venue, CAROL, about(BUY, 1, 12, 100))

    events = placed(venue, ALICE, about(SELL, 3, 12, 100))

    ended = [(event.order, event.reason) for event in events if isinstance(event, OrderExpired)]
    assert ended == [(2, Reject.REDUCED_AWAY), (1, Reject.REDUCED_AWAY)]
    assert venue.position(ALICE).qty_lots == -2


@pytest.mark.parametrize(("lots", "filled"), [(12, True), (13, False)])
def test_an_order_that_must_be_filled_does_not_count_what_is_trimmed(lots: int, filled: bool) -> None:
    venue = with_a_long(10)
    placed(venue, ALICE, about(SELL, 1, 10, 102, reduce_only=True))
    placed(venue, ALICE, about(SELL, 2, 8, 101))
    placed(venue, CAROL, about(SELL, 1, 2, 103))

    outcome = venue.place(BOB, about(BUY, 1, lots, 105, time_in_force=FOK))

    assert isinstance(outcome.reply, Placed)
    assert outcome.reply.executed_lots == (lots if filled else 0)
    if filled:
        assert outcome.reply.executed_atoms == 8 * 101 + 2 * 102 + 2 * 103


def test_a_slice_that_was_shown_anew_is_the_newest_order() -> None:
    venue = with_a_long(10)
    slices = OrderTerms(display_lots=2)
    placed(venue, ALICE, about(SELL, 1, 6, 101, reduce_only=True, terms=slices))
    placed(venue, ALICE, about(SELL, 2, 4, 102, reduce_only=True))
    placed(venue, ALICE, about(SELL, 3, 2, 101))

    # Two of the slice and two of the common order: the position is six long, the next slice the newest.
    events = placed(venue, BOB, about(BUY, 1, 9, 105))

    reduced = [(event.order, event.open_lots) for event in events if isinstance(event, OrderReduced)]
    assert reduced == [(1, 2)]
    assert venue.position(ALICE).qty_lots == 10 - 2 - 2 - 2 - 3
    trades = [event.maker_qty_lots for event in events if isinstance(event, PositionsTraded)]
    assert trades == [8, 6, 4, 1]


def test_what_closes_a_position_takes_its_size_when_it_is_triggered() -> None:
    venue = with_a_long(10)
    stop = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.INDEX, trigger_ticks=95)
    events = placed(venue, ALICE, about(SELL, 1, 0, close_position=True, terms=stop))
    assert one(events, OrderAccepted).size_lots == 0
    assert one(events, OrderContractSet).close_position
    resize = AmendOrder(account=ALICE, order=OrderId(1), size_lots=3)
    assert refusal(venue.ask(ALICE, resize)) == Reject.MALFORMED
    move = AmendOrder(account=ALICE, order=OrderId(1), trigger_ticks=96)
    assert type(venue.ask(ALICE, move).reply).__name__ == "Amended"
    placed(venue, ALICE, about(SELL, 2, 4, 110, reduce_only=True))
    placed(venue, CAROL, about(BUY, 1, 20, 95))

    assert kinds(venue.feed(96).events) == ["IndexSet", "OrderTriggered"]
    events = venue.tick()

    assert kinds(events) == ["Traded", "PositionsTraded", "OrderFilled"]
    assert venue.position(ALICE).qty_lots == 4


def test_what_closes_a_position_that_is_gone_ends() -> None:
    venue = with_a_long(10)
    stop = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=95)
    placed(venue, ALICE, about(SELL, 1, 0, close_position=True, terms=stop))
    placed(venue, CAROL, about(BUY, 1, 10, 100))
    placed(venue, ALICE, about(SELL, 2, 10, 100))
    venue.mark(95)

    expired = one(venue.tick(), OrderExpired)

    assert (expired.reason, expired.open_lots) == (Reject.REDUCE_ONLY_NOTHING, 0)


def test_a_profit_target_that_is_trimmed_keeps_its_stop_and_takes_it_along_when_it_ends() -> None:
    venue = with_a_long(10)
    stop = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=90)
    legs = [
        about(SELL, 1, 10, 110, reduce_only=True),
        about(SELL, 2, 10, reduce_only=True, terms=stop),
    ]
    both = PlaceOrderList(account=ALICE, instrument=PERP, kind=ListKind.OCO, legs=list(legs))
    assert type(venue.ask(ALICE, both).reply).__name__ == "Many"
    placed(venue, CAROL, about(BUY, 1, 10, 100))

    events = placed(venue, ALICE, about(SELL, 3, 4, 100))
    assert one(events, OrderReduced).order == 1
    assert not any(isinstance(event, OrderExpired) for event in events)
    events = placed(venue, ALICE, about(SELL, 4, 6, 100))

    ended = [(event.order, event.reason) for event in events if isinstance(event, OrderExpired)]
    assert ended == [(2, Reject.OTHER_LEG), (1, Reject.REDUCED_AWAY)]


def test_a_target_that_waits_for_its_entry_is_cut_when_it_is_admitted() -> None:
    venue = contract_market()
    placed(venue, BOB, about(SELL, 1, 5, 100))
    legs = [about(BUY, 1, 5, 100), about(SELL, 2, 20, 110, reduce_only=True)]
    entry = PlaceOrderList(account=ALICE, instrument=PERP, kind=ListKind.OTO, legs=list(legs))
    assert type(venue.ask(ALICE, entry).reply).__name__ == "Many"

    events = venue.tick()

    assert kinds(events) == ["OrderTermsSet", "OrderReplaced", "OrderRested"]
    assert one(events, OrderRested).open_lots == 5


def test_an_amended_order_stays_within_its_room() -> None:
    venue = with_a_long(10)
    placed(venue, ALICE, about(SELL, 1, 4, 110, reduce_only=True))
    placed(venue, ALICE, about(SELL, 2, 4, 110, reduce_only=True))
    before = venue.business()

    larger = AmendOrder(account=ALICE, order=OrderId(1), size_lots=7)
    assert refusal(venue.ask(ALICE, larger)) == Reject.REDUCE_ONLY_NOTHING
    assert venue.business() == before
    fits = AmendOrder(account=ALICE, order=OrderId(1), size_lots=6)
    assert type(venue.ask(ALICE, fits).reply).__name__ == "Amended"
