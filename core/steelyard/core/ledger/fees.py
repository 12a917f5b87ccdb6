"""What a fill costs and whom it pays, and what an order pledges so that every fill of it can be paid."""

from steelyard.core.rounding import ppm_down, ppm_up
from steelyard.core.units import InstrumentId

#: (maker_ppm, taker_ppm)
Rates = tuple[int, int]
#: (tier, instrument) to its rates; instrument zero is every instrument without rates of its own.
TierRates = dict[tuple[int, InstrumentId], Rates]

_GENERAL = InstrumentId(0)


def fee_atoms(notional_atoms: int, rate_ppm: int) -> int:
    """Return the fee of one fill in atoms of the quote asset; negative is a rebate.

    A fee rounds up and a rebate down, so FEES never pays out more than it takes::

        ceil(notional * rate / 10**6)

    is both: the ceiling of a negative number is minus the floor of its absolute value.
    """
    return ppm_up(notional_atoms, rate_ppm)


def fill_fees(notional_atoms: int, maker_ppm: int, taker_ppm: int) -> tuple[int, int]:
    """Return (maker's fee, taker's fee) of one fill in atoms of the quote asset.

    The rates are those to be charged: already at most the cap of each one's order.  The maker's may be below
    zero, and its rebate is at most the taker's fee, so that no fill takes anything from FEES.
    """
    taker_atoms = ppm_up(notional_atoms, taker_ppm)
    maker_atoms = ppm_up(notional_atoms, maker_ppm)
    return max(maker_atoms, -taker_atoms), taker_atoms


def referral_atoms(
    maker_fee_atoms: int, taker_fee_atoms: int, maker_share_ppm: int, taker_share_ppm: int
) -> tuple[int, int]:
    """Return what the (maker's, taker's) referrer earns of one fill, in atoms of the quote asset.

    Each is ``floor(kept * share / 10**6)``, where what is kept of the taker's fee is what the maker's rebate
    leaves of it, and what is kept of the maker's is the fee itself, if it paid one.  Shares are at most
    10**6, so FEES never gives more than it got.
    """
    return (
        ppm_down(max(maker_fee_atoms, 0), maker_share_ppm),
        ppm_down(taker_fee_atoms + min(maker_fee_atoms, 0), taker_share_ppm),
    )


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


def tier_rates(tiers: TierRates, tier: int, instrument: InstrumentId, listed: Rates) -> Rates:
    """Return what a tier pays in an instrument: the rates set there, else in general, else ``listed``."""
    own = tiers.get((tier, instrument))
    return own if own is not None else tiers.get((tier, _GENERAL), listed)


def rebates_are_covered(rates: list[Rates]) -> bool:
    """Return whether no rebate is above the lowest taker rate, whoever meets whom."""
    return -min(maker_ppm for maker_ppm, _ in rates) <= min(taker_ppm for _, taker_ppm in rates)
