"""An archive follows a log through crashes and trims, and tells what it misses and who differs."""

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
from tests.helpers.spot_traffic import SpotTraffic

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.invariants import all_balances
from steelyard.replication import archive as archive_module
from steelyard.replication.archive import Archive
from steelyard.replication.archive_file import Gap
from steelyard.replication.archive_log import LogTail, Trimmed
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.config import node_paths
from steelyard.replication.disk import LogSource
from steelyard.replication.errors import StartRefused, StoreDamaged
from steelyard.replication.files import FolderFiles
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import LogStore, found, open_store
from steelyard.replication.snapshot_store import Header, LogEntry, Snapshot, SnapshotStore

GROUP = "ab" * 16
MAP_BYTES = 16 << 20
ENTRIES = 300
Balances = dict[tuple[int, int], int]


class Shared:
    """A disk that the store of this process has open, too: LMDB opens nothing twice in one process."""

    def __init__(self, disk: LogSource) -> None:
        self._disk = disk
        self.read_meta = disk.read_meta
        self.read = disk.read

    def close(self) -> None:
        """Leave it to the store."""


class Member:
    """A member's folder without a replica: a log, and what the exchange was after each entry of it."""

    def __init__(self, directory: Path, seed: int = 3) -> None:
        self.paths = node_paths(directory, 1)
        found(self.paths.store, GROUP, MemberId(1), map_bytes=MAP_BYTES)
        self.store: LogStore = open_store(self.paths.store, GROUP, MemberId(1), map_bytes=MAP_BYTES)
        self.exchange = Exchange()
        self.balances: dict[int, Balances] = {0: {}}
        self._script = SpotTraffic(seed).script()
        self._entry = next(self._script)
        self.store.append(1, 1, NO_OP)
        self.balances[1] = {}

    def grow(self, count: int, *, commit: bool = True) -> None:
        """Append and commit so many entries; every seventh is the engine's own."""
        for _ in range(count):
            index = self.store.last_index + 1
            if index % 7 == 0:
                self.store.append(index, 1, NO_OP)
            else:
                body = wire.encode_entry(self._entry)
                self.store.append(index, 1, ENTRY + body)
                applied, _ = self.exchange.apply_bytes(index, body)
                self._entry = self._script.send(applied)
            owned = all_balances(self.exchange.state)
            self.balances[index] = {(int(a), int(b)): atoms for (a, b), atoms in owned.items() if atoms}
        if commit:
            self.store.hard_state(1, 0, self.store.last_index)
        self.store.flush()

    def trim(self) -> int:
        """Take a snapshot of what is applied now, and let go the log before it; return its index."""
        index = self.exchange.applied_index
        before, at = self.store.entries(index - 1, index)
        state = snapshot.dump(self.exchange)
        header = Header(
            format=0,
            group=GROUP,
            index=index,
            term=1,
            before=LogEntry(before.index, before.term, before.body),
            at=LogEntry(at.index, at.term, at.body),
            chain_before=self.store.chain(index - 2),
            chain=self.store.chain(index),
            digest=self.exchange.digest,
            state_digest=snapshot.state_digest(state),
            checked_index=0,
            checked_digest=b"",
            schema=snapshot.schema_of(self.exchange.state.version),
            sections=[],
        )
        reference = SnapshotStore(FolderFiles(self.paths.snapshots), GROUP).write(Snapshot(header, state))
        assert reference is not None
        self.store.add_snapshot(reference)
        self.store.trim(index - 1)
        self.store.flush()
        return index

    def archive(self) -> Archive:
        """Return the member's archive, opened."""
        return Archive(self.paths, GROUP, Shared(self.store._disk))

    def check(self) -> list[Gap]:
        """Compare everybody's statements with the balances there were; return what is missing."""
        with ArchiveReader(self.paths.archive) as reader:
            assert reader.last_index == self.store.last_index
            gaps = reader.gaps(0, reader.last_index)
            bounds = sorted({0, reader.last_index // 2, reader.last_index, *(gap.to_index for gap in gaps)})
            known = [index for index in bounds if not any(g.after_index < index < g.to_index for g in gaps)]
            for account in sorted({account for account, _ in self.balances[reader.last_index]}):
                for after, to in pairwise(known):
                    found = reader.statement(account, after, to, movements=False)
                    for asset, before_atoms, after_atoms in found.balances:
                        assert before_atoms == self.balances[after].get((account, asset), 0)
                        assert after_atoms == self.balances[to].get((account, asset), 0)
                        if not found.gaps:
                            lines = [line.amount_atoms for line in found.lines if line.asset == asset]
                            assert before_atoms + sum(lines) == after_atoms
            return gaps


def follow(archive: Archive) -> None:
    """Let it catch up."""
    while archive.step():
        pass


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member(tmp_path)


def test_an_archive_follows_a_log_that_grows(member: Member) -> None:
    archive = member.archive()
    for _ in range(10):
        member.grow(ENTRIES // 10)
        follow(archive)
    assert archive.last_index == ENTRIES + 1
    assert member.check() == []
    archive.close()
    assert member.check() == []


def test_only_what_is_committed_is_written(member: Member) -> None:
    member.grow(50)
    member.grow(50, commit=False)
    archive = member.archive()
    follow(archive)
    assert archive.last_index == 51
    archive.close()


@pytest.mark.parametrize("snapshot_entries", [10, 10_000])
def test_an_archive_that_is_killed_at_any_moment_goes_on_where_its_file_ends(
    member: Member, snapshot_entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "SNAPSHOT_ENTRIES", snapshot_entries)
    monkeypatch.setattr(archive_module, "BATCH_ROWS_MAX", 50)
    written = ArchiveReader
    for part in range(6):
        member.grow(ENTRIES // 6)
        archive = member.archive()
        with monkeypatch.context() as crash:
            if part % 2:
                crash.setattr(archive_module.Ledger, "write", _crash_after(part, archive_module.Ledger.write))
            try:
                follow(archive)
            except _Crash:
                archive._file.close()  # what a kill does to it, and nothing more
                archive._tail.close()
                continue
        archive.close()
    archive = member.archive()
    follow(archive)
    archive.close()
    assert member.check() == []
    with written(member.paths.archive) as reader:
        assert reader.last_index == ENTRIES + 1


class _Crash(Exception):
    pass


def _crash_after(count: int, write: object) -> object:
    left = [count]

    def crashing(self: object, *arguments: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _Crash
        write(self, *arguments)  # type: ignore[operator]  # it is the method

    return crashing


def test_an_archive_that_was_away_while_the_log_was_trimmed_leaves_a_gap_and_says_so(member: Member) -> None:
    member.grow(100)
    archive = member.archive()
    follow(archive)
    archive.close()
    sqlite3.connect(member.paths.archive).execute("DELETE FROM snapshot").connection.commit()
    member.grow(50)
    first = member.trim()
    member.grow(50)
    archive = member.archive()
    follow(archive)
    archive.close()
    assert member.check() == [Gap(101, first)]


def test_an_archive_whose_next_entry_is_trimmed_while_it_looks_elsewhere_leaves_a_gap(member: Member) -> None:
    member.grow(100)
    archive = member.archive()
    follow(archive)
    member.grow(50)
    first = member.trim()
    member.grow(50)
    follow(archive)
    archive.close()
    assert member.check() == [Gap(101, first)]


def test_an_archive_that_begins_late_goes_on_from_the_members_snapshot(member: Member) -> None:
    member.grow(120)
    first = member.trim()
    member.grow(60)
    archive = member.archive()
    follow(archive)
    archive.close()
    assert member.check() == [Gap(0, first)]


def test_without_a_snapshot_that_the_log_goes_on_from_there_is_nothing_to_follow(member: Member) -> None:
    member.grow(120)
    member.trim()
    for file in member.paths.snapshots.iterdir():
        file.write_bytes(b"nothing of use")
    with pytest.raises(StartRefused, match="no snapshot"):
        member.archive()


def test_another_groups_file_is_not_touched(member: Member) -> None:
    member.grow(20)
    member.archive().close()
    file = sqlite3.connect(member.paths.archive)
    file.execute("UPDATE meta SET group_id = 'cd'")
    file.commit()
    file.close()
    with pytest.raises(StoreDamaged, match="belongs to group cd"):
        member.archive()


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreDamaged):
        ArchiveReader(tmp_path / "archive.sqlite")
    with pytest.raises(FileNotFoundError):
        ArchiveReader(tmp_path / "nothing.sqlite")


def test_the_tail_says_when_its_next_entry_is_gone(member: Member) -> None:
    member.grow(50)
    tail = LogTail(Shared(member.store._disk))
    assert [entry.index for entry in tail.read()] == list(range(1, 52))
    assert list(tail.read()) == []
    tail.seek(10)
    member.grow(20)
    member.trim()
    with pytest.raises(Trimmed):
        list(tail.read())
    tail.close()
