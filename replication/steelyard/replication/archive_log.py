"""Follows a member's log from another process: committed entries only, in order, in short transactions."""

from collections.abc import Iterator
from typing import Final

from steelyard.replication.disk import LogSource
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.log_reader import LoggedEntry
from steelyard.replication.log_record import (
    NO_OP,
    HardState,
    Head,
    Identity,
    SnapshotRef,
    chain_next,
    parse,
    parse_meta,
)

READ_ENTRIES_MAX: Final = 1024
READ_BYTES_MAX: Final = 4 << 20


class Trimmed(Exception):
    """The next entry is not in the log any more."""


class LogTail:
    """A log that grows, read from an index on.

    The replica may trim and append meanwhile.  Crc and chain of what is read are verified.
    """

    def __init__(self, disk: LogSource) -> None:
        """Read from a disk, which is ours from now on; raises ``StoreDamaged`` if its meta is broken."""
        self._disk = disk
        self.identity = parse_meta(self._disk.read_meta(), b"identity", Identity)
        self._next = 1
        self._chain: bytes | None = None

    @property
    def first_index(self) -> int:
        """The first index that is held now."""
        return parse_meta(self._disk.read_meta(), b"head", Head).first_index

    @property
    def snapshots(self) -> list[SnapshotRef]:
        """The member's snapshots now, oldest first."""
        return parse_meta(self._disk.read_meta(), b"snapshots", list[SnapshotRef])

    def seek(self, after_index: int) -> None:
        """Go on with the entry above ``after_index``."""
        self._next, self._chain = after_index + 1, None

    def read(self) -> Iterator[LoggedEntry]:
        """Yield what is committed and was not read yet, up to a bounded number of entries.

        Raises:
            Trimmed: The next entry is gone.
            StoreDamaged: A hole, a wrong crc, or a broken chain.

        """
        commit = parse_meta(self._disk.read_meta(), b"hard", HardState).commit
        if commit < self._next:
            return
        count = min(READ_ENTRIES_MAX, commit - self._next + 1)
        records = self._disk.read(self._next, count, READ_BYTES_MAX)
        if not records or records[0][0] != self._next:
            if self._next < self.first_index:
                raise Trimmed(f"the log begins above index {self._next}")
            raise StoreDamaged(f"index {self._next} is committed and not in the log")
        for index, value in records:
            if index > commit:
                return
            record, chain = parse(self._next, index, value)
            if self._chain is not None and chain != chain_next(self._chain, index, record.term, record.body):
                raise StoreDamaged(f"the hash chain breaks at index {index}")
            self._next, self._chain = index + 1, chain
            yield LoggedEntry(index, record.term, None if record.body == NO_OP else record.body[1:], chain)

    def close(self) -> None:
        """Close the log."""
        self._disk.close()
