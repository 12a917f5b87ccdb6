"""Orders without end: the mix of placing, cancelling and crossing that drills and benchmarks send."""

import random
import sys
from typing import Final

from steelyard.client import CancelOrder, PlaceOrder, Side, TimeInForce

MIDDLE_TICKS: Final = 100_000
#: The price bound of the market that the load wants.
HIGHEST_TICKS: Final = 1_000_000
#: Resting orders lie within this of the middle price, each side on its own half.
BAND_TICKS: Final = 500
SIZE_MAX_LOTS: Final = 100
#: Parts of the mix: the rest crosses.
PLACE: Final = 0.45
CANCEL: Final = 0.45
#: No cancels before so many orders rest, so that there is a book to speak of.
RESTING_MIN: Final = 200


class OrderFlow:
    """One trader's commands, the same for the same seed: 45 % place, 45 % cancel, 10 % cross.

    A resting order has up to 100 lots and a crossing one takes a single lot, so that most cancels find
    their order alive; those that do not are refused, which is part of the load.  With more than
    ``resting_max`` orders a cancel takes the place of a new one.
    """

    def __init__(
        self, instrument: int, seed: int, *, resting_min: int = RESTING_MIN, resting_max: int = sys.maxsize
    ) -> None:
        self._instrument = instrument
        self._resting_min = resting_min
        self._resting_max = resting_max
        self._chance = random.Random(seed)
        self._resting: list[int] = []
        self._next_order = 1

    def next(self, count: int) -> list[PlaceOrder | CancelOrder]:
        """Return the next ``count`` commands."""
        return [self._one() for _ in range(count)]

    def _one(self) -> PlaceOrder | CancelOrder:
        dice = self._chance.random()
        resting = self._resting
        if len(resting) < self._resting_min or (dice < PLACE and len(resting) <= self._resting_max):
            buying = self._chance.random() < 1 / 2
            away_ticks = 1 + int(self._chance.random() * BAND_TICKS)
            order = self._next_order
            self._next_order += 1
            resting.append(order)
            return PlaceOrder(
                self._instrument,
                Side.BUY if buying else Side.SELL,
                1 + int(self._chance.random() * SIZE_MAX_LOTS),
                MIDDLE_TICKS - away_ticks if buying else MIDDLE_TICKS + away_ticks,
                order,
            )
        if dice < PLACE + CANCEL:
            place = int(self._chance.random() * len(resting))
            resting[place], resting[-1] = resting[-1], resting[place]
            return CancelOrder(resting.pop())
        buying = self._chance.random() < 1 / 2
        order = self._next_order
        self._next_order += 1
        return PlaceOrder(
            self._instrument,
            Side.BUY if buying else Side.SELL,
            1,
            MIDDLE_TICKS + BAND_TICKS if buying else MIDDLE_TICKS - BAND_TICKS,
            order,
            time_in_force=TimeInForce.IOC,
        )
