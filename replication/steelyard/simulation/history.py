"""What clients saw: when they asked, when they were answered, and what the answer was."""

from dataclasses import dataclass, field

from steelyard.core import wire
from steelyard.core.entry import AnyReply, Refused
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject
from steelyard.replication.front import ReadMode

NOT_EXECUTED = frozenset(range(Reject.SESSION_REQUIRED, Reject.WINDOW_FULL + 1))
"""Refusals of the session itself: nothing was executed, and the number was not used up."""


@dataclass(slots=True)
class Write:
    """One numbered request and what came of it; times are the simulation's."""

    called_s: float
    body: bytes
    returned_s: float | None = None
    index: int = 0
    reply: bytes = b""
    contradictions: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Question:
    """One question and its answer."""

    called_s: float
    mode: ReadMode
    min_index: int
    key: int
    query: AnyQuery
    returned_s: float | None = None
    index: int = 0
    answer: AnyAnswer | Reject | None = None


class History:
    """All of it, by (session, request) and by the number of the question."""

    def __init__(self) -> None:
        self.writes: dict[tuple[int, int], Write] = {}
        self.questions: dict[int, Question] = {}
        self.acknowledged = 0
        self.answers = 0

    def called(self, session: int, request: int, now_s: float, body: bytes) -> None:
        """Note that a request is sent for the first time."""
        self.writes[session, request] = Write(now_s, body)

    def replied(self, session: int, request: int, now_s: float, index: int, reply: AnyReply) -> None:
        """Note a reply; a later one must be the same."""
        if isinstance(reply, Refused) and reply.reason in NOT_EXECUTED:
            return
        write = self.writes[session, request]
        content = wire.encode_reply(reply)
        if write.returned_s is None:
            write.returned_s, write.index, write.reply = now_s, index, content
            self.acknowledged += 1
        elif (write.index, write.reply) != (index, content):
            write.contradictions.append(
                f"first {write.reply!r} at {write.index}, then {content!r} at {index}"
            )

    def asked(
        self, number: int, now_s: float, mode: ReadMode, min_index: int, key: int, query: AnyQuery
    ) -> None:
        """Note a question."""
        self.questions[number] = Question(now_s, mode, min_index, key, query)

    def answered(self, number: int, now_s: float, index: int, answer: AnyAnswer | Reject) -> None:
        """Note its answer."""
        question = self.questions[number]
        question.returned_s, question.index, question.answer = now_s, index, answer
        self.answers += 1
