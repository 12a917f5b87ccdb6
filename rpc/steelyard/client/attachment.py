"""A session's stream at the leader, attached again whenever it breaks."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import grpc
import grpc.aio

from steelyard.client import signing
from steelyard.client.errors import (
    BadCredentials,
    Broken,
    NotLeader,
    OutcomeUnknown,
    SessionExpired,
    SteelyardError,
    Unavailable,
    from_rpc,
)
from steelyard.client.events import Event, EventsMissed
from steelyard.client.failover import COMMANDS_MAX, Backoff, Line
from steelyard.client.nodes import Nodes
from steelyard.client.replies import Refused, Reply
from steelyard.client.translate import reply_of
from steelyard.client.translate_events import event_of
from steelyard.v1 import trading_pb2

TRADE: Final = "/steelyard.v1.TradingService/Trade"
ATTACH_TIMEOUT_S: Final = 2.0
#: A reply this late makes us ask the other nodes who leads; while replies come nobody is asked.
LATE_S: Final = 0.3
WATCH_S: Final = 0.1
#: A write may notice the end of a stream before the read that brings its reason.
ENDING_S: Final = 0.5
#: Events that nobody has taken yet; from here on the stream is not read, replies included.
EVENTS_MAX: Final = 65_536

#: Refusals that no later command of the session can escape.
NOT_OURS: Final = frozenset({"UNKNOWN_KEY", "KEY_EXPIRED", "NOT_SESSION_OWNER"})
GONE: Final = frozenset({"UNKNOWN_SESSION", "SESSION_EXPIRED"})

Stream = Any
"""A call of bytes; the library's own type is generic in two messages that we do not let it parse."""


