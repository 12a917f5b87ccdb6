"""The shims compile without a warning, and break what they are told to break and nothing else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steelyard.ops.drills.shims import FaultyClock, FaultyDisk, Orders, build, needs_compiler

pytestmark = pytest.mark.skipif(bool(needs_compiler()), reason="no compiler")


def run(library: Path, variable: str, orders: Orders, program: str, *arguments: str) -> str:
    """Run a Python program with the shim under it; return what it printed."""
    environment = {**os.environ, "LD_PRELOAD": str(library), variable: str(orders.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


SYNC = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"x", 0)
began = time.monotonic()
os.fdatasync(fd)
os.fsync(fd)
print("synced", time.monotonic() - began >= 0.1)
"""


def test_a_disk_fails_syncs_and_writes_only_when_told(tmp_path: Path) -> None:
    library = build(FaultyDisk.SOURCE, tmp_path)
    orders = Orders(tmp_path / "orders", FaultyDisk.NUMBERS)
    disk = FaultyDisk(orders)
    file = str(tmp_path / "file")
    assert run(library, disk.VARIABLE, orders, SYNC, file) == "synced False"
    assert disk.faults == 0

    disk.fail_syncs()
    assert "Input/output error" in run(library, disk.VARIABLE, orders, SYNC, file)
    assert disk.faults == 1

    disk.heal()
    disk.be_full()
    assert "No space left" in run(library, disk.VARIABLE, orders, SYNC, file)

    disk.heal()
    disk.be_slow(0.05)
    assert run(library, disk.VARIABLE, orders, SYNC, file) == "synced True"

    disk.heal()
    assert run(library, disk.VARIABLE, orders, SYNC, file) == "synced False"
    orders.close()


def test_a_full_disk_does_not_keep_anybody_from_speaking(tmp_path: Path) -> None:
    library = build(FaultyDisk.SOURCE, tmp_path)
    orders = Orders(tmp_path / "orders", FaultyDisk.NUMBERS)
    FaultyDisk(orders).be_full()
    program = "import os; os.write(1, b'spoken')"
    assert run(library, FaultyDisk.VARIABLE, orders, program) == "spoken"
    orders.close()


def test_a_clock_is_off_by_what_it_is_told_and_the_monotonic_one_is_not(tmp_path: Path) -> None:
    library = build(FaultyClock.SOURCE, tmp_path)
    orders = Orders(tmp_path / "orders", FaultyClock.NUMBERS)
    clock = FaultyClock(orders)
    program = "import time; print(time.time_ns() // 10**9, int(time.time()), int(time.monotonic()))"
    for ahead_s in (0, 3600, -3600):  # right, then wrong
        clock.jump(ahead_s)
        wall_ns_s, wall_s, monotonic_s = map(int, run(library, FaultyClock.VARIABLE, orders, program).split())
        assert abs(wall_ns_s - time.time() - ahead_s) < 30
        assert abs(wall_s - time.time() - ahead_s) < 30
        assert abs(monotonic_s - time.monotonic()) < 30
        assert (clock.faults > 0) == bool(ahead_s)
    orders.close()
