"""Every message between members, as a closed set of msgspec structs with caps; never pickle."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from steelyard.replication.log_record import Record

WIRE_VERSION: Final = 2
FRAME_BYTES_MAX: Final = 8 << 20
APPEND_BYTES_MAX: Final = 4 << 20
"""Where the engine closes a batch of entries; above any single entry, or it would split it."""
APPEND_ENTRIES_MAX: Final = 4096
BODY_BYTES_MAX: Final = (1 << 20) + 1
PIECE_BYTES: Final = 256 << 10
"""A snapshot file travels in pieces of this size; the last one may be shorter."""
SNAPSHOT_BYTES_MAX: Final = 1 << 40

Count = Annotated[int, Meta(ge=0, le=2**62)]
"""An index, a term, a counter: 62 bits, so that nobody can push a term to where it wraps."""
Hash16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Nonce = Annotated[bytes, Meta(min_length=16, max_length=16)]
Mac = Annotated[bytes, Meta(min_length=32, max_length=32)]
Sha256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes = Annotated[int, Meta(ge=0, le=SNAPSHOT_BYTES_MAX)]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Who dials or answers, in which life, and how far its durable log goes."""

    version: int
    group_id: Annotated[str, Meta(max_length=200)]
    member: Count
    incarnation: Count
    boots: Count
    term: Count
    last_index: Count
    last_term: Count
    nonce: Nonce
    knows: Count = 0
    """The newest version of the state machine that the sender's build can carry out."""


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Keyed hash over both hellos: the sender knows the group's secret."""

    mac: Mac


class Append(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Entries behind ``prev``, or a heartbeat; ``round`` counts the leader's read rounds."""

    term: Count
    commit: Count
    prev_index: Count
    prev_term: Count
    round: Count
    entries: Annotated[list[Record], Meta(max_length=APPEND_ENTRIES_MAX)]


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A heartbeat to a member that is behind the leader's first entry; it verifies nothing."""

    term: Count
    commit: Count
    round: Count


class Ack(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The answer to ``Append`` and ``Beat``; ``term`` is the sender's when it was created.

    ``last_index`` is the sender's last entry, ``round`` the highest read round it saw from
    this leader, ``wall_ns`` its clock, ``used_permille`` how full its store is.
    """

    term: Count
    next_index: Count
    success: bool
    reset: bool
    last_index: Count
    round: Count
    wall_ns: Count
    used_permille: Count


class VoteRequest(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A candidate asks for a vote in ``term``."""

    term: Count
    last_index: Count
    last_term: Count


class VoteGrant(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The sender's vote in ``term``, on its disk."""

    term: Count


class PreVoteRequest(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """A member asks who would vote for it in ``term``, if it asked."""

    term: Count
    last_index: Count
    last_term: Count


class PreVoteGrant(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """It would; nothing is promised."""

    term: Count


class TermInfo(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The sender's term, told to whoever speaks in a lower one."""

    term: Count


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The leader hands over: campaign at once."""

    term: Count


class Digest(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """What the sender's state and log look like at ``index``."""

    index: Count
    digest: Annotated[bytes, Meta(max_length=64)]
    chain: Hash16


class Remembered(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """The furthest the sender saw of the receiver, first thing on each connection (zeros: never)."""

    incarnation: Count
    boots: Count
    term: Count
    index: Count


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """The sender lives and has nothing to say."""


class Offer(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The leader of ``term``, whose log begins at ``first_index``, has a snapshot for who is behind that."""

    term: Count
    first_index: Count
    index: Count
    at_term: Count
    sha256: Sha256
    size_bytes: Bytes


class PieceRequest(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """The sender wants what follows ``offset`` of the snapshot file with that sum."""

    sha256: Sha256
    offset: Bytes


class Piece(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A piece of a snapshot file, checked from disk to disk."""

    sha256: Sha256
    offset: Bytes
    crc32: Annotated[int, Meta(ge=0, lt=2**32)]
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE_BYTES)]


class NoPiece(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """The sender does not have that file, or not that much of it."""

    sha256: Sha256


class ReadIndexRequest(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The sender wants to answer a linearizable read and asks its leader for the index to wait for."""

    number: Count


class ReadIndex(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The index; 0 if the sender does not lead, or cannot say yet."""

    number: Count
    index: Count


Greeting = Hello | Proof
PeerMessage = (
    Append
    | Beat
    | Ack
    | VoteRequest
    | VoteGrant
    | PreVoteRequest
    | PreVoteGrant
    | TermInfo
    | TimeoutNow
    | Digest
    | Remembered
    | Ping
    | Offer
    | PieceRequest
    | Piece
    | NoPiece
    | ReadIndexRequest
    | ReadIndex
)

encode: Final = msgspec.msgpack.Encoder().encode
decode_greeting: Final = msgspec.msgpack.Decoder(Greeting).decode
decode_message: Final = msgspec.msgpack.Decoder(PeerMessage).decode
