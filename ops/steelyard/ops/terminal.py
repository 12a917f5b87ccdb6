"""What the person at the terminal sees: progress and tables on stderr and stdout, or one JSON object."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TextIO

import msgspec
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

#: What is not a terminal has no width: nothing is wrapped or cut for it.
UNBOUNDED_COLUMNS: Final = 10_000

Advance = Callable[[int], None]


class Terminal:
    """Where a command's words go.

    With ``as_json`` stdout carries exactly one JSON object; everything else, progress included, is on stderr.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.progress_console = Console(stderr=True, width=_columns(sys.stderr))
        self._out = Console(width=_columns(sys.stdout))

    def say(self, text: str) -> None:
        """Tell what is going on; the words are shown as they are, names of files in them too."""
        self.progress_console.print(Text(text), soft_wrap=True)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something goes on for which there is no count."""
        if self.progress_console.is_terminal:
            with self.progress_console.status(escape(what)):
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
            task = progress.add_task(escape(what), total=total)
            yield lambda done: progress.update(task, completed=done)

    def show(self, what: RenderableType) -> None:
        """Print a part of the outcome as soon as it is there, for a person; with ``as_json`` nothing."""
        if not self.as_json:
            self._out.print(what, highlight=False)

    def finish(self, result: dict[str, Any], shown: RenderableType | None = None) -> None:
        """Print the outcome: the object as JSON, or what a person would rather read."""
        if self.as_json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
            sys.stdout.flush()
        else:
            shown = facts(result) if shown is None else shown
            self._out.print(Text(shown) if isinstance(shown, str) else shown, highlight=False)


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
    """Return a value as a person writes it, ready for a table's cell."""
    if isinstance(value, bool):
        return "[green]yes[/]" if value else "[red]no[/]"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Sequence) and not value:
        return "none"
    return escape(str(value))


def _columns(stream: TextIO) -> int | None:
    """Return the width to write for; None: that of the terminal."""
    return None if stream.isatty() else UNBOUNDED_COLUMNS
