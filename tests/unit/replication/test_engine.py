"""Three members in one process over real loopback TCP and real LMDB."""

import socket
import struct
import time
import zlib
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.raft import MEMBERS, SECRET, Outcome, TcpGroup, tcp_group
from tests.helpers.scripted import GROUP as SCRIPTED_GROUP
from tests.helpers.scripted import TWO, Scripted, entries, founded
from tests.helpers.snapshots import MemoryFiles, Shelf

from steelyard.replication.group import Failure, MemberId
from steelyard.replication.log_record import Record
from steelyard.replication.log_store import LogStore, SnapshotRef
from steelyard.replication.outbox import BACKLOG_BYTES_MAX
from steelyard.replication.wire import Beat, Offer


def bodies(group: TcpGroup, member: MemberId) -> list[bytes]:
    return [body for _, body in group.members[member].applied]


def chains(group: TcpGroup) -> set[tuple[int, bytes]]:
    return {(m.group.last_index, m.store.chain(m.group.last_index)) for m in group.members.values()}


def test_members_elect_a_leader_and_apply_the_same_log(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        leader = group.elect()
        sent = [b"entry %d" % i for i in range(50)]
        indices = group.commit(*sent)

        assert indices == sorted(set(indices))
        group.run(lambda: all(bodies(group, m) == sent for m in MEMBERS))
        assert {m.group.leader() for m in group.members.values()} == {leader.store.identity.member}
        assert len(chains(group)) == 1
        assert leader.leadership == [True]


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_the_group_goes_on_without_any_one_member_which_then_catches_up(tmp_path: Path, victim: str) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"before")
        leader = group.elect().store.identity.member
        gone = MemberId(leader) if victim == "leader" else next(m for m in MEMBERS if m != leader)
        group.stop(gone)
        group.commit(b"without")
        group.start(gone)
        group.run(lambda: all(bodies(group, m) == [b"before", b"without"] for m in MEMBERS))


