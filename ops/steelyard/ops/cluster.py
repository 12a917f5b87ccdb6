"""A group of three on this machine: founded, started, killed, restarted, stopped."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from steelyard.client import ApiKey, Client, NodeStatus
from steelyard.ops.errors import GroupError, NotReady
from steelyard.ops.log_files import bound_log
from steelyard.ops.ports import USUAL_CLIENT, USUAL_PEER, free_ports
from steelyard.ops.processes import Process, wait_gone
from steelyard.ops.runfile import PARTS, RUN_FILE, NodeRun, Part, Run, read_run, remove_run, write_run
from steelyard.replication.config import (
    GroupConfig,
    Profile,
    found_group,
    node_paths,
    prepare_replacement,
    read_group,
)
from steelyard.replication.errors import ReplicationError
from steelyard.replication.log_reader import LogReader

MEMBERS: Final = (1, 2, 3)
OPERATOR_KEY: Final = 1
OPERATOR_ACCOUNT: Final = 9
#: How long an orderly stop may take before the process is killed.
STOP_S: Final = 10.0
KILL_S: Final = 5.0
POLL_S: Final = 0.1
#: The end of a log in which its last line is looked for.
LAST_BYTES: Final = 4096
#: What a node may have besides.
_BESIDES: Final[tuple[Part, ...]] = ("archive",)
_MODULES: Final[dict[Part, str]] = {
    "replica": "steelyard.replication",
    "gateway": "steelyard.rpc",
    "archive": "steelyard.replication.archive",
}


class LocalGroup:
    """The nodes of one data directory.

    Any process may hold one for the same directory: what runs is in ``run.json``, and a process is only
    ever signalled when its number and its start time are the recorded ones.
    """

    def __init__(self, directory: Path, config: GroupConfig) -> None:
        self.directory = directory
        self.config = config
        #: Whether the processes end with this one, however it ends.
        self.leashed = False
        #: What a member's replica finds in its environment besides ours.
        self.surroundings: dict[int, dict[str, str]] = {}
        #: What a member's processes are started through, such as the way into a network of its own.
        self.prefixes: dict[int, list[str]] = {}
        self.run: Run = read_run(directory)
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @classmethod
    def found(
        cls,
        directory: Path,
        *,
        profile: Profile = "shared",
        snapshot_entries: int = 20_000,
        map_size_bytes: int = 1 << 30,
        log_keep_entries: int = 2_000_000,
        usual_ports: bool = False,
    ) -> "LocalGroup":
        """Found a group in a new or empty directory: free ports, an operator's key, three empty logs.

        With ``usual_ports`` the nodes get the well-known ports if nobody uses them.

        Raises:
            GroupError: The directory holds a group already, or cannot be written.

        """
        key = ApiKey.generate(OPERATOR_KEY, OPERATOR_ACCOUNT)
        try:
            ports = free_ports(2 * len(MEMBERS), (*USUAL_PEER, *USUAL_CLIENT) if usual_ports else ())
            peers, clients = ports[: len(MEMBERS)], ports[len(MEMBERS) :]
            config = found_group(
                directory,
                [
                    (f"127.0.0.1:{peer}", f"127.0.0.1:{client}")
                    for peer, client in zip(peers, clients, strict=True)
                ],
                key.public_key,
                profile=profile,
                snapshot_entries=snapshot_entries,
                map_size_bytes=map_size_bytes,
                log_keep_entries=log_keep_entries,
            )
            keys = directory / "keys"
            keys.mkdir(mode=0o700, exist_ok=True)
            key.write(keys / "operator.key")
        except (OSError, ReplicationError) as error:
            raise GroupError(f"cannot found a group in {directory}: {error}") from error
        return cls(directory, config)

    @classmethod
    def open(cls, directory: Path) -> "LocalGroup":
        """Return the group that lives in ``directory``, running or not.

        Raises:
            GroupError: There is none.

        """
        try:
            return cls(directory, read_group(directory))
        except ReplicationError as error:
            raise GroupError(str(error)) from error

    @property
    def node_directories(self) -> list[Path]:
        """Where the three members keep their logs."""
        return [node_paths(self.directory, member).node for member in MEMBERS]

    @property
    def endpoints(self) -> list[str]:
        """Where clients reach the three gateways."""
        return [member.client for member in self.config.members]

    def key(self, name: str = "operator") -> ApiKey:
        """Return one of the keys made for this group."""
        path = self.key_path(name)
        try:
            return ApiKey.read(path)
        except OSError as error:
            raise GroupError(f"cannot read {path}: {error.strerror}") from error

    def key_path(self, name: str) -> Path:
        """Return where the key of that name is kept."""
        return self.directory / "keys" / f"{name}.key"

    def client(self, name: str = "operator") -> Client:
        """Return a client of this group, to be entered with ``async with``."""
        return Client(self.endpoints, self.key(name))

    def refresh(self) -> Run:
        """Read again what runs, for groups that another process looks after.

        Without a record, what we started ourselves counts: somebody may have removed our folder.
        """
        if (self.directory / RUN_FILE).exists():
            self.run = read_run(self.directory)
        return self.run

    def start(self, member: int) -> None:
        """Start what does not run of a node: its replica, its gateway, or both."""
        for part in PARTS:
            self.start_part(member, part)

    def start_part(self, member: int, part: Part) -> None:
        """Start one of a node's processes unless it runs; its output goes to the node's logs."""
        node = self.run.nodes[member]
        recorded = node.part(part)
        if recorded is not None and recorded.alive():
            return
        paths = node_paths(self.directory, member)
        paths.node.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.log_path(member, part)
        bound_log(log)
        leash = ["steelyard.ops.leash", str(os.getpid())] if self.leashed else []
        arguments = [_MODULES[part], "--data", str(self.directory), "--member", str(member)]
        with log.open("ab") as output:
            # A session of its own: a Ctrl-C at the terminal is for the command, which then stops the group.
            child = subprocess.Popen(
                [*self.prefixes.get(member, []), sys.executable, "-m", *leash, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=child_environment() | (self.surroundings.get(member, {}) if part == "replica" else {}),
            )
        self._children[child.pid] = child
        process = Process.of(child.pid)
        setattr(node, part, process)
        write_run(self.directory, self.run)

    def start_all(self) -> None:
        """Start all three nodes.

        Raises:
            GroupError: Some of them run already.

        """
        if read_run(self.directory).alive():
            raise GroupError(f"the group in {self.directory} runs already; 'steelyard down' stops it")
        self.run = Run(supervisor=self.run.supervisor)
        for member in MEMBERS:
            self.start(member)

    def kill(self, member: int) -> float:
        """End a node with SIGKILL, replica and gateway; return the moment, by the monotonic clock.

        Raises:
            GroupError: Its replica does not run.

        """
        node = self.refresh().nodes[member]
        if node.replica not in node.alive():
            raise GroupError(f"the replica of node {member} does not run, so it cannot be killed")
        return self.end(member)

    def end(self, member: int) -> float:
        """End by SIGKILL whatever of a node still runs, if anything; return the moment."""
        ended_s = time.monotonic()
        for process in self.refresh().nodes[member].alive():
            process.send(signal.SIGKILL)
        return ended_s

    def pause(self, member: int, parts: Sequence[Part] = PARTS) -> None:
        """Let a node's processes stand still, as a machine does that is out of memory or being moved."""
        self._send(member, parts, signal.SIGSTOP)

    def resume(self, member: int) -> None:
        """Let a paused node go on."""
        self._send(member, PARTS, signal.SIGCONT)

    def stop_node(self, member: int) -> None:
        """Stop a node in order: the replica first, so that its gateway can still say who leads then."""
        for part in (*PARTS, *_BESIDES):
            self._send(member, [part], signal.SIGTERM)
            process = self.run.nodes[member].part(part)
            self._await_end([process] if process is not None else [], seconds=STOP_S)

    async def replica_exit(self, member: int, *, seconds: float) -> int:
        """Wait until a replica that we started ends by itself; return its exit code.

        Raises:
            GroupError: It does not.

        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            code = self.replica_exit_now(member)
            if code is not None:
                return code
            await asyncio.sleep(POLL_S)
        raise GroupError(f"the replica of node {member} did not stop within {seconds:.0f} s")

    def replica_exit_now(self, member: int) -> int | None:
        """Return the exit code of a replica that we started, or None while it lives."""
        process = self.run.nodes[member].replica
        return self.exit_code(process) if process is not None else None

    def restart(self, member: int) -> None:
        """Start a killed node again; waits until its old processes are gone.

        Where a supervisor looks after the group it alone starts nodes: two would start each node twice.

        Raises:
            GroupError: They do not go.

        """
        supervisor = self.refresh().supervisor
        if supervisor is not None and supervisor.pid != os.getpid() and supervisor.alive():
            return
        self._await_end(self.run.nodes[member].alive())
        self.start(member)

    def wipe(self, member: int) -> None:
        """Remove everything a stopped node has: its log, its snapshots, its votes."""
        node = self.refresh().nodes[member]
        self._await_end(node.alive())
        shutil.rmtree(node_paths(self.directory, member).node)

    def replace(self, member: int) -> None:
        """Put a new machine in the place of a member: a new certificate, an empty disk, and no vote yet.

        What was left of the old one is kept beside it.

        Raises:
            ReplicationError: It cannot be prepared.

        """
        self.end(member)
        self._await_end(self.run.nodes[member].alive())
        prepare_replacement(self.directory, member)
        self.run.nodes[member].down_reason = ""
        self.start(member)

    def stop(self) -> list[int]:
        """Stop what runs, replicas last, by SIGTERM, then SIGKILL; return their numbers."""
        run = self.refresh()
        stopped = [process.pid for process in run.alive() if process.pid != os.getpid()]
        supervised = (
            [run.supervisor] if run.supervisor is not None and run.supervisor.pid != os.getpid() else []
        )
        gateways = [node.gateway for node in run.nodes.values() if node.gateway is not None]
        replicas = [node.replica for node in run.nodes.values() if node.replica is not None]
        archives = [node.archive for node in run.nodes.values() if node.archive is not None]
        for group in (supervised, archives, gateways, replicas):
            living = [process for process in group if process.send(signal.SIGTERM)]
            self._reap_while(living, STOP_S)
            for process in living:
                process.send(signal.SIGKILL)
            self._await_end(living)
        self._reap()
        remove_run(self.directory)
        self.run = Run()
        return stopped

    def exit_code(self, process: Process) -> int | None:
        """Return how a child of ours ended; None if it lives or is not ours.

        Of a process that ends, the first thread may be gone before the others: its code is there soon after.
        """
        child = self._children.get(process.pid)
        if child is None:
            return None
        if not process.alive():
            with suppress(subprocess.TimeoutExpired):
                child.wait(KILL_S)
        return child.poll()

    async def statuses(self, client: Client) -> dict[int, NodeStatus]:
        """Return what each reachable node says of itself.

        Whoever else listens where a node of ours should, another group even, is not reachable as ours.
        """
        return {status.member: status for status in await self.looked_at(client) if status.reachable}

    async def looked_at(self, client: Client) -> list[NodeStatus]:
        """Return one status for each node; one that does not answer for this group is unreachable."""
        return [
            status if status.group == self.config.group else NodeStatus(status.target, reachable=False)
            for status in await client.statuses()
        ]

    async def wait_ready(
        self, client: Client, *, seconds: float = 30.0, members: tuple[int, ...] = MEMBERS
    ) -> int:
        """Wait until a leader is ready and all ``members`` follow it; return the leader's number.

        Raises:
            NotReady: Not in time.
            GroupError: A node of ours stopped meanwhile.

        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = await self.statuses(client)
            leaders = [status.member for status in found.values() if status.role == "leader" and status.ready]
            if len(leaders) == 1 and all(member in found and found[member].ready for member in members):
                return leaders[0]
            self._look_for_stops(members)
            await asyncio.sleep(POLL_S)
        raise NotReady(seconds, self.directory)

    async def wait_level(self, client: Client, log_index: int, *, seconds: float = 60.0) -> float:
        """Wait until all three have applied ``log_index``; return when that was, by the monotonic clock.

        Raises:
            NotReady: Not in time.

        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = await self.statuses(client)
            if len(found) == len(MEMBERS) and all(
                status.ready and status.commit_index >= log_index and status.log_index >= log_index
                for status in found.values()
            ):
                return time.monotonic()
            await asyncio.sleep(POLL_S)
        raise NotReady(seconds, self.directory)

    def logged_index(self) -> int:
        """Return the lowest of the commit indexes that the three logs on disk name."""
        return min(_committed_index(node_paths(self.directory, member).store) for member in MEMBERS)

    async def wait_logged(self, log_index: int, *, seconds: float = 20.0) -> None:
        """Wait until all three logs on disk say that ``log_index`` is committed.

        A replica writes its commit index together with its next entries, a moment after it has acted on it.

        Raises:
            NotReady: Not in time.

        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.logged_index() >= log_index:
                return
            await asyncio.sleep(POLL_S)
        raise NotReady(seconds, self.directory)

    async def leader(self, client: Client) -> int | None:
        """Return who leads now: of those who say so, the one of the highest term."""
        found = await self.statuses(client)
        leaders = [status for status in found.values() if status.role == "leader" and status.ready]
        return max(leaders, key=lambda status: status.term).member if leaders else None

    def log_path(self, member: int, part: Part) -> Path:
        """Return where a process's words go."""
        paths = node_paths(self.directory, member)
        return {"replica": paths.replica_log, "gateway": paths.gateway_log, "archive": paths.archive_log}[
            part
        ]

    def last_words(self, member: int, part: Part) -> str:
        """Return the last line of a process's log."""
        log = self.log_path(member, part)
        if not log.exists():
            return "it has no log"
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else "its log is empty"

    def _look_for_stops(self, members: tuple[int, ...]) -> None:
        run = self.refresh()
        for member in members:
            node: NodeRun = run.nodes[member]
            if node.down_reason:
                raise GroupError(f"node {member} stays down: {node.down_reason}")
            for part in PARTS:
                process = node.part(part)
                code = self.exit_code(process) if process is not None else None
                if code is not None:
                    words = self.last_words(member, part)
                    raise GroupError(f"the {part} of node {member} stopped with exit code {code}: {words}")

    def _send(self, member: int, parts: Sequence[Part], number: signal.Signals) -> None:
        for part in parts:
            process = self.run.nodes[member].part(part)
            if process is not None:
                process.send(number)

    def _await_end(self, processes: list[Process], *, seconds: float = KILL_S) -> None:
        self._reap()
        left = wait_gone(processes, seconds=seconds)
        if left:
            raise GroupError(f"process {left[0].pid} does not end")
        self._reap()

    def _reap_while(self, processes: list[Process], seconds: float) -> None:
        wait_gone(processes, seconds=seconds)
        self._reap()

    def _reap(self) -> None:
        for pid in [pid for pid, child in self._children.items() if child.poll() is not None]:
            del self._children[pid]


def _committed_index(store: Path) -> int:
    with LogReader(store) as log:
        return log.commit_index


def child_environment() -> dict[str, str]:
    """Return our environment, with the folders from which we import steelyard.

    A checkout that is not installed, and a test runner with paths of its own, start the same code this way.
    """
    roots = [path for path in sys.path if path and (Path(path) / "steelyard").is_dir()]
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*roots, *([inherited] if inherited else [])])}
