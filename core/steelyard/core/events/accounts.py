"""Groups, keys, accounts and sessions."""

from steelyard.core.events.base import Event
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, InstrumentId, KeyId, SelfTrade, SessionId


class GroupFounded(Event, frozen=True, kw_only=True, tag=1):
    """The group has its id and its operator's key."""

    group: str
    operator_key: KeyId


class ApiKeyCreated(Event, frozen=True, kw_only=True, tag=2):
    """A key may act for an account."""

    key: KeyId
    account: AccountId
    permissions: int


class ApiKeyRevoked(Event, frozen=True, kw_only=True, tag=3):
    """A key may do nothing any more."""

    key: KeyId


class AccountOpened(Event, frozen=True, kw_only=True, tag=4):
    """An account now exists."""

    account: AccountId


class SessionOpened(Event, frozen=True, kw_only=True, tag=5):
    """A session now exists, or was found; ``last_request`` is the last number it has executed."""

    account: AccountId
    session: SessionId
    last_request: int


class RequestSkipped(Event, frozen=True, kw_only=True, tag=6):
    """A request number was used up and nothing else happened."""

    session: SessionId
    request: int
    reason: Reject


class VersionActivated(Event, frozen=True, kw_only=True, tag=7):
    """From the next request on, the group does what this version does."""

    version: int


class SubAccountOpened(Event, frozen=True, kw_only=True, tag=60):
    """An account now exists that belongs to a master."""

    master: AccountId
    account: AccountId
    permissions: int


class AccountRulesSet(Event, frozen=True, kw_only=True, tag=61):
    """An account has these rules now."""

    account: AccountId
    trade_group: int
    permissions: int
    orders_max: int


class OrderLimitSet(Event, frozen=True, kw_only=True, tag=62):
    """An account's single orders in an instrument are bounded; zero is no bound."""

    account: AccountId
    instrument: InstrumentId
    size_max_lots: int
    notional_max_atoms: int


class SelfTradeSet(Event, frozen=True, kw_only=True, tag=63):
    """An account has another default for self-trade prevention."""

    account: AccountId
    mode: SelfTrade | None


class AccountFrozen(Event, frozen=True, kw_only=True, tag=64):
    """An account was frozen, or is no longer."""

    account: AccountId
    frozen: bool


class LegalHoldSet(Event, frozen=True, kw_only=True, tag=65):
    """An account was put under legal hold, or is no longer."""

    account: AccountId
    on: bool


class FeeTierSet(Event, frozen=True, kw_only=True, tag=66):
    """A tier has these rates in an instrument, or in all others (zero)."""

    tier: int
    instrument: InstrumentId
    maker_ppm: int
    taker_ppm: int


class AccountTierSet(Event, frozen=True, kw_only=True, tag=67):
    """An account pays the rates of this tier from here on."""

    account: AccountId
    tier: int


class ReferrerSet(Event, frozen=True, kw_only=True, tag=68):
    """``referrer`` earns a share of what is kept of the account's fees."""

    account: AccountId
    referrer: AccountId
    share_ppm: int
