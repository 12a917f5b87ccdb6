"""Each hole of the consensus library, as a script of a few messages: closed with its guard, open without."""

import zlib

import pytest
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    GROUP,
    THREE,
    TWO,
    US,
    MemoryDisk,
    Scripted,
    append,
    entries,
    founded,
    no_op,
)
from tests.helpers.snapshots import MemoryFiles, Shelf

from steelyard.replication.group import Failure
from steelyard.replication.guards import Guards
from steelyard.replication.log_record import Record
from steelyard.replication.log_store import LogStore, SnapshotRef
from steelyard.replication.snapshot_store import SnapshotStore
from steelyard.replication.wire import (
    Ack,
    Append,
    Beat,
    Offer,
    Piece,
    PieceRequest,
    PreVoteGrant,
    PreVoteRequest,
    Remembered,
    TermInfo,
    TimeoutNow,
    VoteGrant,
    VoteRequest,
)

WITHOUT_STRIP = Guards(strip=lambda message, log: (message, True))


def follower_with_six(guards: Guards | None = None, *, commit: int = 3) -> Scripted:
    """Return a follower of member 2 in term 1 that holds and acked entries up to 6."""
    member = Scripted(guards=guards)
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 6, 1)], commit=commit))
    assert member.store.last_index == 6
    return member


# --- durability -----------------------------------------------------------------------------------


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


# --- matching and commit --------------------------------------------------------------------------


def test_d8_a_repeated_first_batch_cuts_nothing_off() -> None:
    member = follower_with_six()
    (ack,) = member.append(TWO, append(1, (1, 0), [no_op(2, 1)], commit=6))

    assert member.store.last_index == 6
    assert isinstance(ack, Ack)
    assert (ack.success, ack.next_index) == (True, 3)
    assert member.store.commit_index == 3, "entries 4 to 6 were not verified by this message"


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


def test_d12_a_follower_answers_with_the_first_entry_of_the_conflicting_term() -> None:
    member = follower_with_six()
    (ack,) = member.append(THREE, append(3, (6, 2), []))
    assert isinstance(ack, Ack)
    assert (ack.success, ack.reset, ack.next_index) == (False, True, 4), "4 is just above the commit index"


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


def test_d13_a_joining_member_grants_neither_vote_nor_pre_vote() -> None:
    assert votes_while_joining(Guards()) == []


def test_d13_without_the_guard_a_wiped_member_could_vote_twice() -> None:
    said = votes_while_joining(Guards(may_vote=lambda joining, floor, term: True))
    assert said == [PreVoteGrant(3), VoteGrant(3)]


def test_d13_a_joining_member_does_not_campaign() -> None:
    member = Scripted(founded(joining=True))
    member.advance(2.5)
    member.hear(TWO, PreVoteGrant(1))
    member.turn(3)
    assert member.said() == []
    assert member.group.term == 0


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


def test_d13_a_new_life_of_a_follower_clears_the_leaders_book() -> None:
    member = Scripted()
    member.lead_ready()
    assert member.group.peers()[0].acked_index == member.store.last_index
    member.group.transport.link_down(TWO)
    member.link(TWO, incarnation=99, boots=1)
    assert member.group.peers()[0].acked_index == 0
    member.hear(TWO, member.rejection(2, last_index=1))
    assert member.group.next_index(TWO) == 2


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


def test_d14_a_repeated_vote_counts_once() -> None:
    assert not leads_after_twice_the_same_vote(Guards())


def test_d14_without_the_guard_it_counts_twice() -> None:
    assert leads_after_twice_the_same_vote(Guards(vote_counts=lambda voters, peer: True))


# --- snapshots ------------------------------------------------------------------------------------


def trimmed_leader() -> Scripted:
    """Return a leader whose log begins at 5."""
    member = follower_with_six()
    member.append(TWO, append(1, (6, 1), [], commit=6))
    member.store.add_snapshot(SnapshotRef(6, 1, "snap", bytes(32)))
    member.store.trim(5)
    member.turn(2)
    assert member.store.first_index == 5
    member.lead_ready()
    return member


@pytest.mark.filterwarnings(
    "ignore:unclosed file.*dev/null:ResourceWarning"
)  # the library opens and forgets it
def test_d17_d22_d24_a_follower_behind_the_first_entry_gets_one_heartbeat_a_turn_and_no_snapshot() -> None:
    member = trimmed_leader()
    member.hear(THREE, member.rejection(2, last_index=1))
    member.clock.now_s += 0.2
    member.turn()
    beats = member.said(THREE)
    assert [type(m) for m in beats] == [Beat]
    assert [p.needs_snapshot for p in member.group.peers()] == [False, True]

    member.hear(TWO, member.ack(member.store.last_index))
    member.group.propose(b"goes on", outcome := Outcome())
    member.turn()
    member.hear(TWO, member.ack(member.store.last_index))
    member.turn(2)
    assert outcome.calls == [member.store.last_index]


