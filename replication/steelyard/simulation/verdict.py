"""The claims about what a run leaves behind: the log replayed, and every client's history held against it."""

from bisect import bisect_left
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from steelyard.core import Exchange, queries, snapshot, wire
from steelyard.core.entry import Applied, Entry, Outcome, Refused
from steelyard.core.units import KeyId
from steelyard.replication.front import ReadMode
from steelyard.replication.snapshot_store import SnapshotDamaged, decode
from steelyard.simulation.checkers import Body, Checkers
from steelyard.simulation.disk import Platter
from steelyard.simulation.history import NOT_EXECUTED, History, Question, Write
from steelyard.simulation.twin import Twin

INVARIANTS_EVERY: Final = 16

RequestId = tuple[int, int]


class Replayed:
    """The log from its beginning through a fresh exchange and through the naive one."""

    def __init__(self, checkers: Checkers, history: History) -> None:
        self.exchange = Exchange()
        self.places: dict[RequestId, tuple[int, int, bytes, bytes]] = {}
        """(index, position, command and all as bytes, reply) of each executed request."""
        self.last_index = 0
        self._checkers = checkers
        self._twin = Twin()
        self._questions: dict[int, list[Question]] = {}
        for question in history.questions.values():
            if question.returned_s is not None:
                self._questions.setdefault(question.index, []).append(question)

    def run(self, bodies: dict[int, Body]) -> None:
        """Replay all that was applied anywhere; C2, C6, C7 (answers), C8, C9, C13."""
        check = self._checkers
        for index in (0, 1):
            for question in self._questions.pop(index, ()):
                self._answer(index, question)
        for index in range(2, max(bodies, default=1) + 1):
            found = bodies.get(index)
            if found is None:
                check.violate("C1", f"index {index} was applied by nobody")
                return
            if found.body is not None:
                self._entry(index, found.body)
            if check.digests[index] != self.exchange.digest:
                check.violate("C13", f"replay has another digest at {index} than the group had")
                return
            self.last_index = index
            for question in self._questions.pop(index, ()):
                self._answer(index, question)
        for index in self._questions:
            check.violate("C7", f"an answer is stamped with index {index}, which nobody applied")

    def _entry(self, index: int, body: bytes) -> None:
        check = self._checkers
        entry = wire.decode_entry(body)
        applied = self.exchange.apply(index, entry)
        naive = self._twin.apply(index, entry)
        if wire.encode_applied(applied) != wire.encode_applied(naive):
            check.violate("C9", f"the naive exchange did something else at {index}")
        self._note(index, entry, applied)
        if index % INVARIANTS_EVERY == 0:
            check.money(0, self.exchange)

    def _note(self, index: int, entry: Entry, applied: Applied) -> None:
        for position, (request, outcome) in enumerate(zip(entry.requests, applied.outcomes, strict=True)):
            if request.session == 0 or not _executed(outcome, index):
                continue
            key = (int(request.session), request.request)
            before = self.places.get(key)
            if before is not None:
                if before[0] == index and not outcome.events:
                    continue  # its copy came in the same entry and was answered from memory
                self._checkers.violate("C6", f"request {key} was executed at {before[0]} and at {index}")
            # What a client still wants changes from one copy of a request to the next.
            body = wire.encode_request(replace(request, wants_from=0))
            reply = wire.encode_reply(outcome.reply)
            self.places[key] = (index, position, body, reply)

    def _answer(self, index: int, question: Question) -> None:
        expected = queries.answer(self.exchange.state, KeyId(question.key), question.query)
        if expected != question.answer:
            self._checkers.violate("C7", f"the answer to {question.query} at {index} was {question.answer}")
        if question.mode is ReadMode.AT_LEAST and index < question.min_index:
            self._checkers.violate("C7", f"an answer at {index}, at least {question.min_index} was asked for")


def judge(checkers: Checkers, history: History) -> Replayed:
    """Hold everything against everything; C5, C6, C7, and what ``Replayed`` checks."""
    replayed = Replayed(checkers, history)
    replayed.run(checkers.bodies)
    for key, write in history.writes.items():
        _judge_write(checkers, replayed, key, write)
    _judge_real_time(checkers, replayed, history)
    _judge_session_order(checkers, replayed)
    return replayed


