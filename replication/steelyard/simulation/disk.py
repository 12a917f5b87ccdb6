"""Disks that lose what was not synced, tear pages, fail, fill up, rot and grow slow."""

import errno
import random
from dataclasses import dataclass
from typing import Final

from steelyard.replication.disk import Write
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.guards import forgot
from steelyard.replication.log_record import (
    FORMAT,
    HardState,
    Head,
    Identity,
    PeerMemory,
    SnapshotRef,
    first_meta,
    parse_meta,
)
from steelyard.simulation.clock import MachineClock
from steelyard.simulation.process import Process
from steelyard.simulation.trace import Trace

PAGE_BYTES: Final = 4096
SYNC_S: Final = 0.0008
_RECORD_CHAIN: Final = slice(12, 28)
"""Where a stored record keeps the hash chain."""


class DiskFailed(Exception):
    """A commit raised; whoever goes on afterwards is lost."""


@dataclass
class _File:
    content: bytes = b""
    synced: bytes = b""


class Platter:
    """What one machine's disk holds: the log's map and the snapshot folder. It outlives processes.

    With ``full_sync`` off a commit returns before it is durable, as a careless store's would.
    """

    def __init__(self, meta: dict[bytes, bytes]) -> None:
        self.meta = meta
        self.log: dict[int, bytes] = {}
        self.files: dict[str, _File] = {}
        self.named: dict[str, _File] = {}
        """The folder as the device knows it."""
        self.full_sync = True
        self.sync_s = SYNC_S
        self.fail_commit: str = ""
        self.fail_files: int = 0
        self.fail_reads = ""
        """Which reads fail: those of the ``log``, or of ``files``."""
        self.used_fraction = 0.0
        self.commits = 0
        self._undo: list[tuple[dict[int, bytes | None], dict[bytes, bytes]]] = []
        self._hard = (b"", HardState(0, 0, 0))
        """The hard state's bytes when somebody looked at it last, and what they say."""

    @staticmethod
    def founded(group: str, member: int, *, incarnation: int = 1, joining: bool = False) -> "Platter":
        """Return a disk as founding, or joining, leaves it."""
        return Platter(first_meta(Identity(FORMAT, group, member, incarnation, 0, joining, 0)))

    def copy(self) -> "Platter":
        """Return a copy as a backup would make it."""
        twin = Platter(dict(self.meta))
        twin.log = dict(self.log)
        twin.files = {name: _File(file.content, file.content) for name, file in self.files.items()}
        twin.named = dict(twin.files)
        twin.full_sync, twin.sync_s = self.full_sync, self.sync_s
        return twin

    # --- what is on it, for those who judge -----------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Whose it is, and whether it may vote."""
        return parse_meta(self.meta, b"identity", Identity)

    @property
    def hard(self) -> HardState:
        """Term, vote and commit."""
        content = self.meta.get(b"hard", b"")
        if content != self._hard[0]:
            self._hard = (content, parse_meta(self.meta, b"hard", HardState))
        return self._hard[1]

    @property
    def first_index(self) -> int:
        """Where the log begins."""
        return parse_meta(self.meta, b"head", Head).first_index

    @property
    def last_index(self) -> int:
        """Where it ends; 0 if it holds nothing."""
        return max(self.log, default=0)

    @property
    def snapshots(self) -> list[SnapshotRef]:
        """The pointers to snapshots."""
        return parse_meta(self.meta, b"snapshots", list[SnapshotRef])

    def has(self, index: int) -> bool:
        """Whether an entry of that index is here, or was before a trim."""
        return index in self.log or index < self.first_index

    def holds(self, index: int, chain: bytes) -> bool:
        """Whether the log up to ``index`` is here, durable, with this hash chain (or was, before a trim)."""
        record = self.log.get(index)
        if record is None:
            return index < self.first_index
        return record[_RECORD_CHAIN] == chain

    def is_known_to_forget(self, member: int, other: "Platter") -> bool:
        """Whether another member's disk shows that this one, started now, is older than it was seen."""
        memory = parse_meta(other.meta, b"peers", dict[int, PeerMemory]).get(member)
        identity = self.identity
        return memory is not None and forgot(
            memory, identity.incarnation, identity.boots + 1, self.hard.term, self.last_index
        )

    # --- accidents ---------------------------------------------------------------------------------

    def lose_power(self, rng: random.Random) -> None:
        """Forget what was not synced; files may keep any pages of it, and any of the unsynced names."""
        for old_log, old_meta in reversed(self._undo):
            for index, value in old_log.items():
                if value is None:
                    self.log.pop(index, None)
                else:
                    self.log[index] = value
            self.meta.update(old_meta)
        self._undo = []
        for name in sorted(self.files.keys() | self.named.keys()):
            if rng.random() < 0.5:
                continue
            if name in self.named:
                self.files[name] = self.named[name]
            else:
                self.files.pop(name, None)
        for file in self.files.values():
            file.content = file.synced = _torn(file, rng)
        self.named = dict(self.files)

    def create(self, name: str) -> None:
        """Make an empty file."""
        self.files[name] = _File()

    def sync_late(self) -> None:
        """Let the device get what a careless store left in the cache."""
        self._undo = []

    def flip(self, rng: random.Random, *, snapshot: bool) -> str:
        """Flip a bit in a log record or a snapshot file; return where, or nothing if there is none."""
        if snapshot:
            names = sorted(name for name, file in self.files.items() if file.content)
            if not names:
                return ""
            file = self.files[rng.choice(names)]
            file.content = file.synced = _flipped(file.content, rng)
            return "snapshot"
        if not self.log:
            return ""
        index = rng.randrange(min(self.log), max(self.log) + 1)
        self.log[index] = _flipped(self.log[index], rng)
        return f"entry {index}"

    def misdirect(self, rng: random.Random, *, snapshot: bool) -> str:
        """Let what was written to one place be found at another, too, or instead; return where.

        Nothing, if there are not two places to confuse.
        """
        if snapshot:
            names = sorted(name for name, file in self.files.items() if file.content)
            if len(names) < 2:
                return ""
            meant, hit = rng.sample(names, 2)
            self.files[hit].content = self.files[hit].synced = self.files[meant].content
            return f"{hit} holds {meant}"
        if len(self.log) < 2:
            return ""
        first = min(self.log)
        meant_index, hit_index = rng.sample(range(first, first + len(self.log)), 2)
        self.log[hit_index] = self.log[meant_index]
        if rng.random() < 0.5:
            del self.log[meant_index]
        return f"entry {meant_index} at the place of {hit_index}"

    def commit(self, write: Write) -> None:
        """Apply a transaction at once."""
        old_log: dict[int, bytes | None] = {}
        for indices in write.deletes:
            for index in indices:
                old = self.log.pop(index, None)
                if not self.full_sync:
                    old_log.setdefault(index, old)
        for index, value in write.puts:
            if not self.full_sync:
                old_log.setdefault(index, self.log.get(index))
            self.log[index] = value
        if not self.full_sync:
            self._undo.append((old_log, {key: self.meta[key] for key in write.meta}))
        self.meta.update(write.meta)


