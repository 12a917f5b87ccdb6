"""What must hold of contracts, of the positions in them, and of the money behind those."""

from steelyard.core.accounts import Account
from steelyard.core.commands import ListContract
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.equity import positions_of, standing_atoms
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.instruments import Instrument
from steelyard.core.limits import (
    INTEGER_MAX,
    ORDERS_PER_POSITION_MAX,
    POSITIONS_PER_MARGIN_MAX,
)
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.state import State
from steelyard.core.units import (
    FIRST_CUSTOMER,
    PPB,
    AccountId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    LiquidationId,
    OrderState,
    RiskLevel,
    Side,
)

_LIQUIDATING = RiskLevel.LIQUIDATING


def check_contracts(state: State) -> None:
    """Raise ``AssertionError`` unless contracts, positions, margins and the engine's queue are sound."""
    assert not state.touched, "whatever was touched has been judged"
    _check_switches(state)
    _check_orders(state)
    for account in state.accounts.values():
        for asset, margin in account.margins.items():
            assert margin.asset == asset, (margin.asset, asset)
            _check_margin(state, account, margin)
    known = _positions_with_lots(state)
    for instrument_id, instrument in state.markets.instruments.items():
        if instrument.contract is not None:
            _check_contract(state, instrument, instrument.contract, known.get(instrument_id, {}))
    _check_queue(state)
    _check_fund(state)
    _check_indices(state)


def margin_atoms(margin: Margin) -> int:
    """Return what a margin has: its wallet, and the buckets and held pledges of its isolated positions."""
    atoms = margin.wallet_atoms
    for position in margin.positions.values():
        if position.is_isolated:
            atoms += position.bucket_atoms + position.held_atoms
    return atoms


# --- contracts --------------------------------------------------------------------------------------------


def _positions_with_lots(state: State) -> dict[InstrumentId, dict[tuple[AccountId, Leg], Position]]:
    """Return the positions with lots that margins know, by contract and then by (account, leg)."""
    found: dict[InstrumentId, dict[tuple[AccountId, Leg], Position]] = {}
    for account in state.accounts.values():
        for margin in account.margins.values():
            for position in margin.positions.values():
                if position.qty_lots != 0:
                    of_contract = found.setdefault(position.instrument, {})
                    of_contract[account.account, position.leg] = position
    return found


def _check_contract(
    state: State,
    instrument: Instrument,
    contract: Contract,
    known: dict[tuple[AccountId, Leg], Position],
) -> None:
    """Raise ``AssertionError`` unless longs and shorts, and the money between them, are each other's."""
    where = instrument.instrument
    listing = instrument.listing
    assert isinstance(listing, ListContract), where
    assert instrument.lot_atoms == 0, where
    linear = contract.kind == ContractKind.LINEAR
    assert instrument.tick_lot_atoms == (contract.scale if linear else 0), where
    assert state.markets.indices.get(listing.index) is contract.index, where
    assert contract.positions.keys() == known.keys(), where
    for name, position in known.items():
        assert contract.positions[name] is position, (where, name)
    lots = [position.qty_lots for position in known.values()]
    assert contract.open_interest_lots == sum(each for each in lots if each > 0), where
    assert contract.pending_nanoatoms == 0 or contract.is_sweeping, where
    assert (where in state.markets.sweeping) == contract.is_sweeping, where
    closed = instrument.state == InstrumentState.CLOSED
    assert (where in state.markets.settling) == contract.is_settling, where
    assert contract.is_settling or not (closed and known), where
    assert not known or instrument.mark_ticks > 0, where
    flows_atoms = sum(position.cash_flow_atoms for position in known.values())
    if closed:
        _check_settlement(instrument, contract, flows_atoms)
    else:
        assert sum(lots) == 0, (where, sum(lots))
        assert flows_atoms == contract.clearing_atoms, (where, flows_atoms, contract.clearing_atoms)
    # What roundings have left in FUNDING is never below zero, and in a round never above an atom a payment.
    exact_nanoatoms = contract.funding_atoms * PPB + sum(
        position.qty_lots * (contract.cumulative_nanoatoms - position.settled_nanoatoms)
        for position in known.values()
    )
    assert exact_nanoatoms >= 0, (where, exact_nanoatoms)


def _check_settlement(instrument: Instrument, contract: Contract, flows_atoms: int) -> None:
    """Raise ``AssertionError`` unless CLEARING pays every position that is left its final value.

    ``CLEARING = sum(cash_flow + value(q, final))`` and, of an inverse contract, less than an atom more for
    each position that there was: each value was rounded down.
    """
    left_atoms = contract.clearing_atoms - flows_atoms
    if contract.is_settling:
        assert contract.settle_ticks > 0, instrument.instrument
        left_atoms -= sum(
            value_atoms(contract, position.qty_lots, contract.settle_ticks)
            for position in contract.positions.values()
        )
    else:
        assert contract.funding_atoms == 0, (instrument.instrument, contract.funding_atoms)
    assert left_atoms >= 0, (instrument.instrument, left_atoms)
    if contract.kind == ContractKind.LINEAR or not contract.is_settling:
        assert left_atoms == 0, (instrument.instrument, left_atoms)


