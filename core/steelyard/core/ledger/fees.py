"""What a fill costs, and what an order has to pledge so that every fill of it can be paid."""

from steelyard.core.rounding import ppm_up


def fee_atoms(notional_atoms: int, rate_ppm: int) -> int:
    """Return the fee of one fill in atoms of the quote asset; negative is a rebate.

    A fee rounds up and a rebate down, so FEES never pays out more than it takes::

        ceil(notional * rate / 10**6)

    is both: the ceiling of a negative number is minus the floor of its absolute value.
    """
    return ppm_up(notional_atoms, rate_ppm)


def fee_cap_ppm(maker_ppm: int, taker_ppm: int) -> int:
    """Return the highest rate that any fill of an order can be charged."""
    return max(maker_ppm, taker_ppm, 0)


def lot_pledge_atoms(limit_ticks: int, tick_lot_atoms: int, cap_ppm: int) -> int:
    """Return what a buy order holds per open lot, in atoms of the quote asset.

    One integer per lot, so that a fill of l lots releases exactly l times as much, and always enough for
    cost and fee, because ``ceil(l * x) <= l * ceil(x)``::

        limit * k + ceil(limit * k * cap / 10**6)
    """
    cost_atoms = limit_ticks * tick_lot_atoms
    return cost_atoms + ppm_up(cost_atoms, cap_ppm)
