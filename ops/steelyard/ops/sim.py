"""Many seeds of the simulation: over several processes, with progress, counted together, and the mutants."""

import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from types import FrameType
from typing import Any, Final, NoReturn

import click
from rich.table import Table

from steelyard.ops.results import commit, write_results
from steelyard.ops.terminal import Terminal, text_of
from steelyard.simulation.checkers import Violation
from steelyard.simulation.faults import every_kind
from steelyard.simulation.mutants import HIDDEN, MUTANTS, Finding, Mutant, hunt
from steelyard.simulation.run import Result, simulate

CHUNK_SEEDS: Final = 4
MUTANT_SEEDS: Final = 60
"""So many seeds a mutant may live."""
HOUR_S: Final = 3600.0
VIOLATIONS_SHOWN_MAX: Final = 20
TOLD_EVERY_S: Final = 60.0
"""How often a campaign that nobody watches writes a line of how far it is."""


class Totals:
    """What a campaign comes to."""

    def __init__(self) -> None:
        self.seeds = 0
        self.simulated_s = 0.0
        self.counts = dict.fromkeys(("events", "frames", "crashes", "acknowledged", "applied", "reads"), 0)
        self.faults: dict[str, int] = {}
        self.failed = self.holes = 0
        self.failures: list[dict[str, Any]] = []
        """The first of them by their seed, and no more than are shown."""

    def add(self, result: Result) -> None:
        """Count a seed."""
        self.seeds += 1
        self.simulated_s += result.simulated_s
        for name in self.counts:
            self.counts[name] += getattr(result, name)
        for kind, count in result.faults.items():
            self.faults[kind] = self.faults.get(kind, 0) + count
        if result.violations:
            checker, time_s, what = result.violations[0]
            self.failed += 1
            self.holes += checker == "C4"
            self.failures.append({"seed": result.seed, "checker": checker, "time_s": time_s, "what": what})
            self.failures.sort(key=lambda failure: failure["seed"])
            del self.failures[VIOLATIONS_SHOWN_MAX:]

    def summary(self) -> dict[str, Any]:
        """Return it as one JSON object."""
        return {
            "ok": not self.failed,
            "seeds": self.seeds,
            "simulated_hours": round(self.simulated_s / HOUR_S, 3),
            **self.counts,
            "faults": dict(sorted(self.faults.items())),
            "faults_total": sum(self.faults.values()),
            "holes": self.holes,
            "violations": self.failed,
            "first_failing_seed": self.failures[0]["seed"] if self.failures else None,
            "failures": self.failures,
        }


def campaign(
    terminal: Terminal,
    *,
    seeds: int,
    first: int,
    kinds: frozenset[str] | None,
    jobs: int,
    cpu_s_max: float | None = None,
) -> dict[str, Any]:
    """Run seeds ``first`` and following; stop early once ``cpu_s_max`` is spent, counted over all jobs.

    Ctrl-C, SIGTERM or a lost worker ends it early too. What was run until then is returned all the same,
    with ``complete`` false and ``ended_by`` saying why.
    """
    totals = Totals()
    started_s = told_s = time.monotonic()
    ended_by = ""
    try:
        with _terminable(), terminal.progress("seeds", seeds) as advance, _workers(jobs) as pool:
            chunks = (
                range(at, min(at + CHUNK_SEEDS, first + seeds))
                for at in range(first, first + seeds, CHUNK_SEEDS)
            )
            for results in _in_turn(pool, chunks, kinds, jobs):
                for result in results:
                    totals.add(result)
                advance(totals.seeds)
                now_s = time.monotonic()
                if now_s - told_s > TOLD_EVERY_S and not terminal.progress_console.is_terminal:
                    told_s = now_s
                    terminal.say(_how_far(totals, seeds, now_s - started_s))
                if cpu_s_max is not None and (now_s - started_s) * jobs > cpu_s_max:
                    ended_by = "the limit on computing"
                    break
    except KeyboardInterrupt:
        ended_by = "a signal"
    except BrokenProcessPool as error:
        ended_by = f"the loss of a worker: {error}"
    summary = totals.summary()
    if totals.seeds < seeds:
        terminal.say(f"only {totals.seeds} of {seeds} seeds were run: ended by {ended_by}")
    wall_s = time.monotonic() - started_s
    summary |= {
        "complete": totals.seeds == seeds,
        "ended_by": ended_by if totals.seeds < seeds else None,
        "seeds_wanted": seeds,
        "commit": commit(),
        "first": first,
        "kinds": sorted(kinds) if kinds is not None else "all",
        "jobs": jobs,
        "wall_s": round(wall_s, 1),
        "simulated_s_per_s": round(totals.simulated_s / wall_s, 1),
    }
    if ended_by and ended_by != "the limit on computing" and totals.seeds < seeds:
        summary["ok"] = False
    return summary


def _how_far(totals: Totals, seeds: int, wall_s: float) -> str:
    hours = totals.simulated_s / HOUR_S
    left_s = wall_s * (seeds - totals.seeds) / max(1, totals.seeds)
    return (
        f"{totals.seeds} of {seeds} seeds, {hours:.1f} hours simulated, {totals.failed} failed, "
        f"about {left_s / 60:.0f} minutes left"
    )


