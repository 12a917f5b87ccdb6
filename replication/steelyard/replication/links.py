"""Links to the other members: the Protocol, and non-blocking TCP with TLS, dialled from both sides."""

import errno
import logging
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from steelyard.replication.clock import Clock, Rng
from steelyard.replication.errors import StartRefused
from steelyard.replication.frames import FrameError, FrameReader, FrameWriter
from steelyard.replication.group import GroupSettings, MemberId
from steelyard.replication.handshake import Handshake
from steelyard.replication.poller import Waiter
from steelyard.replication.tls import PeerTls, TlsChannel
from steelyard.replication.wire import FRAME_BYTES_MAX, Hello, Ping, decode_greeting, encode

logger = logging.getLogger(__name__)

RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 0.2
HANDSHAKE_S_MAX: Final = 2.0
PING_S: Final = 0.5
SILENCE_S_MAX: Final = 3.5
STALL_S: Final = 1.0
"""A loop turn that took longer says nothing about the others' silence."""
STRANGERS_MAX: Final = 16
GREETING_BYTES_MAX: Final = 4096
RECEIVE_BYTES: Final = 256 << 10
RECEIVE_PER_TURN_MAX: Final = 4 << 20
TIE_S: Final = 1.0
"""Within this time two connections of one pair may be a tie; later the newer one knows better."""


class LinkHandler(Protocol):
    """Who owns the links."""

    def hello(self, nonce: bytes) -> Hello:
        """Return what to say of ourselves now."""
        ...

    def link_up(self, peer: MemberId, hello: Hello) -> None:
        """Learn that a member proved itself: what we send arrives, or the link goes down."""
        ...

    def link_down(self, peer: MemberId) -> None:
        """Learn that the link is gone, with whatever was under way."""
        ...

    def link_payload(self, peer: MemberId, payload: bytes) -> None:
        """Take a frame; they come in order."""
        ...


class Links(Protocol):
    """One link per member, kept up by itself."""

    def start(self, handler: LinkHandler) -> None:
        """Begin to dial and to listen."""
        ...

    def send(self, peer: MemberId, payload: bytes) -> None:
        """Queue a frame; nothing happens without a link."""
        ...

    def backlog_bytes(self, peer: MemberId) -> int:
        """Return how much is queued and not yet with the operating system."""
        ...

    def drop(self, peer: MemberId, reason: str) -> None:
        """Close the link: the member sent what it must not."""
        ...

    def tick(self) -> None:
        """Run timers; once per loop turn."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class _Connection:
    """One TCP connection, dialled or answered; a link once its handshake is done."""

    def __init__(self, sock: socket.socket, dialled: MemberId | None, now_s: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.dialled = dialled
        self.peer: MemberId | None = None
        self.handshake: Handshake | None = None
        self.tls: TlsChannel | None = None
        self.reader = FrameReader(GREETING_BYTES_MAX)
        self.writer = FrameWriter()
        self.out: deque[memoryview] = deque()
        self.out_bytes = 0
        self.since_s = self.heard_s = self.sent_s = now_s
        self.open = True


def listen(address: tuple[str, int]) -> socket.socket:
    """Return a listening socket; port 0 picks a free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise StartRefused(f"cannot listen on {address[0]}:{address[1]}: {error}") from error
    return sock


