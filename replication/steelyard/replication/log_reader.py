"""Reads a member's log from another process, whether the replica lives or not."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from steelyard.replication.disk import LmdbReader, scan
from steelyard.replication.errors import StoreDamaged
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


class LoggedEntry(NamedTuple):
    """One entry as ``apply`` sees it; ``body`` is None for the engine's own no-ops."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody uses here
    term: int
    body: bytes | None
    chain: bytes


class LogReader:
    """Iterates over a log and verifies crc and chain on the way.

    Reads in short transactions, so a live replica may trim and go on meanwhile; what it
    appends during the iteration is seen too. Use it as a context manager, in a process
    that is not the replica.
    """

    def __init__(self, directory: Path) -> None:
        """Open; raises ``StartRefused`` if there is no log, ``StoreDamaged`` if its meta is broken."""
        self._disk = LmdbReader(directory)
        meta = self._disk.read_meta()
        self.identity = parse_meta(meta, b"identity", Identity)
        self.snapshots = parse_meta(meta, b"snapshots", list[SnapshotRef])
        self._head = parse_meta(meta, b"head", Head)
        self._hard = parse_meta(meta, b"hard", HardState)

    @property
    def first_index(self) -> int:
        """The first index held when this was opened."""
        return self._head.first_index

    @property
    def commit_index(self) -> int:
        """The commit index on disk when this was opened; the group may be further."""
        return self._hard.commit

    @property
    def term(self) -> int:
        """The term on disk when this was opened."""
        return self._hard.term

    def __iter__(self) -> Iterator[LoggedEntry]:
        """Yield every entry from the first on.

        Raises:
            StoreDamaged: A hole, a wrong crc, or a broken chain.

        """
        chain, expected = self._head.chain_before, self._head.first_index
        for index, value in scan(self._disk, expected):
            record, stored = parse(expected, index, value)
            chain = chain_next(chain, index, record.term, record.body)
            if stored != chain:
                raise StoreDamaged(f"the hash chain breaks at index {index}")
            yield LoggedEntry(index, record.term, None if record.body == NO_OP else record.body[1:], chain)
            expected = index + 1

    def close(self) -> None:
        """Close the log."""
        self._disk.close()

    def __enter__(self) -> "LogReader":
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()
