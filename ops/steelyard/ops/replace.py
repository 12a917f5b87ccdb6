"""``steelyard replace``: a new machine in the place of a dead member, while the others go on."""

import asyncio
import time
from typing import Any, Final

from steelyard.client import Client
from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.terminal import Terminal
from steelyard.ops.wishes import Wish, read_wish, remove_wish, write_wish

LOOK_S: Final = 0.1
#: How long the supervisor may take to put the new one in its place.
PLACED_S: Final = 30.0
#: How long the new one may take to fetch what the others have.
CAUGHT_UP_S: Final = 600.0


async def replace(terminal: Terminal, group: LocalGroup, member: int) -> dict[str, Any]:
    """Replace a member of a running group, and wait until the new one votes.

    Returns:
        When the new one had joined, and when it had caught up and voted, in milliseconds from the start.

    Raises:
        GroupError: The other two do not run, or the new one did not catch up.
        ReplicationError: It could not be prepared.

    """
    async with group.client() as client:
        others = [other for other in MEMBERS if other != member]
        statuses = await group.statuses(client)
        missing = [other for other in others if other not in statuses or not statuses[other].ready]
        if missing:
            raise GroupError(
                f"node {missing[0]} is not ready: a member can only be replaced while the other two serve"
            )
        began_s = time.monotonic()
        with terminal.busy(f"putting a new node {member} in place"):
            await _put_in_place(group, member)
        placed_s = time.monotonic()
        with terminal.busy(f"waiting until node {member} has caught up and votes"):
            await wait_voter(group, client, member)
        return {
            "replaced": member,
            "placed_ms": round((placed_s - began_s) * 1000),
            "voter_ms": round((time.monotonic() - began_s) * 1000),
            "ok": True,
        }


async def wait_voter(group: LocalGroup, client: Client, member: int, *, seconds: float = CAUGHT_UP_S) -> None:
    """Wait until a member has caught up and votes; until then it is joining.

    Raises:
        GroupError: Not in time.

    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = (await group.statuses(client)).get(member)
        if found is not None and found.ready and found.role in {"follower", "leader"}:
            return
        await asyncio.sleep(LOOK_S)
    raise GroupError(f"node {member} did not catch up within {seconds:.0f} s; see its replica.log")


async def _put_in_place(group: LocalGroup, member: int) -> None:
    supervisor = group.refresh().supervisor
    if supervisor is None or not supervisor.alive():
        group.replace(member)
        return
    if read_wish(group.directory) is not None:
        raise GroupError(f"another replacement is under way in {group.directory}")
    write_wish(group.directory, Wish(member))
    try:
        deadline = time.monotonic() + PLACED_S
        while time.monotonic() < deadline:
            wish = read_wish(group.directory)
            if wish is not None and wish.done:
                if wish.error:
                    raise GroupError(wish.error)
                return
            await asyncio.sleep(LOOK_S)
        raise GroupError(f"the supervisor did not replace node {member} within {PLACED_S:.0f} s")
    finally:
        remove_wish(group.directory)
