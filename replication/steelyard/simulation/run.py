"""One seed: what a run is made of, its two phases, and its verdict."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from steelyard.core import versions
from steelyard.replication import journal
from steelyard.replication.group import DEDICATED, SHARED
from steelyard.replication.guards import Guards
from steelyard.replication.journal import APPLY_ENTRIES_MAX
from steelyard.replication.wire import APPEND_ENTRIES_MAX
from steelyard.simulation.checkers import Violation
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.faults import Faults
from steelyard.simulation.history import History
from steelyard.simulation.node import NEWEST, Node, Tuning
from steelyard.simulation.patches import patched, quiet
from steelyard.simulation.verdict import judge, judge_member, judge_snapshots
from steelyard.simulation.workload import Habits, Workload

SETUP_S: Final = 60.0
FAULTS_S: Final = 25.0
COMMIT_S: Final = 10.0
CONVERGE_S: Final = 30.0
UNLIMITED_SHARE: Final = 0.05
"""Seeds in which damage has no budget: the group need not live, but it must not lie."""


@dataclass
class Result:
    """What a seed came to."""

    seed: int
    violations: list[Violation] = field(default_factory=list)
    simulated_s: float = 0.0
    events: int = 0
    frames: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    acknowledged: int = 0
    reads: int = 0
    applied: int = 0
    entries: int = 0
    digest: bytes = b""


def tuning_of(rng: random.Random) -> Tuning:
    """Return how a run is tuned: small batches and frequent snapshots, or production's values."""
    production = rng.random() < 0.1
    return Tuning(
        timeouts=rng.choice((SHARED, DEDICATED)),
        snapshot_entries=20_000 if production else rng.choice((10, 30, 100, 400)),
        log_keep_entries=2_000_000 if production else rng.choice((5, 30, 200, 2_000_000)),
        cache_bytes=32 << 20 if production else rng.choice((400, 4_000, 1 << 20)),
        append_entries=APPEND_ENTRIES_MAX if production else rng.choice((2, 3, 20, APPEND_ENTRIES_MAX)),
        apply_entries=APPLY_ENTRIES_MAX if production else rng.choice((1, 4, APPLY_ENTRIES_MAX)),
        children=rng.random() < 0.3,
        loop_wait_s=0.010 if production else rng.choice((0.05, 0.15)),
        read_s=rng.choice((0.000_05, 0.000_25)),
        old_builds=rng.random() < 0.3,
        unlimited=rng.random() < UNLIMITED_SHARE,
    )


def simulate(
    seed: int,
    *,
    faults: frozenset[str] | None = None,
    guards: Guards | None = None,
    worsen: Callable[[Node], None] | None = None,
    prepare: Callable[[Cluster], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Result:
    """Run one seed: a market set up in peace, then faults, then health in which it must come back.

    Args:
        seed: Everything follows from it.
        faults: Which kinds may happen; None: all.
        guards: In place of the full set; for mutants.
        worsen: Makes a part of a node worse before each of its starts; for mutants.
        prepare: Changes the cluster before it starts; for scripts.
        say: Gets a line of trace whenever something happens.

    """
    rng = random.Random(seed)
    tuning = tuning_of(rng)
    tuning = replace(
        tuning, guards=guards or Guards(), worsen=worsen, unlimited=tuning.unlimited and faults is None
    )
    cluster = Cluster(rng, tuning, say)
    history = History()
    result = Result(seed)
    smaller = patched(
        (journal, "APPEND_ENTRIES_MAX", tuning.append_entries),
        (journal, "APPLY_ENTRIES_MAX", tuning.apply_entries),
        (versions, "KNOWN_MAX", NEWEST),
    )
    # The library catches a simulated kill in passing, and would tell of it with a traceback.
    with cluster.processor.in_charge(), smaller, quiet("pysyncobj"):
        if prepare is not None:
            prepare(cluster)
        for node in cluster.nodes.values():
            node.start()
        workload = Workload(
            cluster.agenda, random.Random(rng.getrandbits(64)), cluster.doors, history, Habits(rng)
        )
        _phases(cluster, workload, rng, faults)
        _verdict(cluster, history)
    result.violations = cluster.checkers.violations
    result.simulated_s = cluster.agenda.now_s
    result.events = cluster.agenda.events
    result.frames = cluster.net.frames
    result.faults = cluster.faults | cluster.net.faults
    result.crashes = cluster.crashes
    result.acknowledged = history.acknowledged
    result.reads = history.answers
    result.applied = cluster.checkers.applied
    result.entries = cluster.checkers.frontier
    result.digest = cluster.trace.digest
    return result


def _phases(cluster: Cluster, workload: Workload, rng: random.Random, kinds: frozenset[str] | None) -> None:
    checkers, agenda = cluster.checkers, cluster.agenda
    faults = Faults(cluster, rng, kinds)
    checkers.counts_entries = faults.calm
    if not cluster.run_until(SETUP_S, lambda: workload.ready):
        if not checkers.violations:
            checkers.violate("C11", f"no market after {SETUP_S} s without any fault")
        return
    faults.begin()
    cluster.run_until(agenda.now_s + FAULTS_S)
    if checkers.violations:
        return
    healed = faults.heal()
    cluster.trace.note(0, f"healed: {sorted(node.member for node in healed)}")
    if cluster.tuning.unlimited:
        cluster.run_until(agenda.now_s + COMMIT_S)
        return
    before = checkers.frontier
    # A turn that began on a slow disk was given all its syncs at that price: health begins when it ends.
    healed_s = max(agenda.now_s, *(node.busy_until_s for node in healed))
    if not cluster.run_until(healed_s + COMMIT_S, lambda: checkers.frontier > before):
        if not checkers.violations:
            checkers.violate("C11", f"nothing new was committed within {COMMIT_S} s of health")
        return
    workload.stop()
    cluster.run_until(agenda.now_s + 1.0)
    if not cluster.run_until(healed_s + CONVERGE_S, lambda: _level(healed)) and not checkers.violations:
        indexes = {node.member: node.replica and node.replica.applied_index for node in healed}
        checkers.violate("C11", f"not level after {CONVERGE_S} s of health: {indexes}")
    if faults.calm:
        checkers.economical(len(cluster.nodes))


def _level(nodes: list[Node]) -> bool:
    replicas = [node.replica for node in nodes]
    return None not in replicas and len({(r.applied_index, r.exchange.digest) for r in replicas if r}) == 1


def _verdict(cluster: Cluster, history: History) -> None:
    checkers = cluster.checkers
    replayed = judge(checkers, history)
    for node in cluster.nodes.values():
        if node.replica is not None:
            judge_member(checkers, replayed, node.member, node.replica.exchange)
        judge_snapshots(checkers, node.member, node.platter, damaged=node.damaged)
