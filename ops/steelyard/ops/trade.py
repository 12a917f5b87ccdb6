"""``steelyard trade``: orders of every kind, by hand, against the group that runs."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import uvloop
from rich.markup import escape
from rich.table import Table

from steelyard import client
from steelyard.client import BatchMode, Command, Instrument, ListKind, Refused, Reply, Side
from steelyard.client.commands import (
    ArmCountdown,
    Batch,
    CancelOrders,
    PlaceOrder,
    PlaceOrderList,
    ReplaceOrder,
)
from steelyard.ops import words
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.options import as_json, data_directory
from steelyard.ops.order_options import (
    Wish,
    amend_options,
    amend_wish,
    cancel_wish,
    leg,
    name_options,
    order_options,
    order_wish,
)
from steelyard.ops.terminal import Terminal

EXIT_REFUSED: Final = 1
#: Calls of one account at the same time must not share a session; one after the other may.
SESSIONS: Final = 8

C = TypeVar("C", bound=Callable[..., Any])


def trading(command: C) -> C:
    """Add what every command of a trader takes: whose key, which group, and how to tell the outcome."""
    key = click.option("--key", default="alice", show_default=True, help="Whose key, in the group's folder.")
    return key(data_directory(as_json(command)))


@click.group("trade")
def trade() -> None:
    """Place, change and cancel orders; exit status 1 if the exchange refuses.

    A LEG of a list or a batch is a quoted text in the same words: "sell 1 --limit 110", "cancel 17".
    """


def _order_command(side: Side) -> None:
    @trade.command(side.name.lower(), help=f"{side.name.title()} SIZE of SYMBOL, with whatever terms.")
    @click.argument("symbol")
    @order_options
    @trading
    def place(symbol: str, key: str, directory: Path, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - an order's options
        _trade(directory, key, symbol, order_wish(side, given), as_json=as_json)


_order_command(Side.BUY)
_order_command(Side.SELL)


@trade.command("amend")
@click.argument("symbol")
@name_options
@amend_options
@trading
def amend(symbol: str, key: str, directory: Path, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - an amendment's options
    """Change a living order; less size at the same price keeps its place in the queue."""
    _trade(directory, key, symbol, amend_wish(given), as_json=as_json)


@trade.command("cancel")
@click.argument("symbol")
@name_options
@trading
def cancel(symbol: str, key: str, directory: Path, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - an order's name
    """Cancel an order of SYMBOL by its NUMBER, client order id or label."""
    _trade(directory, key, symbol, cancel_wish(given), as_json=as_json)


@trade.command("replace")
@click.argument("symbol")
@click.argument("number", type=click.IntRange(1))
@click.argument("order", metavar="LEG")
@click.option("--place-anyway", is_flag=True, help="Place the new one even if the old one is gone.")
@click.option("--cancel-anyway", is_flag=True, help="Cancel the old one even if the new one is refused.")
@trading
def replace(
    symbol: str,
    number: int,
    order: str,
    place_anyway: bool,
    cancel_anyway: bool,
    key: str,
    directory: Path,
    as_json: bool,
) -> None:
    """Cancel the order of that NUMBER and place another, as one command."""
    wish = leg(order)

    def command(instrument: Instrument) -> Command:
        old = client.CancelOrder(number=number)
        return ReplaceOrder(old, _placed(wish(instrument), order), place_anyway, cancel_anyway)

    _trade(directory, key, symbol, command, as_json=as_json)


def _list_command(kind: ListKind, count: int, what: str) -> None:
    @trade.command(kind.name.lower(), help=what)
    @click.argument("symbol")
    @click.argument("legs", metavar="LEG", nargs=count)
    @trading
    def place(symbol: str, legs: tuple[str, ...], key: str, directory: Path, as_json: bool) -> None:
        wishes = [leg(text) for text in legs]

        def command(instrument: Instrument) -> Command:
            orders = [_placed(wish(instrument), text) for wish, text in zip(wishes, legs, strict=True)]
            return PlaceOrderList(kind, tuple(orders))

        _trade(directory, key, symbol, command, as_json=as_json)


_list_command(ListKind.OCO, 2, "Place two orders of one side; a fill or the trigger of one ends the other.")
_list_command(ListKind.OTO, 2, "Place an order, and another that comes when the first is filled completely.")
_list_command(ListKind.OTOCO, 3, "Place an order, and two that become an OCO when it is filled completely.")


@trade.command("batch")
@click.argument("symbol")
@click.argument("legs", metavar="LEG...", nargs=-1, required=True)
@click.option("--all-or-none", is_flag=True, help="One fault refuses the whole.")
@trading
def batch(
    symbol: str, legs: tuple[str, ...], all_or_none: bool, key: str, directory: Path, as_json: bool
) -> None:
    """Carry out up to 100 orders, cancels and amendments as one command."""
    wishes = [leg(text) for text in legs]
    mode = BatchMode.ALL_OR_NONE if all_or_none else BatchMode.EACH
    _trade(
        directory,
        key,
        symbol,
        lambda instrument: Batch(tuple(wish(instrument) for wish in wishes), mode),
        as_json=as_json,
    )


@trade.command("cancel-all")
@click.argument("symbol", required=False)
@click.option("--side", type=click.Choice(["buy", "sell"]), help="Of this side only.")
@click.option("--sub-accounts", is_flag=True, help="Those of the sub-accounts, too.")
@trading
def cancel_all(
    symbol: str | None, side: str | None, sub_accounts: bool, key: str, directory: Path, as_json: bool
) -> None:
    """Cancel all living orders, of SYMBOL or of all instruments."""
    wanted = Side[side.upper()] if side else 0
    _trade(
        directory,
        key,
        symbol,
        lambda instrument: CancelOrders(_id(symbol, instrument), wanted, sub_accounts),
        as_json=as_json,
    )


@trade.command("countdown")
@click.argument("seconds", type=click.FloatRange(0, 86_400))
@click.argument("symbol", required=False)
@trading
def countdown(seconds: float, symbol: str | None, key: str, directory: Path, as_json: bool) -> None:
    """Cancel all orders, of SYMBOL or of all instruments, in SECONDS unless asked again; 0: never mind."""
    wait_ms = timedelta(seconds=seconds) // timedelta(milliseconds=1)
    _trade(
        directory,
        key,
        symbol,
        lambda instrument: ArmCountdown(wait_ms, _id(symbol, instrument)),
        as_json=as_json,
    )


@trade.command("try")
@click.argument("symbol")
@click.argument("order", metavar="LEG")
@trading
def try_order(symbol: str, order: str, key: str, directory: Path, as_json: bool) -> None:
    """Show what an order would come to; nothing is placed."""
    wish = leg(order)

    async def ask() -> dict[str, Any]:
        async with LocalGroup.open(directory).client(key) as trader:
            instrument = await trader.instrument(symbol)
            trial = await trader.try_order(_placed(wish(instrument), order))
        of_contract: dict[str, Any] = {}
        if instrument.contract is not None:
            at = instrument.price(trial.liquidation_ticks)
            of_contract = {
                "margin": str(instrument.settle.amount(trial.margin_atoms)),
                "available_after": str(instrument.settle.amount(trial.available_atoms)),
                "liquidation_after": str(at) if trial.liquidation_ticks else "none",
            }
        return of_contract | {
            "refused": trial.refused,
            "waits": trial.waits,
            "executed": str(instrument.size(trial.executed_lots)),
            "executed_quote": str(instrument.settle.amount(trial.executed_atoms)),
            "fee": str(instrument.settle.amount(trial.fee_atoms)),
            "open": str(instrument.size(trial.open_lots)),
            "expires": trial.expires,
            "log_index": trial.log_index,
            "ok": not trial.refused,
        }

    finish(Terminal(as_json=as_json), run(ask()))


def run(work: Any) -> dict[str, Any]:  # noqa: ANN401 - a coroutine of plain values
    """Run a command's work on a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found: dict[str, Any] = runner.run(work)
        return found


