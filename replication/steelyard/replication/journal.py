"""The engine's journal over the log store: lazy tails, bounded apply slices, no truncation without permit."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, overload

from steelyard.replication.errors import EX_INVARIANT, fail_stop
from steelyard.replication.log_record import Record
from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import APPEND_ENTRIES_MAX

APPLY_ENTRIES_MAX: Final = 64
APPLY_BYTES_MAX: Final = 64 << 10
_TAIL_CHUNK_ENTRIES: Final = 256
_TAIL_CHUNK_BYTES: Final = 1 << 20


class Permit(Enum):
    """What the append that is being delivered may do to our tail."""

    NOTHING_DELIVERED = 0
    KEEP_TAIL = 1
    CUT_TAIL = 2


class Tail(Sequence[Record]):
    """The log from an index on, read as far as somebody looks, up to a bounded number of entries."""

    def __init__(self, store: LogStore, first: int, count: int) -> None:
        self._store = store
        self._next = first
        self._count = count
        self._read: list[Record] = []

    def __len__(self) -> int:
        """Return how many entries there are to look at."""
        return self._count

    @overload
    def __getitem__(self, item: int) -> Record: ...
    @overload
    def __getitem__(self, item: slice) -> list[Record]: ...
    def __getitem__(self, item: int | slice) -> Record | list[Record]:
        """Return one entry, or a list of them."""
        if isinstance(item, slice):
            start, stop, step = item.indices(self._count)
            self._fill(stop)
            return self._read[start:stop:step]
        if not -self._count <= item < self._count:
            raise IndexError(item)
        item %= self._count
        self._fill(item + 1)
        return self._read[item]

    def __iter__(self) -> Iterator[Record]:
        """Yield the entries, reading ahead in chunks."""
        for position in range(self._count):
            if position >= len(self._read):
                self._fill(position + 1)
            yield self._read[position]

    def _fill(self, count: int) -> None:
        while len(self._read) < count:
            more = min(max(count - len(self._read), _TAIL_CHUNK_ENTRIES), self._count - len(self._read))
            chunk = self._store.read(self._next, more, _TAIL_CHUNK_BYTES)
            self._read += chunk
            self._next = chunk[-1].index + 1


class Journal:
    """What pysyncobj calls its journal; position 0 is the first entry it may see."""

    def __init__(self, store: LogStore, aligned_first: int | None) -> None:
        """Hide what is before ``aligned_first`` until ``show_all``.

        The engine wants its snapshot's two entries first, or it clears the log.
        """
        self._store = store
        self._aligned_first = aligned_first
        self._head: Record | None = None
        self._permit = Permit.NOTHING_DELIVERED
        self.handed_out: list[Record] = []
        """The last bounded slice: what the engine applies next comes from it."""

    def show_all(self) -> None:
        """End the alignment: a follower that lags may have every entry that we hold."""
        self._aligned_first = None

    @property
    def first_index(self) -> int:
        """The index at position 0."""
        return self._store.first_index if self._aligned_first is None else self._aligned_first

    def begin_delivery(self, may_cut: bool) -> None:
        """Prepare for an append; without ``may_cut`` our tail is not even shown."""
        self._permit = Permit.CUT_TAIL if may_cut else Permit.KEEP_TAIL

    def end_delivery(self) -> None:
        """Forbid truncation again."""
        self._permit = Permit.NOTHING_DELIVERED

    # --- the engine's interface -------------------------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry."""
        self._store.append(idx, term, command)

    def clear(self) -> None:
        """Refuse: the engine clears its log when a snapshot does not fit it."""
        fail_stop(EX_INVARIANT, "the engine wants to clear the log: it does not fit the snapshot")

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - the engine's name
        """Truncate, if the append being delivered conflicts with our tail."""
        first = self.first_index + entryFrom
        if self._permit is not Permit.CUT_TAIL:
            fail_stop(EX_INVARIANT, f"truncation at {first} without a conflict")
        self._store.truncate(first)

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        """Keep the tail: what goes is decided by our own retention rule."""

    def __len__(self) -> int:
        """Return the number of entries shown."""
        return self._store.last_index + 1 - self.first_index

    @overload
    def __getitem__(self, item: int) -> Record: ...
    @overload
    def __getitem__(self, item: slice) -> Sequence[Record]: ...
    def __getitem__(self, item: int | slice) -> Record | Sequence[Record]:
        """Return an entry; a bounded slice as a short list; an open slice as a lazy tail."""
        if isinstance(item, int):
            return self._store.entry(self._store.last_index) if item == -1 else self._at(item)
        assert item.step is None, item
        assert item.start >= 0, item
        first = self.first_index + item.start
        count = max(0, self._store.last_index + 1 - first)
        if item.stop is None:
            limit = 1 if self._permit is Permit.KEEP_TAIL else APPEND_ENTRIES_MAX
            return Tail(self._store, first, min(count, limit))
        count = min(count, item.stop - item.start, APPLY_ENTRIES_MAX)
        self.handed_out = self._store.read(first, count, APPLY_BYTES_MAX) if count > 0 else []
        return self.handed_out

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        """Note the commit index; it is saved with the next flush."""
        if raftCommitIndex != self._store.commit_index:
            self._store.hard_state(self._store.current_term, self._store.vote, raftCommitIndex)

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        """Return the commit index; the engine counts from 1."""
        return max(1, self._store.commit_index)

    def setCurrentTerm(self, term: int, votedForNodeId: int | None) -> None:  # noqa: N802, N803
        """Set term and vote; no message that rests on them leaves before the next flush."""
        self._store.hard_state(term, votedForNodeId or 0, self._store.commit_index)

    def getCurrentTerm(self) -> int:  # noqa: N802
        """Return the term."""
        return self._store.current_term

    def getVotedForNodeId(self) -> int | None:  # noqa: N802
        """Return whom we voted for in this term."""
        return self._store.vote or None

    def onOneSecondTimer(self) -> None:  # noqa: N802
        """Save the commit index, if it moved."""
        self._store.save_commit()

    def _destroy(self) -> None:
        """Leave the store alone: whoever opened it closes it."""

    def _at(self, position: int) -> Record:
        if position == 0:
            first = self.first_index
            if self._head is None or self._head.index != first:
                self._head = self._store.entry(first)
            return self._head
        if position < 0:
            position += len(self)
        return self._store.entry(self.first_index + position)
