"""Members tell each other what they are; one that differs stops."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, NoReturn

from steelyard.replication.clock import Clock
from steelyard.replication.errors import EX_INVARIANT, fail_stop
from steelyard.replication.group import MemberId

INTERVAL: Final = 100
"""Compared at every log index that this divides."""
HELD_MAX: Final = 64
#: How long a difference waits for the third member's word while that one is connected.
THIRD_S: Final = 5.0


class Mark(NamedTuple):
    """What a member is at one index: the rolling digest of its exchange, and the chain of its log."""

    digest: bytes
    chain: bytes


class Digests:
    """Our marks and those of the others, and the verdict over them."""

    def __init__(
        self,
        member: MemberId,
        clock: Clock,
        tell: Callable[[int, bytes, bytes], None],
        connected: Callable[[], Iterable[MemberId]],
        stop: Callable[[int, str], NoReturn] = fail_stop,
    ) -> None:
        """Speak for ``member``; ``tell`` broadcasts, ``connected`` names the others that may still answer."""
        self._member = member
        self._clock = clock
        self._tell = tell
        self._connected = connected
        self._stop = stop
        self._ours: OrderedDict[int, Mark] = OrderedDict()
        self._theirs: dict[MemberId, OrderedDict[int, Mark]] = {}
        self._disputed: dict[int, float] = {}

    def reached(self, index: int, digest: bytes, chain: bytes) -> None:
        """Note what we are at ``index``, tell the others and compare."""
        _hold(self._ours, index, Mark(digest, chain))
        self._tell(index, digest, chain)
        self._judge(index)

    def heard(self, member: MemberId, index: int, digest: bytes, chain: bytes) -> None:
        """Note what another member says it is, and compare."""
        _hold(self._theirs.setdefault(member, OrderedDict()), index, Mark(digest, chain))
        self._judge(index)

    def expire(self) -> None:
        """Decide the differences that have waited for the third member."""
        for index in list(self._disputed):
            self._judge(index)

    def _judge(self, index: int) -> None:
        ours = self._ours.get(index)
        if ours is None:
            return
        others = {member: marks[index] for member, marks in self._theirs.items() if index in marks}
        differing = sorted(member for member, mark in others.items() if mark != ours)
        if not differing or len(differing) < len(others):
            # Nobody differs, or one agrees with us: then it is the other one who must stop.
            self._disputed.pop(index, None)
            return
        waits_s = self._clock.monotonic_s() - self._disputed.setdefault(index, self._clock.monotonic_s())
        silent = set(self._connected()) - others.keys()
        if silent and waits_s < THIRD_S:
            return
        what = "log" if all(others[member].chain != ours.chain for member in differing) else "state"
        self._stop(
            EX_INVARIANT,
            f"member {self._member} has another {what} at index {index} than member(s) {differing}",
        )


def _hold(marks: OrderedDict[int, Mark], index: int, mark: Mark) -> None:
    marks[index] = mark
    while len(marks) > HELD_MAX:
        marks.popitem(last=False)
