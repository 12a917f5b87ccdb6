"""Batches, log time and the window, over the real exchange."""

from itertools import pairwise

import msgspec
import pytest
from tests.helpers.builders import ALICE, BTC_USD, complete
from tests.helpers.lone import LoneGroup, ManualClock

from steelyard.core import Exchange, versions, wire
from steelyard.core.commands import (
    ActivateVersion,
    AnyCommand,
    ArmCountdown,
    CancelOrder,
    FoundGroup,
    OpenAccount,
    OrderTerms,
    Skip,
)
from steelyard.core.entry import Applied, Outcome, Request
from steelyard.core.ledger import Balance
from steelyard.core.limits import WORK_PER_ENTRY_MAX
from steelyard.core.matching import Order, Special
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, KeyId, OrderId, OrderNumber, OrderState, SessionId, Side
from steelyard.replication.front import FailureReason
from steelyard.replication.group import ENTRY_BYTES_MAX, ApplyEntry, MemberId, PeerStatus
from steelyard.replication.proposals import Part
from steelyard.replication.sequencer import ENTRY_REQUESTS_MAX, REQUEST_BYTES_MAX, TICK_S, Sequencer


class Proposer:
    """Remembers what it heard of each ref."""

    def __init__(self) -> None:
        self.heard: dict[int, int | FailureReason] = {}
        self.frames: list[list[int]] = []
        self.outcomes: dict[int, Outcome] = {}

    def done(self, applied: Applied, refs: list[int], outcomes: list[Outcome]) -> None:
        """Note index and outcome of each."""
        self.frames.append(refs)
        for ref, outcome in zip(refs, outcomes, strict=True):
            self._hear(ref, applied.index)
            self.outcomes[ref] = outcome

    def failed(self, refs: list[int], reason: FailureReason) -> None:
        """Note the reason."""
        for ref in refs:
            self._hear(ref, reason)

    def _hear(self, ref: int, what: int | FailureReason) -> None:
        assert ref not in self.heard, ref
        self.heard[ref] = what


class Scene:
    """A sequencer over a group of one and a real exchange."""

    def __init__(self, exchange: Exchange | None = None) -> None:
        self.exchange = Exchange() if exchange is None else exchange
        self.clock = ManualClock()
        self.elapsed_s = 0.0
        self.group = LoneGroup(self.apply)
        self.sequencer = Sequencer(self.group, self.exchange, self.clock)
        self.sequencer.leadership_changed(True)
        self.proposer = Proposer()
        self.other = Proposer()

    def apply(self, index: int, _term: int, body: bytes) -> None:
        """Apply as the replica does."""
        applied, _ = self.exchange.apply_bytes(index, body)
        self.sequencer.applied(applied, self.elapsed_s)

    def submit(
        self, refs: list[int], command: AnyCommand | None = None, proposer: Proposer | None = None
    ) -> None:
        """Submit the same harmless command for each ref."""
        request = encoded(command or Skip(reason=Reject.MALFORMED))
        requests = [msgspec.Raw(request) for _ in refs]
        part = Part(proposer or self.proposer, refs, requests, len(request) * len(refs) + 10)
        self.sequencer.submit(part)

    def turn(self) -> None:
        """Propose, and let the group commit."""
        self.sequencer.pump()
        self.group.turn(0)

    def sizes(self) -> list[int]:
        """Return how many requests each entry has."""
        return [len(wire.decode_entry(body).requests) for body in self.group.bodies]


def encoded(command: AnyCommand) -> bytes:
    return wire.encode_request(Request(SessionId(0), 0, 0, KeyId(0), 0, 0, command))


def test_everything_pending_becomes_one_entry_and_each_proposer_hears_once() -> None:
    scene = Scene()
    scene.submit([1, 2])
    scene.submit([1], proposer=scene.other)
    scene.submit([3])
    scene.turn()
    assert scene.sizes() == [4]
    assert scene.proposer.heard == {1: 2, 2: 2, 3: 2}
    assert scene.proposer.frames == [[1, 2, 3]]
    assert scene.other.heard == {1: 2}
    assert scene.sequencer.pending_bytes == 0


