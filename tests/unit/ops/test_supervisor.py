"""When a node is started again."""

from steelyard.ops.supervisor import Restarts


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
