"""Real processes: an archive that is killed, watchers whose node is killed, and the commands that ask."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from steelyard.client import Client, Side
from steelyard.client.market_book import BookKeeper
from steelyard.client.market_model import Channel, Interval, MarketUpdate, Statement
from steelyard.client.model import Instrument
from steelyard.client.session import Session
from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.processes import Process

pytestmark = pytest.mark.processes

WAIT_S = 30.0
TIERS = """
volume_asset = "USDT"

[[tier]]
tier = 1
volume = 1

[[tier]]
tier = 2
volume = "1e12"
"""


def steelyard(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json; return the one object it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "steelyard.ops", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


async def trade(sessions: list[Session], instrument: Instrument, random: Random, count: int) -> int:
    """Place orders that often meet; return the log index of the last."""
    last = 0
    for _ in range(count):
        side = random.choice((Side.BUY, Side.SELL))
        size = Decimal(random.randint(1, 1000)) / 1000
        limit = Decimal(65_000 + random.randint(-5, 5))
        placed = await asyncio.gather(
            *(session.place(instrument, side, size=size, limit=limit) for session in sessions)
        )
        last = max(each.log_index for each in placed)
    return last


async def statement_at(client: Client, log_index: int, account: int) -> Statement:
    """Return the statement up to an index, once the archive has come so far."""
    until_s = time.monotonic() + WAIT_S
    while True:
        found = await client.market.statement(account)
        if found.to_index >= log_index or time.monotonic() > until_s:
            assert found.to_index >= log_index
            return found
        await asyncio.sleep(0.1)


async def _running_archive(group: LocalGroup) -> Process:
    """Return the process of node 1's archive, once it runs."""
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        archive = group.refresh().nodes[1].archive
        if archive is not None and archive.alive():
            return archive
        await asyncio.sleep(0.1)
    pytest.fail("the archive of node 1 does not run")


def test_a_killed_archive_goes_on_and_statements_are_the_balances(tmp_path: Path) -> None:
    data = tmp_path / "group"
    steelyard("up", "--detach", "--data", str(data))
    try:
        group = LocalGroup.open(data)
        killed = asyncio.run(_trade_while_the_archive_is_killed(group))
        assert killed == 2

        status = steelyard("status", "--data", str(data))
        assert [node["archive_index"] is not None for node in status["nodes"]] == [True, False, False]
        assert status["nodes"][0]["archive_pid"]
        shown = steelyard("trades", "BTC-USDT", "--count", "5", "--data", str(data))
        assert len(shown["trades"]) == 5
        candles = steelyard("candles", "BTC-USDT", "--interval", "1d", "--data", str(data))["candles"]
        assert sum(candle["trades"] for candle in candles) == shown["trades"][-1]["trade"]
        told = steelyard("account", "statement", "--key", "bob", "--movements", "--data", str(data))
        assert told["account"] == 1001
        for balance in told["balances"]:
            lines = [Decimal(line["amount"]) for line in told["lines"] if line["asset"] == balance["asset"]]
            assert Decimal(balance["before"]) + sum(lines) == Decimal(balance["after"])
        book = steelyard("book", "BTC-USDT", "--orders", "--depth", "3", "--data", str(data))
        assert len(book["bids"]) <= 3 < len(book["orders"])
        _check_tiers(data, tmp_path / "tiers.toml")
    finally:
        steelyard("down", "--data", str(data))


