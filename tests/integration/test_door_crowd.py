"""A crowd at the door: who has no name has to go, and whoever trades notices nothing."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.helpers.door import TRADE, buy, client, raw_stream, run
from tests.helpers.stub_replica import open_door

from steelyard.client import Placed, Unavailable
from steelyard.client.errors import from_rpc
from steelyard.rpc.crowd import KEY_STREAMS_MAX, STRANGERS_MAX, WATCHES_MAX

WATCH = "/grpc.health.v1.Health/Watch"


def test_streams_without_hello_are_bounded_and_whoever_says_hello_gets_in(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
            calls: list[Any] = [channel.stream_stream(TRADE)() for _ in range(STRANGERS_MAX)]
            await asyncio.gather(*(call.read() for call in calls))
            async with client(door, door.alice) as trader:
                session = await trader.session("honest")
                assert isinstance(await session.submit(buy(1)), Placed)
                assert session.reconnects == 0
            ended = [call for call in calls if call.done()]
            while not ended:
                await asyncio.sleep(0.001)
                ended = [call for call in calls if call.done()]
            assert len(ended) == 1, "one came, one had to go"
            assert await ended[0].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ended[0].read()
            error = from_rpc(caught.value)
            assert isinstance(error, Unavailable)
            assert "have not said Hello" in str(error)
            assert error.delay_s is not None
            for call in calls:
                call.cancel()

    run(check())


def test_a_client_that_does_not_take_its_challenge_does_not_stay_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steelyard.rpc.streams.HELLO_PATIENCE_S", 0.1)

    async def check() -> None:
        async with open_door(tmp_path) as door, raw_stream(door) as stream:
            _, error = await stream.ending()
            assert "no Hello" in str(error)

    run(check())


def test_the_streams_of_one_key_are_bounded_and_another_key_s_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steelyard.rpc.crowd.KEY_STREAMS_MAX", 3)

    async def check() -> None:
        async with open_door(tmp_path) as door, AsyncExitStack() as stack:
            for number in range(3):
                stream = await stack.enter_async_context(raw_stream(door))
                await stream.hello(door.alice, f"session {number}")
            async with raw_stream(door) as stream:
                with pytest.raises(Unavailable, match="this key has 3 streams"):
                    await stream.hello(door.alice, "one too many")
            async with raw_stream(door) as stream:
                assert (await stream.hello(door.bob, "another")).session
            await stack.aclose()
            while door.gateway.door.streams:
                await asyncio.sleep(0.001)
            async with raw_stream(door) as stream:
                assert (await stream.hello(door.alice, "again")).session

    assert KEY_STREAMS_MAX > 64, "an account's sessions must all fit"
    run(check())


def test_health_watches_are_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
            watch_node: Any = channel.unary_stream(WATCH)
            watches = [watch_node(b"") for _ in range(WATCHES_MAX)]
            assert await asyncio.gather(*(watch.read() for watch in watches)) == [b"\x08\x01"] * WATCHES_MAX
            more = watch_node(b"")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await more.read()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert isinstance(from_rpc(caught.value), Unavailable)
            watches.pop().cancel()
            again = watch_node(b"")
            while True:
                try:
                    assert await again.read() == b"\x08\x01"
                    break
                except grpc.aio.AioRpcError:
                    again = watch_node(b"")  # the one that left is still leaving
            for watch in (*watches, again):
                watch.cancel()

    run(check())
