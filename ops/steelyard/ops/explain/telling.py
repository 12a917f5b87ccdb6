"""An explanation: facts, tables of inputs, and what was compared with what the events say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from steelyard.ops.terminal import text_of

#: What a cell of an explanation holds.
Value = int | str | bool | None
Row = Mapping[str, Value]


class Check(NamedTuple):
    """Something that was worked out again, and what the log's events say of it."""

    what: str
    told: Value
    found: Value

    @property
    def matches(self) -> bool:
        """Whether both are the same."""
        return self.told == self.found


class Explanation:
    """What is known of one decision, in the order in which it was found out."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.facts: dict[str, Value] = {}
        self.tables: dict[str, list[Row]] = {}
        self.checks: list[Check] = []

    def table(self, title: str, rows: Iterable[Row]) -> None:
        """Add a table, or rows to it."""
        self.tables.setdefault(title, []).extend(rows)

    def check(self, what: str, told: Value, found: Value) -> None:
        """Compare what an event says with what it should say."""
        self.checks.append(Check(what, told, found))

    @property
    def matches(self) -> bool:
        """Whether everything that was worked out again is what the events say."""
        return all(check.matches for check in self.checks)

    def result(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "facts": self.facts,
            "tables": self.tables,
            "checks": [
                {"what": check.what, "told": check.told, "found": check.found, "matches": check.matches}
                for check in self.checks
            ],
            "matches": self.matches,
            "ok": self.matches,
        }


def shown(result: Mapping[str, Any]) -> Group:
    """Return an explanation as tables that a person likes to read."""
    good = "[bold green]as the log says[/]" if result["matches"] else "[bold red]NOT as the log says[/]"
    facts = Table(
        title=f"{result['kind']} {escape(result['name'])}: {good}", title_justify="left", show_header=False
    )
    facts.add_column(style="bold")
    facts.add_column(overflow="fold")
    for name, value in result["facts"].items():
        facts.add_row(name.replace("_", " "), text_of(value))
    return Group(
        facts,
        *(_table(title, rows) for title, rows in result["tables"].items() if rows),
        *_checks(result["checks"]),
    )


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        numbers = all(isinstance(row.get(name, 0), int) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text_of(row[name]) if name in row else "" for name in names))
    return table


def _checks(checks: Sequence[Mapping[str, Any]]) -> list[Table]:
    if not checks:
        return []
    table = Table(title="Worked out again", title_justify="left")
    for name in ("what", "the log says", "it should be", ""):
        table.add_column(name, justify="left" if name in ("what", "") else "right", overflow="fold")
    for check in checks:
        good = "[green]yes[/]" if check["matches"] else "[bold red]NO[/]"
        table.add_row(escape(check["what"]), text_of(check["told"]), text_of(check["found"]), good)
    return [table]
