"""Groups, keys, accounts and sessions."""

from steelyard.core.commands.base import Command
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, KeyId


class FoundGroup(Command, frozen=True, kw_only=True, tag=1):
    """Found the group: its id, and the operator's key.  The first leader proposes it, once."""

    group: str
    operator_public_key: bytes


class CreateApiKey(Command, frozen=True, kw_only=True, tag=2):
    """Let the holder of an Ed25519 key act for an account.  The exchange numbers the key."""

    account: AccountId
    public_key: bytes
    permissions: int
    expires_ns: int = 0


class RevokeApiKey(Command, frozen=True, kw_only=True, tag=3):
    """End a key for good."""

    key: KeyId


class OpenAccount(Command, frozen=True, kw_only=True, tag=4):
    """Open an empty customer account."""

    account: AccountId


class OpenSession(Command, frozen=True, kw_only=True, tag=5):
    """Open the account's session of that name, or say where it stands if it is open already."""

    account: AccountId
    name: str


class ActivateVersion(Command, frozen=True, kw_only=True, tag=7):
    """Let the group do from here on what the next version does; every member's build must know it."""

    version: int


class Skip(Command, frozen=True, kw_only=True, tag=6):
    """Use up a request number: the door could not take the command, or the client gave it up."""

    reason: Reject
