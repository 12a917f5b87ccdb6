"""Disks that fail, fill up, slow down, forget, or come back as they were."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from steelyard.ops.cluster import LocalGroup
from steelyard.ops.drills.shims import Shims, needs_compiler, preloaded
from steelyard.ops.drills.stage import Drill, Setting, Stage, needs_root, until
from steelyard.ops.errors import GroupError
from steelyard.replication.config import node_paths
from steelyard.replication.errors import EX_DISK
from steelyard.replication.log_reader import LogReader

#: How long a replica whose disk has failed may take to notice and stop.
STOP_S: Final = 20.0
SLOW_SYNC_S: Final = 0.4
SLOW_S: Final = 6.0
FULL_S: Final = 6.0
#: What rests of a small disk is filled up to this.
LEFT_BYTES: Final = 4096
SMALL_MAP_BYTES: Final = 24 << 20
SMALL_DISK_BYTES: Final = 40 << 20
SNAPSHOT_ENTRIES: Final = 100
SNAPSHOT_S: Final = 30.0

_SHIMMED: Final = Setting(prepare=preloaded)


async def fsync_error(stage: Stage, rounds: int) -> None:
    """Let every sync of one member fail, a follower's and then the leader's: it must stop and not go on."""
    shims = _shims(stage)
    with stage.terminal.progress("failing syncs", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                shims.disks[member].fail_syncs()
                await _stops(stage, member)
                shims.disks[member].heal()
                stage.group.start(member)
                await stage.level()
            advance(number + 1)


async def write_error(stage: Stage, rounds: int) -> None:
    """Let every write of one member fail for want of room, a follower's and then the leader's."""
    shims = _shims(stage)
    with stage.terminal.progress("failing writes", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                shims.disks[member].be_full()
                await _stops(stage, member)
                shims.disks[member].heal()
                stage.group.start(member)
                await stage.level()
            advance(number + 1)


async def slow_disk(stage: Stage, rounds: int) -> None:
    """Let every sync of one member take long, a follower's and then the leader's."""
    shims = _shims(stage)
    slowed = 0
    with stage.terminal.progress("slowing disks", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                before = shims.disks[member].faults
                shims.disks[member].be_slow(SLOW_SYNC_S)
                await asyncio.sleep(SLOW_S)
                shims.disks[member].heal()
                slowed += shims.disks[member].faults - before
                await stage.level()
            advance(number + 1)
    stage.facts["slowed_syncs"] = slowed
    stage.expect(slowed > 0, "no sync was slowed down")


async def disk_full(stage: Stage, rounds: int) -> None:
    """Fill a member's small disk: it must go on without snapshots, or stop with exit code 74."""
    small = stage.prepared
    assert isinstance(small, SmallDisk)
    with stage.terminal.progress("filling a disk", rounds) as advance:
        for number in range(rounds):
            async with stage.measured():
                small.fill()
                stood_at = await _snapshot_index(stage, small.member)
                await asyncio.sleep(FULL_S)
                code = stage.group.replica_exit_now(small.member)
                stage.expect(code in {None, EX_DISK}, f"a full disk ended the replica with exit code {code}")
                if code is None:
                    # Written before the disk was full, perhaps; another one cannot have been.
                    now_at = await _snapshot_index(stage, small.member)
                    stage.expect(now_at <= stood_at + SNAPSHOT_ENTRIES, "the disk was not full")
                small.make_room()
                stage.group.start(small.member)
                await stage.level()
                await _snapshots_again(stage, small.member)
            stage.facts["exit_code"] = code
            advance(number + 1)


