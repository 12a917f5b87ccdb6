"""The link to the replica: frames as the replica reads them, and a connection that is made again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.commands import Skip
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.queries import GetMarkets, Markets
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId
from steelyard.replication.front import (
    FRAME_BYTES_MAX,
    Answer,
    Done,
    Failed,
    FailureReason,
    Frame,
    Happened,
    Open,
    Read,
    ReadMode,
    State,
    Submit,
)
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.replica_link import ReplicaLink, Replied, Submitting

STATE = State(
    group="g",
    member=1,
    pid=1,
    role="leader",
    ready=True,
    term=1,
    leader=1,
    leader_endpoint="",
    last_index=0,
    commit_index=0,
    applied_index=0,
    time_ns=0,
    digest_index=0,
    digest=b"",
    snapshot_index=0,
    log_first_index=1,
    log_used_ppm=0,
    commands_applied=0,
    sync_mode="",
)


def skip(number: int) -> Request:
    """Return a small request."""
    return Request(SessionId(1), number, number, KeyId(1), 0, 0, Skip(reason=Reject.MALFORMED))


class Watcher:
    """Notes what the link tells."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.lost = asyncio.Event()
        self.entries: list[bytes] = []
        self.missed = 0

    def state_changed(self, _: State) -> None:
        """Note it."""
        self.connected.set()

    def link_lost(self) -> None:
        """Note it."""
        self.lost.set()

    def happened(self, frame: Happened) -> None:
        """Nothing: no test here attaches."""

    def applied(self, encoded: bytes) -> None:
        """Note it."""
        self.entries.append(encoded)

    def unfollowed(self) -> None:
        """Note it."""
        self.missed += 1


class Sink:
    """Notes replies and failures."""

    def __init__(self) -> None:
        self.told: list[AnyReply | FailureReason] = []
        self.changed = asyncio.Event()

    def replied(self, _: int, reply: AnyReply) -> None:
        """Note it."""
        self.told.append(reply)
        self.changed.set()

    def failed(self, reason: FailureReason) -> None:
        """Note it."""
        self.told.append(reason)
        self.changed.set()


