"""One instrument's order book.

A side is a sorted list of keys with the best one last, a dict from key to level, and a linked list through
the orders of a level: joining and leaving cost the same wherever an order stands, and the best price is
``keys[-1]``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

from steelyard.core.matching.order import Level, Order
from steelyard.core.units import Side

_BUY: Final = Side.BUY


class BookSide:
    """One side of a book: levels by key, which is the price for bids and minus the price for asks."""

    __slots__ = ("keys", "levels")

    def __init__(self) -> None:
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def best_first(self) -> Iterator[Level]:
        """Yield the levels from the best price to the worst."""
        for key in reversed(self.keys):
            yield self.levels[key]

    def drop_level(self, key: int) -> None:
        """Forget a level that has no orders left."""
        del self.levels[key]
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]


class Book:
    """Resting orders by price, then by number."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide()
        self.asks = BookSide()

    def side(self, side: Side) -> BookSide:
        """Return the side on which orders of ``side`` rest."""
        return self.bids if side == _BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        """Return the side with which orders of ``side`` trade."""
        return self.asks if side == _BUY else self.bids

    def best_ticks(self, side: Side) -> int | None:
        """Return the best resting price on ``side``, or None when it is empty."""
        keys = self.side(side).keys
        return abs(keys[-1]) if keys else None

    def rest(self, order: Order) -> None:
        """Queue ``order`` behind everything at its price."""
        assert order.open_lots > 0, order.open_lots
        if order.side is _BUY:
            side = self.bids
            key = order.price_ticks
        else:
            side = self.asks
            key = -order.price_ticks
        level = side.levels.get(key)
        if level is None:
            level = Level(key)
            side.levels[key] = level
            insort(side.keys, key)
            level.oldest = order
        else:
            newest = level.newest
            assert newest is not None, key
            newest.after = order
            order.before = newest
        level.newest = order
        level.count += 1
        special = order.special
        level.open_lots += order.open_lots if special is None else special.shown_lots or order.open_lots
        order.level = level

    def put_back(self, order: Order, before: Order | None) -> None:
        """Queue ``order`` right behind ``before``, or first, where it stood before it was removed."""
        side = self.side(order.side)
        key = order.price_ticks if order.side == _BUY else -order.price_ticks
        level = side.levels.get(key)
        if level is None:
            level = side.levels[key] = Level(key)
            insort(side.keys, key)
        after = level.oldest if before is None else before.after
        if before is None:
            level.oldest = order
        else:
            before.after = order
        if after is None:
            level.newest = order
        else:
            after.before = order
        order.before, order.after, order.level = before, after, level
        level.count += 1
        level.open_lots += order.shown_lots

    def remove(self, order: Order) -> None:
        """Take ``order`` out of its queue, wherever it stands, with what it shows."""
        level = order.level
        assert level is not None, order.number
        before, after = order.before, order.after
        if before is None:
            level.oldest = after
        else:
            before.after = after
        if after is None:
            level.newest = before
        else:
            after.before = before
        order.level = order.before = order.after = None
        special = order.special
        level.open_lots -= order.open_lots if special is None else special.shown_lots or order.open_lots
        level.count -= 1
        if level.count == 0:
            assert level.open_lots == 0, (level.key, level.open_lots)
            (self.bids if order.side is _BUY else self.asks).drop_level(level.key)

    def take(self, order: Order, lots: int) -> None:
        """Let ``order`` give ``lots`` of what it shows; if that was all it shows, it has left the book."""
        level = order.level
        assert level is not None, order.number
        shown_lots = order.shown_lots
        assert 0 < lots <= shown_lots, (order.number, lots, shown_lots)
        if lots == shown_lots:
            self.remove(order)
        else:
            level.open_lots -= lots
            if order.special is not None and order.special.shown_lots:
                order.special.shown_lots -= lots
        order.open_lots -= lots

    def reduce(self, order: Order, lots: int) -> None:
        """Make ``order`` smaller where it stands, what it hides first; it must have lots left."""
        level = order.level
        assert level is not None, order.number
        assert 0 < lots < order.open_lots, (order.number, lots, order.open_lots)
        before_lots = order.shown_lots
        order.open_lots -= lots
        special = order.special
        if special is not None and special.shown_lots > order.open_lots:
            special.shown_lots = order.open_lots
        level.open_lots -= before_lots - order.shown_lots

    def orders(self) -> Iterator[Order]:
        """Yield every resting order: bids, then asks, best price first, oldest first."""
        for side in (self.bids, self.asks):
            for level in side.best_first():
                order = level.oldest
                while order is not None:
                    yield order
                    order = order.after

    def is_crossed(self) -> bool:
        """Return whether a bid is at or above an ask, as only an auction can leave it."""
        return bool(self.bids.keys and self.asks.keys) and self.bids.keys[-1] >= -self.asks.keys[-1]

    def check_invariants(self, *, may_cross: bool = False) -> None:
        """Raise ``AssertionError`` unless links, levels and index agree, and the book is not crossed."""
        assert may_cross or not self.is_crossed(), (self.bids.keys[-1], self.asks.keys[-1])
        for side, direction in ((self.bids, Side.BUY), (self.asks, Side.SELL)):
            assert side.keys == sorted(side.levels), direction
            for key, level in side.levels.items():
                assert level.key == key, (level.key, key)
                _check_level(level, direction)


def _check_level(level: Level, direction: Side) -> None:
    key = level.key
    count = open_lots = 0
    before: Order | None = None
    order = level.oldest
    while order is not None:
        assert order.level is level, order.number
        assert order.before is before, order.number
        assert before is None or before.number < order.number, (before and before.number, order.number)
        assert order.side == direction, order.number
        assert order.price_ticks == abs(key), (order.price_ticks, key)
        assert 0 < order.open_lots <= order.size_lots, (order.number, order.open_lots)
        assert order.shown_lots <= order.open_lots, (order.number, order.shown_lots, order.open_lots)
        count += 1
        open_lots += order.shown_lots
        before, order = order, order.after
    assert level.newest is before, key
    assert level.count == count > 0, (key, level.count, count)
    assert level.open_lots == open_lots, (key, level.open_lots, open_lots)
