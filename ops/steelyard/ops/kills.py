"""Kills leaders on purpose, brings them back, and measures how long orders had to wait."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from steelyard.client import Client
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.lanes import Lane, Outage

#: A killed leader stays away for so long.
AWAY_S: Final = 2.0
#: Longer than this without an acknowledgement and the group is broken, not slow.
RECOVERY_MAX_S: Final = 60.0
ATTACH_S: Final = 0.01


class Kills:
    """Kills the leader that the lanes are attached to, with SIGKILL, replica and gateway."""

    def __init__(self, group: LocalGroup, client: Client, lanes: Sequence[Lane[Any]]) -> None:
        self._group = group
        self._client = client
        self._lanes = lanes
        self._outages: list[Outage] = []
        self._returns: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """How many leaders were killed."""
        return len(self._outages)

    @property
    def recoveries_ms(self) -> list[int]:
        """From each kill to the next acknowledged order."""
        return [
            round(outage.recovered_s * 1000) for outage in self._outages if outage.recovered_s is not None
        ]

    @property
    def all_back(self) -> bool:
        """Whether every killed node is back, as far as it was to come back by itself."""
        return all(task.done() for task in self._returns)

    def kill_leader(self) -> int | None:
        """Kill the leader's node; return its number, or None if no lane is attached at the moment."""
        endpoints = self._group.endpoints
        attached = {lane.session.leader or "" for lane in self._lanes}
        if len(attached) != 1 or not attached <= set(endpoints):
            return None
        member = endpoints.index(attached.pop()) + 1
        outage = Outage(self._group.kill(member))
        self._outages.append(outage)
        for lane in self._lanes:
            lane.watch(outage)
        return member

    def once_at(self, line: int | None, advance: Callable[[int], None]) -> Callable[[int], None]:
        """Return a callback for progress that kills the leader at ``line``, and restarts it later."""

        def on_line(reached: int) -> None:
            advance(reached)
            if line is not None and not self._outages and reached >= line:
                self.strike()

        return on_line

    def strike(self) -> bool:
        """Kill the leader's node, which comes back later; return whether it was: see ``kill_leader``."""
        member = self.kill_leader()
        if member is not None:
            self._returns.append(asyncio.ensure_future(self._bring_back(member)))
        return member is not None

    async def round(self) -> int:
        """Kill the leader, wait for the next acknowledged order, bring it back, wait until all are level.

        Returns:
            From its restart until all three were level, in milliseconds.

        Raises:
            GroupError: The group did not recover.

        """
        member = self.kill_leader()
        while member is None:
            await asyncio.sleep(ATTACH_S)
            member = self.kill_leader()
        await self.recovered()
        started_s = time.monotonic()
        self._group.restart(member)
        last_index = max(lane.last_index for lane in self._lanes)
        level_s = await self._group.wait_level(self._client, last_index)
        return round((level_s - started_s) * 1000)

    async def recovered(self) -> float:
        """Wait for the end of the last outage; return how long it was in seconds.

        Raises:
            GroupError: No order was acknowledged within a minute.

        """
        outage = self._outages[-1]
        try:
            async with asyncio.timeout(RECOVERY_MAX_S):
                await outage.ended.wait()
        except TimeoutError:
            raise GroupError(f"no order was acknowledged within {RECOVERY_MAX_S:.0f} s of the kill") from None
        assert outage.recovered_s is not None
        return outage.recovered_s

    async def settle(self) -> None:
        """Return when every killed node is back."""
        await asyncio.gather(*self._returns)

    async def _bring_back(self, member: int) -> None:
        await asyncio.sleep(AWAY_S)
        self._group.restart(member)
        await self._group.wait_ready(self._client)
