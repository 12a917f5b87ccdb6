"""``steelyard demo --spot-tour``: every kind of order and every rule once, on a real group."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from rich.markup import escape
from rich.table import Table

from steelyard.client import SteelyardError
from steelyard.ops import tour_house, tour_orders
from steelyard.ops.errors import OpsError
from steelyard.ops.scratch import scratch_group
from steelyard.ops.terminal import Terminal, text_of
from steelyard.ops.tour_stage import Stage, Step
from steelyard.ops.verdict import Verdict, gather, judge

#: What is played, in this order; the first line of each one's docstring is its title.
STEPS: Final[tuple[Callable[[Step], Awaitable[None]], ...]] = (
    tour_orders.limit,
    tour_orders.market,
    tour_orders.budget,
    tour_orders.stop_orders,
    tour_orders.take_profits,
    tour_orders.trailing,
    tour_orders.iceberg,
    tour_orders.post_only,
    tour_orders.ioc,
    tour_orders.fok,
    tour_orders.good_till_date,
    tour_orders.oco,
    tour_orders.oto,
    tour_orders.otoco,
    tour_orders.amending,
    tour_orders.replacing,
    tour_orders.batches,
    tour_orders.cancel_all,
    tour_house.countdown,
    tour_house.disconnect,
    tour_orders.dry_run,
    tour_house.self_trade,
    tour_house.transfer_lots,
    tour_house.halt_and_auction,
    tour_house.scheduled_auction,
    tour_house.sub_account,
    tour_house.freeze,
    tour_house.fees,
    tour_house.money,
)


async def tour(terminal: Terminal) -> dict[str, Any]:
    """Found a group, play every step on it, and judge the logs of all replicas.

    A step that fails is told, and the others are played all the same.
    """
    started_s = time.monotonic()
    with scratch_group() as scratch:
        group = scratch.group
        async with group.client() as operator:
            with terminal.busy("waiting for the group"):
                await group.wait_ready(operator)
            async with await Stage.of(group, operator) as stage:
                steps = [await _play(terminal, stage, play) for play in STEPS]
            acks = stage.acks
            await group.wait_ready(operator)
            await group.wait_level(operator, acks.last_index)
            await group.wait_logged(acks.last_index)
        with terminal.busy("reading the logs of all replicas"):
            verdict = judge(acks, await asyncio.to_thread(gather, group.node_directories))
        result = _result(steps, verdict, stage.kills, time.monotonic() - started_s)
        scratch.keep_unless(result["ok"], terminal)
    return result


async def _play(terminal: Terminal, stage: Stage, play: Callable[[Step], Awaitable[None]]) -> Step:
    step = await stage.step(_title(play))
    try:
        await play(step)
    except (OpsError, SteelyardError) as error:
        step.failure = str(error)
    await tour_orders.settle(step)
    terminal.show(step_table(_plain(step)))
    return step


def _title(play: Callable[[Step], Awaitable[None]]) -> str:
    return (inspect.getdoc(play) or play.__name__).splitlines()[0].rstrip(".")


def _plain(step: Step) -> dict[str, Any]:
    return {
        "title": step.title,
        "said": [row._asdict() for row in step.rows],
        "shows": step.shows,
        "failure": step.failure,
        "ok": step.ok,
    }


def _result(steps: list[Step], verdict: Verdict, kills: int, seconds: float) -> dict[str, Any]:
    failures = [f"{step.title}: {step.failure}" for step in steps if not step.ok]
    return {
        "steps": [_plain(step) for step in steps],
        "steps_played": len(steps),
        "claims": sum(len(step.shows) for step in steps),
        **msgspec.structs.asdict(verdict),
        "leader_kills": kills,
        "seconds": round(seconds, 2),
        "failures": failures,
        "ok": verdict.ok and not failures,
    }


def step_table(step: dict[str, Any]) -> Table:
    """Return a step as a table: who said what, what the exchange said, and what that shows."""
    good = "[bold green]ok[/]" if step["ok"] else "[bold red]NOT ok[/]"
    table = Table(
        title=f"{escape(step['title'])}  {good}", title_justify="left", show_header=False, expand=False
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for row in step["said"]:
        table.add_row(escape(row["who"]), escape(row["what"]), escape(row["answer"]))
    table.add_section()
    for claim in step["shows"]:
        table.add_row("[green]shows[/]", escape(claim), "")
    if step["failure"]:
        table.add_row("[bold red]failed[/]", f"[red]{escape(step['failure'])}[/]", "")
    return table


#: What a person wants to know at the end: (key, words, whether more than zero is bad).
_ROWS: Final = (
    ("steps_played", "steps", False),
    ("claims", "claims that held", False),
    ("acknowledged", "commands acknowledged", False),
    ("lost", "lost", True),
    ("duplicated", "executed twice", True),
    ("changed", "logged differently", True),
    ("leader_kills", "leaders killed with SIGKILL", False),
    ("money_conserved", "every asset sums to zero", False),
    ("digests_equal", "digests equal on all replicas", False),
    ("seconds", "seconds", False),
)


def tour_table(result: dict[str, Any]) -> Table:
    """Return the end of the tour: the verdict."""
    good = "[bold green]ok[/]" if result["ok"] else "[bold red]NOT ok[/]"
    table = Table(title=f"The spot exchange, complete: {good}", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    for key, what, bad in _ROWS:
        shown = text_of(result[key])
        if bad:
            shown = f"[green]{shown}[/]" if result[key] == 0 else f"[bold red]{shown}[/]"
        table.add_row(what, shown)
    for finding in (*result["failures"], *result["findings"]):
        table.add_row(f"[red]{escape(finding)}[/]", "")
    return table
