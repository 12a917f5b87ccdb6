"""Elections as a voter sees them, and votes for us: who may have ours, and each of theirs counted once."""

from steelyard.replication.consensus import Floor
from steelyard.replication.group import GroupSettings, MemberId
from steelyard.replication.guards import Guards
from steelyard.replication.log_store import LogStore
from steelyard.replication.outbox import Peer
from steelyard.replication.wire import (
    PreVoteGrant,
    PreVoteRequest,
    TimeoutNow,
    VoteGrant,
    VoteRequest,
)


class Votes:
    """What becomes of requests for a vote, of votes, and of a leader's wish to be followed."""

    def __init__(self, settings: GroupSettings, store: LogStore, guards: Guards, floor: Floor) -> None:
        self._settings = settings
        self._store = store
        self._guards = guards
        self._floor = floor
        self._voters: set[MemberId] = set()
        self._voters_term = 0

    def on_request(self, peer: Peer, message: VoteRequest) -> None:
        """Let the engine vote, unless this disk may have voted before it was lost or replaced."""
        if self._floor.tells_term(peer, message.term):
            return
        identity = self._store.identity
        if not self._guards.may_vote(identity.joining, identity.vote_floor, message.term):
            self._floor.learn_term(peer.member, message.term)
            return
        self._floor.deliver(
            peer.member,
            {
                "type": "request_vote",
                "term": message.term,
                "last_log_index": message.last_index,
                "last_log_term": message.last_term,
            },
        )

    def on_grant(self, peer: Peer, message: VoteGrant) -> None:
        """Hand a vote for us to the engine, the first of each member in a term."""
        if message.term != self._store.current_term:
            return
        if message.term != self._voters_term:
            self._voters_term = message.term
            self._voters = set()
        if self._guards.vote_counts(self._voters, peer.member):
            self._voters.add(peer.member)
            self._floor.deliver(peer.member, {"type": "response_vote", "term": message.term})

    def on_pre_vote_request(self, peer: Peer, message: PreVoteRequest) -> None:
        """Say yes if we would vote for the asker, and nothing otherwise."""
        if self._floor.tells_term(peer, message.term - 1):  # it asks for the term after its own
            return
        store = self._store
        granted = (
            not self._floor.engine.leads()
            and self._guards.may_vote(store.identity.joining, store.identity.vote_floor, message.term)
            and self._guards.grants_pre_vote(
                message.term,
                (message.last_term, message.last_index),
                store.current_term,
                (store.last_term, store.last_index),
                self._floor.leader_heard_within(self._settings.timeouts.min_s),
            )
        )
        if granted:
            self._floor.post(peer, PreVoteGrant(message.term))

    def on_timeout_now(self, peer: Peer, message: TimeoutNow) -> None:
        """Campaign at once, if it is our leader who wants that."""
        if (
            message.term == self._store.current_term
            and self._floor.engine.leader_id() == peer.member
            and not self._store.identity.joining
        ):
            self._floor.engine.may_campaign()
            self._floor.deliver(peer.member, {"type": "timeout_now", "term": message.term})
