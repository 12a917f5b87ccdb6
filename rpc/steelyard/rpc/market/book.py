"""A book as everybody may see it, rebuilt from events: orders without owners, levels, the best of both."""

import struct
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple
from zlib import crc32

from steelyard.core.events import (
    AnyEvent,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderReduced,
    OrderReplaced,
    OrderReplenished,
    OrderRested,
    Traded,
)
from steelyard.core.units import OrderNumber, Side

#: Levels a side that a checksum covers.
CHECKED_LEVELS: Final = 25
_LEVEL: Final = struct.Struct("<qq")


class Level(NamedTuple):
    """A price, the open size that shows there, and of how many orders; no lots: it is gone."""

    side: Side
    price_ticks: int
    lots: int
    orders: int


class Shown(NamedTuple):
    """An order as everybody may see it; no lots: it is gone."""

    side: Side
    number: OrderNumber
    price_ticks: int
    lots: int


class Best(NamedTuple):
    """The best of both sides; zeros where there is nothing."""

    bid_ticks: int = 0
    bid_lots: int = 0
    ask_ticks: int = 0
    ask_lots: int = 0


class _Side:
    """One side: keys with the best last, which are prices, of asks below zero; and their [lots, orders]."""

    __slots__ = ("keys", "levels", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.keys: list[int] = []
        self.levels: dict[int, list[int]] = {}

    def change(self, key: int, lots: int, orders: int) -> None:
        level = self.levels.get(key)
        if level is None:
            assert lots > 0, (key, lots)
            assert orders == 1, (key, orders)
            self.levels[key] = [lots, orders]
            insort(self.keys, key)
            return
        level[0] += lots
        level[1] += orders
        assert level[0] >= 0, (key, level)
        if level[1] == 0:
            assert level[0] == 0, (key, level)
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]


