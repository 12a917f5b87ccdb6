"""Whole groups from seeds: every claim holds, whatever goes wrong."""

from pathlib import Path

import pytest

from steelyard.simulation.cluster import Cluster
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


def test_syncs_under_way_when_faults_end_are_waited_for_and_then_health_is_judged() -> None:
    def prepare(cluster: Cluster) -> None:
        def slow() -> None:
            for node in cluster.nodes.values():
                node.platter.sync_s = 25.0

        cluster.agenda.at(20.0, slow)

    result = simulate(2, faults=frozenset({"clock"}), prepare=prepare)
    assert (result.violations, set(result.faults)) == ([], {"clock jump"})
    assert result.simulated_s > 45


def test_a_trace_can_be_read() -> None:
    lines: list[str] = []
    simulate(3, say=lines.append)
    assert any("leads in term" in line for line in lines)
    assert any("healed" in line for line in lines)
