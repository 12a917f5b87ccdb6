"""The same log gives the same bytes whatever the interpreter's hash seed is."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from tests.helpers.digests import digests_of
from tests.helpers.duel import make_log

from steelyard.core import wire

REPOSITORY = Path(__file__).parents[2]
SEEDS = 20


def digests_under(seed: int, log: Path) -> dict[str, str]:
    """Replay a log in a fresh interpreter with a hash seed of its own."""
    environment = os.environ | {
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / root) for root in ("protos", "core", ".")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.digests", str(log)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return msgspec.json.decode(done.stdout, type=dict[str, str])


def test_twenty_hash_seeds_give_the_same_digests(tmp_path: Path) -> None:
    bodies = [wire.encode_entry(entry) for entry in make_log(seed=21, commands=2_000)]
    log = tmp_path / "log.msgpack"
    log.write_bytes(msgspec.msgpack.encode(bodies))
    with ThreadPoolExecutor(max_workers=2) as pool:
        seen = list(pool.map(lambda seed: digests_under(seed, log), range(SEEDS)))
    assert seen == [digests_of(bodies)] * SEEDS


def test_the_hash_seed_reaches_the_interpreter() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", "print(hash('steelyard'))"],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert said[0] != said[1]
