"""One member of a group of stock pysyncobj for bench_replication.py; whoever leads measures and prints."""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from closed_loop import ClosedLoop, Tally
from pysyncobj import SyncObj, SyncObjConf, replicated


class Stock(SyncObj):
    """The trivial state machine, by the library's own means."""

    def __init__(self, own: str, others: list[str], conf: SyncObjConf, size_bytes: int) -> None:
        super().__init__(own, others, conf)
        self._tally = Tally()
        self._size_bytes = size_bytes

    @replicated
    def apply_one(self, command: bytes) -> None:
        """Apply one command."""
        self._tally.apply(command)

    @replicated
    def apply_all(self, body: bytes) -> None:
        """Apply the commands in a body."""
        self._tally.apply_all(body, self._size_bytes)


def main() -> None:
    """Tick for ever; as leader of three measure once, print, and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--plan", type=json.loads, required=True)
    options = parser.parse_args()
    plan: dict[str, Any] = options.plan
    addresses = [f"127.0.0.1:{port}" for port in plan["ports"]]
    own = addresses.pop(options.member - 1)
    journal = str(options.directory / f"journal-{options.member}") if plan["journal"] else None
    conf = SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=plan["use_batch"],
        appendEntriesPeriod=plan["period_s"],
        appendEntriesBatchSizeBytes=plan["batch_bytes"],
        sendBufferSize=plan["buffer_bytes"],
        recvBufferSize=plan["buffer_bytes"],
        logCompactionMinEntries=10**9,
        logCompactionMinTime=10**9,
        connectionRetryTime=0.1,
        raftMinTimeout=1.0,
        raftMaxTimeout=2.0,
        journalFile=journal,
    )
    group = Stock(own, addresses, conf, plan["size_bytes"])
    while not (group._isLeader() and group.isReady() and all(map(group.isNodeConnected, group.otherNodes))):
        group.doTick(plan["tick_s"])
    loop = ClosedLoop(
        outstanding=plan["outstanding"],
        size_bytes=plan["size_bytes"],
        random_bytes=plan["random_bytes"],
        seconds=plan["seconds"],
    )
    per_call = plan["per_call"]
    while not loop.over:
        ask(group, loop, per_call)
        group.doTick(plan["tick_s"])
    print(json.dumps(loop.figures()), flush=True)


def ask(group: Stock, loop: ClosedLoop, per_call: int) -> None:
    """Call for every command that is ready, ``per_call`` commands a call."""
    asked_s = time.monotonic()
    if per_call == 1:
        while loop.ready:
            group.apply_one(loop.one(), callback=partial(answered, loop, 1, asked_s))
    else:
        while loop.ready:
            commands = loop.many(per_call)
            group.apply_all(b"".join(commands), callback=partial(answered, loop, len(commands), asked_s))


def answered(loop: ClosedLoop, count: int, asked_s: float, _result: None, error: int) -> None:
    """Take the library's answer to one call."""
    if error:
        raise SystemExit(f"the library says {error}")
    loop.answered(count, asked_s)


if __name__ == "__main__":
    main()
