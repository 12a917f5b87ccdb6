"""What is asked about an account's margin wallets and positions."""

from steelyard.core.accounts import Account
from steelyard.core.contracts import equity
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import owed_atoms
from steelyard.core.contracts.liquidation_price import liquidation_price
from steelyard.core.matching import Margin, Position
from steelyard.core.queries.answers import MarginInfo, PositionInfo
from steelyard.core.rounding import mul_div_half_up
from steelyard.core.state import State
from steelyard.core.units import ContractKind, MarginMode


def margins(state: State, account: Account) -> list[MarginInfo]:
    """Return how an account's margin wallets stand, by asset."""
    return [_margin(state, margin) for _, margin in sorted(account.margins.items())]


def positions(state: State, account: Account) -> list[PositionInfo]:
    """Return an account's positions that have lots, orders or terms of their own, by contract and leg."""
    known = [position for margin in account.margins.values() for position in margin.positions.values()]
    known.sort(key=lambda position: (position.instrument, position.leg))
    return [_position(state, position) for position in known]


def entry(contract: Contract, position: Position) -> tuple[int, int]:
    """Return the mean price of a position's lots in ticks as (numerator, denominator); (0, 1) without lots.

    Linear ``|cash_flow| / (|q| * k)``, inverse ``|q| * S / |cash_flow|``.
    """
    lots_atoms, cash_atoms = abs(position.qty_lots) * contract.scale, abs(position.cash_flow_atoms)
    if contract.kind == ContractKind.LINEAR:
        return (cash_atoms, lots_atoms) if lots_atoms else (0, 1)
    return (lots_atoms, cash_atoms) if cash_atoms else (0, 1)


def _margin(state: State, margin: Margin) -> MarginInfo:
    marks = state.markets.instruments
    worth_atoms, needed_atoms = equity.standing_atoms(margin, marks)
    used_atoms = equity.used_atoms(margin, marks)
    return MarginInfo(
        asset=margin.asset,
        wallet_atoms=margin.wallet_atoms,
        equity_atoms=worth_atoms,
        maintenance_atoms=needed_atoms,
        used_atoms=used_atoms,
        available_atoms=worth_atoms - used_atoms,
        withdrawable_atoms=equity.withdrawable_atoms(margin, marks),
        level=margin.level,
        ratio_ppm=equity.ratio_ppm(worth_atoms, needed_atoms),
        liquidation=margin.liquidation,
    )


def _position(state: State, position: Position) -> PositionInfo:
    marks = state.markets.instruments
    instrument = marks[position.instrument]
    contract, mark_ticks = instrument.contract, instrument.mark_ticks
    assert contract is not None, position.instrument
    scope, qty_lots = position.scope, position.qty_lots
    numerator, denominator = entry(contract, position)
    liquidated = liquidation_price(position, marks)
    return PositionInfo(
        instrument=position.instrument,
        leg=position.leg,
        margin=MarginMode.ISOLATED if position.is_isolated else MarginMode.CROSS,
        hedge=position.instrument in position.margin.hedged,
        leverage=position.leverage,
        qty_lots=qty_lots,
        cash_flow_atoms=position.cash_flow_atoms,
        entry_numerator=numerator,
        entry_denominator=denominator,
        entry_ticks=mul_div_half_up(numerator, 1, denominator),
        mark_ticks=mark_ticks,
        pnl_atoms=equity.gain_atoms(contract, position, mark_ticks),
        unsettled_atoms=owed_atoms(contract, position),
        maintenance_atoms=equity.lots_maintenance_atoms(
            contract, qty_lots, position.cash_flow_atoms, mark_ticks
        ),
        initial_atoms=equity.lots_initial_atoms(
            contract, equity.worst_lots(position), mark_ticks, position.leverage
        ),
        bucket_atoms=position.bucket_atoms,
        held_atoms=position.held_atoms,
        liquidation_ticks=0 if liquidated is None else liquidated.ticks,
        open_buy_lots=position.open_buy_lots,
        open_sell_lots=position.open_sell_lots,
        level=scope.level,
        ratio_ppm=equity.ratio_ppm(*equity.standing_atoms(scope, marks)),
        liquidation=scope.liquidation,
    )
