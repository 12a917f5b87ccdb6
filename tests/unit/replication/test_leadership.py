"""Handing leadership over, and what stops a member at once."""

from tests.helpers.raft import exit_of
from tests.helpers.scripted import (
    THREE,
    TWO,
    Scripted,
    append,
    entries,
    follower_with_six,
    no_op,
)

from steelyard.replication.wire import (
    Remembered,
    TimeoutNow,
    VoteRequest,
)


def test_a_leader_can_hand_over() -> None:
    member = Scripted()
    term = member.lead_ready()
    assert member.group.hand_over()
    member.turn()
    assert TimeoutNow(term) in member.said(TWO)


def test_timeout_now_from_the_leader_needs_no_pre_vote() -> None:
    member = follower_with_six()
    member.hear(TWO, TimeoutNow(1))
    member.turn(2)
    assert VoteRequest(2, 6, 1) in member.said(THREE)


def test_timeout_now_from_another_member_is_ignored() -> None:
    member = follower_with_six()
    member.hear(THREE, TimeoutNow(1))
    member.turn(2)
    assert member.group.term == 1


def test_two_leaders_of_one_term_stop_the_process() -> None:
    def script() -> None:
        member = Scripted()
        term = member.lead()
        member.hear(TWO, append(term, (1, 0), []))

    code, said = exit_of(script)
    assert code == 70
    assert "leads in our own term" in said


def test_a_failed_commit_stops_the_process() -> None:
    def script() -> None:
        member = Scripted()
        member.disk.failure = OSError(5, "Input/output error")
        member.append(TWO, append(1, (1, 0), [no_op(2, 1)]))

    code, said = exit_of(script)
    assert code == 74
    assert "commit failed" in said


def test_a_crash_before_the_flush_leaves_the_old_state() -> None:
    member = follower_with_six()
    member.hear(TWO, append(1, (6, 1), entries(7, 9, 1), commit=6))
    again = Scripted(member.disk)
    assert again.store.last_index == 6


def test_an_ack_beyond_our_log_costs_the_connection_and_counts_for_nothing() -> None:
    member = Scripted()
    member.lead_ready()
    commit = member.store.commit_index
    member.hear(TWO, member.ack(member.store.last_index + 1))
    member.turn()
    assert member.links.dropped == [(TWO, "ack beyond our log")]
    assert member.store.commit_index == commit


def test_a_member_that_gave_up_its_vote_greets_everybody_anew() -> None:
    member = follower_with_six()
    member.hear(TWO, Remembered(1, 1, 1, 7))
    assert member.links.dropped == [(TWO, "we joined again"), (THREE, "we joined again")]
