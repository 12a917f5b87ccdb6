"""Recorded markets: reads exchange captures line by line, as typed records in whole ticks and lots.

A capture is gzip text, one record a line: ``<local receive time, ns> <json>``.  Stream messages are wrapped
as ``{"stream": …, "data": …}``: depth diffs, best bid and ask (bookTicker) and trades.  The one snapshot of
the book is a bare object with ``lastUpdateId``.  Sizes of diffs are absolute; zero deletes a level.

Scales are found in the data: a tick is the finest decimal that any price uses, a lot that of any size.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from steelyard.ops.errors import CaptureError

#: A line longer than this is not a record (a snapshot of 1 000 levels a side takes about 70 kB).
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
#: More decimals than this would not leave room for the integer part of a price.
DECIMALS_MAX: Final = 12
DIGITS_MAX: Final = 18
#: The kind of a trade that met the book; spot trades do not say.
MARKET: Final = "MARKET"
DECIMAL: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)

Levels = list[tuple[int, int]]
"""Changes of one side as (price ticks, size lots); size zero deletes the level."""


class Scales(NamedTuple):
    """How many decimals a price and a size have: one tick is ``10**-price_decimals``."""

    price_decimals: int
    size_decimals: int


class Start(NamedTuple):
    """The book from which the diffs go on."""

    line: int
    update: int
    bids: Levels
    asks: Levels


class Change(NamedTuple):
    """A diff that has its place in the chain: the book after ``update``."""

    line: int
    update: int
    bids: Levels
    asks: Levels


class Print(NamedTuple):
    """A trade: ``buying`` says which way the taker went."""

    line: int
    price_ticks: int
    size_lots: int
    buying: bool


Event = Start | Change | Print


class Best(NamedTuple):
    """The recorded best bid and ask."""

    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class Survey(NamedTuple):
    """What a first reading found."""

    symbol: str
    scales: Scales
    highest_ticks: int
    lines: int
    diffs: int
    prints: int
    #: Prints that did not meet the book (insurance fund and the like) and are left out.
    other_prints: int
    #: Best bid and ask at the update ids that diffs and tickers share: what a rebuilt book must equal.
    best: dict[int, Best]


class _Line(msgspec.Struct, gc=False):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    lastUpdateId: int = -1  # noqa: N815  (the names of the format)
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class _Depth(msgspec.Struct, gc=False):
    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    pu: int = -1


class _Ticker(msgspec.Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str


class _Trade(msgspec.Struct, gc=False):
    p: str
    q: str
    m: bool
    X: str = MARKET


_Record = _Line | _Depth | _Ticker | _Trade

_line_decoder: Final = msgspec.json.Decoder(_Line)
_decoders: Final[
    dict[str, msgspec.json.Decoder[_Depth] | msgspec.json.Decoder[_Ticker] | msgspec.json.Decoder[_Trade]]
] = {
    "depth": msgspec.json.Decoder(_Depth),
    "bookTicker": msgspec.json.Decoder(_Ticker),
    "trade": msgspec.json.Decoder(_Trade),
}


class Capture:
    """One recorded market that can be read again and again."""

    def __init__(self, name: str, lines: Callable[[], Iterable[bytes]]) -> None:
        self.name = name
        self._lines = lines

    @classmethod
    def from_file(cls, path: Path) -> "Capture":
        """Return the capture in a gzip file; it is opened when it is read."""
        return cls(path.name, lambda: _gzip_lines(path))

    def survey(self) -> Survey:
        """Read everything once: scales, counts, and the best bid and ask to compare with.

        Raises:
            CaptureError: A line is not a record, or the diffs do not chain from the snapshot.

        """
        symbol = ""
        line = diffs = prints = other_prints = 0
        tickers: dict[int, tuple[int, _Ticker]] = {}
        updates: list[int] = []
        sizes: set[str] = set()
        prices: set[str] = set()
        for line, record in self._records():
            match record:
                case _Depth():
                    symbol = symbol or record.s
                    diffs += 1
                    updates.append(record.u)
                    for price, size in (*record.b, *record.a):
                        prices.add(price)
                        sizes.add(size)
                case _Line():
                    for price, size in (*record.bids, *record.asks):
                        prices.add(price)
                        sizes.add(size)
                case _Trade():
                    if record.X == MARKET:
                        prints += 1
                        prices.add(record.p)
                        sizes.add(record.q)
                    else:
                        other_prints += 1
                case _Ticker():
                    tickers[record.u] = line, record
        scales = Scales(max(map(_decimals, prices), default=0), max(map(_decimals, sizes), default=0))
        scaled = Scaler(self.name, scales)
        best: dict[int, Best] = {}
        for update in updates:
            if update in tickers:
                at, ticker = tickers[update]
                best[update] = Best(
                    scaled.price(at, ticker.b),
                    scaled.size(at, ticker.B),
                    scaled.price(at, ticker.a),
                    scaled.size(at, ticker.A),
                )
        applied = {event.update for event in self.events(scales) if isinstance(event, Change)}
        best = {update: row for update, row in best.items() if update in applied}
        highest_ticks = max((scaled.price(0, price) for price in prices), default=0)
        return Survey(symbol, scales, highest_ticks, line, diffs, prints, other_prints, best)

    def events(self, scales: Scales) -> Iterator[Event]:
        """Yield the snapshot, then diffs and prints in the order of their receipt.

        Diffs received before the snapshot are kept and applied as far as they are newer than it; prints
        before it had no book to meet and are left out.

        Raises:
            CaptureError: A line is not a record, or the diffs do not chain from the snapshot.

        """
        scaled = Scaler(self.name, scales)
        early: list[tuple[int, _Depth]] = []
        chain: _Chain | None = None
        for line, record in self._records():
            if isinstance(record, _Line):
                if chain is not None:
                    raise CaptureError(self.name, line, "a second snapshot of the book")
                chain = _Chain(self.name, record.lastUpdateId)
                bids, asks = scaled.levels(line, record.bids), scaled.levels(line, record.asks)
                yield Start(line, record.lastUpdateId, bids, asks)
                for early_line, diff in early:
                    if chain.follows(early_line, diff):
                        bids, asks = scaled.levels(early_line, diff.b), scaled.levels(early_line, diff.a)
                        yield Change(line, diff.u, bids, asks)
            elif isinstance(record, _Depth):
                if chain is None:
                    early.append((line, record))
                elif chain.follows(line, record):
                    yield Change(line, record.u, scaled.levels(line, record.b), scaled.levels(line, record.a))
            elif isinstance(record, _Trade) and chain is not None and record.X == MARKET:
                price_ticks, size_lots = scaled.price(line, record.p), scaled.size(line, record.q)
                if not size_lots or not price_ticks:
                    raise CaptureError(self.name, line, "a trade of nothing")
                yield Print(line, price_ticks, size_lots, buying=not record.m)
        if chain is None:
            raise CaptureError(self.name, 0, "there is no snapshot of the book in it")

    def _records(self) -> Iterator[tuple[int, _Record]]:
        """Yield (line number, record), leaving out streams that are none of the three."""
        line = 0
        try:
            for line, text in enumerate(self._lines(), 1):
                if len(text) > LINE_BYTES_MAX:
                    raise CaptureError(self.name, line, f"longer than {LINE_BYTES_MAX} bytes")
                stamp, space, body = text.partition(b" ")
                if not space or not stamp.isdigit():
                    raise CaptureError(self.name, line, "does not start with '<time in ns> '")
                record = _line_decoder.decode(body)
                if record.stream:
                    kind = record.stream.partition("@")[2].partition("@")[0]
                    decoder = _decoders.get(kind)
                    if decoder is not None:
                        yield line, decoder.decode(record.data)
                elif record.lastUpdateId >= 0:
                    yield line, record
                else:
                    raise CaptureError(self.name, line, "neither a stream message nor a snapshot")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CaptureError(self.name, line, f"not a record: {error}") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CaptureError(self.name, line + 1, f"not sound gzip data: {error}") from error
        except OSError as error:
            raise CaptureError(self.name, 0, error.strerror or str(error)) from error
        if line == 0:
            raise CaptureError(self.name, 0, "is empty")


class Scaler:
    """Decimal text to whole ticks and lots, exactly."""

    def __init__(self, name: str, scales: Scales) -> None:
        if max(scales) > DECIMALS_MAX:
            raise CaptureError(name, 0, f"has more than {DECIMALS_MAX} decimals in a price or a size")
        self._name = name
        self._scales = scales
        self._prices: dict[str, int] = {}

    def price(self, line: int, text: str) -> int:
        """Return a price in ticks."""
        ticks = self._prices.get(text)
        if ticks is None:
            ticks = self._prices[text] = self._scaled(line, text, self._scales.price_decimals)
        return ticks

    def size(self, line: int, text: str) -> int:
        """Return a size in lots."""
        return self._scaled(line, text, self._scales.size_decimals)

    def levels(self, line: int, rows: list[tuple[str, str]]) -> Levels:
        """Return one side's changes in ticks and lots."""
        return [(self.price(line, price), self.size(line, size)) for price, size in rows]

    def _scaled(self, line: int, text: str, decimals: int) -> int:
        match = DECIMAL.fullmatch(text)
        if match is None or len(text) > DIGITS_MAX + 1:
            raise CaptureError(
                self._name, line, f"{text[:40]!r} is not a decimal number above or equal to zero"
            )
        whole, fraction = match[1], (match[2] or "").rstrip("0")
        if len(fraction) > decimals:
            raise CaptureError(self._name, line, f"{text!r} has more than {decimals} decimals")
        return int(whole + fraction.ljust(decimals, "0"))


