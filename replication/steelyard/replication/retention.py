"""When to take a snapshot, and what may go: old snapshots, and the log that nobody needs any more."""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from steelyard.core import Exchange, snapshot
from steelyard.replication.background import Background
from steelyard.replication.clock import Clock
from steelyard.replication.config import MEMBERS, TIMEOUTS, GroupConfig
from steelyard.replication.errors import EX_DISK, fail_stop
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_store import (
    KEPT_MAX,
    Header,
    LogEntry,
    Snapshot,
    SnapshotStore,
)

#: Above this part of the map the log is trimmed, however long a tail is wanted.
TRIM_FROM: Final = 0.5
#: Above this part not even the log behind a snapshot that a member is fetching is kept: it will be offered a
#: newer one.
PINNED_UP_TO: Final = 0.75

#: Until a pause was measured: encode, write, sync and read back of one second.
BYTES_PER_S_FIRST: Final = 16e6
#: A snapshot smaller than this says more about the disk's mood than about its size.
MEASURED_FROM_BYTES: Final = 1 << 20
#: How much larger than the log that made it a state can be, at most.
STATE_PER_LOG_BYTE: Final = 2
#: So long after a snapshot that could not be written the next one is tried: each costs a pause.
RETRY_S: Final = 5.0
#: A leader that pauses for longer is felt by everybody.
LEADER_PAUSE_S_MAX: Final = 0.1

_log = logging.getLogger(__name__)


