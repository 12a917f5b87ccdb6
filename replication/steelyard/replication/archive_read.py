"""What an archive's file answers, beside the process that writes it; each answer is of one moment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from steelyard.replication.archive_file import Gap, open_file
from steelyard.replication.candles import Candle, joined
from steelyard.replication.intervals import DAY_S, SECOND_NS, Interval, end_s, parts_of, start_s
from steelyard.replication.liquidations import Stepped

#: Movements of one statement; more are refused, not cut off.
MOVEMENTS_MAX: Final = 10_000
#: So many stored candles make up the longest interval: the days of a month, the minutes of half an hour.
_PARTS_MAX: Final = 31


class Printed(NamedTuple):
    """A trade of the tape."""

    trade: int
    log_index: int
    time_ns: int
    price_ticks: int
    size_lots: int
    taker_side: int


class FundingSettled(NamedTuple):
    """A settlement of a contract's funding."""

    log_index: int
    time_ns: int
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int


class Line(NamedTuple):
    """The sum of one cause, above zero if more came in than went out, and how many movements it is of."""

    asset: int
    cause: int
    amount_atoms: int
    count: int  # type: ignore[assignment]  # shadows tuple.count, which nobody uses here


class Movement(NamedTuple):
    """One movement, above zero: in."""

    log_index: int
    time_ns: int
    asset: int
    cause: int
    amount_atoms: int
    other: int
    trade: int


class Statement(NamedTuple):
    """What moved for an account after one index and up to another; balances are (asset, before, after)."""

    after_index: int
    to_index: int
    lines: list[Line]
    balances: list[tuple[int, int, int]]
    movements: list[Movement]
    gaps: list[Gap]


class TooManyMovements(Exception):
    """There are more than ``MOVEMENTS_MAX``."""


