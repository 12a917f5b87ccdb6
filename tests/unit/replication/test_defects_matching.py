"""Holes of the consensus library in matching and commit (D8 to D12), as scripts of a few messages."""

import msgspec
from tests.helpers.cuts import both, closed_by, guard, line
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    THREE,
    TWO,
    Scripted,
    append,
    entries,
    follower_with_six,
    no_op,
)
from tests.helpers.snapshots import MemoryFiles, feed, shelf_of_a_leader

from steelyard.replication import engine, guards
from steelyard.replication.acks import AckBook
from steelyard.replication.guards import Guards, LogView, strip
from steelyard.replication.journal import Journal
from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import (
    Ack,
    Append,
    Beat,
    VoteRequest,
)
from steelyard.simulation.patches import patched

WITHOUT_STRIP = Guards(strip=lambda message, log: (message, True))


@closed_by("the guard strip", guard(strip=lambda message, log: (message, True)))
def test_d8_a_repeated_first_batch_cuts_nothing_off() -> None:
    member = follower_with_six()
    (ack,) = member.append(TWO, append(1, (1, 0), [no_op(2, 1)], commit=6))

    assert member.store.last_index == 6
    assert isinstance(ack, Ack)
    assert (ack.success, ack.next_index) == (True, 3)
    assert member.store.commit_index == 3, "entries 4 to 6 were not verified by this message"


@closed_by(
    "no truncation below commit",
    both(
        guard(strip=lambda message, log: (message, True)),
        line(LogStore.truncate, "first <= self._hard.commit or ", ""),
    ),
)
def test_d8_without_the_strip_the_store_stops_at_a_truncation_below_commit() -> None:
    code, said = exit_of(
        lambda: follower_with_six(WITHOUT_STRIP).append(TWO, append(1, (1, 0), [no_op(2, 1)], commit=6))
    )
    assert code == 70
    assert "truncation at 2, committed up to 3" in said


def test_d8_without_the_strip_acked_entries_are_lost() -> None:
    member = follower_with_six(WITHOUT_STRIP, commit=1)
    member.append(TWO, append(1, (1, 0), [no_op(2, 1)], commit=1))
    assert member.store.last_index == 2


@closed_by(
    "the clamp of the commit index",
    line(guards.strip, "commit=min(message.commit, verified)", "commit=message.commit"),
)
def test_d8_a_heartbeat_verifies_only_its_own_index() -> None:
    member = follower_with_six()
    member.append(TWO, append(1, (4, 1), [], commit=6))
    assert (member.store.last_index, member.store.commit_index) == (6, 4)


def test_d8_a_real_conflict_is_cut_and_replaced() -> None:
    member = follower_with_six()
    (ack,) = member.append(THREE, append(2, (4, 1), [no_op(5, 2)], commit=5))

    assert [member.store.term(i) for i in range(3, 6)] == [1, 1, 2]
    assert (member.store.last_index, member.store.commit_index) == (5, 5)
    assert isinstance(ack, Ack)
    assert ack.success


@closed_by(
    "no truncation without a conflict",
    line(Journal.deleteEntriesFrom, "self._permit is not Permit.CUT_TAIL", "False"),
)
def test_d8_a_truncation_that_was_not_called_a_conflict_stops_the_process() -> None:
    lying = Guards(strip=lambda message, log: (message, False))

    def script() -> None:
        member = follower_with_six(lying)
        member.group.journal.deleteEntriesFrom(4)

    code, said = exit_of(script)
    assert code == 70
    assert "without a conflict" in said


def proposed_one_by_one(guards: Guards) -> int:
    """Return how many entries are sent to member 2 for 64 proposals, acked one at a time and late."""
    member = Scripted(guards=guards)
    member.lead_ready()
    sent = 0
    acks: list[Ack] = []
    for _ in range(64):
        if not member.group.window_free():
            member.hear(TWO, acks.pop(0))
            member.turn(2)
        if member.group.window_free():
            member.group.propose(b"x", Outcome())
            member.turn()
        for message in member.said(TWO):
            if isinstance(message, Append):
                sent += len(message.entries)
                acks += [member.ack(entry.index) for entry in message.entries]
        member.clock.now_s += 0.11  # a heartbeat between proposals, which re-sends what is behind nextIndex
    return sent


@closed_by("the guard next_after_ack", guard(next_after_ack=lambda before, after, last: after))
def test_d9_nothing_in_flight_is_sent_twice() -> None:
    assert proposed_one_by_one(Guards()) <= 64


def test_d9_without_the_guard_entries_in_flight_are_sent_again() -> None:
    assert proposed_one_by_one(Guards(next_after_ack=lambda before, after, last: after)) > 64


def commit_after_an_old_ack(guards: Guards) -> bool:
    member = Scripted(guards=guards)
    term = member.lead()
    before = member.store.commit_index
    member.hear(TWO, member.ack(member.store.last_index, term=term - 1))
    member.turn()
    return member.store.commit_index > before


@closed_by("the guard ack_counts", guard(ack_counts=lambda ack, own: True))
def test_d10_an_ack_of_an_older_term_counts_for_nobody() -> None:
    assert not commit_after_an_old_ack(Guards())


def test_d10_without_the_guard_it_would_commit() -> None:
    assert commit_after_an_old_ack(Guards(ack_counts=lambda ack_term, own_term: True))


def test_d10_an_ack_is_stamped_when_created_not_when_released() -> None:
    member = Scripted()
    member.hear(TWO, append(1, (1, 0), [no_op(2, 1)]))
    member.hear(THREE, VoteRequest(7, 9, 6))
    member.turn()
    (ack,) = member.said(TWO)
    assert isinstance(ack, Ack)
    assert (member.group.term, ack.term) == (7, 1)


