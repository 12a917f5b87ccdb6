"""A crash on one exchange in this process: entries of bounded size, and every invariant after each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from steelyard.client import ApiKey, Command
from steelyard.client.admin import ADMINISTER, Admin
from steelyard.client.messages import KINDS, body_of, chosen_order
from steelyard.client.nodes import Nodes
from steelyard.client.wire import delimited
from steelyard.core import Applied, Entry, Exchange, Request, snapshot, versions
from steelyard.core.commands import AnyCommand, CreateApiKey, FoundGroupAt, OpenSession
from steelyard.core.entry import Accepted, AnyReply, Many, SessionReady
from steelyard.core.entry import Refused as CoreRefused
from steelyard.core.units import OPERATOR, OPERATOR_KEY, AccountId, KeyId, SessionId
from steelyard.ops.crash.stage import FEEDER, Feed, Wish
from steelyard.rpc import encode, translate
from steelyard.rpc.translate_admin import operator_command
from steelyard.v1 import admin_pb2, trading_pb2

#: Requests of one entry.
REQUESTS_MAX: Final = 100
#: Between two entries.
TICK_NS: Final = 1_000_000
#: Where log time begins.
START_NS: Final = 1_750_000_000_000_000_000

Apply = Callable[[Exchange, int, Entry], Applied]


class _Desk:
    """One account's key and session, and what numbers it has used."""

    def __init__(self, account: AccountId, key: KeyId, session: SessionId) -> None:
        self.account = account
        self.key = key
        self.session = session
        self.request = 0

    def next(self, command: AnyCommand, fingerprint: int = 0) -> Request:
        """Return the next request of this account."""
        self.request += 1
        return Request(self.session, self.request, self.request, self.key, fingerprint, 0, command)


