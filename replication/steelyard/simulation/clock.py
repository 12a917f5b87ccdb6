"""Virtual time: one heap of what happens when, and each machine's own idea of it."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

WALL_START_NS: Final = 1_800_000_000_000_000_000
"""Where all machines' calendars begin, before their own errors."""


class Agenda:
    """The events to come, in order of time and, at one time, in the order they were made."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0
        """How many have happened."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0

    def at(self, due_s: float, action: Callable[[], None]) -> None:
        """Let ``action`` happen at ``due_s``, or now if that is past."""
        self._made += 1
        heappush(self._heap, (max(due_s, self.now_s), self._made, action))

    def after(self, span_s: float, action: Callable[[], None]) -> None:
        """Let ``action`` happen in ``span_s`` seconds."""
        self._made += 1
        heappush(self._heap, (self.now_s + span_s, self._made, action))

    def next(self, until_s: float) -> bool:
        """Let the next event happen unless it is later than ``until_s``; return whether one did."""
        heap = self._heap
        if not heap or heap[0][0] > until_s:
            self.now_s = max(self.now_s, until_s)
            return False
        self.now_s, _, action = heappop(heap)
        self.events += 1
        action()
        return True


class MachineClock:
    """One machine's ``Clock``: it costs time to read, runs fast or slow, and its calendar may jump."""

    def __init__(self, agenda: Agenda, *, read_s: float, offset_s: float, rate: float) -> None:
        self._agenda = agenda
        self._read_s = read_s
        self._offset_s = offset_s
        self._rate = rate
        self._rate_from_s = agenda.now_s
        self.spent_s = 0.0
        """What the running turn has taken so far."""
        self.wall_offset_ns = 0

    @property
    def real_s(self) -> float:
        """The time of the simulation, as far as the running turn has come."""
        return self._agenda.now_s + self.spent_s

    def monotonic_s(self) -> float:
        """Return seconds that only move forward, at this machine's own rate."""
        self.spent_s = spent_s = self.spent_s + self._read_s
        return self._offset_s + (self._agenda.now_s + spent_s - self._rate_from_s) * self._rate

    def wall_ns(self) -> int:
        """Return this machine's calendar."""
        self.spent_s += self._read_s
        return WALL_START_NS + int((self._agenda.now_s + self.spent_s) * 1e9) + self.wall_offset_ns

    def set_rate(self, rate: float) -> None:
        """Run at another rate from now on."""
        now_s = self._agenda.now_s + self.spent_s
        self._offset_s += (now_s - self._rate_from_s) * self._rate
        self._rate_from_s, self._rate = now_s, rate
