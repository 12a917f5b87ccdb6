"""Real replica processes on loopback: kills, restarts, wipes, damage and garbage."""

import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest
from tests.helpers.replicas import Link, NotDone, Replicas, Trader, request

from steelyard.core import snapshot
from steelyard.core.commands import ActivateVersion, FoundGroup
from steelyard.core.entry import Accepted, AnyReply, Refused
from steelyard.core.queries import Balances, GetBalances
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId
from steelyard.replication.config import node_paths, prepare_replacement, split_endpoint
from steelyard.replication.digests import INTERVAL
from steelyard.replication.files import FolderFiles
from steelyard.replication.front import Answer, Done, Failed, FailureReason, Open, ReadMode, Submit
from steelyard.replication.group import MemberId
from steelyard.replication.log_store import open_store
from steelyard.replication.snapshot_store import Snapshot, SnapshotStore

pytestmark = pytest.mark.processes

BALANCES = GetBalances(account=AccountId(Trader.ACCOUNT))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Replicas]:
    with Replicas(tmp_path / "group") as group:
        yield group


def test_a_killed_leader_loses_nothing_and_repeats_nothing(group: Replicas) -> None:
    trader = Trader(group)
    for _ in range(5):
        trader.trade(60)
    for _ in range(2):
        leader = group.leader()
        unanswered = trader.next_requests(60)
        raws = [msgspec.Raw(msgspec.msgpack.encode(each)) for each in unanswered]
        group.member(leader).send(Submit(list(range(60)), raws))
        group.kill(leader)
        trader.send(unanswered)
        trader.trade(60)
        group.start(leader)
    states = group.level()
    assert len({state.digest for state in states.values()}) == 1
    group.stop()
    audited = group.audit()
    trader.check(audited)
    assert len(trader.acknowledged) == 5 * 60 + 4 * 60


def test_all_killed_restart_from_snapshot_and_log(tmp_path: Path) -> None:
    with Replicas(tmp_path / "group", snapshot_entries=20, log_keep_entries=10) as group:
        trader = Trader(group)
        for _ in range(90):
            trader.trade(2)
        before = group.level()
        assert all(state.snapshot_index > 0 for state in before.values()), before
        leader = group.leader()
        answer = group.member(leader).ask(trader.key, BALANCES)
        for member in (1, 2, 3):
            group.kill(member)
        for member in (1, 2, 3):
            group.start(member)
        again = group.member(group.leader()).ask(trader.key, BALANCES)
        assert isinstance(answer, Answer)
        assert isinstance(again, Answer)
        assert again.answer == answer.answer
        trader.trade(5)
        after = group.level()
        assert all("restored the state of index" in group.log(member) for member in (1, 2, 3))
        assert all(state.log_first_index > 1 for state in after.values())
        group.stop()
        trader.check(group.audit())


