"""A trading session: numbered commands, each executed once, across failovers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta

from steelyard.client import wire
from steelyard.client.attachment import Attachment
from steelyard.client.commands import Command, PlaceOrder
from steelyard.client.errors import Closed, SteelyardError
from steelyard.client.events import Event
from steelyard.client.failover import COMMANDS_MAX, Waiter
from steelyard.client.messages import KINDS, body_of, chosen_order, place_order
from steelyard.client.nodes import Nodes
from steelyard.client.replies import Reply
from steelyard.client.trader import Trader


class Session(Trader):
    """Numbered commands of one account, each executed once.

    Made by ``Client.session``.  A stream is kept attached to whichever node leads; a failover is a pause.
    """

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        *,
        events: bool,
        batch_max: int = COMMANDS_MAX,
        cancel_on_disconnect: timedelta | None = None,
    ) -> None:
        self._attachment = Attachment(
            nodes, name, events=events, batch_max=batch_max, cancel_on_disconnect=cancel_on_disconnect
        )

    # What a trader calls.

    def submit(self, command: Command) -> "asyncio.Future[Reply]":
        """Send a command and return a future of its reply at once; a refusal is a reply.

        What is submitted in one turn of the event loop leaves as one message.
        """
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._add(command, Single(waiter))
        return waiter

    def send(self, commands: Sequence[Command], on_reply: Callable[[Reply], None] | None = None) -> None:
        """Send commands without waiting; ``on_reply`` is called with each reply."""
        waiter = None if on_reply is None else Callback(on_reply)
        for command in commands:
            self._add(command, waiter)

    async def submit_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands and return their replies, in order."""
        if not commands:
            return []
        gathered = Gathered(self._attachment.line.next_request, len(commands))
        for command in commands:
            self._add(command, gathered)
        await gathered.done
        return [reply for reply in gathered.replies if reply is not None]

    async def settled(self) -> None:
        """Return when no request is open.

        Raises:
            OutcomeUnknown: Nothing has moved for the retry deadline; the requests stay open.
            SteelyardError: The session has failed.

        """
        attachment = self._attachment
        while attachment.line.open:
            attachment.moved.clear()
            await attachment.moved.wait()
            attachment.check()
            if attachment.line.open and attachment.stuck is not None:
                raise attachment.stuck
        attachment.check()

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the account's private events in log order, without gaps and repeats across failovers.

        Only if the session was opened with ``events=True``, and then they must be taken: a session with
        too many untaken events stops reading its stream.
        """
        attachment = self._attachment
        if not attachment.wants_events:
            raise ValueError("the session was opened without events=True")
        events, arrived = attachment.events, attachment.arrived
        while True:
            if not events.empty():
                yield events.get_nowait()
                continue
            attachment.check()
            arrived.clear()
            await arrived.wait()

    @property
    def name(self) -> str:
        """The session's name, unique per account."""
        return self._attachment.name

    @property
    def id(self) -> int:
        """The session's number, given by the exchange."""
        return self._attachment.session

    @property
    def last_request(self) -> int:
        """The last number given out."""
        return self._attachment.line.next_request - 1

    @property
    def open_count(self) -> int:
        """How many requests have no reply yet."""
        return len(self._attachment.line.open)

    @property
    def reconnects(self) -> int:
        """How often the stream was attached again."""
        return self._attachment.reconnects

    @property
    def leader(self) -> str | None:
        """Where the stream is attached, or None while it is not."""
        return self._attachment.target

    @property
    def kept_replies(self) -> list[Reply]:
        """What the session still kept when this client attached: replies to an earlier client's requests."""
        return self._attachment.kept_replies

    @property
    def on_ack(self) -> Callable[[int, Reply], None] | None:
        """Called with each request's number and its reply, once, in their order; must not raise."""
        return self._attachment.on_ack

    @on_ack.setter
    def on_ack(self, hook: Callable[[int, Reply], None] | None) -> None:
        self._attachment.on_ack = hook

    async def start(self) -> None:
        """Attach for the first time."""
        await self._attachment.start()

    async def close(self) -> None:
        """Detach; what has no reply fails with ``Closed``.

        Orders stay, unless the session cancels on disconnect.
        """
        await self._attachment.stop(Closed(f"session {self.name} was closed"))

    async def __aenter__(self) -> "Session":
        """Return the session."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Detach."""
        await self.close()

    def _add(self, command: Command, waiter: Waiter | None) -> None:
        attachment = self._attachment
        attachment.check()
        line = attachment.line
        number = line.next_request
        now_s = time.monotonic()
        if not line.open:
            attachment.progress_s = now_s
        kind = KINDS[type(command)]
        chosen = chosen_order(attachment.session, number)
        body = place_order(command, chosen) if type(command) is PlaceOrder else body_of(command, chosen)
        fingerprint = wire.fingerprint_of(kind, body)
        frame = wire.command(number, fingerprint, command.not_after_ns, kind, body)
        line.add(frame, fingerprint, waiter, now_s)
        attachment.wake.set()


class Single:
    """A future as a waiter; its owner may have cancelled it meanwhile."""

    __slots__ = ("_future",)

    def __init__(self, future: "asyncio.Future[Reply]") -> None:
        self._future = future

    def set_result(self, reply: Reply, /) -> None:
        """Take the reply."""
        if not self._future.done():
            self._future.set_result(reply)

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Take the reason why there is none."""
        if not self._future.done():
            self._future.set_exception(exception)


class Gathered:
    """Waits for a run of replies with one future instead of one each."""

    def __init__(self, first: int, count: int) -> None:
        self.replies: list[Reply | None] = [None] * count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first = first
        self._left = count

    def set_result(self, reply: Reply, /) -> None:
        """Take one reply; the last completes the run."""
        self.replies[reply.request - self._first] = reply
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Fail the run."""
        if not self.done.done():
            self.done.set_exception(exception)


class Callback:
    """Waits with a function, which hears of replies only: a session that fails says so when asked."""

    __slots__ = ("set_result",)

    def __init__(self, on_reply: Callable[[Reply], None]) -> None:
        self.set_result = on_reply

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Nothing: ``Session.settled`` raises it."""
