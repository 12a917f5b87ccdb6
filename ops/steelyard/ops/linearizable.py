"""Whether a history could have happened one thing after the other, in the order of the log.

Every reply and every answer names a log index, and that index is its place in the order.  So nothing has to
be searched for; the claims can simply be checked, in O(n log n):

1. what was acknowledged is in the log, at the index named, with the command that was sent;
2. nothing that was called after something had returned is placed before it: a write's index is above every
   index that was known when it was called, a read's is not below;
3. every reply, and every answer, is the one that a naive exchange gives when the log is replayed through it;
4. the requests of a session are placed in the order of their numbers.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from steelyard import client, core
from steelyard.client import ReadMode
from steelyard.core.commands import AnyCommand, CancelOrder, PlaceOrder
from steelyard.core.units import Side
from steelyard.ops.history import BalanceRead, BookRead, BookRows, History, Read, RequestId
from steelyard.ops.verdict import told_by
from steelyard.replication.audit import Execution
from steelyard.simulation.twin import Twin

FINDINGS_MAX: Final = 10
#: Refusals of the session itself: nothing was executed, and the number was not used up.
_NOT_EXECUTED: Final = frozenset(range(core.Reject.SESSION_REQUIRED, core.Reject.WINDOW_FULL + 1))


class Place(NamedTuple):
    """Where a request was executed: the entry, and where in it."""

    log_index: int
    position: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found; the counts are of operations that break the claim."""

    writes: int
    reads: int
    #: Acknowledged, but not in the log, or at another index than promised, or another command.
    misplaced: int
    #: Before something that had returned before they were called.
    stale: int
    #: Another reply or answer than the naive exchange gives.
    wrong: int
    #: A session's requests out of their order.
    disordered: int
    findings: list[str]

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return not (self.misplaced or self.stale or self.wrong or self.disordered)


def check(history: History, log: Iterable[tuple[int, core.Entry]]) -> Judgement:
    """Hold a history against the committed log, given from index 1 on as (index, entry)."""
    checker = _Checker(history)
    checker.replay(log)
    checker.check_places()
    checker.check_real_time()
    checker.check_sessions()
    return checker.judgement()


