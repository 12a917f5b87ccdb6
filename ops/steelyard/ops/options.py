"""What several commands of the command line have in common: their options, and what these take."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from steelyard.client import ReadMode
from steelyard.client.wire import NUMBER_MAX

Command = TypeVar("Command", bound=Callable[..., Any])


def as_json(command: Command) -> Command:
    """Add ``--json`` to a command."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout; progress goes to stderr."
    )(command)


def kept_results(command: Command) -> Command:
    """Add ``--write-results`` to a command."""
    return click.option(
        "--write-results", "keep", is_flag=True, help="Also keep the outcome, dated, in loadtests/results."
    )(command)


def data_directory(command: Command) -> Command:
    """Add ``--data`` for a group that stays."""
    return click.option(
        "--data",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".steelyard"),
        show_default=True,
        help="The group's data directory.",
    )(command)


class Measure(click.FloatRange):
    """A number within bounds; "nan" and "inf" are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the number."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


profile = click.option(
    "--profile",
    type=click.Choice(["shared", "dedicated"]),
    default="shared",
    show_default=True,
    help="Timeouts for a machine that others use too, or for one that is ours alone.",
)

quick = click.option("--quick", is_flag=True, help="As few rounds as make sense.")


class Freshness(click.ParamType[tuple[ReadMode, int]]):
    """``linearizable``, ``stale``, or ``at-least:INDEX``."""

    name = "freshness"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the mode and the index."""
        mode, _, index = str(value).partition(":")
        if mode == "at-least" and index.isascii() and index.isdigit() and int(index) <= NUMBER_MAX:
            return ReadMode.AT_LEAST, int(index)
        if value in ("linearizable", "stale"):
            return ReadMode[value.upper()], 0
        self.fail(f"{value!r} is neither linearizable, nor stale, nor at-least:INDEX.", param, ctx)
        raise AssertionError("fail returns to nobody")


def question(command: Command) -> Command:
    """Add ``--node`` and ``--read`` to a command that asks the group something."""
    node = click.option(
        "--node",
        type=click.IntRange(1, 3),
        help="Ask this node alone, leader or not; otherwise the leader, or for less fresh answers any.",
    )
    read = click.option(
        "--read",
        "freshness",
        type=Freshness(),
        default="linearizable",
        show_default=True,
        help="How fresh: linearizable, at-least:INDEX, or stale (what the node has, at once).",
    )
    return node(read(command))
