"""``steelyard demo``: a made-up market, a killed leader, and a verdict, within a minute."""

from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from steelyard.ops.capture import Capture
from steelyard.ops.replay import replay_capture
from steelyard.ops.terminal import Terminal, text_of

KILL_AT: Final = 0.5

#: What a person wants to know, in the order of interest: (key, words, whether more than zero is bad).
_ROWS: Final = (
    ("acknowledged", "orders acknowledged", False),
    ("lost", "lost", True),
    ("duplicated", "executed twice", True),
    ("changed", "logged differently", True),
    ("trades", "trades", False),
    ("volume", "volume, BTC", False),
    ("leader_kills", "leaders killed with SIGKILL", False),
    ("recovery_ms", "from the kill to the next acknowledged order, ms", False),
    ("top_of_book_checked", "best prices compared with the market's own", False),
    ("top_of_book_equal", "of them equal", False),
    ("money_conserved", "every asset sums to zero", False),
    ("digests_equal", "digests equal on all replicas", False),
    ("orders_per_second", "orders a second, the outage included", False),
    ("seconds", "seconds", False),
)


async def demo(terminal: Terminal, capture: Capture) -> dict[str, Any]:
    """Replay ``capture`` through a temporary group of three and kill its leader half way."""
    terminal.say("three replicas, three gateways, one market; the leader will be killed half way")
    return await replay_capture(terminal, capture, kill_leader_at=KILL_AT, directory=None)


def demo_table(result: dict[str, Any]) -> Table:
    """Return the outcome as a table a person likes to read."""
    good = "[bold green]ok[/]" if result["ok"] else "[bold red]NOT ok[/]"
    table = Table(title=f"One market, three replicas, a killed leader: {good}", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    for key, words, bad in _ROWS:
        value = result[key]
        shown = text_of(value)
        if bad:
            shown = f"[green]{shown}[/]" if value == 0 else f"[bold red]{shown}[/]"
        table.add_row(words, shown)
    for finding in (*result["findings"], *result["mismatches"]):
        table.add_row(f"[red]{escape(finding)}[/]", "")
    return table
