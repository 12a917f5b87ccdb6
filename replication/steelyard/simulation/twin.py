"""A slow, obvious exchange: the rules written a second time, to compare the fast one with, event by event.

Everything is a list that is scanned or a dict of plain integers; nothing is linked, cached or reused.  It
shares the words of the contract with the core (commands, events, replies, bounds) and none of its code.
"""

from steelyard.core import limits, versions
from steelyard.core.commands import (
    ActivateVersion,
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    Deposit,
    FoundGroup,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    PlaceOrder,
    RevokeApiKey,
    SetInstrumentState,
    Skip,
    Withdraw,
)
from steelyard.core.entry import (
    Accepted,
    AnyReply,
    Applied,
    Entry,
    Outcome,
    Refused,
    Request,
    SessionReady,
)
from steelyard.core.events import (
    AccountOpened,
    AnyEvent,
    ApiKeyCreated,
    ApiKeyRevoked,
    AssetListed,
    GroupFounded,
    InstrumentListed,
    InstrumentStateChanged,
    RequestSkipped,
    SessionOpened,
    VersionActivated,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OPERATOR,
    OPERATOR_KEY,
    InstrumentState,
    KeyId,
    Permission,
    SessionId,
)
from steelyard.simulation.twin_parts import (
    MILLION,
    MOVES,
    TOO_BIG,
    Key,
    Market,
    Refusal,
    Session,
    printable,
    refuse_if,
    symbolic,
)
from steelyard.simulation.twin_trading import Trading


