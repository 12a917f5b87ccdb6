"""What a source has said within the last while, as one price."""

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Protocol

from steelyard.ops.feed.plan import Smoothing


class Smoother(Protocol):
    """Takes prices with their times, which never go back, and says what they come to."""

    def add(self, price: float, time_s: float) -> None:
        """Take a price that was said at a time."""

    def price(self, time_s: float) -> float:
        """Return what the prices come to at a time; there was one."""


class Last:
    """The last price."""

    def __init__(self) -> None:
        self._price = math.nan

    def add(self, price: float, time_s: float) -> None:
        """Take a price."""
        del time_s
        self._price = price

    def price(self, time_s: float) -> float:
        """Return the last price."""
        del time_s
        return self._price


class Median:
    """The median of the prices of the last ``window_s``, the last one always among them."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._said: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def add(self, price: float, time_s: float) -> None:
        """Take a price."""
        self._said.append((time_s, price))
        insort(self._sorted, price)
        self._forget(time_s)

    def price(self, time_s: float) -> float:
        """Return the median; of an even number the mean of the middle two."""
        self._forget(time_s)
        middle = len(self._sorted) // 2
        if len(self._sorted) % 2:
            return self._sorted[middle]
        return (self._sorted[middle - 1] + self._sorted[middle]) / 2

    def _forget(self, time_s: float) -> None:
        while len(self._said) > 1 and self._said[0][0] < time_s - self._window_s:
            _, old = self._said.popleft()
            del self._sorted[bisect_left(self._sorted, old)]


class Exponential:
    """The mean of the prices over time, each holding until the next one.

    What lies ``window_s`` back weighs ``1/e`` of what is now.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._mean = self._last = self._time_s = math.nan

    def add(self, price: float, time_s: float) -> None:
        """Take a price; until now the last one held."""
        self._mean = price if math.isnan(self._mean) else self.price(time_s)
        self._last, self._time_s = price, time_s

    def price(self, time_s: float) -> float:
        """Return the mean; a source that says nothing more comes to its last price."""
        kept = math.exp((self._time_s - time_s) / self._window_s)
        return self._last + (self._mean - self._last) * kept


def smoother(smoothing: Smoothing, window_s: float) -> Smoother:
    """Return a new smoother of that kind."""
    if smoothing == Smoothing.NONE:
        return Last()
    return Median(window_s) if smoothing == Smoothing.MEDIAN else Exponential(window_s)
