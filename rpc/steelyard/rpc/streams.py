"""One ``Trade`` stream: who it is, its commands in, its replies and events out."""

import asyncio
import logging
import secrets
from typing import Any, Final

import grpc
import grpc.aio

from steelyard.client.wire import NUMBER_MAX, delimited
from steelyard.core.commands import ArmCountdown, CancelOrder, CancelOrders, OpenSession, Skip
from steelyard.core.entry import AnyReply, Refused, Request, SessionReady
from steelyard.core.limits import REPLY_WINDOW_MAX, SESSION_NAME_MAX, is_printable_ascii
from steelyard.core.queries import GetSession, SessionInfo
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, KeyId, SessionId
from steelyard.replication.front import FailureReason, ReadMode
from steelyard.rpc import encode
from steelyard.rpc.auth import Caller
from steelyard.rpc.door import Door
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import failure, refusal
from steelyard.rpc.translate import MALFORMED, STORAGE_LOW, parse, parse_trade, trade_command
from steelyard.v1 import trading_pb2

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

#: How many requests a stream may have open before it is not read any more; the state keeps as many replies.
WINDOW: Final = REPLY_WINDOW_MAX
#: A client that lets so much wait is sent away, and may come back for it.
PENDING_BYTES_MAX: Final = 8 << 20
#: One message to a client; it takes up to 4 MiB.
MESSAGE_BYTES_MAX: Final = 1 << 20
#: A client has so long to answer the challenge.
HELLO_PATIENCE_S: Final = 10.0
#: How long a stream that ends may take to write what is pending and its Goodbye.
GOODBYE_PATIENCE_S: Final = 1.0
#: Whoever is attached has its key checked again this often.
KEY_CHECK_S: Final = 1.0
NONCE_BYTES: Final = 32

#: What a log that is nearly full still takes.
LOWERS_RISK: Final = frozenset({CancelOrder, CancelOrders, ArmCountdown, Skip})

#: Refusals that no later command of the stream can escape, and how the stream ends.
_FATAL: Final = {Reject.UNKNOWN_KEY, Reject.KEY_EXPIRED, Reject.UNKNOWN_SESSION, Reject.SESSION_EXPIRED}


