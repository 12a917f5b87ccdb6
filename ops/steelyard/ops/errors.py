"""What can go wrong while running a group, as one tree; the text is written for the person at the terminal.

* OpsError
  - CaptureError       a capture is not what it should be; names the line
  - GroupError         a group cannot be founded, started, found or stopped
    - NotReady         the group did not become ready in time
"""

from pathlib import Path
from typing import Final

from steelyard.client.errors import SteelyardError
from steelyard.replication.errors import ReplicationError


class OpsError(Exception):
    """A command could not do its work; the message says why and, where possible, what to do."""


class CaptureError(OpsError):
    """A capture is not what it should be, at ``line`` (from 1; zero: the file as a whole)."""

    def __init__(self, name: str, line: int, fault: str) -> None:
        super().__init__(f"{name}, line {line}: {fault}" if line else f"{name}: {fault}")
        self.line = line


class GroupError(OpsError):
    """A group cannot be founded, started, found or stopped."""


class NotReady(GroupError):
    """The group did not become ready in time; the nodes' logs say more."""

    def __init__(self, waited_s: float, directory: Path) -> None:
        super().__init__(
            f"the group in {directory} was not ready within {waited_s:.0f} s; "
            f"see replica.log and gateway.log in {directory}/n1, n2, n3"
        )


#: Failures that are told in one sentence; anything else is a fault of ours and shows where it happened.
EXPECTED: Final = (OpsError, SteelyardError, ReplicationError, OSError)
