"""Drive the exchange and its naive twin with seeded traffic until they disagree: ``python -m tests.fuzz``.

Traffic comes in runs of a few thousand commands, each from a seed of its own, so that a difference is found
again by naming its seed alone: ``python -m tests.fuzz --seed S --commands 1``.  Of eight seeds one is
traffic of version 1, two are spot traffic of version 2, and five trade contracts in version 3; some of these
begin in an older version and go on in theirs, and every second seed has a tiny world in which everything
collides.  The end says how often everything there is was met.
"""

import sys
import time
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.coverage import Coverage
from tests.helpers.duel import duel
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.traffic import Traffic

RUN_COMMANDS: Final = 10_000
#: From this many commands on, a kind of command, reply, event or refusal that never came is a failure.
TELLING_COMMANDS: Final = 200_000
#: Which traffic the seeds stand for, in turn.
KINDS: Final = (
    Traffic,
    ContractTraffic,
    ContractTraffic,
    SpotTraffic,
    ContractTraffic,
    ContractTraffic,
    SpotTraffic,
    ContractTraffic,
)


def kind_of(seed: int) -> type[Traffic]:
    """Return which traffic a seed stands for."""
    return KINDS[seed % len(KINDS)]


@click.command()
@click.option("--commands", default=1_000_000, show_default=True, help="How many commands to try at least.")
@click.option("--seed", default=1, show_default=True, help="The first run's seed; the next run has the next.")
def main(commands: int, seed: int) -> None:
    """Compare the fast exchange with its twin on many seeds; exit 1 at the first difference."""
    console = Console()
    began_s = time.monotonic()
    met = Coverage()
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
                both = duel(seed, RUN_COMMANDS, kind_of(seed))
            except AssertionError as difference:
                progress.stop()
                console.print(f"[bold red]seed {seed}:[/] {type(difference).__name__}", highlight=False)
                console.print(str(difference), markup=False, highlight=False)
                sys.exit(1)
            met.add(both.coverage)
            tried += both.commands
            progress.update(task, completed=min(tried, commands))
            seed += 1
    for line in met.lines():
        console.print(line, markup=False, highlight=False)
    console.print(
        f"{tried:,} commands, every reply and event equal, invariants held; "
        f"{time.monotonic() - began_s:.0f} s, next seed {seed}"
    )
    missing = met.missing()
    if missing and tried >= TELLING_COMMANDS:
        console.print("[bold red]never met:[/] " + "; ".join(missing), highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
