"""Clients that must not lose anything: numbered requests, resent under their numbers until answered."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from msgspec.structs import replace

from steelyard.client import replies
from steelyard.client.errors import SteelyardError
from steelyard.client.failover import Backoff, Line
from steelyard.client.wire import delimited
from steelyard.core import versions, wire
from steelyard.core.commands import ActivateVersion, AnyCommand, OpenSession
from steelyard.core.entry import Accepted, AnyReply, Refused, Request, SessionReady
from steelyard.core.queries import AnyAnswer, AnyQuery, GetSession, SessionInfo
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR, OPERATOR_KEY, AccountId, KeyId, SessionId
from steelyard.replication.front import FailureReason, ReadMode
from steelyard.simulation import wishes, workload_contracts, workload_spot
from steelyard.simulation.clock import WALL_START_NS, Agenda
from steelyard.simulation.doors import Door
from steelyard.simulation.history import History

_NO_SESSION: Final = SessionId(0)
_COMMAND: Final = b"\x12"
"""The tag of a command in the line's messages, as in the protocol."""
UPGRADE_S: Final = 10.0
"""A time within which somebody wants the next version; until then, and after, ten times as often."""
CONTRACTS_SHARE: Final = 0.18
"""How much of what is asked for is about contracts."""
ANSWER_S: Final = 1.2
"""Without an answer for so long, a client asks elsewhere."""


class Habits:
    """How clients behave in one run."""

    def __init__(self, rng: random.Random) -> None:
        self.traders = rng.randrange(2, 6)
        self.open_max = rng.choice((1, 4, 16, 64))
        self.think_s = rng.choice((0.05, 0.2, 0.4, 0.8, 0.8))
        self.hop_s = 0.0005
        self.lost_rate = rng.choice((0.0, 0.01, 0.05))
        self.twice_rate = rng.choice((0.0, 0.02, 0.2))
        self.gap_rate = rng.choice((0.0, 0.02, 0.05))
        self.read_s = rng.choice((0.2, 0.6, 2.0))


