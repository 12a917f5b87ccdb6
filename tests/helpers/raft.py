"""A group of three members in one process: a log of applied bodies as state machine, real loopback TCP."""

import hashlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steelyard.replication.clock import SystemClock
from steelyard.replication.engine import PysyncobjGroup, build_group
from steelyard.replication.group import Failure, GroupSettings, MemberId, Timeouts
from steelyard.replication.guards import Guards
from steelyard.replication.links import TcpLinks, listen
from steelyard.replication.log_store import LogStore, found, join, open_store
from steelyard.replication.poller import EpollWaiter
from steelyard.replication.tls import PeerTls

QUICK = Timeouts(min_s=0.15, max_s=0.3, heartbeat_s=0.03)
SECRET = hashlib.sha256(b"a secret for tests").digest()
GROUP = "testing"
MAP_BYTES = 16 << 20
MEMBERS = [MemberId(1), MemberId(2), MemberId(3)]


class Outcome:
    """Remembers what a ``done`` callback was told."""

    def __init__(self) -> None:
        self.calls: list[int | Failure] = []

    def __call__(self, outcome: int | Failure) -> None:
        """Note an outcome."""
        self.calls.append(outcome)

    @property
    def only(self) -> int | Failure | None:
        """The one outcome, None while there is none."""
        assert len(self.calls) <= 1, self.calls
        return self.calls[0] if self.calls else None


class Member:
    """One member with everything it applied since its start."""

    def __init__(self, group: PysyncobjGroup, store: LogStore, links: TcpLinks) -> None:
        self.group = group
        self.store = store
        self.links = links
        self.applied: list[tuple[int, bytes]] = []
        self.noops: list[int] = []
        self.leadership: list[bool] = []
        self.digests: list[tuple[int, int, bytes, bytes]] = []


class TcpGroup:
    """Three members on loopback, driven turn by turn by the test."""

    def __init__(
        self,
        directory: Path,
        *,
        timeouts: Timeouts = QUICK,
        guards: Guards | None = None,
        tls: Callable[[MemberId], PeerTls | None] = lambda _: None,
        map_bytes: int = MAP_BYTES,
    ) -> None:
        self._map_bytes = map_bytes
        self._tls = tls
        self._directory = directory
        self._timeouts = timeouts
        self._guards = guards or Guards()
        self._listeners = {m: listen(("127.0.0.1", 0)) for m in MEMBERS}
        self.addresses = {m: s.getsockname() for m, s in self._listeners.items()}
        self.members: dict[MemberId, Member] = {}
        for member in MEMBERS:
            found(self.directory(member), GROUP, member, map_bytes=self._map_bytes)

    def directory(self, member: MemberId) -> Path:
        """Where a member keeps its log."""
        return self._directory / str(member)

    def settings(self, member: MemberId) -> GroupSettings:
        """Return a member's settings."""
        return GroupSettings(GROUP, member, self.addresses, SECRET, self._timeouts)

    def start(self, member: MemberId, *, restored_index: int = 0) -> Member:
        """Open a member's store and let it take part."""
        store = open_store(self.directory(member), GROUP, member, map_bytes=self._map_bytes)
        clock, waiter = SystemClock(), EpollWaiter()
        listener = self._listeners.pop(member, None) or listen(self.addresses[member])
        links = TcpLinks(self.settings(member), waiter, clock, _Dice(member), listener, tls=self._tls(member))
        holder: list[Member] = []
        group = build_group(
            self.settings(member),
            store,
            apply=lambda index, _, body: holder[0].applied.append((index, body)),
            apply_noop=lambda index: holder[0].noops.append(index),  # noqa: PLW0108 - holder is filled later
            leadership_changed=lambda leads: holder[0].leadership.append(leads),  # noqa: PLW0108
            on_digest=lambda *told: holder[0].digests.append(told),
            restored_index=restored_index,
            waiter=waiter,
            links=links,
            guards=self._guards,
        )
        holder.append(Member(group, store, links))
        self.members[member] = holder[0]
        return holder[0]

    def start_all(self) -> None:
        """Start every member."""
        for member in MEMBERS:
            self.start(member)

    def stop(self, member: MemberId) -> None:
        """Stop a member cleanly."""
        self.members.pop(member).group.stop()

    def wipe(self, member: MemberId) -> None:
        """Replace a stopped member's disk by a new one that joins."""
        for path in self.directory(member).iterdir():
            path.unlink()
        join(self.directory(member), GROUP, member, map_bytes=self._map_bytes)

    def run(self, until: Callable[[], object], *, within_s: float = 10.0) -> None:
        """Turn all members until something holds."""
        deadline_s = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < deadline_s, f"did not happen within {within_s} s"
            for member in list(self.members.values()):
                member.group.turn(0.001)

    def run_for(self, span_s: float) -> None:
        """Turn all members for a while, to see that something does not happen."""
        end_s = time.monotonic() + span_s
        self.run(lambda: time.monotonic() >= end_s, within_s=span_s + 5)

    def leader(self) -> Member | None:
        """Return the member that leads and is ready, in the highest term."""
        ready = [m for m in self.members.values() if m.group.ready()]
        return max(ready, key=lambda m: m.group.term, default=None)

    def elect(self) -> Member:
        """Run until somebody leads."""
        self.run(self.leader)
        leader = self.leader()
        assert leader is not None
        return leader

    def commit(self, *bodies: bytes) -> list[int]:
        """Propose bodies through whoever leads, one after the other, until each is applied there."""
        return [self._commit(body) for body in bodies]

    def _commit(self, body: bytes) -> int:
        leader, outcome = self.elect(), Outcome()
        self.run(leader.group.window_free)
        leader.group.propose(body, outcome)
        self.run(lambda: outcome.calls)
        assert isinstance(outcome.only, int), outcome.only
        return outcome.only

    def close(self) -> None:
        """Stop everybody."""
        for member in list(self.members):
            self.stop(member)
        for listener in self._listeners.values():
            listener.close()


class _Dice:
    """Spreads the election timeouts of the members, so that tests are quick."""

    def __init__(self, member: MemberId) -> None:
        self._value = (member - 1) / 3

    def random(self) -> float:
        """Return the same number each time."""
        return self._value


@contextmanager
def tcp_group(directory: Path, **options: object) -> Iterator[TcpGroup]:
    """Yield a founded group and stop it at the end."""
    group = TcpGroup(directory, **options)  # type: ignore[arg-type]
    try:
        yield group
    finally:
        group.close()


def exit_of(action: Callable[[], object]) -> tuple[int, str]:
    """Run something that ends the process in a child; return its exit code (0 if it returns) and stderr."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        sys.stderr = os.fdopen(write_fd, "w")
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said
