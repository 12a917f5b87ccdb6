"""What every command of ``steelyard operate`` has in common: a desk to work at, and how it is told."""

import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from steelyard.client import Admin, Asset, Client, Instrument
from steelyard.client.errors import Rejected
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.options import as_json, data_directory
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import SESSIONS, finish, run

PPM: Final = 1_000_000

C = TypeVar("C", bound=Callable[..., Any])


class Desk:
    """An operator at work: the admin session, and what names stand for."""

    def __init__(self, group: LocalGroup, client: Client, admin: Admin) -> None:
        self.group = group
        self.client = client
        self.admin = admin

    async def instrument(self, symbol: str) -> Instrument:
        """Return an instrument by its symbol."""
        return await self.client.instrument(symbol)

    async def asset(self, symbol: str) -> Asset:
        """Return an asset by its symbol."""
        assets = await self.client.assets()
        if symbol not in assets:
            raise OpsError(f"no asset {symbol}; listed: {', '.join(assets) or 'none'}")
        return assets[symbol]


#: What a command does; it returns the log index at which it was carried out.
Work = Callable[[Desk], Awaitable[int]]


def operating(command: C) -> C:
    """Add what every operator's command takes."""
    key = click.option(
        "--key", default="operator", show_default=True, help="Whose key, in the group's folder."
    )
    return key(data_directory(as_json(command)))


def carry_out(directory: Path, key: str, said: str, work: Work, *, as_json: bool) -> None:
    """Do one thing in the operator's session, and tell what came of it."""

    async def do() -> dict[str, Any]:
        group = LocalGroup.open(directory)
        async with group.client(key) as client:
            desk = Desk(group, client, await client.admin(session_name()))
            try:
                log_index = await work(desk)
            except Rejected as error:
                return {"asked": said, "refused": error.reason, "log_index": error.log_index, "ok": False}
        return {"asked": said, "log_index": log_index, "ok": True}

    finish(Terminal(as_json=as_json), run(do()))


def session_name() -> str:
    """Return the operator's session of this process: calls at the same time do not share one."""
    return f"command line {os.getpid() % SESSIONS}"


def ppm_of(fraction: Decimal) -> int:
    """Return a fraction in millionths."""
    ppm = fraction * PPM
    if ppm != int(ppm):
        raise click.UsageError(f"{fraction * 100} % is finer than a millionth")
    return int(ppm)
