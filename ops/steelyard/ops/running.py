"""``steelyard up``, ``down`` and ``status``: a group that stays."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from steelyard.ops.cluster import LocalGroup, child_environment
from steelyard.ops.errors import GroupError
from steelyard.ops.market import DEVELOPMENT_KEYS, open_development_market
from steelyard.ops.status import Watch, group_status, status_table
from steelyard.ops.supervisor import LOOK_S, SUPERVISOR_LOG, Supervisor
from steelyard.ops.terminal import Terminal
from steelyard.replication.config import GROUP_FILE, Profile

READY_S: Final = 60.0
SHOW_EVERY_S: Final = 0.5


class UpSettings(NamedTuple):
    """What ``steelyard up`` was asked for."""

    directory: Path
    profile: Profile
    empty: bool
    #: The members that keep an archive.
    archives: tuple[int, ...] = ()


def up(terminal: Terminal, settings: UpSettings, *, detach: bool) -> None:
    """Start a group, founding it if need be; stay with it, or leave it to a supervisor in the background."""
    fresh = not (settings.directory / GROUP_FILE).exists()
    if fresh:
        terminal.say(f"founding a group in {settings.directory}")
        group = LocalGroup.found(settings.directory, profile=settings.profile, usual_ports=True)
    else:
        group = LocalGroup.open(settings.directory)
    if group.run.alive():
        raise GroupError(f"the group in {settings.directory} runs already; 'steelyard down' stops it")
    if detach:
        with _supervised(group, settings.archives):
            asyncio.run(_make_ready(terminal, group, empty=settings.empty))
        terminal.finish(_where(group), _where_table(group, "the group runs"))
    else:
        _stay(terminal, group, settings)


def down(terminal: Terminal, directory: Path) -> None:
    """Stop what runs in ``directory``; nothing running is fine."""
    group = LocalGroup.open(directory)
    stopped = group.stop()
    terminal.finish(
        {"stopped": stopped, "ok": True},
        f"stopped {len(stopped)} processes" if stopped else f"nothing was running in {directory}",
    )


def show_status(terminal: Terminal, directory: Path) -> bool:
    """Print the group's status; return whether a leader is ready."""
    group = LocalGroup.open(directory)

    async def ask() -> dict[str, Any]:
        async with group.client() as client:
            return await group_status(group, client)

    status = asyncio.run(ask())
    terminal.finish(status, status_table(status))
    return bool(status["ready"])


@contextmanager
def _supervised(group: LocalGroup, archives: tuple[int, ...]) -> Iterator[None]:
    """Start a supervisor that stays, unless the block fails or is interrupted."""
    with (group.directory / SUPERVISOR_LOG).open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "steelyard.ops.supervisor", str(group.directory), *map(str, archives)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=child_environment(),
        )
    try:
        _await_start(group, child)
        yield
    except BaseException:
        # What it has started is leashed to it, also what it has not recorded yet.
        child.kill()
        child.wait()
        group.stop()
        raise


def _await_start(group: LocalGroup, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while group.refresh().supervisor is None:
        if supervisor.poll() is not None or time.monotonic() > deadline:
            raise GroupError(f"the supervisor did not start; see {group.directory / SUPERVISOR_LOG}")
        time.sleep(LOOK_S)


async def _make_ready(terminal: Terminal, group: LocalGroup, *, empty: bool) -> None:
    async with group.client() as client:
        with terminal.busy("waiting for the group"):
            await group.wait_ready(client, seconds=READY_S)
        if not empty and not all(group.key_path(name).exists() for name in DEVELOPMENT_KEYS):
            with terminal.busy("opening the development market"):
                await open_development_market(group, client)


def _stay(terminal: Terminal, group: LocalGroup, settings: UpSettings) -> None:
    supervisor = Supervisor(group, settings.archives)
    try:
        supervisor.start()
        asyncio.run(_show(terminal, supervisor, empty=settings.empty))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough; stopping must not be interrupted
    finally:
        terminal.say("stopping the group")
        group.stop()
    terminal.finish(_where(group), "stopped")


async def _show(terminal: Terminal, supervisor: Supervisor, *, empty: bool) -> None:
    """Show the status, twice a second, until interrupted; restart what stops.

    Where nobody can watch a table change, only what happens is told.
    """
    group = supervisor.group
    await _make_ready(terminal, group, empty=empty)
    where = _where_table(group, "Ctrl-C stops the group")
    if not terminal.progress_console.is_terminal:
        terminal.progress_console.print(where)
        while True:
            for line in supervisor.look(time.monotonic()):
                terminal.say(line)
            await asyncio.sleep(LOOK_S)
    news: list[str] = []
    async with group.client() as client:
        watch = Watch(group, client)
        with Live(console=terminal.progress_console, auto_refresh=False) as live:
            while True:
                news = (news + supervisor.look(time.monotonic()))[-5:]
                shown = Group(status_table(await watch.look()), where, *map(Text, news))
                live.update(shown, refresh=True)
                await asyncio.sleep(SHOW_EVERY_S)


def _where(group: LocalGroup) -> dict[str, Any]:
    """Return what one needs to use the group: endpoints and keys."""
    return {
        "data": str(group.directory),
        "endpoints": group.endpoints,
        "keys": {
            name: str(group.key_path(name))
            for name in ("operator", *DEVELOPMENT_KEYS)
            if group.key_path(name).exists()
        },
        "ok": True,
    }


def _where_table(group: LocalGroup, title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")  # a path that is cut is of no use
    table.add_row("endpoints", "  ".join(group.endpoints))
    for name, path in _where(group)["keys"].items():
        table.add_row(f"{name}'s key", escape(path))
    table.add_row("data", escape(str(group.directory)))
    return table
