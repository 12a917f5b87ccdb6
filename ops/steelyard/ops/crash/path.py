"""The price of a falling market, and what the sources of its indices say: the same for the same seed."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from steelyard.client import IndexQuote

#: How many sources an index has.
SOURCES: Final = 5
#: A source's price is off the true one by about so much, as a part of it.
SOURCE_NOISE: Final = 0.0003
#: How much a price wanders between two steps, as a part of it.
STEP_NOISE: Final = 0.0008
#: What a source says that is wrong: so far off.
WRONG: Final = 0.2
#: How much more the second market moves than the first.
BETA: Final = 1.15

#: The part of the steps at which there is a gap in the price: most of those who could fall have fallen then.
GAP: Final = 0.50
#: The way down: (part of the steps, part of the whole fall that has happened by then).  A slide, a breath,
#: the collapse with a sudden gap in it, the bottom, and a little back.
ANCHORS: Final = (
    (0.00, 0.00),
    (0.10, 0.02),
    (0.28, 0.27),
    (0.36, 0.18),
    (GAP, 0.50),
    (GAP + 0.0001, 0.64),
    (0.62, 0.80),
    (0.70, 0.74),
    (0.82, 1.00),
    (0.90, 0.94),
    (1.00, 0.97),
)
#: Parts of the steps from which on no source says anything, for so many steps, or a tenth of all if that is
#: less.
SILENCES: Final = (0.20, 0.56)
SILENT_STEPS: Final = 16
#: Parts of the steps in which one source is far off, and in which two are, each its own way.
ONE_WRONG: Final = (0.30, 0.42)
TWO_WRONG: Final = (0.66, 0.72)


class Step(NamedTuple):
    """One step of the path: the true prices, by market, and what each index's sources say (none: silence)."""

    prices: tuple[float, ...]
    #: (source, price), by market
    said: tuple[tuple[tuple[int, float], ...], ...]


def fall(*, seed: int, steps: int, drop: float, starts: Sequence[float]) -> list[Step]:
    """Return a fall by ``drop`` (0 to 1, of the first market) in ``steps`` steps from the starting prices.

    Each market but the first moves ``BETA`` times as far.
    """
    chance = random.Random(seed)
    bottom = math.log(1 - drop)
    path: list[Step] = []
    silent = silent_steps(steps)
    for number in range(steps):
        part = number / max(1, steps - 1)
        fallen = _between(part)
        prices = tuple(
            start * math.exp(bottom * fallen * (1 if market == 0 else BETA) + chance.gauss(0, STEP_NOISE))
            for market, start in enumerate(starts)
        )
        is_silent = any(part >= begin and number - begin * (steps - 1) < silent for begin in SILENCES)
        said = tuple(() if is_silent else _said(chance, part, price) for price in prices)
        path.append(Step(prices, said))
    return path


def lows(steps: Sequence[Step]) -> list[int]:
    """Return the steps up to the gap at which the first market is told to be lower than ever before."""
    found: list[int] = []
    lowest = math.inf
    for number, step in enumerate(steps[: math.ceil(GAP * len(steps)) + 1]):
        if step.said[0] and step.prices[0] < lowest:
            lowest = step.prices[0]
            found.append(number)
    return found


def silent_steps(steps: int) -> float:
    """Return how many of so many steps each silence takes."""
    return min(SILENT_STEPS, steps / 10)


def calm(*, seed: int, starts: Sequence[float]) -> Step:
    """Return a step at the starting prices, at which all sources speak."""
    chance = random.Random(seed)
    prices = tuple(starts)
    return Step(prices, tuple(_heard(chance, price) for price in prices))


def at_rest(step: Step, *, seed: int) -> Step:
    """Return another step at the prices of this one, at which all sources speak."""
    chance = random.Random(seed)
    return step._replace(said=tuple(_heard(chance, price) for price in step.prices))


def quotes(said: Sequence[tuple[int, float]], tick: float, time_ns: int) -> list[IndexQuote]:
    """Return what sources say, in ticks, as said at ``time_ns``."""
    return [
        IndexQuote(source=source, price_ticks=max(1, round(price / tick)), weight=1, time_ns=time_ns)
        for source, price in said
    ]


def _between(part: float) -> float:
    for (before, low), (after, high) in pairwise(ANCHORS):
        if part <= after:
            return low + (high - low) * (part - before) / (after - before)
    return ANCHORS[-1][1]


def _said(chance: random.Random, part: float, price: float) -> tuple[tuple[int, float], ...]:
    heard = _heard(chance, price)
    if ONE_WRONG[0] <= part < ONE_WRONG[1]:
        return _spoil(heard, {1: 1 - WRONG})
    if TWO_WRONG[0] <= part < TWO_WRONG[1]:
        return _spoil(heard, {1: 1 - WRONG, 2: 1 + WRONG})
    return heard


def _heard(chance: random.Random, price: float) -> tuple[tuple[int, float], ...]:
    return tuple((source, price * (1 + chance.gauss(0, SOURCE_NOISE))) for source in range(1, SOURCES + 1))


def _spoil(heard: tuple[tuple[int, float], ...], wrong: dict[int, float]) -> tuple[tuple[int, float], ...]:
    return tuple((source, price * wrong.get(source, 1.0)) for source, price in heard)
