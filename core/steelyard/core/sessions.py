"""Exactly once: numbered requests, and a window of their replies, replicated like everything else."""

from collections import deque

from steelyard.core.entry import AnyReply
from steelyard.core.limits import REPLY_WINDOW_MAX, SESSION_IDLE_NS
from steelyard.core.units import AccountId, SessionId


class Session:
    """One client's numbered requests.

    ``replies`` holds (log index, reply) of the requests ``wants_from`` to ``last_request``, oldest first.
    """

    __slots__ = ("account", "last_request", "name", "replies", "session", "used_ns", "wants_from")

    def __init__(self, session: SessionId, account: AccountId, name: str, used_ns: int) -> None:
        self.session = session
        self.account = account
        self.name = name
        self.used_ns = used_ns
        self.last_request = 0
        self.wants_from = 1
        self.replies: deque[tuple[int, AnyReply]] = deque()

    def is_expired(self, time_ns: int) -> bool:
        """Return whether nothing has been carried out here for ``SESSION_IDLE_NS`` of log time."""
        return time_ns - self.used_ns >= SESSION_IDLE_NS

    def is_full(self, wants_from: int) -> bool:
        """Return whether the next request, with what it does not want any more, leaves too many replies."""
        request = self.last_request + 1
        return request - max(self.wants_from, min(wants_from, request)) >= REPLY_WINDOW_MAX

    def kept(self, request: int) -> tuple[int, AnyReply] | None:
        """Return (log index, reply) of an executed request, or None if it has been released."""
        if request < self.wants_from:
            return None
        return self.replies[request - self.wants_from]

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless exactly the replies that are wanted are kept."""
        assert 0 < len(self.replies) <= REPLY_WINDOW_MAX or self.last_request == 0, len(self.replies)
        assert len(self.replies) == self.last_request - self.wants_from + 1, self.session
        last_index = 0
        for number, (index, reply) in enumerate(self.replies, self.wants_from):
            assert reply.request == number, (self.session, reply.request, number)
            assert index >= last_index > -1, (self.session, index, last_index)
            last_index = index
