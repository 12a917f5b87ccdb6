"""Many orders out of the book at once: by wish, or because nobody said any more that they may stay."""

from typing import Final

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import ArmCountdown, CancelOrders
from steelyard.core.entry import Accepted, AnyReply, Request, Swept
from steelyard.core.events import AnyEvent, CountdownArmed, CountdownFired, OrdersSwept
from steelyard.core.handlers.checks import customer, is_too_late, may
from steelyard.core.handlers.moves import end_orders
from steelyard.core.limits import COUNTDOWN_NS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.timing import urgent_timers
from steelyard.core.units import AccountId, InstrumentId, Permission

_TRADE: Final = int(Permission.TRADE)

#: Timers that stand for nothing any more may be as many as those that do, and so many more.
_FORGOTTEN_MAX: Final = 64


def cancel_orders(
    state: State, command: CancelOrders, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Cancel an account's living orders, and its sub-accounts' if asked, oldest first.

    An auction that makes its trades keeps its orders: its price is known, and nobody may step back from it.
    """
    fault = _fault(state, command.account, command.instrument, request, key)
    if fault is not None:
        return fault

    # Nothing below can fail.
    rules = state.accounts[command.account].rules
    accounts = [command.account]
    if command.sub_accounts and rules is not None:
        accounts += rules.sub_accounts
    uncrossing = state.markets.uncrossing
    orders = [
        order
        for account in accounts
        for order in state.accounts[account].orders.values()
        if command.instrument in (0, order.instrument)
        and command.side in (None, order.side)
        and order.instrument not in uncrossing
    ]
    out.append(OrdersSwept(account=command.account, count=len(orders)))
    end_orders(state, orders, None, out)
    return Swept(request=request.request, fingerprint=request.fingerprint, count=len(orders))


def arm_countdown(
    state: State, command: ArmCountdown, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Let a countdown begin again, or end it."""
    if not 0 <= command.countdown_ns <= COUNTDOWN_NS_MAX:
        return Reject.MALFORMED
    fault = _fault(state, command.account, command.instrument, request, key)
    if fault is not None:
        return fault

    # Nothing below can fail.
    scope = (command.account, command.instrument)
    due_ns = state.time_ns + command.countdown_ns if command.countdown_ns else 0
    if due_ns:
        state.countdowns[scope] = due_ns
        state.timers.countdown(due_ns, command.account, command.instrument)
    else:
        state.countdowns.pop(scope, None)
    _forget_old_timers(state)
    out.append(CountdownArmed(account=command.account, instrument=command.instrument, due_ns=due_ns))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def countdown_due(
    state: State, account: AccountId, instrument: InstrumentId, due_ns: int, out: list[AnyEvent]
) -> None:
    """Fire a countdown whose timer of ``due_ns`` has come, unless it was armed again or disarmed since."""
    scope = (account, instrument)
    if state.countdowns.get(scope) != due_ns:
        return
    del state.countdowns[scope]
    out.append(CountdownFired(account=account, instrument=instrument))
    orders = [
        order for order in state.accounts[account].orders.values() if instrument in (0, order.instrument)
    ]
    end_orders(state, orders, Reject.COUNTDOWN, out)


def _fault(
    state: State, account_id: AccountId, instrument: InstrumentId, request: Request, key: ApiKey
) -> Reject | None:
    """Return why the key may not end the account's orders there; frozen accounts may."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if account_id != key.account or not may(state.accounts[account_id], key, _TRADE):
        return Reject.NOT_PERMITTED
    if customer(state, account_id) is None:
        return Reject.UNKNOWN_ACCOUNT
    if instrument != 0 and instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT
    return None


def _forget_old_timers(state: State) -> None:
    """Keep whoever arms again and again from filling memory: a timer is a hint, and old ones are useless."""
    timers = state.timers
    markets = state.markets
    # A contract has a sample and funding to come, beside its next state; an asset may have a gate.
    standing_max = (
        len(state.countdowns) + 3 * len(markets.instruments) + len(markets.indices) + len(markets.assets)
    )
    if len(timers.urgent) > 2 * standing_max + _FORGOTTEN_MAX:
        timers.keep_urgent(urgent_timers(state))
