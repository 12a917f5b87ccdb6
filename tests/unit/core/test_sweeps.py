"""Many orders cancelled at once, and countdowns that do it when nobody says any more that they may stay."""

from typing import Final

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    NO_SESSION,
    READ_TRADE,
    STEP_NS,
    Venue,
    buy,
    complete,
    kinds,
    listing,
    market,
    refusal,
    sell,
)

from steelyard.core import Entry, Reject, Request, snapshot, wire
from steelyard.core.commands import (
    AnyCommand,
    ArmCountdown,
    CancelOrders,
    OpenSubAccount,
    SetFrozen,
)
from steelyard.core.entry import Accepted, AppliedWithDue, Outcome, Swept
from steelyard.core.events import (
    CountdownArmed,
    CountdownFired,
    OrderCancelled,
    OrderExpired,
    OrdersSwept,
)
from steelyard.core.limits import COUNTDOWN_NS_MAX
from steelyard.core.units import AccountId, InstrumentId, InstrumentState, KeyId, Permission, Side

ETH_USD: Final = InstrumentId(2)
SUB: Final = AccountId(2000)


def without_session(venue: Venue, account: AccountId, command: AnyCommand) -> Outcome:
    return venue.sessionless(command, venue.keys[account])


def resting(venue: Venue, account: AccountId = ALICE) -> list[int]:
    return sorted(venue.exchange.state.accounts[account].orders)


def two_markets() -> Venue:
    venue = complete()
    venue.accepted(listing(instrument=ETH_USD, symbol="ETH-USD"))
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN, instrument=ETH_USD)
    venue.place(ALICE, buy(1, 5, 100))
    venue.place(ALICE, sell(2, 5, 110))
    venue.ask(ALICE, other_market(buy(3, 5, 100)))
    venue.place(BOB, buy(1, 5, 100))
    return venue


def other_market(command: AnyCommand) -> AnyCommand:

    return msgspec.structs.replace(command, account=ALICE, instrument=ETH_USD)


def test_a_sweep_cancels_everything_of_one_account_by_number() -> None:
    venue = two_markets()

    outcome = venue.ask(ALICE, CancelOrders(account=ALICE))

    assert outcome.reply == Swept(request=4, fingerprint=0, count=3)
    assert outcome.events[0] == OrdersSwept(account=ALICE, count=3)
    assert [event.number for event in outcome.events[1:] if isinstance(event, OrderCancelled)] == [1, 2, 3]
    assert resting(venue) == []
    assert resting(venue, BOB) == [1]
    assert venue.free_atoms(ALICE, listing().quote) == 1_000_000
    venue.exchange.check_invariants()


@pytest.mark.parametrize(
    ("instrument", "side", "left"),
    [(BTC_USD, None, [3]), (ETH_USD, None, [1, 2]), (0, Side.BUY, [2]), (BTC_USD, Side.SELL, [1, 3])],
)
def test_a_sweep_may_mean_one_instrument_or_side(instrument: int, side: Side | None, left: list[int]) -> None:
    venue = two_markets()

    venue.ask(ALICE, CancelOrders(account=ALICE, instrument=InstrumentId(instrument), side=side))

    assert resting(venue) == left


def test_nothing_to_cancel_is_no_fault() -> None:
    outcome = complete().ask(ALICE, CancelOrders(account=ALICE))

    assert outcome.events == [OrdersSwept(account=ALICE, count=0)]


def test_a_master_may_sweep_its_sub_accounts_as_well() -> None:
    venue = complete()
    venue.accepted(OpenSubAccount(master=ALICE, account=SUB, permissions=READ_TRADE))
    venue.keys[SUB] = venue.create_key(SUB)
    venue.open_session(SUB)
    venue.deposit(SUB, listing().quote, 1000)
    venue.place(SUB, buy(1, 5, 100))
    venue.place(ALICE, buy(1, 5, 100))

    assert venue.ask(SUB, CancelOrders(account=SUB, sub_accounts=True, side=Side.SELL)).events == [
        OrdersSwept(account=SUB, count=0)
    ]
    assert venue.ask(ALICE, CancelOrders(account=ALICE, side=Side.SELL)).events[0] == OrdersSwept(
        account=ALICE, count=0
    )
    outcome = venue.ask(ALICE, CancelOrders(account=ALICE, sub_accounts=True))

    assert [event.account for event in outcome.events[1:] if isinstance(event, OrderCancelled)] == [
        SUB,
        ALICE,
    ]


def test_a_sweep_needs_no_session_but_a_key_that_may_trade() -> None:
    venue = two_markets()
    reader = venue.create_key(ALICE, int(Permission.READ))
    sweep = CancelOrders(account=ALICE)

    assert refusal(venue.sessionless(sweep, KeyId(99))) == Reject.UNKNOWN_KEY
    assert refusal(venue.sessionless(sweep, reader)) == Reject.NOT_PERMITTED
    assert refusal(without_session(venue, BOB, sweep)) == Reject.NOT_PERMITTED
    assert without_session(venue, ALICE, sweep).reply == Swept(request=0, fingerprint=0, count=3)
    assert without_session(venue, ALICE, sweep).reply == Swept(request=0, fingerprint=0, count=0)


def test_below_version_two_nothing_of_this_can_be_read() -> None:
    venue = market()

    for command in (CancelOrders(account=ALICE), ArmCountdown(account=ALICE, countdown_ns=1)):
        assert refusal(venue.ask(ALICE, command)) == Reject.MALFORMED