class Client:
    """One session's line of requests, in the hands of the SDK's own logic, sent to whoever leads."""

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        doors: dict[int, Door],
        history: History,
        habits: Habits,
        account: AccountId,
        key: KeyId,
        wish: Callable[[int], AnyCommand],
        script: Iterable[AnyCommand],
        scripted: Callable[[replies.Reply], None] | None,
        renew: Callable[["Client"], None],
    ) -> None:
        """``script`` comes first, one command at a time; ``scripted`` hears its replies.

        ``renew`` is asked once, when the session has expired, for another client in place of this one.
        """
        self._agenda = agenda
        self._rng = rng
        self._doors = doors
        self._history = history
        self._habits = habits
        self._account = account
        self._key = key
        self._wish = wish
        self._script: Iterator[AnyCommand] | None = iter(script)
        self._scripted = scripted
        self._renew = renew
        self._session = _NO_SESSION
        self._line = Line()
        self._backoff = Backoff(random.Random(rng.getrandbits(64)))
        self._target = rng.choice(list(doors))
        self._attached = False
        self._attaching = 0
        self._heard_s = 0.0
        self.stopped = False
        """Whether to begin nothing new; what is open is still resent."""
        self._over = False
        self._attach()
        self._watch()

    # --- what doors tell ---------------------------------------------------------------------------

    def replied(self, request: int, index: int, reply: AnyReply) -> None:
        """Take a reply, unless it gets lost on its way."""
        if request:
            self._history.replied(self._session, request, self._agenda.now_s, index, reply)
        if self._rng.random() >= self._habits.lost_rate:
            self._agenda.after(self._hop_s(), lambda: self._settle(index, reply))

    def failed(self, requests: list[int], reason: FailureReason | None) -> None:
        """Attach again, perhaps somewhere else."""
        if self._over:
            return
        if self._attached or self._session == _NO_SESSION or -self._attaching in requests:
            self._lost(elsewhere=reason is None)

    def answered(self, question: int, index: int, answer: AnyAnswer | Reject) -> None:
        """Learn where the session stands, and send again whatever has no reply."""
        if question != -self._attaching or self._over:
            return
        if not isinstance(answer, SessionInfo):
            if answer is Reject.SESSION_EXPIRED:
                self._expire()
            return
        self._attached = True
        self._heard_s = self._agenda.now_s
        self._backoff.reset()
        self._line.welcomed(answer.last_request, [_told(index, reply) for index, reply in answer.replies])
        self._send()

    # --- what the line tells of a scripted command ---------------------------------------------------

    def set_result(self, result: replies.Reply, /) -> None:
        """Go on with the script."""
        if self._scripted is not None:
            self._scripted(result)
        self._agenda.after(0.0, self._step)

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Stop: nothing that a script asks for is ever taken over or given up."""
        raise AssertionError(exception)

    # --- the line ------------------------------------------------------------------------------------

    def _settle(self, index: int, reply: AnyReply) -> None:
        self._heard_s = self._agenda.now_s
        if self._over:
            return
        if isinstance(reply, Refused) and reply.reason == Reject.SESSION_EXPIRED:
            self._expire()
            return
        if isinstance(reply, SessionReady):
            if self._session == _NO_SESSION:
                self._session = reply.session
                self._attach()
                self._step()
            return
        if reply.request == 0:
            return  # the session was refused: whoever watches asks again
        if not self._line.settle(_told(index, reply)):
            self._lost(elsewhere=False)
        elif self._attached:
            self._send()  # the window has moved

    def _expire(self) -> None:
        """Leave what is open to its fate: nobody can be told any more what became of it."""
        self._over = self.stopped = True
        self._attached = False
        self._renew(self)

    def _step(self) -> None:
        """Begin what comes next: the script, one by one; then wishes, as the habits say."""
        if self._over:
            return
        if self._script is not None:
            command = next(self._script, None)
            if command is not None:
                self._add(command)
                self._send()
                return
            self._script = None
        self._agenda.after(self._rng.expovariate(1 / self._habits.think_s), self._think)

    def _think(self) -> None:
        room = self._habits.open_max - len(self._line.open)
        if not self.stopped and room > 0:
            for _ in range(self._rng.randrange(1, min(room, 8) + 1)):
                self._add(self._wish(self._line.next_request))
            self._send()
        self._step()

    def _add(self, command: AnyCommand) -> None:
        number = self._line.next_request
        request = Request(self._session, number, 0, self._key, number, 0, command)
        body = wire.encode_request(request)
        waiter = self if self._script is not None else None
        self._line.add(delimited(_COMMAND, body), number, waiter, self._agenda.now_s)
        self._history.called(self._session, number, self._agenda.now_s, body)

    def _send(self) -> None:
        """Send what the line has to send; sometimes twice, to two members, or with a gap."""
        habits, rng = self._habits, self._rng
        while self._attached and (message := self._line.message()) is not None:
            requests = _requests_of(message)
            if len(requests) > 1 and rng.random() < habits.gap_rate:
                requests = requests[1:]
            self._submit(self._target, requests)
            if rng.random() < habits.twice_rate:
                self._submit(rng.choice(list(self._doors)), requests)

    def _submit(self, member: int, requests: list[tuple[int, bytes]]) -> None:
        door = self._doors[member]
        if self._rng.random() >= self._habits.lost_rate:
            self._agenda.after(self._hop_s(), lambda: door.submit(self, requests))

    # --- attaching -------------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Open the session, or ask a member where it stands."""
        self._attaching += 1
        number, door = -self._attaching, self._doors[self._target]
        if self._session == _NO_SESSION:
            command = OpenSession(account=self._account, name="main")
            body = wire.encode_request(Request(_NO_SESSION, 0, 0, self._key, 0, 0, command))
            self._agenda.after(self._hop_s(), lambda: door.submit(self, [(0, body)]))
            return
        query = GetSession(account=self._account, name="main", replies_from=self._line.wants_from)
        self._agenda.after(
            self._hop_s(), lambda: door.ask(self, number, self._key, ReadMode.LINEARIZABLE, 0, query)
        )

    def _lost(self, *, elsewhere: bool) -> None:
        self._attached = False
        self._attaching += 1  # whatever is still to be answered comes too late
        mark = self._attaching
        state = self._doors[self._target].state
        if not elsewhere and state is not None and state.leader:
            self._target = state.leader
        else:
            self._target = self._rng.choice(list(self._doors))

        def again() -> None:
            if self._attaching == mark and not self._over:
                self._attach()

        self._agenda.after(self._hop_s() + self._backoff.next_s(), again)

    def _watch(self) -> None:
        """Attach again when an answer is overdue."""
        if self._over:
            return
        waits = not self._attached or bool(self._line.open)
        if not waits:
            self._heard_s = self._agenda.now_s
        elif self._agenda.now_s - self._heard_s > ANSWER_S:
            self._heard_s = self._agenda.now_s
            self._lost(elsewhere=True)
        self._agenda.after(ANSWER_S / 3, self._watch)

    def _hop_s(self) -> float:
        return self._habits.hop_s * (0.5 + self._rng.random())


