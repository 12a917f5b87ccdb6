"""Processes that may open no more files, or have no more memory."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from steelyard.ops.drills.stage import Drill, Setting, Stage
from steelyard.ops.errors import GroupError
from steelyard.ops.runfile import PARTS, Part
from steelyard.replication.config import split_endpoint

SNAPSHOT_ENTRIES: Final = 100
HOLD_S: Final = 5.0
LOOK_S: Final = 0.1
#: Connections that want to be taken while there is no descriptor left for them.
CALLERS: Final = 20
#: What a replica may still take: less than it needs within seconds under load.
LEFT_BYTES: Final = 256 << 10


async def few_descriptors(stage: Stage, rounds: int) -> None:
    """Let a node open no more files while strangers connect: it serves on, or stops in order."""
    with stage.terminal.progress("taking descriptors away", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                with ExitStack() as stack:
                    for part in PARTS:
                        pid = _pid(stage, member, part)
                        open_now = len(os.listdir(f"/proc/{pid}/fd"))
                        stack.enter_context(_limited(pid, resource.RLIMIT_NOFILE, open_now))
                    with _callers(stage, member):
                        await asyncio.sleep(HOLD_S)
                code = stage.group.replica_exit_now(member)
                stage.expect(code is None or code > 0, f"the replica of node {member} ended with {code}")
                stage.group.end(member)
                await stage.gone(member)
                stage.group.start(member)
                await stage.level()
            advance(number + 1)


async def little_memory(stage: Stage, rounds: int) -> None:
    """Let a replica have no more memory: it stops rather than do half of something, and comes back."""
    stopped: list[int] = []
    with stage.terminal.progress("taking memory away", 2 * rounds) as advance:
        for number in range(2 * rounds):
            member = await stage.leader() if number % 2 else (await stage.followers())[0]
            async with stage.measured():
                pid = _pid(stage, member, "replica")
                with _limited(pid, resource.RLIMIT_AS, _size_bytes(pid) + LEFT_BYTES):
                    code = await _ends(stage, member)
                if code is not None:
                    stopped.append(code)
                    stage.expect(code != 0, f"the replica of node {member} ended as if all were well")
                stage.group.end(member)
                await stage.gone(member)
                stage.group.start(member)
                await stage.level()
            advance(number + 1)
    stage.facts["exit_codes"] = stopped


def _pid(stage: Stage, member: int, part: Part) -> int:
    process = stage.group.run.nodes[member].part(part)
    if process is None or not process.alive():
        raise GroupError(f"the {part} of node {member} does not run")
    return process.pid


@contextmanager
def _limited(pid: int, what: int, limit: int) -> Iterator[None]:
    """Let a process have no more than ``limit`` of something until the end of the block, or its own."""
    soft, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (limit, hard))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, what, (soft, hard))


@contextmanager
def _callers(stage: Stage, member: int) -> Iterator[None]:
    """Hold connections open to both ports of a node until the end of the block."""
    config = stage.group.config.members[member - 1]
    with ExitStack() as stack:
        for endpoint in (config.peer, config.client):
            for _ in range(CALLERS):
                caller = stack.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(split_endpoint(endpoint))
        yield


def _size_bytes(pid: int) -> int:
    """Return how much address space a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


async def _ends(stage: Stage, member: int) -> int | None:
    """Return the exit code of a replica that stops within the hold, or None."""
    for _ in range(round(HOLD_S / LOOK_S)):
        code = stage.group.replica_exit_now(member)
        if code is not None:
            return code
        await asyncio.sleep(LOOK_S)
    return None


DRILLS: Final = (
    Drill(
        "few-descriptors",
        "Let nodes open no more files.",
        few_descriptors,
        rounds=1,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
    Drill(
        "little-memory",
        "Let replicas have no more memory.",
        little_memory,
        rounds=1,
        setting=Setting(snapshot_entries=SNAPSHOT_ENTRIES),
    ),
)
