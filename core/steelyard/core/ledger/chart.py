"""The system's own accounts of one asset: the outside world, fees, referral shares, roundings, and losses."""

from steelyard.core.limits import PEAK_NS
from steelyard.core.units import AssetId


class House:
    """OMNIBUS, FEES, ROUNDING, REFERRAL, INSURANCE and BAD_DEBT of one asset.

    With all customers' balances and what contracts keep in CLEARING and FUNDING they sum to zero.

    ``peak_atoms`` is the most that INSURANCE has had since ``peak_ns``.  While ``gate_on`` nothing leaves the
    margin wallets of the asset; the gate opens again at ``gate_ns`` (zero: not yet).
    """

    __slots__ = (
        "asset",
        "debt_atoms",
        "fees_atoms",
        "gate_ns",
        "gate_on",
        "insurance_atoms",
        "omnibus_atoms",
        "peak_atoms",
        "peak_ns",
        "referral_atoms",
        "rounding_atoms",
    )

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
        #: from version 3 on
        self.insurance_atoms = 0
        self.debt_atoms = 0
        self.peak_atoms = 0
        self.peak_ns = 0
        self.gate_on = False
        self.gate_ns = 0

    @property
    def sum_atoms(self) -> int:
        """What the house's accounts hold together: minus what customers and contracts do."""
        return (
            self.omnibus_atoms
            + self.fees_atoms
            + self.rounding_atoms
            + self.referral_atoms
            + self.insurance_atoms
            + self.debt_atoms
        )

    def earn_referral(self, atoms: int) -> None:
        """Let FEES give a referrer's share to REFERRAL."""
        assert 0 < atoms <= self.fees_atoms, (atoms, self.fees_atoms)
        self.fees_atoms -= atoms
        self.referral_atoms += atoms

    def insure(self, atoms: int, time_ns: int) -> None:
        """Give to INSURANCE (below zero: take from it) and keep its peak; the caller does the other side.

        The peak is the highest since it was set, and what INSURANCE has once it is ``PEAK_NS`` old.  What is
        about to repay a debt was never the fund's own.
        """
        self.renew_peak(time_ns)
        self.insurance_atoms += atoms
        assert self.insurance_atoms >= 0, (self.asset, self.insurance_atoms)
        own_atoms = self.insurance_atoms + self.debt_atoms
        if own_atoms > self.peak_atoms:
            self.peak_atoms, self.peak_ns = own_atoms, time_ns

    def renew_peak(self, time_ns: int) -> None:
        """Let a peak that has become too old be what INSURANCE has now."""
        if time_ns - self.peak_ns >= PEAK_NS:
            self.peak_atoms, self.peak_ns = self.insurance_atoms, time_ns

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless every account is on its side of zero."""
        assert self.omnibus_atoms <= 0, (self.asset, self.omnibus_atoms)
        assert self.fees_atoms >= 0, (self.asset, self.fees_atoms)
        assert self.rounding_atoms >= 0, (self.asset, self.rounding_atoms)
        assert self.referral_atoms >= 0, (self.asset, self.referral_atoms)
        assert self.insurance_atoms >= 0, (self.asset, self.insurance_atoms)
        assert self.debt_atoms <= 0, (self.asset, self.debt_atoms)
