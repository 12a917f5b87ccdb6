"""Where clients meet a member: one door beside each replica, and the front it is connected to."""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec

from steelyard.core.entry import AnyReply
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject
from steelyard.replication.front import (
    PROTOCOL,
    Answer,
    Done,
    Failed,
    FailureReason,
    Frame,
    FromReplica,
    Open,
    Read,
    ReadMode,
    State,
    Submit,
)
from steelyard.replication.gateway import FrontService, Gateway
from steelyard.simulation.clock import Agenda, MachineClock
from steelyard.simulation.process import Process

RECONNECT_S: Final = 0.1
HOP_S: Final = 0.0002
"""From a door to its replica, or back, through a socket of the same machine."""

_decode: Final = msgspec.msgpack.Decoder(FromReplica).decode
_decode_reply: Final = msgspec.msgpack.Decoder(AnyReply).decode


class Caller(Protocol):
    """A client that asked at a door; it hears once of each thing it asked, or never."""

    def replied(self, request: int, index: int, reply: AnyReply) -> None:
        """Hear the reply to a request, and where it was made."""
        ...

    def failed(self, requests: list[int], reason: FailureReason | None) -> None:
        """Hear that these have no answer here; None: the replica is gone."""
        ...

    def answered(self, question: int, index: int, answer: AnyAnswer | Reject) -> None:
        """Hear the answer to a question."""
        ...


class SimGateway(Gateway):
    """A door's connection to one life of a replica."""

    def __init__(self, group: str, front: "SimFront") -> None:
        super().__init__(group, front.service)
        self._front = front
        self._output: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Queue an encoded frame."""
        if self.alive:
            self._output.append(frame)

    def flush(self) -> None:
        """Give the door what is queued."""
        if self._output:
            output, self._output = self._output, []
            self._front.deliver(output)

    def close(self, reason: str) -> None:
        """End the connection."""
        if self.alive:
            self.alive = False
            self._output = []
            self._front.lost()


class SimFront:
    """``Front`` of one process, with one gateway: the door of its machine."""

    def __init__(
        self, door: "Door", group: str, service: FrontService, process: Process, clock: MachineClock
    ) -> None:
        self.service = service
        self.paused = False
        self._door = door
        self._process = process
        self._clock = clock
        self._held: list[bytes] = []
        self._group = group
        self.connect()

    def connect(self) -> None:
        """Let the door in, for the first time or again."""
        self.gateway = SimGateway(self._group, self)
        self.gateways: list[Gateway] = [self.gateway]
        self._door.connect(self)

    def take(self, frame: bytes) -> None:
        """Take a frame of the door's, now or when the replica reads again."""
        self._process.call()
        if self.paused:
            self._held.append(frame)
        elif self.gateway.alive:
            self.gateway.take(frame)

    def deliver(self, frames: list[bytes]) -> None:
        """Send frames to the door."""
        self._process.call()
        self._door.hear(self, frames, self._clock.spent_s)

    def lost(self) -> None:
        """Let the door know that it is not connected any more; it comes again soon."""
        self._held = []
        self._door.lost(self, again=self._again)

    def _again(self) -> None:
        if self._process.alive:
            self.connect()

    def publish(self, state: State) -> None:
        """Send the state."""
        if self.gateway.name:
            self.gateway.state(state)

    def flush(self) -> None:
        """Write what was queued."""
        self.gateway.flush()

    def pause(self, paused: bool) -> None:
        """Stop reading, or go on."""
        self.paused = paused
        if not paused and self._held:
            held, self._held = self._held, []
            for frame in held:
                self.take(frame)

    def close(self) -> None:
        """Close the connection."""
        self.gateway.close("this replica stops")


class Door:
    """What a gateway process is to clients: it outlives its replica and forgets nothing but what was open."""

    def __init__(self, agenda: Agenda, member: int, group: str) -> None:
        self.member = member
        self.state: State | None = None
        self.arrive: Callable[[Callable[[], None]], None] = lambda _: None
        """Lets the replica's process do something when it waits the next time; set by the machine."""
        self._agenda = agenda
        self._group = group
        self._front: SimFront | None = None
        self._refs: dict[int, tuple[Caller, int]] = {}
        self._next_ref = 1

    def connect(self, front: SimFront) -> None:
        """Connect to a replica that has started."""
        self._front = front
        self._send(Open(PROTOCOL, self._group, f"door {self.member}"))

    def lost(self, front: SimFront | None = None, again: Callable[[], None] | None = None) -> None:
        """Tell all who wait that the replica is gone; call ``again`` when it may be tried again."""
        if front not in (None, self._front):
            return
        if again is not None:
            self._agenda.after(RECONNECT_S, again)
        self._front = None
        self.state = None
        refs, self._refs = self._refs, {}
        for caller, number in refs.values():
            caller.failed([number], None)

    def submit(self, caller: Caller, requests: Iterable[tuple[int, bytes]]) -> None:
        """Hand requests on, as (number, bytes)."""
        requests = list(requests)
        if self._front is None:
            caller.failed([number for number, _ in requests], None)
            return
        refs = [self._ref(caller, number) for number, _ in requests]
        self._send(Submit(refs, [msgspec.Raw(body) for _, body in requests]))

    def submit_garbage(self, body: bytes) -> None:
        """Hand a request on that is none; nobody waits for what becomes of it."""
        if self._front is not None:
            self._send(Submit([0], [msgspec.Raw(body)]))

    def send_bytes(self, content: bytes) -> None:
        """Send bytes that may be no frame at all, as no door of ours would."""
        if self._front is not None:
            self._send_content(content)

    def ask(
        self, caller: Caller, question: int, key: int, mode: ReadMode, min_index: int, query: AnyQuery
    ) -> None:
        """Hand a question on."""
        if self._front is None:
            caller.failed([question], None)
        else:
            self._send(Read(self._ref(caller, question), key, mode, min_index, query))

    def hear(self, front: SimFront, frames: list[bytes], spent_s: float) -> None:
        """Take frames from the replica, a moment later."""
        self._agenda.after(spent_s + HOP_S, lambda: self._take(front, frames))

    def _take(self, front: SimFront, frames: list[bytes]) -> None:
        if front is not self._front:
            return
        for content in frames:
            frame = _decode(content)
            if isinstance(frame, State):
                self.state = frame
            elif isinstance(frame, Done):
                for ref, index, reply in zip(frame.refs, frame.indexes, frame.replies, strict=True):
                    if ref in self._refs:
                        caller, number = self._refs.pop(ref)
                        caller.replied(number, index, _decode_reply(reply))
            elif isinstance(frame, Failed):
                for ref in frame.refs:
                    if ref in self._refs:
                        caller, number = self._refs.pop(ref)
                        caller.failed([number], frame.reason)
            elif isinstance(frame, Answer):
                caller, number = self._refs.pop(frame.ref)
                answer = frame.answer if frame.answer is not None else frame.refused
                assert answer is not None
                caller.answered(number, frame.index, answer)

    def _ref(self, caller: Caller, number: int) -> int:
        ref, self._next_ref = self._next_ref, self._next_ref + 1
        self._refs[ref] = (caller, number)
        return ref

    def _send(self, frame: Frame) -> None:
        self._send_content(msgspec.msgpack.encode(frame))

    def _send_content(self, content: bytes) -> None:
        front = self._front
        assert front is not None

        def arrive() -> None:
            if self._front is front:
                self.arrive(lambda: front.take(content))

        self._agenda.after(HOP_S, arrive)
