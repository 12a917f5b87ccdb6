"""Networks that lose packets or are slow, each member in a network of its own."""

import asyncio
from typing import Final

from steelyard.ops.cluster import MEMBERS
from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.ops.namespaces import Namespaces, in_namespaces, needs_namespaces, needs_slow_links
from steelyard.ops.packet_loss import needs_packet_loss

#: Few enough for TCP to get through, and so many that a connection stands still now and then.
LOST_PPM: Final = 100_000
LOSS_S: Final = 8.0
#: Less than what one follower is sent under the drills' load.
SLOW_BITS_PER_S: Final = 300_000
SLOW_S: Final = 6.0


async def packet_loss(stage: Stage, rounds: int) -> None:
    """Let every tenth packet vanish: of the leader, of a follower, of all three."""
    spaces = _spaces(stage)
    repeated = 0
    with stage.terminal.progress("losing packets", 3 * rounds) as advance:
        for number in range(3 * rounds):
            leader = await stage.leader()
            follower = (await stage.followers())[number // 3 % 2]
            lossy = ((leader,), (follower,), MEMBERS)[number % 3]
            async with stage.measured():
                before = sum(map(spaces.repeated, lossy))
                try:
                    for member in lossy:
                        spaces.lose(member, LOST_PPM)
                    await asyncio.sleep(LOSS_S)
                finally:
                    spaces.heal()
                now = sum(map(spaces.repeated, lossy)) - before
                stage.expect(now > 0, f"nothing was sent again by {lossy}, so nothing was lost")
                repeated += now
                await stage.level()
            advance(number + 1)
    stage.facts["segments_sent_again"] = repeated


async def slow_link(stage: Stage, rounds: int) -> None:
    """Let a follower, then the leader, have a link that is slower than the load."""
    spaces = _spaces(stage)
    held_back = 0
    with stage.terminal.progress("slowing links", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                try:
                    spaces.slow(member, SLOW_BITS_PER_S)
                    await asyncio.sleep(SLOW_S)
                    now = spaces.held_back(member)
                finally:
                    spaces.heal()
                stage.expect(now > 0, f"the link of node {member} held nothing back")
                held_back += now
                await stage.level()
            advance(number + 1)
    stage.facts["packets_held_back"] = held_back


def _spaces(stage: Stage) -> Namespaces:
    assert isinstance(stage.prepared, Namespaces)
    return stage.prepared


DRILLS: Final = (
    Drill(
        "packet-loss",
        "Let every tenth packet vanish.",
        packet_loss,
        rounds=2,
        setting=Setting(prepare=in_namespaces),
        missing=lambda: needs_namespaces() or needs_packet_loss(),
    ),
    Drill(
        "slow-link",
        "Give members links that are too slow.",
        slow_link,
        rounds=2,
        setting=Setting(prepare=in_namespaces),
        missing=needs_slow_links,
    ),
)
