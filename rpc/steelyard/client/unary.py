"""Numbered writes by unary calls, one at a time: simpler than a stream, and ten times as dear."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from steelyard.client import wire
from steelyard.client.attachment import GONE, NOT_OURS
from steelyard.client.commands import CancelOrder, Command, PlaceOrder
from steelyard.client.errors import (
    AlreadyApplied,
    BadCredentials,
    OutcomeUnknown,
    SessionExpired,
    SessionTakenOver,
    SteelyardError,
)
from steelyard.client.messages import KINDS, body_of, chosen_order
from steelyard.client.nodes import Nodes
from steelyard.client.replies import Refused, Reply
from steelyard.client.trader import Trader
from steelyard.client.translate import reply_of
from steelyard.v1 import trading_pb2

OPEN_SESSION: Final = "/steelyard.v1.TradingService/OpenSession"
PLACE_ORDER: Final = "/steelyard.v1.TradingService/PlaceOrder"
CANCEL_ORDER: Final = "/steelyard.v1.TradingService/CancelOrder"
SUBMIT: Final = "/steelyard.v1.TradingService/Submit"


class _Call(NamedTuple):
    method: str
    body: bytes
    fingerprint: int
    reply_of: Callable[[bytes], trading_pb2.Reply]


class UnaryLine:
    """A session whose writes go out one at a time, each under the next number.

    A write whose outcome stayed unknown is finished, under its own number and with the same bytes, before
    the next one starts.
    """

    def __init__(self, nodes: Nodes, name: str, session: int, last_request: int) -> None:
        self.name = name
        self.id = session
        self.last_request = last_request
        """The last number that is settled."""
        self.on_ack: Callable[[int, Reply], None] | None = None
        """Called with each request's number and its reply, once."""
        self._nodes = nodes
        self._turn = asyncio.Lock()
        self._unsettled: _Call | None = None

    async def write(
        self,
        method: str,
        build: Callable[[trading_pb2.Once], bytes],
        reply_of_response: Callable[[bytes], trading_pb2.Reply],
        not_after_ns: int = 0,
    ) -> Reply:
        """Make the write that ``build`` gives for its number; return its reply, which may be a refusal.

        Raises:
            OutcomeUnknown: No reply within the retry deadline.
            SteelyardError: The session or the key is not ours any more.

        """
        async with self._turn:
            if self._unsettled is not None:
                await self._settle(self._unsettled)
            number = self.last_request + 1
            fingerprint = secrets.randbits(32)
            once = trading_pb2.Once(
                session=self.id,
                request=number,
                wants_from=number,
                fingerprint=fingerprint,
                not_after_ns=not_after_ns,
            )
            body = build(once)
            self._unsettled = _Call(method, body, fingerprint, reply_of_response)
            return await self._settle(self._unsettled)

    async def _settle(self, call: _Call) -> Reply:
        number = self.last_request + 1
        try:
            response = await self._nodes.call(call.method, call.body)
        except OutcomeUnknown:
            raise
        except SteelyardError:
            # Refused before the log: the number is still free.
            self._unsettled = None
            raise
        reply = reply_of(call.reply_of(response))
        if isinstance(reply, Refused):
            if reply.reason in GONE:
                raise SessionExpired(f"session {self.name}: {reply.reason}")
            if reply.reason in NOT_OURS:
                raise BadCredentials(reply.reason)
            if reply.reason == "REQUEST_GAP":
                raise SessionTakenOver(f"session {self.name} expects request {reply.expected}, not {number}")
        self._unsettled = None
        self.last_request = number
        if isinstance(reply, Refused) and reply.reason == "REPLY_RELEASED":
            raise AlreadyApplied(f"request {number} was applied earlier")
        if reply.fingerprint != call.fingerprint:
            raise SessionTakenOver(f"another command was executed as request {number}")
        if self.on_ack is not None:
            self.on_ack(number, reply)
        return reply


class UnarySession(Trader, UnaryLine):
    """A trader's commands, one call each."""

    async def submit(self, command: Command) -> Reply:
        """Make one call and return its reply; a refusal is a reply."""
        not_after_ns = command.not_after_ns
        if type(command) is CancelOrder:
            cancel = trading_pb2.CancelOrder.FromString(body_of(command, 0))
            return await self.write(
                CANCEL_ORDER,
                lambda once: trading_pb2.CancelOrderRequest(once=once, order=cancel).SerializeToString(),
                lambda body: trading_pb2.CancelOrderResponse.FromString(body).reply,
                not_after_ns,
            )
        if type(command) is PlaceOrder:
            return await self.write(
                PLACE_ORDER,
                lambda once: trading_pb2.PlaceOrderRequest(
                    once=once,
                    order=trading_pb2.PlaceOrder.FromString(body_of(command, self._chosen(once))),
                ).SerializeToString(),
                lambda body: trading_pb2.PlaceOrderResponse.FromString(body).reply,
                not_after_ns,
            )
        kind = KINDS[type(command)]
        return await self.write(
            SUBMIT,
            lambda once: trading_pb2.SubmitRequest(
                once=once,
                command=trading_pb2.Command.FromString(
                    wire.delimited(kind, body_of(command, self._chosen(once)))
                ),
            ).SerializeToString(),
            lambda body: trading_pb2.SubmitResponse.FromString(body).reply,
            not_after_ns,
        )

    def _chosen(self, once: trading_pb2.Once) -> int:
        return chosen_order(self.id, once.request)


async def open_session(nodes: Nodes, name: str) -> trading_pb2.OpenSessionResponse:
    """Open the key's session of that name, or ask where it stands."""
    request = trading_pb2.OpenSessionRequest(name=name)
    body = await nodes.call(OPEN_SESSION, request.SerializeToString())
    return trading_pb2.OpenSessionResponse.FromString(body)
