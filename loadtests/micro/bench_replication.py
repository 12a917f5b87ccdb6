"""Consensus alone: three members as processes, fsync on, a trivial state machine; prints one JSON object.

    python loadtests/micro/bench_replication.py --seconds 5 --commands 100 --bytes 100

``--commands`` of ``--bytes`` each are one log entry; the leader keeps its window full.
"""

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from steelyard.replication.engine import PysyncobjGroup, build_group
from steelyard.replication.group import SHARED, WINDOW_ENTRIES_MAX, Failure, GroupSettings, MemberId
from steelyard.replication.log_store import found, open_store

GROUP = "bench"
MAP_BYTES = 2 << 30
MEMBERS = [MemberId(1), MemberId(2), MemberId(3)]


class Bench:
    """One member; whoever leads measures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        addresses = {m: ("127.0.0.1", port) for m, port in zip(MEMBERS, options.ports, strict=True)}
        settings = GroupSettings(GROUP, MemberId(options.member), addresses, bytes(32), SHARED)
        store = open_store(
            options.directory / str(options.member), GROUP, MemberId(options.member), map_bytes=MAP_BYTES
        )
        self.applied = 0
        self.waits_ms: list[float] = []
        self.group: PysyncobjGroup = build_group(
            settings,
            store,
            apply=self._apply,
            apply_noop=lambda _: None,
            leadership_changed=lambda _: None,
            on_digest=lambda *_: None,
        )

    def _apply(self, _index: int, _term: int, _body: bytes) -> None:
        self.applied += 1

    def run(self) -> None:
        """Turn for ever; as leader with two followers measure once, print, and end."""
        while True:
            self.group.turn(0.01)
            if self.group.window_free() and all(p.connected for p in self.group.peers()):
                print(json.dumps(self.measure()), flush=True)
                return

    def measure(self) -> dict[str, object]:
        """Keep the window full for the time given."""
        options, group = self.options, self.group
        body = bytes(options.commands * options.bytes)
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + options.seconds:
            while group.window_free() and self._open() < options.in_flight:
                self._propose(body)
            group.turn(0.01)
        while self._open():
            group.turn(0.01)
        took_s = time.monotonic() - begun_s
        entries = len(self.waits_ms)
        cuts = statistics.quantiles(self.waits_ms, n=1000)
        return {
            "entries_per_second": round(entries / took_s),
            "commands_per_second": round(entries * options.commands / took_s),
            "p50_ms": round(cuts[499], 2),
            "p99_ms": round(cuts[989], 2),
            "commands_per_entry": options.commands,
            "bytes_per_command": options.bytes,
            "in_flight": options.in_flight,
            "sync_mode": "full",
            "machine": f"{platform.machine()} {platform.system()} python {platform.python_version()}",
        }

    _asked = 0

    def _open(self) -> int:
        return self._asked - len(self.waits_ms)

    def _propose(self, body: bytes) -> None:
        asked_s = time.monotonic()
        self._asked += 1

        def done(told: int | Failure) -> None:
            if isinstance(told, Failure):
                sys.exit(f"the bench lost its leader: {told.value}")
            self.waits_ms.append((time.monotonic() - asked_s) * 1000)

        self.group.propose(body, done)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def main() -> None:
    """Found a group, start its members, and pass on what the leader prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--commands", type=int, default=100, help="commands per entry")
    parser.add_argument("--bytes", type=int, default=100, help="bytes per command")
    parser.add_argument("--in-flight", type=int, default=WINDOW_ENTRIES_MAX, help="entries in flight")
    parser.add_argument("--member", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.member:
        Bench(options).run()
        return
    with tempfile.TemporaryDirectory() as directory:
        for member in MEMBERS:
            found(Path(directory) / str(member), GROUP, member, map_bytes=MAP_BYTES)
        common = [sys.executable, __file__, *sys.argv[1:], "--directory", directory]
        common += ["--ports", *map(str, free_ports(3))]
        running = [
            subprocess.Popen([*common, "--member", str(m)], stdout=subprocess.PIPE, text=True)
            for m in MEMBERS
        ]
        try:
            while not any(m.poll() is not None for m in running):
                time.sleep(0.1)
        finally:
            for process in running:
                process.kill()
                print(process.communicate()[0], end="")


if __name__ == "__main__":
    main()
