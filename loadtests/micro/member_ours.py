"""One member of a group of ours for bench_replication.py; whoever leads measures and prints."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from closed_loop import ClosedLoop, Tally

from steelyard.replication.engine import PysyncobjGroup, build_group
from steelyard.replication.group import SHARED, Failure, GroupSettings, MemberId
from steelyard.replication.log_store import found, open_store

GROUP = "bench"
MAP_BYTES = 2 << 30
WAIT_S = 0.01


def main() -> None:
    """Turn for ever; as leader of three measure once, print, and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--plan", type=json.loads, required=True)
    options = parser.parse_args()
    plan: dict[str, Any] = options.plan
    members = [MemberId(1), MemberId(2), MemberId(3)]
    own = members[options.member - 1]
    addresses = {m: ("127.0.0.1", port) for m, port in zip(members, plan["ports"], strict=True)}
    directory = options.directory / str(own)
    found(directory, GROUP, own, map_bytes=MAP_BYTES)
    tally = Tally()
    group = build_group(
        GroupSettings(GROUP, own, addresses, bytes(32), SHARED),
        open_store(directory, GROUP, own, map_bytes=MAP_BYTES),
        apply=lambda _index, _term, body: tally.apply_all(body, plan["size_bytes"]),
        apply_noop=lambda _: None,
        leadership_changed=lambda _: None,
        on_digest=lambda *_: None,
    )
    while not (group.window_free() and all(peer.connected for peer in group.peers())):
        group.turn(WAIT_S)
    loop = ClosedLoop(
        outstanding=plan["outstanding"],
        size_bytes=plan["size_bytes"],
        random_bytes=plan["random_bytes"],
        seconds=plan["seconds"],
    )
    while not loop.over:
        while loop.ready and group.window_free():
            ask(group, loop, plan["per_call"])
        group.turn(WAIT_S)
    print(json.dumps(loop.figures()), flush=True)


def ask(group: PysyncobjGroup, loop: ClosedLoop, per_call: int) -> None:
    """Propose what is ready, up to ``per_call`` commands, as one entry."""
    asked_s = time.monotonic()
    commands = loop.many(per_call)

    def done(told: int | Failure) -> None:
        if isinstance(told, Failure):
            sys.exit(f"the leader of the benchmark lost its office: {told.value}")
        loop.answered(len(commands), asked_s)

    group.propose(b"".join(commands), done)


if __name__ == "__main__":
    main()