class Replica:
    """The other end: a script of frames and of bytes."""

    def __init__(self) -> None:
        self.watcher = Watcher()
        self.opened = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._writers: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()

    async def close(self) -> None:
        """Break every connection that there ever was."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection, and say what we are."""
        self._reader, self._writer = reader, writer
        self._writers.append(writer)
        assert isinstance(await self.receive(), Open)
        self.opened += 1
        self.send(STATE)
        self._open.set()

    async def again(self) -> None:
        """Wait until the link is connected again."""
        self._open.clear()
        await self._open.wait()

    async def receive(self) -> Open | Submit | Read:
        """Return the next frame from the link."""
        size = int.from_bytes(await self._reader.readexactly(4), "little")
        return msgspec.msgpack.decode(await self._reader.readexactly(size), type=Open | Submit | Read)

    def send(self, frame: Frame) -> None:
        """Send a frame."""
        body = msgspec.msgpack.encode(frame)
        self.send_bytes(len(body).to_bytes(4, "little") + body)

    def send_bytes(self, body: bytes) -> None:
        """Send any bytes."""
        self._writer.write(body)

    def hang_up(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()


Check = Callable[[Replica, ReplicaLink], Awaitable[None]]


@pytest.fixture
def linked(tmp_path: Path) -> Callable[[Check], None]:
    """Run a check with both ends of a link."""

    async def run(check: Check) -> None:
        replica = Replica()
        path = tmp_path / "front.sock"
        server = await asyncio.start_unix_server(replica.serve, path)
        link = ReplicaLink(path, "g", "test", replica.watcher)
        keeping = asyncio.ensure_future(link.keep_connected())
        await replica.watcher.connected.wait()
        await check(replica, link)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await replica.close()
        server.close()
        await server.wait_closed()

    return lambda check: asyncio.run(asyncio.wait_for(run(check), 20))


@given(st.lists(st.integers(0, 2**62), max_size=5), st.text(max_size=40))
def test_our_frames_are_those_of_the_contract(numbers: list[int], label: str) -> None:
    requests = [skip(number) for number in numbers]
    ours = msgspec.msgpack.encode(Submitting(numbers, requests))
    raws = [msgspec.Raw(msgspec.msgpack.encode(request)) for request in requests]
    assert ours == msgspec.msgpack.encode(Submit(numbers, raws))

    replies: list[AnyReply] = [Accepted(request=number, fingerprint=7, made=number) for number in numbers]
    raws = [msgspec.Raw(msgspec.msgpack.encode(reply)) for reply in replies]
    theirs = msgspec.msgpack.encode(Done(5, 6, numbers, numbers, raws))
    assert msgspec.msgpack.decode(theirs, type=Replied) == Replied(5, 6, numbers, numbers, replies)


def test_what_is_submitted_in_one_turn_leaves_as_one_frame(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        one, other = Sink(), Sink()
        link.submit([skip(1), skip(2)], one)
        link.submit([skip(3)], other)
        frame = await replica.receive()
        assert isinstance(frame, Submit)
        assert len(frame.refs) == len(dict.fromkeys(frame.refs)) == 3
        replies: list[AnyReply] = [Accepted(request=n, fingerprint=0) for n in (1, 2, 3)]
        replica.send(Replied(9, 9, frame.refs, [9, 9, 9], replies))
        await other.changed.wait()
        assert one.told == replies[:2]
        assert other.told == replies[2:]

    linked(check)


def test_more_than_a_frame_holds_leaves_in_order_as_several(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        link.submit([skip(n) for n in range(1, 2501)], Sink())
        frames = [await replica.receive() for _ in range(3)]
        sizes = [len(frame.refs) for frame in frames if isinstance(frame, Submit)]
        assert sizes == [1000, 1000, 500]

    linked(check)


def test_frames_may_arrive_in_pieces(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        sink = Sink()
        link.submit([skip(1)], sink)
        frame = await replica.receive()
        assert isinstance(frame, Submit)
        body = msgspec.msgpack.encode(Failed(frame.refs, FailureReason.OVERLOADED))
        for byte in len(body).to_bytes(4, "little") + body:
            replica.send_bytes(bytes([byte]))
            await asyncio.sleep(0)
        await sink.changed.wait()
        assert sink.told == [FailureReason.OVERLOADED]

    linked(check)


def test_a_frame_larger_than_the_inbox_is_read(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        asking = asyncio.ensure_future(link.ask(1, GetMarkets(), ReadMode.STALE))
        frame = await replica.receive()
        assert isinstance(frame, Read)
        large = msgspec.structs.replace(STATE, sync_mode="x" * (3 << 20))
        replica.send(large)
        replica.send(Answer(frame.ref, 7, Markets([], []), None))
        assert (await asking).index == 7
        assert link.state == large

    linked(check)


def test_a_broken_link_fails_what_is_open_and_is_made_again(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        sink = Sink()
        link.submit([skip(1)], sink)
        await replica.receive()
        asking = asyncio.ensure_future(link.ask(1, GetMarkets(), ReadMode.STALE))
        await replica.receive()
        replica.hang_up()
        await replica.watcher.lost.wait()
        assert sink.told == [FailureReason.LEADERSHIP_LOST]
        with pytest.raises(DoorError) as caught:
            await asking
        assert caught.value.reason is Reason.NO_LEADER
        late = Sink()
        link.submit([skip(2)], late)
        assert late.told == [FailureReason.NO_LEADER]
        await replica.again()
        assert replica.opened == 2

    linked(check)


@pytest.mark.parametrize(
    "garbage",
    [
        (FRAME_BYTES_MAX + 1).to_bytes(4, "little"),
        b"\x03\x00\x00\x00\xc1\xc1\xc1",
        b"\x02\x00\x00\x00\x91\x63",
    ],
    ids=["too large", "no msgpack", "unknown tag"],
)
def test_bytes_that_make_no_sense_break_the_link(linked: Callable[[Check], None], garbage: bytes) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        sink = Sink()
        link.submit([skip(1)], sink)
        await replica.receive()
        replica.send_bytes(garbage)
        await replica.again()
        assert sink.told == [FailureReason.LEADERSHIP_LOST]

    linked(check)


def test_an_answer_to_what_was_never_asked_breaks_the_link(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        sink = Sink()
        link.submit([skip(1)], sink)
        await replica.receive()
        replica.send(Replied(9, 9, [12345], [9], [Accepted(request=1, fingerprint=0)]))
        await replica.again()
        assert sink.told == [FailureReason.LEADERSHIP_LOST]

    linked(check)


def test_a_question_is_answered_by_its_number(linked: Callable[[Check], None]) -> None:
    async def check(replica: Replica, link: ReplicaLink) -> None:
        first = asyncio.ensure_future(link.ask(1, GetMarkets(), ReadMode.STALE))
        second = asyncio.ensure_future(link.ask(1, GetMarkets(), ReadMode.AT_LEAST, 8))
        frames = [await replica.receive(), await replica.receive()]
        refs = [frame.ref for frame in frames if isinstance(frame, Read)]
        replica.send(Answer(refs[1], 8, None, Reject.UNKNOWN_KEY))
        assert (await second).refused is Reject.UNKNOWN_KEY
        replica.send(Failed([refs[0]], FailureReason.NOT_LEADER))
        with pytest.raises(DoorError) as caught:
            await first
        assert caught.value.reason is Reason.NOT_LEADER

    linked(check)