class _Checker:
    def __init__(self, history: History) -> None:
        self._history = history
        self._twin = Twin()
        self._places: dict[RequestId, Place] = {}
        self._misplaced: dict[RequestId | int, str] = {}
        self._stale: dict[RequestId | int, str] = {}
        self._wrong: dict[RequestId | int, str] = {}
        self._disordered: dict[RequestId | int, str] = {}

    def replay(self, log: Iterable[tuple[int, core.Entry]]) -> None:
        """Walk the log: note places, and compare every reply and answer with the naive exchange's."""
        reads = self._history.reads
        waiting = sorted(range(len(reads)), key=lambda number: reads[number].log_index, reverse=True)
        for index, entry in log:
            # An entry comes after all answers that had not seen it.
            while waiting and reads[waiting[-1]].log_index < index:
                self._answer(waiting.pop())
            self._entry(index, entry)
        while waiting:
            self._answer(waiting.pop())

    def _entry(self, index: int, entry: core.Entry) -> None:
        applied = self._twin.apply(index, entry)
        for position, (request, outcome) in enumerate(zip(entry.requests, applied.outcomes, strict=True)):
            reply = outcome.reply
            if (
                request.session == 0
                or outcome.replied_index != index
                or (not outcome.events and isinstance(reply, core.Refused) and reply.reason in _NOT_EXECUTED)
            ):
                continue
            request_id = (int(request.session), request.request)
            if request_id in self._places:
                continue  # a second copy in the same entry: answered from memory
            self._places[request_id] = Place(index, position)
            write = self._history.writes.get(request_id)
            if write is None:
                continue  # somebody else's, who keeps no history: the operator
            if not _same(write.command, request.command):
                self._misplaced[request_id] = f"sent {write.command}, logged {request.command}"
            told = told_by(Execution(index, 1, reply))
            if write.reply is not None and told != write.reply:
                self._wrong[request_id] = f"told {write.reply}, the naive exchange says {told}"

    def _answer(self, number: int) -> None:
        read = self._history.reads[number]
        expected = _expected(self._twin, read)
        if read.answer != expected:
            self._wrong[number] = f"answered {read}, the naive exchange says {expected}"

    def check_places(self) -> None:
        """Find what was acknowledged and is not in the log, or not where it should be."""
        for request_id, write in self._history.writes.items():
            if write.reply is None:
                continue
            place = self._places.get(request_id)
            if place is None:
                self._misplaced[request_id] = f"acknowledged at {write.reply.log_index}, not in the log"
            elif place.log_index != write.reply.log_index:
                self._misplaced[request_id] = (
                    f"acknowledged at {write.reply.log_index}, it is at {place.log_index}"
                )

    def check_real_time(self) -> None:
        """Find what is placed before something that had returned before it was called."""
        returned = sorted(
            [
                (write.returned_ns, write.reply.log_index)
                for write in self._history.writes.values()
                if write.reply is not None
            ]
            + [
                (read.returned_ns, read.log_index)
                for read in self._history.reads
                if read.mode is ReadMode.LINEARIZABLE
            ]
        )
        moments_ns = [moment_ns for moment_ns, _ in returned]
        known = list(accumulate((index for _, index in returned), max, initial=0))

        def known_at(called_ns: int) -> int:
            return known[bisect_left(moments_ns, called_ns)]

        for request_id, write in self._history.writes.items():
            # A write that was never answered but took effect has a place all the same.
            place = self._places.get(request_id)
            if place is not None and place.log_index <= known_at(write.called_ns):
                self._stale[request_id] = (
                    f"placed at {place.log_index}, called when {known_at(write.called_ns)} was known"
                )
        for number, read in enumerate(self._history.reads):
            least = read.min_index
            if read.mode is ReadMode.LINEARIZABLE:
                least = max(least, known_at(read.called_ns))
            if read.log_index < least:
                self._stale[number] = f"{read} is older than {least}"

    def check_sessions(self) -> None:
        """Find requests that were executed out of the order of their numbers."""
        last: dict[int, Place] = {}
        for (session, request), place in sorted(self._places.items()):
            if place <= last.get(session, Place(0, 0)):
                self._disordered[session, request] = f"at {place}, after {last[session]}"
            last[session] = place

    def judgement(self) -> Judgement:
        """Return what was found."""
        kinds = {
            "misplaced": self._misplaced,
            "stale": self._stale,
            "wrong": self._wrong,
            "disordered": self._disordered,
        }
        findings = [
            f"{kind}: {_name(what)}: {why}" for kind, found in kinds.items() for what, why in found.items()
        ]
        return Judgement(
            writes=len(self._history.writes),
            reads=len(self._history.reads),
            misplaced=len(self._misplaced),
            stale=len(self._stale),
            wrong=len(self._wrong),
            disordered=len(self._disordered),
            findings=findings[:FINDINGS_MAX],
        )


def _name(what: RequestId | int) -> str:
    return f"read {what}" if isinstance(what, int) else f"session {what[0]}, request {what[1]}"


def _same(sent: client.Command, logged: AnyCommand) -> bool:
    """Return whether the log holds the command that the client sent."""
    match sent, logged:
        case client.PlaceOrder(), PlaceOrder():
            return (
                sent.instrument == logged.instrument
                and sent.side == logged.side
                and sent.size_lots == logged.size_lots
                and sent.limit_ticks == logged.limit_ticks
                and sent.order in (0, logged.order)  # zero: the session has chosen one
                and sent.kind == logged.kind
                and sent.time_in_force == logged.time_in_force
                and sent.post_only == logged.post_only
                and sent.label == logged.label
            )
        case client.CancelOrder(), CancelOrder():
            return (sent.order, sent.number, sent.label) == (logged.order, logged.number, logged.label)
        case _:
            return False


def _expected(twin: Twin, read: Read) -> BookRows | list[tuple[int, int, int]]:
    match read:
        case BookRead():
            return (
                _levels(twin, read.instrument, Side.BUY, read.depth),
                _levels(twin, read.instrument, Side.SELL, read.depth),
            )
        case BalanceRead():
            assets = sorted(twin.assets)
            rows = [
                (asset, twin.free_atoms(read.account, asset), twin.held_atoms(read.account, asset))
                for asset in assets
            ]
            return [row for row in rows if row[1] or row[2]]


def _levels(twin: Twin, instrument: int, side: Side, depth: int) -> list[tuple[int, int]]:
    lots: dict[int, int] = {}
    for order in twin.resting(instrument):
        if order.side == side:
            lots[order.price] = lots.get(order.price, 0) + order.shown
    return sorted(lots.items(), reverse=side == Side.BUY)[:depth]
