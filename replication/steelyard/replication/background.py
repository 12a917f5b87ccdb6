"""Work in a child process that sees the state as of its fork and leaves nothing behind but a file."""

import ctypes
import gc
import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Final, Protocol

from steelyard.replication.clock import Clock

CHILD_S_MAX: Final = 300.0
"""A child that takes longer is ended."""
_PR_SET_PDEATHSIG: Final = 1
_FIRST_FD: Final = 3

_log = logging.getLogger(__name__)
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Background(Protocol):
    """One piece of work at a time, beside the loop."""

    def start(self, work: Callable[[], None]) -> bool:
        """Begin; False if that is not possible now. An exception from ``work`` is its failure."""
        ...

    def poll(self) -> bool | None:
        """Return whether the work succeeded, once; None while it runs."""
        ...

    def stop(self) -> None:
        """End the work, if there is any."""
        ...


class Fork:
    """``Background`` by ``os.fork``.

    The child closes every descriptor, so that it keeps neither ports nor the peers' connections
    open; it dies with its parent; it may write files, but must not touch the log, whose
    memory map does not survive a fork.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._child = 0
        self._until_s = 0.0

    def start(self, work: Callable[[], None]) -> bool:
        """Fork; the parent returns at once."""
        assert not self._child, "one piece of work at a time"
        assert threading.active_count() == 1, "a fork copies only the thread that calls it"
        gc.freeze()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _log.error("cannot fork: %s", error.strerror)
            return False
        if pid == 0:
            _be_a_child(parent, work)
        self._child = pid
        self._until_s = self._clock.monotonic_s() + CHILD_S_MAX
        return True

    def poll(self) -> bool | None:
        """Return whether the child succeeded, once; None while it runs."""
        pid, status = os.waitpid(self._child, os.WNOHANG)
        if pid == 0:
            if self._clock.monotonic_s() < self._until_s:
                return None
            _log.error("a child took more than %d s and is ended", CHILD_S_MAX)
            self.stop()
            return False
        self._child = 0
        return os.waitstatus_to_exitcode(status) == 0

    def stop(self) -> None:
        """Kill the child, if there is one."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0


def _be_a_child(parent: int, work: Callable[[], None]) -> None:
    """Work and end the process; nothing of the parent's may run here."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.closerange(_FIRST_FD, os.sysconf("SC_OPEN_MAX"))
        if os.getppid() == parent:
            work()
            code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)