class SimDisk:
    """``Disk`` of one process over a platter."""

    def __init__(self, platter: Platter, process: Process, clock: MachineClock, trace: Trace) -> None:
        self._platter = platter
        self._process = process
        self._clock = clock
        self._trace = trace

    def read_meta(self) -> dict[bytes, bytes]:
        """Return everything in the meta map."""
        self._process.call()
        return dict(self._platter.meta)

    def read(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return records from index ``first`` on, in order, at least one if there is one."""
        self._process.call()
        if self._platter.fail_reads == "log":
            raise StoreDamaged(f"reading entry {first} failed: Input/output error")
        log = self._platter.log
        if first not in log:
            first = min((index for index in log if index >= first), default=first)
        found: list[tuple[int, bytes]] = []
        size = 0
        while first in log and len(found) < count_max and size < bytes_max:
            found.append((first, log[first]))
            size += len(log[first])
            first += 1
        return found

    def commit(self, write: Write) -> None:
        """Make ``write`` durable; the process may be killed before it is, or after."""
        platter = self._platter
        self._process.call()
        self._clock.spent_s += platter.sync_s
        self._trace.add(self._process.member, "commit", _bytes_of(write))
        if platter.fail_commit:
            raise DiskFailed(platter.fail_commit)
        platter.commit(write)
        platter.commits += 1
        self._process.call()

    def used_fraction(self) -> float:
        """Return how full the map is."""
        return self._platter.used_fraction

    def housekeep(self) -> None:
        """There are no readers."""

    def close(self) -> None:
        """Keep everything."""


class ChildFiles:
    """What a child does to files, kept in order, and what it would read of its own."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, bytes]] = []
        self.contents: dict[str, bytes] = {}

    def note(self, what: str, name: str, content: bytes = b"") -> None:
        """Note a step."""
        self.steps.append((what, name, content))
        if what != "sync":
            self.contents[name] = content if what == "create" else self.contents[name] + content


class SimFiles:
    """``Files`` of one process over a platter."""

    def __init__(self, platter: Platter, process: Process, clock: MachineClock, trace: Trace) -> None:
        self.platter = platter
        self.child: ChildFiles | None = None
        """While a child is born: what it does does not happen here and now."""
        self._platter = platter
        self._process = process
        self._clock = clock
        self._trace = trace

    def create(self, name: str) -> None:
        """Make an empty file, or empty the one that is there."""
        if self.child is not None:
            self.child.note("create", name)
            return
        self._call("create", name)
        self._platter.create(name)

    def append(self, name: str, content: bytes) -> None:
        """Write behind what the file holds."""
        if self.child is not None:
            self.child.note("append", name, content)
            return
        self._call("append", name, content)
        if self._platter.fail_files == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "No space left on device")
        file = self._file(name)
        file.content += content

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return ``size`` bytes from ``offset`` on, or all that follow."""
        self._process.call()
        if self._platter.fail_reads == "files":
            raise OSError(errno.EIO, "Input/output error")
        inside = self.child is not None and name in self.child.contents
        content = self.child.contents[name] if self.child and inside else self._file(name).content
        return content[offset:] if size < 0 else content[offset : offset + size]

    def size(self, name: str) -> int:
        """Return how many bytes a file holds."""
        self._process.call()
        return len(self._file(name).content)

    def sync(self, name: str) -> None:
        """Let the device have the file's content."""
        if self.child is not None:
            self.child.note("sync", name)
            return
        self._call("sync", name)
        self._clock.spent_s += self._platter.sync_s
        if self._platter.fail_files == errno.EIO:
            raise OSError(errno.EIO, "Input/output error")
        file = self._file(name)
        file.synced = file.content

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self._call("rename", f"{old} {new}")
        self._platter.files[new] = self._file(old)
        del self._platter.files[old]

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._call("remove", name)
        self._file(name)
        del self._platter.files[name]

    def sync_names(self) -> None:
        """Let the device have the folder."""
        self._call("sync names", "")
        self._clock.spent_s += self._platter.sync_s
        self._platter.named = dict(self._platter.files)

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        self._process.call()
        return sorted(self._platter.files)

    def _call(self, what: str, name: str, content: bytes = b"") -> None:
        self._process.call()
        self._trace.add(self._process.member, f"{what} {name}", content)

    def _file(self, name: str) -> _File:
        file = self._platter.files.get(name)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        return file


def _torn(file: _File, rng: random.Random) -> bytes:
    """Return what is left of a file: each page as it was synced, or as it was written later."""
    if file.content == file.synced:
        return file.content
    size = len(file.content) if rng.random() < 0.5 else len(file.synced)
    pages = []
    for start in range(0, size, PAGE_BYTES):
        source = file.content if rng.random() < 0.5 else file.synced
        page = source[start : min(start + PAGE_BYTES, size)]
        pages.append(page.ljust(min(PAGE_BYTES, size - start), b"\0"))
    return b"".join(pages)


def _flipped(content: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(content))
    damaged = bytearray(content)
    damaged[position] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _bytes_of(write: Write) -> bytes:
    deletes = b" ".join(b"%d-%d" % (indices.start, indices.stop) for indices in write.deletes)
    puts = b"".join(value for _, value in write.puts)
    return b"|".join((deletes, puts, *write.meta.values()))
