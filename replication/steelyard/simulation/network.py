"""The network between members: connections that are slow, cut, one-way, half-open, or carry damaged bytes."""

import random
from collections import deque
from collections.abc import Callable
from math import exp
from typing import Final, Protocol

import msgspec

from steelyard.replication.frames import HEADER_BYTES, FrameError, FrameReader, FrameWriter
from steelyard.replication.group import GroupSettings, MemberId
from steelyard.replication.handshake import Handshake
from steelyard.replication.links import (
    GREETING_BYTES_MAX,
    HANDSHAKE_S_MAX,
    PING_S,
    RETRY_MAX_S,
    RETRY_MIN_S,
    SILENCE_S_MAX,
    STALL_S,
    LinkHandler,
)
from steelyard.replication.wire import FRAME_BYTES_MAX, Ping, decode_greeting, encode
from steelyard.simulation.clock import Agenda, MachineClock
from steelyard.simulation.process import Process
from steelyard.simulation.trace import Trace

SOCKET_BYTES: Final = 256 << 10
"""What the operating systems on both ends take before a sender has to wait."""

Direction = tuple[int, int]


class Weather:
    """How the network behaves at the moment; faults change it."""

    def __init__(self) -> None:
        self.delay_s = 0.0006
        self.spread = 0.5
        self.spike_rate = 0.0
        self.spike_s = 0.5
        self.bytes_per_s = 0.0
        """What a direction of a connection carries; 0: anything at once."""
        self.drop_rate = self.repeat_rate = self.reorder_rate = self.damage_rate = 0.0
        self.blocked: set[Direction] = set()
        self.stalled: set[Direction] = set()
        """What is sent here waits, and comes in one burst when it ends."""


class Host(Protocol):
    """Where a connection ends: a machine that may or may not run a process."""

    member: MemberId
    links: "SimLinks | None"

    def arrive(self, action: Callable[[], None]) -> None:
        """Let the process do something when it waits the next time."""
        ...


class End:
    """One side of a connection, as its process sees it."""

    def __init__(
        self, connection: "Connection", member: int, peer: int, *, dials: bool, now_s: float
    ) -> None:
        self.connection = connection
        self.member = member
        self.peer = MemberId(peer)
        self.dials = dials
        self.writer = FrameWriter()
        self.reader = FrameReader(GREETING_BYTES_MAX)
        self.handshake: Handshake | None = None
        self.linked = False
        self.open = True
        self.since_s = self.heard_s = self.sent_s = now_s


