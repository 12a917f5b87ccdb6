"""The caller names the node that answers: no linearizable answer is older than an acknowledged write."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from steelyard.client import Client, Instrument, OutcomeUnknown, Placed, ReadMode, Session, Side, SyncClient
from steelyard.ops.cluster import MEMBERS, LocalGroup, child_environment
from steelyard.ops.market import OpenedMarket, open_development_market
from steelyard.ops.scratch import scratch_group
from steelyard.ops.traders import open_load_market

pytestmark = pytest.mark.processes

#: For a question to get from here to a replica that sleeps; were it too short, the test would only be blunt.
ARRIVE_S = 0.2


class Stand:
    """A group under one trader, who reads its own resting orders back at whichever node."""

    def __init__(self, group: LocalGroup, opened: OpenedMarket, trader: Client, session: Session) -> None:
        self.group = group
        self.opened = opened
        self.trader = trader
        self.session = session
        self.instrument: Instrument = opened.instrument
        self.resting = 0

    async def place(self) -> Placed:
        """Rest one more lot at 100 ticks, acknowledged."""
        placed = await self.session.place(self.instrument, Side.BUY, size_lots=100, limit_ticks=10_000)
        self.resting += placed.open_lots
        return placed

    async def leader(self) -> int:
        """Return who leads, once somebody does."""
        async with self.group.client() as operator:
            while (found := await self.group.leader(operator)) is None:
                await asyncio.sleep(0.05)
            return found

    def endpoint(self, member: int) -> str:
        """Return where a node answers."""
        return self.group.endpoints[member - 1]

    async def assert_fresh(self, node: str, index: int, lots: int) -> None:
        """Assert that a linearizable answer of a node has seen ``index`` and at least so many lots."""
        book = await self.trader.book(self.instrument, node=node)
        assert book.log_index >= index, node
        assert book.bids, node
        assert book.bids[0][1] >= lots, node


def on_a_group(check: Callable[[Stand], Awaitable[None]], folder: Path) -> None:
    """Run a check on a group of three of its own."""

    async def run(group: LocalGroup) -> None:
        async with group.client() as operator:
            await group.wait_ready(operator)
            opened = await open_load_market(group, operator, 1)
        (key,) = opened.keys.values()
        async with (
            Client(group.endpoints, key, retry_deadline_s=20.0) as trader,
            await trader.session("reads") as session,
        ):
            await check(Stand(group, opened, trader, session))

    with scratch_group(folder / "group", map_size_bytes=1 << 26) as scratch:
        asyncio.run(asyncio.wait_for(run(scratch.group), 90))


def test_every_node_named_sees_every_acknowledged_order(tmp_path: Path) -> None:
    async def check(stand: Stand) -> None:
        for number in range(60):
            placed = await stand.place()
            node = stand.endpoint(MEMBERS[number % 3])
            await stand.assert_fresh(node, placed.log_index, stand.resting)
            least = await stand.trader.balances(at=ReadMode.AT_LEAST, min_index=placed.log_index, node=node)
            assert least.log_index >= placed.log_index
            orders = await stand.trader.open_orders(node=node)
            assert orders.log_index >= placed.log_index
            assert len(orders) == number + 1

    on_a_group(check, tmp_path)


def test_a_leader_that_slept_through_an_election_answers_nothing_older_than_its_successor_acknowledged(
    tmp_path: Path,
) -> None:
    async def check(stand: Stand) -> None:
        for _ in range(3):
            placed = await stand.place()
            old = await stand.leader()
            node = stand.endpoint(old)
            # The gateway knows the caller from now on, so what it is asked next waits at the replica.
            await stand.assert_fresh(node, placed.log_index, stand.resting)
            stand.group.pause(old, ["replica"])
            try:
                placed = await stand.place()
                asked = [
                    asyncio.ensure_future(stand.assert_fresh(node, placed.log_index, stand.resting))
                    for _ in range(10)
                ]
                await asyncio.sleep(ARRIVE_S)
            finally:
                stand.group.resume(old)
            await asyncio.gather(*asked)
            for member in MEMBERS:
                await stand.assert_fresh(stand.endpoint(member), placed.log_index, stand.resting)

    on_a_group(check, tmp_path)


def test_followers_answer_freshly_again_after_the_leader_was_killed(tmp_path: Path) -> None:
    async def check(stand: Stand) -> None:
        placed = await stand.place()
        old = await stand.leader()
        stand.group.kill(old)
        left = [member for member in MEMBERS if member != old]
        for _ in range(20):
            for member in left:
                await stand.assert_fresh(stand.endpoint(member), placed.log_index, stand.resting)
            placed = await stand.place()

    on_a_group(check, tmp_path)


def test_a_node_alone_answers_only_what_it_has(tmp_path: Path) -> None:
    async def check(stand: Stand) -> None:
        placed = await stand.place()
        alone = (await stand.leader()) % 3 + 1
        node = stand.endpoint(alone)
        await stand.assert_fresh(node, placed.log_index, stand.resting)
        for member in MEMBERS:
            if member != alone:
                stand.group.kill(member)
        (key,) = stand.opened.keys.values()
        async with Client(stand.group.endpoints, key, retry_deadline_s=3.0) as lonely:
            stale = await lonely.book(stand.instrument, at=ReadMode.STALE, node=node)
            assert stale.log_index >= placed.log_index
            assert stale.bids[0][1] == stand.resting
            assert (await lonely.balances(at=ReadMode.STALE, node=node)).log_index >= placed.log_index
            with pytest.raises(OutcomeUnknown):
                await lonely.book(stand.instrument, node=node)
            with pytest.raises(OutcomeUnknown):
                await lonely.book(
                    stand.instrument, at=ReadMode.AT_LEAST, min_index=stale.log_index + 1000, node=node
                )

    on_a_group(check, tmp_path)


def test_the_blocking_client_and_the_command_line_name_a_node_too(tmp_path: Path) -> None:
    def command(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "steelyard.ops", *arguments, "--data", str(tmp_path / "group"), "--json"],
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(),
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    async def ready(group: LocalGroup) -> None:
        async with group.client() as operator:
            await group.wait_ready(operator)
            await open_development_market(group, operator)

    with scratch_group(tmp_path / "group", map_size_bytes=1 << 26) as scratch:
        group = scratch.group
        asyncio.run(ready(group))
        with SyncClient(group.endpoints, group.key("alice")) as client:
            btc = client.instrument("BTC-USDT", node=group.endpoints[1])
            placed = client.session("mine").place(btc, Side.BUY, size_lots=1000, limit_ticks=5_000_000)
            for node in group.endpoints:
                assert client.book(btc, node=node).log_index >= placed.log_index
                found = client.balances(at=ReadMode.AT_LEAST, min_index=placed.log_index, node=node)
                assert found.log_index >= placed.log_index
                assert [order.number for order in client.open_orders(node=node)] == [placed.number]
            with pytest.raises(ValueError, match="none of the nodes"):
                client.book(btc, node="127.0.0.1:1")
        for member in MEMBERS:
            book = command("book", "BTC-USDT", "--node", str(member))
            assert (book["bids"], book["asks"]) == ([["50000.00", "0.01000"]], [])
            assert book["log_index"] >= placed.log_index
            freshness = f"at-least:{placed.log_index}"
            owned = command("balances", "alice", "--node", str(member), "--read", freshness)
            assert owned["log_index"] >= placed.log_index
            assert {row["asset"] for row in owned["balances"] if row["held"] != "0E-8"} == {"USDT"}
        assert command("book", "BTC-USDT", "--read", "stale")["read"] == "STALE"