def test_a_wiped_follower_catches_up_and_does_not_vote_before(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(50)
    group.level()
    leader = group.leader()
    wiped, other = (member for member in (1, 2, 3) if member != leader)
    group.stop()
    shutil.rmtree(node_paths(group.directory, wiped).node)

    # A majority of processes, but only one may vote: nobody leads, for as long as elections usually take.
    group.start(wiped)
    group.start(other)
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        assert group.member(wiped).state().role == "joining"
        assert group.member(other).state().role == "follower"

    group.start(leader)
    trader.trade(50)
    states = group.level()
    assert states[wiped].applied_index == states[leader].applied_index
    while group.member(wiped).state().role == "joining":
        pass
    group.kill(leader)
    trader.trade(50)
    group.start(leader)
    group.level()
    group.stop()
    trader.check(group.audit())


@pytest.mark.parametrize("wiped", [False, True])
def test_a_member_behind_the_others_logs_comes_back_by_snapshot_and_votes_again(
    tmp_path: Path, wiped: bool
) -> None:
    with Replicas(tmp_path / "group", snapshot_entries=15, log_keep_entries=10) as group:
        trader = Trader(group)
        group.level()
        leader = group.leader()
        behind, other = (member for member in (1, 2, 3) if member != leader)
        group.kill(behind)
        if wiped:
            shutil.rmtree(node_paths(group.directory, behind).node)
        for _ in range(60):
            trader.trade(1)
        group.level()
        for member in (leader, other):
            while group.member(member).state().log_first_index == 1:
                pass
        group.start(behind)
        trader.trade(10)
        states = group.level()
        assert "installed the snapshot of index" in group.log(behind)
        assert states[behind].log_first_index > 1
        assert not states[behind].needs_snapshot
        while group.member(behind).state().role == "joining":
            pass
        # Its vote and its log are now the ones that count.
        group.kill(leader)
        trader.trade(10)
        group.start(leader)
        states = group.level()
        assert len({state.digest for state in states.values()}) == 1
        # What it installed survives a restart.
        group.kill(behind)
        group.start(behind)
        trader.trade(10)
        group.level()
        group.stop()
        trader.check(group.audit())


def test_a_dead_member_is_replaced_under_load_and_votes_once_it_has_caught_up(tmp_path: Path) -> None:
    with Replicas(tmp_path / "group", snapshot_entries=15, log_keep_entries=10) as group:
        trader = Trader(group)
        leader = group.leader()
        dead, other = (member for member in (1, 2, 3) if member != leader)
        group.kill(dead)
        for _ in range(40):
            trader.trade(1)
        prepare_replacement(group.directory, dead)
        group.start(dead)
        while (state := group.member(dead).state()).role != "follower" or not state.ready:
            trader.trade(1)
        assert group.log(dead).index("joining in term") < group.log(dead).index(
            "caught up: voting in terms above"
        )
        group.level()
        group.kill(other)
        trader.trade(10)
        group.kill(leader)
        group.start(other)
        trader.trade(10)
        group.start(leader)
        group.level()
        group.stop()
        trader.check(group.audit())


def test_garbage_is_answered_with_a_closed_connection_and_changes_nothing(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(10)
    before = group.level()
    leader = group.leader()
    path = node_paths(group.directory, leader).front_socket
    frame = struct.Struct("<I")
    garbage = [
        b"\xff" * 64,  # a frame of 4 GiB
        frame.pack(5) + b"hello",
        frame.pack(0),
        frame.pack(1) + b"\xc1",
        frame.pack(3000) + b"\x91" * 3000,  # nested deeper than any decoder goes
        b"GET / HTTP/1.1\r\nHost: exchange\r\n\r\n",
    ]
    for data in garbage:
        for opened in (False, True):
            link = Link(path, group.config.group if opened else "")
            link.send_bytes(data)
            assert link.is_closed(), data
            link.close()
    for first in (
        Open(99, group.config.group, "test"),
        Open(1, "another", "test"),
        Open(1, group.config.group, ""),
        Submit([], []),
    ):
        link = Link(path, "")
        link.send(first)
        assert link.is_closed(), first
        link.close()
    for data in garbage:
        with socket.create_connection(split_endpoint(group.config.members[leader - 1].peer), 10) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
    after = group.level()
    assert group.leader() == leader
    assert {state.digest for state in after.values()} == {state.digest for state in before.values()}
    assert after[leader].commands_applied == before[leader].commands_applied
    trader.trade(10)


def test_what_cannot_be_decoded_is_refused_and_the_group_goes_on(group: Replicas) -> None:
    trader = Trader(group)
    link = group.member(group.leader())
    bad_text = b"\x97\x00\x00\x00\x01\x00\x00\x93\x05\xcd\x03\xe8\xa2\xff\xff"
    raws = [b"\xc0", b"\x91" * 400 + b"\xc0", bad_text, b"\x97\x01\x01\x01\x01\x01\x00\x91\xcc\xc8"]
    link.send(Submit([7, 8, 9, 10], [msgspec.Raw(raw) for raw in raws]))
    done = link.receive_answer()
    assert isinstance(done, Done)
    assert done.refs == [7, 8, 9, 10]
    replies = [msgspec.msgpack.decode(reply, type=AnyReply) for reply in done.replies]
    assert all(isinstance(reply, Refused) and reply.reason is Reject.MALFORMED for reply in replies)
    link.send(Submit([11], [msgspec.Raw(b"\xc5\x44\x00" + bytes(0x4400))]))
    assert link.receive_answer() == Failed([11], FailureReason.MALFORMED)
    ((_, founded),) = link.submit([request(FoundGroup(group="mine", operator_public_key=bytes(32)))])
    assert getattr(founded, "reason", None) is Reject.ALREADY_FOUNDED
    trader.trade(10)
    assert len({state.digest for state in group.level().values()}) == 1


def test_reads_are_as_fresh_as_asked(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(9)
    index = max(index for index, _ in trader.acknowledged.values())
    leader = group.leader()
    follower = leader % 3 + 1
    fresh = group.member(leader).ask(trader.key, BALANCES)
    assert isinstance(fresh, Answer)
    assert isinstance(fresh.answer, Balances)
    assert fresh.index >= index
    at_least = group.member(follower).ask(trader.key, BALANCES, ReadMode.AT_LEAST, index)
    assert isinstance(at_least, Answer)
    assert at_least.answer == fresh.answer
    stale = group.member(follower).ask(trader.key, BALANCES, ReadMode.STALE)
    assert isinstance(stale, Answer)
    for _ in range(3):
        trader.trade(1)
        index = max(index for index, _ in trader.acknowledged.values())
        there = group.member(follower).ask(trader.key, BALANCES)
        assert isinstance(there, Answer)
        assert there.index >= index
    ahead = group.member(follower).ask(trader.key, BALANCES, ReadMode.AT_LEAST, index + 1_000)
    assert ahead == Failed([1], FailureReason.INDEX_NOT_REACHED)
    unknown = group.member(leader).ask(77, BALANCES)
    assert isinstance(unknown, Answer)
    assert (unknown.answer, unknown.refused) == (None, Reject.UNKNOWN_KEY)
    raws = [msgspec.Raw(msgspec.msgpack.encode(each)) for each in trader.next_requests(1)]
    group.member(follower).send(Submit([5], raws))
    assert group.member(follower).receive_answer() == Failed([5], FailureReason.NOT_LEADER)


def test_reads_on_followers_of_a_paused_leader_are_fresh_or_fail(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(9)
    group.level()
    leader = group.leader()
    paused = group.processes.pop(leader)
    paused.send_signal(signal.SIGSTOP)
    try:
        member = leader % 3 + 1
        first = group.member(member).ask(trader.key, BALANCES)
        assert isinstance(first, Answer) or first == Failed([1], FailureReason.NO_LEADER)
        group._leading = 0
        trader.trade(9)
    finally:
        paused.send_signal(signal.SIGCONT)
        group.processes[leader] = paused
    index = max(index for index, _ in trader.acknowledged.values())
    # Whoever was asleep does not know yet what it missed, and must not say so.
    for _ in range(20):
        there = group.member(leader).ask(trader.key, BALANCES)
        if isinstance(there, Answer):
            assert there.index >= index
    group.level()


def test_events_resume_after_an_index_at_any_member(group: Replicas) -> None:
    trader = Trader(group)
    leader = group.leader()
    link = group.member(leader)
    complete_after = link.attach([Trader.ACCOUNT])
    trader.trade(9)
    first = min(index for index, _ in trader.acknowledged.values())
    trader.trade(9)
    live = [happened for happened in link.happened if happened.index > complete_after]
    assert [happened.index for happened in live] == sorted({i for i, _ in trader.acknowledged.values()})
    states = group.level()
    follower = leader % 3 + 1
    other = group.link(follower)
    assert other.attach([Trader.ACCOUNT], after_index=first) == first
    other.ask(trader.key, BALANCES, ReadMode.STALE)
    assert other.happened == [happened for happened in live if happened.index > first]
    assert states[follower].applied_index >= other.happened[-1].index
    other.close()


def test_a_second_process_on_one_directory_refuses(group: Replicas) -> None:
    group.leader()
    second = run_replica(group.directory, 1)
    assert second.returncode == 78
    assert b"FAIL-STOP 78" in second.stderr
    assert group.processes[1].poll() is None


def test_a_damaged_snapshot_gives_way_to_an_older_one(tmp_path: Path) -> None:
    with Replicas(tmp_path / "group", snapshot_entries=15, log_keep_entries=10) as group:
        trader = Trader(group)
        for _ in range(60):
            trader.trade(1)
        group.level()
        group.stop()
        files = sorted(
            node_paths(group.directory, 2).snapshots.glob("*.sys"),
            key=lambda path: int(path.name.split("-")[1]),
        )
        assert len(files) > 1
        content = bytearray(files[-1].read_bytes())
        content[len(content) // 2] ^= 1
        files[-1].write_bytes(content)
        for member in (1, 2, 3):
            group.start(member)
        trader.trade(3)
        states = group.level()
        assert "snapshot refused" in group.log(2)
        assert files[-2].name in group.log(2)
        assert len({state.applied_index for state in states.values()}) == 1
        group.stop()
        trader.check(group.audit())


def test_a_flipped_bit_in_the_log_is_never_voted_with(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(5)
    group.level()
    group.stop()
    store = node_paths(group.directory, 3).store
    with lmdb.open(str(store), max_dbs=2, map_size=group.config.map_size_bytes) as env:
        log = env.open_db(b"log")
        with env.begin(write=True) as txn, txn.cursor(log) as cursor:
            assert cursor.last()
            key, value = cursor.item()
            txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=log)
    assert run_replica(group.directory, 3).returncode == 74


def test_a_member_that_differs_stops_and_the_others_go_on(tmp_path: Path) -> None:
    with Replicas(tmp_path / "group", snapshot_entries=15) as group:
        trader = Trader(group)
        for _ in range(40):
            trader.trade(1)
        group.level()
        group.stop()
        forge(group, 3)
        for member in (1, 2, 3):
            group.start(member)
        wrong = group.processes[3]
        for _ in range(INTERVAL):
            trader.trade(1)
        assert wrong.wait(20) == 70
        assert "member 3 has another state at index" in group.log(3)
        del group.processes[3]
        trader.trade(10)
        assert {group.processes[member].poll() for member in (1, 2)} == {None}


def forge(group: Replicas, member: int) -> None:
    """Let a stopped member's newest snapshot be sound in every way, and of another state."""
    paths = node_paths(group.directory, member)
    store = open_store(
        paths.store, group.config.group, MemberId(member), map_bytes=group.config.map_size_bytes
    )
    snapshots = SnapshotStore(FolderFiles(paths.snapshots), group.config.group)
    taken = snapshots.read(store.snapshots()[-1])
    exchange = snapshot.load(taken.state)
    exchange.state.last_trade += 1
    state = snapshot.dump(exchange)
    header = msgspec.structs.replace(taken.header, state_digest=snapshot.state_digest(state))
    reference = snapshots.write(Snapshot(header, state))
    assert reference is not None
    store.add_snapshot(reference)
    store.close()


def test_it_refuses_to_run_without_assertions(tmp_path: Path) -> None:
    assert run_replica(tmp_path, 1, "-O").returncode == 78


def test_it_refuses_a_directory_without_a_group(tmp_path: Path) -> None:
    refused = run_replica(tmp_path, 1)
    assert refused.returncode == 78
    assert b"holds no group" in refused.stderr


def run_replica(directory: Path, member: int, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run a replica that must end by itself."""
    command = [sys.executable, *options, "-m", "steelyard.replication", "--data", str(directory)]
    return subprocess.run(
        [*command, "--member", str(member)],
        env=Replicas.environment(),
        capture_output=True,
        timeout=20,
        check=False,
    )


def test_a_leader_that_is_told_to_stop_hands_over_and_leaves_nothing_behind(group: Replicas) -> None:
    trader = Trader(group)
    trader.trade(3)
    states = group.level()
    leader = group.leader()
    assert group.kill(leader, signal.SIGTERM) == 0
    assert not node_paths(group.directory, leader).front_socket.exists()
    trader.trade(3)
    # One term more: nobody had to find out and stand twice.
    assert group.member(group.leader()).state().term == states[leader].term + 1
    group.stop()


FIRST_BUILD = """
from steelyard.core import versions
from steelyard.replication.__main__ import main
versions.KNOWN_MAX = 1
main()
"""


def test_a_version_is_activated_once_all_know_it_and_an_old_build_stops_before_it(tmp_path: Path) -> None:
    group = Replicas(tmp_path / "group")
    old_program, new_program = ["-c", FIRST_BUILD], group.program
    group.program = old_program
    with group:
        trader = Trader(group)
        activate = request(ActivateVersion(version=2), 10, trader.operator)
        for member in (1, 2, 3):
            # Two new builds and an old one: nobody may activate what one member does not know.
            leader = group.leader()
            with pytest.raises(NotDone, match="MALFORMED"):
                group.member(leader).submit([activate])
            group.kill(member, signal.SIGTERM)
            group.program = new_program
            group.start(member)
            trader.trade(3)
            group.level()
        group._leading = 0
        ((index, reply),) = group.submit([activate])
        assert isinstance(reply, Accepted)
        trader.trade(9)
        states = group.level()
        assert len({state.digest for state in states.values()}) == 1
        follower = group.leader() % 3 + 1
        group.kill(follower)
        group.program = old_program
        stopped = group.start(follower)
        assert stopped.wait(20) == 70
        assert f"applying index {index}" in group.log(follower)
        assert "version 2 is activated here, and this build knows 1" in group.log(follower)
        group.program = new_program
        del group.processes[follower]
        group.start(follower)
        trader.trade(3)
        group.level()
        group.stop()
