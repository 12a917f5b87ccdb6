"""Snapshot files: whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
from tests.helpers.raft import exit_of

from steelyard.core import Exchange, snapshot
from steelyard.replication.files import FolderFiles
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.snapshot_store import (
    Header,
    LogEntry,
    Snapshot,
    SnapshotDamaged,
    SnapshotStore,
    decode,
    encode,
)

GROUP = "ab" * 16


def example(index: int = 7) -> Snapshot:
    state = snapshot.dump(Exchange())
    header = Header(
        format=0,
        group=GROUP,
        index=index,
        term=3,
        before=LogEntry(index - 1, 2, b"\x01"),
        at=LogEntry(index, 3, b"\x00body"),
        chain_before=bytes(16),
        chain=b"c" * 16,
        digest=b"d" * 16,
        state_digest=snapshot.state_digest(state),
        checked_index=0,
        checked_digest=b"",
        schema=snapshot.SCHEMA_VERSION,
        sections=[],
    )
    return Snapshot(header, state)


def written(directory: Path, index: int = 7) -> tuple[SnapshotStore, SnapshotRef, Path]:
    store = SnapshotStore(FolderFiles(directory), GROUP)
    ref = store.write(example(index))
    assert ref is not None
    return store, ref, directory / ref.name


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    store, ref, path = written(tmp_path / "snapshots")
    assert path.name == "snap-7-3.sys"
    found = store.read(ref)
    assert found.state == example().state
    assert found.header.at == LogEntry(7, 3, b"\x00body")
    assert [section.name for section in found.header.sections] == ["state"]
    assert list(path.parent.iterdir()) == [path]


def test_every_flipped_bit_is_noticed() -> None:
    content = encode(example())
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(SnapshotDamaged):
            decode(bytes(damaged))


def test_every_shortened_file_is_noticed() -> None:
    content = encode(example())
    for size in range(len(content)):
        with pytest.raises(SnapshotDamaged):
            decode(content[:size])


def test_a_whole_file_of_another_time_is_not_the_one_pointed_at(tmp_path: Path) -> None:
    store, ref, path = written(tmp_path)
    path.write_bytes(encode(example(index=8)))
    with pytest.raises(SnapshotDamaged, match="not the file that was written"):
        store.read(ref)


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    store, ref, path = written(tmp_path)
    path.unlink()
    with pytest.raises(SnapshotDamaged, match="No such file"):
        store.read(ref)


def test_another_groups_snapshot_is_refused(tmp_path: Path) -> None:
    _, ref, _ = written(tmp_path)
    with pytest.raises(SnapshotDamaged, match="another group"):
        SnapshotStore(FolderFiles(tmp_path), "cd" * 16).read(ref)


def test_only_files_without_a_pointer_are_removed(tmp_path: Path) -> None:
    store, ref, path = written(tmp_path)
    _, other, _ = written(tmp_path, index=9)
    (tmp_path / "snap-11-3.sys.77.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    assert store.clean([ref]) == ["snap-11-3.sys.77.tmp", other.name]
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "notes.txt"])


def test_a_failed_sync_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    code, said = exit_of(lambda: SnapshotStore(FolderFiles(tmp_path), GROUP).write(example()))
    assert code == 74
    assert "Input/output error" in said
    assert not list(tmp_path.glob("*.sys"))


def test_a_full_disk_leaves_no_half_file_and_no_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert SnapshotStore(FolderFiles(tmp_path), GROUP).write(example()) is None
    assert not list(tmp_path.iterdir())


def test_a_child_that_outlives_its_parent_spoils_nothing_of_the_next_life(tmp_path: Path) -> None:
    class Lingering(FolderFiles):
        """Files of a child whose parent died: the next life prepares the same snapshot between its steps."""

        def create(self, name: str) -> None:
            super().create(name)
            later.prepare(example())

    later = SnapshotStore(FolderFiles(tmp_path), GROUP, boots=5)
    SnapshotStore(Lingering(tmp_path), GROUP, boots=4).prepare(example())
    ref = later.publish_prepared(7, 3)
    assert later.read(ref).state == example().state
    assert later.clean([ref]) == ["snap-7-3.sys.4.tmp"]