class ArchiveReader:
    """One look at an archive; use it as a context manager, in any thread."""

    def __init__(self, path: Path) -> None:
        """Open, and see the file as it is now for as long as this is open.

        Raises:
            FileNotFoundError: There is none.
            StoreDamaged: It is no archive that we can read.

        """
        self._file = open_file(path, writing=False)
        self._file.execute("BEGIN")
        found = self._file.execute("SELECT last_index, last_ns FROM meta").fetchone()
        self.last_index: int = found[0] if found else 0
        self.last_ns: int = found[1] if found else 0

    def __enter__(self) -> "ArchiveReader":
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def gaps(self, after_index: int, to_index: int) -> list[Gap]:
        """Return what is missing above one index and up to another."""
        rows = self._file.execute(
            "SELECT after_index, to_index FROM gaps WHERE after_index < ? AND to_index > ? ORDER BY 1",
            (to_index, after_index),
        )
        return [Gap(*row) for row in rows]

    def trades(self, instrument: int, after_trade: int, count: int) -> list[Printed]:
        """Return trades by number: those above ``after_trade``, or with zero the newest."""
        where, order = ("AND trade > ?", "ASC") if after_trade else ("AND ? = 0", "DESC")
        rows = self._file.execute(
            "SELECT trade, log_index, time_ns, price_ticks, size_lots, taker_side"
            f" FROM trades JOIN entries USING (log_index) WHERE instrument = ? {where}"
            f" ORDER BY trade {order} LIMIT ?",
            (instrument, after_trade, count),
        )
        return sorted(Printed(*row) for row in rows)

    def index_of(self, trade: int) -> int:
        """Return the log index of the last trade up to a number, or zero if none is known."""
        found = self._file.execute(
            "SELECT log_index FROM trades WHERE trade <= ? ORDER BY trade DESC LIMIT 1", (trade,)
        ).fetchone()
        return int(found[0]) if found else 0

    def candles(self, instrument: int, interval: Interval, from_s: int, count: int) -> list[Candle]:
        """Return candles, oldest first: those that begin at ``from_s`` or later, or with zero the newest.

        Intervals without a trade have none.
        """
        parts = parts_of(interval)
        if from_s:
            begin_s = start_s(interval, from_s)
            if begin_s < from_s:
                begin_s = end_s(interval, begin_s)
            rows = self._candles(instrument, parts, "start_s >= ?", begin_s, "ASC", (count + 1) * _PARTS_MAX)
            return joined(interval, rows)[:count]
        rows = self._candles(instrument, parts, "? = 0", 0, "DESC", (count + 1) * _PARTS_MAX)
        return joined(interval, reversed(list(rows)))[-count:]

    def minutes(self, instrument: int, from_s: int) -> list[Candle]:
        """Return the candles of a minute from one on."""
        return list(self._candles(instrument, Interval.MINUTE, "start_s >= ?", from_s, "ASC", -1))

    def _candles(
        self, instrument: int, parts: Interval, where: str, bound: int, order: str, count: int
    ) -> Iterator[Candle]:
        rows = self._file.execute(
            "SELECT start_s, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, volume_atoms,"
            f" trades, taker_buy_lots FROM candles WHERE instrument = ? AND interval = ? AND {where}"
            f" ORDER BY start_s {order} LIMIT ?",
            (instrument, parts, bound, count),
        )
        return (Candle(*row) for row in rows)

    def index_at(self, time_ns: int) -> int:
        """Return the last index whose log time is not above ``time_ns``, or zero."""
        low, high = 0, self.last_index
        while low < high:
            middle = (low + high + 1) // 2
            found = self._file.execute(
                "SELECT log_index, time_ns FROM entries WHERE log_index <= ? ORDER BY log_index DESC LIMIT 1",
                (middle,),
            ).fetchone()
            if found is None or found[1] <= time_ns:
                low = middle
            else:
                high = found[0] - 1
        return low

    def fundings(self, instrument: int, after_index: int, count: int) -> list[FundingSettled]:
        """Return about ``count`` settlements of funding, oldest first: those after an index, or the newest.

        All of an entry are told together, so whoever asks for what comes after the last one misses none.
        """
        names = "log_index, time_ns, rate_ppb, mark_ticks, delta_nanoatoms, cumulative_nanoatoms"
        rows = self._whole_entries("fundings", names, {"instrument = ?": instrument}, after_index, count)
        return [FundingSettled(*row) for row in rows]

    def liquidations(self, instrument: int, settle: int, after_index: int, count: int) -> list[Stepped]:
        """Return steps of liquidations, in one contract or (zero) in all, as ``fundings`` are.

        With those in a contract come what is said of the margin wallets of its asset, ``settle``.
        """
        names = (
            "log_index, time_ns, instrument, liquidation, step, side, lots, mark_ticks, limit_ticks,"
            " received_atoms, bankruptcy_atoms, insurance_atoms, debt_atoms, others, asset, how"
        )
        of = {"? = 0": 0}
        if instrument:
            of = {"instrument = ? AND asset = 0": instrument, "instrument = 0 AND asset = ?": settle}
        rows = self._whole_entries("liquidations", names, of, after_index, count)
        return [Stepped(*row) for row in rows]

    def _whole_entries(
        self, table: str, names: str, of: dict[str, int], after_index: int, count: int
    ) -> list[tuple[int, ...]]:
        """Return rows of some entries, oldest first; ``count`` of them, and all others of the last entry.

        ``of``: conditions with their values, any of which a row has to fulfil, and none fulfils two.
        """

        def select(where: str, value: int, end: str, *more: int) -> list[tuple[int, ...]]:
            # Parts that are merged, so that each may follow an index of its own.
            parts = " UNION ALL ".join(
                f"SELECT {names}, number FROM {table} JOIN entries USING (log_index) WHERE {one} AND {where}"
                for one in of
            )
            bounds = [bound for one in of.values() for bound in (one, value)]
            return self._file.execute(f"{parts} ORDER BY {end}", (*bounds, *more)).fetchall()

        where, order = ("log_index > ?", "ASC") if after_index else ("? = 0", "DESC")
        rows = select(where, after_index, f"log_index {order}, number {order} LIMIT ?", count)
        if len(rows) == count:
            last_index = rows[-1][0]
            of_last = select("log_index = ?", last_index, f"number {order}")
            rows = [row for row in rows if row[0] != last_index] + of_last
        return [row[:-1] for row in (rows if after_index else reversed(rows))]

    def statement(self, account: int, after_index: int, to_index: int, *, movements: bool) -> Statement:
        """Return what moved for an account above one index and up to another, at most ``last_index``.

        Without a gap in between, each asset's lines are the difference of its balances exactly.

        Raises:
            TooManyMovements: Every movement is wanted, and they are too many.

        """
        assert 0 <= after_index <= to_index <= self.last_index, (after_index, to_index, self.last_index)
        bounds = (account, after_index, to_index)
        lines = [
            Line(*row)
            for row in self._file.execute(
                "SELECT asset, cause, SUM(amount_atoms), COUNT(*) FROM movements"
                " WHERE account = ? AND log_index > ? AND log_index <= ?"
                " GROUP BY asset, cause ORDER BY asset, cause",
                bounds,
            )
        ]
        before, after = self._balances(account, after_index), self._balances(account, to_index)
        balances = [
            (asset, before.get(asset, 0), after.get(asset, 0))
            for asset in sorted({*before, *after, *(line.asset for line in lines)})
        ]
        found: list[Movement] = []
        if movements:
            rows = self._file.execute(
                "SELECT log_index, time_ns, asset, cause, amount_atoms, other, trade FROM movements"
                " JOIN entries USING (log_index) WHERE account = ? AND log_index > ? AND log_index <= ?"
                f" ORDER BY log_index, number LIMIT {MOVEMENTS_MAX + 1}",
                bounds,
            )
            found = [Movement(*row) for row in rows]
            if len(found) > MOVEMENTS_MAX:
                raise TooManyMovements
        return Statement(after_index, to_index, lines, balances, found, self.gaps(after_index, to_index))

    def volumes(self, asset: int, days: int) -> dict[int, int]:
        """Return by account what it traded, maker or taker, in quote atoms, in the last ``days`` days of UTC.

        The day of the last entry is one of them.
        """
        from_s = self.last_ns // SECOND_NS // DAY_S * DAY_S - (days - 1) * DAY_S
        rows = self._file.execute(
            "SELECT account, atoms FROM volumes WHERE asset = ? AND day_s >= ?", (asset, from_s)
        )
        found: dict[int, int] = {}
        for account, atoms in rows:
            found[account] = found.get(account, 0) + atoms
        return found

    def holders(self, asset: int) -> dict[int, int]:
        """Return what every account owns of an asset, free and held."""
        return dict(self._file.execute("SELECT account, atoms FROM balances WHERE asset = ?", (asset,)))

    def _balances(self, account: int, index: int) -> dict[int, int]:
        """Return what an account owned after entry ``index``, by asset; in a gap: before it."""
        (later,) = self._file.execute("SELECT COUNT(*) FROM gaps WHERE to_index > ?", (index,)).fetchone()
        if not later:
            # From the present backwards: less to add up, most of the time.
            owned = dict(
                self._file.execute("SELECT asset, atoms FROM balances WHERE account = ?", (account,))
            )
            return self._moved(account, owned, index, self.last_index, -1)
        (begin,) = self._file.execute(
            "SELECT COALESCE(MAX(to_index), 0) FROM gaps WHERE to_index <= ?", (index,)
        ).fetchone()
        owned = dict(
            self._file.execute(
                "SELECT asset, atoms FROM openings WHERE log_index = ? AND account = ?", (begin, account)
            )
        )
        return self._moved(account, owned, begin, index, 1)

    def _moved(self, account: int, owned: dict[int, int], after: int, to: int, sign: int) -> dict[int, int]:
        rows = self._file.execute(
            "SELECT asset, SUM(amount_atoms) FROM movements"
            " WHERE account = ? AND log_index > ? AND log_index <= ? GROUP BY asset",
            (account, after, to),
        )
        for asset, atoms in rows:
            owned[asset] = owned.get(asset, 0) + sign * atoms
        return owned