class Attachment:
    """Keeps one session attached to whichever node leads, and its line of commands moving."""

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        *,
        events: bool,
        batch_max: int,
        cancel_on_disconnect: timedelta | None = None,
    ) -> None:
        self.nodes = nodes
        self.name = name
        self.session = 0
        """Given by the exchange."""
        self.line = Line()
        self.batch_max = min(batch_max, COMMANDS_MAX)
        self.reconnects = 0
        self.kept_replies: list[Reply] = []
        self.target: str | None = None
        """Where the stream is attached, or None while it is not."""
        self.wants_events = events
        self.cancel_on_disconnect_ms = (
            0 if cancel_on_disconnect is None else cancel_on_disconnect // timedelta(milliseconds=1)
        )
        self.events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_MAX)
        self.wake = asyncio.Event()
        """Set when there is something to write."""
        self.moved = asyncio.Event()
        """Set when no request is open, when waiting was given up, and at the end."""
        self.arrived = asyncio.Event()
        """Set when an event came, and at the end."""
        self.progress_s = time.monotonic()
        """When a reply last came, or the first open command was added."""
        self.stuck: OutcomeUnknown | None = None
        """Why nothing has moved for the retry deadline, if so."""
        self._events_index = 0
        self._events_seen: set[Event] = set()
        self._on_ack: Callable[[int, Reply], None] | None = None
        self._failure: SteelyardError | None = None
        self._attached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._term = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def on_ack(self) -> Callable[[int, Reply], None] | None:
        """Called with each request's number and its reply, once."""
        return self._on_ack

    @on_ack.setter
    def on_ack(self, hook: Callable[[int, Reply], None] | None) -> None:
        self._on_ack = self.line.on_ack = hook

    async def start(self) -> None:
        """Attach for the first time.

        Raises:
            SteelyardError: It cannot be done, or not within the retry deadline.

        """
        self._task = asyncio.ensure_future(self._run())
        await self._attached

    async def stop(self, error: SteelyardError) -> None:
        """Detach; whatever is open fails with ``error``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail(error)

    def check(self) -> None:
        """Raise why the session failed, if it did."""
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        """Stay attached until something ends the session for good; then everybody who waits is told."""
        try:
            await self._keep_attached()
        except SteelyardError as error:
            self._fail(error)
        except Exception as error:
            broken = Broken(f"session {self.name}: {type(error).__name__}: {error}")
            broken.__cause__ = error
            self._fail(broken)

    async def _keep_attached(self) -> None:
        backoff = Backoff()
        self.progress_s = time.monotonic()
        while True:
            target: str | None = None
            try:
                target = await self.nodes.leading()
                stream: Stream = self.nodes.channel(target).stream_stream(TRADE)()
                try:
                    async with asyncio.timeout(ATTACH_TIMEOUT_S):
                        await self._greet(target, stream)
                    backoff.reset()
                    await self._serve(stream)
                finally:
                    self.target = None
                    stream.cancel()
            except OutcomeUnknown as error:
                failure = error
            except grpc.aio.AioRpcError as error:
                failure = _unknown(error)
            except (TimeoutError, asyncio.InvalidStateError, asyncio.CancelledError):
                # The library raises the latter two when a call has ended; our own cancellation goes on.
                if _is_cancelled():
                    raise
                failure = Unavailable(f"the stream at {target} ended")
            self.nodes.learn(target, failure)
            if not self._patience(failure) and not self._attached.done():
                raise failure
            wait_s = backoff.next_s()
            if failure.delay_s is not None:
                wait_s = min(failure.delay_s, max(wait_s, WATCH_S))
            await asyncio.sleep(wait_s)

    def _patience(self, failure: OutcomeUnknown) -> bool:
        """Once nothing has moved for the retry deadline, let those go who have waited that long."""
        deadline_s = time.monotonic() - self.nodes.retry_deadline_s
        if self.progress_s > deadline_s:
            return True
        self.stuck = failure
        self.line.give_up_waiting(str(failure), deadline_s)
        self.moved.set()
        return False

    async def _greet(self, target: str, stream: Stream) -> None:
        """Answer the challenge, take the Welcome, and make ready to send again what has no answer."""
        nodes = self.nodes
        self._term = (await nodes.status(target)).term
        challenge = (await _receive(stream)).challenge
        text = signing.stream_text(challenge.group, challenge.node, challenge.nonce, nodes.key.id, self.name)
        hello = trading_pb2.Hello(
            key=nodes.key.id,
            signature=nodes.key.sign(text),
            session_name=self.name,
            events=self.wants_events,
            # From one before the last: its events may have been cut off in their middle.
            events_after=max(self._events_index - 1, 0),
            cancel_on_disconnect_ms=self.cancel_on_disconnect_ms,
        )
        await stream.write(trading_pb2.TradeRequest(hello=hello).SerializeToString())
        message = await _receive(stream)
        if not message.HasField("welcome"):
            raise Unavailable("the node did not say Welcome")
        self._welcome(message.welcome)
        if self.wants_events:
            await self._check_gap(message.welcome.events_complete_after)
        self.target = target
        await self._take(message)
        if self._attached.done():
            self.reconnects += 1
        else:
            self._attached.set_result(None)

    def _welcome(self, welcome: trading_pb2.Welcome) -> None:
        replies = [reply_of(reply) for reply in welcome.replies]
        if not self.session:
            self.session = welcome.session
            self.kept_replies = replies
            self.line = Line(welcome.last_request, window=welcome.window)
            self.line.on_ack = self._on_ack
        elif welcome.session != self.session:
            raise SessionExpired(f"session {self.name} is a new one; the old one's replies are gone")
        else:
            self.line.welcomed(welcome.last_request, replies)
        self._progress()

    async def _check_gap(self, complete_after: int) -> None:
        if not self._events_index:
            self._events_index = complete_after
        elif complete_after >= self._events_index:
            missed = EventsMissed(complete_after, 0, 0, self._events_index)
            self._events_index = complete_after
            self._events_seen.clear()
            await self._put(missed)

    async def _serve(self, stream: Stream) -> None:
        """Read, write and watch until the stream fails; always raises why."""
        reader, writer, watcher = tasks = [
            asyncio.ensure_future(each) for each in (self._read(stream), self._write(stream), self._watch())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and not reader.done():
                await asyncio.wait([reader], timeout=ENDING_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # What the reader says is the reason; what the writer says is only that there is one.
        for task in (reader, watcher, writer):
            if not task.cancelled():
                task.result()
        raise Unavailable("the stream ended")

    async def _read(self, stream: Stream) -> None:
        while True:
            await self._take(await _receive(stream))

    async def _take(self, message: trading_pb2.TradeResponse) -> None:
        """Settle the replies and queue the events of one message."""
        settle = self.line.settle
        for wire in message.replies:
            reply = reply_of(wire)
            if type(reply) is Refused:
                self._check_refusal(reply)
            if not settle(reply):
                raise Unavailable("requests were lost or arrived out of order")
        if message.replies:
            self._progress()
            if self.line.unsent():
                self.wake.set()
        for event_wire in message.events:
            event = event_of(event_wire)
            if event is not None and event.log_index >= self._events_index:
                await self._take_event(event)

    def _check_refusal(self, reply: Refused) -> None:
        if reply.reason in GONE:
            raise SessionExpired(f"session {self.name}: {reply.reason}")
        if reply.reason in NOT_OURS:
            raise BadCredentials(reply.reason)

    async def _take_event(self, event: Event) -> None:
        if event.log_index > self._events_index:
            self._events_index = event.log_index
            self._events_seen.clear()
        elif event in self._events_seen:
            return
        self._events_seen.add(event)
        await self._put(event)

    async def _put(self, event: Event) -> None:
        await self.events.put(event)
        self.arrived.set()

    async def _write(self, stream: Stream) -> None:
        while True:
            message = self.line.message(self.batch_max)
            if message is None:
                self.wake.clear()
                await self.wake.wait()
            else:
                await stream.write(message)

    async def _watch(self) -> None:
        """When replies are late, ask the other nodes; move as soon as one leads in a higher term."""
        while True:
            await asyncio.sleep(WATCH_S)
            if not self.line.open or time.monotonic() - self.progress_s < LATE_S:
                continue
            self._patience(Unavailable("no reply within the retry deadline"))
            leader = await self.nodes.find_leader(without=self.target, above_term=self._term)
            if leader is not None:
                raise NotLeader(leader.target)

    def _progress(self) -> None:
        self.progress_s = time.monotonic()
        self.stuck = None
        if not self.line.open:
            self.moved.set()

    def _fail(self, error: SteelyardError) -> None:
        if self._failure is None:
            self._failure = error
        self.target = None
        self.line.fail(error)
        self.moved.set()
        self.arrived.set()
        if not self._attached.done():
            self._attached.set_exception(error)


async def _receive(stream: Stream) -> trading_pb2.TradeResponse:
    body = await stream.read()
    if body is grpc.aio.EOF:
        raise Unavailable("the stream ended")
    return trading_pb2.TradeResponse.FromString(body)


def _unknown(error: grpc.aio.AioRpcError) -> OutcomeUnknown:
    """Return the error if it leaves a doubt; raise it if it ends the session."""
    translated = from_rpc(error)
    if isinstance(translated, OutcomeUnknown):
        return translated
    raise translated from error


def _is_cancelled() -> bool:
    """Return whether this task itself was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
