"""Holes of the consensus library in its network, its memory and its chance (D37 to D44)."""

import os
import random
import subprocess
import sys
import time

import pytest
from tests.helpers.cuts import closed_by, instead, line
from tests.helpers.raft import Outcome, exit_of
from tests.helpers.scripted import (
    GROUP,
    TWO,
    US,
    ManualClock,
    Middle,
    Scripted,
    founded,
)

from steelyard.replication import engine
from steelyard.replication.engine import PysyncobjGroup
from steelyard.replication.frames import FrameError, FrameReader, FrameWriter
from steelyard.replication.group import ENTRY_BYTES_MAX, GroupSettings, MemberId
from steelyard.replication.journal import Journal, Tail
from steelyard.replication.links import TcpLinks, listen
from steelyard.replication.log_memory import LogMemory
from steelyard.replication.log_record import ENTRY
from steelyard.replication.log_store import LogStore
from steelyard.replication.outbox import Outbox
from steelyard.replication.poller import EpollWaiter
from steelyard.replication.transport import Transport
from steelyard.replication.wire import (
    APPEND_BYTES_MAX,
    FRAME_BYTES_MAX,
    WIRE_VERSION,
    Append,
    Hello,
)


@closed_by(
    "what does not decode costs the link",
    line(Transport.link_payload, 'self._links.drop(member, "not a peer message")', "pass"),
)
def test_d37_a_pickle_on_a_link_costs_the_connection() -> None:
    member = Scripted()
    member.group.transport.link_payload(TWO, b"\x80\x04K\x01.")
    assert member.links.dropped == [(TWO, "not a peer message")]


@closed_by("the library's pickle is a trap", instead(engine._syncobj.pickle, "loads", lambda data: None))
def test_d37_the_librarys_pickle_functions_are_traps() -> None:
    import pysyncobj.pickle

    for name in ("loads", "load", "dumps", "dump"):
        code, said = exit_of(lambda name=name: getattr(pysyncobj.pickle, name)(b"N."))  # type: ignore[misc]
        assert code == 70
        assert "pickle" in said


@closed_by(
    "a batch is larger than any entry",
    line(PysyncobjGroup._conf, "=APPEND_BYTES_MAX", "=1 << 16"),
    size=65536,
)
@pytest.mark.parametrize("size", [65535, 65536, 65537, (1 << 20) - 1, 1 << 20])
def test_d38_large_entries_commit_in_one_piece(size: int) -> None:
    member = Scripted()
    member.lead_ready()
    member.group.propose(bytes(size), outcome := Outcome())
    member.turn()
    (sent,) = member.said(TWO)
    assert isinstance(sent, Append)
    assert len(sent.entries[0].body) == size + 1
    member.hear(TWO, member.ack(member.store.last_index))
    member.turn(2)
    assert outcome.calls == [member.store.last_index]


@closed_by("the largest entry", line(PysyncobjGroup.propose, "len(body) > ENTRY_BYTES_MAX", "False"))
def test_d38_a_larger_entry_is_refused_before_it_is_proposed() -> None:
    member = Scripted()
    member.lead_ready()
    with pytest.raises(ValueError, match="above"):
        member.group.propose(bytes((1 << 20) + 1), Outcome())


@closed_by("the backlog of a peer", instead(Outbox, "overfull", lambda self, peer: False))
def test_d39_a_peer_that_does_not_read_gets_no_more_entries_until_it_does() -> None:
    member = Scripted()
    member.lead_ready()
    member.links.backlog = 64 << 20
    member.group.propose(b"x", Outcome())
    member.turn()
    assert member.said() == []
    assert member.group.next_index(TWO) == member.store.last_index

    member.links.backlog = 0
    member.turn(2)
    member.clock.now_s += 0.2
    member.turn()
    assert [len(m.entries) for m in member.said(TWO) if isinstance(m, Append)] == [1]


@closed_by("send at once", line(PysyncobjGroup.drain, "self._core._SyncObj__sendAppendEntries()", "pass"))
def test_d41_a_proposal_leaves_in_the_turn_it_was_made() -> None:
    member = Scripted()
    member.lead_ready()
    member.group.propose(b"at once", Outcome())
    member.turn()
    assert [type(m) for m in member.said(TWO)] == [Append]


@pytest.mark.parametrize("verb", [b"status", b"add", b"remove", b"set_version", b"transfer"])
def test_d37_no_verb_of_the_library_is_on_the_wire(verb: bytes) -> None:
    member = Scripted()
    member.group.transport.link_payload(TWO, b"\x92\xa6" + verb.ljust(6) + b"\x90")
    assert member.links.dropped == [(TWO, "not a peer message")]


def test_d38_every_entry_is_smaller_than_a_batch_of_the_library() -> None:
    assert ENTRY_BYTES_MAX + len(ENTRY) < APPEND_BYTES_MAX < FRAME_BYTES_MAX


@closed_by("the cap of a frame", line(FrameReader.feed, "length > self.payload_bytes_max", "False"))
def test_d39_a_frame_that_claims_too_much_is_refused_before_it_is_there() -> None:
    header = FrameWriter().header(bytes(FRAME_BYTES_MAX + 1))
    with pytest.raises(FrameError, match="oversized"):
        list(FrameReader(FRAME_BYTES_MAX).feed(header))


