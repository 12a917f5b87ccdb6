"""What a scope is worth at the marks, what it needs, and what of it is free.

A scope is a margin wallet with its account's cross positions of that asset, or one isolated position.  A
position without lots and orders needs no mark.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import owed_atoms
from steelyard.core.contracts.scales import mark_notional_atoms, value_atoms
from steelyard.core.contracts.schedule import initial_atoms as scheduled_initial_atoms
from steelyard.core.contracts.schedule import maintenance_atoms as scheduled_maintenance_atoms
from steelyard.core.contracts.schedule import marginal_rate_ppm, scaled_rate_ppm
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.rounding import mul_div_down, mul_div_up, ppm_up
from steelyard.core.units import PPM, ContractKind, InstrumentId, RiskLevel, Side

_LINEAR: Final = ContractKind.LINEAR
_BUY: Final = Side.BUY
_DANGER: Final = RiskLevel.DANGER

#: What leaves a margin wallet leaves this share of the positions' notional behind.
_STAYING_PPM: Final = 100_000

#: The ratio of who needs margin and has no equity; nobody has a higher one.
RATIO_MAX_PPM: Final = 1_000_000_000


class Priced(Protocol):
    """What of an instrument is asked here: its contract and its mark (zero: none yet)."""

    @property
    def contract(self) -> Contract | None:
        """The contract; None for spot."""

    @property
    def mark_ticks(self) -> int:
        """The mark."""


#: Where a position's instrument is found.
Marks = Mapping[InstrumentId, Priced]


# --- one position -----------------------------------------------------------------------------------------


def gain_atoms(contract: Contract, position: Position, mark_ticks: int) -> int:
    """Return a position's PnL at the mark: ``value(q, mark) + cash_flow``; what funding owes is not in it."""
    return value_atoms(contract, position.qty_lots, mark_ticks) + position.cash_flow_atoms


def lots_maintenance_atoms(contract: Contract, qty_lots: int, cash_flow_atoms: int, mark_ticks: int) -> int:
    """Return the maintenance margin of signed lots with this cash flow at the mark."""
    terms = contract.rules.margin
    lots = abs(qty_lots)
    if terms.at_entry:
        return scheduled_maintenance_atoms(terms, abs(cash_flow_atoms), lots)
    return scheduled_maintenance_atoms(terms, mark_notional_atoms(contract, lots, mark_ticks), lots)


def lots_initial_atoms(contract: Contract, lots: int, mark_ticks: int, leverage: int) -> int:
    """Return the initial margin of ``lots >= 0`` lots at the mark with a leverage (zero: none chosen)."""
    terms = contract.rules.margin
    longs_atoms = 0
    if terms.open_interest_high_atoms:
        longs_atoms = mark_notional_atoms(contract, contract.open_interest_lots, mark_ticks)
    notional = mark_notional_atoms(contract, lots, mark_ticks)
    return scheduled_initial_atoms(terms, notional, lots, leverage, longs_atoms)


def worst_lots(position: Position, more_buy_lots: int = 0, more_sell_lots: int = 0) -> int:
    """Return the most lots that the position may come to by its orders that are not reduce-only.

    ``max(|q + open_buy_lots|, |q - open_sell_lots|)``; with these lots of further orders.
    """
    buys = position.open_buy_lots + more_buy_lots
    sells = position.open_sell_lots + more_sell_lots
    return max(position.qty_lots + buys, sells - position.qty_lots)


def order_loss_atoms(contract: Contract, side: Side, lots: int, limit_ticks: int, mark_ticks: int) -> int:
    """Return what an order's open lots would lose at once if they traded at the limit, at least zero.

    Without a limit (zero: a market order that meets nobody) it trades nothing and loses nothing.
    """
    if limit_ticks == 0:
        return 0
    if contract.kind is _LINEAR:
        worse_ticks = limit_ticks - mark_ticks if side is _BUY else mark_ticks - limit_ticks
        return worse_ticks * lots * contract.scale if worse_ticks > 0 else 0
    dear_ticks, cheap_ticks = (mark_ticks, limit_ticks) if side is _BUY else (limit_ticks, mark_ticks)
    scale = contract.scale
    return max(0, mul_div_up(lots, scale, dear_ticks) - mul_div_down(lots, scale, cheap_ticks))


