"""Linearizable reads on members that do not lead."""

from pathlib import Path

from tests.helpers.raft import MEMBERS, Member, Outcome, tcp_group
from tests.helpers.scripted import THREE, TWO, ManualClock, Scripted

from steelyard.replication.group import Failure, MemberId
from steelyard.replication.remote_reads import RETRY_S, WAIT_S, RemoteReads
from steelyard.replication.wire import Beat, ReadIndex, ReadIndexRequest


class Scene:
    """The asking side alone."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sent: list[tuple[MemberId, int]] = []
        self.reads = RemoteReads(self.clock, lambda to, message: self.sent.append((to, message.number)))
        self.outcome = Outcome()

    def later(self, span_s: float, leader: MemberId | None) -> None:
        """Let time pass."""
        self.clock.now_s += span_s
        self.reads.tick(leader)


def test_the_leaders_answer_is_passed_on_once() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.reads.answered(TWO, 1, 7)
    scene.reads.answered(TWO, 1, 8)
    scene.later(WAIT_S + 1, TWO)
    assert (scene.sent, scene.outcome.calls) == ([(TWO, 1)], [7])


def test_only_the_member_that_was_asked_may_answer() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.reads.answered(THREE, 1, 7)
    assert scene.outcome.calls == []


def test_a_question_goes_to_the_next_leader() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.later(0.1, None)
    scene.later(0.1, THREE)
    scene.reads.answered(TWO, 1, 5)
    scene.reads.answered(THREE, 1, 9)
    assert (scene.sent, scene.outcome.calls) == ([(TWO, 1), (THREE, 1)], [9])


def test_a_leader_that_cannot_say_is_asked_again_a_little_later() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.reads.answered(TWO, 1, 0)
    scene.later(RETRY_S / 2, TWO)
    assert scene.sent == [(TWO, 1)]
    scene.later(RETRY_S, TWO)
    assert scene.sent == [(TWO, 1), (TWO, 1)]


def test_a_question_on_a_lost_link_is_put_again() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.reads.lost(TWO)
    scene.later(RETRY_S * 2, TWO)
    assert scene.sent == [(TWO, 1), (TWO, 1)]


def test_without_an_answer_it_fails_by_name_and_in_time() -> None:
    scene = Scene()
    scene.reads.ask(TWO, scene.outcome)
    scene.later(WAIT_S - 0.1, TWO)
    assert scene.outcome.calls == []
    scene.later(0.2, TWO)
    assert scene.outcome.calls == [Failure.NO_ANSWER]


def test_without_a_leader_it_fails_at_once() -> None:
    member, outcome = Scripted(), Outcome()
    member.group.read_barrier(outcome)
    assert outcome.calls == [Failure.NO_ANSWER]


def test_a_leader_answers_others_only_after_a_majority_confirmed_it() -> None:
    member = Scripted()
    member.lead_ready()
    index = member.store.commit_index
    member.hear(THREE, ReadIndexRequest(5))
    member.turn()
    assert not any(isinstance(message, ReadIndex) for message in member.said(THREE))
    member.hear(TWO, member.ack(index, round=member.group.read_round()))
    member.turn()
    assert ReadIndex(5, index) in member.said(THREE)


def test_a_member_that_does_not_lead_says_so() -> None:
    member = Scripted()
    member.hear(TWO, ReadIndexRequest(5))
    member.turn()
    assert member.said(TWO) == [ReadIndex(5, 0)]


def test_a_leader_that_is_deposed_meanwhile_says_so() -> None:
    member = Scripted()
    member.lead_ready()
    member.hear(THREE, ReadIndexRequest(5))
    member.turn()
    member.hear(TWO, Beat(member.group.term + 1, 1, 0))
    member.turn()
    assert ReadIndex(5, 0) in member.said(THREE)


def test_who_becomes_leader_while_asking_answers_itself() -> None:
    member, outcome = Scripted(), Outcome()
    member.hear(TWO, Beat(1, 1, 0))
    member.turn()
    member.group.read_barrier(outcome)
    member.clock.now_s += 0.1
    # The election takes longer than the question may: only its end matters here.
    member.group.transport.remote_reads._waiting[1].until_s += 100
    member.lead_ready()
    member.turn()
    member.hear(TWO, member.ack(member.store.commit_index, round=member.group.read_round()))
    member.turn()
    assert outcome.calls == [member.store.commit_index]


def follower_of(group_members: dict[MemberId, Member], leader: Member) -> Member:
    """Return some member that does not lead."""
    return next(member for member in group_members.values() if member is not leader)


def test_every_member_sees_every_earlier_write(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        for n in range(10):
            (index,) = group.commit(b"%d" % n)
            outcomes = []
            for member in MEMBERS:
                outcome = Outcome()
                group.members[member].group.read_barrier(outcome)
                outcomes.append(outcome)
            group.run(lambda told=outcomes: all(each.calls for each in told))  # type: ignore[misc]
            for outcome in outcomes:
                assert isinstance(outcome.only, int)
                assert outcome.only >= index


def test_a_leader_that_was_asleep_never_gives_an_old_index(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"before")
        asleep = group.elect()
        number = next(m for m, member in group.members.items() if member is asleep)
        reader = follower_of(group.members, asleep)
        del group.members[number]
        outcome = Outcome()
        reader.group.read_barrier(outcome)  # asks who sleeps
        (index,) = group.commit(b"under another leader")
        group.members[number] = asleep
        late = Outcome()
        reader.group.read_barrier(late)
        group.run(lambda: late.calls and outcome.calls)
        assert isinstance(late.only, int)
        assert late.only >= index


def test_a_question_of_an_earlier_life_is_not_answered_to_the_next_one() -> None:
    member = Scripted()
    member.lead_ready()
    member.hear(TWO, ReadIndexRequest(1))
    member.turn()
    member.group.transport.link_down(TWO)
    member.link(TWO, term=member.group.term, last_index=member.store.last_index, boots=2)
    member.said()
    member.hear(THREE, member.ack(member.store.commit_index, round=member.group.read_round()))
    member.turn(2)
    assert [m for m in member.said(TWO) if isinstance(m, ReadIndex)] == []
    member.hear(TWO, ReadIndexRequest(1))
    member.turn()
    member.hear(THREE, member.ack(member.store.commit_index, round=member.group.read_round()))
    member.turn(2)
    assert ReadIndex(1, member.store.commit_index) in member.said(TWO)
