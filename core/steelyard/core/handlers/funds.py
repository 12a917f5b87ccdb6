"""Money in and out, by an operator's word."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import Deposit, Withdraw
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import AnyEvent, Deposited, Withdrawn
from steelyard.core.handlers.checks import customer, is_too_late, may_operate
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State


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
