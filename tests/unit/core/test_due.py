"""What an entry does before its commands: in which order, and never more than one entry may."""

from itertools import count

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    CAROL,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    on_terms,
    sell,
)

from steelyard.core import Reject, snapshot
from steelyard.core.commands import AmendOrder, ArmCountdown, OrderTerms, ScheduleState
from steelyard.core.events import (
    AnyEvent,
    CountdownFired,
    InstrumentStateChanged,
    OrderExpired,
    OrderTriggered,
)
from steelyard.core.handlers import due
from steelyard.core.limits import WORK_PER_ENTRY_MAX
from steelyard.core.units import InstrumentId, InstrumentState, OrderId, TimeInForce, TriggerKind

IOC = TimeInForce.IOC


def good_till(venue: Venue, number: int, after_ns: int, *, size_lots: int = 1, limit_ticks: int = 50) -> None:
    """Place a buy of Alice's that expires ``after_ns`` of log time from now."""
    expires_ns = venue.exchange.time_ns + after_ns
    outcome = venue.place(
        ALICE, on_terms(buy(number, size_lots, limit_ticks), OrderTerms(expires_ns=expires_ns))
    )
    assert kinds(outcome.events) == ["OrderAccepted", "OrderTermsSet", "OrderRested"]


def expired(events: list[AnyEvent]) -> list[int]:
    """Return the ids of the orders whose time came."""
    return [
        event.order for event in events if isinstance(event, OrderExpired) and event.reason == Reject.EXPIRED
    ]


def test_nothing_is_due_in_a_market_of_common_orders() -> None:
    venue = complete()
    venue.place(ALICE, buy(1, 5, 50))

    assert venue.exchange.next_due_ns() is None
    assert venue.tick() == []


def test_an_order_leaves_when_its_time_has_come_and_not_before() -> None:
    venue = complete()
    good_till(venue, 1, 100_000)
    due_ns = venue.exchange.next_due_ns()
    assert due_ns is not None

    assert venue.tick(due_ns - venue.exchange.time_ns - 1) == []
    assert expired(venue.tick(1)) == [1]
    assert venue.exchange.next_due_ns() is None
    assert venue.held_atoms(ALICE, USD) == 0


def test_what_is_due_happens_before_the_commands_of_its_entry() -> None:
    venue = complete()
    good_till(venue, 1, 1_500)

    outcome = venue.place(BOB, sell(1, 1, 50))

    assert expired(venue.due) == [1]
    assert kinds(outcome.events) == ["OrderAccepted", "OrderRested"]


def test_orders_expire_by_time_then_by_number() -> None:
    venue = complete()
    now_ns = venue.exchange.time_ns
    for number, at_ns in ((1, 30_000), (2, 20_000), (3, 30_000), (4, 10_000)):
        venue.place(ALICE, on_terms(buy(number, 1, 50), OrderTerms(expires_ns=now_ns + at_ns)))

    assert expired(venue.tick(40_000)) == [4, 2, 1, 3]


def test_an_expiry_that_was_amended_holds_and_the_old_one_does_not() -> None:
    venue = complete()
    good_till(venue, 1, 100_000)
    good_till(venue, 2, 100_000)
    later_ns = venue.exchange.time_ns + 500_000
    venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(1), expires_ns=later_ns))
    venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(2), expires_ns=-1))

    assert venue.tick(200_000) == []
    assert expired(venue.tick(later_ns - venue.exchange.time_ns)) == [1]


def test_amending_an_expiry_again_and_again_leaves_nothing_behind() -> None:
    venue = complete()
    good_till(venue, 1, 10**9)
    exchange = venue.exchange
    for step in range(3_000):
        command = AmendOrder(account=ALICE, order=OrderId(1), expires_ns=exchange.time_ns + 2 * 10**9 + step)
        assert venue.ask(ALICE, command).events
    assert len(exchange.state.timers.expiries) < 1_100
    assert expired(venue.tick(3 * 10**9)) == [1]


def test_state_changes_and_countdowns_come_first_by_time() -> None:
    venue = complete()
    good_till(venue, 1, 50_000)
    now_ns = venue.exchange.time_ns
    venue.ask(BOB, ArmCountdown(account=BOB, countdown_ns=80_000))
    venue.ask(CAROL, ArmCountdown(account=CAROL, countdown_ns=30_000))
    venue.accepted(ScheduleState(instrument=BTC_USD, state=InstrumentState.POST_ONLY, at_ns=now_ns + 60_000))

    events = venue.tick(200_000)

    assert events[0] == CountdownFired(account=CAROL, instrument=InstrumentId(0))
    assert isinstance(events[1], InstrumentStateChanged)
    assert events[2] == CountdownFired(account=BOB, instrument=InstrumentId(0))
    assert expired(events[3:]) == [1]


