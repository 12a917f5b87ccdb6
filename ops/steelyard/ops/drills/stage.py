"""What every drill stands on: a group of its own under load, faults on it, and one verdict at the end."""

import asyncio
import math
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from steelyard.client import Client
from steelyard.ops import linearizable, machine
from steelyard.ops.claims import ACKNOWLEDGED_MIN, Drilled, failures_of_drill
from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import EXPECTED, GroupError
from steelyard.ops.logs import read_logs
from steelyard.ops.mesh import Mesh
from steelyard.ops.readers import Readers
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal
from steelyard.ops.traders import Traders, trading
from steelyard.ops.verdict import gather, judge
from steelyard.replication.config import DETOURS_FILE, Profile, node_paths, split_endpoint

#: Acknowledged between a group that is level again and the next fault.
BETWEEN: Final = 300
#: Reserved on disk for each member at once, so a group of a drill takes three times as much; what is kept of
#: the log, half of it, holds what four sessions do in some minutes.
MAP_SIZE_BYTES: Final = 64 << 20
LEADER_S: Final = 30.0
LEVEL_S: Final = 60.0
LOOK_S: Final = 0.05
GONE_S: Final = 20.0


class Setting(NamedTuple):
    """What kind of group a drill wants."""

    snapshot_entries: int = 20_000
    #: Of each log; zero: as much as so many rounds need.
    map_size_bytes: int = 0
    #: How many entries behind its newest a log keeps; fewer than a drill writes, and it must make archives.
    log_keep_entries: int = 2_000_000
    #: Whether members reach each other through a mesh that can be tampered with.
    meshed: bool = False
    #: Around the whole life of the group, from before its start.
    prepare: Callable[[LocalGroup], AbstractContextManager[object]] = lambda _: nullcontext()


class Drill(NamedTuple):
    """A fault that can be made on purpose."""

    name: str
    summary: str
    faults: "Callable[[Stage, int], Awaitable[None]]"
    #: How often, unless told otherwise, and how often if it has to be quick.
    rounds: int = 3
    quick_rounds: int = 1
    setting: Setting = Setting()
    #: Returns why it cannot be done on this machine, or an empty text.
    missing: Callable[[], str] = str


class Stage:
    """What a drill acts on while the group is under load."""

    def __init__(
        self,
        terminal: Terminal,
        group: LocalGroup,
        operator: Client,
        traders: Traders,
        mesh: Mesh | None,
        prepared: object,
    ) -> None:
        self.terminal = terminal
        self.group = group
        self.operator = operator
        self.traders = traders
        #: For each fault, how long clients had to wait because of it.
        self.recoveries_ms: list[int] = []
        #: What else the drill has to tell.
        self.facts: dict[str, Any] = {}
        #: Copies of members' logs from before these forgot their beginning.
        self.archives: list[Path] = []
        #: Claims of this drill alone that did not hold, in words.
        self.failures: list[str] = []
        #: What the setting's ``prepare`` has made.
        self.prepared = prepared
        self._mesh = mesh

    @property
    def mesh(self) -> Mesh:
        """The mesh that the drill's setting asked for."""
        assert self._mesh is not None, "the setting must say meshed=True"
        return self._mesh

    async def leader(self) -> int:
        """Return who leads, waiting for it if need be.

        Raises:
            GroupError: Nobody does.

        """
        deadline = time.monotonic() + LEADER_S
        while time.monotonic() < deadline:
            member = await self.group.leader(self.operator)
            if member is not None:
                return member
            await asyncio.sleep(LOOK_S)
        raise GroupError(f"no leader for {LEADER_S:.0f} s")

    async def followers(self) -> list[int]:
        """Return those who do not lead, in order of their numbers."""
        leader = await self.leader()
        return [member for member in MEMBERS if member != leader]

    async def trade_on(self, count: int = BETWEEN) -> None:
        """Return when so many more orders are acknowledged."""
        await self.traders.acknowledged(self.traders.acks.count + count)

    async def level(self) -> None:
        """Return when all members are ready and have applied all that is acknowledged by now."""
        await self.group.wait_ready(self.operator, seconds=LEVEL_S)
        await self.group.wait_level(self.operator, self.traders.acks.last_index, seconds=LEVEL_S)

    async def gone(self, member: int) -> None:
        """Return when both processes of a node that was killed have ended."""
        await until(
            f"the processes of node {member} had ended",
            lambda: not self.group.run.nodes[member].alive(),
            seconds=GONE_S,
        )

    async def archive(self, member: int) -> None:
        """Keep a copy of a node's log as it is now, for the verdict; the node is away for a moment."""
        node = node_paths(self.group.directory, member).node
        copy = self.group.directory / f"archive-{len(self.archives) + 1}"
        self.group.kill(member)
        await self.gone(member)
        shutil.copytree(node, copy, ignore=shutil.ignore_patterns("*.sock", "*.log"))
        self.archives.append(copy)
        self.group.start(member)
        await self.level()

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Note the longest silence of all clients from now until they trade again after the block."""
        began_s = time.monotonic()
        yield
        await self.trade_on()
        silence_ms = self.traders.history.longest_silence_ms(began_s, time.monotonic())
        self.recoveries_ms.append(silence_ms)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note that a claim of this drill does not hold."""
        if not holds:
            self.failures.append(otherwise)


