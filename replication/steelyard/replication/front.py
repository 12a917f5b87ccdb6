"""The frames between a gateway and its replica, on a Unix socket: ``u32 little-endian length | msgpack``."""

from enum import IntEnum
from typing import Final

import msgspec

from steelyard.core.events import AnyEvent
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject

PROTOCOL: Final = 1
#: A longer frame in either direction closes the connection.
FRAME_BYTES_MAX: Final = 8 << 20
#: One Submit carries at most this many requests, and at most ENTRY_BYTES_MAX of them.
SUBMIT_REQUESTS_MAX: Final = 1_000


class ReadMode(IntEnum):
    """How fresh an answer must be."""

    LINEARIZABLE = 1
    AT_LEAST = 2
    STALE = 3


class FailureReason(IntEnum):
    """Why the group gave no answer; says nothing about the command itself."""

    NOT_LEADER = 1
    """Not proposed; ask the leader."""
    NO_LEADER = 2
    """Not proposed; there is none at the moment."""
    LEADERSHIP_LOST = 3
    """Proposed, and the outcome is unknown here; resend the same number to the new leader."""
    OVERLOADED = 4
    """Not proposed; too much is pending."""
    STORAGE_LOW = 5
    """Not proposed; the log is nearly full."""
    INDEX_NOT_REACHED = 6
    """A read asked for an index that this replica has not applied in time."""
    MALFORMED = 7
    """The frame was sound, but this item was not."""


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all frames."""


class Open(Frame, frozen=True, tag=1):
    """First frame of a gateway: which protocol, group and gateway."""

    protocol: int
    group: str
    gateway: str


class Submit(Frame, frozen=True, tag=2):
    """Requests to log, in this order.  ``refs`` are the gateway's own and mean nothing else."""

    refs: list[int]
    requests: list[msgspec.Raw]
    """Each the msgpack of a ``core.entry.Request``."""


class Read(Frame, frozen=True, tag=3):
    """A question, judged by the permissions of ``key``."""

    ref: int
    key: int
    mode: ReadMode
    min_index: int
    query: AnyQuery


class Attach(Frame, frozen=True, tag=4):
    """Send the private events of these accounts from now on, and those after ``after_index`` if still held.

    ``after_index`` zero: only new ones.
    """

    ref: int
    accounts: list[int]
    after_index: int = 0


class Detach(Frame, frozen=True, tag=5):
    """Stop sending the private events of these accounts."""

    accounts: list[int]


class Follow(Frame, frozen=True, tag=6):
    """Send everything that entries come to from now on, and those above ``after_index`` that are still held.

    ``after_index`` zero: only new ones.  ``Attached`` answers; said again, it begins again.
    """

    ref: int
    after_index: int = 0


class Unfollow(Frame, frozen=True, tag=7):
    """Stop sending entries."""


class State(Frame, frozen=True, tag=20):
    """What this replica is; sent after Open, when role, term, leader or readiness change, and each 200 ms."""

    group: str
    member: int
    pid: int
    role: str
    """``leader``, ``follower`` or ``joining``."""
    ready: bool
    """A leader that has committed an entry of its own term, or a follower that knows its leader."""
    term: int
    leader: int
    """Member id, or zero."""
    leader_endpoint: str
    """Where clients reach the leader's gateway, ``host:port``, or empty."""
    last_index: int
    commit_index: int
    applied_index: int
    time_ns: int
    digest_index: int
    """The newest multiple of the digest interval that was applied, so that members can be compared."""
    digest: bytes
    snapshot_index: int
    log_first_index: int
    log_used_ppm: int
    commands_applied: int
    """Since this process started."""
    sync_mode: str
    needs_snapshot: bool = False
    """Behind the others' logs: it fetches a snapshot from them."""
    version: int = 0
    """The version of the exchange that is in force here."""
    knows: int = 0
    """The newest version that this build can carry out."""


class Done(Frame, frozen=True, tag=21):
    """Committed on a majority and applied: the replies, in the order of ``refs``."""

    index: int
    time_ns: int
    refs: list[int]
    indexes: list[int]
    """Where each reply was made: ``index``, or that of a repeated request's first attempt."""
    replies: list[msgspec.Raw]
    """Each the msgpack of a ``core.entry.AnyReply``."""


class Failed(Frame, frozen=True, tag=22):
    """No answer for these."""

    refs: list[int]
    reason: FailureReason


class Answer(Frame, frozen=True, tag=23):
    """The answer to a Read as of ``index``; exactly one of ``answer`` and ``refused`` is given."""

    ref: int
    index: int
    answer: AnyAnswer | None
    refused: Reject | None


class Attached(Frame, frozen=True, tag=24):
    """Events follow, complete for every log index above ``complete_after``."""

    ref: int
    complete_after: int


class Happened(Frame, frozen=True, tag=25):
    """Events of attached accounts in one entry, as (number within the entry, event)."""

    index: int
    time_ns: int
    events: list[tuple[int, AnyEvent]]


class Entries(Frame, frozen=True, tag=26):
    """What an entry came to: the bytes of its ``core.entry.Applied``, or with ``more`` the first of them."""

    applied: bytes
    more: bool = False


class Unfollowed(Frame, frozen=True, tag=27):
    """No entries are sent any more: too many were waiting to be read.  Follow again, and look anew."""


FromGateway = Open | Submit | Read | Attach | Detach | Follow | Unfollow
FromReplica = State | Done | Failed | Answer | Attached | Happened | Entries | Unfollowed
