"""Placing orders that depend on each other: all are checked first, all are accepted, then each acts."""

from typing import Final

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import PlaceOrderList, PlaceOrderOnTerms
from steelyard.core.entry import AnyReply, LegReply, Many, Refused, Request, Waiting
from steelyard.core.events import AnyEvent, OrderListAccepted
from steelyard.core.handlers import contracting
from steelyard.core.handlers.accepting import accept_order
from steelyard.core.handlers.conditional import begin_waiting
from steelyard.core.handlers.placing import (
    book_fault,
    draft_order,
    numbers_fault,
    order_fault,
    reference_fault,
    special_of,
    trigger_fault,
)
from steelyard.core.handlers.taking import place_taken
from steelyard.core.instruments import Instrument
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order, crosses
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import (
    InstrumentState,
    ListKind,
    ListNumber,
    OrderKind,
    OrderNumber,
    OrderState,
    TimeInForce,
)

_OCO: Final = ListKind.OCO
_LEGS: Final = {ListKind.OCO: 2, ListKind.OTO: 2, ListKind.OTOCO: 3}


def place_order_list(
    state: State, command: PlaceOrderList, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Take two or three orders on, all or none; pending ones wait for the first to be filled."""
    if _is_malformed(command):
        return Reject.MALFORMED
    legs: list[Order] = []
    for place, leg in enumerate(command.legs, 1):
        order = _check_leg(state, command, leg, request, key, legs)
        if isinstance(order, Reject):
            return _refused(request, order, place)
        legs.append(order)
    instrument = state.markets.instruments[command.instrument]
    payer = payer_of(legs) if command.kind == _OCO else legs[0]
    fault = contracting.funds_fault(state, instrument, payer)
    if fault is not None:
        return _refused(request, fault, legs.index(payer) + 1)

    # Nothing below can fail.
    state.last_number += 1
    order_list = OrderList(ListNumber(state.last_number), command.account, command.instrument, command.kind)
    state.lists[order_list.number] = order_list
    out.append(
        OrderListAccepted(
            account=command.account,
            instrument=command.instrument,
            list_number=order_list.number,
            kind=command.kind,
            orders=[leg.order for leg in legs],
        )
    )
    for order in legs:
        special_of(order).list_number = order_list.number
        accept_order(state, instrument, order, out, pledges=order is payer)
        order_list.legs.append(order.number)
    if command.kind == _OCO:
        order_list.holder = holder_of(payer)
    replies: list[LegReply] = []
    for order in legs:
        if special_of(order).state == OrderState.WORKING:
            replies.append(place_taken(state, instrument, order, request, out))
            continue
        replies.append(Waiting(request=request.request, fingerprint=request.fingerprint, number=order.number))
        if special_of(order).state == OrderState.WAITING:
            begin_waiting(state, instrument, order, out)
    return Many(request=request.request, fingerprint=request.fingerprint, legs=replies)


def alternative_fault(state: State, instrument: Instrument, order: Order) -> Reject | None:
    """Return what is wrong with one of two alternatives: as of any order, and it must not trade at once."""
    fault = (
        numbers_fault(state, instrument, order)
        or reference_fault(instrument, order)
        or trigger_fault(instrument, order)
    )
    if fault is not None:
        return fault
    if (
        special_of(order).terms.trigger is None
        and instrument.state in (InstrumentState.OPEN, InstrumentState.POST_ONLY)
        and crosses(instrument.book, order.side, order.price_ticks)
    ):
        return Reject.POST_ONLY_WOULD_TRADE
    return book_fault(instrument, order)


def payer_of(legs: list[Order]) -> Order:
    """Return which of two alternatives is asked for funds: who pledges more, of equals the first.

    Of two about positions only one that works at once needs any, and only one of them can.
    """
    first, second = legs
    if first.position is not None:
        return first if contracting.begins(first) else second
    return second if second.pledged_atoms > first.pledged_atoms else first


def holder_of(payer: Order) -> OrderNumber:
    """Return who of two alternatives holds what both pledge: orders about positions stand for themselves."""
    return payer.number if payer.position is None else OrderNumber(0)


def _is_malformed(command: PlaceOrderList) -> bool:
    """Return whether the legs make no list of that kind, whatever the state is."""
    legs = command.legs
    if len(legs) != _LEGS[command.kind]:
        return True
    if any(leg.account != command.account or leg.instrument != command.instrument for leg in legs):
        return True
    labels = [leg.label for leg in legs if leg.label]
    if len(dict.fromkeys(leg.order for leg in legs)) < len(legs) or len(dict.fromkeys(labels)) < len(labels):
        return True
    match command.kind:
        case ListKind.OCO:
            return not _are_alternatives(legs)
        case ListKind.OTO:
            return not _rests(legs[0]) or legs[1].terms.budget_atoms != 0
        case ListKind.OTOCO:
            return not _rests(legs[0]) or not _are_alternatives(legs[1:])


def _are_alternatives(legs: list[PlaceOrderOnTerms]) -> bool:
    first, second = legs
    triggered = [leg.terms.trigger is not None for leg in legs]
    return (
        first.side == second.side
        and any(triggered)
        and all(has_trigger or _rests(leg) for leg, has_trigger in zip(legs, triggered, strict=True))
    )


def _rests(leg: PlaceOrderOnTerms) -> bool:
    return leg.kind == OrderKind.LIMIT and leg.time_in_force == TimeInForce.GTC and leg.terms.trigger is None


def _check_leg(
    state: State,
    command: PlaceOrderList,
    leg: PlaceOrderOnTerms,
    request: Request,
    key: ApiKey,
    before: list[Order],
) -> Order | Reject:
    """Return the order that a leg describes, or its fault, as if those ``before`` it were living orders."""
    order = draft_order(state, leg, key, request.not_after_ns, before)
    if isinstance(order, Reject):
        return order
    instrument = state.markets.instruments[order.instrument]
    if command.kind == _OCO:
        contracting.cut(order)
        fault = alternative_fault(state, instrument, order)
    elif not before:
        contracting.cut(order)
        fault = order_fault(state, instrument, order)
    else:
        special_of(order).state = OrderState.PENDING
        fault = numbers_fault(state, instrument, order)
    return fault or order


def _refused(request: Request, reason: Reject, leg: int) -> Refused:
    return Refused(request=request.request, fingerprint=request.fingerprint, reason=reason, expected=leg)
