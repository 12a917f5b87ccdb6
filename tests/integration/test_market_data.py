"""Watching a market through the gateway and the SDK: pictures, changes, slow readers, nodes that go away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.helpers.door import buy, client, run, sell
from tests.helpers.stub_replica import GROUP, Door, open_door

from steelyard.client import Client, NotFound, Session
from steelyard.client.market import MarketData
from steelyard.client.market_book import BookKeeper
from steelyard.client.market_model import Channel, MarketUpdate
from steelyard.client.words import InstrumentState, ReadMode, Side
from steelyard.core.commands import ActivateVersion, SetInstrumentRules, SetMark
from steelyard.core.units import OPERATOR, InstrumentId, KeyId, Permission
from steelyard.rpc.gateway import Gateway
from steelyard.rpc.market import watchers

AT_ONCE = 10
EVERYTHING = (Channel.BEST, Channel.LEVELS, Channel.ORDERS, Channel.TRADES, Channel.STATUS)


async def until(updates: AsyncGenerator[MarketUpdate], log_index: int) -> list[MarketUpdate]:
    """Return the updates up to one that is at least of ``log_index``."""
    taken = [await anext(updates)]
    while taken[-1].log_index < log_index:
        taken.append(await anext(updates))
    return taken


async def busy(session: Session, count: int, first: int = 1) -> int:
    """Place and fill orders, some in one entry; return the log index of the last."""
    last = 0
    for start in range(first, first + count, AT_ONCE):
        orders = [
            (buy if order % 3 else sell)(order, limit_ticks=95 + order % 11, size_lots=1 + order % 4)
            for order in range(start, min(start + AT_ONCE, first + count))
        ]
        replies = await asyncio.gather(*(session.submit(order) for order in orders))
        last = max(reply.log_index for reply in replies)
    return last


def test_a_watcher_gets_a_picture_and_then_every_change(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main")
            await session.submit(buy(1, limit_ticks=100, size_lots=5))
            async with aclosing(trader.market.watch(1, EVERYTHING)) as updates:
                picture = await anext(updates)
                assert picture.picture
                assert [(level.price_ticks, level.lots, level.orders) for level in picture.levels] == [
                    (100, 5, 1)
                ]
                assert [(order.side, order.price_ticks, order.lots) for order in picture.orders] == [
                    (Side.BUY, 100, 5)
                ]
                assert picture.best is not None
                assert (picture.best.bid_ticks, picture.best.bid_lots, picture.best.ask_ticks) == (100, 5, 0)
                assert [status.state for status in picture.status] == [InstrumentState.OPEN]

                reply = await session.submit(sell(2, limit_ticks=99, size_lots=2))
                (update,) = await until(updates, reply.log_index)
                assert not update.picture
                assert update.log_index == reply.log_index
                assert [
                    (trade.price_ticks, trade.size_lots, trade.taker_side) for trade in update.trades
                ] == [(100, 2, Side.SELL)]
                assert [(level.lots, level.orders) for level in update.levels] == [(3, 1)]
                assert [order.lots for order in update.orders] == [3]

    run(check())


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_rebuilt_book_is_the_exchanges_own(tmp_path: Path, depth: int) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main")
            await busy(session, 20)
            keeper = BookKeeper(depth)
            async with aclosing(trader.market.watch(1, [Channel.LEVELS], depth=depth)) as updates:
                keeper.take(await anext(updates))
                last = 0
                for part in range(1, 5):
                    await busy(session, 40, first=100 * part)
                (ticks, _), *_ = (await trader.book(1, 1)).bids
                last = (await session.submit(buy(999, limit_ticks=ticks, size_lots=1))).log_index
                for update in await until(updates, last):
                    keeper.take(update)
            book = await trader.book(1, depth or 1000)
            assert (keeper.book().bids, keeper.book().asks) == (book.bids, book.asks)
            assert book.bids
            assert book.asks

    run(check())


def test_a_reader_that_is_too_slow_gets_a_new_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "QUEUE_BYTES_MAX", 4_000)

    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main")
            async with aclosing(trader.market.watch(1, EVERYTHING)) as updates:
                first = await anext(updates)
                last = 0
                # Nobody reads meanwhile: what the connection does not hold waits at the gateway.
                for part in range(1, 60):
                    last = await busy(session, 90, first=100 * part)
                taken = await until(updates, last)
                indexes = [update.log_index for update in taken]
                assert indexes == sorted(indexes)
                assert first.picture
                assert any(update.picture for update in taken)

    run(check())


def test_a_watcher_that_leaves_costs_nothing_any_more(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            feed = door.gateway.door.market_feed
            async with aclosing(trader.market.watch(1, [Channel.BEST])) as updates:
                await anext(updates)
                assert feed.watchers == 1
                (peer,) = door.stub._peers
                assert peer.follows
            while feed.watchers or peer.follows:
                await asyncio.sleep(0.01)

    run(check())


def test_what_is_not_listed_cannot_be_watched(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            with pytest.raises(NotFound):
                await anext(trader.market.watch(77, [Channel.BEST]))

    run(check())


async def _follow(market: MarketData, keeper: BookKeeper, seen: list[MarketUpdate]) -> None:
    async with aclosing(market.watch(1, [Channel.LEVELS])) as updates:
        async for update in updates:
            keeper.take(update)
            seen.append(update)


def test_a_replica_that_comes_back_is_followed_again_without_a_gap(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            keeper, seen = BookKeeper(), list[MarketUpdate]()
            session = await trader.session("main")
            await busy(session, 10)
            watching = asyncio.ensure_future(_follow(trader.market, keeper, seen))
            while not seen:
                await asyncio.sleep(0.01)
            door.stub.hang_up()
            last = await busy(session, 30, first=100)
            while keeper.log_index < last:
                await asyncio.sleep(0.01)
            assert [update.picture for update in seen].count(True) == 1, "the entries were still held"
            door.stub.hang_up()
            door.trader(1002)
            door.stub.hold_feed_from = door.stub.exchange.applied_index
            last = await busy(session, 30, first=200)
            while keeper.log_index < last:
                await asyncio.sleep(0.01)
            assert [update.picture for update in seen].count(True) == 2, "some were not held any more"
            book = await trader.book(1, 1000)
            assert (keeper.book().bids, keeper.book().asks) == (book.bids, book.asks)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    run(check())


def test_watching_goes_on_at_another_node_with_a_picture_that_is_not_older(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            shadow = door.stub.shadow(tmp_path / "other.sock", 2)
            await shadow.start()
            other = Gateway(GROUP, 2, shadow.path, "127.0.0.1:0", name="other")
            await other.start()
            try:
                await _go_on(door, other)
            finally:
                await other.stop(patience_s=0.2)
                await shadow.stop()

    async def _go_on(door: Door, other: Gateway) -> None:
        keeper, seen = BookKeeper(), list[MarketUpdate]()
        async with (
            client(door, door.alice) as trader,
            Client([f"127.0.0.1:{other.port}", door.target], door.bob, retry_deadline_s=10) as watcher,
        ):
            session = await trader.session("main")
            await busy(session, 10)
            # A gateway that has just begun takes no signature of its first second.
            await watcher.instruments(ReadMode.STALE, node=f"127.0.0.1:{other.port}")
            watching = asyncio.ensure_future(_follow(watcher.market, keeper, seen))
            while not seen:
                await asyncio.sleep(0.01)
            assert other.door.market_feed.watchers == 1
            await other.stop(patience_s=0.1)
            last = await busy(session, 30, first=100)
            while keeper.log_index < last:
                await asyncio.sleep(0.01)
            indexes = [update.log_index for update in seen]
            assert indexes == sorted(indexes)
            assert [update.picture for update in seen].count(True) == 2
            book = await trader.book(1, 1000)
            assert (keeper.book().bids, keeper.book().asks) == (book.bids, book.asks)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    run(check())


def test_instruments_are_listed_with_where_they_stand_and_orders_with_what_they_show(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            door.stub.do(ActivateVersion(version=2))
            key = door.key(OPERATOR, int(Permission.OPERATE | Permission.FEED | Permission.READ))
            rules = SetInstrumentRules(instrument=InstrumentId(1), buy_up_ppm=2_000_000, price_step_ticks=5)
            door.stub.do(rules)
            door.stub.act(KeyId(key.id), OPERATOR, SetMark(instrument=InstrumentId(1), mark_ticks=120))
            session = await trader.session("main")
            await session.submit(buy(1, limit_ticks=100, size_lots=5))
            await session.submit(sell(2, limit_ticks=100, size_lots=2))
            listed = await trader.instrument("BTC-USD")
            assert (listed.last_ticks, listed.mark_ticks, listed.next_state) == (100, 120, None)
            index, orders = await trader.market.orders(listed)
            assert index >= 1
            assert [(order.side, order.price_ticks, order.lots) for order in orders] == [(Side.BUY, 100, 3)]

    run(check())
