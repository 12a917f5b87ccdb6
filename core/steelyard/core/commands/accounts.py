"""Groups, keys, accounts and sessions."""

from steelyard.core.commands.base import Command
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, InstrumentId, KeyId, SelfTrade


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


class FoundGroupAt(FoundGroup, frozen=True, kw_only=True, tag=8):
    """Found the group with a version in force from its first entry on."""

    version: int


class OpenSubAccount(Command, frozen=True, kw_only=True, tag=50):
    """Open an account that belongs to a master; by the master's key with TRANSFER, or by an operator.

    ``permissions`` bounds what any key of the sub-account may do.
    """

    master: AccountId
    account: AccountId
    permissions: int


class SetAccountRules(Command, frozen=True, kw_only=True, tag=51):
    """Set what an operator decides about an account: bounds are none if zero.

    Accounts of one ``trade_group`` (zero: none) never trade with each other by accident.  ``permissions``
    bounds what any of its keys may do.
    """

    account: AccountId
    trade_group: int
    permissions: int
    orders_max: int = 0


class SetOrderLimit(Command, frozen=True, kw_only=True, tag=52):
    """Bound one account's single orders in one instrument: size and notional; zero is no bound."""

    account: AccountId
    instrument: InstrumentId
    size_max_lots: int = 0
    notional_max_atoms: int = 0


class SetSelfTrade(Command, frozen=True, kw_only=True, tag=53):
    """Choose the account's own default for self-trade prevention; None: the instrument's."""

    account: AccountId
    mode: SelfTrade | None


class SetFrozen(Command, frozen=True, kw_only=True, tag=54):
    """Freeze an account, or lift that: frozen, it may cancel and nothing else."""

    account: AccountId
    frozen: bool


class SetLegalHold(Command, frozen=True, kw_only=True, tag=55):
    """Put an account under legal hold, or lift that: as frozen, and ``SetFrozen`` does not lift it."""

    account: AccountId
    on: bool


class SetFeeTier(Command, frozen=True, kw_only=True, tag=56):
    """Set the rates of a tier in one instrument, or in all that have none of their own (zero)."""

    tier: int
    instrument: InstrumentId
    maker_ppm: int
    taker_ppm: int


class SetAccountTier(Command, frozen=True, kw_only=True, tag=57):
    """Give an account a tier; zero: the listing's rates."""

    account: AccountId
    tier: int


class SetReferrer(Command, frozen=True, kw_only=True, tag=58):
    """Let ``referrer`` earn ``share_ppm`` of what is kept of the account's fees; zero ends it."""

    account: AccountId
    referrer: AccountId
    share_ppm: int
