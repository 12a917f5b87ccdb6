"""The leader's pen: stamps log time, makes entries of what is pending, and bounds what is in flight."""

import re
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from steelyard.core import Exchange, versions
from steelyard.core.commands import ActivateVersion, ArmCountdown, CancelOrder, CancelOrders, Skip
from steelyard.core.entry import Applied, Request
from steelyard.replication.clock import Clock
from steelyard.replication.front import FailureReason
from steelyard.replication.group import ENTRY_BYTES_MAX, Failure, Group
from steelyard.replication.proposals import Part, complete, fail

#: The longest command is a batch of ``BATCH_MAX`` orders; with all their numbers at their longest, terms and
#: labels included, it takes 14 kB.  However deep a request nests, decoding it goes no deeper than our types:
#: a wrong item is refused where it stands, whatever stack a replica has left.
REQUEST_BYTES_MAX: Final = 16 << 10
ENTRY_REQUESTS_MAX: Final = 4_000
#: What is left of an entry's bytes for its version, its time and the length of its list.
_REQUESTS_BYTES_MAX: Final = ENTRY_BYTES_MAX - 64
#: When more is pending, gateways are not read; they are again below half of it.
PENDING_BYTES_MAX: Final = 8 << 20
#: One entry must not keep a member from its heartbeats.
ENTRY_APPLY_NS_MAX: Final = 25_000_000
ENTRY_REQUESTS_MIN: Final = 16
#: An idle group proves once a second that it is alive.
TICK_S: Final = 1.0
#: Above this part of the map only cancels and given-up numbers are taken, and above the other nothing.
STORAGE_LOW: Final = 0.90
STORAGE_FULL: Final = 0.97

#: A request that activates a version is no longer than this, in any encoding of its nine integers.
_ACTIVATION_BYTES_MAX: Final = 96
#: How it ends: ``[tag, version]``, in any encoding of the two.
_may_activate: Final = re.compile(
    rb".*(?:\x92|\xdc\x00\x02|\xdd\x00{3}\x02)"
    rb"(?:\x07|[\xcc\xd0]\x07|[\xcd\xd1]\x00\x07|[\xce\xd2]\x00{3}\x07|[\xcf\xd3]\x00{7}\x07)"
    rb"(?:[\x00-\x7f]|[\xcc\xd0].|[\xcd\xd1]..|[\xce\xd2].{4}|[\xcf\xd3].{8})",
    re.DOTALL,
).fullmatch

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_request: Final = msgspec.msgpack.Decoder(Request).decode


