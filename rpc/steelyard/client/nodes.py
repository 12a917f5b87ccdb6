"""The nodes of a group as a client sees them: connections, who they are, and which one leads."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from steelyard.client import signing
from steelyard.client.errors import (
    BadCredentials,
    ClockSkewed,
    NotLeader,
    OutcomeUnknown,
    SteelyardError,
    Unavailable,
    WrongNode,
    from_rpc,
)
from steelyard.client.failover import Backoff
from steelyard.client.keys import ApiKey
from steelyard.client.model import NodeStatus
from steelyard.client.translate import status_of
from steelyard.v1 import replica_pb2

#: See the gateway's options: the same reasons hold on this side.
OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
STATUS: Final = "/steelyard.v1.ReplicaService/GetStatus"
#: A node that does not say what it is within this time is passed over.
STATUS_TIMEOUT_S: Final = 0.5
CALL_TIMEOUT_S: Final = 2.0

Channel = grpc.aio.Channel


class Nodes:
    """Connections to the nodes of a group, made when first needed."""

    def __init__(self, targets: Sequence[str], key: ApiKey, *, retry_deadline_s: float) -> None:
        if isinstance(targets, str) or not targets:
            raise ValueError("need a list of host:port, one per node")
        self.targets = tuple(dict.fromkeys(targets))
        self.key = key
        self.retry_deadline_s = retry_deadline_s
        self.leader: str | None = None
        """Where we believe the leader to be."""
        self.term = 0
        """The highest term we have heard of."""
        self._channels: dict[str, Channel] = {}
        self._methods: dict[tuple[str, str], Any] = {}
        self._identities: dict[str, tuple[str, str]] = {}
        self._ahead_ns: dict[str, int] = {}
        self._next = 0
        self._is_guest = False

    def beside(self, key: ApiKey) -> "Nodes":
        """Return the same nodes for another key, over the same connections, which stay ours to close."""
        other = Nodes(self.targets, key, retry_deadline_s=self.retry_deadline_s)
        other.leader, other.term = self.leader, self.term
        other._channels, other._methods = self._channels, self._methods
        other._identities, other._ahead_ns = self._identities, self._ahead_ns
        other._is_guest = True
        return other

    async def close(self) -> None:
        """Close every connection, unless they are another's."""
        if self._is_guest:
            return
        channels, self._channels = self._channels, {}
        self._methods.clear()
        await asyncio.gather(*(channel.close() for channel in channels.values()))

    def channel(self, target: str) -> Channel:
        """Return the connection to a node."""
        channel = self._channels.get(target)
        if channel is None:
            channel = self._channels[target] = grpc.aio.insecure_channel(target, options=OPTIONS)
        return channel

    async def status(self, target: str, timeout_s: float = STATUS_TIMEOUT_S) -> NodeStatus:
        """Ask a node what it is; one that does not answer is ``reachable=False``."""
        try:
            body = await self._method(target, STATUS)(b"", timeout=timeout_s)
        except grpc.aio.AioRpcError:
            self._identities.pop(target, None)
            return NodeStatus(target, reachable=False)
        status = status_of(target, replica_pb2.GetStatusResponse.FromString(body))
        self._identities[target] = (status.group, str(status.member))
        self.term = max(self.term, status.term)
        return status

    async def statuses(self) -> list[NodeStatus]:
        """Ask all nodes what they are."""
        return list(await asyncio.gather(*(self.status(target) for target in self.targets)))

    async def find_leader(self, *, without: str | None = None, above_term: int = -1) -> NodeStatus | None:
        """Ask all nodes at once; return the first that leads, in no older term than we have heard of.

        ``without`` leaves one out; the term must be above ``above_term``.
        """
        asked = [asyncio.ensure_future(self.status(target)) for target in self.targets if target != without]
        try:
            for each in asyncio.as_completed(asked):
                status = await each
                if status.leads and status.term >= self.term and status.term > above_term:
                    self.leader = status.target
                    return status
        finally:
            for each_task in asked:
                each_task.cancel()
        return None

    async def leading(self) -> str:
        """Return where the leader is, as far as we know.

        Raises:
            Unavailable: No node says that it leads.

        """
        if self.leader is None:
            await self.find_leader()
        if self.leader is None:
            raise Unavailable("no node leads")
        return self.leader

    def learn(self, target: str | None, error: OutcomeUnknown) -> None:
        """Take what a failed call says about who leads."""
        if isinstance(error, NotLeader):
            self.leader = error.leader if error.leader != target else None
        elif not isinstance(error, ClockSkewed | WrongNode) and target is not None and self.leader == target:
            self.leader = None

    async def call(
        self, method: str, body: bytes, *, at_leader: bool = True, node: str | None = None
    ) -> bytes:
        """Make a signed call, again and again while its outcome is unknown, up to the retry deadline.

        It goes to ``node`` if one is named, one of the targets, and to no other; else to the leader, or to
        any node in turn.  A write must carry its number in ``body``, so that a second copy is answered, not
        executed.

        Raises:
            ValueError: ``node`` is none of the targets.
            SteelyardError: It failed; see ``errors``.

        """
        if node is not None and node not in self.targets:
            raise ValueError(f"{node} is none of the nodes {', '.join(self.targets)}")
        deadline_s = time.monotonic() + self.retry_deadline_s
        backoff = Backoff()
        while True:
            target: str | None = None
            try:
                target = node or (await self.leading() if at_leader else self.next_target())
                return await self.call_at(target, method, body)
            except OutcomeUnknown as error:
                self.learn(target, error)
                wait_s = backoff.next_s() if error.delay_s is None else error.delay_s
                if time.monotonic() + wait_s >= deadline_s:
                    raise
                await asyncio.sleep(wait_s)

    async def call_at(
        self, target: str, method: str, body: bytes, timeout_s: float = CALL_TIMEOUT_S
    ) -> bytes:
        """Make one signed call at one node.

        Raises:
            SteelyardError: It failed; see ``errors``.

        """
        fresh = target not in self._identities
        identity = await self._identity(target)
        try:
            return await self._signed(target, identity, method, body, timeout_s)
        except BadCredentials:
            # The node may belong to another group since we asked.
            if fresh or await self._identity(target, ask=True) == identity:
                raise
            return await self._signed(target, self._identities[target], method, body, timeout_s)

    async def stream_at(self, target: str, method: str, body: bytes) -> AsyncGenerator[bytes]:
        """Yield the messages that one node answers a signed call with, until it ends the stream.

        Raises:
            SteelyardError: It failed; see ``errors``.

        """
        identity = await self._identity(target)
        method_call: Any = self.channel(target).unary_stream(method)
        call = method_call(body, metadata=self._signature(target, identity, method, body))
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as rpc_error:
            raise self._learned(target, rpc_error) from rpc_error
        finally:
            call.cancel()

    async def _signed(
        self, target: str, identity: tuple[str, str], method: str, body: bytes, timeout_s: float
    ) -> bytes:
        metadata = self._signature(target, identity, method, body)
        try:
            answer: bytes = await self._method(target, method)(body, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as rpc_error:
            raise self._learned(target, rpc_error) from rpc_error
        return answer

    def _signature(
        self, target: str, identity: tuple[str, str], method: str, body: bytes
    ) -> tuple[tuple[str, str | bytes], ...]:
        group, node = identity
        time_ns = time.time_ns() + self._ahead_ns.get(target, 0)
        nonce = secrets.token_hex(signing.NONCE_HEX_DIGITS // 2)
        text = signing.signed_text(group, node, method, time_ns, nonce, body)
        return (
            (signing.KEY, str(self.key.id)),
            (signing.NODE, node),
            (signing.TIME, str(time_ns)),
            (signing.NONCE, nonce),
            (signing.SIGNATURE, self.key.sign(text)),
        )

    def _learned(self, target: str, rpc_error: grpc.aio.AioRpcError) -> SteelyardError:
        """Return why a call failed, and remember what that says of the node."""
        error = from_rpc(rpc_error)
        if isinstance(error, ClockSkewed):
            self._ahead_ns[target] = error.server_time_ns - time.time_ns()
        elif isinstance(error, WrongNode):
            self._identities.pop(target, None)  # another call may have found out first
        return error

    async def _identity(self, target: str, *, ask: bool = False) -> tuple[str, str]:
        if ask or target not in self._identities:
            await self.status(target)
        if target not in self._identities:
            raise Unavailable(f"nobody answers at {target}")
        return self._identities[target]

    def next_target(self) -> str:
        """Return the nodes in turn, so that one that is away does not stop a read that any may answer."""
        target = self.targets[self._next % len(self.targets)]
        self._next += 1
        return target

    def _method(self, target: str, method: str) -> Any:  # noqa: ANN401 - bytes in, bytes out
        call = self._methods.get((target, method))
        if call is None:
            call = self._methods[target, method] = self.channel(target).unary_unary(method)
        return call