def test_each_ref_gets_the_outcome_of_its_own_request() -> None:
    scene = Scene()
    scene.submit([1])
    scene.submit([2], FoundGroup(group="g" * 32, operator_public_key=bytes(32)), scene.other)
    scene.submit([3], FoundGroup(group="g" * 32, operator_public_key=bytes(32)))
    scene.turn()
    kinds = [type(scene.proposer.outcomes[1].reply), type(scene.other.outcomes[2].reply)]
    assert [kind.__name__ for kind in kinds] == ["Refused", "Accepted"]
    assert getattr(scene.proposer.outcomes[3].reply, "reason", None) is Reject.ALREADY_FOUNDED


def test_requests_go_into_the_log_as_they_came() -> None:
    scene = Scene()
    strange = b"\xdd\x00\x00\x00\x01\xc0"  # a long form of [nil], which no encoder of ours writes
    scene.sequencer.submit(Part(scene.proposer, [1], [msgspec.Raw(strange)], len(strange)))
    scene.turn()
    assert strange in scene.group.bodies[0]
    assert getattr(scene.proposer.outcomes[1].reply, "reason", None) is Reject.MALFORMED


def test_log_time_follows_the_clock_and_never_goes_back() -> None:
    scene = Scene()
    times: list[int] = []
    for wall in (5_000, 9_000, 4_000, 4_000, 20_000):
        scene.clock.wall = wall
        scene.submit([len(times)])
        scene.turn()
        times.append(scene.exchange.time_ns)
    assert times == [5_000, 9_000, 9_001, 9_002, 20_000]


def test_a_new_leader_waits_until_what_others_stamped_is_applied() -> None:
    scene = Scene()
    scene.group.last_index = 5
    scene.sequencer.leadership_changed(True)
    scene.submit([1])
    scene.turn()
    assert not scene.group.bodies
    scene.group.applied_index = 5
    scene.turn()
    assert scene.proposer.heard == {1: 6}


def test_an_entry_is_bounded_by_count() -> None:
    scene = Scene()
    for start in range(0, 9_000, 900):
        scene.submit(list(range(start, start + 900)))
    while len(scene.proposer.heard) < 9_000:
        scene.turn()
    assert scene.sizes() == [ENTRY_REQUESTS_MAX, ENTRY_REQUESTS_MAX, 1_000]
    assert sorted(scene.proposer.heard) == list(range(9_000))
    assert scene.sequencer.pending_bytes == 0


def test_an_entry_is_bounded_by_bytes() -> None:
    scene = Scene()
    longest = msgspec.Raw(b"\xc5" + (512 - 3).to_bytes(2) + bytes(512 - 3))
    for start in range(0, 4_000, 1_000):
        refs = list(range(start, start + 1_000))
        scene.sequencer.submit(Part(scene.proposer, refs, [longest] * 1_000, 1_000 * (512 + 9)))
    while len(scene.proposer.heard) < 4_000:
        scene.turn()
    assert max(map(len, scene.group.bodies)) <= ENTRY_BYTES_MAX
    assert len(scene.group.bodies) == 2
    assert scene.sequencer.pending_bytes == 0


def test_slow_requests_make_shorter_entries() -> None:
    scene = Scene()
    scene.elapsed_s = 1.0
    for number in range(10):
        scene.submit([number])
        scene.turn()
    scene.submit(list(range(100, 1_000)))
    scene.turn()
    assert max(scene.sizes()) < 900
    while len(scene.proposer.heard) < 910:
        scene.turn()


def test_what_was_never_proposed_may_be_sent_elsewhere_what_was_is_unknown() -> None:
    scene = Scene()
    scene.submit([1, 2])
    scene.sequencer.pump()
    scene.submit([3])
    scene.group.lose(MemberId(2), scene.sequencer.leadership_changed)
    assert scene.proposer.heard == {
        1: FailureReason.LEADERSHIP_LOST,
        2: FailureReason.LEADERSHIP_LOST,
        3: FailureReason.NOT_LEADER,
    }
    scene.submit([4])
    scene.group.known_leader = None
    scene.submit([5])
    assert scene.proposer.heard[4] is FailureReason.NOT_LEADER
    assert scene.proposer.heard[5] is FailureReason.NO_LEADER
    scene.turn()
    assert not scene.group.bodies
    assert scene.sequencer.pending_bytes == 0