class Retention:
    """Snapshots of one member: followers in turn by their number, a leader only when long overdue."""

    def __init__(
        self,
        config: GroupConfig,
        member: int,
        store: LogStore,
        snapshots: SnapshotStore,
        clock: Clock,
        pinned: Callable[[], set[str]] = set,
        background: Background | None = None,
    ) -> None:
        """Remove the files that no pointer names: what an earlier process was writing when it died.

        ``pinned`` names the snapshots that another member is fetching. Without ``background`` every
        snapshot is written here and now.
        """
        self._config = config
        self._pinned = pinned
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._background = background
        self._in_child: Header | None = None
        self._failing = False
        self._retry_s = 0.0
        self._pause_s_max = TIMEOUTS[config.profile].min_s / 2
        self._bytes_per_s = BYTES_PER_S_FIRST
        references = store.snapshots()
        self._last_index = references[-1].index if references else 0
        self._size_bytes = snapshots.size_bytes(references[-1]) if references else 0
        self._entries = config.snapshot_entries
        self._offset = (member - 1) * self._entries // MEMBERS
        self._bytes_each = config.snapshot_log_bytes + config.snapshot_log_bytes * (member - 1) // MEMBERS
        self._bytes = 0
        self._unreferenced = False
        self._plan(self._last_index)
        snapshots.clean(references)

    def applied(self, size_bytes: int) -> None:
        """Count an applied entry's bytes."""
        self._bytes += size_bytes

    def due(self, applied_index: int, *, leads: bool) -> bool:
        """Whether a snapshot should be taken now."""
        if self.busy:
            return False
        if leads:
            long = applied_index >= self._last_index + 2 * self._entries
            wanted = long or self._bytes >= 2 * self._bytes_each
        else:
            wanted = applied_index >= self._next_index or self._bytes >= self._bytes_each
        return wanted and (not self._failing or self._clock.monotonic_s() >= self._retry_s)

    def take(self, exchange: Exchange, checked_index: int, checked_digest: bytes, *, leads: bool) -> None:
        """Write a snapshot of the last applied entry: here and now, or in a child if that would take long."""
        started_s = self._clock.monotonic_s()
        store, index = self._store, exchange.applied_index
        size_bytes = self._size_bytes + self._bytes * STATE_PER_LOG_BYTE
        self._plan(index)
        self._bytes = 0
        if index <= self._last_index:
            return
        before, at = store.entries(index - 1, index)
        header = Header(
            format=0,
            group=self._config.group,
            index=index,
            term=at.term,
            before=LogEntry(before.index, before.term, before.body),
            at=LogEntry(at.index, at.term, at.body),
            chain_before=store.chain(index - 2),
            chain=store.chain(index),
            digest=exchange.digest,
            state_digest=b"",
            checked_index=checked_index,
            checked_digest=checked_digest,
            schema=snapshot.schema_of(exchange.state.version),
            sections=[],
        )
        pause_s_max = LEADER_PAUSE_S_MAX if leads else self._pause_s_max
        if self._background is not None and size_bytes > self._bytes_per_s * pause_s_max:
            if self._background.start(lambda: self._snapshots.prepare(_made(header, exchange))):
                self._in_child = header
            self._tell_pause(index, "fork", started_s)
            return
        made = _made(header, exchange)
        encoded_s = self._clock.monotonic_s() - started_s
        reference = self._snapshots.write(made)
        if reference is None:
            self._fail("no room for a snapshot of %d bytes: the log cannot be trimmed", len(made.state))
            return
        pause_s = self._tell_pause(index, f"encode {encoded_s * 1e3:.1f} ms, and write", started_s)
        if len(made.state) > MEASURED_FROM_BYTES:
            self._bytes_per_s = len(made.state) / max(pause_s, 0.001)
        self._add(reference)

    @property
    def busy(self) -> bool:
        """Whether a child is writing a snapshot."""
        return self._in_child is not None

    def poll(self) -> None:
        """Take over what a child has written, if it is done."""
        header = self._in_child
        if header is None:
            return
        assert self._background is not None, "there is a child"
        succeeded = self._background.poll()
        if succeeded is None:
            return
        self._in_child = None
        if not succeeded:
            self._fail("the child that was to write the snapshot of index %d failed", header.index)
            self._snapshots.discard_prepared(header.index, header.term)
            return
        started_s = self._clock.monotonic_s()
        try:
            reference = self._snapshots.publish_prepared(header.index, header.term)
        except OSError as error:
            fail_stop(EX_DISK, f"snapshot of index {header.index}: {error}")
        self._add(reference)
        self._tell_pause(header.index, "publish", started_s)

    def close(self) -> None:
        """End a child that still writes."""
        if self._background is not None and self._in_child is not None:
            self._background.stop()
            self._in_child = None

    def _fail(self, what: str, number: int) -> None:
        """Try again later; say it once, for a disk can be full for hours."""
        self._retry_s = self._clock.monotonic_s() + RETRY_S
        if not self._failing:
            self._failing = True
            _log.error(what, number)

    def _add(self, reference: SnapshotRef) -> None:
        if self._failing:
            self._failing = False
            _log.warning("snapshots can be written again: that of index %d was", reference.index)
        self._last_index = reference.index
        self._size_bytes = self._snapshots.size_bytes(reference)
        self._store.add_snapshot(reference)
        self._drop_old()

    def _tell_pause(self, index: int, what: str, started_s: float) -> float:
        pause_s = self._clock.monotonic_s() - started_s
        _log.info("snapshot of index %d: %s, pause %.1f ms", index, what, pause_s * 1e3)
        return pause_s

    def restored(self, index: int, size_bytes: int) -> None:
        """Go on from a fetched snapshot: it is the only one now."""
        self.close()
        self._last_index = index
        self._size_bytes = size_bytes
        self._bytes = 0
        self._failing = False
        self._unreferenced = True
        self._plan(index)

    def trim(self) -> None:
        """Let go what neither the newest two snapshots nor a member that was away will need."""
        store, config = self._store, self._config
        if self._unreferenced and not store.dirty and not self.busy:
            # The pointers are gone from the disk, so the files may go.
            self._unreferenced = False
            self._snapshots.clean(store.snapshots())
        self._drop_old()
        references = store.snapshots()
        if len(references) < 2:  # noqa: PLR2004 - with one, a damaged file would leave nothing
            return
        count = store.last_index - store.first_index + 1
        keep = min(count, config.log_keep_entries)
        used_bytes = int(store.used_fraction() * config.map_size_bytes)
        keep_bytes = min(config.log_keep_bytes, int(config.map_size_bytes * TRIM_FROM))
        if used_bytes > keep_bytes:
            keep = min(keep, count * keep_bytes // used_bytes)
        keep_from = min(references[-2].index - 1, store.last_index - keep + 1)
        if store.used_fraction() < PINNED_UP_TO:
            keep_from = min([keep_from, *(each.index for each in references if each.name in self._pinned())])
        if keep_from > store.first_index:
            store.trim(keep_from)

    def _drop_old(self) -> None:
        """Forget the snapshots beyond those that are kept, unless a member is fetching them."""
        old = self._store.snapshots()[:-KEPT_MAX]
        if not old:
            return
        pinned = self._pinned()
        for each in old:
            if each.name not in pinned:
                self._store.drop_snapshot(each.name)
                self._unreferenced = True

    def _plan(self, index: int) -> None:
        """Place the next snapshot at the first index of ours that lies behind ``index``."""
        turn = (index - self._offset) // self._entries + 1
        self._next_index = self._offset + turn * self._entries


def _made(header: Header, exchange: Exchange) -> Snapshot:
    """Return the snapshot of an exchange as it is now."""
    state = snapshot.dump(exchange)
    return Snapshot(msgspec.structs.replace(header, state_digest=snapshot.state_digest(state)), state)
