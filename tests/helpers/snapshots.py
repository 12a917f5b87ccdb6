"""Snapshot files without an exchange: a folder in memory, and sound files of any state."""

from steelyard.replication.fetching import SnapshotFiles
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_pieces import SnapshotPieces
from steelyard.replication.snapshot_store import Header, LogEntry, Snapshot, SnapshotStore


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
