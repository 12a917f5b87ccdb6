"""Ways to the door for tests: clients, orders, and a stream without the SDK."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from tests.helpers.stub_replica import Door

from steelyard.client import (
    ApiKey,
    Client,
    Event,
    PlaceOrder,
    Session,
    Side,
)
from steelyard.client.errors import from_rpc
from steelyard.client.nodes import OPTIONS
from steelyard.client.signing import stream_text
from steelyard.v1 import common_pb2, trading_pb2

TRADE = "/steelyard.v1.TradingService/Trade"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, for at most half a minute."""
    asyncio.run(asyncio.wait_for(work, 30))


def client(door: Door, key: ApiKey, *targets: str, retry_deadline_s: float = 10.0) -> Client:
    """Return a client of the door's gateway."""
    return Client([door.target, *targets], key, retry_deadline_s=retry_deadline_s)


def buy(order: int, *, limit_ticks: int = 100, size_lots: int = 5) -> PlaceOrder:
    """Return a buy order."""
    return PlaceOrder(instrument=1, side=Side.BUY, size_lots=size_lots, limit_ticks=limit_ticks, order=order)


def sell(order: int, *, limit_ticks: int = 100, size_lots: int = 5) -> PlaceOrder:
    """Return a sell order."""
    return PlaceOrder(instrument=1, side=Side.SELL, size_lots=size_lots, limit_ticks=limit_ticks, order=order)


class RawStream:
    """A ``Trade`` stream without the SDK, to say what the SDK never would."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 - a call of bytes
        self.call = call
        self._early: list[trading_pb2.Event] = []

    async def receive(self) -> trading_pb2.TradeResponse:
        """Return the next message; an ending is the client's error for it."""
        try:
            body = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        assert body is not grpc.aio.EOF
        return trading_pb2.TradeResponse.FromString(body)

    async def send(self, message: trading_pb2.TradeRequest) -> None:
        """Send a message."""
        await self.call.write(message.SerializeToString())

    async def hello(self, key: ApiKey, name: str, **more: object) -> trading_pb2.Welcome:
        """Answer the challenge; return the Welcome."""
        challenge = (await self.receive()).challenge
        text = stream_text(challenge.group, challenge.node, challenge.nonce, key.id, name)
        hello = trading_pb2.Hello(key=key.id, signature=key.sign(text), session_name=name, **more)  # type: ignore[arg-type]
        await self.send(trading_pb2.TradeRequest(hello=hello))
        message = await self.receive()
        self._early += message.events
        return message.welcome

    async def replies(self, count: int) -> list[trading_pb2.Reply]:
        """Return the next replies."""
        replies: list[trading_pb2.Reply] = []
        while len(replies) < count:
            replies += (await self.receive()).replies
        return replies

    async def events(self, count: int) -> list[trading_pb2.Event]:
        """Return the next events."""
        events, self._early = self._early, []
        while len(events) < count:
            events += (await self.receive()).events
        return events

    async def ending(self) -> tuple[str, Exception]:
        """Read to the end; return the reason in Goodbye and the error."""
        reason = ""
        try:
            while True:
                message = await self.receive()
                reason = message.goodbye.reason or reason
        except Exception as error:
            return reason, error


@asynccontextmanager
async def raw_stream(door: Door) -> AsyncIterator[RawStream]:
    """Open a stream; its client has as little room for what it does not read as the SDK has."""
    async with grpc.aio.insecure_channel(door.target, options=OPTIONS) as channel:
        call: Any = channel.stream_stream(TRADE)()
        yield RawStream(call)
        call.cancel()


def method(channel: grpc.aio.Channel, name: str) -> Any:  # noqa: ANN401 - a call of bytes
    """Return a unary method, bytes in and bytes out."""
    return channel.unary_unary(name)


def order_message(**fields: object) -> trading_pb2.PlaceOrder:
    """Return a good order, but for these fields."""
    wire = trading_pb2.PlaceOrder(
        order=7,
        instrument=1,
        side=common_pb2.SIDE_BUY,
        kind=common_pb2.ORDER_KIND_LIMIT,
        time_in_force=common_pb2.TIME_IN_FORCE_GTC,
        size_lots=5,
        limit_ticks=100,
    )
    for name, value in fields.items():
        setattr(wire, name, value)
    return wire


def attached_session(door: Door, account: int) -> int:
    """Return the attached session of an account."""
    (session,) = [each.session for each in door.gateway.door.streams.values() if each.account == account]
    return session


async def take(session: Session, count: int) -> list[Event]:
    """Return the next events."""
    events: list[Event] = []
    async for event in session.events():
        events.append(event)
        if len(events) == count:
            break
    return events
