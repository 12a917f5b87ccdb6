"""The engine's queue: first in, first out, and what is asked of it after each step found without a search."""

from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import pairwise

from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.units import AssetId, LiquidationId


class Queue:
    """Every scope that the engine has, by number, in the order of their turns.

    A crash may put 100,000 into it, of whom nearly all wait for another mark, or for an index that is silent.
    So who is awake, who of them cannot go on, and whether anybody has less than nothing, is kept beside them;
    it all follows from the rows, and from what was asked of ``first``.
    """

    def __init__(self, rows: Iterable[Liquidation] = ()) -> None:
        """Begin with rows in the order of their turns."""
        self._rows: dict[LiquidationId, Liquidation] = {}
        self._turns: dict[LiquidationId, int] = {}
        self._last_turn = 0
        #: a heap of (turn, number) of all who are awake, and of some who are not, or had that turn before
        self._awake: list[tuple[int, LiquidationId]] = []
        #: the places of those who are awake and could not go on when they were looked at
        self._waiting: dict[tuple[int, LiquidationId], None] = {}
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
        if self._rows.pop(number, None) is not None:
            self._waiting.pop((self._turns[number], number), None)
        elif row.is_below_zero:
            self._count(row, 1)
        self._rows[number] = row
        self._last_turn += 1
        self._turns[number] = self._last_turn
        if not row.is_parked:
            heappush(self._awake, (self._last_turn, number))

    def remove(self, number: LiquidationId) -> None:
        """Let somebody leave the queue."""
        row = self._rows.pop(number)
        self._waiting.pop((self._turns.pop(number), number), None)
        if row.is_below_zero:
            self._count(row, -1)

    def park(self, row: Liquidation) -> None:
        """Let somebody wait until ``wake``."""
        row.is_parked = True

    def wake(self, row: Liquidation) -> None:
        """Let somebody who is parked, or could not go on, be looked at again when the turn comes."""
        place = (self._turns[row.liquidation], row.liquidation)
        if row.is_parked or place in self._waiting:
            row.is_parked = False
            self._waiting.pop(place, None)
            heappush(self._awake, place)

    def wake_waiting(self) -> None:
        """Let all who could not go on be looked at again."""
        self._awake += self._waiting
        heapify(self._awake)
        self._waiting.clear()

    def first(self, can_go_on: Callable[[Liquidation], bool]) -> Liquidation | None:
        """Return the first who is awake and can go on, or None.

        Whoever cannot is not asked again before ``wake`` or ``wake_waiting``.
        """
        awake = self._awake
        while awake:
            turn, number = awake[0]
            row = self._rows.get(number)
            if row is not None and not row.is_parked and self._turns[number] == turn:
                if can_go_on(row):
                    return row
                self._waiting[turn, number] = None
            heappop(awake)
        return None

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
        for turn, number in self._waiting:
            assert self._turns.get(number) == turn, (number, turn)
        awake = dict.fromkeys(self._awake) | self._waiting
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
