"""Every way to be refused at the door: nothing changes, and the door stays open."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.helpers.door import (
    TRADE,
    attached_session,
    buy,
    client,
    method,
    order_message,
    raw_stream,
    run,
)
from tests.helpers.stub_replica import ALICE, BOB, open_door

from steelyard.client import (
    ApiKey,
    BadCredentials,
    Cancelled,
    CancelOrder,
    ClockSkewed,
    DeadlineExpired,
    Placed,
    Refused,
    Unavailable,
)
from steelyard.client.client import LIST_INSTRUMENTS
from steelyard.client.errors import from_rpc
from steelyard.client.unary import PLACE_ORDER
from steelyard.core.commands import RevokeApiKey
from steelyard.core.units import KeyId
from steelyard.rpc import interceptors, streams
from steelyard.rpc.errors import Reason
from steelyard.v1 import common_pb2, trading_pb2


def test_a_malformed_command_takes_its_number_as_a_refusal_and_the_stream_lives(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            unknown = trading_pb2.PlaceOrder.FromString(
                order_message(order=8).SerializeToString() + b"\x98\x06\x01"
            )
            message = trading_pb2.TradeRequest(wants_from=1)
            orders = [
                order_message(),
                order_message(side=3),
                order_message(side=0),
                order_message(size_lots=0),
                order_message(size_lots=-1),
                order_message(size_lots=2**63 - 1),
                order_message(limit_ticks=0),
                order_message(time_in_force=9),
                unknown,
                order_message(order=9, instrument=77),
                order_message(order=9, size_lots=10**6),
                order_message(),
            ]
            for number, wire in enumerate(orders, start=1):
                message.commands.add(request=number, fingerprint=number, place_order=wire)
            message.commands.add(request=13, fingerprint=13)
            message.commands.add(request=14, fingerprint=14, cancel_order=trading_pb2.CancelOrder(order=7))
            await stream.send(message)

            replies = await stream.replies(14)

            assert [reply.request for reply in replies] == list(range(1, 15))
            assert [reply.fingerprint for reply in replies] == list(range(1, 15))
            assert replies[0].HasField("placed")
            malformed = common_pb2.REJECT_MALFORMED
            assert [reply.refused.reason for reply in replies[1:9]] == [malformed] * 8
            assert [reply.refused.reason for reply in replies[9:12]] == [
                common_pb2.REJECT_UNKNOWN_INSTRUMENT,
                common_pb2.REJECT_SIZE_OUT_OF_RANGE,
                common_pb2.REJECT_DUPLICATE_ORDER,
            ]
            assert replies[12].refused.reason == malformed
            assert replies[13].HasField("cancelled")
            assert all(reply.log_index == replies[0].log_index for reply in replies)

            await stream.send(message)
            assert await stream.replies(14) == replies

    run(check())


def test_gaps_and_impossible_numbers_are_answered_and_change_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            before = door.state_digest(), len(door.stub.applied)
            message = trading_pb2.TradeRequest()
            message.commands.add(request=0, fingerprint=5, place_order=order_message())
            message.commands.add(request=2**63, fingerprint=6, place_order=order_message())
            await stream.send(message)
            zero, huge = await stream.replies(2)
            assert (zero.request, zero.fingerprint, zero.refused.reason) == (
                0,
                5,
                common_pb2.REJECT_MALFORMED,
            )
            assert (huge.request, huge.refused.reason) == (2**63, common_pb2.REJECT_MALFORMED)
            assert (door.state_digest(), len(door.stub.applied)) == before

            gap = trading_pb2.TradeRequest()
            gap.commands.add(request=2, place_order=order_message())
            await stream.send(gap)
            (reply,) = await stream.replies(1)
            assert (reply.refused.reason, reply.refused.expected) == (common_pb2.REJECT_REQUEST_GAP, 1)
            assert not door.stub.exchange.state.accounts[ALICE].orders  # type: ignore[index]

    run(check())


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff",
        b"\x98\x06\x01",
        trading_pb2.TradeRequest(hello=trading_pb2.Hello(key=1)).SerializeToString(),
        trading_pb2.TradeRequest(wants_from=2**64 - 1).SerializeToString(),
        trading_pb2.TradeRequest(commands=[trading_pb2.Command()] * 1001).SerializeToString(),
    ],
    ids=["garbage", "unknown field", "second Hello", "wants_from", "1001 commands"],
)
def test_a_malformed_message_ends_the_stream_and_changes_nothing(tmp_path: Path, body: bytes) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            before = door.state_digest()
            await stream.call.write(body)
            reason, error = await stream.ending()
            assert reason == "MALFORMED"
            assert type(error).__name__ == "Malformed"
            assert door.state_digest() == before

    run(check())


def test_an_oversized_message_is_refused_and_the_gateway_lives(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            before = door.state_digest()
            large = bytes(5 << 20)
            async with grpc.aio.insecure_channel(door.target) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await method(channel, "/steelyard.v1.TradingService/PlaceOrder")(large)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                call: Any = channel.stream_stream(TRADE)()
                await call.read()
                await call.write(large)
                assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert door.state_digest() == before
            async with client(door, door.alice) as trader:
                assert (await trader.statuses())[0].leads

    run(check())


def test_garbage_on_the_port_closes_that_connection_only(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("bystander")
            before = door.state_digest()
            await asyncio.to_thread(shout, door.gateway.port)
            assert door.state_digest() == before
            assert isinstance(await session.submit(buy(1)), Placed)
            assert session.reconnects == 0

    def shout(port: int) -> None:
        for garbage in (
            b"\x00" * 4096,
            b"GET / HTTP/1.1\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 999,
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(garbage)
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionResetError:
                    continue

    run(check())


@pytest.mark.parametrize(
    "name",
    [
        "TradingService/OpenSession",
        "TradingService/PlaceOrder",
        "TradingService/CancelOrder",
        "TradingService/ListOrders",
        "AccountService/GetBalances",
        "MarketDataService/ListInstruments",
        "MarketDataService/GetBook",
        "AdminService/Administer",
        "AdminService/GetTotals",
    ],
)
def test_every_unary_method_needs_a_key(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            before = door.state_digest()
            async with grpc.aio.insecure_channel(door.target) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await method(channel, f"/steelyard.v1.{name}")(b"")
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                assert isinstance(from_rpc(caught.value), BadCredentials)
            assert door.state_digest() == before

    run(check())


def test_signed_garbage_is_malformed_and_a_wrong_key_never_gets_that_far(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            async with client(door, door.alice) as trader:
                nodes = trader._nodes
                await trader.instruments()
                for name in ("TradingService/PlaceOrder", "AdminService/Administer"):
                    for body in (b"\xff\xff", b"\x98\x06\x01"):
                        with pytest.raises(Exception, match=r"not a|field") as caught:
                            await nodes.call_at(door.target, f"/steelyard.v1.{name}", body)
                        assert type(caught.value).__name__ == "Malformed"
            stranger = ApiKey.generate(door.alice.id, ALICE)
            async with client(door, stranger) as trader:
                with pytest.raises(BadCredentials):
                    await trader.instruments()
                with pytest.raises(BadCredentials):
                    await trader.session("main")

    run(check())


def test_a_hello_that_is_wrong_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            before = door.state_digest()
            async with raw_stream(door) as stream:
                with pytest.raises(BadCredentials):
                    await stream.hello(ApiKey.generate(door.alice.id, ALICE), "raw")
            for name in ("", "x" * 65, "a\nb"):
                async with raw_stream(door) as stream:
                    with pytest.raises(Exception, match="printable name"):
                        await stream.hello(door.alice, name)
            async with raw_stream(door) as stream:
                await stream.receive()
                message = trading_pb2.TradeRequest()
                message.commands.add(request=1, place_order=order_message())
                await stream.send(message)
                _, error = await stream.ending()
                assert type(error).__name__ == "Malformed"
            assert door.state_digest() == before

    run(check())


def test_a_stream_is_not_read_beyond_its_window(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            door.stub.swallow_replies = True
            attached = door.gateway.door.streams[attached_session(door, ALICE)]

            async def flood() -> None:
                for start in range(1, 100_001, 1000):
                    message = trading_pb2.TradeRequest()
                    for number in range(start, start + 1000):
                        message.commands.add(request=number, cancel_order=trading_pb2.CancelOrder(order=1))
                    await stream.send(message)

            flooding = asyncio.ensure_future(flood())
            while attached.open_count < 2000:
                await asyncio.sleep(0.001)
            await asyncio.wait([flooding], timeout=0.2)
            assert not flooding.done()
            assert attached.open_count == 2000
            flooding.cancel()

    run(check())


@pytest.mark.parametrize("numbered", [True, False], ids=["replies", "refusals at the door"])
def test_a_client_that_does_not_read_is_sent_away(
    numbered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PENDING_BYTES_MAX", 1 << 17)

    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            await stream.hello(door.alice, "raw")
            (attached,) = door.gateway.door.streams.values()

            async def flood() -> None:
                for start in range(1, 100_001, 500):
                    message = trading_pb2.TradeRequest(wants_from=start + 499)
                    for number in range(start, start + 500):
                        message.commands.add(
                            request=number if numbered else 0,
                            cancel_order=trading_pb2.CancelOrder(order=1),
                        )
                    await stream.send(message)

            flooding = asyncio.ensure_future(flood())
            await asyncio.wait_for(attached.over.wait(), timeout=60)
            ending = attached._ended.result()
            assert ending is not None
            assert ending.reason is Reason.SLOW_CONSUMER
            stream.call.cancel()
            await asyncio.gather(flooding, return_exceptions=True)

    run(check())


def test_a_client_that_does_not_say_hello_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HELLO_PATIENCE_S", 0.01)

    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            _, error = await asyncio.wait_for(stream.ending(), timeout=30)
            assert "no Hello" in str(error)

    run(check())


def test_a_refusal_that_no_later_command_escapes_ends_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEY_CHECK_S", 3600.0)

    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            key = door.key(BOB, 3)
            await stream.hello(key, "raw")
            door.stub.do(RevokeApiKey(key=KeyId(key.id)))
            message = trading_pb2.TradeRequest(wants_from=1)
            message.commands.add(request=1, cancel_order=trading_pb2.CancelOrder(order=1))
            await stream.send(message)
            reason, error = await asyncio.wait_for(stream.ending(), timeout=30)
            assert reason == "BAD_CREDENTIALS"
            assert isinstance(error, BadCredentials)

    run(check())


def test_when_the_log_is_nearly_full_only_cancels_pass(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            session = await trader.session("main")
            await session.submit(buy(1))
            door.stub.log_used_ppm = 900_000
            door.stub.tell()
            while not door.gateway.door.storage_low:
                await door.gateway.door.changed.wait()
            placed, cancelled = await session.submit_many([buy(2), CancelOrder(order=1)])
            assert isinstance(placed, Refused)
            assert placed.reason == "STORAGE_LOW"
            assert isinstance(cancelled, Cancelled)
            unary = await trader.unary_session("one by one")
            message = trading_pb2.PlaceOrderRequest(order=order_message())
            message.once.session, message.once.request = unary.id, 1
            with pytest.raises(Unavailable, match="the log is nearly full"):
                await trader._nodes.call_at(door.target, PLACE_ORDER, message.SerializeToString())

    run(check())


def test_too_many_calls_at_a_time_are_asked_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            await trader.instruments()
            monkeypatch.setattr(interceptors, "UNARY_OPEN_MAX", 0)
            with pytest.raises(Unavailable) as refused:
                await trader._nodes.call_at(door.target, LIST_INSTRUMENTS, b"")
            assert refused.value.delay_s

    run(check())


def test_a_call_that_gets_no_answer_ends_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            unary = await trader.unary_session("one by one")
            monkeypatch.setattr(interceptors, "DEADLINE_S", 0.01)
            door.stub.swallow_replies = True
            message = trading_pb2.PlaceOrderRequest(order=order_message())
            message.once.session, message.once.request = unary.id, 1
            calling = trader._nodes.call_at(
                door.target, PLACE_ORDER, message.SerializeToString(), timeout_s=3600
            )
            with pytest.raises(DeadlineExpired):
                await asyncio.wait_for(calling, timeout=30)

    run(check())


def test_a_revoked_key_ends_its_streams_even_idle_ones(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door:
            key = door.key(BOB, 3)
            async with client(door, key) as trader, raw_stream(door) as stream:
                session = await trader.session("busy")
                await stream.hello(key, "idle")
                door.stub.do(RevokeApiKey(key=KeyId(key.id)))
                with pytest.raises(BadCredentials):
                    await session.submit(buy(1))
                reason, error = await stream.ending()
                assert reason == "BAD_CREDENTIALS"
                assert isinstance(error, BadCredentials)

    run(check())


def test_a_key_that_may_only_read_trades_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.key(BOB, 1)) as reader:
            session = await reader.session("looking")
            reply = await session.submit(buy(1))
            assert isinstance(reply, Refused)
            assert reply.reason == "NOT_PERMITTED"
            assert door.stub.exchange.state.accounts[BOB].orders == {}  # type: ignore[index]

    run(check())


def test_a_clock_that_differs_is_told_the_time(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as trader:
            door.gateway.door.verifier._clock_ns = lambda: time.time_ns() + 3600 * 10**9
            with pytest.raises(ClockSkewed):
                await trader._nodes.call_at(door.target, LIST_INSTRUMENTS, b"")
            assert "BTC-USD" in await trader.instruments()

    run(check())
