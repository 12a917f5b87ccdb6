"""Write the golden files anew, on purpose: ``python -m tests.golden.regenerate``.

The log itself is kept unless ``--log`` is given, because an old log must replay to the same state for ever;
then say in the commit why the recorded bytes had to change.
"""

import argparse
from pathlib import Path

import msgspec
from tests.golden.samples import encoded_samples
from tests.helpers.digests import digests_of, load_log, replayed
from tests.helpers.duel import make_log
from tests.helpers.traffic import Traffic

from steelyard.core import snapshot, wire

HERE = Path(__file__).parent
LOG = HERE / "log.msgpack"
DIGESTS = HERE / "digests.json"
SNAPSHOT = HERE / "snapshot.msgpack"
WIRE = HERE / "wire.json"


def main() -> None:
    """Rewrite what is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", action="store_true", help="make a new log, too")
    if parser.parse_args().log or not LOG.exists():
        bodies = [wire.encode_entry(entry) for entry in make_log(seed=2024, commands=1_500, kind=Traffic)]
        LOG.write_bytes(msgspec.msgpack.encode(bodies))
    SNAPSHOT.write_bytes(snapshot.dump(replayed(load_log(LOG))))
    for path, recorded in ((DIGESTS, digests_of(load_log(LOG))), (WIRE, encoded_samples())):
        path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
