"""When to take a snapshot, and what may go: old snapshots, and the log that nobody needs any more."""

import logging
from collections.abc import Callable
from typing import Final

from steelyard.core import Exchange, snapshot
from steelyard.replication.clock import Clock
from steelyard.replication.config import MEMBERS, GroupConfig
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
    ) -> None:
        """Remove the files that no pointer names: what an earlier process was writing when it died.

        ``pinned`` names the snapshots that another member is fetching.
        """
        self._config = config
        self._pinned = pinned
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        references = store.snapshots()
        self._last_index = references[-1].index if references else 0
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
        if leads:
            long = applied_index >= self._last_index + 2 * self._entries
            return long or self._bytes >= 2 * self._bytes_each
        return applied_index >= self._next_index or self._bytes >= self._bytes_each

    def take(self, exchange: Exchange, checked_index: int, checked_digest: bytes) -> None:
        """Write a snapshot of the last applied entry, here and now; the pause is logged."""
        started_s = self._clock.monotonic_s()
        store, index = self._store, exchange.applied_index
        self._plan(index)
        self._bytes = 0
        if index <= self._last_index:
            return
        before, at = store.entries(index - 1, index)
        state = snapshot.dump(exchange)
        encoded_s = self._clock.monotonic_s()
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
            state_digest=snapshot.state_digest(state),
            checked_index=checked_index,
            checked_digest=checked_digest,
            schema=snapshot.SCHEMA_VERSION,
            sections=[],
        )
        reference = self._snapshots.write(Snapshot(header, state))
        if reference is None:
            _log.error(
                "no room for a snapshot of %d bytes: free some, or the log cannot be trimmed", len(state)
            )
            return
        self._last_index = index
        store.add_snapshot(reference)
        self._drop_old()
        ended_s = self._clock.monotonic_s()
        _log.info(
            "snapshot of index %d: %d bytes, pause %.1f ms (encode %.1f ms)",
            index,
            len(state),
            (ended_s - started_s) * 1e3,
            (encoded_s - started_s) * 1e3,
        )

    def restored(self, index: int) -> None:
        """Go on from a fetched snapshot: it is the only one now."""
        self._last_index = index
        self._bytes = 0
        self._unreferenced = True
        self._plan(index)

    def trim(self) -> None:
        """Let go what neither the newest two snapshots nor a member that was away will need."""
        store, config = self._store, self._config
        if self._unreferenced and not store.dirty:
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
