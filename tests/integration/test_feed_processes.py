"""``steelyard feed`` against a real group: a recorded market becomes an index, whoever leads."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.drills.shims import FaultyClock, Orders, build, needs_compiler

pytestmark = pytest.mark.processes

TICKERS_A_SECOND = 20


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "steelyard.ops", *arguments, "--json"]


def steelyard(*arguments: str, code: int = 0, surroundings: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a command with --json, with more in its environment; return the one object it prints."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        env=child_environment() | (surroundings or {}),
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a group with an index and a key for the feed; the value is its folder."""
    where = str(tmp_path_factory.mktemp("feed") / "group")
    steelyard("up", "--detach", "--archive", "none", "--data", where)
    try:
        steelyard("operate", "list-index", "BTC", "--tick", "0.5", "--data", where)
        steelyard("operate", "create-key", "feed", "9", "--permissions", "read,feed", "--data", where)
        yield where
    finally:
        steelyard("down", "--data", where)


def recording(path: Path, seconds: int, last: tuple[str, str]) -> str:
    """Write a recorded market of so many seconds; its last best bid and ask are as told."""
    count = seconds * TICKERS_A_SECOND
    with gzip.open(path, "wt") as file:
        for n in range(count):
            bid, ask = last if n == count - 1 else (f"{60_000 + n % 7}.00", f"{60_001 + n % 7}.00")
            ticker = {"stream": "btcusdt@bookTicker", "data": {"b": bid, "a": ask}}
            file.write(f"{10**18 + n * 10**9 // TICKERS_A_SECOND} {json.dumps(ticker)}\n")
    return str(path)


def test_a_recorded_market_becomes_the_index(data: str, tmp_path: Path) -> None:
    path = recording(tmp_path / "market.gz", 2, ("60100.00", "60101.00"))

    found = steelyard("feed", "BTC", "--capture", path, "--smoothing", "none", "--data", data)

    assert found["ok"], found
    assert found["price"] == "60100.5"
    assert not found["stale"]
    assert found["accepted"] >= 4
    (source,) = found["sources"]
    assert source["messages"] == 2 * TICKERS_A_SECOND
    assert (source["faults"], source["silences"]) == (0, 0)


def test_an_index_that_is_not_listed_is_told(data: str, tmp_path: Path) -> None:
    path = recording(tmp_path / "market.gz", 1, ("1", "2"))

    error = steelyard("feed", "ETH", "--capture", path, "--data", data, code=1)["error"]

    assert "no index ETH; listed: BTC" in error


def test_a_feed_goes_on_after_the_leader_was_killed_and_ends_when_told(data: str, tmp_path: Path) -> None:
    path = recording(tmp_path / "market.gz", 120, ("1", "2"))
    with subprocess.Popen(
        command("feed", "BTC", "--capture", path, "--every", "0.1", "--data", data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    ) as feed:
        try:
            before = _index_ns(data, 0)
            status = steelyard("status", "--data", data)
            leader = next(node for node in status["nodes"] if node["role"] == "leader")
            os.kill(leader["replica_pid"], signal.SIGKILL)
            killed_ns = time.time_ns()
            # A quote from after the kill can only have come through another leader.
            assert _index_ns(data, killed_ns) > before
            feed.send_signal(signal.SIGINT)
            out, told = feed.communicate(timeout=60)
        finally:
            feed.kill()
    found = json.loads(out)
    assert feed.returncode == 0, told
    assert found["ok"], found
    assert found["accepted"] > 0
    assert found["refused"] == {}
    assert found["longest_gap_s"] < 20


@pytest.mark.skipif(bool(needs_compiler()), reason="no compiler")
def test_a_feed_whose_clock_is_wrong_says_so_by_name_and_its_quotes_do_not_count(
    data: str, tmp_path: Path
) -> None:
    # The last of these tests: what it says of the index is of another hour.
    path = recording(tmp_path / "market.gz", 1, ("70100.00", "70101.00"))
    library = build(FaultyClock.SOURCE, tmp_path)
    orders = Orders(tmp_path / "orders", FaultyClock.NUMBERS)
    FaultyClock(orders).jump(3600)
    wrong = {"LD_PRELOAD": str(library), FaultyClock.VARIABLE: str(orders.path)}

    found = steelyard(
        "feed", "BTC", "--capture", path, "--speed", "0", "--data", data, code=1, surroundings=wrong
    )

    orders.close()
    (failure,) = found["failures"]
    assert failure.startswith("CLOCK_WRONG: our clock is 3600.")
    assert found["clock"]["alarms"] == 1
    assert found["accepted"] > 0
    assert found["price"] != "70100.5"


def _index_ns(data: str, after_ns: int) -> int:
    """Return the time of a quote of the index later than ``after_ns``; wait for one."""

    async def newest_ns() -> int:
        async with LocalGroup.open(Path(data)).client() as client:
            (index,) = (await client.contracts()).indices.values()
        return max((quote.time_ns for quote in index.quotes), default=0)

    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        found_ns = asyncio.run(newest_ns())
        if found_ns > after_ns:
            return found_ns
    raise AssertionError("no quote came")
