"""The command line: start a group, look at it, trade through it, break it on purpose, and judge it."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import msgspec
import uvloop
from rich.console import RenderableType

from steelyard.client import ReadMode
from steelyard.ops import running
from steelyard.ops.errors import EXPECTED, OpsError
from steelyard.ops.options import Measure, as_json, data_directory, kept_results, profile, question, quick
from steelyard.ops.results import write_results
from steelyard.ops.terminal import Terminal
from steelyard.replication.config import Profile

if TYPE_CHECKING:
    from steelyard.ops.drills.stage import Drill

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143


class Terminated(SystemExit):
    """Somebody sent SIGTERM."""


#: Commands that are only read when somebody asks for them, for they bring much: where each is.
ELSEWHERE: Final = {
    "account": ("steelyard.ops.account", "account"),
    "candles": ("steelyard.ops.market_cli", "candles"),
    "contracts": ("steelyard.ops.contracts_cli", "contracts"),
    "explain": ("steelyard.ops.explaining", "explain"),
    "funding": ("steelyard.ops.contracts_cli", "funding"),
    "liquidations": ("steelyard.ops.contracts_cli", "liquidations"),
    "feed": ("steelyard.ops.feed.command", "feed"),
    "operate": ("steelyard.ops.operate", "operate"),
    "scenario": ("steelyard.ops.scenario", "scenario"),
    "sim": ("steelyard.ops.sim", "sim_command"),
    "trade": ("steelyard.ops.trade", "trade"),
    "trades": ("steelyard.ops.market_cli", "trades"),
    "watch": ("steelyard.ops.market_cli", "watch"),
}


class Commands(click.Group):
    """All commands, here and elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them."""
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, name = ELSEWHERE[cmd_name]
        found: click.Command = getattr(import_module(module), name)
        return found

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run a command; a pipe that breaks in it is told like any failure: click would end in silence."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OpsError(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="steelyard", prog_name="steelyard")
def cli() -> None:
    """Steelyard: an exchange you can own, replicated on three nodes."""


@cli.command()
@data_directory
@profile
@click.option("--detach", is_flag=True, help="Leave it running in the background.")
@click.option("--empty", is_flag=True, help="Do not open the development market in a new group.")
@click.option(
    "--archive",
    type=click.Choice(["all", "none", "1", "2", "3"]),
    default="1",
    show_default=True,
    help="Which nodes keep trades, candles and statements, in a process of their own.",
)
@as_json
def up(directory: Path, profile: Profile, detach: bool, empty: bool, archive: str, as_json: bool) -> None:
    """Start a group of three on this machine; found it first if the directory has none.

    A new group gets an operator's key and, unless --empty, a development market: BTC-USDT and two funded
    accounts with a key each.  Without --detach the status is shown until Ctrl-C, which stops the group.
    """
    terminal = Terminal(as_json=as_json)
    archives = {"all": (1, 2, 3), "none": ()}.get(archive)
    if archives is None:
        archives = (int(archive),)
    settings = running.UpSettings(directory=directory, profile=profile, empty=empty, archives=archives)
    running.up(terminal, settings, detach=detach)


@cli.command()
@data_directory
@as_json
def down(directory: Path, as_json: bool) -> None:
    """Stop the group that runs in a data directory."""
    running.down(Terminal(as_json=as_json), directory)


@cli.command()
@data_directory
@as_json
def status(directory: Path, as_json: bool) -> None:
    """Show leader, term, indexes, digests and orders per second; exit status 1 unless a leader is ready."""
    if not running.show_status(Terminal(as_json=as_json), directory):
        raise SystemExit(EXIT_FAILED)


@cli.command()
@click.argument("symbol")
@click.option("--depth", default=10, show_default=True, type=click.IntRange(1, 1000), help="Levels a side.")
@click.option("--orders", is_flag=True, help="Every order as well, without its owner.")
@click.option("--watch", is_flag=True, help="Go on showing it as it changes, until Ctrl-C.")
@question
@data_directory
@as_json
def book(
    symbol: str,
    depth: int,
    orders: bool,
    watch: bool,
    node: int | None,
    freshness: tuple[ReadMode, int],
    directory: Path,
    as_json: bool,
) -> None:
    """Show the best levels of an instrument's book, such as BTC-USDT."""
    from steelyard.ops import asking, market_views
    from steelyard.ops.cluster import LocalGroup

    group = LocalGroup.open(directory)
    if watch:
        _run(asking.watch_book(group, symbol, depth, node, as_json=as_json))
        return
    found = _run(asking.book(group, symbol, depth, asking.Question(*freshness, node), orders=orders))
    shown = market_views.orders_table(found) if orders else market_views.book_table(found)
    Terminal(as_json=as_json).finish(found, shown)


