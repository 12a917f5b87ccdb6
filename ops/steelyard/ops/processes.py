"""Processes by what cannot be mistaken: a number together with the moment it was started."""

import os
import signal
import time
from pathlib import Path
from typing import Final

import msgspec

POLL_S: Final = 0.02


class Process(msgspec.Struct, frozen=True):
    """A process as recorded: numbers are reused by the system, a number with its start time is not."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Record a process; a child that has ended but was not waited for counts.

        Raises:
            ProcessLookupError: There is none of that number.

        """
        found = _stat(pid)
        if found is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, found[1])

    def alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        found = _stat(self.pid)
        return found is not None and found[0] not in "ZX" and found[1] == self.started_ticks

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; return False if the process has gone, or its number is someone else's now."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def wait_gone(processes: list[Process], *, seconds: float) -> list[Process]:
    """Wait until the processes are gone, at most ``seconds``; return those that are not."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if process.alive()]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = [process for process in left if process.alive()]
    return left


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state and start time of a process from ``/proc/PID/stat``, or None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return fields[0], int(fields[19])
