"""Logs have a bound, and whoever writes one goes on writing."""

import subprocess
from pathlib import Path

import pytest

from steelyard.ops import log_files
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.log_files import LOG_BYTES_MAX, bound_log
from steelyard.ops.supervisor import Supervisor


def test_a_short_log_and_one_that_is_not_there_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert not bound_log(path)
    path.write_text("words\n")
    assert not bound_log(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.log"]


def test_a_long_log_is_moved_aside_and_its_process_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * LOG_BYTES_MAX)
    with path.open("ab") as output:
        writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
    assert writer.stdin is not None
    with writer, writer.stdin as line:
        assert bound_log(path)
        line.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "a.log.1").stat().st_size == LOG_BYTES_MAX
    path.write_bytes(b"y" * LOG_BYTES_MAX)
    assert bound_log(path)
    assert (tmp_path / "a.log.1").read_bytes()[:1] == b"y"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.log", "a.log.1"]


def test_a_disk_that_is_full_costs_the_words(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * LOG_BYTES_MAX)
    (tmp_path / "a.log.new").symlink_to("/dev/full")
    assert bound_log(path)
    assert path.read_bytes() == b""
    assert [each.name for each in tmp_path.iterdir()] == ["a.log"]


def test_logs_are_bounded_while_a_process_runs_and_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "LOG_BYTES_MAX", 10)
    group = LocalGroup.found(tmp_path / "group", map_size_bytes=1 << 24)
    group.prefixes = {1: ["sh", "-c", "exec sleep 600"]}
    log = group.log_path(1, "gateway")
    log.write_text("from an earlier life\n")
    group.start(1)
    try:
        assert log.read_text() == ""
        log.write_text("from this life\n")
        supervisor = Supervisor(group)
        assert supervisor.look(100.0) == ["node 1: the gateway's log was long; it begins anew"]
        assert log.read_text() == ""
        assert log.with_name("gateway.log.1").read_text() == "from this life\n"
        assert supervisor.look(100.2) == []
    finally:
        group.stop()
