"""Where a crash is played: on a group of three processes, or on one exchange in this process."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple, Protocol

from steelyard.client import Command
from steelyard.client.admin import Admin

#: Opens and funds accounts, lists everything.
OPERATOR: Final = "operator"
#: Says what the sources of the indices say.
FEEDER: Final = 20_001


class Wish(NamedTuple):
    """What one account asks for, in order."""

    account: int
    commands: Sequence[Command]


#: Says what the sources of all indices say now.
Feed = Callable[[], Awaitable[None]]


class Struck(Protocol):
    """Whatever leaders are taken away from."""

    async def has_begun(self) -> bool:
        """Return whether the engine has had to do with anybody since this was first asked, as far as seen."""

    def now_ns(self) -> int:
        """Return the time by which the feed stamps what it says."""

    def is_whole(self) -> bool:
        """Return whether everything that was taken away is back."""

    async def strike(self) -> bool:
        """Take away the leader, or what stands for it; return whether that could be done now."""


class Stage(Struck, Protocol):
    """Whatever carries out what the players ask for."""

    refused: dict[str, int]
    """How often the exchange refused a player, by reason."""

    @property
    def operator(self) -> Admin:
        """The operator's hand."""

    @property
    def feeder(self) -> Admin:
        """The feed's hand; there once ``give_keys`` has given the feeder one with FEED."""

    async def give_keys(
        self, accounts: Sequence[int], permissions: int, advance: Callable[[int], None]
    ) -> None:
        """Give each of these accounts, which exist, a key."""

    async def play(
        self, wishes: Sequence[Wish], advance: Callable[[int], None], feed: Feed | None = None
    ) -> None:
        """Carry out the wishes of accounts that have keys, each in its own session; return when all are.

        Meanwhile ``feed`` is called again and again, so that no index becomes stale.
        """

    async def keep(self, accounts: Sequence[int]) -> None:
        """Keep sessions of these accounts from now on, for ``ask``."""

    async def ask(self, wishes: Sequence[Wish]) -> None:
        """Carry out wishes of accounts whose sessions are kept; may return before they are answered."""

    async def settle(self) -> None:
        """Return when all that was asked is answered and whatever was struck is back."""

    async def is_busy(self) -> bool:
        """Return whether the engine still has to do with somebody, as far as can be seen."""

    async def pause(self, step_ns: int) -> None:
        """Let time pass until the next step."""
