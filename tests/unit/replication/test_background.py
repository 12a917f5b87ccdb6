"""Work in a child: what it leaves behind, what it must not keep, and what becomes of it when we end."""

import os
import select
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.helpers.cuts import closed_by, line
from tests.helpers.lone import ManualClock
from tests.helpers.raft import exit_of

from steelyard.replication import background
from steelyard.replication.background import CHILD_S_MAX, Fork


def wait(fork: Fork, *, within_s: float = 20.0) -> bool:
    """Return whether the child succeeded, once it is done."""
    until_s = time.monotonic() + within_s
    while (done := fork.poll()) is None:
        assert time.monotonic() < until_s
        select.select([], [], [], 0.005)
    return done


def test_a_child_sees_the_state_as_of_its_start(tmp_path: Path) -> None:
    state = ["before"]
    fork = Fork(ManualClock())

    def work() -> None:
        (tmp_path / "seen").write_text(state[0])

    assert fork.start(work)
    state[0] = "after"
    assert wait(fork)
    assert (tmp_path / "seen").read_text() == "before"


def test_a_failure_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise OSError(28, "no room for this")

    fork = Fork(ManualClock())
    assert fork.start(work)
    assert not wait(fork)
    assert "no room for this" in capfd.readouterr().err


@closed_by(
    "a child closes every descriptor",
    line(background._be_a_child, 'os.closerange(_FIRST_FD, os.sysconf("SC_OPEN_MAX"))', "pass"),
    says="TimeoutError",
    defect="D25",
)
def test_a_child_keeps_no_connection_of_ours_open(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    read_fd, write_fd = os.pipe()
    release = tmp_path / "release"

    def work() -> None:
        while not release.exists():
            time.sleep(0.005)

    fork = Fork(ManualClock())
    assert fork.start(work)
    ours.close()
    theirs.settimeout(3)
    assert theirs.recv(1) == b"", "the other side sees the end although the child lives"
    assert fork.poll() is None
    release.touch()
    assert wait(fork)
    theirs.close()
    os.close(read_fd)
    os.close(write_fd)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def work() -> None:
        (tmp_path / "new").write_text(str(os.getpid()))
        (tmp_path / "new").rename(note)
        time.sleep(60)

    def parent() -> None:
        assert Fork(ManualClock()).start(work)
        while not note.exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)

    assert exit_of(parent)[0] == -signal.SIGKILL
    pid = int(note.read_text())
    until_s = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < until_s
        select.select([], [], [], 0.005)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody waits for any more does not."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_child_that_takes_too_long_is_ended() -> None:
    clock = ManualClock()
    fork = Fork(clock)
    assert fork.start(lambda: time.sleep(60))
    assert fork.poll() is None
    clock.now_s += CHILD_S_MAX + 1
    assert fork.poll() is False
    assert fork.start(lambda: None)
    assert wait(fork)


def test_stopping_ends_the_child_and_may_be_repeated() -> None:
    fork = Fork(ManualClock())
    assert fork.start(lambda: time.sleep(60))
    fork.stop()
    fork.stop()
