"""TLS 1.3 between members, both sides proven, over memory: bytes in, bytes out, no socket.

A member's certificate is signed by the group's own authority and names group and member as
``steelyard://<group>/<member>``. Whatever comes over such a channel was said by who holds that
certificate's key.
"""

import ssl
from pathlib import Path
from typing import Final

from steelyard.replication.errors import StartRefused
from steelyard.replication.frames import FrameError
from steelyard.replication.group import MemberId

_READ_BYTES: Final = 256 << 10


def member_name(group_id: str, member: int) -> str:
    """Return what a member's certificate calls it."""
    return f"steelyard://{group_id}/{member}"


class PeerTls:
    """What one member needs to prove itself and to check the others."""

    def __init__(self, authority: Path, certificate: Path, key: Path) -> None:
        """Load three PEM files.

        Raises:
            StartRefused: One of them is missing or makes no sense.

        """
        self._answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._answering.num_tickets = 0
        for context in (self._answering, self._dialling):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname = False  # the name that counts is ours, and is checked against the hello
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(authority)
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                raise StartRefused(f"{certificate}: {error}") from error

    def open(self, *, dialled: bool) -> "TlsChannel":
        """Return one side of a new connection."""
        return TlsChannel(self._dialling if dialled else self._answering, dialled=dialled)


class TlsChannel:
    """One side of one connection; ``FrameError`` ends it."""

    def __init__(self, context: ssl.SSLContext, *, dialled: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=not dialled)
        self.ready = False
        """Whether the other side has proven itself, and ``seal`` may be called."""

    def start(self) -> bytes:
        """Return what to send first."""
        self._shake()
        return self.sent()

    def receive(self, data: bytes) -> bytes:
        """Return the plain bytes that ``data`` completes; what is to be answered is in ``sent``.

        Raises:
            FrameError: The other side is not a member of this group, or what it sent was changed.

        """
        self._incoming.write(data)
        try:
            if not self.ready:
                self._shake()
                if not self.ready:
                    return b""
            return self._read()
        except ssl.SSLError as error:
            raise FrameError(f"TLS: {_reason(error)}") from None

    def seal(self, *parts: bytes) -> bytes:
        """Return ``parts`` as they go over the wire."""
        for part in parts:
            self._tls.write(part)
        return self._outgoing.read()

    def sent(self) -> bytes:
        """Return what TLS itself has to say."""
        return self._outgoing.read()

    def names(self, group_id: str, member: MemberId) -> bool:
        """Whether the other side's certificate is that member's of that group."""
        certificate = self._tls.getpeercert() or {}
        names = certificate.get("subjectAltName", ())
        return ("URI", member_name(group_id, member)) in names

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True

    def _read(self) -> bytes:
        parts = []
        while True:
            try:
                part = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)


def _reason(error: ssl.SSLError) -> str:
    """Return a short reason, of which there are few."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "failed").lower().replace("_", " ")
