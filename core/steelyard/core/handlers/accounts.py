"""Groups, keys, accounts and sessions."""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import (
    ActivateVersion,
    CreateApiKey,
    FoundGroup,
    FoundGroupAt,
    OpenAccount,
    OpenSession,
    RevokeApiKey,
    Skip,
)
from steelyard.core.entry import Accepted, AnyReply, Refused, Request, SessionReady
from steelyard.core.events import (
    AccountOpened,
    AnyEvent,
    ApiKeyCreated,
    ApiKeyRevoked,
    GroupFounded,
    RequestSkipped,
    SessionOpened,
    VersionActivated,
)
from steelyard.core.handlers.checks import is_too_late, may_operate
from steelyard.core.limits import (
    ACCOUNTS_MAX,
    GROUP_NAME_MAX,
    INTEGER_MAX,
    KEYS_MAX,
    PUBLIC_KEY_BYTES,
    SESSION_NAME_MAX,
    SESSIONS_PER_ACCOUNT_MAX,
    is_printable_ascii,
)
from steelyard.core.readable import permissions_known
from steelyard.core.rejects import Reject
from steelyard.core.sessions import Session
from steelyard.core.state import State
from steelyard.core.units import FIRST_CUSTOMER, OPERATOR, OPERATOR_KEY, KeyId, Permission, SessionId

_OPERATOR_PERMISSIONS: Final = int(Permission.READ | Permission.OPERATE)


def found_group(
    state: State, command: FoundGroup, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Name the group and make the operator's account and first key."""
    if not command.group or not is_printable_ascii(command.group, GROUP_NAME_MAX):
        return Reject.MALFORMED
    if len(command.operator_public_key) != PUBLIC_KEY_BYTES:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if state.group:
        return Reject.ALREADY_FOUNDED
    version = command.version if isinstance(command, FoundGroupAt) else versions.FIRST
    if not 0 < version <= INTEGER_MAX:
        return Reject.MALFORMED
    if version > versions.KNOWN_MAX:
        raise versions.UnknownVersion(
            f"the group is founded at version {version}, and this build knows {versions.KNOWN_MAX}"
        )

    # Nothing below can fail.
    state.group = command.group
    state.version = version
    state.accounts[OPERATOR] = Account(OPERATOR)
    state.last_key = OPERATOR_KEY
    state.keys[OPERATOR_KEY] = ApiKey(
        OPERATOR_KEY, OPERATOR, command.operator_public_key, _OPERATOR_PERMISSIONS
    )
    out.append(GroupFounded(group=command.group, operator_key=OPERATOR_KEY))
    return Accepted(request=request.request, fingerprint=request.fingerprint, made=OPERATOR_KEY)


def create_api_key(
    state: State, command: CreateApiKey, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Let another key act for an account."""
    if len(command.public_key) != PUBLIC_KEY_BYTES:
        return Reject.MALFORMED
    if not 0 < command.permissions <= permissions_known(state.version):
        return Reject.MALFORMED
    if not 0 <= command.expires_ns <= INTEGER_MAX:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    if command.account not in state.accounts:
        return Reject.UNKNOWN_ACCOUNT
    if len(state.keys) >= KEYS_MAX:
        return Reject.TOO_MANY_KEYS

    # Nothing below can fail.
    state.last_key += 1
    made = KeyId(state.last_key)
    state.keys[made] = ApiKey(
        made, command.account, command.public_key, command.permissions, command.expires_ns
    )
    out.append(ApiKeyCreated(key=made, account=command.account, permissions=command.permissions))
    return Accepted(request=request.request, fingerprint=request.fingerprint, made=made)


def revoke_api_key(
    state: State, command: RevokeApiKey, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """End a key; its row stays, so that it is refused as ended and not as unknown.

    Ending it again is accepted: it comes to the same.  The last operator's key stays, or nobody could ever
    operate the group again.
    """
    ended = state.keys.get(command.key)
    # Not UNKNOWN_KEY, which speaks of the key that asks, and is never stored.
    if ended is None:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    if may_operate(ended) and not any(
        may_operate(other) and other is not ended and not other.is_over(state.time_ns)
        for other in state.keys.values()
    ):
        return Reject.NOT_PERMITTED

    # Nothing below can fail.
    ended.revoked = True
    out.append(ApiKeyRevoked(key=command.key))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def open_account(
    state: State, command: OpenAccount, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Open an empty customer account."""
    if not FIRST_CUSTOMER <= command.account <= INTEGER_MAX:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    if command.account in state.accounts:
        return Reject.ACCOUNT_EXISTS
    if len(state.accounts) >= ACCOUNTS_MAX:
        return Reject.TOO_MANY_ACCOUNTS

    # Nothing below can fail.
    state.accounts[command.account] = Account(command.account)
    out.append(AccountOpened(account=command.account))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def open_session(
    state: State, command: OpenSession, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Open or find the account's session of that name, and sweep out the account's expired ones."""
    if not command.name or not is_printable_ascii(command.name, SESSION_NAME_MAX):
        return Reject.MALFORMED
    # A session within a session would have two request numbers.
    if request.session != 0:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if command.account != key.account:
        return Reject.NOT_PERMITTED
    account = state.accounts[key.account]
    expired = [name for name, session in account.sessions.items() if session.is_expired(state.time_ns)]
    session = account.sessions.get(command.name)
    if session is not None and session.is_expired(state.time_ns):
        session = None
    if session is None and len(account.sessions) - len(expired) >= SESSIONS_PER_ACCOUNT_MAX:
        return Reject.TOO_MANY_SESSIONS

    # Nothing below can fail.
    for name in expired:
        del state.sessions[account.sessions.pop(name).session]
    if session is None:
        state.last_session += 1
        session = Session(SessionId(state.last_session), account.account, command.name, state.time_ns)
        account.sessions[command.name] = session
        state.sessions[session.session] = session
    session.used_ns = state.time_ns
    out.append(
        SessionOpened(account=account.account, session=session.session, last_request=session.last_request)
    )
    return SessionReady(
        request=request.request,
        fingerprint=request.fingerprint,
        session=session.session,
        last_request=session.last_request,
    )


def activate_version(
    state: State, command: ActivateVersion, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Switch to the next version.

    Raises ``versions.UnknownVersion`` if this build cannot carry it out: other builds will, so a refusal here
    would be another history.
    """
    if not 0 < command.version <= INTEGER_MAX:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    if command.version != state.version + 1:
        return Reject.STATE_MOVE
    if command.version > versions.KNOWN_MAX:
        raise versions.UnknownVersion(
            f"version {command.version} is activated here, and this build knows {versions.KNOWN_MAX}"
        )

    # Nothing below can fail.
    state.version = command.version
    if command.version == versions.SPOT_COMPLETE:
        state.forget_beyond_version_1()
    out.append(VersionActivated(version=command.version))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def skip(
    state: State, command: Skip, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Use up a request number; the reply is the refusal that the command carries."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    # Without a session there is no number to use up, only an answer to give.
    if request.session == 0:
        return command.reason

    # Nothing below can fail.
    out.append(RequestSkipped(session=request.session, request=request.request, reason=command.reason))
    return Refused(request=request.request, fingerprint=request.fingerprint, reason=command.reason)
