"""Run one gateway: ``python -m steelyard.rpc --data DIR --member N``."""

import argparse
import logging
import os
import sys
from pathlib import Path

import uvloop

from steelyard.replication.config import node_paths, read_group
from steelyard.replication.errors import EX_REFUSED, StartRefused
from steelyard.rpc.gateway import PortTaken, serve


def main() -> int:
    """Serve until told to stop; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m steelyard.rpc", description="Run one gateway.")
    parser.add_argument("--data", type=Path, required=True, help="the group's data directory")
    parser.add_argument("--member", type=int, required=True, choices=(1, 2, 3), help="which node this is")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not __debug__:
        print("refusing to run without assertions: python -O is not for this program", file=sys.stderr)
        return EX_REFUSED
    try:
        group = read_group(options.data)
        uvloop.run(
            serve(
                group.group,
                options.member,
                node_paths(options.data, options.member).front_socket,
                group.client_endpoint(options.member),
                archive=node_paths(options.data, options.member).archive,
                name=f"gateway-{options.member}-{os.getpid()}",
            )
        )
    except (StartRefused, PortTaken) as error:
        print(f"refused to start: {error}", file=sys.stderr)
        return EX_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
