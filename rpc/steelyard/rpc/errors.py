"""What keeps the door from answering a call.

* DoorError    carries a ``Reason``; ``status.py`` says how the caller sees it

A business refusal is no error: it is a reply.
"""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why a call has no answer; stable words, part of the public contract."""

    MALFORMED = "MALFORMED"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    """Missing, unknown, wrong, revoked or expired: one answer for all."""
    NONCE_REUSED = "NONCE_REUSED"
    TIMESTAMP_OUT_OF_WINDOW = "TIMESTAMP_OUT_OF_WINDOW"
    WRONG_NODE = "WRONG_NODE"
    NOT_PERMITTED = "NOT_PERMITTED"
    NOT_FOUND = "NOT_FOUND"
    REFUSED = "REFUSED"
    """The exchange refused what has no reply of its own to say so; the metadata name the reject."""
    OVERLOADED = "OVERLOADED"
    STORAGE_LOW = "STORAGE_LOW"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    NOT_LEADER = "NOT_LEADER"
    LEADERSHIP_LOST = "LEADERSHIP_LOST"
    DRAINING = "DRAINING"
    NO_LEADER = "NO_LEADER"
    STARTING = "STARTING"
    NO_ARCHIVE = "NO_ARCHIVE"
    """This node keeps no archive, or it is too far behind; another one may do better."""
    INDEX_NOT_REACHED = "INDEX_NOT_REACHED"
    DEADLINE = "DEADLINE"
    SESSION_TAKEN_OVER = "SESSION_TAKEN_OVER"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    INTERNAL = "INTERNAL"


class DoorError(Exception):
    """A call that gets a gRPC status instead of an answer.

    ``leader`` is where clients reach the leader (``host:port``) or empty, ``delay_s`` how long the caller
    should wait, ``metadata`` what else the error's details say.
    """

    def __init__(
        self,
        reason: Reason,
        text: str = "",
        *,
        leader: str = "",
        delay_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text or reason.value)
        self.reason = reason
        self.text = text or reason.value
        self.leader = leader
        self.delay_s = delay_s
        self.metadata = dict(metadata or {})
