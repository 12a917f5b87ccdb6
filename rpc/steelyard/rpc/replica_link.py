"""The gateway's end of the Unix socket to its replica: frames out, coalesced; answers back to who waits."""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from steelyard.core.entry import AnyReply, Request
from steelyard.core.queries import AnyQuery
from steelyard.core.units import AccountId, KeyId
from steelyard.replication.front import (
    FRAME_BYTES_MAX,
    PROTOCOL,
    SUBMIT_REQUESTS_MAX,
    Answer,
    Attach,
    Attached,
    Detach,
    Entries,
    Failed,
    FailureReason,
    Follow,
    Frame,
    Happened,
    Open,
    Read,
    ReadMode,
    State,
    Unfollow,
    Unfollowed,
)
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import NO_LEADER_DELAY_S, failure

log = logging.getLogger(__name__)

#: The replica restarts in tenths of a second; a local connect costs nothing.
RETRY_FIRST_S: Final = 0.02
RETRY_MAX_S: Final = 0.25
#: Unsent bytes towards the replica from which on streams are not read any more.
UNSENT_BYTES_MAX: Final = 2 << 20


class Submitting(Frame, frozen=True, tag=2):
    """``front.Submit`` as we write it: the requests encoded with the frame, not one by one."""

    refs: list[int]
    requests: list[Request]


class Replied(Frame, frozen=True, tag=21):
    """``front.Done`` as we read it: the replies decoded with the frame, not one by one."""

    index: int
    time_ns: int
    refs: list[int]
    indexes: list[int]
    replies: list[AnyReply]


class Sink(Protocol):
    """Who submitted requests and waits for their replies."""

    def replied(self, index: int, reply: AnyReply) -> None:
        """Take the reply to the oldest open request, made at ``index``."""

    def failed(self, reason: FailureReason) -> None:
        """One open request gets no reply."""


class Watcher(Protocol):
    """Who wants to know how the replica fares."""

    def state_changed(self, state: State) -> None:
        """Take what the replica says it is."""

    def link_lost(self) -> None:
        """Learn that the connection broke; every sink has been told already."""

    def happened(self, frame: Happened) -> None:
        """Take private events of attached accounts."""

    def applied(self, encoded: bytes) -> None:
        """Take what an entry came to, while entries are followed."""

    def unfollowed(self) -> None:
        """Learn that entries are not sent any more: too many were waiting."""


