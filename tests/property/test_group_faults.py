"""Random faults on three members in memory: nothing acknowledged is lost, and a healed group agrees."""

import pytest
from tests.helpers.faulty_group import run
from tests.helpers.raft import exit_of

from steelyard.replication.guards import Guards


@pytest.mark.parametrize("seed", range(100, 104))
def test_members_that_fell_behind_the_logs_come_back_by_snapshot(seed: int) -> None:
    group = run(seed, faulty_s=60.0, healthy_s=8.0)
    assert group.installs > 0
    assert not any(life.group.joining for life in group.lives.values())


UNGUARDED = Guards(
    strip=lambda message, log: (message, True), next_after_ack=lambda before, after, last: after
)


@pytest.mark.parametrize("seed", range(12))
def test_a_group_keeps_its_promises_under_faults_and_recovers(seed: int) -> None:
    group = run(seed, faulty_s=20.0, healthy_s=8.0)
    assert group.crashes > 0
    assert len(group.acknowledged) > 100


def test_without_the_guards_of_the_append_path_the_same_faults_do_harm() -> None:
    harmed = [seed for seed in range(4) if exit_of(lambda seed=seed: run(seed, guards=UNGUARDED))[0] != 0]  # type: ignore[misc]
    assert harmed
