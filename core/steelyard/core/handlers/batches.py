"""Several commands in one: an order in place of another, and batches, each for itself or all or none."""

from typing import Final

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import (
    AmendOrder,
    Batch,
    CancelOrder,
    Leg,
    PlaceOrder,
    PlaceOrderOnTerms,
    ReplaceOrder,
)
from steelyard.core.entry import (
    Amended,
    AnyReply,
    Cancelled,
    LegReply,
    Many,
    Placed,
    Refused,
    Request,
    Waiting,
)
from steelyard.core.events import AnyEvent
from steelyard.core.handlers.amending import amend_order
from steelyard.core.handlers.checks import is_too_late, may, named_order, stopped
from steelyard.core.handlers.contracting import is_off
from steelyard.core.handlers.orders import cancel_order, place_generally, place_order
from steelyard.core.handlers.placing import check_order, terms_of
from steelyard.core.handlers.undoing import Undo
from steelyard.core.limits import BATCH_MAX
from steelyard.core.matching import Order, crosses
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import (
    AccountId,
    BatchMode,
    InstrumentState,
    OrderKind,
    Permission,
    TimeInForce,
)

_TRADE: Final = int(Permission.TRADE)


def replace_order(
    state: State, command: ReplaceOrder, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Cancel one order and place another; unless told otherwise, both or neither.

    A second that is refused leaves the first as it was, the place in the queue included.
    """
    if command.cancel.account != command.place.account:
        return Reject.MALFORMED
    fault = _who_fault(state, command.place.account, request, key)
    if fault is not None:
        return fault
    undo = Undo(state, command.place.account, out)
    living = _named(state, command.cancel)
    if living is not None:
        undo.keep(living)
    cancelled = cancel_order(state, command.cancel, request, key, out)
    if isinstance(cancelled, Reject) and not (command.place_anyway and cancelled == Reject.UNKNOWN_ORDER):
        return _refused(request, cancelled, 1)
    placed = place_generally(state, command.place, request, key, out)
    if isinstance(placed, Reject) and not command.cancel_anyway:
        undo.run()
        return _refused(request, placed, 2)
    return _many(request, [cancelled, placed])


def carry_out_batch(
    state: State, command: Batch, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Carry out every leg for itself, or all of them or none."""
    all_or_none = command.mode == BatchMode.ALL_OR_NONE
    if not command.legs or any(leg.account != command.account for leg in command.legs):
        return Reject.MALFORMED
    if all_or_none and any(not _can_be_undone(leg) for leg in command.legs):
        return Reject.MALFORMED
    if len(command.legs) > BATCH_MAX:
        return _refused(request, Reject.TOO_MANY_LEGS, BATCH_MAX)
    fault = _who_fault(state, command.account, request, key)
    if fault is not None:
        return fault
    if all_or_none:
        return _all_or_none(state, command, request, key, out)
    return _many(request, [_act(state, leg, request, key, out) for leg in command.legs])


def _all_or_none(
    state: State, command: Batch, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Let the legs act, cancels first, then amends, then orders; at the first fault undo what was done."""
    undo = Undo(state, command.account, out)
    replies: dict[int, AnyReply | Reject] = {}
    for kind in (CancelOrder, AmendOrder, PlaceOrder):
        for place, leg in enumerate(command.legs, 1):
            if not isinstance(leg, kind):
                continue
            reply: AnyReply | Reject | None = _own_fault(state, leg, request, key)
            if reply is None:
                _keep(state, leg, undo)
                reply = _act(state, leg, request, key, out)
            if isinstance(reply, Reject):
                undo.run()
                return _refused(request, reply, place)
            replies[place] = reply
    return _many(request, [reply for _, reply in sorted(replies.items())])


def _can_be_undone(leg: Leg) -> bool:
    """Return whether a leg is one of those that trade nothing, and so can be one of all or none."""
    if isinstance(leg, CancelOrder):
        return True
    if isinstance(leg, AmendOrder):
        says_size_alone = AmendOrder(
            account=leg.account,
            order=leg.order,
            number=leg.number,
            label=leg.label,
            size_lots=leg.size_lots,
        )
        return leg.size_lots != 0 and leg == says_size_alone
    return (
        leg.kind == OrderKind.LIMIT and leg.time_in_force == TimeInForce.GTC and terms_of(leg).trigger is None
    )


def _own_fault(state: State, leg: Leg, request: Request, key: ApiKey) -> Reject | None:
    """Return why a leg cannot be one of all or none though it could stand alone, or None.

    What is wrong with it alone is for the leg's own checks to say.
    """
    if isinstance(leg, CancelOrder):
        return None
    if isinstance(leg, AmendOrder):
        order = _named(state, leg)
        if order is None or stopped(state.accounts[leg.account]) is not None or is_off(state, leg.account):
            return None
        if order.level is None or (order.special is not None and order.special.list_number):
            return Reject.MALFORMED
        return Reject.SIZE_OUT_OF_RANGE if leg.size_lots >= order.size_lots else None
    draft = check_order(state, leg, key, request.not_after_ns)
    if isinstance(draft, Reject) and draft is not Reject.REDUCE_ONLY_NOTHING:
        return None
    # The last of the checks that are held against book and position comes after this one.
    limit_ticks = leg.limit_ticks if isinstance(draft, Reject) else draft.price_ticks
    instrument = state.markets.instruments[leg.instrument]
    would_trade = instrument.state == InstrumentState.OPEN and crosses(instrument.book, leg.side, limit_ticks)
    if isinstance(draft, Reject) and leg.post_only:
        return None
    return Reject.POST_ONLY_WOULD_TRADE if would_trade else None


def _keep(state: State, leg: Leg, undo: Undo) -> None:
    """Remember what a leg is about to change."""
    if isinstance(leg, PlaceOrder):
        undo.adding(leg.order, leg.instrument)
        return
    order = _named(state, leg)
    if order is not None:
        undo.keep(order)


def _named(state: State, leg: CancelOrder | AmendOrder) -> Order | None:
    """Return the order that a leg is about, or None if there is none, or more than one name."""
    if (leg.order != 0) + (leg.number != 0) + (leg.label != "") != 1:
        return None
    return named_order(state, state.accounts[leg.account], leg.order, leg.number, leg.label)


def _act(state: State, leg: Leg, request: Request, key: ApiKey, out: list[AnyEvent]) -> AnyReply | Reject:
    """Carry a leg out as if it had come alone."""
    if isinstance(leg, CancelOrder):
        return cancel_order(state, leg, request, key, out)
    if isinstance(leg, AmendOrder):
        return amend_order(state, leg, request, key, out)
    if isinstance(leg, PlaceOrderOnTerms):
        return place_generally(state, leg, request, key, out)
    return place_order(state, leg, request, key, out)


def _who_fault(state: State, account: AccountId, request: Request, key: ApiKey) -> Reject | None:
    """Return why the key may not trade for the account now; whether that is frozen is asked of each leg."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if account != key.account or not may(state.accounts[account], key, _TRADE):
        return Reject.NOT_PERMITTED
    return None


def _refused(request: Request, reason: Reject, expected: int = 0) -> Refused:
    return Refused(request=request.request, fingerprint=request.fingerprint, reason=reason, expected=expected)


def _many(request: Request, replies: list[AnyReply | Reject]) -> Many:
    legs: list[LegReply] = []
    for reply in replies:
        leg = _refused(request, reply) if isinstance(reply, Reject) else reply
        assert isinstance(leg, Refused | Placed | Waiting | Cancelled | Amended), leg
        legs.append(leg)
    return Many(request=request.request, fingerprint=request.fingerprint, legs=legs)