class Sequencer:
    """Pending requests in order of arrival, and the entries of ours that are in flight."""

    def __init__(self, group: Group, exchange: Exchange, clock: Clock) -> None:
        self._group = group
        self._exchange = exchange
        self._clock = clock
        self._pending: deque[Part] = deque()
        self._last_ns = 0
        self._proposed_s = clock.monotonic_s()
        self._applied: Applied | None = None
        self._request_ns = 5_000
        self._led_from = 0
        self.pending_bytes = 0
        """Upper bound of what waits to be proposed."""
        self.storage_used = 0.0
        """How full the log is, 0 to 1; told by the replica now and then."""

    def submit(self, part: Part) -> None:
        """Take requests, or tell their proposer at once why not."""
        if not self._group.is_leader():
            part.proposer.failed(part.refs, self.no_leader())
            return
        if max(map(len, part.requests), default=0) > REQUEST_BYTES_MAX:
            part = _sift(part, _too_long)
        if any(len(each) <= _ACTIVATION_BYTES_MAX and _may_activate(each) for each in part.requests):
            part = _sift(part, self._activates_too_much)
        if self.storage_used >= STORAGE_LOW:
            full = self.storage_used >= STORAGE_FULL
            part = _sift(part, _adds_anything if full else _adds_risk)
        if part.refs:
            self._pending.append(part)
            self.pending_bytes += part.size_bytes

    def pump(self) -> None:
        """Propose what is pending while the window is open."""
        while self._pending and self._may_propose():
            self._propose(self._take())

    def tick(self) -> None:
        """Propose an entry without requests if something is due or nothing was proposed for a second."""
        if self._pending or self.storage_used >= STORAGE_FULL or not self._may_propose():
            return
        if self._clock.monotonic_s() - self._proposed_s >= TICK_S or self._is_due():
            self._propose([])

    def applied(self, applied: Applied, elapsed_s: float) -> None:
        """Learn what an entry, of ours or not, came to; called just before its ``done``."""
        self._applied = applied
        count = len(applied.outcomes)
        if count and not applied.due:
            # A moving mean over about 4 000 requests: one slow entry must not shrink the next ones.  What was
            # due took its time, too, and says nothing about requests.
            weight = min(count, 1_000)
            measured_ns = int(elapsed_s * 1e9) // count
            self._request_ns += (measured_ns - self._request_ns) * weight // 4_000

    def restored(self, exchange: Exchange) -> None:
        """Go on with another exchange: a snapshot took the place of the one we had."""
        self._exchange = exchange
        self._applied = None

    def leadership_changed(self, leading: bool) -> None:
        """Fail what was never proposed when leadership is lost; what was, the group itself fails."""
        self._led_from = self._group.last_index if leading else 0
        self._last_ns = 0  # what we stamped in an earlier term is applied before we propose, or lost
        if not leading:
            pending, self._pending, self.pending_bytes = list(self._pending), deque(), 0
            fail(pending, self.no_leader())

    def no_leader(self) -> FailureReason:
        """Return why this member proposes nothing."""
        leader = self._group.leader()
        return FailureReason.NO_LEADER if leader is None else FailureReason.NOT_LEADER

    def _may_propose(self) -> bool:
        # Everything that earlier leaders stamped must be applied, or our stamp could be older.
        return self._group.window_free() and self._group.applied_index >= self._led_from

    def _is_due(self) -> bool:
        """Return whether an entry would find something to do before its requests.

        As long as an entry of ours is under way nothing is: it will find it.
        """
        if self._last_ns > self._exchange.time_ns:
            return False
        due_ns = self._exchange.next_due_ns()
        return due_ns is not None and due_ns <= self._stamp_ns()

    def _stamp_ns(self) -> int:
        return max(self._last_ns + 1, self._exchange.time_ns + 1, self._clock.wall_ns())

    def _activates_too_much(self, request: msgspec.Raw) -> FailureReason | None:
        """Refuse a version that some member was not heard to know: it would have to stop."""
        try:
            command = _decode_request(request).command
        except ValueError:
            return None  # the exchange says that it is malformed
        known = min([versions.KNOWN_MAX, *(peer.knows for peer in self._group.peers())])
        too_new = isinstance(command, ActivateVersion) and command.version > known
        return FailureReason.MALFORMED if too_new else None

    def _take(self) -> list[Part]:
        """Return pending requests for one entry, at least one."""
        room_bytes = _REQUESTS_BYTES_MAX
        room = max(
            ENTRY_REQUESTS_MIN, min(ENTRY_REQUESTS_MAX, ENTRY_APPLY_NS_MAX // max(1, self._request_ns))
        )
        taken: list[Part] = []
        while self._pending and room:
            part = self._pending[0]
            if len(part.refs) <= room and part.size_bytes <= room_bytes:
                self._pending.popleft()
                self.pending_bytes -= part.size_bytes
            else:
                count = _fitting(part.requests, room, room_bytes)
                if count == 0:
                    break
                self.pending_bytes -= part.size_bytes
                part, rest = part.split(count)
                self._pending.popleft()
                if rest.refs:
                    self._pending.appendleft(rest)
                    self.pending_bytes += rest.size_bytes
            taken.append(part)
            room -= len(part.refs)
            room_bytes -= part.size_bytes
        return taken

    def _propose(self, parts: list[Part]) -> None:
        self._last_ns = self._stamp_ns()
        self._proposed_s = self._clock.monotonic_s()
        requests = [request for part in parts for request in part.requests]
        body = _encode((self._exchange.state.version, self._last_ns, requests))

        def done(result: int | Failure) -> None:
            if isinstance(result, Failure):
                unknown = result is Failure.OUTCOME_UNKNOWN
                fail(parts, FailureReason.LEADERSHIP_LOST if unknown else self.no_leader())
                return
            assert self._applied is not None
            assert self._applied.index == result, (self._applied.index, result)
            complete(parts, self._applied)
            self.pump()
            # A cascade goes on at once, with nobody asking for anything.
            self.tick()

        self._group.propose(body, done)


def _too_long(request: msgspec.Raw) -> FailureReason | None:
    return FailureReason.MALFORMED if len(request) > REQUEST_BYTES_MAX else None


def _fitting(requests: list[msgspec.Raw], room: int, room_bytes: int) -> int:
    """Return how many of the first ``room`` requests take no more than ``room_bytes`` together."""
    for count, request in enumerate(requests[:room]):
        room_bytes -= len(request)
        if room_bytes < 0:
            return count
    return min(room, len(requests))


def _adds_risk(request: msgspec.Raw) -> FailureReason | None:
    try:
        command = _decode_request(request).command
    except ValueError:
        return FailureReason.MALFORMED
    lowers = isinstance(command, CancelOrder | CancelOrders | ArmCountdown | Skip)
    return None if lowers else FailureReason.STORAGE_LOW


def _adds_anything(_: msgspec.Raw) -> FailureReason | None:
    return FailureReason.STORAGE_LOW


def _sift(part: Part, refuse: Callable[[msgspec.Raw], FailureReason | None]) -> Part:
    """Return the part without the requests that ``refuse`` gives a reason for, and tell their proposer."""
    kept: list[tuple[int, msgspec.Raw]] = []
    for ref, request in zip(part.refs, part.requests, strict=True):
        reason = refuse(request)
        if reason is None:
            kept.append((ref, request))
        else:
            part.proposer.failed([ref], reason)
    requests = [request for _, request in kept]
    return Part(part.proposer, [ref for ref, _ in kept], requests, sum(map(len, requests)))
