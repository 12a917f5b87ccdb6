"""A temporary group leaves nothing behind, unless there is something to look at."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal

MAP_SIZE_BYTES = 1 << 24


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the temporary folder; groups are founded, but not started."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(LocalGroup, "start_all", lambda _self: None)
    return tmp_path


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupted_command_leaves_no_group_behind(
    interruption: type[BaseException], folder: Path
) -> None:
    with pytest.raises(interruption), scratch_group(map_size_bytes=MAP_SIZE_BYTES):
        raise interruption
    assert list(folder.iterdir()) == []


def test_a_failed_command_says_where_it_left_the_group(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="wrong"), scratch_group(map_size_bytes=MAP_SIZE_BYTES) as scratch:
        raise ValueError("wrong")
    assert list(folder.iterdir()) == [scratch.group.directory]
    assert f"left in {scratch.group.directory}" in capsys.readouterr().err


def test_a_finished_command_removes_its_group(folder: Path) -> None:
    with scratch_group(map_size_bytes=MAP_SIZE_BYTES):
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_a_failed_run_left_survives_an_interruption_that_follows(
    interruption: type[BaseException], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        with scratch_group(map_size_bytes=MAP_SIZE_BYTES) as scratch:
            scratch.keep_unless(False, Terminal(as_json=True))
            raise interruption

    with pytest.raises(interruption):
        run()
    (left,) = folder.iterdir()
    assert capsys.readouterr().err.count(f"left in {left}") == 1


def test_a_later_success_does_not_take_a_failure_back(folder: Path) -> None:
    with scratch_group(map_size_bytes=MAP_SIZE_BYTES) as scratch:
        scratch.keep_unless(False, Terminal(as_json=True))
        scratch.keep_unless(True, Terminal(as_json=True))
    assert list(folder.iterdir()) == [scratch.group.directory]


def test_a_group_that_does_not_stop_is_not_removed_under_its_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_group: LocalGroup) -> list[int]:
        raise GroupError("process 1 does not end")

    monkeypatch.setattr(LocalGroup, "stop", refuse)
    with pytest.raises(GroupError), scratch_group(map_size_bytes=MAP_SIZE_BYTES) as scratch:
        pass
    assert list(folder.iterdir()) == [scratch.group.directory]
    assert f"left in {scratch.group.directory}" in capsys.readouterr().err
