"""What every service of the gateway shares: the link, who may call, and how to ask and to write."""

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from steelyard.core.entry import AnyReply, Request
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.replication.front import FailureReason, Happened, ReadMode, State
from steelyard.rpc.auth import Verifier
from steelyard.rpc.crowd import Crowd
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.leases import Leases
from steelyard.rpc.market.feed import MarketFeed
from steelyard.rpc.market.history import History
from steelyard.rpc.private_events import PrivateEvents
from steelyard.rpc.replica_link import ReplicaLink, no_replica
from steelyard.rpc.status import NO_LEADER_DELAY_S, failure, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from steelyard.rpc.streams import TradeStream

A = TypeVar("A", bound=AnyAnswer)

#: From here on the log takes only what lowers risk; the replica draws the same line.
STORAGE_LOW_PPM: Final = 900_000
#: Longer than a disk stalls now and then, and about as long as a group needs to find another leader.
STATE_AGE_MAX_S: Final = 2.0


class Waiter:
    """Waits for the reply to one request."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self.reply: asyncio.Future[tuple[int, AnyReply]] = asyncio.get_running_loop().create_future()

    def replied(self, index: int, reply: AnyReply) -> None:
        """Take the reply."""
        if not self.reply.done():
            self.reply.set_result((index, reply))

    def failed(self, reason: FailureReason) -> None:
        """There is none."""
        if not self.reply.done():
            self.reply.set_exception(failure(reason, self._door.leader_endpoint))


class Door:
    """One gateway's state.  All of it can be lost: what matters is in the group or in the client."""

    def __init__(
        self, group: str, member: int, socket_path: "Path", name: str, archive: "Path | None" = None
    ) -> None:
        self.group = group
        self.member = member
        self.link = ReplicaLink(socket_path, group, name, self)
        self.verifier = Verifier(self.link, group, str(member))
        self.private_events = PrivateEvents(self.link)
        self.crowd = Crowd()
        self.history = History(archive)
        self.market_feed = MarketFeed(self, self.history)
        self.leases = Leases(self)
        self.streams: dict[int, TradeStream] = {}
        """Attached streams by session."""
        self.draining = False
        self.changed = asyncio.Event()
        """Set, and replaced, whenever role, readiness or draining may have changed."""

    @property
    def leader_endpoint(self) -> str:
        """Where clients reach the leader as far as known, or empty."""
        state = self.link.state
        return "" if state is None else state.leader_endpoint

    @property
    def leads(self) -> bool:
        """Whether this node can decide now.

        A replica that hangs may have been replaced long ago, so what it said counts for a while only.
        """
        state = self.link.state
        return (
            state is not None
            and state.ready
            and state.role == "leader"
            and self.link.state_age_s() < STATE_AGE_MAX_S
        )

    @property
    def storage_low(self) -> bool:
        """Whether the log takes only what lowers risk."""
        state = self.link.state
        return state is not None and state.log_used_ppm >= STORAGE_LOW_PPM

    def require_leader(self) -> None:
        """Raise ``DoorError`` unless this node can decide now."""
        if self.draining:
            raise DoorError(Reason.DRAINING, leader=self.leader_endpoint)
        if not self.leads:
            raise self.not_leading()

    def not_leading(self) -> DoorError:
        """Return why this node cannot decide."""
        state = self.link.state
        if state is None:
            return no_replica()
        if state.leader and state.leader != self.member:
            return DoorError(
                Reason.NOT_LEADER,
                f"member {state.leader} leads",
                leader=state.leader_endpoint,
                metadata={"term": str(state.term)},
            )
        return DoorError(
            Reason.NO_LEADER,
            "the group has no leader now",
            delay_s=NO_LEADER_DELAY_S,
            metadata={"term": str(state.term)},
        )

    async def write(self, request: Request) -> tuple[int, AnyReply]:
        """Have one request logged; return its reply and where it was made."""
        self.require_leader()
        waiter = Waiter(self)
        self.link.submit([request], waiter)
        return await waiter.reply

    async def read(
        self, kind: type[A], key: int, query: AnyQuery, mode: ReadMode, min_index: int = 0
    ) -> tuple[int, A]:
        """Return an answer and the index it saw.

        Raises:
            DoorError: There is none now, or the state refused to give it.

        """
        answer = await self.link.ask(key, query, mode, min_index)
        if answer.refused is not None:
            raise refusal(answer.refused, answer.index)
        assert isinstance(answer.answer, kind), "the replica answered another question"
        return answer.index, answer.answer

    def attach(self, stream: "TradeStream") -> None:
        """Make ``stream`` the one that its session's commands come from."""
        older = self.streams.get(stream.session)
        self.streams[stream.session] = stream
        if older is not None:
            older.end(DoorError(Reason.SESSION_TAKEN_OVER, "another stream said Hello for this session"))

    def detach(self, stream: "TradeStream") -> None:
        """Forget ``stream``."""
        if self.streams.get(stream.session) is stream:
            del self.streams[stream.session]

    async def drain(self, patience_s: float) -> None:
        """Take nothing new, let open requests finish, and send every stream to the leader."""
        self.draining = True
        self.market_feed.close()
        self.history.close()
        self._tell()
        streams = list(self.streams.values())
        for stream in streams:
            stream.drain()
        if streams:
            finished = [asyncio.ensure_future(stream.over.wait()) for stream in streams]
            _, late = await asyncio.wait(finished, timeout=patience_s)
            for waiting in late:
                waiting.cancel()

    # What the link tells.

    def state_changed(self, state: State) -> None:
        """End the streams when this node does not lead any more."""
        if self.streams and state.role != "leader":
            for stream in list(self.streams.values()):
                reason = Reason.LEADERSHIP_LOST if stream.open_count else Reason.NOT_LEADER
                stream.end(
                    DoorError(reason, leader=state.leader_endpoint, metadata={"term": str(state.term)})
                )
        self._tell()

    def link_lost(self) -> None:
        """End all streams: what is open at the replica is unknown here."""
        for stream in list(self.streams.values()):
            stream.end(DoorError(Reason.LEADERSHIP_LOST, "the replica went away: outcome unknown"))
        self.market_feed.lost()
        self._tell()

    def happened(self, frame: Happened) -> None:
        """Route private events to the streams that want them."""
        self.private_events.happened(frame)

    def applied(self, encoded: bytes) -> None:
        """Follow what an entry came to."""
        self.market_feed.applied(encoded)

    def unfollowed(self) -> None:
        """Look at the markets anew."""
        self.market_feed.unfollowed()

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
