"""A group of one in memory: proposals commit at the next turn, and leadership is the test's to give."""

from collections.abc import Callable

from steelyard.replication.group import (
    WINDOW_ENTRIES_MAX,
    ApplyEntry,
    Done,
    Failure,
    FdRegistry,
    MemberId,
    PeerStatus,
)
from steelyard.replication.poller import EpollWaiter


class LoneGroup:
    """``Group`` without consensus; ``bodies`` is its log from index 2 on."""

    def __init__(self, apply: ApplyEntry) -> None:
        self._apply = apply
        self._proposed: list[tuple[bytes, Done]] = []
        self._barriers: list[Done] = []
        self._waiter = EpollWaiter()
        self.bodies: list[bytes] = []
        self.leading = True
        self.is_ready = True
        self.known_leader: MemberId | None = MemberId(1)
        self.term = 1
        self.last_index = self.commit_index = self.applied_index = 1
        self.joining = self.fetching = False

    @property
    def poller(self) -> FdRegistry:
        """The loop's sockets."""
        return self._waiter

    def propose(self, body: bytes, done: Done) -> None:
        """Keep a proposal until the next turn."""
        if not self.window_free():
            done(Failure.NOT_LEADER)
            return
        self._proposed.append((body, done))

    def window_free(self) -> bool:
        """Whether a proposal would be taken."""
        return self.ready() and len(self._proposed) < WINDOW_ENTRIES_MAX

    def read_barrier(self, done: Done) -> None:
        """Keep a barrier until the next turn."""
        self._barriers.append(done)

    def is_leader(self) -> bool:
        """Return what the test says."""
        return self.leading

    def leader(self) -> MemberId | None:
        """Return what the test says."""
        return self.known_leader

    def ready(self) -> bool:
        """Return what the test says."""
        return self.leading and self.is_ready

    def turn(self, wait_s: float) -> None:
        """Commit and apply what was proposed before this turn, confirm barriers, and look at the sockets."""
        proposed, self._proposed = self._proposed, []
        for body, done in proposed:
            self.last_index += 1
            self.commit_index = self.last_index
            self.bodies.append(body)
            self._apply(self.last_index, self.term, body)
            self.applied_index = self.last_index
            done(self.last_index)
        barriers, self._barriers = self._barriers, []
        for done in barriers:
            done(self.commit_index)
        self._waiter.wait(wait_s)

    def lose(self, known_leader: MemberId | None, told: Callable[[bool], None]) -> None:
        """Lose leadership with everything that was proposed, and tell."""
        self.leading, self.known_leader = False, known_leader
        proposed, self._proposed = self._proposed, []
        for _, done in proposed:
            done(Failure.OUTCOME_UNKNOWN)
        barriers, self._barriers = self._barriers, []
        for done in barriers:
            done(Failure.NOT_LEADER)
        told(False)

    def peers(self) -> list[PeerStatus]:
        """Nobody."""
        return []

    def broadcast_digest(self, index: int, digest: bytes, chain: bytes) -> None:
        """Nobody hears."""

    def hand_over(self) -> bool:
        """Nobody is there."""
        return False

    def stop(self) -> None:
        """Release the loop."""
        self._waiter.close()


class ManualClock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.wall = 1_000_000_000

    def monotonic_s(self) -> float:
        """Return what the test says."""
        return self.now_s

    def wall_ns(self) -> int:
        """Return what the test says."""
        return self.wall
