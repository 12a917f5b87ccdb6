"""A slow, obvious exchange: the rules written a second time, to compare the fast one with, event by event.

Everything is a list that is scanned or a dict of plain integers; nothing is linked, cached or reused.  It
shares the words of the contract with the core (commands, events, replies, bounds) and none of its code.
"""

from steelyard.core import limits
from steelyard.core.commands import (
    ActivateVersion,
    AdjustBucket,
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    CreateApiKey,
    Deposit,
    FoundGroup,
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
    PlaceOrder,
    PlaceOrderList,
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
from steelyard.core.entry import (
    Accepted,
    AnyReply,
    Applied,
    AppliedWithDue,
    Entry,
    Outcome,
    Refused,
    Request,
    SessionReady,
)
from steelyard.core.events import RequestSkipped, SessionOpened
from steelyard.core.rejects import Reject
from steelyard.core.units import InstrumentState, KeyId, SessionId
from steelyard.simulation.twin_contracts import speaks_of_contracts
from steelyard.simulation.twin_parts import (
    FIRST_REJECTS,
    SINCE_VERSION_2,
    Key,
    Refusal,
    Session,
    printable,
    refuse_if,
)
from steelyard.simulation.twin_positions import Positions

#: What a request is that the version in force cannot read.
UNREADABLE = Request(SessionId(0), 0, 0, KeyId(0), 0, 0, Skip(reason=Reject.MALFORMED))


class Twin(Positions):
    """The exchange, written to be believed rather than to be fast."""

    def apply(self, index: int, entry: Entry) -> Applied:
        """Apply one entry: what is due, then its requests."""
        assert index > self.index
        assert entry.time_ns > self.time_ns
        self.index, self.time_ns = index, entry.time_ns
        self.events = []
        self.run_due()
        due = self.events
        outcomes = [self.one(request) for request in entry.requests]
        if due:
            return AppliedWithDue(index=index, time_ns=entry.time_ns, outcomes=outcomes, happened=due)
        return Applied(index=index, time_ns=entry.time_ns, outcomes=outcomes)

    # ---- sessions

    def one(self, request: Request) -> Outcome:
        """Carry out one request, or find its old reply, or refuse it."""
        if self.version < 2 and self.is_news(request.command):
            request = UNREADABLE
        if self.version < 3 and speaks_of_contracts(request.command):
            request = UNREADABLE
        try:
            if request.session == 0:
                return self.without_session(request)
            session = self.session_of(request)
            number = request.request
            refuse_if(number < 1, Reject.REQUEST_GAP, session.last + 1)
            if number <= session.last:
                refuse_if(number not in session.replies, Reject.REPLY_RELEASED, session.wants_from)
                index, reply = session.replies[number]
                return Outcome(reply=reply, events=[], replied_index=index)
            refuse_if(number > session.last + 1, Reject.REQUEST_GAP, session.last + 1)
            wants_from = max(session.wants_from, min(request.wants_from, number))
            window = number - wants_from + 1
            refuse_if(window > limits.REPLY_WINDOW_MAX, Reject.WINDOW_FULL, limits.REPLY_WINDOW_MAX)
        except Refusal as refusal:
            return Outcome(reply=self.refused(request, refusal), events=[], replied_index=self.index)
        outcome = self.execute(request)
        session.used_ns = self.time_ns
        session.last = number
        session.wants_from = wants_from
        session.replies[number] = (self.index, outcome.reply)
        for old in list(session.replies):
            if old < wants_from:
                del session.replies[old]
        return outcome

    def is_news(self, command: AnyCommand) -> bool:
        """Tell whether the first version cannot read a command."""
        match command:
            case SetInstrumentState():
                return command.state == InstrumentState.AUCTION
            case Skip():
                return command.reason > FIRST_REJECTS
            case _:
                return isinstance(command, SINCE_VERSION_2)

    def without_session(self, request: Request) -> Outcome:
        """Carry out one of the few commands that need no session."""
        if isinstance(request.command, OpenSession | CancelOrders | ArmCountdown):
            self.usable_key(request.key)
        elif not isinstance(request.command, FoundGroup | Skip):
            raise Refusal(Reject.SESSION_REQUIRED)
        return self.execute(request)

    def usable_key(self, number: int) -> Key:
        """Find a key that may still be used."""
        key = self.keys.get(number)
        if key is None:
            raise Refusal(Reject.UNKNOWN_KEY)
        refuse_if(key.revoked, Reject.KEY_EXPIRED)
        refuse_if(self.past(key), Reject.KEY_EXPIRED)
        return key

    def session_of(self, request: Request) -> Session:
        """Find the request's session and check that its key may speak for it."""
        refuse_if(not 1 <= request.session <= self.sessions_made, Reject.UNKNOWN_SESSION)
        session = self.sessions.get(request.session)
        if session is None or self.idle(session):
            raise Refusal(Reject.SESSION_EXPIRED)
        key = self.usable_key(request.key)
        refuse_if(key.account != session.account, Reject.NOT_SESSION_OWNER)
        return session

    def idle(self, session: Session) -> bool:
        """Tell whether a session has been idle for too long."""
        return self.time_ns - session.used_ns >= limits.SESSION_IDLE_NS

    def open_session(self, request: Request, command: OpenSession) -> SessionReady:
        """Open a session by name, or find it."""
        bad_name = not command.name or not printable(command.name, limits.SESSION_NAME_MAX)
        refuse_if(bad_name or request.session != 0, Reject.MALFORMED)
        self.in_time_only(request)
        refuse_if(self.keys[request.key].account != command.account, Reject.NOT_PERMITTED)
        for number, session in list(self.sessions.items()):
            if session.account == command.account and self.idle(session):
                del self.sessions[number]
        mine = {n: s for n, s in self.sessions.items() if s.account == command.account}
        found = [number for number, session in mine.items() if session.name == command.name]
        refuse_if(not found and len(mine) >= limits.SESSIONS_PER_ACCOUNT_MAX, Reject.TOO_MANY_SESSIONS)
        if not found:
            self.sessions_made += 1
            found = [self.sessions_made]
            self.sessions[self.sessions_made] = Session(command.account, command.name, self.time_ns)
        number, session = found[0], self.sessions[found[0]]
        session.used_ns = self.time_ns
        self.say(SessionOpened(account=command.account, session=SessionId(number), last_request=session.last))
        return SessionReady(
            request=request.request,
            fingerprint=request.fingerprint,
            session=SessionId(number),
            last_request=session.last,
        )

    # ---- commands

    def execute(self, request: Request) -> Outcome:
        """Carry out a command; a refusal changes nothing and is a reply like any other."""
        self.events = []
        try:
            reply = self.carry_out(request, request.command)
        except Refusal as refusal:
            assert not self.events
            return Outcome(reply=self.refused(request, refusal), events=[], replied_index=self.index)
        self.judge_changed()
        return Outcome(reply=reply, events=self.events, replied_index=self.index)

    def carry_out(self, request: Request, command: AnyCommand) -> AnyReply:
        """Check and then do what the command asks; most have nothing to answer but that it was done."""
        match command:
            case OpenSession():
                return self.open_session(request, command)
            case Skip():
                self.in_time_only(request)
                # Without a session there is no number to use up.
                if request.session != 0:
                    number, why = request.request, command.reason
                    self.say(RequestSkipped(session=request.session, request=number, reason=why))
                return Refused(
                    request=request.request, fingerprint=request.fingerprint, reason=command.reason
                )
            case PlaceOrder():
                return self.place(request, command)
            case CancelOrder():
                return self.cancel(request, command)
            case PlaceOrderList():
                return self.place_list(request, command)
            case AmendOrder():
                return self.amend(request, command)
            case ReplaceOrder():
                return self.replace(request, command)
            case Batch():
                return self.batch(request, command)
            case CancelOrders():
                return self.sweep(request, command)
            case _:
                made = self.administer(request, command)
        return Accepted(request=request.request, fingerprint=request.fingerprint, made=made)

    def administer(self, request: Request, command: AnyCommand) -> int:
        """Do what operators do, and customers about their accounts; return the id that it made, or zero."""
        match command:
            case FoundGroup():
                return self.found_group(request, command)
            case CreateApiKey():
                return self.create_key(request, command)
            case RevokeApiKey():
                self.revoke_key(request, command)
            case OpenAccount():
                self.open_account(request, command)
            case ActivateVersion():
                self.activate(request, command)
            case ListAsset():
                self.list_asset(request, command)
            case ListIndex():
                self.list_index(request, command)
            case ListContract():
                self.list_contract(request, command)
            case SetContractRules():
                self.set_contract_rules(request, command)
            case SetIndexSources():
                self.set_index_sources(request, command)
            case SetKillSwitch():
                self.set_kill_switch(request, command)
            case FundInsurance():
                self.fund_insurance(request, command)
            case SetLeverage():
                self.set_leverage(request, command)
            case SetContractModes():
                self.set_contract_modes(request, command)
            case MoveMargin():
                self.move_margin(request, command)
            case AdjustBucket():
                self.adjust_bucket(request, command)
            case ListInstrument():
                self.list_instrument(request, command)
            case SetInstrumentState():
                self.set_state(request, command)
            case Deposit():
                self.deposit(request, command)
            case Withdraw():
                self.withdraw(request, command)
            case OpenSubAccount():
                self.open_sub_account(request, command)
            case SetAccountRules():
                self.set_account_rules(request, command)
            case SetOrderLimit():
                self.set_order_limit(request, command)
            case SetSelfTrade():
                self.set_self_trade(request, command)
            case SetFrozen():
                self.set_frozen(request, command)
            case SetLegalHold():
                self.set_legal_hold(request, command)
            case SetFeeTier():
                self.set_fee_tier(request, command)
            case SetAccountTier():
                self.set_account_tier(request, command)
            case SetReferrer():
                self.set_referrer(request, command)
            case Transfer():
                self.transfer(request, command)
            case HoldFunds():
                self.hold_funds(request, command)
            case ReleaseHold():
                self.release_hold(request, command)
            case PayReferral():
                self.pay_referral(request, command)
            case SetInstrumentRules():
                self.set_rules(request, command)
            case SetMark():
                self.set_mark(request, command)
            case StartAuction():
                self.start_auction(request, command)
            case ScheduleState():
                self.schedule_state(request, command)
            case ArmCountdown():
                self.arm(request, command)
            case _:
                raise AssertionError(f"the twin does not know {type(command).__name__}")
        return 0
