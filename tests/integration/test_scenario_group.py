"""A crash on a real group whose leader is killed in the cascade; its logs explain what was decided."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steelyard.ops.cluster import child_environment

pytestmark = pytest.mark.processes


def steelyard(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json; return the one object it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "steelyard.ops", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
        timeout=200,
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_group_survives_a_crash_and_explains_it(tmp_path: Path) -> None:
    data = tmp_path / "group"
    result = steelyard(
        "scenario",
        "crash",
        "--accounts",
        "40",
        "--seconds",
        "10",
        "--data",
        str(data),
        "--plots",
        str(tmp_path),
    )
    assert result["ok"], result["failures"]
    assert (result["lost"], result["duplicated"], result["changed"]) == (0, 0, 0)
    assert (result["leader_kills"], result["replicas_compared"]) == (1, 3)
    assert result["recovery_ms"] > 0
    assert result["liquidations"] > 0
    assert set(result["solvency"]) == {"1", "2", "3"}
    assert len(set(result["digests"].values())) == 1
    assert len(result["plots"]) == 4

    for member in ("1", "2", "3"):
        told = steelyard("explain", "liquidation", "1", "--data", str(data), "--member", member)
        assert (told["ok"], told["node"]) == (True, f"n{member}")
    assert steelyard("explain", "order", "7", "--data", str(data))["matches"]
    refused = steelyard("explain", "reject", "1:1", "--data", str(data), code=1)
    assert "was not refused" in refused["error"]
    missing = steelyard("explain", "liquidation", "999999", "--data", str(data), code=1)
    assert f"is {result['liquidations']}" in missing["error"]
    nowhere = steelyard("explain", "order", "1", "--data", str(tmp_path / "none"), code=1)
    assert "holds no group" in nowhere["error"]
