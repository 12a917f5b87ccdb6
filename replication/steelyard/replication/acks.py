"""A leader's book of acks: who has acknowledged what, in this term and in this life of theirs."""

from collections.abc import Collection

from steelyard.replication.clock import Clock
from steelyard.replication.consensus import Floor
from steelyard.replication.guards import Guards
from steelyard.replication.joining import Joining
from steelyard.replication.links import Links
from steelyard.replication.log_store import LogStore
from steelyard.replication.outbox import Peer
from steelyard.replication.wire import Ack


class AckBook:
    """What the members' acks say, and which of them reach the engine."""

    def __init__(
        self,
        peers: Collection[Peer],
        store: LogStore,
        links: Links,
        clock: Clock,
        guards: Guards,
        joining: Joining,
        floor: Floor,
    ) -> None:
        self._peers = peers
        self._store = store
        self._links = links
        self._clock = clock
        self._guards = guards
        self._joining = joining
        self._floor = floor
        self._term = 0

    @property
    def current(self) -> bool:
        """Whether the book is of the term we are in."""
        return self._term == self._store.current_term

    def rounds_confirmed(self, read_round: int) -> int:
        """Return how many peers acked ``read_round`` in this term."""
        if not self.current:
            return 0
        return sum(self._guards.round_confirms(p.acked_round, read_round) for p in self._peers)

    def on_ack(self, peer: Peer, ack: Ack) -> None:
        """Note an ack and hand it to the engine, if it counts for us."""
        if not self._guards.ack_counts(ack.term, self._store.current_term):
            self._floor.learn_term(peer.member, ack.term)
            return
        if not self._floor.engine.leads():
            return
        self._open()
        if ack.last_index < peer.matched:
            self._floor.post(peer, self._joining.remind(peer))
            self._links.drop(peer.member, "acked entries are gone")
            return
        if ack.success and ack.next_index > self._store.last_index + 1:
            self._links.drop(peer.member, "ack beyond our log")
            return
        peer.wall_ahead_ns = ack.wall_ns - self._clock.wall_ns()
        peer.used_permille = ack.used_permille
        before, next_index = self._floor.engine.next_index(peer.member), ack.next_index
        if ack.reset and not ack.success:
            next_index = self._guards.retry_at(peer.matched, before, next_index)
        self._floor.deliver(
            peer.member,
            {
                "type": "next_node_idx",
                "next_node_idx": next_index,
                "reset": ack.reset,
                "success": ack.success,
            },
        )
        if ack.success:
            peer.matched = max(peer.matched, ack.next_index - 1)
            after = self._floor.engine.next_index(peer.member)
            # A member that came back emptier than the engine remembers: its book of acks is ours.
            after = max(after, ack.next_index)
            kept = self._guards.next_after_ack(before, after, self._store.last_index)
            self._floor.engine.set_next_index(peer.member, kept)
        if ack.round > peer.acked_round:
            peer.acked_round = ack.round
            self._floor.engine.round_acked()

    def _open(self) -> None:
        """Acks count for one term of ours: a new term begins with an empty book."""
        if not self.current:
            self._term = self._store.current_term
            for peer in self._peers:
                peer.forget_acks()
