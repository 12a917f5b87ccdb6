"""Figures on disk, and the machine they name."""

import json
import re
from pathlib import Path

import pytest

from steelyard.ops import machine
from steelyard.ops.errors import OpsError
from steelyard.ops.results import write_results


def test_results_are_dated_and_complete(tmp_path: Path) -> None:
    path = write_results("bench-core", {"commands_per_second": 5, "ok": True}, folder=tmp_path / "results")
    assert re.fullmatch(r"[0-9]{8}-[0-9]{6}-bench-core\.json", path.name)
    kept = json.loads(path.read_text())
    assert kept["name"] == "bench-core"
    assert (kept["commands_per_second"], kept["ok"]) == (5, True)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpsError, match="cannot write"):
        write_results("bench-core", {}, folder=tmp_path / "file")


def test_the_machine_is_described_without_its_name() -> None:
    found = machine.describe()
    assert found.cores >= 1
    assert found.memory_mib > 0
    assert found.python.startswith("CPython 3")
