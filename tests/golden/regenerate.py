"""Write the golden files anew, on purpose: ``python -m tests.golden.regenerate``.

There is one log for each version.  The logs themselves are kept unless ``--log`` is given, because an old
log must replay to the same state for ever; then say in the commit why the recorded bytes had to change.
"""

import argparse
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from tests.golden.samples import encoded_samples
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.digests import digests_of, load_log, replayed
from tests.helpers.duel import make_log
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.traffic import Traffic

from steelyard.core import snapshot, wire

HERE = Path(__file__).parent
WIRE = HERE / "wire.json"


class Golden(NamedTuple):
    """What is recorded of one version."""

    log: Path
    digests: Path
    snapshot: Path
    kind: type[Traffic]
    seed: int
    commands: int


GOLDEN: Final = {
    1: Golden(
        HERE / "log.msgpack", HERE / "digests.json", HERE / "snapshot.msgpack", Traffic, 2024, commands=1_500
    ),
    2: Golden(
        HERE / "log_2.msgpack",
        HERE / "digests_2.json",
        HERE / "snapshot_2.msgpack",
        SpotTraffic,
        13,
        commands=3_000,
    ),
    3: Golden(
        HERE / "log_3.msgpack",
        HERE / "digests_3.json",
        HERE / "snapshot_3.msgpack",
        ContractTraffic,
        53,
        commands=5_000,
    ),
}


def main() -> None:
    """Rewrite what is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=int, action="append", default=[], help="make a version's log, too")
    wanted = parser.parse_args().log
    for version, golden in GOLDEN.items():
        if version in wanted or not golden.log.exists():
            log = make_log(golden.seed, golden.commands, golden.kind)
            golden.log.write_bytes(msgspec.msgpack.encode([wire.encode_entry(entry) for entry in log]))
        bodies = load_log(golden.log)
        golden.snapshot.write_bytes(snapshot.dump(replayed(bodies)))
        write_json(golden.digests, digests_of(bodies))
    write_json(WIRE, encoded_samples())


def write_json(path: Path, recorded: dict[str, str]) -> None:
    """Write a table, one row a line."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n")
    print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