class Twin(Trading):
    """The exchange, written to be believed rather than to be fast."""

    def apply(self, index: int, entry: Entry) -> Applied:
        """Apply one entry."""
        assert index > self.index
        assert entry.time_ns > self.time_ns
        self.index, self.time_ns = index, entry.time_ns
        return Applied(
            index=index, time_ns=entry.time_ns, outcomes=[self.one(request) for request in entry.requests]
        )

    # ---- sessions

    def one(self, request: Request) -> Outcome:
        """Carry out one request, or find its old reply, or refuse it."""
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
            return Outcome(
                reply=Refused(
                    request=request.request,
                    fingerprint=request.fingerprint,
                    reason=refusal.reason,
                    expected=refusal.expected,
                ),
                events=[],
                replied_index=self.index,
            )
        outcome = self.execute(request)
        session.used_ns = self.time_ns
        session.last = number
        session.wants_from = wants_from
        session.replies[number] = (self.index, outcome.reply)
        for old in list(session.replies):
            if old < wants_from:
                del session.replies[old]
        return outcome

    def without_session(self, request: Request) -> Outcome:
        """Carry out one of the three commands that need no session."""
        if isinstance(request.command, OpenSession):
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

    def past(self, key: Key) -> bool:
        """Tell whether a key's time has come."""
        return key.expires_ns != 0 and self.time_ns >= key.expires_ns

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

    # ---- commands

    def execute(self, request: Request) -> Outcome:
        """Carry out a command; a refusal changes nothing and is a reply like any other."""
        events: list[AnyEvent] = []
        try:
            reply = self.carry_out(request, request.command, events)
        except Refusal as refusal:
            assert not events
            reply = Refused(
                request=request.request,
                fingerprint=request.fingerprint,
                reason=refusal.reason,
                expected=refusal.expected,
            )
        return Outcome(reply=reply, events=events, replied_index=self.index)

    def carry_out(self, request: Request, command: AnyCommand, events: list[AnyEvent]) -> AnyReply:
        """Check and then do what the command asks."""
        made = 0
        match command:
            case FoundGroup():
                made = self.found_group(request, command, events)
            case CreateApiKey():
                made = self.create_key(request, command, events)
            case RevokeApiKey():
                self.revoke_key(request, command, events)
            case OpenAccount():
                self.open_account(request, command, events)
            case OpenSession():
                return self.open_session(request, command, events)
            case Skip():
                self.in_time_only(request)
                # Without a session there is no number to use up.
                if request.session != 0:
                    number, why = request.request, command.reason
                    events.append(RequestSkipped(session=request.session, request=number, reason=why))
                return Refused(
                    request=request.request, fingerprint=request.fingerprint, reason=command.reason
                )
            case ActivateVersion():
                self.activate(request, command, events)
            case ListAsset():
                self.list_asset(request, command, events)
            case ListInstrument():
                self.list_instrument(request, command, events)
            case SetInstrumentState():
                self.set_state(request, command, events)
            case Deposit():
                self.deposit(request, command, events)
            case Withdraw():
                self.withdraw(request, command, events)
            case PlaceOrder():
                return self.place(request, command, events)
            case CancelOrder():
                return self.cancel(request, command, events)
        return Accepted(request=request.request, fingerprint=request.fingerprint, made=made)

    def found_group(self, request: Request, command: FoundGroup, events: list[AnyEvent]) -> int:
        """Found the group, once."""
        refuse_if(not command.group or not printable(command.group, limits.GROUP_NAME_MAX), Reject.MALFORMED)
        refuse_if(len(command.operator_public_key) != 32, Reject.MALFORMED)
        self.in_time_only(request)
        refuse_if(self.group != "", Reject.ALREADY_FOUNDED)
        self.group = command.group
        everything = int(Permission.READ | Permission.OPERATE)
        self.keys[OPERATOR_KEY] = Key(account=OPERATOR, permissions=everything, expires_ns=0)
        events.append(GroupFounded(group=command.group, operator_key=OPERATOR_KEY))
        return OPERATOR_KEY

    def activate(self, request: Request, command: ActivateVersion, events: list[AnyEvent]) -> None:
        """Go on in the next version."""
        refuse_if(not 0 < command.version < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.version != self.version + 1, Reject.STATE_MOVE)
        if command.version > versions.KNOWN_MAX:
            raise versions.UnknownVersion(str(command.version))
        self.version = command.version
        events.append(VersionActivated(version=command.version))

    def create_key(self, request: Request, command: CreateApiKey, events: list[AnyEvent]) -> int:
        """Give a key to an account."""
        refuse_if(len(command.public_key) != 32, Reject.MALFORMED)
        refuse_if(not 0 < command.permissions < 32, Reject.MALFORMED)
        refuse_if(not 0 <= command.expires_ns < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.account not in [*self.accounts, OPERATOR], Reject.UNKNOWN_ACCOUNT)
        refuse_if(len(self.keys) >= limits.KEYS_MAX, Reject.TOO_MANY_KEYS)
        number = KeyId(len(self.keys) + 1)
        self.keys[number] = Key(command.account, command.permissions, command.expires_ns)
        events.append(ApiKeyCreated(key=number, account=command.account, permissions=command.permissions))
        return number

    def revoke_key(self, request: Request, command: RevokeApiKey, events: list[AnyEvent]) -> None:
        """End a key."""
        refuse_if(command.key not in self.keys, Reject.MALFORMED)
        self.operator_only(request)
        living = [
            number
            for number, key in self.keys.items()
            if key.permissions & Permission.OPERATE and not key.revoked and not self.past(key)
        ]
        # Once it is gone, nobody could ever operate the group again.
        ended = self.keys[command.key]
        last = bool(ended.permissions & Permission.OPERATE) and not [n for n in living if n != command.key]
        refuse_if(last, Reject.NOT_PERMITTED)
        ended.revoked = True
        events.append(ApiKeyRevoked(key=command.key))

    def open_account(self, request: Request, command: OpenAccount, events: list[AnyEvent]) -> None:
        """Open a customer's account."""
        refuse_if(not FIRST_CUSTOMER <= command.account < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.account in self.accounts, Reject.ACCOUNT_EXISTS)
        accounts = [OPERATOR, *self.accounts]
        refuse_if(len(accounts) >= limits.ACCOUNTS_MAX, Reject.TOO_MANY_ACCOUNTS)
        self.accounts.append(command.account)
        events.append(AccountOpened(account=command.account))

    def open_session(self, request: Request, command: OpenSession, events: list[AnyEvent]) -> AnyReply:
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
        events.append(
            SessionOpened(account=command.account, session=SessionId(number), last_request=session.last)
        )
        return SessionReady(
            request=request.request,
            fingerprint=request.fingerprint,
            session=SessionId(number),
            last_request=session.last,
        )

    # ---- listings

    def list_asset(self, request: Request, command: ListAsset, events: list[AnyEvent]) -> None:
        """List an asset."""
        refuse_if(not 0 < command.asset < TOO_BIG, Reject.MALFORMED)
        refuse_if(not symbolic(command.symbol), Reject.MALFORMED)
        refuse_if(not 0 <= command.decimals <= limits.DECIMALS_MAX, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.asset in self.assets, Reject.ASSET_EXISTS)
        refuse_if(command.symbol in [a.symbol for a in self.assets.values()], Reject.ASSET_EXISTS)
        refuse_if(len(self.assets) >= limits.ASSETS_MAX, Reject.TOO_MANY_LISTINGS)
        self.assets[command.asset] = command
        events.append(AssetListed(asset=command.asset, symbol=command.symbol, decimals=command.decimals))

    def list_instrument(self, request: Request, command: ListInstrument, events: list[AnyEvent]) -> None:
        """List a spot instrument whose scales are whole numbers of atoms."""
        c = command
        refuse_if(not 0 < c.instrument < TOO_BIG, Reject.MALFORMED)
        refuse_if(not symbolic(c.symbol), Reject.MALFORMED)
        refuse_if(c.base == c.quote, Reject.MALFORMED)
        for mantissa in (c.tick_mantissa, c.lot_mantissa, c.price_max_ticks, c.size_max_lots):
            refuse_if(mantissa < 1, Reject.MALFORMED)
        for decimals in (c.tick_decimals, c.lot_decimals):
            refuse_if(not 0 <= decimals <= limits.DECIMALS_MAX, Reject.MALFORMED)
        refuse_if(not 0 <= c.notional_min_atoms <= limits.NOTIONAL_ATOMS_MAX, Reject.MALFORMED)
        refuse_if(not 0 <= c.market_protection_ppm <= MILLION, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(c.base not in self.assets or c.quote not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(c.instrument in self.markets, Reject.INSTRUMENT_EXISTS)
        refuse_if(c.symbol in [m.spec.symbol for m in self.markets.values()], Reject.INSTRUMENT_EXISTS)
        lot_atoms, lot_rest = divmod(c.lot_mantissa * 10 ** self.assets[c.base].decimals, 10**c.lot_decimals)
        k, k_rest = divmod(
            c.tick_mantissa * c.lot_mantissa * 10 ** self.assets[c.quote].decimals,
            10 ** (c.tick_decimals + c.lot_decimals),
        )
        refuse_if(lot_rest != 0 or k_rest != 0, Reject.SCALE_NOT_INTEGER)
        refuse_if(c.price_max_ticks * c.size_max_lots * k > 10**18, Reject.BOUNDS_TOO_WIDE)
        refuse_if(c.size_max_lots * lot_atoms > 10**18, Reject.BOUNDS_TOO_WIDE)
        refuse_if(not 0 <= c.taker_ppm <= limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)
        refuse_if(not -c.taker_ppm <= c.maker_ppm <= limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)
        refuse_if(len(self.markets) >= limits.INSTRUMENTS_MAX, Reject.TOO_MANY_LISTINGS)
        self.markets[c.instrument] = Market(c, lot_atoms, k)
        events.append(
            InstrumentListed(
                instrument=c.instrument,
                symbol=c.symbol,
                base=c.base,
                quote=c.quote,
                lot_atoms=lot_atoms,
                tick_lot_atoms=k,
            )
        )

    def set_state(self, request: Request, command: SetInstrumentState, events: list[AnyEvent]) -> None:
        """Move an instrument; closing it cancels its orders, oldest number first."""
        self.operator_only(request)
        market = self.markets.get(command.instrument)
        if market is None:
            raise Refusal(Reject.UNKNOWN_INSTRUMENT)
        refuse_if(command.state not in MOVES[market.state], Reject.STATE_MOVE)
        before, market.state = market.state, command.state
        events.append(
            InstrumentStateChanged(instrument=command.instrument, before=before, after=command.state)
        )
        if command.state == InstrumentState.CLOSED:
            for order in sorted(self.resting(command.instrument), key=lambda o: o.number):
                self.take_out(order, events)
