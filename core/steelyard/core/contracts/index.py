"""What an index price follows from: which sources count, which stand out, and their median or mean."""

from collections.abc import Sequence
from typing import Final

from steelyard.core.commands import IndexQuote
from steelyard.core.rounding import mul_div_down
from steelyard.core.units import PPM

#: A clock may run so far ahead of log time.
AHEAD_NS_MAX: Final = 10**9


def median_down(values: Sequence[int]) -> int:
    """Return the median of at least one value; of an even number the mean of the middle two, floored."""
    ordered = sorted(values)
    middle = len(ordered) >> 1
    if len(ordered) & 1:
        return ordered[middle]
    return mul_div_down(ordered[middle - 1] + ordered[middle], 1, 2)


def counting(quotes: list[IndexQuote], stale_ns: int, now_ns: int) -> list[IndexQuote]:
    """Return the quotes that count at ``now_ns``: with a weight, not too old, and not of times to come."""
    return [
        quote
        for quote in quotes
        if quote.weight > 0 and now_ns - stale_ns < quote.time_ns <= now_ns + AHEAD_NS_MAX
    ]


def index_ticks(quotes: list[IndexQuote], outlier_ppm: int) -> int:
    """Return the index price of quotes that count, at least one of them, in ticks.

    A quote stands out if it is more than ``outlier_ppm`` from the median of all::

        |price - median| * 10**6 > outlier_ppm * median

    One that does has no weight; if several do, the index is the median.  Otherwise it is the mean by weight,
    floored.
    """
    middle_ticks = median_down([quote.price_ticks for quote in quotes])
    reach = outlier_ppm * middle_ticks
    within = [quote for quote in quotes if abs(quote.price_ticks - middle_ticks) * PPM <= reach]
    if len(within) < len(quotes) - 1:
        return middle_ticks
    weighted = sum(quote.price_ticks * quote.weight for quote in within)
    return mul_div_down(weighted, 1, sum(quote.weight for quote in within))
