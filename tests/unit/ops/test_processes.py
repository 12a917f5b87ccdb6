"""Processes are signalled only when they are the recorded ones."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steelyard.ops.cluster import child_environment
from steelyard.ops.ports import free_ports
from steelyard.ops.processes import Process, wait_gone


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_living_process_is_known_by_number_and_start(child: subprocess.Popen[bytes]) -> None:
    process = Process.of(child.pid)
    assert process.alive()
    assert not Process(child.pid, process.started_ticks - 1).alive()


def test_a_number_that_is_someone_elses_now_is_never_signalled(child: subprocess.Popen[bytes]) -> None:
    stale = Process(child.pid, Process.of(child.pid).started_ticks - 1)
    assert not stale.send(signal.SIGKILL)
    assert child.poll() is None


def test_a_killed_process_is_gone_even_before_its_parent_has_looked(child: subprocess.Popen[bytes]) -> None:
    process = Process.of(child.pid)
    assert process.send(signal.SIGKILL)
    assert wait_gone([process], seconds=10) == []
    assert not process.send(signal.SIGKILL)


def test_what_does_not_end_is_reported() -> None:
    ourselves = Process.of(os.getpid())
    assert wait_gone([ourselves], seconds=0) == [ourselves]


def test_free_ports_differ_and_lie_below_those_of_outgoing_connections() -> None:
    ports = free_ports(6)
    assert len(set(ports)) == 6
    assert all(port < 32_768 for port in ports)


def test_the_usual_ports_are_taken_only_if_all_of_them_are_free() -> None:
    usual = free_ports(2)
    assert free_ports(2, usual) == usual
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", usual[1]))
        other.listen()
        assert free_ports(2, usual) != usual


def test_a_leashed_process_ends_with_a_parent_that_is_killed() -> None:
    server = ["http.server", "0", "--bind", "127.0.0.1"]
    code = (
        "import os, subprocess, sys\n"
        f"command = [sys.executable, '-m', 'steelyard.ops.leash', str(os.getpid()), *{server!r}]\n"
        "child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=child_environment()
    ) as parent:
        assert parent.stdout is not None
        leashed = Process.of(int(parent.stdout.readline()))
        _wait_for(leashed.pid, "http.server")
        parent.kill()
        parent.wait()
    assert wait_gone([leashed], seconds=10) == []


def _wait_for(pid: int, argument: str) -> None:
    """Wait until the process has become the program it was asked to run."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if argument in words and "steelyard.ops.leash" not in words:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} never ran {argument}")