def finish(terminal: Terminal, result: dict[str, Any], shown: Table | None = None) -> None:
    """Print the outcome; leave with status 1 if it is not what was hoped for."""
    terminal.finish(result, shown)
    if not result["ok"]:
        raise SystemExit(EXIT_REFUSED)


def submit(
    directory: Path,
    key: str,
    symbol: str | None,
    wish: Callable[[client.Client, Instrument | None], Any],
    *,
    as_json: bool,
) -> None:
    """Submit what ``wish`` makes of a client and an instrument, if one is named; show the reply."""

    async def work() -> tuple[dict[str, Any], Table]:
        async with LocalGroup.open(directory).client(key) as trader:
            listed = {each.instrument: each for each in (await trader.instruments()).values()}
            instrument = None if symbol is None else await trader.instrument(symbol)
            command: Command = await wish(trader, instrument)
            session = await trader.unary_session(f"command line {os.getpid() % SESSIONS}")
            reply = await session.submit(command)
            shown = instrument or next(iter(listed.values()))
        said = words.asked(command, listed)
        return _result(key, said, reply, shown), _table(key, said, reply, shown)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result, table = runner.run(work())
    finish(Terminal(as_json=as_json), result, table)


def _trade(
    directory: Path,
    key: str,
    symbol: str | None,
    wish: Wish | Callable[[Instrument], Command],
    *,
    as_json: bool,
) -> None:
    async def make(trader: client.Client, instrument: Instrument | None) -> Command:
        return wish(instrument or next(iter((await trader.instruments()).values())))

    submit(directory, key, symbol, make, as_json=as_json)


def _placed(command: client.Leg, text: str) -> PlaceOrder:
    if not isinstance(command, PlaceOrder):
        raise click.UsageError(f"{text!r} is no order to buy or sell")
    return command


def _id(symbol: str | None, instrument: Instrument) -> int:
    return 0 if symbol is None else instrument.instrument


def _result(key: str, said: str, reply: Reply, instrument: Instrument) -> dict[str, Any]:
    return {
        "key": key,
        "asked": said,
        "answer": words.answered(reply, instrument),
        "log_index": reply.log_index,
        "reply": plain(reply, instrument),
        "ok": not isinstance(reply, Refused),
    }


def _table(key: str, said: str, reply: Reply, instrument: Instrument) -> Table:
    table = Table(title=f"log index {reply.log_index:,}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row(escape(key), escape(said))
    legs: Sequence[Reply] = reply.legs if isinstance(reply, client.Many) else (reply,)
    for each in legs:
        refused = isinstance(each, Refused)
        said = escape(words.answered(each, instrument))
        table.add_row("exchange", f"[red]{said}[/]" if refused else said)
    return table


def plain(reply: Reply, instrument: Instrument) -> dict[str, Any]:
    """Return a reply as plain values, sizes and amounts as exact decimals."""
    found: dict[str, Any] = {"kind": type(reply).__name__.lower()}
    if isinstance(reply, client.Many):
        return found | {"legs": [plain(each, instrument) for each in reply.legs]}
    scales = {
        "executed_lots": ("executed", instrument.size),
        "open_lots": ("open", instrument.size),
        "executed_atoms": ("executed_quote", instrument.settle.amount),
        "fee_atoms": ("fee", instrument.settle.amount),
    }
    for field, value in reply._asdict().items():
        if field in scales:
            name, scale = scales[field]
            found[name] = f"{scale(value):f}"
        elif field not in ("request", "fingerprint", "log_index"):
            found[field] = value
    return found
