"""Holes of the consensus library in what a crash leaves (D1 to D7), as scripts of a few messages."""

import pytest
from tests.helpers.raft import Outcome
from tests.helpers.scripted import (
    GROUP,
    TWO,
    US,
    Scripted,
    append,
    follower_with_six,
    no_op,
)

from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import (
    Ack,
    TermInfo,
    VoteGrant,
    VoteRequest,
)


def test_d4_an_ack_leaves_only_after_the_flush() -> None:
    member = Scripted()
    member.hear(TWO, append(1, (1, 0), [no_op(2, 1)]))

    assert member.said(TWO) == []
    assert 2 not in member.disk.log

    member.turn()
    (ack,) = member.said(TWO)
    assert isinstance(ack, Ack)
    assert (ack.success, ack.next_index) == (True, 3)
    assert 2 in member.disk.log


def test_d4_a_vote_leaves_only_after_the_flush() -> None:
    member = Scripted()
    commits = member.disk.commits
    member.hear(TWO, VoteRequest(1, 1, 0))
    assert member.said(TWO) == []

    member.turn()
    assert member.said(TWO) == [VoteGrant(1)]
    assert member.disk.commits > commits
    assert LogStore(member.disk, GROUP, US).vote == TWO


def test_d4_frames_behind_a_held_one_keep_their_order() -> None:
    member = Scripted()
    member.hear(TWO, VoteRequest(5, 1, 0), VoteRequest(4, 1, 0))
    member.turn()
    assert member.said(TWO) == [VoteGrant(5), TermInfo(5)]


def test_d3_the_leader_counts_itself_only_for_what_it_flushed() -> None:
    member = Scripted()
    member.lead_ready()
    member.group.propose(b"x", Outcome())
    member.turn()
    index = member.store.last_index
    assert member.store.durable_last_index == index

    member.hear(TWO, member.ack(index))
    member.turn()
    assert member.store.commit_index == index


def test_d5_a_commit_index_beyond_the_log_is_refused_at_boot() -> None:
    member = follower_with_six()
    disk = member.disk
    for index in (5, 6):
        del disk.log[index]
    LogStore(disk, GROUP, US).close()  # committed up to 3: fine
    for index in (3, 4):
        del disk.log[index]
    with pytest.raises(Exception, match="committed up to 3, but the log ends at 2"):
        LogStore(disk, GROUP, US)
