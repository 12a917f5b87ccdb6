"""The command line runs a group of three: up, status, down."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steelyard.client import ApiKey
from steelyard.ops.cluster import OPERATOR_ACCOUNT, OPERATOR_KEY, LocalGroup, child_environment
from steelyard.ops.errors import GroupError
from steelyard.ops.runfile import read_run
from steelyard.replication.config import found_group, split_endpoint

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


def test_whoever_kills_a_supervised_node_leaves_its_restart_to_the_supervisor(tmp_path: Path) -> None:
    data = tmp_path / "group"
    steelyard("up", "--detach", "--empty", "--archive", "none", "--data", str(data))
    try:
        group = LocalGroup.open(data)
        group.kill(1)
        group.restart(1)

        def back() -> bool:
            """Return whether the supervisor has seen both end, as one stop, and has started both."""
            node = read_run(data).nodes[1]
            return node.stops == 1 and len(node.alive()) == 2

        assert _wait_for(back), read_run(data)
        assert len(_processes_of(data)) == 7, "one supervisor, three replicas, three gateways"
    finally:
        steelyard("down", "--data", str(data))


def test_a_node_that_does_not_run_cannot_be_killed(tmp_path: Path) -> None:
    group = LocalGroup.found(tmp_path / "group", map_size_bytes=1 << 24)
    with pytest.raises(GroupError, match="does not run"):
        group.kill(1)


def test_an_interrupted_start_leaves_nothing_running(tmp_path: Path) -> None:
    data = tmp_path / "group"
    with subprocess.Popen(
        [sys.executable, "-m", "steelyard.ops", "up", "--detach", "--data", str(data)],
        stderr=subprocess.PIPE,
        env=child_environment(),
        # Whoever is started in the background of a shell ignores this signal, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
    ) as starting:
        assert _wait_for(lambda: any("supervisor" in words for words in _processes_of(data)))
        starting.send_signal(signal.SIGINT)
        starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert _wait_for(lambda: not _processes_of(data)), _processes_of(data)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    data = tmp_path / "group"
    group = LocalGroup.found(data, map_size_bytes=1 << 24)
    host, port = split_endpoint(group.config.members[0].peer)
    with socket.create_server((host, port)):
        error = steelyard("up", "--detach", "--empty", "--data", str(data), code=1)["error"]
    assert "node 1 stays down" in error
    assert f"cannot listen on {host}:{port}" in error
    assert not _processes_of(data)


def test_another_group_on_the_same_ports_is_not_taken_for_ours(tmp_path: Path) -> None:
    data = tmp_path / "ours"
    steelyard("up", "--detach", "--empty", "--data", str(data))
    try:
        config = LocalGroup.open(data).config
        other = tmp_path / "other"
        members = [(member.peer, member.client) for member in config.members]
        key = ApiKey.generate(OPERATOR_KEY, OPERATOR_ACCOUNT)
        found_group(other, members, key.public_key, map_size_bytes=1 << 24)
        (other / "keys").mkdir()
        key.write(other / "keys" / "operator.key")
        found = steelyard("status", "--data", str(other), code=1)
        assert [node["role"] for node in found["nodes"]] == ["down"] * 3
        assert found["ready"] is False
    finally:
        steelyard("down", "--data", str(data))


def _processes_of(data: Path) -> list[str]:
    """Return the command lines of all processes that were given a data directory, but not those that end."""
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(data) in words and "up" not in words:
                found.append(" ".join(words))
    return found


def _wait_for(reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if reached():
            return True
        time.sleep(0.05)
    return False


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
