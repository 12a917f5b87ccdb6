"""What was compared when something was refused for who asked, when, or for what is not there to be paid."""

from typing import Final

from steelyard.core import Reject
from steelyard.core.commands import (
    AdjustBucket,
    AmendOrder,
    Deposit,
    FundInsurance,
    HoldFunds,
    MoveMargin,
    PayReferral,
    PlaceOrder,
    Transfer,
    Withdraw,
)
from steelyard.core.limits import (
    INTEGER_MAX,
    OMNIBUS_ATOMS_MAX,
    REPLY_WINDOW_MAX,
    SESSION_IDLE_NS,
)
from steelyard.core.state import State
from steelyard.core.units import AccountId, AssetId, Permission
from steelyard.ops.explain.compared_orders import funds as funds_of_order
from steelyard.ops.explain.refusals import Refusal, drafted, no, show
from steelyard.ops.explain.telling import Explanation


def too_late(told: Explanation, refusal: Refusal) -> None:
    """Explain until when a request might have been carried out."""
    until_ns, now_ns = refusal.request.not_after_ns, refusal.state.time_ns
    no(
        told,
        "log time is after it",
        until_ns != 0 and now_ns > until_ns,
        not_after_ns=until_ns,
        log_time_ns=now_ns,
    )


def key_expired(told: Explanation, refusal: Refusal) -> None:
    """Explain when a key ended."""
    key = refusal.state.keys[refusal.request.key]
    no(
        told,
        "the key was revoked, or its time has come",
        key.is_over(refusal.state.time_ns),
        revoked=key.revoked,
        expires_ns=key.expires_ns,
        log_time_ns=refusal.state.time_ns,
    )


def session(told: Explanation, refusal: Refusal) -> None:
    """Explain where a session stands that did not take a request; one that is gone was swept out."""
    request, state = refusal.request, refusal.state
    found = state.sessions.get(request.session)
    if found is None:
        no(
            told,
            "there is no session of this number any more",
            True,
            session=request.session,
            newest_session=state.last_session,
        )
        return
    show(told, session=request.session, request=request.request)
    expected = found.last_request + 1
    match refusal.reason:
        case Reject.SESSION_EXPIRED:
            no(
                told,
                "it was not used for so long",
                found.is_expired(state.time_ns),
                unused_ns=state.time_ns - found.used_ns,
                idle_max_ns=SESSION_IDLE_NS,
            )
        case Reject.REQUEST_GAP:
            no(
                told,
                "the request is not the next one, nor one before it",
                not 0 < request.request < expected,
                next_request=expected,
            )
        case Reject.REPLY_RELEASED:
            no(
                told,
                "the request is before those whose replies are wanted",
                request.request < found.wants_from,
                wants_replies_from=found.wants_from,
            )
        case Reject.WINDOW_FULL:
            wants_from = max(found.wants_from, min(request.wants_from, request.request))
            no(
                told,
                "with it too many replies would be kept",
                request.request - wants_from >= REPLY_WINDOW_MAX,
                wants_replies_from=wants_from,
                replies_max=REPLY_WINDOW_MAX,
            )
        case _:
            key = state.keys[request.key]
            no(
                told,
                "the key is of another account",
                key.account != found.account,
                account_of_the_session=found.account,
                account_of_the_key=key.account,
            )


def permission(told: Explanation, refusal: Refusal) -> None:
    """Say what a key and its account may do."""
    key = refusal.state.keys.get(refusal.request.key)
    if key is None:
        return
    rules = refusal.state.accounts[key.account].rules
    show(
        told,
        key=key.key,
        account_of_the_key=key.account,
        permissions_of_the_key=_permissions(key.permissions),
        **({} if rules is None else {"permissions_of_its_account": _permissions(rules.permissions)}),
    )


def amount(told: Explanation, refusal: Refusal) -> None:
    """Explain that an amount is not one."""
    atoms = getattr(refusal.command, "amount_atoms", None)
    if atoms is None:
        return
    least = -INTEGER_MAX if isinstance(refusal.command, MoveMargin | AdjustBucket | FundInsurance) else 1
    no(
        told,
        "the amount is out of range",
        not least <= atoms <= INTEGER_MAX,
        amount_atoms=atoms,
        least_atoms=least,
        most_atoms=INTEGER_MAX,
    )


def balance(told: Explanation, refusal: Refusal) -> None:
    """Explain that the outside world would owe too much."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, Deposit | FundInsurance):
        return
    owed_atoms = -state.ledger.houses[command.asset].omnibus_atoms
    no(
        told,
        "all customers together would own too much",
        owed_atoms + command.amount_atoms > OMNIBUS_ATOMS_MAX,
        owned_by_all_atoms=owed_atoms,
        amount_atoms=command.amount_atoms,
        bound_atoms=OMNIBUS_ATOMS_MAX,
    )


def funds(told: Explanation, refusal: Refusal) -> None:
    """Explain what an account, the fund or an order lacks."""
    command, state = refusal.command, refusal.state
    match command:
        case Withdraw() | HoldFunds() | MoveMargin():
            _lack(told, _free_atoms(state, command.account, command.asset), command.amount_atoms)
        case Transfer():
            _lack(told, _free_atoms(state, command.giver, command.asset), command.amount_atoms)
        case FundInsurance():
            house = state.ledger.houses[command.asset]
            no(
                told,
                "the fund has less",
                house.insurance_atoms < -command.amount_atoms,
                fund_atoms=house.insurance_atoms,
                wanted_atoms=-command.amount_atoms,
            )
        case PayReferral():
            rules = state.accounts[command.account].rules
            owed_atoms = 0 if rules is None else rules.owed.get(command.asset, 0)
            no(told, "nothing is owed", owed_atoms == 0, owed_atoms=owed_atoms)
        case PlaceOrder() | AmendOrder():
            found = drafted(refusal)
            if found is not None and found.order.position is None:
                funds_of_order(told, found)
        case _:
            pass


def _free_atoms(state: State, account: AccountId, asset: AssetId) -> int:
    return state.accounts[account].free_atoms(asset)


def _lack(told: Explanation, free_atoms: int, wanted_atoms: int) -> None:
    no(
        told,
        "free < wanted",
        free_atoms < wanted_atoms,
        free_atoms=free_atoms,
        wanted_atoms=wanted_atoms,
    )


def _permissions(mask: int) -> str:
    return ", ".join(each.name for each in Permission if each & mask and each.name) or "none"


ASKING: Final = {
    Reject.TOO_LATE: too_late,
    Reject.KEY_EXPIRED: key_expired,
    Reject.UNKNOWN_SESSION: session,
    Reject.SESSION_EXPIRED: session,
    Reject.NOT_SESSION_OWNER: session,
    Reject.REQUEST_GAP: session,
    Reject.REPLY_RELEASED: session,
    Reject.WINDOW_FULL: session,
    Reject.NOT_PERMITTED: permission,
    Reject.AMOUNT_OUT_OF_RANGE: amount,
    Reject.BALANCE_LIMIT: balance,
    Reject.INSUFFICIENT_FUNDS: funds,
}
