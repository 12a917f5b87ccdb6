"""Halts and the call auctions after them: how these begin, find a price, trade pair by pair, and end."""

from steelyard.core.events import AnyEvent, AuctionEnded, OrderReduced, StateScheduled, TradingHalted
from steelyard.core.handlers import moves
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.trading import after_fill, prevent, prevention, trade
from steelyard.core.instruments import Instrument, reference_ticks
from steelyard.core.matching import BookSide, Order
from steelyard.core.matching.auction import clearing
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import InstrumentId, InstrumentState


def halt(state: State, instrument: Instrument, price_ticks: int, out: list[AnyEvent]) -> None:
    """Stop trading, because the next trade would be at ``price_ticks``: a pause, then an auction.

    Asked for by the taker phase, after the taker's rest has expired.
    """
    rules = instrument.rules
    assert rules is not None, instrument.instrument
    assert rules.halt_ns > 0, rules
    until_ns = state.time_ns + rules.halt_ns
    out.append(
        TradingHalted(
            instrument=instrument.instrument,
            anchor_ticks=instrument.anchor_ticks,
            price_ticks=price_ticks,
            until_ns=until_ns,
        )
    )
    instrument.anchor_ticks = instrument.anchor_ns = 0
    moves.move(state, instrument, InstrumentState.HALTED, out)
    moves.schedule(state, instrument, InstrumentState.AUCTION, until_ns, out)


def start_auction(state: State, instrument: Instrument, auction_ns: int, out: list[AnyEvent]) -> None:
    """Collect orders from now on, until ``auction_ns`` of log time have passed."""
    moves.move(state, instrument, InstrumentState.AUCTION, out)
    moves.schedule(state, instrument, InstrumentState.OPEN, state.time_ns + auction_ns, out)


def may_end(instrument: Instrument, to: InstrumentState) -> bool:
    """Return whether going to that state is the end of an auction that still collects orders."""
    collects = instrument.state == InstrumentState.AUCTION and instrument.uncross_ticks == 0
    return collects and to == InstrumentState.OPEN


def state_due(state: State, instrument_id: InstrumentId, due_ns: int, out: list[AnyEvent]) -> None:
    """Make the move that was scheduled for ``due_ns``, unless another one was scheduled since.

    A move that the instrument's state does not allow any more is dropped.
    """
    instrument = state.markets.instruments[instrument_id]
    to = instrument.next_state
    if to is None or instrument.next_ns != due_ns:
        return
    instrument.next_state = None
    instrument.next_ns = 0
    auction_ns = 0 if instrument.rules is None else instrument.rules.auction_ns
    if may_end(instrument, to):
        _find_price(state, instrument, out)
    elif to == InstrumentState.AUCTION and auction_ns > 0 and moves.may_start_auction(instrument):
        start_auction(state, instrument, auction_ns, out)
    elif moves.may_move(instrument, to):
        moves.move(state, instrument, to, out)
    else:
        out.append(StateScheduled(instrument=instrument_id, state=to, at_ns=0))


def uncross_step(state: State, instrument: Instrument, out: list[AnyEvent]) -> bool:
    """Do one unit of an auction's work and return whether more is left.

    The first order of a side whose time has come expires; else the first two orders that reach the price are
    a pair; else, in a book that is still crossed, another price is found; else the auction is over.
    """
    price_ticks = instrument.uncross_ticks
    assert price_ticks > 0, instrument.instrument
    buy, sell = _first(instrument.book.bids), _first(instrument.book.asks)
    for order in (buy, sell):
        if order is not None and _is_over(order, state.time_ns):
            end_order(state, order, Reject.EXPIRED, out)
            return True
    if buy is None or sell is None or not sell.price_ticks <= price_ticks <= buy.price_ticks:
        state.markets.end_uncrossing(instrument)
        if instrument.book.is_crossed():
            # Prevention or expiry took away lots that this price counted on.
            _find_price(state, instrument, out)
            return True
        moves.move(state, instrument, InstrumentState.OPEN, out)
        return False
    maker, taker = (buy, sell) if buy.number < sell.number else (sell, buy)
    _pair(state, instrument, maker, taker, out)
    return True


def _find_price(state: State, instrument: Instrument, out: list[AnyEvent]) -> None:
    """Find the price, and make the trades from the next unit of work on; without a price open at once."""
    bids, asks = instrument.book.bids, instrument.book.asks
    found = clearing(
        _lots_by_price(instrument, bids, asks, state.time_ns),
        _lots_by_price(instrument, asks, bids, state.time_ns),
        reference_ticks(instrument),
    )
    out.append(
        AuctionEnded(
            instrument=instrument.instrument,
            price_ticks=found.price_ticks,
            volume_lots=found.volume_lots,
            imbalance_lots=found.imbalance_lots,
        )
    )
    if found.price_ticks:
        state.markets.begin_uncrossing(instrument, found.price_ticks)
    else:
        moves.move(state, instrument, InstrumentState.OPEN, out)


def _pair(state: State, instrument: Instrument, maker: Order, taker: Order, out: list[AnyEvent]) -> None:
    """Let the older order and the newer one trade at the auction's price, unless they are of one house."""
    price_ticks = instrument.uncross_ticks
    what = prevention(state, instrument, maker, taker, maker.open_lots, taker.open_lots)
    if what is None:
        lots = min(maker.shown_lots, taker.shown_lots)
        trade(state, instrument, maker, taker, lots, price_ticks, out)
        after_fill(state, instrument, taker, out)
        instrument.last_ticks = price_ticks
        return
    prevent(state, instrument, maker, taker, what, price_ticks, out)
    if taker.open_lots == 0:
        end_order(state, taker, Reject.SELF_TRADE, out)
    elif what.taker_lots:
        # Unlike other takers it stands in the book, where everybody sees it.
        out.append(
            OrderReduced(
                account=taker.account,
                instrument=taker.instrument,
                order=taker.order,
                number=taker.number,
                size_lots=taker.size_lots,
                open_lots=taker.open_lots,
            )
        )


def _lots_by_price(
    instrument: Instrument, side: BookSide, opposite: BookSide, time_ns: int
) -> list[tuple[int, int]]:
    """Return (price, lots) of the levels that reach the best opposite one, best first.

    Hidden lots count and orders whose time has come do not, so where there may be such orders, each is asked.
    """
    reach = -opposite.keys[-1] if opposite.keys else None
    levels: list[tuple[int, int]] = []
    for level in side.best_first():
        if reach is None or level.key < reach:
            break
        lots = level.open_lots
        if instrument.specials:
            lots = 0
            order = level.oldest
            while order is not None:
                lots += 0 if _is_over(order, time_ns) else order.open_lots
                order = order.after
        if lots:
            levels.append((abs(level.key), lots))
    return levels


def _first(side: BookSide) -> Order | None:
    return side.levels[side.keys[-1]].oldest if side.keys else None


def _is_over(order: Order, time_ns: int) -> bool:
    special = order.special
    return special is not None and 0 < special.terms.expires_ns <= time_ns
