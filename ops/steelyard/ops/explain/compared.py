"""The numbers that a check compared when it refused a command, and whether they say no."""

from collections.abc import Callable
from typing import Final, NamedTuple

from steelyard.core import Reject, Request
from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    MoveMargin,
    PlaceOrder,
    SetLeverage,
    Transfer,
    Withdraw,
)
from steelyard.core.contracts import equity
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.contracts.schedule import max_leverage
from steelyard.core.handlers import contracting, placing
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order, Position
from steelyard.core.state import State
from steelyard.core.units import AccountId, AssetId, OrderKind, RiskLevel, Side
from steelyard.ops.explain.scopes import contract_of, standing
from steelyard.ops.explain.telling import Explanation, Value

_COMPARED: Final = "what was compared"


class Refusal(NamedTuple):
    """A refused command, and the state in which it was."""

    state: State
    request: Request
    command: AnyCommand
    reason: Reject


def compare(told: Explanation, refusal: Refusal) -> None:
    """Add the numbers that the check compared, and whether they say no."""
    found = _COMPARERS.get(refusal.reason)
    if found is not None:
        found(told, refusal)


def _no(told: Explanation, words: str, holds: bool, **numbers: Value) -> None:
    """Say which numbers were compared, and that they refuse if ``holds``."""
    told.table(
        _COMPARED, [{"what": name.replace("_", " "), "value": value} for name, value in numbers.items()]
    )
    told.check(f"refused, because {words}", True, holds)


