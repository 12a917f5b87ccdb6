"""What was compared when something was refused for margin, risk, positions and their bounds."""

from typing import Final

from steelyard.core import Reject
from steelyard.core.commands import AdjustBucket, MoveMargin, PlaceOrder, SetContractModes, SetLeverage
from steelyard.core.contracts import equity
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.contracts.schedule import max_leverage
from steelyard.core.handlers import contracting, placing
from steelyard.core.limits import POSITIONS_PER_MARGIN_MAX
from steelyard.core.matching import Position, Scope
from steelyard.core.state import State
from steelyard.core.units import Leg, OrderKind, RiskLevel, Side
from steelyard.ops.explain.refusals import Drafted, Refusal, drafted, no, show
from steelyard.ops.explain.scopes import Standing, contract_of, standing
from steelyard.ops.explain.telling import Explanation


def margin(told: Explanation, refusal: Refusal) -> None:
    """Explain what a wallet or bucket lacked for an order, a move, or another leverage."""
    command, state = refusal.command, refusal.state
    if isinstance(command, MoveMargin):
        _move_out(told, state, command)
    elif isinstance(command, AdjustBucket):
        _bucket(told, state, command)
    elif isinstance(command, SetLeverage):
        _other_leverage(told, state, command)
    elif (found := drafted(refusal)) is not None and found.order.position is not None:
        _order(told, state, found, found.order.position)


def _order(told: Explanation, state: State, found: Drafted, position: Position) -> None:
    order, marks = found.order, state.markets.instruments
    now = standing(state, position.scope)
    _about(told, now)
    reduces = contracting.reduces(order, position)
    if order.is_reduce_only or (reduces and not position.is_isolated):
        _reduction(told, state, found, position, now)
    elif position.is_isolated:
        free_atoms = equity.withdrawable_atoms(position.margin, marks)
        no(
            told,
            "lots * pledge > withdrawable",
            order.open_lots * order.lot_pledge_atoms > free_atoms,
            lots=order.open_lots,
            pledge_per_lot_atoms=order.lot_pledge_atoms,
            pledge_atoms=order.open_lots * order.lot_pledge_atoms,
            withdrawable_atoms=free_atoms,
        )
    else:
        used_atoms = equity.used_atoms(position.margin, marks)
        after_atoms = equity.available_with_atoms(
            position.margin,
            marks,
            position,
            order.side,
            order.open_lots,
            order.price_ticks,
            order.lot_pledge_atoms,
        )
        available_atoms = now.equity_atoms - used_atoms
        no(
            told,
            "available with the order in the book < 0",
            after_atoms < 0,
            used_atoms=used_atoms,
            available_atoms=available_atoms,
            order_needs_atoms=available_atoms - after_atoms,
            available_with_it_atoms=after_atoms,
        )


def _reduction(told: Explanation, state: State, found: Drafted, position: Position, now: Standing) -> None:
    """Explain that an order which reduces could cost more than there is."""
    instrument, order, _ = found
    contract, special = contract_of(instrument), placing.special_of(order)
    lots, limit_ticks, mark_ticks = order.open_lots, order.price_ticks, instrument.mark_ticks
    loss_atoms = equity.open_losses_atoms(position.scope, state.markets.instruments)
    lot_fee_atoms = own_loss_atoms = 0
    if limit_ticks:
        lot_fee_atoms = equity.lot_fee_atoms(contract, limit_ticks, special.cap_ppm)
        if special.kind == OrderKind.LIMIT:
            own_loss_atoms = equity.order_loss_atoms(contract, order.side, lots, limit_ticks, mark_ticks)
        else:
            # Its limit is moved to where it loses no more than there is; so the fees alone are asked for.
            lot_fee_atoms = max(lot_fee_atoms, equity.lot_fee_atoms(contract, mark_ticks, special.cap_ppm))
    left_atoms = now.equity_atoms - loss_atoms - own_loss_atoms
    no(
        told,
        "equity - open loss, that of the order included, < its fees",
        left_atoms < lots * lot_fee_atoms,
        limit_ticks=limit_ticks,
        open_loss_atoms=loss_atoms,
        open_loss_of_the_order_atoms=own_loss_atoms,
        left_atoms=left_atoms,
        fees_atoms=lots * lot_fee_atoms,
    )


def _move_out(told: Explanation, state: State, command: MoveMargin) -> None:
    known = state.accounts[command.account].margins.get(command.asset)
    free_atoms = 0 if known is None else equity.withdrawable_atoms(known, state.markets.instruments)
    _about(told, standing(state, known))
    _wanted(told, -command.amount_atoms, free_atoms)


