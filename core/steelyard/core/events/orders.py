"""The life of an order: accepted, then traded, then rested, filled, cancelled or expired."""

from steelyard.core.events.base import Event
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
    TradeId,
)


class OrderAccepted(Event, frozen=True, kw_only=True, tag=30):
    """An order passed every check; ``limit_ticks`` of a market order is its protection price."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    limit_ticks: int
    size_lots: int
    label: str


# Not keyword-only: a call with more than 15 keywords makes CPython build a dict, which takes far longer.
class Traded(Event, frozen=True, tag=31):
    """A taker met a maker, at the maker's price.

    Postings: the seller gives ``size_lots * lot_atoms`` of the base to the buyer, the buyer gives
    ``notional_atoms`` of the quote to the seller, and each gives its fee to FEES (a negative fee is a
    rebate that FEES gives).
    """

    trade: TradeId
    instrument: InstrumentId
    maker: AccountId
    maker_order: OrderId
    maker_number: OrderNumber
    taker: AccountId
    taker_order: OrderId
    taker_number: OrderNumber
    taker_side: Side
    price_ticks: int
    size_lots: int
    notional_atoms: int
    maker_fee_atoms: int
    taker_fee_atoms: int
    maker_open_lots: int
    taker_open_lots: int


class OrderFilled(Event, frozen=True, kw_only=True, tag=32):
    """An order has traded all it wanted and is gone."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber


class OrderRested(Event, frozen=True, kw_only=True, tag=33):
    """The unfilled part of an order joined the book."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    side: Side
    price_ticks: int
    open_lots: int


class OrderCancelled(Event, frozen=True, kw_only=True, tag=34):
    """An order left the book with ``open_lots`` untraded, by wish or because its instrument closed."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    open_lots: int


class OrderExpired(Event, frozen=True, kw_only=True, tag=35):
    """What an IOC, FOK or market order could not trade at once is gone.

    ``reason`` is NO_LIQUIDITY when the book had nothing (more) within the limit.
    """

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    open_lots: int
    reason: Reject
