"""Snapshot files without an exchange: a folder in memory, and sound files of any state."""

import zlib

from tests.helpers.scripted import GROUP, TWO, Scripted, entries, founded, no_op

from steelyard.replication.fetching import SnapshotFiles
from steelyard.replication.log_record import Record, SnapshotRef
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_pieces import SnapshotPieces
from steelyard.replication.snapshot_store import Header, LogEntry, Snapshot, SnapshotStore
from steelyard.replication.wire import Beat, Offer, Piece, PieceRequest


class MemoryFiles:
    """A folder in memory; ``room_bytes`` is what it takes before it is full."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.room_bytes = 1 << 40

    def create(self, name: str) -> None:
        """Make an empty file."""
        self.held[name] = b""

    def append(self, name: str, content: bytes) -> None:
        """Write behind what the file holds, if there is room."""
        if sum(map(len, self.held.values())) + len(content) > self.room_bytes:
            raise OSError(28, "no room")
        self.held[name] += content

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return a part of a file."""
        content = self._content(name)
        return content[offset:] if size < 0 else content[offset : offset + size]

    def size(self, name: str) -> int:
        """Return a file's size."""
        return len(self._content(name))

    def sync(self, name: str) -> None:
        """Memory is safe."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self.held[new] = self.held.pop(old)

    def remove(self, name: str) -> None:
        """Remove a file."""
        del self.held[name]

    def sync_names(self) -> None:
        """Memory is safe."""

    def names(self) -> list[str]:
        """Return the names."""
        return sorted(self.held)

    def _content(self, name: str) -> bytes:
        try:
            return self.held[name]
        except KeyError:
            raise FileNotFoundError(2, "no such file") from None


def make(store: LogStore, group: str, index: int, state: bytes) -> Snapshot:
    """Return a snapshot of ``state`` at an index that the log holds, with the entry before it."""
    before, at = store.entries(index - 1, index)
    header = Header(
        format=0,
        group=group,
        index=index,
        term=at.term,
        before=LogEntry(before.index, before.term, before.body),
        at=LogEntry(at.index, at.term, at.body),
        chain_before=store.chain(index - 2),
        chain=store.chain(index),
        digest=b"",
        state_digest=b"",
        checked_index=0,
        checked_digest=b"",
        schema=1,
        sections=[],
    )
    return Snapshot(header, state)


class Shelf:
    """One member's snapshots: its folder, and what the engine is given of it."""

    def __init__(self, store: LogStore, group: str, files: MemoryFiles | None = None) -> None:
        self.store = store
        self.group = group
        self.files = files or MemoryFiles()
        self.snapshots = SnapshotStore(self.files, group)
        self.pieces: SnapshotFiles = SnapshotPieces(self.files, self.snapshots, store)

    def take(self, index: int, state: bytes) -> SnapshotRef:
        """Write a snapshot and point at it."""
        ref = self.snapshots.write(make(self.store, self.group, index, state))
        assert ref is not None
        self.store.add_snapshot(ref)
        return ref


def shelf_of_a_leader(files: MemoryFiles | None = None) -> Shelf:
    """Return a leader of term 1 with entries up to 20 and a snapshot at 15."""
    store = LogStore(founded(TWO), GROUP, TWO)
    for record in (Record(b"\x01", 1, 0), no_op(2, 1), *entries(3, 20, 1)):
        store.append(record.index, record.term, record.body)
    store.hard_state(1, 0, 20)
    shelf = Shelf(store, GROUP, files)
    shelf.take(15, b"state at 15")
    return shelf


def feed(member: Scripted, shelf: Shelf, *, term: int = 1) -> None:
    """Let member 2 offer its snapshot and answer what is asked for."""
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member.hear(TWO, Beat(term, 20, 0), Offer(term, 15, *manifest))
    member.turn()
    for message in member.said(TWO):
        if isinstance(message, PieceRequest):
            data = shelf.pieces.piece(message.sha256, message.offset)
            assert data is not None
            member.hear(TWO, Piece(message.sha256, message.offset, zlib.crc32(data), data))
