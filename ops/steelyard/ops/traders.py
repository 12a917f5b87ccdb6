"""Traders for drills: sessions that place, cancel and cross without end, at a bounded rate."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from steelyard.client import Client, Reply
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.history import History
from steelyard.ops.kills import RECOVERY_MAX_S
from steelyard.ops.lanes import Lane
from steelyard.ops.load import HIGHEST_TICKS, OrderFlow
from steelyard.ops.market import MarketPlan, OpenedMarket, open_market
from steelyard.ops.verdict import AckBook

SESSIONS: Final = 4
#: Each session sends a small batch, waits for its replies and pauses: some 2 000 orders a second in all, a
#: steady load that leaves two cores room for an election.
BATCH: Final = 20
PAUSE_S: Final = 0.03
#: Few living orders, so that the naive exchange that judges the history is quick enough.
RESTING_MIN: Final = 20
RESTING_MAX: Final = 40


class Traders:
    """Several sessions under continuous load, each on an account of its own."""

    def __init__(
        self,
        opened: OpenedMarket,
        lanes: list[Lane[None]],
        flows: list[OrderFlow],
        acks: AckBook,
        history: History,
    ) -> None:
        self.opened = opened
        self.lanes = lanes
        self.acks = acks
        self.history = history
        self._flows = flows
        self._stopping = asyncio.Event()

    async def trade(self) -> None:
        """Send until ``stop``; an outage of the group is only a pause."""
        async with asyncio.TaskGroup() as tasks:
            for lane, flow in zip(self.lanes, self._flows, strict=True):
                tasks.create_task(self._one(lane, flow))

    def stop(self) -> None:
        """Let every session finish what it has sent."""
        self._stopping.set()

    async def acknowledged(self, count: int) -> None:
        """Return when at least ``count`` orders are acknowledged in all.

        Raises:
            GroupError: A minute went by without any.

        """
        seen, since_s = self.acks.count, time.monotonic()
        while self.acks.count < count:
            await asyncio.sleep(PAUSE_S)
            if self.acks.count > seen:
                seen, since_s = self.acks.count, time.monotonic()
            elif time.monotonic() - since_s > RECOVERY_MAX_S:
                raise GroupError(f"no order was acknowledged for {RECOVERY_MAX_S:.0f} s")

    async def _one(self, lane: Lane[None], flow: OrderFlow) -> None:
        while not self._stopping.is_set():
            for command in flow.next(BATCH):
                await lane.put(command, None)
            await lane.drain()
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def trading(group: LocalGroup, operator: Client, *, sessions: int = SESSIONS) -> AsyncIterator[Traders]:
    """Open a market with one account a session, and trade on it for the length of the block."""
    opened = await open_load_market(group, operator, sessions)
    acks, history = AckBook(), History()
    async with AsyncExitStack() as stack:
        lanes: list[Lane[None]] = []
        for name in opened.keys:
            client = await stack.enter_async_context(opened.client(name))
            session = await stack.enter_async_context(await client.session("drill", batch_max=BATCH))
            lanes.append(Lane(session, acks, batch=BATCH, on_reply=_ignore, history=history))
        flows = [
            OrderFlow(opened.instrument.instrument, seed, resting_min=RESTING_MIN, resting_max=RESTING_MAX)
            for seed in range(sessions)
        ]
        traders = Traders(opened, lanes, flows, acks, history)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traders.trade())
            try:
                yield traders
            finally:
                traders.stop()


async def open_load_market(group: LocalGroup, operator: Client, accounts: int) -> OpenedMarket:
    """Open the market that ``OrderFlow`` trades on, with so many accounts."""
    names = [f"trader-{number}" for number in range(1, accounts + 1)]
    return await open_market(group, operator, MarketPlan("BTC", "USD", 2, 4, HIGHEST_TICKS, names))


def _ignore(_reply: Reply, _note: None) -> None:
    """Refusals are part of the load; the verdict compares every reply with the logs."""
