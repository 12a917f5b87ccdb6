"""``steelyard feed``: prices of an index, from recorded markets or from sources that the user names."""

import asyncio
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import uvloop

from steelyard.client import Index
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import OpsError
from steelyard.ops.feed.clock import ALARM, Clock, words
from steelyard.ops.feed.feeder import Feeder
from steelyard.ops.feed.plan import FeedPlan, Smoothing, captures_plan, checked, read_plan
from steelyard.ops.options import Measure, as_json, data_directory
from steelyard.ops.terminal import Terminal
from steelyard.ops.trade import finish

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("feed")
@click.argument("symbol")
@click.option("--sources", "path", type=_FILE, help="What to listen to, in TOML.")
@click.option(
    "--capture", "captures", type=_FILE, multiple=True, help="A recorded market; several: a source each."
)
@click.option(
    "--smoothing",
    type=click.Choice([each.value for each in Smoothing]),
    help="What each source's prices become: the last, the median of a window, or a mean over time.",
)
@click.option("--window", type=Measure(min=0, min_open=True), help="Seconds that smoothing looks back.")
@click.option("--every", type=Measure(min=0.01), help="Seconds from one proposal to the next.")
@click.option("--silent", type=Measure(min=0, min_open=True), help="Seconds after which a source is silent.")
@click.option(
    "--speed", type=Measure(min=0), default=1.0, show_default=True, help="Of recorded files; 0: at once."
)
@click.option(
    "--seconds", type=Measure(min=0, min_open=True), help="How long; else until its files end or Ctrl-C."
)
@click.option("--key", default="feed", show_default=True, help="Whose key with FEED, in the group's folder.")
@data_directory
@as_json
def feed(
    symbol: str,
    path: Path | None,
    captures: tuple[Path, ...],
    speed: float,
    seconds: float | None,
    key: str,
    directory: Path,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - what stands in the file and may be said otherwise here
) -> None:
    """Propose the prices of the index SYMBOL a few times a second, until the end or Ctrl-C.

    The prices come from recorded markets (--capture), or from files, HTTP and WebSocket (--sources).  A key
    is made by: steelyard operate create-key feed 9 --permissions read,feed

    A clock that is more than a second off the log's time is an alarm, for the exchange passes over quotes
    from the future, and those from the past are stale sooner.

    \b
    A file of sources, in TOML; "price" is where it stands in each message, of two places the mean counts:
      smoothing = "median"       # or "exponential", "none"
      window_s = 2.0
      [[sources]]
      name = "first"
      url = "wss://first.example/stream"
      say = ['{"subscribe": "BTC-USD"}']
      only = { type = "ticker", product = "BTC-*" }
      price = ["bid", "ask"]
      [[sources]]
      name = "second"
      url = "https://second.example/ticker?pair=BTCUSD"
      poll_s = 0.5
      price = "result.0.last"
      weight = 2
    """  # noqa: D301 - click asks for a backspace where lines stay as they are
    if (path is None) == (not captures):
        raise click.UsageError("say where prices come from: --sources or --capture, one of them")
    plan = captures_plan(list(captures)) if path is None else read_plan(path)
    plan = _changed(plan, given)
    terminal = Terminal(as_json=as_json)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_feed(terminal, directory, key, symbol, plan, seconds, speed))
    finish(terminal, result)


def _changed(plan: FeedPlan, given: dict[str, Any]) -> FeedPlan:
    """Return the plan with what the command line says otherwise."""
    names = {"smoothing": "smoothing", "window": "window_s", "every": "every_s", "silent": "silent_s"}
    said = {names[name]: value for name, value in given.items() if value is not None}
    if "smoothing" in said:
        said["smoothing"] = Smoothing(said["smoothing"])
    return checked(msgspec.structs.replace(plan, **said), "the command line")


async def _feed(
    terminal: Terminal,
    directory: Path,
    key: str,
    symbol: str,
    plan: FeedPlan,
    seconds: float | None,
    speed: float,
) -> dict[str, Any]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalGroup.open(directory).client(key) as client:
        listed = {each.symbol: each for each in (await client.contracts()).indices.values()}
        if symbol not in listed:
            raise OpsError(f"no index {symbol}; listed: {', '.join(listed) or 'none'}")
        index = listed[symbol]

        async def log_time_ns() -> int:
            return (await client.contracts()).log_time_ns

        clock = Clock(log_time_ns, terminal.say)
        door = await client.admin(f"feed {symbol}")
        feeder = Feeder(plan, index.index, _tick(index), door, clock, terminal.say)
        terminal.say(f"feeding {symbol} from {', '.join(each.name for each in plan.sources)}")
        begun_s = time.monotonic()
        await feeder.run(seconds, speed, stop)
        took_s = time.monotonic() - begun_s
        found = (await client.contracts()).indices[index.index]
    return _outcome(found, feeder, clock, took_s)


def _outcome(index: Index, feeder: Feeder, clock: Clock, took_s: float) -> dict[str, Any]:
    failures = [f"refused: {reason}" for reason in feeder.refused]
    if not feeder.accepted:
        failures.append("no proposal was accepted")
    if clock.alarms:
        failures.append(f"{ALARM}: {words(clock.worst_ns)}")
    price = None if index.price_ticks == 0 else str(_tick(index) * index.price_ticks)
    return {
        "index": index.symbol,
        "price": price,
        "stale": index.stale,
        "seconds": round(took_s, 3),
        **feeder.report(),
        "failures": failures,
        "ok": not failures,
    }


def _tick(index: Index) -> Decimal:
    return Decimal(index.tick_mantissa).scaleb(-index.tick_decimals)
