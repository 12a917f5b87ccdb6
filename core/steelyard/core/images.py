"""The layouts of a snapshot: plain rows, in the order of the fields below.

Schema 2 is that of version 1.  Schema 3, from version 2 on, is the same with more behind it: what only an
uncommon account, order or instrument has stands in tables of its own, so that a common one costs as before.
Schema 4, from version 3 on, has the tables of contracts behind that (``contract_images``).
"""

import msgspec

from steelyard.core.accounts import Account, Hold, Rules
from steelyard.core.commands import ListContract, ListInstrument, OrderTerms, SetInstrumentRules
from steelyard.core.entry import AnyReply
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order, Special
from steelyard.core.units import (
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    InstrumentState,
    KeyId,
    ListKind,
    ListNumber,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    SelfTrade,
    SessionId,
    Side,
    TimeInForce,
)


class FirstImage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Schema 2: everything that version 1 has."""

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
    #: contracts from version 3 on
    instruments: list[tuple[ListInstrument | ListContract, InstrumentState]]
    #: key, account, public key, permissions, expires_ns, revoked
    keys: list[tuple[KeyId, AccountId, bytes, int, int, bool]]
    #: account, then (asset, free, held) wherever there is something
    accounts: list[tuple[AccountId, list[tuple[AssetId, int, int]]]]
    #: number, account, instrument, order, label, side, price, size, open, pledge per lot
    orders: list[tuple[OrderNumber, AccountId, InstrumentId, OrderId, str, Side, int, int, int, int]]
    #: session, account, name, used_ns, last_request, wants_from, replies
    sessions: list[tuple[SessionId, AccountId, str, int, int, int, list[tuple[int, AnyReply]]]]


class RulesRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An uncommon account's rules; the lists are sorted by their first field, sub-accounts by opening."""

    account: AccountId
    master: AccountId
    sub_accounts: list[AccountId]
    permissions: int
    trade_group: int
    self_trade: SelfTrade | None
    orders_max: int
    #: instrument, size_max_lots, notional_max_atoms
    order_limits: list[tuple[InstrumentId, int, int]]
    frozen: bool
    legal_hold: bool
    #: hold, asset, amount, legal
    holds: list[tuple[HoldId, AssetId, int, bool]]
    tier: int
    referrer: AccountId
    share_ppm: int
    #: asset, amount
    owed: list[tuple[AssetId, int]]


class SpecialRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an uncommon order keeps beside the common fields."""

    number: OrderNumber
    terms: OrderTerms
    kind: OrderKind
    time_in_force: TimeInForce
    cap_ppm: int
    state: OrderState
    list_number: ListNumber
    shown_lots: int
    prevented_lots: int
    budget_atoms: int
    extreme_ticks: int


class MarketRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an instrument stands beside its state and its book."""

    instrument: InstrumentId
    rules: SetInstrumentRules | None
    last_ticks: int
    mark_ticks: int
    anchor_ticks: int
    anchor_ns: int
    next_state: InstrumentState | None
    next_ns: int
    uncross_ticks: int


class Image(FirstImage, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Schema 3: schema 2 first, then what came with version 2."""

    #: asset, REFERRAL's atoms, wherever there are any
    referral: list[tuple[AssetId, int]]
    markets: list[MarketRow]
    #: account, the ids of its last closed orders, oldest first
    recent: list[tuple[AccountId, list[OrderId]]]
    rules: list[RulesRow]
    post_only: list[OrderNumber]
    specials: list[SpecialRow]
    #: number, account, instrument, kind, legs, holder
    lists: list[tuple[ListNumber, AccountId, InstrumentId, ListKind, list[OrderNumber], OrderNumber]]
    #: tier, instrument, maker_ppm, taker_ppm
    tiers: list[tuple[int, InstrumentId, int, int]]
    #: account, instrument, due_ns
    countdowns: list[tuple[AccountId, InstrumentId, int]]
    #: triggered orders in the order of their turn
    work: list[OrderNumber]


def rules_row(account: Account, rules: Rules) -> RulesRow:
    """Return an account's rules as a row."""
    return RulesRow(
        account.account,
        rules.master,
        list(rules.sub_accounts),
        rules.permissions,
        rules.trade_group,
        rules.self_trade,
        rules.orders_max,
        [(instrument, *limit) for instrument, limit in sorted(rules.order_limits.items())],
        rules.frozen,
        rules.legal_hold,
        [(hold.hold, hold.asset, hold.amount_atoms, hold.legal) for _, hold in sorted(rules.holds.items())],
        rules.tier,
        rules.referrer,
        rules.share_ppm,
        sorted(rules.owed.items()),
    )


def rules_of(row: RulesRow) -> Rules:
    """Return the rules that a row holds."""
    rules = Rules()
    rules.master = row.master
    rules.sub_accounts = list(row.sub_accounts)
    rules.permissions = row.permissions
    rules.trade_group = row.trade_group
    rules.self_trade = row.self_trade
    rules.orders_max = row.orders_max
    rules.order_limits = {instrument: (lots, atoms) for instrument, lots, atoms in row.order_limits}
    rules.frozen = row.frozen
    rules.legal_hold = row.legal_hold
    rules.holds = {hold: Hold(hold, asset, atoms, legal) for hold, asset, atoms, legal in row.holds}
    rules.tier = row.tier
    rules.referrer = row.referrer
    rules.share_ppm = row.share_ppm
    rules.owed = dict(row.owed)
    return rules


def special_row(order: Order, special: Special) -> SpecialRow:
    """Return what an uncommon order keeps as a row."""
    return SpecialRow(
        order.number,
        special.terms,
        special.kind,
        special.time_in_force,
        special.cap_ppm,
        special.state,
        special.list_number,
        special.shown_lots,
        special.prevented_lots,
        special.budget_atoms,
        special.extreme_ticks,
    )


def special_of(row: SpecialRow) -> Special:
    """Return what a row says of an uncommon order."""
    special = Special(row.terms, row.kind, row.time_in_force, row.cap_ppm, row.state)
    special.list_number = row.list_number
    special.shown_lots = row.shown_lots
    special.prevented_lots = row.prevented_lots
    special.budget_atoms = row.budget_atoms
    special.extreme_ticks = row.extreme_ticks
    return special


def market_row(instrument: Instrument) -> MarketRow:
    """Return where an instrument stands as a row."""
    return MarketRow(
        instrument.instrument,
        instrument.rules,
        instrument.last_ticks,
        instrument.mark_ticks,
        instrument.anchor_ticks,
        instrument.anchor_ns,
        instrument.next_state,
        instrument.next_ns,
        instrument.uncross_ticks,
    )


def restore_market(instrument: Instrument, row: MarketRow) -> None:
    """Let an instrument stand where a row says; the registry begins its auction's trades."""
    instrument.rules = row.rules
    instrument.last_ticks = row.last_ticks
    instrument.mark_ticks = row.mark_ticks
    instrument.anchor_ticks = row.anchor_ticks
    instrument.anchor_ns = row.anchor_ns
    instrument.next_state = row.next_state
    instrument.next_ns = row.next_ns
