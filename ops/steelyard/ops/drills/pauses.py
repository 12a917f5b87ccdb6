"""Pauses: a node stands still for longer than an election takes, and then goes on as if nothing had been."""

import asyncio
from typing import Final

from steelyard.ops.drills.stage import Drill, Stage
from steelyard.ops.runfile import PARTS, Part

#: Longer than any election timeout, and longer than a link may be silent.
PAUSE_S: Final = 5.0
#: A whole machine, or only the replica, whose gateway then serves clients from a leader that is asleep.
WHO: Final[tuple[tuple[Part, ...], ...]] = (PARTS, ("replica",))


async def pause_leader(stage: Stage, rounds: int) -> None:
    """Stop the leader until another leads; when it wakes it must answer nobody from what it knew."""
    with stage.terminal.progress("pausing leaders", rounds) as advance:
        for number in range(rounds):
            member = await stage.leader()
            async with stage.measured():
                successor = await _pause(stage, member, WHO[number % len(WHO)])
                stage.expect(successor != member, f"node {member} still led after a pause of {PAUSE_S:.0f} s")
            advance(number + 1)


async def pause_follower(stage: Stage, rounds: int) -> None:
    """Stop a follower; orders must hardly notice, and it must not disturb the leader when it wakes."""
    kept = 0
    with stage.terminal.progress("pausing followers", rounds) as advance:
        for number in range(rounds):
            leader = await stage.leader()
            member = (await stage.followers())[number % 2]
            async with stage.measured():
                await _pause(stage, member, WHO[number % len(WHO)])
                kept += await stage.leader() == leader
            advance(number + 1)
    stage.facts["leader_kept_office"] = kept


async def _pause(stage: Stage, member: int, parts: tuple[Part, ...]) -> int:
    """Pause, resume, and wait until all are level; return who led just before the end of the pause."""
    stage.group.pause(member, parts)
    try:
        await asyncio.sleep(PAUSE_S)
        leader = await stage.leader()
    finally:
        stage.group.resume(member)
    await stage.level()
    return leader


DRILLS: Final = (
    Drill("pause-leader", "Let the leader stand still past an election.", pause_leader, quick_rounds=2),
    Drill("pause-follower", "Let a follower stand still.", pause_follower, rounds=2),
)
