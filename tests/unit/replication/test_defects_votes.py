"""Holes of the consensus library in votes and links (D13 to D16), as scripts of a few messages."""

import pytest
from tests.helpers.cuts import closed_by, guard, line
from tests.helpers.scripted import (
    THREE,
    TWO,
    Scripted,
    append,
    entries,
    follower_with_six,
    founded,
    no_op,
)

from steelyard.replication.acks import AckBook
from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.frames import FrameError, FrameReader, FrameWriter
from steelyard.replication.guards import Guards
from steelyard.replication.joining import Joining
from steelyard.replication.wire import (
    PreVoteGrant,
    PreVoteRequest,
    Remembered,
    VoteGrant,
    VoteRequest,
)


def joins_again(told: Remembered, guards: Guards | None = None) -> bool:
    member = Scripted(follower_with_six().disk, guards=guards)
    member.hear(TWO, told)
    return member.group.joining


@pytest.mark.parametrize(
    ("told", "joins"),
    [
        (Remembered(1, 1, 1, 6), False),
        (Remembered(1, 1, 1, 7), True),
        (Remembered(1, 1, 2, 6), True),
        (Remembered(1, 9, 1, 6), True),
        (Remembered(2, 1, 0, 0), True),
        (Remembered(0, 0, 0, 0), False),
    ],
)
def test_d13_a_disk_that_forgot_what_a_peer_remembers_gives_up_its_vote(
    told: Remembered, joins: bool
) -> None:
    assert joins_again(told) is joins


def test_d13_without_the_check_it_would_vote_on() -> None:
    assert not joins_again(Remembered(1, 1, 1, 7), Guards(forgot=lambda *_: False))


def votes_while_joining(guards: Guards) -> list[object]:
    member = Scripted(founded(joining=True), guards=guards)
    member.hear(TWO, PreVoteRequest(3, 9, 2), VoteRequest(3, 9, 2))
    member.turn()
    assert member.group.term == 3, "the term is learned all the same"
    return list(member.said(TWO))


@closed_by("the guard may_vote", guard(may_vote=lambda joining, floor, term: True))
def test_d13_a_joining_member_grants_neither_vote_nor_pre_vote() -> None:
    assert votes_while_joining(Guards()) == []


def test_d13_without_the_guard_a_wiped_member_could_vote_twice() -> None:
    said = votes_while_joining(Guards(may_vote=lambda joining, floor, term: True))
    assert said == [PreVoteGrant(3), VoteGrant(3)]


@closed_by(
    "no campaign while joining",
    line(
        PysyncobjGroup.before_tick,
        "self._campaign_agreed and not self.joining",
        "self._campaign_agreed",
        "if not self.joining:",
        "if True:",
    ),
)
def test_d13_a_joining_member_does_not_campaign() -> None:
    member = Scripted(founded(joining=True))
    member.advance(2.5)
    member.hear(TWO, PreVoteGrant(1))
    member.turn(3)
    assert member.said() == []
    assert member.group.term == 0


@closed_by("a floor for the next vote", line(Joining.try_to_vote_again, "max(self._terms.values())", "0"))
def test_d13_a_joining_member_votes_again_once_caught_up_and_only_above_every_term_it_heard_of() -> None:
    disk = founded(joining=True)
    member = Scripted(disk)
    member.link(TWO, term=4, last_index=3, boots=2)
    member.link(THREE, term=3, last_index=2, boots=2)
    member.append(TWO, append(4, (1, 0), [no_op(2, 4)], commit=2))
    assert member.group.joining, "the leader's log went to 3"
    member.append(TWO, append(4, (2, 4), entries(3, 3, 4), commit=3))
    assert not member.group.joining
    assert member.store.identity.vote_floor == 4

    member.hear(THREE, VoteRequest(5, 3, 4))
    member.turn()
    assert VoteGrant(5) in member.said(THREE)


@closed_by("another life, another book", line(Joining.meet, "peer.forget_acks()", "pass"))
def test_d13_a_new_life_of_a_follower_clears_the_leaders_book() -> None:
    member = Scripted()
    member.lead_ready()
    assert member.group.peers()[0].acked_index == member.store.last_index
    member.group.transport.link_down(TWO)
    member.link(TWO, incarnation=99, boots=1)
    assert member.group.peers()[0].acked_index == 0
    member.hear(TWO, member.rejection(2, last_index=1))
    assert member.group.next_index(TWO) == 2