async def until(what: str, reached: Callable[[], bool], *, seconds: float) -> None:
    """Return when ``reached`` says so.

    Raises:
        GroupError: It did not in time; the words say what was waited for.

    """
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() >= deadline:
            raise GroupError(f"waited {seconds:.0f} s in vain until {what}")
        await asyncio.sleep(LOOK_S)


async def perform(
    terminal: Terminal,
    drill: Drill,
    *,
    rounds: int | None = None,
    quick: bool = False,
    profile: Profile = "shared",
) -> dict[str, Any]:
    """Run a drill on a group of its own; return its verdict as plain values.

    The group's data is removed if the verdict is ok; if not it is kept, in the folder named by ``data``.  A
    drill that broke off for a reason that a sentence can tell has the sentence as ``error``.
    """
    why = drill.missing()
    if why:
        return {"drill": drill.name, "skipped": why, "ok": True}
    count = rounds if rounds is not None else drill.quick_rounds if quick else drill.rounds
    setting = drill.setting
    began_s = time.monotonic()
    with scratch_group(
        profile=profile,
        snapshot_entries=setting.snapshot_entries,
        log_keep_entries=setting.log_keep_entries,
        map_size_bytes=setting.map_size_bytes or MAP_SIZE_BYTES * math.ceil(count / drill.rounds),
        start=False,
    ) as scratch:
        try:
            result = await _perform(terminal, drill, scratch.group, count, profile)
        except Exception as error:
            scratch.keep_unless(False, terminal)
            cause = _cause(error)
            if not isinstance(cause, EXPECTED):
                raise cause from None
            result = {"drill": drill.name, "error": str(cause) or type(cause).__name__, "ok": False}
        scratch.keep_unless(result["ok"], terminal)
        kept = {} if result["ok"] else {"data": str(scratch.group.directory)}
        return {**result, **kept, "seconds": round(time.monotonic() - began_s, 1)}


async def _perform(
    terminal: Terminal, drill: Drill, group: LocalGroup, rounds: int, profile: Profile
) -> dict[str, Any]:
    with drill.setting.prepare(group) as prepared:
        try:
            stage, unread = await _act(terminal, drill, group, prepared, rounds)
            with terminal.busy("reading the logs of all replicas"):
                result = await asyncio.to_thread(_verdict, group, stage)
        finally:
            group.stop()  # while what was prepared is still there
    return {
        "drill": drill.name,
        **result,
        "reads_unanswered": unread,
        "rounds": rounds,
        "profile": profile,
        **recovery(stage.recoveries_ms),
        **stage.facts,
        "machine": machine.describe(),
    }


