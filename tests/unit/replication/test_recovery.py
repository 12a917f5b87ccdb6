"""Snapshots taken, kept, trimmed behind and restored, over a real store and a real exchange."""

import errno
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.helpers.cuts import closed_by, line
from tests.helpers.lone import ManualClock
from tests.helpers.raft import exit_of

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.commands import FoundGroup, Skip
from steelyard.core.entry import ENTRY_VERSION, Entry, Request
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId
from steelyard.replication import recovery
from steelyard.replication.background import Fork
from steelyard.replication.config import GroupConfig, MemberConfig
from steelyard.replication.errors import StartRefused
from steelyard.replication.files import FolderFiles
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import LogStore, found, open_store
from steelyard.replication.recovery import recover
from steelyard.replication.retention import BYTES_PER_S_FIRST, RETRY_S, Retention
from steelyard.replication.snapshot_store import SnapshotStore

GROUP = "ab" * 16
MAP_BYTES = 16 << 20
ONE = MemberId(1)


class Member:
    """A store whose entries are committed and applied as they come, and its snapshots."""

    def __init__(
        self, directory: Path, member: int = 1, background: "Fork | Errand | None" = None, **settings: int
    ) -> None:
        self.directory = directory
        self.background = background
        self.member = MemberId(member)
        self.config = GroupConfig(
            group=GROUP,
            operator_public_key="00" * 32,
            members=[MemberConfig(member=n, peer=f"h:{n}", client=f"h:{n}") for n in (1, 2, 3)],
            map_size_bytes=MAP_BYTES,
            **settings,  # type: ignore[arg-type]
        )
        if not (directory / "store").exists():
            found(directory / "store", GROUP, self.member, map_bytes=MAP_BYTES)
        self.open()

    def open(self) -> None:
        """Do what a replica does at boot, and apply the log again."""
        self.store: LogStore = open_store(self.directory / "store", GROUP, self.member, map_bytes=MAP_BYTES)
        self.snapshots = SnapshotStore(FolderFiles(self.directory / "snapshots"), GROUP)
        self.recovered = recover(self.store, self.snapshots)
        self.exchange: Exchange = self.recovered.exchange
        self.pinned: set[str] = set()
        self.clock = ManualClock()
        self.retention = Retention(
            self.config,
            self.member,
            self.store,
            self.snapshots,
            self.clock,
            lambda: self.pinned,
            self.background,
        )
        for index in range(max(2, self.recovered.index + 1), self.store.last_index + 1):
            self.exchange.apply_bytes(index, self.store.entry(index).body[1:])

    def add(self, count: int, *, leads: bool = False) -> None:
        """Log, commit and apply entries; take snapshots when they are due."""
        for _ in range(count):
            index = self.store.last_index + 1
            if index == 1:
                self.store.append(1, 1, NO_OP)
                continue
            command = (
                FoundGroup(group=GROUP, operator_public_key=bytes(32))
                if not self.exchange.state.group
                else Skip(reason=Reject.MALFORMED)
            )
            request = Request(SessionId(0), 0, 0, KeyId(0), 0, 0, command)
            body = wire.encode_entry(Entry(ENTRY_VERSION, index * 1_000, [request]))
            self.store.append(index, 1, ENTRY + body)
            self.store.flush()
            self.store.hard_state(1, 0, index)
            self.exchange.apply_bytes(index, body)
            self.retention.applied(len(body))
            if self.retention.due(index, leads=leads):
                self.retention.take(self.exchange, 0, b"", leads=leads)

    def indexes(self) -> list[int]:
        """Return where the snapshots are."""
        return [reference.index for reference in self.store.snapshots()]

    def reopen(self) -> None:
        """Stop and start."""
        self.store.close()
        self.open()


class Errand:
    """Work that is done when the test says so, in this process."""

    def __init__(self) -> None:
        self.work: Callable[[], None] | None = None
        self.result: bool | None = None

    def start(self, work: Callable[[], None]) -> bool:
        """Keep the work."""
        self.work = work
        return True

    def poll(self) -> bool | None:
        """Return what the test says."""
        result, self.result = self.result, None
        return result

    def stop(self) -> None:
        """Forget the work."""
        self.work = None


