"""The same seed gives the same run, in every process: frames, disk calls, applies, to the last byte."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = 8
SCRIPT = """
import logging
from steelyard.simulation.run import simulate
logging.disable(logging.CRITICAL)
for seed in range({first}, {first} + {seeds}):
    result = simulate(seed)
    print(seed, result.digest.hex(), result.events, result.frames, result.acknowledged)
"""


def run(hash_seed: int) -> "subprocess.Popen[str]":
    paths = [str(ROOT / root) for root in ("protos", "core", "replication", "rpc", "ops")]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(first=40, seeds=SEEDS)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_run_does_not_depend_on_how_strings_hash() -> None:
    processes = [run(1), run(2)]
    try:
        said = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert len(said[0].splitlines()) == SEEDS
    assert said[0] == said[1]
