"""Groups, keys, accounts and sessions."""

from steelyard.core.events.base import Event
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, KeyId, SessionId


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
