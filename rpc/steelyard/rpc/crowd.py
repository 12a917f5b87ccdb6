"""How many callers of each kind one gateway holds at a time, and who has to go when there are more.

Unary calls are counted in ``interceptors``, connections by their keepalive, and commands by the window of
their stream.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from steelyard.core.limits import SESSIONS_PER_ACCOUNT_MAX
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import OVERLOAD_DELAY_S

#: Streams that have not said who they are.  Whoever wants to keep others out has to open so many anew in the
#: time in which an honest client answers its challenge.
STRANGERS_MAX: Final = 256
#: One for every session that an account may have, and some that are just ending.
KEY_STREAMS_MAX: Final = SESSIONS_PER_ACCOUNT_MAX + 32
#: Health watches, which need no key and stay for as long as they like.
WATCHES_MAX: Final = 64


class Stream(Protocol):
    """A stream as far as it can be sent away."""

    def end(self, ending: DoorError | None) -> None:
        """Come to an end, for this reason."""


class Crowd:
    """Everybody who is at the door with a stream."""

    def __init__(self) -> None:
        self._strangers: dict[Stream, None] = {}
        """The one that came first is first."""
        self._known: dict[Stream, int] = {}
        """Streams of callers that have proved who they are, and their keys."""
        self._streams_of: dict[int, int] = {}
        self._watches = 0

    def enter(self, stream: Stream) -> None:
        """Take a stream in that has said nothing yet; if there are too many, the oldest such has to go."""
        if len(self._strangers) >= STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.end(_too_many(f"there are more than {STRANGERS_MAX} streams that have not said Hello"))
        self._strangers[stream] = None

    def introduce(self, stream: Stream, key: int) -> None:
        """Note whose stream it is.

        Raises:
            DoorError: OVERLOADED: the key has as many as it may.

        """
        count = self._streams_of.get(key, 0)
        if count >= KEY_STREAMS_MAX:
            raise _too_many(f"this key has {count} streams already")
        self._strangers.pop(stream, None)
        self._known[stream] = key
        self._streams_of[key] = count + 1

    def leave(self, stream: Stream) -> None:
        """Forget a stream."""
        self._strangers.pop(stream, None)
        key = self._known.pop(stream, None)
        if key is not None:
            self._streams_of[key] -= 1
            if not self._streams_of[key]:
                del self._streams_of[key]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count a health watch for the length of the block.

        Raises:
            DoorError: OVERLOADED: there are as many as there may be.

        """
        if self._watches >= WATCHES_MAX:
            raise _too_many(f"there are {self._watches} watches already")
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1


def _too_many(text: str) -> DoorError:
    return DoorError(Reason.OVERLOADED, text, delay_s=OVERLOAD_DELAY_S)