def test_an_unknown_instrument_cannot_be_swept() -> None:
    venue = complete()

    assert (
        refusal(venue.ask(ALICE, CancelOrders(account=ALICE, instrument=ETH_USD)))
        == Reject.UNKNOWN_INSTRUMENT
    )
    armed = ArmCountdown(account=ALICE, countdown_ns=5, instrument=ETH_USD)
    assert refusal(venue.ask(ALICE, armed)) == Reject.UNKNOWN_INSTRUMENT


def test_a_late_sweep_is_refused() -> None:
    venue = complete()

    assert refusal(venue.ask(ALICE, CancelOrders(account=ALICE), not_after_ns=1)) == Reject.TOO_LATE


def test_a_frozen_account_may_sweep_and_arm() -> None:
    venue = two_markets()
    venue.accepted(SetFrozen(account=ALICE, frozen=True))

    assert isinstance(venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=5)).reply, Accepted)
    assert isinstance(venue.ask(ALICE, CancelOrders(account=ALICE)).reply, Swept)


@pytest.mark.parametrize("countdown_ns", [-1, COUNTDOWN_NS_MAX + 1])
def test_a_countdown_has_bounds(countdown_ns: int) -> None:
    venue = complete()

    assert (
        refusal(venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=countdown_ns))) == Reject.MALFORMED
    )
    armed = ArmCountdown(account=ALICE, countdown_ns=COUNTDOWN_NS_MAX)
    assert isinstance(venue.ask(ALICE, armed).reply, Accepted)


def test_a_countdown_fires_when_its_time_has_come_and_then_no_more() -> None:
    venue = two_markets()

    armed = venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=2 * STEP_NS))
    due_ns = venue.exchange.time_ns + 2 * STEP_NS

    assert armed.events == [CountdownArmed(account=ALICE, instrument=InstrumentId(0), due_ns=due_ns)]
    assert venue.exchange.next_due_ns() == due_ns
    assert venue.tick(2 * STEP_NS - 1) == []
    happened = venue.tick(1)
    assert happened[0] == CountdownFired(account=ALICE, instrument=InstrumentId(0))
    assert [(event.number, event.reason) for event in happened[1:] if isinstance(event, OrderExpired)] == [
        (number, Reject.COUNTDOWN) for number in (1, 2, 3)
    ]
    assert resting(venue) == []
    assert resting(venue, BOB) == [1]
    assert venue.exchange.next_due_ns() is None
    assert venue.tick(COUNTDOWN_NS_MAX) == []


def test_a_countdown_fires_before_the_commands_of_its_entry() -> None:
    venue = two_markets()
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=STEP_NS))

    entry = Entry(
        venue.exchange.state.version,
        venue.exchange.time_ns + STEP_NS,
        [venue.request(ALICE, CancelOrders(account=ALICE))],
    )
    applied, _ = venue.exchange.apply_bytes(venue.exchange.applied_index + 1, wire.encode_entry(entry))

    assert isinstance(applied, AppliedWithDue)
    assert kinds(applied.due) == ["CountdownFired", *["OrderExpired"] * 3]
    assert applied.outcomes[0].events == [OrdersSwept(account=ALICE, count=0)]


def test_a_countdown_of_one_instrument_leaves_the_others_alone() -> None:
    venue = two_markets()
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=STEP_NS, instrument=BTC_USD))

    venue.tick()

    assert resting(venue) == [3]


def test_arming_again_moves_the_time_and_zero_disarms() -> None:
    venue = two_markets()
    for _ in range(5):
        venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=2 * STEP_NS))
    assert resting(venue) == [1, 2, 3]

    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=50 * STEP_NS))
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=10 * STEP_NS))
    disarmed = venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=0))

    assert disarmed.events == [CountdownArmed(account=ALICE, instrument=InstrumentId(0), due_ns=0)]
    assert venue.tick(100 * STEP_NS) == []
    assert resting(venue) == [1, 2, 3]


def test_arming_a_shorter_one_fires_earlier() -> None:
    venue = two_markets()
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=50 * STEP_NS))
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=5 * STEP_NS))

    assert venue.tick(5 * STEP_NS) != []
    assert venue.tick(50 * STEP_NS) == []


def test_a_restored_member_fires_the_same_countdown() -> None:
    venue = two_markets()
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=5 * STEP_NS))
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=3 * STEP_NS))
    restored = snapshot.load(snapshot.dump(venue.exchange))

    entry = Entry(venue.exchange.state.version, venue.exchange.time_ns + 20 * STEP_NS, [])
    index = venue.exchange.applied_index + 1

    assert restored.apply(index, entry) == venue.exchange.apply(index, entry)
    assert restored.digest == venue.exchange.digest


@pytest.mark.parametrize("shrink_ns", [0, 2])
def test_arming_for_a_day_fills_no_memory(shrink_ns: int) -> None:
    venue = complete()
    key = venue.keys[ALICE]
    countdown_ns = 10**9
    for _ in range(1000):
        countdown_ns -= shrink_ns
        armed = Request(NO_SESSION, 0, 0, key, 0, 0, ArmCountdown(account=ALICE, countdown_ns=countdown_ns))
        entry = Entry(venue.exchange.state.version, venue.exchange.time_ns + 1, [armed])
        venue.exchange.apply(venue.exchange.applied_index + 1, entry)

    assert len(venue.exchange.state.timers.urgent) <= 2 * 2 + 64 + 1
    assert len(venue.exchange.state.countdowns) == 1
    venue.exchange.check_invariants()
