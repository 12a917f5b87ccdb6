"""Changing a living order: where it stands, or leaving its place for another."""

from typing import Final

import msgspec

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import NO_TERMS, AmendOrder, OrderTerms
from steelyard.core.entry import Amended, AnyReply, Request
from steelyard.core.events import AnyEvent, OrderAmended, OrderReduced
from steelyard.core.handlers import contracting, pledging
from steelyard.core.handlers.checks import named_order
from steelyard.core.handlers.conditional import begin_waiting
from steelyard.core.handlers.ending import displace, end_order
from steelyard.core.handlers.legs import alternative_fault, holder_of, payer_of
from steelyard.core.handlers.placing import fix_pledge, numbers_fault, order_fault, special_of, who_fault
from steelyard.core.handlers.taking import Taken, become_common, renew, work_order
from steelyard.core.instruments import Instrument
from steelyard.core.limits import INTEGER_MAX, LABEL_MAX, is_printable_ascii
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order, Special, crosses
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import (
    PPM,
    InstrumentState,
    ListKind,
    OrderKind,
    OrderNumber,
    OrderState,
    TimeInForce,
)

_LIMIT: Final = OrderKind.LIMIT
_GTC: Final = TimeInForce.GTC
_WORKING: Final = OrderState.WORKING
_PENDING: Final = OrderState.PENDING
_AMENDABLE: Final = (InstrumentState.OPEN, InstrumentState.POST_ONLY, InstrumentState.AUCTION)
_NO_MORE_EXPIRY: Final = -1


