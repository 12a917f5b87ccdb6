"""Runs one replica: ``python -m steelyard.replication --data DIR --member N``, until SIGTERM."""

import argparse
import gc
import logging
import signal
import sys
from pathlib import Path

from steelyard.replication.config import MEMBERS
from steelyard.replication.errors import EX_INVARIANT, EX_REFUSED, ReplicationError, fail_stop


def main() -> None:
    """Start, run until told to stop, and leave with 0; or say in one line why not."""
    parser = argparse.ArgumentParser(prog="python -m steelyard.replication", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the group's data directory")
    parser.add_argument("--member", type=int, required=True, choices=range(1, MEMBERS + 1))
    arguments = parser.parse_args()
    if not __debug__:
        fail_stop(EX_REFUSED, "assertions are off (python -O): a wrong exchange could not stop itself")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    gc.disable()
    try:
        # The pin of the consensus library is checked by this import, before anything else is.
        from steelyard.replication.replica import open_replica

        replica = open_replica(arguments.data, arguments.member)
    except ReplicationError as error:
        fail_stop(error.exit_code, str(error))
    except OSError as error:
        fail_stop(EX_REFUSED, f"cannot start: {error}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: replica.stop())
    # Apply leaves no cycles behind, so collecting would only cost pauses.
    gc.collect()
    gc.freeze()
    try:
        replica.run()
    except Exception as error:
        logging.getLogger(__name__).exception("the loop broke")
        fail_stop(EX_INVARIANT, f"the loop broke: {error!r}")


if __name__ == "__main__":
    main()
