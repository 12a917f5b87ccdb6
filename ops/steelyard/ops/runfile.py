"""What runs in a data directory: the process numbers of a group, kept in ``run.json``."""

from pathlib import Path
from typing import Final, Literal

import msgspec

from steelyard.ops.errors import GroupError
from steelyard.ops.processes import Process

RUN_FILE: Final = "run.json"

Part = Literal["replica", "gateway", "archive"]
#: What every node has, in the order of their start; a gateway waits for its replica.
PARTS: Final[tuple[Part, ...]] = ("replica", "gateway")


class NodeRun(msgspec.Struct):
    """One node: its processes, how often it stopped, and why it stays down (empty: it does not).

    An archive that stays down leaves the node as it is.
    """

    replica: Process | None = None
    gateway: Process | None = None
    stops: int = 0
    down_reason: str = ""
    archive: Process | None = None
    archive_down_reason: str = ""

    def part(self, part: Part) -> Process | None:
        """Return the record of one of its processes."""
        match part:
            case "replica":
                return self.replica
            case "gateway":
                return self.gateway
            case "archive":
                return self.archive

    def alive(self) -> list[Process]:
        """Return those of its processes that run."""
        processes = (self.replica, self.gateway, self.archive)
        return [process for process in processes if process is not None and process.alive()]


class Run(msgspec.Struct):
    """Everything that was started in a data directory."""

    supervisor: Process | None = None
    nodes: dict[int, NodeRun] = msgspec.field(
        default_factory=lambda: {1: NodeRun(), 2: NodeRun(), 3: NodeRun()}
    )

    def alive(self) -> list[Process]:
        """Return every process of the group that runs, the supervisor first."""
        first = [self.supervisor] if self.supervisor is not None and self.supervisor.alive() else []
        return first + [process for node in self.nodes.values() for process in node.alive()]


def read_run(directory: Path) -> Run:
    """Return what was last written; an empty record if nothing was."""
    path = directory / RUN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except FileNotFoundError:
        return Run()
    except msgspec.DecodeError as error:
        raise GroupError(
            f"{path} cannot be read ({error}); stop the processes by hand and remove it"
        ) from error


def write_run(directory: Path, run: Run) -> None:
    """Replace the record in one step, so that no reader sees half of it."""
    path = directory / RUN_FILE
    temporary = path.with_name(RUN_FILE + ".new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    temporary.replace(path)


def remove_run(directory: Path) -> None:
    """Forget what ran."""
    (directory / RUN_FILE).unlink(missing_ok=True)
