"""Real replica processes: what falls due happens by log time, once, and whoever it concerns hears of it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.replicas import BTC_USD, Link, Replicas, Trader, request

from steelyard.core.commands import (
    NO_TERMS,
    AnyCommand,
    ArmCountdown,
    CreateApiKey,
    Deposit,
    OpenAccount,
    OpenSession,
    OrderTerms,
    PlaceOrderOnTerms,
)
from steelyard.core.entry import Accepted, Refused, SessionReady
from steelyard.core.events import AnyEvent, CountdownFired, OrderExpired, OrderTriggered, Traded
from steelyard.core.queries import GetOpenOrders, OpenOrders
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, AssetId, OrderId, Side, TriggerKind
from steelyard.replication.front import Answer, Happened

pytestmark = pytest.mark.processes

ALICE = AccountId(Trader.ACCOUNT)
BOB = AccountId(1001)
DELAY_NS = 2 * 10**9
#: An election takes about a second; the machine may be busy.
ELECTION_S = 10.0


class Owner:
    """A customer who sends one request at a time, to whoever leads."""

    def __init__(self, group: Replicas, account: AccountId, key: int) -> None:
        self.group = group
        self.account = account
        self.key = key
        ((_, ready),) = group.submit([request(OpenSession(account=account, name="owner"), key=key)])
        assert isinstance(ready, SessionReady), ready
        self.session = ready.session
        self.number = 0

    def ask(self, command: AnyCommand) -> None:
        """Have a command carried out."""
        self.number += 1
        ((_, reply),) = self.group.submit([request(command, self.number, self.session, self.key)])
        assert not isinstance(reply, Refused), reply

    def order(
        self, number: int, side: Side, size_lots: int, limit_ticks: int, terms: OrderTerms = NO_TERMS
    ) -> None:
        """Place a limit order."""
        self.ask(
            PlaceOrderOnTerms(
                account=self.account,
                instrument=BTC_USD,
                order=OrderId(number),
                side=side,
                size_lots=size_lots,
                limit_ticks=limit_ticks,
                terms=terms,
            )
        )


class Scene:
    """A market under version 2, in which Alice and Bob trade."""

    def __init__(self, group: Replicas) -> None:
        self.group = group
        trader = Trader(group)
        setup: list[AnyCommand] = [
            OpenAccount(account=BOB),
            Deposit(account=BOB, asset=AssetId(1), amount_atoms=10**12),
            Deposit(account=BOB, asset=AssetId(2), amount_atoms=10**12),
            CreateApiKey(account=BOB, public_key=bytes(32), permissions=31),
        ]
        made = 0
        for number, command in enumerate(setup, 10):
            ((_, reply),) = group.submit([request(command, number, trader.operator)])
            assert isinstance(reply, Accepted), reply
            made = reply.made
        self.alice = Owner(group, ALICE, trader.key)
        self.bob = Owner(group, BOB, made)

    def open_orders(self, owner: Owner) -> list[int]:
        """Return the ids of an owner's orders in the book, as the leader knows them."""
        answer = self.group.member(self.group.leader()).ask(owner.key, GetOpenOrders(account=owner.account))
        assert isinstance(answer, Answer), answer
        assert isinstance(answer.answer, OpenOrders), answer
        return sorted(order.order for order in answer.answer.orders)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Replicas(tmp_path / "group") as group:
        yield Scene(group)


def heard(link: Link, kind: type[AnyEvent], timeout_s: float) -> Happened:
    """Return the first frame with such an event, once it is there."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        link.state()  # five times a second, and whatever happened comes before it
        for frame in link.happened:
            if any(isinstance(event, kind) for _, event in frame.events):
                return frame
    raise TimeoutError(f"no {kind.__name__}: {link.happened}")


def events(link: Link) -> list[AnyEvent]:
    """Return everything that a gateway has heard."""
    return [event for frame in link.happened for _, event in frame.events]


def check_level(group: Replicas, member: int) -> None:
    """Bring a killed member back, and have all three agree."""
    group.start(member)
    states = group.level()
    assert len({state.digest for state in states.values()}) == 1
    group.stop()
    audited = group.audit()
    assert audited.ok, audited.faults


def test_a_countdown_fires_once_although_its_leader_is_dead(scene: Scene) -> None:
    group, alice = scene.group, scene.alice
    for number in (1, 2, 3):
        alice.order(number, Side.BUY, 1, 100 + number)
    leader = group.leader()
    survivor = next(member for member in (1, 2, 3) if member != leader)
    group.member(survivor).attach([ALICE])
    alice.ask(ArmCountdown(account=ALICE, countdown_ns=DELAY_NS))
    armed_s = time.monotonic()
    group.kill(leader)

    fired = heard(group.member(survivor), CountdownFired, 2 + ELECTION_S)
    took_s = time.monotonic() - armed_s

    assert [type(event) for _, event in fired.events] == [CountdownFired] + 3 * [OrderExpired]
    assert 1.5 < took_s < 2 + ELECTION_S
    assert scene.open_orders(alice) == []
    alice.order(4, Side.BUY, 1, 100)
    time_ns = fired.time_ns
    while group.member(survivor).state().time_ns < time_ns + DELAY_NS + 10**9:
        pass
    assert sum(isinstance(event, CountdownFired) for event in events(group.member(survivor))) == 1
    assert scene.open_orders(alice) == [4]
    check_level(group, leader)


def test_an_order_expires_in_time_although_its_leader_is_dead(scene: Scene) -> None:
    group, alice = scene.group, scene.alice
    leader = group.leader()
    survivor = next(member for member in (1, 2, 3) if member != leader)
    group.member(survivor).attach([ALICE])
    expires_ns = time.time_ns() + DELAY_NS
    alice.order(1, Side.BUY, 1, 100, OrderTerms(expires_ns=expires_ns))
    alice.order(2, Side.BUY, 1, 100)
    group.kill(leader)

    expired = heard(group.member(survivor), OrderExpired, 2 + ELECTION_S)

    ((_, event),) = expired.events
    assert isinstance(event, OrderExpired)
    assert (event.order, event.reason) == (1, Reject.EXPIRED)
    assert expires_ns <= expired.time_ns < expires_ns + int(ELECTION_S * 1e9)
    assert scene.open_orders(alice) == [2]
    check_level(group, leader)


def test_a_stop_that_others_wake_is_heard_of_by_its_owner(scene: Scene) -> None:
    group, alice, bob = scene.group, scene.alice, scene.bob
    bob.order(1, Side.SELL, 1, 100)
    bob.order(2, Side.BUY, 1, 100)
    alice.order(1, Side.BUY, 2, 120, OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=110))
    follower = next(member for member in (1, 2, 3) if member != group.leader())
    for member in (follower, group.leader()):
        group.member(member).attach([ALICE])
    bob.order(3, Side.SELL, 2, 115)
    bob.order(4, Side.SELL, 1, 110)
    bob.order(5, Side.BUY, 1, 110)

    for member in (follower, group.leader()):
        link = group.member(member)
        heard(link, Traded, 10.0)
        triggered, trade = [event for event in events(link) if isinstance(event, OrderTriggered | Traded)]
        assert isinstance(triggered, OrderTriggered)
        assert isinstance(trade, Traded)
        assert (triggered.order, triggered.price_ticks) == (1, 110)
        assert (trade.taker, trade.taker_order, trade.price_ticks, trade.size_lots) == (ALICE, 1, 115, 2)
        late = group.link(member)
        late.attach([ALICE], after_index=1)
        heard(late, Traded, 10.0)
        assert events(late)[-len(events(link)) :] == events(link)
        late.close()
