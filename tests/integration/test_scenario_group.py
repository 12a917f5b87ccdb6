"""A crash on a real group whose leader is killed in the cascade; its logs explain what was decided."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from steelyard.ops import cli
from steelyard.ops.cluster import child_environment
from steelyard.ops.errors import OpsError

pytestmark = pytest.mark.processes


def steelyard(*arguments: str) -> dict[str, Any]:
    """Run a command with --json in this process; return the one object it prints."""
    done = CliRunner().invoke(cli.cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = msgspec.json.decode(line)
    return found


def error_of(*arguments: str) -> str:
    """Return what a command of this process that fails says."""
    done = CliRunner().invoke(cli.cli, [*arguments, "--json"])
    assert isinstance(done.exception, OpsError), done.output
    return str(done.exception)


def test_a_group_survives_a_crash_and_explains_it(tmp_path: Path) -> None:
    data = str(tmp_path / "group")
    result = steelyard("scenario", "crash", "--accounts", "30", "--seconds", "5", "--data", data)
    assert result["ok"], result["failures"]
    assert (result["lost"], result["duplicated"], result["changed"]) == (0, 0, 0)
    assert (result["leader_kills"], result["kills_in_cascade"], result["replicas_compared"]) == (1, 1, 3)
    assert result["recovery_ms_max"] > 0
    assert result["terms"] > 1
    assert result["liquidations"] > 0
    assert set(result["solvency"]) == {"1", "2", "3"}
    assert len(set(result["digests"].values())) == 1

    for member in ("1", "2", "3"):
        told = steelyard("explain", "liquidation", "1", "--data", data, "--member", member)
        assert (told["ok"], told["node"]) == (True, f"n{member}")
    assert steelyard("explain", "order", "7", "--data", data)["matches"]
    assert "was not refused" in error_of("explain", "reject", "1:1", "--data", data)
    missing = error_of("explain", "liquidation", "999999", "--data", data)
    assert f"is {result['liquidations']}" in missing

    failed = subprocess.run(
        [sys.executable, "-m", "steelyard.ops", "explain", "order", "1", "--data", f"{data}/none", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
        timeout=60,
    )
    assert failed.returncode == 1
    assert "holds no group" in msgspec.json.decode(failed.stdout)["error"]
