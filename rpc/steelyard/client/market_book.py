"""A book kept up with a watched market, checked against the checksum of every message."""

import struct
from typing import Final
from zlib import crc32

from steelyard.client.errors import SteelyardError
from steelyard.client.market_model import MarketUpdate
from steelyard.client.model import Book
from steelyard.client.words import Side

CHECKED_LEVELS: Final = 25
_LEVEL: Final = struct.Struct("<qq")


class OutOfStep(SteelyardError):
    """The levels that were rebuilt are not those of the exchange; watch anew."""


class BookKeeper:
    """Levels by price, rebuilt from a picture and what follows it; needs ``Channel.LEVELS``."""

    def __init__(self, depth: int = 0) -> None:
        """Keep as many levels a side as are watched; zero: all."""
        self.log_index = 0
        self.orders: dict[tuple[Side, int], int] = {}
        """How many orders make a level, by side and price."""
        self._depth = depth
        self._levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}

    def take(self, update: MarketUpdate) -> None:
        """Follow an update.

        Raises:
            OutOfStep: The levels are not what the checksum says.

        """
        if update.picture:
            self._levels = {Side.BUY: {}, Side.SELL: {}}
            self.orders.clear()
        for level in update.levels:
            if level.lots:
                self._levels[level.side][level.price_ticks] = level.lots
                self.orders[level.side, level.price_ticks] = level.orders
            else:
                self._levels[level.side].pop(level.price_ticks, None)
                self.orders.pop((level.side, level.price_ticks), None)
        self.log_index = update.log_index
        if update.checksum is not None and update.checksum != self.checksum():
            raise OutOfStep(f"the book differs from the exchange's after log index {update.log_index}")

    def book(self, depth: int = 0) -> Book:
        """Return the best levels; zero: all that are kept."""
        bids = sorted(self._levels[Side.BUY].items(), reverse=True)
        asks = sorted(self._levels[Side.SELL].items())
        count = depth or None
        return Book(self.log_index, bids[:count], asks[:count])

    def checksum(self) -> int:
        """Return the CRC-32 of (price, lots) as two little-endian int64 each: bids best first, then asks."""
        book = self.book(min(self._depth or CHECKED_LEVELS, CHECKED_LEVELS))
        return crc32(b"".join(_LEVEL.pack(*level) for level in (*book.bids, *book.asks)))