class _Chain:
    """The rule by which diffs follow the snapshot and each other.

    Diffs that end before the snapshot are dropped; the first one kept must span it; each next one starts
    where the last ended: ``pu`` equals it where there is one (futures), else ``U`` is the next number (spot).
    """

    def __init__(self, name: str, snapshot_update: int) -> None:
        self._name = name
        self._snapshot_update = snapshot_update
        self._last_update: int | None = None

    def follows(self, line: int, diff: _Depth) -> bool:
        """Return whether ``diff`` is to be applied; a hole in the chain is a ``CaptureError``."""
        futures = diff.pu >= 0
        if self._last_update is None:
            if diff.u < self._snapshot_update or (diff.u == self._snapshot_update and not futures):
                return False
            if self._snapshot_update + (0 if futures else 1) < diff.U:
                raise CaptureError(
                    self._name,
                    line,
                    f"the first diff starts at {diff.U}, after the snapshot {self._snapshot_update}",
                )
        else:
            found, wanted = (diff.pu, self._last_update) if futures else (diff.U, self._last_update + 1)
            if found != wanted:
                raise CaptureError(self._name, line, f"a hole in the diffs: {found} follows {wanted}")
        self._last_update = diff.u
        return True


def _decimals(text: str) -> int:
    """Return how many decimals are significant; what is no number is reported with its line by ``Scaler``."""
    match = DECIMAL.fullmatch(text)
    return len((match[2] or "").rstrip("0")) if match else 0


def _gzip_lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 1):
            yield line
