"""Holes of the consensus library in applying and proposing (D26 to D32), as scripts of a few messages."""

import threading

import pytest
from tests.helpers.cuts import closed_by, guard, instead, line
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    THREE,
    TWO,
    Scripted,
    append,
    entries,
    follower_with_six,
)

from steelyard.replication import engine
from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.group import Failure
from steelyard.replication.guards import Guards
from steelyard.replication.journal import Journal
from steelyard.replication.log_record import ENTRY, Record
from steelyard.replication.window import Window
from steelyard.replication.wire import (
    VoteRequest,
)


@closed_by(
    "an exception in apply stops",
    line(
        PysyncobjGroup.apply_command,
        'fail_stop(EX_INVARIANT, f"applying entry {index} failed: {format_exc()}")',
        "raise",
    ),
)
def test_d26_an_exception_in_apply_stops_the_process() -> None:
    def script() -> None:
        member = Scripted()
        member.group._apply = lambda *_: 1 // 0  # type: ignore[assignment]
        member.append(TWO, append(1, (1, 0), entries(2, 2, 1), commit=2))
        member.turn(2)

    code, said = exit_of(script)
    assert code == 70
    assert "applying entry 2 failed" in said
    assert "ZeroDivisionError" in said


@closed_by("the guard sound", guard(sound=lambda message: True), kind=b"\x02")
@pytest.mark.parametrize("kind", [b"\x02", b"\x03", b"\x04", b""])
def test_d27_d36_an_entry_of_another_kind_never_enters_the_log(kind: bytes) -> None:
    member = Scripted()
    member.hear(TWO, append(1, (1, 0), [Record(kind + b"payload", 2, 1)] if kind else [Record(b"", 2, 1)]))
    assert member.store.last_index == 1
    assert member.links.dropped == [(TWO, "unsound entries")]


@closed_by(
    "an unknown kind stops",
    line(
        PysyncobjGroup.apply_command,
        'fail_stop(EX_INVARIANT, f"entry {index} is of unknown kind {command[:1].hex()}")',
        "pass",
    ),
)
def test_d27_without_the_check_the_process_stops_before_applying_it() -> None:
    def script() -> None:
        member = Scripted(guards=Guards(sound=lambda message: True))
        member.append(TWO, append(1, (1, 0), [Record(b"\x03payload", 2, 1)], commit=2))
        member.turn(2)

    code, said = exit_of(script)
    assert code == 70
    assert "unknown kind" in said


@closed_by(
    "slices by count",
    line(Journal.__getitem__, "item.stop - item.start, APPLY_ENTRIES_MAX", "item.stop - item.start"),
)
def test_d28_a_long_tail_is_applied_in_slices() -> None:
    member = Scripted()
    member.append(TWO, append(1, (1, 0), entries(2, 401, 1), commit=401))
    counts = []
    for _ in range(10):
        before = len(member.applied)
        member.turn()
        counts.append(len(member.applied) - before)
    assert max(counts) == 64
    assert len(member.applied) == 400


@closed_by(
    "pending requests are failed",
    line(Window.fail, "done(Failure.OUTCOME_UNKNOWN)", "pass"),
)
@closed_by(
    "queued requests are failed",
    line(Window.fail, "for _, done in queued:", "for _, done in []:"),
)
def test_d29_d30_what_was_pending_when_leadership_is_lost_is_told_so_once() -> None:
    member = Scripted()
    term = member.lead_ready()
    member.group.propose(b"pending", pending := Outcome())
    member.turn()
    member.group.propose(b"queued", queued := Outcome())
    member.group.read_barrier(read := Outcome())
    member.hear(THREE, VoteRequest(term + 1, 99, term))
    member.turn(3)
    assert pending.calls == [Failure.OUTCOME_UNKNOWN]
    assert queued.calls == [Failure.NOT_LEADER]
    assert read.calls == [Failure.NOT_LEADER]
    assert member.leadership == [True, False]