def shelf_of_a_leader() -> Shelf:
    """Return a leader of term 1 with entries up to 20 and a snapshot at 15."""
    store = LogStore(founded(TWO), GROUP, TWO)
    for record in (Record(b"\x01", 1, 0), no_op(2, 1), *entries(3, 20, 1)):
        store.append(record.index, record.term, record.body)
    store.hard_state(1, 0, 20)
    shelf = Shelf(store, GROUP)
    shelf.take(15, b"state at 15")
    return shelf


def feed(member: Scripted, shelf: Shelf, *, term: int = 1) -> None:
    """Let member 2 offer its snapshot and answer what is asked for."""
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member.hear(TWO, Beat(term, 20, 0), Offer(term, 15, *manifest))
    member.turn()
    for message in member.said(TWO):
        if isinstance(message, PieceRequest):
            data = shelf.pieces.piece(message.sha256, message.offset)
            assert data is not None
            member.hear(TWO, Piece(message.sha256, message.offset, zlib.crc32(data), data))


def test_a_follower_behind_the_log_installs_and_acks_only_after_the_flush() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    feed(member, shelf)
    member.turn()
    assert member.installed == [b"state at 15"]
    assert (member.group.applied_index, member.group.commit_index) == (15, 15)
    assert set(member.disk.log) == {14, 15}

    (ack,) = member.append(TWO, append(1, (15, 1), entries(16, 20, 1), commit=20))
    assert isinstance(ack, Ack)
    assert (ack.success, ack.next_index) == (True, 21)
    member.turn(2)
    assert [index for index, _ in member.applied] == [16, 17, 18, 19, 20]
    assert member.store.chain(20) == shelf.store.chain(20)


def test_the_answer_to_a_heartbeat_tells_the_leader_what_is_committed_here() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    feed(member, shelf)
    member.turn()
    member.said()
    member.hear(TWO, Beat(1, 20, 4))
    member.turn()
    (ack,) = member.said(TWO)
    assert isinstance(ack, Ack)
    assert (ack.success, ack.next_index, ack.last_index, ack.round) == (True, 16, 15, 4)


def test_a_leader_goes_on_behind_what_such_a_member_has() -> None:
    member = Scripted()
    member.lead_ready()
    for n in range(20):
        member.group.propose(b"%d" % n, Outcome())
        member.turn()
        member.hear(TWO, member.ack(member.store.last_index))
        member.turn(2)
    index = member.group.applied_index
    member.store.add_snapshot(SnapshotRef(index - 2, member.store.term(index - 2), "snap", bytes(32)))
    member.store.trim(index - 3)
    member.turn(2)
    # Member 3 acked far ahead in an earlier life; the engine still believes that.
    member.hear(THREE, member.ack(index))
    member.link(THREE, incarnation=9)
    member.hear(THREE, member.rejection(2, last_index=1))
    member.advance(0.2)
    assert any(isinstance(message, Beat) for message in member.said(THREE))
    member.hear(THREE, member.ack(index - 2))
    member.advance(0.2)
    sent = [message for message in member.said(THREE) if isinstance(message, Append)]
    assert sent
    assert sent[0].prev_index == index - 2


def test_d17_a_snapshot_of_what_our_log_holds_is_ignored() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 18, 1)], commit=3))
    feed(member, shelf)
    member.turn()
    assert member.installed == []
    assert member.store.last_index == 18, "entries 16 to 18 were acked"


def test_d17_without_the_guard_acked_entries_would_go() -> None:
    guards = Guards(holds=lambda index, term, log: False)
    member, shelf = Scripted(files=MemoryFiles(), guards=guards), shelf_of_a_leader()
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 18, 1)], commit=3))
    feed(member, shelf)
    member.turn()
    assert member.store.last_index == 15


def test_d17_a_snapshot_that_came_too_late_is_not_installed() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest))
    data = shelf.pieces.piece(ref.sha256, 0)
    assert data is not None
    # A later leader has the entries themselves, and its append arrives before the last piece.
    member.hear(THREE, append(2, (1, 0), [no_op(2, 1), *entries(3, 20, 1), no_op(21, 2)], commit=15))
    member.hear(TWO, Piece(ref.sha256, 0, zlib.crc32(data), data))
    member.turn(2)
    assert member.installed == []
    assert member.store.last_index == 21


def test_d17_an_offer_of_an_older_term_is_ignored() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    member.hear(THREE, Beat(5, 1, 0))
    feed(member, shelf, term=1)
    member.turn()
    assert member.installed == []


def test_d18_a_term_that_changes_meanwhile_does_no_harm() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest))
    member.hear(THREE, Beat(4, 20, 0))
    data = shelf.pieces.piece(ref.sha256, 0)
    assert data is not None
    member.hear(TWO, Piece(ref.sha256, 0, zlib.crc32(data), data))
    member.turn()
    assert member.installed == [b"state at 15"]
    assert member.group.term == 4
    assert LogStore(member.disk, GROUP, US).current_term == 4


