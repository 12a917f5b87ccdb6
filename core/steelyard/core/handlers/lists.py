"""Orders that depend on each other: placed together, one pledge for alternatives, one after the other."""

from typing import Final

from steelyard.core.events import AnyEvent
from steelyard.core.handlers import ending, pledging
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order, Special
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import ListKind, ListNumber, OrderNumber

_NO_LIST: Final = ListNumber(0)
_OTHER_LEG: Final = Reject.OTHER_LEG


def claim(state: State, order: Order, out: list[AnyEvent]) -> None:
    """Make an order of a list stand for itself, before it trades, loses lots, is triggered or ends.

    Its alternative ends first, and what the two held pays for it.  The first order of an OTO or OTOCO has no
    alternative: nothing happens to it here, but a pending one leaves its list with its alternative.
    """
    order_list = _list_of(state, order)
    if order_list is None:
        return
    if order_list.kind == ListKind.OCO:
        dissolve(state, order_list)
        (other,) = (leg for leg in _legs(state, order_list) if leg is not order)
        pledging.take_over(order, other, holds=order_list.holder == other.number)
        ending.end_order(state, other, _OTHER_LEG, out)
    elif order.number != order_list.legs[0]:
        dissolve(state, order_list)
        for other in _legs(state, order_list)[1:]:
            if other is not order:
                ending.end_order(state, other, _OTHER_LEG, out)


def leg_ended(state: State, order: Order, filled: bool, out: list[AnyEvent]) -> None:
    """Let the orders that wait for this one follow it: to work if it was filled, else to their end."""
    order_list = _list_of(state, order)
    if order_list is None:
        return
    pending = [state.orders[number] for number in order_list.legs[1:]]
    if not filled:
        dissolve(state, order_list, gone=order)
        for leg in pending:
            ending.end_order(state, leg, _OTHER_LEG, out)
        return
    if len(pending) == 1:
        dissolve(state, order_list, gone=order)
    else:
        order_list.kind = ListKind.OCO
        del order_list.legs[0]
    for leg in pending:
        state.work.append(leg)


def renumbered(state: State, order: Order, before: OrderNumber) -> None:
    """Let the order's list know it by its new number."""
    order_list = _list_of(state, order)
    if order_list is None:
        return
    order_list.legs[order_list.legs.index(before)] = order.number
    if order_list.holder == before:
        order_list.holder = order.number


def dissolve(state: State, order_list: OrderList, gone: Order | None = None) -> None:
    """Forget a list; those of its orders that live stand for themselves."""
    del state.lists[order_list.number]
    for number in order_list.legs:
        if gone is None or number != gone.number:
            _special(state.orders[number]).list_number = _NO_LIST


def _list_of(state: State, order: Order) -> OrderList | None:
    special = order.special
    if special is None or special.list_number == _NO_LIST:
        return None
    return state.lists[special.list_number]


def _legs(state: State, order_list: OrderList) -> list[Order]:
    return [state.orders[number] for number in order_list.legs]


def _special(order: Order) -> Special:
    assert order.special is not None, order.number
    return order.special