class LocalStage:
    """An exchange that is founded, fed and asked without any process or network around it.

    ``apply`` carries an entry out; whoever watches passes its own.
    """

    def __init__(self, apply: Apply, *, checks: bool = True) -> None:
        self.exchange = Exchange()
        self.refused: dict[str, int] = {}
        self.entries = 0
        self._apply = apply
        self._checks = checks
        self._time_ns = START_NS
        self._desks: dict[int, _Desk] = {}
        # Nobody signs anything here, and every run is to be the same.
        self._key = ApiKey.from_private_bytes(OPERATOR_KEY, OPERATOR, bytes(32))
        self._enter(
            [
                _sessionless(
                    FoundGroupAt(
                        group="crash",
                        operator_public_key=self._key.public_key,
                        version=versions.DERIVATIVES,
                    ),
                    KeyId(0),
                )
            ]
        )
        self.operator = self._admin(self._open_session(OPERATOR, OPERATOR_KEY, "listing"))
        #: Keys are made in a session of its own: an ``Admin`` counts its numbers itself.
        self._clerk = self._open_session(OPERATOR, OPERATOR_KEY, "keys")

    @property
    def feeder(self) -> Admin:
        """The feed's hand."""
        return self._feeder

    async def give_keys(
        self, accounts: Sequence[int], permissions: int, advance: Callable[[int], None]
    ) -> None:
        """Give each account a key and a session."""
        for done in range(0, len(accounts), REQUESTS_MAX):
            some = [AccountId(account) for account in accounts[done : done + REQUESTS_MAX]]
            made = self._enter(
                [
                    self._clerk.next(
                        CreateApiKey(
                            account=account, public_key=self._key.public_key, permissions=permissions
                        )
                    )
                    for account in some
                ]
            )
            self._open_sessions(some, [KeyId(_made(reply)) for reply in made])
            advance(done + len(some))
        if FEEDER in accounts:
            self._feeder = self._admin(self._desks[FEEDER])

    async def play(
        self, wishes: Sequence[Wish], advance: Callable[[int], None], feed: Feed | None = None
    ) -> None:
        """Carry out wishes, several accounts' in one entry."""
        some: list[tuple[_Desk, AnyCommand]] = []
        for done, wish in enumerate(wishes, 1):
            if feed is not None and done % REQUESTS_MAX == 1:
                await feed()
            some += self._translated(wish)
            if len(some) >= REQUESTS_MAX or done == len(wishes):
                self._carry_out(some)
                some = []
                advance(done)

    async def keep(self, accounts: Sequence[int]) -> None:
        """Nothing: every session is kept."""

    async def ask(self, wishes: Sequence[Wish]) -> None:
        """Carry out wishes."""
        await self.play(wishes, lambda _: None)

    async def settle(self) -> None:
        """Nothing: whatever is asked is answered at once."""

    async def has_begun(self) -> bool:
        """Return whether the engine has begun with anybody."""
        return self.exchange.state.last_liquidation > 0

    async def is_busy(self) -> bool:
        """Return whether the engine has anybody left."""
        return bool(self.exchange.state.liquidations)

    def now_ns(self) -> int:
        """Return log time."""
        return self._time_ns

    async def pause(self, step_ns: int) -> None:
        """Let log time pass, with an entry wherever something is due."""
        end_ns = self._time_ns + step_ns
        while (due_ns := self.exchange.next_due_ns()) is not None and due_ns <= end_ns - TICK_NS:
            self._time_ns = max(self._time_ns, due_ns)
            self._enter([])
            if self._time_ns >= end_ns - TICK_NS:
                break
        self._time_ns = max(self._time_ns, end_ns - TICK_NS)

    def is_whole(self) -> bool:
        """Return whether nothing is missing: a restored exchange goes on at once."""
        return True

    async def strike(self) -> bool:
        """Go on from a snapshot, as a member does that was killed."""
        image = snapshot.dump(self.exchange)
        restored = snapshot.load(image)
        assert snapshot.dump(restored) == image, "a snapshot says all there is to say"
        self.exchange = restored
        return True

    def _admin(self, desk: _Desk) -> Admin:
        return Admin(_Here(self, desk, self._key), "crash", desk.session, desk.request)

    def _open_session(self, account: AccountId, key: KeyId, name: str) -> _Desk:
        (reply,) = self._enter([_sessionless(OpenSession(account=account, name=name), key)])
        return _Desk(account, key, _session(reply))

    def _open_sessions(self, accounts: Sequence[AccountId], keys: Sequence[KeyId]) -> None:
        asked = [
            _sessionless(OpenSession(account=account, name="crash"), key)
            for account, key in zip(accounts, keys, strict=True)
        ]
        for account, key, reply in zip(accounts, keys, self._enter(asked), strict=True):
            self._desks[account] = _Desk(account, key, _session(reply))

    def _translated(self, wish: Wish) -> Iterable[tuple[_Desk, AnyCommand]]:
        desk = self._desks[wish.account]
        for at, command in enumerate(wish.commands, 1):
            yield desk, _translated(command, desk, at)

    def _carry_out(self, some: Sequence[tuple[_Desk, AnyCommand]]) -> None:
        for begin in range(0, len(some), REQUESTS_MAX):
            part = some[begin : begin + REQUESTS_MAX]
            for reply in self._enter([desk.next(command) for desk, command in part]):
                self._note(reply)

    def _note(self, reply: AnyReply) -> None:
        for each in reply.legs if isinstance(reply, Many) else [reply]:
            if isinstance(each, CoreRefused):
                self.refused[each.reason.name] = self.refused.get(each.reason.name, 0) + 1

    def administer(self, desk: _Desk, body: bytes) -> bytes:
        """Carry out one of an operator's or the feed's commands, as the door would."""
        request = translate.parse(admin_pb2.AdministerRequest, body)
        (reply,) = self._enter([desk.next(operator_command(request), request.once.fingerprint)])
        index = self.exchange.applied_index
        return admin_pb2.AdministerResponse(
            log_index=index, reply=encode.reply_message(index, reply)
        ).SerializeToString()

    def _enter(self, requests: list[Request]) -> list[AnyReply]:
        """Carry out one entry and look at every invariant; return the replies."""
        exchange = self.exchange
        self._time_ns = max(self._time_ns, exchange.time_ns) + TICK_NS
        entry = Entry(exchange.state.version, self._time_ns, requests)
        applied = self._apply(exchange, exchange.applied_index + 1, entry)
        self.entries += 1
        if self._checks:
            exchange.check_invariants()
        return [outcome.reply for outcome in applied.outcomes]


class _Here(Nodes):
    """The way of an ``Admin`` to an exchange in this process."""

    def __init__(self, stage: LocalStage, desk: _Desk, key: ApiKey) -> None:
        super().__init__(["here"], key, retry_deadline_s=0)
        self._stage = stage
        self._desk = desk

    async def call(
        self, method: str, body: bytes, *, at_leader: bool = True, node: str | None = None
    ) -> bytes:
        """Carry out a command."""
        assert method == ADMINISTER, method
        return self._stage.administer(self._desk, body)


def _translated(command: Command, desk: _Desk, at: int) -> AnyCommand:
    """Return a client's command as the log holds it, by way of the bytes that would travel."""
    chosen = chosen_order(desk.session, desk.request + at)
    wire = trading_pb2.Command.FromString(delimited(KINDS[type(command)], body_of(command, chosen)))
    return translate.trade_command(wire, desk.account)


def _sessionless(command: AnyCommand, key: KeyId) -> Request:
    return Request(SessionId(0), 0, 0, key, 0, 0, command)


def _session(reply: AnyReply) -> SessionId:
    assert isinstance(reply, SessionReady), reply
    return reply.session


def _made(reply: AnyReply) -> int:
    assert isinstance(reply, Accepted), reply
    return reply.made
