"""How an order's life ends: filled, cancelled or expired, from wherever it stands."""

from steelyard.core.events import AnyEvent, OrderCancelled, OrderExpired, OrderFilled
from steelyard.core.handlers import conditional, lists, pledging
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import OrderState


def end_order(state: State, order: Order, reason: Reject | None, out: list[AnyEvent]) -> None:
    """End a living order that is not filled: by its owner's wish (None), or for a reason.

    Takes it from the book, from where it waits, or from the work to come; releases its pledge, says
    ``OrderCancelled`` or ``OrderExpired``, and lets its list act.
    """
    special = order.special
    if special is not None and special.list_number:
        lists.claim(state, order, out)
    instrument = state.markets.instruments[order.instrument]
    displace(state, instrument, order)
    pledging.unpledge(state, order)
    open_lots = 0 if special is not None and special.terms.budget_atoms else order.open_lots
    state.drop_order(order)
    if reason is None:
        out.append(
            OrderCancelled(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=order.number,
                open_lots=open_lots,
            )
        )
    else:
        out.append(
            OrderExpired(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=order.number,
                open_lots=open_lots,
                reason=reason,
            )
        )
    if special is not None and special.list_number:
        lists.leg_ended(state, order, False, out)


def fill_order(state: State, order: Order, out: list[AnyEvent]) -> None:
    """End an order that has traded all it wanted and stands nowhere any more."""
    pledging.unpledge(state, order)
    state.drop_order(order)
    out.append(
        OrderFilled(
            account=order.account, instrument=order.instrument, order=order.order, number=order.number
        )
    )
    special = order.special
    if special is not None and special.list_number:
        lists.leg_ended(state, order, True, out)


def displace(state: State, instrument: Instrument, order: Order) -> None:
    """Take a living order from wherever it stands: its book, its trigger or the work to come."""
    if order.level is not None:
        instrument.book.remove(order)
    elif order.special is not None and order.special.state != OrderState.WORKING:
        conditional.forget(state, instrument, order)
