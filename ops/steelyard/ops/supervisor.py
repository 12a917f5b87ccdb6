"""Keeps a group running: starts what died again, with back-off, and leaves down what must stay down."""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Final

from steelyard.ops.archives import ArchiveKeeper
from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.log_files import bound_log
from steelyard.ops.processes import Process
from steelyard.ops.runfile import PARTS, Part, write_run
from steelyard.ops.wishes import read_wish, write_wish
from steelyard.replication.errors import EX_DISK, ReplicationError

LOOK_S: Final = 0.2
#: Where it writes when it runs in the background.
SUPERVISOR_LOG: Final = "supervisor.log"
#: A node that stops so often within the window stays down, until somebody starts the group again.
STOPS_MAX: Final = 3
WINDOW_S: Final = 600.0
FIRST_DELAY_S: Final = 1.0
DELAY_MAX_S: Final = 30.0


class Restarts:
    """When a node may start again: 1 s, 2 s, 4 s … after a stop; never after three stops in ten minutes."""

    def __init__(self) -> None:
        self._stops_s: deque[float] = deque()

    def stopped(self, now_s: float, code: int | None) -> tuple[float, str]:
        """Note a stop; return when to start again, or why not.

        Args:
            now_s: The moment, by any clock that only moves forward.
            code: The exit code; negative for a signal, None if unknown.

        Returns:
            The moment of the next start and an empty text, or any moment and the reason to stay down.

        """
        if code == EX_DISK:
            return now_s, f"exit code {EX_DISK}: its disk failed or what it holds does not verify"
        self._stops_s.append(now_s)
        while self._stops_s[0] <= now_s - WINDOW_S:
            self._stops_s.popleft()
        if len(self._stops_s) >= STOPS_MAX:
            return now_s, (
                f"{len(self._stops_s)} stops in ten minutes, the last with exit code {code}; "
                "'steelyard down' and 'up' start it again"
            )
        return now_s + min(DELAY_MAX_S, FIRST_DELAY_S * 2 ** (len(self._stops_s) - 1)), ""


class Supervisor:
    """Looks after the six processes of one group, and its archives."""

    def __init__(self, group: LocalGroup, archives: Iterable[int] = ()) -> None:
        """Look after a group; ``archives`` are the members that keep one."""
        self.group = group
        self._archives = ArchiveKeeper(group, archives)
        group.leashed = True
        self._restarts = {member: Restarts() for member in MEMBERS}
        #: Processes known to have stopped, and when each may start again.
        self._due_s: dict[tuple[int, Part], float] = {}

    def start(self) -> None:
        """Start all nodes, and say in ``run.json`` who looks after them."""
        self.group.start_all()
        self.group.run.supervisor = Process.of(os.getpid())
        write_run(self.group.directory, self.group.run)

    def look(self, now_s: float) -> list[str]:
        """Look once at every process; return what happened, in words."""
        happened: list[str] = self._replace_if_wished()
        for member in MEMBERS:
            node = self.group.run.nodes[member]
            for part in PARTS:
                if bound_log(self.group.log_path(member, part)):
                    happened.append(f"node {member}: the {part}'s log was long; it begins anew")
                process = node.part(part)
                if node.down_reason or process is None or process.alive():
                    continue
                due_s = self._due_s.get((member, part))
                if due_s is None:
                    happened.append(self._stopped(member, part, process, now_s))
                elif now_s >= due_s:
                    del self._due_s[member, part]
                    self.group.start_part(member, part)
                    happened.append(f"node {member}: {part} started again")
        return happened + self._archives.look(now_s)

    def _replace_if_wished(self) -> list[str]:
        """Do what ``steelyard replace`` asks for: only we may start and stop what we look after."""
        wish = read_wish(self.group.directory)
        if wish is None or wish.done:
            return []
        try:
            self.group.replace(wish.member)
        except (OpsError, ReplicationError) as error:
            wish.error = str(error)
        else:
            self._restarts[wish.member] = Restarts()
            for part in PARTS:
                self._due_s.pop((wish.member, part), None)
        wish.done = True
        write_wish(self.group.directory, wish)
        return [f"node {wish.member}: {wish.error or 'replaced by a new one'}"]

    def _stopped(self, member: int, part: Part, process: Process, now_s: float) -> str:
        node = self.group.run.nodes[member]
        code = self.group.exit_code(process)
        others = [other for other in PARTS if (member, other) in self._due_s]
        if others and code != EX_DISK:
            # Both processes of a node that was killed stop together: one stop, one delay.
            self._due_s[member, part] = self._due_s[member, others[0]]
        else:
            node.stops += 1
            self._due_s[member, part], node.down_reason = self._restarts[member].stopped(now_s, code)
        said = f": {self.group.last_words(member, part)}" if code is not None and code > 0 else ""
        if node.down_reason:
            node.down_reason += said
            for left in node.alive():
                left.send(signal.SIGTERM)
        write_run(self.group.directory, self.group.run)
        fate = f"stays down: {node.down_reason}" if node.down_reason else f"will be started again{said}"
        return f"node {member}: {part} stopped with exit code {code}; {fate}"


class _Stop(Exception):
    """Somebody asked us to stop."""


def main(directory: Path, archives: Iterable[int] = ()) -> None:
    """Start the group in ``directory`` and look after it until SIGTERM; then stop it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # asked once is enough; stopping must not be interrupted
        raise _Stop

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    supervisor = Supervisor(LocalGroup.open(directory), archives)
    try:
        supervisor.start()
        while True:
            bound_log(directory / SUPERVISOR_LOG)
            for line in supervisor.look(time.monotonic()):
                sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")
                sys.stderr.flush()
            time.sleep(LOOK_S)
    except _Stop:
        supervisor.group.stop()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), map(int, sys.argv[2:]))
    except OpsError as failure:
        sys.exit(f"error: {failure}")
