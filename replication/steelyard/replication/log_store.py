"""The log of one member: entries with crc and hash chain, hard state and snapshot pointers, flushed as one.

What ``append``, ``truncate`` and ``hard_state`` say is true in memory at once and on disk
after the next ``flush``; until then the store is ``dirty`` and nobody may be promised
anything that rests on it.
"""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from steelyard.replication.clock import SystemClock
from steelyard.replication.disk import MAP_BYTES_DEFAULT, Disk, LmdbDisk, Write, scan
from steelyard.replication.errors import EX_DISK, EX_INVARIANT, StartRefused, StoreDamaged, fail_stop
from steelyard.replication.group import MemberId
from steelyard.replication.log_memory import LogMemory
from steelyard.replication.log_record import (
    FORMAT,
    HardState,
    Head,
    Identity,
    PeerMemory,
    Record,
    SnapshotRef,
    chain_next,
    check_identity,
    first_meta,
    pack,
    pack_meta,
    parse,
    parse_meta,
)

__all__ = ["LogStore", "PeerMemory", "Record", "SnapshotRef", "found", "join", "open_store"]

FOUNDING_INCARNATION: Final = 1
TRIM_PER_FLUSH_MAX: Final = 2000
CACHE_BYTES_DEFAULT: Final = 64 << 20


def found(directory: Path, group_id: str, member: MemberId, *, map_bytes: int = MAP_BYTES_DEFAULT) -> None:
    """Make a founding store: this member belongs to a group that begins now, and may vote.

    Raises:
        StartRefused: The directory already holds a member.

    """
    _make(LmdbDisk(directory, map_bytes, create=True), group_id, member, FOUNDING_INCARNATION, joining=False)


def join(
    directory: Path,
    group_id: str,
    member: MemberId,
    *,
    incarnation: int | None = None,
    map_bytes: int = MAP_BYTES_DEFAULT,
) -> None:
    """Make a store for a member of an existing group whose disk is gone: it may not vote yet.

    ``incarnation`` must be above that of every earlier life of this member: by default
    the time.

    Raises:
        StartRefused: The directory already holds a member.

    """
    disk = LmdbDisk(directory, map_bytes, create=True)
    _make(disk, group_id, member, incarnation or SystemClock().wall_ns(), joining=True)


def open_store(
    directory: Path, group_id: str, member: MemberId, *, map_bytes: int = MAP_BYTES_DEFAULT
) -> "LogStore":
    """Open and verify a member's store on disk.

    Raises:
        StartRefused: Not founded, another group's or member's, or in use.
        StoreDamaged: Something does not verify.

    """
    disk = LmdbDisk(directory, map_bytes)
    try:
        return LogStore(disk, group_id, member)
    except BaseException:
        disk.close()
        raise


