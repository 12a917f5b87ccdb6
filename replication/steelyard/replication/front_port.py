"""The Unix socket gateways connect to: frames in, replies and events out, coalesced and bounded."""

import logging
import os
import select
import socket
import struct
from pathlib import Path
from typing import Final, Protocol

import msgspec

from steelyard.core.entry import AnyReply, Applied, Outcome
from steelyard.core.events import AnyEvent
from steelyard.replication.config import prepare_socket_folder
from steelyard.replication.front import (
    FRAME_BYTES_MAX,
    PROTOCOL,
    SUBMIT_REQUESTS_MAX,
    Answer,
    Attach,
    Attached,
    Detach,
    Failed,
    FailureReason,
    Frame,
    FromGateway,
    Happened,
    Open,
    Read,
    State,
    Submit,
)
from steelyard.replication.group import FdRegistry
from steelyard.replication.proposals import Part

GATEWAYS_MAX: Final = 64
#: A gateway that lets this much wait does not read any more.
OUTPUT_BYTES_MAX: Final = 32 << 20
RECEIVE_BYTES: Final = 256 << 10
#: Keeps a frame of events below the frame limit, whatever closing a large market cancels at once.
HAPPENED_EVENTS_MAX: Final = 20_000
LABEL_CHARS_MAX: Final = 64

_LENGTH: Final = struct.Struct("<I")
_PEER: Final = struct.Struct("3i")  # pid, uid, gid

_log = logging.getLogger(__name__)


class _Done(Frame, frozen=True, tag=21):
    """``front.Done`` with the replies not yet encoded: one encoding per frame instead of one per reply."""

    index: int
    time_ns: int
    refs: list[int]
    indexes: list[int]
    replies: list[AnyReply]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(FromGateway).decode


class FrontService(Protocol):
    """What the port asks of the replica behind it."""

    def opened(self, gateway: "Gateway") -> None:
        """Tell a gateway that has said the right first words what the state is."""
        ...

    def submit(self, part: Part) -> None:
        """Take requests; every ref hears of them exactly once."""
        ...

    def read(self, gateway: "Gateway", read: Read) -> None:
        """Answer, now or later, or fail."""
        ...

    def attach(self, gateway: "Gateway", attach: Attach) -> None:
        """Say from where on events are complete, and send those that are held."""
        ...


