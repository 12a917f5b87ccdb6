"""Keeps a member's archive: follows its log, carries it out a second time, and writes what came of it.

Run as ``python -m steelyard.replication.archive --data DIR --member N`` beside the replica, whom it disturbs
as little as it can: it reads the log in short transactions and has the lowest priority.
"""

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.entry import Applied
from steelyard.core.events import AnyEvent, FundingSet
from steelyard.core.events import Traded as TradedEvent
from steelyard.core.invariants import all_balances
from steelyard.core.ledger.postings import postings
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.units import Side
from steelyard.replication.archive_file import (
    ArchiveWriter,
    Batch,
    CandleRow,
    Funded,
    LiquidationRow,
    Moved,
    Traded,
)
from steelyard.replication.archive_log import LogTail, Trimmed
from steelyard.replication.candles import Candle, Trade
from steelyard.replication.config import MEMBERS, NodePaths, node_paths, read_group
from steelyard.replication.disk import LmdbReader, LogSource
from steelyard.replication.errors import EX_INVARIANT, EX_REFUSED, ReplicationError, StartRefused, fail_stop
from steelyard.replication.files import FolderFiles
from steelyard.replication.intervals import DAY_S, SECOND_NS, STORED, start_s
from steelyard.replication.liquidations import stepped_of
from steelyard.replication.second_opinion import SecondOpinion
from steelyard.replication.snapshot_store import SnapshotDamaged, SnapshotStore

#: Between two looks at a log that has nothing new.
LOOK_S: Final = 0.05
#: A transaction of the file takes at most so many rows of movements.
BATCH_ROWS_MAX: Final = 50_000
#: A state to go on from is kept after so many entries: a second or two of replay.
SNAPSHOT_ENTRIES: Final = 50_000
NICE: Final = 10
#: Until there is a log to follow.
WAIT_S: Final = 1.0

log = logging.getLogger(__name__)