def open_loss_atoms(contract: Contract, position: Position, mark_ticks: int) -> int:
    """Return what a position's working orders would lose at once at their limits.

    Of an isolated position those that are reduce-only: the others have pledged what they may lose.  Looks
    through the orders only if one of them may stand on the losing side of the mark.
    """
    if position.is_isolated:
        return _reducing_loss_atoms(contract, position, mark_ticks) if position.reducing_lots else 0
    buys_may_lose = position.open_buy_lots and position.buy_high_ticks > mark_ticks
    sells_may_lose = position.open_sell_lots and position.sell_low_ticks < mark_ticks
    if contract.kind is not _LINEAR:
        # Near the mark the two roundings may make an atom of nothing; a whole lot away they cannot.
        scale = contract.scale
        high_ticks, low_ticks = position.buy_high_ticks, position.sell_low_ticks
        buys_may_lose = position.open_buy_lots and scale * (mark_ticks - high_ticks) < high_ticks * mark_ticks
        sells_may_lose = position.open_sell_lots and scale * (low_ticks - mark_ticks) < low_ticks * mark_ticks
    if not (buys_may_lose or sells_may_lose):
        return _reducing_loss_atoms(contract, position, mark_ticks) if position.reducing_lots else 0
    return sum(
        order_loss_atoms(contract, order.side, order.open_lots, order.price_ticks, mark_ticks)
        for order in position.orders.values()
    )


def _reducing_loss_atoms(contract: Contract, position: Position, mark_ticks: int) -> int:
    """Return the open loss of a position's reduce-only orders."""
    return sum(
        order_loss_atoms(contract, order.side, order.open_lots, order.price_ticks, mark_ticks)
        for order in position.orders.values()
        if order.is_reduce_only
    )


def affordable_ticks(contract: Contract, side: Side, lots: int, mark_ticks: int, loss_atoms: int) -> int:
    """Return the last price at which ``lots`` lots lose at most ``loss_atoms >= 0`` against the mark.

    For a sell the lowest price, for a buy the highest; of an inverse contract a buy may have none, and then
    it is zero.
    """
    scale = contract.scale
    if contract.kind is _LINEAR:
        away_ticks = mul_div_down(loss_atoms, 1, lots * scale)
        return mark_ticks + away_ticks if side is _BUY else mark_ticks - away_ticks
    if side is not _BUY:
        return mul_div_up(lots, scale, loss_atoms + mul_div_down(lots, scale, mark_ticks))
    least_atoms = mul_div_up(lots, scale, mark_ticks) - loss_atoms
    return mul_div_down(lots, scale, least_atoms) if least_atoms > 0 else 0


def lot_notional_atoms(contract: Contract, price_ticks: int) -> int:
    """Return the notional of one lot, rounded up."""
    if contract.kind is _LINEAR:
        return price_ticks * contract.scale
    return mul_div_up(contract.scale, 1, price_ticks)


def lot_fee_atoms(contract: Contract, price_ticks: int, cap_ppm: int) -> int:
    """Return what a lot may cost in fees at a price: a cross order's ``lot_pledge_atoms`` at its limit."""
    return ppm_up(lot_notional_atoms(contract, price_ticks), cap_ppm)


def isolated_pledge_atoms(
    contract: Contract,
    position: Position,
    side: Side,
    lots: int,
    limit_ticks: int,
    opposite_ticks: int,
    mark_ticks: int,
    cap_ppm: int,
) -> int:
    """Return what an isolated order that is not reduce-only pledges per lot: margin, open loss and fee.

    ``opposite_ticks`` is the best opposite price, zero if nobody is there.  The margin is that of one lot at
    the limit, there or at the mark, wherever the notional is largest, at the highest of: the chosen
    leverage's rate (rounded up), the initial rate of the tier that the position would be in with the order
    (with a slope: the rate of its last lot), and that of the open interest.
    """
    terms = contract.rules.margin
    dearest = max if contract.kind is _LINEAR else min
    price_ticks = dearest(limit_ticks, mark_ticks, opposite_ticks or limit_ticks)
    worst = worst_lots(position, lots if side is _BUY else 0, lots if side is not _BUY else 0)
    rate_ppm = marginal_rate_ppm(terms, mark_notional_atoms(contract, worst, mark_ticks), worst)
    if position.leverage:
        leverage_ppm = mul_div_up(PPM, 1, position.leverage)
        rate_ppm = max(rate_ppm, leverage_ppm)
    if terms.open_interest_high_atoms:
        longs_atoms = mark_notional_atoms(contract, contract.open_interest_lots, mark_ticks)
        rate_ppm = max(rate_ppm, scaled_rate_ppm(terms, longs_atoms))
    return (
        ppm_up(lot_notional_atoms(contract, price_ticks), rate_ppm)
        + order_loss_atoms(contract, side, 1, limit_ticks, mark_ticks)
        + lot_fee_atoms(contract, price_ticks, cap_ppm)
    )


# --- a scope ----------------------------------------------------------------------------------------------


