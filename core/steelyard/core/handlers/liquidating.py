"""The liquidation engine: scopes in its queue are closed step by step, one unit of work at a time."""

from typing import Final

from steelyard.core.contracts import equity, steps
from steelyard.core.contracts.fill import settle
from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.contracts.sharing import Winner, share_in_rounds
from steelyard.core.events import (
    AnyEvent,
    DebtTaken,
    FundingPaid,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStepped,
    LossShared,
)
from steelyard.core.handlers import deleveraging, orders
from steelyard.core.handlers.ending import end_order
from steelyard.core.handlers.risk import (
    contract_of,
    forget_silent_wallet,
    judge_touched,
    level_of,
    positions_with_lots,
    scope_of,
    set_level,
)
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.rejects import Reject
from steelyard.core.rounding import mul_div_down
from steelyard.core.state import State
from steelyard.core.units import InstrumentState, LiquidationEnd, LiquidationId, Side

_OPEN: Final = InstrumentState.OPEN
_CURED: Final = LiquidationEnd.CURED


def next_unit(state: State) -> Liquidation | None:
    """Return the first in the queue who can go on, or None.

    Who cannot is looked at again when something of his own has changed (``risk``), or the state of a contract
    that somebody waits for, or its index.
    """
    queue, waited_for = state.liquidations, state.waited_for
    if not queue:
        return None
    for instrument, before, was_stale in waited_for.values():
        if instrument.state is not before or contract_of(instrument).index.is_stale != was_stale:
            waited_for.clear()
            queue.wake_waiting()
            break
    return queue.first(lambda liquidation: can_go_on(state, liquidation))


def do_unit(state: State, liquidation: Liquidation, out: list[AnyEvent]) -> None:
    """Let the engine do one thing to a scope: begin with it, close a part of it, or end.

    Whoever is not done goes to the end of the queue.  Whoever was touched by it is judged.
    """
    scope = scope_of(state, liquidation)
    state.liquidations.append(liquidation)
    instruments = state.markets.instruments
    held = positions_with_lots(scope)
    if not liquidation.has_begun:
        _begin(state, liquidation, scope, held, out)
    elif held:
        _step(state, liquidation, scope, held, out)
    equity_atoms, maintenance_atoms = equity.standing_atoms(scope, instruments)
    had_loss = False
    if not positions_with_lots(scope):
        had_loss = _end_empty(state, liquidation, scope, out)
    elif equity_atoms >= maintenance_atoms:
        _end(state, liquidation, scope, _CURED, out)
    else:
        had_loss = equity_atoms < 0
        state.liquidations.set_below_zero(liquidation, had_loss)
    judge_touched(state, out, looked_at=(liquidation.asset, had_loss))


def can_go_on(state: State, liquidation: Liquidation) -> bool:
    """Return whether there is anything to do for a scope now: not under a stale index.

    If there is not, the contracts in which it has lots are waited for.
    """
    instruments = state.markets.instruments
    held = {
        position.instrument: instruments[position.instrument]
        for position in positions_with_lots(scope_of(state, liquidation))
    }
    if not any(contract_of(instrument).index.is_stale for instrument in held.values()) and (
        not liquidation.has_begun
        or not held
        or any(instrument.state == _OPEN for instrument in held.values())
    ):
        return True
    for number, instrument in held.items():
        if number not in state.waited_for:
            is_stale = contract_of(instrument).index.is_stale
            state.waited_for[number] = (instrument, instrument.state, is_stale)
    return False


def _begin(
    state: State, liquidation: Liquidation, scope: Scope, held: list[Position], out: list[AnyEvent]
) -> None:
    """End a scope's working orders, by number, and settle its positions."""
    liquidation.has_begun = True
    working = [order for position in equity.positions_of(scope) for order in position.orders.values()]
    for order in sorted(working, key=lambda order: order.number):
        if state.orders.get(order.number) is order:
            end_order(state, order, Reject.LIQUIDATED, out)
    for position in held:
        paid_atoms = settle(contract_of(state.markets.instruments[position.instrument]), position)
        if paid_atoms:
            out.append(
                FundingPaid(
                    account=position.account,
                    instrument=position.instrument,
                    leg=position.leg,
                    paid_atoms=paid_atoms,
                )
            )


