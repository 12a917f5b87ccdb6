"""Holes of the consensus library in elections, reads and membership (D33 to D36), as short scripts."""

import pytest
from tests.helpers.cuts import closed_by, guard, line
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    GROUP,
    THREE,
    TWO,
    US,
    Scripted,
    append,
    follower_with_six,
)

from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.group import SHARED, Failure
from steelyard.replication.guards import Guards
from steelyard.replication.log_store import LogStore
from steelyard.replication.transport import Transport
from steelyard.replication.wire import (
    Append,
    PreVoteGrant,
    PreVoteRequest,
    TermInfo,
    VoteRequest,
)


def answer_to_a_lower_term(guards: Guards) -> list[object]:
    member = Scripted(guards=guards)
    member.append(TWO, append(5, (1, 0), []))
    member.hear(THREE, append(4, (1, 0), []), VoteRequest(3, 1, 0))
    member.turn()
    return list(member.said(THREE))


@closed_by("the guard tells_term", guard(tells_term=lambda message, own: False))
def test_d33_a_lower_term_is_told_ours() -> None:
    assert answer_to_a_lower_term(Guards()) == [TermInfo(5), TermInfo(5)]


def test_d33_without_the_guard_it_learns_nothing() -> None:
    assert not any(
        isinstance(m, TermInfo) for m in answer_to_a_lower_term(Guards(tells_term=lambda message, own: False))
    )


@closed_by(
    "a deposed leader steps down", line(Transport.learn_term, "term > self._store.current_term", "False")
)
def test_d33_a_deposed_leader_steps_down_when_told_and_grants_nothing() -> None:
    member = Scripted()
    term = member.lead()
    member.hear(TWO, TermInfo(term + 3))
    assert not member.group.is_leader()
    member.turn()
    assert (member.group.term, member.store.vote) == (term + 3, 0)


@closed_by(
    "ask before an election",
    line(PysyncobjGroup.before_tick, "self._campaign_agreed and not self.joining", "True"),
)
def test_d34_an_election_begins_with_a_question() -> None:
    member = Scripted()
    member.advance(2.5)
    assert member.said(TWO) == [PreVoteRequest(1, 1, 0)]
    assert member.group.term == 0

    member.hear(TWO, PreVoteGrant(1))
    member.turn(2)
    assert member.said(TWO) == [VoteRequest(1, 1, 0)]


def pre_vote_while_a_leader_lives(guards: Guards) -> list[object]:
    member = follower_with_six(guards)
    member.clock.now_s += 0.2
    member.hear(THREE, PreVoteRequest(2, 99, 1))
    member.turn()
    return list(member.said(THREE))


@closed_by("the guard grants_pre_vote", guard(grants_pre_vote=lambda *_: True))
def test_d34_nobody_agrees_to_an_election_while_a_leader_lives() -> None:
    assert pre_vote_while_a_leader_lives(Guards()) == []


def test_d34_without_the_guard_a_half_connected_member_would_depose_it() -> None:
    assert pre_vote_while_a_leader_lives(Guards(grants_pre_vote=lambda *_: True)) == [PreVoteGrant(2)]


def test_d34_a_candidate_with_a_shorter_log_is_told_no() -> None:
    member = follower_with_six()
    member.clock.now_s += 1.2
    member.hear(THREE, PreVoteRequest(2, 5, 1))
    assert member.said(THREE) == []
    member.hear(THREE, PreVoteRequest(2, 6, 1))
    assert member.said(THREE) == [PreVoteGrant(2)]


def test_d34_a_question_in_our_own_term_is_answered_with_the_term() -> None:
    """Or two members, one with the longer log, one with the higher term, would refuse each other for ever."""
    member = follower_with_six()
    member.clock.now_s += 1.2
    member.hear(THREE, PreVoteRequest(1, 99, 0))
    assert member.said(THREE) == [TermInfo(1)]