def positions_of(scope: Scope) -> Iterable[Position]:
    """Return the positions of a scope: the isolated one, or the cross positions of a wallet."""
    if isinstance(scope, Margin):
        return (position for position in scope.positions.values() if not position.is_isolated)
    assert isinstance(scope, Position), scope
    return (scope,)


def cash_atoms(scope: Scope) -> int:
    """Return what a scope has beside its positions: the wallet, or the bucket."""
    if isinstance(scope, Margin):
        return scope.wallet_atoms
    assert isinstance(scope, Position), scope
    return scope.bucket_atoms


def equity_atoms(scope: Scope, marks: Marks) -> int:
    """Return what a scope is worth: wallet or bucket, and PnL less unsettled funding of its positions."""
    atoms = cash_atoms(scope)
    for position in positions_of(scope):
        if position.qty_lots:
            contract, mark_ticks = _priced(marks, position)
            atoms += gain_atoms(contract, position, mark_ticks) - owed_atoms(contract, position)
    return atoms


def maintenance_atoms(scope: Scope, marks: Marks) -> int:
    """Return the maintenance margin of a scope, the sum over its positions."""
    atoms = 0
    for position in positions_of(scope):
        if position.qty_lots:
            contract, mark_ticks = _priced(marks, position)
            atoms += lots_maintenance_atoms(contract, position.qty_lots, position.cash_flow_atoms, mark_ticks)
    return atoms


def standing_atoms(scope: Scope, marks: Marks) -> tuple[int, int]:
    """Return (equity, maintenance margin) of a scope, in one pass."""
    equity, maintenance = cash_atoms(scope), 0
    positions = scope.positions.values() if isinstance(scope, Margin) else positions_of(scope)
    for position in positions:
        qty_lots = position.qty_lots
        if qty_lots and (position is scope or not position.is_isolated):
            worth, needed = position_standing_atoms(*_priced(marks, position), position)
            equity += worth
            maintenance += needed
    return equity, maintenance


def position_standing_atoms(contract: Contract, mark_ticks: int, position: Position) -> tuple[int, int]:
    """Return (PnL less unsettled funding, maintenance margin) of a position with lots at the mark.

    Written out, for it is asked of everybody whom a fill or a mark concerns.
    """
    qty_lots, cash_flow = position.qty_lots, position.cash_flow_atoms
    lots = abs(qty_lots)
    if contract.kind == _LINEAR:
        worth = qty_lots * mark_ticks * contract.scale
        notional = abs(worth)
    else:
        worth = mul_div_down(-qty_lots, contract.scale, mark_ticks)
        notional = mul_div_up(lots, contract.scale, mark_ticks)
    worth += cash_flow
    if position.settled_nanoatoms != contract.cumulative_nanoatoms:
        worth -= owed_atoms(contract, position)
    terms = contract.rules.margin
    if terms.at_entry:
        notional = abs(cash_flow)
    return worth, scheduled_maintenance_atoms(terms, notional, lots)


def ratio_ppm(equity: int, maintenance: int) -> int:
    """Return ``floor(maintenance * 10**6 / equity)``, at most ``RATIO_MAX_PPM``.

    That is also the ratio of an equity below zero, and of one of zero that needs margin; nothing and no need
    make zero.
    """
    if equity > 0:
        return min(mul_div_down(maintenance, PPM, equity), RATIO_MAX_PPM)
    return RATIO_MAX_PPM if equity < 0 or maintenance > 0 else 0


def open_losses_atoms(scope: Scope, marks: Marks) -> int:
    """Return the open loss of all orders of a scope; see ``open_loss_atoms``."""
    return sum(
        open_loss_atoms(*_priced_position(marks, position))
        for position in positions_of(scope)
        if position.open_buy_lots or position.open_sell_lots or position.reducing_lots
    )


def used_atoms(margin: Margin, marks: Marks) -> int:
    """Return what a wallet's cross positions and their orders use: initial margin, open loss and fees."""
    used = 0
    for position in margin.positions.values():
        if not position.is_isolated and (
            position.qty_lots or position.open_buy_lots or position.open_sell_lots
        ):
            contract, mark_ticks = _priced(marks, position)
            used += (
                lots_initial_atoms(contract, worst_lots(position), mark_ticks, position.leverage)
                + open_loss_atoms(contract, position, mark_ticks)
                + position.fees_atoms
            )
    return used


def available_atoms(margin: Margin, marks: Marks) -> int:
    """Return ``equity - used`` of a wallet with its cross positions and orders."""
    atoms = margin.wallet_atoms
    for position in margin.positions.values():
        if not position.is_isolated:
            buys, sells = position.open_buy_lots, position.open_sell_lots
            if buys or sells or position.qty_lots:
                contract, mark_ticks = _priced(marks, position)
                atoms += _slack_atoms(contract, position, mark_ticks, buys, sells)
                atoms -= open_loss_atoms(contract, position, mark_ticks) + position.fees_atoms
    return atoms


