"""What the log keeps of each entry and of itself, in bytes: crc, hash chain, checked meta values."""

import struct
import zlib
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar

import msgspec

from steelyard.replication.errors import StartRefused, StoreDamaged

FORMAT: Final = 1
ENTRY: Final = b"\x00"
"""First byte of a body that was proposed; the rest is what ``apply`` gets."""
NO_OP: Final = b"\x01"
"""The whole body of the engine's own entries."""
CHAIN_START: Final = bytes(16)
"""The chain before index 1."""

_RECORD: Final = struct.Struct(">QI16s")  # term, crc, chain; the body follows
_CHAINED: Final = struct.Struct(">16sQQ")  # chain of the entry before, index, term
_CHECKED: Final = struct.Struct(">QQ16s")  # index, term, chain
_META_CRC: Final = struct.Struct(">I")

T = TypeVar("T")


class Record(NamedTuple):
    """One entry as the engine sees it; ``body`` is ``NO_OP`` or begins with ``ENTRY``."""

    body: bytes
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody uses here
    term: int


class SnapshotRef(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot file of ours: the state after ``index`` was applied."""

    index: int
    term: int
    name: str
    sha256: bytes


class PeerMemory(msgspec.Struct, frozen=True, array_like=True):
    """The furthest we saw another member: if it comes back with less, its disk forgot.

    ``index`` is what it acked of the committed log, ``term`` its highest term.
    """

    incarnation: int
    boots: int
    term: int
    index: int


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Whose store this is, which life it is in, and whether it may vote.

    While ``joining`` it may not; afterwards only in terms above ``vote_floor``.
    """

    format: int
    group_id: str
    member: int
    incarnation: int
    boots: int
    joining: bool
    vote_floor: int


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """Raft's promises: the term, whom we voted for in it (0: nobody), and the commit index."""

    term: int
    vote: int
    commit: int


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where the log begins, and the chain and term of the entry before."""

    first_index: int
    chain_before: bytes
    term_before: int


def chain_next(chain: bytes, index: int, term: int, body: bytes) -> bytes:
    """Return ``blake2b-128(chain of index - 1, index, term, body)``; equal chains mean equal logs."""
    digest = blake2b(_CHAINED.pack(chain, index, term), digest_size=16)
    digest.update(body)
    return digest.digest()


def pack(record: Record, chain: bytes) -> bytes:
    """Return an entry as it is stored; the crc covers index, term, chain and body."""
    crc = zlib.crc32(record.body, zlib.crc32(_CHECKED.pack(record.index, record.term, chain)))
    return _RECORD.pack(record.term, crc, chain) + record.body


def parse(expected: int, index: int, value: bytes) -> tuple[Record, bytes]:
    """Return a stored record and its chain.

    Raises:
        StoreDamaged: Another index than ``expected``, too short, or a wrong crc.

    """
    if index != expected:
        raise StoreDamaged(f"entry {expected} is missing, the next is {index}")
    if len(value) < _RECORD.size:
        raise StoreDamaged(f"entry {index} is too short")
    term, crc, chain = _RECORD.unpack_from(value)
    body = value[_RECORD.size :]
    if zlib.crc32(body, zlib.crc32(_CHECKED.pack(index, term, chain))) != crc:
        raise StoreDamaged(f"entry {index} has a wrong checksum")
    return Record(body, index, term), chain


def pack_meta(value: object) -> bytes:
    """Return a meta value as it is stored: crc32, then msgpack."""
    body = msgspec.msgpack.encode(value)
    return _META_CRC.pack(zlib.crc32(body)) + body


def parse_meta(meta: dict[bytes, bytes], key: bytes, shape: type[T]) -> T:
    """Return a stored meta value.

    Raises:
        StoreDamaged: It is missing, fails its crc, or has another shape.

    """
    raw = meta.get(key)
    if raw is None or len(raw) < _META_CRC.size or _META_CRC.unpack_from(raw)[0] != zlib.crc32(raw[4:]):
        raise StoreDamaged(f"meta value {key.decode()} is missing or damaged")
    try:
        return msgspec.msgpack.decode(raw[4:], type=shape)
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"meta value {key.decode()}: {error}") from error


def first_meta(identity: Identity) -> dict[bytes, bytes]:
    """Return what an empty store holds."""
    return {
        b"identity": pack_meta(identity),
        b"hard": pack_meta(HardState(0, 0, 0)),
        b"head": pack_meta(Head(1, CHAIN_START, 0)),
        b"snapshots": pack_meta([]),
        b"peers": pack_meta({}),
    }


def check_identity(identity: Identity, group_id: str, member: int) -> None:
    """Raise ``StartRefused`` unless the store is this member's of this group, in our format."""
    if identity.format != FORMAT:
        raise StartRefused(f"the store has format {identity.format}, we read {FORMAT}")
    if (identity.group_id, identity.member) != (group_id, member):
        raise StartRefused(
            f"the store is member {identity.member} of {identity.group_id!r}, not {member} of {group_id!r}"
        )
