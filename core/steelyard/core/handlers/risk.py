"""On which level of the ladder scopes stand, and whom the engine has to take."""

from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from steelyard.core.contracts import equity, ladder
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.events import AnyEvent, LiquidationStarted, RiskLevelChanged
from steelyard.core.handlers.gates import look_at_gate, repay_debt
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.state import State
from steelyard.core.units import PPM, AccountId, AssetId, InstrumentId, Leg, LiquidationId, RiskLevel

_SAFE: Final = RiskLevel.SAFE
_LIQUIDATING: Final = RiskLevel.LIQUIDATING
#: How events name a margin wallet.
_NO_INSTRUMENT: Final = InstrumentId(0)
_NET: Final = Leg.NET

#: A margin's or a position's.
_account: Final[Callable[[Scope], AccountId]] = attrgetter("account")

#: By which scopes are ordered, and how events name them.
ScopeName = tuple[AccountId, AssetId, InstrumentId, Leg]


class _Beginning(NamedTuple):
    """A scope that the engine has to take."""

    ratio_ppm: int
    name: ScopeName
    scope: Scope
    held: list[Position]
    equity_atoms: int
    maintenance_atoms: int


def scope_name(scope: Scope) -> ScopeName:
    """Return how a scope is called in events, and by what it is ordered."""
    if type(scope) is Position:
        return scope.account, scope.margin.asset, scope.instrument, scope.leg
    assert type(scope) is Margin, scope
    return scope.account, scope.asset, _NO_INSTRUMENT, _NET


def positions_with_lots(scope: Scope) -> list[Position]:
    """Return a scope's positions that have lots, by (instrument, leg)."""
    if type(scope) is Position:
        return [scope] if scope.qty_lots else []
    assert type(scope) is Margin, scope
    if len(scope.positions) == 1:
        (position,) = scope.positions.values()
        return [position] if position.qty_lots and not position.is_isolated else []
    held = [each for each in scope.positions.values() if each.qty_lots and not each.is_isolated]
    if len(held) > 1:
        held.sort(key=lambda position: (position.instrument, position.leg))
    return held


def judge_touched(state: State, out: list[AnyEvent], looked_at: tuple[AssetId, bool] | None = None) -> None:
    """Judge the scopes that a request, a timer or a unit of work has touched, and forget that it did.

    Then look at the gates of the assets in which the engine has scopes among them, and of whom it has just
    ``looked_at``: an asset, and whether there was a loss.  A bad debt of that asset is repaid before.
    """
    touched = state.touched
    trigger_index, rankings = state.trigger_index, state.rankings
    scopes: list[Scope] = []
    taken: list[Scope] = []
    for scope in touched:
        if scope.liquidation:
            # Money has come in, or its lots have gone otherwise: the engine looks at it again.  No mark moves
            # it meanwhile and it is not ranked; at the end it is touched.
            state.liquidations.wake(state.liquidations[scope.liquidation])
            taken.append(scope)
            continue
        trigger_index.touch(scope)
        if rankings.books:
            rankings.touch(scope)
        scopes.append(scope)
    touched.clear()
    taken += _judge(state, scopes, out)
    if taken or looked_at is not None:
        _look_at_gates(state, taken, out, looked_at)


def _look_at_gates(
    state: State, taken: list[Scope], out: list[AnyEvent], looked_at: tuple[AssetId, bool] | None
) -> None:
    losses: dict[AssetId, bool] = {}
    if looked_at is not None:
        repay_debt(state, looked_at[0], out)
        losses[looked_at[0]] = looked_at[1]
    for scope in taken:
        liquidation = state.liquidations[scope.liquidation]
        asset = liquidation.asset
        losses[asset] = losses.get(asset, False) or liquidation.is_below_zero
    for asset in sorted(losses):
        look_at_gate(state, asset, out, had_loss=losses[asset])


def judge_marked(state: State, instruments: list[Instrument], out: list[AnyEvent]) -> None:
    """Judge all scopes with lots in contracts whose mark has changed, and look at parked ones again.

    Only those are looked at whose level may change by it: see ``TriggerIndex``.
    """
    changed = dict.fromkeys(instrument.instrument for instrument in instruments)
    for scope in state.touched:
        state.trigger_index.touch(scope)
    if not state.liquidations:
        # Whoever keeps rankings pays for it with every fill.
        state.rankings.forget()
    nominated = state.trigger_index.nominated(changed, state.markets.instruments)
    for scope in _judge(state, nominated, out, are_nominated=True):
        # The gate is looked at when everybody is judged whom this has touched.
        state.touched[scope] = None
    for liquidation in state.liquidations.rows:
        if liquidation.is_parked:
            held = positions_with_lots(scope_of(state, liquidation))
            if any(position.instrument in changed for position in held):
                state.liquidations.wake(liquidation)


def scope_of(state: State, liquidation: Liquidation) -> Scope:
    """Return the scope that a liquidation is of."""
    margin = state.accounts[liquidation.account].margins[liquidation.asset]
    if liquidation.instrument == 0:
        return margin
    return margin.positions[liquidation.instrument, liquidation.leg]


def contract_of(instrument: Instrument) -> Contract:
    """Return the contract that an instrument is."""
    contract = instrument.contract
    assert contract is not None, instrument.instrument
    return contract


def level_of(state: State, scope: Scope, ratio_ppm: int) -> RiskLevel:
    """Return the level that a ratio has, whatever the level was; without lots SAFE."""
    held = positions_with_lots(scope)
    return ladder.level_at(ratio_ppm, _thresholds(state, held)) if held else _SAFE


