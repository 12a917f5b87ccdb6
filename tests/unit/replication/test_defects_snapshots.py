"""Holes of the consensus library in snapshots (D17 to D25), as scripts of a few messages."""

import zlib

import pytest
from tests.helpers.cuts import closed_by, guard, instead, line
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
    follower_with_six,
    no_op,
    trimmed_leader,
)
from tests.helpers.snapshots import MemoryFiles, feed, shelf_of_a_leader

from steelyard.replication import snapshot_store
from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.fetching import Fetching
from steelyard.replication.guards import Guards
from steelyard.replication.journal import Journal
from steelyard.replication.log_store import LogStore, SnapshotRef
from steelyard.replication.snapshot_store import SnapshotStore
from steelyard.replication.transport import Transport
from steelyard.replication.wire import (
    Ack,
    Append,
    Beat,
    Offer,
    Piece,
)


@closed_by(
    "a member that needs a snapshot is paused",
    line(Transport._send_beat, "self._pause(peer)", "pass"),
    defect="D22",
)
@pytest.mark.filterwarnings(
    "ignore:unclosed file.*dev/null:ResourceWarning"
)  # the library opens and forgets it
def test_d17_d22_d24_a_follower_behind_the_first_entry_gets_one_heartbeat_a_turn_and_no_snapshot() -> None:
    member = trimmed_leader()
    member.hear(THREE, member.rejection(2, last_index=1))
    member.clock.now_s += 0.2
    member.clock.creep_s = 0.001
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


@closed_by("the guard holds", guard(holds=lambda index, term, log: False))
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


@closed_by(
    "what came too late is dropped",
    line(
        Transport.fetched,
        "self._store.commit_index >= self.fetching.wanted_index()",
        "False",
        "self._known(got.ref.index, got.ref.term)",
        "False",
    ),
)
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


@closed_by(
    "an offer needs the present term",
    line(Transport._on_offer, "message.term == self._store.current_term", "True"),
)
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


@closed_by("the check of a piece", line(Fetching.got, "zlib.crc32(piece.data) != piece.crc32", "False"))
def test_d18_a_damaged_piece_costs_the_connection() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    data = shelf.pieces.piece(ref.sha256, 0)
    assert data is not None
    damaged = Piece(ref.sha256, 0, zlib.crc32(data), data[:-1] + bytes([data[-1] ^ 1]))
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest), damaged)
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


@closed_by(
    "alignment", line(PysyncobjGroup.__init__, "restored_index - 1 if self._aligned else None", "None")
)
def test_d19_entries_behind_a_snapshot_that_was_not_trimmed_are_all_there_after_a_restart() -> None:
    member = follower_with_six()
    member.append(TWO, append(1, (6, 1), entries(7, 9, 1), commit=6))
    member.store.add_snapshot(SnapshotRef(4, 1, "snap", bytes(32)))
    member.turn()

    again = Scripted(member.disk, restored_index=4)
    assert again.store.last_index == 9
    assert again.applied == [(5, b"entry 5"), (6, b"entry 6")]
    assert again.group.journal.first_index == 1, "lagging followers may have everything that is held"


@closed_by(
    "the engine does not trim",
    instead(Journal, "deleteEntriesTo", lambda self, to: self._store.trim(self.first_index + to)),
)
def test_d23_the_engine_cannot_shorten_the_log() -> None:
    member = follower_with_six(commit=6)
    member.store.add_snapshot(SnapshotRef(6, 1, "snap", bytes(32)))
    member.group.journal.deleteEntriesTo(4)
    member.turn(2)
    assert member.store.first_index == 1


@closed_by("the log is not the engine's to clear", instead(Journal, "clear", lambda self: None))
def test_d19_the_engine_may_not_clear_the_log() -> None:
    code, said = exit_of(Scripted().group.journal.clear)
    assert code == 70
    assert "does not fit the snapshot" in said


