"""Three real replica processes on loopback, and a gateway's end of their Unix sockets."""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from steelyard.core.commands import (
    AnyCommand,
    CreateApiKey,
    Deposit,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    PlaceOrder,
    SetInstrumentState,
)
from steelyard.core.entry import Accepted, AnyReply, Refused, Request, SessionReady
from steelyard.core.queries import AnyQuery
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    SessionId,
    Side,
    TimeInForce,
)
from steelyard.replication.audit import Audit, audit
from steelyard.replication.config import GroupConfig, found_group, node_paths
from steelyard.replication.front import (
    PROTOCOL,
    Answer,
    Attach,
    Attached,
    Done,
    Entries,
    Failed,
    Frame,
    FromReplica,
    Happened,
    Open,
    Read,
    ReadMode,
    State,
    Submit,
    Unfollowed,
)

ROOT = Path(__file__).parents[2]
PATHS = [str(ROOT / root) for root in ("protos", "core", "replication", "rpc", "ops")]
BTC, USD, BTC_USD = AssetId(1), AssetId(2), InstrumentId(1)
OPERATOR_PUBLIC_KEY = bytes(range(32))

_LENGTH = struct.Struct("<I")
_decode: Callable[[bytes], FromReplica] = msgspec.msgpack.Decoder(FromReplica).decode
_decode_reply: Callable[[msgspec.Raw], AnyReply] = msgspec.msgpack.Decoder(AnyReply).decode


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class NotDone(Exception):
    """The replica answered a Submit with a Failed."""