class Ear:
    """Hears what a link brings."""

    def __init__(self, member: MemberId) -> None:
        self.member = member
        self.ups = 0
        self.linked = False
        self.heard: list[bytes] = []

    def hello(self, nonce: bytes) -> Hello:
        """Greet."""
        return Hello(WIRE_VERSION, GROUP, self.member, 1, 1, 0, 0, 0, nonce)

    def link_up(self, peer: MemberId, hello: Hello) -> None:
        """Count it."""
        self.ups += 1
        self.linked = True

    def link_down(self, peer: MemberId) -> None:
        """Note it."""
        self.linked = False

    def link_payload(self, peer: MemberId, payload: bytes) -> None:
        """Keep it."""
        self.heard.append(payload)


class Pair:
    """Two members on real sockets, with a clock by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        listeners = {member: listen(("127.0.0.1", 0)) for member in (US, TWO)}
        addresses = {member: sock.getsockname() for member, sock in listeners.items()}
        self.waiters = {member: EpollWaiter() for member in listeners}
        self.ears = {member: Ear(member) for member in listeners}
        self.links = {
            member: TcpLinks(
                GroupSettings(GROUP, member, addresses, bytes(32)),
                self.waiters[member],
                self.clock,
                Middle(),
                listener,
            )
            for member, listener in listeners.items()
        }
        for member, links in self.links.items():
            links.start(self.ears[member])

    def run(self, span_s: float) -> None:
        """Let both sides work for a span of their clock."""
        until_s = self.clock.now_s + span_s
        while self.clock.now_s < until_s:
            self.clock.now_s += 0.01
            for member, links in self.links.items():
                links.tick()
                self.waiters[member].wait(0.002)

    def close(self) -> None:
        """Close everything."""
        for member, links in self.links.items():
            links.close()
            self.waiters[member].close()


@closed_by(
    "quick retries",
    line(TcpLinks._dial, "RETRY_MIN_S + (RETRY_MAX_S - RETRY_MIN_S) * self._rng.random()", "5.0"),
)
def test_d40_a_link_that_broke_is_up_again_within_half_a_second() -> None:
    pair = Pair()
    pair.run(0.5)
    assert pair.ears[US].linked
    pair.links[US].drop(TWO, "for the test")
    pair.run(0.5)
    assert (pair.ears[US].linked, pair.ears[TWO].linked) == (True, True)
    assert pair.ears[US].ups == 2
    pair.close()


@closed_by("a pause is not silence", line(TcpLinks.tick, "now_s - self._ticked_s > STALL_S", "False"))
def test_d40_a_member_that_was_paused_reads_what_waits_for_it_and_hangs_up_on_nobody() -> None:
    pair = Pair()
    pair.run(0.5)
    pair.links[TWO].send(US, b"waits")
    pair.clock.now_s += 60
    pair.run(0.1)
    assert b"waits" in pair.ears[US].heard
    assert (pair.ears[US].ups, pair.ears[US].linked) == (1, True)
    pair.close()


@closed_by(
    "lazy tails",
    line(
        Journal.__getitem__,
        "return Tail(self._store, first, min(count, limit))",
        "return self._store.entries(first, first + count - 1)",
    ),
)
def test_d42_a_message_reads_no_more_of_the_log_than_it_takes() -> None:
    store = LogStore(founded(), GROUP, US)
    for index in range(1, 5_001):
        store.append(index, 1, ENTRY)
    tail = Journal(store, None)[10:]
    assert tail[0].index == 11
    assert isinstance(tail, Tail)
    assert len(tail._read) <= 256


@closed_by("bounded memory", line(LogMemory.evict, "self._bytes > self.bytes_max", "False"))
def test_d42_old_entries_leave_memory() -> None:
    store = LogStore(founded(), GROUP, US, cache_bytes_max=10_000)
    for index in range(1, 1_001):
        store.append(index, 1, ENTRY + b"body")
        store.flush()
    assert len(store._memory.records) < 50
    assert store.entry(1).body == ENTRY + b"body"


@closed_by(
    "entries are sent in batches",
    line(PysyncobjGroup._conf, "appendEntriesUseBatch=True", "appendEntriesUseBatch=False"),
    says="PipeNotifier",
)
def test_d43_the_librarys_pipe_is_never_built() -> None:
    assert not hasattr(Scripted().group._core, "_SyncObj__pipeNotifier")


@closed_by("our clock", instead(engine._syncobj, "monotonicTime", time.monotonic))
@closed_by("our dice", instead(engine._syncobj, "random", random))
@closed_by("nodes by number", instead(engine._Node, "__hash__", lambda self: hash(str(self))))
def test_d44_the_librarys_clock_and_dice_are_ours_and_its_nodes_hash_by_number() -> None:
    member = Scripted()
    member.turn()
    syncobj = sys.modules["pysyncobj.syncobj"]
    assert syncobj.monotonicTime() == member.clock.now_s
    assert syncobj.random.random() == Middle().random()
    assert {hash(node) for node in member.group._core.otherNodes} == {hash(2), hash(3)}


ORDER = """
from tests.helpers.scripted import Scripted
member = Scripted()
member.lead_ready()
member.advance(0.2)
print([peer for peer, _ in member.links.out])
"""


def test_d44_messages_leave_in_the_same_order_whatever_the_hash_seed() -> None:
    orders = {
        subprocess.run(
            [sys.executable, "-c", ORDER],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(orders) == 1
    assert orders.pop().strip() != "[]"
