"""One member alone with the test: hand-made peer messages in, everything it says out, time by hand."""

from dataclasses import dataclass, field

from steelyard.replication.disk import Write
from steelyard.replication.engine import PysyncobjGroup, build_group
from steelyard.replication.files import Files
from steelyard.replication.group import SHARED, GroupSettings, MemberId
from steelyard.replication.guards import Guards
from steelyard.replication.links import LinkHandler
from steelyard.replication.log_record import ENTRY, FORMAT, NO_OP, Identity, Record, first_meta
from steelyard.replication.log_store import LogStore, SnapshotRef
from steelyard.replication.poller import FdCallback
from steelyard.replication.snapshot_pieces import SnapshotPieces
from steelyard.replication.snapshot_store import SnapshotStore
from steelyard.replication.wire import (
    WIRE_VERSION,
    Ack,
    Append,
    Hello,
    PeerMessage,
    Ping,
    PreVoteGrant,
    Remembered,
    VoteGrant,
    decode_message,
    encode,
)

US, TWO, THREE = MemberId(1), MemberId(2), MemberId(3)
GROUP = "scripted"


class ManualClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.creep_s = 0.0
        """How much later it is each time somebody looks, for what would wait for time to pass."""

    def monotonic_s(self) -> float:
        """Return the time."""
        self.now_s += self.creep_s
        return self.now_s

    def wall_ns(self) -> int:
        """Return the time since 1970, shortly after."""
        return int(self.now_s * 1e9)


class Middle:
    """Dice that always show one half."""

    def random(self) -> float:
        """Return one half."""
        return 0.5


class MemoryDisk:
    """A transactional map in memory: what was committed survives the object that used it."""

    def __init__(self, meta: dict[bytes, bytes]) -> None:
        self.meta = meta
        self.log: dict[int, bytes] = {}
        self.commits = 0
        self.failure: Exception | None = None

    def read_meta(self) -> dict[bytes, bytes]:
        """Return the meta map."""
        return dict(self.meta)

    def read(self, first: int, count_max: int, bytes_max: int) -> list[tuple[int, bytes]]:
        """Return records in order, at least one if there is one."""
        out: list[tuple[int, bytes]] = []
        size = 0
        for index in sorted(i for i in self.log if i >= first)[:count_max]:
            if size >= bytes_max:
                break
            out.append((index, self.log[index]))
            size += len(self.log[index])
        return out

    def commit(self, write: Write) -> None:
        """Apply a transaction, or fail as told."""
        if self.failure is not None:
            raise self.failure
        self.commits += 1
        for indices in write.deletes:
            for index in indices:
                self.log.pop(index, None)
        self.log.update(write.puts)
        self.meta.update(write.meta)

    def used_fraction(self) -> float:
        """Return zero: memory is large."""
        return 0.0

    def housekeep(self) -> None:
        """There are no readers."""

    def close(self) -> None:
        """Keep everything."""


def founded(member: int = US, *, joining: bool = False, incarnation: int = 1) -> MemoryDisk:
    """Return a disk as founding (or joining) leaves it."""
    return MemoryDisk(first_meta(Identity(FORMAT, GROUP, member, incarnation, 0, joining, 0)))


