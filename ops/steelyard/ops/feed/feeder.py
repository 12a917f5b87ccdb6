"""The feed at work: what its sources say is proposed a few times a second, whoever leads the group."""

import asyncio
import time
from collections import Counter
from decimal import Decimal
from typing import Any, Final, Protocol

from steelyard.client import IndexQuote
from steelyard.client.errors import BadCredentials, OutcomeUnknown, Rejected, SessionExpired, SessionTakenOver
from steelyard.ops.feed.clock import Clock
from steelyard.ops.feed.plan import FeedPlan
from steelyard.ops.feed.smoothing import smoother
from steelyard.ops.feed.sources import Say, Source, Speed, listen

#: A proposal without an answer for so long is told.
LATE_S: Final = 1.0


class Door(Protocol):
    """Who takes proposals; ``Admin`` is one."""

    async def set_index_sources(self, index: int, quotes: list[IndexQuote]) -> int:
        """Say what the sources of an index say now; return the log index."""


class Feeder:
    """Listens to the sources of one index and proposes their prices in ticks."""

    def __init__(self, plan: FeedPlan, index: int, tick: Decimal, door: Door, clock: Clock, say: Say) -> None:
        self._plan = plan
        self._index = index
        self._door = door
        self._clock = clock
        self._say = say
        self.sources = [
            Source(each, smoother(plan.smoothing, plan.window_s), tick, say) for each in plan.sources
        ]
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        #: Proposals whose outcome nobody told in time; each was settled before the next one went out.
        self.unknown = 0
        self.last_log_index = 0
        self.longest_gap_s = 0.0

    async def run(self, seconds: float | None, speed: Speed, stop: asyncio.Event) -> None:
        """Feed until the time is over, every file is, or somebody says stop.

        Raises:
            SteelyardError: The key may not feed, or somebody else uses the session.
            CaptureError: A recorded file is not what it should be.

        """
        listeners = [asyncio.create_task(listen(source, speed)) for source in self.sources]
        proposing = asyncio.create_task(self._propose_all())
        stopping = asyncio.create_task(stop.wait())
        over = asyncio.gather(*listeners)
        tasks: list[asyncio.Future[Any]] = [proposing, stopping, over]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = [task for task in (over, proposing) if task.done()]
            for task in (*listeners, *tasks):
                task.cancel()
            await asyncio.gather(*listeners, *tasks, return_exceptions=True)
        for task in ended:
            task.result()
        if over in ended:
            # What the ends of the files came to goes out, too.
            await self._propose(last=True)

    def report(self) -> dict[str, Any]:
        """Return what was sent and what was heard, as plain values."""
        return {
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "outcome_unknown": self.unknown,
            "longest_gap_s": round(self.longest_gap_s, 3),
            "last_log_index": self.last_log_index,
            "clock": self._clock.report(),
            "sources": [
                {
                    "name": source.plan.name,
                    "number": source.plan.number,
                    "weight": source.plan.weight,
                    "messages": source.messages,
                    "faults": source.faults,
                    "silences": source.silences,
                    "price_ticks": source.price_ticks() if source.messages else None,
                }
                for source in self.sources
            ],
        }

    async def _propose_all(self) -> None:
        """Propose again and again; what nobody says anything new about is not repeated."""
        begun_ns = time.time_ns()
        accepted_s = time.monotonic()
        proposed_ns = 0
        while True:
            turn_s = time.monotonic()
            for source in self.sources:
                source.note_silence(self._plan.silent_s, begun_ns)
            newest_ns = max(source.said_ns for source in self.sources)
            if newest_ns > proposed_ns:
                proposed_ns = newest_ns
                before = self.accepted
                await self._propose()
                now_s = time.monotonic()
                if self.accepted > before:
                    if before:
                        self.longest_gap_s = max(self.longest_gap_s, now_s - accepted_s)
                    accepted_s = now_s
            await asyncio.sleep(max(0.0, turn_s + self._plan.every_s - time.monotonic()))

    async def _propose(self, *, last: bool = False) -> None:
        """Propose what all sources that ever spoke say now; a failover is a pause."""
        quotes = [
            IndexQuote(
                source=source.plan.number,
                price_ticks=max(1, source.price_ticks()),
                weight=source.plan.weight,
                time_ns=source.said_ns,
            )
            for source in self.sources
            if source.said_ns
        ]
        if not any(quote.weight for quote in quotes):
            return
        before = self.accepted
        begun_s, begun_ns = time.monotonic(), time.time_ns()
        try:
            self.last_log_index = await self._door.set_index_sources(self._index, quotes)
            self.accepted += 1
        except Rejected as error:
            self.refused[error.reason] += 1
            if self.refused[error.reason] == 1:
                self._say(f"the exchange refuses: {error}")
        except (BadCredentials, SessionExpired, SessionTakenOver):
            raise
        except OutcomeUnknown as error:
            self.unknown += 1
            self._say(f"no answer yet: {error}")
        took_s = time.monotonic() - begun_s
        if took_s >= LATE_S:
            self._say(f"a proposal took {took_s:.1f} s")
        if self.accepted > before:
            await self._clock.compare(begun_ns, at_once=last)
