"""Commands to the bytes of their messages."""

from typing import Final, cast

from steelyard.client import wire
from steelyard.client.commands import (
    AdjustBucket,
    AmendOrder,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    Command,
    Leg,
    MoveMargin,
    OpenSubAccount,
    OrderTerms,
    PayReferral,
    PlaceOrder,
    PlaceOrderList,
    ReplaceOrder,
    SetContractModes,
    SetLeverage,
    SetSelfTrade,
    Transfer,
)
from steelyard.v1 import common_pb2, trading_pb2

#: Client order ids that we choose: the session in the high bits, then the leg, then the request, so that no
#: two sessions of an account and no two legs of a request choose the same.
ORDER_SHIFT: Final = 40
LEG_SHIFT: Final = 33

#: Tag of the field in ``Command`` that each kind travels in.
KINDS: Final[dict[type[Command], bytes]] = {
    PlaceOrder: wire.PLACE_ORDER,
    CancelOrder: wire.CANCEL_ORDER,
    PlaceOrderList: b"\x3a",
    AmendOrder: b"\x42",
    ReplaceOrder: b"\x4a",
    Batch: b"\x52",
    CancelOrders: b"\x5a",
    ArmCountdown: b"\x62",
    Transfer: b"\x6a",
    SetSelfTrade: b"\x72",
    OpenSubAccount: b"\x7a",
    PayReferral: b"\x82\x01",
    SetLeverage: b"\x8a\x01",
    SetContractModes: b"\x92\x01",
    MoveMargin: b"\x9a\x01",
    AdjustBucket: b"\xa2\x01",
}
_TERMS: Final = b"\x52"


def chosen_order(session: int, request: int) -> int:
    """Return the client order id for a request that names none."""
    return session << ORDER_SHIFT | request


def place_order(command: PlaceOrder, chosen: int) -> bytes:
    """Return the bytes of a ``PlaceOrder``; ``chosen`` is its client order id unless it names one."""
    body = wire.place_order(
        command.order or chosen,
        command.instrument,
        command.side,
        command.kind,
        command.time_in_force,
        command.size_lots,
        command.limit_ticks,
        command.post_only,
        command.label,
    )
    if command.terms is None:
        return body
    return body + wire.delimited(_TERMS, order_terms(command.terms).SerializeToString())


def body_of(command: Command, chosen: int) -> bytes:
    """Return the bytes of a command's message.

    Raises:
        TypeError: It is no command.

    """
    match command:
        case PlaceOrder():
            return place_order(command, chosen)
        case CancelOrder():
            return wire.cancel_order(command.order, command.number, command.label)
        case _:
            return _uncommon(command, chosen).SerializeToString(deterministic=True)


def order_terms(terms: OrderTerms) -> trading_pb2.OrderTerms:
    """Return the message of an order's terms."""
    return trading_pb2.OrderTerms(
        expires_ns=terms.expires_ns,
        slide=terms.slide,
        budget_atoms=terms.budget_atoms,
        trigger=cast("common_pb2.TriggerKind.ValueType", terms.trigger),
        trigger_source=cast("common_pb2.PriceSource.ValueType", terms.trigger_source),
        trigger_ticks=terms.trigger_ticks,
        callback_ppm=terms.callback_ppm,
        display_lots=terms.display_lots,
        self_trade=cast("common_pb2.SelfTrade.ValueType", terms.self_trade),
        leg=_leg_of_position(terms.leg),
        reduce_only=terms.reduce_only,
        close_position=terms.close_position,
    )


def _leg_of_position(leg: int) -> "common_pb2.PositionLeg.ValueType":
    return cast("common_pb2.PositionLeg.ValueType", leg)


_Message = (
    trading_pb2.PlaceOrderList
    | trading_pb2.AmendOrder
    | trading_pb2.ReplaceOrder
    | trading_pb2.Batch
    | trading_pb2.CancelOrders
    | trading_pb2.ArmCountdown
    | trading_pb2.Transfer
    | trading_pb2.SetSelfTrade
    | trading_pb2.OpenSubAccount
    | trading_pb2.PayReferral
    | trading_pb2.SetLeverage
    | trading_pb2.SetContractModes
    | trading_pb2.MoveMargin
    | trading_pb2.AdjustBucket
)


