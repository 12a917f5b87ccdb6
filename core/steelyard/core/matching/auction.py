"""The one price of a call auction: where most lots trade."""

from typing import NamedTuple


class Clearing(NamedTuple):
    """What an auction came to; all zero if nothing crosses.  ``imbalance_lots`` is demand minus supply."""

    price_ticks: int
    volume_lots: int
    imbalance_lots: int


NOTHING = Clearing(0, 0, 0)


def clearing(bids: list[tuple[int, int]], asks: list[tuple[int, int]], reference_ticks: int) -> Clearing:
    """Return the price for everybody, of the limits in the book.

    It is the one with the most volume, then with the least ``abs(demand - supply)``, then the nearest to the
    reference (zero: there is none), then the lowest, where::

        demand(p) = lots of bids at p or above      supply(p) = lots of asks at p or below
        volume(p) = min(demand(p), supply(p))

    ``bids`` and ``asks`` are (price_ticks, lots above zero) of each level, best first: falling, and rising.
    """
    if not bids or not asks or bids[0][0] < asks[0][0]:
        return NOTHING
    lowest, highest = asks[0][0], bids[0][0]
    bought = dict(level for level in bids if level[0] >= lowest)
    sold = dict(level for level in asks if level[0] <= highest)
    demand = sum(bought.values())
    supply = 0
    found = NOTHING
    least: tuple[int, int, int] | None = None
    for price in sorted(bought.keys() | sold.keys()):
        supply += sold.get(price, 0)
        volume = min(demand, supply)
        distance = abs(price - reference_ticks) if reference_ticks else 0
        rank = (-volume, abs(demand - supply), distance)
        # Prices rise, so of equal ones the lowest was there first.
        if least is None or rank < least:
            least = rank
            found = Clearing(price, volume, demand - supply)
        demand -= bought.get(price, 0)
    return found