def _cause(error: Exception) -> Exception:
    """Return what went wrong first where several tasks were under way."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _act(
    terminal: Terminal, drill: Drill, group: LocalGroup, prepared: object, rounds: int
) -> tuple[Stage, list[int]]:
    """Start, trade, break, heal; return once all members hold all that clients have seen."""
    async with _meshed(group, drill.setting.meshed) as mesh, group.client() as operator:
        group.start_all()
        with terminal.busy(f"{drill.name}: waiting for the group"):
            await group.wait_ready(operator)
        async with trading(group, operator) as traders, reading(traders) as readers:
            stage = Stage(terminal, group, operator, traders, mesh, prepared)
            await stage.trade_on()
            await drill.faults(stage, rounds)
            await stage.trade_on()
            await traders.acknowledged(ACKNOWLEDGED_MIN)
        history = traders.history
        last_index = max([traders.acks.last_index, *(read.log_index for read in history.reads)])
        with terminal.busy(f"{drill.name}: waiting until all are level"):
            await group.wait_level(operator, last_index)
            await group.wait_logged(last_index)
        if mesh is not None:
            carried = stage.facts["bytes_through_mesh"] = sum(way.bytes_passed for way in mesh.ways.values())
            stage.expect(carried > 0, "the members did not use the mesh")
        stage.facts["linearizable_reads"] = readers.linearizable
        return stage, readers.unanswered


@asynccontextmanager
async def reading(traders: Traders) -> AsyncIterator[Readers]:
    """Ask every node without end for the length of the block."""
    readers = Readers(traders.opened, traders.history, lambda: traders.acks.last_index)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(readers.read())
        try:
            yield readers
        finally:
            readers.stop()


@asynccontextmanager
async def _meshed(group: LocalGroup, wanted: bool) -> AsyncIterator[Mesh | None]:
    if not wanted:
        yield None
        return
    mesh = Mesh({member.member: split_endpoint(member.peer) for member in group.config.members})
    await mesh.start()
    try:
        for member in MEMBERS:
            path = node_paths(group.directory, member).node / DETOURS_FILE
            path.write_bytes(msgspec.json.encode(mesh.detours(member)))
        yield mesh
    finally:
        await mesh.close()


def _verdict(group: LocalGroup, stage: Stage) -> dict[str, Any]:
    """Judge what clients saw, acknowledgements and the whole history, by the logs of all members."""
    history = stage.traders.history
    verdict = judge(stage.traders.acks, gather(group.node_directories, stage.archives))
    log = read_logs([*group.node_directories, *stage.archives])
    lines = linearizable.check(history, log.entries)
    times_ns = [entry.time_ns for _, entry in log.entries]
    run = Drilled(
        verdict,
        linearizable=lines.ok,
        log_time_moves_on=all(later > earlier for earlier, later in pairwise(times_ns)),
        log_faults=log.faults,
        recoveries=len(stage.recoveries_ms),
        own_failures=stage.failures,
    )
    failures = failures_of_drill(run)
    return {
        **msgspec.structs.asdict(verdict),
        "linearizable": run.linearizable,
        "operations_checked": lines.writes + lines.reads,
        "reads": lines.reads,
        "log_time_moves_on": run.log_time_moves_on,
        "findings": [*verdict.findings, *lines.findings, *log.faults],
        "failures": failures,
        "ok": not failures,
    }


def recovery(times_ms: Sequence[int]) -> dict[str, Any]:
    """Return the distribution of times to recover."""
    if not times_ms:
        return {"recoveries_ms": []}
    ascending = sorted(times_ms)

    def at(share: float) -> int:
        return ascending[max(0, math.ceil(share * len(ascending)) - 1)]

    return {
        "recovery_ms_min": ascending[0],
        "recovery_ms_median": at(0.5),
        "recovery_ms_p99": at(0.99),
        "recovery_ms_max": ascending[-1],
        "recoveries_ms": list(times_ms),
    }


def needs_root() -> str:
    """Return why a drill that mounts or makes namespaces cannot run here, or an empty text."""
    return "" if os.geteuid() == 0 else "not root"