def test_everything_acknowledged_survives_a_kill_of_all_members_without_a_flush(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        sent = [b"entry %d" % i for i in range(20)]
        group.commit(*sent)
        for member in list(group.members.values()):
            member.group._core.destroy()  # close sockets and files as a kill would, flushing nothing
            member.store._disk.close()
            member.group._waiter.close()
        group.members.clear()

        group.start_all()
        group.commit(b"again")
        group.run(lambda: all(bodies(group, m) == [*sent, b"again"] for m in MEMBERS))


def test_a_restart_from_a_snapshot_applies_only_what_is_behind_it(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        indices = group.commit(b"a", b"b", b"c", b"d")
        follower = next(m for m in MEMBERS if m != group.elect().store.identity.member)
        group.run(lambda: len(group.members[follower].applied) == 4)
        store = group.members[follower].store
        store.add_snapshot(SnapshotRef(indices[1], store.term(indices[1]), "snap", bytes(32)))
        store.trim(indices[1])
        group.run(lambda: not store.dirty and not store.trim_pending)
        assert store.first_index == indices[1] - 1, "the snapshot's entry and the one before it stay"
        group.stop(follower)

        group.start(follower, restored_index=indices[1])
        group.commit(b"e")
        group.run(lambda: bodies(group, follower) == [b"c", b"d", b"e"])
        assert len(chains(group)) == 1


def test_a_wiped_member_catches_up_before_it_votes(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"a", b"b")
        wiped = next(m for m in MEMBERS if m != group.elect().store.identity.member)
        group.stop(wiped)
        group.wipe(wiped)
        member = group.start(wiped)
        assert member.group.joining
        group.commit(b"c")
        group.run(lambda: not member.group.joining)
        group.run(lambda: bodies(group, wiped) == [b"a", b"b", b"c"])
        assert member.store.identity.vote_floor >= 1
        assert len(chains(group)) == 1


def test_a_wiped_member_and_one_other_cannot_elect_anybody(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"a")
        leader = MemberId(group.elect().store.identity.member)
        wiped, other = (m for m in MEMBERS if m != leader)
        for member in MEMBERS:
            group.stop(member)
        group.wipe(wiped)
        group.start(wiped)
        group.start(other)
        group.run_for(1.5)
        assert not any(m.group.is_leader() for m in group.members.values())

        group.start(leader)
        group.commit(b"b")
        group.run(lambda: all(bodies(group, m) == [b"a", b"b"] for m in MEMBERS))


def test_a_read_barrier_covers_every_earlier_write(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        (index,) = group.commit(b"written")
        read = Outcome()
        group.elect().group.read_barrier(read)
        group.run(lambda: read.calls)
        assert isinstance(read.only, int)
        assert read.only >= index


def test_a_leader_alone_steps_down_and_says_so(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        leader = group.elect()
        for member in MEMBERS:
            if member != leader.store.identity.member:
                group.stop(member)
        leader.group.propose(b"lost", outcome := Outcome())
        leader.group.read_barrier(read := Outcome())
        group.run(lambda: not leader.group.is_leader())
        group.run(lambda: outcome.calls)
        assert outcome.only is Failure.OUTCOME_UNKNOWN
        assert read.only is Failure.NOT_LEADER
        assert leader.leadership == [True, False]


def test_the_window_bounds_what_is_in_flight(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        leader = group.elect().group
        outcomes = [Outcome() for _ in range(6)]
        for outcome in outcomes:
            leader.propose(b"x", outcome)
        assert [o.calls for o in outcomes] == [[], [], [], [], [Failure.WINDOW_FULL], [Failure.WINDOW_FULL]]
        group.run(lambda: all(o.calls for o in outcomes))
        large = [Outcome() for _ in range(3)]
        for outcome in large:
            leader.propose(bytes(1 << 20), outcome)
        assert large[2].calls == [Failure.WINDOW_FULL]
        group.run(lambda: all(o.calls for o in large))


def test_a_leader_hands_over_to_a_follower(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"x")
        old = group.elect()
        group.run(old.group.hand_over)
        group.run(lambda: not old.group.is_leader())
        group.commit(b"y")
        assert group.elect() is not old


def test_digests_reach_the_other_members(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.elect()
        group.members[MEMBERS[0]].group.broadcast_digest(7, b"d" * 16, b"c" * 16)
        group.run(lambda: all(group.members[m].digests for m in MEMBERS[1:]))
        assert group.members[MEMBERS[1]].digests == [(1, 7, b"d" * 16, b"c" * 16)]


def test_a_member_far_behind_catches_up_in_batches(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        leader = group.elect()
        late = next(m for m in MEMBERS if m != leader.store.identity.member)
        group.stop(late)
        sent = [bytes([i]) * (400 << 10) for i in range(20)]  # 8 MB: more than one batch
        group.commit(*sent)
        group.start(late)
        group.run(lambda: bodies(group, late) == sent)


def header(length: int) -> bytes:
    """Return a frame's header that verifies, whatever payload follows."""
    place = struct.pack(">IIQ", length, 0, 0)
    return place + struct.pack(">II", zlib.crc32(place), 0)


GARBAGE = {
    "noise": bytes(range(256)) * 40,
    "an http request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100,
    "a huge length": header(2**31),
    "a pickle with a plausible header": header(4) + b"N.N.",
    "an empty frame": header(0),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_on_the_peer_port_costs_the_connection_and_nothing_else(
    tmp_path: Path, garbage: bytes
) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.commit(b"before")
        target = group.members[MEMBERS[0]]
        before = sum(target.links.refused.values())
        with socket.create_connection(group.addresses[MEMBERS[0]]) as stranger:
            stranger.sendall(garbage)
            group.run(lambda: sum(target.links.refused.values()) == before + 1)
            stranger.settimeout(5)
            with suppress(ConnectionResetError):
                assert stranger.recv(1000) == b"", "a stranger is told nothing"
        group.commit(b"after")
        group.run(lambda: bodies(group, MEMBERS[0]) == [b"before", b"after"])
        assert SECRET not in garbage


def test_silent_strangers_are_closed_and_bounded(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        group.start_all()
        group.elect()
        refused = group.members[MEMBERS[0]].links.refused
        with ExitStack() as strangers:
            for _ in range(20):
                strangers.enter_context(socket.create_connection(group.addresses[MEMBERS[0]], timeout=5))
            group.run(lambda: refused.get("too many strangers", 0) == 4)
            group.run(lambda: refused.get("greeting took too long", 0) == 16)
            group.commit(b"goes on")


def test_members_tell_each_other_which_versions_their_builds_know(tmp_path: Path) -> None:
    with tcp_group(tmp_path) as group:
        plain = group.settings
        group.settings = lambda member: replace(plain(member), knows=10 + member)  # type: ignore[method-assign]
        for member in MEMBERS[:2]:
            group.start(member)
        group.elect()
        assert [peer.knows for peer in group.members[MEMBERS[0]].group.peers()] == [12, 0]
        group.start(MEMBERS[2])
        group.run(lambda: [peer.knows for peer in group.members[MEMBERS[0]].group.peers()] == [12, 13])
        group.stop(MEMBERS[2])
        group.run(lambda: not group.members[MEMBERS[0]].group.peers()[1].connected)
        assert group.members[MEMBERS[0]].group.peers()[1].knows == 13, "what was heard is remembered"


def test_a_stalled_follower_slows_nobody_and_costs_bounded_memory(tmp_path: Path) -> None:
    with tcp_group(tmp_path, map_bytes=128 << 20) as group:
        group.start_all()
        leader = group.elect()
        stalled = next(m for m in MEMBERS if group.members[m] is not leader)
        asleep = group.members.pop(stalled)
        body = bytes(500_000)
        backlog_bytes = 0
        waits_s = []
        for _ in range(80):  # 40 MB, of which the stalled one's socket takes a few
            started_s = time.monotonic()
            group.commit(body)
            waits_s.append(time.monotonic() - started_s)
            backlog_bytes = max(backlog_bytes, leader.links.backlog_bytes(stalled))
        assert backlog_bytes < 2 * BACKLOG_BYTES_MAX
        assert sorted(waits_s)[len(waits_s) // 2] < 0.25
        group.members[stalled] = asleep
        group.run(lambda: len(asleep.applied) == 80, within_s=20)


def test_a_member_says_that_it_fetches_a_snapshot() -> None:
    shelf = Shelf(founded_store(20), SCRIPTED_GROUP)
    ref = shelf.take(15, b"state")
    manifest = shelf.pieces.manifest(ref)
    assert manifest is not None
    member = Scripted(files=MemoryFiles())
    assert not member.group.fetching
    member.hear(TWO, Beat(1, 20, 0), Offer(1, 15, *manifest))
    assert member.group.fetching


def founded_store(last: int) -> LogStore:
    """Return another member's store with so many committed entries."""
    store = LogStore(founded(TWO), SCRIPTED_GROUP, TWO)
    for record in (Record(b"\x01", 1, 0), *entries(2, last, 1)):
        store.append(record.index, record.term, record.body)
    store.hard_state(1, 0, last)
    return store