class LogStore:
    """Entries ``first_index`` to ``last_index``, hard state, snapshot pointers; see the module."""

    dirty: bool
    """Whether something promised is not yet on disk."""

    def __init__(
        self, disk: Disk, group_id: str, member: MemberId, *, cache_bytes_max: int = CACHE_BYTES_DEFAULT
    ) -> None:
        """Read and verify everything, count this boot, and make the count durable."""
        self._disk = disk
        self._memory = LogMemory(cache_bytes_max)
        self._meta_changed: dict[bytes, bytes] = {}
        self.dirty = False

        meta = disk.read_meta()
        self._identity = parse_meta(meta, b"identity", Identity)
        check_identity(self._identity, group_id, member)
        self._hard = parse_meta(meta, b"hard", HardState)
        self._head = parse_meta(meta, b"head", Head)
        self._snapshots = parse_meta(meta, b"snapshots", list[SnapshotRef])
        self._peers = parse_meta(meta, b"peers", dict[int, PeerMemory])
        self._keep_from = self._head.first_index
        self._last_chain = self._head.chain_before
        self.last_index = self._durable_last = self._stable_last = self._head.first_index - 1
        self.last_term = self._head.term_before
        self._commit_saved = self._hard.commit
        self.durable_term = self._hard.term
        self._load()
        self._set_identity(replace(self._identity, boots=self._identity.boots + 1))
        self.flush()

    # --- what is in it -------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Whose store this is."""
        return self._identity

    @property
    def first_index(self) -> int:
        """The first entry still held; 1 unless trimmed. Above ``last_index`` if empty."""
        return self._head.first_index

    last_index: int
    """The last entry, durable or not; 0 in a new store."""
    last_term: int
    """Its term."""
    durable_term: int
    """The term that a crash now would leave us."""

    @property
    def current_term(self) -> int:
        """The term of the hard state."""
        return self._hard.term

    @property
    def vote(self) -> int:
        """Whom we voted for in the current term; 0 for nobody."""
        return self._hard.vote

    @property
    def commit_index(self) -> int:
        """The commit index, never above ``last_index`` and never moving back."""
        return self._hard.commit

    @property
    def durable_last_index(self) -> int:
        """The last index that a crash now would leave us."""
        return self._stable_last

    @property
    def trim_pending(self) -> bool:
        """Whether the next flush has entries to trim."""
        return self._keep_from > self._head.first_index

    def term(self, index: int) -> int:
        """Return the term of an entry that is held, or of the one just before the first."""
        if index == self._head.first_index - 1:
            return self._head.term_before
        assert self._head.first_index <= index <= self.last_index, (index, self.first_index, self.last_index)
        return self._memory.term(index)

    def term_first_index(self, index: int) -> int:
        """Return the first held index of the run of equal terms that ``index`` is in."""
        assert self._head.first_index <= index <= self.last_index, index
        return self._memory.term_first_index(index)

    def has(self, index: int, term: int) -> bool:
        """Whether the entry (index, term) is in this log; what was trimmed was committed, so it is."""
        if index < self._head.first_index - 1:
            return True
        return index <= self.last_index and self.term(index) == term

    def entry(self, index: int) -> Record:
        """Return one entry that is held."""
        record = self._memory.records.get(index)
        return record if record is not None else self.read(index, 1, 1)[0]

    def entries(self, first: int, last: int) -> list[Record]:
        """Return the entries ``first`` to ``last``, both included."""
        out: list[Record] = []
        while first <= last:
            out += self.read(first, last - first + 1, self._memory.bytes_max)
            first = out[-1].index + 1
        return out

    def read(self, first: int, count_max: int, bytes_max: int) -> list[Record]:
        """Return entries from ``first`` on: at least one, then while count and bytes allow."""
        assert self._head.first_index <= first <= self.last_index, (first, self.first_index, self.last_index)
        if first < self._memory.first:
            count = min(count_max, self._memory.first - first)
            raw = self._read_disk(first, count, bytes_max)
            return [self._parse(first + n, index, value)[0] for n, (index, value) in enumerate(raw)]
        out: list[Record] = []
        size, records = 0, self._memory.records
        for index in range(first, min(first + count_max, self.last_index + 1)):
            record = records[index]
            size += len(record.body)
            if size > bytes_max and out:
                break
            out.append(record)
        return out

    def chain(self, index: int) -> bytes:
        """Return the hash chain up to a held entry, or to the one just before the first."""
        if index == self._head.first_index - 1:
            return self._head.chain_before
        chain = self._memory.chains.get(index)
        if chain is not None:
            return chain
        assert self._head.first_index <= index <= self.last_index, index
        found_index, value = self._read_disk(index, 1, 1)[0]
        return self._parse(index, found_index, value)[1]

    def snapshots(self) -> list[SnapshotRef]:
        """Return the snapshot pointers, oldest first."""
        return list(self._snapshots)

    def remembered(self, peer: MemberId) -> PeerMemory | None:
        """Return the furthest we saw of another member, None if never."""
        return self._peers.get(peer)

    def used_fraction(self) -> float:
        """Return how full the map is, from 0 to 1."""
        return self._disk.used_fraction()

    # --- changes, in memory until the next flush ------------------------------------------

    def append(self, index: int, term: int, body: bytes) -> None:
        """Put an entry behind the last one; anything but the next index is a broken invariant."""
        if index != self.last_index + 1:
            fail_stop(EX_INVARIANT, f"append of index {index} behind {self.last_index}")
        if term < self.last_term:
            fail_stop(EX_INVARIANT, f"append of term {term} behind term {self.last_term}")
        self._last_chain = chain_next(self._last_chain, index, term, body)
        self._hold(Record(body, index, term), self._last_chain)
        self.dirty = True

    def truncate(self, first: int) -> None:
        """Cut the entries from ``first`` on; at or below the commit index is a broken invariant."""
        if first <= self._hard.commit or first < self._head.first_index:
            fail_stop(EX_INVARIANT, f"truncation at {first}, committed up to {self._hard.commit}")
        if first > self.last_index:
            return
        term, chain = self.term(first - 1), self.chain(first - 1)
        self._memory.cut(first, self.last_index)
        self.last_index, self.last_term, self._last_chain = first - 1, term, chain
        self._stable_last = min(self._stable_last, first - 1)
        self.dirty = True

    def trim(self, keep_from: int) -> None:
        """Let the entries below ``keep_from`` go, a few at each flush.

        The newest snapshot's entry and the one before it always stay (a restart begins
        with them), and without a snapshot everything does.
        """
        if self._snapshots:
            bound = min(self._snapshots[-1].index - 1, self._hard.commit, self._stable_last)
            self._keep_from = max(self._keep_from, min(keep_from, bound))

    def hard_state(self, term: int, vote: int, commit: int) -> None:
        """Set term, vote (0: nobody) and commit; a commit alone waits for the next flush."""
        old = self._hard
        if term < old.term or (term == old.term and old.vote not in (0, vote)):
            fail_stop(EX_INVARIANT, f"term and vote went from {old.term}, {old.vote} to {term}, {vote}")
        if not old.commit <= commit <= max(self.last_index, old.commit):
            fail_stop(EX_INVARIANT, f"commit went from {old.commit} to {commit}, last is {self.last_index}")
        self._hard = HardState(term, vote, commit)
        if (term, vote) != (old.term, old.vote):
            self.dirty = True

    def add_snapshot(self, snapshot: SnapshotRef) -> None:
        """Point at a snapshot file that is complete, verified and renamed."""
        if not self._head.first_index <= snapshot.index <= self._hard.commit:
            fail_stop(EX_INVARIANT, f"snapshot at {snapshot.index}, committed up to {self._hard.commit}")
        others = [s for s in self._snapshots if s.name != snapshot.name]
        self._set_snapshots(sorted([*others, snapshot], key=lambda s: s.index))

    def drop_snapshot(self, name: str) -> None:
        """Forget a pointer; remove the file only after the next flush."""
        self._set_snapshots([s for s in self._snapshots if s.name != name])

    def install(self, snapshot: SnapshotRef, chain_before: bytes, before: Record, at: Record) -> None:
        """Replace log and pointers by a snapshot and its last two entries.

        ``chain_before`` is the chain up to ``before.index - 1``, so that the chain goes on
        as if the whole log had been here.
        """
        if before.index + 1 != at.index or at.index != snapshot.index or at.index <= self._hard.commit:
            fail_stop(EX_INVARIANT, f"install of a snapshot at {snapshot.index} over {self._hard.commit}")
        deletes = range(self._head.first_index, self._durable_last + 1)
        self._memory.clear(before.index)
        self._head = Head(before.index, chain_before, before.term)
        self._keep_from = before.index
        self.last_index, self.last_term, self._last_chain = before.index - 1, before.term, chain_before
        self._stable_last = self._durable_last = before.index - 1
        for record in (before, at):
            self.append(record.index, record.term, record.body)
        vote = self._hard.vote if self._hard.term >= at.term else 0
        self._hard = HardState(max(self._hard.term, at.term), vote, at.index)
        self._meta_changed[b"head"] = pack_meta(self._head)
        self._set_snapshots([snapshot])
        self._commit(Write(deletes=[deletes]))

    def remember(self, peer: MemberId, memory: PeerMemory, *, now: bool) -> None:
        """Note the furthest we saw of another member; without ``now`` it waits for a flush."""
        if self._peers.get(peer) != memory:
            self._peers[peer] = memory
            self._meta_changed[b"peers"] = pack_meta(self._peers)
            self.dirty = self.dirty or now

    def become_joining(self, incarnation: int) -> None:
        """Give up the vote: this disk forgot promises that only the others remember."""
        self._set_identity(replace(self._identity, incarnation=incarnation, joining=True))

    def become_voter(self, vote_floor: int) -> None:
        """Take the vote back, for terms above ``vote_floor``."""
        floor = max(vote_floor, self._identity.vote_floor)
        self._set_identity(replace(self._identity, joining=False, vote_floor=floor))

    # --- durability ------------------------------------------------------------------------

    def flush(self) -> None:
        """Make everything durable in one transaction, and trim a little; a failure ends the process."""
        if self.dirty or self.trim_pending:
            self._commit(Write())

    def save_commit(self) -> None:
        """Ask for a flush if the commit index or a memory of peers waits for one; once a second."""
        if self._hard.commit != self._commit_saved or self._meta_changed:
            self.dirty = True
        self._disk.housekeep()

    def close(self) -> None:
        """Flush and release the directory."""
        self.save_commit()
        self.flush()
        self._disk.close()

    def _commit(self, write: Write) -> None:
        if self._durable_last > self._stable_last:
            write.deletes.append(range(self._stable_last + 1, self._durable_last + 1))
        for index in range(self._stable_last + 1, self.last_index + 1):
            write.puts.append((index, pack(self._memory.records[index], self._memory.chains[index])))
        if self.trim_pending:
            self._trim_some(write)
        write.meta = self._meta_changed
        write.meta[b"hard"] = pack_meta(self._hard)
        try:
            self._disk.commit(write)
        except Exception as error:
            # The pages of a failed commit are marked clean, so the next one would succeed
            # without them: never retry, never continue.
            fail_stop(EX_DISK, f"commit failed: {error!r}")
        self._durable_last = self._stable_last = self.last_index
        self._commit_saved = self._hard.commit
        self.durable_term = self._hard.term
        self._meta_changed = {}
        self.dirty = False
        self._memory.evict(self._stable_last)

    def _trim_some(self, write: Write) -> None:
        first = self._head.first_index
        keep_from = min(self._keep_from, first + TRIM_PER_FLUSH_MAX)
        head = Head(keep_from, self.chain(keep_from - 1), self.term(keep_from - 1))
        self._memory.trim(first, keep_from)
        self._head = head
        write.deletes.append(range(first, keep_from))
        self._meta_changed[b"head"] = pack_meta(head)

    def _set_snapshots(self, snapshots: list[SnapshotRef]) -> None:
        self._snapshots = snapshots
        self._meta_changed[b"snapshots"] = pack_meta(snapshots)
        self.dirty = True

    def _set_identity(self, identity: Identity) -> None:
        self._identity = identity
        self._meta_changed[b"identity"] = pack_meta(self._identity)
        self.dirty = True

    # --- memory ----------------------------------------------------------------------------

    def _load(self) -> None:
        for index, value in scan(self._disk, self._head.first_index):
            record, chain = parse(self.last_index + 1, index, value)
            if chain != chain_next(self._last_chain, index, record.term, record.body):
                raise StoreDamaged(f"the hash chain breaks at index {index}")
            if record.term < self.last_term:
                raise StoreDamaged(f"the term falls at index {index}")
            self._last_chain = chain
            self._durable_last = self._stable_last = index
            self._hold(record, chain)
        if self._hard.commit > self.last_index:
            raise StoreDamaged(f"committed up to {self._hard.commit}, but the log ends at {self.last_index}")

    def _hold(self, record: Record, chain: bytes) -> None:
        """Note an entry behind the last; memory may let old ones go, but none that is not durable."""
        self._memory.add(record, chain)
        self.last_index, self.last_term = record.index, record.term
        self._memory.evict(self._stable_last)

    def _read_disk(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        try:
            raw = self._disk.read(first, count_max, bytes_max)
        except StoreDamaged as error:
            fail_stop(EX_DISK, str(error))
        if not raw:
            fail_stop(EX_DISK, f"entry {first} is missing")
        return raw

    def _parse(self, expected: int, index: int, value: bytes) -> tuple[Record, bytes]:
        """Return a record read while running: there is no going on with a damaged one."""
        try:
            return parse(expected, index, value)
        except StoreDamaged as error:
            fail_stop(EX_DISK, str(error))


def _make(disk: Disk, group_id: str, member: int, incarnation: int, *, joining: bool) -> None:
    try:
        if disk.read_meta():
            raise StartRefused("the directory already holds a member")
        identity = Identity(FORMAT, group_id, member, incarnation, 0, joining, 0)
        disk.commit(Write(meta=first_meta(identity)))
    finally:
        disk.close()
