"""Libraries that make one replica's disk or clock misbehave: compiled, preloaded, told what to do."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import GroupError

COMPILERS: Final = ("cc", "gcc", "clang")
_SOURCES: Final = Path(__file__).parent
_NUMBER: Final = struct.Struct("=q")


def compiler() -> str | None:
    """Return the C compiler of this machine, or None."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def needs_compiler() -> str:
    """Return why a drill that needs a shim cannot run here, or an empty text."""
    return "" if compiler() else "no compiler"


def build(name: str, folder: Path) -> Path:
    """Compile ``<name>.c`` into a shared library in ``folder``; return its path.

    Raises:
        GroupError: There is no compiler, or it does not like the source.

    """
    command = compiler()
    if command is None:
        raise GroupError("there is no C compiler")
    library = folder / f"{name}.so"
    source = _SOURCES / f"{name}.c"
    arguments = [
        command,
        "-O2",
        "-Wall",
        "-Wextra",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(source),
        "-ldl",
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GroupError(f"{command} cannot compile {source.name}: {done.stderr.strip()}")
    return library


class Orders:
    """The numbers that a shim obeys, in memory that it shares with us."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        path.write_bytes(bytes(count * _NUMBER.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), count * _NUMBER.size)

    def __setitem__(self, place: int, value: int) -> None:
        """Give an order."""
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, value)

    def __getitem__(self, place: int) -> int:
        """Return a number."""
        return int(_NUMBER.unpack_from(self._memory, place * _NUMBER.size)[0])

    def close(self) -> None:
        """Give the memory up."""
        self._memory.close()


class FaultyDisk:
    """What one member's disk is to do wrong."""

    VARIABLE: Final = "STEELYARD_FAULTY_DISK"
    SOURCE: Final = "faulty_disk"
    NUMBERS: Final = 4

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def fail_syncs(self) -> None:
        """Let every sync fail with an input/output error."""
        self._orders[0] = errno.EIO

    def be_full(self) -> None:
        """Let every write to a file fail for want of room."""
        self._orders[1] = errno.ENOSPC

    def be_slow(self, sync_s: float) -> None:
        """Let every sync take so much longer."""
        self._orders[2] = round(sync_s * 1e9)

    def heal(self) -> None:
        """Work again."""
        for place in range(3):
            self._orders[place] = 0

    @property
    def faults(self) -> int:
        """How many calls were failed or delayed."""
        return self._orders[3]


class FaultyClock:
    """How far one member's time of day is off."""

    VARIABLE: Final = "STEELYARD_FAULTY_CLOCK"
    SOURCE: Final = "faulty_clock"
    NUMBERS: Final = 2

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def jump(self, seconds: float) -> None:
        """Be ahead of the real time by so much, or behind it if negative."""
        self._orders[0] = round(seconds * 1e9)

    @property
    def faults(self) -> int:
        """How often a wrong time was told."""
        return self._orders[1]


class Shims:
    """The faulty disks and clocks of a group, by member; made by ``preloaded``."""

    def __init__(self) -> None:
        self.disks: dict[int, FaultyDisk] = {}
        self.clocks: dict[int, FaultyClock] = {}


@contextmanager
def preloaded(group: LocalGroup) -> Iterator[Shims]:
    """Put a faulty disk and a faulty clock, both good at first, under every replica of the group."""
    folder = group.directory / "shims"
    folder.mkdir()
    shims = Shims()
    opened: list[Orders] = []
    libraries = [str(build(kind.SOURCE, folder)) for kind in (FaultyDisk, FaultyClock)]
    try:
        for member in MEMBERS:
            surroundings = {"LD_PRELOAD": os.pathsep.join(libraries)}
            for kind in (FaultyDisk, FaultyClock):
                orders = Orders(folder / f"{kind.SOURCE}.{member}", kind.NUMBERS)
                opened.append(orders)
                surroundings[kind.VARIABLE] = str(orders.path)
                if kind is FaultyDisk:
                    shims.disks[member] = FaultyDisk(orders)
                else:
                    shims.clocks[member] = FaultyClock(orders)
            group.surroundings[member] = surroundings
        yield shims
    finally:
        for each in opened:
            each.close()