def _step(
    state: State, liquidation: Liquidation, scope: Scope, held: list[Position], out: list[AnyEvent]
) -> None:
    """Close lots of the position that needs the most margin: in the book, else against opposite positions.

    If the mark has come back meanwhile there is nothing to do.
    """
    equity_atoms, maintenance_atoms = equity.standing_atoms(scope, state.markets.instruments)
    if equity_atoms >= maintenance_atoms:
        return
    closing, position = _largest(state, held, equity_atoms, maintenance_atoms)
    contract, qty_lots = closing.contract, closing.qty_lots
    instrument = state.markets.instruments[position.instrument]
    house = state.ledger.houses[liquidation.asset]
    terms = contract.rules.liquidation
    lots = steps.step_lots(closing)
    bankruptcy_atoms = steps.bankruptcy_atoms(closing, lots)
    house.renew_peak(state.time_ns)
    budget_atoms = steps.budget_atoms(closing, lots, house.insurance_atoms, house.peak_atoms)
    limit_ticks = steps.limit_ticks(
        contract, qty_lots > 0, lots, bankruptcy_atoms - budget_atoms, instrument.price_max_ticks
    )
    side = Side.SELL if qty_lots > 0 else Side.BUY
    liquidation.stepped = position.instrument
    out.append(
        LiquidationStepped(
            liquidation=liquidation.liquidation,
            instrument=position.instrument,
            leg=position.leg,
            side=side,
            lots=lots,
            equity_atoms=closing.equity_atoms,
            maintenance_atoms=closing.maintenance_atoms(0),
            mark_ticks=closing.mark_ticks,
            bankruptcy_atoms=bankruptcy_atoms,
            limit_ticks=limit_ticks,
        )
    )
    traded_lots = received_atoms = notional_atoms = 0
    if limit_ticks:
        traded_lots, received_atoms, notional_atoms = orders.liquidate(
            state, instrument, position, side, lots, limit_ticks, liquidation.liquidation, out
        )
    if traded_lots == 0:
        _step_without_trade(state, liquidation, position, closing, out)
        return
    due_atoms = mul_div_down(bankruptcy_atoms, traded_lots, lots)
    insured_atoms = steps.insured_atoms(
        received_atoms, due_atoms, notional_atoms, terms.penalty_ppm, house.insurance_atoms
    )
    house.insure(insured_atoms, state.time_ns)
    take_from(scope, insured_atoms)
    liquidation.has_closed = True
    if insured_atoms < 0:
        liquidation.had(LiquidationEnd.FUND)
    out.append(
        LiquidationPaid(
            liquidation=liquidation.liquidation,
            account=liquidation.account,
            instrument=position.instrument,
            lots=traded_lots,
            received_atoms=received_atoms,
            bankruptcy_atoms=due_atoms,
            insurance_atoms=insured_atoms,
        )
    )


def _step_without_trade(
    state: State,
    liquidation: Liquidation,
    position: Position,
    closing: steps.Closing,
    out: list[AnyEvent],
) -> None:
    """Wait for another mark while there is equity, else close the position against opposite ones."""
    if closing.equity_atoms > 0 or not deleveraging.deleverage(state, liquidation, position, closing, out):
        state.liquidations.park(liquidation)
        return
    liquidation.has_closed = True
    liquidation.had(LiquidationEnd.ADL)


def _largest(
    state: State, held: list[Position], equity_atoms: int, maintenance_atoms: int
) -> tuple[steps.Closing, Position]:
    """Return the position in an open contract that needs the most margin, the first of equal ones."""
    instruments = state.markets.instruments
    largest: Position | None = None
    largest_atoms = 0
    for position in held:
        instrument = instruments[position.instrument]
        if instrument.state == _OPEN:
            own_atoms = equity.lots_maintenance_atoms(
                contract_of(instrument), position.qty_lots, position.cash_flow_atoms, instrument.mark_ticks
            )
            if largest is None or own_atoms > largest_atoms:
                largest, largest_atoms = position, own_atoms
    assert largest is not None, "a step has lots in an open contract"
    instrument = instruments[largest.instrument]
    closing = steps.Closing(
        contract_of(instrument),
        largest.qty_lots,
        largest.cash_flow_atoms,
        instrument.mark_ticks,
        equity_atoms,
        maintenance_atoms - largest_atoms,
    )
    return closing, largest