class Connection:
    """A pair of ends, and what is under way between them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ends: dict[int, End] = {}
        self.latest_s: dict[int, float] = {}
        self.under_way: dict[int, int] = {}
        self.waiting: dict[int, deque[bytes]] = {}
        """By sender: what a block or a stall holds back."""


class Net:
    """All connections, and the weather."""

    def __init__(self, agenda: Agenda, rng: random.Random, trace: Trace) -> None:
        self.agenda = agenda
        self.rng = rng
        self.trace = trace
        self.weather = Weather()
        self.hosts: dict[int, Host] = {}
        self.connections: dict[int, Connection] = {}
        self.faults: dict[str, int] = {}
        self.frames = 0
        self.watch: Callable[[int, int, bytes], None] | None = None
        """Told of every message that leaves: sender, receiver, bytes."""
        self.judge: Callable[[int, int, bytes], None] = lambda *_: None
        """Told of the same, and says whether it may."""
        self._numbers = 0

    def dial(self, caller: "SimLinks", peer: MemberId, now_s: float) -> End | None:
        """Return the caller's end of a new connection, or None if nobody can be there."""
        weather = self.weather
        one_way, other_way = (caller.member, peer), (peer, caller.member)
        if {one_way, other_way} & (weather.blocked | weather.stalled) or self.hosts[peer].links is None:
            return None
        self._numbers += 1
        connection = Connection(self._numbers)
        self.connections[connection.number] = connection
        end = End(connection, caller.member, peer, dials=True, now_s=now_s)
        connection.ends[caller.member] = end
        return end

    def send(self, end: End, data: bytes, spent_s: float) -> None:
        """Take bytes from an end; they arrive later, in order, or not at all."""
        connection, way = end.connection, (end.member, int(end.peer))
        self.frames += 1
        self.trace.add(end.member, f"to {end.peer}", data)
        if end.linked:
            payload = data[HEADER_BYTES:]
            self.judge(end.member, end.peer, payload)
            if self.watch is not None:
                self.watch(end.member, end.peer, payload)
        connection.under_way[end.member] = connection.under_way.get(end.member, 0) + len(data)
        weather = self.weather
        if way in weather.blocked or way in weather.stalled or connection.waiting.get(end.member):
            connection.waiting.setdefault(end.member, deque()).append(data)
            return
        self._forward(end, data, spent_s)

    def backlog_bytes(self, end: End) -> int:
        """Return what the sender's operating system would not take any more."""
        return max(0, end.connection.under_way.get(end.member, 0) - SOCKET_BYTES)

    def release(self) -> None:
        """Let what is no longer blocked or stalled arrive in one burst."""
        weather = self.weather
        for connection in list(self.connections.values()):
            for sender, waiting in connection.waiting.items():
                end = connection.ends.get(sender)
                if end is not None and (sender, int(end.peer)) not in weather.blocked | weather.stalled:
                    while waiting:
                        self._forward(end, waiting.popleft(), 0.0)

    def reset(self, connection: Connection, *, drain: bool) -> None:
        """End a connection from the outside; what is under way still arrives only if it ``drain``s."""
        if not drain:
            self.connections.pop(connection.number, None)
        for end in list(connection.ends.values()):
            self._tell_closed(end)

    def closed(self, end: End, *, silently: bool = False) -> None:
        """Learn that a process closed its end; the other side hears of it, unless the machine lost power."""
        end.open = False
        connection = end.connection
        other = connection.ends.get(end.peer)
        if other is None or not other.open:
            self.connections.pop(connection.number, None)
        elif not silently:
            self._tell_closed(other)

    def _forward(self, end: End, data: bytes, spent_s: float) -> None:
        """Put bytes on their way, through whatever the weather does to them."""
        connection, weather, rng = end.connection, self.weather, self.rng
        repeat = 1
        reorders = False
        if weather.drop_rate or weather.repeat_rate or weather.reorder_rate or weather.damage_rate:
            dice = rng.random()
            if dice < weather.drop_rate:
                self._count("drop")
                connection.under_way[end.member] -= len(data)
                return
            dice -= weather.drop_rate
            if dice < weather.repeat_rate:
                self._count("duplicate")
                repeat = 2
            elif dice < weather.repeat_rate + weather.reorder_rate:
                self._count("reorder")
                reorders = True
            elif dice < weather.repeat_rate + weather.reorder_rate + weather.damage_rate:
                self._count("corrupt")
                damaged = bytearray(data)
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
                data = bytes(damaged)
        for _ in range(repeat):
            delay_s = weather.delay_s * exp(rng.gauss(0.0, weather.spread))
            if weather.spike_rate and rng.random() < weather.spike_rate:
                self._count("delay")
                delay_s += rng.random() * weather.spike_s
            due_s = self.agenda.now_s + spent_s + delay_s
            if weather.bytes_per_s:
                due_s = max(due_s, connection.latest_s.get(end.member, 0.0)) + len(data) / weather.bytes_per_s
            if not reorders:
                due_s = max(due_s, connection.latest_s.get(end.member, 0.0))
                connection.latest_s[end.member] = due_s
            self.agenda.at(due_s, lambda: self._deliver(end, data))

    def _deliver(self, sender: End, data: bytes) -> None:
        connection = sender.connection
        connection.under_way[sender.member] -= len(data)
        if connection.number not in self.connections:
            return
        host = self.hosts[sender.peer]
        end = connection.ends.get(sender.peer)
        links = host.links
        if links is None:
            return
        if end is None:
            if sender.dials:
                end = End(connection, sender.peer, sender.member, dials=False, now_s=links.now_s())
                connection.ends[sender.peer] = end
                host.arrive(lambda: links.answer(end))
            else:
                return
        if not end.open:
            self._tell_closed(sender)
            return
        host.arrive(lambda: links.received(end, data))

    def _tell_closed(self, end: End) -> None:
        host = self.hosts[end.member]

        def tell() -> None:
            if end.open and host.links is not None:
                links = host.links
                host.arrive(lambda: links.hung_up(end))

        self.agenda.after(self.weather.delay_s, tell)

    def _count(self, kind: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + 1


class SimLinks:
    """``Links`` of one process: the lower member of a pair dials."""

    def __init__(
        self,
        net: Net,
        settings: GroupSettings,
        process: Process,
        clock: MachineClock,
        rng: random.Random,
    ) -> None:
        self.member = settings.member
        self._net = net
        self._settings = settings
        self._process = process
        self._clock = clock
        self._rng = rng
        self._handler: LinkHandler | None = None
        self._ends: dict[int, End] = {}
        self._links: dict[int, End] = {}
        self._greeting: list[End] = []
        self._dial_at_s = {peer: 0.0 for peer in sorted(settings.peers) if peer > settings.member}
        self._ticked_s = clock.monotonic_s()
        self.made = 0
        """How many links there were."""
        self.refused: dict[str, int] = {}
        """How often an end was closed for what came through it, by reason."""

    def now_s(self) -> float:
        """Return this machine's time without its price."""
        return self._ticked_s

    # --- Links -----------------------------------------------------------------------------------

    def start(self, handler: LinkHandler) -> None:
        """Begin; the first ``tick`` dials."""
        self._process.call()
        self._handler = handler

    def send(self, peer: MemberId, payload: bytes) -> None:
        """Send a frame; nothing happens without a link."""
        self._process.call()
        end = self._links.get(peer)
        if end is not None:
            self._write(end, payload)

    def backlog_bytes(self, peer: MemberId) -> int:
        """Return what waits to be taken by the operating system."""
        end = self._links.get(peer)
        return self._net.backlog_bytes(end) if end is not None else 0

    def drop(self, peer: MemberId, reason: str) -> None:
        """Close the link."""
        self._process.call()
        end = self._links.get(peer)
        if end is not None:
            self._refuse(end, reason)

    def tick(self) -> None:
        """Dial who is due, ping who heard nothing, close what is silent or slow to greet."""
        self._process.call()
        now_s = self._clock.monotonic_s()
        if now_s - self._ticked_s > STALL_S:
            for end in self._links.values():
                end.heard_s = now_s
        self._ticked_s = now_s
        for end in [*self._greeting]:
            if now_s - end.since_s > HANDSHAKE_S_MAX:
                self._refuse(end, "greeting took too long")
        for end in [*self._links.values()]:
            if now_s - end.heard_s > SILENCE_S_MAX:
                self._refuse(end, "silent")
            elif now_s - end.sent_s > PING_S:
                self._write(end, encode(Ping()))
        for peer, due_s in self._dial_at_s.items():
            if now_s >= due_s and peer not in self._links:
                self._dial(MemberId(peer), now_s)

    def close(self) -> None:
        """Close everything."""
        self._handler = None
        for end in [*self._links.values(), *self._greeting]:
            self._close(end)

    def die(self, *, silently: bool) -> None:
        """Let the operating system close what a dead process left, or nobody if the machine lost power."""
        for end in [*self._links.values(), *self._greeting]:
            self._net.closed(end, silently=silently)
        self._links, self._greeting, self._handler = {}, [], None

    # --- what arrives ------------------------------------------------------------------------------

    def answer(self, end: End) -> None:
        """Take a call."""
        self._greet(end)

    def received(self, end: End, data: bytes) -> None:
        """Take bytes."""
        self._process.call()
        if not end.open:
            return
        end.heard_s = self._clock.monotonic_s()
        try:
            for payload in end.reader.feed(data):
                self._take(end, payload)
                if not end.open:
                    return
        except FrameError as error:
            self._refuse(end, str(error))

    def hung_up(self, end: End) -> None:
        """Learn that the other side is gone."""
        self._process.call()
        self._close(end)

    # --- connections -------------------------------------------------------------------------------

    def _dial(self, peer: MemberId, now_s: float) -> None:
        self._dial_at_s[peer] = now_s + RETRY_MIN_S + (RETRY_MAX_S - RETRY_MIN_S) * self._rng.random()
        if any(end.peer == peer and end.dials for end in self._greeting):
            return
        end = self._net.dial(self, peer, now_s)
        if end is not None:
            self._greet(end)

    def _greet(self, end: End) -> None:
        if self._handler is None:
            return
        nonce = self._rng.randbytes(16)
        end.handshake = Handshake(self._settings, self._handler.hello(nonce), end.peer if end.dials else None)
        self._greeting.append(end)
        for message in end.handshake.open():
            self._write(end, encode(message))

    def _take(self, end: End, payload: bytes) -> None:
        assert self._handler is not None
        if end.linked:
            self._handler.link_payload(end.peer, payload)
            return
        assert end.handshake is not None
        try:
            message = decode_greeting(payload)
        except msgspec.MsgspecError:
            raise FrameError("not a greeting") from None
        for answer in end.handshake.hear(message):
            self._write(end, encode(answer))
        if end.handshake.done and end.open:
            self._link(end)

    def _link(self, end: End) -> None:
        """Make a proven connection the pair's link in place of an older one."""
        assert self._handler is not None
        assert end.handshake is not None
        assert end.handshake.peer is not None
        old = self._links.get(end.peer)
        if old is not None:
            self._close(old)
        self._greeting.remove(end)
        self.made += 1
        end.linked = True
        end.reader.epoch = end.writer.epoch = end.handshake.epoch
        end.reader.payload_bytes_max = FRAME_BYTES_MAX
        self._links[end.peer] = end
        self._handler.link_up(end.peer, end.handshake.peer)

    def _write(self, end: End, payload: bytes) -> None:
        if end.open:
            end.sent_s = self._clock.monotonic_s()
            self._net.send(end, end.writer.header(payload) + payload, self._clock.spent_s)

    def _refuse(self, end: End, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self._close(end)

    def _close(self, end: End) -> None:
        if not end.open:
            return
        self._net.closed(end)
        if end in self._greeting:
            self._greeting.remove(end)
        if self._links.get(end.peer) is end:
            del self._links[end.peer]
            if self._handler is not None:
                self._handler.link_down(end.peer)
