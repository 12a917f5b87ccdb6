"""A simulated process: every call through a seam may be its last."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn

from steelyard.core import versions
from steelyard.replication.errors import Ending
from steelyard.simulation.trace import Trace


class Killed(BaseException):
    """Unwinds a process that has ended; nothing that it does on the way out has any effect."""


class Process:
    """One life of a member. Once it is over, every seam raises ``Killed``."""

    def __init__(self, member: int, trace: Trace, knows: int) -> None:
        self.member = member
        self.knows = knows
        """The newest version of the state machine that its build can carry out."""
        self.alive = True
        self.exit: tuple[int, str] | None = None
        """Code and reason, if it stopped itself."""
        self.calls_left = 0
        """After how many calls it is killed; zero: not at all."""
        self._trace = trace

    def call(self) -> None:
        """Pass a seam, unless this was the call to die at."""
        if self.calls_left:
            self.calls_left -= 1
            if not self.calls_left and self.alive:
                self._trace.note(self.member, "killed at a seam")
                self.alive = False
        if not self.alive:
            raise Killed

    def kill(self) -> None:
        """End it from outside."""
        self.alive = False

    def stop(self, code: int, reason: str) -> NoReturn:
        """End it as ``fail_stop`` does."""
        if self.alive:
            self.alive = False
            self.exit = (code, reason)
            self._trace.note(self.member, f"stops itself with {code}: {reason}")
        raise Killed


class Processor:
    """Runs processes one at a time, so that ``fail_stop`` ends the right one."""

    def __init__(self) -> None:
        self._running: Process | None = None
        self._known_outside = versions.KNOWN_MAX

    def run(self, process: Process) -> "Processor":
        """Return a context in which everything is the work of ``process``; its end ends only this."""
        self._running = process
        self._known_outside, versions.KNOWN_MAX = versions.KNOWN_MAX, process.knows
        return self

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Bear the end of the process, and nothing else."""
        process, self._running = self._running, None
        versions.KNOWN_MAX = self._known_outside
        if kind is not Killed:
            return False
        assert process is not None
        assert not process.alive
        return True

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Let ``fail_stop`` end simulated processes instead of this one."""
        before = Ending.end
        Ending.end = self._stop
        try:
            yield
        finally:
            Ending.end = before

    def _stop(self, code: int, line: str) -> NoReturn:
        assert self._running is not None, f"nobody runs, and yet: {line}"
        self._running.stop(code, line)
