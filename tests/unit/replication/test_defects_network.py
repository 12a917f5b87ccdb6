"""Holes of the consensus library in its network, its memory and its chance (D37 to D44)."""

import pytest
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    TWO,
    Scripted,
)

from steelyard.replication.wire import (
    Append,
)


def test_d37_a_pickle_on_a_link_costs_the_connection() -> None:
    member = Scripted()
    member.group.transport.link_payload(TWO, b"\x80\x04K\x01.")
    assert member.links.dropped == [(TWO, "not a peer message")]


def test_d37_the_librarys_pickle_functions_are_traps() -> None:
    import pysyncobj.pickle

    for name in ("loads", "load", "dumps", "dump"):
        code, said = exit_of(lambda name=name: getattr(pysyncobj.pickle, name)(b"N."))  # type: ignore[misc]
        assert code == 70
        assert "pickle" in said


@pytest.mark.parametrize("size", [65535, 65536, 65537, (1 << 20) - 1, 1 << 20])
def test_d38_large_entries_commit_in_one_piece(size: int) -> None:
    member = Scripted()
    member.lead_ready()
    member.group.propose(bytes(size), outcome := Outcome())
    member.turn()
    (sent,) = member.said(TWO)
    assert isinstance(sent, Append)
    assert len(sent.entries[0].body) == size + 1
    member.hear(TWO, member.ack(member.store.last_index))
    member.turn(2)
    assert outcome.calls == [member.store.last_index]


def test_d38_a_larger_entry_is_refused_before_it_is_proposed() -> None:
    member = Scripted()
    member.lead_ready()
    with pytest.raises(ValueError, match="above"):
        member.group.propose(bytes((1 << 20) + 1), Outcome())


def test_d39_a_peer_that_does_not_read_gets_no_more_entries_until_it_does() -> None:
    member = Scripted()
    member.lead_ready()
    member.links.backlog = 64 << 20
    member.group.propose(b"x", Outcome())
    member.turn()
    assert member.said() == []
    assert member.group.next_index(TWO) == member.store.last_index

    member.links.backlog = 0
    member.turn(2)
    member.clock.now_s += 0.2
    member.turn()
    assert [len(m.entries) for m in member.said(TWO) if isinstance(m, Append)] == [1]


def test_d41_a_proposal_leaves_in_the_turn_it_was_made() -> None:
    member = Scripted()
    member.lead_ready()
    member.group.propose(b"at once", Outcome())
    member.turn()
    assert [type(m) for m in member.said(TWO)] == [Append]
