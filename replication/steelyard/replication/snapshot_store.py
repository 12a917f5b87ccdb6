"""Snapshot files: the whole state at one log index, written so that only sound ones are ever believed.

A file is, in this order::

    magic         8 bytes
    header size   u32, big-endian
    header        msgpack of ``Header``: where in the log, the two log entries, digests, the section table
    sections      one after the other, as the table says
    sha-256       32 bytes, of everything before
"""

import errno
import hashlib
import struct
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from steelyard.replication.errors import EX_DISK, ReplicationError, fail_stop
from steelyard.replication.files import Files
from steelyard.replication.log_record import SnapshotRef

MAGIC: Final = b"STEELYRD"
FORMAT: Final = 1
KEPT_MAX: Final = 3
STATE_SECTION: Final = "state"
_SIZE: Final = struct.Struct(">I")
_SHA_BYTES: Final = 32
_SUFFIX: Final = ".sys"
_TEMPORARY: Final = ".tmp"
#: The disk is full: no snapshot now, but nothing is broken yet.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def snapshot_name(index: int, term: int) -> str:
    """Return the name of the file for that place in the log."""
    return f"snap-{index}-{term}{_SUFFIX}"


def is_no_room(error: OSError) -> bool:
    """Whether the disk is merely full."""
    return error.errno in _NO_ROOM


class SnapshotDamaged(ReplicationError):
    """The file is not what its pointer or its own checksums say."""

    exit_code = EX_DISK


class LogEntry(msgspec.Struct, frozen=True, array_like=True):
    """A log entry, byte for byte as the log holds it."""

    index: int
    term: int
    body: bytes


class Section(msgspec.Struct, frozen=True, array_like=True):
    """One row of the section table."""

    name: str
    length_bytes: int
    crc32: int