@cli.command()
@click.argument("key", default="alice")
@question
@data_directory
@as_json
def balances(
    key: str, node: int | None, freshness: tuple[ReadMode, int], directory: Path, as_json: bool
) -> None:
    """Show what the account of KEY owns, one of the keys in the group's folder; "alice" if none is named."""
    from steelyard.ops import asking
    from steelyard.ops.cluster import LocalGroup

    found = _run(asking.balances(LocalGroup.open(directory), key, asking.Question(*freshness, node)))
    Terminal(as_json=as_json).finish(found, asking.balances_table(found))


@cli.command()
@click.argument("member", type=click.IntRange(1, 3))
@data_directory
@as_json
def replace(member: int, directory: Path, as_json: bool) -> None:
    """Put a new machine in the place of a dead MEMBER: empty disk, new certificate; it votes once caught up.

    The other two must be running.  What is left of the old one is kept beside it, and must never run again.
    """
    from steelyard.ops import replace as part
    from steelyard.ops.cluster import LocalGroup

    terminal = Terminal(as_json=as_json)
    terminal.finish(_run(part.replace(terminal, LocalGroup.open(directory), member)))


@cli.command()
@click.option("--seed", default=1, show_default=True, help="The market's seed.")
@click.option("--steps", default=1500, show_default=True, type=click.IntRange(1), help="How long it lasts.")
@click.option(
    "--spot-tour",
    is_flag=True,
    help="Instead, show every kind of order and every rule of the spot exchange once.",
)
@as_json
def demo(seed: int, steps: int, spot_tour: bool, as_json: bool) -> None:
    """Replay a made-up market through a group of three, kill its leader half way, and judge the outcome."""
    from steelyard.ops import demo as part
    from steelyard.ops import synthetic

    terminal = Terminal(as_json=as_json)
    if spot_tour:
        from steelyard.ops.tour import tour, tour_table

        result = _run(tour(terminal))
        terminal.finish(result, tour_table(result))
        _exit_unless_ok(result)
        return
    result = _run(part.demo(terminal, synthetic.capture(seed=seed, diffs=steps)))
    terminal.finish(result, part.demo_table(result))
    _exit_unless_ok(result)


@cli.command()
@click.argument("capture", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--kill-leader-at",
    type=Measure(0, 0.99),
    help="Kill the leader at this part of the lines; the very last ones may bring no order any more.",
)
@click.option(
    "--data",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Use the group that runs there, or found one there; otherwise a temporary one.",
)
@kept_results
@as_json
def replay(
    capture: Path, kill_leader_at: float | None, directory: Path | None, keep: bool, as_json: bool
) -> None:
    """Drive a recorded market through a group and compare its book with the recorded one."""
    from steelyard.ops import replay as part
    from steelyard.ops.capture import Capture

    terminal = Terminal(as_json=as_json)
    result = _run(
        part.replay_capture(
            terminal, Capture.from_file(capture), kill_leader_at=kill_leader_at, directory=directory
        )
    )
    _finish(terminal, result, f"replay-{capture.name.partition('.')[0]}", keep=keep)


class Drills(click.Group):
    """One command for each drill of the catalogue, which is only read when somebody asks for one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        from steelyard.ops.drills.catalogue import DRILLS

        return [*DRILLS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them."""
        from steelyard.ops.drills.catalogue import DRILLS

        found = DRILLS.get(cmd_name)
        return super().get_command(ctx, cmd_name) if found is None else _drill_command(found)


@cli.group(cls=Drills)
def drill() -> None:
    """Break a group on purpose, under load, and judge what came of it."""


@drill.command("all")
@quick
@profile
@kept_results
@as_json
def all_drills(quick: bool, profile: Profile, keep: bool, as_json: bool) -> None:
    """Run every drill, one after the other."""
    from steelyard.ops.drills import catalogue

    terminal = Terminal(as_json=as_json)
    result = _run(catalogue.run_all(terminal, quick=quick, profile=profile))
    _finish(terminal, result, "drill-all", keep=keep, shown=catalogue.table(result))


def _drill_command(found: "Drill") -> click.Command:
    from steelyard.ops.drills.stage import perform

    @click.command(found.name, help=found.summary)
    @click.option(
        "--rounds", type=click.IntRange(1), help=f"How often; {found.rounds} unless told otherwise."
    )
    @quick
    @profile
    @kept_results
    @as_json
    def run(rounds: int | None, quick: bool, profile: Profile, keep: bool, as_json: bool) -> None:
        terminal = Terminal(as_json=as_json)
        result = _run(perform(terminal, found, rounds=rounds, quick=quick, profile=profile))
        _finish(terminal, result, f"drill-{found.name}", keep=keep)

    return run


@cli.group()
def bench() -> None:
    """Measure; never as part of a test."""


