"""Logs of a group are read as one: equal where they overlap, whole from the beginning."""

from pathlib import Path

import pytest

from steelyard.core import Entry, wire
from steelyard.ops.logs import read_logs
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP, SnapshotRef
from steelyard.replication.log_store import found, open_store

GROUP = "ab" * 16
MAP_BYTES = 16 << 20


def write(node: Path, last: int, *, first: int = 1, other_from: int = 1000) -> Path:
    """Make a member's directory with a committed log; from ``other_from`` on it is another log."""
    found(node / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
    store = open_store(node / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
    store.append(1, 1, NO_OP)
    for index in range(2, last + 1):
        entry = Entry(version=1, time_ns=index + (index >= other_from), requests=[])
        store.append(index, 1, ENTRY + wire.encode_entry(entry))
    store.hard_state(1, 0, last)
    store.flush()
    if first > 1:
        store.add_snapshot(SnapshotRef(first + 1, 1, "snapshot", bytes(32)))
        store.trim(first)
        while store.first_index < first:
            store.flush()
    store.close()
    return node


def indexes(*nodes: Path) -> list[int]:
    log = read_logs(nodes)
    assert log.faults == []
    assert log.last_index == log.entries[-1][0]
    return [index for index, _ in log.entries]


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "the other way round"])
def test_a_log_that_forgot_its_beginning_goes_on_from_one_that_has_it(turned: bool, tmp_path: Path) -> None:
    nodes = [write(tmp_path / "archive", 10), write(tmp_path / "member", 20, first=10)]
    assert indexes(*(reversed(nodes) if turned else nodes)) == list(range(2, 21))


def test_a_log_that_shares_nothing_with_the_whole_one_is_not_added_to_it(tmp_path: Path) -> None:
    log = read_logs([write(tmp_path / "archive", 10), write(tmp_path / "member", 20, first=11)])
    assert log.last_index == 10


def test_no_log_with_a_beginning_is_a_fault(tmp_path: Path) -> None:
    assert read_logs([write(tmp_path / "member", 20, first=5)]).faults == [
        "no log reaches back to its beginning"
    ]


def test_another_log_in_the_shared_part_is_a_fault(tmp_path: Path) -> None:
    log = read_logs([write(tmp_path / "one", 10), write(tmp_path / "two", 20, other_from=10)])
    assert log.faults == ["two: another log than the others' from index 10 on"]


def test_a_log_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    log = read_logs([write(tmp_path / "one", 10), tmp_path / "nowhere"])
    assert log.last_index == 10
    assert len(log.faults) == 1
    assert log.faults[0].startswith("nowhere: ")
