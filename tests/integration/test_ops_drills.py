"""A replayed market and the drills end with a clean verdict, over real processes that are really killed."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from steelyard.ops import synthetic
from steelyard.ops.capture import Capture
from steelyard.ops.drills.catalogue import DRILLS
from steelyard.ops.drills.stage import perform
from steelyard.ops.errors import GroupError
from steelyard.ops.replay import replay_capture
from steelyard.ops.terminal import Terminal

pytestmark = pytest.mark.processes


def assert_clean(result: dict[str, Any]) -> None:
    """Assert the verdict, and show all of it when it is not clean."""
    assert result["ok"], result
    assert (result["lost"], result["duplicated"], result["changed"]) == (0, 0, 0)
    assert result["money_conserved"] is True
    assert result["digests_equal"] is True
    assert result["replicas_compared"] == 3


def test_a_replayed_market_survives_the_death_of_its_leader(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gz"
    path.write_bytes(gzip.compress(b"".join(synthetic.lines(seed=5, diffs=100))))
    terminal = Terminal(as_json=True)
    result = asyncio.run(
        replay_capture(terminal, Capture.from_file(path), kill_leader_at=0.5, directory=tmp_path / "group")
    )
    assert_clean(result)
    assert result["leader_kills"] == 1
    assert result["recovery_ms"] > 0
    assert result["top_of_book_checked"] == result["top_of_book_equal"] == 100 // synthetic.TICKER_EVERY
    assert result["acknowledged"] == result["commands"] > 1000
    assert result["trades"] > 0
    assert result["unexpected_replies"] == 0


def test_a_replay_does_not_touch_a_group_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "group.json").write_text("{}")
    capture = synthetic.capture(seed=5, diffs=3)
    with pytest.raises(GroupError):
        asyncio.run(replay_capture(Terminal(as_json=True), capture, kill_leader_at=None, directory=tmp_path))


def run(name: str, rounds: int | None = None) -> dict[str, Any]:
    """Run one drill as quickly as it makes sense, and assert its verdict."""
    result = asyncio.run(perform(Terminal(as_json=True), DRILLS[name], quick=True, rounds=rounds))
    if "skipped" in result:
        pytest.skip(f"{name}: {result['skipped']}")
    assert_clean(result)
    assert result["linearizable"] is True
    assert result["log_time_moves_on"] is True
    assert result["operations_checked"] > result["acknowledged"] >= 1000
    assert result["recovery_ms_max"] > 0
    return result


def test_orders_wait_for_the_next_leader_and_none_is_lost() -> None:
    result = run("kill-leader", rounds=2)
    assert len(result["recoveries_ms"]) == 2
    assert min(result["linearizable_reads"]) > 0


def test_a_group_comes_back_from_snapshots_and_logs_with_one_node_wiped() -> None:
    result = run("restore")
    applied = result["commands_applied_since_restart"]
    wiped = result["wiped"]
    assert applied[wiped] >= result["acknowledged_before"]
    assert all(applied[member] < result["acknowledged_before"] for member in applied if member != wiped)