def _end_empty(state: State, liquidation: Liquidation, scope: Scope, out: list[AnyEvent]) -> bool:
    """End a scope without lots: what it lacks is borne by the fund and by who has a gain.

    Returns whether BAD_DEBT had to take anything.
    """
    had_debt = False
    cash_atoms = equity.cash_atoms(scope)
    if cash_atoms < 0:
        had_debt = _take_debt(state, liquidation, scope, -cash_atoms, out)
    elif isinstance(scope, Position):
        scope.bucket_atoms = 0
        scope.margin.wallet_atoms += cash_atoms
        state.touched[scope.margin] = None
    _end(state, liquidation, scope, liquidation.end, out)
    return had_debt


def _take_debt(
    state: State, liquidation: Liquidation, scope: Scope, lack_atoms: int, out: list[AnyEvent]
) -> bool:
    """Let INSURANCE pay what a scope lacks, as far as it has it; the rest is shared.

    Returns whether there was a rest.
    """
    house = state.ledger.houses[liquidation.asset]
    insurance_atoms = min(lack_atoms, house.insurance_atoms)
    debt_atoms = lack_atoms - insurance_atoms
    take_from(scope, -lack_atoms)
    house.insure(-insurance_atoms, state.time_ns)
    house.debt_atoms -= debt_atoms
    out.append(
        DebtTaken(
            liquidation=liquidation.liquidation,
            account=liquidation.account,
            asset=liquidation.asset,
            instrument=liquidation.instrument,
            insurance_atoms=insurance_atoms,
            debt_atoms=debt_atoms,
        )
    )
    if insurance_atoms:
        liquidation.had(LiquidationEnd.FUND)
    if debt_atoms:
        liquidation.had(LiquidationEnd.SHARED)
        if liquidation.stepped:
            _share(state, liquidation, debt_atoms, out)
    return debt_atoms != 0


def _share(state: State, liquidation: Liquidation, debt_atoms: int, out: list[AnyEvent]) -> None:
    """Let the positions with a gain in the contract of the last step bear a debt, at most their gain."""
    instrument = state.markets.instruments[liquidation.stepped]
    contract, mark_ticks = contract_of(instrument), instrument.mark_ticks
    winners = [
        Winner(account, leg, gain_atoms)
        for (account, leg), position in contract.positions.items()
        if (gain_atoms := equity.gain_atoms(contract, position, mark_ticks)) > 0
    ]
    for shares in share_in_rounds(debt_atoms, winners):
        for winner, atoms in shares:
            scope = contract.positions[winner.account, winner.leg].scope
            take_from(scope, atoms)
            state.touched[scope] = None
        shared_atoms = sum(atoms for _, atoms in shares)
        state.ledger.houses[liquidation.asset].debt_atoms += shared_atoms
        out.append(
            LossShared(
                liquidation=liquidation.liquidation,
                instrument=liquidation.stepped,
                asset=liquidation.asset,
                debt_atoms=shared_atoms,
                shares=[(winner.account, winner.leg, atoms) for winner, atoms in shares],
            )
        )


def _end(
    state: State, liquidation: Liquidation, scope: Scope, how: LiquidationEnd, out: list[AnyEvent]
) -> None:
    """Let the engine be done with a scope, which stands on the level that its ratio has."""
    equity_atoms, maintenance_atoms = equity.standing_atoms(scope, state.markets.instruments)
    state.liquidations.remove(liquidation.liquidation)
    scope.liquidation = LiquidationId(0)
    out.append(
        LiquidationEnded(
            liquidation=liquidation.liquidation,
            account=liquidation.account,
            asset=liquidation.asset,
            instrument=liquidation.instrument,
            leg=liquidation.leg,
            how=how,
            equity_atoms=equity_atoms,
            maintenance_atoms=maintenance_atoms,
        )
    )
    ratio_ppm = equity.ratio_ppm(equity_atoms, maintenance_atoms)
    set_level(scope, level_of(state, scope, ratio_ppm), ratio_ppm, out)
    state.touched[scope] = None
    if isinstance(scope, Position):
        state.accounts[scope.account].forget_silent(scope)
    forget_silent_wallet(state, scope)


def take_from(scope: Scope, atoms: int) -> None:
    """Take from a scope's wallet or bucket (below zero: give to it)."""
    if isinstance(scope, Margin):
        scope.wallet_atoms -= atoms
    else:
        assert isinstance(scope, Position), scope
        scope.bucket_atoms -= atoms