def _draft(refusal: Refusal) -> tuple[Instrument, Order] | None:
    """Return the order that was refused as it would have been, with its price and what a lot pledges."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, PlaceOrder):
        return None
    instrument = state.markets.instruments.get(command.instrument)
    key = state.keys.get(refusal.request.key)
    if instrument is None or key is None:
        return None
    order = placing.draft_order(state, command, key, 0)
    if isinstance(order, Reject):
        return None
    contracting.cut(order)
    placing.order_fault(state, instrument, order)
    return instrument, order


def _margin(told: Explanation, refusal: Refusal) -> None:
    command, state = refusal.command, refusal.state
    if isinstance(command, MoveMargin | AdjustBucket | SetLeverage):
        _margin_of_move(told, refusal)
        return
    found = _draft(refusal)
    if found is None or found[1].position is None:
        return
    instrument, order = found
    position, contract, marks = order.position, contract_of(instrument), state.markets.instruments
    assert position is not None, order.order
    scope, margin = position.scope, position.margin
    now = standing(state, scope)
    limit_ticks = order.price_ticks
    told.table("positions", [line.row() for line in now.lines])
    _about(told, now.cash_atoms, now.equity_atoms, now.maintenance_atoms)
    if contracting.reduces(order, position):
        fee_atoms = order.open_lots * equity.lot_fee_atoms(contract, limit_ticks or 1, _cap_ppm(order))
        loss_atoms = equity.open_losses_atoms(scope, marks)
        if not order.is_reduce_only and limit_ticks:
            loss_atoms += equity.order_loss_atoms(
                contract, order.side, order.open_lots, limit_ticks, instrument.mark_ticks
            )
        pledge_atoms = order.open_lots * order.lot_pledge_atoms if position.is_isolated else 0
        free_atoms = equity.withdrawable_atoms(margin, marks)
        _no(
            told,
            "equity - open loss < fees, or the wallet cannot pledge",
            now.equity_atoms - loss_atoms < fee_atoms or pledge_atoms > free_atoms,
            open_loss_atoms=loss_atoms,
            fees_atoms=fee_atoms,
            pledge_atoms=pledge_atoms,
            withdrawable_atoms=free_atoms,
        )
    elif position.is_isolated:
        free_atoms = equity.withdrawable_atoms(margin, marks)
        _no(
            told,
            "lots * pledge > withdrawable",
            order.open_lots * order.lot_pledge_atoms > free_atoms,
            lots=order.open_lots,
            pledge_per_lot_atoms=order.lot_pledge_atoms,
            pledge_atoms=order.open_lots * order.lot_pledge_atoms,
            withdrawable_atoms=free_atoms,
        )
    else:
        used_atoms = equity.used_atoms(margin, marks)
        after_atoms = equity.available_with_atoms(
            margin,
            marks,
            position,
            order.side,
            order.open_lots,
            limit_ticks or instrument.mark_ticks,
            order.lot_pledge_atoms,
        )
        available_atoms = now.equity_atoms - used_atoms
        _no(
            told,
            "available with the order in the book < 0",
            after_atoms < 0,
            used_atoms=used_atoms,
            available_atoms=available_atoms,
            order_needs_atoms=available_atoms - after_atoms,
            available_with_it_atoms=after_atoms,
        )


def _margin_of_move(told: Explanation, refusal: Refusal) -> None:
    """Explain what a wallet or bucket lacked for a move, or for another leverage."""
    command, state = refusal.command, refusal.state
    marks = state.markets.instruments
    if isinstance(command, MoveMargin):
        margin = state.accounts[command.account].margins.get(command.asset)
        free_atoms = 0 if margin is None else equity.withdrawable_atoms(margin, marks)
        now = standing(state, margin)
        told.table("positions", [line.row() for line in now.lines])
        _about(told, now.cash_atoms, now.equity_atoms, now.maintenance_atoms)
        wanted = -command.amount_atoms
        _no(
            told,
            "wanted > withdrawable",
            wanted > free_atoms,
            wanted_atoms=wanted,
            withdrawable_atoms=free_atoms,
        )
        return
    assert isinstance(command, AdjustBucket | SetLeverage), command
    instrument = marks[command.instrument]
    contract = contract_of(instrument)
    position = _position(state, command, contract.settle)
    lots, mark_ticks = abs(position.qty_lots), instrument.mark_ticks
    free_atoms = equity.withdrawable_atoms(position.margin, marks)
    now = standing(state, position.scope)
    told.table("positions", [line.row() for line in now.lines])
    _about(told, now.cash_atoms, now.equity_atoms, now.maintenance_atoms)
    if isinstance(command, AdjustBucket) and command.amount_atoms > 0:
        wanted = command.amount_atoms
        _no(
            told,
            "wanted > withdrawable",
            wanted > free_atoms,
            wanted_atoms=wanted,
            withdrawable_atoms=free_atoms,
        )
    elif isinstance(command, AdjustBucket):
        needed = equity.lots_initial_atoms(contract, lots, mark_ticks, position.leverage)
        left = min(now.cash_atoms, now.equity_atoms) + command.amount_atoms
        _no(
            told,
            "what would be left < initial margin",
            left < needed,
            wanted_atoms=-command.amount_atoms,
            left_atoms=left,
            initial_margin_atoms=needed,
        )
    elif position.is_isolated:
        needed = equity.lots_initial_atoms(contract, lots, mark_ticks, command.leverage)
        lacking = max(0, needed - position.bucket_atoms)
        _no(
            told,
            "what the bucket lacks > withdrawable",
            lacking > free_atoms,
            bucket_atoms=position.bucket_atoms,
            initial_margin_atoms=needed,
            lacking_atoms=lacking,
            withdrawable_atoms=free_atoms,
        )
    else:
        worst = equity.worst_lots(position)
        before = equity.lots_initial_atoms(contract, worst, mark_ticks, position.leverage)
        after = equity.lots_initial_atoms(contract, worst, mark_ticks, command.leverage)
        available = now.equity_atoms - equity.used_atoms(position.margin, marks)
        _no(
            told,
            "available < rise of initial margin",
            available < after - before,
            available_atoms=available,
            initial_margin_before_atoms=before,
            initial_margin_after_atoms=after,
        )


def _position(state: State, command: AdjustBucket | SetLeverage, asset: AssetId) -> Position:
    instrument = state.markets.instruments[command.instrument]
    found = contracting.position_of(instrument, state.accounts[command.account], command.leg)
    assert found is not None, (command, asset)
    return found


def _about(told: Explanation, cash_atoms: int, equity_atoms: int, maintenance_atoms: int) -> None:
    told.table(
        _COMPARED,
        [
            {"what": "wallet or bucket atoms", "value": cash_atoms},
            {"what": "equity atoms", "value": equity_atoms},
            {"what": "maintenance margin atoms", "value": maintenance_atoms},
        ],
    )


def _cap_ppm(order: Order) -> int:
    assert order.special is not None, "a draft has its terms"
    return order.special.cap_ppm


def _funds(told: Explanation, refusal: Refusal) -> None:
    command, state = refusal.command, refusal.state
    if isinstance(command, Withdraw | Transfer | MoveMargin):
        account = command.giver if isinstance(command, Transfer) else command.account
        _free(told, state, account, command.asset, command.amount_atoms)
        return
    found = _draft(refusal)
    if found is None:
        return
    _, order = found
    _no(
        told,
        "free < pledge",
        order.pledge.free_atoms < order.pledged_atoms or order.open_lots == 0,
        free_atoms=order.pledge.free_atoms,
        lots=order.open_lots,
        pledge_per_lot_atoms=order.lot_pledge_atoms,
        pledge_atoms=order.pledged_atoms,
    )


def _free(told: Explanation, state: State, account: AccountId, asset: AssetId, wanted: int) -> None:
    free = state.accounts[account].free_atoms(asset)
    _no(told, "free < wanted", free < wanted, free_atoms=free, wanted_atoms=wanted)


def _risk_level(told: Explanation, refusal: Refusal) -> None:
    command, state = refusal.command, refusal.state
    found = _draft(refusal)
    if found is not None and found[1].position is not None:
        instrument, order = found
        position = order.position
        assert position is not None, order.order
        scope, reduces = position.scope, contracting.reduces(order, position)
        least = RiskLevel.LIQUIDATING if reduces else RiskLevel.CRITICAL
    elif isinstance(command, MoveMargin):
        margin = state.accounts[command.account].margins.get(command.asset)
        if margin is None:
            return
        scope, least = margin, RiskLevel.DANGER
    elif isinstance(command, AdjustBucket | SetLeverage):
        instrument = state.markets.instruments[command.instrument]
        scope = _position(state, command, contract_of(instrument).settle).scope
        least = RiskLevel.LIQUIDATING
    else:
        return
    now = standing(state, scope)
    told.table("positions", [line.row() for line in now.lines])
    _about(told, now.cash_atoms, now.equity_atoms, now.maintenance_atoms)
    _no(
        told,
        f"the level is {least.name} or worse",
        scope.level >= least,
        ratio_ppm=now.ratio_ppm,
        level=scope.level.name,
        refused_from=least.name,
    )


def _limits(told: Explanation, refusal: Refusal) -> None:
    found = _draft(refusal)
    if found is None or found[1].position is None:
        return
    instrument, order = found
    position, contract = order.position, contract_of(instrument)
    assert position is not None, order.order
    buys, sells = (order.open_lots, 0) if order.side == Side.BUY else (0, order.open_lots)
    if refusal.reason == Reject.POSITION_LIMIT:
        worst, bound = equity.worst_lots(position, buys, sells), contract.rules.position_max_lots
        _no(
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
    _no(
        told,
        "open interest and the order are too large",
        now_lots + order.open_lots > bound,
        open_interest_lots=now_lots,
        order_lots=order.open_lots,
        open_interest_max_lots=bound,
    )


def _nothing_to_reduce(told: Explanation, refusal: Refusal) -> None:
    found = _draft(refusal)
    if found is None or found[1].position is None:
        return
    _, order = found
    position = order.position
    assert position is not None, order.order
    room = contracting.room_lots(order, position)
    _no(
        told,
        "there is no room for it beside the other reduce-only orders",
        room == 0 or order.open_lots > room,
        qty_lots=position.qty_lots,
        reducing_lots=position.reducing_lots,
        room_lots=room,
        order_lots=order.open_lots,
    )


def _numbers(told: Explanation, refusal: Refusal) -> None:
    """Explain a price, size or notional that is out of an instrument's range."""
    command = refusal.command
    if not isinstance(command, PlaceOrder):
        return
    instrument = refusal.state.markets.instruments[command.instrument]
    if refusal.reason == Reject.PRICE_OUT_OF_RANGE:
        if command.kind == OrderKind.LIMIT:
            _no(
                told,
                "the limit is not within 1 ... highest price",
                not 0 < command.limit_ticks <= instrument.price_max_ticks,
                limit_ticks=command.limit_ticks,
                price_max_ticks=instrument.price_max_ticks,
            )
        return
    rules = instrument.rules
    notional = contracting.notional_atoms(instrument, command.limit_ticks, command.size_lots)
    told.table(
        _COMPARED,
        [
            {"what": "size lots", "value": command.size_lots},
            {"what": "size min lots", "value": 1 if rules is None else rules.size_min_lots},
            {"what": "size max lots", "value": instrument.size_max_lots},
            {"what": "notional atoms", "value": notional},
            {"what": "notional min atoms", "value": instrument.notional_min_atoms},
            {
                "what": "notional max atoms (zero: none)",
                "value": 0 if rules is None else rules.notional_max_atoms,
            },
        ],
    )


