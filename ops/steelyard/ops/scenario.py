"""``steelyard scenario``: whole stories that a market has to survive."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from steelyard.ops.options import Measure, as_json, kept_results
from steelyard.ops.results import write_results
from steelyard.ops.terminal import Terminal

EXIT_FAILED: Final = 1
#: Between two words of the feed there is a quarter of a second.
STEPS_PER_S: Final = 4
ACCOUNTS_MAX: Final = 200_000
KILLS_MAX: Final = 100


@click.group()
def scenario() -> None:
    """Play whole stories that a market has to survive, and judge what came of them."""


@scenario.command()
@click.option(
    "--accounts", default=2_000, show_default=True, type=click.IntRange(10, ACCOUNTS_MAX), help="Traders."
)
@click.option(
    "--drop",
    default=50.0,
    show_default=True,
    type=Measure(1, 95),
    help="How far the price falls, in per cent.",
)
@click.option("--seed", default=1, show_default=True, help="Of the path and of the crowd.")
@click.option(
    "--seconds",
    default=90.0,
    show_default=True,
    type=Measure(5, 3600),
    help="How long the fall takes, in log time.",
)
@click.option(
    "--kills",
    default=1,
    show_default=True,
    type=click.IntRange(0, KILLS_MAX),
    help="Leaders to be killed, one after the other, spread over the cascade.",
)
@click.option(
    "--in-process",
    is_flag=True,
    help="One exchange in this process, every invariant after each entry; a snapshot in place of each kill.",
)
@click.option(
    "--data",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Found the group there and leave its data; otherwise a temporary one.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write pictures to this folder: price, liquidations, funds, auto-deleveraging, and all in one.",
)
@kept_results
@as_json
def crash(
    accounts: int,
    drop: float,
    seed: int,
    seconds: float,
    kills: int,
    in_process: bool,
    directory: Path | None,
    plots: Path | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Let a market of leveraged traders fall, with thin books, silent oracles and killed leaders.

    Three perpetual contracts, one of them inverse, and traders with 3x to 100x leverage on both sides.  At
    the end every atom must be accounted for on all replicas, and every liquidation must have begun and ended
    once in the log of each.
    """
    from steelyard.ops.crash.play import Plan
    from steelyard.ops.crash.report import report_table
    from steelyard.ops.crash.run import crash_in_process, crash_on_group

    if in_process and directory is not None:
        raise click.UsageError("--in-process has no group, and so no --data")
    terminal = Terminal(as_json=as_json)
    plan = Plan(accounts, drop / 100, seed, round(seconds * STEPS_PER_S), kills)
    work = (
        crash_in_process(terminal, plan, plots)
        if in_process
        else crash_on_group(terminal, plan, plots, directory)
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result: dict[str, Any] = runner.run(work)
    if keep:
        terminal.say(f"kept in {write_results('scenario-crash', result)}")
    terminal.finish(result, report_table(result))
    if not result["ok"]:
        raise SystemExit(EXIT_FAILED)
