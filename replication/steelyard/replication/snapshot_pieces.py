"""``SnapshotFiles`` over a member's folder: pieces of whole snapshots, and one that is being fetched.

An unfinished file is named after what it will be, so that a restart knows how to go on:
``fetch-<index>-<term>-<size>-<sha-256>.part``.
"""

import re
from collections.abc import Callable
from typing import Final

from steelyard.replication.errors import EX_DISK, fail_stop
from steelyard.replication.fetching import Fetched, Manifest
from steelyard.replication.files import Files
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_store import SnapshotDamaged, SnapshotStore, is_no_room, snapshot_name
from steelyard.replication.wire import PIECE_BYTES

_PARTIAL: Final = re.compile(r"fetch-(\d{1,19})-(\d{1,19})-(\d{1,19})-([0-9a-f]{64})\.part")


class NoSnapshots:
    """The files of a member that neither offers nor fetches."""

    def refs(self) -> list[SnapshotRef]:
        """There are none."""
        return []

    def manifest(self, ref: SnapshotRef) -> Manifest | None:
        """There is none."""
        return None

    def piece(self, sha256: bytes, offset: int) -> bytes | None:
        """There is none."""
        return None

    def partial(self) -> tuple[Manifest, int] | None:
        """There is none."""
        return None

    def begin(self, manifest: Manifest) -> bool:
        """Never."""
        return False

    def add(self, data: bytes) -> bool:
        """Never."""
        return False

    def finish(self) -> Fetched | None:
        """Never."""
        return None

    def discard(self) -> None:
        """Nothing is there."""


class SnapshotPieces:
    """The snapshots that the store points at, and the unfinished one."""

    def __init__(self, files: Files, snapshots: SnapshotStore, store: LogStore) -> None:
        """Forget unfinished files that are of no use any more."""
        self._files = files
        self._snapshots = snapshots
        self._store = store
        self._partial: Manifest | None = None
        for name in files.names():
            found = _PARTIAL.fullmatch(name)
            if found is None:
                continue
            manifest = Manifest(int(found[1]), int(found[2]), bytes.fromhex(found[4]), int(found[3]))
            if manifest.index > store.commit_index and self._partial is None:
                self._partial = manifest
            else:
                files.remove(name)

    def refs(self) -> list[SnapshotRef]:
        """Return the whole ones, oldest first."""
        return self._store.snapshots()

    def manifest(self, ref: SnapshotRef) -> Manifest | None:
        """Return what there is to offer of a whole one; None if its file cannot be read."""
        try:
            return Manifest(ref.index, ref.term, ref.sha256, self._files.size(ref.name))
        except OSError:
            return None

    def piece(self, sha256: bytes, offset: int) -> bytes | None:
        """Return up to ``PIECE_BYTES`` of the file with that sum; None if we do not have it."""
        for ref in self._store.snapshots():
            if ref.sha256 == sha256:
                try:
                    return self._files.read(ref.name, offset, PIECE_BYTES) or None
                except OSError:
                    return None
        return None

    def partial(self) -> tuple[Manifest, int] | None:
        """Return what an unfinished fetch has brought so far, in bytes."""
        if self._partial is None:
            return None
        size_bytes = self._files.size(_partial_name(self._partial))
        if size_bytes > self._partial.size_bytes:  # an append that was torn and repeated
            self.discard()
            return None
        return self._partial, size_bytes

    def begin(self, manifest: Manifest) -> bool:
        """Make room for a new file, in place of any other unfinished one; False if there is none."""
        self.discard()
        return self._try(lambda: self._create(manifest))

    def add(self, data: bytes) -> bool:
        """Put a piece behind what has arrived; False if there is no room."""
        assert self._partial is not None, "begin comes first"
        name = _partial_name(self._partial)
        return self._try(lambda: self._files.append(name, data))

    def finish(self) -> Fetched | None:
        """Verify and publish what has arrived, durably; None if it is damaged, and then it is gone."""
        manifest = self._partial
        assert manifest is not None, "begin comes first"
        name = snapshot_name(manifest.index, manifest.term)
        ref = SnapshotRef(manifest.index, manifest.term, name, manifest.sha256)
        try:
            snapshot = self._snapshots.publish(_partial_name(manifest), ref)
        except SnapshotDamaged:
            self.discard()
            return None
        except OSError as error:
            fail_stop(EX_DISK, f"snapshot {name}: {error}")
        self._partial = None
        return Fetched(ref, snapshot)

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._partial is not None:
            name, self._partial = _partial_name(self._partial), None
            if name in self._files.names():
                self._files.remove(name)

    def _create(self, manifest: Manifest) -> None:
        self._files.create(_partial_name(manifest))
        self._partial = manifest

    @staticmethod
    def _try(action: Callable[[], None]) -> bool:
        """Do something that needs room; return whether there was any. Another failure ends the process."""
        try:
            action()
        except OSError as error:
            if is_no_room(error):
                return False
            fail_stop(EX_DISK, f"fetching a snapshot: {error}")
        return True


def _partial_name(manifest: Manifest) -> str:
    return f"fetch-{manifest.index}-{manifest.term}-{manifest.size_bytes}-{manifest.sha256.hex()}.part"
