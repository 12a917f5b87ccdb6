"""Exactly once across failovers, without any I/O: which requests are open, and what to send (again)."""

import random
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from steelyard.client import wire
from steelyard.client.errors import (
    AlreadyApplied,
    OutcomeUnknown,
    SessionTakenOver,
    SteelyardError,
    TooManyOpen,
)
from steelyard.client.replies import Refused, Reply

#: As many replies as the exchange keeps for a session.
WINDOW: Final = 1024
#: What one message may carry.
COMMANDS_MAX: Final = 1000
MESSAGE_BYTES_MAX: Final = 1 << 20

#: Refusals that executed and stored nothing: the number is still free, and must be sent again in order.
OUT_OF_ORDER: Final = frozenset({"REQUEST_GAP", "WINDOW_FULL"})
RELEASED: Final = "REPLY_RELEASED"

#: A line holds at most so many commands without an answer, those beyond the window included: 500 bytes each.
OPEN_MAX: Final = 1_000_000

#: Waits between attempts: none, then 50 ms doubling up to 250 ms, each drawn from zero up ("full jitter"), so
#: that clients come back one by one and yet soon after an election.
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 0.25


class Waiter(Protocol):
    """Who wants to know what came of a request; a future is one."""

    def set_result(self, result: Reply, /) -> None:
        """Take the reply."""

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Take the reason why there is none."""


class Open(NamedTuple):
    """A request without an answer: its bytes as they were and will be sent, who waits, and since when."""

    frame: bytes
    fingerprint: int
    waiter: Waiter | None
    since_s: float


class Line:
    """A session's numbered line of commands.

    A number belongs to one command for ever: what has no answer is sent again under its number with the same
    bytes, at whatever node leads, until there is one.
    """

    def __init__(self, last_request: int = 0, *, window: int = WINDOW) -> None:
        """Continue after ``last_request``, the last number that the session has executed."""
        self.open: dict[int, Open] = {}
        """Without an answer yet, by number."""
        self.next_request = last_request + 1
        self.wants_from = last_request + 1
        """The lowest number without an answer; replies below it are not wanted any more."""
        self.next_to_send = last_request + 1
        """On the present stream."""
        self.on_ack: Callable[[int, Reply], None] | None = None
        """Called with each number and its reply, once."""
        self._window = window

    def add(self, frame: bytes, fingerprint: int, waiter: Waiter | None, now_s: float = 0.0) -> int:
        """Take a command whose frame carries ``next_request``; return that number.

        Raises:
            TooManyOpen: ``OPEN_MAX`` commands have no answer yet.

        """
        if len(self.open) >= OPEN_MAX:
            raise TooManyOpen(f"{OPEN_MAX} commands have no reply yet: wait for some")
        number = self.next_request
        self.open[number] = Open(frame, fingerprint, waiter, now_s)
        self.next_request = number + 1
        return number

    def message(self, commands_max: int = COMMANDS_MAX) -> bytes | None:
        """Return the next message for the stream, or None if there is nothing to send now.

        Numbers go out in order and within the window, counted from the lowest one without an answer.
        """
        number = self.next_to_send
        end = min(self.next_request, self.wants_from + self._window)
        if number >= end:
            return None
        get = self.open.get
        frames: list[bytes] = []
        count = size = 0
        while number < end and count < commands_max and size < MESSAGE_BYTES_MAX:
            open_ = get(number)
            if open_ is not None:
                frames.append(open_.frame)
                size += len(open_.frame)
                count += 1
            number += 1
        self.next_to_send = number
        if not frames:
            return None
        frames.append(wire.wants_from(self.wants_from))
        return b"".join(frames)

    def unsent(self) -> bool:
        """Return whether ``message`` would return one."""
        return self.next_to_send < min(self.next_request, self.wants_from + self._window)

    def welcomed(self, last_request: int, replies: Iterable[Reply]) -> None:
        """Begin a new stream: take the replies the session kept, and send again whatever has none.

        Raises:
            SessionTakenOver: The session has executed numbers that we never gave out.

        """
        for reply in replies:
            self.settle(reply)
        if last_request >= self.next_request:
            raise SessionTakenOver(
                f"the session has executed request {last_request}, we only sent {self.next_request - 1}"
            )
        self.next_to_send = self.wants_from

    def settle(self, reply: Reply) -> bool:
        """Take a reply; return False if it shows that a request was lost or out of order: attach again.

        Raises:
            SessionTakenOver: Somebody else's command was executed under our number.

        """
        number = reply.request
        open_ = self.open.get(number)
        if open_ is None:
            return True
        if type(reply) is Refused:
            if reply.reason in OUT_OF_ORDER:
                return False
            if reply.reason == RELEASED:
                self._close(number)
                if open_.waiter is not None:
                    open_.waiter.set_exception(AlreadyApplied(f"request {number} was applied earlier"))
                return True
        if reply.fingerprint != open_.fingerprint:
            raise SessionTakenOver(f"another command was executed as request {number}")
        if number != self.wants_from:
            return False  # replies come in order: the lowest open request was lost, and would wait for ever
        self._close(number)
        try:
            if self.on_ack is not None:
                self.on_ack(number, reply)
        finally:
            if open_.waiter is not None:
                open_.waiter.set_result(reply)
        return True

    def give_up_waiting(self, message: str, until_s: float) -> None:
        """Tell whoever waits since ``until_s`` or longer that the outcome is unknown.

        The numbers stay open and are sent again.
        """
        for number, open_ in self.open.items():
            if open_.waiter is not None and open_.since_s <= until_s:
                self.open[number] = open_._replace(waiter=None)
                open_.waiter.set_exception(OutcomeUnknown(f"request {number}: {message}", request=number))

    def fail(self, error: SteelyardError) -> None:
        """Tell whoever waits that there will never be an answer here."""
        opens, self.open = self.open, {}
        for open_ in opens.values():
            if open_.waiter is not None:
                open_.waiter.set_exception(error)

    def _close(self, number: int) -> None:
        opens = self.open
        del opens[number]
        if number == self.wants_from:
            number += 1
            end = self.next_request
            while number < end and number not in opens:
                number += 1
            self.wants_from = number


class Backoff:
    """How long to wait before the next attempt."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._ceiling_s = 0.0

    def next_s(self) -> float:
        """Return the wait before the next attempt."""
        wait_s = self._rng.uniform(0.0, self._ceiling_s)
        self._ceiling_s = min(max(self._ceiling_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
        return wait_s

    def reset(self) -> None:
        """Start again: the last attempt succeeded."""
        self._ceiling_s = 0.0
