"""The ways between members, led through ports of ours: they can be blocked, delayed, cut and garbled."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

CHUNK_BYTES: Final = 64 << 10
#: What waits inside a blocked or delayed way before its sender is held back.
WAITING_BYTES_MAX: Final = 1 << 20

Endpoint = tuple[str, int]
#: From one member to another.
Way = tuple[int, int]


class Conditions:
    """How one way is at the moment: whatever is sent along it, on whichever connection, meets this."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = 0.0
        #: Cut the connection in the middle of what comes next.
        self.cut = False
        #: Change one bit of what comes next.
        self.garble = False
        self.bytes_passed = 0

    def treat(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what is left of a chunk, and whether the connection goes on."""
        if self.garble and chunk:
            self.garble = False
            place = random.randrange(len(chunk))
            chunk = chunk[:place] + bytes([chunk[place] ^ 1 << random.randrange(8)]) + chunk[place + 1 :]
        if self.cut:
            self.cut = False
            return chunk[: len(chunk) // 2], False
        return chunk, True


class Mesh:
    """One listening port for each member's way to each other member.

    A blocked way swallows nothing: what is sent along it waits, as under a network that drops packets
    and a TCP that repeats them, and comes through in a burst if the connection lives until then.  Both
    directions of a connection are ways of their own, so a block may be one-way.
    """

    def __init__(self, addresses: Mapping[int, Endpoint]) -> None:
        self._addresses = dict(addresses)
        self.ways: dict[Way, Conditions] = {
            (source, target): Conditions() for source in addresses for target in addresses if source != target
        }
        self._servers: list[asyncio.Server] = []
        self._ports: dict[Way, int] = {}
        self._connections: dict[Way, list[_Connection]] = {way: [] for way in self.ways}

    async def start(self) -> None:
        """Listen on loopback, one free port for each way."""
        for way in self.ways:
            server = await asyncio.start_server(self._answerer(way), "127.0.0.1", 0)
            self._servers.append(server)
            self._ports[way] = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and close every connection."""
        for server in self._servers:
            server.close()
        open_ones = [each for connections in self._connections.values() for each in connections]
        for connection in open_ones:
            connection.close()
        await asyncio.gather(*(connection.ended.wait() for connection in open_ones))

    def detours(self, member: int) -> dict[int, str]:
        """Return where ``member`` has to dial to reach each of the others through the mesh."""
        return {
            target: f"127.0.0.1:{port}" for (source, target), port in self._ports.items() if source == member
        }

    def block(self, source: int, target: int) -> None:
        """Let nothing more through from one member to another."""
        self.ways[source, target].open.clear()

    def isolate(self, member: int) -> None:
        """Block every way from and to a member."""
        for way in self.ways:
            if member in way:
                self.block(*way)

    def delay(self, member: int, delay_s: float) -> None:
        """Let everything from and to a member take so much longer."""
        for way, conditions in self.ways.items():
            if member in way:
                conditions.delay_s = delay_s

    def cut(self, source: int, target: int) -> None:
        """Close the connection in the middle of what ``source`` sends next."""
        self.ways[source, target].cut = True

    def garble(self, source: int, target: int) -> None:
        """Change one bit of what ``source`` sends next."""
        self.ways[source, target].garble = True

    def reset(self, one: int, other: int) -> None:
        """Close all connections between two members at once."""
        for way in ((one, other), (other, one)):
            for connection in self._connections[way]:
                connection.close()

    def heal(self) -> None:
        """Make every way a good one again."""
        for conditions in self.ways.values():
            conditions.delay_s = 0.0
            conditions.cut = conditions.garble = False
            conditions.open.set()

    def _answerer(self, way: Way) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = _Connection(self.ways[way], self.ways[way[1], way[0]])
            self._connections[way].append(connection)
            connection.run(reader, writer, self._addresses[way[1]])
            connection.task.add_done_callback(lambda _: self._connections[way].remove(connection))

        return answer


class _Connection:
    """A dialled connection and the one behind it, until either ends."""

    task: asyncio.Task[None]

    def __init__(self, there: Conditions, back: Conditions) -> None:
        self.ended = asyncio.Event()
        self._there = there
        self._back = back

    def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Endpoint) -> None:
        self.task = asyncio.ensure_future(self._carry(reader, writer, target))

    def close(self) -> None:
        self.task.cancel()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Endpoint
    ) -> None:
        writers = [writer]
        pumps: list[asyncio.Task[None]] = []
        try:
            onward_reader, onward_writer = await asyncio.open_connection(*target)
            writers.append(onward_writer)
            pumps = [
                asyncio.ensure_future(_pump(reader, onward_writer, self._there)),
                asyncio.ensure_future(_pump(onward_reader, writer, self._back)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.CancelledError):
            return  # nobody listens there now, or we were told to close: both end this connection alone
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in writers:
                each.transport.abort()
            self.ended.set()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Conditions) -> None:
    """Carry bytes along one way until the sender ends, the receiver is gone, or the connection is cut."""
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[float, bytes]] = deque()
    arrived, taken = asyncio.Event(), asyncio.Event()
    waiting_bytes = 0

    async def take_in() -> None:
        nonlocal waiting_bytes
        more = True
        while more:
            while waiting_bytes >= WAITING_BYTES_MAX:
                taken.clear()
                await taken.wait()
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except ConnectionError:
                chunk = b""
            more = bool(chunk)
            waiting_bytes += len(chunk)
            waiting.append((loop.time() + way.delay_s, chunk))
            arrived.set()

    filler = asyncio.ensure_future(take_in())
    try:
        goes_on = True
        while goes_on:
            while not waiting:
                arrived.clear()
                await arrived.wait()
            due_s, chunk = waiting.popleft()
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            await way.open.wait()
            waiting_bytes -= len(chunk)
            taken.set()
            if not chunk:
                return
            chunk, goes_on = way.treat(chunk)
            writer.write(chunk)
            way.bytes_passed += len(chunk)
            try:
                await writer.drain()
            except ConnectionError:
                return
    finally:
        filler.cancel()
        await asyncio.gather(filler, return_exceptions=True)