def test_a_request_that_is_too_long_takes_none_of_the_others_down() -> None:
    scene = Scene()
    good, bad = encoded(Skip(reason=Reject.MALFORMED)), b"\x91" * REQUEST_BYTES_MAX + b"\xc0"
    requests = [msgspec.Raw(good), msgspec.Raw(bad), msgspec.Raw(good)]
    scene.sequencer.submit(Part(scene.proposer, [1, 2, 3], requests, 1_000))
    scene.turn()
    assert scene.proposer.heard == {1: 2, 2: FailureReason.MALFORMED, 3: 2}


def test_a_nearly_full_log_takes_cancels_only_and_a_full_one_nothing() -> None:
    scene = Scene()
    cancel = CancelOrder(account=AccountId(1000), order=OrderId(1))
    scene.sequencer.storage_used = 0.91
    scene.submit([1], OpenAccount(account=AccountId(1000)))
    scene.submit([2], cancel)
    scene.sequencer.submit(Part(scene.proposer, [3], [msgspec.Raw(b"\xc0")], 1))
    scene.turn()
    assert scene.proposer.heard == {1: FailureReason.STORAGE_LOW, 2: 2, 3: FailureReason.MALFORMED}
    scene.sequencer.storage_used = 0.98
    scene.submit([4], cancel)
    assert scene.proposer.heard[4] is FailureReason.STORAGE_LOW
    scene.clock.now_s += 2 * TICK_S
    scene.sequencer.tick()
    scene.turn()
    assert scene.sizes() == [1]


def test_an_idle_leader_ticks_once_a_second() -> None:
    scene = Scene()
    for _ in range(12):
        scene.clock.now_s += 0.25
        scene.sequencer.tick()
        scene.turn()
    assert scene.sizes() == [0] * 3
    scene.group.leading = False
    scene.clock.now_s += 5
    scene.sequencer.tick()
    scene.turn()
    assert scene.sizes() == [0] * 3


def armed(countdown_ns: int = 0) -> Scene:
    """Return a leader whose exchange has a countdown of Alice's under way, if any."""
    venue = complete()
    if countdown_ns:
        venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=countdown_ns))
    scene = Scene(venue.exchange)
    scene.group.last_index = scene.group.applied_index = venue.exchange.applied_index
    scene.clock.wall = venue.exchange.time_ns
    scene.sequencer.leadership_changed(True)
    return scene


def test_a_timer_that_is_due_makes_a_tick_and_no_second_one_while_that_is_under_way() -> None:
    scene = armed(10_000)
    scene.sequencer.tick()
    scene.group.turn(0)
    assert scene.group.bodies == []
    scene.clock.wall += 10_000
    for _ in range(3):
        scene.sequencer.tick()
    assert scene.exchange.state.countdowns
    for _ in range(3):
        scene.group.turn(0)
    assert scene.sizes() == [0]
    assert not scene.exchange.state.countdowns


def test_what_is_due_is_done_even_if_the_clock_is_behind_log_time() -> None:
    scene = armed(10_000)
    scene.exchange.state.time_ns += 10_000
    scene.clock.wall = 1
    scene.sequencer.tick()
    scene.group.turn(0)
    assert not scene.exchange.state.countdowns


def test_a_leader_that_was_one_before_is_not_kept_from_ticks_by_what_it_lost() -> None:
    scene = armed(10_000)
    scene.clock.wall += 5_000_000
    scene.submit([1])
    scene.sequencer.pump()
    scene.group.lose(MemberId(2), scene.sequencer.leadership_changed)
    scene.clock.wall -= 4_000_000
    scene.group.leading = True
    scene.sequencer.leadership_changed(True)
    scene.sequencer.tick()
    scene.group.turn(0)
    assert not scene.exchange.state.countdowns