class Gateway:
    """One connection: its half-read frames, what is still to be written, and whose events it wants."""

    def __init__(self, connection: socket.socket, port: "FrontPort") -> None:
        self._connection = connection
        self._port = port
        self._fd = connection.fileno()
        self._received: list[bytes] = []
        self._received_bytes = 0
        self._wanted_bytes = _LENGTH.size
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._blocked = False
        self.name = ""
        """What the gateway calls itself; empty until it has opened."""
        self.alive = True
        self.accounts: set[int] = set()
        """Whose private events it wants."""

    def send(self, frame: bytes) -> None:
        """Queue an encoded frame until the port is flushed; the connection may be gone already."""
        if not self.alive:
            return
        if not self._output:
            self._port.waiting.append(self)
        self._output += (_LENGTH.pack(len(frame)), frame)
        self._output_bytes += len(frame) + _LENGTH.size
        if self._output_bytes > OUTPUT_BYTES_MAX:
            self.close(f"does not read: {self._output_bytes} bytes are waiting")

    def done(self, applied: Applied, refs: list[int], outcomes: list[Outcome]) -> None:
        """Send the replies to its requests in one entry as one frame, without waiting for our next sync."""
        indexes = [outcome.replied_index for outcome in outcomes]
        replies = [outcome.reply for outcome in outcomes]
        self.send(_encode(_Done(applied.index, applied.time_ns, refs, indexes, replies)))
        self.flush()

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Tell it that these refs have no answer here."""
        self.send(_encode(Failed(refs, reason)))

    def answer(self, answer: Answer) -> None:
        """Send an answer, if it fits a frame."""
        frame = _encode(answer)
        if len(frame) > FRAME_BYTES_MAX:
            self.failed([answer.ref], FailureReason.OVERLOADED)
        else:
            self.send(frame)

    def state(self, state: State) -> None:
        """Tell it what this replica is."""
        self.send(_encode(state))

    def attached(self, ref: int, complete_after: int) -> None:
        """Tell it from where on events are complete."""
        self.send(_encode(Attached(ref, complete_after)))

    def happened(self, index: int, time_ns: int, events: list[tuple[int, AnyEvent]]) -> None:
        """Send the events of one entry that it wants."""
        for start in range(0, len(events), HAPPENED_EVENTS_MAX):
            part = events[start : start + HAPPENED_EVENTS_MAX]
            self.send(_encode(Happened(index, time_ns, part)))

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it; while it takes nothing, the loop wakes us."""
        if not self._blocked:
            self._write()

    def _write(self) -> None:
        if not self.alive or not self._output:
            return
        output = b"".join(self._output)
        try:
            sent = self._connection.send(output)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        self._output_bytes = len(output) - sent
        self._output = [output[sent:]] if self._output_bytes else []
        if self._blocked != bool(self._output):
            self._blocked = bool(self._output)
            self.wait_for_more()

    def wait_for_more(self) -> None:
        """Tell the loop what this connection waits for."""
        mask = (0 if self._port.paused else select.EPOLLIN) | (select.EPOLLOUT if self._blocked else 0)
        self._port.registry.modify(self._fd, mask)

    def ready(self, events: int) -> None:
        """Do what the loop woke us for."""
        if events & select.EPOLLOUT:
            self._write()
        if self.alive and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._receive()

    def close(self, reason: str) -> None:
        """End the connection and say why; its open refs are nobody's any more."""
        if not self.alive:
            return
        self.alive = False
        self._output = []
        self._received = []
        self._port.forget(self, self._fd)
        self._connection.close()
        _log.info("gateway %r closed: %s", self.name, reason)

    def _receive(self) -> None:
        try:
            data = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self.close("it hung up")
            return
        self._received.append(data)
        self._received_bytes += len(data)
        if self._received_bytes < self._wanted_bytes:
            return
        content = data if len(self._received) == 1 else b"".join(self._received)
        view = memoryview(content)
        at = 0
        self._wanted_bytes = _LENGTH.size
        while len(content) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(content, at)
            if size > FRAME_BYTES_MAX:
                self.close(f"a frame of {size} bytes")
                return
            start, end = at + _LENGTH.size, at + _LENGTH.size + size
            if end > len(content):
                self._wanted_bytes = _LENGTH.size + size
                break
            self._frame(view[start:end])
            if not self.alive:
                return
            at = end
        rest = content[at:]
        self._received = [rest] if rest else []
        self._received_bytes = len(rest)

    def _frame(self, content: memoryview) -> None:
        try:
            frame = _decode(content)
        except (ValueError, RecursionError) as error:
            self.close(f"garbage: {error}")
            return
        if not self.name:
            self._open(frame)
            return
        service = self._port.service
        if isinstance(frame, Submit):
            if len(frame.refs) != len(frame.requests) or len(frame.refs) > SUBMIT_REQUESTS_MAX:
                self.close(f"a Submit of {len(frame.refs)} refs and {len(frame.requests)} requests")
            else:
                service.submit(Part(self, frame.refs, frame.requests, len(content)))
        elif isinstance(frame, Read):
            service.read(self, frame)
        elif isinstance(frame, Attach):
            service.attach(self, frame)
        elif isinstance(frame, Detach):
            self.accounts.difference_update(frame.accounts)
        else:
            self.close("it opened twice")

    def _open(self, frame: FromGateway) -> None:
        if not isinstance(frame, Open):
            self.close("its first frame is not Open")
        elif frame.protocol != PROTOCOL:
            self.close(f"it speaks protocol {frame.protocol}, we speak {PROTOCOL}")
        elif frame.group != self._port.group:
            self.close("it belongs to another group")
        elif not 0 < len(frame.gateway) <= LABEL_CHARS_MAX:
            self.close("it has no name, or too long a one")
        else:
            self.name = frame.gateway
            _log.info("gateway %r opened", self.name)
            self._port.service.opened(self)


class FrontPort:
    """Listens for gateways of the same user and the same group."""

    def __init__(self, path: Path, group: str, registry: FdRegistry, service: FrontService) -> None:
        """Listen on ``path``; a socket that an earlier process left there is replaced.

        The caller owns the member's directory, so nobody else can be listening.
        """
        self.group = group
        self.registry = registry
        self.service = service
        self.paused = False
        """Whether gateways are not read for now."""
        self.gateways: set[Gateway] = set()
        self.waiting: list[Gateway] = []
        """Those with something to write since the last flush."""
        self._path = path
        prepare_socket_folder(path)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(GATEWAYS_MAX)
        registry.register(self._listener.fileno(), select.EPOLLIN, self._accept)

    def publish(self, state: State) -> None:
        """Send the state to every gateway."""
        frame = _encode(state)
        for gateway in list(self.gateways):
            if gateway.name:
                gateway.send(frame)

    def flush(self) -> None:
        """Write what was queued since the last time, one system call per gateway."""
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            for gateway in waiting:
                gateway.flush()

    def pause(self, paused: bool) -> None:
        """Stop reading gateways, or go on."""
        if paused != self.paused:
            self.paused = paused
            for gateway in self.gateways:
                gateway.wait_for_more()

    def forget(self, gateway: Gateway, fd: int) -> None:
        """Let a closing connection go."""
        self.gateways.discard(gateway)
        self.registry.unregister(fd)

    def close(self) -> None:
        """Write what can be written, close everything and remove the socket."""
        self.flush()
        for gateway in list(self.gateways):
            gateway.close("this replica stops")
        self.registry.unregister(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except BlockingIOError:
            return
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        uid = _PEER.unpack(peer)[1]
        if uid != os.geteuid() or len(self.gateways) >= GATEWAYS_MAX:
            _log.warning("refused a connection of user %d, %d gateways are here", uid, len(self.gateways))
            connection.close()
            return
        connection.setblocking(False)
        gateway = Gateway(connection, self)
        self.gateways.add(gateway)
        self.registry.register(connection.fileno(), 0 if self.paused else select.EPOLLIN, gateway.ready)
