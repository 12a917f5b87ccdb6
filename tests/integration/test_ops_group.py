"""The command line runs a group of three: up, status, down."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from steelyard.ops.cluster import child_environment
from steelyard.ops.runfile import read_run

pytestmark = pytest.mark.processes

READY_S = 30.0


def steelyard(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json; return the one object it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "steelyard.ops", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_group_comes_up_is_watched_and_goes_down(tmp_path: Path) -> None:
    data = tmp_path / "group"
    where = steelyard("up", "--detach", "--data", str(data))
    try:
        assert len(where["endpoints"]) == 3
        for name in ("operator", "alice", "bob"):
            assert Path(where["keys"][name]).stat().st_mode & 0o777 == 0o600

        found = steelyard("status", "--data", str(data))
        assert (found["running"], found["ready"]) == (True, True)
        assert sorted(node["role"] for node in found["nodes"]) == ["follower", "follower", "leader"]

        assert "runs already" in steelyard("up", "--detach", "--data", str(data), code=1)["error"]
        killed = next(node for node in found["nodes"] if node["role"] != "leader")
        os.kill(killed["replica_pid"], signal.SIGKILL)
        _wait_for_another(data, killed["member"], killed["replica_pid"])
    finally:
        processes = read_run(data).alive()
        stopped = steelyard("down", "--data", str(data))
    assert set(stopped["stopped"]) == {process.pid for process in processes}
    assert not any(process.alive() for process in processes)
    assert steelyard("status", "--data", str(data), code=1)["running"] is False
    assert steelyard("down", "--data", str(data))["stopped"] == []


def test_a_dead_member_is_replaced_while_the_supervisor_looks_after_the_others(tmp_path: Path) -> None:
    data = tmp_path / "group"
    steelyard("up", "--detach", "--data", str(data))
    try:
        found = steelyard("status", "--data", str(data))
        leader = found["leader"]
        other = next(node for node in found["nodes"] if node["role"] != "leader")
        assert steelyard("replace", str(other["member"]), "--data", str(data))["replaced"] == other["member"]
        after = steelyard("status", "--data", str(data))
        new = after["nodes"][other["member"] - 1]
        assert (new["role"], new["ready"], new["stops"]) == ("follower", True, 0)
        assert new["replica_pid"] not in {0, other["replica_pid"]}
        assert after["leader"] == leader
        assert (data / f"n{other['member']}.replaced-1" / "store").is_dir()
    finally:
        steelyard("down", "--data", str(data))
    refused = steelyard("replace", "1", "--data", str(data), code=1)["error"]
    assert "only be replaced while the other two serve" in refused


def test_a_folder_without_a_group_is_told(tmp_path: Path) -> None:
    for command in ("status", "down"):
        assert "holds no group" in steelyard(command, "--data", str(tmp_path), code=1)["error"]


def _wait_for_another(data: Path, member: int, killed: int) -> None:
    """Wait until the supervisor has started the replica again."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        node = read_run(data).nodes[member]
        if node.replica is not None and node.replica.pid != killed and node.replica.alive():
            assert node.stops == 1
            return
        time.sleep(0.05)
    raise AssertionError("the replica was not started again")
