"""Who waits for which request: an entry's parts, from the gateways' frames to their replies."""

from typing import Protocol

import msgspec

from steelyard.core.entry import Applied, Outcome
from steelyard.replication.front import FailureReason


class Proposer(Protocol):
    """Whoever handed requests in and wants to know what became of them; each ``ref`` hears exactly once."""

    def done(self, applied: Applied, refs: list[int], outcomes: list[Outcome]) -> None:
        """Hear that these were committed and applied, all in one entry."""
        ...

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Hear that these have no answer here."""
        ...


class Part(msgspec.Struct, eq=False):
    """Requests of one proposer that came together; ``size_bytes`` is an upper bound of theirs."""

    proposer: Proposer
    refs: list[int]
    requests: list[msgspec.Raw]
    size_bytes: int

    def split(self, count: int) -> "tuple[Part, Part]":
        """Return the first ``count`` requests and the others."""
        return self._slice(0, count), self._slice(count, len(self.refs))

    def _slice(self, start: int, end: int) -> "Part":
        requests = self.requests[start:end]
        return Part(self.proposer, self.refs[start:end], requests, sum(map(len, requests)))


def complete(parts: list[Part], applied: Applied) -> None:
    """Tell the proposers of an entry's parts what its requests came to, each of them once."""
    at = 0
    shares: dict[Proposer, tuple[list[int], list[Outcome]]] = {}
    for part in parts:
        outcomes = applied.outcomes[at : at + len(part.refs)]
        at += len(part.refs)
        share = shares.get(part.proposer)
        if share is None:
            shares[part.proposer] = (part.refs, outcomes)
        else:
            shares[part.proposer] = (share[0] + part.refs, share[1] + outcomes)
    assert at == len(applied.outcomes), (at, len(applied.outcomes))
    for proposer, (refs, outcomes) in shares.items():
        proposer.done(applied, refs, outcomes)


def fail(parts: list[Part], reason: FailureReason) -> None:
    """Tell the proposers that their requests have no answer here."""
    for part in parts:
        part.proposer.failed(part.refs, reason)
