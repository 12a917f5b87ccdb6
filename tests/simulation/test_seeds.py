"""Whole groups from seeds: every claim holds, whatever goes wrong."""

from pathlib import Path

import pytest

from steelyard.simulation.run import Result, simulate

PINNED = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("seed", [*range(16), *PINNED])
def test_no_claim_is_violated(seed: int) -> None:
    result = simulate(seed)
    assert result.violations == []
    assert result.acknowledged > 0


def test_a_group_without_faults_commits_without_an_incident() -> None:
    result = simulate(1, faults=frozenset())
    assert (result.violations, result.faults) == ([], {})


def test_every_kind_of_fault_alone_is_survived() -> None:
    results: dict[str, Result] = {
        kind: simulate(2, faults=frozenset({kind}))
        for kind in ("power", "wipe", "flip-log", "copy", "snapshots")
    }
    assert {kind: result.violations for kind, result in results.items() if result.violations} == {}


def test_a_trace_can_be_read() -> None:
    lines: list[str] = []
    simulate(3, say=lines.append)
    assert any("leads in term" in line for line in lines)
    assert any("healed" in line for line in lines)
