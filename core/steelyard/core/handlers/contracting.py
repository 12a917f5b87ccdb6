"""What orders about positions are asked beside all others: their position, their room, their margin."""

from collections.abc import Sequence
from typing import Final

from steelyard.core.accounts import Account
from steelyard.core.commands import OrderTerms, PlaceContractOrder, PlaceOrder
from steelyard.core.contracts import equity, scales
from steelyard.core.handlers import pledging
from steelyard.core.instruments import Instrument
from steelyard.core.limits import ORDERS_PER_POSITION_MAX, POSITIONS_PER_MARGIN_MAX
from steelyard.core.matching import Margin, Order, Position
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    Leg,
    OrderKind,
    OrderState,
    PriceSource,
    RiskLevel,
    Side,
)

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_NET: Final = Leg.NET
_WORKING: Final = OrderState.WORKING
_CRITICAL: Final = RiskLevel.CRITICAL
_LIQUIDATING: Final = RiskLevel.LIQUIDATING
#: The switch of all accounts and instruments.
_ALL: Final = (AccountId(0), InstrumentId(0))


def notional_atoms(instrument: Instrument, price_ticks: int, lots: int) -> int:
    """Return the notional of lots at a price; of none if there is no price (zero)."""
    contract = instrument.contract
    if contract is None:
        return price_ticks * lots * instrument.tick_lot_atoms
    return scales.notional_atoms(contract, price_ticks, lots) if price_ticks else 0


# --- before there is an order -------------------------------------------------------------------------------


def is_malformed(command: PlaceOrder, terms: OrderTerms) -> bool:
    """Return whether what an order says about its position makes no sense, whatever the state is."""
    if not isinstance(command, PlaceContractOrder) or not command.close_position:
        return False
    return (
        terms.trigger is None
        or command.size_lots != 0
        or command.reduce_only
        or command.kind == OrderKind.LIMIT
    )


def is_off(state: State, account: AccountId) -> bool:
    """Return whether new orders of an account, or of all, are switched off."""
    switches = state.kill_switches
    return bool(switches) and ((account, InstrumentId(0)) in switches or _ALL in switches)


def is_off_in(state: State, instrument: InstrumentId) -> bool:
    """Return whether new orders in an instrument are switched off."""
    return (AccountId(0), instrument) in state.kill_switches


def is_other_kind(instrument: Instrument, command: PlaceOrder, terms: OrderTerms) -> bool:
    """Return whether an order says what only an instrument of the other kind takes."""
    if instrument.contract is not None:
        return terms.budget_atoms != 0
    on_index = terms.trigger is not None and terms.trigger_source == PriceSource.INDEX
    return on_index or isinstance(command, PlaceContractOrder)


def leg_of(command: PlaceOrder) -> Leg:
    """Return which position an order is about."""
    return command.leg if isinstance(command, PlaceContractOrder) else _NET


def has_leg(instrument: Instrument, account: Account, leg: Leg) -> bool:
    """Return whether the account's mode in the instrument knows that leg; spot has no positions."""
    contract = instrument.contract
    if contract is None:
        return True
    margin = account.margins.get(contract.settle)
    hedged = margin is not None and instrument.instrument in margin.hedged
    return (leg != _NET) == hedged


def position_of(instrument: Instrument, account: Account, leg: Leg) -> Position | None:
    """Return the account's position, or an empty one that nobody knows if it has none; None for spot."""
    contract = instrument.contract
    if contract is None:
        return None
    margin = account.margins.get(contract.settle) or Margin(account.account, contract.settle)
    name = (instrument.instrument, leg)
    return margin.positions.get(name) or Position(margin, instrument.instrument, leg, 0)


def crowd_fault(position: Position, before: Sequence[Order] = ()) -> Reject | None:
    """Return why a position can have no more working orders, or its margin no more positions, or None.

    ``before`` are drafts in the same instrument that count as living orders.
    """
    legs = [order.position.leg for order in before if order.position is not None and begins(order)]
    if len(position.orders) + legs.count(position.leg) >= ORDERS_PER_POSITION_MAX:
        return Reject.TOO_MANY_ORDERS
    known = dict.fromkeys(position.margin.positions)
    for order in before:
        if order.position is not None:
            known[order.instrument, order.position.leg] = None
    is_known = (position.instrument, position.leg) in known
    return Reject.TOO_MANY_POSITIONS if not is_known and len(known) >= POSITIONS_PER_MARGIN_MAX else None


