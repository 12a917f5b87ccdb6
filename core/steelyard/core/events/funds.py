"""Money in and out."""

from steelyard.core.events.base import Event
from steelyard.core.units import AccountId, AssetId, HoldId


class Deposited(Event, frozen=True, kw_only=True, tag=10):
    """OMNIBUS gave ``amount_atoms`` to the account; ``free_atoms`` is what it now has free."""

    account: AccountId
    asset: AssetId
    amount_atoms: int
    free_atoms: int


class Withdrawn(Event, frozen=True, kw_only=True, tag=11):
    """The account gave ``amount_atoms`` to OMNIBUS; ``free_atoms`` is what it still has free."""

    account: AccountId
    asset: AssetId
    amount_atoms: int
    free_atoms: int


class Transferred(Event, frozen=True, kw_only=True, tag=12):
    """One account of a family gave free funds to another; the free amounts are those afterwards."""

    giver: AccountId
    taker: AccountId
    asset: AssetId
    amount_atoms: int
    giver_free_atoms: int
    taker_free_atoms: int


class FundsHeld(Event, frozen=True, kw_only=True, tag=13):
    """A part of an account's free funds was set aside."""

    account: AccountId
    hold: HoldId
    asset: AssetId
    amount_atoms: int
    legal: bool


class HoldReleased(Event, frozen=True, kw_only=True, tag=14):
    """Held funds are free again."""

    account: AccountId
    hold: HoldId
    asset: AssetId
    amount_atoms: int


class ReferralPaid(Event, frozen=True, kw_only=True, tag=15):
    """REFERRAL gave what an account had earned; ``free_atoms`` is what it now has free."""

    account: AccountId
    asset: AssetId
    amount_atoms: int
    free_atoms: int
