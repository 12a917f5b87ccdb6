"""A member's committed log, read from its disk, and exchanges that have been brought to a place in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from steelyard.core import Entry, Exchange, events, snapshot
from steelyard.core.state import State
from steelyard.ops.errors import OpsError
from steelyard.ops.explain.telling import Explanation
from steelyard.replication.audit import walk
from steelyard.replication.config import node_paths, read_group
from steelyard.replication.errors import ReplicationError
from steelyard.replication.files import FolderFiles
from steelyard.replication.log_reader import LogReader
from steelyard.replication.snapshot_store import SnapshotDamaged, SnapshotStore


class Unexplained(OpsError):
    """What is asked about is not in the log, or not any more; the message says what to do."""


class Explainer(Protocol):
    """Somebody who is told the log again from some place on."""

    explanation: Explanation

    def begin_entry(self, exchange: Exchange) -> None:
        """Look at the state before the next entry."""

    def hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        """Look at an event, and at the state in which it happens."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be heard."""


class MemberLog:
    """One member's log and snapshots.  Its replica may be running."""

    def __init__(self, node: Path) -> None:
        """Look at a member's directory; raises ``ReplicationError`` if there is no log in it."""
        self.node = node
        with LogReader(node / "store") as log:
            self.first_index = log.first_index
            self.commit_index = log.commit_index
            self._group = log.identity.group_id
            self._snapshots = log.snapshots

    @classmethod
    def of(cls, directory: Path, member: int | None) -> "MemberLog":
        """Return a member's log; without a member, that of the one which reaches back furthest.

        Raises:
            Unexplained: No log of the group can be read.
            ReplicationError: That member's cannot, or there is no group.

        """
        if member is not None:
            return cls(node_paths(directory, member).node)
        logs: list[MemberLog] = []
        faults: list[str] = []
        for each in read_group(directory).members:
            try:
                logs.append(cls(node_paths(directory, each.member).node))
            except ReplicationError as error:
                faults.append(f"node {each.member}: {error}")
        if not logs:
            raise Unexplained(f"no log in {directory} can be read: {'; '.join(faults)}")
        return min(logs, key=lambda log: (log.first_index, -log.commit_index))

    def before(self, is_before: Callable[[State], bool], what: str) -> Exchange:
        """Return the newest state that the log goes on from and in which something has not happened yet.

        Raises:
            Unexplained: The log and its snapshots begin behind it.

        """
        store = SnapshotStore(FolderFiles(self.node / "snapshots"), self._group)
        for reference in reversed(self._snapshots):
            if reference.index + 1 < self.first_index:
                continue
            try:
                exchange = snapshot.load(store.read(reference).state)
            except (SnapshotDamaged, snapshot.SnapshotError):
                continue  # an older one, or the beginning, gives the same states
            if is_before(exchange.state):
                return exchange
        if self.first_index > 1:
            raise Unexplained(
                f"{what} was decided before index {self.first_index}, where the log of {self.node.name}"
                " begins; ask a member that has kept more (--member), or a copy of an earlier log (--data)"
            )
        return Exchange()

    def entries(self, after_index: int) -> Iterator[tuple[int, Entry]]:
        """Yield (index, entry) of what is committed behind an index."""
        for index, _, entry in walk(self.node):
            if index > after_index:
                yield index, entry

    def retell(self, exchange: Exchange, explainer: Explainer) -> None:
        """Bring an exchange forward, and let somebody hear everything, until there is no more to hear."""
        for index, entry in self.entries(exchange.applied_index):
            explainer.begin_entry(exchange)
            exchange.retell(index, entry, lambda event: explainer.hear(exchange, event))
            if explainer.is_done:
                return

    def forward(self, exchange: Exchange, index: int) -> Entry:
        """Bring an exchange to the entry before ``index``, and return the entry there.

        Raises:
            Unexplained: There is no such entry.

        """
        for at, entry in self.entries(exchange.applied_index):
            if at == index:
                return entry
            if at > index:
                break
            exchange.apply(at, entry)
        raise Unexplained(
            f"there is no entry {index}: the log of {self.node.name} holds {self.first_index} to"
            f" {self.commit_index}, and entries of the group itself are none of the exchange's"
        )
