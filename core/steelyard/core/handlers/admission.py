"""Orders whose turn in the work has come: triggered ones, and those whose list lets them go."""

from typing import Final

from steelyard.core.events import AnyEvent, OrderTermsSet
from steelyard.core.handlers import contracting, lists, pledging
from steelyard.core.handlers.conditional import begin_waiting
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.legs import alternative_fault, holder_of, payer_of
from steelyard.core.handlers.placing import (
    book_fault,
    order_fault,
    reference_fault,
    special_of,
)
from steelyard.core.handlers.taking import work_order
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import fee_cap_ppm
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import OrderState

_PENDING: Final = OrderState.PENDING
_WAITING: Final = OrderState.WAITING
_WORKING: Final = OrderState.WORKING


def admit(state: State, order: Order, out: list[AnyEvent]) -> None:
    """Let an order act whose turn it is and whose instrument is open, or end it with its fault.

    A pending order that has an alternative is admitted together with it.
    """
    special = special_of(order)
    instrument = state.markets.instruments[order.instrument]
    if special.state == _WAITING:
        _admit_triggered(state, instrument, order, out)
    elif special.list_number:
        _admit_alternatives(state, instrument, state.lists[special.list_number], out)
    else:
        _admit_alone(state, instrument, order, out)


def _admit_triggered(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    special = special_of(order)
    state.work.remove(order)
    pledged_atoms = order.pledged_atoms
    special.state = _WORKING
    contracting.cut(order)
    fault = _crowd_fault(order) or reference_fault(instrument, order) or book_fault(instrument, order)
    if fault is None and order.position is not None:
        # Nothing was pledged for it while it waited.
        fault = contracting.funds_fault(state, instrument, order)
    if fault is not None:
        end_order(state, order, fault, out)
        return
    # Its price may have become a better one since it was pledged for, if it was.
    pledging.repledge(state, order, pledged_atoms)
    work_order(state, instrument, order, out, renews=True)


def _admit_alone(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    state.work.remove(order)
    _leave_pending(state, instrument, order)
    contracting.cut(order)
    fault = (
        _crowd_fault(order)
        or order_fault(state, instrument, order)
        or contracting.funds_fault(state, instrument, order)
    )
    if fault is not None:
        _end_pending(state, order, fault, out)
        return
    pledging.pledge(state, order)
    _say_admitted(order, out)
    _act(state, instrument, order, out)


def _admit_alternatives(
    state: State, instrument: Instrument, order_list: OrderList, out: list[AnyEvent]
) -> None:
    legs = [state.orders[number] for number in order_list.legs]
    for order in legs:
        state.work.remove(order)
        _leave_pending(state, instrument, order)
        contracting.cut(order)
    first, second = legs
    fault = (
        _crowd_fault(first)
        or _crowd_fault(second)
        or alternative_fault(state, instrument, first)
        or alternative_fault(state, instrument, second)
    )
    payer = payer_of(legs)
    fault = fault or contracting.funds_fault(state, instrument, payer)
    if fault is not None:
        lists.dissolve(state, order_list)
        for order in legs:
            _end_pending(state, order, fault, out)
        return
    pledging.pledge(state, payer)
    order_list.holder = holder_of(payer)
    for order in legs:
        _say_admitted(order, out)
    for order in legs:
        _act(state, instrument, order, out)


def _leave_pending(state: State, instrument: Instrument, order: Order) -> None:
    """Give a pending order the state and the fee cap that it has from now on."""
    special = special_of(order)
    special.state = _WORKING if special.terms.trigger is None else _WAITING
    special.cap_ppm = fee_cap_ppm(*state.rates(state.accounts[order.account], instrument))


def _crowd_fault(order: Order) -> Reject | None:
    """Return why a position can have no more working orders if this one begins to work, or None."""
    if order.position is None or not contracting.begins(order):
        return None
    return contracting.crowd_fault(order.position)


def _end_pending(state: State, order: Order, fault: Reject, out: list[AnyEvent]) -> None:
    special_of(order).state = _PENDING
    end_order(state, order, fault, out)


def _say_admitted(order: Order, out: list[AnyEvent]) -> None:
    special = special_of(order)
    out.append(
        OrderTermsSet(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=order.number,
            state=special.state,
            list_number=special.list_number,
            terms=special.terms,
        )
    )


def _act(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    if special_of(order).state == _WAITING:
        begin_waiting(state, instrument, order, out)
    else:
        work_order(state, instrument, order, out, renews=True)
