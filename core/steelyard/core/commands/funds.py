"""Money in and out."""

from steelyard.core.commands.base import Command
from steelyard.core.units import AccountId, AssetId, HoldId


class Deposit(Command, frozen=True, kw_only=True, tag=10):
    """Credit ``amount_atoms`` of ``asset`` against the outside world."""

    account: AccountId
    asset: AssetId
    amount_atoms: int


class Withdraw(Command, frozen=True, kw_only=True, tag=11):
    """Pay ``amount_atoms`` of free funds out to the outside world."""

    account: AccountId
    asset: AssetId
    amount_atoms: int


class Transfer(Command, frozen=True, kw_only=True, tag=12):
    """Move free funds between a master account and its sub-accounts, or between two of these.

    Asked for by the giver or by the master, with TRANSFER.
    """

    giver: AccountId
    taker: AccountId
    asset: AssetId
    amount_atoms: int


class HoldFunds(Command, frozen=True, kw_only=True, tag=13):
    """Set a part of an account's free funds aside until an operator releases it; ``legal``: by law."""

    account: AccountId
    hold: HoldId
    asset: AssetId
    amount_atoms: int
    legal: bool = False


class ReleaseHold(Command, frozen=True, kw_only=True, tag=14):
    """Give held funds back; a legal hold only with ``legal``."""

    account: AccountId
    hold: HoldId
    legal: bool = False


class PayReferral(Command, frozen=True, kw_only=True, tag=15):
    """Pay an account the referral shares it has earned in one asset, from REFERRAL to its free funds."""

    account: AccountId
    asset: AssetId