# --- margins and positions --------------------------------------------------------------------------------


def _check_margin(state: State, account: Account, margin: Margin) -> None:
    where = (account.account, margin.asset)
    assert margin.account == account.account >= FIRST_CUSTOMER, where
    assert margin.asset in state.markets.assets, where
    assert margin.says_something(), where
    assert abs(margin.wallet_atoms) <= INTEGER_MAX, where
    assert len(margin.positions) <= POSITIONS_PER_MARGIN_MAX, (where, len(margin.positions))
    has_lots = False
    for (instrument_id, leg), position in margin.positions.items():
        assert position.margin is margin, where
        assert (position.account, position.instrument, position.leg) == (
            margin.account,
            instrument_id,
            leg,
        ), where
        instrument = state.markets.instruments[instrument_id]
        assert instrument.contract is not None, where
        assert instrument.contract.settle == margin.asset, where
        _check_position(margin, position)
        has_lots = has_lots or (position.qty_lots != 0 and not position.is_isolated)
        if position.is_isolated:
            _check_scope(state, position, has_lots=position.qty_lots != 0, cash_atoms=position.bucket_atoms)
    for instrument_id in margin.hedged:
        assert instrument_id in state.markets.instruments, (where, instrument_id)
        contract = state.markets.instruments[instrument_id].contract
        assert contract is not None, (where, instrument_id)
        assert contract.settle == margin.asset, (where, instrument_id)
        legs = [margin.positions.get((instrument_id, leg)) for leg in (Leg.LONG, Leg.SHORT)]
        modes = [leg is not None and leg.is_isolated for leg in legs]
        assert modes[0] == modes[1], (where, instrument_id, "both legs have one mode")
    _check_scope(state, margin, has_lots=has_lots, cash_atoms=margin.wallet_atoms)


def _check_position(margin: Margin, position: Position) -> None:
    where = (position.account, position.instrument, position.leg)
    qty_lots = position.qty_lots
    hedged = position.instrument in margin.hedged
    assert (position.leg == Leg.NET) != hedged, where
    assert position.says_something(), where
    assert position.leg != Leg.LONG or qty_lots >= 0, where
    assert position.leg != Leg.SHORT or qty_lots <= 0, where
    assert qty_lots != 0 or position.cash_flow_atoms == 0, where
    assert position.leverage >= 0, where
    _check_counted(position)
    if position.is_isolated:
        held_atoms = sum(order.open_lots * order.lot_pledge_atoms for order in position.orders.values())
        assert position.held_atoms == held_atoms, (where, position.held_atoms, held_atoms)
        assert position.bucket_atoms == 0 or qty_lots != 0 or position.liquidation != 0, where
    else:
        assert position.held_atoms == 0, (where, position.held_atoms)
        assert position.bucket_atoms == 0, (where, position.bucket_atoms)
        assert position.liquidation == 0, where
        assert position.level == RiskLevel.SAFE, where


def _check_counted(position: Position) -> None:
    """Raise ``AssertionError`` unless the sums over a position's orders are theirs."""
    where = (position.account, position.instrument, position.leg)
    orders = position.orders
    assert len(orders) <= ORDERS_PER_POSITION_MAX, (where, len(orders))
    buy_lots = sell_lots = fees_atoms = reducing_lots = 0
    for name, order in orders.items():
        assert order.order == name, (where, order.order)
        assert order.position is position, (where, order.number)
        assert order.level is not None, (where, order.number)
        buying = order.side == Side.BUY
        if order.is_reduce_only:
            assert buying == (position.qty_lots < 0), (where, order.number)
            assert order.lot_pledge_atoms == 0 or not position.is_isolated, (where, order.number)
            reducing_lots += -order.open_lots if buying else order.open_lots
        elif buying:
            buy_lots += order.open_lots
            assert order.price_ticks <= position.buy_high_ticks, (where, order.number)
        else:
            sell_lots += order.open_lots
            assert order.price_ticks >= position.sell_low_ticks, (where, order.number)
        if not order.is_reduce_only and not position.is_isolated:
            fees_atoms += order.open_lots * order.lot_pledge_atoms
    assert position.open_buy_lots == buy_lots, (where, position.open_buy_lots, buy_lots)
    assert position.open_sell_lots == sell_lots, (where, position.open_sell_lots, sell_lots)
    assert position.fees_atoms == fees_atoms, (where, position.fees_atoms, fees_atoms)
    assert position.reducing_lots == reducing_lots, (where, position.reducing_lots, reducing_lots)
    assert abs(reducing_lots) <= abs(position.qty_lots), (where, reducing_lots, position.qty_lots)