def _bucket(told: Explanation, state: State, command: AdjustBucket) -> None:
    position = _position(state, command)
    now = standing(state, position.scope)
    _about(told, now)
    if command.amount_atoms > 0:
        free_atoms = equity.withdrawable_atoms(position.margin, state.markets.instruments)
        _wanted(told, command.amount_atoms, free_atoms)
        return
    instrument = state.markets.instruments[command.instrument]
    contract, mark_ticks = contract_of(instrument), instrument.mark_ticks
    lots = abs(position.qty_lots)
    needed_atoms = equity.lots_initial_atoms(contract, lots, mark_ticks, position.leverage)
    loss_atoms = equity.open_loss_atoms(contract, position, mark_ticks)
    left_atoms = min(now.cash_atoms, now.equity_atoms) + command.amount_atoms
    no(
        told,
        "what would be left < initial margin + open loss",
        left_atoms < needed_atoms + loss_atoms,
        wanted_atoms=-command.amount_atoms,
        left_atoms=left_atoms,
        initial_margin_atoms=needed_atoms,
        open_loss_atoms=loss_atoms,
    )


def _other_leverage(told: Explanation, state: State, command: SetLeverage) -> None:
    position, marks = _position(state, command), state.markets.instruments
    instrument = marks[command.instrument]
    contract, mark_ticks = contract_of(instrument), instrument.mark_ticks
    now = standing(state, position.scope)
    _about(told, now)
    if position.is_isolated:
        free_atoms = equity.withdrawable_atoms(position.margin, marks)
        lots = abs(position.qty_lots)
        needed_atoms = equity.lots_initial_atoms(contract, lots, mark_ticks, command.leverage)
        lacking_atoms = max(0, needed_atoms - position.bucket_atoms)
        no(
            told,
            "what the bucket lacks > withdrawable",
            lacking_atoms > free_atoms,
            bucket_atoms=position.bucket_atoms,
            initial_margin_atoms=needed_atoms,
            lacking_atoms=lacking_atoms,
            withdrawable_atoms=free_atoms,
        )
        return
    worst = equity.worst_lots(position)
    before_atoms = equity.lots_initial_atoms(contract, worst, mark_ticks, position.leverage)
    after_atoms = equity.lots_initial_atoms(contract, worst, mark_ticks, command.leverage)
    available_atoms = now.equity_atoms - equity.used_atoms(position.margin, marks)
    no(
        told,
        "available < rise of initial margin",
        available_atoms < after_atoms - before_atoms,
        available_atoms=available_atoms,
        initial_margin_before_atoms=before_atoms,
        initial_margin_after_atoms=after_atoms,
    )


def risk_level(told: Explanation, refusal: Refusal) -> None:
    """Explain on which level a scope stands, and from which on it is refused."""
    command, state = refusal.command, refusal.state
    if isinstance(command, MoveMargin):
        known = state.accounts[command.account].margins.get(command.asset)
        if known is None:
            return
        scope: Scope = known
        least = RiskLevel.DANGER
    elif isinstance(command, AdjustBucket | SetLeverage):
        scope, least = _position(state, command).scope, RiskLevel.LIQUIDATING
    else:
        found = drafted(refusal)
        if found is None or found.order.position is None:
            return
        position = found.order.position
        scope, least = position.scope, RiskLevel.CRITICAL
        if contracting.reduces(found.order, position):
            least = RiskLevel.LIQUIDATING
    now = standing(state, scope)
    _about(told, now)
    no(
        told,
        f"the level is {least.name} or worse",
        scope.level >= least,
        ratio_ppm=now.ratio_ppm,
        level=scope.level.name,
        refused_from=least.name,
    )


def limits(told: Explanation, refusal: Refusal) -> None:
    """Explain that a position, or all of a contract together, would become too large."""
    found = drafted(refusal)
    if found is None or found.order.position is None:
        return
    instrument, order, _ = found
    position, contract = found.order.position, contract_of(instrument)
    buys, sells = (order.open_lots, 0) if order.side == Side.BUY else (0, order.open_lots)
    if refusal.reason == Reject.POSITION_LIMIT:
        worst, bound = equity.worst_lots(position, buys, sells), contract.rules.position_max_lots
        no(
            told,
            "the position with its open orders would be too large",
            worst > bound,
            qty_lots=position.qty_lots,
            open_buy_lots=position.open_buy_lots,
            open_sell_lots=position.open_sell_lots,
            order_lots=order.open_lots,
            worst_lots=worst,
            position_max_lots=bound,
        )
        return
    now_lots, bound = contract.open_interest_lots, contract.rules.open_interest_max_lots
    no(
        told,
        "open interest and the order are too large",
        now_lots + order.open_lots > bound,
        open_interest_lots=now_lots,
        order_lots=order.open_lots,
        open_interest_max_lots=bound,
    )


