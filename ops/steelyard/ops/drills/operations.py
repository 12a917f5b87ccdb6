"""What operators do on a working day: restart nodes in turn, upgrade them, and replace one that has died."""

import time
from typing import Final

from steelyard.client import Admin, Malformed, Refused
from steelyard.ops.builds import NewerBuild, newer_build
from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.ops.replace import wait_voter
from steelyard.replication.errors import EX_INVARIANT

#: The only refusals that the load may meet: a cancel whose order was filled meanwhile.
EXPECTED_REFUSALS: Final = frozenset({"UNKNOWN_ORDER"})
SNAPSHOT_ENTRIES: Final = 100
#: How long a build that is too old may take to meet what it does not know.
OLD_BUILD_S: Final = 20.0


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


async def rolling_upgrade(stage: Stage, rounds: int) -> None:
    """Upgrade node by node to a build that knows a new version, switch it on, let an old build meet it."""
    build = stage.prepared
    assert isinstance(build, NewerBuild)
    admin = await stage.operator.admin("upgrade")
    with stage.terminal.progress("upgrading nodes in turn", 3 * rounds + 1) as advance:
        done = 0
        for number in range(rounds):
            for member in [*await stage.followers(), await stage.leader()]:
                if number == 0:
                    refused = await _is_refused(admin, build.version)
                    stage.expect(
                        refused, f"version {build.version} came into force before node {member} knew it"
                    )
                async with stage.measured():
                    stage.group.stop_node(member)
                    stage.group.prefixes[member] = build.prefix()
                    stage.group.start(member)
                    await stage.level()
                done += 1
                advance(done)
            if number == 0:
                stage.facts["activated_at"] = await admin.activate_version(build.version)
                await stage.trade_on()
        member = (await stage.followers())[0]
        async with stage.measured():
            stage.group.stop_node(member)
            stage.group.prefixes[member] = []
            stage.group.start(member)
            code = await stage.group.replica_exit(member, seconds=OLD_BUILD_S)
            words = stage.group.last_words(member, "replica")
            stage.expect(code == EX_INVARIANT, f"the old build of node {member} ended with exit code {code}")
            stage.expect(f"version {build.version}" in words, f"the old build did not say why: {words}")
            stage.group.end(member)
            await stage.gone(member)
            stage.group.prefixes[member] = build.prefix()
            stage.group.start(member)
            await stage.level()
        advance(done + 1)


async def _is_refused(admin: Admin, version: int) -> bool:
    try:
        await admin.activate_version(version)
    except Malformed:
        return True
    return False


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
        "rolling-upgrade",
        "Upgrade all nodes in turn, and switch a new version on.",
        rolling_upgrade,
        rounds=1,
        setting=Setting(prepare=newer_build),
    ),
    Drill(
        "replace",
        "Replace dead members by new ones.",
        replace_dead,
        rounds=1,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
)
