"""Reads on a member that does not lead: it asks the leader for the index to wait for.

The leader answers with a read barrier of its own, begun after the question came; so whoever
applied up to that index has seen everything that was acknowledged before the question. A
question without an answer goes to the next leader, until its time is up.
"""

from collections.abc import Callable
from typing import Final

from steelyard.replication.clock import Clock
from steelyard.replication.group import Done, Failure, MemberId
from steelyard.replication.wire import ReadIndexRequest

WAIT_S: Final = 2.0
RETRY_S: Final = 0.05
"""After a leader said that it cannot answer."""


class _Waiting:
    __slots__ = ("asked", "done", "retry_s", "until_s")

    def __init__(self, done: Done, until_s: float) -> None:
        self.done = done
        self.until_s = until_s
        self.retry_s = 0.0
        self.asked = MemberId(0)


class RemoteReads:
    """Who waits for which answer."""

    def __init__(self, clock: Clock, send: Callable[[MemberId, ReadIndexRequest], None]) -> None:
        self._clock = clock
        self._send = send
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for an answer."""
        return bool(self._waiting)

    def ask(self, leader: MemberId, done: Done) -> None:
        """Ask ``leader``; ``done`` hears the index, or ``NO_ANSWER`` when the time is up."""
        self._number += 1
        waiting = _Waiting(done, self._clock.monotonic_s() + WAIT_S)
        self._waiting[self._number] = waiting
        self._ask(self._number, waiting, leader)

    def answered(self, member: MemberId, number: int, index: int) -> None:
        """Hear an index, or with 0 that this member cannot say."""
        waiting = self._waiting.get(number)
        if waiting is None or waiting.asked != member:
            return
        if index:
            del self._waiting[number]
            waiting.done(index)
        else:
            self._lose(waiting)

    def lost(self, member: MemberId) -> None:
        """Learn that the link to a member is gone, with the questions on it."""
        for waiting in self._waiting.values():
            if waiting.asked == member:
                self._lose(waiting)

    def tick(self, leader: MemberId | None) -> None:
        """Ask ``leader`` what nobody is about to answer, and fail what has waited too long."""
        if not self._waiting:
            return
        now_s = self._clock.monotonic_s()
        for number, waiting in list(self._waiting.items()):
            if now_s >= waiting.until_s:
                del self._waiting[number]
                waiting.done(Failure.NO_ANSWER)
            elif leader not in (None, waiting.asked) and now_s >= waiting.retry_s:
                assert leader is not None
                self._ask(number, waiting, leader)

    def take(self) -> list[Done]:
        """Hand over everything that waits: we lead now."""
        waiting, self._waiting = self._waiting, {}
        return [each.done for each in waiting.values()]

    def _lose(self, waiting: _Waiting) -> None:
        """Let a question be asked again, a little later."""
        waiting.asked = MemberId(0)
        waiting.retry_s = self._clock.monotonic_s() + RETRY_S

    def _ask(self, number: int, waiting: _Waiting, leader: MemberId) -> None:
        waiting.asked = leader
        self._send(leader, ReadIndexRequest(number))