class Device(MemoryFiles):
    """A folder whose unsynced contents and names go with the power."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: dict[str, bytes] = {}
        self.safe: dict[str, bytes] = {}
        """By name: what the device has."""

    def sync(self, name: str) -> None:
        """Let the device have a content."""
        self.synced[self.held[name].hex()] = self.held[name]

    def sync_names(self) -> None:
        """Let the device have the names; of an unsynced file it has no content."""
        self.safe = {name: self.synced.get(content.hex(), b"") for name, content in self.held.items()}

    def lose_power(self) -> None:
        """Forget what is not safe."""
        self.held = dict(self.safe)


@closed_by(
    "the sync of a snapshot",
    line(SnapshotStore.prepare, "self._files.sync(name + self._temporary)", "pass"),
    says="SnapshotDamaged",
)
@closed_by(
    "the sync of its name",
    line(SnapshotStore.publish_prepared, "files.sync_names()", "pass"),
    says="SnapshotDamaged",
)
def test_d21_a_snapshot_that_is_pointed_at_survives_a_loss_of_power() -> None:
    device = Device()
    shelf = shelf_of_a_leader(device)
    (ref,) = shelf.store.snapshots()
    device.lose_power()
    assert SnapshotStore(device, GROUP).read(ref).state == b"state at 15"


@closed_by(
    "the sync of a fetched one",
    line(SnapshotStore.publish, "files.sync(temporary)", "pass"),
    says="SnapshotDamaged",
)
def test_d21_a_fetched_snapshot_that_was_installed_survives_a_loss_of_power() -> None:
    device = Device()
    member = Scripted(files=device)
    feed(member, shelf_of_a_leader())
    member.turn()
    (ref,) = member.store.snapshots()
    device.lose_power()
    assert SnapshotStore(device, GROUP).read(ref).state == b"state at 15"


def test_d18_an_install_that_fails_changes_nothing_and_is_not_swallowed() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    member.group._restore = lambda _: 1 // 0  # type: ignore[assignment]
    feed(member, shelf)
    with pytest.raises(ZeroDivisionError):
        member.turn()
    assert (member.store.first_index, member.store.last_index, member.store.snapshots()) == (1, 1, [])


@closed_by(
    "the sha-256 of a fetched file",
    line(
        snapshot_store.decode,
        "hashlib.sha256(memoryview(content)[:-_SHA_BYTES]).digest() != content[-_SHA_BYTES:]",
        "False",
        "zlib.crc32(sections[section.name]) != section.crc32",
        "False",
    ),
)
def test_d18_a_file_that_is_not_what_was_offered_is_not_installed() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    content = bytearray(shelf.files.held[ref.name])
    content[-40] ^= 1  # a bit of the state; the pieces' own checksums are right
    shelf.files.held[ref.name] = bytes(content)
    feed(member, shelf)
    member.turn()
    assert member.installed == []
    assert member.store.last_index == 1


def test_d23_a_follower_three_behind_gets_entries_and_no_snapshot() -> None:
    member = follower_with_six()
    member.append(TWO, append(1, (6, 1), entries(7, 12, 1), commit=12))
    member.turn(2)
    member.store.add_snapshot(SnapshotRef(12, 1, "snap", bytes(32)))
    member.store.trim(8)
    member.lead_ready()
    assert member.store.first_index == 8
    last = member.store.last_index
    member.hear(THREE, member.rejection(last - 2, last_index=last - 3))
    member.advance(0.2)
    sent = [m for m in member.said(THREE) if isinstance(m, Append | Beat | Offer)]
    assert isinstance(sent[0], Append)
    assert sent[0].prev_index == last - 3
    assert len(sent[0].entries) == 3


@closed_by("pieces know their place", line(Fetching.got, "piece.offset != self._arrived", "False"))
def test_d24_a_piece_in_the_wrong_place_is_not_taken() -> None:
    member, shelf = Scripted(files=MemoryFiles()), shelf_of_a_leader()
    (ref,) = shelf.store.snapshots()
    manifest, data = shelf.pieces.manifest(ref), shelf.pieces.piece(ref.sha256, 0)
    assert manifest is not None
    assert data is not None
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest), Piece(ref.sha256, 7, zlib.crc32(data), data))
    member.turn(2)
    assert member.installed == []
