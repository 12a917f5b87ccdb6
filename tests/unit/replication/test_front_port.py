"""Frames over a real Unix socket: what is accepted, what closes the connection, what is bounded."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from steelyard.core import Exchange, wire
from steelyard.core.commands import Skip
from steelyard.core.entry import ENTRY_VERSION, Entry, Request
from steelyard.core.queries import GetMarkets, Markets
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId
from steelyard.replication import front_port
from steelyard.replication import gateway as gateway_frames
from steelyard.replication.config import NodePaths, node_paths
from steelyard.replication.front import (
    FRAME_BYTES_MAX,
    PROTOCOL,
    SUBMIT_REQUESTS_MAX,
    Answer,
    Attach,
    Attached,
    Detach,
    Done,
    Entries,
    Failed,
    FailureReason,
    Follow,
    Frame,
    FromReplica,
    Open,
    Read,
    ReadMode,
    State,
    Submit,
    Unfollow,
    Unfollowed,
)
from steelyard.replication.front_port import FrontPort
from steelyard.replication.gateway import Gateway
from steelyard.replication.poller import EpollWaiter
from steelyard.replication.proposals import Part, complete

GROUP = "ab" * 16
LENGTH = struct.Struct("<I")
STATE = State(GROUP, 1, 2, "leader", True, 3, 1, "h:1", 4, 4, 4, 5, 0, b"", 0, 1, 0, 6, "full")


class Scene:
    """A port over an exchange without a group: every Submit is an entry, applied at once."""

    def __init__(self, paths: NodePaths) -> None:
        paths.node.mkdir()
        self.exchange = Exchange()
        self.waiter = EpollWaiter()
        self.path = paths.front_socket
        self.port = FrontPort(self.path, GROUP, self.waiter, self)
        self.parts: list[Part] = []

    def opened(self, gateway: Gateway) -> None:
        """Send a state."""
        gateway.state(STATE)

    def submit(self, part: Part) -> None:
        """Apply at once."""
        self.parts.append(part)
        requests = [wire.decode_request(bytes(raw)) for raw in part.requests]
        entry = Entry(ENTRY_VERSION, self.exchange.time_ns + 1, requests)
        complete([part], self.exchange.apply(self.exchange.applied_index + 1, entry))

    def read(self, gateway: Gateway, read: Read) -> None:
        """Answer with nothing listed."""
        gateway.answer(Answer(read.ref, 7, Markets([], []), None))

    def attach(self, gateway: Gateway, attach: Attach) -> None:
        """Attach without events."""
        gateway.accounts.update(attach.accounts)
        gateway.attached(attach.ref, 3)

    def follow(self, gateway: Gateway, follow: Follow) -> None:
        """Follow from here on."""
        gateway.attached(follow.ref, 3)
        gateway.follows = True

    def turn(self, times: int = 3) -> None:
        """Run the loop."""
        for _ in range(times):
            self.waiter.wait(0)
            self.port.flush()


class Client:
    """The other end, never blocking: the test runs the loop between."""

    def __init__(self, scene: Scene, *frames: Frame) -> None:
        self.scene = scene
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(scene.path))
        self.socket.setblocking(False)
        self.data = b""
        scene.turn()
        self.send(*frames)

    def send(self, *frames: Frame) -> None:
        """Send frames in one piece."""
        self.send_bytes(b"".join(framed(msgspec.msgpack.encode(frame)) for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes and let the port read them."""
        while data:
            with suppress(BlockingIOError):
                data = data[self.socket.send(data) :]
            self.scene.turn(1)
        self.scene.turn()

    def receive(self) -> list[FromReplica]:
        """Return the frames that have arrived."""
        while True:
            self.scene.turn(1)
            try:
                got = self.socket.recv(1 << 20)
            except BlockingIOError:
                break
            if not got:
                break
            self.data += got
        frames: list[FromReplica] = []
        while len(self.data) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self.data)[0]
            frames.append(msgspec.msgpack.decode(self.data[LENGTH.size : end], type=FromReplica))
            self.data = self.data[end:]
        return frames

    def is_closed(self) -> bool:
        """Whether the port has hung up."""
        self.scene.turn()
        try:
            while self.socket.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(node_paths(tmp_path, 1))
    yield scene
    scene.port.close()
    scene.waiter.close()


