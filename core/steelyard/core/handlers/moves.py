"""How an instrument moves from state to state: by hand, or at an announced time."""

from typing import Final

from steelyard.core import versions
from steelyard.core.events import AnyEvent, InstrumentStateChanged, StateScheduled
from steelyard.core.handlers.conditional import price_moved
from steelyard.core.handlers.ending import end_order
from steelyard.core.instruments import MOVES, Instrument
from steelyard.core.matching import Order
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import InstrumentState, PriceSource

#: From where an auction may begin.
_BEFORE_AUCTION: Final = (
    InstrumentState.PRE_OPEN,
    InstrumentState.POST_ONLY,
    InstrumentState.CANCEL_ONLY,
    InstrumentState.HALTED,
)

#: In these states a book may not be crossed, because whoever comes next would trade with both sides.
_UNCROSSED: Final = (InstrumentState.POST_ONLY, InstrumentState.OPEN)


def may_move(instrument: Instrument, to: InstrumentState) -> bool:
    """Return whether an instrument may go to that state by hand, or by schedule as if by hand."""
    if instrument.uncross_ticks != 0 or to not in MOVES[instrument.state]:
        return False
    return to not in _UNCROSSED or not instrument.book.is_crossed()


def may_start_auction(instrument: Instrument) -> bool:
    """Return whether an instrument may begin to collect orders for an auction."""
    return instrument.state in _BEFORE_AUCTION


def move(state: State, instrument: Instrument, to: InstrumentState, out: list[AnyEvent]) -> None:
    """Let an instrument allow something else: closed, it ends its orders; open, it wakes those met."""
    out.append(InstrumentStateChanged(instrument=instrument.instrument, before=instrument.state, after=to))
    instrument.state = to
    if to == InstrumentState.CLOSED:
        reason = Reject.INSTRUMENT_CLOSED if state.version >= versions.SPOT_COMPLETE else None
        id_ = instrument.instrument
        end_orders(state, [order for order in state.orders.values() if order.instrument == id_], reason, out)
        if instrument.contract is not None:
            state.markets.begin_settling(instrument)
    elif to == InstrumentState.OPEN:
        price_moved(state, instrument, PriceSource.LAST, out)
        price_moved(state, instrument, PriceSource.MARK, out)
        price_moved(state, instrument, PriceSource.INDEX, out)
        if instrument.contract is not None:
            price_moved(state, instrument, PriceSource.INDEX, out)


def end_orders(state: State, orders: list[Order], reason: Reject | None, out: list[AnyEvent]) -> None:
    """End living orders, by number; one that ends with another one of its list has no turn of its own."""
    for order in sorted(orders, key=lambda order: order.number):
        if state.orders.get(order.number) is order:
            end_order(state, order, reason, out)


def schedule(
    state: State, instrument: Instrument, to: InstrumentState, at_ns: int, out: list[AnyEvent]
) -> None:
    """Announce the next state, in place of whatever was announced; at zero, that there is none."""
    instrument.next_state = to if at_ns != 0 else None
    instrument.next_ns = at_ns
    if at_ns != 0:
        state.timers.instrument(at_ns, instrument.instrument)
    out.append(StateScheduled(instrument=instrument.instrument, state=to, at_ns=at_ns))
