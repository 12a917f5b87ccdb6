"""Between the engine's message dicts and the wire: guards on what comes, stamps on what goes."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from steelyard.replication.acks import AckBook
from steelyard.replication.clock import Clock
from steelyard.replication.consensus import Engine, Message, Node
from steelyard.replication.errors import EX_INVARIANT, fail_stop
from steelyard.replication.fetching import Fetched, Fetching, SnapshotFiles
from steelyard.replication.group import GroupSettings, MemberId, PeerStatus
from steelyard.replication.guards import Guards
from steelyard.replication.joining import Joining
from steelyard.replication.journal import Journal
from steelyard.replication.links import Links
from steelyard.replication.log_store import LogStore
from steelyard.replication.outbox import Outbox, Peer
from steelyard.replication.remote_reads import RemoteReads
from steelyard.replication.votes import Votes
from steelyard.replication.wire import (
    WIRE_VERSION,
    Ack,
    Append,
    Beat,
    Digest,
    Hello,
    NoPiece,
    Offer,
    PeerMessage,
    Piece,
    PieceRequest,
    Ping,
    PreVoteGrant,
    PreVoteRequest,
    ReadIndex,
    ReadIndexRequest,
    Remembered,
    TermInfo,
    TimeoutNow,
    VoteGrant,
    VoteRequest,
    decode_message,
    encode,
)

logger = logging.getLogger(__name__)

DigestHandler = Callable[[MemberId, int, bytes, bytes], None]


class Transport:
    """pysyncobj's transport by shape; ``engine`` and ``nodes`` are set once before ``start``."""

    ready = True
    engine: Engine
    nodes: Mapping[MemberId, Node]

    def __init__(
        self,
        settings: GroupSettings,
        store: LogStore,
        journal: Journal,
        links: Links,
        clock: Clock,
        guards: Guards,
        on_digest: DigestHandler,
        snapshots: SnapshotFiles,
    ) -> None:
        self._settings = settings
        self._store = store
        self.journal = journal
        self._links = links
        self._clock = clock
        self._guards = guards
        self._on_digest = on_digest
        others = [member for member in sorted(settings.peers) if member != settings.member]
        self._out = Outbox(others, store, links)
        self._peers = self._out.peers
        self._joining = Joining(store, clock, guards, len(others))
        self.fetching = Fetching(snapshots, clock, self._tell, self._linked)
        self.remote_reads = RemoteReads(clock, self._tell)
        self._leader_heard_s = -settings.timeouts.max_s
        self._round_seen = (0, 0, 0)  # term, leader, its highest read round
        self._votes = Votes(settings, store, guards, self)
        self.acks = AckBook(self._peers.values(), store, links, clock, guards, self._joining, self)
        self._encoded: tuple[Any, bytes] = (None, b"")
        self._used_permille = 0

    def start(self) -> None:
        """Begin to dial and listen."""
        self._links.start(self)

    # --- the engine's side -------------------------------------------------------------------

    def setOnMessageReceivedCallback(self, callback: Callable[[Node, Message], None]) -> None:  # noqa: N802
        """Note where the engine takes messages."""
        self._take_message = callback

    def setOnNodeConnectedCallback(self, callback: Callable[[Node], None]) -> None:  # noqa: N802
        """Note where the engine learns that it may send to a member."""
        self._node_connected = callback

    def setOnNodeDisconnectedCallback(self, callback: Callable[[Node], None]) -> None:  # noqa: N802
        """Note where the engine learns that it may not."""
        self._node_disconnected = callback

    def setOnReadonlyNodeConnectedCallback(self, callback: object) -> None:  # noqa: N802
        """Forget it: there are no read-only members."""

    def setOnReadonlyNodeDisconnectedCallback(self, callback: object) -> None:  # noqa: N802
        """Forget it: there are no read-only members."""

    def setOnUtilityMessageCallback(self, message: str, callback: object) -> None:  # noqa: N802
        """Forget it: no verb of the engine's is reachable from outside."""

    def send(self, node: Node, message: Message) -> bool:
        """Send one of the engine's messages; acks, votes and vote requests wait for the disk."""
        peer = self._peers[node.id]
        term = self._store.current_term
        match message["type"]:
            case "append_entries":
                return self._send_append(peer, message)
            case "next_node_idx":
                self._out.post(
                    peer, self._ack(message["next_node_idx"], message["success"], message["reset"])
                )
            case "request_vote":
                self._out.post(peer, VoteRequest(term, self._store.last_index, self._store.last_term))
            case "response_vote":
                self._out.post(peer, VoteGrant(message["term"]))
            case "timeout_now":
                self._out.post(peer, TimeoutNow(message["term"]))
            case other:
                fail_stop(EX_INVARIANT, f"the engine sends {other}, which no member may")
        return peer.linked

    def broadcast(self, message: PeerMessage) -> None:
        """Send a message of our own to every linked member, behind what is held."""
        for peer in self._peers.values():
            self._out.post(peer, message)

    def barrier(self) -> None:
        """Flush, let go what was held for it, and give paused peers another chance."""
        self._out.barrier(self._resume)

    def leader_heard_within(self, span_s: float) -> bool:
        """Whether a leader of our term or a later one spoke in the last ``span_s`` seconds."""
        return self._clock.monotonic_s() - self._leader_heard_s < span_s

    def status(self) -> list[PeerStatus]:
        """Return what we know of the others."""
        leads = self.engine.leads() and self.acks.current
        return [
            PeerStatus(
                member=p.member,
                connected=p.linked,
                acked_index=p.matched if leads else 0,
                heard_s=p.heard_s,
                needs_snapshot=p.needs_snapshot,
                wall_ahead_ns=p.wall_ahead_ns if leads else 0,
                used_permille=p.used_permille,
                knows=p.knows,
            )
            for p in self._peers.values()
        ]

    def each_second(self) -> None:
        """Note how far the others are, for the day one of them comes back with less."""
        self._used_permille = int(self._store.used_fraction() * 1000)
        for peer in self._out:
            self._joining.remember(peer)

    def destroy(self) -> None:
        """Close the links."""
        self._links.close()

    def deliver(self, member: MemberId, message: Message) -> None:
        """Hand a message to the engine."""
        self._take_message(self.nodes[member], message)

    def post(self, peer: Peer, message: PeerMessage) -> None:
        """Send a message that promises something: not before what it rests on is durable."""
        self._out.post(peer, message)

    def _tell(self, member: MemberId, message: PeerMessage) -> None:
        """Send something that promises nothing."""
        self._out.send_now(self._peers[member], encode(message))

    def _answer_read(self, peer: Peer, link: int, number: int, index: int) -> None:
        """Answer on the link that the question came by, or not at all.

        Behind a later link may be another life of the member, which counts its questions anew: the
        answer to an old one would pass for that to a question that was asked later.
        """
        if link == peer.links:
            self._tell(peer.member, ReadIndex(number, index))

    def _linked(self) -> list[MemberId]:
        return [peer.member for peer in self._peers.values() if peer.linked]

    def _resume(self, peer: Peer) -> None:
        self._tell_connected(peer.member, True)

    def _tell_connected(self, member: MemberId, up: bool) -> None:
        (self._node_connected if up else self._node_disconnected)(self.nodes[member])

    def _send_append(self, peer: Peer, message: Message) -> bool:
        if message.get("prevLogIdx") is None:
            return self._send_beat(peer, message)
        prev = message["prevLogIdx"]
        if self._out.overfull(peer):
            self.engine.set_next_index(peer.member, prev + 1)
            self._pause(peer)
            return False
        entries = message["entries"]
        # Both followers usually get the same: encode once.
        key = (message["term"], message["commit_index"], prev, len(entries), self.engine.read_round())
        if self._encoded[0] != key:
            append = Append(key[0], key[1], prev, message["prevLogTerm"], key[4], list(entries))
            self._encoded = (key, encode(append))
        if peer.needs_snapshot:
            peer.needs_snapshot = False
            self.fetching.not_needed(peer.member)
        self._out.send_now(peer, self._encoded[1])
        return peer.linked

    def _send_beat(self, peer: Peer, message: Message) -> bool:
        """Give a member behind our first entry a heartbeat and an offer, and end the engine's loop."""
        if not peer.needs_snapshot:
            peer.needs_snapshot = True
            logger.warning("member %d needs a snapshot: it is behind our first entry", peer.member)
        beat = Beat(message["term"], message["commit_index"], self.engine.read_round())
        self._out.send_now(peer, encode(beat))
        offer = self.fetching.offer(peer.member, beat.term, self._store.first_index)
        if offer is not None:
            self._out.send_now(peer, encode(offer))
        self._pause(peer)
        return False

    def _pause(self, peer: Peer) -> None:
        """Make the engine leave its sending loop for this peer until the next barrier."""
        peer.paused = True
        self._tell_connected(peer.member, False)

    def _ack(self, next_index: int, success: bool, reset: bool) -> Ack:
        if reset and not success:
            next_index = self._guards.conflict_hint(next_index, self._store)
        return Ack(
            self._store.current_term,
            next_index,
            success,
            reset,
            self._store.last_index,
            self._round_seen[2] if self._round_seen[0] == self._store.current_term else 0,
            self._clock.wall_ns(),
            self._used_permille,
        )

    # --- the links' side -------------------------------------------------------------------------

    def hello(self, nonce: bytes) -> Hello:
        """Return what a crash now would leave true of us."""
        store, identity = self._store, self._store.identity
        return Hello(
            WIRE_VERSION,
            identity.group_id,
            identity.member,
            identity.incarnation,
            identity.boots,
            store.durable_term,
            store.durable_last_index,
            store.term(store.durable_last_index),
            nonce,
            self._settings.knows,
        )

    def link_up(self, member: MemberId, hello: Hello) -> None:
        """Greet a proven member with what we remember of it, before anything else."""
        peer = self._peers[member]
        peer.linked, peer.paused = True, False
        peer.links += 1
        peer.heard_s = self._clock.monotonic_s()
        peer.seen_term = hello.term
        peer.knows = hello.knows
        self._out.post(peer, self._joining.meet(peer, hello))
        self._tell_connected(member, True)

    def link_down(self, member: MemberId) -> None:
        """Forget what was held: the other side will see a new connection."""
        peer = self._peers[member]
        peer.linked = peer.paused = False
        peer.held.clear()
        self.fetching.lost(member)
        self.remote_reads.lost(member)
        self._tell_connected(member, False)

    def link_payload(self, member: MemberId, payload: bytes) -> None:
        """Decode a frame and act on it; anything malformed costs the connection."""
        try:
            message = decode_message(payload)
        except msgspec.MsgspecError:
            self._links.drop(member, "not a peer message")
            return
        self.on_peer(member, message)

    def on_peer(self, member: MemberId, message: PeerMessage) -> None:
        """Act on a message of a proven member."""
        peer = self._peers[member]
        peer.heard_s = self._clock.monotonic_s()
        term = getattr(message, "term", 0)
        if not isinstance(message, PreVoteRequest | PreVoteGrant | Remembered | Offer):
            peer.seen_term = max(peer.seen_term, term)
        match message:
            case Append():
                self._on_append(peer, message)
            case Ack():
                self.acks.on_ack(peer, message)
            case Beat():
                self._on_beat(peer, message)
            case VoteRequest():
                self._votes.on_request(peer, message)
            case VoteGrant():
                self._votes.on_grant(peer, message)
            case PreVoteRequest():
                self._votes.on_pre_vote_request(peer, message)
            case PreVoteGrant():
                self.engine.pre_vote_granted(member, message.term)
            case TermInfo():
                self.learn_term(member, message.term)
            case TimeoutNow():
                self._votes.on_timeout_now(peer, message)
            case Digest():
                self._on_digest(member, message.index, message.digest, message.chain)
            case Remembered():
                self._on_remembered(message)
            case Ping():
                pass
            case Offer():
                self._on_offer(peer, message)
            case PieceRequest():
                # A member that does not take what it asked for asks again when it does.
                if not self._out.overfull(peer):
                    self.fetching.serve(member, message)
            case Piece():
                if not self.fetching.got(member, message):
                    self._links.drop(member, "a damaged piece of a snapshot")
            case NoPiece():
                self.fetching.refused(member, message)
            case ReadIndexRequest():
                number, link = message.number, peer.links
                self.engine.answer_read(lambda index: self._answer_read(peer, link, number, index))
            case ReadIndex():
                self.remote_reads.answered(member, message.number, message.index)

    def learn_term(self, member: MemberId, term: int) -> None:
        """Step down to a follower of a higher term: a vote request that nobody can grant says so."""
        if term > self._store.current_term:
            self.deliver(
                member, {"type": "request_vote", "term": term, "last_log_index": -1, "last_log_term": -1}
            )

    def tells_term(self, peer: Peer, term: int) -> bool:
        """Tell ours to whoever is in a lower term; return whether it was."""
        if not self._guards.tells_term(term, self._store.current_term):
            return False
        self._out.post(peer, TermInfo(self._store.current_term))
        return True

    def _heard_leader(self, peer: Peer, message: Append | Beat) -> None:
        if self.engine.leads() and message.term == self._store.current_term:
            fail_stop(EX_INVARIANT, f"member {peer.member} leads in our own term {message.term}")
        self._leader_heard_s = self._clock.monotonic_s()
        self._round_seen = (message.term, peer.member, message.round)

    def _on_append(self, peer: Peer, message: Append) -> None:
        if self.tells_term(peer, message.term):
            return
        if not self._guards.sound(message):
            self._links.drop(peer.member, "unsound entries")
            return
        self._heard_leader(peer, message)
        message, may_cut = self._guards.strip(message, self._store)
        self.journal.begin_delivery(may_cut)
        self.deliver(
            peer.member,
            {
                "type": "append_entries",
                "term": message.term,
                "commit_index": message.commit,
                "prevLogIdx": message.prev_index,
                "prevLogTerm": message.prev_term,
                "entries": message.entries,
            },
        )
        self.journal.end_delivery()
        self._joining.try_to_vote_again()

    def _on_beat(self, peer: Peer, message: Beat) -> None:
        if self.tells_term(peer, message.term):
            return
        self._heard_leader(peer, message)
        commit = self._guards.beat_commit(message.commit, max(1, self._store.commit_index))
        self.deliver(
            peer.member,
            {"type": "append_entries", "term": message.term, "commit_index": commit, "serialized": None},
        )
        # The engine does not answer this one. The leader's quorum check wants to know that we live, and
        # the leader itself from where on to send: what is committed here, every later leader has too.
        self._out.post(peer, self._ack(max(1, self._store.commit_index) + 1, True, False))

    def _on_offer(self, peer: Peer, message: Offer) -> None:
        if message.term == self._store.current_term and not self._known(message.index, message.at_term):
            self.fetching.offered(peer.member, message)

    def _known(self, index: int, term: int) -> bool:
        """Whether a snapshot brings nothing; behind its last entry our log may hold acked ones."""
        return index <= max(1, self._store.commit_index) or self._guards.holds(index, term, self._store)

    def fetched(self) -> Fetched | None:
        """Return a snapshot that arrived and is to be installed, once; drop one that is not needed."""
        if self.fetching.active and self._store.commit_index >= self.fetching.wanted_index():
            self.fetching.drop()
        self.fetching.tick()
        got = self.fetching.take()
        if got is None or self.engine.leads() or self._known(got.ref.index, got.ref.term):
            return None
        return got

    def reconnect(self) -> None:
        """Tell a new engine who is there."""
        for peer in self._peers.values():
            peer.paused = False
            if peer.linked:
                self._tell_connected(peer.member, True)

    def _on_remembered(self, message: Remembered) -> None:
        if self._joining.hear(message):
            for member in self._peers:
                self._links.drop(member, "we joined again")
