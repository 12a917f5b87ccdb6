"""Whatever is lost, whenever: each command is executed once, in order, and its caller hears of it once."""

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steelyard.client import (
    Accepted,
    AlreadyApplied,
    OutcomeUnknown,
    Refused,
    Reply,
    SessionTakenOver,
    SteelyardError,
    TooManyOpen,
    failover,
    wire,
)
from steelyard.client.failover import BACKOFF_MAX_S, Backoff, Line
from steelyard.v1 import trading_pb2

WINDOW = 4


class Heard:
    """A waiter that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[Reply | SteelyardError] = []

    def set_result(self, result: Reply, /) -> None:
        """Note a reply."""
        self.told.append(result)

    def set_exception(self, exception: SteelyardError, /) -> None:
        """Note a failure."""
        self.told.append(exception)


class Server:
    """The rule of the state machine, as plainly as it can be said."""

    def __init__(self) -> None:
        self.last = 0
        self.wants_from = 1
        self.kept: dict[int, Reply] = {}
        self.executed: list[tuple[int, int]] = []

    def take(self, body: bytes) -> list[Reply]:
        """Return the replies to a message."""
        message = trading_pb2.TradeRequest.FromString(body)
        return [self._take(each, message.wants_from) for each in message.commands]

    def _take(self, command: trading_pb2.Command, wants_from: int) -> Reply:
        number, fingerprint = command.request, command.fingerprint
        if number > self.last + 1:
            return Refused(number, fingerprint, 0, "REQUEST_GAP", self.last + 1)
        if number <= self.last:
            return self.kept.get(number) or Refused(number, fingerprint, 0, "REPLY_RELEASED", 0)
        wants = max(self.wants_from, min(wants_from, number))
        if number - wants >= WINDOW:
            return Refused(number, fingerprint, 0, "WINDOW_FULL", 0)
        self.wants_from, self.last = wants, number
        self.executed.append((number, command.cancel_order.order))
        self.kept = {n: reply for n, reply in self.kept.items() if n >= wants}
        self.kept[number] = Accepted(number, fingerprint, len(self.executed), command.cancel_order.order)
        return self.kept[number]


class World:
    """A line, a server, and between them streams that break and copies that arrive late."""

    def __init__(self) -> None:
        self.line = Line(window=WINDOW)
        self.server = Server()
        self.to_server: deque[bytes] = deque()
        self.to_client: deque[Reply] = deque()
        self.late: list[bytes] = []
        self.waiters: list[Heard] = []
        self.acks: list[tuple[int, Reply]] = []
        self.line.on_ack = lambda number, reply: self.acks.append((number, reply))

    def add(self) -> None:
        """Have the client submit a command."""
        heard = Heard()
        self.waiters.append(heard)
        number = self.line.next_request
        body = wire.cancel_order(1000 + number, 0, "")
        fingerprint = wire.fingerprint_of(wire.CANCEL_ORDER, body)
        frame = wire.command(number, fingerprint, 0, wire.CANCEL_ORDER, body)
        assert self.line.add(frame, fingerprint, heard) == number

    def send(self, commands_max: int) -> None:
        """Have the client write a message, if it has one."""
        message = self.line.message(commands_max)
        if message is not None:
            self.to_server.append(message)

    def arrive(self) -> None:
        """Have the oldest message arrive."""
        if self.to_server:
            self.to_client += self.server.take(self.to_server.popleft())

    def drop(self) -> None:
        """Have the oldest message vanish while the stream lives: what comes behind it leaves a gap."""
        if self.to_server:
            self.to_server.popleft()

    def hear(self) -> None:
        """Have the client hear the oldest reply."""
        if self.to_client and not self.line.settle(self.to_client.popleft()):
            self.lose()

    def lose(self) -> None:
        """Break the stream; what was under way to the server may arrive there later, or never."""
        self.late += self.to_server
        self.to_server.clear()
        self.to_client.clear()
        self.line.welcomed(self.server.last, list(self.server.kept.values()))

    def arrive_late(self, which: int) -> None:
        """Have a copy from a broken stream arrive."""
        if self.late:
            self.server.take(self.late.pop(which % len(self.late)))

    def finish(self) -> None:
        """Lose nothing any more, until everything is answered."""
        for _ in range(300):
            if not self.line.open:
                return
            self.send(3)
            if not self.to_server and not self.to_client:
                self.lose()
            self.arrive()
            self.hear()
        raise AssertionError(f"still open: {list(self.line.open)}")

    def check(self) -> None:
        """Raise unless everything happened once and was told once."""
        count = len(self.waiters)
        assert self.server.executed == [(number, 1000 + number) for number in range(1, count + 1)]
        assert [number for number, _ in self.acks] == sorted({number for number, _ in self.acks})
        for number, heard in enumerate(self.waiters, start=1):
            (told,) = heard.told
            assert isinstance(told, Accepted)
            assert (told.request, told.made) == (number, 1000 + number)


steps = st.one_of(
    st.just("add"),
    st.integers(1, 3),
    st.just("arrive"),
    st.just("hear"),
    st.just("drop"),
    st.just("lose"),
    st.tuples(st.just("late"), st.integers(0, 5)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60))
def test_every_command_is_executed_once_whatever_is_lost(script: list[object]) -> None:
    world = World()
    for step in script:
        match step:
            case "add":
                world.add()
            case int():
                world.send(step)
            case "arrive":
                world.arrive()
            case "hear":
                world.hear()
            case "drop":
                world.drop()
            case "lose":
                world.lose()
            case (_, int(which)):
                world.arrive_late(which)
    world.add()
    world.finish()
    world.check()


def test_what_has_no_answer_is_sent_again_with_the_same_bytes() -> None:
    world = World()
    for _ in range(3):
        world.add()
    first = world.line.message()
    world.server.take(first or b"")
    world.line.settle(world.server.kept[1])

    world.line.welcomed(1, [])

    again = world.line.message()
    assert first is not None
    assert again is not None
    sent = trading_pb2.TradeRequest.FromString(first).commands
    sent_again = trading_pb2.TradeRequest.FromString(again)
    assert list(sent_again.commands) == list(sent[1:])
    assert sent_again.wants_from == 2


def test_the_window_counts_from_the_lowest_number_without_an_answer() -> None:
    world = World()
    for _ in range(WINDOW + 2):
        world.add()

    world.send(1000)
    world.send(1000)
    assert len(world.to_server) == 1
    assert len(trading_pb2.TradeRequest.FromString(world.to_server[0]).commands) == WINDOW
    assert not world.line.unsent()

    world.arrive()
    world.hear()
    assert world.line.wants_from == 2
    assert world.line.unsent()
    world.hear()
    assert world.line.wants_from == 3


def test_a_reply_that_overtakes_another_shows_that_a_request_was_lost() -> None:
    world = World()
    world.add()
    world.send(1)
    world.lose()
    world.send(1)
    world.drop()
    world.arrive_late(0)
    world.add()
    world.send(1)
    world.arrive()
    (second,) = world.to_client
    assert second.request == 2

    assert not world.line.settle(second)
    assert world.acks == []
    world.lose()
    assert [number for number, _ in world.acks] == [1, 2]


def test_a_reply_to_somebody_elses_command_is_a_takeover() -> None:
    world = World()
    world.add()
    with pytest.raises(SessionTakenOver):
        world.line.settle(Accepted(1, 12345, 9, 0))


def test_numbers_that_we_never_gave_out_are_a_takeover() -> None:
    world = World()
    world.add()
    with pytest.raises(SessionTakenOver):
        world.line.welcomed(2, [])


def test_a_released_reply_says_that_the_request_was_applied() -> None:
    world = World()
    world.add()
    assert world.line.settle(Refused(1, 0, 0, "REPLY_RELEASED", 0))
    (told,) = world.waiters[0].told
    assert isinstance(told, AlreadyApplied)
    assert not world.line.open


def test_giving_up_waiting_keeps_the_number_open() -> None:
    world = World()
    world.add()
    world.line.give_up_waiting("nobody leads", until_s=-1)
    assert world.waiters[0].told == []
    world.line.give_up_waiting("nobody leads", until_s=0)
    (told,) = world.waiters[0].told
    assert isinstance(told, OutcomeUnknown)
    assert told.request == 1

    world.finish()
    assert world.server.executed == [(1, 1001)]
    assert len(world.waiters[0].told) == 1
    assert [number for number, _ in world.acks] == [1]


def test_a_failed_line_tells_everybody_once() -> None:
    world = World()
    world.add()
    world.add()
    error = SessionTakenOver("elsewhere")
    world.line.fail(error)
    assert [heard.told for heard in world.waiters] == [[error], [error]]
    assert not world.line.open


def test_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "OPEN_MAX", 2)
    world = World()
    world.add()
    world.add()
    with pytest.raises(TooManyOpen):
        world.add()


def test_waits_begin_with_none_and_stay_within_their_ceiling() -> None:
    backoff = Backoff(random.Random(1))
    waits = [backoff.next_s() for _ in range(50)]
    assert waits[0] == 0
    assert 0 < max(waits) <= BACKOFF_MAX_S
    backoff.reset()
    assert backoff.next_s() == 0
