"""What trades come to: candles of any interval, and the last 24 hours by the minute."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from steelyard.replication.candles import Candle, Trade
from steelyard.replication.intervals import MINUTE_S, SECOND_NS, Interval, start_s

#: The minutes of a ticker: the one that runs, and those before it.
WINDOW_MINUTES: Final = 24 * 60


class Day(NamedTuple):
    """The last 24 hours; zeros without a trade."""

    open_ticks: int = 0
    high_ticks: int = 0
    low_ticks: int = 0
    volume_lots: int = 0
    volume_atoms: int = 0
    trades: int = 0


class Ticker24h:
    """Trades of the minute that runs and of the 1439 before it, and the very last one."""

    def __init__(self, minutes: Iterable[Candle] = (), last_ticks: int = 0, last_lots: int = 0) -> None:
        """Go on from the minutes and the last trade so far; minutes are in the order of time."""
        self.last_ticks = last_ticks
        self.last_lots = last_lots
        self._minutes: deque[Candle] = deque(minutes)

    def add(self, trade: Trade) -> None:
        """Count a trade."""
        self.last_ticks, self.last_lots = trade.price_ticks, trade.size_lots
        begin_s = start_s(Interval.MINUTE, trade.time_ns // SECOND_NS)
        candle = Candle.of(begin_s, trade)
        if self._minutes and self._minutes[-1].start_s == begin_s:
            self._minutes[-1] = self._minutes[-1].then(candle)
        else:
            self._minutes.append(candle)

    def day(self, time_ns: int) -> Day:
        """Return the 24 hours up to a log time, and forget what is older."""
        oldest_s = first_minute_s(time_ns)
        while self._minutes and self._minutes[0].start_s < oldest_s:
            self._minutes.popleft()
        if not self._minutes:
            return Day()
        whole = self._minutes[0]
        for minute in list(self._minutes)[1:]:
            whole = whole.then(minute)
        return Day(
            whole.open_ticks,
            whole.high_ticks,
            whole.low_ticks,
            whole.volume_lots,
            whole.volume_atoms,
            whole.trades,
        )


def first_minute_s(time_ns: int) -> int:
    """Return where the oldest minute begins of the 24 hours up to a log time."""
    return start_s(Interval.MINUTE, time_ns // SECOND_NS) - (WINDOW_MINUTES - 1) * MINUTE_S


class Tape:
    """What the trades of an instrument have come to so far: its ticker, and the newest candles."""

    def __init__(self, ticker: Ticker24h, candles: dict[Interval, Candle | None]) -> None:
        """Go on from there; ``candles`` has an item for each interval that is wanted."""
        self.ticker = ticker
        self.candles = candles

    def add(self, trade: Trade) -> None:
        """Count a trade."""
        self.ticker.add(trade)
        for interval, now in self.candles.items():
            begin_s = start_s(interval, trade.time_ns // SECOND_NS)
            candle = Candle.of(begin_s, trade)
            self.candles[interval] = (
                now.then(candle) if now is not None and now.start_s == begin_s else candle
            )
