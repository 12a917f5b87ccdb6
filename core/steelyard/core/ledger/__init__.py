"""Double entry: balances, the system's own accounts, and fees."""

from steelyard.core.ledger.chart import House
from steelyard.core.ledger.fees import fee_atoms, fee_cap_ppm, lot_pledge_atoms
from steelyard.core.ledger.ledger import Balance, Ledger

__all__ = ["Balance", "House", "Ledger", "fee_atoms", "fee_cap_ppm", "lot_pledge_atoms"]
