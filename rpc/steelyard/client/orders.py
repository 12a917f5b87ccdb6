"""Orders in decimals to orders in the exchange's integers."""

from decimal import Decimal

from steelyard.client.errors import OrderRejected
from steelyard.client.model import (
    CancelOrder,
    Instrument,
    OrderKind,
    Placed,
    PlaceOrder,
    Refused,
    Reply,
    Side,
    TimeInForce,
)


def place_command(
    instrument: Instrument,
    side: Side,
    *,
    size: Decimal | int | None = None,
    size_lots: int | None = None,
    limit: Decimal | int | None = None,
    limit_ticks: int | None = None,
    market: bool = False,
    time_in_force: TimeInForce | None = None,
    post_only: bool = False,
    order: int | None = None,
    label: str = "",
    not_after_ns: int = 0,
) -> PlaceOrder:
    """Return the order in the exchange's integers; see ``Session.place``."""
    if (size is None) == (size_lots is None):
        raise TypeError("give the size once: size= or size_lots=")
    if market:
        if limit is not None or limit_ticks is not None:
            raise TypeError("a market order has no limit")
    elif (limit is None) == (limit_ticks is None):
        raise TypeError("give the price once: limit= or limit_ticks=, or market=True")
    if size is not None:
        size_lots = instrument.lots(size)
    if limit is not None:
        limit_ticks = instrument.ticks(limit)
    default = TimeInForce.IOC if market else TimeInForce.GTC
    return PlaceOrder(
        instrument=instrument.instrument,
        side=Side(side),
        size_lots=_integer(size_lots),
        limit_ticks=0 if market else _integer(limit_ticks),
        order=0 if order is None else order,
        kind=OrderKind.MARKET if market else OrderKind.LIMIT,
        time_in_force=default if time_in_force is None else time_in_force,
        post_only=post_only,
        label=label,
        not_after_ns=not_after_ns,
    )


def cancel_command(order: "Placed | int | None", *, number: int = 0, label: str = "") -> CancelOrder:
    """Return the cancel of an order; see ``Session.cancel``."""
    if isinstance(order, Placed):
        return CancelOrder(number=order.number)
    return CancelOrder(order=order or 0, number=number, label=label)


def rejected(reply: Reply) -> OrderRejected:
    """Return the error for a reply that is not what was hoped for."""
    if isinstance(reply, Refused):
        return OrderRejected(reply.reason, reply.expected, reply.log_index)
    return OrderRejected(f"unexpected {type(reply).__name__}", 0, reply.log_index)


def _integer(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"need an int, got {type(number).__name__}")
    return number
