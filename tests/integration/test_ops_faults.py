"""Real processes are broken in every cheap way, once each, and nothing is lost, doubled, stale or altered."""

import asyncio
from typing import Any

import pytest

from steelyard.ops.drills.catalogue import DRILLS, table
from steelyard.ops.drills.stage import perform
from steelyard.ops.terminal import Terminal

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "name",
    [
        "kill-all",
        "partition-leader",
        "bit-flip-log",
        "fsync-error",
        "replace",
        "little-memory",
        "rolling-upgrade",
    ],
)
def test_a_fault_costs_time_and_nothing_else(name: str) -> None:
    result: dict[str, Any] = asyncio.run(perform(Terminal(as_json=True), DRILLS[name], quick=True))
    if "skipped" in result:
        pytest.skip(f"{name}: {result['skipped']}")
    assert result["ok"], result
    assert (result["lost"], result["duplicated"], result["changed"]) == (0, 0, 0)
    assert (result["money_conserved"], result["digests_equal"], result["linearizable"]) == (True, True, True)
    assert result["acknowledged"] >= 1000
    assert result["operations_checked"] >= result["acknowledged"]
    assert result["reads"] > 0
    assert 0 < result["recovery_ms_min"] <= result["recovery_ms_median"] <= result["recovery_ms_max"]
    assert (result["failures"], result["findings"]) == ([], [])


def test_verdicts_are_shown_as_a_table_too() -> None:
    result = {
        "drills": [
            {"drill": "a", "skipped": "no compiler", "ok": True},
            {"drill": "b", "error": "no leader", "ok": False},
        ]
    }
    assert table(result).row_count == 2
