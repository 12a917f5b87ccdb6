"""The Disk protocol: a transactional map that keeps the log, over LMDB or simulated."""

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import lmdb

from steelyard.replication.errors import DirectoryInUse, StartRefused, StoreDamaged

MAP_BYTES_DEFAULT: Final = 256 << 20
_KEY: Final = struct.Struct(">Q")
_SCAN_RECORDS: Final = 1024
_SCAN_BYTES: Final = 8 << 20


@dataclass(slots=True)
class Write:
    """One durable transaction: deletes first, then puts, then meta."""

    deletes: list[range] = field(default_factory=list)
    puts: list[tuple[int, bytes]] = field(default_factory=list)
    meta: dict[bytes, bytes] = field(default_factory=dict)


class LogSource(Protocol):
    """Where a log can be read."""

    def read_meta(self) -> dict[bytes, bytes]:
        """Return everything in the meta map."""
        ...

    def read(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return records from index ``first`` on, in order, at least one if there is one."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class Disk(LogSource, Protocol):
    """What the log store needs of a disk."""

    def commit(self, write: Write) -> None:
        """Make ``write`` durable, all of it or nothing. After an error nobody may go on."""
        ...

    def used_fraction(self) -> float:
        """Return how full the map is, from 0 to 1."""
        ...

    def housekeep(self) -> None:
        """Free what dead readers left behind."""
        ...


def scan(disk: LogSource, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield all records from index ``first`` on, in short transactions."""
    while records := disk.read(first, _SCAN_RECORDS, _SCAN_BYTES):
        yield from records
        first = records[-1][0] + 1


class LmdbDisk:
    """LMDB with every commit fully synced, owned by one process.

    ``sync=False``, ``metasync=False`` and ``writemap`` are not options: they undo the
    last commit, or the order of pages, when power is lost.
    """

    def __init__(self, directory: Path, map_bytes: int, *, create: bool = False) -> None:
        """Open (or with ``create`` make) the environment; preallocate it up to ``map_bytes``.

        Raises:
            StartRefused: There is nothing to open.
            DirectoryInUse: Another process has it open.

        """
        data_file = directory / "data.mdb"
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        elif not data_file.exists():
            raise StartRefused(f"{directory} holds no log; found or join a group first")
        self._owner_fd = _own(directory)
        try:
            self._env = _open(directory, map_bytes)
            self._log = self._env.open_db(b"log")
            self._meta = self._env.open_db(b"meta")
            self._env.reader_check()
            _preallocate(data_file, map_bytes)
        except lmdb.Error as error:
            os.close(self._owner_fd)
            raise StoreDamaged(f"{directory}: {error}") from error
        except OSError as error:
            os.close(self._owner_fd)
            raise StartRefused(f"{directory}: {error}") from error

    def read_meta(self) -> dict[bytes, bytes]:
        """Return everything in the meta map."""
        with self._env.begin(db=self._meta) as txn:
            return dict(txn.cursor())

    def read(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return records from index ``first`` on, in order, at least one if there is one."""
        return _read(self._env, self._log, first, count_max, bytes_max)

    def commit(self, write: Write) -> None:
        """Write one transaction and return when the device has it."""
        with self._env.begin(write=True) as txn:
            for indices in write.deletes:
                for index in indices:
                    txn.delete(_KEY.pack(index), db=self._log)
            if write.puts:
                _put_all(txn.cursor(db=self._log), write.puts)
            for key, value in write.meta.items():
                txn.put(key, value, db=self._meta)

    def used_fraction(self) -> float:
        """Return the share of the map that live pages take."""
        info = self._env.info()
        with self._env.begin() as txn:
            stats = [txn.stat(db=self._log), txn.stat(db=self._meta)]
        pages = sum(s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"] for s in stats)
        return float(pages * stats[0]["psize"] / info["map_size"])

    def housekeep(self) -> None:
        """Free the slots of readers that died: they would pin old pages."""
        self._env.reader_check()

    def close(self) -> None:
        """Close the environment and give the directory up."""
        self._env.close()
        os.close(self._owner_fd)


class LmdbReader:
    """The same map opened read-only beside a replica, dead or alive."""

    def __init__(self, directory: Path) -> None:
        """Open; raises ``StartRefused`` if there is nothing to read."""
        if not (directory / "data.mdb").exists():
            raise StartRefused(f"{directory} holds no log")
        self._env = lmdb.open(str(directory), readonly=True, create=False, max_dbs=2, max_readers=8)
        try:
            self._log = self._env.open_db(b"log", create=False)
            self._meta = self._env.open_db(b"meta", create=False)
        except lmdb.Error as error:
            self._env.close()
            raise StartRefused(f"{directory} holds no log: {error}") from error

    def read_meta(self) -> dict[bytes, bytes]:
        """Return everything in the meta map."""
        with self._env.begin(db=self._meta) as txn:
            return dict(txn.cursor())

    def read(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return records from index ``first`` on, in a transaction that ends before this returns."""
        return _read(self._env, self._log, first, count_max, bytes_max)

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _read(
    env: lmdb.Environment, log: "lmdb._Database", first: int, count_max: int, bytes_max: int
) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    size = 0
    try:
        with env.begin(db=log) as txn, txn.cursor() as cursor:
            more = cursor.set_range(_KEY.pack(first))
            while more and len(found) < count_max and size < bytes_max:
                key, value = cursor.item()
                found.append((_KEY.unpack(key)[0], value))
                size += len(value)
                more = cursor.next()
    except lmdb.Error as error:
        raise StoreDamaged(f"reading entry {first} failed: {error}") from error
    return found


def _put_all(cursor: "lmdb.Cursor[bytes]", puts: Iterable[tuple[int, bytes]]) -> None:
    items = [(_KEY.pack(index), value) for index, value in puts]
    consumed, added = cursor.putmulti(items, append=True)
    if consumed != len(items) or added != len(items):
        raise lmdb.Error(f"putmulti took {added} of {len(items)} records")


def _open(directory: Path, map_bytes: int) -> lmdb.Environment:
    return lmdb.open(
        str(directory),
        map_size=map_bytes,
        sync=True,
        metasync=True,
        writemap=False,
        map_async=False,
        readahead=False,
        meminit=False,
        max_dbs=2,
        max_readers=8,
        max_spare_txns=1,
    )


def refuse_if_owned(directory: Path) -> None:
    """Raise ``DirectoryInUse`` if a process has that log open."""
    os.close(_own(directory))


def _own(directory: Path) -> int:
    fd = os.open(directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise DirectoryInUse(f"{directory} is in use by another process") from None
    return fd


def _preallocate(data_file: Path, map_bytes: int) -> None:
    """Meet a full disk at start, not in a commit.

    Not before the file exists: LMDB rejects a preallocated file that it did not create.
    """
    for path, needs_room in ((data_file, True), (data_file.parent, False)):
        fd = os.open(path, os.O_RDWR if needs_room else os.O_RDONLY | os.O_DIRECTORY)
        try:
            if needs_room and os.fstat(fd).st_size < map_bytes:
                os.posix_fallocate(fd, 0, map_bytes)
            os.fsync(fd)
        finally:
            os.close(fd)