class MarketBook:
    """Every order that shows, and the levels they make; fed with the events of one instrument, in log order.

    Raises ``AssertionError`` when events do not fit what is known: then some were missed.
    """

    def __init__(self) -> None:
        self._orders: dict[OrderNumber, Shown] = {}
        self._bids = _Side(Side.BUY)
        self._asks = _Side(Side.SELL)
        self._touched_levels: dict[tuple[Side, int], None] = {}
        self._touched_orders: dict[OrderNumber, Shown] = {}

    @classmethod
    def of(cls, orders: Iterator[Shown]) -> "MarketBook":
        """Return the book of these orders, with nothing touched yet."""
        book = cls()
        for order in orders:
            book._put(order)
        book.take_touched()
        return book

    def apply(self, event: AnyEvent) -> None:
        """Follow one event; most kinds change no book."""
        act = _ACTS.get(type(event))
        if act is not None:
            act(self, event)

    def take_touched(self) -> tuple[list[Level], list[Shown]]:
        """Return the levels and orders that may have changed since the last call, as they are now.

        An order that has come and gone in between is among them: gone, at its last price.
        """
        levels = [
            self.level(side, key if side is Side.BUY else -key) for side, key in sorted(self._touched_levels)
        ]
        orders = [
            self._orders.get(number) or was._replace(lots=0)
            for number, was in sorted(self._touched_orders.items())
        ]
        self._touched_levels, self._touched_orders = {}, {}
        return levels, orders

    def level(self, side: Side, price_ticks: int) -> Level:
        """Return a level as it is now."""
        buying = side is Side.BUY
        levels = (self._bids if buying else self._asks).levels
        lots, orders = levels.get(price_ticks if buying else -price_ticks, (0, 0))
        return Level(side, price_ticks, lots, orders)

    def levels(self, side: Side, depth: int = 0) -> list[Level]:
        """Return the best ``depth`` levels of a side, best first; zero: all."""
        of = self._bids if side is Side.BUY else self._asks
        return [Level(side, abs(key), *of.levels[key]) for key in islice(reversed(of.keys), depth or None)]

    def orders(self, side: Side) -> list[Shown]:
        """Return every order of a side: best price first, then oldest."""
        sign = -1 if side is Side.BUY else 1
        return sorted(
            (order for order in self._orders.values() if order.side is side),
            key=lambda order: (sign * order.price_ticks, order.number),
        )

    def best(self) -> Best:
        """Return the best of both sides."""
        bids, asks = self._bids, self._asks
        bid = bids.keys[-1] if bids.keys else 0
        ask = asks.keys[-1] if asks.keys else 0
        return Best(
            bid,
            bids.levels[bid][0] if bid else 0,
            -ask,
            asks.levels[ask][0] if ask else 0,
        )

    def checksum(self, depth: int = 0) -> int:
        """Return what a rebuilt book is compared by; see ``checksum_of``."""
        count = min(depth or CHECKED_LEVELS, CHECKED_LEVELS)
        return checksum_of(
            (level.price_ticks, level.lots) for side in Side for level in self.levels(side, count)
        )

    # --- what events do ------------------------------------------------------------------------

    def _put(self, order: Shown) -> None:
        before = self._orders.get(order.number)
        assert before is None, before
        self._orders[order.number] = order
        self._touch(order, order.lots, 1)

    def _resize(self, number: OrderNumber, lots: int) -> None:
        """Let an order show ``lots``; whatever is not in the book is no business of ours."""
        order = self._orders.get(number)
        if order is None or order.lots == lots:
            return
        assert 0 <= lots < order.lots, (order, lots)
        if lots:
            self._orders[number] = order._replace(lots=lots)
            self._touch(order, lots - order.lots, 0)
        else:
            del self._orders[number]
            self._touch(order, -order.lots, -1)

    def _touch(self, order: Shown, lots: int, orders: int) -> None:
        buying = order.side is Side.BUY
        key = order.price_ticks if buying else -order.price_ticks
        (self._bids if buying else self._asks).change(key, lots, orders)
        self._touched_levels[order.side, key] = None
        self._touched_orders[order.number] = order

    def _rested(self, event: OrderRested) -> None:
        self._put(Shown(event.side, event.number, event.price_ticks, event.open_lots))

    def _traded(self, event: Traded) -> None:
        # Of a taker only an auction's is in the book.
        for number in (event.maker_number, event.taker_number):
            order = self._orders.get(number)
            if order is not None:
                self._resize(number, order.lots - event.size_lots)

    def _ended(self, event: OrderFilled | OrderCancelled | OrderExpired) -> None:
        self._resize(event.number, 0)

    def _reduced(self, event: OrderReduced) -> None:
        # What an iceberg hides goes first.
        order = self._orders.get(event.number)
        if order is not None:
            self._resize(event.number, min(order.lots, event.open_lots))

    def _replaced(self, event: OrderReplaced) -> None:
        self._resize(event.before, 0)

    def _replenished(self, event: OrderReplenished) -> None:
        self._resize(event.before, 0)
        self._put(Shown(event.side, event.number, event.price_ticks, event.shown_lots))


_ACTS: Final[dict[type, Callable[[MarketBook, AnyEvent], None]]] = {
    OrderRested: MarketBook._rested,  # type: ignore[dict-item]  # each is given its own kind
    Traded: MarketBook._traded,  # type: ignore[dict-item]
    OrderFilled: MarketBook._ended,  # type: ignore[dict-item]
    OrderCancelled: MarketBook._ended,  # type: ignore[dict-item]
    OrderExpired: MarketBook._ended,  # type: ignore[dict-item]
    OrderReduced: MarketBook._reduced,  # type: ignore[dict-item]
    OrderReplaced: MarketBook._replaced,  # type: ignore[dict-item]
    OrderReplenished: MarketBook._replenished,  # type: ignore[dict-item]
}


def checksum_of(levels: Iterator[tuple[int, int]]) -> int:
    """Return the CRC-32 of (price, lots) as two little-endian int64 each: bids best first, then asks."""
    return crc32(b"".join(_LEVEL.pack(ticks, lots) for ticks, lots in levels))
