"""Questions that wait: for a read barrier, or for an index to be applied."""

from collections.abc import Callable
from typing import Final

import msgspec

from steelyard.replication.clock import Clock
from steelyard.replication.front import FailureReason, Read, ReadMode
from steelyard.replication.gateway import Gateway
from steelyard.replication.group import Failure, Group

WAIT_S: Final = 2.0
WAITING_MAX: Final = 10_000


class _Waiting(msgspec.Struct, eq=False):
    gateway: Gateway
    read: Read
    index: int
    until_s: float


class Questions:
    """Answers each question as soon as its mode allows; those that wait together share one barrier."""

    def __init__(
        self,
        group: Group,
        clock: Clock,
        answer: Callable[[Gateway, Read], None],
        no_leader: Callable[[], FailureReason],
    ) -> None:
        self._group = group
        self._clock = clock
        self._answer = answer
        self._no_leader = no_leader
        self._unasked: list[_Waiting] = []
        self._waiting: list[_Waiting] = []
        self._asked = 0

    def ask(self, gateway: Gateway, read: Read) -> None:
        """Answer at once, later, or tell why not."""
        waiting = _Waiting(gateway, read, read.min_index, self._clock.monotonic_s() + WAIT_S)
        if len(self._unasked) + len(self._waiting) + self._asked >= WAITING_MAX:
            gateway.failed([read.ref], FailureReason.OVERLOADED)
        elif read.mode is ReadMode.LINEARIZABLE:
            self._unasked.append(waiting)
        elif read.mode is ReadMode.AT_LEAST and read.min_index > self._group.applied_index:
            self._waiting.append(waiting)
        else:
            self._answer(gateway, read)

    def pump(self) -> None:
        """Start a barrier for the questions that came since the last one, and answer what may be answered."""
        group = self._group
        if self._unasked and (group.ready() if group.is_leader() else group.leader() is not None):
            self._start_barrier()
        self._answer_ready()

    def _answer_ready(self) -> None:
        if self._waiting:
            applied = self._group.applied_index
            ready = [each for each in self._waiting if each.index <= applied]
            if ready:
                self._waiting = [each for each in self._waiting if each.index > applied]
                for each in ready:
                    self._answer(each.gateway, each.read)

    def expire(self) -> None:
        """Fail what has waited too long."""
        now_s = self._clock.monotonic_s()
        self._unasked = _split(self._unasked, now_s, FailureReason.NO_LEADER)
        self._waiting = _split(self._waiting, now_s, FailureReason.INDEX_NOT_REACHED)

    def _start_barrier(self) -> None:
        batch, self._unasked = self._unasked, []
        self._asked += len(batch)

        def done(result: int | Failure) -> None:
            self._asked -= len(batch)
            for each in batch:
                if result is Failure.NOT_LEADER:
                    each.gateway.failed([each.read.ref], self._no_leader())
                elif isinstance(result, Failure):
                    each.gateway.failed([each.read.ref], FailureReason.NO_LEADER)
                else:
                    each.index = max(result, each.read.min_index)
                    self._waiting.append(each)
            self._answer_ready()

        self._group.read_barrier(done)


def _split(waiting: list[_Waiting], now_s: float, reason: FailureReason) -> list[_Waiting]:
    """Return those that may still wait, and fail the others."""
    for each in waiting:
        if each.until_s < now_s:
            each.gateway.failed([each.read.ref], reason)
    return [each for each in waiting if each.until_s >= now_s]
