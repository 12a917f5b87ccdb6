"""Consensus alone: ours with every commit synced, beside stock pysyncobj 0.3.17 at its fastest, in one run.

    python loadtests/micro/bench_replication.py --seconds 3 --rounds 5 --json

Three processes a group, loopback, a trivial state machine; the leader keeps ``--outstanding`` commands
asked and not yet answered. A command is 16 unpredictable bytes (what an order's numbers take), then zeros.
Rounds of all variants take turns, so that what else the machine does meets all of them; a figure is the
median of its rounds.

Ours makes one entry of whatever is ready when its window opens, as the sequencer does, and a commit is
durable on a majority. Stock never syncs: without a journal its log is in memory, with one it is a mapped
file that is flushed when the process ends. How it was tuned, each setting by trying what is around it:

* ``autoTick=False``, ticked without pause in the thread that asks: its own thread was no faster. A tick waits
  for the network for 1 ms (calls) or until something arrives (batched calls).
* *calls*: one ``@replicated`` call a command, ``appendEntriesUseBatch=True`` with ``appendEntriesPeriod``
  1 ms, which is what a batch waits for (the default is 100 ms): 0.3 to 2 ms were alike, 0, 5 and 10 ms
  slower; ``False`` sends each command alone and gave a tenth.
* *batched calls*: 128 commands joined into the argument of one call, which the state machine takes apart
  (64 were slower, 256 and 512 alike); ``appendEntriesUseBatch=False``, for four such calls need not wait for
  a period.
* ``appendEntriesBatchSizeBytes`` 1 MiB (16 and 64 KiB were alike), socket buffers 64 KiB (calls) and 1 MiB
  (batched calls), compaction of the log off, no password. Its pickle and zlib cannot be turned off. Zlib is
  also why it matters what the commands hold: if they are zeros only, batched calls are some three times as
  fast, and overtake ours; if nothing in them repeats, stock is half as fast. Ours does not look at them.

``ratio`` is ours to the fastest stock variant, ``ratios`` to each.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from steelyard.ops import machine
from steelyard.ops.results import write_results

MICRO: Final = Path(__file__).parent
MEMBERS: Final = (1, 2, 3)
START_S: Final = 30.0
PER_ENTRY_MAX: Final = 4000

_CALLS: Final = {
    "per_call": 1, "use_batch": True, "period_s": 0.001, "tick_s": 0.001, "batch_bytes": 1 << 20,
    "buffer_bytes": 1 << 16,
}  # fmt: skip
_BATCHED: Final = {
    "per_call": 128, "use_batch": False, "period_s": 0.1, "tick_s": 0.05, "batch_bytes": 1 << 20,
    "buffer_bytes": 1 << 20,
}  # fmt: skip
OURS: Final = "ours, synced"
VARIANTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    OURS: ("member_ours.py", {"per_call": PER_ENTRY_MAX}),
    "stock, calls, no journal": ("member_stock.py", _CALLS | {"journal": False}),
    "stock, calls, journal": ("member_stock.py", _CALLS | {"journal": True}),
    "stock, batched calls, no journal": ("member_stock.py", _BATCHED | {"journal": False}),
    "stock, batched calls, journal": ("member_stock.py", _BATCHED | {"journal": True}),
}
"""What runs, and with which settings; nothing of stock is synced, with a journal or without."""


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run_once(script: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Run a group of three until its leader has measured, and return what it printed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = plan | {"ports": free_ports(len(MEMBERS))}
        running = []
        said = [folder / f"stderr-{member}" for member in MEMBERS]
        try:
            for member, path in zip(MEMBERS, said, strict=True):
                command = [sys.executable, str(MICRO / script), "--member", str(member), "--directory", name]
                with path.open("wb") as stderr:
                    running.append(
                        subprocess.Popen(
                            [*command, "--plan", json.dumps(plan)], stdout=subprocess.PIPE, stderr=stderr
                        )
                    )
            deadline_s = time.monotonic() + START_S + plan["seconds"]
            while all(process.poll() is None for process in running) and time.monotonic() < deadline_s:
                time.sleep(0.05)
        finally:
            for process in running:
                process.kill()
            printed = b"".join(process.communicate()[0] for process in running)
        if not printed:
            sys.exit(f"nobody measured:\n{''.join(path.read_text() for path in said)}")
        return dict(json.loads(printed))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the rounds of all variants in turn and return medians, spreads and ratios."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    common = {
        "outstanding": options.outstanding,
        "size_bytes": options.bytes,
        "random_bytes": min(options.random_bytes, options.bytes),
        "seconds": options.seconds,
    }
    for number in range(options.rounds):
        for name, (script, settings) in VARIANTS.items():
            rounds[name].append(run_once(script, common | settings))
            rate = rounds[name][-1]["commands_per_second"]
            print(f"round {number + 1}: {name}: {rate:,} commands/s", file=sys.stderr, flush=True)
    figures = {name: summary(done) | VARIANTS[name][1] for name, done in rounds.items()}
    ours = figures[OURS]["commands_per_second"]
    ratios = {
        name: round(ours / figure["commands_per_second"], 2)
        for name, figure in figures.items()
        if name != OURS
    }
    return {
        "commands_per_second": ours,
        "ratio": min(ratios.values()),
        "ratios": ratios,
        "rounds": options.rounds,
        **common,
        "variants": figures,
        "machine": msgspec.to_builtins(machine.describe()),
        "ok": True,
    }


def summary(done: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure, and how far the rounds went apart."""
    rates = [figures["commands_per_second"] for figures in done]
    medians = {key: statistics.median(figures[key] for figures in done) for key in done[0]}
    medians["commands_per_second"] = round(medians["commands_per_second"])
    return medians | {"commands_per_second_min": min(rates), "commands_per_second_max": max(rates)}


def shown(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    lines = [f"{'':34}{'commands/s':>12}{'min':>10}{'max':>10}{'p50 ms':>9}{'p99 ms':>9}{'ours is':>9}"]
    for name, figure in result["variants"].items():
        ratio = f"{result['ratios'][name]:.2f} x" if name in result["ratios"] else ""
        rates = [figure[f"commands_per_second{end}"] for end in ("", "_min", "_max")]
        lines.append(
            f"{name:34}{rates[0]:>12,}{rates[1]:>10,}{rates[2]:>10,}"
            f"{figure['p50_ms']:>9.2f}{figure['p99_ms']:>9.2f}{ratio:>9}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, show, and keep the outcome if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="measured in each round of each variant")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outstanding", type=int, default=512, help="commands asked and not answered")
    parser.add_argument("--bytes", type=int, default=100, help="bytes per command")
    parser.add_argument("--random-bytes", type=int, default=16, help="of them unpredictable")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write-results", action="store_true", help="keep it, dated, in loadtests/results")
    options = parser.parse_args()
    result = measure(options)
    if options.write_results:
        print(f"kept in {write_results('bench-replication', result)}", file=sys.stderr)
    print(json.dumps(result, indent=2) if options.json else shown(result))


if __name__ == "__main__":
    main()
