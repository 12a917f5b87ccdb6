"""Who may vote: a disk that is new, or holds less than a peer remembers, joins again without a vote."""

import logging

from steelyard.replication.clock import Clock
from steelyard.replication.group import MemberId
from steelyard.replication.guards import Guards
from steelyard.replication.log_store import LogStore, PeerMemory
from steelyard.replication.outbox import Peer
from steelyard.replication.wire import Hello, Remembered

logger = logging.getLogger(__name__)

_NOTHING = Remembered(0, 0, 0, 0)


class Joining:
    """What members remember of each other, and the way back to the vote."""

    def __init__(self, store: LogStore, clock: Clock, guards: Guards, peers: int) -> None:
        self._store = store
        self._clock = clock
        self._guards = guards
        self._peers = peers
        self._target = 0
        self._terms: dict[MemberId, int] = {}

    def meet(self, peer: Peer, hello: Hello) -> Remembered:
        """Note a member's hello; return what we remembered of its present life until now."""
        self._terms[peer.member] = hello.term
        self._target = max(self._target, hello.last_index)
        memory = self._store.remembered(peer.member)
        if memory is None or hello.incarnation > memory.incarnation:
            new = PeerMemory(hello.incarnation, hello.boots, hello.term, 0)
            self._store.remember(peer.member, new, now=True)
            peer.forget_acks()
            return _NOTHING
        told = Remembered(memory.incarnation, memory.boots, memory.term, memory.index)
        if hello.incarnation == memory.incarnation and hello.boots > memory.boots:
            new = PeerMemory(hello.incarnation, hello.boots, max(hello.term, memory.term), memory.index)
            self._store.remember(peer.member, new, now=True)
        return told

    def remember(self, peer: Peer) -> None:
        """Note how far a member is, for the day it comes back with less."""
        old = self._store.remembered(peer.member)
        if old is not None and peer.linked:
            index = max(old.index, min(peer.matched, self._store.commit_index))
            memory = PeerMemory(old.incarnation, old.boots, max(old.term, peer.seen_term), index)
            self._store.remember(peer.member, memory, now=False)

    def remind(self, peer: Peer) -> Remembered:
        """Return what a member acked to us in this very term and does not have any more."""
        memory = self._store.remembered(peer.member)
        assert memory is not None, "a linked member is remembered"
        return Remembered(memory.incarnation, memory.boots, memory.term, max(memory.index, peer.matched))

    def hear(self, told: Remembered) -> bool:
        """Give up the vote if a peer remembers more of us than our disk does; return whether we did."""
        identity, store = self._store.identity, self._store
        memory = PeerMemory(told.incarnation, told.boots, told.term, told.index)
        if not self._guards.forgot(
            memory, identity.incarnation, identity.boots, store.current_term, store.last_index
        ):
            return False
        logger.error("our disk holds less than a peer remembers of us: joining again, without a vote")
        store.become_joining(max(self._clock.wall_ns(), told.incarnation + 1))
        self._terms.clear()
        self._target = 0
        return True

    def try_to_vote_again(self) -> None:
        """Vote again once we hold all that could rest on us, in terms above all we can have voted in."""
        if (
            self._store.identity.joining
            and len(self._terms) == self._peers
            and self._store.commit_index >= self._target
        ):
            self._store.become_voter(max(self._terms.values()))
            logger.warning("caught up: voting in terms above %d", self._store.identity.vote_floor)
