"""The state machine itself: one entry of the log in, its replies and events out."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from steelyard.core import versions, wire
from steelyard.core.accounts import ApiKey
from steelyard.core.commands import (
    ActivateVersion,
    AdjustBucket,
    AmendOrder,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    Command,
    CreateApiKey,
    Deposit,
    FoundGroup,
    FoundGroupAt,
    FundInsurance,
    HoldFunds,
    ListAsset,
    ListContract,
    ListIndex,
    ListInstrument,
    MoveMargin,
    OpenAccount,
    OpenSession,
    OpenSubAccount,
    PayReferral,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReleaseHold,
    ReplaceOrder,
    RevokeApiKey,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetContractModes,
    SetContractRules,
    SetFeeTier,
    SetFrozen,
    SetIndexSources,
    SetInstrumentRules,
    SetInstrumentState,
    SetKillSwitch,
    SetLegalHold,
    SetLeverage,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Skip,
    StartAuction,
    Transfer,
    Withdraw,
)
from steelyard.core.entry import AnyReply, Applied, AppliedWithDue, Entry, Many, Outcome, Refused, Request
from steelyard.core.events import AnyEvent
from steelyard.core.handlers import (
    accounts,
    amending,
    batches,
    contracts,
    due,
    families,
    funds,
    legs,
    markets,
    orders,
    positions,
    prices,
    rules,
    sweeps,
    tiers,
)
from steelyard.core.handlers.risk import judge_touched
from steelyard.core.invariants import check_state
from steelyard.core.limits import INTEGER_MAX, REPLY_WINDOW_MAX, SESSION_IDLE_NS
from steelyard.core.readable import is_readable
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import AccountId, KeyId

Handler = Callable[[State, Any, Request, ApiKey, list[AnyEvent]], AnyReply | Reject]
_Listener = Callable[[AnyEvent], None]

#: What the exchange can do.  Adding a capability means adding a line here.
HANDLERS: Final[dict[type[Command], Handler]] = {
    FoundGroup: accounts.found_group,
    FoundGroupAt: accounts.found_group,
    CreateApiKey: accounts.create_api_key,
    RevokeApiKey: accounts.revoke_api_key,
    OpenAccount: accounts.open_account,
    OpenSession: accounts.open_session,
    Skip: accounts.skip,
    ActivateVersion: accounts.activate_version,
    ListAsset: markets.list_asset,
    ListInstrument: markets.list_instrument,
    SetInstrumentState: markets.set_instrument_state,
    Deposit: funds.deposit,
    Withdraw: funds.withdraw,
    PlaceOrder: orders.place_order,
    CancelOrder: orders.cancel_order,
    PlaceOrderOnTerms: orders.place_generally,
    AmendOrder: amending.amend_order,
    PlaceOrderList: legs.place_order_list,
    ReplaceOrder: batches.replace_order,
    Batch: batches.carry_out_batch,
    OpenSubAccount: families.open_sub_account,
    SetAccountRules: rules.set_account_rules,
    SetOrderLimit: rules.set_order_limit,
    SetSelfTrade: rules.set_self_trade,
    SetFrozen: rules.set_frozen,
    SetLegalHold: rules.set_legal_hold,
    SetFeeTier: tiers.set_fee_tier,
    SetAccountTier: tiers.set_account_tier,
    SetReferrer: tiers.set_referrer,
    Transfer: families.transfer,
    HoldFunds: funds.hold_funds,
    ReleaseHold: funds.release_hold,
    PayReferral: funds.pay_referral,
    SetInstrumentRules: markets.set_instrument_rules,
    SetMark: prices.set_mark,
    SetIndexSources: prices.set_index_sources,
    StartAuction: markets.start_auction,
    ScheduleState: markets.schedule_state,
    CancelOrders: sweeps.cancel_orders,
    ArmCountdown: sweeps.arm_countdown,
    ListIndex: contracts.list_index,
    ListContract: contracts.list_contract,
    SetContractRules: contracts.set_contract_rules,
    PlaceContractOrder: orders.place_generally,
    SetLeverage: positions.set_leverage,
    SetContractModes: positions.set_contract_modes,
    MoveMargin: positions.move_margin,
    AdjustBucket: positions.adjust_bucket,
    SetKillSwitch: contracts.set_kill_switch,
    FundInsurance: contracts.fund_insurance,
}

#: What may come outside a session, because doing it twice does no harm: without a key, and with one.
_NEED_NOTHING: Final = (FoundGroup, FoundGroupAt, Skip)
_NEED_A_KEY: Final = (OpenSession, CancelOrders, ArmCountdown)

#: Stands for the key where none is needed; it may do nothing.
_NO_KEY: Final = ApiKey(KeyId(0), AccountId(0), b"", 0)

DIGEST_BYTES: Final = 16


class Exchange:
    """A deterministic exchange.

    The same entries in the same order give the same outcomes and the same state, on every replica, on every
    run.  Nothing here reads a clock, a file or a socket.
    """

    def __init__(self, state: State | None = None, digest: bytes = bytes(DIGEST_BYTES)) -> None:
        self.state = State() if state is None else state
        #: Rolls over everything applied so far: two replicas with equal digests did the same.
        self.digest = digest

    @property
    def applied_index(self) -> int:
        """The log index of the last applied entry."""
        return self.state.applied_index

    @property
    def time_ns(self) -> int:
        """The log time of the last applied entry."""
        return self.state.time_ns

    def next_due_ns(self) -> int | None:
        """Return the log time at which something is due without a command, or None if nothing is.

        At or before ``time_ns``: the last entry has left work for the next one.
        """
        return due.next_due_ns(self.state)

    def apply(self, index: int, entry: Entry) -> Applied:
        """Apply one committed entry and return what each of its requests came to, in their order.

        An ``AssertionError`` means that this replica's state or log is broken: stop it.  So does
        ``versions.UnknownVersion`` mean a log that goes on in a version this build does not know.
        """
        return self._apply(index, entry)[0]

    def apply_bytes(self, index: int, body: bytes) -> tuple[Applied, bytes]:
        """Apply one committed entry as the log holds it; also return the bytes of what it came to.

        Raises ``wire.UnknownEntry``, and applies nothing, if the bytes are no entry that this version knows.
        """
        return self._apply(index, wire.decode_entry(body))

    def retell(self, index: int, entry: Entry, listen: _Listener) -> Applied:
        """Apply an entry like ``apply``, and let ``listen`` hear each event as it happens.

        What the event says has just happened, or is about to (a step of a liquidation), and nothing that
        follows from it has yet: whoever listens may look at the state, and must not change it.  An event of a
        batch that is undone is heard as well, and is not in what is returned.
        """
        return self._apply(index, entry, listen)[0]

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless everything that must hold does, slowly and completely."""
        check_state(self.state)

    def _apply(self, index: int, entry: Entry, listen: _Listener | None = None) -> tuple[Applied, bytes]:
        state = self.state
        time_ns = entry.time_ns
        assert entry.version <= state.version, (entry.version, state.version)
        assert index > state.applied_index, (index, state.applied_index)
        assert state.time_ns < time_ns <= INTEGER_MAX, (time_ns, state.time_ns)
        state.applied_index = index
        state.time_ns = time_ns
        happened = due.run_due(state, [] if listen is None else _Told(listen))
        outcomes = _outcomes(state, entry.requests, listen)
        if happened:
            applied: Applied = AppliedWithDue(index, time_ns, outcomes, happened)
        else:
            applied = Applied(index, time_ns, outcomes)
        body = wire.encode_applied(applied)
        self.digest = blake2b(self.digest + body, digest_size=DIGEST_BYTES).digest()
        return applied, body


