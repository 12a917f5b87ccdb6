"""Balances and the postings between them: whatever one side gives, another side takes."""

from steelyard.core.ledger.chart import House
from steelyard.core.limits import OMNIBUS_ATOMS_MAX
from steelyard.core.units import AssetId


class Balance:
    """What one customer has of one asset: free, and held for open orders."""

    __slots__ = ("free_atoms", "held_atoms")

    def __init__(self, free_atoms: int = 0, held_atoms: int = 0) -> None:
        self.free_atoms = free_atoms
        self.held_atoms = held_atoms

    def hold(self, atoms: int) -> None:
        """Set free funds aside for an order."""
        assert 0 <= atoms <= self.free_atoms, (atoms, self.free_atoms)
        self.free_atoms -= atoms
        self.held_atoms += atoms

    def release(self, atoms: int) -> None:
        """Give held funds back."""
        assert 0 <= atoms <= self.held_atoms, (atoms, self.held_atoms)
        self.held_atoms -= atoms
        self.free_atoms += atoms

    def spend_held(self, released_atoms: int, spent_atoms: int) -> None:
        """Take ``released_atoms`` out of what is held: a part is spent, the rest becomes free."""
        assert 0 <= released_atoms <= self.held_atoms, (released_atoms, self.held_atoms)
        assert spent_atoms <= released_atoms, (spent_atoms, released_atoms)
        self.held_atoms -= released_atoms
        self.free_atoms += released_atoms - spent_atoms

    def spend_free(self, atoms: int) -> None:
        """Give free funds away; the caller credits whoever takes them."""
        assert atoms <= self.free_atoms, (atoms, self.free_atoms)
        self.free_atoms -= atoms

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` if the balance is overdrawn."""
        assert self.free_atoms >= 0, self.free_atoms
        assert self.held_atoms >= 0, self.held_atoms


class Ledger:
    """The house's side of every asset, and the postings between it and the customers."""

    def __init__(self) -> None:
        self.houses: dict[AssetId, House] = {}

    def open_asset(self, asset: AssetId) -> None:
        """Open the system accounts of a newly listed asset."""
        assert asset not in self.houses, asset
        self.houses[asset] = House(asset)

    def can_deposit(self, asset: AssetId, amount_atoms: int) -> bool:
        """Return whether the outside world may still owe ``amount_atoms`` more."""
        return amount_atoms - self.houses[asset].omnibus_atoms <= OMNIBUS_ATOMS_MAX

    def deposit(self, asset: AssetId, to: Balance, amount_atoms: int) -> None:
        """Let OMNIBUS give and the customer take."""
        assert amount_atoms > 0, amount_atoms
        self.houses[asset].omnibus_atoms -= amount_atoms
        to.free_atoms += amount_atoms

    def withdraw(self, asset: AssetId, giver: Balance, amount_atoms: int) -> None:
        """Let the customer give and OMNIBUS take."""
        assert amount_atoms > 0, amount_atoms
        giver.spend_free(amount_atoms)
        self.houses[asset].omnibus_atoms += amount_atoms

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless every system account is sound."""
        for asset, house in self.houses.items():
            assert house.asset == asset, (house.asset, asset)
            house.check_invariants()