class TradeStream:
    """One client attached to one session.

    Three tasks: this one waits for the end, one reads, one writes.  A task that did both would deadlock
    with a client that does the same.
    """

    def __init__(self, door: Door, context: Context) -> None:
        self.session = 0
        self.account = AccountId(0)
        self.open_count = 0
        self.over = asyncio.Event()
        self._door = door
        self._context = context
        self._key = KeyId(0)
        self._log_index = 0
        self._made_index, self._made = 0, encode.made_at(0)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._reading = True
        self._ended: asyncio.Future[DoorError | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve the stream until it ends; raises ``DoorError`` with the reason unless the client did."""
        self._door.crowd.enter(self)
        ending: DoorError | None = None
        try:
            await self._greet()
            ending = await self._serve()
        except DoorError as error:
            ending = error
        finally:
            self._door.crowd.leave(self)
            self._door.private_events.forget(self)
            self._door.detach(self)
            self._door.leases.drop(self, ending)
            self.over.set()
        if ending is not None:
            raise ending

    def end(self, ending: DoorError | None) -> None:
        """End the stream: what is pending is still written, then Goodbye.  Only the first ending counts."""
        if not self._ended.done():
            self._ended.set_result(ending)

    def drain(self) -> None:
        """Read no more; end when nothing is open."""
        self._reading = False
        if self.open_count == 0:
            self.end(DoorError(Reason.DRAINING, leader=self._door.leader_endpoint))

    # Hello.

    async def _greet(self) -> None:
        """Prove the client, find or open its session, and say where it stands."""
        door = self._door
        door.require_leader()
        nonce = secrets.token_bytes(NONCE_BYTES)
        challenge = trading_pb2.Challenge(nonce=nonce, group=door.group, node=str(door.member))
        state = door.link.state
        first = trading_pb2.TradeResponse(
            log_index=0 if state is None else state.applied_index, challenge=challenge
        )
        answer = await self._challenged(first.SerializeToString())
        if answer is grpc.aio.EOF:
            raise DoorError(Reason.MALFORMED, "the first message must say Hello")
        message = parse(trading_pb2.TradeRequest, answer)
        if not message.HasField("hello") or message.commands:
            raise DoorError(Reason.MALFORMED, "the first message must say Hello, and nothing else")
        hello = message.hello
        name = hello.session_name
        caller = await door.verifier.stream_caller(hello.key, hello.signature, nonce, name)
        door.crowd.introduce(self, caller.key)
        if not name or not is_printable_ascii(name, SESSION_NAME_MAX) or hello.events_after > NUMBER_MAX:
            raise DoorError(Reason.MALFORMED, "a session needs a printable name")
        self._key, self.account = KeyId(caller.key), AccountId(caller.account)
        index, session = await find_session(door, caller, name)
        self.session = session.session
        if hello.cancel_on_disconnect_ms:
            await door.leases.take(self, self.account, self._key, hello.cancel_on_disconnect_ms)
        complete_after = 0
        if hello.events:
            complete_after = await door.private_events.listen(self, hello.events_after)
        self._welcome(index, session, complete_after)
        door.attach(self)
        door.require_leader()

    async def _challenged(self, challenge: bytes) -> Any:  # noqa: ANN401 - bytes, or the library's end of a stream
        """Send the challenge and return what the client says to it, unless it is sent away meanwhile."""

        async def ask() -> Any:  # noqa: ANN401 - the same
            await self._context.write(challenge)
            return await self._context.read()

        asking = asyncio.ensure_future(ask())
        try:
            await asyncio.wait(
                (asking, self._ended), timeout=HELLO_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if self._ended.done():
                raise self._ended.result() or DoorError(Reason.DEADLINE, "the stream was ended")
            if not asking.done():
                raise DoorError(Reason.DEADLINE, "no Hello")
            return asking.result()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def _welcome(self, index: int, session: SessionInfo, complete_after: int) -> None:
        welcome = trading_pb2.Welcome(
            session=session.session,
            last_request=session.last_request,
            window=WINDOW,
            events_complete_after=complete_after,
        ).SerializeToString()
        replies = [
            delimited(encode.WELCOME_REPLIES, encode.reply_body(encode.made_at(made), reply))
            for made, reply in session.replies
        ]
        # Events may be here already; Welcome comes before them.
        field = delimited(encode.WELCOME, welcome + b"".join(replies))
        self._pending.insert(0, field)
        self._pending_bytes += len(field)
        self._log_index = max(self._log_index, index)
        self._wake.set()

    # Serving.

    async def _serve(self) -> DoorError | None:
        tasks = [asyncio.ensure_future(each) for each in (self._read(), self._write(), self._check_key())]
        for task in tasks:
            task.add_done_callback(self._task_over)
        reader, writer, checker = tasks
        try:
            ending = await self._ended
            checker.cancel()
            reader.cancel()
            if ending is not None:
                goodbye = trading_pb2.Goodbye(reason=ending.reason.value, leader=ending.leader)
                self._push(delimited(encode.GOODBYE, goodbye.SerializeToString()))
            self._wake.set()
            await asyncio.wait([writer], timeout=GOODBYE_PATIENCE_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return ending

    def _task_over(self, task: "asyncio.Future[None]") -> None:
        """End the stream if one of its tasks failed; quietly if the client hung up."""
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, DoorError):
            self.end(error)
        elif isinstance(error, grpc.aio.InternalError):
            self.end(None)
        elif error is not None:
            log.error("a stream failed", exc_info=error)
            self.end(DoorError(Reason.INTERNAL))

    async def _read(self) -> None:
        context = self._context
        while self._reading:
            body = await context.read()
            if body is grpc.aio.EOF:
                self._reading = False
                if self.open_count == 0:
                    self.end(None)
                return
            await self._take(body)

    async def _take(self, body: bytes) -> None:
        """Hand a message's commands over, then wait until there is room for another message."""
        message, tainted = parse_trade(body)
        if message.HasField("hello"):
            raise DoorError(Reason.MALFORMED, "Hello is said once")
        wants_from = message.wants_from
        if wants_from > NUMBER_MAX:
            raise DoorError(Reason.MALFORMED, "wants_from is out of range")
        session, key, account = SessionId(self.session), self._key, self.account
        storage_low = self._door.storage_low
        requests: list[Request] = []
        add = requests.append
        for place, wire in enumerate(message.commands):
            number = wire.request
            if not 0 < number <= NUMBER_MAX:
                self._refuse(number, wire.fingerprint)
                continue
            command = trade_command(wire, account)
            not_after_ns = wire.not_after_ns
            if tainted and tainted[place]:
                command = MALFORMED
            elif storage_low and type(command) not in LOWERS_RISK:
                command = STORAGE_LOW
            if command is MALFORMED:
                not_after_ns = 0
            add(Request(session, number, wants_from, key, wire.fingerprint, not_after_ns, command))
        if requests:
            self.open_count += len(requests)
            self._door.link.submit(requests, self)
        while self.open_count >= WINDOW:
            self._room.clear()
            await self._room.wait()
        await self._door.link.writable()

    def _refuse(self, number: int, fingerprint: int) -> None:
        """Answer a number that cannot be one, without logging it: no session will ever get to it."""
        state = self._door.link.state
        index = 0 if state is None else state.applied_index
        refused = Refused(request=number, fingerprint=fingerprint, reason=Reject.MALFORMED)
        self._push(encode.reply_field(encode.made_at(index), refused))

    async def _write(self) -> None:
        context = self._context
        while True:
            if not self._pending:
                if self._ended.done():
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._pending = self._pending, []
            size, self._pending_bytes = self._pending_bytes, 0
            if size <= MESSAGE_BYTES_MAX:
                batch.append(encode.log_index_field(self._log_index))
                await context.write(b"".join(batch))
            else:
                for part in _parts(batch):
                    await context.write(part + encode.log_index_field(self._log_index))

    def _push(self, field: bytes) -> None:
        if not self._pending:
            self._wake.set()
        self._pending.append(field)
        self._pending_bytes += len(field)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.end(DoorError(Reason.SLOW_CONSUMER, "the client does not read"))

    async def _check_key(self) -> None:
        """End the stream of a key that was revoked or has expired, also when nothing is sent on it."""
        while True:
            await asyncio.sleep(KEY_CHECK_S)
            if self._door.leads and not await self._door.verifier.is_valid(self._key):
                raise DoorError(Reason.BAD_CREDENTIALS)

    # What the link and the events tell.

    def replied(self, index: int, reply: AnyReply) -> None:
        """Take the reply to one request."""
        self.open_count -= 1
        if self._ended.done():
            return
        if index != self._made_index:
            self._made_index, self._made = index, encode.made_at(index)
        field = encode.reply_field(self._made, reply)
        if not self._pending:
            self._wake.set()
        self._pending.append(field)
        self._pending_bytes += len(field)
        self._log_index = max(self._log_index, index)
        if self.open_count < WINDOW:
            self._room.set()
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.end(DoorError(Reason.SLOW_CONSUMER, "the client does not read"))
        if type(reply) is Refused and reply.reason in _FATAL:
            self.end(refusal(reply.reason, index))
        elif self.open_count == 0 and not self._reading:
            self.end(
                DoorError(Reason.DRAINING, leader=self._door.leader_endpoint) if self._door.draining else None
            )

    def failed(self, reason: FailureReason) -> None:
        """End the stream: a request has no reply here, and later ones would leave a gap."""
        self.open_count -= 1
        self._room.set()
        self.end(failure(reason, self._door.leader_endpoint))

    def events(self, index: int, fields: bytes) -> None:
        """Take the private events of one entry."""
        if not self._ended.done():
            self._log_index = max(self._log_index, index)
            self._push(fields)


def _parts(fields: list[bytes]) -> list[bytes]:
    """Join fields into as few messages as their bound allows."""
    parts: list[bytes] = []
    part: list[bytes] = []
    size = 0
    for field in fields:
        if part and size + len(field) > MESSAGE_BYTES_MAX:
            parts.append(b"".join(part))
            part, size = [], 0
        part.append(field)
        size += len(field)
    parts.append(b"".join(part))
    return parts


async def find_session(door: Door, caller: Caller, name: str) -> tuple[int, SessionInfo]:
    """Return the caller's session of that name, opened if need be, as of an index.

    The read is linearizable, so nothing above ``last_request`` has been applied up to that index.
    """
    query = GetSession(account=AccountId(caller.account), name=name)
    try:
        return await door.read(SessionInfo, caller.key, query, ReadMode.LINEARIZABLE)
    except DoorError as error:
        if error.reason is not Reason.SESSION_EXPIRED:
            raise
    await open_session(door, caller, name)
    return await door.read(SessionInfo, caller.key, query, ReadMode.LINEARIZABLE)


async def open_session(door: Door, caller: Caller, name: str) -> tuple[int, SessionReady]:
    """Have a session opened; raises ``DoorError`` if the exchange refuses."""
    command = OpenSession(account=AccountId(caller.account), name=name)
    request = Request(SessionId(0), 0, 0, KeyId(caller.key), 0, 0, command)
    index, reply = await door.write(request)
    if isinstance(reply, Refused):
        raise refusal(reply.reason, index)
    assert isinstance(reply, SessionReady), "a session was opened with another reply"
    return index, reply