def available_with_atoms(
    margin: Margin,
    marks: Marks,
    position: Position,
    side: Side,
    lots: int,
    limit_ticks: int,
    lot_pledge_atoms: int,
) -> int:
    """Return what ``available_atoms`` would be with one more cross order in the book, changing nothing.

    ``position`` is that of the order; the margin need not know it yet.  The order is not reduce-only, has
    ``lots`` open lots, and each of them may cost ``lot_pledge_atoms`` in fees.
    """
    contract, mark_ticks = _priced(marks, position)
    buys, sells = position.open_buy_lots, position.open_sell_lots
    atoms = margin.wallet_atoms - position.fees_atoms - lots * lot_pledge_atoms
    if buys or sells or position.reducing_lots:
        atoms -= open_loss_atoms(contract, position, mark_ticks)
    if side is _BUY:
        buys += lots
    else:
        sells += lots
    atoms -= order_loss_atoms(contract, side, lots, limit_ticks, mark_ticks)
    atoms += _slack_atoms(contract, position, mark_ticks, buys, sells)
    for other in margin.positions.values():
        if other is not position and not other.is_isolated:
            buys, sells = other.open_buy_lots, other.open_sell_lots
            if buys or sells or other.qty_lots:
                contract, mark_ticks = _priced(marks, other)
                atoms += _slack_atoms(contract, other, mark_ticks, buys, sells)
                atoms -= open_loss_atoms(contract, other, mark_ticks) + other.fees_atoms
    return atoms


def withdrawable_atoms(margin: Margin, marks: Marks, more_atoms: int = 0) -> int:
    """Return what may leave a margin wallet if it had ``more_atoms`` more; unrealised profit does not.

    ``max(0, min(wallet, equity) - max(used, ceil(10 % of the notional)))``, and nothing from DANGER on.
    Without cross lots and orders it is the wallet.
    """
    wallet = margin.wallet_atoms + more_atoms
    equity, used, notional, is_empty = wallet, 0, 0, True
    for position in margin.positions.values():
        if not position.is_isolated and (
            position.qty_lots or position.open_buy_lots or position.open_sell_lots
        ):
            is_empty = False
            contract, mark_ticks = _priced(marks, position)
            equity += gain_atoms(contract, position, mark_ticks) - owed_atoms(contract, position)
            used += (
                lots_initial_atoms(contract, worst_lots(position), mark_ticks, position.leverage)
                + open_loss_atoms(contract, position, mark_ticks)
                + position.fees_atoms
            )
            notional += mark_notional_atoms(contract, abs(position.qty_lots), mark_ticks)
    if is_empty:
        return max(0, wallet)
    if margin.level >= _DANGER:
        return 0
    staying_atoms = max(used, ppm_up(notional, _STAYING_PPM))
    return max(0, min(wallet, equity) - staying_atoms)


def _slack_atoms(contract: Contract, position: Position, mark_ticks: int, buys: int, sells: int) -> int:
    """Return PnL less unsettled funding and less the initial margin of the worst lots with these open lots.

    Written out, for it is asked with every order and every fill of a contract.
    """
    qty_lots = position.qty_lots
    worst = max(qty_lots + buys, sells - qty_lots)
    if contract.kind is _LINEAR:
        lot_atoms = mark_ticks * contract.scale
        notional = worst * lot_atoms
        atoms = qty_lots * lot_atoms + position.cash_flow_atoms
    else:
        notional = mul_div_up(worst, contract.scale, mark_ticks)
        atoms = mul_div_down(-qty_lots, contract.scale, mark_ticks) + position.cash_flow_atoms
    if position.settled_nanoatoms != contract.cumulative_nanoatoms:
        atoms -= owed_atoms(contract, position)
    terms = contract.rules.margin
    longs_atoms = 0
    if terms.open_interest_high_atoms:
        longs_atoms = mark_notional_atoms(contract, contract.open_interest_lots, mark_ticks)
    return atoms - scheduled_initial_atoms(terms, notional, worst, position.leverage, longs_atoms)


def _priced(marks: Marks, position: Position) -> tuple[Contract, int]:
    """Return the contract of a position with lots or orders, and its mark."""
    instrument = marks[position.instrument]
    contract, mark_ticks = instrument.contract, instrument.mark_ticks
    assert contract is not None, position.instrument
    assert mark_ticks > 0, position.instrument
    return contract, mark_ticks


def _priced_position(marks: Marks, position: Position) -> tuple[Contract, Position, int]:
    contract, mark_ticks = _priced(marks, position)
    return contract, position, mark_ticks
