"""A crash from beginning to end, on a group or in this process: played, watched, judged, drawn."""

import asyncio
import time
from pathlib import Path
from typing import Any

from steelyard.ops.crash import plots
from steelyard.ops.crash.group import play_on_group
from steelyard.ops.crash.local import LocalStage
from steelyard.ops.crash.play import Plan, play
from steelyard.ops.crash.report import Outcome, report
from steelyard.ops.crash.watch import Watch
from steelyard.ops.terminal import Terminal


async def crash_in_process(terminal: Terminal, plan: Plan, pictures: Path | None = None) -> dict[str, Any]:
    """Play a crash on one exchange in this process, with every invariant after each entry.

    Raises:
        AssertionError: An invariant does not hold.

    """
    began_s = time.monotonic()
    watch = Watch()
    stage = LocalStage(watch.apply)
    played = await play(terminal, stage, plan)
    outcome = Outcome(
        plan,
        played,
        watch,
        exchanges={1: stage.exchange},
        registers={1: watch.register},
        digests={1: stage.exchange.digest},
        verdict=None,
        replicas=1,
        terms=0,
        # A restored exchange goes on at once.
        recoveries_ms=[0] * len(played.strikes_ns),
        refused=stage.refused,
        reading_s=0.0,
        seconds=time.monotonic() - began_s,
    )
    return await _concluded(terminal, outcome, pictures)


async def crash_on_group(
    terminal: Terminal, plan: Plan, pictures: Path | None = None, directory: Path | None = None
) -> dict[str, Any]:
    """Play a crash on a group of three processes of its own, and judge it by the logs of all replicas.

    Raises:
        GroupError: The group cannot be used.

    """
    outcome = await play_on_group(terminal, plan, directory)
    return await _concluded(terminal, outcome, pictures)


async def _concluded(terminal: Terminal, outcome: Outcome, pictures: Path | None) -> dict[str, Any]:
    result = report(outcome)
    if pictures is not None:
        story = plots.Story(outcome.watch, outcome.played.fall_ns, outcome.played.strikes_ns)
        with terminal.busy("drawing"):
            drawn = await asyncio.to_thread(plots.draw, story, pictures)
        result["plots"] = [path.name for path in drawn]
    return result