def room(told: Explanation, refusal: Refusal) -> None:
    """Explain that there is nothing to reduce, or nothing beside the other orders that do."""
    found = drafted(refusal)
    if found is None or found.order.position is None:
        return
    order, position = found.order, found.order.position
    room_lots = contracting.room_lots(order, position)
    no(
        told,
        "there is no room for it beside the other reduce-only orders",
        room_lots == 0 or order.open_lots > room_lots,
        qty_lots=position.qty_lots,
        reducing_lots=position.reducing_lots,
        room_lots=room_lots,
        order_lots=order.open_lots,
    )


def leverage(told: Explanation, refusal: Refusal) -> None:
    """Explain which leverage is the highest for so large a position."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, SetLeverage):
        return
    instrument = state.markets.instruments[command.instrument]
    contract = contract_of(instrument)
    worst = equity.worst_lots(_position(state, command))
    notional_atoms = mark_notional_atoms(contract, worst, instrument.mark_ticks)
    highest = max_leverage(contract.rules.margin, notional_atoms, worst)
    no(
        told,
        "the leverage is higher than the tier of the worst position allows",
        command.leverage > highest,
        leverage=command.leverage,
        worst_lots=worst,
        notional_atoms=notional_atoms,
        highest_leverage=highest,
    )


def gate(told: Explanation, refusal: Refusal) -> None:
    """Explain which loss keeps a withdrawal gate closed, or until when it stays so."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, MoveMargin):
        return
    house = state.ledger.houses[command.asset]
    open_losses = sum(each.is_below_zero and each.asset == command.asset for each in state.liquidations.rows)
    no(
        told,
        "the withdrawal gate of the asset is closed",
        house.gate_on,
        bad_debt_atoms=house.debt_atoms,
        liquidations_below_zero=open_losses,
        log_time_ns=state.time_ns,
        opens_at_ns=house.gate_ns or None,
    )


def not_empty(told: Explanation, refusal: Refusal) -> None:
    """Explain what an account still has in a contract whose modes it would change."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, SetContractModes):
        return
    legs = _legs(state, command)
    no(
        told,
        "there are lots, a bucket, living orders or a liquidation",
        any(each.qty_lots or each.bucket_atoms or each.living or each.liquidation for each in legs),
        lots=sum(abs(each.qty_lots) for each in legs),
        buckets_atoms=sum(each.bucket_atoms for each in legs),
        living_orders=sum(each.living for each in legs),
        liquidations=sum(each.liquidation != 0 for each in legs),
    )


def positions(told: Explanation, refusal: Refusal) -> None:
    """Explain that a margin wallet knows as many positions as it may."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, SetLeverage | SetContractModes | PlaceOrder):
        return
    settle = contract_of(state.markets.instruments[command.instrument]).settle
    known = state.accounts[command.account].margins.get(settle)
    count = 0 if known is None else len(known.positions)
    more = 1
    if isinstance(command, SetContractModes):
        more = (2 if command.hedge else 1) - len(_legs(state, command))
    no(
        told,
        "there would be more positions than a margin wallet may know",
        count + more > POSITIONS_PER_MARGIN_MAX,
        positions=count,
        more_positions=more,
        positions_max=POSITIONS_PER_MARGIN_MAX,
    )


def _legs(state: State, command: SetContractModes) -> list[Position]:
    """Return the positions of a contract that an account's margin knows."""
    settle = contract_of(state.markets.instruments[command.instrument]).settle
    known = state.accounts[command.account].margins.get(settle)
    if known is None:
        return []
    return [found for leg in Leg if (found := known.positions.get((command.instrument, leg))) is not None]


def _position(state: State, command: AdjustBucket | SetLeverage) -> Position:
    instrument = state.markets.instruments[command.instrument]
    found = contracting.position_of(instrument, state.accounts[command.account], command.leg)
    assert found is not None, command
    return found


def _wanted(told: Explanation, wanted_atoms: int, free_atoms: int) -> None:
    no(
        told,
        "wanted > withdrawable",
        wanted_atoms > free_atoms,
        wanted_atoms=wanted_atoms,
        withdrawable_atoms=free_atoms,
    )


def _about(told: Explanation, now: Standing) -> None:
    told.table("positions", [line.row() for line in now.lines])
    show(
        told,
        wallet_or_bucket_atoms=now.cash_atoms,
        equity_atoms=now.equity_atoms,
        maintenance_margin_atoms=now.maintenance_atoms,
    )


MARGIN: Final = {
    Reject.INSUFFICIENT_MARGIN: margin,
    Reject.RISK_LEVEL: risk_level,
    Reject.POSITION_LIMIT: limits,
    Reject.OPEN_INTEREST_LIMIT: limits,
    Reject.REDUCE_ONLY_NOTHING: room,
    Reject.LEVERAGE_OUT_OF_RANGE: leverage,
    Reject.WITHDRAWAL_GATE: gate,
    Reject.POSITION_NOT_EMPTY: not_empty,
    Reject.TOO_MANY_POSITIONS: positions,
}
