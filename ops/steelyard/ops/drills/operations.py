"""What operators do on a working day: restart every node in turn, and replace one that has died."""

import time
from typing import Final

from steelyard.client import Refused
from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.ops.replace import wait_voter

#: The only refusals that the load may meet: a cancel whose order was filled meanwhile.
EXPECTED_REFUSALS: Final = frozenset({"UNKNOWN_ORDER"})
SNAPSHOT_ENTRIES: Final = 100


async def rolling_restart(stage: Stage, rounds: int) -> None:
    """Restart all nodes in order, the leader last and only after it has handed leadership over."""
    with stage.terminal.progress("restarting nodes in turn", 3 * rounds) as advance:
        done = 0
        for _ in range(rounds):
            for member in [*await stage.followers(), await stage.leader()]:
                async with stage.measured():
                    stage.group.stop_node(member)
                    stage.group.start(member)
                    await stage.level()
                done += 1
                advance(done)
    refusals = {
        write.reply.reason
        for write in stage.traders.history.writes.values()
        if isinstance(write.reply, Refused)
    }
    stage.facts["refusals"] = sorted(refusals)
    stage.expect(refusals <= EXPECTED_REFUSALS, f"commands were refused: {sorted(refusals)}")


async def replace_dead(stage: Stage, rounds: int) -> None:
    """Kill a member for good, a follower's and then the leader's machine, and put a new one in its place."""
    voter_ms: list[int] = []
    with stage.terminal.progress("replacing members", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                stage.group.kill(member)
                await stage.trade_on()
                began_s = time.monotonic()
                stage.group.replace(member)
                await wait_voter(stage.group, stage.operator, member)
                voter_ms.append(round((time.monotonic() - began_s) * 1000))
                await stage.level()
            advance(number + 1)
    stage.facts["voter_ms"] = voter_ms


DRILLS: Final = (
    Drill("rolling-restart", "Restart all nodes in turn.", rolling_restart, rounds=2),
    Drill(
        "replace",
        "Replace dead members by new ones.",
        replace_dead,
        rounds=1,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
)
