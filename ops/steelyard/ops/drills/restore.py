"""Kills all three under load, wipes one, and brings the group back from snapshots and logs."""

import asyncio
import time
from typing import Any, Final

import msgspec

from steelyard.ops import machine
from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.lanes import Outage
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.traders import trading
from steelyard.ops.verdict import gather, judge
from steelyard.replication.config import node_paths

SNAPSHOT_ENTRIES: Final = 100
#: Every member has at least so many snapshots before the group is killed.
SNAPSHOTS_MIN: Final = 2
BEFORE: Final = 2000
AFTER: Final = 1000
LOOK_S: Final = 0.1
SNAPSHOTS_S: Final = 60.0


async def drill(terminal: Terminal, *, before: int = BEFORE, after: int = AFTER) -> dict[str, Any]:
    """Run the drill once.

    Args:
        terminal: Where progress is shown.
        before: Acknowledged orders before the kill, at least.
        after: Acknowledged orders after everything is back, at least.

    Returns:
        The outcome as plain values: the verdict, and how long the way back took.

    Raises:
        GroupError: The group did not come back.

    """
    with scratch_group(snapshot_entries=SNAPSHOT_ENTRIES) as scratch:
        group = scratch.group
        async with group.client() as operator:
            with terminal.busy("waiting for the group"):
                await group.wait_ready(operator)
            async with trading(group, operator) as traders:
                with terminal.busy("trading until every replica has snapshots"):
                    await traders.acknowledged(before)
                    snapshots = await _snapshots(group)
                leader = await group.leader(operator)
                wiped = next(member for member in MEMBERS if member != leader)

                terminal.say(f"killing all three; node {wiped} loses its disk")
                killed_s = time.monotonic()
                outage = Outage(killed_s)
                for member in MEMBERS:
                    group.kill(member)
                for lane in traders.lanes:
                    lane.watch(outage)
                acknowledged_before, index_before = traders.acks.count, traders.acks.last_index
                group.wipe(wiped)
                with terminal.busy("bringing them back"):
                    for member in MEMBERS:
                        group.restart(member)
                    await group.wait_ready(operator)
                    ready_s = time.monotonic() - killed_s
                    level_s = await group.wait_level(operator, index_before) - killed_s
                statuses = await group.statuses(operator)
                replayed = {member: statuses[member].commands_applied for member in MEMBERS}

                with terminal.busy("all back; trading on"):
                    await traders.acknowledged(acknowledged_before + after)
            await group.wait_level(operator, traders.acks.last_index)
            await group.wait_logged(traders.acks.last_index)
        with terminal.busy("reading the logs of all replicas"):
            verdict = judge(traders.acks, await asyncio.to_thread(gather, group.node_directories))
        scratch.keep_unless(verdict.ok, terminal)
        return {
            **msgspec.structs.asdict(verdict),
            "acknowledged_before": acknowledged_before,
            "acknowledged_after": verdict.acknowledged - acknowledged_before,
            "killed": len(MEMBERS),
            "wiped": wiped,
            "snapshots_before": snapshots,
            "commands_applied_since_restart": replayed,
            "ready_ms": round(ready_s * 1000),
            "recovery_ms": round(outage.recovered_s * 1000) if outage.recovered_s is not None else None,
            "level_ms": round(level_s * 1000),
            "machine": machine.describe(),
            "ok": verdict.ok and verdict.acknowledged >= before + after and outage.recovered_s is not None,
        }


async def _snapshots(group: LocalGroup) -> int:
    """Wait until every member has taken some snapshots; return how many the poorest has."""
    async with asyncio.timeout(SNAPSHOTS_S):
        while True:
            folders = [node_paths(group.directory, member).snapshots for member in MEMBERS]
            poorest = min(len(list(folder.glob("*.sys"))) for folder in folders)
            if poorest >= SNAPSHOTS_MIN:
                return poorest
            await asyncio.sleep(LOOK_S)