def _book(told: Explanation, refusal: Refusal) -> None:
    command = refusal.command
    if not isinstance(command, PlaceOrder):
        return
    instrument = refusal.state.markets.instruments[command.instrument]
    opposite = Side.SELL if command.side == Side.BUY else Side.BUY
    best = instrument.book.best_ticks(opposite)
    crosses = best is not None and (
        command.limit_ticks >= best if command.side == Side.BUY else command.limit_ticks <= best
    )
    _no(
        told,
        "the best opposite price is within the limit",
        crosses,
        limit_ticks=command.limit_ticks,
        best_opposite_ticks=best,
    )


def _reference(told: Explanation, refusal: Refusal) -> None:
    command = refusal.command
    if not isinstance(command, PlaceOrder):
        return
    instrument = refusal.state.markets.instruments[command.instrument]
    if instrument.contract is None:
        return
    is_stale = instrument.contract.index.is_stale
    _no(
        told,
        "there is no mark, or the index is stale and the order does not reduce",
        instrument.mark_ticks == 0 or is_stale,
        mark_ticks=instrument.mark_ticks,
        index_ticks=instrument.contract.index.price_ticks,
        index_is_stale=is_stale,
    )


def _leverage(told: Explanation, refusal: Refusal) -> None:
    command, state = refusal.command, refusal.state
    if not isinstance(command, SetLeverage):
        return
    instrument = state.markets.instruments[command.instrument]
    contract = contract_of(instrument)
    position = _position(state, command, contract.settle)
    worst = equity.worst_lots(position)
    notional = mark_notional_atoms(contract, worst, instrument.mark_ticks)
    highest = max_leverage(contract.rules.margin, notional, worst)
    _no(
        told,
        "the leverage is higher than the tier of the worst position allows",
        command.leverage > highest,
        leverage=command.leverage,
        worst_lots=worst,
        notional_atoms=notional,
        highest_leverage=highest,
    )


