"""The Unix socket gateways connect to: frames in, replies and events out, coalesced and bounded."""

import logging
import os
import select
import socket
import struct
from pathlib import Path
from typing import Final

import msgspec

from steelyard.replication.config import prepare_socket_folder
from steelyard.replication.front import FRAME_BYTES_MAX, State
from steelyard.replication.gateway import FrontService, Gateway
from steelyard.replication.group import FdRegistry

GATEWAYS_MAX: Final = 64
#: A gateway that lets this much wait does not read any more.
OUTPUT_BYTES_MAX: Final = 32 << 20
RECEIVE_BYTES: Final = 256 << 10

_LENGTH: Final = struct.Struct("<I")
_PEER: Final = struct.Struct("3i")  # pid, uid, gid

_log = logging.getLogger(__name__)


class SocketGateway(Gateway):
    """One connection: its half-read frames, and what is still to be written."""

    def __init__(self, connection: socket.socket, port: "FrontPort") -> None:
        super().__init__(port.group, port.service)
        self._connection = connection
        self._port = port
        self._fd = connection.fileno()
        self._received: list[bytes] = []
        self._received_bytes = 0
        self._wanted_bytes = _LENGTH.size
        self._output: list[bytes] = []
        self._output_bytes = 0
        self._blocked = False

    @property
    def waiting_bytes(self) -> int:
        """How much is still to be written; what the kernel holds is not known."""
        return self._output_bytes

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
            self.take(view[start:end])
            if not self.alive:
                return
            at = end
        rest = content[at:]
        self._received = [rest] if rest else []
        self._received_bytes = len(rest)


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
        self.gateways: dict[SocketGateway, None] = {}
        self.waiting: list[SocketGateway] = []
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
        frame = msgspec.msgpack.encode(state)
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

    def forget(self, gateway: SocketGateway, fd: int) -> None:
        """Let a closing connection go."""
        self.gateways.pop(gateway, None)
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
        gateway = SocketGateway(connection, self)
        self.gateways[gateway] = None
        self.registry.register(connection.fileno(), 0 if self.paused else select.EPOLLIN, gateway.ready)
