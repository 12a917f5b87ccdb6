"""One gateway of a replica, frame by frame: what it may ask, in which order, and what it is told."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from steelyard.core.entry import AnyReply, Applied, Outcome
from steelyard.core.events import AnyEvent
from steelyard.replication.front import (
    FRAME_BYTES_MAX,
    PROTOCOL,
    SUBMIT_REQUESTS_MAX,
    Answer,
    Attach,
    Attached,
    Detach,
    Entries,
    Failed,
    FailureReason,
    Follow,
    Frame,
    FromGateway,
    Happened,
    Open,
    Read,
    State,
    Submit,
    Unfollow,
    Unfollowed,
)
from steelyard.replication.proposals import Part

#: Keeps a frame of events below the frame limit, whatever closing a large market cancels at once.
HAPPENED_EVENTS_MAX: Final = 20_000
#: Entries are sent in parts of this size, in frames far below the frame limit.
ENTRY_PART_BYTES: Final = 1 << 20
#: A gateway that lets this much wait is sent no more entries: its clients' replies come first.
FOLLOWED_BYTES_MAX: Final = 8 << 20
LABEL_CHARS_MAX: Final = 64

_log = logging.getLogger(__name__)


class _Done(Frame, frozen=True, tag=21):
    """``front.Done`` with the replies not yet encoded: one encoding per frame instead of one per reply."""

    index: int
    time_ns: int
    refs: list[int]
    indexes: list[int]
    replies: list[AnyReply]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(FromGateway).decode


class FrontService(Protocol):
    """What the port asks of the replica behind it."""

    def opened(self, gateway: "Gateway") -> None:
        """Tell a gateway that has said the right first words what the state is."""
        ...

    def submit(self, part: Part) -> None:
        """Take requests; every ref hears of them exactly once."""
        ...

    def read(self, gateway: "Gateway", read: Read) -> None:
        """Answer, now or later, or fail."""
        ...

    def attach(self, gateway: "Gateway", attach: Attach) -> None:
        """Say from where on events are complete, and send those that are held."""
        ...

    def follow(self, gateway: "Gateway", follow: Follow) -> None:
        """Say from where on entries are complete, and send those that are held."""
        ...


class Front(Protocol):
    """All gateways of a replica, however they are connected."""

    @property
    def gateways(self) -> Iterable["Gateway"]:
        """Those connected, in the order in which they came."""
        ...

    @property
    def paused(self) -> bool:
        """Whether gateways are not read for now."""
        ...

    def publish(self, state: State) -> None:
        """Send the state to every gateway."""
        ...

    def flush(self) -> None:
        """Write what was queued since the last time."""
        ...

    def pause(self, paused: bool) -> None:
        """Stop reading gateways, or go on."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class Gateway(ABC):
    """What a gateway says and is told; how its frames travel is for a subclass to know."""

    def __init__(self, group: str, service: FrontService) -> None:
        self._group = group
        self._service = service
        self.name = ""
        """What the gateway calls itself; empty until it has opened."""
        self.alive = True
        self.accounts: set[int] = set()
        """Whose private events it wants."""
        self.follows = False
        """Whether it wants everything that entries come to."""

    @property
    def waiting_bytes(self) -> int:
        """How much of what it was sent it has not read yet, as far as we can know."""
        return 0

    @abstractmethod
    def send(self, frame: bytes) -> None:
        """Queue an encoded frame until the next flush; the connection may be gone already."""

    @abstractmethod
    def flush(self) -> None:
        """Write what is queued."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """End the connection and say why; its open refs are nobody's any more."""

    def done(self, applied: Applied, refs: list[int], outcomes: list[Outcome]) -> None:
        """Send the replies to its requests in one entry as one frame, without waiting for our next sync."""
        indexes = [outcome.replied_index for outcome in outcomes]
        replies = [outcome.reply for outcome in outcomes]
        self.send(_encode(_Done(applied.index, applied.time_ns, refs, indexes, replies)))
        self.flush()

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Tell it that these refs have no answer here."""
        self.send(_encode(Failed(refs, reason)))

    def answer(self, answer: Answer) -> None:
        """Send an answer, if it fits a frame."""
        frame = _encode(answer)
        if len(frame) > FRAME_BYTES_MAX:
            self.failed([answer.ref], FailureReason.OVERLOADED)
        else:
            self.send(frame)

    def state(self, state: State) -> None:
        """Tell it what this replica is."""
        self.send(_encode(state))

    def attached(self, ref: int, complete_after: int) -> None:
        """Tell it from where on events are complete."""
        self.send(_encode(Attached(ref, complete_after)))

    def happened(self, index: int, time_ns: int, events: list[tuple[int, AnyEvent]]) -> None:
        """Send the events of one entry that it wants."""
        for start in range(0, len(events), HAPPENED_EVENTS_MAX):
            part = events[start : start + HAPPENED_EVENTS_MAX]
            self.send(_encode(Happened(index, time_ns, part)))

    def applied(self, encoded: bytes) -> None:
        """Send what an entry came to; if too much is waiting already, say that no more is sent."""
        if self.waiting_bytes > FOLLOWED_BYTES_MAX:
            self.follows = False
            self.send(_encode(Unfollowed()))
            return
        for start in range(0, len(encoded), ENTRY_PART_BYTES):
            end = start + ENTRY_PART_BYTES
            self.send(_encode(Entries(encoded[start:end], more=end < len(encoded))))

    def take(self, content: bytes | memoryview) -> None:
        """Act on a frame it sent; anything malformed ends the connection."""
        try:
            frame = _decode(content)
        except (ValueError, RecursionError) as error:
            self.close(f"garbage: {error}")
            return
        if not self.name:
            self._open(frame)
            return
        service = self._service
        if isinstance(frame, Submit):
            if len(frame.refs) != len(frame.requests) or len(frame.refs) > SUBMIT_REQUESTS_MAX:
                self.close(f"a Submit of {len(frame.refs)} refs and {len(frame.requests)} requests")
            else:
                service.submit(Part(self, frame.refs, frame.requests, len(content)))
        elif isinstance(frame, Read):
            service.read(self, frame)
        elif isinstance(frame, Attach):
            service.attach(self, frame)
        elif isinstance(frame, Detach):
            self.accounts.difference_update(frame.accounts)
        elif isinstance(frame, Follow):
            service.follow(self, frame)
        elif isinstance(frame, Unfollow):
            self.follows = False
        else:
            self.close("it opened twice")

    def _open(self, frame: FromGateway) -> None:
        if not isinstance(frame, Open):
            self.close("its first frame is not Open")
        elif frame.protocol != PROTOCOL:
            self.close(f"it speaks protocol {frame.protocol}, we speak {PROTOCOL}")
        elif frame.group != self._group:
            self.close("it belongs to another group")
        elif not 0 < len(frame.gateway) <= LABEL_CHARS_MAX:
            self.close("it has no name, or too long a one")
        else:
            self.name = frame.gateway
            _log.info("gateway %r opened", self.name)
            self._service.opened(self)
