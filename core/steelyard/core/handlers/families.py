"""Master accounts, their sub-accounts, and money between them."""

from steelyard.core.accounts import ALL_PERMISSIONS, Account, ApiKey
from steelyard.core.commands import OpenSubAccount, Transfer
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import AnyEvent, SubAccountOpened, Transferred
from steelyard.core.handlers.checks import customer, is_too_late, may, may_act, stopped
from steelyard.core.limits import ACCOUNTS_MAX, INTEGER_MAX, SUB_ACCOUNTS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import FIRST_CUSTOMER, AccountId, Permission


def open_sub_account(
    state: State, command: OpenSubAccount, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Open an empty account that belongs to a master; there is one level of them."""
    if not FIRST_CUSTOMER <= command.account <= INTEGER_MAX:
        return Reject.MALFORMED
    if not 0 <= command.permissions <= ALL_PERMISSIONS:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_act(state, key, command.master, Permission.TRANSFER):
        return Reject.NOT_PERMITTED
    master = customer(state, command.master)
    if master is None:
        return Reject.UNKNOWN_ACCOUNT
    if master_of(master) != 0:
        return Reject.NOT_PERMITTED
    if command.account in state.accounts:
        return Reject.ACCOUNT_EXISTS
    if len(state.accounts) >= ACCOUNTS_MAX:
        return Reject.TOO_MANY_ACCOUNTS
    if len(sub_accounts_of(master)) >= SUB_ACCOUNTS_MAX:
        return Reject.TOO_MANY_SUB_ACCOUNTS

    # Nothing below can fail.
    account = Account(command.account)
    rules = account.ruled()
    rules.master = command.master
    rules.permissions = command.permissions
    master.ruled().sub_accounts.append(command.account)
    state.accounts[command.account] = account
    out.append(
        SubAccountOpened(master=command.master, account=command.account, permissions=command.permissions)
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def transfer(
    state: State, command: Transfer, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Move free funds within a family, as the giver or its master asks."""
    if command.giver == command.taker:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    giver = customer(state, command.giver)
    if key.account != command.giver and (giver is None or key.account != master_of(giver)):
        return Reject.NOT_PERMITTED
    if not may(state.accounts[key.account], key, Permission.TRANSFER):
        return Reject.NOT_PERMITTED
    taker = customer(state, command.taker)
    if giver is None or taker is None:
        return Reject.UNKNOWN_ACCOUNT
    faults = stopped(giver), stopped(taker)
    for reason in (Reject.LEGAL_HOLD, Reject.ACCOUNT_FROZEN):
        if reason in faults:
            return reason
    if family_of(giver) != family_of(taker):
        return Reject.NOT_FAMILY
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    if not 0 < command.amount_atoms <= INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if giver.free_atoms(command.asset) < command.amount_atoms:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    given, taken = giver.balance(command.asset), taker.balance(command.asset)
    given.spend_free(command.amount_atoms)
    taken.free_atoms += command.amount_atoms
    out.append(
        Transferred(
            giver=command.giver,
            taker=command.taker,
            asset=command.asset,
            amount_atoms=command.amount_atoms,
            giver_free_atoms=given.free_atoms,
            taker_free_atoms=taken.free_atoms,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def master_of(account: Account) -> AccountId:
    """Return a sub-account's master, or zero for any other account."""
    return AccountId(0) if account.rules is None else account.rules.master


def sub_accounts_of(account: Account) -> list[AccountId]:
    """Return a master's sub-accounts, in the order of opening."""
    return [] if account.rules is None else account.rules.sub_accounts


def family_of(account: Account) -> AccountId:
    """Return the account at the head of the family: the master, or the account itself."""
    return master_of(account) or account.account