def hunt_mutants(terminal: Terminal, *, first: int, seeds_max: int, jobs: int) -> dict[str, Any]:
    """Let every mutant live until a checker sees it, ``seeds_max`` seeds at most."""
    found: list[Finding] = []
    with terminal.progress("mutants", len(MUTANTS)) as advance, _workers(jobs) as pool:
        futures = [pool.submit(_hunt, number, first, seeds_max) for number in range(len(MUTANTS))]
        for done, future in enumerate(futures, start=1):
            found.append(future.result())
            advance(done)
    missed = [finding.name for finding in found if finding.seed is None]
    return {
        "ok": not missed,
        "mutants": len(found),
        "found": len(found) - len(missed),
        "seeds_max": seeds_max,
        "missed": missed,
        "without_effect_here": HIDDEN,
        "commit": commit(),
        "findings": [
            {
                "guard": f.name,
                "closes": f.closes,
                "found_by": f.found_by,
                "seed": f.seed,
                "seeds_tried": f.tried,
                "what": f.what,
            }
            for f in found
        ],
    }


def trace(seed: int, kinds: frozenset[str] | None) -> Result:
    """Run one seed and print what happens."""
    return simulate(seed, faults=kinds, say=click.echo)


@click.command("sim")
@click.option("--seeds", default=100, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--first", default=0, show_default=True, type=click.IntRange(0), help="The first seed.")
@click.option("--faults", default="all", show_default=True, help="Kinds with commas; or all, or none.")
@click.option("--jobs", default=os.cpu_count() or 1, type=click.IntRange(1), help="Processes.")
@click.option("--cpu-seconds", type=click.FloatRange(1), help="Stop early after so much computing.")
@click.option("--trace", "traced", type=click.IntRange(0), help="Print what happens in this one seed.")
@click.option("--mutants", is_flag=True, help="Take each guard away in turn; every one must be noticed.")
@click.option("--write-results", "keep", is_flag=True, help="Also keep the outcome in loadtests/results.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout; progress goes to stderr.")
def sim_command(
    seeds: int,
    first: int,
    faults: str,
    jobs: int,
    cpu_seconds: float | None,
    traced: int | None,
    mutants: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Simulate whole groups, one per seed, with faults of every kind, and check all that must hold.

    With --mutants, --seeds says how long each mutant may live.
    """
    terminal = Terminal(as_json=as_json)
    kinds = _kinds(faults)
    if traced is not None:
        result = trace(traced, kinds)
        for violation in result.violations:
            click.echo(f"VIOLATION {violation.checker} at {violation.time_s:.6f}: {violation.what}")
        raise SystemExit(1 if result.violations else 0)
    if mutants:
        summary = hunt_mutants(terminal, first=first, seeds_max=min(seeds, MUTANT_SEEDS), jobs=jobs)
        shown = _mutants_table(summary)
    else:
        summary = campaign(terminal, seeds=seeds, first=first, kinds=kinds, jobs=jobs, cpu_s_max=cpu_seconds)
        shown = _table(summary)
    if keep:
        terminal.say(f"kept in {write_results('sim-mutants' if mutants else 'sim', summary)}")
    terminal.finish(summary, shown)
    if not summary["ok"]:
        raise SystemExit(1)


def _kinds(text: str) -> frozenset[str] | None:
    if text == "all":
        return None
    chosen = frozenset(text.split(",")) - {"", "none"}
    unknown = chosen - every_kind()
    if unknown:
        raise click.BadParameter(
            f"no such faults: {', '.join(sorted(unknown))}; there are {', '.join(sorted(every_kind()))}",
            param_hint="--faults",
        )
    return chosen


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a campaign as Ctrl-C does: with its results."""

    def interrupt(_: int, __: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, which ends without waiting for what is left to do."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_turn(
    pool: ProcessPoolExecutor, chunks: Iterable[range], kinds: frozenset[str] | None, jobs: int
) -> Iterator[list[Result]]:
    """Yield results as they come, with only a few chunks waiting in the pool."""
    waiting: set[Future[list[Result]]] = set()
    for chunk in chunks:
        waiting.add(pool.submit(_run, chunk, kinds))
        if len(waiting) > 2 * jobs:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _quiet() -> None:
    """Silence what replicas log, thousands of times the same; Ctrl-C is for whoever collects our results."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(seeds: range, kinds: frozenset[str] | None) -> list[Result]:
    return [_run_one(seed, kinds) for seed in seeds]


def _run_one(seed: int, kinds: frozenset[str] | None) -> Result:
    """Run a seed; a fault of the simulator's own is a failure of this seed, not the end of the others."""
    try:
        return simulate(seed, faults=kinds)
    except Exception as error:
        return Result(seed, violations=[Violation("simulator", 0.0, repr(error))])


def _hunt(number: int, first: int, seeds_max: int) -> Finding:
    mutant: Mutant = MUTANTS[number]
    return hunt(mutant, first=first, seeds_max=seeds_max)


def _table(summary: dict[str, Any]) -> Table:
    table = Table(title="Simulation", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in summary.items():
        if not isinstance(value, dict | list):
            table.add_row(name.replace("_", " "), text_of(value))
    for kind, count in summary["faults"].items():
        table.add_row(f"  {kind}", text_of(count))
    for failure in summary["failures"]:
        table.add_row(f"[red]seed {failure['seed']}[/]", f"{failure['checker']} {failure['what']}")
    return table


def _mutants_table(summary: dict[str, Any]) -> Table:
    table = Table("guard taken away", "closes", "found by", "seed", "seeds tried", title="Mutants")
    for finding in summary["findings"]:
        table.add_row(
            finding["guard"],
            finding["closes"],
            finding["found_by"] or "[red]nobody[/]",
            str(finding["seed"]),
            str(finding["seeds_tried"]),
        )
    return table