def describe(order: Order, command: PlaceOrder, position: Position) -> None:
    """Let a drafted order know its position and what it says about it."""
    order.position = position
    special = order.special
    assert special is not None, order.order
    special.leg = position.leg
    against = _SELL if position.leg == Leg.LONG else _BUY
    special.reduce_only = position.leg != _NET and order.side == against
    if isinstance(command, PlaceContractOrder):
        special.close_position = command.close_position
        special.reduce_only |= command.reduce_only or command.close_position


def adopt(state: State, instrument: Instrument, order: Order) -> None:
    """Let the account know the position of an order that is taken on."""
    contract, position = instrument.contract, order.position
    if contract is not None and position is not None:
        margin = state.accounts[order.account].margin(contract.settle)
        order.position = margin.position(order.instrument, position.leg)


# --- reduce-only --------------------------------------------------------------------------------------------


def room_lots(order: Order, position: Position) -> int:
    """Return how many lots a reduce-only order may have open beside the other ones of its position."""
    qty_lots = position.qty_lots if order.side == _SELL else -position.qty_lots
    if qty_lots <= 0:
        return 0
    others_lots = abs(position.reducing_lots)
    standing = position.orders.get(order.order)
    if standing is not None and standing.is_reduce_only:
        others_lots -= standing.open_lots
    return qty_lots - others_lots


def cut(order: Order) -> None:
    """Give a reduce-only order that begins to work no more lots than there is room for, if there is any."""
    position, special = order.position, order.special
    if position is None or special is None or not special.reduce_only or not begins(order):
        return
    room = room_lots(order, position)
    if room and (special.close_position or order.open_lots > room):
        order.size_lots = order.open_lots = room


def room_fault(order: Order) -> Reject | None:
    """Return ``REDUCE_ONLY_NOTHING`` if a reduce-only order that begins to work has no room, or None."""
    position = order.position
    if position is None or not order.is_reduce_only or not begins(order):
        return None
    room = room_lots(order, position)
    return Reject.REDUCE_ONLY_NOTHING if room == 0 or order.open_lots > room else None


def reduces(order: Order, position: Position) -> bool:
    """Return whether an order that is not in the book would not let the position become larger there."""
    if order.is_reduce_only:
        return True
    lots = order.open_lots
    buys, sells = (lots, 0) if order.side == _BUY else (0, lots)
    return equity.worst_lots(position, buys, sells) == equity.worst_lots(position)


# --- price and margin ---------------------------------------------------------------------------------------


def reference_fault(instrument: Instrument, order: Order) -> Reject | None:
    """Return ``NO_REFERENCE_PRICE`` if an order about a position cannot be measured now, or None."""
    contract, position = instrument.contract, order.position
    if contract is None or position is None:
        return None
    is_blind = instrument.mark_ticks == 0 or (contract.index.is_stale and not reduces(order, position))
    return Reject.NO_REFERENCE_PRICE if is_blind else None


def fix_pledge(instrument: Instrument, order: Order) -> None:
    """Work out what a lot of an order about a position may cost in fees, or pledges if it is isolated."""
    contract, position, special = instrument.contract, order.position, order.special
    assert contract is not None, order.order
    assert position is not None, order.order
    assert special is not None, order.order
    limit_ticks = order.price_ticks
    if limit_ticks == 0 or (position.is_isolated and special.reduce_only):
        order.lot_pledge_atoms = 0
    elif position.is_isolated:
        opposite = _SELL if order.side == _BUY else _BUY
        order.lot_pledge_atoms = equity.isolated_pledge_atoms(
            contract,
            position,
            order.side,
            order.open_lots,
            limit_ticks,
            instrument.book.best_ticks(opposite) or 0,
            instrument.mark_ticks,
            special.cap_ppm,
        )
    else:
        order.lot_pledge_atoms = equity.lot_fee_atoms(contract, limit_ticks, special.cap_ppm)