class ReplicaLink(asyncio.BufferedProtocol):
    """A connection to the replica that is made again whenever it breaks.

    ``state`` is None while there is no replica at the other end.
    """

    def __init__(self, path: Path, group: str, gateway: str, watcher: Watcher) -> None:
        self.state: State | None = None
        self.state_s = 0.0
        """When it was told, by the event loop's clock."""
        self._path = path
        self._opening = Open(PROTOCOL, group, gateway)
        self._watcher = watcher
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(
            State | Replied | Failed | Answer | Attached | Happened | Entries | Unfollowed
        )
        self._entry_parts: list[bytes] = []
        self._refs = itertools.count(1)
        self._sinks: dict[int, Sink] = {}
        self._questions: dict[int, asyncio.Future[Answer | Attached]] = {}
        self._attaching: dict[int, Callable[[int], None]] = {}
        self._out_refs: list[int] = []
        self._out_requests: list[Request] = []
        self._flush_due = False
        self._inbox = bytearray(1 << 18)
        self._filled = 0
        self._loop = asyncio.get_running_loop()

    async def keep_connected(self) -> None:
        """Connect, wait until the connection breaks, connect again; for ever, until cancelled."""
        delay_s = RETRY_FIRST_S
        try:
            while True:
                self._lost.clear()
                try:
                    await self._loop.create_unix_connection(lambda: self, os.fspath(self._path))
                except OSError:
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, RETRY_MAX_S)
                    continue
                await self._lost.wait()
                delay_s = RETRY_FIRST_S
                await asyncio.sleep(delay_s)
        finally:
            if self._transport is not None:
                self._transport.abort()

    def submit(self, requests: list[Request], sink: Sink) -> None:
        """Have ``requests`` logged, in this order.

        ``sink`` hears of each exactly once.  Without a replica it hears of the failure before this returns.
        """
        if self.state is None:
            for _ in requests:
                sink.failed(FailureReason.NO_LEADER)
            return
        refs = list(itertools.islice(self._refs, len(requests)))
        self._sinks.update(dict.fromkeys(refs, sink))
        self._out_refs += refs
        self._out_requests += requests
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    async def ask(self, key: int, query: AnyQuery, mode: ReadMode, min_index: int = 0) -> Answer:
        """Return the answer to a question, judged by the permissions of ``key``.

        Raises:
            DoorError: There is no answer now.

        """
        ref = next(self._refs)
        answer = await self._question(ref, Read(ref, KeyId(key), mode, min_index, query))
        assert isinstance(answer, Answer)
        return answer

    async def attach(self, account: AccountId, after_index: int, attached: Callable[[int], None]) -> None:
        """Have the account's private events sent.

        ``attached`` is called with the index above which they are complete, before the first of them arrives.

        Raises:
            DoorError: There is no replica now.

        """
        ref = next(self._refs)
        self._attaching[ref] = attached
        try:
            await self._question(ref, Attach(ref, [account], after_index))
        finally:
            self._attaching.pop(ref, None)

    def detach(self, account: AccountId) -> None:
        """Have the account's private events sent no more."""
        if self.state is not None:
            self._send(Detach([account]))

    async def follow(self, after_index: int, attached: Callable[[int], None]) -> None:
        """Have everything sent that entries come to, those above ``after_index`` that are held included.

        ``attached`` is called with the index above which they are complete, before the first of them arrives.

        Raises:
            DoorError: There is no replica now.

        """
        ref = next(self._refs)
        self._attaching[ref] = attached
        try:
            await self._question(ref, Follow(ref, after_index))
        finally:
            self._attaching.pop(ref, None)

    def unfollow(self) -> None:
        """Have entries sent no more."""
        if self.state is not None:
            self._send(Unfollow())

    def state_age_s(self) -> float:
        """Return how long ago the replica last said what it is; it does so five times a second."""
        return self._loop.time() - self.state_s

    async def writable(self) -> None:
        """Return when the replica takes more: at once, unless much is unsent."""
        await self._writable.wait()

    async def _question(self, ref: int, frame: Frame) -> Answer | Attached:
        if self.state is None:
            raise no_replica()
        waiting: asyncio.Future[Answer | Attached] = self._loop.create_future()
        self._questions[ref] = waiting
        try:
            self._send(frame)
            return await waiting
        finally:
            self._questions.pop(ref, None)

    def _flush(self) -> None:
        self._flush_due = False
        refs, requests = self._out_refs, self._out_requests
        if not refs:
            return
        self._out_refs, self._out_requests = [], []
        for start in range(0, len(refs), SUBMIT_REQUESTS_MAX):
            end = start + SUBMIT_REQUESTS_MAX
            self._send_requests(refs[start:end], requests[start:end])

    def _send_requests(self, refs: list[int], requests: list[Request]) -> None:
        """Send one frame, or several where many batches make one too long."""
        body = self._encoder.encode(Submitting(refs, requests))
        if len(body) <= FRAME_BYTES_MAX:
            self._write(body)
            return
        half = len(refs) // 2
        self._send_requests(refs[:half], requests[:half])
        self._send_requests(refs[half:], requests[half:])

    def _send(self, frame: Frame) -> None:
        self._write(self._encoder.encode(frame))

    def _write(self, body: bytes) -> None:
        assert self._transport is not None, "a frame without a connection"
        self._transport.write(len(body).to_bytes(4, "little") + body)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are; the replica answers with its state."""
        # Not isinstance: uvloop's transports are not subclasses.
        transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        self._transport = transport
        self._filled = 0
        self._entry_parts = []
        self._writable.set()
        self._send(self._opening)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever is open: the replica may or may not have proposed it."""
        self._transport = None
        self.state = None
        self._out_refs, self._out_requests = [], []
        sinks, self._sinks = self._sinks, {}
        questions, self._questions = self._questions, {}
        for sink in sinks.values():
            sink.failed(FailureReason.LEADERSHIP_LOST)
        for waiting in questions.values():
            if not waiting.done():
                waiting.set_exception(no_replica())
        self._writable.set()
        self._watcher.link_lost()
        self._lost.set()

    def pause_writing(self) -> None:
        """Hold back: the replica reads more slowly than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on: it has caught up."""
        self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        if self._filled == len(self._inbox):
            self._inbox += bytes(len(self._inbox))
        return memoryview(self._inbox)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take every whole frame out of what has arrived."""
        self._filled += nbytes
        at = 0
        with memoryview(self._inbox) as inbox:
            while self._filled - at >= 4:  # noqa: PLR2004 - the length prefix
                size = int.from_bytes(inbox[at : at + 4], "little")
                if size > FRAME_BYTES_MAX:
                    self._break(f"a frame of {size} bytes")
                    return
                end = at + 4 + size
                if end > self._filled:
                    break
                try:
                    frame = self._decoder.decode(inbox[at + 4 : end])
                except msgspec.MsgspecError as error:
                    self._break(str(error))
                    return
                self._take(frame)
                at = end
            if at:
                rest = self._filled - at
                inbox[:rest] = inbox[at : self._filled]
                self._filled = rest

    def _break(self, reason: str) -> None:
        log.error("the replica's bytes make no sense (%s): connecting again", reason)
        assert self._transport is not None
        self._transport.abort()

    def _take(
        self, frame: State | Replied | Failed | Answer | Attached | Happened | Entries | Unfollowed
    ) -> None:
        match frame:
            case Replied():
                pop = self._sinks.pop
                for ref, index, reply in zip(frame.refs, frame.indexes, frame.replies, strict=False):
                    sink = pop(ref, None)
                    if sink is None:
                        self._break(f"a reply to {ref}, which is not open")
                        return
                    sink.replied(index, reply)
            case Failed():
                for ref in frame.refs:
                    self._fail(ref, frame.reason)
            case Answer() | Attached():
                if isinstance(frame, Attached) and frame.ref in self._attaching:
                    self._attaching[frame.ref](frame.complete_after)
                waiting = self._questions.pop(frame.ref, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            case Happened():
                self._watcher.happened(frame)
            case Entries():
                self._entry_parts.append(frame.applied)
                if not frame.more:
                    parts, self._entry_parts = self._entry_parts, []
                    self._watcher.applied(parts[0] if len(parts) == 1 else b"".join(parts))
            case Unfollowed():
                self._watcher.unfollowed()
            case State():
                self.state = frame
                self.state_s = self._loop.time()
                self._watcher.state_changed(frame)

    def _fail(self, ref: int, reason: FailureReason) -> None:
        sink = self._sinks.pop(ref, None)
        if sink is not None:
            sink.failed(reason)
            return
        waiting = self._questions.pop(ref, None)
        if waiting is not None and not waiting.done():
            leader = self.state.leader_endpoint if self.state is not None else ""
            waiting.set_exception(failure(reason, leader))


def no_replica() -> DoorError:
    """Return the error while nobody is at the other end of the socket."""
    return DoorError(Reason.NO_LEADER, "this node's replica cannot be reached", delay_s=NO_LEADER_DELAY_S)