def _instrument_state(told: Explanation, refusal: Refusal) -> None:
    number = getattr(refusal.command, "instrument", None)
    instrument = refusal.state.markets.instruments.get(number) if number is not None else None
    if instrument is not None:
        told.table(_COMPARED, [{"what": "state of the instrument", "value": instrument.state.name}])


_COMPARERS: Final[dict[Reject, Callable[[Explanation, Refusal], None]]] = {
    Reject.INSUFFICIENT_MARGIN: _margin,
    Reject.INSUFFICIENT_FUNDS: _funds,
    Reject.RISK_LEVEL: _risk_level,
    Reject.POSITION_LIMIT: _limits,
    Reject.OPEN_INTEREST_LIMIT: _limits,
    Reject.REDUCE_ONLY_NOTHING: _nothing_to_reduce,
    Reject.PRICE_OUT_OF_RANGE: _numbers,
    Reject.SIZE_OUT_OF_RANGE: _numbers,
    Reject.NOTIONAL_OUT_OF_RANGE: _numbers,
    Reject.POST_ONLY_WOULD_TRADE: _book,
    Reject.NO_REFERENCE_PRICE: _reference,
    Reject.LEVERAGE_OUT_OF_RANGE: _leverage,
    Reject.INSTRUMENT_STATE: _instrument_state,
}
