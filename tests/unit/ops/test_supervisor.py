"""When a node is started again."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from steelyard.ops.cluster import LocalGroup
from steelyard.ops.processes import wait_gone
from steelyard.ops.runfile import PARTS, Part, read_run
from steelyard.ops.status import status_table
from steelyard.ops.supervisor import Restarts, Supervisor
from steelyard.replication.errors import EX_DISK

#: What runs instead of a replica and a gateway: the shell does not look at the words behind its script.
SLEEPING = ["sh", "-c", "exec sleep 600"]
FAILING = ["sh", "-c", f"exit {EX_DISK}"]


def test_stops_are_answered_with_longer_and_longer_delays() -> None:
    restarts = Restarts()
    assert restarts.stopped(100.0, -9) == (101.0, "")
    assert restarts.stopped(200.0, 70) == (202.0, "")


def test_three_stops_in_ten_minutes_keep_a_node_down() -> None:
    restarts = Restarts()
    restarts.stopped(0.0, -9)
    restarts.stopped(300.0, -9)
    assert "3 stops in ten minutes" in restarts.stopped(599.0, 70)[1]


def test_stops_older_than_ten_minutes_are_forgotten() -> None:
    restarts = Restarts()
    for moment_s in (0.0, 400.0, 800.0, 1200.0):
        assert restarts.stopped(moment_s, -9)[1] == ""


def test_a_failed_disk_keeps_a_node_down_at_once() -> None:
    assert "exit code 74" in Restarts().stopped(0.0, 74)[1]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Look after a group whose first node's processes only sleep; the others were never started."""
    group = LocalGroup.found(tmp_path / "group", map_size_bytes=1 << 24)
    group.prefixes = {1: SLEEPING}
    group.start(1)
    yield Supervisor(group)
    group.stop()


def end(supervisor: Supervisor, part: Part) -> None:
    """Kill one process of the first node, and wait until it is gone."""
    process = supervisor.group.run.nodes[1].part(part)
    assert process is not None
    process.send(signal.SIGKILL)
    assert not wait_gone([process], seconds=10.0)


def test_a_node_that_was_killed_has_stopped_once_and_comes_back_as_one(supervisor: Supervisor) -> None:
    for part in PARTS:
        end(supervisor, part)
    told = supervisor.look(100.0)
    assert [line.split(" stopped")[0] for line in told] == ["node 1: replica", "node 1: gateway"]
    assert read_run(supervisor.group.directory).nodes[1].stops == 1
    assert supervisor.look(100.9) == []
    assert supervisor.look(101.0) == ["node 1: replica started again", "node 1: gateway started again"]
    assert len(supervisor.group.run.nodes[1].alive()) == 2


def test_a_process_that_follows_the_other_shares_its_stop_and_its_delay(supervisor: Supervisor) -> None:
    end(supervisor, "gateway")
    supervisor.look(100.0)
    end(supervisor, "replica")
    supervisor.look(100.5)
    assert supervisor.look(101.0) == ["node 1: replica started again", "node 1: gateway started again"]
    assert supervisor.group.run.nodes[1].stops == 1


def test_a_failed_disk_is_not_hidden_behind_the_stop_of_the_gateway(supervisor: Supervisor) -> None:
    end(supervisor, "gateway")
    supervisor.look(100.0)
    end(supervisor, "replica")
    supervisor.group.prefixes = {1: FAILING}
    supervisor.group.start_part(1, "replica")
    failed = supervisor.group.run.nodes[1].replica
    assert failed is not None
    assert not wait_gone([failed], seconds=10.0)
    supervisor.look(100.5)
    assert "exit code 74" in supervisor.group.run.nodes[1].down_reason
    assert supervisor.look(1000.0) == []


def test_three_stops_keep_a_node_down_with_both_its_processes_and_say_how_to_get_it_back(
    supervisor: Supervisor,
) -> None:
    now_s = 100.0
    for stop in (1, 2, 3):
        end(supervisor, "replica")
        supervisor.look(now_s)
        node = supervisor.group.run.nodes[1]
        assert node.stops == stop
        if stop < 3:
            assert not node.down_reason
            supervisor.look(now_s + 2.0)
            assert len(node.alive()) == 2
        now_s += 10.0
    assert "3 stops in ten minutes, the last with exit code -9; 'steelyard down' and 'up'" in node.down_reason
    assert node.gateway is not None
    assert not wait_gone([node.gateway], seconds=10.0)
    assert supervisor.look(now_s + 10_000.0) == []


def test_the_status_says_how_many_stops_a_node_may_have() -> None:
    node: dict[str, object] = {
        "member": 1,
        **dict.fromkeys(("role", "endpoint", "digest", "sync_mode", "version"), ""),
        **dict.fromkeys(("down_reason", "archive_down_reason"), ""),
        **dict.fromkeys(("term", "log_index", "commit_index", "digest_index", "snapshot_index"), 0),
        **dict.fromkeys(("orders_per_second", "log_used_ppm", "replica_pid", "gateway_pid"), 0),
        **dict.fromkeys(("archive_pid", "archive_index"), 0),
    }
    group = {"group": "g", "term": 1, "orders_per_second": 0, "digests_equal": None}
    assert status_table({**group, "nodes": [{**node, "stops": 0}]}).caption is None
    caption = status_table({**group, "nodes": [{**node, "stops": 1}]}).caption
    assert caption == "a node that stops 3 times in 10 minutes stays down"
