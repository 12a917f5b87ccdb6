"""The equation at the end: what came from outside is what all accounts have, to the atom."""

from typing import Final, NamedTuple

from steelyard.core.state import State
from steelyard.core.units import AssetId


class Solvency(NamedTuple):
    """Where all atoms of one asset are; ``outside_atoms`` is what was paid in and not out again."""

    symbol: str
    outside_atoms: int
    free_atoms: int
    held_atoms: int
    wallets_atoms: int
    buckets_atoms: int
    pledged_atoms: int
    fees_atoms: int
    insurance_atoms: int
    bad_debt_atoms: int
    clearing_atoms: int
    funding_atoms: int
    rounding_atoms: int
    referral_atoms: int

    @property
    def gap_atoms(self) -> int:
        """What is missing (below zero: too much); zero if everything is accounted for."""
        _, outside_atoms, *parts = self
        return outside_atoms - sum(parts)


def solvency(state: State) -> list[Solvency]:
    """Return where all atoms of each asset are, account by account, position by position."""
    names = (*Solvency._fields[2:],)
    sums: dict[AssetId, dict[str, int]] = {
        asset: dict.fromkeys(names, 0) for asset in sorted(state.markets.assets)
    }
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            sums[asset]["free_atoms"] += balance.free_atoms
            sums[asset]["held_atoms"] += balance.held_atoms
        for asset, margin in account.margins.items():
            sums[asset]["wallets_atoms"] += margin.wallet_atoms
            for position in margin.positions.values():
                sums[asset]["buckets_atoms"] += position.bucket_atoms
                sums[asset]["pledged_atoms"] += position.held_atoms
    for instrument in state.markets.instruments.values():
        contract = instrument.contract
        if contract is not None:
            sums[contract.settle]["clearing_atoms"] += contract.clearing_atoms
            sums[contract.settle]["funding_atoms"] += contract.funding_atoms
    for asset, house in state.ledger.houses.items():
        sums[asset] |= {
            "fees_atoms": house.fees_atoms,
            "insurance_atoms": house.insurance_atoms,
            "bad_debt_atoms": house.debt_atoms,
            "rounding_atoms": house.rounding_atoms,
            "referral_atoms": house.referral_atoms,
        }
    return [
        Solvency(state.markets.assets[asset].symbol, -state.ledger.houses[asset].omnibus_atoms, **parts)
        for asset, parts in sums.items()
    ]


def equation(row: Solvency) -> str:
    """Return the equation of an asset in words, with its numbers; what is zero is left out."""
    (left, left_words), *parts = ((getattr(row, name), words) for name, words in PARTS)
    right = " + ".join(f"{atoms} {words}" for atoms, words in parts if atoms) or "0"
    return f"{row.symbol}: {left} {left_words} {'≠' if row.gap_atoms else '='} {right}"


#: In words, what was paid in and not out again, and where it is.
PARTS: Final = (
    ("outside_atoms", "paid in"),
    ("free_atoms", "free"),
    ("held_atoms", "held for orders"),
    ("wallets_atoms", "in margin wallets"),
    ("buckets_atoms", "in isolated positions"),
    ("pledged_atoms", "pledged to their orders"),
    ("fees_atoms", "fees"),
    ("insurance_atoms", "insurance"),
    ("bad_debt_atoms", "bad debt"),
    ("clearing_atoms", "clearing"),
    ("funding_atoms", "funding on its way"),
    ("rounding_atoms", "rounding"),
    ("referral_atoms", "referral"),
)