class TcpLinks:
    """Every member dials every other until one link per pair is up."""

    def __init__(
        self,
        settings: GroupSettings,
        waiter: Waiter,
        clock: Clock,
        rng: Rng,
        listener: socket.socket | None = None,
        nonce: Callable[[], bytes] = lambda: os.urandom(16),
        tls: PeerTls | None = None,
    ) -> None:
        """Without ``tls`` a machine on the way could read and change what is said."""
        self._tls = tls
        self._settings = settings
        self._waiter = waiter
        self._clock = clock
        self._rng = rng
        self._nonce = nonce
        self._listener = listener or listen(settings.peers[settings.member])
        self._addresses = {
            peer: _resolve(address) for peer, address in settings.peers.items() if peer != settings.member
        }
        self._links: dict[MemberId, _Connection] = {}
        self._greeting: list[_Connection] = []
        self._dial_at_s = dict.fromkeys(self._addresses, 0.0)
        self._ticked_s = clock.monotonic_s()
        self._handler: LinkHandler | None = None
        self.refused: dict[str, int] = {}
        """How often a connection was closed for what it sent, by reason."""

    # --- Links ----------------------------------------------------------------------------

    def start(self, handler: LinkHandler) -> None:
        """Begin to listen; the first ``tick`` dials."""
        self._handler = handler
        self._waiter.register(self._listener.fileno(), select.EPOLLIN, self._accept)

    def send(self, peer: MemberId, payload: bytes) -> None:
        """Queue a frame, and write what the socket takes."""
        connection = self._links.get(peer)
        if connection is not None:
            self._write(connection, payload)

    def backlog_bytes(self, peer: MemberId) -> int:
        """Return how much is queued and not yet with the operating system."""
        connection = self._links.get(peer)
        return connection.out_bytes if connection is not None else 0

    def drop(self, peer: MemberId, reason: str) -> None:
        """Close the link: the member sent what it must not."""
        connection = self._links.get(peer)
        if connection is not None:
            self._refuse(connection, reason)

    def tick(self) -> None:
        """Dial who is due, ping who heard nothing, close what is silent or slow to greet."""
        now_s = self._clock.monotonic_s()
        if now_s - self._ticked_s > STALL_S:
            for connection in self._links.values():
                connection.heard_s = now_s
        self._ticked_s = now_s
        for connection in [*self._greeting]:
            if now_s - connection.since_s > HANDSHAKE_S_MAX:
                self._refuse(connection, "greeting took too long")
        for connection in [*self._links.values()]:
            if now_s - connection.heard_s > SILENCE_S_MAX:
                self._refuse(connection, "silent")
            elif now_s - connection.sent_s > PING_S:
                self._write(connection, encode(Ping()))
        for peer, due_s in self._dial_at_s.items():
            if now_s >= due_s and peer not in self._links:
                self._dial(peer, now_s)

    def close(self) -> None:
        """Close everything."""
        self._handler = None
        for connection in [*self._links.values(), *self._greeting]:
            self._close(connection)
        self._waiter.unregister(self._listener.fileno())
        self._listener.close()

    # --- connections ------------------------------------------------------------------------

    def _dial(self, peer: MemberId, now_s: float) -> None:
        self._dial_at_s[peer] = now_s + RETRY_MIN_S + (RETRY_MAX_S - RETRY_MIN_S) * self._rng.random()
        if any(connection.dialled == peer for connection in self._greeting):
            return
        family, address = self._addresses[peer]
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connection = _Connection(sock, peer, now_s)
        error = sock.connect_ex(address)
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            return
        self._greeting.append(connection)
        self._waiter.register(
            connection.fd, select.EPOLLOUT, lambda events: self._dialled(connection, events)
        )

    def _dialled(self, connection: _Connection, _events: int) -> None:
        assert connection.dialled is not None
        error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error or connection.dialled in self._links:
            self._close(connection)
            return
        self._waiter.unregister(connection.fd)
        self._greet(connection)

    def _accept(self, _events: int) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # the caller is gone again, or we are out of descriptors
                self._count(f"accept failed: {error.strerror}")
                return
            sock.setblocking(False)
            connection = _Connection(sock, None, self._clock.monotonic_s())
            self._greeting.append(connection)
            self._greet(connection)
            strangers = [c for c in self._greeting if c.dialled is None]
            if len(strangers) > STRANGERS_MAX:
                self._refuse(strangers[0], "too many strangers")

    def _greet(self, connection: _Connection) -> None:
        assert self._handler is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiter.register(connection.fd, select.EPOLLIN, lambda events: self._ready(connection, events))
        if self._tls is None:
            self._say_hello(connection)
        else:
            connection.tls = self._tls.open(dialled=connection.dialled is not None)
            self._put(connection, connection.tls.start())

    def _say_hello(self, connection: _Connection) -> None:
        assert self._handler is not None
        own = self._handler.hello(self._nonce())
        connection.handshake = Handshake(self._settings, own, connection.dialled)
        for message in connection.handshake.open():
            self._write(connection, encode(message))

    def _ready(self, connection: _Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self._drain(connection)
        if connection.open and events & ~select.EPOLLOUT:
            self._receive(connection)

    def _receive(self, connection: _Connection) -> None:
        """Read what is there, within bounds, so that one busy peer cannot hold the loop."""
        received = 0
        while connection.open and received < RECEIVE_PER_TURN_MAX:
            try:
                data = connection.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self._close(connection)
                return
            if not data:
                self._close(connection)
                return
            received += len(data)
            connection.heard_s = self._clock.monotonic_s()
            try:
                plain = data if connection.tls is None else self._unseal(connection, connection.tls, data)
                for payload in connection.reader.feed(plain):
                    self._take(connection, payload)
                    if not connection.open:
                        return
            except FrameError as error:
                self._refuse(connection, str(error))
            if len(data) < RECEIVE_BYTES:
                return

    def _unseal(self, connection: _Connection, tls: TlsChannel, data: bytes) -> bytes:
        """Return the plain bytes of what was received, after TLS itself has had its say."""
        try:
            plain = tls.receive(data)
        finally:
            said = tls.sent()
            if said:
                self._put(connection, said)
        if tls.ready and connection.handshake is None and connection.open:
            self._say_hello(connection)
        return plain if connection.open else b""

    def _take(self, connection: _Connection, payload: bytes) -> None:
        assert self._handler is not None
        assert connection.handshake is not None
        if connection.peer is not None:
            self._handler.link_payload(connection.peer, payload)
            return
        try:
            message = decode_greeting(payload)
        except msgspec.MsgspecError:
            raise FrameError("not a greeting") from None
        for answer in connection.handshake.hear(message):
            self._write(connection, encode(answer))
        if connection.handshake.done and connection.open:
            self._link(connection)

    def _link(self, connection: _Connection) -> None:
        """Make a proven connection the pair's link, unless another one is to stay."""
        assert self._handler is not None
        assert connection.handshake is not None
        assert connection.handshake.peer is not None
        hello = connection.handshake.peer
        peer = MemberId(hello.member)
        if connection.tls is not None and not connection.tls.names(hello.group_id, peer):
            raise FrameError("the certificate of another member")
        old = self._links.get(peer)
        if old is not None:
            if self._stays(old, connection, peer):
                self._close(connection)
                return
            self._close(old)
        self._greeting.remove(connection)
        connection.peer = peer
        connection.reader.epoch = connection.writer.epoch = connection.handshake.epoch
        connection.reader.payload_bytes_max = FRAME_BYTES_MAX
        self._links[peer] = connection
        self._handler.link_up(peer, hello)

    def _stays(self, old: _Connection, new: _Connection, peer: MemberId) -> bool:
        """Whether the old link wins: of a tie, the one dialled by the lower member.

        Who dials has no link; so a second call by the same side, or one long after the link
        came up, means that the other side lost it.
        """
        if (old.dialled is None) == (new.dialled is None):
            return False
        if self._clock.monotonic_s() - old.since_s > TIE_S:
            return False
        lower_is_us = self._settings.member < peer
        return (old.dialled is not None) == lower_is_us

    def _write(self, connection: _Connection, payload: bytes) -> None:
        header = connection.writer.header(payload)
        connection.sent_s = self._clock.monotonic_s()
        if connection.tls is None:
            self._put(connection, header, payload)
        else:
            self._put(connection, connection.tls.seal(header, payload))

    def _put(self, connection: _Connection, *parts: bytes) -> None:
        """Hand bytes to the socket, and queue what it does not take."""
        total, sent = sum(map(len, parts)), 0
        if not connection.out:
            try:
                sent = connection.sock.sendmsg(parts)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._close(connection)
                return
            if sent == total:
                return
            self._waiter.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
        connection.out.append(memoryview(b"".join(parts))[sent:])
        connection.out_bytes += total - sent

    def _drain(self, connection: _Connection) -> None:
        while connection.out:
            chunk = connection.out[0]
            try:
                sent = connection.sock.send(chunk)
            except BlockingIOError:
                return
            except OSError:
                self._close(connection)
                return
            connection.out_bytes -= sent
            if sent < len(chunk):
                connection.out[0] = chunk[sent:]
            else:
                connection.out.popleft()
        self._waiter.modify(connection.fd, select.EPOLLIN)

    def _refuse(self, connection: _Connection, reason: str) -> None:
        self._count(reason)
        self._close(connection)

    def _count(self, reason: str) -> None:
        """Count a refusal and log its first occurrence: a port scan must not fill the disk."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        if self.refused[reason] == 1:
            logger.warning("peer connection closed: %s (said once)", reason)

    def _close(self, connection: _Connection) -> None:
        if not connection.open:
            return
        connection.open = False
        self._waiter.unregister(connection.fd)
        connection.sock.close()
        if connection.peer is None:
            self._greeting.remove(connection)
        elif self._links.get(connection.peer) is connection:
            del self._links[connection.peer]
            if self._handler is not None:
                self._handler.link_down(connection.peer)


def _resolve(address: tuple[str, int]) -> tuple[int, tuple[str, int]]:
    """Return family and address, resolved once: a name look-up in the loop would block it."""
    try:
        found = socket.getaddrinfo(*address, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartRefused(f"cannot resolve {address[0]}:{address[1]}: {error}") from error
    family, _, _, _, resolved = found[0]
    return family, (str(resolved[0]), int(resolved[1]))
