"""A group as locust's users see it: blocking stubs for gevent, over the SDK's own rules of the protocol."""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import gevent
import grpc
from gevent.event import Event
from gevent.queue import Queue

from steelyard.client import ApiKey, CancelOrder, Command, NodeStatus, PlaceOrder, Reply, signing, wire
from steelyard.client.errors import OutcomeUnknown, SteelyardError, Unavailable, from_rpc
from steelyard.client.failover import Line
from steelyard.client.nodes import OPTIONS
from steelyard.client.translate import reply_of, status_of
from steelyard.v1 import admin_pb2, common_pb2, market_data_pb2, replica_pb2, trading_pb2

SERVICE: Final = "/steelyard.v1."
CALL_TIMEOUT_S: Final = 2.0
#: Longer than this without an answer and the group is broken, not slow.
PATIENCE_S: Final = 30.0
RETRY_S: Final = 0.1


class Group:
    """Connections to the nodes, and signed calls at whichever leads."""

    def __init__(self, targets: list[str], key: ApiKey) -> None:
        self.targets = targets
        self.key = key
        self._channels = {target: grpc.insecure_channel(target, options=OPTIONS) for target in targets}
        self._leader: NodeStatus | None = None

    def with_key(self, key: ApiKey) -> "Group":
        """Return the same group for another key, over connections of its own."""
        return Group(self.targets, key)

    def channel(self, target: str) -> grpc.Channel:
        """Return the connection to a node."""
        return self._channels[target]

    def close(self) -> None:
        """Close all connections."""
        for channel in self._channels.values():
            channel.close()

    def statuses(self) -> list[NodeStatus]:
        """Ask all nodes what they are; those that do not answer are left out."""
        found = []
        for target in self.targets:
            try:
                body = self._channels[target].unary_unary(f"{SERVICE}ReplicaService/GetStatus")(
                    b"", timeout=CALL_TIMEOUT_S / 2
                )
            except grpc.RpcError:
                continue
            found.append(status_of(target, replica_pb2.GetStatusResponse.FromString(body)))
        return found

    def leader(self) -> NodeStatus:
        """Return who leads, as far as we know.

        Raises:
            Unavailable: Nobody says so.

        """
        if self._leader is None:
            leaders = [status for status in self.statuses() if status.leads]
            if not leaders:
                raise Unavailable("no node leads")
            self._leader = max(leaders, key=lambda status: status.term)
        return self._leader

    def forget_leader(self) -> None:
        """Ask again next time."""
        self._leader = None

    def call(self, method: str, body: bytes) -> bytes:
        """Make a signed call at the leader, again and again while its outcome is unknown.

        Raises:
            SteelyardError: It was refused, or half a minute was not enough.

        """
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._call_once(method, body)
            except OutcomeUnknown as error:
                self.forget_leader()
                if time.monotonic() > deadline_s:
                    raise
                gevent.sleep(error.delay_s or RETRY_S)

    def _call_once(self, method: str, body: bytes) -> bytes:
        leader = self.leader()
        time_ns = time.time_ns()
        nonce = secrets.token_hex(signing.NONCE_HEX_DIGITS // 2)
        node = str(leader.member)
        text = signing.signed_text(leader.group, node, method, time_ns, nonce, body)
        metadata = (
            (signing.KEY, str(self.key.id)),
            (signing.NODE, node),
            (signing.TIME, str(time_ns)),
            (signing.NONCE, nonce),
            (signing.SIGNATURE, self.key.sign(text)),
        )
        try:
            call = self._channels[leader.target].unary_unary(method)
            answer: bytes = call(body, timeout=CALL_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        return answer


class UnaryLine:
    """A session whose writes go out one call at a time."""

    def __init__(self, group: Group, name: str) -> None:
        self._group = group
        body = trading_pb2.OpenSessionRequest(name=name).SerializeToString()
        opened = trading_pb2.OpenSessionResponse.FromString(
            group.call(f"{SERVICE}TradingService/OpenSession", body)
        )
        self.id: int = opened.session
        self._last_request: int = opened.last_request

    def trade(self, command: Command) -> Reply:
        """Place or cancel; return the reply, which may be a refusal."""
        if isinstance(command, PlaceOrder):
            frame = wire.place_order(
                command.order,
                command.instrument,
                command.side,
                command.kind,
                command.time_in_force,
                command.size_lots,
                command.limit_ticks,
                command.post_only,
                command.label,
            )
            place = trading_pb2.PlaceOrderRequest(
                once=self._once(), order=trading_pb2.PlaceOrder.FromString(frame)
            )
            body = self._group.call(f"{SERVICE}TradingService/PlaceOrder", place.SerializeToString())
            return self._settled(trading_pb2.PlaceOrderResponse.FromString(body).reply)
        cancel = trading_pb2.CancelOrderRequest(
            once=self._once(), order=trading_pb2.CancelOrder(order=command.order, number=command.number)
        )
        body = self._group.call(f"{SERVICE}TradingService/CancelOrder", cancel.SerializeToString())
        return self._settled(trading_pb2.CancelOrderResponse.FromString(body).reply)

    def administer(self, request: admin_pb2.AdministerRequest) -> Reply:
        """Carry out an operator's command."""
        request.once.CopyFrom(self._once())
        body = self._group.call(f"{SERVICE}AdminService/Administer", request.SerializeToString())
        return self._settled(admin_pb2.AdministerResponse.FromString(body).reply)

    def _once(self) -> trading_pb2.Once:
        request = self._last_request + 1
        return trading_pb2.Once(
            session=self.id, request=request, wants_from=request, fingerprint=random.getrandbits(32)
        )

    def _settled(self, reply: trading_pb2.Reply) -> Reply:
        self._last_request += 1
        return reply_of(reply)


class TradeLine:
    """A session over a Trade stream: one reader greenlet, and the SDK's rules for what to send again."""

    def __init__(self, group: Group, name: str, batch: int, on_ack: Callable[[int, Reply], None]) -> None:
        self._group = group
        self._name = name
        self._batch = batch
        self._line: Line | None = None
        self._on_ack = on_ack
        self._call: Any = None
        self._outbox: Queue[bytes | None] = Queue()
        self._closing = False
        self.id = 0
        #: Where the session stood when this line first attached, and the replies it still kept.
        self.last_request = 0
        self.kept_replies: list[Reply] = []
        self.failure: SteelyardError | None = None
        self._attached = Event()
        self._reader = gevent.spawn(self._read)
        self._attached.wait()
        if self.failure is not None:
            raise self.failure

    def send(self, commands: list[Command]) -> list[int]:
        """Send commands; return their request numbers.  Replies go to ``on_ack``."""
        line = self._line
        assert line is not None
        numbers = []
        for command in commands:
            if isinstance(command, PlaceOrder):
                kind = wire.PLACE_ORDER
                body = wire.place_order(
                    command.order,
                    command.instrument,
                    command.side,
                    command.kind,
                    command.time_in_force,
                    command.size_lots,
                    command.limit_ticks,
                    command.post_only,
                    command.label,
                )
            else:
                assert isinstance(command, CancelOrder)
                kind = wire.CANCEL_ORDER
                body = wire.cancel_order(command.order, command.number, command.label)
            fingerprint = wire.fingerprint_of(kind, body)
            frame = wire.command(line.next_request, fingerprint, 0, kind, body)
            numbers.append(line.add(frame, fingerprint, None))
        self._pump()
        return numbers

    @property
    def open_count(self) -> int:
        """How many requests have no reply yet."""
        return len(self._line.open) if self._line is not None else 0

    def close(self) -> None:
        """End the stream."""
        self._closing = True
        if self._call is not None:
            self._call.cancel()
        self._outbox.put(None)
        self._reader.kill()

    def _pump(self) -> None:
        assert self._line is not None
        while (message := self._line.message(self._batch)) is not None:
            self._outbox.put(message)

    def _attach(self) -> None:
        """Open a stream at the leader: challenge, Hello, Welcome; then send again what has no answer."""
        leader = self._group.leader()
        self._outbox.put(None)  # ends the feeder of the stream before this one
        self._outbox = Queue()
        self._call = self._group.channel(leader.target).stream_stream(f"{SERVICE}TradingService/Trade")(
            _feed(self._outbox)
        )
        key = self._group.key
        challenge = trading_pb2.TradeResponse.FromString(next(self._call)).challenge
        text = signing.stream_text(challenge.group, challenge.node, challenge.nonce, key.id, self._name)
        hello = trading_pb2.Hello(key=key.id, signature=key.sign(text), session_name=self._name)
        self._outbox.put(trading_pb2.TradeRequest(hello=hello).SerializeToString())
        message = trading_pb2.TradeResponse.FromString(next(self._call))
        if not message.HasField("welcome"):
            raise Unavailable("the node did not say Welcome")
        welcome = message.welcome
        if self._line is None:
            self.id = welcome.session
            self._line = Line(welcome.last_request, window=welcome.window)
            self._line.on_ack = self._on_ack
            self.last_request = welcome.last_request
            self.kept_replies = [reply_of(reply) for reply in welcome.replies]
        else:
            self._line.welcomed(welcome.last_request, [reply_of(reply) for reply in welcome.replies])
        self._take(message)
        self._attached.set()

    def _take(self, message: trading_pb2.TradeResponse) -> None:
        assert self._line is not None
        for reply in message.replies:
            if not self._line.settle(reply_of(reply)):
                raise Unavailable("requests arrived out of order")
        self._pump()

    def _read(self) -> None:
        silent_since_s = time.monotonic()
        while not self._closing:
            try:
                if self._call is None:
                    self._attach()
                for body in self._call:
                    self._take(trading_pb2.TradeResponse.FromString(body))
                    silent_since_s = time.monotonic()
                raise Unavailable("the stream ended")
            except grpc.RpcError as error:
                failure: SteelyardError = from_rpc(error)
            except StopIteration:
                failure = Unavailable("the stream ended")
            except SteelyardError as error:
                failure = error
            if not isinstance(failure, OutcomeUnknown) or time.monotonic() - silent_since_s > PATIENCE_S:
                self.failure = failure
                self._attached.set()
                return
            self._call = None
            self._group.forget_leader()
            gevent.sleep(RETRY_S)


def _feed(outbox: "Queue[bytes | None]") -> Iterator[bytes]:
    while (message := outbox.get()) is not None:
        yield message


class Standing(NamedTuple):
    """Where a session stands: the last number executed, and the replies still kept."""

    last_request: int
    replies: dict[int, Reply]


def stand(group: Group, name: str) -> Standing:
    """Attach to a session once, to see where it stands."""
    line = TradeLine(group, name, 1, lambda _request, _reply: None)
    line.close()
    return Standing(line.last_request, {reply.request: reply for reply in line.kept_replies})


def markets(group: Group) -> market_data_pb2.ListInstrumentsResponse:
    """Return everything listed."""
    request = market_data_pb2.ListInstrumentsRequest()
    body = group.call(f"{SERVICE}MarketDataService/ListInstruments", request.SerializeToString())
    return market_data_pb2.ListInstrumentsResponse.FromString(body)


def totals(group: Group) -> admin_pb2.GetTotalsResponse:
    """Return where all the atoms are; needs the operator's key."""
    request = admin_pb2.GetTotalsRequest(at=common_pb2.ReadAt(mode=common_pb2.READ_MODE_LINEARIZABLE))
    body = group.call(f"{SERVICE}AdminService/GetTotals", request.SerializeToString())
    return admin_pb2.GetTotalsResponse.FromString(body)
