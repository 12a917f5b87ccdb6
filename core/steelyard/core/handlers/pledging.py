"""What an order sets aside so that whatever it trades can be paid for: moved here, and nowhere else.

A spot order holds funds of its account from its acceptance on.  An order about a position holds nothing of
that kind: while it works its position counts it, and an isolated position holds its pledge out of the margin
wallet.  Of such a list each order stands for itself as soon as it works.
"""

from typing import Final

from steelyard.core.matching import Order, Position
from steelyard.core.state import State
from steelyard.core.units import OrderState, Side

_BUY: Final = Side.BUY
_WORKING: Final = OrderState.WORKING


def lacks_funds(order: Order) -> bool:
    """Return whether the account cannot pledge for a spot order that has passed all other checks."""
    if order.position is not None:
        return False
    special = order.special
    sells_by_budget = special is not None and special.terms.budget_atoms > 0 and order.side == Side.SELL
    if sells_by_budget and order.open_lots == 0:
        return True
    return order.pledge.free_atoms < order.pledged_atoms


def pledge(state: State, order: Order) -> None:
    """Set aside what a living order needs from now on."""
    if order.position is None:
        order.pledge.hold(order.pledged_atoms)
    else:
        count(order)
        _touch(state, order)


def unpledge(state: State, order: Order) -> None:
    """Give back everything that is still set aside for an order."""
    if order.position is None:
        order.pledge.release(order.pledged_atoms)
    else:
        uncount(order)
        _touch(state, order)


def repledge(state: State, order: Order, pledged_atoms: int) -> None:
    """Let a triggered order begin to work; a spot order keeps what it needs of ``pledged_atoms``."""
    if order.position is None:
        order.pledge.release(pledged_atoms - order.pledged_atoms)
    else:
        pledge(state, order)


def exchange(payer: Order, needed_atoms: int) -> None:
    """Hold ``needed_atoms`` for a spot order in place of what it has pledged."""
    if payer.position is None:
        payer.pledge.release(payer.pledged_atoms)
        payer.pledge.hold(needed_atoms)


def take_over(order: Order, other: Order, *, holds: bool) -> None:
    """Let what two spot orders hold, if the other one ``holds`` it, pay for the first alone."""
    if order.position is None:
        if holds:
            other.pledge.release(other.pledged_atoms - order.pledged_atoms)
        other.lot_pledge_atoms = 0


def unpledge_lots(state: State, order: Order, lots: int, notional_atoms: int) -> None:
    """Give back what is set aside for lots that an order will not trade, before it loses them."""
    position = order.position
    if position is not None:
        position.lose(order, lots)
        if position.is_isolated:
            _hold(position, -lots * order.lot_pledge_atoms)
            _touch(state, order)
    elif order.special is not None and order.special.terms.budget_atoms and order.side == _BUY:
        order.special.budget_atoms -= notional_atoms
        order.pledge.release(notional_atoms)
    else:
        order.pledge.release(lots * order.lot_pledge_atoms)


def count(order: Order) -> None:
    """Let its position know an order, if that works, and hold its pledge if it is isolated.

    ``uncount`` takes it back exactly.
    """
    position = order.position
    if position is None or (order.special is not None and order.special.state != _WORKING):
        return
    position.begin(order)
    if position.is_isolated:
        _hold(position, order.open_lots * order.lot_pledge_atoms)


def uncount(order: Order) -> None:
    """Let its position forget an order, if it knows it as working, and give its pledge back."""
    position = order.position
    if position is None or position.orders.get(order.order) is not order:
        return
    position.end(order)
    if position.is_isolated:
        _hold(position, -order.open_lots * order.lot_pledge_atoms)


def recount(state: State, order: Order) -> None:
    """Let its position know an order that has been amended, after it was taken out with ``uncount``."""
    count(order)
    _touch(state, order)


def touch(state: State, position: Position) -> None:
    """Have everything judged whose money a change of a position may have moved."""
    state.touched[position.margin] = None
    if position.is_isolated:
        state.touched[position] = None


def _hold(position: Position, atoms: int) -> None:
    """Move from the margin wallet to what an isolated position holds (below zero: back)."""
    position.margin.wallet_atoms -= atoms
    position.held_atoms += atoms
    assert position.held_atoms >= 0, (position.account, position.instrument, position.held_atoms)


def _touch(state: State, order: Order) -> None:
    """Have a margin wallet judged out of which, or into which, a pledge has moved."""
    position = order.position
    if position is not None and position.is_isolated:
        state.touched[position.margin] = None