def set_level(scope: Scope, level: RiskLevel, ratio_ppm: int, out: list[AnyEvent]) -> None:
    """Let a scope stand on a level, and say so if it stood on another one."""
    before = scope.level
    if level == before:
        return
    scope.level = level
    account, asset, instrument, leg = scope_name(scope)
    out.append(
        RiskLevelChanged(
            account=account,
            asset=asset,
            instrument=instrument,
            leg=leg,
            before=before,
            after=level,
            ratio_ppm=ratio_ppm,
        )
    )


def forget_silent_wallet(state: State, scope: Scope) -> None:
    """Know a margin wallet no more that has become safe and says nothing."""
    if isinstance(scope, Margin) and not scope.says_something():
        state.accounts[scope.account].margins.pop(scope.asset, None)


def _thresholds(state: State, held: list[Position]) -> ladder.AnyThresholds:
    instruments = state.markets.instruments
    if len(held) == 1:
        return contract_of(instruments[held[0].instrument]).rules.liquidation
    return ladder.thresholds(
        contract_of(instruments[position.instrument]).rules.liquidation for position in held
    )


def _judge(
    state: State, scopes: list[Scope], out: list[AnyEvent], *, are_nominated: bool = False
) -> list[Scope]:
    """Judge scopes in their order; whom the engine has to take comes last, the worst first.

    Returns those.  The index remembers from where on it need not nominate again who was nominated.
    """
    beginnings: list[_Beginning] = []
    for scope in _in_order(scopes):
        held = positions_with_lots(scope)
        if not scope.liquidation:
            beginning = _judge_scope(state, scope, held, out, is_nominated=are_nominated)
            if beginning is not None:
                beginnings.append(beginning)
        elif are_nominated:
            state.trigger_index.leave_alone(scope, held, state.markets.instruments)
    if len(beginnings) > 1:
        beginnings.sort(key=lambda each: (-each.ratio_ppm, -_notional_atoms(state, each.held), each.name))
    for beginning in beginnings:
        _begin(state, beginning, out)
    return [beginning.scope for beginning in beginnings]


def _in_order(scopes: list[Scope]) -> list[Scope]:
    """Return scopes by their names; most accounts have but one, and accounts are compared faster."""
    if len(scopes) == 1:
        return scopes
    by_account = sorted(scopes, key=_account)
    if all(_account(first) < _account(second) for first, second in pairwise(by_account)):
        return by_account
    return sorted(scopes, key=scope_name)


def _judge_scope(
    state: State, scope: Scope, held: list[Position], out: list[AnyEvent], *, is_nominated: bool
) -> _Beginning | None:
    """Let a scope stand on the level that it has; return it if the engine has to take it."""
    instruments = state.markets.instruments
    equity_atoms, maintenance_atoms = equity.cash_atoms(scope), 0
    for position in held:
        instrument = instruments[position.instrument]
        contract = instrument.contract
        assert contract is not None, position.instrument
        if contract.index.is_stale:
            state.trigger_index.touch(scope)
            return None
        worth_atoms, needed_atoms = equity.position_standing_atoms(contract, instrument.mark_ticks, position)
        equity_atoms += worth_atoms
        maintenance_atoms += needed_atoms
    if len(held) == 1 and scope.level is _SAFE:
        at = _thresholds(state, held)
        if maintenance_atoms * PPM < equity_atoms * at.warning_ppm:
            # The common case: the first level is far.
            if is_nominated:
                state.trigger_index.write(scope, held, instruments, equity_atoms, maintenance_atoms, at)
            return None
    ratio_ppm = equity.ratio_ppm(equity_atoms, maintenance_atoms)
    if equity_atoms < maintenance_atoms or equity_atoms < 0:
        if is_nominated:
            state.trigger_index.leave_alone(scope, held, instruments)
        return _Beginning(ratio_ppm, scope_name(scope), scope, held, equity_atoms, maintenance_atoms)
    if not held:
        if scope.level != _SAFE:
            set_level(scope, _SAFE, ratio_ppm, out)
            forget_silent_wallet(state, scope)
        return None
    at = _thresholds(state, held)
    level = ladder.level_after(scope.level, ratio_ppm, at)
    if level != scope.level:
        set_level(scope, level, ratio_ppm, out)
    if is_nominated:
        state.trigger_index.write(scope, held, instruments, equity_atoms, maintenance_atoms, at)
    return None


def _notional_atoms(state: State, held: list[Position]) -> int:
    """Return the notional of all lots of positions at the marks."""
    atoms = 0
    for position in held:
        instrument = state.markets.instruments[position.instrument]
        atoms += mark_notional_atoms(contract_of(instrument), abs(position.qty_lots), instrument.mark_ticks)
    return atoms


def _begin(state: State, beginning: _Beginning, out: list[AnyEvent]) -> None:
    """Give a scope to the engine."""
    scope = beginning.scope
    account, asset, instrument, leg = beginning.name
    set_level(scope, _LIQUIDATING, beginning.ratio_ppm, out)
    state.last_liquidation += 1
    number = LiquidationId(state.last_liquidation)
    liquidation = Liquidation(number, account, asset, instrument, leg)
    liquidation.is_below_zero = beginning.equity_atoms < 0
    state.liquidations.append(liquidation)
    scope.liquidation = number
    state.rankings.touch(scope)
    out.append(
        LiquidationStarted(
            liquidation=number,
            account=account,
            asset=asset,
            instrument=instrument,
            leg=leg,
            equity_atoms=beginning.equity_atoms,
            maintenance_atoms=beginning.maintenance_atoms,
        )
    )
