"""Load generators end with a verdict on everything they saw acknowledged; no test looks at a time."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steelyard.ops import bench
from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal

pytestmark = pytest.mark.processes

LOCUSTFILE = Path(__file__).parents[2] / "loadtests" / "locustfile.py"


def test_the_benchmark_is_judged_by_the_logs() -> None:
    plan = bench.Plan(seconds=1.0, batch=50, sessions=2, outstanding=200, clients=2, profile="shared")
    result = asyncio.run(bench.end_to_end(Terminal(as_json=True), plan))
    assert result["ok"], result
    assert result["acknowledged"] > result["orders_measured"] > 0
    for key in ("orders_per_second", "p50_ms", "p99_ms", "sync_mode", "batch", "machine"):
        assert result[key], key
    assert set(result["cpu_us_per_order"]) == {"leader", "followers", "gateway", "idle_gateways", "clients"}


@pytest.mark.parametrize("judged_by", ["the logs of all replicas", "what the door shows"])
def test_locust_ends_with_a_verdict(judged_by: str, tmp_path: Path) -> None:
    with scratch_group(tmp_path / "group", map_size_bytes=1 << 26) as scratch:
        asyncio.run(_ready(scratch.group))
        data = ["--data", str(scratch.group.directory)] if judged_by.startswith("the logs") else []
        done = subprocess.run(
            [
                *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
                *("--host", ",".join(scratch.group.endpoints), "-u", "3", "-r", "3", "-t", "5s"),
                *("--key", str(scratch.group.key_path("operator")), *data),
                *("UnaryUser", "StreamUser", "TensUser"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **child_environment()},
            timeout=100,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout.splitlines()[0])
    assert verdict["judged_by"] == judged_by
    assert verdict["ok"] is True
    assert verdict["acknowledged"] > 0
    assert set(verdict["by_name"]) >= {"1 a message", "10 a message", "PlaceOrder"}


async def _ready(group: LocalGroup) -> None:
    async with group.client() as client:
        await group.wait_ready(client)


def test_a_run_in_which_nobody_traded_is_no_success(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
            *("--host", "127.0.0.1:1", "-u", "0", "-t", "1s", "--key", str(key), "UnaryUser"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **child_environment()},
        timeout=100,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nobody came to trade" in done.stderr
