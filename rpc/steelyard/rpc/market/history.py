"""What the node's archive knows, read in a thread of its own; a named error where there is none."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from steelyard.core.units import InstrumentId
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.intervals import Interval
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.market.tape import Tape, Ticker24h, first_minute_s

T = TypeVar("T")

#: Readers at a time: each may keep the disk and a core busy for a while.
THREADS: Final = 2
#: How long an archive may take to come as far as it is asked to.
REACH_S: Final = 2.0
LOOK_S: Final = 0.02


class History:
    """Reads of the archive beside this gateway's replica."""

    def __init__(self, path: Path | None) -> None:
        """Read the file at ``path``, once it is there; None: there will never be one."""
        self._path = path
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")

    def close(self) -> None:
        """Read no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, look: Callable[[ArchiveReader], T], min_index: int = 0) -> T:
        """Return what ``look`` finds once the archive has come to ``min_index``.

        Raises:
            DoorError: NO_ARCHIVE: there is none, or it does not come so far in time.

        """
        path = self._path
        if path is None:
            raise _no_archive("this node keeps no archive")

        def work() -> tuple[bool, T | None]:
            with ArchiveReader(path) as reader:
                if reader.last_index < min_index:
                    return False, None
                return True, look(reader)

        loop = asyncio.get_running_loop()
        until_s = loop.time() + REACH_S
        while True:
            try:
                reached, found = await loop.run_in_executor(self._threads, work)
            except FileNotFoundError as error:
                raise _no_archive("this node keeps no archive") from error
            except (StoreDamaged, sqlite3.Error) as error:
                raise _no_archive(f"this node's archive cannot be read: {error}") from error
            if reached:
                return found  # type: ignore[return-value]  # what was looked for, of whatever kind
            if loop.time() >= until_s:
                raise _no_archive(f"this node's archive has not come to log index {min_index} yet")
            await asyncio.sleep(LOOK_S)

    async def tape(
        self, instrument: InstrumentId, intervals: list[Interval], min_index: int
    ) -> tuple[int, Tape]:
        """Return what the trades up to an index, at least ``min_index``, have come to."""

        def look(reader: ArchiveReader) -> tuple[int, Tape]:
            candles = {
                interval: next(iter(reader.candles(instrument, interval, 0, 1)), None)
                for interval in intervals
            }
            return reader.last_index, Tape(ticker_of(reader, instrument), candles)

        return await self.read(look, min_index)


def ticker_of(reader: ArchiveReader, instrument: InstrumentId) -> Ticker24h:
    """Return the 24 hours up to where the archive has come."""
    newest = reader.trades(instrument, 0, 1)
    last = (newest[0].price_ticks, newest[0].size_lots) if newest else (0, 0)
    return Ticker24h(reader.minutes(instrument, first_minute_s(reader.last_ns)), *last)


def _no_archive(text: str) -> DoorError:
    return DoorError(Reason.NO_ARCHIVE, text)