def answered_read(guards: Guards) -> bool:
    """Begin a read, then hear an ack that was created before it."""
    member = Scripted(guards=guards)
    member.lead_ready()
    member.group.read_barrier(outcome := Outcome())
    member.turn()
    member.hear(TWO, member.ack(member.store.last_index, round=0))
    member.turn()
    return bool(outcome.calls)


@closed_by("the guard round_confirms", guard(round_confirms=lambda ack, read: True))
def test_d35_an_ack_from_before_the_read_confirms_nothing() -> None:
    assert not answered_read(Guards())


def test_d35_without_the_round_it_would() -> None:
    assert answered_read(Guards(round_confirms=lambda ack_round, read_round: True))


def test_d35_a_read_is_answered_by_the_echo_of_its_round() -> None:
    member = Scripted()
    member.lead_ready()
    member.group.read_barrier(outcome := Outcome())
    member.turn()
    (heartbeat,) = member.said(TWO)
    assert isinstance(heartbeat, Append)
    assert heartbeat.round == 1
    member.hear(TWO, member.ack(member.store.last_index, round=1))
    assert outcome.calls == [member.store.commit_index]


@closed_by(
    "no read before a commit of the own term", line(PysyncobjGroup.read_barrier, "not self.ready()", "False")
)
def test_d35_a_new_leader_serves_no_read_before_it_committed_in_its_term() -> None:
    member = Scripted()
    member.lead()
    member.group.read_barrier(outcome := Outcome())
    assert outcome.calls == [Failure.NOT_READY]


@closed_by(
    "fallback within the election timeout",
    line(PysyncobjGroup._conf, "leaderFallbackTimeout=timeouts.max_s", "leaderFallbackTimeout=30.0"),
)
def test_d33_a_leader_that_nobody_answers_leaves_office_within_the_longest_election_timeout() -> None:
    member = Scripted()
    member.lead_ready()
    member.advance(SHARED.max_s - 0.1)
    assert member.group.is_leader()
    member.advance(0.2)
    assert not member.group.is_leader()


@closed_by(
    "a majority's yes", line(PysyncobjGroup.before_tick, "self._campaign_agreed and not self.joining", "True")
)
@closed_by(
    "a yes to this question",
    line(
        PysyncobjGroup.pre_vote_granted,
        "term == self.term + 1 and not self.leads() and self._pre_votes.grant(peer, term)",
        "True",
    ),
)
def test_d34_without_a_pre_vote_of_the_majority_nobody_campaigns() -> None:
    member = Scripted()
    for _ in range(5):
        member.advance(2.5)
    assert {type(message) for message in member.said(TWO)} == {PreVoteRequest}
    assert member.group.term == 0
    member.hear(TWO, PreVoteGrant(7))
    member.turn(2)
    assert member.group.term == 0, "a yes to another question"


@closed_by(
    "kinds of entries are closed",
    line(
        PysyncobjGroup.apply_command,
        'fail_stop(EX_INVARIANT, f"entry {index} is of unknown kind {command[:1].hex()}")',
        "pass",
    ),
)
def test_d36_a_membership_entry_in_the_log_stops_the_process_before_it_is_obeyed() -> None:
    def script() -> None:
        disk = follower_with_six().disk
        store = LogStore(disk, GROUP, US)
        store.append(7, 1, b"\x02" + b"\x80\x04]\x94(\x8c\x03add\x94K\tK\te.")
        store.hard_state(1, 0, 7)
        store.close()
        member = Scripted(disk)
        member.turn(3)

    code, said = exit_of(script)
    assert code == 70
    assert "entry 7 is of unknown kind 02" in said


@closed_by(
    "membership is static",
    line(PysyncobjGroup._conf, "dynamicMembershipChange=False", "dynamicMembershipChange=True"),
)
def test_d36_members_are_who_the_settings_say_and_no_verb_changes_them() -> None:
    core = Scripted().group._core
    with pytest.raises(Exception, match="dynamicMembershipChange is disabled"):
        core.addNodeToCluster("elsewhere:1")
    assert sorted(node.id for node in core.otherNodes) == [TWO, THREE]
