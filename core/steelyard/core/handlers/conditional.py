"""Orders that wait for a price: how they begin to, what a price does to them, and how they are admitted."""

from typing import Final

from steelyard.core.events import AnyEvent, OrderTriggered, TrailingActivated
from steelyard.core.handlers import lists, pledging
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import protection_ticks
from steelyard.core.ledger import lot_pledge_atoms
from steelyard.core.matching import Order, Special, is_met
from steelyard.core.state import State
from steelyard.core.units import (
    InstrumentState,
    OrderKind,
    OrderState,
    PriceSource,
    Side,
)

_OPEN: Final = InstrumentState.OPEN
_LAST: Final = PriceSource.LAST


def source_ticks(instrument: Instrument, source: PriceSource) -> int:
    """Return the price that orders on ``source`` look at; zero while there is none."""
    if source == _LAST:
        return instrument.last_ticks
    if source == PriceSource.MARK:
        return instrument.mark_ticks
    return 0 if instrument.contract is None else instrument.contract.index.price_ticks


def begin_waiting(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    """Let an accepted order with a trigger wait; a trailing one may be active at once."""
    special = order.special
    assert special is not None, order.number
    special.state = OrderState.WAITING
    terms = special.terms
    assert terms.trigger is not None, order.number
    price_ticks = source_ticks(instrument, terms.trigger_source)
    if terms.callback_ppm and not special.extreme_ticks:
        starts = terms.trigger_ticks == 0 or is_met(
            terms.trigger, order.side, terms.trigger_ticks, price_ticks
        )
        if price_ticks and starts:
            _activate(order, special, price_ticks, out)
    instrument.triggers.add(order)


def price_moved(state: State, instrument: Instrument, source: PriceSource, out: list[AnyEvent]) -> None:
    """Let the waiting orders look at a price that may be new to them: whoever it meets goes to work.

    Nobody looks unless the instrument is open.
    """
    triggers = instrument.triggers
    if not triggers.orders or instrument.state != _OPEN:
        return
    price_ticks = source_ticks(instrument, source)
    if price_ticks == 0:
        return
    for order in triggers.met(source, price_ticks):
        # It is not there any more if an order before it ended it.
        if order.number not in triggers.orders:
            continue
        special = order.special
        assert special is not None, order.number
        if special.terms.callback_ppm and not special.extreme_ticks:
            triggers.remove(order)
            _activate(order, special, price_ticks, out)
            triggers.add(order)
        else:
            _trigger(state, instrument, order, price_ticks, out)


def forget(state: State, instrument: Instrument, order: Order) -> None:
    """Take an order from where it waits outside the book: its trigger, or the work to come."""
    special = order.special
    assert special is not None, order.number
    if order in state.work:
        state.work.remove(order)
    elif special.state == OrderState.WAITING:
        instrument.triggers.remove(order)


def _activate(order: Order, special: Special, price_ticks: int, out: list[AnyEvent]) -> None:
    special.extreme_ticks = price_ticks
    out.append(
        TrailingActivated(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=order.number,
            price_ticks=price_ticks,
        )
    )


def _limit(state: State, instrument: Instrument, order: Order, special: Special, limit_ticks: int) -> None:
    """Give a triggered market order its limit; a buy's is not above the one it has pledged at, if it has."""
    if order.side == Side.SELL or order.position is not None:
        order.price_ticks = limit_ticks
        return
    pledged_atoms = order.pledged_atoms
    order.price_ticks = min(order.price_ticks, limit_ticks)
    order.lot_pledge_atoms = lot_pledge_atoms(order.price_ticks, instrument.tick_lot_atoms, special.cap_ppm)
    pledging.repledge(state, order, pledged_atoms)


def _trigger(
    state: State, instrument: Instrument, order: Order, price_ticks: int, out: list[AnyEvent]
) -> None:
    """Give a waiting order its turn; from now on it is an order without a list of alternatives."""
    special = order.special
    assert special is not None, order.number
    if special.list_number:
        lists.claim(state, order, out)
    instrument.triggers.remove(order)
    if special.kind == OrderKind.MARKET:
        _limit(state, instrument, order, special, protection_ticks(instrument, order.side, price_ticks))
    state.work.append(order)
    out.append(
        OrderTriggered(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=order.number,
            source=special.terms.trigger_source,
            price_ticks=price_ticks,
        )
    )
