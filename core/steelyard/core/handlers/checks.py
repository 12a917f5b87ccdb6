"""The checks that many commands share."""

from typing import Final

from steelyard.core.accounts import Account, ApiKey
from steelyard.core.entry import Request
from steelyard.core.matching import Order
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import FIRST_CUSTOMER, AccountId, OrderId, OrderNumber, Permission

_OPERATE: Final = int(Permission.OPERATE)


def is_too_late(state: State, request: Request) -> bool:
    """Return whether log time has passed the request's ``not_after_ns`` (inclusive; zero is never)."""
    return request.not_after_ns != 0 and state.time_ns > request.not_after_ns


def may_operate(key: ApiKey) -> bool:
    """Return whether the key is an operator's; the rules of its account do not bound that."""
    return key.permissions & _OPERATE != 0


def may(account: Account, key: ApiKey, permission: int) -> bool:
    """Return whether a key of ``account`` has a permission, and the account's rules leave it that."""
    rules = account.rules
    granted = key.permissions if rules is None else key.permissions & rules.permissions
    return granted & permission != 0


def may_act(state: State, key: ApiKey, account: AccountId, permission: int) -> bool:
    """Return whether ``key`` is one of the account's own with this permission, or an operator's."""
    if may_operate(key):
        return True
    return key.account == account and may(state.accounts[account], key, permission)


def customer(state: State, account: AccountId) -> Account | None:
    """Return a customer's account; the system's own accounts hold no balances of this kind."""
    return state.accounts.get(account) if account >= FIRST_CUSTOMER else None


def stopped(account: Account) -> Reject | None:
    """Return why the account may not order, amend, transfer or withdraw, or None if it may."""
    rules = account.rules
    if rules is None:
        return None
    if rules.legal_hold:
        return Reject.LEGAL_HOLD
    return Reject.ACCOUNT_FROZEN if rules.frozen else None


def operated(state: State, request: Request, key: ApiKey, account: AccountId) -> Account | Reject:
    """Return the customer about whom an operator says something in time, or why that is refused."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    found = customer(state, account)
    return Reject.UNKNOWN_ACCOUNT if found is None else found


def named_order(
    state: State, account: Account, order: OrderId, number: OrderNumber, label: str
) -> Order | None:
    """Return an account's living order by the one name that is given, or None if it has no such order."""
    if order != 0:
        return account.orders.get(order)
    if number == 0:
        return account.labels.get(label)
    found = state.orders.get(number)
    return found if found is not None and found.account == account.account else None