class _Told(list[AnyEvent]):
    """Events that somebody hears as they happen."""

    def __init__(self, listen: _Listener) -> None:
        super().__init__()
        self._listen = listen

    def append(self, event: AnyEvent) -> None:
        """Add an event, and tell of it."""
        super().append(event)
        self._listen(event)


def _outcomes(state: State, requests: list[Request], listen: _Listener | None) -> list[Outcome]:
    """Carry requests out, each once: a number that was used before is answered from memory."""
    index, time_ns = state.applied_index, state.time_ns
    sessions, keys = state.sessions, state.keys
    idle_since_ns = time_ns - SESSION_IDLE_NS
    is_old = state.version < versions.KNOWN_MAX
    outcomes: list[Outcome] = []
    for request in requests:
        command = request.command
        if is_old:
            # The request before this one may have activated a newer version.
            is_old = state.version < versions.KNOWN_MAX
            if is_old and not is_readable(command, state.version):
                request = wire.UNREADABLE  # noqa: PLW2901 - that is what it is to this version
                command = request.command
        try:
            session, key = sessions[request.session], keys[request.key]
        except KeyError:
            outcomes.append(_outcome_out_of_turn(state, request, listen))
            continue
        number = request.request
        if (
            number != session.last_request + 1
            or key.account != session.account
            or key.revoked
            or (key.expires_ns and key.expires_ns <= time_ns)
            or session.used_ns <= idle_since_ns
        ):
            outcomes.append(_outcome_out_of_turn(state, request, listen))
            continue
        if number - session.wants_from >= REPLY_WINDOW_MAX and session.is_full(request.wants_from):
            outcomes.append(_refused(state, request, Reject.WINDOW_FULL, REPLY_WINDOW_MAX))
            continue
        out: list[AnyEvent] = [] if listen is None else _Told(listen)
        reply = HANDLERS[type(command)](state, command, request, key, out)
        if type(reply) is Reject:
            assert not out, "a handler must check before it acts"
            reply = Refused(request=number, fingerprint=request.fingerprint, reason=reply)
        elif not out:
            # A refusal that names a leg, and a batch whose legs are all refused, have done nothing.
            assert isinstance(reply, Refused | Many), "an accepted command must say what it did"
        if state.touched:
            _judge(state, out)
        # Keep the reply, and release those that the client does not want any more; the newest always stays.
        # Written out here, because a call would take longer than that.
        replies = session.replies
        replies.append((index, reply))
        kept_from, wants_from = session.wants_from, request.wants_from
        while kept_from < wants_from and len(replies) > 1:
            replies.popleft()
            kept_from += 1
        session.wants_from = kept_from
        session.last_request = number
        session.used_ns = time_ns
        outcomes.append(Outcome(reply, out, index))
    return outcomes


