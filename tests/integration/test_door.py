"""The gateway and the SDK over real sockets: orders in, replies and private events out."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from tests.helpers.door import (
    buy,
    client,
    raw_stream,
    run,
    sell,
    take,
)
from tests.helpers.stub_replica import ALICE, BTC_USD, Door, open_door

from steelyard.client import (
    ApiKey,
    Cancelled,
    CancelOrder,
    EventsMissed,
    Fill,
    InstrumentState,
    NotFound,
    NotPermitted,
    OrderEvent,
    OrderRejected,
    OrderStep,
    Placed,
    Rejected,
    Reply,
    Side,
    SyncClient,
)
from steelyard.core import units
from steelyard.core.commands import ActivateVersion, OrderTerms, PlaceOrderOnTerms
from steelyard.core.units import AccountId, KeyId, OrderId, TriggerKind


def test_an_operator_lists_and_funds_and_a_trader_trades(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.operator) as operator:
            admin = await operator.admin()
            await admin.list_asset(7, "ETH", 8)
            await admin.list_instrument(
                9,
                "ETH-USD",
                7,
                2,
                tick=Decimal("0.01"),
                lot=Decimal(1),
                price_max_ticks=10**6,
                size_max_lots=10**3,
            )
            await admin.set_instrument_state(9, InstrumentState.POST_ONLY)
            await admin.set_instrument_state(9, InstrumentState.OPEN)
            with pytest.raises(Rejected, match="ASSET_EXISTS"):
                await admin.list_asset(7, "ETH", 8)
            await admin.open_account(2000)
            await admin.deposit(2000, 2, 10**9)
            key = ApiKey.generate()
            key = key.with_id(await admin.create_api_key(2000, key.public_key, 3), 2000)
            assert all(total.sum_atoms == 0 for total in await admin.totals())

            async with client(door, key) as trader:
                eth = await trader.instrument("ETH-USD")
                session = await trader.session("main")
                placed = await session.place(eth, Side.BUY, size=Decimal(3), limit=Decimal("1500.25"))
                assert (placed.request, placed.open_lots) == (1, 3)
                book = await trader.book(eth)
                assert book.bids == [(150_025, 3)]
                assert book.log_index >= placed.log_index
                (usd,) = await trader.balances()
                assert (usd.asset.symbol, usd.held) == ("USD", Decimal("4500.75"))
                (resting,) = await trader.open_orders(instrument=eth)
                assert (resting.number, resting.open_lots, resting.side) == (placed.number, 3, Side.BUY)
                cancelled = await session.cancel(placed)
                assert cancelled.open_lots == 3
                assert await trader.open_orders() == []
                with pytest.raises(OrderRejected, match="UNKNOWN_ORDER"):
                    await session.cancel(placed)
                with pytest.raises(NotFound, match="no instrument XYZ"):
                    await trader.instrument("XYZ")
                with pytest.raises(NotFound, match="NOT_FOUND"):
                    await trader.book(77)
                with pytest.raises(NotPermitted):
                    await trader.balances(ALICE)
                with pytest.raises(Rejected, match="NOT_PERMITTED"):
                    await (await trader.admin("pretender")).open_account(3000)

    run(check())


def test_orders_by_unary_calls_are_numbered_too(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            acks: list[tuple[int, Reply]] = []
            session = await trader.unary_session("unary")
            session.on_ack = lambda number, reply: acks.append((number, reply))
            instrument = await trader.instrument("BTC-USD")
            placed = await session.place(instrument, Side.BUY, size_lots=5, limit_ticks=100, label="x")
            assert (await session.cancel(label="x")).number == placed.number
            with pytest.raises(OrderRejected, match="UNKNOWN_ORDER"):
                await session.cancel(placed)
            assert [number for number, _ in acks] == [1, 2, 3]

            again = await trader.unary_session("unary")
            assert (again.id, again.last_request) == (session.id, 3)
            replies = await asyncio.gather(*(again.submit(buy(order)) for order in range(20, 30)))
            assert [reply.request for reply in replies] == list(range(4, 14))
            assert all(isinstance(reply, Placed) for reply in replies)

    run(check())


def test_a_thousand_commands_arrive_in_order_in_messages_of_any_size(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            for batch_max in (1, 7, 1000):
                session = await trader.session(f"batch {batch_max}", batch_max=batch_max)
                commands = [
                    buy(order) if order % 2 else CancelOrder(order=order - 1) for order in range(1, 3001)
                ]
                replies = await session.submit_many(commands)
                assert [reply.request for reply in replies] == list(range(1, 3001))
                assert all(isinstance(reply, Placed) for reply in replies[::2])
                assert all(isinstance(reply, Cancelled) for reply in replies[1::2])
                assert session.open_count == 0

    run(check())


def test_replies_can_be_taken_by_callback(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("callbacks")
            heard: list[Reply] = []
            session.send([buy(order) for order in range(1, 51)], heard.append)
            assert session.open_count == 50
            await session.settled()
            assert [reply.request for reply in heard] == list(range(1, 51))

    run(check())


def test_the_blocking_client_does_the_same(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            await asyncio.to_thread(script, door)

    def script(door: Door) -> None:
        with SyncClient([door.target], door.alice, retry_deadline_s=10) as trader:
            assert trader.status().leads
            instrument = trader.instrument("BTC-USD")
            session = trader.session("blocking", events=True)
            placed = session.place(instrument, Side.SELL, size=Decimal("0.04"), limit=Decimal(50))
            events = session.events()
            first = next(events)
            assert isinstance(first, OrderEvent)
            assert (first.step, first.number) == (OrderStep.ACCEPTED, placed.number)
            events.close()
            assert trader.book(instrument).asks == [(100, 2)]
            assert session.cancel(placed).open_lots == 2
            assert [balance.held_atoms for balance in trader.balances()] == [0, 0]

    run(check())


def test_each_trader_sees_its_own_side_in_log_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_door(tmp_path) as door,
            client(door, door.alice) as one,
            client(door, door.bob) as other,
        ):
            alice = await one.session("a", events=True)
            bob = await other.session("b", events=True)
            await alice.submit(sell(1, size_lots=3))
            await bob.submit(buy(2, size_lots=5))
            seen = await take(alice, 4)
            assert [type(event).__name__ for event in seen] == [
                "OrderEvent",
                "OrderEvent",
                "Fill",
                "OrderEvent",
            ]
            fill = seen[2]
            assert isinstance(fill, Fill)
            assert (fill.order, fill.side, fill.maker, fill.size_lots, fill.open_lots) == (1, 2, True, 3, 0)
            seen = await take(bob, 3)
            fill = seen[1]
            assert isinstance(fill, Fill)
            assert (fill.order, fill.side, fill.maker, fill.open_lots) == (2, 1, False, 2)
            assert [event.log_index for event in seen] == sorted(event.log_index for event in seen)

    run(check())


def test_events_go_on_across_a_break_without_gap_or_repeat(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_door(tmp_path) as door,
            client(door, door.alice) as one,
            client(door, door.alice) as other,
        ):
            watcher = await one.session("watch", events=True)
            trader = await other.session("trade", events=True)
            for order in range(1, 6):
                await trader.submit(buy(order))
            first = await take(watcher, 10)
            door.stub.hang_up()
            for order in range(6, 11):
                await trader.submit(buy(order))
            second = await take(watcher, 10)
            everything = first + second
            numbers = [event.number for event in everything if isinstance(event, OrderEvent)]
            assert numbers == [n for n in range(1, 11) for _ in range(2)]
            assert len(dict.fromkeys(everything)) == 20
            assert watcher._attachment.events.empty()

    run(check())


def test_events_that_the_node_does_not_hold_are_reported_missing(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_door(tmp_path) as door,
            client(door, door.alice) as one,
            client(door, door.alice) as other,
        ):
            watcher = await one.session("watch", events=True)
            trader = await other.session("trade")
            await trader.submit(buy(1))
            before = await take(watcher, 2)
            door.stub.hold_feed_from = before[-1].log_index + 100
            door.stub.hang_up()
            (missed,) = await take(watcher, 1)
            assert isinstance(missed, EventsMissed)
            assert (missed.after_index, missed.log_index) == (
                before[-1].log_index,
                before[-1].log_index + 100,
            )

    run(check())


def test_who_asks_for_older_events_repeats_them_to_nobody_else(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as first, raw_stream(door) as second:
            start = (await first.hello(door.alice, "first", events=True)).events_complete_after
            async with client(door, door.alice) as trader:
                session = await trader.session("main")
                for order in (1, 2, 3):
                    await session.submit(buy(order))
                heard = await first.events(6)
                welcome = await second.hello(door.alice, "second", events=True, events_after=start)
                assert welcome.events_complete_after == start
                assert await second.events(6) == heard
                await session.submit(buy(4))
                fourth = await first.events(2)
                assert fourth == await second.events(2)
                assert fourth[0].log_index > heard[-1].log_index

    run(check())


def test_a_stop_that_another_client_wakes_reaches_its_owners_stream(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_door(tmp_path) as door,
            client(door, door.alice) as one,
            client(door, door.bob) as other,
        ):
            door.stub.do(ActivateVersion(version=2))
            alice = await one.session("a", events=True)
            bob = await other.session("b")
            stop = PlaceOrderOnTerms(
                account=AccountId(ALICE),
                instrument=BTC_USD,
                order=OrderId(7),
                side=units.Side.BUY,
                size_lots=2,
                limit_ticks=120,
                terms=OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=110),
            )
            door.stub.act(KeyId(door.alice.id), AccountId(ALICE), stop)
            await bob.submit(sell(1, limit_ticks=115, size_lots=2))
            await bob.submit(sell(2, limit_ticks=110))
            await bob.submit(buy(3, limit_ticks=110))
            await bob.submit(buy(4, limit_ticks=1))

            (seen,) = await take(alice, 1)
            while not isinstance(seen, Fill):
                (seen,) = await take(alice, 1)

            assert (seen.order, seen.maker, seen.price_ticks, seen.size_lots) == (7, False, 115, 2)
            (left,) = await take(alice, 1)
            assert isinstance(left, OrderEvent)
            assert (left.order, left.step, left.log_index) == (7, OrderStep.FILLED, seen.log_index)

    run(check())
