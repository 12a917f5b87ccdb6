"""What must hold, by number: while a group runs (C1 to C4, C8, C10, C12), and of what it leaves behind.

C1 equal logs · C2 equal digests · C3 one leader per term · C4 acknowledged means durable on a majority ·
C5 acknowledged means in the log · C6 exactly once · C7 linearizable · C8 money is conserved · C9 fills equal
those of the naive exchange · C10 nothing moves back · C11 liveness · C12 no surprises, everything bounded ·
C13 replay equals life.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from steelyard.core import Exchange
from steelyard.replication.group import MemberId
from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import Ack, Append, VoteGrant, VoteRequest, decode_message
from steelyard.simulation.clock import Agenda
from steelyard.simulation.disk import Platter

BOUND_FRAMES_PER_TURN: Final = 400
"""More than this in one turn is a flood: four entries to two members, heartbeats, answers, pieces."""
BOUND_SET_BACKS: Final = 60
"""Of one leader in one term until it makes another link: each link that is lost costs a few at most."""
BOUND_PENDING_BYTES: Final = 32 << 20
INVARIANTS_EVERY: Final = 64
_APPEND: Final = 3
_PROMISES: Final = (_APPEND, 5, 6, 7)
"""The tags of appends, which are counted, and of acks, vote requests and votes."""


class Violation(NamedTuple):
    """A claim that did not hold: its number, when, and what was seen."""

    checker: str
    time_s: float
    what: str


class Body(NamedTuple):
    """What an index holds, for all members alike; ``body`` is None for the engine's own entries."""

    term: int
    body: bytes | None


class Promises:
    """What one disk has promised, kept beside it: term, commit and log time, as of its last commit."""

    def __init__(self) -> None:
        self.term = self.vote = self.commit = 0
        self.vouched_index = 0
        """What a wiped or replaced disk held: its copies are lost by accident, not by a broken promise."""
        self.spoiled_index = 0
        """What a disk held before an accident that its member cannot know of until it reads there again."""


class Machine(Protocol):
    """What C4 needs to know of a member."""

    member: MemberId
    platter: Platter


