"""Orders in and out of the book, one by one, and all that are there."""

from steelyard.core.commands.base import Command
from steelyard.core.commands.terms import NO_TERMS, OrderTerms
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


class PlaceOrderOnTerms(PlaceOrder, frozen=True, kw_only=True, tag=32):
    """Place an order that says more than the common one; see ``OrderTerms`` for what."""

    terms: OrderTerms = NO_TERMS


class AmendOrder(Command, frozen=True, kw_only=True, tag=34):
    """Change a living order, named in exactly one way as in ``CancelOrder``.

    A field that is zero (``label``: None) stays as it is.  ``size_lots`` is the new total, what has been
    executed and prevented included: a total that is not above those ends the order.  Size down at the
    same price keeps the place in the queue; size up or another price loses it and may trade at once.
    ``expires_ns`` of -1 makes a good-till-date order good till cancelled.
    """

    account: AccountId
    order: OrderId = OrderId(0)
    number: OrderNumber = OrderNumber(0)
    label: str = ""
    size_lots: int = 0
    limit_ticks: int = 0
    trigger_ticks: int = 0
    callback_ppm: int = 0
    display_lots: int = 0
    expires_ns: int = 0
    new_label: str | None = None


class CancelOrders(Command, frozen=True, kw_only=True, tag=37):
    """Cancel all of an account's living orders: of one instrument or side, or of all (zero), oldest first.

    ``sub_accounts``: those of a master's sub-accounts as well.  Needs no session: twice does no harm.
    """

    account: AccountId
    instrument: InstrumentId = InstrumentId(0)
    side: Side | None = None
    sub_accounts: bool = False


class ArmCountdown(Command, frozen=True, kw_only=True, tag=38):
    """Cancel the account's orders (of one instrument, or of all: zero) unless armed again in time.

    ``countdown_ns`` counts in log time from this entry; zero disarms.  Needs no session.
    """

    account: AccountId
    countdown_ns: int
    instrument: InstrumentId = InstrumentId(0)
