"""The log of a small crash, played in this process once, and a member's directory that holds such a log."""

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from steelyard.core import Applied, Entry, Exchange, snapshot, wire
from steelyard.ops.crash.local import LocalStage
from steelyard.ops.crash.play import Plan, play
from steelyard.ops.crash.watch import Watch
from steelyard.ops.terminal import Terminal
from steelyard.replication.files import FolderFiles
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import found, open_store
from steelyard.replication.snapshot_store import Header, LogEntry, Snapshot, SnapshotStore

GROUP = "ab" * 16
MAP_BYTES = 64 << 20
#: The engine's own entry at index 1 comes before all others.
FIRST = 2
ACCOUNTS = 40
STEPS = 320


class Crash(NamedTuple):
    """What was applied, in order, and what was seen of it."""

    entries: list[Entry]
    watch: Watch


@cache
def crash() -> Crash:
    """Return a crash of a few accounts, over several funding rounds."""
    entries: list[Entry] = []
    watch = Watch()

    def apply(exchange: Exchange, index: int, entry: Entry) -> Applied:
        entries.append(entry)
        return watch.apply(exchange, index, entry)

    stage = LocalStage(apply, checks=False)
    asyncio.run(play(Terminal(as_json=True), stage, Plan(ACCOUNTS, 0.5, 2, STEPS, strikes=0)))
    return Crash(entries, watch)


def write_member(node: Path, entries: Sequence[Entry], *, snapshot_at: int = 0, trims: bool = False) -> Path:
    """Make a member's directory whose log holds these entries from index ``FIRST`` on, all committed.

    With ``snapshot_at`` it has a snapshot of that index, and ``trims`` drops the log up to it.
    """
    found(node / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
    store = open_store(node / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
    store.append(1, 1, NO_OP)
    for index, entry in enumerate(entries, start=FIRST):
        store.append(index, 1, ENTRY + wire.encode_entry(entry))
    store.hard_state(1, 0, store.last_index)
    store.flush()
    if snapshot_at:
        exchange = Exchange()
        for index, entry in enumerate(entries[: snapshot_at - FIRST + 1], start=FIRST):
            exchange.apply(index, entry)
        before, at = store.entries(snapshot_at - 1, snapshot_at)
        state = snapshot.dump(exchange)
        header = Header(
            format=0,
            group=GROUP,
            index=snapshot_at,
            term=1,
            before=LogEntry(before.index, before.term, before.body),
            at=LogEntry(at.index, at.term, at.body),
            chain_before=store.chain(snapshot_at - 2),
            chain=store.chain(snapshot_at),
            digest=exchange.digest,
            state_digest=snapshot.state_digest(state),
            checked_index=0,
            checked_digest=b"",
            schema=snapshot.schema_of(exchange.state.version),
            sections=[],
        )
        reference = SnapshotStore(FolderFiles(node / "snapshots"), GROUP).write(Snapshot(header, state))
        assert reference is not None
        store.add_snapshot(reference)
        store.flush()
        if trims:
            store.trim(snapshot_at - 1)
            while store.first_index < snapshot_at - 1:
                store.flush()
    store.close()
    return node