@pytest.fixture
def client(scene: Scene) -> Iterator[Client]:
    client = Client(scene, Open(PROTOCOL, GROUP, "test"))
    assert client.receive() == [STATE]
    yield client
    client.socket.close()


def framed(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content


def skips(count: int) -> list[msgspec.Raw]:
    request = Request(SessionId(0), 0, 0, KeyId(0), 0, 0, Skip(reason=Reject.MALFORMED))
    return [msgspec.Raw(wire.encode_request(request))] * count


def test_an_entrys_replies_are_one_frame_in_the_order_of_the_refs(client: Client) -> None:
    client.send(Submit([5, 3, 9], skips(3)))
    (done,) = client.receive()
    assert isinstance(done, Done)
    assert (done.refs, done.index, done.indexes) == ([5, 3, 9], 1, [1, 1, 1])
    assert len({bytes(reply) for reply in done.replies}) == 1


def test_frames_may_arrive_in_any_pieces(client: Client) -> None:
    data = framed(msgspec.msgpack.encode(Submit([1], skips(1)))) + framed(
        msgspec.msgpack.encode(Submit([2, 3], skips(2)))
    )
    for position in range(len(data)):
        client.send_bytes(data[position : position + 1])
    assert [frame.refs for frame in client.receive() if isinstance(frame, Done)] == [[1], [2, 3]]
    client.send_bytes(data * 50)
    assert len(client.receive()) == 100


def test_reads_attaches_and_detaches_reach_the_replica(scene: Scene, client: Client) -> None:
    client.send(Attach(4, [1000, 1001]), Read(1, 1, ReadMode.STALE, 0, GetMarkets()), Detach([1000]))
    assert client.receive() == [Attached(4, 3), Answer(1, 7, Markets([], []), None)]
    (gateway,) = scene.port.gateways
    assert gateway.accounts == {1001}


@pytest.mark.parametrize(
    "frame",
    [
        Open(PROTOCOL + 1, GROUP, "test"),
        Open(PROTOCOL, "cd" * 16, "test"),
        Open(PROTOCOL, GROUP, ""),
        Open(PROTOCOL, GROUP, "x" * 65),
        Submit([1], skips(1)),
        Detach([]),
    ],
)
def test_the_first_frame_must_be_the_right_open(scene: Scene, frame: Frame) -> None:
    stranger = Client(scene, frame)
    assert stranger.is_closed()
    assert not scene.port.gateways
    assert not scene.parts
    stranger.socket.close()


@pytest.mark.parametrize(
    "data",
    [
        LENGTH.pack(FRAME_BYTES_MAX + 1),
        framed(b""),
        framed(b"\xc1"),
        framed(b"\x91" * 5_000),
        framed(b"\x92\x02\xa2\xff\xff"),
        framed(msgspec.msgpack.encode([77, 1])),
        framed(msgspec.msgpack.encode([2, [1], []])),
        framed(msgspec.msgpack.encode([2, [1] * (SUBMIT_REQUESTS_MAX + 1), [0] * (SUBMIT_REQUESTS_MAX + 1)])),
        framed(msgspec.msgpack.encode([3, 1, 1, 9, 0, [6]])),
        framed(msgspec.msgpack.encode([3, 1, 1, 1, 0, [99]])),
        framed(msgspec.msgpack.encode([3, 1, 1, 1, 1 << 64 - 1, [5, "a", 1]])),
        framed(msgspec.msgpack.encode(Open(PROTOCOL, GROUP, "again"))),
    ],
)
def test_garbage_closes_this_connection_and_no_other(scene: Scene, client: Client, data: bytes) -> None:
    bad = Client(scene, Open(PROTOCOL, GROUP, "bad"))
    bad.send_bytes(data)
    assert bad.is_closed()
    bad.socket.close()
    client.send(Submit([1], skips(1)))
    (done,) = client.receive()
    assert isinstance(done, Done)
    assert scene.exchange.applied_index == 1


def test_a_gateway_that_does_not_read_is_let_go(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_port, "OUTPUT_BYTES_MAX", 1 << 20)
    (gateway,) = scene.port.gateways
    while gateway.alive:
        gateway.failed(list(range(10_000)), FailureReason.OVERLOADED)
        scene.port.flush()
    assert gateway not in scene.port.gateways
    gateway.failed([1], FailureReason.OVERLOADED)
    scene.turn()
    client.receive()
    assert client.is_closed()


def test_a_gateway_that_reads_slowly_gets_everything_in_order(scene: Scene, client: Client) -> None:
    (gateway,) = scene.port.gateways
    for number in range(200):
        gateway.failed([number] * 1_000, FailureReason.OVERLOADED)
        scene.port.flush()
    frames = client.receive()
    assert [frame.refs[0] for frame in frames if isinstance(frame, Failed)] == list(range(200))
    assert gateway.alive


def test_an_answer_that_fits_no_frame_fails(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_frames, "FRAME_BYTES_MAX", 10)
    (gateway,) = scene.port.gateways
    gateway.answer(Answer(8, 1, Markets([], []), None))
    gateway.answer(Answer(9, 1_000_000_000, Markets([], []), Reject.MALFORMED))
    scene.port.flush()
    frames = client.receive()
    assert isinstance(frames[0], Answer)
    assert frames[1] == Failed([9], FailureReason.OVERLOADED)


def test_a_paused_port_reads_nothing_until_it_goes_on(scene: Scene, client: Client) -> None:
    scene.port.pause(True)
    client.send(Submit([1], skips(1)))
    assert client.receive() == []
    late = Client(scene, Open(PROTOCOL, GROUP, "late"))
    assert late.receive() == []
    scene.port.pause(False)
    assert len(client.receive()) == 1
    assert late.receive() == [STATE]
    late.socket.close()


def test_replies_to_a_gateway_that_is_gone_go_nowhere(scene: Scene, client: Client) -> None:
    (gateway,) = scene.port.gateways
    client.socket.close()
    scene.turn()
    assert not gateway.alive
    gateway.failed([1], FailureReason.NOT_LEADER)
    scene.port.publish(STATE)
    scene.turn()


def test_everybody_gets_the_published_state_but_who_has_not_opened(scene: Scene, client: Client) -> None:
    silent = Client(scene)
    scene.port.publish(STATE)
    assert client.receive() == [STATE]
    assert silent.receive() == []
    silent.socket.close()


def test_only_so_many_gateways_are_taken(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_port, "GATEWAYS_MAX", 1)
    second = Client(scene)
    assert second.is_closed()
    second.socket.close()
    client.send(Submit([1], skips(1)))
    assert len(client.receive()) == 1


def test_another_user_is_turned_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    stranger = Client(scene)
    assert stranger.is_closed()
    stranger.socket.close()


def test_the_socket_is_ours_alone_and_an_old_one_is_replaced(scene: Scene) -> None:
    assert scene.path.stat().st_mode & 0o777 == 0o600
    old, scene.port = scene.port, FrontPort(scene.path, GROUP, scene.waiter, scene)
    client = Client(scene, Open(PROTOCOL, GROUP, "new"))
    assert client.receive() == [STATE]
    client.socket.close()
    scene.turn()
    old.close()
    assert not scene.path.exists()


def test_a_gateway_that_follows_gets_every_entry_whole_in_frames_of_bounded_size(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_frames, "ENTRY_PART_BYTES", 100)
    client.send(Follow(5))
    assert client.receive() == [Attached(5, 3)]
    (gateway,) = scene.port.gateways
    assert gateway.follows
    for size in (1, 100, 250):
        gateway.applied(bytes(size))
    scene.turn()
    sent = [(len(frame.applied), frame.more) for frame in client.receive() if isinstance(frame, Entries)]
    assert sent == [(1, False), (100, False), (100, True), (100, True), (50, False)]
    client.send(Unfollow())
    scene.turn()
    assert not gateway.follows


def test_a_gateway_that_follows_too_slowly_is_told_and_keeps_its_replies(
    scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_frames, "FOLLOWED_BYTES_MAX", 1000)
    client.send(Follow(5))
    client.receive()
    (gateway,) = scene.port.gateways
    for _ in range(20):
        if gateway.follows:
            gateway.applied(bytes(100))
    assert not gateway.follows
    assert gateway.waiting_bytes < 2000
    client.send(Submit([1], skips(1)))
    frames = client.receive()
    assert [type(frame) for frame in frames[-2:]] == [Unfollowed, Done]
    assert {type(frame) for frame in frames[:-2]} == {Entries}
