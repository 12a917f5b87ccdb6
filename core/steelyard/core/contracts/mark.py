"""The mark price of a contract: the median of what funding, the basis and the book say, near the index."""

from collections.abc import Sequence

from steelyard.core.contracts.index import median_down
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.units import PPB, PPM


def funding_ticks(index_ticks: int, rate_ppb: int, left_ns: int, interval_ns: int) -> int:
    """Return ``P1``: the index with the part of the last interval's rate that is still to come.

    ::

        index + floor(index * rate * left / (10**9 * interval))

    ``left_ns`` is the time until the interval ends; one that has ended has none.  ``interval_ns`` is what the
    rate is for: the interval, or eight hours by DEAD_BAND.
    """
    return index_ticks + mul_div_down(index_ticks * rate_ppb, max(0, left_ns), PPB * interval_ns)


def basis_ticks(index_ticks: int, bases_ticks: Sequence[int]) -> int:
    """Return ``P2``: the index with the mean of the last bases, floored; without any, the index."""
    if not bases_ticks:
        return index_ticks
    return index_ticks + mul_div_down(sum(bases_ticks), 1, len(bases_ticks))


def book_ticks(index_ticks: int, bid_ticks: int | None, ask_ticks: int | None, last_ticks: int) -> int:
    """Return ``P3``: the median of best bid, best ask and last price (zero: none), or else the index."""
    prices = [price for price in (bid_ticks, ask_ticks, last_ticks) if price]
    return median_down(prices) if prices else index_ticks


def within_band(price_ticks: int, index_ticks: int, band_ppm: int, price_max_ticks: int) -> int:
    """Return the price within ``index * (1 - band) ... index * (1 + band)``, and within 1 ... the highest.

    The bounds are rounded towards the index.
    """
    lower_ticks = mul_div_up(index_ticks, PPM - band_ppm, PPM)
    upper_ticks = mul_div_down(index_ticks, PPM + band_ppm, PPM)
    return max(1, min(max(price_ticks, lower_ticks), upper_ticks, price_max_ticks))


def median_of_three(one: int, two: int, three: int) -> int:
    """Return the one in the middle."""
    return max(min(one, two), min(max(one, two), three))
