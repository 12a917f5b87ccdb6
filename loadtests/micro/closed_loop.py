"""A closed loop of commands to measure replication: what is answered is asked again at once."""

import random
import statistics
import time
from collections import deque
from typing import Any, Final

#: What is answered before this is not counted: caches fill, connections open their windows.
WARM_UP_S: Final = 0.5
_DIFFERENT: Final = 1024


class Tally:
    """The trivial state machine: counts commands and adds up their first bytes."""

    def __init__(self) -> None:
        self.commands = 0
        self.total = 0

    def apply(self, command: bytes) -> None:
        """Apply one command."""
        self.commands += 1
        self.total += command[0]

    def apply_all(self, body: bytes, size_bytes: int) -> None:
        """Apply the commands that a body holds one behind the other."""
        for at in range(0, len(body), size_bytes):
            self.apply(body[at : at + size_bytes])


class ClosedLoop:
    """Commands of one size; ``outstanding`` of them are asked and not yet answered at any time."""

    def __init__(self, *, outstanding: int, size_bytes: int, random_bytes: int, seconds: float) -> None:
        """Prepare commands that begin with ``random_bytes`` unpredictable bytes; the rest are zeros."""
        dice = random.Random(1)
        self.size_bytes = size_bytes
        self._commands = [
            dice.randbytes(random_bytes) + bytes(size_bytes - random_bytes) for _ in range(_DIFFERENT)
        ]
        self._place = 0
        self.ready = outstanding
        self._begun_s = time.monotonic()
        self._counted_from_s = self._begun_s + WARM_UP_S
        self._ends_s = self._counted_from_s + seconds
        self._waits: deque[tuple[float, int]] = deque()
        self._cpu_s: float | None = None

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._ends_s

    def one(self) -> bytes:
        """Take one command that is ready to be asked."""
        self.ready -= 1
        self._place = (self._place + 1) % _DIFFERENT
        return self._commands[self._place]

    def many(self, count_max: int) -> list[bytes]:
        """Take all commands that are ready, up to ``count_max``."""
        return [self.one() for _ in range(min(self.ready, count_max))]

    def answered(self, count: int, asked_s: float) -> None:
        """Note that ``count`` commands asked at ``asked_s`` were answered: they are ready again."""
        self.ready += count
        now_s = time.monotonic()
        if self._counted_from_s <= now_s < self._ends_s:
            if self._cpu_s is None:
                self._cpu_s = time.process_time()
            self._waits.append((now_s - asked_s, count))

    def figures(self) -> dict[str, Any]:
        """Return what was measured: commands a second, latency by command, CPU of this process by command."""
        commands = sum(count for _, count in self._waits)
        spent_s = time.process_time() - (self._cpu_s or 0.0)
        if not commands:
            return {"commands_per_second": 0, "p50_ms": None, "p99_ms": None, "leader_cpu_us": None}
        waits_ms = [wait_s * 1e3 for wait_s, count in self._waits for _ in range(count)]
        cuts = statistics.quantiles(waits_ms, n=100)
        return {
            "commands_per_second": round(commands / (self._ends_s - self._counted_from_s)),
            "p50_ms": round(cuts[49], 2),
            "p99_ms": round(cuts[98], 2),
            "leader_cpu_us": round(spent_s * 1e6 / commands, 2),
        }
