"""Money in and out, set aside, and earned by referring others."""

from steelyard.core.accounts import ApiKey, Hold
from steelyard.core.commands import Deposit, HoldFunds, PayReferral, ReleaseHold, Withdraw
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import (
    AnyEvent,
    Deposited,
    FundsHeld,
    HoldReleased,
    ReferralPaid,
    Withdrawn,
)
from steelyard.core.handlers.checks import customer, is_too_late, may_act, may_operate, operated, stopped
from steelyard.core.limits import HOLDS_PER_ACCOUNT_MAX, INTEGER_MAX, is_id
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import Permission


def deposit(
    state: State, command: Deposit, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Credit an account against the outside world."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    account = customer(state, command.account)
    if account is None:
        return Reject.UNKNOWN_ACCOUNT
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    if not 0 < command.amount_atoms <= INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if not state.ledger.can_deposit(command.asset, command.amount_atoms):
        return Reject.BALANCE_LIMIT

    # Nothing below can fail.
    balance = account.balance(command.asset)
    state.ledger.deposit(command.asset, balance, command.amount_atoms)
    out.append(
        Deposited(
            account=command.account,
            asset=command.asset,
            amount_atoms=command.amount_atoms,
            free_atoms=balance.free_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def withdraw(
    state: State, command: Withdraw, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Pay free funds out to the outside world."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    account = customer(state, command.account)
    if account is None:
        return Reject.UNKNOWN_ACCOUNT
    fault = stopped(account)
    if fault is not None:
        return fault
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    if not 0 < command.amount_atoms <= INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if account.free_atoms(command.asset) < command.amount_atoms:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    balance = account.balance(command.asset)
    state.ledger.withdraw(command.asset, balance, command.amount_atoms)
    out.append(
        Withdrawn(
            account=command.account,
            asset=command.asset,
            amount_atoms=command.amount_atoms,
            free_atoms=balance.free_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def hold_funds(
    state: State, command: HoldFunds, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set a part of an account's free funds aside."""
    if not is_id(command.hold):
        return Reject.MALFORMED
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    rules = account.rules
    if rules is not None and command.hold in rules.holds:
        return Reject.HOLD_EXISTS
    if rules is not None and len(rules.holds) >= HOLDS_PER_ACCOUNT_MAX:
        return Reject.TOO_MANY_HOLDS
    if not 0 < command.amount_atoms <= INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if account.free_atoms(command.asset) < command.amount_atoms:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    account.balance(command.asset).hold(command.amount_atoms)
    account.ruled().holds[command.hold] = Hold(
        command.hold, command.asset, command.amount_atoms, command.legal
    )
    out.append(
        FundsHeld(
            account=command.account,
            hold=command.hold,
            asset=command.asset,
            amount_atoms=command.amount_atoms,
            legal=command.legal,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def release_hold(
    state: State, command: ReleaseHold, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Make held funds free again."""
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account
    rules = account.rules
    if rules is None or command.hold not in rules.holds:
        return Reject.UNKNOWN_HOLD
    hold = rules.holds[command.hold]
    if hold.legal and not command.legal:
        return Reject.LEGAL_HOLD

    # Nothing below can fail.
    del rules.holds[command.hold]
    account.forget_empty_rules()
    account.balance(hold.asset).release(hold.amount_atoms)
    out.append(
        HoldReleased(
            account=command.account, hold=hold.hold, asset=hold.asset, amount_atoms=hold.amount_atoms
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def pay_referral(
    state: State, command: PayReferral, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Pay out everything that an account has earned in one asset by referring others."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_act(state, key, command.account, Permission.TRANSFER):
        return Reject.NOT_PERMITTED
    account = customer(state, command.account)
    if account is None:
        return Reject.UNKNOWN_ACCOUNT
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    rules = account.rules
    if rules is None or command.asset not in rules.owed:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    owed_atoms = rules.owed.pop(command.asset)
    account.forget_empty_rules()
    balance = account.balance(command.asset)
    state.ledger.houses[command.asset].referral_atoms -= owed_atoms
    balance.free_atoms += owed_atoms
    out.append(
        ReferralPaid(
            account=command.account,
            asset=command.asset,
            amount_atoms=owed_atoms,
            free_atoms=balance.free_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)
