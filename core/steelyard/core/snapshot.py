"""The whole exchange as canonical bytes, and back.

Canonical means that equal exchanges have equal bytes: whatever has no order of its own is sorted by id, and
what can be recomputed (levels, indexes, counts, timers, held funds' owners) is left out.  Orders stand in the
order of their numbers, which is their time priority.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import ListContract
from steelyard.core.contract_images import (
    ContractImage,
    contract_tables,
    restore_contracts,
    restore_indices,
    restore_leg,
    restore_working,
)
from steelyard.core.exchange import Exchange
from steelyard.core.images import (
    FirstImage,
    Image,
    market_row,
    restore_market,
    rules_of,
    rules_row,
    special_of,
    special_row,
)
from steelyard.core.invariants import check_sums
from steelyard.core.ledger import Balance, House
from steelyard.core.lists import OrderList
from steelyard.core.matching import NO_BALANCE, Order, Special
from steelyard.core.sessions import Session
from steelyard.core.state import State
from steelyard.core.timing import recompute_turns, urgent_timers
from steelyard.core.units import OrderNumber, OrderState, Side

FIRST_SCHEMA: Final = 2
SPOT_SCHEMA: Final = 3
#: Changes whenever a layout does.
SCHEMA_VERSION: Final = 4
#: What this build can load.
SCHEMAS: Final = (FIRST_SCHEMA, SPOT_SCHEMA, SCHEMA_VERSION)


class SnapshotError(Exception):
    """The bytes are no snapshot that this version can load."""


class _Header(msgspec.Struct, frozen=True, array_like=True):
    schema: int


_ENCODER: Final = msgspec.msgpack.Encoder()
_HEADER_DECODER: Final = msgspec.msgpack.Decoder(_Header)
_FIRST_DECODER: Final = msgspec.msgpack.Decoder(FirstImage)
_SPOT_DECODER: Final = msgspec.msgpack.Decoder(Image)
_DECODER: Final = msgspec.msgpack.Decoder(ContractImage)


def schema_of(version: int) -> int:
    """Return the schema in which an exchange is dumped while ``version`` is in force."""
    if version >= versions.DERIVATIVES:
        return SCHEMA_VERSION
    return SPOT_SCHEMA if version == versions.SPOT_COMPLETE else FIRST_SCHEMA


def dump(exchange: Exchange) -> bytes:
    """Return the exchange as bytes; ``load`` gives an exchange that goes on from the same place."""
    check_sums(exchange.state)
    schema = schema_of(exchange.state.version)
    fields = _common_fields(exchange)
    if schema == FIRST_SCHEMA:
        return _ENCODER.encode(FirstImage(**fields))
    fields |= _spot_tables(exchange.state)
    if schema == SPOT_SCHEMA:
        return _ENCODER.encode(Image(**fields))
    return _ENCODER.encode(ContractImage(**fields, **contract_tables(exchange.state)))


def load(body: bytes) -> Exchange:
    """Return the exchange that was dumped.

    Raises ``SnapshotError`` if the bytes are damaged or of another schema version, and ``AssertionError`` if
    they are whole but contradict themselves.
    """
    image = _decode(body)
    if not 0 < image.version <= versions.KNOWN_MAX:
        raise SnapshotError(f"version {image.version} is in force, and this build knows {versions.KNOWN_MAX}")
    assert image.schema == schema_of(image.version), (image.schema, image.version)
    state = State()
    state.version = image.version
    state.applied_index = image.applied_index
    state.time_ns = image.time_ns
    state.group = image.group
    state.last_key, state.last_session, state.last_number, state.last_trade = image.counters
    if isinstance(image, ContractImage):
        restore_indices(state, image)
    _load_markets(state, image)
    _load_accounts(state, image)
    if isinstance(image, ContractImage):
        restore_contracts(state, image)
    if isinstance(image, Image):
        _load_rules(state, image)
        _load_orders(state, image, _specials(image))
        _load_waiting(state, image)
    else:
        _load_orders(state, image, {})
    _load_sessions(state, image)
    check_sums(state)
    return Exchange(state, image.digest)


def state_digest(body: bytes) -> bytes:
    """Return the digest of a dumped exchange, which names its whole state in 16 bytes."""
    return blake2b(body, digest_size=16).digest()


def _decode(body: bytes) -> FirstImage:
    try:
        schema = _HEADER_DECODER.decode(body).schema
        if schema == FIRST_SCHEMA:
            return _FIRST_DECODER.decode(body)
        if schema == SPOT_SCHEMA:
            return _SPOT_DECODER.decode(body)
        if schema == SCHEMA_VERSION:
            return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"no snapshot of the schemas {SCHEMAS}: {error}") from error
    raise SnapshotError(f"snapshot schema {schema}, and this build reads {SCHEMAS}")


def _common_fields(exchange: Exchange) -> dict[str, Any]:
    """Return the fields of ``FirstImage``, with which an ``Image`` begins."""
    state = exchange.state
    houses = state.ledger.houses
    return {
        "schema": schema_of(state.version),
        "applied_index": state.applied_index,
        "time_ns": state.time_ns,
        "digest": exchange.digest,
        "group": state.group,
        "version": state.version,
        "counters": (state.last_key, state.last_session, state.last_number, state.last_trade),
        "assets": [
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
        "instruments": [
            (instrument.listing, instrument.state)
            for _, instrument in sorted(state.markets.instruments.items())
        ],
        "keys": [
            (key.key, key.account, key.public_key, key.permissions, key.expires_ns, key.revoked)
            for _, key in sorted(state.keys.items())
        ],
        "accounts": [
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
        "orders": [
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
        "sessions": [
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
    }


def _spot_tables(state: State) -> dict[str, Any]:
    """Return the fields that ``Image`` has and ``FirstImage`` has not."""
    orders = state.orders.values()
    accounts = sorted(state.accounts.items())
    return {
        "referral": [
            (asset, house.referral_atoms)
            for asset, house in sorted(state.ledger.houses.items())
            if house.referral_atoms
        ],
        "markets": [market_row(instrument) for _, instrument in sorted(state.markets.instruments.items())],
        "recent": [(account_id, list(account.recent)) for account_id, account in accounts if account.recent],
        "rules": [rules_row(account, account.rules) for _, account in accounts if account.rules is not None],
        "post_only": sorted(order.number for order in orders if order.post_only),
        "specials": sorted(
            (special_row(order, order.special) for order in orders if order.special is not None),
            key=lambda row: row.number,
        ),
        "lists": [
            (each.number, each.account, each.instrument, each.kind, list(each.legs), each.holder)
            for _, each in sorted(state.lists.items())
        ],
        "tiers": [
            (tier, instrument, maker_ppm, taker_ppm)
            for (tier, instrument), (maker_ppm, taker_ppm) in sorted(state.tiers.items())
        ],
        "countdowns": [
            (account, instrument, due_ns)
            for (account, instrument), due_ns in sorted(state.countdowns.items())
        ],
        "work": list(state.work),
    }


def _load_markets(state: State, image: FirstImage) -> None:
    for asset, symbol, decimals, omnibus_atoms, fees_atoms, rounding_atoms in image.assets:
        state.markets.list_asset(asset, symbol, decimals)
        state.ledger.houses[asset] = House(asset, omnibus_atoms, fees_atoms, rounding_atoms)
    for listing, instrument_state in image.instruments:
        assert listing.base in state.markets.assets, listing.base
        assert listing.quote in state.markets.assets, listing.quote
        if isinstance(listing, ListContract):
            assert isinstance(image, ContractImage), listing.instrument
            assert listing.index in state.markets.indices, listing.index
            assert listing.tick_mantissa > 0, listing.instrument
        state.markets.list_instrument(listing, instrument_state)


def _load_accounts(state: State, image: FirstImage) -> None:
    for account_id, balances in image.accounts:
        account = Account(account_id)
        state.accounts[account_id] = account
        for asset, free_atoms, held_atoms in balances:
            assert asset in state.markets.assets, asset
            account.balances[asset] = Balance(free_atoms, held_atoms)
    for key, account_id, public_key, permissions, expires_ns, revoked in image.keys:
        assert account_id in state.accounts, account_id
        state.keys[key] = ApiKey(key, account_id, public_key, permissions, expires_ns, revoked)


def _load_rules(state: State, image: Image) -> None:
    """Load what has no room in schema 2 and does not hang on orders."""
    for asset, referral_atoms in image.referral:
        assert asset in state.ledger.houses, asset
        state.ledger.houses[asset].referral_atoms = referral_atoms
    standing = [row.instrument for row in image.markets]
    assert standing == [listing.instrument for listing, _ in image.instruments], standing
    for row in image.markets:
        instrument = state.markets.instruments[row.instrument]
        restore_market(instrument, row)
        if row.uncross_ticks != 0:
            state.markets.begin_uncrossing(instrument, row.uncross_ticks)
        if row.rules is not None and row.rules.orders_max > 0:
            instrument.counts = {}
    for account_id, orders in image.recent:
        assert account_id in state.accounts, account_id
        state.accounts[account_id].recent = dict.fromkeys(orders)
    for rules in image.rules:
        assert rules.account in state.accounts, rules.account
        state.accounts[rules.account].rules = rules_of(rules)
    state.tiers = {(tier, instrument): (maker, taker) for tier, instrument, maker, taker in image.tiers}
    state.countdowns = {(account, instrument): due_ns for account, instrument, due_ns in image.countdowns}


def _specials(image: Image) -> dict[OrderNumber, Special]:
    """Return what uncommon orders keep, by their numbers."""
    specials = {row.number: special_of(row) for row in image.specials}
    if isinstance(image, ContractImage):
        for number, leg, reduce_only, close_position in image.legs:
            assert number in specials, number
            special = specials[number]
            special.leg, special.reduce_only, special.close_position = leg, reduce_only, close_position
    return specials


def _load_orders(state: State, image: FirstImage, specials: dict[OrderNumber, Special]) -> None:
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
        if instrument.contract is None:
            base, quote = account.balance(instrument.base), account.balance(instrument.quote)
        else:
            base = quote = NO_BALANCE
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
        special = order.special = specials.get(number)
        restore_leg(state, order)
        state.add_order(order)
        if special is None or special.state == OrderState.WORKING:
            instrument.book.rest(order)
            restore_working(order)


def _load_waiting(state: State, image: Image) -> None:
    """Load what hangs on orders that are there, and everything that can be recomputed from them."""
    for number in image.post_only:
        assert number in state.orders, number
        state.orders[number].post_only = True
    for list_number, account, instrument_id, kind, legs, holder in image.lists:
        loaded = OrderList(list_number, account, instrument_id, kind)
        loaded.legs = list(legs)
        loaded.holder = holder
        state.lists[list_number] = loaded
    assert all(number in state.orders for number in image.work), image.work
    state.work.refill(state.orders[number] for number in image.work)
    expiries: list[tuple[int, OrderNumber]] = []
    for row in image.specials:
        assert row.number in state.orders, row.number
        order = state.orders[row.number]
        if row.state == OrderState.WAITING and order not in state.work:
            state.markets.instruments[order.instrument].triggers.add(order)
        if row.terms.expires_ns != 0:
            expiries.append((row.terms.expires_ns, row.number))
    state.timers.refill(urgent_timers(state), expiries)
    recompute_turns(state)


def _load_sessions(state: State, image: FirstImage) -> None:
    for session_id, account_id, name, used_ns, last_request, wants_from, replies in image.sessions:
        assert account_id in state.accounts, account_id
        session = Session(session_id, account_id, name, used_ns)
        session.last_request = last_request
        session.wants_from = wants_from
        session.replies.extend(replies)
        state.sessions[session_id] = session
        state.accounts[account_id].sessions[name] = session
