"""The checks that many commands share."""

from typing import Final

from steelyard.core.accounts import Account, ApiKey
from steelyard.core.entry import Request
from steelyard.core.state import State
from steelyard.core.units import FIRST_CUSTOMER, AccountId, Permission

_OPERATE: Final = int(Permission.OPERATE)


def is_too_late(state: State, request: Request) -> bool:
    """Return whether log time has passed the request's ``not_after_ns`` (inclusive; zero is never)."""
    return request.not_after_ns != 0 and state.time_ns > request.not_after_ns


def may_operate(key: ApiKey) -> bool:
    """Return whether the key is an operator's."""
    return key.permissions & _OPERATE != 0


def customer(state: State, account: AccountId) -> Account | None:
    """Return a customer's account; the system's own accounts hold no balances of this kind."""
    return state.accounts.get(account) if account >= FIRST_CUSTOMER else None