class Link:
    """A gateway's connection to one replica, blocking and plain."""

    def __init__(self, path: Path, group: str, *, timeout_s: float = 20.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._timeout_s = timeout_s
        self._data = b""
        self._next_ref = 1_000
        self.states: list[State] = []
        self.happened: list[Happened] = []
        self.entries: list[Entries | Unfollowed] = []
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        if group:
            self.send(Open(PROTOCOL, group, "test"))

    def send(self, frame: Frame) -> None:
        """Send a frame."""
        body = msgspec.msgpack.encode(frame)
        self.send_bytes(_LENGTH.pack(len(body)) + body)

    def send_bytes(self, data: bytes) -> None:
        """Send whatever bytes."""
        self._socket.sendall(data)

    def receive(self) -> FromReplica:
        """Return the next frame; a closed connection is a ``ConnectionError``."""
        while True:
            if len(self._data) >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(self._data)
                end = _LENGTH.size + size
                if len(self._data) >= end:
                    frame = _decode(self._data[_LENGTH.size : end])
                    self._data = self._data[end:]
                    return frame
            data = self._socket.recv(1 << 20)
            if not data:
                raise ConnectionResetError("the replica hung up")
            self._data += data

    def receive_answer(self) -> Done | Failed | Answer | Attached:
        """Return the next frame that answers something; keep states and events aside."""
        until_s = time.monotonic() + self._timeout_s
        while time.monotonic() < until_s:
            frame = self.receive()
            if isinstance(frame, State):
                self.states.append(frame)
            elif isinstance(frame, Happened):
                self.happened.append(frame)
            elif isinstance(frame, Entries | Unfollowed):
                self.entries.append(frame)
            else:
                return frame
        raise TimeoutError("no answer")

    def state(self) -> State:
        """Return the next state the replica sends."""
        while True:
            frame = self.receive()
            if isinstance(frame, State):
                return frame
            if isinstance(frame, Happened):
                self.happened.append(frame)

    def submit(self, requests: Iterable[Request]) -> list[tuple[int, AnyReply]]:
        """Submit requests and return (log index, reply) for each; a Failed is an error."""
        raws = [msgspec.Raw(msgspec.msgpack.encode(request)) for request in requests]
        refs = range(self._next_ref, self._next_ref + len(raws))
        self._next_ref = refs.stop
        self.send(Submit(list(refs), raws))
        replies: dict[int, tuple[int, AnyReply]] = {}
        while not replies.keys() >= set(refs):
            frame = self.receive_answer()
            if isinstance(frame, Failed):
                raise NotDone(frame)
            assert isinstance(frame, Done), frame
            for ref, index, reply in zip(frame.refs, frame.indexes, frame.replies, strict=True):
                replies[ref] = (index, _decode_reply(reply))
        return [replies[ref] for ref in refs]

    def ask(
        self, key: int, query: AnyQuery, mode: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0
    ) -> Answer | Failed:
        """Ask and return the answer, or the Failed."""
        self.send(Read(1, key, mode, min_index, query))
        frame = self.receive_answer()
        assert isinstance(frame, Answer | Failed), frame
        return frame

    def attach(self, accounts: list[int], after_index: int = 0) -> int:
        """Attach and return from which index on events are complete."""
        self.send(Attach(9, accounts, after_index))
        frame = self.receive_answer()
        assert isinstance(frame, Attached), frame
        return frame.complete_after

    def is_closed(self) -> bool:
        """Wait for the replica to hang up; frames before that are skipped."""
        try:
            while True:
                self.receive()
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Replicas:
    """A founded group and its processes; use it as a context manager."""

    def __init__(self, directory: Path, **settings: int) -> None:
        ports = free_ports(6)
        members = [(f"127.0.0.1:{ports[n]}", f"127.0.0.1:{ports[n + 3]}") for n in range(3)]
        settings = {"map_size_bytes": 32 << 20, **settings}
        self.directory = directory
        self.program = ["-m", "steelyard.replication"]
        """What Python runs as a replica."""
        # What a test changes are integers; that it names only such settings, mypy cannot know.
        self.config: GroupConfig = found_group(directory, members, OPERATOR_PUBLIC_KEY, **settings)  # type: ignore[arg-type]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.links: dict[int, Link] = {}
        self._leading = 0

    def __enter__(self) -> "Replicas":
        """Start all three."""
        for member in (1, 2, 3):
            self.start(member)
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        for member in list(self.processes):
            self.kill(member)
        for member in (1, 2, 3):
            self.hang_up(member)
            node_paths(self.directory, member).front_socket.unlink(missing_ok=True)

    def start(self, member: int) -> "subprocess.Popen[bytes]":
        """Start a replica; its log is appended to."""
        paths = node_paths(self.directory, member)
        paths.node.mkdir(exist_ok=True)
        with paths.replica_log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    *self.program,
                    "--data",
                    str(self.directory),
                    "--member",
                    str(member),
                ],
                env=self.environment(),
                stderr=log,
            )
        self.processes[member] = process
        return process

    @staticmethod
    def environment() -> dict[str, str]:
        """Return an environment in which our packages are found, installed or not."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}

    def kill(self, member: int, number: int = signal.SIGKILL) -> int:
        """End a replica by signal and return its exit code."""
        self.hang_up(member)
        process = self.processes.pop(member)
        process.send_signal(number)
        return process.wait(20)

    def hang_up(self, member: int) -> None:
        """Close the kept connection to a replica, if there is one."""
        link = self.links.pop(member, None)
        if link is not None:
            link.close()

    def log(self, member: int) -> str:
        """Return what a replica has written to its log."""
        return node_paths(self.directory, member).replica_log.read_text()

    def link(self, member: int, *, timeout_s: float = 20.0) -> Link:
        """Return a connection to a replica that is starting or running."""
        path = node_paths(self.directory, member).front_socket
        process = self.processes[member]
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                return Link(path, self.config.group)
            except (FileNotFoundError, ConnectionRefusedError):
                assert process.poll() is None, f"member {member} ended: {self.log(member)}"
                assert time.monotonic() < until_s, self.log(member)
                select.select([], [], [], 0.02)

    def member(self, member: int) -> Link:
        """Return the kept connection to a replica."""
        if member not in self.links:
            self.links[member] = self.link(member)
        return self.links[member]

    def leader(self, *, timeout_s: float = 20.0) -> int:
        """Return the member that leads and is ready, once there is one."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            for member, process in self.processes.items():
                if process.poll() is not None:
                    continue
                try:
                    state = self.member(member).state()
                except ConnectionError:
                    self.hang_up(member)
                    continue
                if state.role == "leader" and state.ready:
                    return member
        raise TimeoutError("\n".join(self.log(member) for member in self.processes))

    def submit(self, requests: Iterable[Request], *, timeout_s: float = 20.0) -> list[tuple[int, AnyReply]]:
        """Submit to whoever leads, and again to the next, until there are replies."""
        requests = list(requests)
        until_s = time.monotonic() + timeout_s
        while True:
            member = self._leading if self._leading in self.processes else self.leader()
            self._leading = member
            try:
                return self.member(member).submit(requests)
            except (ConnectionError, NotDone):
                assert time.monotonic() < until_s, "no replies in time"
                self._leading = 0
                self.hang_up(member)

    def stop(self) -> None:
        """Stop all replicas cleanly, as level as they are."""
        for member in list(self.processes):
            assert self.kill(member, signal.SIGTERM) == 0, self.log(member)

    def audit(self) -> Audit:
        """Read all three logs."""
        return audit([node_paths(self.directory, member).node for member in (1, 2, 3)])

    def level(self, *, timeout_s: float = 20.0) -> dict[int, State]:
        """Return the states once all running members have applied the same index."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            least = max(self.member(member).state().applied_index for member in self.processes)
            states = {}
            for member in self.processes:
                state = self.member(member).state()
                while state.applied_index < least and time.monotonic() < until_s:
                    state = self.member(member).state()
                states[member] = state
            if min(state.applied_index for state in states.values()) >= least:
                return states
        raise TimeoutError("\n".join(self.log(member) for member in self.processes))


class Trader:
    """A funded customer with a session; sends like a client that must not lose anything."""

    ACCOUNT = 1000

    def __init__(self, group: Replicas) -> None:
        """Open market, account, key and session."""
        self.group = group
        self.operator = operator = self._session(1, 9)
        setup: list[AnyCommand] = [
            ListAsset(asset=BTC, symbol="BTC", decimals=8),
            ListAsset(asset=USD, symbol="USD", decimals=2),
            ListInstrument(
                instrument=BTC_USD,
                symbol="BTC/USD",
                base=BTC,
                quote=USD,
                tick_mantissa=1,
                tick_decimals=0,
                lot_mantissa=1,
                lot_decimals=2,
                price_max_ticks=1_000_000,
                size_max_lots=10_000,
                notional_min_atoms=1,
                maker_ppm=100,
                taker_ppm=200,
            ),
            SetInstrumentState(instrument=BTC_USD, state=InstrumentState.POST_ONLY),
            SetInstrumentState(instrument=BTC_USD, state=InstrumentState.OPEN),
            OpenAccount(account=AccountId(self.ACCOUNT)),
            Deposit(account=AccountId(self.ACCOUNT), asset=USD, amount_atoms=10**12),
            Deposit(account=AccountId(self.ACCOUNT), asset=BTC, amount_atoms=10**12),
            CreateApiKey(account=AccountId(self.ACCOUNT), public_key=bytes(32), permissions=31),
        ]
        replies = group.submit(
            [request(command, number, operator) for number, command in enumerate(setup, start=1)]
        )
        made = replies[-1][1]
        assert isinstance(made, Accepted), replies
        self.key = made.made
        self.session = self._session(self.key, self.ACCOUNT)
        self.number = 0
        self.acknowledged: dict[int, tuple[int, AnyReply]] = {}

    def next_requests(self, count: int) -> list[Request]:
        """Return the session's next requests: buys that rest, every third one sold into."""
        requests = []
        for _ in range(count):
            self.number += 1
            sells = self.number % 3 == 0
            command = PlaceOrder(
                account=AccountId(self.ACCOUNT),
                instrument=BTC_USD,
                order=OrderId(self.number),
                side=Side.SELL if sells else Side.BUY,
                size_lots=1 + self.number % 2,
                limit_ticks=900 if sells else 1_000 - self.number % 50,
                time_in_force=TimeInForce.IOC if sells else TimeInForce.GTC,
            )
            wants_from = max(1, self.number - 500)
            requests.append(request(command, self.number, self.session, self.key, wants_from))
        return requests

    def trade(self, count: int) -> None:
        """Send requests, in one frame, until they are acknowledged."""
        self.send(self.next_requests(count))

    def send(self, requests: list[Request]) -> None:
        """Send these requests, again and again, until they are acknowledged."""
        replies = self.group.submit(requests)
        for each, (index, reply) in zip(requests, replies, strict=True):
            assert not isinstance(reply, Refused), reply
            self.acknowledged[each.request] = (index, reply)

    def check(self, audited: Audit) -> None:
        """Raise unless every member's log has each acknowledged request once, as acknowledged."""
        assert audited.ok, audited.faults
        assert self.acknowledged
        for node in audited.nodes:
            for number, (index, reply) in self.acknowledged.items():
                if index > node.replayed_after:
                    assert node.executions[(self.session, number)] == (index, 1, reply)

    def _session(self, key: int, account: int) -> int:
        command = OpenSession(account=AccountId(account), name="test")
        ((_, reply),) = self.group.submit([request(command, key=key)])
        assert isinstance(reply, SessionReady), reply
        return reply.session


def request(
    command: AnyCommand, number: int = 0, session: int = 0, key: int = 1, wants_from: int = 0
) -> Request:
    """Return a request, by default the operator's and outside a session."""
    return Request(SessionId(session), number, wants_from or number, KeyId(key), number, 0, command)