def _outcome_out_of_turn(state: State, request: Request, listen: _Listener | None) -> Outcome:
    """Answer a request that is not the next one of a living session with a valid key of its account.

    What the session refuses is not stored and uses up no number, so the client may correct and resend.
    """
    if request.session == 0:
        return _outcome_without_session(state, request, listen)
    session = state.sessions.get(request.session)
    if session is None:
        was_there = 0 < request.session <= state.last_session
        return _refused(state, request, Reject.SESSION_EXPIRED if was_there else Reject.UNKNOWN_SESSION)
    if session.is_expired(state.time_ns):
        return _refused(state, request, Reject.SESSION_EXPIRED)
    key = state.keys.get(request.key)
    if key is None:
        return _refused(state, request, Reject.UNKNOWN_KEY)
    if key.is_over(state.time_ns):
        return _refused(state, request, Reject.KEY_EXPIRED)
    if key.account != session.account:
        return _refused(state, request, Reject.NOT_SESSION_OWNER)
    expected = session.last_request + 1
    assert request.request != expected, "that was the next one"
    if not 0 < request.request < expected:
        return _refused(state, request, Reject.REQUEST_GAP, expected)
    kept = session.kept(request.request)
    if kept is None:
        return _refused(state, request, Reject.REPLY_RELEASED, session.wants_from)
    index, reply = kept
    return Outcome(reply, [], index)


def _outcome_without_session(state: State, request: Request, listen: _Listener | None) -> Outcome:
    """Answer the few requests that need no session, or say that one is needed."""
    command = request.command
    key = _NO_KEY
    if type(command) in _NEED_A_KEY:
        asking = state.keys.get(request.key)
        if asking is None:
            return _refused(state, request, Reject.UNKNOWN_KEY)
        if asking.is_over(state.time_ns):
            return _refused(state, request, Reject.KEY_EXPIRED)
        key = asking
    elif type(command) not in _NEED_NOTHING:
        return _refused(state, request, Reject.SESSION_REQUIRED)
    out: list[AnyEvent] = [] if listen is None else _Told(listen)
    reply = HANDLERS[type(command)](state, command, request, key, out)
    if type(reply) is Reject:
        assert not out, "a handler must check before it acts"
        return _refused(state, request, reply)
    assert out, "an accepted command must say what it did"
    if state.touched:
        _judge(state, out)
    return Outcome(reply, out, state.applied_index)


def _judge(state: State, out: list[AnyEvent]) -> None:
    """Judge the scopes that a request has touched, unless all that it did was undone."""
    if out:
        judge_touched(state, out)
    else:
        state.touched.clear()


def _refused(state: State, request: Request, reason: Reject, expected: int = 0) -> Outcome:
    reply = Refused(
        request=request.request, fingerprint=request.fingerprint, reason=reason, expected=expected
    )
    return Outcome(reply, [], state.applied_index)
