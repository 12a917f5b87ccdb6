"""Who is calling: signatures of unary calls and of stream challenges, and the window they must fall in."""

import hmac
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from steelyard.client import signing
from steelyard.core.queries import GetKey, KeyInfo
from steelyard.core.units import KeyId
from steelyard.replication.front import ReadMode
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.replica_link import ReplicaLink

#: How old a signed call may be, and how far ahead of our clock.
WINDOW_NS: Final = 5_000_000_000
AHEAD_NS: Final = 1_000_000_000
#: How long a key's row is believed.  Its public key never changes, and whether the key still may do what it
#: wants is judged again by the state machine, so this only bounds how long we verify for nothing.
ROW_AGE_NS: Final = 2_000_000_000
ROWS_MAX: Final = 10_000
#: 33 000 calls a second for the six seconds in which a nonce counts; far above what a gateway can verify.
NONCES_MAX: Final = 200_000

Metadata = Iterable[tuple[str, str | bytes]]

#: A key nobody holds, so that an unknown key costs the caller the same time as a wrong signature.
_NOBODY: Final = Ed25519PublicKey.from_public_bytes(bytes([9]) + bytes(31))


@dataclass(frozen=True, slots=True)
class Caller:
    """A key that has proved itself."""

    key: int
    account: int
    permissions: int


@dataclass(frozen=True, slots=True)
class _Row:
    info: KeyInfo
    public_key: Ed25519PublicKey
    read_ns: int


@dataclass(frozen=True, slots=True)
class _Signed:
    key: int
    node: str
    time_ns: int
    nonce: str
    signature: bytes


