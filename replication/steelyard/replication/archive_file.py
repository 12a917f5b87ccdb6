"""The archive's file: what every log entry moved and traded, in SQLite, one transaction per batch of entries.

Everything of an entry and the index up to which the file goes are in one transaction, so a file that was cut
off at any moment holds whole entries, and an entry that comes again is known by its index.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from steelyard.replication.errors import StoreDamaged

#: Of what is written below; a file with another number is not ours to read, but one of schema 1 becomes one
#: of ours: nothing was different before there were contracts.
SCHEMA: Final = 2
_BEFORE_CONTRACTS: Final = 1

_TABLES: Final = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    group_id TEXT NOT NULL, last_index INTEGER NOT NULL, last_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (log_index INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL) STRICT;
CREATE TABLE trades (
    trade INTEGER PRIMARY KEY, instrument INTEGER NOT NULL, log_index INTEGER NOT NULL,
    price_ticks INTEGER NOT NULL, size_lots INTEGER NOT NULL, taker_side INTEGER NOT NULL
) STRICT;
CREATE INDEX trades_of ON trades (instrument, trade);
CREATE TABLE candles (
    instrument INTEGER NOT NULL, interval INTEGER NOT NULL, start_s INTEGER NOT NULL,
    open_ticks INTEGER NOT NULL, high_ticks INTEGER NOT NULL, low_ticks INTEGER NOT NULL,
    close_ticks INTEGER NOT NULL, volume_lots INTEGER NOT NULL, volume_atoms INTEGER NOT NULL,
    trades INTEGER NOT NULL, taker_buy_lots INTEGER NOT NULL,
    PRIMARY KEY (instrument, interval, start_s)
) STRICT, WITHOUT ROWID;
CREATE TABLE movements (
    account INTEGER NOT NULL, log_index INTEGER NOT NULL, number INTEGER NOT NULL,
    asset INTEGER NOT NULL, cause INTEGER NOT NULL, amount_atoms INTEGER NOT NULL,
    other INTEGER NOT NULL, trade INTEGER NOT NULL,
    PRIMARY KEY (account, log_index, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE balances (
    account INTEGER NOT NULL, asset INTEGER NOT NULL, atoms INTEGER NOT NULL,
    PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE openings (
    log_index INTEGER NOT NULL, account INTEGER NOT NULL, asset INTEGER NOT NULL, atoms INTEGER NOT NULL,
    PRIMARY KEY (log_index, account, asset)
) STRICT, WITHOUT ROWID;
CREATE TABLE gaps (after_index INTEGER PRIMARY KEY, to_index INTEGER NOT NULL) STRICT;
CREATE TABLE volumes (
    account INTEGER NOT NULL, asset INTEGER NOT NULL, day_s INTEGER NOT NULL, atoms INTEGER NOT NULL,
    PRIMARY KEY (account, asset, day_s)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
    one INTEGER PRIMARY KEY CHECK (one = 1), log_index INTEGER NOT NULL, state BLOB NOT NULL
) STRICT;
"""
_TABLES_OF_CONTRACTS: Final = """
CREATE TABLE fundings (
    instrument INTEGER NOT NULL, log_index INTEGER NOT NULL, number INTEGER NOT NULL,
    rate_ppb INTEGER NOT NULL, mark_ticks INTEGER NOT NULL,
    delta_nanoatoms INTEGER NOT NULL, cumulative_nanoatoms INTEGER NOT NULL,
    PRIMARY KEY (instrument, log_index, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE liquidations (
    log_index INTEGER NOT NULL, number INTEGER NOT NULL,
    instrument INTEGER NOT NULL, liquidation INTEGER NOT NULL, step INTEGER NOT NULL,
    side INTEGER NOT NULL, lots INTEGER NOT NULL, mark_ticks INTEGER NOT NULL, limit_ticks INTEGER NOT NULL,
    received_atoms INTEGER NOT NULL, bankruptcy_atoms INTEGER NOT NULL, insurance_atoms INTEGER NOT NULL,
    debt_atoms INTEGER NOT NULL, others INTEGER NOT NULL, asset INTEGER NOT NULL, how INTEGER NOT NULL,
    PRIMARY KEY (log_index, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX liquidations_of ON liquidations (instrument, asset, log_index, number);
"""


class Gap(NamedTuple):
    """Entries above ``after_index`` up to ``to_index`` were never seen."""

    after_index: int
    to_index: int


class Moved(NamedTuple):
    """What one entry moved of one account; above zero: to it."""

    account: int
    log_index: int
    number: int
    asset: int
    cause: int
    amount_atoms: int
    other: int
    trade: int


class Traded(NamedTuple):
    """One trade."""

    trade: int
    instrument: int
    log_index: int
    price_ticks: int
    size_lots: int
    taker_side: int


class Funded(NamedTuple):
    """One settlement of a contract's funding."""

    instrument: int
    log_index: int
    number: int
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int


#: log_index, number, then a step of a liquidation from its instrument on; see ``liquidations.Stepped``.
LiquidationRow = tuple[int, ...]
#: instrument, interval, start_s; open, high, low, close; lots, atoms, trades, lots that takers bought.
CandleRow = tuple[int, int, int, int, int, int, int, int, int, int, int]


class Batch(NamedTuple):
    """Everything that some entries, one after the other, came to; the last one is ``last_index``."""

    last_index: int
    last_ns: int
    entries: list[tuple[int, int]]
    """(log index, log time)."""
    trades: list[Traded]
    movements: list[Moved]
    candles: list[CandleRow]
    """As they are now, those before included."""
    volumes: list[tuple[int, int, int, int]]
    """(account, asset, day_s, atoms), as they are now."""
    balances: list[tuple[int, int, int]]
    """(account, asset, atoms), as they are now."""
    fundings: list[Funded]
    liquidations: list[LiquidationRow]