def amend_order(
    state: State, command: AmendOrder, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Give a living order new terms: in its place if it only shrinks, else under a new number."""
    if _is_malformed(command):
        return Reject.MALFORMED
    fault = who_fault(state, command.account, key, request.not_after_ns)
    if fault is not None:
        return fault
    account = state.accounts[command.account]
    order = named_order(state, account, command.order, command.number, command.label)
    if order is None:
        return Reject.UNKNOWN_ORDER
    instrument = state.markets.instruments[order.instrument]
    if contracting.is_off_in(state, order.instrument):
        return Reject.KILL_SWITCH
    if instrument.state not in _AMENDABLE or instrument.uncross_ticks:
        return Reject.INSTRUMENT_STATE
    if order in state.work:
        return Reject.TRIGGER_ALREADY_MET
    changed = as_it_would_be(instrument, order, command)
    if _is_same(order, changed):
        return Reject.NOTHING_TO_CHANGE
    if _cannot_have(order, changed, command):
        return Reject.MALFORMED
    if changed.label and changed.label != order.label and changed.label in account.labels:
        return Reject.DUPLICATE_LABEL
    if changed.open_lots <= 0 and not special_of(changed).close_position:
        end_order(state, order, Reject.AMENDED_BELOW_FILLED, out)
        return _amended(request, order.number, Taken(0, 0, 0, 0))
    keeps_place = _keeps_place(order, changed)
    other = _alternative(state, order)
    resized = None
    follows_size = other is not None and not special_of(other).close_position
    if other is not None and follows_size and changed.size_lots not in (order.size_lots, other.size_lots):
        resized = as_it_would_be(instrument, other, _resize(other, changed.size_lots))
    # An order about a position is judged with the one that it was out of the way.
    leaving = [order] if other is None or resized is None else [order, other]
    for each in leaving:
        pledging.uncount(each)
    fault = _fault(state, instrument, order, changed, resized)
    moved = []
    for was, would_be in ((order, changed), (other, resized)):
        if was is None or would_be is None:
            continue
        if _keeps_place(was, would_be):
            # What an isolated order pledges per lot follows prices, but not while it stands where it stood.
            would_be.lot_pledge_atoms = was.lot_pledge_atoms
        else:
            moved.append(would_be)
    payer = _payer(state, order)
    needed_atoms = changed.pledged_atoms
    if other is not None:
        needed_atoms = max(needed_atoms, (resized or other).pledged_atoms)
    fault = fault or _funds_fault(state, instrument, payer, needed_atoms, moved)
    if fault is not None:
        for each in leaving:
            pledging.count(each)
        return fault

    # Nothing below can fail.
    pledging.exchange(payer, needed_atoms)
    taken = _change(state, instrument, order, changed, out, keeps_place=keeps_place)
    number = order.number
    if other is not None:
        if resized is not None:
            follows = _keeps_place(other, resized)
            _change(state, instrument, other, resized, out, keeps_place=follows, says_terms=False)
        _choose_holder(state, order)
    return _amended(request, number, taken)


def _funds_fault(
    state: State, instrument: Instrument, payer: Order, needed_atoms: int, moved: list[Order]
) -> Reject | None:
    """Return why orders cannot be paid for as they would be, or None.

    Of orders about positions those are asked that lose their place, for the others only become smaller.
    """
    if payer.position is None:
        is_covered = payer.pledge.free_atoms + payer.pledged_atoms >= needed_atoms
        return None if is_covered else Reject.INSUFFICIENT_FUNDS
    for order in moved:
        fault = contracting.funds_fault(state, instrument, order)
        if fault is not None:
            return fault
    return None


def _is_malformed(command: AmendOrder) -> bool:
    if (command.order != 0) + (command.number != 0) + (command.label != "") != 1:
        return True
    numbers = (
        command.order,
        command.number,
        command.size_lots,
        command.limit_ticks,
        command.trigger_ticks,
        command.callback_ppm,
        command.display_lots,
    )
    if min(numbers) < 0 or command.callback_ppm >= PPM:
        return True
    if not _NO_MORE_EXPIRY <= command.expires_ns <= INTEGER_MAX:
        return True
    return command.new_label is not None and not is_printable_ascii(command.new_label, LABEL_MAX)


def as_it_would_be(instrument: Instrument, order: Order, command: AmendOrder) -> Order:
    """Return an order that nobody knows, as the amended one would be before any check."""
    special = order.special
    terms = NO_TERMS if special is None else special.terms
    size_lots = command.size_lots or order.size_lots
    changed = Order(
        order.account,
        order.instrument,
        order.order,
        order.number,
        order.label if command.new_label is None else command.new_label,
        order.side,
        command.limit_ticks or order.price_ticks,
        size_lots,
        order.open_lots + size_lots - order.size_lots,
        order.lot_pledge_atoms,
        order.pledge,
        order.proceeds,
    )
    changed.post_only = order.post_only
    changed.position = order.position
    changed.special = _copied(instrument, special, _new_terms(terms, command))
    if changed.special.terms.trigger_ticks != terms.trigger_ticks or (
        changed.special.terms.callback_ppm != terms.callback_ppm
    ):
        changed.special.extreme_ticks = 0
    return changed


def _new_terms(terms: OrderTerms, command: AmendOrder) -> OrderTerms:
    expires_ns = command.expires_ns or terms.expires_ns
    return msgspec.structs.replace(
        terms,
        trigger_ticks=command.trigger_ticks or terms.trigger_ticks,
        callback_ppm=command.callback_ppm or terms.callback_ppm,
        display_lots=command.display_lots or terms.display_lots,
        expires_ns=0 if expires_ns == _NO_MORE_EXPIRY else expires_ns,
    )


def _copied(instrument: Instrument, special: Special | None, terms: OrderTerms) -> Special:
    if special is None:
        return Special(terms, cap_ppm=instrument.cap_ppm)
    copy = Special(terms, special.kind, special.time_in_force, special.cap_ppm, special.state)
    copy.list_number = special.list_number
    copy.prevented_lots = special.prevented_lots
    copy.shown_lots = special.shown_lots
    copy.extreme_ticks = special.extreme_ticks
    copy.leg = special.leg
    copy.reduce_only = special.reduce_only
    copy.close_position = special.close_position
    return copy


def _is_same(order: Order, changed: Order) -> bool:
    return (
        changed.price_ticks == order.price_ticks
        and changed.size_lots == order.size_lots
        and changed.label == order.label
        and _terms(changed) == _terms(order)
    )


def _terms(order: Order) -> OrderTerms:
    return NO_TERMS if order.special is None else order.special.terms


def _cannot_have(order: Order, changed: Order, command: AmendOrder) -> bool:
    """Return whether the command sets something that such an order does not have."""
    special = special_of(changed)
    terms = _terms(order)
    is_limit, rests = special.kind == _LIMIT, special.time_in_force == _GTC
    if command.limit_ticks and not is_limit:
        return True
    if command.size_lots and special.close_position:
        return True
    waits = terms.trigger is not None and special.state != _WORKING
    if command.trigger_ticks and not waits:
        return True
    if command.callback_ppm and not (waits and terms.callback_ppm):
        return True
    if command.expires_ns > 0 and not (rests or terms.trigger is not None):
        return True
    return command.display_lots > 0 and not (is_limit and rests and command.display_lots < changed.size_lots)


def _keeps_place(order: Order, changed: Order) -> bool:
    return (
        order.level is not None
        and changed.price_ticks == order.price_ticks
        and changed.size_lots <= order.size_lots
    )


def _alternative(state: State, order: Order) -> Order | None:
    """Return the other leg of an OCO, living or to come, or None."""
    order_list = _list(state, order)
    if order_list is None or order_list.kind == ListKind.OTO:
        return None
    legs = order_list.legs if order_list.kind == ListKind.OCO else order_list.legs[1:]
    if order.number not in legs:
        return None
    (other,) = (number for number in legs if number != order.number)
    return state.orders[other]


def _list(state: State, order: Order) -> OrderList | None:
    special = order.special
    return None if special is None or special.list_number == 0 else state.lists[special.list_number]


def _resize(order: Order, size_lots: int) -> AmendOrder:
    return AmendOrder(account=order.account, order=order.order, size_lots=size_lots)


def _fault(
    state: State, instrument: Instrument, order: Order, changed: Order, resized: Order | None
) -> Reject | None:
    """Return what is wrong with an order as it would be, and with the new size of its alternative."""
    special = special_of(changed)
    if special.state == _PENDING:
        fault = numbers_fault(state, instrument, changed)
    elif _alternative(state, order) is not None:
        fault = alternative_fault(state, instrument, changed)
    else:
        fault = order_fault(state, instrument, changed)
    if fault is None and resized is not None:
        fault = numbers_fault(state, instrument, resized)
        fix_pledge(instrument, resized)
        fault = fault or contracting.room_fault(resized)
    if (
        fault in (None, Reject.REDUCE_ONLY_NOTHING)
        and instrument.state == InstrumentState.POST_ONLY
        and special.state == _WORKING
        and crosses(instrument.book, changed.side, changed.price_ticks)
    ):
        return Reject.POST_ONLY_WOULD_TRADE
    return fault


def _payer(state: State, order: Order) -> Order:
    """Return the order whose pledge pays for this one: itself, or the holder of its list."""
    order_list = _list(state, order)
    if order_list is None or order_list.holder == 0:
        return order
    return state.orders[order_list.holder]


def _choose_holder(state: State, order: Order) -> None:
    """Let the leg that needs more hold what both pledge, if they have pledged."""
    order_list = state.lists[special_of(order).list_number]
    if order_list.holder != 0:
        order_list.holder = holder_of(payer_of([state.orders[number] for number in order_list.legs]))


def _change(
    state: State,
    instrument: Instrument,
    order: Order,
    changed: Order,
    out: list[AnyEvent],
    *,
    keeps_place: bool,
    says_terms: bool = True,
) -> Taken:
    """Make a living order what it would be; its pledge is already what it will need.

    ``says_terms`` is false for an alternative whose size alone follows the order that is amended.
    """
    tells = says_terms and (
        special_of(changed).state != _WORKING
        or changed.label != order.label
        or _terms(changed) != _terms(order)
    )
    pledging.uncount(order)
    if keeps_place:
        shrinks = changed.open_lots < order.open_lots
        _shrink(state, instrument, order, changed, out)
        if shrinks:
            pledging.recount(state, order)
        else:
            pledging.count(order)
        if tells:
            _say_amended(order, out)
        return Taken(0, 0, 0, order.open_lots)
    displace(state, instrument, order)
    order.open_lots = changed.open_lots
    _adopt(state, instrument, order, changed)
    special = order.special
    if special is None:
        order.special = special = special_of(changed)
        instrument.specials += 1
    special.shown_lots = 0
    special.extreme_ticks = special_of(changed).extreme_ticks
    pledging.recount(state, order)
    renew(state, order, out)
    if tells:
        _say_amended(order, out)
    if special.state == _WORKING:
        return work_order(state, instrument, order, out)
    if special.state == OrderState.WAITING:
        begin_waiting(state, instrument, order, out)
    return Taken(0, 0, 0, order.open_lots)


def _shrink(state: State, instrument: Instrument, order: Order, changed: Order, out: list[AnyEvent]) -> None:
    """Change an order where it stands."""
    fewer_lots = order.size_lots - changed.size_lots
    before = _terms(order)
    if fewer_lots:
        instrument.book.reduce(order, fewer_lots)
    _adopt(state, instrument, order, changed)
    expires_ns = _terms(order).expires_ns
    if expires_ns not in (0, before.expires_ns):
        state.expire_in_time(order)
    if order.special is not None:
        become_common(instrument, order)
    if fewer_lots:
        out.append(
            OrderReduced(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=order.number,
                size_lots=order.size_lots,
                open_lots=order.open_lots,
            )
        )


def _adopt(state: State, instrument: Instrument, order: Order, changed: Order) -> None:
    """Take over what an order says of itself, but not what it has left."""
    labels = state.accounts[order.account].labels
    if changed.label != order.label:
        if order.label:
            del labels[order.label]
        if changed.label:
            labels[changed.label] = order
        order.label = changed.label
    order.size_lots = changed.size_lots
    order.price_ticks = changed.price_ticks
    order.lot_pledge_atoms = changed.lot_pledge_atoms
    if order.special is not None:
        order.special.terms = _terms(changed)
    elif _terms(changed) != NO_TERMS:
        order.special = changed.special
        instrument.specials += 1


def _say_amended(order: Order, out: list[AnyEvent]) -> None:
    out.append(
        OrderAmended(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=order.number,
            label=order.label,
            terms=_terms(order),
        )
    )


def _amended(request: Request, number: OrderNumber, taken: Taken) -> Amended:
    return Amended(
        request=request.request,
        fingerprint=request.fingerprint,
        number=number,
        executed_lots=taken.executed_lots,
        executed_atoms=taken.executed_atoms,
        fee_atoms=taken.fee_atoms,
        open_lots=taken.open_lots,
    )
