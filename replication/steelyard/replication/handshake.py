"""How two members recognise each other before the first Raft message: hello, answer, mutual proof.

The dialler says ``Hello``; who answers looks at group and member first and tells a stranger
nothing, then sends its own ``Hello`` and a ``Proof``; the dialler answers with its ``Proof``. A
proof is a blake2b MAC keyed with the group's secret over the sender's role and both hellos,
nonces included, so it can be neither forged, replayed nor reflected.
"""

import hmac
from hashlib import blake2b
from typing import Final

from steelyard.replication.frames import FrameError
from steelyard.replication.group import GroupSettings, MemberId
from steelyard.replication.wire import WIRE_VERSION, Hello, Proof, encode

_DIALLER: Final = b"D"
_ANSWERER: Final = b"A"


class Handshake:
    """One side of one handshake, without I/O; ``FrameError`` ends the connection."""

    def __init__(self, settings: GroupSettings, own: Hello, dialled: MemberId | None) -> None:
        """``own`` is what we say of ourselves; ``dialled`` is whom we called, None if we were called."""
        self._settings = settings
        self._own = own
        self._dialled = dialled
        self._transcript = b""
        self.peer: Hello | None = None
        """The other side's hello: believed only once ``done``."""
        self.done = False

    @property
    def epoch(self) -> int:
        """The connection's number, the same on both sides."""
        return int.from_bytes(blake2b(self._transcript, digest_size=4).digest(), "big")

    def open(self) -> list[Hello | Proof]:
        """Return what to say first."""
        return [] if self._dialled is None else [self._own]

    def hear(self, message: Hello | Proof) -> list[Hello | Proof]:
        """Take the other side's next message and return what to answer.

        Raises:
            FrameError: A stranger, another group, a wrong proof, or out of turn.

        """
        if self.done:
            raise FrameError("greeting out of turn")
        if isinstance(message, Hello):
            if self.peer is not None:
                raise FrameError("greeting out of turn")
            self._meet(message)
            return [] if self._dialled is not None else [self._own, Proof(self._mac(_ANSWERER))]
        if self.peer is None:
            raise FrameError("greeting out of turn")
        expected = self._mac(_ANSWERER if self._dialled is not None else _DIALLER)
        if not hmac.compare_digest(message.mac, expected):
            raise FrameError("wrong proof")
        self.done = True
        return [Proof(self._mac(_DIALLER))] if self._dialled is not None else []

    def _meet(self, hello: Hello) -> None:
        if hello.version != WIRE_VERSION:
            raise FrameError("another wire version")
        if hello.group_id != self._settings.group_id:
            raise FrameError("another group")
        if hello.member == self._settings.member or MemberId(hello.member) not in self._settings.peers:
            raise FrameError("unknown member")
        if self._dialled is not None and hello.member != self._dialled:
            raise FrameError("another member than the one dialled")
        self.peer = hello
        dialler, answerer = (self._own, hello) if self._dialled is not None else (hello, self._own)
        parts = [encode(dialler), encode(answerer)]
        self._transcript = b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def _mac(self, role: bytes) -> bytes:
        return blake2b(role + self._transcript, key=self._settings.secret, digest_size=32).digest()
