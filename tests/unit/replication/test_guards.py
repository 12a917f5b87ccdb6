"""The guards as plain functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.scripted import append, entries, no_op

from steelyard.replication import guards
from steelyard.replication.log_record import PeerMemory, Record
from steelyard.replication.wire import Append

TERMS = st.lists(st.integers(0, 3), min_size=1, max_size=8).map(sorted)


class ListLog:
    """A log as a list of terms; index 1 is ``terms[0]``."""

    def __init__(self, terms: list[int], commit: int = 1) -> None:
        self.terms = terms
        self.commit_index = commit
        self.last_index = len(terms)

    def has(self, index: int, term: int) -> bool:
        """Whether the entry is held."""
        return 1 <= index <= self.last_index and self.terms[index - 1] == term

    def term(self, index: int) -> int:
        """Return an entry's term."""
        return self.terms[index - 1]

    def term_first_index(self, index: int) -> int:
        """Return where the term begins."""
        return self.terms.index(self.terms[index - 1]) + 1


@given(TERMS, TERMS, st.data())
def test_strip_leaves_exactly_what_is_not_held(
    ours: list[int], theirs: list[int], data: st.DataObject
) -> None:
    theirs[0] = ours[0] = 0
    prev = data.draw(st.integers(1, len(theirs)))
    end = data.draw(st.integers(prev, len(theirs)))
    commit = data.draw(st.integers(0, 10))
    sent = [Record(b"\x01", i, theirs[i - 1]) for i in range(prev + 1, end + 1)]
    message = Append(3, commit, prev, theirs[prev - 1], 0, sent)

    got, may_cut = guards.strip(message, ListLog(ours))

    if prev > len(ours) or ours[prev - 1] != theirs[prev - 1]:
        assert (got, may_cut) == (message, False)
        return
    held = prev
    while held < end and held < len(ours) and ours[held] == theirs[held]:
        held += 1
    assert (got.prev_index, got.prev_term) == (held, theirs[held - 1])
    assert got.entries == sent[held - prev :]
    assert may_cut == bool(got.entries)
    assert got.commit == (commit if got.entries else min(commit, held))


@pytest.mark.parametrize(
    ("message", "fine"),
    [
        (append(2, (4, 1), entries(5, 7, 2)), True),
        (append(2, (4, 1), []), True),
        (append(2, (4, 1), [no_op(5, 1), no_op(6, 2)]), True),
        (append(2, (4, 1), entries(6, 7, 2)), False),
        (append(2, (4, 2), entries(5, 5, 1)), False),
        (append(2, (4, 1), entries(5, 5, 3)), False),
        (append(2, (4, 3), []), False),
        (append(2, (4, 1), [Record(b"\x01extra", 5, 2)]), False),
        (append(2, (4, 1), [Record(b"\x00" * (2 << 20), 5, 2)]), False),
    ],
)
def test_only_what_a_leader_can_send_is_sound(message: Append, fine: bool) -> None:
    assert guards.sound(message) is fine


@given(st.integers(1, 50), st.integers(0, 60))
def test_a_conflict_hint_never_goes_below_the_commit_index(next_index: int, commit: int) -> None:
    log = ListLog([0, 1, 1, 1, 2, 2, 3, 3], min(commit, 8))
    hint = guards.conflict_hint(next_index, log)
    assert hint <= max(next_index, log.commit_index + 1)
    if next_index > log.commit_index:
        assert hint > log.commit_index


@given(st.integers(0, 20), st.integers(1, 30), st.lists(st.integers(0, 40), min_size=1))
def test_a_burst_of_rejections_ends_at_its_minimum(match: int, next_index: int, hints: list[int]) -> None:
    for hint in hints:
        following = guards.retry_at(match, next_index, hint)
        assert match + 1 <= following <= max(next_index, match + 1)
        next_index = following
    assert next_index <= max(match + 1, min(hints))


def test_next_index_after_an_ack_stays_within_the_log() -> None:
    assert guards.next_after_ack(9, 5, 20) == 9
    assert guards.next_after_ack(5, 9, 20) == 9
    assert guards.next_after_ack(30, 9, 20) == 21


def test_a_pre_vote_needs_a_higher_term_a_log_not_behind_and_no_leader() -> None:
    def ask(term: int = 5, last: tuple[int, int] = (3, 9), heard: bool = False) -> bool:
        return guards.grants_pre_vote(term, last, 4, (3, 9), heard)

    assert ask()
    assert not ask(term=4)
    assert not ask(last=(3, 8))
    assert not ask(last=(2, 99))
    assert ask(last=(4, 1))
    assert not ask(heard=True)


def test_a_disk_forgot_if_any_of_its_numbers_is_lower() -> None:
    memory = PeerMemory(incarnation=5, boots=3, term=7, index=100)
    assert not guards.forgot(memory, 5, 3, 7, 100)
    assert not guards.forgot(memory, 6, 1, 0, 0)
    assert guards.forgot(memory, 4, 9, 9, 999)
    assert guards.forgot(memory, 5, 2, 7, 100)
    assert guards.forgot(memory, 5, 3, 6, 100)
    assert guards.forgot(memory, 5, 3, 7, 99)