def test_one_entry_does_so_much_and_the_next_one_goes_on() -> None:
    venue = complete()
    total = 2 * WORK_PER_ENTRY_MAX + 7
    for number in range(1, total + 1):
        good_till(venue, number, 10**9 - number)

    seen: list[int] = []
    for expected in (WORK_PER_ENTRY_MAX, WORK_PER_ENTRY_MAX, 7):
        assert venue.exchange.next_due_ns() is not None
        events = venue.tick(10**10 if not seen else 1)
        assert len(events) == expected
        seen += expired(events)
        due_ns = venue.exchange.next_due_ns()
        assert (due_ns is not None and due_ns <= venue.exchange.time_ns) == (len(seen) < total)
    assert sorted(seen) == list(range(1, total + 1))


def test_an_order_whose_time_has_come_never_trades_even_if_its_turn_has_not() -> None:
    venue = complete()
    for number in range(1, WORK_PER_ENTRY_MAX + 3):
        good_till(venue, number, 10**9)

    late = msgspec.structs.replace(sell(1, 5, 50), account=BOB)
    outcome = venue.send(venue.request(BOB, late), after_ns=10**10)[0]

    assert len(venue.due) == WORK_PER_ENTRY_MAX
    assert kinds(outcome.events) == ["OrderAccepted", "OrderExpired", "OrderExpired", "OrderRested"]


def test_a_timer_of_an_order_that_is_gone_is_no_unit() -> None:
    venue = complete()
    for number in range(1, 300):
        good_till(venue, number, 10**9)
        venue.cancel(ALICE, number)
    good_till(venue, 300, 2 * 10**9)

    assert expired(venue.tick(10**10)) == [300]


class Cascade:
    """A market in which a trade wakes orders whose trades wake the next ones."""

    def __init__(self, steps: int) -> None:
        self.venue = complete(funds_atoms=10**9)
        self._ids = count(10_000)
        self.trade_at(1000)
        for step in range(1, steps + 1):
            # Each sells into the bid that is the trigger of the next one.
            self.venue.place(BOB, buy(next(self._ids), 1, 1000 - step))
            terms = OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=1001 - step)
            if step > 1:
                self.venue.place(ALICE, on_terms(sell(step, 1, 1, IOC), terms))

    def trade_at(self, ticks: int) -> None:
        """Make a trade, and so the last price."""
        self.venue.place(CAROL, buy(next(self._ids), 1, ticks))
        self.venue.place(CAROL, sell(next(self._ids), 1, ticks, IOC))

    def run(self) -> list[list[AnyEvent]]:
        """Begin, and let entries without commands follow until nothing is left."""
        self.venue.place(CAROL, sell(next(self._ids), 1, 999, IOC))
        entries: list[list[AnyEvent]] = []
        while (due_ns := self.venue.exchange.next_due_ns()) is not None:
            assert due_ns <= self.venue.exchange.time_ns
            entries.append(self.venue.tick())
        return entries


@pytest.mark.parametrize("bound", [1, 3, 100])
def test_a_cascade_ends_alike_whatever_one_entry_may_do(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Cascade(30)
    (at_once,) = whole.run()
    assert sum(isinstance(event, OrderTriggered) for event in at_once) == 28
    monkeypatch.setattr(due, "WORK_PER_ENTRY_MAX", bound)
    bounded = Cascade(30)

    entries = bounded.run()

    assert [event for entry in entries for event in entry] == at_once
    assert len(entries) == -(-29 // bound)
    assert bounded.venue.business() == whole.venue.business()


def test_the_rest_of_a_cascade_survives_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "WORK_PER_ENTRY_MAX", 4)
    cascade = Cascade(30)
    cascade.venue.place(CAROL, sell(20_000, 1, 999, IOC))
    cascade.venue.tick()
    first = cascade.venue.exchange
    loaded = snapshot.load(snapshot.dump(first))

    ends: list[list[object]] = []
    for exchange in (first, loaded):
        cascade.venue.exchange = exchange
        while exchange.next_due_ns() is not None:
            cascade.venue.tick()
        ends.append(cascade.venue.everything())

    assert first.digest == loaded.digest
    assert ends[0] == ends[1]