def funds_fault(state: State, instrument: Instrument, order: Order) -> Reject | None:
    """Return why the account cannot pay for an order that has passed all other checks, or None.

    Nobody asks an order about a position before it begins to work.
    """
    position = order.position
    if position is None:
        return Reject.INSUFFICIENT_FUNDS if pledging.lacks_funds(order) else None
    return _margin_fault(state, instrument, order, position) if begins(order) else None


def _margin_fault(state: State, instrument: Instrument, order: Order, position: Position) -> Reject | None:
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    level = position.scope.level
    is_reducing = reduces(order, position)
    if level == _LIQUIDATING or (level == _CRITICAL and not is_reducing):
        return Reject.RISK_LEVEL
    if not is_reducing:
        buys, sells = (order.open_lots, 0) if order.side == _BUY else (0, order.open_lots)
        if equity.worst_lots(position, buys, sells) > contract.rules.position_max_lots:
            return Reject.POSITION_LIMIT
        if contract.open_interest_lots + order.open_lots > contract.rules.open_interest_max_lots:
            return Reject.OPEN_INTEREST_LIMIT
    # What is isolated and not reduce-only pledges its margin, its loss and its fee, whatever it does.
    only_reduces = order.is_reduce_only or (is_reducing and not position.is_isolated)
    is_covered = _covers_reduction if only_reduces else _covers_growth
    return None if is_covered(state, instrument, order, position) else Reject.INSUFFICIENT_MARGIN


def _covers_growth(state: State, instrument: Instrument, order: Order, position: Position) -> bool:
    """Return whether margin is left with the order in the book at its limit."""
    marks = state.markets.instruments
    if position.is_isolated:
        return order.open_lots * order.lot_pledge_atoms <= equity.withdrawable_atoms(position.margin, marks)
    available_atoms = equity.available_with_atoms(
        position.margin,
        marks,
        position,
        order.side,
        order.open_lots,
        order.price_ticks,
        order.lot_pledge_atoms,
    )
    return available_atoms >= 0


def _covers_reduction(state: State, instrument: Instrument, order: Order, position: Position) -> bool:
    """Return whether the scope can pay fees and open losses with an order that reduces in the book.

    A market order's limit is moved towards the mark for that, as far as need be: nobody sells so far below
    the mark, or buys so far above it, that the insurance fund would pay for it.
    """
    contract, special = instrument.contract, order.special
    assert contract is not None, instrument.instrument
    assert special is not None, order.order
    marks, scope = state.markets.instruments, position.scope
    lots, limit_ticks, mark_ticks = order.open_lots, order.price_ticks, instrument.mark_ticks
    left_atoms = equity.equity_atoms(scope, marks) - equity.open_losses_atoms(scope, marks)
    if limit_ticks == 0:
        return left_atoms >= 0
    fee_atoms = equity.lot_fee_atoms(contract, limit_ticks, special.cap_ppm)
    if special.kind == OrderKind.LIMIT:
        loss_atoms = equity.order_loss_atoms(contract, order.side, lots, limit_ticks, mark_ticks)
        return left_atoms >= lots * fee_atoms + loss_atoms
    left_atoms -= lots * max(fee_atoms, equity.lot_fee_atoms(contract, mark_ticks, special.cap_ppm))
    if left_atoms < 0:
        return False
    last_ticks = equity.affordable_ticks(contract, order.side, lots, mark_ticks, left_atoms)
    nearer_ticks = max(limit_ticks, last_ticks)
    if order.side == _BUY:
        nearer_ticks = min(limit_ticks, last_ticks or limit_ticks)
    if nearer_ticks != limit_ticks:
        order.price_ticks = nearer_ticks
        fix_pledge(instrument, order)
    return True


def begins(order: Order) -> bool:
    """Return whether an order works as soon as it has been checked."""
    special = order.special
    return special is None or special.state == _WORKING
