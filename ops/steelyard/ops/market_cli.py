"""The commands that look at markets and at what was: trades, candles, watch, statements, tiers."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import uvloop

from steelyard.client import Client
from steelyard.ops.options import as_json, data_directory
from steelyard.ops.terminal import Terminal

node_option = click.option(
    "--node", type=click.IntRange(1, 3), help="Ask this node alone; otherwise any that can answer."
)
interval_names = [
    "1s",
    "1m",
    "3m",
    "5m",
    "15m",
    "30m",
    "1h",
    "2h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
    "1mo",
]


@click.command()
@click.argument("symbol")
@click.option("--count", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--after", default=0, type=click.IntRange(0), help="Those after this trade; else the newest.")
@node_option
@data_directory
@as_json
def trades(symbol: str, count: int, after: int, node: int | None, directory: Path, as_json: bool) -> None:
    """Show an instrument's trades, oldest first, from an archive."""
    from steelyard.ops import market_views as views

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        instrument = await client.instrument(symbol)
        found = await client.market.trades(instrument, after_trade=after, trades_max=count, node=target)
        return views.trades_values(instrument, found)

    found = ask_group(directory, ask, node)
    Terminal(as_json=as_json).finish(found, views.trades_table(found))


@click.command()
@click.argument("symbol")
@click.option(
    "--interval", default="1m", show_default=True, type=click.Choice(interval_names), help="How long."
)
@click.option("--count", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option(
    "--from", "from_time", type=click.DateTime(), help="From this moment of UTC on; else the newest."
)
@node_option
@data_directory
@as_json
def candles(
    symbol: str,
    interval: str,
    count: int,
    from_time: datetime | None,
    node: int | None,
    directory: Path,
    as_json: bool,
) -> None:
    """Show what was traded in each interval, oldest first, from an archive."""
    from steelyard.ops import market_views as views
    from steelyard.ops.market_watch import INTERVALS

    from_ns = 0 if from_time is None else int(from_time.replace(tzinfo=UTC).timestamp()) * 10**9

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        instrument = await client.instrument(symbol)
        found = await client.market.candles(
            instrument, INTERVALS[interval], from_ns=from_ns, candles_max=count, node=target
        )
        return views.candles_values(instrument, interval, found)

    found = ask_group(directory, ask, node)
    Terminal(as_json=as_json).finish(found, views.candles_table(found))


@click.command()
@click.argument("symbol")
@click.option(
    "--channels",
    default="best,trades,status",
    show_default=True,
    help="Of best, levels, orders, trades, ticker, candles and status, with commas; of a contract also "
    "prices, funding, open_interest and liquidations.",
)
@click.option(
    "--interval", default="1m", show_default=True, type=click.Choice(interval_names), help="Of candles."
)
@click.option("--depth", default=10, show_default=True, type=click.IntRange(0, 1000), help="Levels; 0: all.")
@node_option
@data_directory
@as_json
def watch(
    symbol: str, channels: str, interval: str, depth: int, node: int | None, directory: Path, as_json: bool
) -> None:
    """Tell every change of a market as it happens, until Ctrl-C; with --json one object a line."""
    from steelyard.client.market_model import Channel
    from steelyard.ops.market_watch import CHANNELS, INTERVALS
    from steelyard.ops.market_watch import watch as part

    names = [name.strip() for name in channels.split(",")]
    unknown = [name for name in names if name not in CHANNELS]
    if unknown:
        raise click.UsageError(f"--channels: {unknown[0]!r} is none of {', '.join(CHANNELS)}")
    wanted = [CHANNELS[name] for name in names]

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        candles = INTERVALS[interval] if Channel.CANDLES in wanted else None
        await part(client, symbol, wanted, interval=candles, depth=depth, as_json=as_json, node=target)
        return {}

    ask_group(directory, ask, node)


@click.command()
@click.option("--account", type=click.IntRange(1), help="Another one than the key's own.")
@click.option("--key", default="alice", show_default=True, help="Whose key, in the group's folder.")
@click.option("--from", "after", default=0, type=click.IntRange(0), help="After this log index.")
@click.option("--to", default=0, type=click.IntRange(0), help="Up to this log index; else as far as known.")
@click.option("--movements", is_flag=True, help="Every single movement as well.")
@node_option
@data_directory
@as_json
def statement(
    account: int | None,
    key: str,
    after: int,
    to: int,
    movements: bool,
    node: int | None,
    directory: Path,
    as_json: bool,
) -> None:
    """Show what came and went by cause, of the key's own account or of another that it may see.

    The amounts of an asset are the difference of its balances exactly.
    """
    from rich.console import Group

    from steelyard.ops import market_views as views

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        found = await client.market.statement(
            account, after_index=after, to_index=to, movements=movements, node=target
        )
        assets = {asset.asset: asset for asset in (await client.assets()).values()}
        return views.statement_values(account or client.key.account, found, assets)

    found = ask_group(directory, ask, node, key)
    shown = views.statement_table(found)
    Terminal(as_json=as_json).finish(
        found, Group(shown, views.movements_table(found)) if movements else shown
    )


@click.command()
@click.option(
    "--table",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The tiers, in TOML.",
)
@click.option("--apply", is_flag=True, help="Set the tiers that have changed.")
@data_directory
@as_json
def tiers(path: Path, apply: bool, directory: Path, as_json: bool) -> None:
    """Work out every account's fee tier by its volume of 30 days and its balance; --apply sets them."""
    from steelyard.ops import tiers as part
    from steelyard.ops.cluster import LocalGroup

    found = _run(part.tiers(LocalGroup.open(directory), path, apply=apply))
    Terminal(as_json=as_json).finish(found, part.tiers_table(found))


def ask_group(directory: Path, ask: Any, node: int | None, key: str = "operator") -> dict[str, Any]:  # noqa: ANN401 - a coroutine function
    """Ask the group in a directory something with one of its keys."""
    from steelyard.ops.cluster import LocalGroup

    group = LocalGroup.open(directory)

    async def work() -> dict[str, Any]:
        async with group.client(key) as client:
            found: dict[str, Any] = await ask(client, None if node is None else group.endpoints[node - 1])
            return found

    return _run(work())


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
