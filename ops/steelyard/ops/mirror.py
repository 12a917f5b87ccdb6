"""What rests in the exchange's book, kept beside it, to predict fills and to follow a recorded book.

The mirror holds every resting order of the market account, level by level in time priority.  It knows
nothing of the exchange but its rules, so a reply that differs from what it predicts is a finding.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from steelyard.ops.capture import Levels


class Place(NamedTuple):
    """Rest an order."""

    order: int
    buying: bool
    price_ticks: int
    size_lots: int


class Cancel(NamedTuple):
    """Take an order out, with ``open_lots`` left."""

    order: int
    open_lots: int


Step = Place | Cancel


class _Rest:
    """One resting order."""

    __slots__ = ("open_lots", "order")

    def __init__(self, order: int, open_lots: int) -> None:
        self.order = order
        self.open_lots = open_lots


class _Half:
    """One side of the book: levels of orders, oldest first, and the sorted prices."""

    def __init__(self, buying: bool) -> None:
        self.buying = buying
        self.levels: dict[int, deque[_Rest]] = {}
        self.keys: list[int] = []  # best last: prices for bids, minus prices for asks

    def key(self, price_ticks: int) -> int:
        return price_ticks if self.buying else -price_ticks

    def add(self, price_ticks: int, rest: _Rest) -> None:
        level = self.levels.get(price_ticks)
        if level is None:
            level = self.levels[price_ticks] = deque()
            insort(self.keys, self.key(price_ticks))
        level.append(rest)

    def drop_level(self, price_ticks: int) -> None:
        del self.levels[price_ticks]
        key = self.key(price_ticks)
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]


class Mirror:
    """A market account's resting orders, and the recorded book they have to equal."""

    def __init__(self, *, size_max_lots: int, first_order: int = 1) -> None:
        self._next_order = first_order
        self._size_max_lots = size_max_lots
        self._bids = _Half(buying=True)
        self._asks = _Half(buying=False)
        #: The recorded size of each level, absent when zero.
        self._wanted: dict[bool, dict[int, int]] = {True: {}, False: {}}
        #: Levels that fills have changed since the last reconciliation; a dict for its order.
        self._touched: dict[tuple[bool, int], None] = {}
        self.resting = 0
        #: How many resting orders were hit, each a trade.
        self.fills = 0

    def take(self, *, buying: bool, limit_ticks: int, size_lots: int) -> tuple[int, int]:
        """Let an immediate-or-cancel order trade; return (executed lots, Σ price ticks · lots)."""
        half = self._asks if buying else self._bids
        bound = half.key(limit_ticks)
        left_lots, ticks_lots = size_lots, 0
        while left_lots and half.keys and half.keys[-1] >= bound:
            price_ticks = abs(half.keys[-1])
            self._touched[half.buying, price_ticks] = None
            level = half.levels[price_ticks]
            while left_lots and level:
                oldest = level[0]
                fill_lots = min(left_lots, oldest.open_lots)
                left_lots -= fill_lots
                self.fills += 1
                ticks_lots += fill_lots * price_ticks
                oldest.open_lots -= fill_lots
                if oldest.open_lots == 0:
                    level.popleft()
                    self.resting -= 1
            if not level:
                half.drop_level(price_ticks)
        return size_lots - left_lots, ticks_lots

    def reconcile(self, bids: Levels, asks: Levels) -> list[Step]:
        """Take over the recorded changes; return the steps after which the book equals the recorded one.

        Only levels that the changes name or that fills have touched can differ.  All cancels come first, so
        that nothing placed afterwards can meet an order that should have gone.
        """
        named: dict[tuple[bool, int], None] = self._touched
        for buying, changes in ((True, bids), (False, asks)):
            wanted = self._wanted[buying]
            for price_ticks, size_lots in changes:
                if size_lots:
                    wanted[price_ticks] = size_lots
                else:
                    wanted.pop(price_ticks, None)
                named[buying, price_ticks] = None
        cancels: list[Step] = []
        places: list[Step] = []
        for buying, price_ticks in named:
            missing_lots = self._lower(cancels, buying=buying, price_ticks=price_ticks)
            while missing_lots:
                size_lots = min(missing_lots, self._size_max_lots)
                places.append(Place(self._next_order, buying, price_ticks, size_lots))
                self._half(buying).add(price_ticks, _Rest(self._next_order, size_lots))
                self._next_order += 1
                self.resting += 1
                missing_lots -= size_lots
        self._touched = {}
        return cancels + places

    def best(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Return the best bid and ask as (ticks, lots), or None where a side is empty."""
        return self._best(self._bids), self._best(self._asks)

    def levels(self, *, buying: bool) -> dict[int, int]:
        """Return what rests on one side: price ticks to open lots."""
        half = self._half(buying)
        return {price: sum(rest.open_lots for rest in level) for price, level in half.levels.items()}

    def orders(self) -> Iterable[int]:
        """Yield the ids of all resting orders."""
        for half in (self._bids, self._asks):
            for level in half.levels.values():
                for rest in level:
                    yield rest.order

    def _lower(self, cancels: list[Step], *, buying: bool, price_ticks: int) -> int:
        """Cancel a level's newest orders until it holds no more than wanted; return the lots then missing."""
        wanted_lots = self._wanted[buying].get(price_ticks, 0)
        half = self._half(buying)
        level = half.levels.get(price_ticks)
        if level is None:
            return wanted_lots
        open_lots = sum(rest.open_lots for rest in level)
        while open_lots > wanted_lots:
            newest = level.pop()
            self.resting -= 1
            open_lots -= newest.open_lots
            cancels.append(Cancel(newest.order, newest.open_lots))
        if not level:
            half.drop_level(price_ticks)
        return wanted_lots - open_lots

    def _half(self, buying: bool) -> _Half:
        return self._bids if buying else self._asks

    @staticmethod
    def _best(half: _Half) -> tuple[int, int] | None:
        if not half.keys:
            return None
        price_ticks = abs(half.keys[-1])
        return price_ticks, sum(rest.open_lots for rest in half.levels[price_ticks])
