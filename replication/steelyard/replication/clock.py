"""Time behind a Protocol, so that a simulation can run a replica in virtual time."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a replica may ask about time."""

    def monotonic_s(self) -> float:
        """Return seconds that only move forward; for timeouts."""
        ...

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch; for log time and comparison with other members."""
        ...


class Rng(Protocol):
    """Randomness for election timeouts."""

    def random(self) -> float:
        """Return a number from 0 up to but not including 1."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    def wall_ns(self) -> int:
        """Return ``time.time_ns()``."""
        return time.time_ns()
