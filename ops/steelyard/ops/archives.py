"""The archives of a group on this machine: which nodes keep one, and how far each has come."""

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from steelyard.ops.log_files import bound_log
from steelyard.ops.runfile import write_run
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.config import node_paths
from steelyard.replication.errors import EX_INVARIANT, StoreDamaged

if TYPE_CHECKING:
    from steelyard.ops.cluster import LocalGroup

#: Between a stop and the next start: first, and at most.
DELAY_FIRST_S: Final = 1.0
DELAY_MAX_S: Final = 30.0


class ArchiveKeeper:
    """Starts archives, and starts them again when they stop, with back-off.

    One that found the replica to have another state than its log gives stays down: somebody has to look.
    """

    def __init__(self, group: "LocalGroup", members: Iterable[int]) -> None:
        self._group = group
        self._members = tuple(sorted(set(members)))
        self._stops = dict.fromkeys(self._members, 0)
        self._due_s: dict[int, float] = {}

    def look(self, now_s: float) -> list[str]:
        """Look once at every archive; return what happened, in words."""
        happened: list[str] = []
        for member in self._members:
            node = self._group.run.nodes[member]
            if bound_log(self._group.log_path(member, "archive")):
                happened.append(f"node {member}: the archive's log was long; it begins anew")
            if node.archive_down_reason or (node.archive is not None and node.archive.alive()):
                continue
            if node.archive is not None and member not in self._due_s:
                happened.append(self._stopped(member, now_s))
            elif now_s >= self._due_s.get(member, now_s):
                self._due_s.pop(member, None)
                self._group.start_part(member, "archive")
                happened.append(f"node {member}: the archive is started")
        return happened

    def _stopped(self, member: int, now_s: float) -> str:
        node = self._group.run.nodes[member]
        assert node.archive is not None, member
        code = self._group.exit_code(node.archive)
        words = self._group.last_words(member, "archive") if code is not None and code > 0 else ""
        if code == EX_INVARIANT:
            node.archive_down_reason = words
            write_run(self._group.directory, self._group.run)
            return f"node {member}: the archive stays down: {words}"
        self._stops[member] += 1
        self._due_s[member] = now_s + min(DELAY_MAX_S, DELAY_FIRST_S * 2.0 ** (self._stops[member] - 1))
        return f"node {member}: the archive stopped with exit code {code}, and will be started again {words}"


def archive_index(group: "LocalGroup", member: int) -> int | None:
    """Return how far a member's archive has come, or None if it has none that can be read."""
    try:
        with ArchiveReader(node_paths(group.directory, member).archive) as reader:
            return reader.last_index
    except (FileNotFoundError, StoreDamaged, sqlite3.Error):
        return None
