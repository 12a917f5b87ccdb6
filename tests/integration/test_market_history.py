"""What gateways answer from an archive, and what they say where there is none."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.helpers.door import buy, client, run, sell
from tests.helpers.stub_replica import ALICE, GROUP, Door, open_door

from steelyard.client import Client, Malformed, NotFound, NotPermitted, Session
from steelyard.client.errors import NoArchive
from steelyard.client.market_model import Channel, Gap, Interval
from steelyard.client.words import ReadMode, Side
from steelyard.core.invariants import all_balances
from steelyard.replication.archive import Ledger
from steelyard.replication.archive_file import ArchiveWriter
from steelyard.rpc.gateway import Gateway


@dataclass
class Library:
    """A door and another gateway of its node, which has an archive that is written when a test says so."""

    door: Door
    gateway: Gateway
    path: Path

    @property
    def target(self) -> str:
        """Where the other gateway is."""
        return f"127.0.0.1:{self.gateway.port}"

    def write(self) -> int:
        """Bring the archive up to date; return its index."""
        file = ArchiveWriter(self.path, GROUP)
        ledger = Ledger(file)
        new = [applied for applied in self.door.stub.applied if applied.index > file.last_index]
        for applied in new:
            ledger.add(self.door.stub.exchange, applied)
        if new:
            ledger.write(new[-1].index, new[-1].time_ns)
        file.close()
        return file.last_index

    def skip(self) -> None:
        """Let the archive miss everything up to now."""
        file = ArchiveWriter(self.path, GROUP)
        exchange = self.door.stub.exchange
        owned = all_balances(exchange.state)
        file.begin_at(
            exchange.applied_index,
            exchange.time_ns,
            ((int(account), int(asset), atoms) for (account, asset), atoms in owned.items()),
        )
        file.close()


@asynccontextmanager
async def open_library(folder: Path) -> AsyncIterator[Library]:
    """Open both."""
    async with open_door(folder) as door:
        path = folder / "archive.sqlite"
        gateway = Gateway(GROUP, 1, door.stub.path, "127.0.0.1:0", name="library", archive=path)
        await gateway.start()
        try:
            while gateway.door.link.state is None:
                await gateway.door.changed.wait()
            yield Library(door, gateway, path)
        finally:
            await gateway.stop(patience_s=0.2)


async def trades(session: Session, count: int, first: int) -> None:
    """Make so many trades of one lot at 100."""
    for order in range(first, first + 2 * count, 2):
        await session.submit(buy(order, limit_ticks=100, size_lots=1))
        await session.submit(sell(order + 1, limit_ticks=100, size_lots=1))


def test_ticker_and_candles_begin_with_what_was_and_go_on_with_what_comes(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_library(tmp_path) as library,
            client(library.door, library.door.alice) as trader,
            Client([library.target], library.door.bob) as watcher,
        ):
            session = await trader.session("main")
            await trades(session, 3, 1)
            library.write()
            updates = watcher.market.watch(1, [Channel.TICKER, Channel.CANDLES], interval=Interval.MONTH)
            async with aclosing(updates) as watched:
                picture = await anext(watched)
                assert picture.ticker is not None
                assert picture.candle is not None
                assert (picture.ticker.trades, picture.ticker.last_ticks, picture.candle.trades) == (
                    3,
                    100,
                    3,
                )
                await trades(session, 2, 100)
                counted = [(await anext(watched)).candle for _ in range(2)]
                assert [candle.trades for candle in counted if candle is not None] == [4, 5]
                # Another interval joins in, with the trades that came meanwhile.
                library.write()
                more = watcher.market.watch(1, [Channel.CANDLES], interval=Interval.SECOND)
                async with aclosing(more) as others:
                    candle = (await anext(others)).candle
                    assert candle is not None
                    assert candle.trades == 5
                    await trades(session, 1, 200)
                    for each in (watched, others):
                        candle = (await anext(each)).candle
                        assert candle is not None
                        assert candle.trades == 6

    run(check())


def test_a_node_without_an_archive_says_so_and_the_client_asks_another(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_library(tmp_path) as library:
            door = library.door
            async with client(door, door.alice, retry_deadline_s=1.5) as alone:
                session = await alone.session("main")
                await trades(session, 2, 1)
                with pytest.raises(NoArchive, match="keeps no archive"):
                    await alone.market.trades(1)
                with pytest.raises(NoArchive, match="keeps no archive"):
                    await anext(alone.market.watch(1, [Channel.TICKER]))
            async with Client([door.target, library.target], door.alice, retry_deadline_s=5) as both:
                with pytest.raises(NoArchive):
                    await both.market.trades(1)
                library.write()
                found = await both.market.trades(1)
                assert [(each.trade, each.price_ticks, each.taker_side) for each in found.rows] == [
                    (1, 100, Side.SELL),
                    (2, 100, Side.SELL),
                ]
                assert not found.gaps
                with pytest.raises(NotFound):
                    await both.market.trades(77)
                with pytest.raises(Malformed):
                    await both.market.trades(1, trades_max=1001)
                with pytest.raises(NoArchive, match="has not come"):
                    await both.market.statement(to_index=10**6)

    run(check())


def test_statements_are_for_whom_the_balances_are(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_library(tmp_path) as library,
            client(library.door, library.door.alice) as trader,
            Client([library.target], library.door.alice, retry_deadline_s=5) as alice,
            Client([library.target], library.door.bob, retry_deadline_s=5) as bob,
            Client([library.target], library.door.operator, retry_deadline_s=5) as operator,
        ):
            await trades(await trader.session("main"), 2, 1)
            last = library.write()
            own = await alice.market.statement(movements=True)
            assert own == await operator.market.statement(ALICE, movements=True)
            assert (own.after_index, own.to_index, own.log_index) == (0, last, last)
            owned = {row.asset.asset: row for row in await alice.balances(at=ReadMode.STALE)}
            for balance in own.balances:
                lines = [line.amount_atoms for line in own.lines if line.asset == balance.asset]
                assert balance.before_atoms + sum(lines) == balance.after_atoms
                row = owned[balance.asset]
                assert row.asset.amount(balance.after_atoms) == row.free + row.held
            # Trading with oneself moves nothing but the fees.
            assert {line.cause for line in own.lines} == {"deposit", "fee"}
            assert sum(line.count for line in own.lines) == len(own.movements)
            with pytest.raises(NotPermitted):
                await bob.market.statement(ALICE)
            with pytest.raises(NotPermitted):
                await alice.market.statement(2)
            fees = await operator.market.statement(2)
            assert [line.cause for line in fees.lines] == ["fee"]
            with pytest.raises(Malformed):
                await alice.market.statement(after_index=5, to_index=3)

    run(check())


def test_answers_that_cross_a_gap_say_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_library(tmp_path) as library,
            client(library.door, library.door.alice) as trader,
            Client([library.target], library.door.alice, retry_deadline_s=5) as reader,
        ):
            session = await trader.session("main")
            await trades(session, 1, 1)
            before = library.write()
            await trades(session, 1, 11)
            library.skip()
            after = library.door.stub.exchange.applied_index
            await trades(session, 1, 21)
            library.write()
            gap = [Gap(before, after)]
            found = await reader.market.trades(1)
            assert ([each.trade for each in found.rows], found.gaps) == ([1, 3], gap)
            # Trade 2 is missing: whoever goes on after 1 must know.
            assert (await reader.market.trades(1, after_trade=1, trades_max=1)).gaps == gap
            assert (await reader.market.trades(1, after_trade=2)).gaps == gap
            assert (await reader.market.trades(1, after_trade=3)).gaps == []
            assert (await reader.market.trades(1, trades_max=1)).gaps == []
            assert (await reader.market.candles(1, Interval.DAY)).gaps == gap
            assert (await reader.market.tickers(1)).gaps == gap
            assert (await reader.market.statement()).gaps == gap
            assert (await reader.market.statement(after_index=after)).gaps == []

    run(check())
