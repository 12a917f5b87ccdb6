"""What breaks between a client and the group, and what the client sees of it."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.helpers.door import (
    attached_session,
    buy,
    client,
    method,
    order_message,
    raw_stream,
    run,
    take,
)
from tests.helpers.stub_replica import BOB, GROUP, open_door

from steelyard.client import (
    Book,
    Broken,
    Cancelled,
    CancelOrder,
    NotLeader,
    OutcomeUnknown,
    Placed,
    ReadMode,
    Reply,
    SessionTakenOver,
    Unavailable,
)
from steelyard.client.client import LIST_INSTRUMENTS
from steelyard.replication.front import FailureReason
from steelyard.rpc.gateway import Gateway
from steelyard.v1 import trading_pb2


def test_a_second_hello_ends_the_older_stream(tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            open_door(tmp_path) as door,
            client(door, door.alice) as one,
            client(door, door.alice) as other,
        ):
            first = await one.session("shared")
            await first.submit(buy(1))
            second = await other.session("shared")
            assert (second.id, second.last_request) == (first.id, 1)
            assert [reply.request for reply in second.kept_replies] == [1]
            while first.leader is not None:
                await asyncio.sleep(0.001)
            with pytest.raises(SessionTakenOver):
                await first.submit(buy(2))
            assert isinstance(await second.submit(buy(2)), Placed)

    run(check())


def test_what_was_applied_but_not_answered_is_answered_after_the_link_came_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            acks: list[tuple[int, Reply]] = []
            session = await trader.session("main")
            session.on_ack = lambda number, reply: acks.append((number, reply))
            await session.submit(buy(1))
            door.stub.swallow_replies = True
            waiting = asyncio.ensure_future(session.submit_many([buy(2), CancelOrder(order=1), buy(3)]))
            while len(door.stub.executed.get((session.id, 4), [])) < 1:
                await asyncio.sleep(0.001)
            door.stub.swallow_replies = False
            door.stub.hang_up()

            two, cancel, three = await waiting

            assert isinstance(two, Placed)
            assert isinstance(cancel, Cancelled)
            assert isinstance(three, Placed)
            assert [number for number, _ in acks] == [1, 2, 3, 4]
            assert session.reconnects == 1
            for number in (1, 2, 3, 4):
                assert len(door.stub.executed[session.id, number]) == 1

    run(check())


def test_nothing_is_lost_or_repeated_while_the_link_breaks_again_and_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main", batch_max=20)
            acks: dict[int, Reply] = {}
            session.on_ack = acks.__setitem__
            waiting = asyncio.ensure_future(session.submit_many([buy(order) for order in range(1, 3001)]))
            breaks = 0
            while not waiting.done():
                await asyncio.sleep(0.02)
                door.stub.swallow_replies = not door.stub.swallow_replies
                if door.stub.swallow_replies or waiting.done():
                    continue
                breaks += 1
                door.stub.hang_up()
                door.stub.swallow_replies = False
                while session.reconnects < breaks and not waiting.done():
                    await asyncio.sleep(0.002)
            replies = await waiting
            assert [reply.request for reply in replies] == list(range(1, 3001))
            assert all(isinstance(reply, Placed) for reply in replies)
            assert sorted(acks) == list(range(1, 3001))
            assert all(len(door.stub.executed[session.id, n]) == 1 for n in range(1, 3001))
            door.stub.exchange.check_invariants()

    run(check())


def test_a_gateway_that_is_restarted_under_load_is_a_pause(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main", batch_max=10)
            stop = asyncio.Event()
            acks: dict[int, Reply] = {}
            session.on_ack = acks.__setitem__

            async def load() -> None:
                order = 0
                while not stop.is_set():
                    order += 1
                    session.send([buy(order), CancelOrder(order=order)])
                    await asyncio.sleep(0)

            loading = asyncio.ensure_future(load())
            gateway = door.gateway
            for _ in range(4):
                wanted = len(acks) + 200
                while len(acks) < wanted:
                    await asyncio.sleep(0.001)
                await gateway.stop(patience_s=0)
                gateway = Gateway(GROUP, 1, door.stub.path, door.target, name="again")
                await gateway.start()
            stop.set()
            await loading
            await session.settled()
            await gateway.stop(patience_s=0.2)
            assert session.reconnects >= 4
            assert sorted(acks) == list(range(1, session.last_request + 1))
            assert all(len(door.stub.executed[session.id, n]) == 1 for n in acks)

    run(check())


def test_a_hook_that_raises_ends_the_session_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main", events=True)

            def hook(number: int, _: Reply) -> None:
                raise ZeroDivisionError(number)

            session.on_ack = hook
            told = session.submit(buy(1))
            untold = session.submit(buy(2))
            assert isinstance(await told, Placed)
            for waiting in (untold, session.settled(), take(session, 100)):
                with pytest.raises(Broken, match="ZeroDivisionError") as caught:
                    await waiting
                assert isinstance(caught.value.__cause__, ZeroDivisionError)

    run(check())


def test_a_request_that_was_never_proposed_is_sent_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main")
            door.stub.refuse_with = FailureReason.OVERLOADED
            waiting = session.submit(buy(1))
            while session.leader is not None:
                await asyncio.sleep(0.001)
            door.stub.refuse_with = None
            assert isinstance(await waiting, Placed)
            assert len(door.stub.executed[session.id, 1]) == 1

    run(check())


def test_a_silent_leader_is_left_for_one_of_a_higher_term(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            other = door.stub.shadow(tmp_path / "other.sock", 2)
            await other.start()
            gateway = Gateway(GROUP, 2, other.path, "127.0.0.1:0", name="other")
            await gateway.start()
            endpoint = f"127.0.0.1:{gateway.port}"
            async with client(door, door.alice, endpoint) as trader:
                session = await trader.session("main")
                assert session.leader == door.target
                door.stub.swallow_replies = True
                waiting = session.submit(buy(1))
                other.lead(2, endpoint)
                assert isinstance(await waiting, Placed)
                assert session.leader == endpoint
                assert session.reconnects == 1
                assert len(door.stub.executed[session.id, 1]) == 1
            await gateway.stop(0.2)
            await other.stop()

    run(check())


def test_a_leader_that_hangs_is_no_leader_after_a_while(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice, retry_deadline_s=0.1) as trader:
            assert (await trader.statuses())[0].leads
            door.stub.hangs = True
            while (status := (await trader.statuses())[0]).leads:
                await asyncio.sleep(0.01)
            assert (status.role, status.ready) == ("leader", False)
            async with raw_stream(door) as stream:
                _, error = await stream.ending()
                assert isinstance(error, Unavailable)
            door.stub.hangs = False
            while not (await trader.statuses())[0].leads:
                await asyncio.sleep(0.01)

    run(check())


def test_a_follower_names_the_leader_and_answers_stale_reads(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice, retry_deadline_s=1.5) as trader:
            session = await trader.session("main")
            await session.submit(buy(1))
            nodes = trader._nodes
            await trader.instruments()
            door.stub.lose_leadership(3, "127.0.0.1:1")
            while (await trader.statuses())[0].role != "follower":
                await asyncio.sleep(0.001)

            with pytest.raises(NotLeader) as caught:
                await nodes.call_at(door.target, LIST_INSTRUMENTS, b"")
            assert caught.value.leader == "127.0.0.1:1"
            stale = await trader.book(1, at=ReadMode.STALE)
            assert stale.bids == [(100, 5)]
            at_least = await trader.book(1, at=ReadMode.AT_LEAST, min_index=stale.log_index)
            assert isinstance(at_least, Book)
            with pytest.raises(Unavailable, match="not applied here yet"):
                await trader.book(1, at=ReadMode.AT_LEAST, min_index=10**6)
            with pytest.raises(OutcomeUnknown):
                await trader.balances()
            async with raw_stream(door) as stream:
                reason, error = await stream.ending()
                assert reason == ""
                assert isinstance(error, NotLeader)
            await session.close()

    run(check())


def test_open_streams_are_told_when_leadership_is_lost(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as idle, raw_stream(door) as busy:
            await idle.hello(door.alice, "idle")
            await busy.hello(door.bob, "busy")
            door.stub.swallow_replies = True
            message = trading_pb2.TradeRequest()
            message.commands.add(request=1, place_order=order_message())
            await busy.send(message)
            while not door.stub.executed.get(
                (door.gateway.door.streams[attached_session(door, BOB)].session, 1)
            ):
                await asyncio.sleep(0.001)
            door.stub.lose_leadership(2, "127.0.0.1:2")
            for stream, expected in ((idle, "NOT_LEADER"), (busy, "LEADERSHIP_LOST")):
                reason, error = await stream.ending()
                assert reason == expected
                assert isinstance(error, NotLeader)
                assert error.leader == "127.0.0.1:2"

    run(check())


def test_without_a_replica_the_gateway_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice, retry_deadline_s=0.3) as trader:
            await door.stub.stop()
            while (await trader.statuses())[0].role != "unreachable":
                await asyncio.sleep(0.001)
            with pytest.raises(Unavailable):
                await trader.session("main")
            async with raw_stream(door) as stream:
                _, error = await stream.ending()
                assert isinstance(error, Unavailable)
                assert error.delay_s is not None
            await door.stub.start()

    run(check())


def test_when_nobody_answers_the_caller_is_told_and_the_number_stays_open(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice, retry_deadline_s=0.5) as trader:
            session = await trader.session("main")
            door.stub.swallow_replies = True
            with pytest.raises(OutcomeUnknown) as caught:
                await session.submit(buy(1))
            assert caught.value.request == 1
            assert session.open_count == 1
            door.stub.swallow_replies = False
            door.stub.hang_up()
            assert isinstance(await session.submit(buy(2)), Placed)
            await session.settled()
            assert len(door.stub.executed[session.id, 1]) == 1

    run(check())


def test_a_draining_gateway_answers_what_is_open_and_says_goodbye(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            message = trading_pb2.TradeRequest()
            message.commands.add(request=1, place_order=order_message())
            await stream.send(message)
            (reply,) = await stream.replies(1)
            assert reply.HasField("placed")
            draining = asyncio.ensure_future(door.gateway.stop(patience_s=2))
            reason, error = await stream.ending()
            assert reason == "DRAINING"
            assert isinstance(error, Unavailable)
            await draining

    run(check())


def test_a_client_that_says_no_more_gets_the_rest_and_a_good_end(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            message = trading_pb2.TradeRequest()
            message.commands.add(request=1, place_order=order_message())
            await stream.send(message)
            await stream.call.done_writing()
            (reply,) = await stream.replies(1)
            assert reply.HasField("placed")
            assert await stream.call.read() is grpc.aio.EOF
            assert await stream.call.code() is grpc.StatusCode.OK
            assert not door.gateway.door.streams

    run(check())


def test_health_is_that_of_the_node_and_of_trading(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
            ask = method(channel, "/grpc.health.v1.Health/Check")
            trading = b"\x0a\x1bsteelyard.v1.TradingService"
            watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")(trading)  # type: ignore[arg-type]
            assert (await ask(b""), await ask(trading)) == (b"\x08\x01", b"\x08\x01")
            assert await watch.read() == b"\x08\x01"
            door.stub.lose_leadership(2, "127.0.0.1:2")
            assert await watch.read() == b"\x08\x02"
            assert (await ask(b""), await ask(trading)) == (b"\x08\x01", b"\x08\x02")
            for body, code in (
                (b"\x0a\x01x", grpc.StatusCode.NOT_FOUND),
                (b"\xff", grpc.StatusCode.INVALID_ARGUMENT),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await ask(body)
                assert caught.value.code() is code
            watch.cancel()

    run(check())


def test_calls_that_find_out_together_that_a_node_is_another_one_all_succeed(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            await trader.balances()
            for target in trader._nodes.targets:
                trader._nodes._identities[target] = (GROUP, "2")
            answers = await asyncio.gather(*(trader.balances() for _ in range(3)))
            assert answers[0] == answers[1] == answers[2]

    run(check())
