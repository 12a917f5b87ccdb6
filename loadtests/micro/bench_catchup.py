"""How long a member that was away needs to catch up under load, by log and by snapshot; prints JSON.

    python loadtests/micro/bench_catchup.py --entries 100000

Three replicas on this machine, full sync. Two of them begin with so many entries, one with none; that one has
caught up when it is less than ``CLOSE`` entries behind the leader, which goes on under load.
"""

import argparse
import json
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from steelyard.core import wire
from steelyard.core.commands import Skip
from steelyard.core.entry import ENTRY_VERSION, Entry, Request
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId
from steelyard.replication.config import GroupConfig, found_group, node_paths
from steelyard.replication.front import PROTOCOL, Failed, FromReplica, Open, State, Submit
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import open_store

IN_FLIGHT = 8
CLOSE = 100
PROGRAM = [sys.executable, "-m", "steelyard.replication"]
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], FromReplica] = msgspec.msgpack.Decoder(FromReplica).decode
_REQUEST = msgspec.Raw(_encode(Request(SessionId(0), 0, 0, KeyId(0), 0, 0, Skip(reason=Reject.MALFORMED))))


class Link:
    """A gateway's connection: its newest state, and how many requests have no answer."""

    def __init__(self, path: Path, group: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.open = 0
        self.done = 0
        self.state: State | None = None
        self._data = b""
        self.send(Open(PROTOCOL, group, "bench"))

    def send(self, frame: object) -> None:
        """Send a frame."""
        body = _encode(frame)
        self.socket.sendall(_LENGTH.pack(len(body)) + body)

    def load(self) -> None:
        """Keep a few requests in flight, one to a frame, so that entries stay small."""
        while self.open < IN_FLIGHT:
            self.send(Submit([self.open], [_REQUEST]))
            self.open += 1

    def hear(self, wait_s: float) -> None:
        """Take what comes within a while."""
        if not select.select([self.socket], [], [], wait_s)[0]:
            return
        self._data += self.socket.recv(1 << 20)
        at = 0
        while len(self._data) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._data, at)
            if len(self._data) - at < _LENGTH.size + size:
                break
            frame = _decode(self._data[at + _LENGTH.size : at + _LENGTH.size + size])
            at += _LENGTH.size + size
            if isinstance(frame, State):
                self.state = frame
            elif hasattr(frame, "refs"):
                assert not isinstance(frame, Failed), frame
                self.open -= len(frame.refs)
                self.done += len(frame.refs)
        self._data = self._data[at:]


class Group:
    """Three replica processes in a scratch directory."""

    def __init__(self, directory: Path, **settings: int) -> None:
        ports = [_free_port() for _ in range(6)]
        members = [(f"127.0.0.1:{ports[n]}", f"127.0.0.1:{ports[n + 3]}") for n in range(3)]
        self.directory = directory
        # What is set here are integers; that they are such settings, mypy cannot know.
        self.config: GroupConfig = found_group(directory, members, bytes(32), **settings)  # type: ignore[arg-type]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def fill(self, member: int, entries: int) -> None:
        """Let a member begin with a log of so many committed entries."""
        paths, map_bytes = node_paths(self.directory, member), self.config.map_size_bytes
        store = open_store(paths.store, self.config.group, MemberId(member), map_bytes=map_bytes)
        store.append(1, 0, NO_OP)
        store.hard_state(1, 0, 0)
        request = Request(SessionId(0), 0, 0, KeyId(0), 0, 0, Skip(reason=Reject.MALFORMED))
        for index in range(2, entries + 2):
            body = wire.encode_entry(Entry(ENTRY_VERSION, index * 1_000, [request]))
            store.append(index, 1, ENTRY + body)
            if index % 5_000 == 0:
                store.flush()
        store.hard_state(1, 0, store.last_index)
        store.close()

    def start(self, member: int) -> None:
        """Start a replica."""
        with node_paths(self.directory, member).replica_log.open("ab") as log:
            self.processes[member] = subprocess.Popen(
                [*PROGRAM, "--data", str(self.directory), "--member", str(member)],
                stderr=log,
                env=os.environ,
            )

    def kill(self, member: int) -> None:
        """End a replica at once."""
        process = self.processes.pop(member)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def link(self, member: int) -> Link:
        """Connect to a replica once it listens, and hear its state."""
        path = node_paths(self.directory, member).front_socket
        while True:
            try:
                link = Link(path, self.config.group)
            except (FileNotFoundError, ConnectionRefusedError):
                select.select([], [], [], 0.01)
                continue
            while link.state is None:
                link.hear(1)
            return link

    def leader(self) -> tuple[int, Link]:
        """Return the member that leads, and a connection to it."""
        while True:
            for member in self.processes:
                link = self.link(member)
                assert link.state is not None
                if link.state.role == "leader" and link.state.ready:
                    return member, link
                link.socket.close()
            select.select([], [], [], 0.05)


def measure(entries: int, **settings: int) -> dict[str, object]:
    """Return how long it took, and how."""
    with tempfile.TemporaryDirectory() as name:
        group = Group(Path(name) / "group", map_size_bytes=1 << 30, **settings)
        try:
            return _measure(group, entries, trims=bool(settings))
        finally:
            for member in list(group.processes):
                group.kill(member)


def _measure(group: Group, entries: int, trims: bool) -> dict[str, object]:
    for member in (1, 2):
        group.fill(member, entries)
        group.start(member)
    _, leader = group.leader()
    assert leader.state is not None
    started_s = time.monotonic()
    while time.monotonic() < started_s + 3 or (trims and leader.state.log_first_index == 1):
        leader.load()
        leader.hear(0.1)
    before_s = time.monotonic() - started_s
    before = leader.done
    group.start(3)
    started_s = time.monotonic()
    path = node_paths(group.directory, 3).front_socket
    follower = None
    while True:
        leader.load()
        leader.hear(0.01)
        if follower is None:
            try:
                follower = Link(path, group.config.group)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
        follower.hear(0)
        state = follower.state
        if state is not None and state.applied_index > leader.state.last_index - CLOSE:
            break
    caught_up_s = time.monotonic() - started_s
    log = node_paths(group.directory, 3).replica_log.read_text()
    return {
        "entries": leader.state.last_index,
        "caught_up_s": round(caught_up_s, 2),
        "by_snapshot": "installed the snapshot" in log,
        "memory_mb": {member: _memory_mb(process.pid) for member, process in group.processes.items()},
        "requests_per_s_before": round(before / before_s),
        "requests_per_s_meanwhile": round((leader.done - before) / caught_up_s),
    }


def _memory_mb(pid: int) -> int:
    """Return what a process holds beside its files."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) // 1024


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    result = {
        "machine": platform.platform(),
        "bound_s": 20,
        "by_log": measure(options.entries),
        "by_snapshot": measure(options.entries, snapshot_entries=5_000, log_keep_entries=1_000),
    }
    print(json.dumps(result, indent=2))