@bench.command()
@click.option("--commands", default=400_000, show_default=True, type=click.IntRange(1_000), help="How many.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100), help="How often.")
@click.option(
    "--mix",
    default="spot",
    show_default=True,
    type=click.Choice(("spot", "perpetual")),
    help="What the orders are about.",
)
@kept_results
@as_json
def core(commands: int, rounds: int, mix: str, keep: bool, as_json: bool) -> None:
    """Measure one exchange in one process: decode, apply, encode; the median of the rounds."""
    from steelyard.ops import bench as part
    from steelyard.ops.bench_core import Mix

    terminal = Terminal(as_json=as_json)
    measured = part.core(terminal, commands=commands, rounds=rounds, mix=Mix(mix))
    name = "bench-core" if mix == Mix.SPOT else f"bench-core-{mix}"
    _finish(terminal, measured, name, keep=keep)


@bench.command()
@click.option(
    "--positions", default=200_000, show_default=True, type=click.IntRange(100, 2_000_000), help="How many."
)
@click.option("--rounds", default=21, show_default=True, type=click.IntRange(1, 1000), help="How many marks.")
@kept_results
@as_json
def mark(positions: int, rounds: int, keep: bool, as_json: bool) -> None:
    """Measure how a new mark finds whom it concerns, beside looking at everybody."""
    from steelyard.ops import bench as part

    terminal = Terminal(as_json=as_json)
    _finish(terminal, part.mark(terminal, positions=positions, rounds=rounds), "bench-mark", keep=keep)


@bench.command()
@click.option("--seconds", default=15.0, show_default=True, type=Measure(1, 3600), help="How long.")
@click.option(
    "--batch", default=100, show_default=True, type=click.IntRange(1, 1000), help="Orders a message."
)
@click.option("--sessions", default=2, show_default=True, type=click.IntRange(1, 64), help="Streams in all.")
@click.option(
    "--outstanding",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Open orders a stream.",
)
@click.option("--clients", default=1, show_default=True, type=click.IntRange(1, 16), help="Client processes.")
@profile
@kept_results
@as_json
def e2e(
    seconds: float,
    batch: int,
    sessions: int,
    outstanding: int,
    clients: int,
    profile: Profile,
    keep: bool,
    as_json: bool,
) -> None:
    """Measure the whole: clients, gateway and three replicas on this machine, acknowledged and fsynced."""
    from steelyard.ops import bench as part

    if outstanding < batch:
        raise click.UsageError("--outstanding must be at least --batch: a batch is open as a whole")
    terminal = Terminal(as_json=as_json)
    plan = part.Plan(
        seconds=seconds,
        batch=batch,
        sessions=sessions,
        outstanding=outstanding,
        clients=clients,
        profile=profile,
    )
    _finish(terminal, _run(part.end_to_end(terminal, plan)), "bench-e2e", keep=keep)


def main() -> NoReturn:
    """Run the command line; every failure is one sentence on stderr and an exit status above zero.

    With ``--json`` it is one object on stdout too, whatever became of stderr.
    """
    _open_missing_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        _as_object(error.format_message())
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", EXIT_INTERRUPTED)
    except Terminated:
        _fail("terminated", EXIT_TERMINATED)
    except EXPECTED as error:
        _fail(f"error: {_words(error)}")
    except BaseExceptionGroup as group:
        # What several tasks had in hand: the first of their failures says it, unless one is a fault of ours.
        _, unexpected = group.split(EXPECTED)
        if unexpected is not None:
            _as_object(f"a fault of ours: {_first(unexpected)!r}")
            raise
        _fail(f"error: {_words(_first(group))}")
    except Exception as error:
        _as_object(f"a fault of ours: {error!r}")
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _open_missing_streams() -> None:
    """Give what was started without stdin, stdout or stderr a place for its words.

    Otherwise the next file that is opened, a log perhaps, would get the number, and the words.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - it is open until the end
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - the same


def _fail(words: str, code: int = EXIT_FAILED) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    _as_object(words.removeprefix("error: "))
    sys.exit(code)


def _as_object(words: str) -> None:
    """Say what went wrong to whoever reads our stdout, if it is a program and still there."""
    try:
        if "--json" in sys.argv:
            sys.stdout.write(msgspec.json.encode({"ok": False, "error": words}).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody is left to be told; what is in the buffer must not fail once more when we end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _finish(
    terminal: Terminal,
    result: dict[str, Any],
    name: str,
    *,
    keep: bool,
    shown: RenderableType | None = None,
) -> None:
    if keep:
        terminal.say(f"kept in {write_results(name, result)}")
    terminal.finish(result, shown)
    _exit_unless_ok(result)


def _exit_unless_ok(result: dict[str, Any]) -> None:
    if not result["ok"]:
        raise SystemExit(EXIT_FAILED)


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C does, so that whatever was started is stopped."""
    raise Terminated(EXIT_TERMINATED)
