"""What the clients of a run saw, and when: every call and every return, on one machine's monotonic clock."""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from steelyard.client import Command, ReadMode, Reply

#: Until a write has returned.
NEVER_NS: Final = 0

RequestId = tuple[int, int]
#: What a book looks like: (ticks, lots) of both sides, best first.
BookRows = tuple[list[tuple[int, int]], list[tuple[int, int]]]


class Write:
    """One numbered command: when it was first sent, and when and how it was answered."""

    __slots__ = ("called_ns", "command", "reply", "returned_ns")

    def __init__(self, command: Command, called_ns: int) -> None:
        self.command = command
        self.called_ns = called_ns
        self.returned_ns = NEVER_NS
        self.reply: Reply | None = None


class BookRead(NamedTuple):
    """An answered question for the best levels of a book."""

    called_ns: int
    returned_ns: int
    mode: ReadMode
    min_index: int
    node: int
    log_index: int
    instrument: int
    depth: int
    answer: BookRows


class BalanceRead(NamedTuple):
    """An answered question for what an account owns: (asset, free, held), by asset."""

    called_ns: int
    returned_ns: int
    mode: ReadMode
    min_index: int
    node: int
    log_index: int
    account: int
    answer: list[tuple[int, int, int]]


Read = BookRead | BalanceRead


class History:
    """All of it, in the order in which it was seen."""

    def __init__(self) -> None:
        self.writes: dict[RequestId, Write] = {}
        self.reads: list[Read] = []
        self.returns_ns: list[int] = []
        """When acknowledgements came, ascending."""

    def called(self, session: int, first_request: int, commands: Sequence[Command]) -> None:
        """Note commands that are about to be sent, numbered from ``first_request`` on."""
        now_ns = time.monotonic_ns()
        for request, command in enumerate(commands, first_request):
            self.writes[session, request] = Write(command, now_ns)

    def returned(self, session: int, reply: Reply) -> None:
        """Note the reply to a command."""
        write = self.writes[session, reply.request]
        write.reply = reply
        write.returned_ns = time.monotonic_ns()
        self.returns_ns.append(write.returned_ns)

    def longest_silence_ms(self, from_s: float, until_s: float) -> int:
        """Return the longest time without any acknowledgement between two moments of the monotonic clock."""
        from_ns, until_ns = round(from_s * 1e9), round(until_s * 1e9)
        moments = [from_ns, *self._returns_between(from_ns, until_ns), until_ns]
        return max(later - earlier for earlier, later in pairwise(moments)) // 1_000_000

    def _returns_between(self, from_ns: int, until_ns: int) -> Iterator[int]:
        return (moment_ns for moment_ns in self.returns_ns if from_ns < moment_ns < until_ns)
