"""Kills the leader under load, round after round, and measures how long orders had to wait."""

import asyncio
import statistics
from typing import Any, Final

import msgspec

from steelyard.ops import machine
from steelyard.ops.kills import Kills
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.traders import trading
from steelyard.ops.verdict import gather, judge
from steelyard.replication.config import Profile

#: Acknowledged between a group that is level again and the next kill.
BETWEEN: Final = 500
#: A drill that has seen fewer acknowledgements proves little.
ACKNOWLEDGED_MIN: Final = 1000


async def drill(terminal: Terminal, *, rounds: int, profile: Profile = "shared") -> dict[str, Any]:
    """Kill, wait for the next acknowledged order, restart, wait until all are level; ``rounds`` times.

    Returns:
        The outcome as plain values: the verdict, and minimum, median and maximum of the times to recover.

    Raises:
        GroupError: The group did not come back.

    """
    with scratch_group(profile=profile) as scratch:
        group = scratch.group
        rejoined_ms: list[int] = []
        async with group.client() as operator:
            with terminal.busy("waiting for the group"):
                await group.wait_ready(operator)
            async with trading(group, operator) as traders:
                kills = Kills(group, operator, traders.lanes)
                with terminal.progress("killing leaders", rounds) as advance:
                    for number in range(1, rounds + 1):
                        await traders.acknowledged(traders.acks.count + BETWEEN)
                        rejoined_ms.append(await kills.round())
                        advance(number)
                await traders.acknowledged(max(ACKNOWLEDGED_MIN, traders.acks.count + BETWEEN))
            await group.wait_level(operator, traders.acks.last_index)
            await group.wait_logged(traders.acks.last_index)
        with terminal.busy("reading the logs of all replicas"):
            verdict = judge(traders.acks, await asyncio.to_thread(gather, group.node_directories))
        scratch.keep_unless(verdict.ok, terminal)
        recoveries_ms = kills.recoveries_ms
        return {
            **msgspec.structs.asdict(verdict),
            "rounds": kills.count,
            "profile": profile,
            "recovery_ms_min": min(recoveries_ms),
            "recovery_ms_median": round(statistics.median(recoveries_ms)),
            "recovery_ms_max": max(recoveries_ms),
            "recoveries_ms": recoveries_ms,
            "rejoined_ms_median": round(statistics.median(rejoined_ms)),
            "rejoined_ms_max": max(rejoined_ms),
            "machine": machine.describe(),
            "ok": verdict.ok and kills.count == rounds and verdict.acknowledged >= ACKNOWLEDGED_MIN,
        }