class Ledger:
    """What entries come to, as rows; candles, volumes and balances are kept up to date on the way."""

    def __init__(self, file: ArchiveWriter) -> None:
        """Go on from what the file holds."""
        self._file = file
        self._balances = file.balances()
        self._candles: dict[tuple[int, int], Candle] = {}
        """The newest one by instrument and interval."""
        self._volumes: dict[tuple[int, int, int], int] = {}
        self._begin()

    def _begin(self) -> None:
        self.entries: list[tuple[int, int]] = []
        self._trades: list[Traded] = []
        self._movements: list[Moved] = []
        self._new_candles: dict[tuple[int, int, int], Candle] = {}
        self._new_volumes: dict[tuple[int, int, int], None] = {}
        self._new_balances: dict[tuple[int, int], None] = {}
        self._fundings: list[Funded] = []
        self._liquidations: list[LiquidationRow] = []

    @property
    def rows(self) -> int:
        """About how many are waiting to be written."""
        return len(self.entries) + len(self._movements)

    def add(self, exchange: Exchange, applied: Applied) -> None:
        """Note what one entry came to."""
        self.entries.append((applied.index, applied.time_ns))
        number = 0
        for events in (applied.due, *(outcome.events for outcome in applied.outcomes)):
            for event in events:
                number = self._post(exchange, applied.index, number, event)
                if isinstance(event, TradedEvent):
                    self._trade(exchange, applied, event)
                else:
                    self._tell_of_contract(applied, event)

    def write(self, last_index: int, last_ns: int) -> None:
        """Write what was noted since the last time, up to an index."""
        volumes, balances = self._volumes, self._balances
        self._file.write(
            Batch(
                last_index,
                last_ns,
                self.entries,
                self._trades,
                self._movements,
                [
                    _row(instrument, interval, candle)
                    for (instrument, interval, _), candle in self._new_candles.items()
                ],
                [(*place, volumes[place]) for place in self._new_volumes],
                [(*place, balances[place]) for place in self._new_balances],
                self._fundings,
                self._liquidations,
            )
        )
        today_s = last_ns // SECOND_NS // DAY_S * DAY_S
        self._volumes = {place: atoms for place, atoms in volumes.items() if place[2] >= today_s}
        self._begin()

    def _tell_of_contract(self, applied: Applied, event: AnyEvent) -> None:
        """Note a settlement of funding, or a step of a liquidation."""
        if isinstance(event, FundingSet):
            self._fundings.append(
                Funded(
                    event.instrument,
                    applied.index,
                    len(self._fundings),
                    event.rate_ppb,
                    event.mark_ticks,
                    event.delta_nanoatoms,
                    event.cumulative_nanoatoms,
                )
            )
            return
        stepped = stepped_of(applied.index, applied.time_ns, event)
        if stepped is not None:
            self._liquidations.append((applied.index, len(self._liquidations), *stepped[2:]))

    def _post(self, exchange: Exchange, index: int, number: int, event: AnyEvent) -> int:
        trade = getattr(event, "trade", 0)
        for giver, taker, asset, atoms, cause in postings(event, exchange.state.markets.instruments):
            if giver == taker:
                continue  # set aside, or free again: it is still the account's
            for account, amount_atoms, other in ((giver, -atoms, taker), (taker, atoms, giver)):
                place = (account, asset)
                self._movements.append(
                    Moved(account, index, number, asset, cause, amount_atoms, other, trade)
                )
                self._balances[place] = self._balances.get(place, 0) + amount_atoms
                self._new_balances[place] = None
                number += 1
        return number

    def _trade(self, exchange: Exchange, applied: Applied, event: TradedEvent) -> None:
        instrument = event.instrument
        self._trades.append(
            Traded(
                event.trade, instrument, applied.index, event.price_ticks, event.size_lots, event.taker_side
            )
        )
        trade = Trade(
            applied.time_ns,
            event.price_ticks,
            event.size_lots,
            event.notional_atoms,
            event.taker_side == Side.BUY,
        )
        time_s = applied.time_ns // SECOND_NS
        for interval in STORED:
            begin_s = start_s(interval, time_s)
            now = self._candles.get((instrument, interval))
            if now is None or now.start_s != begin_s:
                found = self._file.candle(instrument, interval, begin_s)
                now = None if found is None else Candle(*found[2:])
            candle = Candle.of(begin_s, trade)
            candle = candle if now is None else now.then(candle)
            self._candles[instrument, interval] = candle
            self._new_candles[instrument, interval, begin_s] = candle
        listed = exchange.state.markets.instruments[instrument]
        asset = listed.quote if listed.contract is None else listed.contract.settle
        for account in {event.maker, event.taker}:
            place = (account, asset, time_s // DAY_S * DAY_S)
            before = self._volumes.get(place)
            if before is None:
                before = self._file.volume_atoms(*place)
            self._volumes[place] = min(before + event.notional_atoms, INTEGER_MAX)
            self._new_volumes[place] = None


class Archive:
    """One member's archive and the log it comes from."""

    def __init__(self, paths: NodePaths, group: str, disk: LogSource) -> None:
        """Open the file, and stand where it ends; ``disk`` holds the log, and is ours from now on.

        Raises:
            ReplicationError: The log does not go on from anything at hand, or something does not verify.

        """
        self._tail = LogTail(disk)
        self._snapshots = SnapshotStore(FolderFiles(paths.snapshots), group)
        self._file = ArchiveWriter(paths.archive, group)
        self._kept = 0
        self._opinion = SecondOpinion(paths.front_socket, group, f"archive-{paths.node.name}")
        self._exchange = Exchange()
        self._ledger = Ledger(self._file)
        self._stand()

    @property
    def last_index(self) -> int:
        """Up to here everything is written."""
        return self._file.last_index

    def step(self) -> bool:
        """Write what is new; return whether there was anything.

        Raises:
            StoreDamaged: The log does not verify.
            AssertionError: Carrying it out breaks an invariant, or gives another state than the replica has.

        """
        try:
            found = list(self._tail.read())
        except Trimmed as trimmed:
            log.warning("%s: entries are missing", trimmed)
            self._stand()
            return True
        for logged in found:
            if logged.body is not None:
                applied = self._exchange.apply(logged.index, wire.decode_entry(logged.body))
                if logged.index > self._file.last_index:
                    self._ledger.add(self._exchange, applied)
            self._opinion.reached(logged.index, self._exchange.digest)
            if self._ledger.rows >= BATCH_ROWS_MAX:
                self._ledger.write(logged.index, self._exchange.time_ns)
        if found and found[-1].index > self._file.last_index:
            self._ledger.write(found[-1].index, max(self._exchange.time_ns, 0))
        self._opinion.compare()
        if self._exchange.applied_index >= self._kept + SNAPSHOT_ENTRIES:
            self._keep()
        return bool(found)

    def close(self) -> None:
        """Keep where we stand, and close everything."""
        if (
            self._exchange.applied_index > self._kept
            and self._exchange.applied_index <= self._file.last_index
        ):
            self._keep()
        self._opinion.close()
        self._file.close()
        self._tail.close()

    def _keep(self) -> None:
        self._kept = self._exchange.applied_index
        self._file.keep_snapshot(self._kept, snapshot.dump(self._exchange))

    def _stand(self) -> None:
        """Take the newest state that the log goes on from and the file reaches; else leave a gap."""
        first = self._tail.first_index
        last = self._file.last_index
        states = self._states(first)
        reached = [(index, exchange) for index, exchange in states if index <= last]
        if reached:
            index, self._exchange = max(reached, key=lambda each: each[0])
        elif states:
            index, self._exchange = min(states, key=lambda each: each[0])
            log.warning(
                "entries %d to %d are not in the archive and not in the log any more", last + 1, index
            )
            balances = all_balances(self._exchange.state)
            self._file.begin_at(
                index,
                self._exchange.time_ns,
                ((account, asset, atoms) for (account, asset), atoms in balances.items()),
            )
            self._ledger = Ledger(self._file)
        else:
            raise StartRefused(f"the log begins at {first}, and there is no snapshot that it goes on from")
        self._tail.seek(index)
        self._kept = index

    def _states(self, first: int) -> list[tuple[int, Exchange]]:
        """Return the states at hand that the log goes on from."""
        found = [(0, Exchange())] if first == 1 else []
        kept = self._file.snapshot()
        if kept is not None and kept[0] + 1 >= first:
            found.append((kept[0], snapshot.load(kept[1])))
            return found
        for reference in self._tail.snapshots:
            if reference.index + 1 >= first:
                try:
                    found.append((reference.index, snapshot.load(self._snapshots.read(reference).state)))
                except (SnapshotDamaged, snapshot.SnapshotError) as error:
                    log.warning("snapshot %s is not used: %s", reference.name, error)
        return found


def _row(instrument: int, interval: int, candle: Candle) -> CandleRow:
    return (
        instrument,
        interval,
        candle.start_s,
        candle.open_ticks,
        candle.high_ticks,
        candle.low_ticks,
        candle.close_ticks,
        candle.volume_lots,
        candle.volume_atoms,
        candle.trades,
        candle.taker_buy_lots,
    )


def _follow(directory: Path, member: int, stop: threading.Event) -> None:
    """Follow the log until told to stop.

    Raises:
        StartRefused: There is nothing to follow, or not from where we stand.

    """
    paths = node_paths(directory, member)
    archive = Archive(paths, read_group(directory).group, LmdbReader(paths.store))
    try:
        log.info("the archive of member %d goes on after index %d", member, archive.last_index)
        gc.collect()
        gc.freeze()
        while not stop.is_set():
            if not archive.step():
                stop.wait(LOOK_S)
    finally:
        archive.close()


def main() -> None:
    """Follow the log until SIGTERM; leave with 0, or say in one line why not."""
    parser = argparse.ArgumentParser(prog="python -m steelyard.replication.archive", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the group's data directory")
    parser.add_argument("--member", type=int, required=True, choices=range(1, MEMBERS + 1))
    arguments = parser.parse_args()
    if not __debug__:
        fail_stop(EX_REFUSED, "assertions are off (python -O): a second opinion would be worth nothing")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    os.nice(NICE)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        while not stop.is_set():
            try:
                _follow(arguments.data, arguments.member, stop)
            except StartRefused as error:
                # A member that joins has no log yet, and one that fetches a snapshot has none to go on from.
                log.info("waiting: %s", error)
                stop.wait(WAIT_S)
    except ReplicationError as error:
        fail_stop(error.exit_code, str(error))
    except AssertionError as error:
        log.exception("the log gives something impossible")
        fail_stop(EX_INVARIANT, f"carrying out the log a second time: {error!r}")
    except OSError as error:
        fail_stop(EX_REFUSED, f"cannot keep the archive: {error}")


if __name__ == "__main__":
    main()