class Verifier:
    """Checks signatures against the keys in the state of this node's replica.

    It judges who calls, never what they may do: that is the state machine's.
    """

    def __init__(
        self, link: ReplicaLink, group: str, node: str, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._link = link
        self._group = group
        self._node = node
        self._clock_ns = clock_ns
        self._rows: dict[int, _Row] = {}
        self._nonces: dict[tuple[int, str], None] = {}
        self._nonces_by_time: deque[tuple[int, tuple[int, str]]] = deque()
        # Whoever recorded a call before we started may send it again now; it was signed at most AHEAD_NS
        # ahead of our clock then.
        self._first_ns = clock_ns() + AHEAD_NS

    async def caller_of(self, method: str, body: bytes, metadata: Metadata) -> Caller:
        """Return who signed this call.

        Raises:
            DoorError: BAD_CREDENTIALS, TIMESTAMP_OUT_OF_WINDOW, WRONG_NODE or NONCE_REUSED; or the key could
                not be read.

        """
        signed = _signed_part(metadata)
        now_ns = self._clock_ns()
        self._check_time(signed.time_ns, now_ns)
        if not hmac.compare_digest(signed.node.encode(), self._node.encode()):
            raise DoorError(Reason.WRONG_NODE, f"this is node {self._node}", metadata={"node": self._node})
        row = await self._row(signed.key, now_ns)
        text = signing.signed_text(self._group, self._node, method, signed.time_ns, signed.nonce, body)
        caller = _verified(row, signed.signature, text, now_ns)
        self._use_nonce((signed.key, signed.nonce), now_ns)
        return caller

    async def stream_caller(self, key: int, signature: bytes, nonce: bytes, session_name: str) -> Caller:
        """Return who answered this stream's challenge.

        Raises:
            DoorError: BAD_CREDENTIALS; or the key could not be read.

        """
        now_ns = self._clock_ns()
        row = await self._row(key, now_ns)
        text = signing.stream_text(self._group, self._node, nonce, key, session_name)
        return _verified(row, signature, text, now_ns)

    async def is_valid(self, key: int) -> bool:
        """Return whether the key may still be used at all, as of now."""
        row = await self._row(key, self._clock_ns(), fresh=True)
        return row is not None and not _is_void(row.info, self._clock_ns())

    def _check_time(self, time_ns: int, now_ns: int) -> None:
        if now_ns - WINDOW_NS <= time_ns < now_ns + AHEAD_NS and time_ns >= self._first_ns:
            return
        wait_ns = max(0, self._first_ns - now_ns)
        raise DoorError(
            Reason.TIMESTAMP_OUT_OF_WINDOW,
            "the signature's time is outside the window of this node's clock",
            delay_s=wait_ns / 1e9,
            metadata={"server_time_ns": str(now_ns), "node": self._node},
        )

    def _use_nonce(self, nonce: tuple[int, str], now_ns: int) -> None:
        by_time = self._nonces_by_time
        while by_time and by_time[0][0] < now_ns:
            del self._nonces[by_time.popleft()[1]]
        if nonce in self._nonces:
            raise DoorError(Reason.NONCE_REUSED)
        if len(self._nonces) >= NONCES_MAX:
            raise DoorError(Reason.OVERLOADED, delay_s=1.0)
        self._nonces[nonce] = None
        # From then on its signature is too old, however far ahead it was.
        by_time.append((now_ns + AHEAD_NS + WINDOW_NS, nonce))

    async def _row(self, key: int, now_ns: int, *, fresh: bool = False) -> _Row | None:
        row = self._rows.get(key)
        if row is not None and not fresh and now_ns - row.read_ns < ROW_AGE_NS:
            return row
        answer = await self._link.ask(0, GetKey(key=KeyId(key)), ReadMode.STALE)
        if not isinstance(answer.answer, KeyInfo):
            # This node may only be behind, and whoever is told that the key is no good gives up for good.
            answer = await self._link.ask(0, GetKey(key=KeyId(key)), ReadMode.LINEARIZABLE)
        info = answer.answer
        if not isinstance(info, KeyInfo):
            self._rows.pop(key, None)
            return None
        if len(self._rows) >= ROWS_MAX:
            self._rows.clear()
        public_key = (
            row.public_key if row is not None else Ed25519PublicKey.from_public_bytes(info.public_key)
        )
        row = self._rows[key] = _Row(info, public_key, now_ns)
        return row


def _verified(row: _Row | None, signature: bytes, text: bytes, now_ns: int) -> Caller:
    public_key = _NOBODY if row is None else row.public_key
    try:
        public_key.verify(signature, text)
    except InvalidSignature:
        row = None
    if row is None or _is_void(row.info, now_ns):
        raise DoorError(Reason.BAD_CREDENTIALS)
    return Caller(row.info.key, row.info.account, row.info.permissions)


def _is_void(info: KeyInfo, now_ns: int) -> bool:
    return info.revoked or 0 < info.expires_ns <= now_ns


def _signed_part(metadata: Metadata) -> _Signed:
    """Return the five values that a signed call carries, each exactly once and in its one form."""
    found: dict[str, str | bytes] = {}
    for name, value in metadata:
        if name.startswith("steelyard-"):
            if name in found:
                raise DoorError(Reason.BAD_CREDENTIALS)
            found[name] = value
    key, node, time_ns, nonce, signature = (found.get(name) for name in _NAMES)
    if not (
        isinstance(key, str)
        and isinstance(node, str)
        and isinstance(time_ns, str)
        and isinstance(nonce, str)
        and isinstance(signature, bytes)
        and _is_number(key)
        and _is_number(time_ns)
        and len(nonce) == signing.NONCE_HEX_DIGITS
        and all(char in "0123456789abcdef" for char in nonce)
        and len(signature) == signing.SIGNATURE_BYTES
    ):
        raise DoorError(Reason.BAD_CREDENTIALS)
    return _Signed(int(key), node, int(time_ns), nonce, signature)


_NAMES: Final = (signing.KEY, signing.NODE, signing.TIME, signing.NONCE, signing.SIGNATURE)
_DIGITS_MAX: Final = 19


def _is_number(text: str) -> bool:
    """Return whether this is the one way to write a number: decimal digits, no sign, no leading zero."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and text == str(int(text))