def test_long_work_goes_on_entry_by_entry_without_anybody_asking() -> None:
    scene = armed(10_000)
    units = [WORK_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX, 5]
    state = scene.exchange.state
    alice = state.accounts[ALICE]
    for number in range(1, sum(units) + 1):
        order = Order(
            ALICE,
            BTC_USD,
            OrderId(number),
            OrderNumber(number),
            "",
            Side.BUY,
            1,
            1,
            1,
            0,
            Balance(),
            Balance(),
        )
        order.special = Special(OrderTerms(expires_ns=1), state=OrderState.PENDING)
        state.add_order(order)
        state.expire_in_time(order)
    scene.sequencer.tick()
    left = [len(alice.orders)]
    while left[-1]:
        scene.group.turn(0)  # nobody ticks: the commit of the one before did
        left.append(len(alice.orders))
    assert [before - after for before, after in pairwise(left)] == units
    scene.group.turn(0)
    assert scene.sizes() == [0] * len(units)


@pytest.mark.parametrize("entries", [4, 7])
def test_a_commit_takes_what_waited_for_the_window(entries: int) -> None:
    scene = Scene()
    for number in range(entries):
        scene.submit([number])
        scene.sequencer.pump()
    scene.turn()
    assert scene.sizes() == [1, 1, 1, 1]
    scene.group.turn(0)  # nobody pumps: the commits of the last turn did
    assert sum(scene.sizes()) == entries


class Told(LoneGroup):
    """A group of one that has heard of others."""

    def __init__(self, *args: ApplyEntry) -> None:
        super().__init__(*args)
        self.knows = [2, 2]

    def peers(self) -> list[PeerStatus]:
        """Return what the others said that they know."""
        return [
            PeerStatus(MemberId(n), False, 0, None, False, 0, 0, knows)
            for n, knows in enumerate(self.knows, start=2)
        ]


@pytest.mark.parametrize(
    ("ours", "theirs", "taken"),
    [(2, [2, 2], True), (2, [2, 3], True), (2, [2, 1], False), (2, [2, 0], False), (1, [2, 2], False)],
)
def test_a_version_that_not_every_member_knows_never_enters_the_log(
    monkeypatch: pytest.MonkeyPatch, ours: int, theirs: list[int], taken: bool
) -> None:
    monkeypatch.setattr(versions, "KNOWN_MAX", ours)
    scene = Scene()
    scene.group = group = Told(scene.apply)
    group.knows = theirs
    scene.sequencer = Sequencer(group, scene.exchange, scene.clock)
    scene.sequencer.leadership_changed(True)
    scene.submit([1], ActivateVersion(version=2))
    scene.turn()
    assert bool(group.bodies) == taken
    assert (scene.proposer.heard[1] == FailureReason.MALFORMED) != taken


@pytest.mark.parametrize(
    "ending",
    [
        b"\x92\x07\x02",
        b"\xdc\x00\x02\x07\xcc\x02",
        b"\xdd\x00\x00\x00\x02\xcd\x00\x07\xce\x00\x00\x00\x02",
        b"\x92\xcf\x00\x00\x00\x00\x00\x00\x00\x07\xd3\x00\x00\x00\x00\x00\x00\x00\x02",
    ],
)
def test_however_it_is_encoded(monkeypatch: pytest.MonkeyPatch, ending: bytes) -> None:
    monkeypatch.setattr(versions, "KNOWN_MAX", 1)
    scene = Scene()
    request = msgspec.Raw(b"\x97\x01\x01\x01\x01\x00\x00" + ending)
    assert isinstance(wire.decode_request(bytes(request)).command, ActivateVersion)
    scene.sequencer.submit(Part(scene.proposer, [1], [request], 40))
    scene.turn()
    assert scene.proposer.heard == {1: FailureReason.MALFORMED}
    assert not scene.group.bodies


def test_entries_carry_the_version_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "KNOWN_MAX", 2)
    scene = Scene()
    scene.submit([1])
    scene.turn()
    scene.exchange.state.version = 2
    scene.submit([2])
    scene.turn()
    assert [wire.decode_entry(body).version for body in scene.group.bodies] == [1, 2]
