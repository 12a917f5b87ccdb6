"""What can be asked of the state without changing it; every answer is stamped with the index it saw."""

from itertools import islice

import msgspec

from steelyard.core.accounts import Account, ApiKey
from steelyard.core.entry import AnyReply
from steelyard.core.invariants import customers_atoms
from steelyard.core.limits import BOOK_DEPTH_MAX
from steelyard.core.matching import BookSide
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderNumber,
    Permission,
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


def answer(state: State, key: KeyId, query: AnyQuery) -> AnyAnswer | Reject:
    """Answer a question asked with ``key``, or say why not.

    READ is enough for the key's own account and for what is public; everything else needs OPERATE.  Whether
    a key's time has passed is judged by the state's last log time.
    """
    if isinstance(query, GetKey):
        return _key(state, query)
    asking = state.keys.get(key)
    if asking is None:
        return Reject.UNKNOWN_KEY
    if asking.is_over(state.time_ns):
        return Reject.KEY_EXPIRED
    match query:
        case GetBook():
            return _book(state, query)
        case GetMarkets():
            return _markets(state)
        case GetTotals():
            return _totals(state) if asking.permissions & Permission.OPERATE else Reject.NOT_PERMITTED
        case GetSession() | GetBalances() | GetOpenOrders():
            if not _may_read(asking, query.account):
                return Reject.NOT_PERMITTED
            account = state.accounts.get(query.account)
            if account is None:
                return Reject.UNKNOWN_ACCOUNT
            if isinstance(query, GetSession):
                return _session(state, account, query)
            if isinstance(query, GetBalances):
                return _balances(account)
            return _open_orders(state, account, query)


def _may_read(key: ApiKey, account: AccountId) -> bool:
    if key.permissions & Permission.OPERATE:
        return True
    return key.account == account and key.permissions & Permission.READ != 0


def _key(state: State, query: GetKey) -> KeyInfo | Reject:
    key = state.keys.get(query.key)
    if key is None:
        return Reject.UNKNOWN_KEY
    return KeyInfo(key.key, key.account, key.public_key, key.permissions, key.expires_ns, key.revoked)


def _session(state: State, account: Account, query: GetSession) -> SessionInfo | Reject:
    session = account.sessions.get(query.name)
    if session is None:
        return Reject.UNKNOWN_SESSION
    if session.is_expired(state.time_ns):
        return Reject.SESSION_EXPIRED
    unwanted = max(query.replies_from - session.wants_from, 0)
    replies = list(islice(session.replies, min(unwanted, len(session.replies)), None))
    return SessionInfo(session.session, session.last_request, session.wants_from, replies)


def _balances(account: Account) -> Balances:
    return Balances(
        [
            BalanceInfo(asset, balance.free_atoms, balance.held_atoms)
            for asset, balance in sorted(account.balances.items())
            if balance.free_atoms or balance.held_atoms
        ]
    )


def _open_orders(state: State, account: Account, query: GetOpenOrders) -> OpenOrders | Reject:
    if query.instrument != 0 and query.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT
    return OpenOrders(
        [
            OrderInfo(
                order.instrument,
                order.order,
                order.number,
                order.label,
                order.side,
                order.price_ticks,
                order.size_lots,
                order.open_lots,
            )
            for order in sorted(account.orders.values(), key=lambda order: order.number)
            if query.instrument in (0, order.instrument)
        ]
    )


def _book(state: State, query: GetBook) -> Book | Reject:
    if not 0 < query.depth <= BOOK_DEPTH_MAX:
        return Reject.MALFORMED
    instrument = state.markets.instruments.get(query.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    return Book(_levels(instrument.book.bids, query.depth), _levels(instrument.book.asks, query.depth))


def _levels(side: BookSide, depth: int) -> list[tuple[int, int, int]]:
    return [(abs(level.key), level.open_lots, level.count) for level in islice(side.best_first(), depth)]


def _markets(state: State) -> Markets:
    assets = [
        AssetInfo(asset.asset, asset.symbol, asset.decimals)
        for _, asset in sorted(state.markets.assets.items())
    ]
    instruments = [
        InstrumentInfo(
            instrument=instrument.instrument,
            symbol=instrument.symbol,
            base=instrument.base,
            quote=instrument.quote,
            tick_mantissa=instrument.listing.tick_mantissa,
            tick_decimals=instrument.listing.tick_decimals,
            lot_mantissa=instrument.listing.lot_mantissa,
            lot_decimals=instrument.listing.lot_decimals,
            lot_atoms=instrument.lot_atoms,
            tick_lot_atoms=instrument.tick_lot_atoms,
            price_max_ticks=instrument.price_max_ticks,
            size_max_lots=instrument.size_max_lots,
            notional_min_atoms=instrument.notional_min_atoms,
            maker_ppm=instrument.maker_ppm,
            taker_ppm=instrument.taker_ppm,
            market_protection_ppm=instrument.market_protection_ppm,
            state=instrument.state,
        )
        for _, instrument in sorted(state.markets.instruments.items())
    ]
    return Markets(assets, instruments)


def _totals(state: State) -> Totals:
    totals: list[AssetTotal] = []
    of_customers = customers_atoms(state)
    for asset, house in sorted(state.ledger.houses.items()):
        customers = of_customers[asset]
        totals.append(
            AssetTotal(
                asset=asset,
                customers_atoms=customers,
                omnibus_atoms=house.omnibus_atoms,
                fees_atoms=house.fees_atoms,
                rounding_atoms=house.rounding_atoms,
                sum_atoms=customers + house.omnibus_atoms + house.fees_atoms + house.rounding_atoms,
            )
        )
    return Totals(totals)
