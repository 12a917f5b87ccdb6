"""The whole exchange as canonical bytes, and back.

Canonical means that equal exchanges have equal bytes: whatever has no order of its own is sorted by id, and
what can be recomputed (levels, indexes, held funds' owners) is left out.  Orders stand in the order of their
numbers, which is their time priority.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import ListInstrument
from steelyard.core.entry import AnyReply
from steelyard.core.exchange import Exchange
from steelyard.core.invariants import check_sums
from steelyard.core.ledger import Balance, House
from steelyard.core.matching import Order
from steelyard.core.sessions import Session
from steelyard.core.state import State
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

#: Changes whenever the layout below does.
SCHEMA_VERSION: Final = 2


class SnapshotError(Exception):
    """The bytes are no snapshot that this version can load."""


class _Image(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The layout: plain rows, in the order of the fields below."""

    schema: int
    applied_index: int
    time_ns: int
    digest: bytes
    group: str
    #: in force
    version: int
    #: last_key, last_session, last_number, last_trade
    counters: tuple[int, int, int, int]
    #: asset, symbol, decimals, omnibus, fees, rounding
    assets: list[tuple[AssetId, str, int, int, int, int]]
    instruments: list[tuple[ListInstrument, InstrumentState]]
    #: key, account, public key, permissions, expires_ns, revoked
    keys: list[tuple[KeyId, AccountId, bytes, int, int, bool]]
    #: account, then (asset, free, held) wherever there is something
    accounts: list[tuple[AccountId, list[tuple[AssetId, int, int]]]]
    #: number, account, instrument, order, label, side, price, size, open, pledge per lot
    orders: list[tuple[OrderNumber, AccountId, InstrumentId, OrderId, str, Side, int, int, int, int]]
    #: session, account, name, used_ns, last_request, wants_from, replies
    sessions: list[tuple[SessionId, AccountId, str, int, int, int, list[tuple[int, AnyReply]]]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Image)


def dump(exchange: Exchange) -> bytes:
    """Return the exchange as bytes; ``load`` gives an exchange that goes on from the same place."""
    state = exchange.state
    check_sums(state)
    houses = state.ledger.houses
    return _ENCODER.encode(
        _Image(
            schema=SCHEMA_VERSION,
            applied_index=state.applied_index,
            time_ns=state.time_ns,
            digest=exchange.digest,
            group=state.group,
            version=state.version,
            counters=(state.last_key, state.last_session, state.last_number, state.last_trade),
            assets=[
                (
                    asset.asset,
                    asset.symbol,
                    asset.decimals,
                    houses[asset.asset].omnibus_atoms,
                    houses[asset.asset].fees_atoms,
                    houses[asset.asset].rounding_atoms,
                )
                for _, asset in sorted(state.markets.assets.items())
            ],
            instruments=[
                (instrument.listing, instrument.state)
                for _, instrument in sorted(state.markets.instruments.items())
            ],
            keys=[
                (key.key, key.account, key.public_key, key.permissions, key.expires_ns, key.revoked)
                for _, key in sorted(state.keys.items())
            ],
            accounts=[
                (
                    account.account,
                    [
                        (asset, balance.free_atoms, balance.held_atoms)
                        for asset, balance in sorted(account.balances.items())
                        if balance.free_atoms or balance.held_atoms
                    ],
                )
                for _, account in sorted(state.accounts.items())
            ],
            orders=[
                (
                    order.number,
                    order.account,
                    order.instrument,
                    order.order,
                    order.label,
                    order.side,
                    order.price_ticks,
                    order.size_lots,
                    order.open_lots,
                    order.lot_pledge_atoms,
                )
                for _, order in sorted(state.orders.items())
            ],
            sessions=[
                (
                    session.session,
                    session.account,
                    session.name,
                    session.used_ns,
                    session.last_request,
                    session.wants_from,
                    list(session.replies),
                )
                for _, session in sorted(state.sessions.items())
            ],
        )
    )


def load(body: bytes) -> Exchange:
    """Return the exchange that was dumped.

    Raises ``SnapshotError`` if the bytes are damaged or of another schema version, and ``AssertionError`` if
    they are whole but contradict themselves.
    """
    try:
        image = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"no snapshot of schema {SCHEMA_VERSION}: {error}") from error
    if image.schema != SCHEMA_VERSION:
        raise SnapshotError(f"snapshot schema {image.schema}, expected {SCHEMA_VERSION}")
    if not 0 < image.version <= versions.KNOWN_MAX:
        raise SnapshotError(f"version {image.version} is in force, and this build knows {versions.KNOWN_MAX}")
    state = State()
    state.version = image.version
    state.applied_index = image.applied_index
    state.time_ns = image.time_ns
    state.group = image.group
    state.last_key, state.last_session, state.last_number, state.last_trade = image.counters
    _load_markets(state, image)
    _load_accounts(state, image)
    _load_orders(state, image)
    _load_sessions(state, image)
    check_sums(state)
    return Exchange(state, image.digest)


def state_digest(body: bytes) -> bytes:
    """Return the digest of a dumped exchange, which names its whole state in 16 bytes."""
    return blake2b(body, digest_size=16).digest()


def _load_markets(state: State, image: _Image) -> None:
    for asset, symbol, decimals, omnibus_atoms, fees_atoms, rounding_atoms in image.assets:
        state.markets.list_asset(asset, symbol, decimals)
        state.ledger.houses[asset] = House(asset, omnibus_atoms, fees_atoms, rounding_atoms)
    for listing, instrument_state in image.instruments:
        assert listing.base in state.markets.assets, listing.base
        assert listing.quote in state.markets.assets, listing.quote
        state.markets.list_instrument(listing, instrument_state)


def _load_accounts(state: State, image: _Image) -> None:
    for account_id, balances in image.accounts:
        account = Account(account_id)
        state.accounts[account_id] = account
        for asset, free_atoms, held_atoms in balances:
            assert asset in state.markets.assets, asset
            account.balances[asset] = Balance(free_atoms, held_atoms)
    for key, account_id, public_key, permissions, expires_ns, revoked in image.keys:
        assert account_id in state.accounts, account_id
        state.keys[key] = ApiKey(key, account_id, public_key, permissions, expires_ns, revoked)


def _load_orders(state: State, image: _Image) -> None:
    last_number = 0
    for (
        number,
        account_id,
        instrument_id,
        order_id,
        label,
        side,
        price,
        size,
        open_lots,
        pledge,
    ) in image.orders:
        assert number > last_number, (number, last_number)
        last_number = number
        assert instrument_id in state.markets.instruments, instrument_id
        assert account_id in state.accounts, account_id
        instrument = state.markets.instruments[instrument_id]
        account = state.accounts[account_id]
        base = account.balance(instrument.base)
        quote = account.balance(instrument.quote)
        order = Order(
            account_id,
            instrument_id,
            order_id,
            number,
            label,
            side,
            price,
            size,
            open_lots,
            pledge,
            quote if side == Side.BUY else base,
            base if side == Side.BUY else quote,
        )
        instrument.book.rest(order)
        state.orders[number] = order
        account.orders[order_id] = order
        if label:
            account.labels[label] = order


def _load_sessions(state: State, image: _Image) -> None:
    for session_id, account_id, name, used_ns, last_request, wants_from, replies in image.sessions:
        assert account_id in state.accounts, account_id
        session = Session(session_id, account_id, name, used_ns)
        session.last_request = last_request
        session.wants_from = wants_from
        session.replies.extend(replies)
        state.sessions[session_id] = session
        state.accounts[account_id].sessions[name] = session
