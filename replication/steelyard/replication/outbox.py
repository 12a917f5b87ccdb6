"""What we owe the other members: frames in order per peer, promises held until they are durable."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from steelyard.replication.group import MemberId
from steelyard.replication.links import Links
from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import APPEND_BYTES_MAX, PeerMessage, encode

BACKLOG_BYTES_MAX: Final = 2 * APPEND_BYTES_MAX
"""Above this a slow peer gets no more entries until it has taken what it was sent."""


class Peer:
    """What we know of, and owe to, one other member."""

    def __init__(self, member: MemberId) -> None:
        self.member = member
        self.linked = False
        self.links = 0
        """How many links to it there were: each may lead to another life of it."""
        self.paused = False
        self.held: deque[bytes] = deque()
        self.needs_snapshot = False
        self.heard_s: float | None = None
        self.seen_term = 0
        self.knows = 0
        self.wall_ahead_ns = 0
        self.used_permille = 0
        self.matched = 0
        self.acked_round = 0

    def forget_acks(self) -> None:
        """Begin a new book of acks: another term, or another life of the member."""
        self.matched = self.acked_round = 0


class Outbox:
    """Holds acks, votes and vote requests while the store is dirty; later frames queue behind them."""

    def __init__(self, members: list[MemberId], store: LogStore, links: Links) -> None:
        self._store = store
        self._links = links
        self.peers = {member: Peer(member) for member in members}

    def __iter__(self) -> Iterator[Peer]:
        """Yield the peers in order of their number."""
        return iter(self.peers.values())

    def post(self, peer: Peer, message: PeerMessage) -> None:
        """Send a message that promises something: not before what it rests on is durable."""
        self._send(peer, encode(message), hold=self._store.dirty)

    def send_now(self, peer: Peer, payload: bytes) -> None:
        """Send an encoded message that promises nothing, behind what is held."""
        self._send(peer, payload, hold=False)

    def overfull(self, peer: Peer) -> bool:
        """Whether a peer has more to take than it should be given."""
        return self._links.backlog_bytes(peer.member) > BACKLOG_BYTES_MAX

    def barrier(self, resume: Callable[[Peer], None]) -> None:
        """Flush; then let go what was held for it, and resume paused peers that caught up."""
        self._store.flush()
        for peer in self.peers.values():
            while peer.held:
                self._links.send(peer.member, peer.held.popleft())
            if peer.paused and self._links.backlog_bytes(peer.member) < BACKLOG_BYTES_MAX // 2:
                peer.paused = False
                if peer.linked:
                    resume(peer)

    def _send(self, peer: Peer, payload: bytes, *, hold: bool) -> None:
        if not peer.linked:
            return
        if hold or peer.held:
            peer.held.append(payload)
        else:
            self._links.send(peer.member, payload)
