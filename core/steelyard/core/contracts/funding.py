"""What longs and shorts pay each other: premiums of the book, rates by three rules, and what a lot owes."""

from collections.abc import Iterable
from typing import Final

from steelyard.core.commands import FundingTerms
from steelyard.core.contracts.contract import Premiums
from steelyard.core.contracts.index import median_down
from steelyard.core.rounding import mul_div_down, mul_div_towards_zero, mul_div_up
from steelyard.core.units import PPB, PPM, ContractKind, FundingRule

#: A premium counts up to ten times the index: whoever offers more in an empty book says nothing more by it.
#: A day has 17,280 samples, and 10**10 * 17,280 * 17,281 / 2 is below 2**62.
PREMIUM_PPB_MAX: Final = 10**10

#: What a rate by DEAD_BAND is for, and how much of it one sample accrues at most.
DEAD_BAND_NS: Final = 8 * 3600 * 10**9
ACCRUAL_NS_MAX: Final = 60 * 10**9

_MINUTE_NS: Final = 60 * 10**9
_LINEAR: Final = ContractKind.LINEAR


def impact_ticks(
    kind: ContractKind, scale: int, levels: Iterable[tuple[int, int]], impact_atoms: int, *, selling: bool
) -> int | None:
    """Return the mean price of trading for at least ``impact_atoms``, or None if there are too few lots.

    ``levels`` are (ticks, lots), best first: bids if ``selling``, else asks.  All but the last one taken are
    taken whole, of that one as few lots as suffice::

        sum(price * lots) / sum(lots)

    rounded against the trader: down if selling, else up.  With zero atoms it is the best price.
    """
    lots = lot_ticks = atoms = 0
    for price_ticks, level_lots in levels:
        if impact_atoms == 0:
            return price_ticks
        left_atoms = impact_atoms - atoms
        if kind == _LINEAR:
            taken = min(level_lots, mul_div_up(left_atoms, 1, price_ticks * scale))
            atoms += taken * price_ticks * scale
        else:
            taken = min(level_lots, mul_div_up(left_atoms, price_ticks, scale))
            atoms += mul_div_down(taken, scale, price_ticks)
        lots += taken
        lot_ticks += taken * price_ticks
        if atoms >= impact_atoms:
            return mul_div_down(lot_ticks, 1, lots) if selling else mul_div_up(lot_ticks, 1, lots)
    return None


def premium_ppb(index_ticks: int, bid_ticks: int | None, ask_ticks: int | None) -> int:
    """Return how far the impact prices lie beyond the index; a missing one has no part in it.

    ::

        floor((max(0, bid - index) - max(0, index - ask)) * 10**9 / index)
    """
    above_ticks = 0 if bid_ticks is None else max(0, bid_ticks - index_ticks)
    below_ticks = 0 if ask_ticks is None else max(0, index_ticks - ask_ticks)
    return _bounded(mul_div_down(above_ticks - below_ticks, PPB, index_ticks), PREMIUM_PPB_MAX)


def mark_premium_ppb(index_ticks: int, mark_ticks: int) -> int:
    """Return how far the mark lies from the index, floored."""
    return _bounded(mul_div_down(mark_ticks - index_ticks, PPB, index_ticks), PREMIUM_PPB_MAX)


def add_sample(premiums: Premiums, terms: FundingTerms, sample_ppb: int, due_ns: int) -> None:
    """Let an interval have one more sample, which was due at ``due_ns``.

    A sample at a full minute is the last one of the minute that ends there.
    """
    premiums.count += 1
    if terms.rule == FundingRule.AVERAGED:
        premiums.sum_ppb += sample_ppb * (premiums.count if terms.weighted else 1)
    elif terms.rule == FundingRule.SAMPLED:
        minute_ns = mul_div_up(due_ns, 1, _MINUTE_NS) * _MINUTE_NS
        if minute_ns != premiums.minute_ns:
            if premiums.minute_ppb:
                premiums.medians_ppb.append(median_down(premiums.minute_ppb))
            premiums.minute_ns = minute_ns
            premiums.minute_ppb = []
        premiums.minute_ppb.append(sample_ppb)


def interval_ppb(premiums: Premiums, terms: FundingTerms) -> int:
    """Return the rate of an interval of these samples, by AVERAGED or SAMPLED; without any, zero."""
    if terms.rule == FundingRule.AVERAGED:
        return _averaged_ppb(premiums, terms)
    medians_ppb = premiums.medians_ppb
    if premiums.minute_ppb:
        medians_ppb = [*medians_ppb, median_down(premiums.minute_ppb)]
    if not medians_ppb:
        return 0
    count = len(medians_ppb)
    tail = mul_div_down(count, terms.tails_ppm, PPM)
    kept_ppb = sorted(medians_ppb)[tail : count - tail]
    mean_ppb = mul_div_down(sum(kept_ppb), 1, len(kept_ppb))
    return _bounded(mean_ppb + terms.interest_ppb, terms.cap_ppb)


def dead_band_ppb(sample_ppb: int, terms: FundingTerms) -> int:
    """Return the rate of 8 hours by DEAD_BAND: ``max(b, p) + min(-b, p)``, the premium beyond the band."""
    band_ppb = terms.dead_band_ppb
    return _bounded(max(band_ppb, sample_ppb) + min(-band_ppb, sample_ppb), terms.cap_ppb)


def delta_nanoatoms(
    kind: ContractKind, scale: int, mark_ticks: int, rate_ppb: int, part_ns: int = 1, whole_ns: int = 1
) -> int:
    """Return what a long of one lot owes for ``part_ns`` of the ``whole_ns`` that the rate is for.

    Linear ``mark * k * rate * part / whole``, inverse ``S * rate * part / (mark * whole)``, towards zero: one
    number for both sides.
    """
    if kind == _LINEAR:
        return mul_div_towards_zero(mark_ticks * scale, rate_ppb * part_ns, whole_ns)
    return mul_div_towards_zero(scale, rate_ppb * part_ns, mark_ticks * whole_ns)


def _averaged_ppb(premiums: Premiums, terms: FundingTerms) -> int:
    count = premiums.count
    if count == 0:
        return 0
    if terms.weighted:
        mean_ppb = mul_div_down(2 * premiums.sum_ppb, 1, count * (count + 1))
    else:
        mean_ppb = mul_div_down(premiums.sum_ppb, 1, count)
    pull_ppb = _bounded(terms.interest_ppb - mean_ppb, terms.clamp_ppb)
    return _bounded(mean_ppb + pull_ppb, terms.cap_ppb)


def _bounded(value: int, bound: int) -> int:
    return max(-bound, min(value, bound))
