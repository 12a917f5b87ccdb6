"""What market data comes in: updates of a watched market, trades, candles, tickers, statements."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from steelyard.client.words import InstrumentState, Side

T = TypeVar("T")


class Channel(IntEnum):
    """What a watcher wants."""

    BEST = 1
    LEVELS = 2
    ORDERS = 3
    TRADES = 4
    TICKER = 5
    CANDLES = 6
    STATUS = 7


class Interval(IntEnum):
    """How long a candle is, UTC."""

    SECOND = 1
    MINUTE = 2
    MINUTES_3 = 3
    MINUTES_5 = 4
    MINUTES_15 = 5
    MINUTES_30 = 6
    HOUR = 7
    HOURS_2 = 8
    HOURS_4 = 9
    HOURS_6 = 10
    HOURS_8 = 11
    HOURS_12 = 12
    DAY = 13
    DAYS_3 = 14
    WEEK = 15
    """From Monday."""
    MONTH = 16
    """Of the calendar."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best of both sides; zeros where there is nothing."""

    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


@dataclass(frozen=True, slots=True)
class Level:
    """A level's new size; no lots: it is gone."""

    side: Side
    price_ticks: int
    lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as everybody may see it; no lots: it is gone."""

    side: Side
    number: int
    price_ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade without its owners."""

    trade: int
    log_index: int
    log_time_ns: int
    price_ticks: int
    size_lots: int
    taker_side: Side


@dataclass(frozen=True, slots=True)
class Candle:
    """What was traded in an interval."""

    start_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    volume_atoms: int
    trades: int
    taker_buy_lots: int


@dataclass(frozen=True, slots=True)
class Ticker:
    """The last 24 hours of log time, by the minute; prices of zero are none."""

    instrument: int
    last_ticks: int
    last_lots: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    volume_lots: int
    volume_atoms: int
    trades: int
    mark_ticks: int
    log_time_ns: int


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """What an instrument allows, where it will move, its mark, and how an auction ended; zeros are none."""

    state: InstrumentState
    next_state: InstrumentState | None
    next_ns: int
    mark_ticks: int
    auction_ticks: int
    auction_lots: int


@dataclass(frozen=True, slots=True)
class MarketUpdate:
    """A picture of what is watched, or what one log entry changed of it.

    ``checksum`` is that of the 25 best levels a side (fewer if fewer are watched), None without levels.
    """

    log_index: int
    log_time_ns: int
    picture: bool
    best: Best | None = None
    levels: list[Level] = field(default_factory=list)
    orders: list[ShownOrder] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    ticker: Ticker | None = None
    candle: Candle | None = None
    status: list[MarketStatus] = field(default_factory=list)
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Log entries that the archive asked never saw: those above ``after_index`` up to ``to_index``."""

    after_index: int
    to_index: int


@dataclass(frozen=True, slots=True)
class History(Generic[T]):
    """What an archive answers: it had come to ``log_index``, and misses what ``gaps`` say among the rows."""

    log_index: int
    rows: list[T]
    gaps: list[Gap]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """The sum of one cause, above zero if more came in than went out; ``cause`` is a stable word."""

    asset: int
    cause: str
    amount_atoms: int
    count: int


@dataclass(frozen=True, slots=True)
class StatementBalance:
    """What was owned of an asset before and after, free and held."""

    asset: int
    before_atoms: int
    after_atoms: int


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement; above zero: in.  ``other`` is the account on the other side, ``trade`` zero for none."""

    log_index: int
    log_time_ns: int
    asset: int
    cause: str
    amount_atoms: int
    other: int
    trade: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What moved for an account after one index and up to another."""

    log_index: int
    after_index: int
    to_index: int
    lines: list[StatementLine]
    balances: list[StatementBalance]
    movements: list[Movement]
    gaps: list[Gap]