async def wiped_disk(stage: Stage, rounds: int) -> None:
    """Kill a follower, then the leader, and take its disk away: it must catch up from nothing."""
    with stage.terminal.progress("wiping disks", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                stage.group.kill(member)
                stage.group.wipe(member)
                stage.group.start(member)
                await stage.level()
            advance(number + 1)


async def old_disk(stage: Stage, rounds: int) -> None:
    """Bring a member back with its disk as it was some time ago: it must notice, and not vote on it."""
    with stage.terminal.progress("restoring old disks", rounds) as advance:
        for number in range(rounds):
            member = (await stage.followers())[number % 2]
            node = node_paths(stage.group.directory, member).node
            kept = stage.group.directory / f"kept-{number}"
            async with stage.measured():
                stage.group.kill(member)
                await stage.gone(member)
                shutil.copytree(node, kept, ignore=shutil.ignore_patterns("*.sock", "*.log"))
                stage.group.start(member)
                await stage.level()
                await stage.trade_on()
                stage.group.kill(member)
                await stage.gone(member)
                log = node_paths(stage.group.directory, member).replica_log
                said_before = log.stat().st_size
                shutil.rmtree(node / "store")
                shutil.rmtree(node / "snapshots")
                shutil.copytree(kept / "store", node / "store")
                shutil.copytree(kept / "snapshots", node / "snapshots")
                shutil.rmtree(kept)
                stage.group.start(member)
                await stage.level()
                said = log.read_bytes()[said_before:]
                stage.expect(b"joining again" in said, f"node {member} did not notice that its disk was old")
            advance(number + 1)


async def flip_in_log(stage: Stage, rounds: int) -> None:
    """Change one bit in a stopped member's log: it must refuse to serve it, and be healed by its peers."""
    with stage.terminal.progress("flipping bits in logs", rounds) as advance:
        for number in range(rounds):
            member = (await stage.followers())[number % 2]
            async with stage.measured():
                stage.group.kill(member)
                await stage.gone(member)
                _flip_entry(node_paths(stage.group.directory, member).store)
                stage.group.start(member)
                await _stops(stage, member)
                # What an operator does then: the log is worthless, the others have it.
                stage.group.end(member)
                stage.group.wipe(member)
                stage.group.start(member)
                await stage.level()
            advance(number + 1)


async def flip_in_snapshot(stage: Stage, rounds: int) -> None:
    """Change one bit in a stopped member's newest snapshot: it must use an older one, or the log."""
    with stage.terminal.progress("flipping bits in snapshots", rounds) as advance:
        for number in range(rounds):
            member = (await stage.followers())[number % 2]
            paths = node_paths(stage.group.directory, member)
            async with stage.measured():
                await _has_snapshot(stage, member)
                stage.group.kill(member)
                await stage.gone(member)
                with LogReader(paths.store) as log:
                    newest = paths.snapshots / log.snapshots[-1].name
                flip(newest, newest.stat().st_size // 2)
                said_before = paths.replica_log.stat().st_size
                stage.group.start(member)
                await stage.level()
                said = paths.replica_log.read_bytes()[said_before:]
                stage.expect(b"snapshot refused" in said, f"node {member} did not refuse {newest.name}")
            advance(number + 1)


class SmallDisk(NamedTuple):
    """A disk with little room, under one member."""

    member: int
    node: Path

    def fill(self) -> None:
        """Leave nearly no room."""
        left_bytes = shutil.disk_usage(self.node).free - LEFT_BYTES
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, left_bytes))

    def make_room(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.node / "ballast"


@contextmanager
def on_small_disk(group: LocalGroup) -> Iterator[SmallDisk]:
    """Move the second member to a small disk of its own, in memory, until the end of the block."""
    member = 2
    node = node_paths(group.directory, member).node
    aside = group.directory / f"{node.name}.aside"
    node.rename(aside)
    node.mkdir()
    options = f"size={SMALL_DISK_BYTES},mode=700"
    _run("mount", "-t", "tmpfs", "-o", options, "steelyard-drill", str(node))
    try:
        shutil.copytree(aside, node, dirs_exist_ok=True)
        yield SmallDisk(member, node)
    finally:
        _run("umount", str(node))


def can_mount() -> str:
    """Return why no small disk can be made here, or an empty text."""
    return needs_root() or ("" if shutil.which("mount") else "no mount")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GroupError(f"{' '.join(command)}: {done.stderr.strip()}")


def _shims(stage: Stage) -> Shims:
    assert isinstance(stage.prepared, Shims)
    return stage.prepared


async def _stops(stage: Stage, member: int) -> None:
    code = await stage.group.replica_exit(member, seconds=STOP_S)
    stage.expect(code == EX_DISK, f"node {member} stopped with exit code {code}, not {EX_DISK}")


async def _snapshot_index(stage: Stage, member: int) -> int:
    return (await stage.group.statuses(stage.operator))[member].snapshot_index


async def _snapshots_again(stage: Stage, member: int) -> None:
    folder = node_paths(stage.group.directory, member).snapshots
    before = set(folder.glob("*.sys"))
    await until(
        f"node {member} had taken another snapshot",
        lambda: bool(set(folder.glob("*.sys")) - before),
        seconds=SNAPSHOT_S,
    )


async def _has_snapshot(stage: Stage, member: int) -> None:
    folder = node_paths(stage.group.directory, member).snapshots
    await until(f"node {member} had taken a snapshot", lambda: any(folder.glob("*.sys")), seconds=SNAPSHOT_S)


def _flip_entry(store: Path) -> None:
    """Change one bit in the body of an entry in the middle of a log."""
    with LogReader(store) as log:
        bodies = [logged.body for logged in log if logged.body is not None]
    body = max(bodies[len(bodies) // 4 : 3 * len(bodies) // 4], key=len)
    data = store / "data.mdb"
    content = data.read_bytes()
    # The last copy: earlier ones may lie in pages that are no longer in use.
    places: list[int] = []
    place = content.find(body[:512])
    while place >= 0:
        places.append(place)
        place = content.find(body[:512], place + 1)
    for place in places:
        flip(data, place + min(len(body), 512) // 2)


def flip(path: Path, place: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))
        file.flush()
        os.fsync(file.fileno())


DRILLS: Final = (
    Drill("wiped-disk", "Take members' disks away.", wiped_disk, rounds=1),
    Drill(
        "old-disk",
        "Restore an older copy of a disk.",
        old_disk,
        rounds=2,
    ),
    Drill(
        "bit-flip-log",
        "Change a bit in a log.",
        flip_in_log,
        rounds=2,
    ),
    Drill(
        "bit-flip-snapshot",
        "Change a bit in a snapshot.",
        flip_in_snapshot,
        rounds=2,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
    Drill(
        "disk-full",
        "Fill the disk of a member.",
        disk_full,
        rounds=2,
        setting=Setting(
            snapshot_entries=SNAPSHOT_ENTRIES, map_size_bytes=SMALL_MAP_BYTES, prepare=on_small_disk
        ),
        missing=can_mount,
    ),
    Drill(
        "write-error",
        "Let writes fail for want of room.",
        write_error,
        rounds=1,
        setting=_SHIMMED,
        missing=needs_compiler,
    ),
    Drill("fsync-error", "Let syncs fail.", fsync_error, rounds=1, setting=_SHIMMED, missing=needs_compiler),
    Drill("slow-disk", "Let syncs take long.", slow_disk, rounds=1, setting=_SHIMMED, missing=needs_compiler),
)
