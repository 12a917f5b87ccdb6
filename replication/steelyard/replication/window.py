"""Proposals on their way into the log and to their commit: bounded, and each told once what became of it."""

from collections import deque

from steelyard.replication.group import WINDOW_BYTES_MAX, WINDOW_ENTRIES_MAX, Done, Failure
from steelyard.replication.log_record import Record


class Window:
    """The proposals of one leadership: ``queued`` for the next turn, then in the log until applied."""

    def __init__(self) -> None:
        self.queued: list[tuple[bytes, Done]] = []
        self._pending: deque[tuple[int, int, int, Done]] = deque()  # index, term, bytes, done
        self._bytes = 0

    @property
    def open(self) -> bool:
        """Whether there is room for one more."""
        entries = len(self._pending) + len(self.queued)
        return entries < WINDOW_ENTRIES_MAX and self._bytes < WINDOW_BYTES_MAX

    def add(self, body: bytes, done: Done) -> None:
        """Queue a proposal."""
        self.queued.append((body, done))
        self._bytes += len(body)

    def take(self, first_index: int, term: int) -> list[bytes]:
        """Return what is queued, which is in the log from ``first_index`` on now, in the leader's term."""
        bodies = []
        for index, (body, done) in enumerate(self.queued, first_index):
            self._pending.append((index, term, len(body), done))
            bodies.append(body)
        self.queued = []
        return bodies

    def settle(self, applied: Record) -> None:
        """Answer the proposal that this entry was, if it is still ours."""
        while self._pending and self._pending[0][0] <= applied.index:
            index, term, size, done = self._pending.popleft()
            self._bytes -= size
            done(index if (index, term) == applied[1:] else Failure.OUTCOME_UNKNOWN)

    def fail(self) -> None:
        """Tell everybody that the leadership ended; new proposals begin with an empty window."""
        pending, self._pending = self._pending, deque()
        queued, self.queued = self.queued, []
        self._bytes = 0
        for _, _, _, done in pending:
            done(Failure.OUTCOME_UNKNOWN)
        for _, done in queued:
            done(Failure.NOT_LEADER)
