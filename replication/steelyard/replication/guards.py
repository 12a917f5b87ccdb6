"""Pure functions on peer messages that close the engine's holes; no I/O, no state.

Each says which of its faults it closes. They are handed to the transport as one
``Guards`` value, so that a test can replace one and watch the fault come back.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import msgspec

from steelyard.replication.log_record import ENTRY, NO_OP, PeerMemory
from steelyard.replication.wire import BODY_BYTES_MAX, Append


class LogView(Protocol):
    """What the guards may know of a member's own log."""

    @property
    def commit_index(self) -> int:
        """The commit index."""
        ...

    @property
    def last_index(self) -> int:
        """The last index."""
        ...

    def has(self, index: int, term: int) -> bool:
        """Whether the entry is held, or was before it was trimmed."""
        ...

    def term(self, index: int) -> int:
        """Return the term of a held entry."""
        ...

    def term_first_index(self, index: int) -> int:
        """Return the first index of the run of equal terms around a held entry."""
        ...


def strip(message: Append, log: LogView) -> tuple[Append, bool]:
    """Return the message without what we already hold, and whether it may truncate.

    The engine cuts the log behind ``prev`` at every append, so a repeated batch would cut
    off acknowledged entries. Terms of equal index mean equal entries (log matching). A tail
    that stays in place is not verified by this message, so its commit index is clamped to
    what is.
    """
    if not log.has(message.prev_index, message.prev_term):
        return message, False  # the engine answers with a rejection
    matched = 0
    for entry in message.entries:
        if not log.has(entry.index, entry.term):
            break
        matched += 1
    verified, rest = message.prev_index + matched, message.entries[matched:]
    if matched:
        verified_term = message.entries[matched - 1].term
        message = msgspec.structs.replace(message, prev_index=verified, prev_term=verified_term, entries=rest)
    if rest:
        return message, True  # a real conflict, or a plain append
    return msgspec.structs.replace(message, commit=min(message.commit, verified)), False


def beat_commit(leader_commit: int, own_commit: int) -> int:
    """Return the commit index a heartbeat that verifies nothing may carry: our own at most.

    The engine would take ``min(leader's commit, own last index)`` and so commit a stale tail.
    """
    return min(leader_commit, own_commit)


def ack_counts(ack_term: int, own_term: int) -> bool:
    """Whether an ack may count: only in the term it was created in.

    The engine's acks carry no term, so one for an older leader would count for a new one.
    """
    return ack_term == own_term


def next_after_ack(before: int, after: int, last_index: int) -> int:
    """Return the next index to send after a success ack: never back behind what is in flight.

    The engine falls back to ``acked + 1`` at each ack and sends everything in flight again.
    """
    return min(max(before, after), last_index + 1)


def retry_at(match_index: int, next_index: int, hint: int) -> int:
    """Return where to retry after a rejection: the lowest hint of a burst, above what matched.

    The rejections of the batches behind a conflict carry a higher hint; if the last one won,
    the leader would retry above the conflict for ever.
    """
    return max(match_index + 1, min(next_index, hint))


def conflict_hint(next_index: int, log: LogView) -> int:
    """Return a rejecting follower's hint: the first entry of the conflicting term, if above its commit.

    The engine backs off one entry per round trip. Safe, because everything up to the
    follower's commit index is in the leader's log.
    """
    if next_index > log.last_index or next_index <= log.commit_index:
        return next_index
    return max(log.term_first_index(next_index), log.commit_index + 1)


def holds(index: int, term: int, log: LogView) -> bool:
    """Whether our log holds a snapshot's last entry, so that installing it could only take entries away.

    The engine clears log and state for any snapshot it is sent, and with them what it acked.
    """
    return log.has(index, term)


def vote_counts(voters: Collection[int], peer: int) -> bool:
    """Whether a vote is the first of its sender in this term: the engine only counts messages."""
    return peer not in voters


def may_vote(joining: bool, vote_floor: int, term: int) -> bool:
    """Whether this disk may vote in ``term``: it may have voted before it was lost or replaced."""
    return not joining and term > vote_floor


def forgot(memory: PeerMemory, incarnation: int, boots: int, term: int, last_index: int) -> bool:
    """Whether a disk holds less than a peer remembers of it: an older copy was put back."""
    if incarnation != memory.incarnation:
        return incarnation < memory.incarnation
    return boots < memory.boots or term < memory.term or last_index < memory.index


def tells_term(message_term: int, own_term: int) -> bool:
    """Whether the sender of a message is to be told our term.

    The engine answers nothing to a lower term, so a deposed leader would keep office.
    """
    return message_term < own_term


def grants_pre_vote(
    term: int, last: tuple[int, int], own_term: int, own_last: tuple[int, int], leader_heard_lately: bool
) -> bool:
    """Whether we would vote for a candidate; ``last`` is (last term, last index).

    Without asking first, a half-connected member raises terms and deposes a healthy leader.
    """
    return not leader_heard_lately and term > own_term and last >= own_last


def round_confirms(ack_round: int, read_round: int) -> bool:
    """Whether an ack proves that we led when the read began: it saw a round not before the read's."""
    return ack_round >= read_round


def sound(message: Append) -> bool:
    """Whether an append is one that our leader can have sent.

    Entries are contiguous, terms never fall and stay at or below the message's, and each
    is ours or a no-op of legal size: the engine would obey membership and version entries
    and unpickle what they hold.
    """
    index, term = message.prev_index, message.prev_term
    for entry in message.entries:
        index += 1
        if entry.index != index or entry.term < term or len(entry.body) > BODY_BYTES_MAX:
            return False
        if entry.body != NO_OP and entry.body[:1] != ENTRY:
            return False
        term = entry.term
    return term <= message.term


@dataclass(frozen=True, slots=True)
class Guards:
    """The full set; production builds it with the defaults and has no switch."""

    strip: Callable[[Append, LogView], tuple[Append, bool]] = strip
    beat_commit: Callable[[int, int], int] = beat_commit
    ack_counts: Callable[[int, int], bool] = ack_counts
    next_after_ack: Callable[[int, int, int], int] = next_after_ack
    retry_at: Callable[[int, int, int], int] = retry_at
    conflict_hint: Callable[[int, LogView], int] = conflict_hint
    holds: Callable[[int, int, LogView], bool] = holds
    vote_counts: Callable[[Collection[int], int], bool] = vote_counts
    may_vote: Callable[[bool, int, int], bool] = may_vote
    forgot: Callable[[PeerMemory, int, int, int, int], bool] = forgot
    tells_term: Callable[[int, int], bool] = tells_term
    grants_pre_vote: Callable[[int, tuple[int, int], int, tuple[int, int], bool], bool] = grants_pre_vote
    round_confirms: Callable[[int, int], bool] = round_confirms
    sound: Callable[[Append], bool] = sound