def _told(index: int, reply: AnyReply) -> replies.Reply:
    """Return a reply as the SDK's logic takes it: all it asks is whose it is, and why it was refused."""
    if isinstance(reply, Refused):
        return replies.Refused(
            reply.request, reply.fingerprint, index, Reject(reply.reason).name, reply.expected
        )
    made = reply.made if isinstance(reply, Accepted) else 0
    return replies.Accepted(reply.request, reply.fingerprint, index, made)


def _requests_of(message: bytes) -> list[tuple[int, bytes]]:
    """Return the requests in a message of the line, as a door makes them: with what is still wanted."""
    bodies: list[bytes] = []
    at = 0
    while message[at : at + 1] == _COMMAND:
        size, at = _varint(message, at + 1)
        bodies.append(message[at : at + size])
        at += size
    wants_from, _ = _varint(message, at + 1)
    requests = [replace(wire.decode_request(body), wants_from=wants_from) for body in bodies]
    return [(request.request, wire.encode_request(request)) for request in requests]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at


class Reader:
    """Asks questions of every kind at every member, and remembers the answers."""

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        doors: dict[int, Door],
        history: History,
        habits: Habits,
        keys: dict[int, KeyId],
    ) -> None:
        self._agenda = agenda
        self._rng = rng
        self._doors = doors
        self._history = history
        self._habits = habits
        self._keys = keys
        self._index = 0
        self._next = 1
        self.stopped = False
        self._ask()

    def replied(self, request: int, index: int, reply: AnyReply) -> None:
        """Readers request nothing."""

    def failed(self, requests: list[int], reason: FailureReason | None) -> None:
        """Let it be: nothing depends on an answer."""

    def answered(self, question: int, index: int, answer: AnyAnswer | Reject) -> None:
        """Take an answer."""
        self._index = max(self._index, index)
        self._history.answered(question, self._agenda.now_s, index, answer)

    def _ask(self) -> None:
        if self._keys and not self.stopped:
            rng = self._rng
            mode = rng.choice(
                (ReadMode.LINEARIZABLE, ReadMode.LINEARIZABLE, ReadMode.AT_LEAST, ReadMode.STALE)
            )
            min_index = self._index if mode is ReadMode.AT_LEAST else 0
            trader, query = wishes.question(rng, len(self._keys))
            key = OPERATOR_KEY if trader is None else self._keys[trader]
            everywhere = mode is ReadMode.LINEARIZABLE and rng.random() < 0.5
            for member in list(self._doors) if everywhere else [rng.choice(list(self._doors))]:
                self._ask_at(self._doors[member], key, mode, min_index, query)
        self._agenda.after(self._rng.expovariate(1 / self._habits.read_s), self._ask)

    def _ask_at(self, door: Door, key: KeyId, mode: ReadMode, min_index: int, query: AnyQuery) -> None:
        number, self._next = self._next, self._next + 1
        self._history.asked(number, self._agenda.now_s, mode, min_index, key, query)
        self._agenda.after(self._habits.hop_s, lambda: door.ask(self, number, key, mode, min_index, query))


