"""Drive the exchange and its naive twin with seeded traffic until they disagree: ``python -m tests.fuzz``.

Traffic comes in runs of a few thousand commands, each from a seed of its own, so that a difference is found
again by naming its seed alone: ``python -m tests.fuzz --seed S --commands 1``.
"""

import sys
import time
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.helpers.duel import duel

RUN_COMMANDS: Final = 10_000


@click.command()
@click.option("--commands", default=1_000_000, show_default=True, help="How many commands to try at least.")
@click.option("--seed", default=1, show_default=True, help="The first run's seed; the next run has the next.")
def main(commands: int, seed: int) -> None:
    """Compare the fast exchange with its twin on many seeds; exit 1 at the first difference."""
    console = Console()
    began_s = time.monotonic()
    tried = 0
    with Progress(
        TextColumn("fuzzing, seed {task.fields[seed]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("fuzz", total=commands, seed=seed)
        while tried < commands:
            progress.update(task, seed=seed)
            try:
                tried += duel(seed, RUN_COMMANDS).commands
            except AssertionError as difference:
                progress.stop()
                console.print(f"[bold red]seed {seed}:[/] {type(difference).__name__}", highlight=False)
                console.print(str(difference), markup=False, highlight=False)
                sys.exit(1)
            progress.update(task, completed=min(tried, commands))
            seed += 1
    console.print(
        f"{tried:,} commands, every reply and event equal, invariants held; "
        f"{time.monotonic() - began_s:.0f} s, next seed {seed}"
    )


if __name__ == "__main__":
    main()