@closed_by("acked entries must stay", line(AckBook.on_ack, "ack.last_index < peer.matched", "False"))
def test_d13_acked_entries_that_are_gone_end_the_connection() -> None:
    member = Scripted()
    member.lead_ready()
    member.links.out.clear()
    member.hear(TWO, member.ack(1, last_index=1))
    assert (TWO, "acked entries are gone") in member.links.dropped
    member.turn()
    assert (TWO, Remembered(1, 1, 0, 2)) in member.links.out


def leads_after_twice_the_same_vote(guards: Guards) -> bool:
    """With five members one vote is not enough, but here two equal votes would be counted as three."""
    member = Scripted(guards=guards)
    member.advance(2.5)
    member.hear(TWO, PreVoteGrant(1))
    member.turn(2)
    transport = member.group.transport
    delivered: list[object] = []
    transport.setOnMessageReceivedCallback(lambda node, message: delivered.append(message["type"]))
    member.hear(TWO, VoteGrant(1), VoteGrant(1))
    return delivered == ["response_vote", "response_vote"]


@closed_by("the guard vote_counts", guard(vote_counts=lambda voters, peer: True))
def test_d14_a_repeated_vote_counts_once() -> None:
    assert not leads_after_twice_the_same_vote(Guards())


def test_d14_without_the_guard_it_counts_twice() -> None:
    assert leads_after_twice_the_same_vote(Guards(vote_counts=lambda voters, peer: True))


def test_d15_a_grant_is_not_repeated_which_costs_one_timeout_and_nothing_else() -> None:
    member = Scripted()
    member.hear(TWO, VoteRequest(1, 1, 0))
    member.turn()
    assert member.said(TWO) == [VoteGrant(1)]
    member.hear(TWO, VoteRequest(1, 1, 0))
    member.turn()
    assert member.said(TWO) == []
    member.hear(TWO, VoteRequest(2, 1, 0))
    member.turn()
    assert member.said(TWO) == [VoteGrant(2)]


def numbered(*payloads: bytes, epoch: int) -> list[bytes]:
    """Return the frames of one connection."""
    writer = FrameWriter()
    writer.epoch = epoch
    return [writer.header(payload) + payload for payload in payloads]


@closed_by(
    "epoch and sequence of frames",
    line(FrameReader.feed, "epoch != self.epoch or sequence != self._sequence", "False"),
    arriving=[0, 0],
)
@closed_by(
    "epoch and sequence of frames",
    line(FrameReader.feed, "epoch != self.epoch or sequence != self._sequence", "False"),
    arriving=[1, 0],
)
@closed_by(
    "epoch and sequence of frames",
    line(FrameReader.feed, "epoch != self.epoch or sequence != self._sequence", "False"),
    arriving=[0, 2],
)
@closed_by(
    "epoch and sequence of frames",
    line(FrameReader.feed, "epoch != self.epoch or sequence != self._sequence", "False"),
    arriving=[0, 3],
)
@closed_by("the epoch of frames", line(FrameReader.feed, "epoch != self.epoch or ", ""), arriving=[0, 3])
@pytest.mark.parametrize(
    "arriving",
    [
        pytest.param([0, 0], id="doubled"),
        pytest.param([1, 0], id="in another order"),
        pytest.param([0, 2], id="with a gap"),
        pytest.param([0, 3], id="with one of an earlier connection"),
    ],
)
def test_d16_frames_that_are_not_what_was_sent_end_the_connection(arriving: list[int]) -> None:
    reader = FrameReader(100)
    reader.epoch = 2
    sent = [*numbered(b"one", b"two", b"three", epoch=2), numbered(b"late", b"later", epoch=1)[1]]
    with pytest.raises(FrameError, match="out of sequence"):
        list(reader.feed(b"".join(sent[place] for place in arriving)))


@closed_by("the guard forgot", guard(forgot=lambda *_: False))
def test_d13_a_disk_put_back_from_a_copy_gives_up_its_vote() -> None:
    assert joins_again(Remembered(1, 1, 1, 7))
