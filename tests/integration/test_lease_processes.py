"""Cancel on disconnect with real processes: a killed client, and a killed gateway."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from steelyard.client import Client, Event, OrderEvent, OrderStep, ReadMode, Session, Side
from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.market import DEVELOPMENT_KEYS, open_development_market
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.tour import tour

pytestmark = pytest.mark.processes

SYMBOL = "BTC-USDT"
WAIT_S = 3

MAKER = """
import asyncio, sys
from datetime import timedelta
from decimal import Decimal
from steelyard.client import ApiKey, Client, Side

async def main(key, *targets):
    async with Client(targets, ApiKey.read(key)) as client:
        session = await client.session("maker", cancel_on_disconnect=timedelta(minutes=10))
        await session.place(await client.instrument("BTC-USDT"), Side.BUY, size=Decimal(1), limit=Decimal(99))
        print("placed", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def market(folder: Path) -> AsyncIterator[tuple[LocalGroup, Client]]:
    """Run a group with the development market; the client is Alice's."""
    with scratch_group(folder, map_size_bytes=64 << 20) as scratch:
        group = scratch.group
        async with group.client() as operator:
            await group.wait_ready(operator)
            await open_development_market(group, operator)
            async with group.client(DEVELOPMENT_KEYS[0]) as alice:
                yield group, alice


async def gone(alice: Client, at: ReadMode) -> float:
    """Wait until no order of hers lives; return how long that took, in seconds."""
    started_s = time.monotonic()
    async with asyncio.timeout(30):
        while await alice.open_orders(at=at):
            await asyncio.sleep(0.02)
    return time.monotonic() - started_s


async def take(session: Session, count: int) -> list[Event]:
    """Return the next events of orders that ended."""
    ended: list[Event] = []
    async with asyncio.timeout(30):
        async for event in session.events():
            if isinstance(event, OrderEvent) and event.step is OrderStep.EXPIRED:
                ended.append(event)
                if len(ended) == count:
                    break
    return ended


def test_a_killed_clients_orders_go_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with market(tmp_path / "group") as (group, alice):
            key = str(group.key_path(DEVELOPMENT_KEYS[0]))
            maker = subprocess.Popen(
                [sys.executable, "-c", MAKER, key, *group.endpoints],
                stdout=subprocess.PIPE,
                env=child_environment(),
            )
            assert maker.stdout is not None
            try:
                assert await asyncio.to_thread(maker.stdout.readline) == b"placed\n"
                assert len(await alice.open_orders()) == 1
            finally:
                maker.kill()
                maker.wait(10)
                maker.stdout.close()
            assert await gone(alice, ReadMode.LINEARIZABLE) < 10
            assert not (await alice.account()).countdowns

    asyncio.run(check())


def test_orders_behind_a_killed_gateway_go_in_time_and_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with market(tmp_path / "group") as (group, alice):
            wait = timedelta(seconds=WAIT_S)
            session = await alice.session("maker", events=True, cancel_on_disconnect=wait)
            instrument = await alice.instrument(SYMBOL)
            placed = [
                await session.place(instrument, Side.BUY, size=Decimal(1), limit=Decimal(price))
                for price in (98, 99)
            ]
            # Longer than the countdown: as long as the gateway lives, it is armed again.
            await asyncio.sleep(WAIT_S + 1)
            assert len(await alice.open_orders()) == len(placed)
            leader = await group.leader(alice)
            assert leader is not None
            gateway = group.run.nodes[leader].gateway
            assert gateway is not None
            gateway.send(signal.SIGKILL)
            assert await gone(alice, ReadMode.STALE) < WAIT_S + 5
            group.start_part(leader, "gateway")
            ended = await take(session, len(placed))
            assert [(each.number, each.reason) for each in ended if isinstance(each, OrderEvent)] == [
                (order.number, "COUNTDOWN") for order in placed
            ]
            later = await session.place(instrument, Side.BUY, size=Decimal(1), limit=Decimal(97))
            assert [row.number for row in await alice.open_orders()] == [later.number]

    asyncio.run(check())


def test_the_whole_spot_exchange_is_shown_and_judged() -> None:
    result = asyncio.run(tour(Terminal(as_json=True)))
    assert result["failures"] == []
    assert result["ok"]
    assert result["leader_kills"] > 0
