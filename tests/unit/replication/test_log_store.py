"""The log store on real LMDB: what a flush keeps, what a crash forgets, what damage is refused."""

import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from tests.helpers.raft import exit_of

from steelyard.replication.disk import LmdbDisk
from steelyard.replication.errors import DirectoryInUse, StartRefused, StoreDamaged
from steelyard.replication.group import MemberId
from steelyard.replication.log_reader import LogReader
from steelyard.replication.log_record import NO_OP, PeerMemory, Record
from steelyard.replication.log_store import LogStore, SnapshotRef, found, join, open_store

ONE = MemberId(1)
MAP_BYTES = 8 << 20


def new_store(directory: Path) -> LogStore:
    found(directory, "group", ONE, map_bytes=MAP_BYTES)
    return reopened(directory)


def reopened(directory: Path) -> LogStore:
    return open_store(directory, "group", ONE, map_bytes=MAP_BYTES)


def crash(store: LogStore) -> None:
    """Give the directory up without a flush."""
    store._disk.close()


def filled(directory: Path, last: int = 10, *, commit: int = 8) -> LogStore:
    store = new_store(directory)
    store.hard_state(1, 0, 0)
    for index in range(1, last + 1):
        store.append(index, 1 if index <= 5 else 2, b"\x00body %d" % index)
    store.hard_state(2, 3, commit)
    store.flush()
    return store


def corrupt(directory: Path, index: int, change: bytes | None) -> None:
    env = lmdb.open(str(directory), map_size=MAP_BYTES, max_dbs=2)
    log = env.open_db(b"log")
    with env.begin(write=True) as txn:
        key = struct.pack(">Q", index)
        if change is None:
            txn.delete(key, db=log)
        else:
            value = txn.get(key, db=log)
            assert value is not None
            txn.put(key, value[: -len(change)] + change, db=log)
    env.close()