def _uncommon(command: Command, chosen: int) -> _Message:
    match command:
        case PlaceOrderList():
            return trading_pb2.PlaceOrderList(
                kind=cast("common_pb2.ListKind.ValueType", command.kind),
                legs=[_place(leg, chosen | at << LEG_SHIFT) for at, leg in enumerate(command.legs)],
            )
        case AmendOrder():
            return _amend(command)
        case ReplaceOrder():
            return trading_pb2.ReplaceOrder(
                cancel=_cancel(command.cancel),
                place=_place(command.place, chosen),
                place_anyway=command.place_anyway,
                cancel_anyway=command.cancel_anyway,
            )
        case Batch():
            return trading_pb2.Batch(
                mode=cast("common_pb2.BatchMode.ValueType", command.mode),
                legs=[_leg(leg, chosen | at << LEG_SHIFT) for at, leg in enumerate(command.legs)],
            )
        case CancelOrders():
            return trading_pb2.CancelOrders(
                instrument=command.instrument,
                side=cast("common_pb2.Side.ValueType", command.side),
                sub_accounts=command.sub_accounts,
            )
        case ArmCountdown():
            return trading_pb2.ArmCountdown(countdown_ms=command.countdown_ms, instrument=command.instrument)
        case Transfer():
            return trading_pb2.Transfer(
                giver=command.giver,
                taker=command.taker,
                asset=command.asset,
                amount_atoms=command.amount_atoms,
            )
        case SetSelfTrade():
            return trading_pb2.SetSelfTrade(mode=cast("common_pb2.SelfTrade.ValueType", command.mode))
        case OpenSubAccount():
            return trading_pb2.OpenSubAccount(account=command.account, permissions=command.permissions)
        case PayReferral():
            return trading_pb2.PayReferral(asset=command.asset)
        case _:
            return _of_position(command)


def _of_position(command: Command) -> _Message:
    match command:
        case SetLeverage():
            return trading_pb2.SetLeverage(
                account=command.account,
                instrument=command.instrument,
                leverage=command.leverage,
                leg=_leg_of_position(command.leg),
            )
        case SetContractModes():
            return trading_pb2.SetContractModes(
                account=command.account,
                instrument=command.instrument,
                margin=cast("common_pb2.MarginMode.ValueType", command.margin),
                hedge=command.hedge,
            )
        case MoveMargin():
            return trading_pb2.MoveMargin(
                account=command.account, asset=command.asset, amount_atoms=command.amount_atoms
            )
        case AdjustBucket():
            return trading_pb2.AdjustBucket(
                account=command.account,
                instrument=command.instrument,
                amount_atoms=command.amount_atoms,
                leg=_leg_of_position(command.leg),
            )
        case _:
            raise TypeError(f"need a command, got {type(command).__name__}")


def _leg(leg: Leg, chosen: int) -> trading_pb2.Leg:
    match leg:
        case PlaceOrder():
            return trading_pb2.Leg(place_order=_place(leg, chosen))
        case CancelOrder():
            return trading_pb2.Leg(cancel_order=_cancel(leg))
        case AmendOrder():
            return trading_pb2.Leg(amend_order=_amend(leg))


def _place(command: PlaceOrder, chosen: int) -> trading_pb2.PlaceOrder:
    return trading_pb2.PlaceOrder.FromString(place_order(command, chosen))


def _cancel(command: CancelOrder) -> trading_pb2.CancelOrder:
    return trading_pb2.CancelOrder(order=command.order, number=command.number, label=command.label)


def _amend(command: AmendOrder) -> trading_pb2.AmendOrder:
    return trading_pb2.AmendOrder(
        order=command.order,
        number=command.number,
        label=command.label,
        size_lots=command.size_lots,
        limit_ticks=command.limit_ticks,
        trigger_ticks=command.trigger_ticks,
        callback_ppm=command.callback_ppm,
        display_lots=command.display_lots,
        expires_ns=command.expires_ns,
        new_label=command.new_label,
    )
