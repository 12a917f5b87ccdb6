"""A fault planted in one member of a running group is seen, by the checker that is there for it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from steelyard.core import wire
from steelyard.core.entry import Entry
from steelyard.core.units import OMNIBUS
from steelyard.replication.guards import Guards
from steelyard.simulation.node import SimReplica
from steelyard.simulation.patches import patched
from steelyard.simulation.run import simulate

_apply = SimReplica.__dict__["_apply"]
VICTIM = 3


def _swaps_requests(self: SimReplica, index: int, term: int, body: bytes) -> None:
    entry = wire.decode_entry(body)
    if self._node.member == VICTIM and len(entry.requests) > 1:
        body = wire.encode_entry(Entry(entry.version, entry.time_ns, entry.requests[::-1]))
    _apply(self, index, term, body)


def _gives_an_atom(self: SimReplica, index: int, term: int, body: bytes) -> None:
    _apply(self, index, term, body)
    houses = self.exchange.state.ledger.houses
    if self._node.member == VICTIM and houses and index % 50 == 0:
        next(iter(houses.values())).omnibus_atoms -= 1


def _forgets_a_reply(self: SimReplica, index: int, term: int, body: bytes) -> None:
    _apply(self, index, term, body)
    if self._node.member == VICTIM and index % 50 == 0:
        for session in self.exchange.state.sessions.values():
            if session.replies:
                session.replies[-1] = (1, session.replies[-1][1])


@pytest.mark.parametrize(
    ("plant", "checkers"),
    [
        (_swaps_requests, {"C1", "C12"}),
        (_gives_an_atom, {"C8", "C12", "C13"}),
        (_forgets_a_reply, {"C2", "C6", "C7", "C8", "C12", "C13"}),
    ],
)
def test_a_member_that_differs_is_seen(plant: Callable[..., None], checkers: set[str]) -> None:
    assert OMNIBUS == 1
    with patched((SimReplica, "_apply", plant)):
        found = {v.checker for seed in range(3) for v in simulate(seed).violations[:1]}
    assert found
    assert found <= checkers


def test_a_leader_that_retries_above_a_conflict_is_seen_by_its_attempts() -> None:
    above = replace(Guards(), retry_at=lambda _, __, hint: hint + 1)
    for seed in range(12):
        found = simulate(seed, guards=above, faults=frozenset({"old-leader"})).violations
        if any("went back in its log" in violation.what for violation in found):
            return
    pytest.fail("nobody went back in its log too often")
