"""What the transport needs of the consensus engine, and its parts of the transport."""

from collections.abc import Callable
from typing import Any, Protocol

from steelyard.replication.group import MemberId
from steelyard.replication.outbox import Peer
from steelyard.replication.wire import PeerMessage

Message = dict[str, Any]
"""One of the engine's own messages."""
Node = Any
"""The engine's own object for a member; it has an ``id``."""


class Engine(Protocol):
    """What the transport needs of the engine."""

    def leads(self) -> bool:
        """Whether the engine is in the leader's state."""
        ...

    def leader_id(self) -> MemberId | None:
        """Whom the engine takes for the leader."""
        ...

    def next_index(self, peer: MemberId) -> int:
        """Return the next entry the engine will send to a peer."""
        ...

    def set_next_index(self, peer: MemberId, index: int) -> None:
        """Correct the next entry to send."""
        ...

    def read_round(self) -> int:
        """Return the round that outgoing appends carry."""
        ...

    def round_acked(self) -> None:
        """Learn that a peer acked a later round."""
        ...

    def answer_read(self, answer: Callable[[int], None]) -> None:
        """Tell another member's read the index to wait for, 0 if we do not lead."""
        ...

    def may_campaign(self) -> None:
        """Let the next election pass without a pre-vote: the leader asked for it."""
        ...

    def pre_vote_granted(self, peer: MemberId, term: int) -> None:
        """Learn that a peer would vote for us in ``term``."""
        ...


class Floor(Protocol):
    """Where members' messages are heard and answered: the transport, to its parts."""

    engine: Engine

    def deliver(self, member: MemberId, message: Message) -> None:
        """Hand a message to the engine."""
        ...

    def post(self, peer: Peer, message: PeerMessage) -> None:
        """Answer, not before what the answer promises is durable."""
        ...

    def tells_term(self, peer: Peer, term: int) -> bool:
        """Tell ours to whoever is in a lower term; return whether it was."""
        ...

    def learn_term(self, member: MemberId, term: int) -> None:
        """Step down to a follower of a higher term."""
        ...

    def leader_heard_within(self, span_s: float) -> bool:
        """Whether a leader spoke in the last ``span_s`` seconds."""
        ...