async def _trade_while_the_archive_is_killed(group: LocalGroup) -> int:
    random = Random(7)
    killed = 0
    async with group.client("alice") as alice, group.client("bob") as bob, group.client() as operator:
        instrument = await alice.instrument("BTC-USDT")
        sessions = [await alice.session("main"), await bob.session("main")]
        last = 0
        for part in range(4):
            last = await trade(sessions, instrument, random, 40)
            if part in (0, 2):
                archive = await _running_archive(group)
                os.kill(archive.pid, signal.SIGKILL)
                killed += 1
        for account, client in ((1000, alice), (1001, bob)):
            found = await statement_at(client, last, account)
            assert not found.gaps
            owned = {row.asset.asset: row.free + row.held for row in await client.balances()}
            assert owned
            for balance in found.balances:
                lines = [line.amount_atoms for line in found.lines if line.asset == balance.asset]
                assert balance.before_atoms == 0
                assert sum(lines) == balance.after_atoms
                assets = {asset.asset: asset for asset in (await client.assets()).values()}
                assert assets[balance.asset].amount(balance.after_atoms) == owned[balance.asset]
        # Where the fees went, only an operator may ask.
        fees = await operator.market.statement(2)
        assert [line.cause for line in fees.lines] == ["fee"]
        tape = await alice.market.trades(instrument, trades_max=1000)
        assert [each.trade for each in tape.rows] == list(range(1, len(tape.rows) + 1))
        (ticker,) = (await alice.market.tickers(instrument)).rows
        (day,) = (await alice.market.candles(instrument, Interval.DAY)).rows
        assert (ticker.trades, ticker.volume_lots) == (day.trades, day.volume_lots)
        assert ticker.last_ticks == tape.rows[-1].price_ticks
    return killed


def _check_tiers(data: Path, table: Path) -> None:
    """Tiers are worked out, set once, and left alone from then on."""
    table.write_text(TIERS)

    async def rates() -> None:
        async with LocalGroup.open(data).client() as client:
            admin = await client.admin("rates")
            await admin.set_fee_tier(1, 0, maker_ppm=50, taker_ppm=300)

    asyncio.run(rates())
    dry = steelyard("operate", "tiers", "--table", str(table), "--data", str(data))
    assert [(row["account"], row["was"], row["tier"]) for row in dry["accounts"]] == [
        (1000, 0, 1),
        (1001, 0, 1),
    ]
    done = steelyard("operate", "tiers", "--table", str(table), "--apply", "--data", str(data))
    assert (done["changed"], done["applied"]) == (2, True)
    again = steelyard("operate", "tiers", "--table", str(table), "--apply", "--data", str(data))
    assert again["changed"] == 0
    assert all(row["was"] == 1 for row in again["accounts"])


def test_watching_survives_the_death_of_the_leader_and_of_the_node_watched(tmp_path: Path) -> None:
    data = tmp_path / "group"
    steelyard("up", "--detach", "--data", str(data), "--archive", "none")
    try:
        asyncio.run(_watch_through_deaths(LocalGroup.open(data)))
    finally:
        steelyard("down", "--data", str(data))


async def _watch_through_deaths(group: LocalGroup) -> None:
    random = Random(8)
    keeper, seen = BookKeeper(), list[MarketUpdate]()
    async with group.client("alice") as alice, group.client("bob") as bob, group.client() as watcher:
        instrument = await alice.instrument("BTC-USDT")
        sessions = [await alice.session("main"), await bob.session("main")]
        await trade(sessions, instrument, random, 5)

        async def follow() -> None:
            async with aclosing(
                watcher.market.watch(instrument, [Channel.LEVELS, Channel.TRADES])
            ) as updates:
                async for update in updates:
                    keeper.take(update)
                    seen.append(update)

        watching = asyncio.ensure_future(follow())
        while not seen:
            await asyncio.sleep(0.05)
        for kill_leader in (True, False):
            # The leader, and then the node that is watched first, unless that led.
            leader = await group.leader(watcher)
            assert leader is not None
            group.kill(leader if kill_leader else 1)
            await trade(sessions, instrument, random, 10)
            placed = await sessions[0].place(instrument, Side.BUY, size=Decimal(1), limit=Decimal(60_000))
            await _until(partial(_has_come, keeper, placed.log_index))
            await group.wait_ready(watcher, seconds=WAIT_S)
        book = await alice.book(instrument, 1000)
        assert (keeper.book().bids, keeper.book().asks) == (book.bids, book.asks)
        indexes = [update.log_index for update in seen]
        assert indexes == sorted(indexes)
        trades = [each.trade for update in seen for each in update.trades]
        assert trades == sorted(set(trades))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _has_come(keeper: BookKeeper, log_index: int) -> bool:
    return keeper.log_index >= log_index


async def _until(true: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until_s, "it does not come"
        await asyncio.sleep(0.05)