@closed_by(
    "only a leader takes proposals",
    line(
        PysyncobjGroup.propose,
        "not self.leads()",
        "False",
        "not self.ready()",
        "False",
        "not self._window.open",
        "False",
    ),
)
def test_d30_a_follower_takes_no_proposal_and_forwards_none() -> None:
    member = follower_with_six()
    member.said()
    member.group.propose(b"x", outcome := Outcome())
    member.turn()
    assert outcome.calls == [Failure.NOT_LEADER]
    assert member.said() == []


@closed_by(
    "an exception in a callback stops",
    line(
        PysyncobjGroup.apply_command,
        'fail_stop(EX_INVARIANT, f"applying entry {index} failed: {format_exc()}")',
        "raise",
    ),
)
def test_d26_an_exception_in_a_callback_stops_the_process() -> None:
    def script() -> None:
        member = Scripted()
        member.lead_ready()
        member.group.propose(b"x", lambda _: 1 // 0)  # type: ignore[arg-type]
        member.turn()
        member.hear(TWO, member.ack(member.store.last_index))
        member.turn()

    code, said = exit_of(script)
    assert code == 70
    assert "ZeroDivisionError" in said


@closed_by(
    "entries are applied in order, once",
    line(
        PysyncobjGroup.apply_command,
        "self._core.raftLastApplied != self._applied or record is None or record.body is not command",
        "False",
    ),
)
def test_d26_an_entry_is_not_applied_again() -> None:
    def script() -> None:
        member = Scripted()
        member.append(TWO, append(1, (1, 0), entries(2, 2, 1), commit=2))
        member.turn()
        assert [index for index, _ in member.applied] == [2]
        member.group.apply_command(member.store.entry(2).body)

    code, said = exit_of(script)
    assert code == 70
    assert "asked to apply another entry than 3" in said


@closed_by("slices by bytes", line(Journal.__getitem__, "APPLY_BYTES_MAX", "1 << 40"))
def test_d28_large_entries_are_applied_in_smaller_slices() -> None:
    member = Scripted()
    large = [Record(ENTRY + bytes(40 << 10), index, 1) for index in range(2, 12)]
    member.append(TWO, append(1, (1, 0), large, commit=11))
    before = len(member.applied)
    member.turn()
    assert len(member.applied) - before == 1


@closed_by("the term in a proposal's place", line(Window.settle, "(index, term) == applied[1:]", "True"))
def test_d29_an_entry_of_another_term_in_a_proposals_place_is_not_its_success() -> None:
    """Leadership that ended fails what waits before anything else is applied; this is the second lock."""
    member = Scripted()
    term = member.lead_ready()
    member.group.propose(b"x", outcome := Outcome())
    member.turn()
    member.group._window.settle(Record(ENTRY + b"another", member.store.last_index, term + 1))
    assert outcome.calls == [Failure.OUTCOME_UNKNOWN]


@closed_by(
    "the library's queue is not drained",
    instead(engine._Core, "_checkCommandsToApply", engine._syncobj.SyncObj._checkCommandsToApply),
)
def test_d30_what_is_in_the_librarys_queue_goes_nowhere() -> None:
    """It is never used: proposals go into the log past it, and nothing takes anything out of it."""
    for member in (follower_with_six(), leader()):
        last = member.store.last_index
        member.said()
        member.group._core._applyCommand(b"\x00from the queue", None)
        member.turn(3)
        assert member.said() == []
        assert member.store.last_index == last


def leader() -> Scripted:
    member = Scripted()
    member.lead_ready()
    return member


@closed_by(
    "the library dumps nothing",
    line(PysyncobjGroup._conf, "serializer=_refuse_compaction", "serializer=lambda *_: None"),
)
def test_d31_no_method_is_replicated_and_no_attribute_dumped() -> None:
    core = Scripted().group._core
    assert (core._methodToID, core._idToMethod) == ({}, {})
    code, said = exit_of(lambda: core._SyncObj__conf.serializer("file", ()))
    assert code == 70
    assert "compacts the log on its own" in said


@closed_by("no tick of the library's own", line(PysyncobjGroup._conf, "autoTick=False", "autoTick=True"))
def test_d32_there_is_one_thread() -> None:
    member = leader()
    assert member.group._core._SyncObj__thread is None
    assert threading.active_count() == 1