def grown(member: Member) -> None:
    """Let a member believe that its state has become so large that writing it would take a second."""
    member.retention.applied(int(BYTES_PER_S_FIRST))


def test_a_large_state_is_written_by_a_child_and_published_here(tmp_path: Path) -> None:
    member = Member(tmp_path, background=Fork(ManualClock()), snapshot_entries=10)
    member.add(5)
    grown(member)
    member.add(5)
    assert member.retention.busy
    assert member.indexes() == []
    expected = snapshot.dump(member.exchange)
    member.add(3)
    while member.retention.busy:
        member.retention.poll()
    assert member.indexes() == [10]
    assert member.snapshots.read(member.store.snapshots()[0]).state == expected
    member.reopen()
    assert member.recovered.index == 10
    member.store.close()


def test_while_a_child_writes_no_other_snapshot_is_due_and_its_file_is_left_alone(tmp_path: Path) -> None:
    errand = Errand()
    member = Member(tmp_path, background=errand, snapshot_entries=10)
    member.add(45)
    grown(member)
    member.add(25)
    assert member.retention.busy
    assert errand.work is not None
    errand.work()
    member.store.flush()
    member.retention.trim()
    errand.result = True
    member.retention.poll()
    assert member.indexes() == [30, 40, 50]
    member.store.close()


def test_a_child_that_failed_leaves_nothing_and_the_next_snapshot_is_taken(tmp_path: Path) -> None:
    errand = Errand()
    member = Member(tmp_path, background=errand, snapshot_entries=10)
    grown(member)
    member.add(12)
    assert errand.work is not None
    errand.work()
    errand.result = False
    member.retention.poll()
    assert member.indexes() == []
    assert list((tmp_path / "snapshots").iterdir()) == []
    member.clock.now_s += RETRY_S
    member.add(10)
    assert member.indexes() == [20]
    member.store.close()


def test_a_disk_without_room_is_not_tried_at_every_turn_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    member = Member(tmp_path, snapshot_entries=10)
    tries = 0

    def full(_: FolderFiles, name: str, content: bytes) -> None:
        nonlocal tries
        tries += 1
        raise OSError(errno.ENOSPC, "No space left on device", name, len(content))

    with monkeypatch.context() as patch:
        patch.setattr(FolderFiles, "append", full)
        member.add(60, leads=True)
        assert tries == 1
        member.clock.now_s += RETRY_S
        member.add(10, leads=True)
        assert tries == 2
        assert caplog.text.count("no room for a snapshot") == 1
        assert member.indexes() == []
    member.clock.now_s += RETRY_S
    member.add(10, leads=True)
    assert member.indexes()
    assert "can be written again" in caplog.text
    member.store.close()


def test_a_snapshot_that_a_member_fetches_is_kept_with_the_log_behind_it(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=5)
    member.add(25)
    member.pinned = {"snap-10-1.sys"}
    member.add(50)
    member.store.flush()
    member.retention.trim()
    member.store.flush()
    assert member.indexes()[0] == 10
    assert member.store.first_index <= 10
    member.pinned = set()
    member.retention.trim()
    member.store.flush()
    assert member.indexes() == [50, 60, 70]
    assert member.store.first_index > 50
    member.store.close()


def test_an_empty_store_begins_with_an_empty_exchange(tmp_path: Path) -> None:
    member = Member(tmp_path)
    assert (member.recovered.index, member.exchange.applied_index) == (0, 0)
    member.store.close()


def test_a_restart_goes_on_from_the_newest_snapshot_to_the_same_state(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10)
    member.add(37)
    before = (member.exchange.digest, snapshot.dump(member.exchange))
    assert member.indexes() == [10, 20, 30]
    member.reopen()
    assert member.recovered.index == 30
    assert (member.exchange.digest, snapshot.dump(member.exchange)) == before
    member.store.close()


def test_three_snapshots_are_kept_and_their_files_only(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10)
    member.add(65)
    member.store.flush()
    member.retention.trim()
    assert member.indexes() == [40, 50, 60]
    names = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert names == ["snap-40-1.sys", "snap-50-1.sys", "snap-60-1.sys"]
    (tmp_path / "snapshots" / "snap-70-1.sys.1.tmp").write_bytes(b"half")
    member.reopen()
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == names
    member.store.close()


