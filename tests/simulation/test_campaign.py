"""Many seeds counted together: a campaign that is ended early still tells what it has seen."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from steelyard.ops import sim
from steelyard.ops.terminal import Advance, Terminal
from steelyard.simulation.checkers import Violation
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.run import Result

HOUR_S = 3600


class Impatient(Terminal):
    """Sends this process SIGTERM as soon as the first seeds are counted."""

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """Show nothing."""
        assert (what, total) == ("seeds", 400)
        yield lambda _: os.kill(os.getpid(), signal.SIGTERM)


def test_a_campaign_counts_its_seeds_and_says_that_it_is_complete() -> None:
    summary = sim.campaign(Terminal(as_json=True), seeds=3, first=70, kinds=None, jobs=2)
    assert (summary["ok"], summary["complete"], summary["ended_by"]) == (True, True, None)
    assert (summary["seeds"], summary["seeds_wanted"], summary["first"]) == (3, 3, 70)
    assert 3 * 25 / HOUR_S < summary["simulated_hours"] < 3 * 120 / HOUR_S
    assert summary["acknowledged"] > 0
    assert summary["faults_total"] == sum(summary["faults"].values()) > 0
    assert (summary["violations"], summary["first_failing_seed"], summary["failures"]) == (0, None, [])


def test_a_terminated_campaign_returns_what_it_has_and_says_that_it_is_partial() -> None:
    before = signal.getsignal(signal.SIGTERM)
    summary = sim.campaign(Impatient(as_json=True), seeds=400, first=70, kinds=frozenset(), jobs=1)
    assert (summary["ok"], summary["complete"], summary["ended_by"]) == (False, False, "a signal")
    assert 0 < summary["seeds"] < summary["seeds_wanted"] == 400
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_fault_of_the_simulator_is_a_failure_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise RuntimeError("nobody leads here")

    monkeypatch.setattr(Cluster, "run_until", broken)
    results = sim._run(range(2), None)
    assert [result.violations[0].checker for result in results] == ["simulator", "simulator"]
    assert "nobody leads here" in results[0].violations[0].what


def test_the_first_failing_seed_is_the_smallest_whatever_order_they_came_in() -> None:
    totals = sim.Totals()
    for seed in (*range(40, 20, -1), *range(60, 80), 7):
        totals.add(sim._run_one(seed, frozenset()) if seed == 7 else _failed(seed))
    totals.add(_failed(3))
    summary = totals.summary()
    assert (summary["seeds"], summary["violations"], summary["holes"]) == (42, 41, 41)
    assert summary["first_failing_seed"] == 3
    assert [failure["seed"] for failure in summary["failures"]] == [3, *range(21, 40)]


def _failed(seed: int) -> Result:
    return Result(seed, violations=[Violation("C4", 1.0, "a hole")])