def test_d18_a_crash_before_the_install_is_the_old_state_and_after_it_the_new_one() -> None:
    files, shelf = MemoryFiles(), shelf_of_a_leader()
    member = Scripted(files=files)
    feed(member, shelf)
    before = MemoryDisk(dict(member.disk.meta))
    before.log = dict(member.disk.log)
    member.turn()
    assert member.installed
    old = LogStore(before, GROUP, US)
    assert (old.first_index, old.snapshots()) == (1, [])
    new = LogStore(member.disk, GROUP, US)
    assert (new.first_index, new.commit_index) == (14, 15)
    assert SnapshotStore(files, GROUP).read(new.snapshots()[0]).state == b"state at 15"


def test_d18_a_damaged_piece_costs_the_connection() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest), Piece(ref.sha256, 0, 1, b"junk"))
    assert member.links.dropped == [(TWO, "a damaged piece of a snapshot")]


def test_d22_a_follower_that_needs_a_snapshot_still_answers_its_leader() -> None:
    member = Scripted()
    member.hear(TWO, Beat(3, 40, 9))
    member.turn()
    (ack,) = member.said(TWO)
    assert isinstance(ack, Ack)
    assert (ack.term, ack.success, ack.reset, ack.round) == (3, True, False, 9)
    assert ack.next_index == 2
    assert member.store.commit_index <= 1


def test_d19_entries_behind_a_snapshot_that_was_not_trimmed_are_all_there_after_a_restart() -> None:
    member = follower_with_six()
    member.append(TWO, append(1, (6, 1), entries(7, 9, 1), commit=6))
    member.store.add_snapshot(SnapshotRef(4, 1, "snap", bytes(32)))
    member.turn()

    again = Scripted(member.disk, restored_index=4)
    assert again.store.last_index == 9
    assert again.applied == [(5, b"entry 5"), (6, b"entry 6")]
    assert again.group.journal.first_index == 1, "lagging followers may have everything that is held"


def test_d23_the_engine_cannot_shorten_the_log() -> None:
    member = follower_with_six()
    member.group.journal.deleteEntriesTo(5)
    assert member.store.first_index == 1


def test_d19_the_engine_may_not_clear_the_log() -> None:
    code, said = exit_of(Scripted().group.journal.clear)
    assert code == 70
    assert "does not fit the snapshot" in said


# --- applying -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("kind", [b"\x02", b"\x03", b"\x04", b""])
def test_d27_d36_an_entry_of_another_kind_never_enters_the_log(kind: bytes) -> None:
    member = Scripted()
    member.hear(TWO, append(1, (1, 0), [Record(kind + b"payload", 2, 1)] if kind else [Record(b"", 2, 1)]))
    assert member.store.last_index == 1
    assert member.links.dropped == [(TWO, "unsound entries")]


def test_d27_without_the_check_the_process_stops_before_applying_it() -> None:
    def script() -> None:
        member = Scripted(guards=Guards(sound=lambda message: True))
        member.append(TWO, append(1, (1, 0), [Record(b"\x03payload", 2, 1)], commit=2))
        member.turn(2)

    code, said = exit_of(script)
    assert code == 70
    assert "unknown kind" in said


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


def test_d30_a_follower_takes_no_proposal_and_forwards_none() -> None:
    member = follower_with_six()
    member.said()
    member.group.propose(b"x", outcome := Outcome())
    member.turn()
    assert outcome.calls == [Failure.NOT_LEADER]
    assert member.said() == []


# --- elections and reads --------------------------------------------------------------------------


def answer_to_a_lower_term(guards: Guards) -> list[object]:
    member = Scripted(guards=guards)
    member.append(TWO, append(5, (1, 0), []))
    member.hear(THREE, append(4, (1, 0), []), VoteRequest(3, 1, 0))
    member.turn()
    return list(member.said(THREE))


def test_d33_a_lower_term_is_told_ours() -> None:
    assert answer_to_a_lower_term(Guards()) == [TermInfo(5), TermInfo(5)]


def test_d33_without_the_guard_it_learns_nothing() -> None:
    assert not any(
        isinstance(m, TermInfo) for m in answer_to_a_lower_term(Guards(tells_term=lambda message, own: False))
    )


def test_d33_a_deposed_leader_steps_down_when_told_and_grants_nothing() -> None:
    member = Scripted()
    term = member.lead()
    member.hear(TWO, TermInfo(term + 3))
    assert not member.group.is_leader()
    member.turn()
    assert (member.group.term, member.store.vote) == (term + 3, 0)


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


def test_d35_a_new_leader_serves_no_read_before_it_committed_in_its_term() -> None:
    member = Scripted()
    member.lead()
    member.group.read_barrier(outcome := Outcome())
    assert outcome.calls == [Failure.NOT_READY]


# --- network --------------------------------------------------------------------------------------


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
