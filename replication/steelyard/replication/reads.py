"""Linearizable reads: the commit index of now, once a majority confirmed that we still lead.

Reads that wait share a round. A round is a heartbeat that carries its number; an ack that
echoes it was created after the round began, so nobody else led at that moment.
"""

from collections import deque
from collections.abc import Callable

from steelyard.replication.group import Done, Failure


class ReadBarriers:
    """Who waits for which round and index."""

    def __init__(self) -> None:
        self.round = 0
        """The latest round; outgoing appends carry it."""
        self._fresh: list[tuple[int, Done]] = []
        self._waiting: deque[tuple[int, int, Done]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for a round that has begun."""
        return bool(self._waiting)

    def add(self, read_index: int, done: Done) -> None:
        """Wait for the next round; ``read_index`` is the commit index at this moment."""
        self._fresh.append((read_index, done))

    def begin_round(self) -> bool:
        """Give all fresh reads one new round; return whether a heartbeat must carry it now."""
        if not self._fresh:
            return False
        self.round += 1
        self._waiting.extend((self.round, index, done) for index, done in self._fresh)
        self._fresh = []
        return True

    def answer(self, confirmed: Callable[[int], bool], applied_index: int) -> bool:
        """Call back whose round is confirmed and whose index is applied; return whether any was."""
        answered = False
        while self._waiting:
            read_round, index, done = self._waiting[0]
            if index > applied_index or not confirmed(read_round):
                break
            self._waiting.popleft()
            done(index)
            answered = True
        return answered

    def fail(self, failure: Failure) -> None:
        """Tell everybody who waits that we lost leadership."""
        dones = [done for _, _, done in self._waiting] + [done for _, done in self._fresh]
        self._waiting.clear()
        self._fresh = []
        for done in dones:
            done(failure)
