"""The seam to consensus: what a replica may ask of its group, whatever the engine behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NewType, Protocol

MemberId = NewType("MemberId", int)

ENTRY_BYTES_MAX: Final = 1 << 20
"""A proposal's largest body: well below the 4 MiB at which the engine would split it."""
WINDOW_ENTRIES_MAX: Final = 4
WINDOW_BYTES_MAX: Final = 2 << 20


class Failure(Enum):
    """Why a proposal or a read did not succeed.

    Only ``OUTCOME_UNKNOWN`` leaves a doubt: the entry may yet be committed. With the
    others nothing was proposed.
    """

    NOT_LEADER = "not the leader"
    WINDOW_FULL = "too much in flight"
    NOT_READY = "the leader has not yet committed an entry of its own term"
    NO_ANSWER = "no leader answered in time"
    OUTCOME_UNKNOWN = "leadership was lost; the entry may or may not be committed"


Done = Callable[[int | Failure], None]
"""Called exactly once, with a log index or the reason why not."""
ApplyEntry = Callable[[int, int, bytes], None]
"""``apply(index, term, body)``: in log order, once per boot and index; must not raise."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Election timeout from ``min_s`` to ``max_s``, and the leader's heartbeat period."""

    min_s: float
    max_s: float
    heartbeat_s: float

    def __post_init__(self) -> None:
        """Refuse timings under which a healthy leader would be voted out."""
        if not (0 < self.heartbeat_s * 3 < self.min_s < self.max_s):
            raise ValueError(f"need 3 x heartbeat < min < max, got {self}")


SHARED: Final = Timeouts(min_s=1.0, max_s=2.0, heartbeat_s=0.1)
"""Three members on one busy machine; the default."""
DEDICATED: Final = Timeouts(min_s=0.3, max_s=0.6, heartbeat_s=0.06)
"""A machine per member."""


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Who is in the group and who we are.

    ``peers`` holds every member's peer address, our own (the one to listen on) included.
    ``secret`` is the 32-byte key that members prove to each other before they speak Raft.
    """

    group_id: str
    member: MemberId
    peers: dict[MemberId, tuple[str, int]]
    secret: bytes
    timeouts: Timeouts = SHARED
    knows: int = 0
    """The newest version of the state machine that this build can carry out; the others are told."""

    def __post_init__(self) -> None:
        """Refuse a group without us, or with a guessable secret."""
        if self.member not in self.peers:
            raise ValueError(f"member {self.member} is not in {sorted(self.peers)}")
        if len(self.secret) != 32:  # noqa: PLR2004 - the key length of the handshake
            raise ValueError("the group secret must be 32 bytes")


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What we know of another member.

    ``acked_index`` and ``wall_ahead_ns`` are known to the leader only (zero elsewhere);
    ``heard_s`` is the monotonic time of its last frame, None if it was never heard.
    """

    member: MemberId
    connected: bool
    acked_index: int
    heard_s: float | None
    needs_snapshot: bool
    wall_ahead_ns: int
    used_permille: int
    knows: int = 0
    """The newest version of the state machine that its build can carry out; 0 if it was never heard."""


class FdRegistry(Protocol):
    """Sockets that want to be woken by the loop; masks are those of ``select.epoll``."""

    def register(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Call ``callback(events)`` whenever ``fd`` is ready."""
        ...

    def modify(self, fd: int, mask: int) -> None:
        """Change what ``fd`` waits for."""
        ...

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; call it before closing."""
        ...


class Group(Protocol):
    """One member's view of its group. Single-threaded: everything happens inside ``turn``."""

    @property
    def poller(self) -> FdRegistry:
        """Where other sockets of this process are registered."""
        ...

    @property
    def term(self) -> int:
        """The current term."""
        ...

    @property
    def last_index(self) -> int:
        """The last index of our log, durable or not."""
        ...

    @property
    def commit_index(self) -> int:
        """Everything up to here is on a majority, for good."""
        ...

    @property
    def applied_index(self) -> int:
        """Everything up to here was handed to ``apply`` (or restored from a snapshot)."""
        ...

    @property
    def joining(self) -> bool:
        """True while this member stores entries but may not vote (new or outdated disk)."""
        ...

    @property
    def fetching(self) -> bool:
        """True while this member is behind the others' logs and fetches a snapshot."""
        ...

    def propose(self, body: bytes, done: Done) -> None:
        """Put ``body`` (at most ``ENTRY_BYTES_MAX``) into the log at the next turn.

        ``done(index)`` comes after commit *and* apply; ``done(Failure)`` at once when we
        may not propose, or later when leadership is lost.
        """
        ...

    def window_free(self) -> bool:
        """Whether ``propose`` would be taken now: a ready leader with little in flight."""
        ...

    def read_barrier(self, done: Done) -> None:
        """Linearizable read, on any member: ``done(index)``; answer once ``applied_index >= index``.

        A member that does not lead asks its leader; ``NO_ANSWER`` if none answers in time.
        """
        ...

    def is_leader(self) -> bool:
        """Whether we believe to lead; only a read barrier or a commit proves it."""
        ...

    def leader(self) -> MemberId | None:
        """Return the last leader heard of, a hint."""
        ...

    def ready(self) -> bool:
        """Whether we lead and have committed an entry of our own term."""
        ...

    def turn(self, wait_s: float) -> None:
        """Run one loop turn; waits for events at most ``wait_s``, not at all if work is left."""
        ...

    def peers(self) -> list[PeerStatus]:
        """Return the other members, in order of their number."""
        ...

    def broadcast_digest(self, index: int, digest: bytes, chain: bytes) -> None:
        """Tell the others what our state and log look like at ``index``."""
        ...

    def hand_over(self) -> bool:
        """Ask the most caught-up follower to take over; return whether one was asked."""
        ...

    def stop(self) -> None:
        """Flush, close the links and the store."""
        ...
