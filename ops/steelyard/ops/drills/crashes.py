"""Kills: of the leader, a follower, everybody, whoever writes a snapshot, and one node again and again."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final

from steelyard.ops.cluster import MEMBERS
from steelyard.ops.drills.stage import Drill, Setting, Stage, until
from steelyard.ops.errors import GroupError
from steelyard.ops.kills import Kills
from steelyard.replication.config import node_paths

#: How long a killed node stays away.
AWAY_S: Final = 1.0
#: Between the starts of a node that does not live long.
LIFE_S: Final = (0.05, 0.15, 0.4, 0.8, 1.5)
#: Snapshots so often that one can be met.
SNAPSHOT_ENTRIES: Final = 100
SNAPSHOT_WAIT_S: Final = 30.0
SNAPSHOT_LOOK_S: Final = 0.0002
SNAPSHOTS_MIN: Final = 2
#: More than members write from one archive of their logs to the next, so that nothing falls in between.
KEEP_ENTRIES: Final = 1000
FORGETS_S: Final = 60.0
FETCH_MAP_BYTES: Final = 24 << 20
#: A fetch takes some of these, time enough to meet it.
FETCH_DELAY_S: Final = 0.1
FETCH_LOOK_S: Final = 0.005
#: Short enough that no log forgets meanwhile what the last archive does not have.
FETCH_WAIT_S: Final = 10.0


async def kill_leader(stage: Stage, rounds: int) -> None:
    """Kill the leader with SIGKILL, replica and gateway; wait for the next acknowledged order."""
    kills = Kills(stage.group, stage.operator, stage.traders.lanes)
    rejoined_ms: list[int] = []
    with stage.terminal.progress("killing leaders", rounds) as advance:
        for number in range(1, rounds + 1):
            await stage.trade_on()
            rejoined_ms.append(await kills.round())
            advance(number)
    stage.recoveries_ms = kills.recoveries_ms
    stage.facts["rejoined_ms_max"] = max(rejoined_ms)
    stage.expect(len(kills.recoveries_ms) == rounds, f"only {len(kills.recoveries_ms)} kills were measured")


async def kill_follower(stage: Stage, rounds: int) -> None:
    """Kill one follower and then the other; orders must hardly notice."""
    with stage.terminal.progress("killing followers", rounds) as advance:
        for number in range(rounds):
            member = (await stage.followers())[number % 2]
            async with stage.measured():
                stage.group.kill(member)
                await asyncio.sleep(AWAY_S)
                stage.group.restart(member)
                await stage.level()
            advance(number + 1)


async def kill_all(stage: Stage, rounds: int) -> None:
    """Kill all three at once; all come back with what their disks hold."""
    with stage.terminal.progress("killing all three", rounds) as advance:
        for number in range(rounds):
            async with stage.measured():
                for member in MEMBERS:
                    stage.group.kill(member)
                for member in MEMBERS:
                    stage.group.restart(member)
                await stage.level()
            advance(number + 1)


async def kill_during_snapshot(stage: Stage, rounds: int) -> None:
    """Kill each member in turn at the moment when it writes a snapshot."""
    halves = 0
    with stage.terminal.progress("killing whoever writes a snapshot", rounds) as advance:
        for number in range(rounds):
            member = MEMBERS[number % len(MEMBERS)]
            async with stage.measured():
                folder = node_paths(stage.group.directory, member).snapshots
                if not await asyncio.to_thread(_writes, folder):
                    stage.failures.append(f"node {member} wrote no snapshot in {SNAPSHOT_WAIT_S:.0f} s")
                stage.group.kill(member)
                halves += bool(_unfinished(folder))
                await asyncio.sleep(AWAY_S)
                stage.group.restart(member)
                await stage.level()
            advance(number + 1)
    stage.facts["snapshots_left_half_written"] = halves


async def kill_during_fetch(stage: Stage, rounds: int) -> None:
    """Wipe a follower that must fetch a snapshot then; kill it, and in turn whoever leads, while it does."""
    unfinished = 0
    with stage.terminal.progress("killing members while a snapshot is fetched", rounds) as advance:
        for number in range(rounds):
            near, member = await stage.followers()
            await _archived_and_forgotten(stage, near)
            log = stage.group.log_path(member, "replica")
            async with stage.measured():
                stage.group.kill(member)
                stage.group.wipe(member)
                stage.mesh.delay(member, FETCH_DELAY_S)
                stage.group.restart(member)
                begun = 0
                for victim in (member, await stage.leader() if number % 2 else member):
                    if not await asyncio.to_thread(_fetches, log, begun):
                        stage.failures.append(f"node {member} fetched no snapshot")
                    stage.group.kill(victim)
                    begun, is_open = _fetches_begun(log)
                    unfinished += is_open
                    # Whoever fetches has no vote: until a leader is back, there is no majority.
                    stage.group.restart(victim)
                stage.mesh.heal()
                await stage.level()
            advance(number + 1)
    stage.facts["fetches_left_unfinished"] = unfinished
    stage.expect(unfinished > 0, "no kill met a fetch")


async def restart_loop(stage: Stage, rounds: int) -> None:
    """Kill a follower again and again, each time a little later in its start; then leave it alone."""
    with stage.terminal.progress("killing a node while it starts", rounds) as advance:
        for number in range(rounds):
            member = (await stage.followers())[number % 2]
            async with stage.measured():
                for life_s in LIFE_S:
                    stage.group.kill(member)
                    stage.group.restart(member)
                    await asyncio.sleep(life_s)
                await stage.level()
            advance(number + 1)


async def restore(stage: Stage, rounds: int) -> None:
    """Kill all three, wipe one, and bring the group back from snapshots and logs."""
    for _ in range(rounds):
        with stage.terminal.busy("trading until every replica has snapshots"):
            await stage.trade_on()
            stage.facts["snapshots_before"] = await _snapshots(stage)
        wiped = (await stage.followers())[0]
        acknowledged_before, index_before = stage.traders.acks.count, stage.traders.acks.last_index
        stage.terminal.say(f"killing all three; node {wiped} loses its disk")
        async with stage.measured():
            killed_s = time.monotonic()
            for member in MEMBERS:
                stage.group.kill(member)
            stage.group.wipe(wiped)
            for member in MEMBERS:
                stage.group.restart(member)
            await stage.group.wait_ready(stage.operator)
            ready_s = time.monotonic() - killed_s
            level_s = await stage.group.wait_level(stage.operator, index_before) - killed_s
            statuses = await stage.group.statuses(stage.operator)
        stage.facts |= {
            "wiped": wiped,
            "acknowledged_before": acknowledged_before,
            "commands_applied_since_restart": {
                member: status.commands_applied for member, status in sorted(statuses.items())
            },
            "ready_ms": round(ready_s * 1000),
            "level_ms": round(level_s * 1000),
        }


async def _snapshots(stage: Stage) -> int:
    """Wait until every member has taken some snapshots; return how many the poorest has."""
    folders = [node_paths(stage.group.directory, member).snapshots for member in MEMBERS]

    def poorest() -> int:
        return min(len(list(folder.glob("*.sys"))) for folder in folders)

    await until(
        f"every member had taken {SNAPSHOTS_MIN} snapshots",
        lambda: poorest() >= SNAPSHOTS_MIN,
        seconds=SNAPSHOT_WAIT_S,
    )
    return poorest()


def _writes(folder: Path) -> bool:
    """Wait until a snapshot is being written; return whether one was."""
    deadline_s = time.monotonic() + SNAPSHOT_WAIT_S
    while time.monotonic() < deadline_s:
        if _unfinished(folder):
            return True
        time.sleep(SNAPSHOT_LOOK_S)
    return False


def _fetches(log: Path, begun: int) -> bool:
    """Wait until a member says that it fetches one snapshot more than ``begun``; return whether it did.

    Its first piece is then a delayed question and a delayed answer away, and a small snapshot is one piece.
    """
    deadline_s = time.monotonic() + FETCH_WAIT_S
    while time.monotonic() < deadline_s:
        if _fetches_begun(log)[0] > begun:
            return True
        time.sleep(FETCH_LOOK_S)
    return False


def _fetches_begun(log: Path) -> tuple[int, bool]:
    """Return how many fetches a member has begun in its log, and whether the last one has not ended."""
    try:
        told = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # the node was wiped, and its log begins anew
        return 0, False
    parts = told.split("fetching the snapshot of index")
    return len(parts) - 1, len(parts) > 1 and "installed the snapshot of index" not in parts[-1]


async def _archived_and_forgotten(stage: Stage, member: int) -> None:
    """Wait until the leader can bring a member that has nothing up to date by a snapshot only.

    What logs forget until then is in archives of one member's, each made before logs forget where the one
    before it ends.
    """
    deadline_s = time.monotonic() + FORGETS_S
    archived_index = 0
    while time.monotonic() < deadline_s:
        status = (await stage.group.statuses(stage.operator)).get(await stage.leader())
        if status is not None and status.log_index >= archived_index + KEEP_ENTRIES // 2:
            await stage.archive(member)
            archived_index = status.log_index
        if status is not None and archived_index and status.log_first_index > 1:
            return
        await asyncio.sleep(AWAY_S / 10)
    raise GroupError(f"the leader had not trimmed its log after {FORGETS_S:.0f} s")


def _unfinished(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):  # a folder that is being made
        return [name for name in os.listdir(folder) if name.endswith(".tmp")]
    return []


DRILLS: Final = (
    Drill("kill-leader", "Kill the leader, again and again.", kill_leader, rounds=10, quick_rounds=2),
    Drill("kill-follower", "Kill the followers in turn.", kill_follower, rounds=4),
    Drill("kill-all", "Kill all three at once.", kill_all),
    Drill(
        "kill-during-snapshot",
        "Kill members while they write a snapshot.",
        kill_during_snapshot,
        rounds=6,
        quick_rounds=2,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
    Drill(
        "kill-during-fetch",
        "Kill members while one fetches a snapshot.",
        kill_during_fetch,
        rounds=4,
        quick_rounds=2,
        setting=Setting(
            # replay begins at a snapshot: the archives must reach from one to the next
            snapshot_entries=KEEP_ENTRIES // 2,
            log_keep_entries=KEEP_ENTRIES,
            map_size_bytes=FETCH_MAP_BYTES,  # each archive is as large
            meshed=True,
        ),
    ),
    Drill("restart-loop", "Kill a node while it starts.", restart_loop, rounds=2),
    Drill(
        "restore",
        "Kill all three and wipe one; back from snapshots and logs.",
        restore,
        rounds=1,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
)
