"""The system's own accounts of one asset: the outside world, the fees kept, and what roundings leave over."""

from steelyard.core.units import AssetId


class House:
    """OMNIBUS, FEES and ROUNDING of one asset; with all customers' balances they sum to zero."""

    __slots__ = ("asset", "fees_atoms", "omnibus_atoms", "rounding_atoms")

    def __init__(
        self, asset: AssetId, omnibus_atoms: int = 0, fees_atoms: int = 0, rounding_atoms: int = 0
    ) -> None:
        self.asset = asset
        self.omnibus_atoms = omnibus_atoms
        self.fees_atoms = fees_atoms
        self.rounding_atoms = rounding_atoms

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless every account is on its side of zero."""
        assert self.omnibus_atoms <= 0, (self.asset, self.omnibus_atoms)
        assert self.fees_atoms >= 0, (self.asset, self.fees_atoms)
        assert self.rounding_atoms >= 0, (self.asset, self.rounding_atoms)
