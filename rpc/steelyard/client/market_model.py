"""What market data comes in: updates of a watched market, trades, candles, tickers, statements."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from steelyard.client.words import InstrumentState, LiquidationEnd, LiquidationStep, Side

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
    PRICES = 8
    """Of a contract: every mark and every price of its index."""
    FUNDING = 9
    OPEN_INTEREST = 10
    LIQUIDATIONS = 11


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
    """The last 24 hours of log time, by the minute; prices of zero are none; the last four of contracts."""

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
    index_ticks: int
    open_interest_lots: int
    predicted_ppb: int
    funding_ns: int


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
class Prices:
    """A contract's mark and the price of its index; zeros are none, ``index_stale``: it is the last one."""

    mark_ticks: int
    index_ticks: int
    index_stale: bool


@dataclass(frozen=True, slots=True)
class Funding:
    """A sample of a contract's premium, or a settlement of its funding.

    ``predicted_ppb`` is the rate that the running interval, which ends at ``next_ns``, would end with now;
    ``rate_ppb`` that of the settlement, or of the last one.  By a settlement at ``mark_ticks`` longs owe
    ``delta_nanoatoms`` a lot (below zero: shorts do); ``cumulative_nanoatoms`` is the sum so far.
    """

    settled: bool
    premium_ppb: int
    predicted_ppb: int
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int
    next_ns: int


@dataclass(frozen=True, slots=True)
class FundingRow:
    """A settlement of funding, from an archive; see ``Funding``."""

    log_index: int
    log_time_ns: int
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A step of a liquidation, without its owner; which numbers are said depends on the step.

    ``instrument`` zero: it is about margin wallets of ``asset``, which is zero otherwise.

    * STARTED: the engine will take a position, or a margin wallet, in its turn; ENDED: and ``how`` it did.
    * STEPPED: the engine closes ``lots`` on ``side`` at ``limit_ticks`` or better, at this mark (zero: no
      price would do, and nothing is sent); nobody loses if they bring ``bankruptcy_atoms``.
    * PAID: what ``lots`` brought (``received_atoms``), had to bring, and what the insurance fund took.
    * DELEVERAGED: ``lots`` were closed against ``others`` opposite positions for this cash.
    * DEBT: what the insurance fund paid of a loss, and what nobody has paid; SHARED: ``others`` bore that.
    * REPAID: the insurance fund paid ``insurance_atoms`` of what nobody had paid; ``liquidation`` is zero.
    """

    log_index: int
    log_time_ns: int
    instrument: int
    liquidation: int
    step: LiquidationStep
    side: Side | None
    lots: int
    mark_ticks: int
    limit_ticks: int
    received_atoms: int
    bankruptcy_atoms: int
    insurance_atoms: int
    debt_atoms: int
    others: int
    asset: int
    how: LiquidationEnd | None


@dataclass(frozen=True, slots=True)
class MarketUpdate:
    """A picture of what is watched, or what one log entry changed of it.

    ``checksum`` is that of the 25 best levels a side (fewer if fewer are watched), None without levels;
    ``open_interest_lots`` is None unless it changed.
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
    prices: list[Prices] = field(default_factory=list)
    funding: list[Funding] = field(default_factory=list)
    open_interest_lots: int | None = None
    liquidations: list[Liquidation] = field(default_factory=list)


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
