"""The life of an order: accepted, then traded, then rested, filled, cancelled or expired."""

from steelyard.core.commands.terms import OrderTerms
from steelyard.core.events.base import Event
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    ListKind,
    ListNumber,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TradeId,
)


# Not keyword-only, for nearly every command says it: matching keywords is a fifth of making one.
class OrderAccepted(Event, frozen=True, tag=30):
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


# Not keyword-only, for nearly every command says it: matching keywords is a fifth of making one.
class OrderRested(Event, frozen=True, tag=33):
    """The unfilled part of an order joined the book."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    side: Side
    price_ticks: int
    open_lots: int


# Not keyword-only, for nearly every command says it: matching keywords is a fifth of making one.
class OrderCancelled(Event, frozen=True, tag=34):
    """An order left the book with ``open_lots`` untraded, by wish or because its instrument closed."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    open_lots: int


class OrderExpired(Event, frozen=True, kw_only=True, tag=35):
    """What is left of an order is gone, not by its owner's wish.

    ``reason`` is NO_LIQUIDITY when an IOC, FOK or market order found nothing (more) within its limit; the
    others are named in ``Reject``.
    """

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    open_lots: int
    reason: Reject


class OrderTermsSet(Event, frozen=True, kw_only=True, tag=40):
    """Follows ``OrderAccepted`` of an order with terms of its own: what they are, and whether it waits."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    state: OrderState
    list_number: ListNumber
    terms: OrderTerms


class OrderTriggered(Event, frozen=True, kw_only=True, tag=41):
    """A waiting order's price was reached; it is admitted with this entry's work or a later one's."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    source: PriceSource
    price_ticks: int


class TrailingActivated(Event, frozen=True, kw_only=True, tag=42):
    """A trailing order has begun to follow the price, from ``price_ticks`` on."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    price_ticks: int


class OrderReplenished(Event, frozen=True, kw_only=True, tag=43):
    """An iceberg shows its next slice at the back of the queue, under a new number."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    before: OrderNumber
    number: OrderNumber
    side: Side
    price_ticks: int
    shown_lots: int
    open_lots: int


class TradePrevented(Event, frozen=True, kw_only=True, tag=44):
    """A taker met an order of its own side of the house, and did not trade with it.

    ``maker_lots`` and ``taker_lots`` count as prevented; ``open`` is what each has left.
    """

    instrument: InstrumentId
    mode: SelfTrade
    maker: AccountId
    maker_order: OrderId
    maker_number: OrderNumber
    taker: AccountId
    taker_order: OrderId
    taker_number: OrderNumber
    price_ticks: int
    maker_lots: int
    taker_lots: int
    maker_open_lots: int
    taker_open_lots: int


class LotsTransferred(Event, frozen=True, kw_only=True, tag=45):
    """Follows ``TradePrevented`` of mode TRANSFER: base and quote changed hands; no fee, not on the tape."""

    instrument: InstrumentId
    buyer: AccountId
    seller: AccountId
    price_ticks: int
    size_lots: int
    notional_atoms: int


class OrderReduced(Event, frozen=True, kw_only=True, tag=46):
    """A resting order has fewer open lots and keeps its place; the price is unchanged."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    size_lots: int
    open_lots: int


class OrderReplaced(Event, frozen=True, kw_only=True, tag=47):
    """An amended order lost its place: what it is now; ``OrderRested`` follows if it rests."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    before: OrderNumber
    number: OrderNumber
    limit_ticks: int
    size_lots: int
    open_lots: int


class OrderAmended(Event, frozen=True, kw_only=True, tag=48):
    """An order's label or uncommon terms changed and its place, if it is in the book, did not."""

    account: AccountId
    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    label: str
    terms: OrderTerms


class OrderListAccepted(Event, frozen=True, kw_only=True, tag=49):
    """Orders were taken that depend on each other; each one's own events follow."""

    account: AccountId
    instrument: InstrumentId
    list_number: ListNumber
    kind: ListKind
    orders: list[OrderId]


class CountdownArmed(Event, frozen=True, kw_only=True, tag=50):
    """The account's orders will be cancelled when log time reaches ``due_ns``; zero: they will not."""

    account: AccountId
    instrument: InstrumentId
    due_ns: int


class CountdownFired(Event, frozen=True, kw_only=True, tag=51):
    """A countdown ran out; ``OrderExpired`` of each of its orders follows."""

    account: AccountId
    instrument: InstrumentId


class OrdersSwept(Event, frozen=True, kw_only=True, tag=52):
    """An account cancelled many orders at once; ``OrderCancelled`` of each follows."""

    account: AccountId
    count: int


class ReferralEarned(Event, frozen=True, kw_only=True, tag=53):
    """Follows ``Traded``: of the fee that ``account`` paid, FEES gave a share to REFERRAL."""

    trade: TradeId
    account: AccountId
    referrer: AccountId
    asset: AssetId
    amount_atoms: int
