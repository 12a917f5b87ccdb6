"""A session as a lane: commands in order, in batches, each reply beside what was expected."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from steelyard.client import Command, Reply, Session
from steelyard.ops.history import History
from steelyard.ops.verdict import AckBook

#: Batches on their way before the sender waits: the exchange keeps at most 1 024 replies of a session.
BATCHES_MAX: Final = 10

Note = TypeVar("Note")


class Lane(Generic[Note]):
    """Sends a session's commands in batches; each command carries a note that comes back with its reply.

    A failed session raises its error from ``put`` or ``drain``; a failover only makes them take longer.
    """

    def __init__(
        self,
        session: Session,
        acks: AckBook,
        *,
        batch: int,
        batches_max: int = BATCHES_MAX,
        on_reply: Callable[[Reply, Note], None],
        history: History | None = None,
    ) -> None:
        self.session = session
        self._history = history
        self.acknowledged = 0
        #: The highest log index of its replies.
        self.last_index = 0
        self._batch = batch
        self._batches_max = batches_max
        self._on_reply = on_reply
        self._record = acks.recorder(session.id)
        self._commands: list[Command] = []
        self._notes: dict[int, Note] = {}
        self._next_request = session.last_request + 1
        self._markers: deque[asyncio.Future[Reply]] = deque()
        self._outage: Outage | None = None
        session.on_ack = self._acked

    async def put(self, command: Command, note: Note) -> None:
        """Take one command; it leaves with its batch."""
        self._notes[self._next_request] = note
        self._next_request += 1
        self._commands.append(command)
        if len(self._commands) >= self._batch:
            self.flush()
            while len(self._markers) >= self._batches_max:
                await self._markers.popleft()

    def flush(self) -> None:
        """Let go what waits for its batch to fill."""
        if self._commands:
            if self._history is not None:
                first = self._next_request - len(self._commands)
                self._history.called(self.session.id, first, self._commands)
            *others, last = self._commands
            self.session.send(others)
            self._markers.append(self.session.submit(last))
            self._commands = []

    async def drain(self) -> None:
        """Return when everything is acknowledged."""
        self.flush()
        while self._markers:
            await self._markers.popleft()
        await self.session.settled()

    def watch(self, outage: "Outage") -> None:
        """Tell ``outage`` of the first reply that comes over a new stream."""
        self._outage = outage
        outage.begin(self.session.id, self.session.reconnects)

    def _acked(self, request: int, reply: Reply) -> None:
        self._record(request, reply)
        if self._history is not None:
            self._history.returned(self.session.id, reply)
        self.acknowledged += 1
        self.last_index = reply.log_index
        if self._outage is not None and self._outage.over(self.session.id, self.session.reconnects):
            self._outage = None
        self._on_reply(reply, self._notes.pop(request))


class Outage:
    """Measures the time from a kill to the next acknowledgement by whoever leads then."""

    def __init__(self, killed_s: float) -> None:
        self._killed_s = killed_s
        self._reconnects: dict[int, int] = {}
        self.recovered_s: float | None = None
        self.ended = asyncio.Event()

    def begin(self, session: int, reconnects: int) -> None:
        """Note on which of its streams a session was when the leader died."""
        self._reconnects[session] = reconnects

    def over(self, session: int, reconnects: int) -> bool:
        """Note a reply and the stream it came over; return whether the session has seen the outage's end."""
        if reconnects == self._reconnects[session]:
            return False  # still from the old stream: it was on its way when the leader died
        if self.recovered_s is None:
            self.recovered_s = time.monotonic() - self._killed_s
            self.ended.set()
        return True
