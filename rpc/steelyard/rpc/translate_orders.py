"""Protobuf to commands about orders: each function returns None for what can make no sense in any state."""

from typing import Final, NamedTuple

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.limits import LABEL_MAX, is_printable_ascii
from steelyard.core.units import (
    AccountId,
    BatchMode,
    InstrumentId,
    Leg,
    ListKind,
    OrderId,
    OrderKind,
    OrderNumber,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)
from steelyard.v1 import trading_pb2


class _Shape(NamedTuple):
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    is_limit: bool
    may_rest: bool


#: Side, kind and time in force that make sense together: a market order never rests.
_SHAPES: Final = {
    (side.value, kind.value, way.value): _Shape(
        side, kind, way, kind is OrderKind.LIMIT, way is TimeInForce.GTC
    )
    for side in Side
    for kind in OrderKind
    for way in TimeInForce
    if kind is OrderKind.LIMIT or way is not TimeInForce.GTC
}
#: Enumerations of the protocol; zero is what says nothing.
SELF_TRADES: Final[dict[int, SelfTrade | None]] = {0: None, **{mode.value: mode for mode in SelfTrade}}
_TRIGGERS: Final[dict[int, TriggerKind | None]] = {0: None, **{kind.value: kind for kind in TriggerKind}}
_SOURCES: Final[dict[int, PriceSource]] = {0: PriceSource.LAST, **{each.value: each for each in PriceSource}}
LEGS: Final[dict[int, Leg]] = {0: Leg.NET, **{leg.value: leg for leg in Leg}}
_SIDES: Final[dict[int, Side | None]] = {0: None, **{side.value: side for side in Side}}
_LISTS: Final[dict[int, ListKind]] = {kind.value: kind for kind in ListKind}
_BATCHES: Final[dict[int, BatchMode]] = {mode.value: mode for mode in BatchMode}


def place_order(wire: trading_pb2.PlaceOrder, account: AccountId) -> commands.PlaceOrder | None:
    """Return the command, or None if a field is missing, negative, enormous or at odds with another."""
    if wire.HasField("terms"):
        return _order_on_terms(wire, account)
    order = wire.order
    instrument = wire.instrument
    size_lots = wire.size_lots
    limit_ticks = wire.limit_ticks
    post_only = wire.post_only
    label = wire.label
    shape = _SHAPES.get((wire.side, wire.kind, wire.time_in_force))
    if shape is None or not instrument or not 0 < order <= NUMBER_MAX or not 0 < size_lots <= NUMBER_MAX:
        return None
    side, kind, time_in_force, is_limit, may_rest = shape
    if not (0 < limit_ticks <= NUMBER_MAX if is_limit else limit_ticks == 0):
        return None
    if post_only and not may_rest:
        return None
    if label and not is_printable_ascii(label, LABEL_MAX):
        return None
    return commands.PlaceOrder(
        account=account,
        instrument=InstrumentId(instrument),
        order=OrderId(order),
        side=side,
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        kind=kind,
        time_in_force=time_in_force,
        post_only=post_only,
        label=label,
    )


def cancel_order(wire: trading_pb2.CancelOrder, account: AccountId) -> commands.CancelOrder | None:
    """Return the command, or None unless the order is named in exactly one way."""
    order, number, label = wire.order, wire.number, wire.label
    if not _is_name(order, number, label):
        return None
    return commands.CancelOrder(
        account=account, order=OrderId(order), number=OrderNumber(number), label=label
    )


def place_order_list(wire: trading_pb2.PlaceOrderList, account: AccountId) -> commands.PlaceOrderList | None:
    """Return the command; how many legs its kind has is for the exchange to say."""
    kind = _LISTS.get(wire.kind)
    legs = [_order_on_terms(leg, account) for leg in wire.legs[: max(_LISTS) + 1]]
    if kind is None or not legs:
        return None
    sound = [leg for leg in legs if leg is not None]
    if len(sound) < len(wire.legs):
        return None
    return commands.PlaceOrderList(account=account, instrument=sound[0].instrument, kind=kind, legs=sound)


def amend_order(wire: trading_pb2.AmendOrder, account: AccountId) -> commands.AmendOrder | None:
    """Return the command, or None unless the order is named once and every number can be one."""
    numbers = (
        wire.size_lots,
        wire.limit_ticks,
        wire.trigger_ticks,
        wire.callback_ppm,
        wire.display_lots,
        wire.expires_ns + (wire.expires_ns == _GOOD_TILL_CANCELLED),
    )
    if not _is_name(wire.order, wire.number, wire.label) or not all(map(_may_be, numbers)):
        return None
    new_label = wire.new_label if wire.HasField("new_label") else None
    if new_label is not None and not is_printable_ascii(new_label, LABEL_MAX):
        return None
    return commands.AmendOrder(
        account=account,
        order=OrderId(wire.order),
        number=OrderNumber(wire.number),
        label=wire.label,
        size_lots=wire.size_lots,
        limit_ticks=wire.limit_ticks,
        trigger_ticks=wire.trigger_ticks,
        callback_ppm=wire.callback_ppm,
        display_lots=wire.display_lots,
        expires_ns=wire.expires_ns,
        new_label=new_label,
    )