def _check_scope(state: State, scope: Scope, *, has_lots: bool, cash_atoms: int) -> None:
    """Raise ``AssertionError`` unless a scope that the engine does not have can carry its positions."""
    assert (scope.level == _LIQUIDATING) == (scope.liquidation != 0), (scope.level, scope.liquidation)
    if scope.liquidation != 0:
        assert scope.liquidation in state.liquidations, scope.liquidation
        return
    if not has_lots:
        assert cash_atoms >= 0, cash_atoms
        return
    positions = [each for each in positions_of(scope) if each.qty_lots != 0]
    contracts = [state.markets.instruments[each.instrument].contract for each in positions]
    if not any(contract is None or contract.index.is_stale for contract in contracts):
        equity_atoms, maintenance_atoms = standing_atoms(scope, state.markets.instruments)
        assert equity_atoms >= maintenance_atoms, (cash_atoms, equity_atoms, maintenance_atoms)


def _check_orders(state: State) -> None:
    """Raise ``AssertionError`` unless every living order in a contract and its position know each other."""
    living: dict[tuple[int, InstrumentId, Leg], int] = {}
    for order in state.orders.values():
        contract = state.markets.instruments[order.instrument].contract
        position = order.position
        assert (position is None) == (contract is None), order.number
        if position is None or contract is None:
            continue
        special = order.special
        leg = Leg.NET if special is None else special.leg
        assert special is None or special.liquidation == 0, order.number
        margin = state.accounts[order.account].margins.get(contract.settle)
        assert margin is not None, order.number
        assert margin.positions.get((order.instrument, leg)) is position, order.number
        works = special is None or special.state == OrderState.WORKING
        assert (position.orders.get(order.order) is order) == works, order.number
        name = (order.account, order.instrument, leg)
        living[name] = living.get(name, 0) + 1
    for account_id, account in state.accounts.items():
        for margin in account.margins.values():
            for (instrument_id, leg), position in margin.positions.items():
                count = living.get((account_id, instrument_id, leg), 0)
                assert position.living == count, (account_id, instrument_id, position.living, count)
                for order in position.orders.values():
                    assert state.orders.get(order.number) is order, order.number


# --- the engine, the fund, the switches -------------------------------------------------------------------


def _check_queue(state: State) -> None:
    """Raise ``AssertionError`` unless the engine's queue and the scopes in it know each other."""
    state.liquidations.check_invariants()
    for each in state.liquidations.rows:
        number = each.liquidation
        assert number <= state.last_liquidation, number
        margin = state.accounts[each.account].margins.get(each.asset)
        assert margin is not None, number
        scope: Scope = margin
        if each.instrument != 0:
            scope = margin.positions[each.instrument, each.leg]
            assert margin.positions[each.instrument, each.leg].is_isolated, number
        assert scope.liquidation == number, (scope.liquidation, number)
    numbers: list[LiquidationId] = []
    for account in state.accounts.values():
        for margin in account.margins.values():
            scopes = [margin, *margin.positions.values()]
            numbers += [scope.liquidation for scope in scopes if scope.liquidation != 0]
    assert sorted(numbers) == sorted(state.liquidations), (numbers, list(state.liquidations))


def _check_fund(state: State) -> None:
    """Raise ``AssertionError`` unless the peaks are peaks, and nothing leaves while a loss is open."""
    for asset, house in state.ledger.houses.items():
        assert house.peak_atoms >= house.insurance_atoms, (asset, house.peak_atoms, house.insurance_atoms)
        assert house.peak_ns <= state.time_ns, (asset, house.peak_ns)
        assert house.gate_on or house.debt_atoms == 0, (asset, house.debt_atoms)
        assert house.insurance_atoms == 0 or house.debt_atoms == 0, (asset, house.insurance_atoms)
        assert house.gate_on or house.gate_ns == 0, (asset, house.gate_ns)


def _check_switches(state: State) -> None:
    for account_id, instrument_id in state.kill_switches:
        assert account_id == 0 or instrument_id == 0, (account_id, instrument_id)
        assert account_id == 0 or account_id in state.accounts, account_id
        assert instrument_id == 0 or instrument_id in state.markets.instruments, instrument_id


def _check_indices(state: State) -> None:
    """Raise ``AssertionError`` unless indices are known by their names, and know who leans on them."""
    markets = state.markets
    leaning: dict[IndexId, list[InstrumentId]] = {index_id: [] for index_id in markets.indices}
    for instrument_id, instrument in sorted(markets.instruments.items()):
        if instrument.contract is not None:
            leaning[instrument.contract.index.index].append(instrument_id)
    assert len(markets.index_symbols) == len(markets.indices), markets.index_symbols
    for index_id, index in markets.indices.items():
        assert index.index == index_id, (index.index, index_id)
        assert markets.index_symbols.get(index.listing.symbol) == index_id, index.listing.symbol
        assert index.contracts == leaning[index_id], (index_id, index.contracts, leaning[index_id])
        assert (index.stale_at_ns == 0) == index.is_stale, index_id
        assert index.price_ticks > 0 or index.is_stale, index_id