class Header(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where in the log a snapshot stands, and what the state there looks like from outside.

    ``before`` and ``at`` are the entries ``index - 1`` and ``index``; ``chain_before`` is the log's hash
    chain up to the entry before ``before``, ``chain`` that up to ``at``. ``digest`` is the rolling digest
    after ``at``; ``checked_index`` and ``checked_digest`` its value at the last index that members compare.
    """

    format: int
    group: str
    index: int
    term: int
    before: LogEntry
    at: LogEntry
    chain_before: bytes
    chain: bytes
    digest: bytes
    state_digest: bytes
    checked_index: int
    checked_digest: bytes
    schema: int
    sections: list[Section]


class Snapshot(msgspec.Struct, frozen=True):
    """A header and the canonical bytes of the state."""

    header: Header
    state: bytes


_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode


def encode(snapshot: Snapshot) -> bytes:
    """Return the file's bytes; the section table is made here, whatever the header's says."""
    section = Section(STATE_SECTION, len(snapshot.state), zlib.crc32(snapshot.state))
    header = _encode_header(msgspec.structs.replace(snapshot.header, format=FORMAT, sections=[section]))
    content = b"".join((MAGIC, _SIZE.pack(len(header)), header, snapshot.state))
    return content + hashlib.sha256(content).digest()


def decode(content: bytes) -> Snapshot:
    """Return what a file holds.

    Raises:
        SnapshotDamaged: Anything about it does not verify.

    """
    start = len(MAGIC) + _SIZE.size
    if len(content) < start + _SHA_BYTES or not content.startswith(MAGIC):
        raise SnapshotDamaged("not a snapshot file")
    if hashlib.sha256(memoryview(content)[:-_SHA_BYTES]).digest() != content[-_SHA_BYTES:]:
        raise SnapshotDamaged("wrong sha-256")
    at = start + _SIZE.unpack_from(content, len(MAGIC))[0]
    try:
        header = _decode_header(content[start:at])
    except ValueError as error:
        raise SnapshotDamaged(f"header: {error}") from error
    if header.format != FORMAT:
        raise SnapshotDamaged(f"format {header.format}, we read {FORMAT}")
    sections: dict[str, bytes] = {}
    for section in header.sections:
        sections[section.name] = content[at : at + section.length_bytes]
        if zlib.crc32(sections[section.name]) != section.crc32:
            raise SnapshotDamaged(f"section {section.name} has a wrong checksum")
        at += section.length_bytes
    if at != len(content) - _SHA_BYTES or sections.keys() != {STATE_SECTION}:
        raise SnapshotDamaged("sections and file do not match")
    return Snapshot(header, sections[STATE_SECTION])


class SnapshotStore:
    """The snapshot files of one member, in one folder that it owns."""

    def __init__(self, files: Files, group: str, boots: int = 0) -> None:
        """Keep snapshots of ``group`` in ``files``.

        ``boots`` tells this life of the member from every other: a child that outlives its parent for a
        moment must not write into what the next life's child has under way.
        """
        self._files = files
        self._group = group
        self._temporary = f".{boots}{_TEMPORARY}"

    def write(self, snapshot: Snapshot) -> SnapshotRef | None:
        """Put a snapshot on disk and return the pointer to it, or None if the disk has no room now.

        The name appears only when the content is synced and has been read back; a failed sync ends the
        process. The pointer is the caller's to make durable.
        """
        name = snapshot_name(snapshot.header.index, snapshot.header.term)
        try:
            self.prepare(snapshot)
            return self.publish_prepared(snapshot.header.index, snapshot.header.term)
        except (OSError, SnapshotDamaged) as error:
            if isinstance(error, OSError) and is_no_room(error):
                self.discard_prepared(snapshot.header.index, snapshot.header.term)
                return None
            fail_stop(EX_DISK, f"snapshot {name}: {error}")

    def prepare(self, snapshot: Snapshot) -> None:
        """Write a snapshot under a temporary name, sync it and read it back; any process may do that.

        Raises:
            SnapshotDamaged: What was read back is not what was written.
            OSError: The disk refused.

        """
        content = encode(snapshot)
        header = snapshot.header
        name = snapshot_name(header.index, header.term)
        self._files.create(name + self._temporary)
        self._files.append(name + self._temporary, content)
        self._files.sync(name + self._temporary)
        self._read(
            name + self._temporary, SnapshotRef(header.index, header.term, name, content[-_SHA_BYTES:])
        )

    def publish_prepared(self, index: int, term: int) -> SnapshotRef:
        """Give a prepared file its name and return the pointer to it.

        Raises:
            OSError: The disk refused.

        """
        files, name = self._files, snapshot_name(index, term)
        size_bytes = files.size(name + self._temporary)
        sha256 = files.read(name + self._temporary, size_bytes - _SHA_BYTES)
        files.rename(name + self._temporary, name)
        files.sync_names()
        return SnapshotRef(index, term, name, sha256)

    def discard_prepared(self, index: int, term: int) -> None:
        """Remove what ``prepare`` may have left of a file."""
        name = snapshot_name(index, term) + self._temporary
        if name in self._files.names():
            self._files.remove(name)

    def size_bytes(self, ref: SnapshotRef) -> int:
        """Return the size of a file, 0 if it cannot be read."""
        try:
            return self._files.size(ref.name)
        except OSError:
            return 0

    def publish(self, temporary: str, ref: SnapshotRef) -> Snapshot:
        """Sync a complete file, read it back, and give it the name that ``ref`` says.

        Raises:
            SnapshotDamaged: The file is not what ``ref`` says.
            OSError: The disk refused; after a failed sync nobody may go on.

        """
        files = self._files
        files.sync(temporary)
        snapshot = self._read(temporary, ref)
        files.rename(temporary, ref.name)
        files.sync_names()
        return snapshot

    def read(self, ref: SnapshotRef) -> Snapshot:
        """Return the snapshot that ``ref`` points at.

        Raises:
            SnapshotDamaged: Missing, unreadable, or not exactly what the pointer says.

        """
        return self._read(ref.name, ref)

    def clean(self, referenced: Iterable[SnapshotRef]) -> list[str]:
        """Remove the files no pointer names, temporary ones too, and return their names."""
        kept = {ref.name for ref in referenced}
        removed = [
            name for name in self._files.names() if name.endswith((_SUFFIX, _TEMPORARY)) and name not in kept
        ]
        for name in removed:
            self._files.remove(name)
        return removed

    def _read(self, name: str, ref: SnapshotRef) -> Snapshot:
        try:
            content = self._files.read(name)
        except OSError as error:
            raise SnapshotDamaged(f"{name}: {error.strerror}") from error
        if content[-_SHA_BYTES:] != ref.sha256:
            raise SnapshotDamaged(f"{name}: not the file that was written")
        try:
            snapshot = decode(content)
        except SnapshotDamaged as error:
            raise SnapshotDamaged(f"{name}: {error}") from error
        header = snapshot.header
        if (header.group, header.index, header.term) != (self._group, ref.index, ref.term):
            raise SnapshotDamaged(f"{name}: of another group or place in the log")
        return snapshot
