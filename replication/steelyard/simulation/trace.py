"""What happened, as a digest to compare runs by and, if asked for, as lines to read."""

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import Final

_PLACE: Final = Struct("<Bd")
"""Who and when."""


class Trace:
    """Every frame, disk call and apply of a run."""

    def __init__(self, now_s: Callable[[], float], say: Callable[[str], None] | None = None) -> None:
        """``say`` gets each line; without it only the digest is kept."""
        self._now_s = now_s
        self._say = say
        self._digest = blake2b(digest_size=16)

    @property
    def digest(self) -> bytes:
        """What distinguishes this run from every other."""
        return self._digest.digest()

    @property
    def readable(self) -> bool:
        """Whether anybody reads the lines: making them costs time."""
        return self._say is not None

    def add(self, member: int, what: str, content: bytes = b"") -> None:
        """Count something into the digest."""
        self._digest.update(_PLACE.pack(member, self._now_s()))
        self._digest.update(what.encode())
        self._digest.update(content)

    def note(self, member: int, what: str) -> None:
        """Count something that is worth a line."""
        self.add(member, what)
        self.line(member, what)

    def line(self, member: int, what: str) -> None:
        """Write a line without counting it."""
        if self._say is not None:
            who = f"n{member}" if member else "--"
            self._say(f"{self._now_s():10.6f} {who} {what}")
