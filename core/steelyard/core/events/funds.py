"""Money in and out."""

from steelyard.core.events.base import Event
from steelyard.core.units import AccountId, AssetId


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
