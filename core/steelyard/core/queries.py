"""What can be asked of the state without changing it; every answer is stamped with the index it saw."""

import msgspec

from steelyard.core.entry import AnyReply
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderNumber,
    SessionId,
    Side,
)


class Query(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Base of all questions."""


class GetKey(Query, frozen=True, kw_only=True, tag=1):
    """What a key may do.  The one question that needs no key itself: the door asks it to verify one."""

    key: KeyId


class GetSession(Query, frozen=True, kw_only=True, tag=2):
    """Where the account's session of that name stands, and its replies from ``replies_from`` on."""

    account: AccountId
    name: str
    replies_from: int = 1


class GetBalances(Query, frozen=True, kw_only=True, tag=3):
    """What an account owns, by asset."""

    account: AccountId


class GetOpenOrders(Query, frozen=True, kw_only=True, tag=4):
    """An account's resting orders, by number; of one instrument, or of all (zero)."""

    account: AccountId
    instrument: InstrumentId = InstrumentId(0)


class GetBook(Query, frozen=True, kw_only=True, tag=5):
    """The best ``depth`` levels of both sides, best first.  Public: any key may ask."""

    instrument: InstrumentId
    depth: int


class GetMarkets(Query, frozen=True, kw_only=True, tag=6):
    """Every asset and every instrument.  Public: any key may ask."""


class GetTotals(Query, frozen=True, kw_only=True, tag=7):
    """Per asset: what customers have, what the house has, and that it all sums to zero.  For operators."""


class KeyInfo(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A key's row in the state."""

    key: KeyId
    account: AccountId
    public_key: bytes
    permissions: int
    expires_ns: int
    revoked: bool


class SessionInfo(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """A session and the replies it still keeps, as (log index, reply), oldest first."""

    session: SessionId
    last_request: int
    wants_from: int
    replies: list[tuple[int, AnyReply]]


class BalanceInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an account has of one asset."""

    asset: AssetId
    free_atoms: int
    held_atoms: int


class Balances(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """An account's balances, by asset id."""

    balances: list[BalanceInfo]


class OrderInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A resting order."""

    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    label: str
    side: Side
    price_ticks: int
    size_lots: int
    open_lots: int


class OpenOrders(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """An account's resting orders, by number."""

    orders: list[OrderInfo]


class Book(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Both sides of a book as (ticks, lots, orders), best first."""

    bids: list[tuple[int, int, int]]
    asks: list[tuple[int, int, int]]


class AssetInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A listed asset."""

    asset: AssetId
    symbol: str
    decimals: int


class InstrumentInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A listed instrument: its scales, bounds, fees and state, as in ``ListInstrument``."""

    instrument: InstrumentId
    symbol: str
    base: AssetId
    quote: AssetId
    tick_mantissa: int
    tick_decimals: int
    lot_mantissa: int
    lot_decimals: int
    lot_atoms: int
    tick_lot_atoms: int
    price_max_ticks: int
    size_max_lots: int
    notional_min_atoms: int
    maker_ppm: int
    taker_ppm: int
    market_protection_ppm: int
    state: InstrumentState


class Markets(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Everything listed, by id."""

    assets: list[AssetInfo]
    instruments: list[InstrumentInfo]


class AssetTotal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where all the atoms of one asset are; ``sum_atoms`` must be zero."""

    asset: AssetId
    customers_atoms: int
    omnibus_atoms: int
    fees_atoms: int
    rounding_atoms: int
    sum_atoms: int


class Totals(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The conservation of money, by asset id."""

    totals: list[AssetTotal]


AnyQuery = GetKey | GetSession | GetBalances | GetOpenOrders | GetBook | GetMarkets | GetTotals
AnyAnswer = KeyInfo | SessionInfo | Balances | OpenOrders | Book | Markets | Totals
