"""What the person at the terminal sees: progress and tables on stderr and stdout, or one JSON object."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

Advance = Callable[[int], None]


class Terminal:
    """Where a command's words go.

    With ``as_json`` stdout carries exactly one JSON object; everything else, progress included, is on stderr.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.progress_console = Console(stderr=True)
        self._out = Console()

    def say(self, text: str) -> None:
        """Tell what is going on."""
        self.progress_console.print(text, highlight=False)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something goes on for which there is no count."""
        if self.progress_console.is_terminal:
            with self.progress_console.status(what):
                yield
        else:
            self.say(what)
            yield

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar until the end of the block; the value is called with how far it is."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.progress_console, transient=True, refresh_per_second=4
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    def finish(self, result: dict[str, Any], shown: RenderableType | None = None) -> None:
        """Print the outcome: the object as JSON, or what a person would rather read."""
        if self.as_json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
            sys.stdout.flush()
        else:
            self._out.print(shown if shown is not None else facts(result), highlight=False)


def facts(result: dict[str, Any], title: str = "") -> Table:
    """Return a two-column table of a result's plain values."""
    table = Table(title=title or None, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in result.items():
        if isinstance(value, dict | list) and value:
            continue
        table.add_row(name.replace("_", " "), text_of(value))
    return table


def text_of(value: object) -> str:
    """Return a value as a person writes it."""
    if isinstance(value, bool):
        return "[green]yes[/]" if value else "[red]no[/]"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Sequence) and not value:
        return "none"
    return str(value)
