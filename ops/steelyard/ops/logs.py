"""The committed log of a group, read from the disks of all its members and compared link by link."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from steelyard.core import Entry, wire
from steelyard.replication.errors import ReplicationError
from steelyard.replication.log_reader import LogReader


class GroupLog(NamedTuple):
    """What the members have logged; ``faults`` says in words where they differ or cannot be read."""

    entries: list[tuple[int, Entry]]
    last_index: int
    faults: list[str]


def read_logs(nodes: Sequence[Path]) -> GroupLog:
    """Return the longest committed log that begins at its beginning, once all logs agree on every hash.

    Equal hashes at one index mean equal logs up to there, so a log that has forgotten its beginning goes on
    from a whole one that it shares an index with.
    """
    chains: dict[int, bytes] = {}
    entries: list[tuple[int, Entry]] = []
    faults: list[str] = []
    last_index = 0
    for node in sorted(nodes, key=_first_index):
        own: list[tuple[int, Entry]] = []
        try:
            with LogReader(node / "store") as log:
                whole = log.first_index == 1 or log.first_index <= last_index
                for logged in log:
                    if logged.index > log.commit_index:
                        break
                    if chains.setdefault(logged.index, logged.chain) != logged.chain:
                        faults.append(
                            f"{node.name}: another log than the others' from index {logged.index} on"
                        )
                        break
                    if whole and logged.index > last_index and logged.body is not None:
                        own.append((logged.index, wire.decode_entry(logged.body)))
                if whole and log.commit_index > last_index:
                    last_index = log.commit_index
                    entries += own
        except ReplicationError as error:
            faults.append(f"{node.name}: {error}")
    if not entries:
        faults.append("no log reaches back to its beginning")
    return GroupLog(entries, last_index, faults)


def _first_index(node: Path) -> int:
    """Return where a log begins; zero for one that cannot be read, which is found out later."""
    try:
        with LogReader(node / "store") as log:
            return log.first_index
    except ReplicationError:
        return 0
