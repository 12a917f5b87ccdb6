"""What can go wrong in a replica, and how it stops.

* ReplicationError
  - StartRefused      this process must not take part: wrong pin, identity or configuration (exit 78)
    - DirectoryInUse  another process owns the data directory
  - StoreDamaged      the data on disk does not verify; wipe and join again (exit 74)

A broken invariant or a failed disk is not an exception: ``fail_stop`` ends the process.
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

EX_INVARIANT = 70
"""Exit code: something that cannot happen happened; this replica may be wrong."""
EX_DISK = 74
"""Exit code: the disk failed, or what it holds does not verify."""
EX_REFUSED = 78
"""Exit code: refused to start (pin, identity, configuration)."""


class ReplicationError(Exception):
    """Anything that keeps a replica from starting; ``exit_code`` is the process's answer."""

    exit_code = EX_REFUSED


class StartRefused(ReplicationError):
    """The process must not take part in the group as it is configured."""


class DirectoryInUse(StartRefused):
    """Another process owns the data directory."""


class StoreDamaged(ReplicationError):
    """The log or its hard state does not verify: do not vote, do not repair in place."""

    exit_code = EX_DISK


def fail_stop(code: int, reason: str) -> NoReturn:
    """Say why on stderr in one line and end the process at once, running no handler.

    Neither ``sys.exit`` nor an exception would do: the consensus library swallows
    both on our path.
    """
    Ending.end(code, " ".join(reason.split()))


def _end_process(code: int, line: str) -> NoReturn:
    try:
        sys.stderr.write(f"FAIL-STOP {code}: {line}\n")
        sys.stderr.flush()
    finally:
        # Even if nobody can be told: the log of a full disk is on that disk.
        os._exit(code)


class Ending:
    """How a process ends. A simulation, where a process is an object, replaces it; nothing else does."""

    end: Callable[[int, str], NoReturn] = staticmethod(_end_process)
