"""Follows the replica's entries while somebody watches, and keeps the watched markets up with them."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from steelyard.core.entry import Applied
from steelyard.core.events import AnyEvent, Traded
from steelyard.core.queries import GetPicture, Picture
from steelyard.core.units import InstrumentId
from steelyard.core.wire import decode_applied
from steelyard.replication.candles import Trade
from steelyard.replication.front import ReadMode
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.market.market import Market, by_instrument, trade_of
from steelyard.rpc.market.messages import View, Wish
from steelyard.rpc.market.tape import Tape
from steelyard.rpc.market.watchers import Watcher
from steelyard.rpc.status import OVERLOAD_DELAY_S

if TYPE_CHECKING:
    from steelyard.rpc.door import Door
    from steelyard.rpc.market.history import History

#: Watchers of one gateway: each may let a megabyte wait.
WATCHERS_MAX: Final = 1_000
#: Between two attempts to look at a market, or to follow the replica.
RETRY_S: Final = 0.1
#: Keys of watchers are checked again this often.
KEY_CHECK_S: Final = 10.0
#: What a look does not survive, whoever asks.
_FINAL: Final = frozenset({Reason.NOT_FOUND, Reason.MALFORMED})
#: What only the key that was used cannot do.
_OF_THE_KEY: Final = frozenset({Reason.BAD_CREDENTIALS, Reason.NOT_PERMITTED})

log = logging.getLogger(__name__)


class _Group:
    """Those who share a wish, and what they have been told."""

    def __init__(self, wish: Wish) -> None:
        self.view = View(wish)
        self.watchers: dict[Watcher, None] = {}


class _Watched:
    """One instrument that somebody watches."""

    def __init__(self, instrument: InstrumentId) -> None:
        self.instrument = instrument
        self.groups: dict[Wish, _Group] = {}
        self.market: Market | None = None
        """None until it was looked at."""
        self.missed: list[tuple[int, int, list[AnyEvent]]] = []
        """What came in while we looked."""
        self.tape: Tape | None = None
        """None until the archive was asked."""
        self.trades: list[tuple[int, Trade]] | None = None
        """Those that came in while the archive was asked."""

    def watchers(self) -> list[Watcher]:
        """Return all who watch it."""
        return [watcher for group in self.groups.values() for watcher in group.watchers]

    def wants_tape(self) -> bool:
        """Whether somebody needs a tape, or one with another interval."""
        return any(self._lacks(wish) for wish in self.groups)

    def picture(self, wish: Wish) -> list[bytes]:
        """Return how everything is now; empty while that is not known."""
        group = self.groups.get(wish)
        if group is None or self.market is None or self._lacks(wish):
            return []
        return group.view.picture(self.market, self.tape)

    def forget(self) -> None:
        """Look at everything anew."""
        self.market = self.tape = None
        for watcher in self.watchers():
            watcher.look_anew()

    def follow(self, index: int, time_ns: int, events: list[AnyEvent]) -> None:
        """Take what one entry did to the instrument, and tell those who watch it."""
        for event in events:
            if isinstance(event, Traded):
                trade = trade_of(event, time_ns)
                if self.trades is not None:
                    self.trades.append((index, trade))
                if self.tape is not None:
                    self.tape.add(trade)
        if self.market is None:
            self.missed.append((index, time_ns, events))
        elif index > self.market.index:
            change = self.market.apply(index, time_ns, events)
            for group in self.groups.values():
                messages = group.view.change(self.market, change, self.tape)
                for watcher in group.watchers:
                    watcher.push(messages)

    def _lacks(self, wish: Wish) -> bool:
        if not wish.needs_tape:
            return False
        return self.tape is None or (wish.interval is not None and wish.interval not in self.tape.candles)


class MarketFeed:
    """Every watched market of one gateway.  The replica sends entries only while there is one."""

    def __init__(self, door: "Door", history: "History") -> None:
        self.index = 0
        """Up to here every entry was seen, while entries are followed."""
        self._door = door
        self._history = history
        self._watched: dict[InstrumentId, _Watched] = {}
        self._following = False
        self._keeping: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many there are."""
        return sum(len(watched.watchers()) for watched in self._watched.values())

    def watch(self, key: int, instrument: InstrumentId, wish: Wish) -> Watcher:
        """Return a new watcher, whose first message is a picture.

        Raises:
            DoorError: OVERLOADED: there are as many as there may be.

        """
        if self.watchers >= WATCHERS_MAX:
            raise DoorError(
                Reason.OVERLOADED, f"there are {WATCHERS_MAX} watchers already", delay_s=OVERLOAD_DELAY_S
            )
        watched = self._watched.setdefault(instrument, _Watched(instrument))
        watcher = Watcher(key, lambda: watched.picture(wish))
        watched.groups.setdefault(wish, _Group(wish)).watchers[watcher] = None
        if self._keeping is None:
            self._keeping = asyncio.ensure_future(self._keep())
        self._wake.set()
        return watcher

    def forget(self, watcher: Watcher) -> None:
        """Let a watcher go, and what nobody else watches with it."""
        for instrument, watched in list(self._watched.items()):
            for wish, group in list(watched.groups.items()):
                group.watchers.pop(watcher, None)
                if not group.watchers:
                    del watched.groups[wish]
            if not watched.groups:
                del self._watched[instrument]
        self._wake.set()

    def close(self) -> None:
        """Follow no more, and end those who watch."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        for watched in list(self._watched.values()):
            for watcher in watched.watchers():
                watcher.end(DoorError(Reason.DRAINING, leader=self._door.leader_endpoint))

    # --- what the link tells -------------------------------------------------------------------

    def applied(self, encoded: bytes) -> None:
        """Follow an entry."""
        if not self._following:
            return
        applied = decode_applied(encoded)
        if applied.index <= self.index:
            return
        self.index = applied.index
        events = by_instrument(applied, self._watched)
        for watched in list(self._watched.values()):
            self._follow(watched, applied, events[watched.instrument])

    def _follow(self, watched: _Watched, applied: Applied, events: list[AnyEvent]) -> None:
        try:
            watched.follow(applied.index, applied.time_ns, events)
        except AssertionError:
            log.exception("market %d does not fit entry %d: looking anew", watched.instrument, applied.index)
            watched.forget()
            self._wake.set()

    def unfollowed(self) -> None:
        """Begin again: entries were missed."""
        log.warning("entries after %d were not read in time: looking anew", self.index)
        self.lost()

    def lost(self) -> None:
        """Follow again, from where we are."""
        self._following = False
        self._wake.set()

    # --- following and looking -----------------------------------------------------------------

    async def _keep(self) -> None:
        """Follow and look for as long as anybody watches."""
        try:
            while self._watched:
                self._wake.clear()
                try:
                    await self._catch_up()
                except DoorError as error:
                    log.info("cannot look at the markets now: %s", error)
                    await asyncio.sleep(RETRY_S)
                    continue
                try:
                    async with asyncio.timeout(KEY_CHECK_S):
                        await self._wake.wait()
                except TimeoutError:
                    await self._check_keys()
            self._door.link.unfollow()
            self._following = False
        finally:
            self._keeping = None

    async def _check_keys(self) -> None:
        """End whoever watches with a key that is revoked or over."""
        watchers = [watcher for watched in self._watched.values() for watcher in watched.watchers()]
        try:
            valid = {key: await self._door.verifier.is_valid(key) for key in {each.key for each in watchers}}
        except DoorError as error:
            log.info("cannot check the keys of watchers now: %s", error)
            return
        for watcher in watchers:
            if not valid[watcher.key]:
                watcher.end(DoorError(Reason.BAD_CREDENTIALS))
                self.forget(watcher)

    async def _catch_up(self) -> None:
        if not self._following:
            await self._door.link.follow(self.index, self._attached)
        for watched in list(self._watched.values()):
            if watched.market is None:
                await self._look(watched)
            if watched.market is not None and watched.wants_tape():
                await self._wind(watched)
            for watcher in watched.watchers():
                watcher.wake()

    def _attached(self, complete_after: int) -> None:
        """Go on where we were, if nothing is missing; else look anew."""
        self._following = True
        if complete_after > self.index or not self.index:
            self.index = complete_after
            for watched in self._watched.values():
                watched.forget()

    async def _look(self, watched: _Watched) -> None:
        """Learn how a market is, and follow it from there."""
        door = self._door
        watchers = watched.watchers()
        if not watchers:
            return
        key = watchers[0].key
        watched.missed = []
        try:
            index, picture = await door.read(
                Picture, key, GetPicture(instrument=watched.instrument), ReadMode.AT_LEAST, self.index
            )
        except DoorError as error:
            if error.reason in _FINAL or error.reason in _OF_THE_KEY:
                for watcher in watched.watchers():
                    if error.reason in _FINAL or watcher.key == key:
                        watcher.end(error)
                        self.forget(watcher)
                return
            raise
        watched.market = Market(index, picture)
        missed, watched.missed = watched.missed, []
        for entry in missed:
            if entry[0] > index:
                watched.market.apply(*entry)

    async def _wind(self, watched: _Watched) -> None:
        """Learn what was traded before, from the archive once it has come as far as we have."""
        wishes = [wish for wish in watched.groups if wish.needs_tape]
        intervals = sorted({wish.interval for wish in wishes if wish.interval is not None})
        watched.trades = []
        try:
            index, tape = await self._history.tape(watched.instrument, intervals, self.index)
        except DoorError as error:
            for wish in wishes:
                for watcher in list(watched.groups[wish].watchers if wish in watched.groups else ()):
                    watcher.end(error)
                    self.forget(watcher)
            return
        finally:
            trades, watched.trades = watched.trades, None
        for traded_index, trade in trades:
            if traded_index > index:
                tape.add(trade)
        watched.tape = tape