def commit_after_a_beat(guards: Guards) -> int:
    """Hold a stale tail of term 1, then hear a heartbeat that verifies nothing; return the commit."""
    member = follower_with_six(guards)
    member.hear(THREE, Beat(2, 6, 0))
    member.turn()
    return member.store.commit_index


@closed_by("the guard beat_commit", guard(beat_commit=lambda leader, own: leader))
def test_d11_a_heartbeat_that_verifies_nothing_commits_nothing() -> None:
    assert commit_after_a_beat(Guards()) == 3


def test_d11_without_the_clamp_a_stale_tail_is_committed() -> None:
    assert commit_after_a_beat(Guards(beat_commit=lambda leader, own: leader)) == 6


def retries_until_below(guards: Guards) -> list[int]:
    """Return the next indices during a burst: a conflict at 4, then rejections of the batches behind."""
    member = Scripted()
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 9, 1)]))
    member = Scripted(member.disk, guards=guards)
    member.lead()
    seen: list[int] = []
    for hint in (4, 5, 5, 5):
        member.hear(TWO, member.rejection(hint, last_index=4))
        seen.append(member.group.next_index(TWO))
    return seen


def test_d12_the_lowest_hint_of_a_burst_wins() -> None:
    assert retries_until_below(Guards()) == [4, 4, 4, 4]


def test_d12_without_the_guard_the_last_one_wins_and_the_leader_retries_above_the_conflict() -> None:
    assert retries_until_below(Guards(retry_at=lambda match, next_, hint: hint)) == [4, 5, 5, 5]


def test_d12_a_hint_below_what_matched_is_not_believed() -> None:
    member = Scripted()
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 9, 1)]))
    member = Scripted(member.disk)
    member.lead()
    member.hear(TWO, member.ack(6), member.rejection(3, last_index=6))
    assert member.group.next_index(TWO) == 7


@closed_by("the guard conflict_hint", guard(conflict_hint=lambda next_, log: next_))
def test_d12_a_follower_answers_with_the_first_entry_of_the_conflicting_term() -> None:
    member = follower_with_six()
    (ack,) = member.append(THREE, append(3, (6, 2), []))
    assert isinstance(ack, Ack)
    assert (ack.success, ack.reset, ack.next_index) == (False, True, 4), "4 is just above the commit index"


class NaiveFollower:
    """Answers appends as the library's follower does; ``terms[i - 1]`` is the term of its entry i."""

    def __init__(self, leader: Scripted, terms: list[int]) -> None:
        self.leader = leader
        self.terms = terms

    def answer(self, message: Append) -> Ack:
        """Take what fits, or say where to go on."""
        prev = message.prev_index
        if prev > len(self.terms):
            return self.leader.rejection(len(self.terms) + 1, last_index=len(self.terms))
        if self.terms[prev - 1] != message.prev_term:
            return self.leader.rejection(prev, last_index=len(self.terms))
        self.terms[prev:] = [entry.term for entry in message.entries]
        return self.leader.ack(len(self.terms))


def rounds_until_caught_up(guards: Guards) -> int:
    """Lead a follower with one conflicting entry over a backlog of batches; 50 rounds are for ever."""
    before = Scripted()
    before.append(TWO, append(3, (1, 0), [no_op(2, 1), *entries(3, 60, 3)]))
    with patched((engine, "APPEND_BYTES_MAX", 20)):  # two entries a batch
        member = Scripted(before.disk, guards=guards)
    member.lead()
    follower = NaiveFollower(member, [0, 1, 3, 3, 3, 2])
    answers: list[Ack] = []
    for number in range(50):
        member.hear(TWO, member.ack(member.store.last_index))
        member.hear(THREE, *answers)  # one round late
        member.advance(0.11)
        answers = [follower.answer(m) for m in member.said(THREE) if isinstance(m, Append)]
        if len(follower.terms) == member.store.last_index:
            return number
    return 50


@closed_by("the guard retry_at", guard(retry_at=lambda match, next_, hint: hint))
def test_d12_a_follower_with_one_conflicting_entry_catches_up_over_a_backlog_of_batches() -> None:
    assert rounds_until_caught_up(Guards()) < 10


def test_d12_without_the_guard_it_never_does() -> None:
    assert rounds_until_caught_up(Guards(retry_at=lambda match, next_, hint: hint)) == 50


def test_d8_without_the_clamp_a_heartbeat_would_commit_what_it_did_not_verify() -> None:
    def careless(message: Append, log: LogView) -> tuple[Append, bool]:
        stripped, may_cut = strip(message, log)
        return msgspec.structs.replace(stripped, commit=message.commit), may_cut

    member = follower_with_six(Guards(strip=careless))
    member.append(TWO, append(1, (4, 1), [], commit=6))
    assert member.store.commit_index == 6


@closed_by("an install commits its index", line(LogStore.install, "vote, at.index)", "vote, before.index)"))
def test_d11_an_installed_snapshot_commits_exactly_its_index() -> None:
    member = Scripted(files=MemoryFiles())
    feed(member, shelf_of_a_leader())  # its leader has committed 20
    member.turn()
    assert member.installed
    assert (member.store.commit_index, member.store.last_index) == (15, 15)


@closed_by(
    "the book of acks is one term's",
    line(AckBook._open, "not self.current", "False"),
)
def test_d10_a_new_term_begins_with_an_empty_book() -> None:
    member = Scripted()
    first = member.lead_ready()
    assert member.group.peers()[0].acked_index == member.store.last_index
    member.hear(THREE, VoteRequest(first + 1, 99, first))
    member.turn()
    assert member.lead() == first + 2
    member.hear(THREE, member.ack(1))
    assert [peer.acked_index for peer in member.group.peers()] == [0, 1]