@pytest.mark.parametrize(("member", "indexes"), [(1, [30, 60]), (2, [10, 40, 70]), (3, [20, 50])])
def test_members_take_turns(tmp_path: Path, member: int, indexes: list[int]) -> None:
    one = Member(tmp_path, member, snapshot_entries=30)
    one.add(75)
    assert one.indexes() == indexes
    one.store.close()


def test_a_leader_waits_twice_as_long(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=30)
    member.add(125, leads=True)
    assert member.indexes() == [60, 120]
    member.store.close()


def test_much_log_makes_a_snapshot_due_early(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=1_000_000, snapshot_log_bytes=500)
    member.add(100)
    assert member.indexes()
    member.store.close()


def test_the_log_is_trimmed_to_the_newest_snapshot_but_one(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=5)
    member.add(38)
    member.retention.trim()
    member.store.flush()
    assert member.store.first_index == 19
    member.reopen()
    assert member.recovered.index == 30
    member.store.close()


def test_a_tail_is_kept_for_members_that_were_away(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=25)
    member.add(38)
    member.retention.trim()
    member.store.flush()
    assert member.store.first_index == 14
    member.store.close()


def test_with_a_single_snapshot_nothing_is_trimmed(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=1)
    member.add(18)
    member.retention.trim()
    member.store.flush()
    assert member.store.first_index == 1
    member.store.close()


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_snapshot_gives_way_to_an_older_one_and_the_longer_log(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=1)
    member.add(38)
    member.retention.trim()
    member.store.flush()
    digest = member.exchange.digest
    flip(tmp_path / "snapshots" / "snap-30-1.sys")
    member.reopen()
    assert member.recovered.index == 20
    assert member.exchange.digest == digest
    assert member.indexes() == [10, 20]
    member.store.close()


def test_without_a_sound_snapshot_a_whole_log_is_enough(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10)
    member.add(25)
    digest = member.exchange.digest
    for path in (tmp_path / "snapshots").iterdir():
        path.unlink()
    member.reopen()
    assert member.recovered.index == 0
    assert member.exchange.digest == digest
    member.store.close()


@closed_by(
    "no boot without a sound snapshot", line(recovery.recover, "store.first_index > 1", "False"), defect="D20"
)
def test_without_a_sound_snapshot_a_trimmed_log_refuses(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10, log_keep_entries=1)
    member.add(38)
    member.retention.trim()
    member.store.flush()
    for path in (tmp_path / "snapshots").iterdir():
        flip(path)
    with pytest.raises(StartRefused, match="no sound snapshot"):
        recover(member.store, member.snapshots)
    member.store.close()


def test_a_snapshot_of_another_log_is_not_believed(tmp_path: Path) -> None:
    member = Member(tmp_path / "one", snapshot_entries=10)
    member.add(25)
    (reference, _) = member.store.snapshots()
    found_at_10 = member.snapshots.read(reference)
    header = msgspec.structs.replace(found_at_10.header, chain=bytes(16))
    forged = member.snapshots.write(msgspec.structs.replace(found_at_10, header=header))
    assert forged is not None
    member.store.add_snapshot(forged)
    member.store.drop_snapshot("snap-20-1.sys")
    assert recover(member.store, member.snapshots).index == 0
    member.store.close()


@closed_by(
    "a load failure stops",
    line(
        recovery.load,
        'fail_stop(EX_INVARIANT, f"{name} verifies but does not load: {error!r}")',
        "exchange = Exchange()",
    ),
    defect="D18",
)
def test_a_snapshot_that_verifies_but_does_not_load_ends_the_process(tmp_path: Path) -> None:
    member = Member(tmp_path, snapshot_entries=10)
    member.add(15)
    (reference,) = member.store.snapshots()
    taken = member.snapshots.read(reference)
    header = msgspec.structs.replace(taken.header, digest=bytes(16))
    forged = member.snapshots.write(msgspec.structs.replace(taken, header=header))
    assert forged is not None
    member.store.add_snapshot(forged)
    code, said = exit_of(lambda: recover(member.store, member.snapshots))
    assert code == 70
    assert "does not load" in said
    member.store.close()