def judge_member(checkers: Checkers, replayed: Replayed, member: int, exchange: Exchange) -> None:
    """C8, C13: a living member that has applied everything is what the replay is, to the byte."""
    before = len(checkers.violations)
    checkers.money(member, exchange)
    if len(checkers.violations) > before:
        return
    if exchange.applied_index == replayed.exchange.applied_index and snapshot.dump(exchange) != snapshot.dump(
        replayed.exchange
    ):
        checkers.violate("C13", f"n{member} is not what a replay of its log gives")


def judge_snapshots(checkers: Checkers, member: int, platter: Platter, *, damaged: bool) -> None:
    """C13: the oldest snapshot and the log behind it give what the whole log gives."""
    if damaged or not platter.snapshots or not checkers.bodies:
        return
    ref = platter.snapshots[0]
    file = platter.files.get(ref.name)
    try:
        found = None if file is None else decode(file.content)
    except SnapshotDamaged:
        found = None
    if found is None:
        checkers.violate("C13", f"n{member}: {ref.name} is missing or damaged")
        return
    exchange = snapshot.load(found.state)
    for index in range(ref.index + 1, max(checkers.bodies) + 1):
        body = checkers.bodies[index].body if index in checkers.bodies else None
        if body is not None:
            exchange.apply_bytes(index, body)
        if exchange.digest != checkers.digests.get(index):
            checkers.violate("C13", f"n{member}: the snapshot of {ref.index} and the log differ at {index}")
            return


def _judge_write(checkers: Checkers, replayed: Replayed, key: RequestId, write: Write) -> None:
    for what in write.contradictions:
        checkers.violate("C6", f"request {key} was answered twice: {what}")
    if write.returned_s is None:
        return
    place = replayed.places.get(key)
    if place is None:
        checkers.violate("C5", f"request {key} was acknowledged at {write.index} and is lost")
    elif place[0] != write.index:
        checkers.violate("C5", f"request {key} was acknowledged at {write.index} and is at {place[0]}")
    elif place[2] != write.body or place[3] != write.reply:
        checkers.violate("C5", f"request {key} was acknowledged with another command or reply than the log's")


def _judge_real_time(checkers: Checkers, replayed: Replayed, history: History) -> None:
    """C7: nothing that was asked after an answer is placed before it."""
    returned = sorted(
        [(w.returned_s, w.index) for w in history.writes.values() if w.returned_s is not None]
        + [
            (q.returned_s, q.index)
            for q in history.questions.values()
            if q.returned_s is not None and q.mode is ReadMode.LINEARIZABLE
        ]
    )
    times = [time_s for time_s, _ in returned]
    highest = list(accumulate((index for _, index in returned), max, initial=0))
    for key, write in history.writes.items():
        place = replayed.places.get(key)
        if place is not None and place[0] <= highest[bisect_left(times, write.called_s)]:
            checkers.violate("C7", f"request {key} came after an answer at or above its place {place[0]}")
    for question in history.questions.values():
        if question.returned_s is not None and question.mode is ReadMode.LINEARIZABLE:
            seen = highest[bisect_left(times, question.called_s)]
            if question.index < seen:
                checkers.violate("C7", f"a read at {question.index} came after an answer at {seen}")


def _judge_session_order(checkers: Checkers, replayed: Replayed) -> None:
    """C7: the places of a session's requests increase with their numbers."""
    last: dict[int, tuple[int, int]] = {}
    for (session, request), (index, position, _, _) in sorted(replayed.places.items()):
        if (index, position) <= last.get(session, (0, -1)):
            checkers.violate("C7", f"request {request} of session {session} is placed before an earlier one")
        last[session] = (index, position)


def _executed(outcome: Outcome, index: int) -> bool:
    """Whether a request was executed here, not repeated and not refused by its session."""
    reply = outcome.reply
    session_refused = isinstance(reply, Refused) and reply.reason in NOT_EXECUTED
    return outcome.replied_index == index and (bool(outcome.events) or not session_refused)
