"""Leverage and modes of positions, and the money that stands behind them."""

from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import AdjustBucket, MoveMargin, SetContractModes, SetLeverage
from steelyard.core.contracts import equity
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import owed_atoms
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.contracts.schedule import max_leverage
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import AnyEvent, BucketAdjusted, ContractModesSet, LeverageSet, MarginMoved
from steelyard.core.handlers.checks import customer, is_too_late, may_act, stopped
from steelyard.core.handlers.contracting import has_leg, position_of
from steelyard.core.instruments import Instrument
from steelyard.core.limits import INTEGER_MAX, POSITIONS_PER_MARGIN_MAX
from steelyard.core.matching import Margin, Position
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import AccountId, InstrumentId, Leg, MarginMode, Permission, RiskLevel


def set_leverage(
    state: State, command: SetLeverage, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Choose the leverage of a position, or (zero) none.

    Isolated with lots: what the bucket lacks of the new initial margin comes from the margin wallet.
    """
    if command.leverage < 0:
        return Reject.MALFORMED
    account = _acting(state, request, key, command.account, Permission.TRADE)
    if isinstance(account, Reject):
        return account
    found = _contract(state, command.instrument)
    if isinstance(found, Reject):
        return found
    instrument, contract = found
    position = position_of(instrument, account, command.leg)
    if position is None or not has_leg(instrument, account, command.leg):
        return Reject.UNKNOWN_POSITION
    margin = position.margin
    mark_ticks, worst = instrument.mark_ticks, equity.worst_lots(position)
    notional = mark_notional_atoms(contract, worst, mark_ticks)
    if command.leverage > max_leverage(contract.rules.margin, notional, worst):
        return Reject.LEVERAGE_OUT_OF_RANGE
    if (position.instrument, position.leg) not in margin.positions and _lacks_room(margin, 1):
        return Reject.TOO_MANY_POSITIONS
    if position.scope.level == RiskLevel.LIQUIDATING:
        return Reject.RISK_LEVEL
    bucket_atoms = _lacking_atoms(contract, position, mark_ticks, command.leverage)
    marks = state.markets.instruments
    if position.is_isolated:
        if bucket_atoms and bucket_atoms > equity.withdrawable_atoms(margin, marks):
            return Reject.INSUFFICIENT_MARGIN
    else:
        # What is available falls by what the initial margin rises.
        before_atoms = equity.lots_initial_atoms(contract, worst, mark_ticks, position.leverage)
        rise_atoms = equity.lots_initial_atoms(contract, worst, mark_ticks, command.leverage) - before_atoms
        if rise_atoms > 0 and equity.available_atoms(margin, marks) < rise_atoms:
            return Reject.INSUFFICIENT_MARGIN

    # Nothing below can fail.
    margin = account.margin(contract.settle)
    position = margin.position(command.instrument, command.leg)
    position.leverage = command.leverage
    position.bucket_atoms += bucket_atoms
    margin.wallet_atoms -= bucket_atoms
    state.touched[position.scope] = None
    if bucket_atoms:
        state.touched[margin] = None
    account.forget_silent(position)
    out.append(
        LeverageSet(
            account=command.account,
            instrument=command.instrument,
            leg=command.leg,
            leverage=command.leverage,
            bucket_atoms=bucket_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_contract_modes(
    state: State, command: SetContractModes, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Choose cross or isolated margin, and one position or two, of an account in a contract.

    A leg that stays keeps its leverage; new legs have none.  The margin knows both legs of hedge mode.
    """
    account = _acting(state, request, key, command.account, Permission.TRADE)
    if isinstance(account, Reject):
        return account
    found = _contract(state, command.instrument)
    if isinstance(found, Reject):
        return found
    _, contract = found
    known = account.margins.get(contract.settle)
    before = _legs(known, command.instrument)
    if any(each.qty_lots or each.living or each.bucket_atoms or each.liquidation for each in before):
        return Reject.POSITION_NOT_EMPTY
    legs = (Leg.LONG, Leg.SHORT) if command.hedge else (Leg.NET,)
    isolated = command.margin == MarginMode.ISOLATED
    staying = [position for position in before if position.leg in legs]
    fresh = len(legs) - len(staying) if isolated or command.hedge else 0
    if known is not None and fresh and _lacks_room(known, fresh + len(staying) - len(before)):
        return Reject.TOO_MANY_POSITIONS

    # Nothing below can fail.
    margin = account.margin(contract.settle)
    for position in before:
        if position.leg not in legs:
            del margin.positions[command.instrument, position.leg]
    if command.hedge:
        margin.hedged[command.instrument] = None
    else:
        margin.hedged.pop(command.instrument, None)
    for leg in legs:
        position = margin.position(command.instrument, leg)
        position.is_isolated = isolated
        account.forget_silent(position)
    out.append(
        ContractModesSet(
            account=command.account,
            instrument=command.instrument,
            margin=command.margin,
            hedge=command.hedge,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def move_margin(
    state: State, command: MoveMargin, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Move free funds to the margin wallet of their asset, or what may leave it back."""
    amount_atoms = command.amount_atoms
    if amount_atoms == 0:
        return Reject.MALFORMED
    account = _acting(state, request, key, command.account, Permission.TRANSFER)
    if isinstance(account, Reject):
        return account
    fault = stopped(account)
    if fault is not None:
        return fault
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    if abs(amount_atoms) > INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if amount_atoms > 0:
        if account.free_atoms(command.asset) < amount_atoms:
            return Reject.INSUFFICIENT_FUNDS
    else:
        if state.ledger.houses[command.asset].gate_on:
            return Reject.WITHDRAWAL_GATE
        known = account.margins.get(command.asset)
        if known is None:
            return Reject.INSUFFICIENT_MARGIN
        if known.level >= RiskLevel.DANGER:
            return Reject.RISK_LEVEL
        if -amount_atoms > equity.withdrawable_atoms(known, state.markets.instruments):
            return Reject.INSUFFICIENT_MARGIN

    # Nothing below can fail.
    balance, margin = account.balance(command.asset), account.margin(command.asset)
    balance.free_atoms -= amount_atoms
    margin.wallet_atoms += amount_atoms
    state.touched[margin] = None
    account.forget_silent_margin(margin)
    out.append(
        MarginMoved(
            account=command.account,
            asset=command.asset,
            amount_atoms=amount_atoms,
            free_atoms=balance.free_atoms,
            wallet_atoms=margin.wallet_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def adjust_bucket(
    state: State, command: AdjustBucket, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Add to the bucket of an isolated position from the margin wallet, or take from it what it may spare."""
    amount_atoms = command.amount_atoms
    if amount_atoms == 0:
        return Reject.MALFORMED
    account = _acting(state, request, key, command.account, Permission.TRADE)
    if isinstance(account, Reject):
        return account
    found = _contract(state, command.instrument)
    if isinstance(found, Reject):
        return found
    instrument, contract = found
    position = position_of(instrument, account, command.leg)
    if position is None or not position.is_isolated or position.qty_lots == 0:
        return Reject.UNKNOWN_POSITION
    if position.level == RiskLevel.LIQUIDATING:
        return Reject.RISK_LEVEL
    if abs(amount_atoms) > INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    margin = position.margin
    if amount_atoms > 0:
        if amount_atoms > equity.withdrawable_atoms(margin, state.markets.instruments):
            return Reject.INSUFFICIENT_MARGIN
    else:
        mark_ticks = instrument.mark_ticks
        worth_atoms = equity.gain_atoms(contract, position, mark_ticks) - owed_atoms(contract, position)
        left_atoms = position.bucket_atoms + amount_atoms + min(0, worth_atoms)
        lots = abs(position.qty_lots)
        staying_atoms = equity.lots_initial_atoms(contract, lots, mark_ticks, position.leverage)
        if left_atoms < staying_atoms + equity.open_loss_atoms(contract, position, mark_ticks):
            return Reject.INSUFFICIENT_MARGIN

    # Nothing below can fail.
    position.bucket_atoms += amount_atoms
    margin.wallet_atoms -= amount_atoms
    state.touched[position] = None
    state.touched[margin] = None
    out.append(
        BucketAdjusted(
            account=command.account,
            instrument=command.instrument,
            leg=command.leg,
            amount_atoms=amount_atoms,
            bucket_atoms=position.bucket_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def _acting(
    state: State, request: Request, key: ApiKey, account: AccountId, permission: Permission
) -> Account | Reject:
    """Return the customer for whom a key asks in time, its own or as an operator, or why that is refused."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_act(state, key, account, permission):
        return Reject.NOT_PERMITTED
    found = customer(state, account)
    return Reject.UNKNOWN_ACCOUNT if found is None else found


def _contract(state: State, instrument: InstrumentId) -> tuple[Instrument, Contract] | Reject:
    """Return a listed contract with its instrument, or why there is none."""
    found = state.markets.instruments.get(instrument)
    if found is None:
        return Reject.UNKNOWN_INSTRUMENT
    return Reject.NOT_THIS_KIND if found.contract is None else (found, found.contract)


def _legs(margin: Margin | None, instrument: InstrumentId) -> list[Position]:
    """Return the positions of a contract that a margin knows."""
    if margin is None:
        return []
    return [position for leg in Leg if (position := margin.positions.get((instrument, leg))) is not None]


def _lacks_room(margin: Margin, more: int) -> bool:
    """Return whether a margin cannot know so many positions more."""
    return len(margin.positions) + more > POSITIONS_PER_MARGIN_MAX


def _lacking_atoms(contract: Contract, position: Position, mark_ticks: int, leverage: int) -> int:
    """Return what an isolated position's bucket lacks of the initial margin of its lots with a leverage."""
    if not position.is_isolated or position.qty_lots == 0:
        return 0
    initial_atoms = equity.lots_initial_atoms(contract, abs(position.qty_lots), mark_ticks, leverage)
    return max(0, initial_atoms - position.bucket_atoms)