class NoWait:
    """A waiter for nothing."""

    def register(self, fd: int, mask: int, callback: FdCallback) -> None:
        """Take a descriptor and do nothing."""

    def modify(self, fd: int, mask: int) -> None:
        """Do nothing."""

    def unregister(self, fd: int) -> None:
        """Do nothing."""

    def wait(self, timeout_s: float) -> None:
        """Return at once."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class ScriptLinks:
    """Keeps what the member sends, and why it drops a link."""

    out: list[tuple[MemberId, PeerMessage]] = field(default_factory=list)
    dropped: list[tuple[MemberId, str]] = field(default_factory=list)
    backlog: int = 0

    def start(self, handler: LinkHandler) -> None:
        """Do nothing: the script brings the links up."""

    def send(self, peer: MemberId, payload: bytes) -> None:
        """Note a frame."""
        self.out.append((peer, decode_message(payload)))

    def backlog_bytes(self, peer: MemberId) -> int:
        """Return what the script says."""
        return self.backlog

    def drop(self, peer: MemberId, reason: str) -> None:
        """Note it."""
        self.dropped.append((peer, reason))

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Scripted:
    """Member 1 of three; ``hear`` is the wire in, ``said`` the wire out."""

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        guards: Guards | None = None,
        restored_index: int = 0,
        files: Files | None = None,
    ) -> None:
        self.disk = disk or founded()
        self.clock = ManualClock()
        self.links = ScriptLinks()
        self.store = LogStore(self.disk, GROUP, US)
        self.applied: list[tuple[int, bytes]] = []
        self.noops: list[int] = []
        self.installed: list[bytes] = []
        self.leadership: list[bool] = []
        addresses = dict.fromkeys((US, TWO, THREE), ("127.0.0.1", 1))
        self.group: PysyncobjGroup = build_group(
            GroupSettings(GROUP, US, addresses, bytes(32), SHARED),
            self.store,
            apply=lambda index, _, body: self.applied.append((index, body)),
            apply_noop=self.noops.append,
            leadership_changed=self.leadership.append,
            on_digest=lambda *_: None,
            install=lambda snapshot: self.installed.append(snapshot.state),
            snapshots=SnapshotPieces(files, SnapshotStore(files, GROUP), self.store) if files else None,
            restored_index=restored_index,
            clock=self.clock,
            rng=Middle(),
            waiter=NoWait(),
            links=self.links,
            guards=guards or Guards(),
        )
        for peer in (TWO, THREE):
            self.link(peer)
        self.turn()
        self.said()

    def link(
        self, peer: MemberId, *, term: int = 0, last_index: int = 1, incarnation: int = 1, boots: int = 1
    ) -> None:
        """Bring a link up, as a handshake would."""
        hello = Hello(WIRE_VERSION, GROUP, peer, incarnation, boots, term, last_index, 0, bytes(16))
        self.group.transport.link_up(peer, hello)

    def hear(self, peer: MemberId, *messages: PeerMessage) -> None:
        """Receive messages within one wait."""
        for message in messages:
            self.group.transport.link_payload(peer, encode(message))

    def turn(self, times: int = 1) -> None:
        """Run turns."""
        for _ in range(times):
            self.group.turn(0)

    def advance(self, span_s: float) -> None:
        """Let time pass and run a turn."""
        self.clock.now_s += span_s
        self.turn()

    def said(self, peer: MemberId | None = None) -> list[PeerMessage]:
        """Return and forget what was sent since the last call, without pings and greetings."""
        out, self.links.out = self.links.out, []
        return [m for p, m in out if peer in (None, p) and not isinstance(m, Ping | Remembered)]

    def append(self, leader: MemberId, message: Append) -> list[PeerMessage]:
        """Hear an append, run a turn and return what was answered."""
        self.said()
        self.hear(leader, message)
        self.turn()
        return self.said(leader)

    def lead(self) -> int:
        """Win an election with member 2's votes; return the term."""
        self.advance(2.5)
        term = self.group.term + 1
        self.hear(TWO, PreVoteGrant(term))
        self.turn(2)
        assert self.group.term == term
        self.hear(TWO, VoteGrant(term))
        assert self.group.is_leader()
        self.turn()
        self.said()
        return term

    def lead_ready(self) -> int:
        """Win an election and commit its no-op; return the term."""
        term = self.lead()
        self.hear(TWO, self.ack(self.store.last_index))
        self.turn(2)
        assert self.group.ready()
        self.said()
        return term

    def ack(self, index: int, **changes: int | bool) -> Ack:
        """Return a success ack up to ``index`` in our term."""
        fields: dict[str, int | bool] = {
            "term": self.group.term,
            "next_index": index + 1,
            "success": True,
            "reset": False,
            "last_index": index,
            "round": 0,
            "wall_ns": 0,
            "used_permille": 0,
        }
        return Ack(**(fields | changes))  # type: ignore[arg-type]

    def rejection(self, hint: int, *, last_index: int) -> Ack:
        """Return a rejection that asks to retry at ``hint``."""
        return self.ack(hint - 1, success=False, reset=True, last_index=last_index)


def entries(first: int, last: int, term: int, word: str = "entry") -> list[Record]:
    """Return proposed entries ``first`` to ``last`` of one term."""
    return [Record(ENTRY + f"{word} {i}".encode(), i, term) for i in range(first, last + 1)]


def no_op(index: int, term: int) -> Record:
    """Return a leader's no-op."""
    return Record(NO_OP, index, term)


def append(
    term: int, prev: tuple[int, int], records: list[Record], *, commit: int = 1, round_: int = 0
) -> Append:
    """Return an append behind ``prev`` (index, term)."""
    return Append(term, commit, prev[0], prev[1], round_, records)


def follower_with_six(guards: Guards | None = None, *, commit: int = 3) -> Scripted:
    """Return a follower of member 2 in term 1 that holds and acked entries up to 6."""
    member = Scripted(guards=guards)
    member.append(TWO, append(1, (1, 0), [no_op(2, 1), *entries(3, 6, 1)], commit=commit))
    assert member.store.last_index == 6
    return member


def trimmed_leader() -> Scripted:
    """Return a leader whose log begins at 5."""
    member = follower_with_six()
    member.append(TWO, append(1, (6, 1), [], commit=6))
    member.store.add_snapshot(SnapshotRef(6, 1, "snap", bytes(32)))
    member.store.trim(5)
    member.turn(2)
    assert member.store.first_index == 5
    member.lead_ready()
    return member
