"""The equation at the end: what came from outside is what all accounts have, to the atom."""

from typing import NamedTuple

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