class Checkers:
    """The claims about a running group."""

    def __init__(self, agenda: Agenda) -> None:
        self.violations: list[Violation] = []
        self._agenda = agenda
        self.bodies: dict[int, Body] = {}
        self.digests: dict[int, bytes] = {}
        self.leaders: dict[int, int] = {}
        self.frontier = 0
        """The highest index that anybody applied, committed as it must be."""
        self.frontier_chain = b""
        self.promises: dict[int, Promises] = {}
        self.applied = 0
        self.unsettled = False
        """Whether a disk or the frontier has changed since C4 was looked at."""
        self.set_backs: dict[tuple[int, int, int], int] = {}
        """How often a rejection made a leader go back in its log, by (leader, term, links it had made)."""
        self.counts_entries = False
        self.sent = 0
        """How many entries left in appends; only counted when asked for, for every append must be read."""

    def violate(self, checker: str, what: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(checker, self._agenda.now_s, what))

    # --- while it runs -----------------------------------------------------------------------------

    def entry_applied(
        self, member: int, index: int, term: int, body: bytes | None, exchange: Exchange, store: LogStore
    ) -> None:
        """C1, C2, C4 (who was first to apply), C8 now and then."""
        self.applied += 1
        found = self.bodies.setdefault(index, Body(term, body))
        if found != (term, body):
            self.violate("C1", f"n{member} applies another entry {index} than was applied before")
        if self.digests.setdefault(index, exchange.digest) != exchange.digest:
            self.violate("C2", f"n{member} has another digest at {index}")
        if index > self.frontier:
            self.frontier, self.frontier_chain = index, store.chain(index)
            self.unsettled = True
        if body is not None and index % INVARIANTS_EVERY == 0:
            self.money(member, exchange)

    def restored(self, member: int, exchange: Exchange) -> None:
        """C2, C8 of a state that came from a snapshot."""
        index = exchange.applied_index
        if index and self.digests.get(index, exchange.digest) != exchange.digest:
            self.violate("C2", f"n{member} restored another digest at {index}")
        self.money(member, exchange)

    def money(self, member: int, exchange: Exchange) -> None:
        """C8."""
        try:
            exchange.check_invariants()
        except AssertionError as error:
            self.violate("C8", f"n{member} at {exchange.applied_index}: {error!r}")

    def leads(self, member: int, term: int) -> None:
        """C3."""
        if self.leaders.setdefault(term, member) != member:
            self.violate("C3", f"n{self.leaders[term]} and n{member} both lead in term {term}")

    def durable(self, machines: Mapping[Any, Machine]) -> None:
        """C4: a majority of disks holds all that was applied anywhere; to be judged when ``unsettled``."""
        self.unsettled = False
        index, chain = self.frontier, self.frontier_chain
        holders = 0
        for machine in machines.values():
            vouched = index <= self.promises[machine.member].vouched_index
            holders += vouched or machine.platter.holds(index, chain)
        if holders * 2 <= len(machines) and index:
            self.violate("C4", f"entry {index} was applied and is durable on {holders} members only")

    def promised(self, sender: int, receiver: int, payload: bytes, platter: Platter) -> None:
        """C4: an ack, a vote or a wish to be voted for leaves only when the disk has what it rests on."""
        tag = payload[1]
        if tag not in _PROMISES or (tag == _APPEND and not self.counts_entries):
            return
        message = decode_message(payload)
        if isinstance(message, Append):
            self.sent += len(message.entries)
            return
        hard = platter.hard
        if isinstance(message, Ack):
            acked = message.next_index - 1
            kept = not message.success or platter.has(acked) or acked <= self.promises[sender].spoiled_index
        elif isinstance(message, VoteGrant):
            kept = hard.term > message.term or (hard.term, hard.vote) == (message.term, receiver)
        else:
            kept = hard.term >= message.term if isinstance(message, VoteRequest) else True
        if not kept:
            self.violate("C4", f"n{sender} promises {message} to n{receiver}, and its disk does not")

    def set_back(self, leader: int, term: int, links: int) -> None:
        """C12: a leader finds where a log agrees with its own in a few attempts, not in one per entry.

        Attempts of the leader are counted, and not rejections: a member that wakes rejects all that was
        sent to it meanwhile, before the leader can have heard of the first. What a lost link took with it
        is searched for anew, so the count begins again with each of the ``links`` that the leader makes.
        """
        search = (leader, term, links)
        count = self.set_backs[search] = self.set_backs.get(search, 0) + 1
        if count == BOUND_SET_BACKS:
            self.violate("C12", f"n{leader} went back in its log {count} times in term {term}")

    def kept(self, member: int, platter: Platter) -> None:
        """C10: what a disk says of itself never moves back, whatever process uses it."""
        hard, promises = platter.hard, self.promises[member]
        if hard.term < promises.term or hard.commit < promises.commit:
            self.violate(
                "C10",
                f"n{member} fell back from term {promises.term}, commit {promises.commit} "
                f"to {hard.term}, {hard.commit}",
            )
        if hard.term == promises.term and promises.vote not in (0, hard.vote):
            self.violate("C10", f"n{member} changed its vote in term {hard.term}")
        promises.term, promises.vote, promises.commit = hard.term, hard.vote, hard.commit

    def spoiled(self, member: int, before: Platter) -> None:
        """Learn that an accident was done to a disk, which held this before it."""
        self.lost(member, before)
        self.promises[member].spoiled_index = max(before.log, default=0)

    def lost(self, member: int, platter: Platter) -> None:
        """Learn that what a disk held may be lost: that is no broken promise of ours."""
        promises = self.promises[member]
        promises.vouched_index = max(promises.vouched_index, self.frontier, max(platter.log, default=0))

    def replaced(self, member: int, old: Platter, new: Platter) -> None:
        """Learn that a disk was wiped or replaced: what it promised is void, what it held is lost."""
        self.lost(member, old)
        hard, promises = new.hard, self.promises[member]
        promises.term, promises.vote, promises.commit = hard.term, hard.vote, hard.commit
        promises.spoiled_index = 0

    def caught_up(self, member: int, platter: Platter) -> None:
        """Learn that a replaced disk holds everything again: from now on its copies count."""
        promises = self.promises[member]
        if promises.vouched_index and platter.holds(self.frontier, self.frontier_chain):
            promises.vouched_index = 0

    def stopped(self, member: int, code: int, reason: str, *, excused: bool) -> None:
        """C12: a member stopped itself, which only a failed disk excuses."""
        if not excused:
            self.violate("C12", f"n{member} stopped itself with {code}: {reason}")

    def economical(self, members: int) -> None:
        """C12 of a run without faults: each entry goes out once to each other member, and that is all."""
        bound = (members - 1) * self.frontier + 30
        if self.sent > bound:
            self.violate("C12", f"{self.frontier} entries went out {self.sent} times without any fault")

    def bounded(
        self, member: int, frames: int, pending_bytes: int, held: int, *, taken: int, per_frame: int
    ) -> None:
        """C12: no flood, no queue without end.

        In one turn the log may go out, ``per_frame`` entries each, and what was ``taken`` may be answered.
        """
        if frames > BOUND_FRAMES_PER_TURN + 2 * self.frontier // per_frame + 2 * taken:
            self.violate("C12", f"n{member} sent {frames} frames in one turn, having taken {taken}")
        if pending_bytes > BOUND_PENDING_BYTES or held > BOUND_FRAMES_PER_TURN * 10:
            self.violate("C12", f"n{member} holds {pending_bytes} bytes pending, {held} frames back")
