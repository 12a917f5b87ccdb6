"""Partitions: ways between members that are blocked in one direction or both, slow, cut or garbled."""

import asyncio
from collections.abc import Sequence
from typing import Final

from steelyard.ops.cluster import MEMBERS
from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.ops.mesh import Way
from steelyard.ops.namespaces import Namespaces, in_namespaces, needs_namespaces

#: Longer than any election timeout, and longer than a link may be silent.
BLOCK_S: Final = 5.0
#: A stall that links survive, so that all that waited comes through in a burst.
STALL_S: Final = 2.5
DELAY_S: Final = 0.1
SLOW_S: Final = 3.0
ACTS: Final = 6
BETWEEN_ACTS_S: Final = 0.3

_MESHED: Final = Setting(meshed=True)


async def partition_leader(stage: Stage, rounds: int) -> None:
    """Cut the leader off from both followers, by silence, or with its connections reset."""
    with stage.terminal.progress("cutting the leader off", rounds) as advance:
        for number in range(rounds):
            leader = await stage.leader()
            async with stage.measured():
                stage.mesh.isolate(leader)
                if number % 2:
                    for other in MEMBERS:
                        if other != leader:
                            stage.mesh.reset(leader, other)
                try:
                    await asyncio.sleep(BLOCK_S)
                    successor = await stage.leader()
                finally:
                    stage.mesh.heal()
                stage.expect(successor != leader, f"node {leader} led a minority for {BLOCK_S:.0f} s")
                await stage.level()
            advance(number + 1)


async def partition_follower(stage: Stage, rounds: int) -> None:
    """Cut a follower off; when it is back, it must not depose the leader."""
    kept = 0
    with stage.terminal.progress("cutting a follower off", rounds) as advance:
        for number in range(rounds):
            leader = await stage.leader()
            member = (await stage.followers())[number % 2]
            async with stage.measured():
                stage.mesh.isolate(member)
                await _blocked(stage, BLOCK_S)
                # Asked when all is well again: coming back must not depose anybody.
                kept += await stage.leader() == leader
            advance(number + 1)
    stage.facts["leader_kept_office"] = kept


async def partition_one_way(stage: Stage, rounds: int) -> None:
    """Block single directions: a leader that is heard but hears nobody, one that hears but is not heard."""
    with stage.terminal.progress("blocking single directions", 4 * rounds) as advance:
        for number in range(4 * rounds):
            leader = await stage.leader()
            near, far = await stage.followers()
            ways: Sequence[Way] = (
                ((near, leader), (far, leader)),  # the leader hears nobody: it must step down
                ((leader, near), (leader, far)),  # nobody hears the leader
                ((near, leader),),  # one follower's acknowledgements do not come through
                ((leader, far), (far, near)),  # one follower is told nothing, by anybody
            )[number % 4]
            async with stage.measured():
                for way in ways:
                    stage.mesh.block(*way)
                await _blocked(stage, BLOCK_S)
            advance(number + 1)


async def bad_links(stage: Stage, rounds: int) -> None:
    """Delay links, stall them and let the backlog through at once, reset them, cut and garble frames."""
    mesh = stage.mesh
    with stage.terminal.progress("spoiling links", rounds) as advance:
        for number in range(rounds):
            member = MEMBERS[number % len(MEMBERS)]
            others = [other for other in MEMBERS if other != member]
            async with stage.measured():
                mesh.delay(member, DELAY_S)
                await asyncio.sleep(SLOW_S)
                mesh.heal()
                for act in range(ACTS):
                    other = others[act % len(others)]
                    mesh.garble(member, other)
                    mesh.cut(other, member)
                    await asyncio.sleep(BETWEEN_ACTS_S)
                mesh.reset(*others)
                mesh.isolate(member)
                await _blocked(stage, STALL_S)
            advance(number + 1)


async def drop_packets(stage: Stage, rounds: int) -> None:
    """Let packets vanish between namespaces: unplug the leader, deafen it, silence it, unplug a follower."""
    spaces = stage.prepared
    assert isinstance(spaces, Namespaces)
    with stage.terminal.progress("dropping packets", 4 * rounds) as advance:
        for number in range(4 * rounds):
            leader = await stage.leader()
            followers = await stage.followers()
            async with stage.measured():
                if number % 4 == 0:
                    spaces.unplug(leader)
                elif number % 4 == 1:
                    for follower in followers:
                        spaces.block(follower, leader)
                elif number % 4 == 2:  # noqa: PLR2004 - the third of four
                    for follower in followers:
                        spaces.block(leader, follower)
                else:
                    spaces.unplug(followers[0])
                try:
                    await asyncio.sleep(BLOCK_S)
                finally:
                    spaces.heal()
                await stage.level()
            advance(number + 1)


async def _blocked(stage: Stage, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        stage.mesh.heal()
    await stage.level()


DRILLS: Final = (
    Drill("partition-leader", "Cut the leader off.", partition_leader, rounds=2, setting=_MESHED),
    Drill("partition-follower", "Cut a follower off.", partition_follower, rounds=2, setting=_MESHED),
    Drill("partition-one-way", "Block single directions.", partition_one_way, rounds=1, setting=_MESHED),
    Drill(
        "partition-namespaces",
        "Let packets vanish between network namespaces.",
        drop_packets,
        rounds=1,
        setting=Setting(prepare=in_namespaces),
        missing=needs_namespaces,
    ),
    Drill("bad-links", "Delay, stall, reset, cut and garble links.", bad_links, setting=_MESHED),
)
