"""At boot: the newest sound snapshot, and the log that goes on from it."""

import logging

import msgspec

from steelyard.core import Exchange, snapshot
from steelyard.replication.errors import EX_INVARIANT, StartRefused, fail_stop
from steelyard.replication.log_store import LogStore
from steelyard.replication.snapshot_store import Snapshot, SnapshotDamaged, SnapshotStore

_log = logging.getLogger(__name__)


class Recovered(msgspec.Struct, frozen=True):
    """Where to go on: the exchange as of ``index``, and the last digest that members compare."""

    exchange: Exchange
    index: int
    checked_index: int
    checked_digest: bytes


def recover(store: LogStore, snapshots: SnapshotStore) -> Recovered:
    """Return the exchange of the newest snapshot that verifies and fits the log; an empty one at index 0.

    Pointers to snapshots that do not verify are dropped. The entries behind the snapshot are not applied
    here: the group hands them over once it knows what is committed.

    Raises:
        StartRefused: The log does not reach back to any sound snapshot.

    """
    for ref in reversed(store.snapshots()):
        try:
            found = snapshots.read(ref)
            _check_place(found, store)
        except SnapshotDamaged as error:
            _log.error("snapshot refused, trying an older one: %s", error)
            store.drop_snapshot(ref.name)
            continue
        exchange = load(found, ref.name)
        header = found.header
        _log.info("restored the state of index %d from %s", header.index, ref.name)
        return Recovered(exchange, header.index, header.checked_index, header.checked_digest)
    if store.first_index > 1:
        raise StartRefused(
            f"no sound snapshot, and the log begins at {store.first_index}: wipe this member and let it join"
        )
    return Recovered(Exchange(), 0, 0, b"")


def _check_place(found: Snapshot, store: LogStore) -> None:
    """Raise ``SnapshotDamaged`` unless the log holds the snapshot's two entries and agrees with it."""
    header = found.header
    if not store.first_index <= header.before.index <= header.index <= store.last_index:
        raise SnapshotDamaged(
            f"index {header.index} is not in the log of {store.first_index} to {store.last_index}"
        )
    for entry in (header.before, header.at):
        record = store.entry(entry.index)
        if (record.term, record.body) != (entry.term, entry.body):
            raise SnapshotDamaged(f"another entry {entry.index} than the log's")
    if store.chain(header.index) != header.chain:
        raise SnapshotDamaged(f"another chain at {header.index} than the log's")


def load(found: Snapshot, name: str) -> Exchange:
    """Return the exchange that a verified snapshot holds; one that does not load ends the process.

    Raises:
        StartRefused: It is written in a schema that this build cannot read.

    """
    header = found.header
    if header.schema not in snapshot.SCHEMAS:
        raise StartRefused(f"{name} has schema {header.schema}, we read {snapshot.SCHEMAS}")
    try:
        assert snapshot.state_digest(found.state) == header.state_digest, "state digest"
        exchange = snapshot.load(found.state)
        assert exchange.applied_index == header.index, (exchange.applied_index, header.index)
        assert exchange.digest == header.digest, "rolling digest"
    except Exception as error:
        fail_stop(EX_INVARIANT, f"{name} verifies but does not load: {error!r}")
    return exchange
