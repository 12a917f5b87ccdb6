"""What the log holds, and what applying it gives: requests in, replies and events out."""

from collections.abc import Iterator

import msgspec

from steelyard.core import versions
from steelyard.core.commands import AnyCommand
from steelyard.core.events import AnyEvent
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, OrderNumber, SessionId

#: What the entries of a newly founded group carry.
ENTRY_VERSION = versions.FIRST


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """One command, and on whose behalf.

    ``request`` is the session's number 1, 2, 3 …; ``wants_from`` the lowest number whose reply the client
    still wants.  ``fingerprint`` is any number the client likes: a repeated request gets back that of the
    command which was executed under its number.  ``not_after_ns``: refuse when log time is later; zero:
    never.
    Session zero means none, allowed only to FoundGroup, OpenSession and Skip.
    """

    session: SessionId
    request: int
    wants_from: int
    key: KeyId
    fingerprint: int
    not_after_ns: int
    command: AnyCommand


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """One batch of requests with the log time they share; without requests it is a tick.

    ``version`` was in force where the leader that made it stood; see ``versions``.
    """

    version: int
    time_ns: int
    requests: list[Request]


class Reply(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Base of all replies: the answer to one request, the same for ever."""

    request: int
    fingerprint: int


class Refused(Reply, frozen=True, kw_only=True, tag=1):
    """The command changed nothing, because of ``reason``.

    ``expected`` is the request number to send next (REQUEST_GAP), or the bound that was passed, or the leg at
    fault of an all-or-none batch or a list (from 1), or zero.
    """

    reason: Reject
    expected: int = 0


class Accepted(Reply, frozen=True, kw_only=True, tag=2):
    """The command was carried out; ``made`` is the id of the key it made, or zero."""

    made: int = 0


class Placed(Reply, frozen=True, kw_only=True, tag=3):
    """An order was taken: what traded at once, and what rests (zero if filled or expired)."""

    number: OrderNumber
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int


class Cancelled(Reply, frozen=True, kw_only=True, tag=4):
    """An order left the book with ``open_lots`` untraded."""

    number: OrderNumber
    open_lots: int


class SessionReady(Reply, frozen=True, kw_only=True, tag=5):
    """The session to use, and the last request number it has executed."""

    session: SessionId
    last_request: int


class Waiting(Reply, frozen=True, kw_only=True, tag=6):
    """An order was taken that waits for its trigger or for its list; it holds its pledge."""

    number: OrderNumber


class Amended(Reply, frozen=True, kw_only=True, tag=7):
    """An order has new terms: its number now, what traded at once because of them, and what is open.

    ``executed_lots`` and the atoms are those of this command alone.
    """

    number: OrderNumber
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int


class Swept(Reply, frozen=True, kw_only=True, tag=8):
    """``count`` orders left the book at once."""

    count: int


LegReply = Refused | Placed | Waiting | Cancelled | Amended


class Many(Reply, frozen=True, kw_only=True, tag=9):
    """One reply per leg of a batch, a list or a cancel-replace, in order; all repeat the request number."""

    legs: list[LegReply]


AnyReply = Refused | Accepted | Placed | Cancelled | SessionReady | Waiting | Amended | Swept | Many


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one request of an entry came to.  A repeated request has its old reply and no events."""

    reply: AnyReply
    events: list[AnyEvent]
    replied_index: int
    """The log index at which the reply was made: this entry's, or the first attempt's."""


class Applied(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one entry came to, request by request; its bytes feed the rolling digest."""

    index: int
    time_ns: int
    outcomes: list[Outcome]

    @property
    def due(self) -> list[AnyEvent]:
        """What happened before the first request because its time had come; see ``AppliedWithDue``."""
        return []

    def events(self) -> Iterator[AnyEvent]:
        """Yield everything that happened, oldest first: what was due, then request by request."""
        yield from self.due
        for outcome in self.outcomes:
            yield from outcome.events


class AppliedWithDue(Applied, frozen=True, array_like=True, gc=False):
    """What an entry came to that first did work which had fallen due: expiries, triggers, auctions."""

    happened: list[AnyEvent]

    @property
    def due(self) -> list[AnyEvent]:
        """What happened before the first request."""
        return self.happened
