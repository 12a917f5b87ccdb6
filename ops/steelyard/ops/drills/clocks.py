"""Clocks that jump: the time of the log must only move forward, whoever leads and whatever the time there."""

import asyncio
from typing import Final

from steelyard.ops.drills.shims import Shims, needs_compiler, preloaded
from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.replication.config import node_paths

#: A jump ahead, back, and then right again, in seconds.
JUMPS_S: Final = (3600.0, -3600.0, 0.0)
HOLD_S: Final = 2.0
TOLD_S: Final = 15.0
LOOK_S: Final = 0.1
ALARM: Final = b"clock is off"


async def clock_jump(stage: Stage, rounds: int) -> None:
    """Let the leader's clock jump an hour ahead and an hour behind; then let another lead."""
    assert isinstance(stage.prepared, Shims)
    clocks = stage.prepared.clocks
    alarms = 0
    with stage.terminal.progress("letting clocks jump", rounds * len(JUMPS_S)) as advance:
        for number in range(rounds):
            leader = await stage.leader()
            log = node_paths(stage.group.directory, leader).replica_log
            async with stage.measured():
                for step, jump_s in enumerate(JUMPS_S, 1):
                    said_before = log.stat().st_size
                    clocks[leader].jump(jump_s)
                    await stage.trade_on()
                    await asyncio.sleep(HOLD_S)
                    alarms += ALARM in log.read_bytes()[said_before:]
                    advance(number * len(JUMPS_S) + step)
                # Its log time is an hour ahead now; whoever leads next must not go back to the right one.
                stage.group.kill(leader)
                await stage.trade_on()
                stage.group.restart(leader)
                await stage.level()
            stage.expect(clocks[leader].faults > 0, f"node {leader} was never told a wrong time")
    stage.facts["alarms"] = alarms
    stage.expect(alarms > 0, "a leader with a wrong clock did not say so")


DRILLS: Final = (
    Drill(
        "clock-jump",
        "Let the leader's clock jump.",
        clock_jump,
        rounds=2,
        setting=Setting(prepare=preloaded),
        missing=needs_compiler,
    ),
)
