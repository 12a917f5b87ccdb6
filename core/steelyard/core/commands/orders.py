"""Orders in and out of the book."""

from steelyard.core.commands.base import Command
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)


class PlaceOrder(Command, frozen=True, kw_only=True, tag=30):
    """Place an order: match what crosses, rest or expire the remainder.

    ``order`` is chosen by the client and unique among the account's living orders; ``label`` is a free
    text with the same rule, or empty.  A market order has no limit (zero): it trades up to
    ``market_protection_ppm`` beyond the best opposite price and expires the rest, as IOC or FOK.
    """

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    side: Side
    size_lots: int
    limit_ticks: int = 0
    kind: OrderKind = OrderKind.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    label: str = ""


class CancelOrder(Command, frozen=True, kw_only=True, tag=31):
    """Cancel what is left of a resting order, named in exactly one way.

    Either by the client's ``order``, by the exchange's ``number``, or by ``label``; the others are zero
    or empty.
    """

    account: AccountId
    order: OrderId = OrderId(0)
    number: OrderNumber = OrderNumber(0)
    label: str = ""
