"""Every drill there is, in the order in which ``steelyard drill all`` runs them."""

import traceback
from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from steelyard.ops.drills import clocks, crashes, disks, limits, networks, operations, partitions, pauses
from steelyard.ops.drills.stage import Drill, perform
from steelyard.ops.terminal import Terminal, text_of
from steelyard.replication.config import Profile

_PARTS: Final = (crashes, pauses, partitions, networks, disks, limits, clocks, operations)
DRILLS: Final[dict[str, Drill]] = {drill.name: drill for part in _PARTS for drill in part.DRILLS}


async def run_all(
    terminal: Terminal, *, quick: bool, profile: Profile, drills: Mapping[str, Drill] = DRILLS
) -> dict[str, Any]:
    """Run every drill; return all verdicts and whether all are ok.

    A drill that breaks off is not ok, and neither is one in which we have a fault, which shows where; the
    others are run all the same.
    """
    verdicts: list[dict[str, Any]] = []
    for number, drill in enumerate(drills.values(), 1):
        terminal.say(f"drill {number} of {len(drills)}: {drill.name}")
        try:
            verdict = await perform(terminal, drill, quick=quick, profile=profile)
        except Exception as error:
            terminal.say("".join(traceback.format_exception(error)))
            verdict = {"drill": drill.name, "error": repr(error), "ok": False}
        terminal.say(f"drill {number} of {len(drills)}: {drill.name} {told(verdict)}")
        verdicts.append(verdict)
    return {
        "drills": verdicts,
        "skipped": [verdict["drill"] for verdict in verdicts if "skipped" in verdict],
        "failed": [verdict["drill"] for verdict in verdicts if not verdict["ok"]],
        "acknowledged": sum(verdict.get("acknowledged", 0) for verdict in verdicts),
        "lost": sum(verdict.get("lost", 0) for verdict in verdicts),
        "duplicated": sum(verdict.get("duplicated", 0) for verdict in verdicts),
        "linearizable": all(verdict.get("linearizable", True) for verdict in verdicts),
        "operations_checked": sum(verdict.get("operations_checked", 0) for verdict in verdicts),
        "quick": quick,
        "profile": profile,
        "ok": all(verdict["ok"] for verdict in verdicts),
    }


def told(verdict: dict[str, Any]) -> str:
    """Return how a drill came out, in a line."""
    if "skipped" in verdict:
        return f"was skipped: {verdict['skipped']}"
    if verdict["ok"]:
        return f"is ok after {verdict['seconds']:.0f} s"
    reasons = [verdict["error"]] if "error" in verdict else [*verdict["failures"], *verdict["findings"]]
    return f"FAILED: {'; '.join(reasons) or 'see its verdict'}"


_COLUMNS: Final = (
    "acknowledged",
    "lost",
    "duplicated",
    "money_conserved",
    "digests_equal",
    "linearizable",
    "recovery_ms_median",
    "recovery_ms_max",
)


def table(result: dict[str, Any]) -> Table:
    """Return the verdicts of ``run_all`` as a person likes to read them."""
    shown = Table(title="drills", title_justify="left")
    shown.add_column("drill", style="bold")
    for name in _COLUMNS:
        shown.add_column(name.replace("_", " "), justify="right")
    shown.add_column("ok", justify="right")
    for verdict in result["drills"]:
        cells = [text_of(verdict[name]) if name in verdict else "-" for name in _COLUMNS]
        note = "yes" if verdict["ok"] and "skipped" not in verdict else told(verdict)
        shown.add_row(verdict["drill"], *cells, note)
    return shown