class Upgrader:
    """An operator's tool that asks for the next version, again and again until the group takes it."""

    def __init__(self, agenda: Agenda, rng: random.Random, doors: dict[int, Door], history: History) -> None:
        self._agenda = agenda
        self._rng = rng
        self._doors = doors
        self._history = history
        self._session = _NO_SESSION
        self.stopped = False

    def begin(self) -> None:
        """Begin some seconds from now."""
        self._agenda.after(self._rng.random() * UPGRADE_S, self._ask)

    def replied(self, request: int, index: int, reply: AnyReply) -> None:
        """Go on with the session that was opened; or be done."""
        if isinstance(reply, SessionReady):
            self._session = reply.session
            return
        if request:
            self._history.replied(self._session, request, self._agenda.now_s, index, reply)
            if not isinstance(reply, Refused) or reply.reason == Reject.STATE_MOVE:
                self.stopped = True
            elif reply.reason == Reject.SESSION_EXPIRED:
                self._session = _NO_SESSION

    def failed(self, requests: list[int], reason: FailureReason | None) -> None:
        """Let it be: whether it was a member that does not know the version or none at all, ask again."""

    def answered(self, question: int, index: int, answer: AnyAnswer | Reject) -> None:
        """There are no questions."""

    def _ask(self) -> None:
        if self.stopped:
            return
        if self._session == _NO_SESSION:
            request = Request(
                _NO_SESSION, 0, 0, OPERATOR_KEY, 0, 0, OpenSession(account=OPERATOR, name="upgrade")
            )
        else:
            # The newest build's; who founds the group takes what every member knows.
            command = ActivateVersion(version=versions.KNOWN_MAX)
            request = Request(self._session, 1, 0, OPERATOR_KEY, 1, 0, command)
        body = wire.encode_request(request)
        if request.request and (self._session, 1) not in self._history.writes:
            self._history.called(self._session, 1, self._agenda.now_s, body)
        self._rng.choice(list(self._doors.values())).submit(self, [(request.request, body)])
        self._agenda.after(UPGRADE_S * self._rng.random() / 10, self._ask)


class Workload:
    """An operator that sets a market up, and traders who come as soon as they have a key."""

    def __init__(
        self, agenda: Agenda, rng: random.Random, doors: dict[int, Door], history: History, habits: Habits
    ) -> None:
        self._agenda = agenda
        self._rng = rng
        self._doors = doors
        self._history = history
        self._habits = habits
        self._keys: dict[int, KeyId] = {}
        self.expired = 0
        """How many sessions had expired when their client came back."""
        self._stopped = False
        self.clients: list[Client] = []
        self._come(
            OPERATOR,
            OPERATOR_KEY,
            lambda _: self._operator_wish(),
            chain(
                wishes.setup(habits.traders, workload_contracts.listings()),
                workload_contracts.margins(habits.traders),
            ),
            self._set_up,
        )
        self._upgrader = Upgrader(agenda, rng, doors, history)
        self._reader = Reader(agenda, rng, doors, history, habits, self._keys)

    @property
    def ready(self) -> bool:
        """Whether everybody trades."""
        return len(self._keys) == self._habits.traders

    def stop(self) -> None:
        """Let nobody begin anything new."""
        self._stopped = True
        self._reader.stopped = self._upgrader.stopped = True
        for client in self.clients:
            client.stopped = True

    def _set_up(self, reply: replies.Reply) -> None:
        if not isinstance(reply, replies.Accepted) or not reply.made:
            return
        trader, key = len(self._keys), KeyId(reply.made)
        self._keys[trader] = key
        self._come(wishes.account_of(trader), key, lambda number: self._trader_wish(trader, number))
        if self.ready:
            self._upgrader.begin()

    def _trader_wish(self, trader: int, number: int) -> AnyCommand:
        now_ns = WALL_START_NS + int(self._agenda.now_s * 10**9)
        if self._rng.random() < CONTRACTS_SHARE:
            return workload_contracts.trader_wish(self._rng, trader, number, now_ns)
        return workload_spot.trader_wish(self._rng, trader, number, now_ns)

    def _operator_wish(self) -> AnyCommand:
        if self._rng.random() < CONTRACTS_SHARE:
            return workload_contracts.operator_wish(self._rng, self._habits.traders)
        return workload_spot.operator_wish(self._rng, self._habits.traders)

    def _come(
        self,
        account: AccountId,
        key: KeyId,
        wish: Callable[[int], AnyCommand],
        script: Iterable[AnyCommand] = (),
        scripted: Callable[[replies.Reply], None] | None = None,
    ) -> None:
        def renew(client: Client) -> None:
            self.expired += 1
            self.clients.remove(client)
            if not self._stopped:
                self._come(account, key, wish)

        self.clients.append(
            Client(
                self._agenda,
                self._rng,
                self._doors,
                self._history,
                self._habits,
                account,
                key,
                wish,
                script,
                scripted,
                renew,
            )
        )
