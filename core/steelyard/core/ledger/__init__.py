"""Double entry: balances, the system's own accounts, and fees."""

from steelyard.core.ledger.chart import House
from steelyard.core.ledger.fees import (
    Rates,
    TierRates,
    fee_atoms,
    fee_cap_ppm,
    fill_fees,
    lot_pledge_atoms,
    rebates_are_covered,
    referral_atoms,
    tier_rates,
)
from steelyard.core.ledger.ledger import Balance, Ledger

__all__ = [
    "Balance",
    "House",
    "Ledger",
    "Rates",
    "TierRates",
    "fee_atoms",
    "fee_cap_ppm",
    "fill_fees",
    "lot_pledge_atoms",
    "rebates_are_covered",
    "referral_atoms",
    "tier_rates",
]
