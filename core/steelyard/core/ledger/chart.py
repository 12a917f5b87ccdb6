"""The system's own accounts of one asset: the outside world, fees, referral shares, and roundings."""

from steelyard.core.units import AssetId


class House:
    """OMNIBUS, FEES, ROUNDING and REFERRAL of one asset; with all customers' balances they sum to zero."""

    __slots__ = ("asset", "fees_atoms", "omnibus_atoms", "referral_atoms", "rounding_atoms")

    def __init__(
        self,
        asset: AssetId,
        omnibus_atoms: int = 0,
        fees_atoms: int = 0,
        rounding_atoms: int = 0,
        referral_atoms: int = 0,
    ) -> None:
        self.asset = asset
        self.omnibus_atoms = omnibus_atoms
        self.fees_atoms = fees_atoms
        self.rounding_atoms = rounding_atoms
        self.referral_atoms = referral_atoms

    @property
    def sum_atoms(self) -> int:
        """What the house's accounts hold together: minus what all customers do."""
        return self.omnibus_atoms + self.fees_atoms + self.rounding_atoms + self.referral_atoms

    def earn_referral(self, atoms: int) -> None:
        """Let FEES give a referrer's share to REFERRAL."""
        assert 0 < atoms <= self.fees_atoms, (atoms, self.fees_atoms)
        self.fees_atoms -= atoms
        self.referral_atoms += atoms

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless every account is on its side of zero."""
        assert self.omnibus_atoms <= 0, (self.asset, self.omnibus_atoms)
        assert self.fees_atoms >= 0, (self.asset, self.fees_atoms)
        assert self.rounding_atoms >= 0, (self.asset, self.rounding_atoms)
        assert self.referral_atoms >= 0, (self.asset, self.referral_atoms)
