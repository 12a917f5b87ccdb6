"""What bounds an account: permissions, groups, order limits, self-trade prevention, freezes."""

from steelyard.core.accounts import ALL_PERMISSIONS, ApiKey
from steelyard.core.commands import (
    SetAccountRules,
    SetFrozen,
    SetLegalHold,
    SetOrderLimit,
    SetSelfTrade,
)
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import (
    AccountFrozen,
    AccountRulesSet,
    AnyEvent,
    LegalHoldSet,
    OrderLimitSet,
    SelfTradeSet,
)
from steelyard.core.handlers.checks import customer, is_too_late, may_act, operated
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import Permission


def set_account_rules(
    state: State, command: SetAccountRules, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set an account's trade group, its permissions and how many orders it may have."""
    if not 0 <= command.permissions <= ALL_PERMISSIONS:
        return Reject.MALFORMED
    if not (0 <= command.trade_group <= INTEGER_MAX and 0 <= command.orders_max <= INTEGER_MAX):
        return Reject.MALFORMED
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account

    # Nothing below can fail.
    rules = account.ruled()
    rules.trade_group = command.trade_group
    rules.permissions = command.permissions
    rules.orders_max = command.orders_max
    account.forget_empty_rules()
    out.append(
        AccountRulesSet(
            account=command.account,
            trade_group=command.trade_group,
            permissions=command.permissions,
            orders_max=command.orders_max,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_order_limit(
    state: State, command: SetOrderLimit, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Bound an account's single orders in one instrument, or lift that."""
    size_max_lots, notional_max_atoms = command.size_max_lots, command.notional_max_atoms
    if not (0 <= size_max_lots <= INTEGER_MAX and 0 <= notional_max_atoms <= INTEGER_MAX):
        return Reject.MALFORMED
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account
    if command.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT

    # Nothing below can fail.
    limits = account.ruled().order_limits
    if size_max_lots == notional_max_atoms == 0:
        limits.pop(command.instrument, None)
    else:
        limits[command.instrument] = (size_max_lots, notional_max_atoms)
    account.forget_empty_rules()
    out.append(
        OrderLimitSet(
            account=command.account,
            instrument=command.instrument,
            size_max_lots=size_max_lots,
            notional_max_atoms=notional_max_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_self_trade(
    state: State, command: SetSelfTrade, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Choose an account's default for self-trade prevention."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_act(state, key, command.account, Permission.TRADE):
        return Reject.NOT_PERMITTED
    account = customer(state, command.account)
    if account is None:
        return Reject.UNKNOWN_ACCOUNT

    # Nothing below can fail.
    account.ruled().self_trade = command.mode
    account.forget_empty_rules()
    out.append(SelfTradeSet(account=command.account, mode=command.mode))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_frozen(
    state: State, command: SetFrozen, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Freeze an account, or lift that; its living orders stay."""
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account

    # Nothing below can fail.
    account.ruled().frozen = command.frozen
    account.forget_empty_rules()
    out.append(AccountFrozen(account=command.account, frozen=command.frozen))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_legal_hold(
    state: State, command: SetLegalHold, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Put an account under legal hold, or lift that; a freeze is another thing and stays."""
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account

    # Nothing below can fail.
    account.ruled().legal_hold = command.on
    account.forget_empty_rules()
    out.append(LegalHoldSet(account=command.account, on=command.on))
    return Accepted(request=request.request, fingerprint=request.fingerprint)
