"""Each claim has a fault, planted in a running group, that makes its checker fire: none of them is blind."""

from collections.abc import Callable
from contextlib import AbstractContextManager as Context
from dataclasses import replace
from typing import Any, Final

import pytest

from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.group import Timeouts
from steelyard.replication.guards import Guards
from steelyard.replication.log_record import HardState
from steelyard.replication.log_store import LogStore
from steelyard.simulation import run, verdict
from steelyard.simulation.checkers import Checkers
from steelyard.simulation.history import History
from steelyard.simulation.mutants import MUTANTS
from steelyard.simulation.node import SimReplica
from steelyard.simulation.patches import patched
from steelyard.simulation.run import Result, simulate
from steelyard.simulation.verdict import Replayed

VICTIM: Final = 3
_apply = SimReplica.__dict__["_apply"]
_work = PysyncobjGroup.__dict__["work"]
_tuning_of = run.tuning_of
_judge = verdict.judge

Plant = Callable[[int], Result]


def without_guard(name: str) -> Plant:
    """Return runs of a mutant."""
    return next(mutant for mutant in MUTANTS if mutant.name == name).run


def with_parts(parts: Callable[[], Context[object]], guards: Guards | None = None) -> Plant:
    """Return runs with parts made worse."""

    def run_seed(seed: int) -> Result:
        with parts():
            return simulate(seed, guards=guards)

    return run_seed


def another_body() -> Context[object]:
    """One member is watched applying another entry than it was given."""
    watch = SimReplica.__dict__["_watch_apply"]

    def watched(self: SimReplica, index: int, term: int, body: bytes | None) -> None:
        watch(self, index, term, body + b"\x00" if body and self._node.member == VICTIM else body)

    return patched((SimReplica, "_watch_apply", watched))


def two_votes() -> Context[object]:
    """Whoever has voted forgets it, campaigns begin together, and nobody looks at what a disk promised."""

    def forget(self: PysyncobjGroup) -> None:
        self._core._SyncObj__votedForNodeId = None
        _work(self)

    def store(self: LogStore, term: int, vote: int, commit: int) -> None:
        self._hard, self.dirty = HardState(term, vote, commit), True

    return patched(
        (PysyncobjGroup, "work", forget),
        (LogStore, "hard_state", store),
        (Checkers, "kept", lambda *_: None),
        (run, "tuning_of", lambda rng: replace(_tuning_of(rng), timeouts=Timeouts(0.3, 0.302, 0.06))),
    )


def lost_tail() -> Context[object]:
    """Collect a log in the end that lacks what was acknowledged last."""

    def judge(checkers: Checkers, history: History) -> Replayed:
        last = max(write.index for write in history.writes.values())
        for index in [index for index in checkers.bodies if index >= last]:
            del checkers.bodies[index]
        return _judge(checkers, history)

    return patched((run, "judge", judge))


def an_atom_from_nowhere() -> Context[object]:
    """One member finds an atom now and then."""

    def apply(self: SimReplica, index: int, term: int, body: bytes) -> None:
        _apply(self, index, term, body)
        houses = self.exchange.state.ledger.houses
        if self._node.member == VICTIM and houses and index % 50 == 0:
            next(iter(houses.values())).omnibus_atoms -= 1

    return patched((SimReplica, "_apply", apply))


def a_forgotten_number() -> Context[object]:
    """One member loses count of what was made, which no digest of its entries tells."""

    def apply(self: SimReplica, index: int, term: int, body: bytes) -> None:
        _apply(self, index, term, body)
        state: Any = self.exchange.state
        if self._node.member == VICTIM and index % 50 == 0:
            for session in state.sessions.values():
                session.used_ns += 1

    return patched((SimReplica, "_apply", apply))


PLANTED: Final[dict[str, Plant]] = {
    "C1": with_parts(another_body),
    "C2": without_guard("a restore adds one"),
    "C3": with_parts(two_votes, replace(Guards(), grants_pre_vote=lambda *_: True)),
    "C4": without_guard("ack before the flush"),
    "C5": with_parts(lost_tail),
    "C6": without_guard("a retry gets another reply"),
    "C7": without_guard("reads without a barrier"),
    "C8": with_parts(an_atom_from_nowhere),
    "C9": without_guard("a retry gets another reply"),
    "C10": without_guard("term not kept over a restart"),
    "C11": lambda seed: simulate(seed, guards=replace(Guards(), grants_pre_vote=lambda *_: False)),
    "C12": without_guard("no alignment at boot"),
    "C13": with_parts(a_forgotten_number),
}


@pytest.mark.parametrize("claim", PLANTED)
def test_a_planted_fault_makes_the_checker_of_its_claim_fire(claim: str) -> None:
    found: set[str] = set()
    for seed in range(8):
        found |= {violation.checker for violation in PLANTED[claim](seed).violations}
        if claim in found:
            return
    pytest.fail(f"{claim} did not fire, only {sorted(found)}")


def test_every_claim_has_its_fault() -> None:
    assert list(PLANTED) == [f"C{number}" for number in range(1, 14)]
