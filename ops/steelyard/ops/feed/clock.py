"""Whether the clock that stamps a feed's quotes agrees with the log's time, by which they are judged."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from steelyard.client.errors import OutcomeUnknown
from steelyard.core.contracts.index import AHEAD_NS_MAX
from steelyard.ops.feed.sources import Say

#: From one look at the log's time to the next.
EVERY_S: Final = 5.0
#: What the alarm is called.
ALARM: Final = "CLOCK_WRONG"


class Clock:
    """Our clock beside the log's, by which quotes from the future do not count and those from the past age.

    ``log_time_ns`` asks for the log's time as of all that was acknowledged before.
    """

    def __init__(self, log_time_ns: Callable[[], Awaitable[int]], say: Say) -> None:
        self.looks = 0
        self.alarms = 0
        self.is_wrong = False
        #: How far our clock is ahead of the log's at least, below zero behind: now, and when it was worst.
        self.ahead_ns = 0
        self.worst_ns = 0
        self._log_time_ns = log_time_ns
        self._say = say
        self._looked_s = -EVERY_S

    async def compare(self, sent_ns: int, *, at_once: bool = False) -> None:
        """Look, if it is time, where the log's time stands that must lie between ``sent_ns`` and now.

        An entry that was acknowledged after we sent it at ``sent_ns`` has a time of that span if both clocks
        agree; so slowness of the group is never taken for a wrong clock.
        """
        if not at_once and time.monotonic() < self._looked_s + EVERY_S:
            return
        self._looked_s = time.monotonic()
        try:
            log_ns = await self._log_time_ns()
        except OutcomeUnknown as error:
            self._say(f"the log's time is not known: {error}")
            return
        self.looks += 1
        self.ahead_ns = max(0, sent_ns - log_ns) + min(0, time.time_ns() - log_ns)
        self.worst_ns = max(self.worst_ns, self.ahead_ns, key=abs)
        was_wrong, self.is_wrong = self.is_wrong, abs(self.ahead_ns) > AHEAD_NS_MAX
        if self.is_wrong and not was_wrong:
            self.alarms += 1
            self._say(f"ALARM {ALARM}: {words(self.ahead_ns)}")
        elif was_wrong and not self.is_wrong:
            self._say("our clock agrees with the log's time again")

    def report(self) -> dict[str, Any]:
        """Return what was found, as plain values."""
        return {
            "looks": self.looks,
            "alarms": self.alarms,
            "wrong": self.is_wrong,
            "ahead_s_worst": round(self.worst_ns / 1e9, 3),
        }


def words(ahead_ns: int) -> str:
    """Return what a wrong clock means."""
    if ahead_ns > 0:
        return (
            f"our clock is {ahead_ns / 1e9:.1f} s ahead of the log's time;"
            " quotes more than a second ahead do not count"
        )
    return (
        f"our clock is {-ahead_ns / 1e9:.1f} s behind the log's time;"
        " quotes count as so much older, and are stale sooner"
    )
