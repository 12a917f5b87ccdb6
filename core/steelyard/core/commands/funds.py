"""Money in and out."""

from steelyard.core.commands.base import Command
from steelyard.core.units import AccountId, AssetId


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