def replace_order(wire: trading_pb2.ReplaceOrder, account: AccountId) -> commands.ReplaceOrder | None:
    """Return the command, or None unless both its halves make sense."""
    cancel = cancel_order(wire.cancel, account)
    place = _order_on_terms(wire.place, account)
    if cancel is None or place is None:
        return None
    return commands.ReplaceOrder(
        cancel=cancel, place=place, place_anyway=wire.place_anyway, cancel_anyway=wire.cancel_anyway
    )


def batch(wire: trading_pb2.Batch, account: AccountId) -> commands.Batch | None:
    """Return the command, or None unless each of its legs makes sense."""
    mode = _BATCHES.get(wire.mode)
    legs = [_leg(leg, account) for leg in wire.legs]
    sound = [leg for leg in legs if leg is not None]
    if mode is None or not sound or len(sound) < len(legs):
        return None
    return commands.Batch(account=account, mode=mode, legs=sound)


def cancel_orders(wire: trading_pb2.CancelOrders, account: AccountId) -> commands.CancelOrders | None:
    """Return the command, or None if there is no such side."""
    if wire.side not in _SIDES:
        return None
    return commands.CancelOrders(
        account=account,
        instrument=InstrumentId(wire.instrument),
        side=_SIDES[wire.side],
        sub_accounts=wire.sub_accounts,
    )


def arm_countdown(wire: trading_pb2.ArmCountdown, account: AccountId) -> commands.ArmCountdown:
    """Return the command; how long a countdown may be is for the exchange to say."""
    return commands.ArmCountdown(
        account=account,
        countdown_ns=wire.countdown_ms * NS_PER_MS,
        instrument=InstrumentId(wire.instrument),
    )


NS_PER_MS: Final = 1_000_000
_GOOD_TILL_CANCELLED: Final = -1


def _leg(wire: trading_pb2.Leg, account: AccountId) -> commands.Leg | None:
    match wire.WhichOneof("kind"):
        case "place_order":
            return place_order(wire.place_order, account)
        case "cancel_order":
            return cancel_order(wire.cancel_order, account)
        case "amend_order":
            return amend_order(wire.amend_order, account)
        case _:
            return None


def _order_on_terms(wire: trading_pb2.PlaceOrder, account: AccountId) -> commands.PlaceOrderOnTerms | None:
    """Return the command; what of its terms goes together is for the exchange to say.

    An order that says anything of its position, be it only which, is one about a contract.
    """
    terms = _terms(wire.terms)
    shape = _SHAPES.get((wire.side, wire.kind, wire.time_in_force))
    if (
        terms is None
        or shape is None
        or not wire.instrument
        or not 0 < wire.order <= NUMBER_MAX
        or not _may_be(wire.size_lots)
        or not (0 < wire.limit_ticks <= NUMBER_MAX if shape.is_limit else wire.limit_ticks == 0)
        or (wire.post_only and not shape.may_rest)
        or not is_printable_ascii(wire.label, LABEL_MAX)
    ):
        return None
    said = wire.terms
    if said.leg or said.reduce_only or said.close_position:
        return commands.PlaceContractOrder(
            account=account,
            instrument=InstrumentId(wire.instrument),
            order=OrderId(wire.order),
            side=shape.side,
            size_lots=wire.size_lots,
            limit_ticks=wire.limit_ticks,
            kind=shape.kind,
            time_in_force=shape.time_in_force,
            post_only=wire.post_only,
            label=wire.label,
            terms=terms,
            leg=LEGS[said.leg],
            reduce_only=said.reduce_only,
            close_position=said.close_position,
        )
    return commands.PlaceOrderOnTerms(
        account=account,
        instrument=InstrumentId(wire.instrument),
        order=OrderId(wire.order),
        side=shape.side,
        size_lots=wire.size_lots,
        limit_ticks=wire.limit_ticks,
        kind=shape.kind,
        time_in_force=shape.time_in_force,
        post_only=wire.post_only,
        label=wire.label,
        terms=terms,
    )


def _terms(wire: trading_pb2.OrderTerms) -> commands.OrderTerms | None:
    numbers = (wire.expires_ns, wire.budget_atoms, wire.trigger_ticks, wire.callback_ppm, wire.display_lots)
    if (
        not all(map(_may_be, numbers))
        or wire.trigger not in _TRIGGERS
        or wire.trigger_source not in _SOURCES
        or wire.self_trade not in SELF_TRADES
        or wire.leg not in LEGS
    ):
        return None
    return commands.OrderTerms(
        expires_ns=wire.expires_ns,
        slide=wire.slide,
        budget_atoms=wire.budget_atoms,
        trigger=_TRIGGERS[wire.trigger],
        trigger_source=_SOURCES[wire.trigger_source],
        trigger_ticks=wire.trigger_ticks,
        callback_ppm=wire.callback_ppm,
        display_lots=wire.display_lots,
        self_trade=SELF_TRADES[wire.self_trade],
    )


def _is_name(order: int, number: int, label: str) -> bool:
    """Return whether an order is named in exactly one way."""
    if (order > 0) + (number > 0) + bool(label) != 1 or order > NUMBER_MAX or number > NUMBER_MAX:
        return False
    return not label or is_printable_ascii(label, LABEL_MAX)


def _may_be(number: int) -> bool:
    """Return whether a number is one that the exchange can hold, zero included."""
    return 0 <= number <= NUMBER_MAX
