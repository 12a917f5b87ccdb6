"""Holes of the consensus library in what a crash leaves (D1 to D7), as scripts of a few messages."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.cuts import both, closed_by, instead, line
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
    founded,
    no_op,
)

from steelyard.replication import disk, log_record
from steelyard.replication.disk import LmdbDisk, Write
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.log_record import ENTRY, HardState, Record, SnapshotRef, pack, pack_meta
from steelyard.replication.log_store import LogStore, found, open_store
from steelyard.replication.outbox import Outbox
from steelyard.replication.poller import Poller
from steelyard.replication.wire import (
    Ack,
    NoPiece,
    PieceRequest,
    TermInfo,
    VoteGrant,
    VoteRequest,
)


@closed_by("acks are held", line(Outbox.post, "hold=self._store.dirty", "hold=False"))
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


@closed_by("votes are held", line(Outbox.post, "hold=self._store.dirty", "hold=False"))
def test_d4_a_vote_leaves_only_after_the_flush() -> None:
    member = Scripted()
    commits = member.disk.commits
    member.hear(TWO, VoteRequest(1, 1, 0))
    assert member.said(TWO) == []

    member.turn()
    assert member.said(TWO) == [VoteGrant(1)]
    assert member.disk.commits > commits
    assert LogStore(member.disk, GROUP, US).vote == TWO


@closed_by("later frames queue behind held ones", line(Outbox._send, "hold or peer.held", "hold"))
def test_d4_frames_behind_a_held_one_keep_their_order() -> None:
    member = Scripted()
    member.hear(TWO, VoteRequest(5, 1, 0), VoteRequest(4, 1, 0))
    member.turn()
    assert member.said(TWO) == [VoteGrant(5), TermInfo(5)]

    member.hear(TWO, VoteRequest(6, 1, 0), PieceRequest(bytes(32), 0))
    assert member.said(TWO) == [], "what promises nothing waits for its turn, too"
    member.turn()
    assert member.said(TWO) == [VoteGrant(6), NoPiece(bytes(32))]


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


@closed_by("the check at open", line(LogStore._load, "self._hard.commit > self.last_index", "False"))
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


MAP_BYTES = 4 << 20


class LateDisk(MemoryDisk):
    """Says that a commit is on the device before it is; a loss of power takes the last one back."""

    def commit(self, write: Write) -> None:
        """Apply a transaction that is not safe before the next one."""
        self.before = (dict(self.meta), dict(self.log))
        super().commit(write)

    def lose_power(self) -> None:
        """Go back to what was safe."""
        self.meta, self.log = self.before


class Copies(MemoryDisk):
    """Keeps what a kill would leave at each step of a commit; a whole commit has one step."""

    def __init__(self, meta: dict[bytes, bytes], *, whole: bool) -> None:
        super().__init__(meta)
        self.whole = whole
        self.left: list[MemoryDisk] = []

    def commit(self, write: Write) -> None:
        """Apply a transaction, or its parts one after the other."""
        parts = [write] if self.whole else [Write(deletes=write.deletes), Write([], write.puts, write.meta)]
        for part in parts:
            super().commit(part)
            copy = MemoryDisk(dict(self.meta))
            copy.log = dict(self.log)
            self.left.append(copy)


@closed_by("full sync", line(disk._open, "sync=True,\n        meta", "sync=False,\n        meta"))
@closed_by("metasync", line(disk._open, "metasync=True", "metasync=False"))
def test_d1_the_log_is_opened_for_full_sync(tmp_path: Path) -> None:
    disk = LmdbDisk(tmp_path, MAP_BYTES, create=True)
    flags = disk._env.flags()
    disk.close()
    assert (flags["sync"], flags["metasync"]) == (True, True)
    assert (flags["writemap"], flags["map_async"]) == (False, False)


def kept_what_it_acked(disk: LateDisk, *, power_fails: bool) -> bool:
    member = Scripted(disk)
    (ack,) = member.append(TWO, append(1, (1, 0), [no_op(2, 1)]))
    assert isinstance(ack, Ack)
    if power_fails:
        disk.lose_power()
    return LogStore(disk, GROUP, US).last_index >= ack.next_index - 1


def test_d1_a_store_that_syncs_late_loses_what_it_acked_and_ours_does_not() -> None:
    assert kept_what_it_acked(LateDisk(founded().meta), power_fails=False)
    assert not kept_what_it_acked(LateDisk(founded().meta), power_fails=True)


@closed_by(
    "the hash chain at open",
    line(LogStore._load, "chain != chain_next(self._last_chain, index, record.term, record.body)", "False"),
)
def test_d1_a_sound_entry_of_another_history_is_noticed() -> None:
    disk = follower_with_six().disk
    disk.log[4] = pack(Record(ENTRY + b"of another log", 4, 1), bytes(16))
    with pytest.raises(StoreDamaged, match="the hash chain breaks at index 4"):
        LogStore(disk, GROUP, US)


@closed_by(
    "the crc of an entry",
    line(log_record.parse, "zlib.crc32(body, zlib.crc32(_CHECKED.pack(index, term, chain))) != crc", "False"),
)
def test_d1_a_flipped_bit_in_the_log_is_noticed() -> None:
    disk = follower_with_six().disk
    disk.log[4] = disk.log[4][:-1] + b"X"
    with pytest.raises(StoreDamaged, match="entry 4 has a wrong checksum"):
        LogStore(disk, GROUP, US)


def second_vote_after_a_crash(*, forget: bool) -> list[object]:
    member = Scripted()
    member.hear(TWO, VoteRequest(1, 1, 0))
    member.turn()
    assert member.said(TWO) == [VoteGrant(1)]
    if forget:
        member.disk.meta[b"hard"] = pack_meta(HardState(1, 0, 0))
    again = Scripted(member.disk)
    again.hear(THREE, VoteRequest(1, 1, 0))
    again.turn()
    return list(again.said(THREE))


@closed_by("a vote makes the store dirty", line(LogStore.hard_state, "self.dirty = True", "pass"))
def test_d2_a_vote_is_remembered_over_a_crash() -> None:
    assert second_vote_after_a_crash(forget=False) == []


def test_d2_without_the_vote_on_disk_there_are_two_in_one_term() -> None:
    assert second_vote_after_a_crash(forget=True) == [VoteGrant(1)]


@closed_by(
    "the crc of the hard state",
    line(log_record.parse_meta, "_META_CRC.unpack_from(raw)[0] != zlib.crc32(raw[4:])", "False"),
)
def test_d2_a_vote_that_reads_differently_refuses_to_start() -> None:
    member = Scripted()
    member.hear(TWO, VoteRequest(1, 1, 0))
    member.turn()
    raw = member.disk.meta[b"hard"]
    other = pack_meta(HardState(1, THREE, member.store.commit_index))
    member.disk.meta[b"hard"] = raw[:4] + other[4:]
    with pytest.raises(StoreDamaged, match="hard is missing or damaged"):
        LogStore(member.disk, GROUP, US)


def commits_what_its_disk_lacks(worsen: Callable[[Scripted], None]) -> bool:
    member = Scripted()
    member.lead_ready()
    worsen(member)
    for _ in range(3):
        member.group.propose(b"x", Outcome())
        member.turn()
        member.hear(TWO, member.ack(member.store.last_index))
        member.turn()
    return member.store.commit_index > member.store.durable_last_index


@closed_by(
    "the flushes before and after waiting",
    both(line(Poller.poll, "self._barrier()", "pass"), line(Poller.wait, "self._barrier()", "pass")),
)
def test_d3_a_commit_counts_only_what_our_disk_has() -> None:
    assert not commits_what_its_disk_lacks(lambda _: None)


def test_d3_without_the_flushes_of_the_loop_it_would_count_more() -> None:
    def never_flush(member: Scripted) -> None:
        member.group.loop._barrier = lambda: None

    assert commits_what_its_disk_lacks(never_flush)


@closed_by(
    "the bound of a commit index",
    line(LogStore.hard_state, "not old.commit <= commit <= max(self.last_index, old.commit)", "False"),
)
def test_d5_a_commit_index_beyond_the_log_is_never_noted() -> None:
    store = follower_with_six().store
    code, said = exit_of(lambda: store.hard_state(1, 0, 7))
    assert code == 70
    assert "commit went from 3 to 7, last is 6" in said


def opens_wherever_a_trim_is_killed(*, whole: bool) -> bool:
    disk = Copies(founded().meta, whole=whole)
    store = LogStore(disk, GROUP, US)
    for record in entries(1, 10, 1):
        store.append(record.index, record.term, record.body)
    store.hard_state(1, 0, 10)
    store.add_snapshot(SnapshotRef(8, 1, "snap", bytes(32)))
    store.flush()
    store.trim(7)
    store.truncate(11)
    disk.left.clear()
    store.flush()
    try:
        lasts = [LogStore(left, GROUP, US).last_index for left in disk.left]
    except StoreDamaged:
        return False
    return lasts == [10] * len(disk.left)


@closed_by(
    "the head in the transaction of the trim",
    line(LogStore._trim_some, 'self._meta_changed[b"head"] = pack_meta(head)', "pass"),
)
def test_d6_a_trim_that_is_killed_leaves_the_whole_log() -> None:
    assert opens_wherever_a_trim_is_killed(whole=True)


def test_d6_a_trim_in_two_transactions_would_not() -> None:
    assert not opens_wherever_a_trim_is_killed(whole=False)


@closed_by("64 bits", instead(disk, "_KEY", struct.Struct(">I")))
def test_d7_an_index_beyond_32_bits_is_kept_in_order(tmp_path: Path) -> None:
    far = 1 << 33
    found(tmp_path, GROUP, US, map_bytes=MAP_BYTES)
    store = open_store(tmp_path, GROUP, US, map_bytes=MAP_BYTES)
    before, at, behind = entries(far - 1, far + 1, 1)
    store.install(SnapshotRef(far, 1, "snap", bytes(32)), bytes(16), before, at)
    store.append(behind.index, behind.term, behind.body)
    store.close()
    again = open_store(tmp_path, GROUP, US, map_bytes=MAP_BYTES)
    assert again.entries(far - 1, far + 1) == [before, at, behind]
    again.close()


@closed_by("trimming", line(LogStore._trim_some, "write.deletes.append(range(first, keep_from))", "pass"))
def test_d7_the_room_of_what_was_trimmed_is_used_again(tmp_path: Path) -> None:
    found(tmp_path, GROUP, US, map_bytes=MAP_BYTES)
    store = open_store(tmp_path, GROUP, US, map_bytes=MAP_BYTES)
    written_bytes, names = 0, [""]
    while written_bytes < 3 * MAP_BYTES:
        for _ in range(30):
            store.append(store.last_index + 1, 1, ENTRY + bytes(16 << 10))
            written_bytes += 16 << 10
        store.hard_state(1, 0, store.last_index)
        store.flush()
        names.append(f"snap {store.last_index}")
        store.add_snapshot(SnapshotRef(store.last_index, 1, names[-1], bytes(32)))
        store.drop_snapshot(names[-2])
        store.trim(store.last_index)
        store.flush()
    assert store.used_fraction() < 0.5
    store.close()
