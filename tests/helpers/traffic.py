"""Seeded traffic for an exchange: few accounts, few prices, small sizes, and every kind of nonsense.

``Traffic(seed).script()`` is a coroutine of entries: it is sent what each entry came to, learns the session
and order numbers from it, and yields the next.  The same seed against the same exchange gives the same log.
"""

from collections.abc import Generator

from msgspec.structs import replace
from tests.helpers.wishes import Line, Wishes
from tests.helpers.world import CUSTOMERS, DAY_NS, EXTREMES, ODD_TEXTS, SECOND_NS, listings, opening

from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    FoundGroup,
    OpenSession,
    PlaceOrder,
    Skip,
)
from steelyard.core.entry import ENTRY_VERSION, Applied, Entry, Placed, Refused, Request, SessionReady
from steelyard.core.events import ApiKeyCreated, InstrumentStateChanged, OrderRested
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    SessionId,
)


class Traffic(Wishes):
    """A source of entries."""

    # ---- the script

    def script(self) -> Generator[Entry, Applied, None]:
        """Found a small world, then send traffic for ever."""
        yield from self.founding()
        while True:
            yield from self.repair()
            size = self.random.randint(0, self.entry_max)
            requests = [self.request() for _ in range(size)]
            self.learn(requests, (yield self.entry(requests)))

    def founding(self) -> Generator[Entry, Applied, None]:
        """Found the group, list two markets, fund four customers, open a session for each."""
        found = FoundGroup(group="twin", operator_public_key=bytes(range(32)))
        yield self.entry([self.bare(found, KeyId(0))])
        yield from self.open(OPERATOR, OPERATOR_KEY)
        operator = self.lines[OPERATOR]
        requests = [self.numbered(operator, command) for command in listings()]
        self.learn(requests, (yield self.entry(requests)))
        for account in CUSTOMERS:
            yield from self.open(account, self.newest_keys[account])
        self.lines[CUSTOMERS[0]].lazy = True

    def open(self, account: AccountId, key: KeyId) -> Generator[Entry, Applied, None]:
        """Open an account's main session."""
        request = self.bare(OpenSession(account=account, name="main"), key)
        applied = yield self.entry([request])
        self.learn([request], applied)

    def repair(self) -> Generator[Entry, Applied, None]:
        """Bring back what nonsense or idle days have ended, so that the traffic never dries up."""
        if OPERATOR in self.lost_sessions:
            self.lost_sessions.remove(OPERATOR)
            yield from self.open(OPERATOR, OPERATOR_KEY)
        for account in self.lost_keys:
            yield from self.as_operator([CreateApiKey(account=account, public_key=bytes(32), permissions=3)])
            yield from self.open(account, self.newest_keys[account])
        for account in self.lost_sessions:
            yield from self.open(account, self.lines[account].key)
        self.lost_keys.clear()
        self.lost_sessions.clear()
        for place, (market, template) in enumerate(self.markets):
            if self.states.get(market) == InstrumentState.CLOSED:
                self.next_market += 1
                fresh = InstrumentId(self.next_market)
                self.markets[place] = (fresh, template)
                # Until it is seen to open: if the session has run out, the next repair tries again.
                self.states[fresh] = InstrumentState.CLOSED
                listing = replace(template, instrument=fresh, symbol=f"M{fresh}")
                yield from self.as_operator([listing, *opening(fresh)])

    def as_operator(self, commands: list[AnyCommand]) -> Generator[Entry, Applied, None]:
        """Send commands through the operator's session, unbent."""
        requests = [self.numbered(self.lines[OPERATOR], command) for command in commands]
        self.learn(requests, (yield self.entry(requests)))

    def entry(self, requests: list[Request]) -> Entry:
        """Stamp a batch with the next log time."""
        roll = self.random.random()
        usual_ns = 1 if roll < 0.5 else self.random.randint(1, SECOND_NS)
        idle_ns = self.random.choice((8 * DAY_NS, 7 * DAY_NS, 7 * DAY_NS - 1))
        founded = CUSTOMERS[-1] in self.lines
        self.time_ns += idle_ns if founded and roll > 1 - self.idle_share else usual_ns
        return Entry(version=ENTRY_VERSION, time_ns=self.time_ns, requests=requests)

    def bare(self, command: AnyCommand, key: KeyId) -> Request:
        """Wrap a command that goes without a session."""
        return Request(
            session=SessionId(0),
            request=0,
            wants_from=0,
            key=key,
            fingerprint=self.random.getrandbits(32),
            not_after_ns=0,
            command=command,
        )

    def numbered(self, line: Line, command: AnyCommand) -> Request:
        """Wrap a command as the next request of a session."""
        line.last += 1
        if not line.lazy:
            line.wants_from = max(line.wants_from, line.last - self.random.choice((0, 1, 5, 40)))
        return Request(
            session=line.session,
            request=line.last,
            wants_from=line.wants_from,
            key=line.key,
            fingerprint=self.random.getrandbits(32),
            not_after_ns=0,
            command=command,
        )

    # ---- learning from what came back

    def learn(self, requests: list[Request], applied: Applied) -> None:
        """Take session, key and order numbers from the outcomes."""
        for request, outcome in zip(requests, applied.outcomes, strict=True):
            reply = outcome.reply
            if isinstance(reply, Refused) and request.session:
                self.learn_refusal(request, reply)
            if isinstance(reply, SessionReady) and isinstance(request.command, OpenSession):
                command = request.command
                if command.name == "main":
                    self.lines[command.account] = Line(
                        account=command.account,
                        session=reply.session,
                        key=request.key,
                        last=reply.last_request,
                        wants_from=max(1, reply.last_request),
                    )
            for event in outcome.events:
                if isinstance(event, ApiKeyCreated):
                    self.keys.append(event.key)
                    self.newest_keys[event.account] = event.key
                if isinstance(event, InstrumentStateChanged):
                    self.states[event.instrument] = event.after
                if isinstance(event, OrderRested) and isinstance(reply, Placed):
                    label = request.command.label if isinstance(request.command, PlaceOrder) else ""
                    own = self.living.setdefault(event.account, [])
                    own.append((event.order, event.number, label))
        self.sent = (self.sent + requests)[-200:]

    def learn_refusal(self, request: Request, refused: Refused) -> None:
        """Get back into step with a session that refused us."""
        for line in self.lines.values():
            if line.session != request.session:
                continue
            if refused.reason == Reject.REQUEST_GAP:
                line.last = refused.expected - 1
            if refused.reason == Reject.SESSION_EXPIRED and line.account not in self.lost_sessions:
                self.lost_sessions.append(line.account)
            spent = refused.reason == Reject.KEY_EXPIRED and request.key == line.key != OPERATOR_KEY
            if spent and line.account not in self.lost_keys:
                self.lost_keys.append(line.account)
            if refused.reason == Reject.WINDOW_FULL:
                line.last, line.wants_from = request.request - 1, request.request - 3

    # ---- requests

    def request(self) -> Request:
        """Make one request, perhaps bent."""
        roll = self.random.random()
        if roll < 0.012:
            account = self.random.choice((*CUSTOMERS, OPERATOR))
            name = "main" if self.random.random() < 0.7 else f"s{self.random.randrange(80)}"
            return self.bare(OpenSession(account=account, name=name), self.lines[account].key)
        if roll < 0.022:
            return self.odd_bare()
        if roll < 0.05 and self.sent:
            return self.random.choice(self.sent)
        if roll < 0.055:
            return self.trading_operator()
        operator = self.random.random() < 0.09
        line = self.lines[OPERATOR if operator else self.random.choice(CUSTOMERS)]
        command = self.operator_command() if operator else self.customer_command(line)
        if self.random.random() >= self.hostile:
            return self.numbered(line, command)
        if self.random.random() < 0.6:
            return self.numbered(line, self.bend(command))
        return self.bend_request(line, self.numbered(line, command))

    def trading_operator(self) -> Request:
        """Let the operator trade for itself, with a key that may or may not allow it."""
        line = self.lines[OPERATOR]
        command = (
            self.place(OPERATOR)
            if self.random.random() < 0.7
            else CancelOrder(account=OPERATOR, order=OrderId(1))
        )
        return replace(self.numbered(line, command), key=self.newest_keys.get(OPERATOR, line.key))

    def odd_bare(self) -> Request:
        """Make a request without a session that seldom deserves an answer."""
        account = self.random.choice((*CUSTOMERS, OPERATOR))
        founding = FoundGroup(group="again", operator_public_key=bytes(32))
        command: AnyCommand = self.random.choice(
            (
                founding,
                self.bend(founding),
                OpenSession(account=account, name=self.random.choice(ODD_TEXTS)),
                OpenSession(account=account, name="main2"),
                self.bend(OpenSession(account=account, name="main2")),
                Skip(reason=Reject.MALFORMED),
                self.place(account),
            )
        )
        keys = (*self.keys, OPERATOR_KEY, KeyId(0), KeyId(-1))
        usual = self.random.random() < 0.6
        request = self.bare(command, self.lines[account].key if usual else self.random.choice(keys))
        late = self.random.random() < 0.1
        return replace(request, not_after_ns=self.time_ns) if late else request

    def bend_request(self, line: Line, request: Request) -> Request:
        """Bend what is around the command: numbers, keys, sessions, times."""
        name = self.random.choice(("session", "request", "wants_from", "key", "not_after_ns", "fingerprint"))
        if name == "fingerprint":
            return replace(request, fingerprint=self.random.choice(EXTREMES))
        if name == "not_after_ns":
            odd = self.random.choice(
                (self.time_ns - 1, self.time_ns + 1, self.time_ns + SECOND_NS, *EXTREMES)
            )
            return replace(request, not_after_ns=odd)
        line.last -= 1
        odd = self.random.choice(
            {
                "session": (0, 1, 2, 3, 10**6, *EXTREMES),
                "request": (request.request - 1, request.request - 30, request.request + 1, *EXTREMES),
                "wants_from": (0, request.request, request.request + 1, *EXTREMES),
                "key": (0, OPERATOR_KEY, 10**6, *self.keys[:8], *EXTREMES),
            }[name]
        )
        return replace(request, **{name: odd})
