"""The simulated disk keeps exactly what a disk promises."""

import random

import pytest

from steelyard.replication.disk import Write
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.log_record import PeerMemory, pack_meta
from steelyard.simulation.clock import Agenda, MachineClock
from steelyard.simulation.disk import PAGE_BYTES, DiskFailed, Platter, SimDisk, SimFiles
from steelyard.simulation.process import Killed, Process
from steelyard.simulation.trace import Trace


class Scene:
    """A platter under a process."""

    def __init__(self) -> None:
        agenda = Agenda()
        trace = Trace(lambda: agenda.now_s)
        clock = MachineClock(agenda, read_s=0.0, offset_s=0.0, rate=1.0)
        self.platter = Platter.founded("g", 1)
        self.process = Process(1, trace, 1)
        self.disk = SimDisk(self.platter, self.process, clock, trace)
        self.files = SimFiles(self.platter, self.process, clock, trace)

    def write(self, name: str, content: bytes) -> None:
        """Write a file without any sync."""
        self.files.create(name)
        self.files.append(name, content)


def test_what_is_synced_and_named_survives_every_power_loss() -> None:
    for seed in range(30):
        scene = Scene()
        scene.write("a", b"kept")
        scene.files.sync("a")
        scene.files.sync_names()
        scene.platter.lose_power(random.Random(seed))
        assert scene.files.read("a") == b"kept"


def test_what_is_not_synced_is_lost_kept_or_torn_by_page() -> None:
    old, new = b"o" * 2 * PAGE_BYTES, b"n" * 2 * PAGE_BYTES
    seen = set()
    for seed in range(60):
        scene = Scene()
        scene.write("a", old)
        scene.files.sync("a")
        scene.files.sync_names()
        scene.platter.files["a"].content = new
        scene.platter.lose_power(random.Random(seed))
        content = scene.files.read("a")
        assert all(len(set(content[at : at + PAGE_BYTES])) == 1 for at in range(0, len(content), PAGE_BYTES))
        seen.add(content)
    assert {old, new} < seen


def test_a_name_that_is_not_synced_may_or_may_not_be_there() -> None:
    found = set()
    for seed in range(30):
        scene = Scene()
        scene.write("a", b"x")
        scene.files.sync("a")
        scene.platter.lose_power(random.Random(seed))
        found.add(tuple(scene.files.names()))
    assert found == {(), ("a",)}


def test_a_commit_is_durable_unless_the_store_is_careless() -> None:
    careful, careless = Scene(), Scene()
    careless.platter.full_sync = False
    for scene in (careful, careless):
        scene.disk.commit(Write(puts=[(1, b"x" * 30)], meta={b"hard": b"new"}))
        scene.platter.lose_power(random.Random(1))
    assert careful.platter.log == {1: b"x" * 30}
    assert careless.platter.log == {}
    assert careless.platter.meta[b"hard"] != b"new"


def test_a_failed_commit_changes_nothing() -> None:
    scene = Scene()
    scene.platter.fail_commit = "EIO"
    with pytest.raises(DiskFailed):
        scene.disk.commit(Write(puts=[(1, b"x")]))
    assert scene.platter.log == {}


def test_a_process_dies_before_or_after_a_commit_and_never_acts_again() -> None:
    before, after = Scene(), Scene()
    before.process.calls_left, after.process.calls_left = 1, 2
    for scene in (before, after):
        with pytest.raises(Killed):
            scene.disk.commit(Write(puts=[(1, b"x")]))
        with pytest.raises(Killed):
            scene.disk.commit(Write(puts=[(2, b"y")]))
    assert (before.platter.log, after.platter.log) == ({}, {1: b"x"})


def test_a_misdirected_write_is_found_at_another_place_and_is_never_taken_for_what_was_there() -> None:
    lost = 0
    for seed in range(30):
        scene = Scene()
        scene.platter.log = {index: b"record %d" % index for index in range(5, 9)}
        assert scene.platter.misdirect(random.Random(seed), snapshot=False)
        log = scene.platter.log
        wrong = [index for index in log if log[index] != b"record %d" % index]
        assert len(wrong) == 1
        assert log[wrong[0]] in {b"record %d" % index for index in range(5, 9)}
        lost += len(log) == 3
    assert 0 < lost < 30


def test_nothing_is_misdirected_where_there_is_one_place_only() -> None:
    scene = Scene()
    scene.platter.log = {5: b"record"}
    scene.write("a", b"file")
    assert not scene.platter.misdirect(random.Random(0), snapshot=False)
    assert not scene.platter.misdirect(random.Random(0), snapshot=True)
    assert (scene.platter.log, scene.files.read("a")) == ({5: b"record"}, b"file")


def test_reads_fail_where_they_are_told_to() -> None:
    scene = Scene()
    scene.write("a", b"file")
    scene.platter.fail_reads = "files"
    with pytest.raises(OSError, match="Input/output"):
        scene.files.read("a")
    assert scene.disk.read(1, 1, 1) == []
    scene.platter.fail_reads = "log"
    with pytest.raises(StoreDamaged, match="entry 1"):
        scene.disk.read(1, 1, 1)
    assert scene.files.read("a") == b"file"


def test_an_older_copy_is_known_to_forget_only_to_those_who_saw_more_of_it() -> None:
    copy, other = Platter.founded("g", 1), Platter.founded("g", 2)
    assert not copy.is_known_to_forget(1, other)
    for boots, known in ((1, False), (2, True)):  # it would count its next boot as the first
        other.meta[b"peers"] = pack_meta({1: PeerMemory(1, boots, 0, 0)})
        assert copy.is_known_to_forget(1, other) is known
