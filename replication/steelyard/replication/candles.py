"""Trades without their owners, and the candles they make."""

from collections.abc import Iterable
from typing import NamedTuple

from steelyard.core.limits import INTEGER_MAX
from steelyard.replication.intervals import Interval, start_s


class Trade(NamedTuple):
    """A trade without its owners, at a log time."""

    time_ns: int
    price_ticks: int
    size_lots: int
    notional_atoms: int
    taker_bought: bool


class Candle(NamedTuple):
    """What was traded in an interval that begins at ``start_s``; sums stop at ``INTEGER_MAX``."""

    start_s: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    volume_atoms: int
    trades: int
    taker_buy_lots: int

    @classmethod
    def of(cls, begin_s: int, trade: Trade) -> "Candle":
        """Return the candle of one trade."""
        ticks, lots = trade.price_ticks, trade.size_lots
        bought = lots if trade.taker_bought else 0
        return cls(begin_s, ticks, ticks, ticks, ticks, lots, trade.notional_atoms, 1, bought)

    def then(self, later: "Candle") -> "Candle":
        """Return this candle with another one after it, beginning where this one does."""
        return Candle(
            self.start_s,
            self.open_ticks,
            max(self.high_ticks, later.high_ticks),
            min(self.low_ticks, later.low_ticks),
            later.close_ticks,
            min(self.volume_lots + later.volume_lots, INTEGER_MAX),
            min(self.volume_atoms + later.volume_atoms, INTEGER_MAX),
            self.trades + later.trades,
            min(self.taker_buy_lots + later.taker_buy_lots, INTEGER_MAX),
        )


def joined(interval: Interval, parts: Iterable[Candle]) -> list[Candle]:
    """Return the candles of an interval that shorter ones make, all in the order of time."""
    made: list[Candle] = []
    for part in parts:
        begin_s = start_s(interval, part.start_s)
        if made and made[-1].start_s == begin_s:
            made[-1] = made[-1].then(part)
        else:
            made.append(part._replace(start_s=begin_s))
    return made
