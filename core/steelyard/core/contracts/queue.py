"""The engine's queue: first in, first out, and what is asked of it after each step found without a search."""

from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import heappop, heappush
from itertools import pairwise

from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.units import AssetId, LiquidationId


class Queue:
    """Every scope that the engine has, by number, in the order of their turns.

    A crash may put 100,000 into it, of whom nearly all wait for another mark.  So who is awake, and whether
    anybody has less than nothing, is kept beside them; both follow from the rows alone.
    """

    def __init__(self, rows: Iterable[Liquidation] = ()) -> None:
        """Begin with rows in the order of their turns."""
        self._rows: dict[LiquidationId, Liquidation] = {}
        self._turns: dict[LiquidationId, int] = {}
        self._last_turn = 0
        #: a heap of (turn, number) of all who are awake, and of some who are not, or had that turn before
        self._awake: list[tuple[int, LiquidationId]] = []
        self._losses: dict[AssetId, int] = {}
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[LiquidationId]:
        """Go through the numbers, in the order of their turns."""
        return iter(self._rows)

    def __getitem__(self, number: LiquidationId) -> Liquidation:
        """Return who has a number."""
        return self._rows[number]

    @property
    def rows(self) -> Collection[Liquidation]:
        """Everybody, in the order of their turns."""
        return self._rows.values()

    def append(self, row: Liquidation) -> None:
        """Let somebody be the last, who may have stood anywhere in the queue before."""
        number = row.liquidation
        if self._rows.pop(number, None) is None and row.is_below_zero:
            self._count(row, 1)
        self._rows[number] = row
        self._last_turn += 1
        self._turns[number] = self._last_turn
        if not row.is_parked:
            heappush(self._awake, (self._last_turn, number))

    def remove(self, number: LiquidationId) -> None:
        """Let somebody leave the queue."""
        row = self._rows.pop(number)
        del self._turns[number]
        if row.is_below_zero:
            self._count(row, -1)

    def park(self, row: Liquidation) -> None:
        """Let somebody wait until ``wake``."""
        row.is_parked = True

    def wake(self, row: Liquidation) -> None:
        """Let somebody who is parked be looked at again when the turn comes."""
        if row.is_parked:
            row.is_parked = False
            heappush(self._awake, (self._turns[row.liquidation], row.liquidation))

    def first(self, can_go_on: Callable[[Liquidation], bool]) -> Liquidation | None:
        """Return the first who is awake and can go on, or None."""
        awake, passed = self._awake, []
        found: Liquidation | None = None
        while awake and found is None:
            turn, number = awake[0]
            row = self._rows.get(number)
            if row is None or row.is_parked or self._turns[number] != turn:
                heappop(awake)
            elif can_go_on(row):
                found = row
            else:
                passed.append(heappop(awake))
        for place in passed:
            heappush(awake, place)
        return found

    def set_below_zero(self, row: Liquidation, is_below_zero: bool) -> None:
        """Know whether somebody has less than nothing."""
        if row.is_below_zero != is_below_zero:
            row.is_below_zero = is_below_zero
            self._count(row, 1 if is_below_zero else -1)

    def has_loss(self, asset: AssetId) -> bool:
        """Return whether anybody has less than nothing of an asset."""
        return self._losses.get(asset, 0) > 0

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless what is kept beside the rows follows from them."""
        turns = [self._turns[number] for number in self._rows]
        assert len(turns) == len(self._turns), (len(turns), len(self._turns))
        assert all(before < after for before, after in pairwise(turns)), turns
        awake = dict.fromkeys(self._awake)
        losses: dict[AssetId, int] = {}
        for number, row in self._rows.items():
            assert row.liquidation == number, (row.liquidation, number)
            assert row.is_parked or (self._turns[number], number) in awake, number
            losses[row.asset] = losses.get(row.asset, 0) + row.is_below_zero
        for asset, below_zero in self._losses.items():
            assert losses.get(asset, 0) == below_zero, (asset, below_zero)
        for asset, below_zero in losses.items():
            assert self._losses.get(asset, 0) == below_zero, (asset, below_zero)

    def _count(self, row: Liquidation, more: int) -> None:
        self._losses[row.asset] = self._losses.get(row.asset, 0) + more
