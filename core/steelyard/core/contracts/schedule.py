"""The margin schedule of a contract: what a notional needs."""

from steelyard.core.commands import MarginTerms, MarginTier
from steelyard.core.rounding import mul_div_down, mul_div_up, ppm_up
from steelyard.core.units import PPB, PPM


def maintenance_atoms(terms: MarginTerms, notional_atoms: int, lots: int) -> int:
    """Return the maintenance margin of ``lots`` lots with this notional.

    ``t`` is the tier with the highest floor not above the notional::

        MM    = ceil((N * maintenance_t - cum_t) / 10**6)
        cum_t = cum_(t-1) + floor_t * (maintenance_t - maintenance_(t-1)),   cum_1 = 0

    which is continuous at every floor.  With a slope ``ceil(N * (1000 * maintenance_1 + slope * lots) /
    10**9)``.  Zero lots need nothing.
    """
    tiers = terms.tiers
    rate_ppm = tiers[0].maintenance_ppm
    if terms.slope_ppb:
        return mul_div_up(notional_atoms, 1000 * rate_ppm + terms.slope_ppb * lots, PPB)
    if len(tiers) == 1 or notional_atoms < tiers[1].floor_atoms:
        return ppm_up(notional_atoms, rate_ppm)
    cum_ppm = 0
    for tier in tiers:
        if tier.floor_atoms > notional_atoms:
            break
        cum_ppm += tier.floor_atoms * (tier.maintenance_ppm - rate_ppm)
        rate_ppm = tier.maintenance_ppm
    return mul_div_up(1, notional_atoms * rate_ppm - cum_ppm, PPM)


def initial_atoms(
    terms: MarginTerms, notional_atoms: int, lots: int, leverage: int, open_interest_atoms: int
) -> int:
    """Return the initial margin of ``lots`` lots with this notional.

    The largest of: the same form as maintenance margin, with the initial rates; ``ceil(N / leverage)`` if a
    leverage is chosen (zero: none is); with open interest bounds ``ceil(N * i / 10**6)``, where ``i`` follows
    from the notional of all longs (``scaled_rate_ppm``), which nobody asks for without bounds.
    """
    tiers = terms.tiers
    rate_ppm = tiers[0].initial_ppm
    if terms.slope_ppb:
        atoms = mul_div_up(notional_atoms, 1000 * rate_ppm + terms.slope_ppb * lots, PPB)
    elif len(tiers) == 1 or notional_atoms < tiers[1].floor_atoms:
        atoms = ppm_up(notional_atoms, rate_ppm)
    else:
        cum_ppm = 0
        for tier in tiers:
            if tier.floor_atoms > notional_atoms:
                break
            cum_ppm += tier.floor_atoms * (tier.initial_ppm - rate_ppm)
            rate_ppm = tier.initial_ppm
        atoms = mul_div_up(1, notional_atoms * rate_ppm - cum_ppm, PPM)
    if leverage:
        chosen_atoms = mul_div_up(notional_atoms, 1, leverage)
        atoms = max(atoms, chosen_atoms)
    if terms.open_interest_high_atoms:
        scaled_atoms = ppm_up(notional_atoms, scaled_rate_ppm(terms, open_interest_atoms))
        atoms = max(atoms, scaled_atoms)
    return atoms


def covers_initial(
    terms: MarginTerms, spare_atoms: int, notional_atoms: int, lots: int, leverage: int
) -> bool:
    """Return whether ``spare_atoms >= initial_atoms``, where there are no open interest bounds.

    Nearly every order is asked this, within the first tier: there it takes no division, for an integer is at
    least ``ceil(a / b)`` if it is at least ``a / b``.
    """
    tiers = terms.tiers
    if terms.slope_ppb or (len(tiers) > 1 and notional_atoms >= tiers[1].floor_atoms):
        return spare_atoms >= initial_atoms(terms, notional_atoms, lots, leverage, 0)
    if spare_atoms * PPM < notional_atoms * tiers[0].initial_ppm:
        return False
    return leverage == 0 or spare_atoms * leverage >= notional_atoms


def scaled_rate_ppm(terms: MarginTerms, open_interest_atoms: int) -> int:
    """Return the initial rate that the notional of all longs asks for; zero without bounds.

    ::

        i = min(10**6, b + ceil(max(0, OI - low) * (10**6 - b) / (high - low)))

    where ``b`` is the first tier's initial rate.
    """
    low_atoms, high_atoms = terms.open_interest_low_atoms, terms.open_interest_high_atoms
    if high_atoms == 0:
        return 0
    base_ppm = terms.tiers[0].initial_ppm
    above_atoms = max(0, open_interest_atoms - low_atoms)
    return min(PPM, base_ppm + mul_div_up(above_atoms, PPM - base_ppm, high_atoms - low_atoms))


def initial_rate_ppm(terms: MarginTerms, notional_atoms: int, lots: int) -> int:
    """Return the initial rate of the notional's tier; with a slope that of ``lots`` lots, rounded up."""
    rate_ppm = tier_of(terms, notional_atoms).initial_ppm
    return rate_ppm + mul_div_up(terms.slope_ppb, lots, 1000)


def marginal_rate_ppm(terms: MarginTerms, notional_atoms: int, lots: int) -> int:
    """Return the rate at which initial margin rises there by notional, rounded up.

    That of the notional's tier; with a slope ``ceil((1000 * initial_1 + 2 * slope * lots) / 1000)``, for a
    further lot raises the rate of those before it, too.
    """
    return initial_rate_ppm(terms, notional_atoms, 2 * lots)


def max_leverage(terms: MarginTerms, notional_atoms: int, lots: int) -> int:
    """Return the highest leverage that may be chosen: ``floor(10**6 / initial_rate_ppm)``."""
    return mul_div_down(PPM, 1, initial_rate_ppm(terms, notional_atoms, lots))


def tier_of(terms: MarginTerms, notional_atoms: int) -> MarginTier:
    """Return the tier with the highest floor not above the notional."""
    found = terms.tiers[0]
    for tier in terms.tiers:
        if tier.floor_atoms > notional_atoms:
            break
        found = tier
    return found
