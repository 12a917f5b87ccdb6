"""One instrument as everybody may see it, kept up with the log: its book, its state, its trades."""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from steelyard.core.entry import Applied
from steelyard.core.events import (
    AnyEvent,
    AuctionEnded,
    DebtRepaid,
    DebtTaken,
    IndexSet,
    IndexStale,
    InstrumentStateChanged,
    LiquidationEnded,
    LiquidationStarted,
    MarkSet,
    StateScheduled,
    Traded,
)
from steelyard.core.queries import Picture
from steelyard.core.units import InstrumentId, InstrumentState, Side
from steelyard.replication.candles import Trade
from steelyard.rpc.market.book import Best, Level, MarketBook, Shown
from steelyard.rpc.market.contract import ContractChange, MarketContract

_NO_INSTRUMENT: Final = InstrumentId(0)
#: If they name no instrument they may concern any: of its index, or its settle asset.
_TOLD_TO_ALL: Final = (IndexSet, IndexStale, LiquidationStarted, DebtTaken, LiquidationEnded, DebtRepaid)


class Status(NamedTuple):
    """What an instrument allows, where it will move, its mark, and how an auction ended; zeros are none."""

    state: InstrumentState
    next_state: InstrumentState | None = None
    next_ns: int = 0
    mark_ticks: int = 0
    auction_ticks: int = 0
    auction_lots: int = 0


class Change(NamedTuple):
    """What one entry changed of an instrument: new values, oldest first; empty: nothing."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody uses here
    time_ns: int
    levels: list[Level]
    orders: list[Shown]
    trades: list[Traded]
    statuses: list[Status]
    best_changed: bool
    contract: ContractChange | None


class Market:
    """An instrument after an entry; fed with the events of each later one."""

    def __init__(self, index: int, picture: Picture) -> None:
        """Begin with a picture taken after entry ``index``."""
        standing = picture.standing
        self.instrument: InstrumentId = standing.instrument
        self.index = index
        self.time_ns = picture.time_ns
        self.status = Status(standing.state, standing.next_state, standing.next_ns, standing.mark_ticks)
        self.book = MarketBook.of(
            Shown(side, *order)
            for side, orders in ((Side.BUY, picture.bids), (Side.SELL, picture.asks))
            for order in orders
        )
        self.best: Best = self.book.best()
        self.contract = None if picture.contract is None else MarketContract(picture.contract)

    def apply(self, index: int, time_ns: int, events: Iterable[AnyEvent]) -> Change:
        """Follow one entry; return what it changed.

        Raises ``AssertionError`` when the events do not fit what is known: then some were missed.
        """
        assert index > self.index, (index, self.index)
        self.index, self.time_ns = index, time_ns
        trades: list[Traded] = []
        statuses: list[Status] = []
        if 0 < self.status.next_ns <= time_ns:
            # What was scheduled has been done or dropped before anything else in this entry.
            self.status = self.status._replace(next_state=None, next_ns=0)
        for event in events:
            self.book.apply(event)
            if self.contract is not None:
                self.contract.follow(index, time_ns, event)
            if isinstance(event, Traded):
                trades.append(event)
            else:
                self._follow(event, statuses)
        levels, orders = self.book.take_touched()
        best = self.book.best() if levels else self.best
        changed, self.best = best != self.best, best
        contract = None
        if self.contract is not None:
            self.contract.end_entry(time_ns)
            contract = self.contract.take_changes()
        return Change(index, time_ns, levels, orders, trades, statuses, changed, contract)

    def _follow(self, event: AnyEvent, statuses: list[Status]) -> None:
        match event:
            case InstrumentStateChanged():
                self.status = self.status._replace(state=event.after)
            case StateScheduled():
                next_state = event.state if event.at_ns else None
                self.status = self.status._replace(next_state=next_state, next_ns=event.at_ns)
            case MarkSet():
                self.status = self.status._replace(mark_ticks=event.mark_ticks)
            case AuctionEnded():
                ended = self.status._replace(auction_ticks=event.price_ticks, auction_lots=event.volume_lots)
                statuses.append(ended)
                return
            case _:
                return
        statuses.append(self.status)


def trade_of(event: Traded, time_ns: int) -> Trade:
    """Return a trade without its owners."""
    return Trade(
        time_ns, event.price_ticks, event.size_lots, event.notional_atoms, event.taker_side is Side.BUY
    )


def by_instrument(
    applied: Applied, instruments: Collection[InstrumentId]
) -> dict[InstrumentId, list[AnyEvent]]:
    """Return the events of an entry, in order, for each of some instruments.

    Its own, and all that are about indices and margin wallets.
    """
    found: dict[InstrumentId, list[AnyEvent]] = {instrument: [] for instrument in instruments}
    for event in applied.events():
        instrument: InstrumentId = getattr(event, "instrument", _NO_INSTRUMENT)
        if instrument in found:
            found[instrument].append(event)
        elif instrument == _NO_INSTRUMENT and isinstance(event, _TOLD_TO_ALL):
            for events in found.values():
                events.append(event)
    return found
