"""What a figure was measured on: cores, processor, memory, Python and load; never a host name or a path."""

import os
import platform
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and how busy it was when asked."""

    cores: int
    processor: str
    memory_mib: int
    system: str
    python: str
    load_averages: tuple[float, float, float]


def describe() -> Machine:
    """Return what this machine is."""
    one, five, fifteen = os.getloadavg()
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load_averages=(round(one, 2), round(five, 2), round(fifteen, 2)),
    )


def _field(path: Path, name: str) -> str:
    """Return the first value of a ``name : value`` file, or an empty string."""
    if not path.exists():
        return ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return " ".join(value.split())
    return ""
