"""Which members the operator of a simulated group bears to stop themselves."""

import random

from steelyard.core import versions
from steelyard.replication.errors import EX_INVARIANT
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.node import MEMBERS, NEWEST, Node
from steelyard.simulation.run import tuning_of

OLD = NEWEST - 1
STOPS = f"applying index 9: UnknownVersion('... is activated here, and this build knows {OLD}')"


def group() -> tuple[Cluster, Node]:
    """Return a group whose members all knew the newest version, and a member that no longer does."""
    rng = random.Random(1)
    cluster = Cluster(rng, tuning_of(rng))
    for node in cluster.nodes.values():
        node.knew = NEWEST
    node = cluster.nodes[MEMBERS[2]]
    node.knows = OLD
    return cluster, node


def test_a_member_set_back_to_an_older_build_may_stop_at_an_activation_and_gets_the_newest() -> None:
    cluster, node = group()
    cluster.version_activated(NEWEST)
    cluster.stopped(node, OLD, EX_INVARIANT, STOPS)
    assert cluster.checkers.violations == []
    assert node.knows == NEWEST > versions.KNOWN_MAX


def test_no_member_may_stop_at_a_version_that_nothing_activated() -> None:
    cluster, node = group()
    cluster.stopped(node, OLD, EX_INVARIANT, STOPS)
    assert [violation.checker for violation in cluster.checkers.violations] == ["C12"]


def test_an_older_build_excuses_no_other_reason_to_stop() -> None:
    cluster, node = group()
    cluster.version_activated(NEWEST)
    cluster.stopped(node, OLD, EX_INVARIANT, "applying index 9: AssertionError('the books do not balance')")
    assert [violation.checker for violation in cluster.checkers.violations] == ["C12"]


def test_a_version_is_not_activated_before_every_member_ran_a_build_that_knows_it() -> None:
    cluster, node = group()
    node.knew = OLD
    cluster.version_activated(NEWEST)
    assert [violation.checker for violation in cluster.checkers.violations] == ["C12"]