def open_file(path: Path, *, writing: bool) -> sqlite3.Connection:
    """Open an archive; with ``writing`` make it if need be.

    Raises:
        StoreDamaged: It is no archive, or one of another schema.
        FileNotFoundError: It is not there, and it is not for us to make it.

    """
    if not writing and not path.exists():
        raise FileNotFoundError(path)
    try:
        if writing:
            made = not path.exists()
            file = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            path.chmod(0o600)
            file.execute("PRAGMA journal_mode = WAL")
            # A crash of the machine may cost the last batches; they come again from the log.
            file.execute("PRAGMA synchronous = NORMAL")
            version = 0 if made else file.execute("PRAGMA user_version").fetchone()[0]
            tables = {0: _TABLES + _TABLES_OF_CONTRACTS, _BEFORE_CONTRACTS: _TABLES_OF_CONTRACTS}.get(version)
            if tables is not None:
                file.executescript(f"BEGIN; {tables} PRAGMA user_version = {SCHEMA}; COMMIT;")
        else:
            file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
        found = file.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{path}: {error}") from error
    if found != SCHEMA:
        file.close()
        raise StoreDamaged(f"{path} has schema {found}, we read {SCHEMA}")
    return file


class ArchiveWriter:
    """Adds batches to the file; only one may be open."""

    def __init__(self, path: Path, group: str) -> None:
        """Open or make the file.

        Raises:
            StoreDamaged: It is another group's, or no archive.

        """
        self._file = open_file(path, writing=True)
        self._file.execute("INSERT OR IGNORE INTO meta VALUES (1, ?, 0, 0)", (group,))
        found, last_index, last_ns = self._file.execute(
            "SELECT group_id, last_index, last_ns FROM meta"
        ).fetchone()
        self.last_index = int(last_index)
        self.last_ns = int(last_ns)
        if found != group:
            raise StoreDamaged(f"{path} belongs to group {found}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, batch: Batch) -> None:
        """Add what comes after ``last_index``, all or nothing."""
        assert batch.last_index > self.last_index, (batch.last_index, self.last_index)
        with self._transaction() as file:
            file.executemany("INSERT INTO entries VALUES (?, ?)", batch.entries)
            file.executemany("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?)", batch.trades)
            file.executemany("INSERT INTO movements VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.movements)
            file.executemany(
                "INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch.candles
            )
            file.executemany("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?)", batch.volumes)
            file.executemany("INSERT OR REPLACE INTO balances VALUES (?, ?, ?)", batch.balances)
            file.executemany("INSERT INTO fundings VALUES (?, ?, ?, ?, ?, ?, ?)", batch.fundings)
            file.executemany(
                "INSERT INTO liquidations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                batch.liquidations,
            )
            file.execute("UPDATE meta SET last_index = ?, last_ns = ?", (batch.last_index, batch.last_ns))
        self.last_index, self.last_ns = batch.last_index, batch.last_ns

    def begin_at(self, index: int, time_ns: int, balances: Iterable[tuple[int, int, int]]) -> None:
        """Go on from another index than the next: what lies between is missing, and said to be.

        ``balances`` are everybody's after entry ``index``, as (account, asset, atoms).
        """
        assert index > self.last_index, (index, self.last_index)
        rows = list(balances)
        with self._transaction() as file:
            file.execute("INSERT INTO gaps VALUES (?, ?)", (self.last_index, index))
            file.executemany(f"INSERT INTO openings VALUES ({index}, ?, ?, ?)", rows)
            file.execute("DELETE FROM balances")
            file.executemany("INSERT INTO balances VALUES (?, ?, ?)", rows)
            file.execute("INSERT OR IGNORE INTO entries VALUES (?, ?)", (index, time_ns))
            file.execute("UPDATE meta SET last_index = ?, last_ns = ?", (index, time_ns))
        self.last_index, self.last_ns = index, time_ns

    def keep_snapshot(self, index: int, state: bytes) -> None:
        """Keep the state after entry ``index``, to go on from."""
        with self._transaction() as file:
            file.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?)", (index, state))

    def snapshot(self) -> tuple[int, bytes] | None:
        """Return the state that was kept, and its index."""
        found: tuple[int, bytes] | None = self._file.execute(
            "SELECT log_index, state FROM snapshot"
        ).fetchone()
        return found

    def candle(self, instrument: int, interval: int, start_s: int) -> CandleRow | None:
        """Return a candle as it was written."""
        found: CandleRow | None = self._file.execute(
            "SELECT * FROM candles WHERE instrument = ? AND interval = ? AND start_s = ?",
            (instrument, interval, start_s),
        ).fetchone()
        return found

    def volume_atoms(self, account: int, asset: int, day_s: int) -> int:
        """Return a day's volume as it was written."""
        found = self._file.execute(
            "SELECT atoms FROM volumes WHERE account = ? AND asset = ? AND day_s = ?", (account, asset, day_s)
        ).fetchone()
        return int(found[0]) if found else 0

    def balances(self) -> dict[tuple[int, int], int]:
        """Return everybody's balances as of ``last_index``, by account and asset."""
        return {
            (account, asset): atoms
            for account, asset, atoms in self._file.execute("SELECT account, asset, atoms FROM balances")
        }

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield self._file
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")
