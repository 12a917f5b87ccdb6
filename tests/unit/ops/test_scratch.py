"""A temporary group leaves nothing behind, unless there is something to look at."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from steelyard.ops.cluster import LocalGroup
from steelyard.ops.scratch import scratch_group

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
