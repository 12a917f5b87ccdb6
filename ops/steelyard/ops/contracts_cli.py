"""``steelyard contracts``, ``funding`` and ``liquidations``: what everybody may see of contracts."""

from pathlib import Path
from typing import Any

import click

from steelyard.client import Client, ReadMode
from steelyard.ops.market_cli import ask_group, node_option
from steelyard.ops.options import as_json, data_directory, question
from steelyard.ops.terminal import Terminal

_COUNT = click.option(
    "--count", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
_AFTER = click.option(
    "--after", default=0, type=click.IntRange(0), help="Those after this log index; else the newest."
)


@click.command()
@question
@data_directory
@as_json
def contracts(node: int | None, freshness: tuple[ReadMode, int], directory: Path, as_json: bool) -> None:
    """Show every contract: mark, index, funding, open interest."""
    from steelyard.ops import contract_views as views

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        mode, min_index = freshness
        found = await client.contracts(mode, min_index, node=target)
        listed = await client.instruments(mode, max(min_index, found.log_index), node=target)
        return views.contracts_values(found, {each.instrument: each for each in listed.values()})

    found = ask_group(directory, ask, node)
    Terminal(as_json=as_json).finish(found, views.contracts_table(found))


@click.command()
@click.argument("symbol")
@_COUNT
@_AFTER
@node_option
@data_directory
@as_json
def funding(symbol: str, count: int, after: int, node: int | None, directory: Path, as_json: bool) -> None:
    """Show the settlements of a contract's funding, oldest first, from an archive."""
    from steelyard.ops import contract_views as views
    from steelyard.ops.account_margin import contract_of

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        contract = await contract_of(client, symbol)
        found = await client.market.funding(contract, after_index=after, rows_max=count, node=target)
        return views.fundings_values(contract, found)

    found = ask_group(directory, ask, node)
    Terminal(as_json=as_json).finish(found, views.fundings_table(found))


@click.command()
@click.argument("symbol", required=False)
@_COUNT
@_AFTER
@node_option
@data_directory
@as_json
def liquidations(
    symbol: str | None, count: int, after: int, node: int | None, directory: Path, as_json: bool
) -> None:
    """Show what liquidations did, in one contract or in all, without whose they were, from an archive."""
    from steelyard.ops import contract_views as views
    from steelyard.ops.account_margin import contract_of

    async def ask(client: Client, target: str | None) -> dict[str, Any]:
        contract = 0 if symbol is None else (await contract_of(client, symbol)).instrument
        found = await client.market.liquidations(contract, after_index=after, rows_max=count, node=target)
        listed = {each.instrument: each for each in (await client.instruments()).values()}
        return views.liquidations_values(found, listed)

    found = ask_group(directory, ask, node)
    Terminal(as_json=as_json).finish(found, views.liquidations_table(found))
