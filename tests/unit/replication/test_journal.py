"""The engine's view of the log: positions, slices, permits."""

from tests.helpers.raft import exit_of
from tests.helpers.scripted import GROUP, US, founded

from steelyard.replication.journal import Journal, Tail
from steelyard.replication.log_store import LogStore


def journal(last: int = 200, *, aligned_first: int | None = None, size: int = 0) -> Journal:
    store = LogStore(founded(), GROUP, US)
    for index in range(1, last + 1):
        store.append(index, 1, bytes(size) if size else b"\x00%d" % index)
    store.hard_state(1, 0, min(50, last))
    return Journal(store, aligned_first)


def test_positions_count_from_the_first_entry_shown() -> None:
    log = journal()
    assert len(log) == 200
    assert log[0] == (b"\x001", 1, 1)
    assert log[-1] == (b"\x00200", 200, 1)
    assert log[17] == (b"\x0018", 18, 1)

    aligned = journal(aligned_first=101)
    assert len(aligned) == 100
    assert aligned[0] == (b"\x00101", 101, 1)
    aligned.show_all()
    assert aligned[0] == (b"\x001", 1, 1)


def test_a_bounded_slice_is_short_but_never_empty() -> None:
    assert [r.index for r in journal()[10:150]] == list(range(11, 75))
    assert len(journal(10, size=40 << 10)[2:9]) == 1
    assert len(journal(3, size=1 << 20)[0:3]) == 1
    assert journal()[200:210] == []
    assert journal()[195:210] == list(journal()[195:])


def test_an_open_slice_reads_only_what_is_looked_at() -> None:
    tail = journal(10_000)[3:]
    assert isinstance(tail, Tail)
    assert len(tail) == 4096, "a message has room for so many"
    assert tail[0].index == 4
    assert [r.index for r in tail[:3]] == [4, 5, 6]
    assert len(tail._read) == 256
    assert [r.index for r in tail] == list(range(4, 4100))
    assert len(journal()[200:]) == 0


def test_a_tail_that_may_not_be_cut_is_not_shown() -> None:
    log = journal()
    log.begin_delivery(may_cut=False)
    assert len(log[99:]) == 1
    log.end_delivery()
    assert len(log[99:]) == 101


def test_a_truncation_needs_a_conflict_and_stays_above_the_commit() -> None:
    log = journal()
    log.begin_delivery(may_cut=True)
    log.deleteEntriesFrom(100)
    assert log[-1].index == 100
    assert exit_of(lambda: log.deleteEntriesFrom(49))[0] == 70
    log.end_delivery()
    assert exit_of(lambda: log.deleteEntriesFrom(90))[0] == 70


def test_term_vote_and_commit_pass_through() -> None:
    log = journal()
    log.setCurrentTerm(7, None)
    assert (log.getCurrentTerm(), log.getVotedForNodeId()) == (7, None)
    log.setCurrentTerm(7, 2)
    log.setRaftCommitIndex(60)
    assert (log.getVotedForNodeId(), log.getRaftCommitIndex()) == (2, 60)
    assert Journal(LogStore(founded(), GROUP, US), None).getRaftCommitIndex() == 1
