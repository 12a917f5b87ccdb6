"""``steelyard explain``: why the exchange did what it did, worked out again from a member's log."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from steelyard.ops.options import as_json, data_directory
from steelyard.ops.terminal import Terminal

if TYPE_CHECKING:
    from steelyard.ops.explain.log import MemberLog
    from steelyard.ops.explain.telling import Explanation

EXIT_FAILED: Final = 1
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def explain() -> None:
    """Work a decision out again from a member's log, with all its numbers.

    The log is replayed to the decision; what was decided is worked out once more from the inputs and
    compared with what the log's events say.  Exit status 1 if they differ.  The group may be running.
    """


def _from_a_log(command: Command) -> Command:
    """Add where the log is, and ``--json``."""
    member = click.option(
        "--member",
        type=click.IntRange(1, 3),
        help="Whose log; that which reaches back furthest unless told otherwise.",
    )
    return member(data_directory(as_json(command)))


@explain.command()
@click.argument("number", type=click.IntRange(1))
@_from_a_log
def order(number: int, member: int | None, directory: Path, as_json: bool) -> None:
    """Explain the order that the exchange gave this NUMBER: what it met, its trades, fees and position."""
    from steelyard.ops.explain.orders import explain_order

    _tell(directory, member, lambda log: explain_order(log, number), as_json=as_json)


@explain.command()
@click.argument("number", type=click.IntRange(1))
@_from_a_log
def liquidation(number: int, member: int | None, directory: Path, as_json: bool) -> None:
    """Explain a liquidation by its NUMBER: margin line by line, each step and what bounds it, its end."""
    from steelyard.ops.explain.liquidations import explain_liquidation

    _tell(directory, member, lambda log: explain_liquidation(log, number), as_json=as_json)


@explain.command()
@click.argument("number", type=click.IntRange(1))
@_from_a_log
def adl(number: int, member: int | None, directory: Path, as_json: bool) -> None:
    """Explain the auto-deleveraging for the liquidation of this NUMBER: the whole ranking, with scores."""
    from steelyard.ops.explain.adls import explain_adl

    _tell(directory, member, lambda log: explain_adl(log, number), as_json=as_json)


@explain.command()
@click.argument("request")
@_from_a_log
def reject(request: str, member: int | None, directory: Path, as_json: bool) -> None:
    """Explain why a REQUEST was refused: SESSION:REQUEST, or INDEX/PLACE with places from 1."""
    from steelyard.ops.explain.rejects import explain_reject

    _tell(directory, member, lambda log: explain_reject(log, request), as_json=as_json)


@explain.command()
@click.argument("round_of", metavar="SYMBOL@WHEN")
@click.option("--account", default=0, type=click.IntRange(0), help="Also what this account paid.")
@_from_a_log
def funding(round_of: str, account: int, member: int | None, directory: Path, as_json: bool) -> None:
    """Explain the first funding round that ended at WHEN or later: its samples, rate, and payments.

    WHEN is a log index, or a UTC time such as 2026-01-31T08:00.
    """
    from steelyard.ops.explain.funding import explain_funding

    symbol, _, when = round_of.rpartition("@")
    if not symbol:
        raise click.BadParameter("say SYMBOL@INDEX or SYMBOL@TIME, such as BTC-USDT-PERP@2026-01-31T08:00")
    index = int(when) if when.isdecimal() else 0
    time_ns = 0 if when.isdecimal() else _time_ns(when)
    _tell(
        directory,
        member,
        lambda log: explain_funding(log, symbol, index=index, time_ns=time_ns, account=account),
        as_json=as_json,
    )


def _time_ns(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a log index nor a time") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp() * 1_000_000) * 1000


def _tell(
    directory: Path,
    member: int | None,
    explained: "Callable[[MemberLog], Explanation]",
    *,
    as_json: bool,
) -> None:
    from steelyard.ops.explain.log import MemberLog
    from steelyard.ops.explain.telling import shown

    terminal = Terminal(as_json=as_json)
    log = MemberLog.of(directory, member)
    with terminal.busy(f"replaying the log of {log.node.name}, {log.first_index} to {log.commit_index}"):
        explanation = explained(log)
    result = {**explanation.result(), "node": log.node.name}
    terminal.finish(result, shown(result))
    if not explanation.matches:
        raise SystemExit(EXIT_FAILED)