def test_a_flush_survives_a_crash_and_what_came_after_does_not(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.append(11, 2, b"\x00lost")
    assert (store.dirty, store.durable_last_index) == (True, 10)
    chain = store.chain(10)
    crash(store)

    again = reopened(tmp_path)
    assert (again.first_index, again.last_index, again.last_term) == (1, 10, 2)
    assert (again.current_term, again.vote, again.commit_index) == (2, 3, 8)
    assert again.entry(6) == Record(b"\x00body 6", 6, 2)
    assert again.chain(10) == chain
    assert [again.term(i) for i in (0, 1, 5, 6, 10)] == [0, 1, 1, 2, 2]
    again.close()


def test_a_commit_index_alone_waits_for_a_flush_and_is_saved_once_a_second(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.hard_state(2, 3, 9)
    assert not store.dirty
    store.save_commit()
    assert store.dirty
    store.flush()
    crash(store)
    again = reopened(tmp_path)
    assert again.commit_index == 9
    again.close()


def test_a_cut_suffix_is_replaced_in_one_flush(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.truncate(9)
    store.append(9, 3, b"\x00other 9")
    assert store.durable_last_index == 8
    crash(store)
    store = reopened(tmp_path)
    assert store.entry(9).body == b"\x00body 9"
    store.truncate(9)
    store.append(9, 3, b"\x00other 9")
    store.flush()
    crash(store)
    store = reopened(tmp_path)
    assert (store.last_index, store.entry(9)) == (9, Record(b"\x00other 9", 9, 3))
    assert store.term_first_index(9) == 9
    store.close()


def test_old_entries_are_read_from_disk_when_memory_is_bounded(tmp_path: Path) -> None:
    filled(tmp_path, last=40).close()
    disk = LmdbDisk(tmp_path, MAP_BYTES)
    store = LogStore(disk, "group", ONE, cache_bytes_max=100)
    assert [r.index for r in store.entries(1, 40)] == list(range(1, 41))
    assert store.read(3, 5, 1)[0].index == 3
    assert store.entry(2).body == b"\x00body 2"
    store.truncate(20)
    assert (store.last_index, store.entry(19).body) == (19, b"\x00body 19")
    store.append(20, 2, b"\x00new")
    assert [r.body for r in store.entries(19, 20)] == [b"\x00body 19", b"\x00new"]
    store.close()
    assert reopened(tmp_path).entry(20).body == b"\x00new"


def test_trimming_goes_in_small_steps_and_keeps_what_a_restart_needs(tmp_path: Path) -> None:
    store = filled(tmp_path, last=5000, commit=4990)
    store.trim(4000)
    assert not store.trim_pending, "without a snapshot everything stays"
    store.add_snapshot(SnapshotRef(4500, 2, "a", bytes(32)))
    chain = store.chain(4499)
    store.trim(5000)
    firsts: list[int] = []
    while store.trim_pending:
        store.flush()
        firsts.append(store.first_index)
    assert firsts == [2001, 4001, 4499]
    assert store.has(17, 1)
    assert (store.term(4498), store.chain(4499)) == (2, chain)
    crash(store)
    again = reopened(tmp_path)
    assert (again.first_index, again.last_index, again.chain(4499)) == (4499, 5000, chain)
    assert again.snapshots() == [SnapshotRef(4500, 2, "a", bytes(32))]
    again.close()


def test_an_install_replaces_log_and_pointers_and_the_chain_goes_on(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole", last=30, commit=30)
    store = filled(tmp_path / "behind", last=12)
    snapshot = SnapshotRef(25, 2, "far", bytes(32))
    store.install(snapshot, whole.chain(23), whole.entry(24), whole.entry(25))
    assert (store.first_index, store.last_index, store.commit_index) == (24, 25, 25)
    store.append(26, 2, whole.entry(26).body)
    assert store.chain(26) == whole.chain(26)
    store.close()
    again = reopened(tmp_path / "behind")
    assert (again.first_index, again.last_index, again.snapshots()) == (24, 26, [snapshot])
    again.close()
    whole.close()


def test_boots_are_counted_and_peers_remembered(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert store.identity.boots == 1
    memory = PeerMemory(1, 4, 7, 99)
    store.remember(MemberId(2), memory, now=True)
    store.flush()
    crash(store)
    again = reopened(tmp_path)
    assert again.identity.boots == 2
    assert again.remembered(MemberId(2)) == memory
    assert again.remembered(MemberId(3)) is None
    again.close()


def test_a_joining_store_says_so_until_it_may_vote(tmp_path: Path) -> None:
    join(tmp_path, "group", ONE, map_bytes=MAP_BYTES)
    store = reopened(tmp_path)
    assert store.identity.joining
    assert store.identity.incarnation > 1
    store.become_voter(9)
    store.close()
    again = reopened(tmp_path)
    assert (again.identity.joining, again.identity.vote_floor) == (False, 9)
    again.close()


@pytest.mark.parametrize("index", [1, 6, 10])
def test_a_flipped_byte_is_noticed_at_open(tmp_path: Path, index: int) -> None:
    filled(tmp_path).close()
    corrupt(tmp_path, index, b"X")
    with pytest.raises(StoreDamaged, match=f"entry {index} has a wrong checksum"):
        reopened(tmp_path)


def test_a_hole_is_noticed_at_open(tmp_path: Path) -> None:
    filled(tmp_path).close()
    corrupt(tmp_path, 4, None)
    with pytest.raises(StoreDamaged, match="entry 4 is missing"):
        reopened(tmp_path)


def test_a_lost_tail_below_the_commit_index_is_noticed_at_open(tmp_path: Path) -> None:
    filled(tmp_path, commit=10).close()
    corrupt(tmp_path, 10, None)
    with pytest.raises(StoreDamaged, match="committed up to 10, but the log ends at 9"):
        reopened(tmp_path)


def test_damaged_hard_state_is_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    env = lmdb.open(str(tmp_path), map_size=MAP_BYTES, max_dbs=2)
    with env.begin(write=True) as txn:
        txn.put(b"hard", b"\0\0\0\0garbage", db=env.open_db(b"meta", txn=txn))
    env.close()
    with pytest.raises(StoreDamaged, match="hard is missing or damaged"):
        reopened(tmp_path)


def test_a_file_that_is_not_a_log_is_refused_and_the_directory_given_up(tmp_path: Path) -> None:
    filled(tmp_path).close()
    (tmp_path / "data.mdb").write_bytes(b"not a log" * 5000)
    for _ in range(2):
        with pytest.raises(StoreDamaged):
            reopened(tmp_path)


def test_another_group_or_member_is_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with pytest.raises(StartRefused, match="not 1 of 'other'"):
        open_store(tmp_path, "other", ONE, map_bytes=MAP_BYTES)
    with pytest.raises(StartRefused, match="not 2 of 'group'"):
        open_store(tmp_path, "group", MemberId(2), map_bytes=MAP_BYTES)
    with pytest.raises(StartRefused, match="holds no log"):
        open_store(tmp_path / "nowhere", "group", ONE, map_bytes=MAP_BYTES)


def test_a_directory_has_one_owner_and_is_founded_once(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(DirectoryInUse):
        reopened(tmp_path)
    store.close()
    with pytest.raises(StartRefused, match="already holds a member"):
        found(tmp_path, "group", ONE, map_bytes=MAP_BYTES)


def test_the_data_file_is_preallocated(tmp_path: Path) -> None:
    new_store(tmp_path).close()
    assert (tmp_path / "data.mdb").stat().st_blocks * 512 >= MAP_BYTES


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (lambda s: s.append(12, 2, b""), "append of index 12 behind 10"),
        (lambda s: s.append(11, 1, b""), "append of term 1 behind term 2"),
        (lambda s: s.truncate(8), "truncation at 8, committed up to 8"),
        (lambda s: s.hard_state(2, 3, 7), "commit went from 8 to 7"),
        (lambda s: s.hard_state(2, 3, 11), "commit went from 8 to 11"),
        (lambda s: s.hard_state(1, 0, 8), "term and vote went from"),
        (lambda s: s.hard_state(2, 1, 8), "term and vote went from"),
        (lambda s: s.add_snapshot(SnapshotRef(9, 2, "a", b"")), "snapshot at 9, committed up to 8"),
    ],
)
def test_what_would_break_a_promise_stops_the_process(tmp_path: Path, action, reason: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    code, said = exit_of(lambda: action(filled(tmp_path)))
    assert (code, reason in said) == (70, True), said


def test_a_full_map_stops_the_process(tmp_path: Path) -> None:
    def fill() -> None:
        store = new_store(tmp_path)
        for index in range(1, 100):
            store.append(index, 1, bytes(1 << 20))
            store.flush()

    code, said = exit_of(fill)
    assert code == 74
    assert "MapFullError" in said


@pytest.mark.parametrize("read", [lambda store: store.entry(2), lambda store: store.chain(2)])
def test_a_read_that_fails_stops_the_process_as_a_failed_disk(
    tmp_path: Path, read: Callable[[LogStore], object]
) -> None:
    filled(tmp_path).close()

    def fail() -> None:
        store = LogStore(LmdbDisk(tmp_path, MAP_BYTES), "group", ONE, cache_bytes_max=0)
        crash(store)  # whatever LMDB answers from now on is an error
        read(store)

    code, said = exit_of(fail)
    assert (code, "reading entry 2 failed" in said) == (74, True), said


READ_ALL = """
import sys
from pathlib import Path
from steelyard.replication.log_reader import LogReader
with LogReader(Path(sys.argv[1])) as reader:
    print(reader.identity.member, reader.commit_index, reader.term)
    for entry in reader:
        print(entry.index, entry.term, entry.body, entry.chain.hex())
"""


def test_a_reader_beside_a_live_replica_sees_what_was_flushed(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.append(11, 2, NO_OP)
    store.flush()
    store.append(12, 2, b"\x00not flushed")
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "1 8 2"
    assert lines[6] == f"6 2 b'body 6' {store.chain(6).hex()}"
    assert lines[-1] == f"11 2 None {store.chain(11).hex()}"
    store.flush()
    store.close()


def test_a_reader_refuses_a_damaged_log(tmp_path: Path) -> None:
    filled(tmp_path).close()
    corrupt(tmp_path, 7, b"X")
    with LogReader(tmp_path) as reader, pytest.raises(StoreDamaged, match="entry 7"):
        list(reader)
    with pytest.raises(StartRefused):
        LogReader(tmp_path / "nowhere")


def test_the_map_tells_how_full_it_is(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    before = store.used_fraction()
    for index in range(1, 5):
        store.append(index, 1, bytes(1 << 20))
    store.flush()
    assert before < 0.1
    assert 0.5 < store.used_fraction() < 0.7
    store.close()


def test_memory_is_bounded_however_long_the_log_is(tmp_path: Path) -> None:
    found(tmp_path, "group", ONE, map_bytes=64 << 20)
    store = LogStore(LmdbDisk(tmp_path, 64 << 20), "group", ONE, cache_bytes_max=1 << 20)
    store.hard_state(1, 0, 0)
    tracemalloc.start()
    try:
        for index in range(1, 60_001):
            store.append(index, 1, b"tick")
            if index % 1_000 == 0:
                store.flush()
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
        assert held_bytes < 2 << 20
        assert peak_bytes < 4 << 20
        store.close()
        tracemalloc.reset_peak()
        again = LogStore(LmdbDisk(tmp_path, 64 << 20), "group", ONE, cache_bytes_max=1 << 20)
        assert again.last_index == 60_000
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
        assert held_bytes < 2 << 20
        assert peak_bytes < 8 << 20, "what is read at once is bounded, too"
        assert again.entry(1).body == b"tick"
        again.close()
    finally:
        tracemalloc.stop()
