"""Taking a checked order on: its number, its pledge, and what is said of it."""

from typing import Final

from steelyard.core.commands import NO_TERMS
from steelyard.core.events import AnyEvent, OrderAccepted, OrderContractSet, OrderTermsSet
from steelyard.core.handlers import contracting, lists, pledging
from steelyard.core.handlers.placing import special_of
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order
from steelyard.core.state import State
from steelyard.core.units import Leg, OrderNumber, OrderState, Side

_BUY: Final = Side.BUY


def accept_order(
    state: State, instrument: Instrument, order: Order, out: list[AnyEvent], *, pledges: bool = True
) -> None:
    """Take a checked order on: number, pledge, names, and the events that say so.

    ``pledges`` is false for the leg of an OCO whose alternative pledges for both; orders about positions
    stand for themselves.
    """
    special = special_of(order)
    contracting.adopt(state, instrument, order)
    number = OrderNumber(state.last_number + 1)
    state.last_number = number
    order.number = number
    if special.state != OrderState.WORKING:
        use_balances(state, instrument, order)
    if pledges or order.position is not None:
        pledging.pledge(state, order)
    state.add_order(order)
    terms = special.terms
    if terms.expires_ns:
        state.expire_in_time(order)
    out.append(
        OrderAccepted(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=number,
            side=order.side,
            kind=special.kind,
            time_in_force=special.time_in_force,
            limit_ticks=order.price_ticks,
            size_lots=order.size_lots,
            label=order.label,
        )
    )
    if terms != NO_TERMS or special.list_number:
        out.append(
            OrderTermsSet(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=number,
                state=special.state,
                list_number=special.list_number,
                terms=terms,
            )
        )
    if special.leg != Leg.NET or special.reduce_only:
        out.append(
            OrderContractSet(
                account=order.account,
                instrument=order.instrument,
                order=order.order,
                number=number,
                leg=special.leg,
                reduce_only=special.reduce_only,
                close_position=special.close_position,
                liquidation=special.liquidation,
            )
        )


def use_balances(state: State, instrument: Instrument, order: Order) -> None:
    """Open the two balances of a spot order that stays or trades, if its account did not have them yet."""
    if order.position is not None:
        return
    account = state.accounts[order.account]
    base, quote = account.balance(instrument.base), account.balance(instrument.quote)
    order.pledge, order.proceeds = (quote, base) if order.side == _BUY else (base, quote)


def renumber(state: State, order: Order) -> OrderNumber:
    """Give a living order that stands nowhere the next number, and return the one it had."""
    before = order.number
    number = OrderNumber(state.last_number + 1)
    state.last_number = number
    del state.orders[before]
    order.number = number
    state.orders[number] = order
    special = order.special
    if special is not None:
        if special.terms.expires_ns:
            state.expire_in_time(order)
        if special.list_number:
            lists.renumbered(state, order, before)
    return before
