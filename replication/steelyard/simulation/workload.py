"""Clients that must not lose anything: numbered requests, resent under their numbers until answered."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from steelyard.core import wire
from steelyard.core.commands import AnyCommand, OpenSession
from steelyard.core.entry import Accepted, AnyReply, Refused, Request, SessionReady
from steelyard.core.queries import AnyAnswer, AnyQuery
from steelyard.core.rejects import Reject
from steelyard.core.units import OPERATOR, OPERATOR_KEY, AccountId, KeyId, SessionId
from steelyard.replication.front import FailureReason, ReadMode
from steelyard.simulation import wishes
from steelyard.simulation.clock import Agenda
from steelyard.simulation.doors import Door
from steelyard.simulation.history import History

_OUT_OF_ORDER: Final = (Reject.REQUEST_GAP, Reject.WINDOW_FULL)
_NO_SESSION: Final = SessionId(0)
RETRY_S: Final = 0.05
ANSWER_S: Final = 1.2
"""Without an answer for so long, a client asks elsewhere."""


class Habits:
    """How clients behave in one run."""

    def __init__(self, rng: random.Random) -> None:
        self.traders = rng.randrange(2, 6)
        self.window = rng.choice((1, 4, 16, 64))
        self.think_s = rng.choice((0.05, 0.15, 0.4))
        self.hop_s = 0.0005
        self.lost_rate = rng.choice((0.0, 0.01, 0.1))
        self.twice_rate = rng.choice((0.0, 0.02, 0.2))
        self.gap_rate = rng.choice((0.0, 0.02, 0.1))
        self.read_s = rng.choice((0.1, 0.3, 1.0))


class Client:
    """One session's line of requests, sent to whoever leads."""

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
        script: Iterable[AnyCommand] = (),
        scripted: Callable[[AnyReply], None] | None = None,
    ) -> None:
        """``script`` comes first, one command at a time; ``scripted`` hears its replies."""
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
        self._session = _NO_SESSION
        self._open: dict[int, bytes] = {}
        self._next = 1
        self._target = rng.choice(list(doors))
        self._sent_s = 0.0
        self._retrying = False
        self.stopped = False
        """Whether to begin nothing new; what is open is still resent."""
        self.replies = 0
        self._open_session()

    @property
    def outstanding(self) -> int:
        """How many requests have no reply."""
        return len(self._open)

    # --- what doors tell ---------------------------------------------------------------------------

    def replied(self, request: int, index: int, reply: AnyReply) -> None:
        """Take a reply, unless it gets lost on its way."""
        if request:
            self._history.replied(self._session, request, self._agenda.now_s, index, reply)
        if self._rng.random() >= self._habits.lost_rate:
            self._agenda.after(self._hop_s(), lambda: self._settle(request, reply))

    def failed(self, requests: list[int], reason: FailureReason | None) -> None:
        """Ask again, perhaps somewhere else."""
        del requests
        self._agenda.after(self._hop_s(), lambda: self._retry(elsewhere=reason is None))

    def answered(self, question: int, index: int, answer: AnyAnswer | Reject) -> None:
        """Clients do not ask questions; see ``Reader``."""

    # --- the line ------------------------------------------------------------------------------------

    def _settle(self, number: int, reply: AnyReply) -> None:
        if number == 0:
            if isinstance(reply, SessionReady) and self._session == _NO_SESSION:
                self._session = reply.session
                self._step()
                self._watch()
            elif self._session == _NO_SESSION:
                self._agenda.after(RETRY_S, self._open_session)
            return
        if number not in self._open:
            return
        if isinstance(reply, Refused) and reply.reason in _OUT_OF_ORDER:
            self._retry(elsewhere=False)
            return
        del self._open[number]
        self.replies += 1
        if self._script is not None:
            if self._scripted is not None:
                self._scripted(reply)
            self._step()

    def _step(self) -> None:
        """Begin what comes next: the script, one by one; then wishes, as the habits say."""
        if self._script is not None:
            command = next(self._script, None)
            if command is not None:
                self._add(command)
                self._send(self._target, list(self._open))
                return
            self._script = None
        self._agenda.after(self._rng.expovariate(1 / self._habits.think_s), self._think)

    def _think(self) -> None:
        if not self.stopped:
            habits, rng = self._habits, self._rng
            room = habits.window - len(self._open)
            if room > 0:
                numbers = [
                    self._add(self._wish(self._next)) for _ in range(rng.randrange(1, min(room, 8) + 1))
                ]
                if len(numbers) > 1 and rng.random() < habits.gap_rate:
                    numbers = numbers[1:]
                self._send(self._target, numbers)
                if rng.random() < habits.twice_rate:
                    self._send(rng.choice(list(self._doors)), numbers)
        self._step()

    def _add(self, command: AnyCommand) -> int:
        number, self._next = self._next, self._next + 1
        wants_from = min(self._open, default=number)
        request = Request(self._session, number, wants_from, self._key, number, 0, command)
        self._open[number] = wire.encode_request(request)
        self._history.called(self._session, number, self._agenda.now_s, self._open[number])
        return number

    def _send(self, member: int, numbers: list[int]) -> None:
        self._sent_s = self._agenda.now_s
        requests = [(number, self._open[number]) for number in numbers]
        door = self._doors[member]
        if self._rng.random() >= self._habits.lost_rate:
            self._agenda.after(self._hop_s(), lambda: door.submit(self, requests))

    def _open_session(self) -> None:
        if self._session != _NO_SESSION:
            return
        command = OpenSession(account=self._account, name="main")
        body = wire.encode_request(Request(_NO_SESSION, 0, 0, self._key, 0, 0, command))
        door = self._doors[self._guess()]
        self._agenda.after(self._hop_s(), lambda: door.submit(self, [(0, body)]))
        self._agenda.after(ANSWER_S, self._open_session)

    def _watch(self) -> None:
        """Ask again when an answer is overdue."""
        if self._open and self._agenda.now_s - self._sent_s > ANSWER_S:
            self._retry(elsewhere=True)
        self._agenda.after(ANSWER_S / 3, self._watch)

    def _retry(self, *, elsewhere: bool) -> None:
        if self._retrying:
            return
        self._retrying = True

        def again() -> None:
            self._retrying = False
            self._target = self._guess(elsewhere=elsewhere)
            if self._session == _NO_SESSION:
                self._open_session()
            elif self._open:
                self._send(self._target, sorted(self._open))

        self._agenda.after(RETRY_S * (1 + self._rng.random()), again)

    def _guess(self, *, elsewhere: bool = False) -> int:
        """Return whom to ask: the leader that somebody knows of, or anybody."""
        state = self._doors[self._target].state
        if not elsewhere and state is not None and state.leader:
            return state.leader
        return self._rng.choice(list(self._doors))

    def _hop_s(self) -> float:
        return self._habits.hop_s * (0.5 + self._rng.random())


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
        self.clients = [
            Client(
                agenda,
                rng,
                doors,
                history,
                habits,
                OPERATOR,
                OPERATOR_KEY,
                lambda _: wishes.operator_wish(rng, habits.traders),
                wishes.setup(habits.traders),
                self._set_up,
            )
        ]
        self._reader = Reader(agenda, rng, doors, history, habits, self._keys)

    @property
    def ready(self) -> bool:
        """Whether everybody trades."""
        return len(self._keys) == self._habits.traders

    def stop(self) -> None:
        """Let nobody begin anything new."""
        self._reader.stopped = True
        for client in self.clients:
            client.stopped = True

    def _set_up(self, reply: AnyReply) -> None:
        if not isinstance(reply, Accepted) or not reply.made:
            return
        trader, key = len(self._keys), KeyId(reply.made)
        self._keys[trader] = key
        rng = self._rng
        self.clients.append(
            Client(
                self._agenda,
                rng,
                self._doors,
                self._history,
                self._habits,
                wishes.account_of(trader),
                key,
                lambda number: wishes.trader_wish(rng, trader, number),
            )
        )
