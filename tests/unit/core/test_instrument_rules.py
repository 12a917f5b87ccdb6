"""An instrument's rules, marks, announced moves and closing, and halts of its trading."""

from typing import Final

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC_USD,
    STEP_NS,
    Venue,
    buy,
    complete,
    kinds,
    refusal,
    sell,
)

from steelyard.core import Reject
from steelyard.core.commands import (
    ScheduleState,
    SetInstrumentRules,
    SetInstrumentState,
    SetMark,
    StartAuction,
)
from steelyard.core.entry import Placed
from steelyard.core.events import (
    AnyEvent,
    AuctionEnded,
    InstrumentRulesSet,
    InstrumentStateChanged,
    MarkSet,
    OrderExpired,
    StateScheduled,
    Traded,
    TradingHalted,
)
from steelyard.core.instruments import Instrument
from steelyard.core.limits import BAND_PPM_MAX, INTEGER_MAX, PAUSE_NS_MAX
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    InstrumentId,
    InstrumentState,
    OrderId,
    Permission,
)

PRE_OPEN, POST_ONLY, OPEN, CANCEL_ONLY, HALTED, CLOSED, AUCTION = InstrumentState

#: Ten per cent within sixty steps halts for twenty steps; the auction takes thirty.
HALTS: Final = SetInstrumentRules(
    instrument=BTC_USD,
    halt_ppm=100_000,
    halt_window_ns=60 * STEP_NS,
    halt_ns=20 * STEP_NS,
    auction_ns=30 * STEP_NS,
)


def instrument(venue: Venue) -> Instrument:
    return venue.exchange.state.markets.instruments[BTC_USD]


def trades(events: list[AnyEvent]) -> list[tuple[AccountId, AccountId, int, int]]:
    """Return (maker, taker, price, lots) of each trade."""
    return [
        (event.maker, event.taker, event.price_ticks, event.size_lots)
        for event in events
        if isinstance(event, Traded)
    ]


# Rules.


@pytest.mark.parametrize(
    "fields",
    [
        {"price_step_ticks": 0},
        {"size_step_lots": 0},
        {"size_min_lots": 0},
        {"size_min_lots": INTEGER_MAX + 1},
        {"notional_max_atoms": -1},
        {"orders_max": -1},
        {"buy_down_ppm": 900_000, "buy_up_ppm": 800_000},
        {"sell_up_ppm": BAND_PPM_MAX + 1},
        {"execution_down_ppm": -1},
        {"halt_ppm": 1},
        {"halt_window_ns": 1},
        {"halt_ppm": 1, "halt_window_ns": 1, "halt_ns": 1},
        {"halt_ppm": 1, "halt_window_ns": 1, "halt_ns": 1, "auction_ns": PAUSE_NS_MAX + 1},
        {"halt_ppm": -1, "halt_window_ns": 1, "halt_ns": 1, "auction_ns": 1},
    ],
)
def test_rules_that_make_no_sense_together_are_refused(fields: dict[str, int]) -> None:
    rules = SetInstrumentRules(instrument=BTC_USD, **fields)  # type: ignore[arg-type]

    assert refusal(complete().operate(rules)) == Reject.MALFORMED


def test_rules_act_at_once_and_saying_nothing_takes_them_away() -> None:
    venue = complete()
    rules = SetInstrumentRules(instrument=BTC_USD, price_step_ticks=5)

    assert venue.operate(rules).events == [InstrumentRulesSet(rules=rules)]
    assert refusal(venue.place(ALICE, buy(1, 1, 102))) == Reject.PRICE_OFF_STEP
    venue.accepted(SetInstrumentRules(instrument=BTC_USD))

    assert instrument(venue).rules is None
    assert isinstance(venue.place(ALICE, buy(1, 1, 102)).reply, Placed)


def test_a_bound_of_open_orders_counts_those_that_were_there() -> None:
    venue = complete()
    venue.place(ALICE, buy(1, 1, 100))
    venue.place(ALICE, buy(2, 1, 100))
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, orders_max=3))

    assert isinstance(venue.place(ALICE, buy(3, 1, 100)).reply, Placed)
    assert refusal(venue.place(ALICE, buy(4, 1, 100))) == Reject.TOO_MANY_ORDERS
    venue.cancel(ALICE, 1)
    assert isinstance(venue.place(ALICE, buy(4, 1, 100)).reply, Placed)


def test_only_an_operator_sets_rules_schedules_and_auctions() -> None:
    venue = complete()

    for command in (
        SetInstrumentRules(instrument=BTC_USD),
        ScheduleState(instrument=BTC_USD, state=HALTED, at_ns=10**9),
        StartAuction(instrument=BTC_USD, auction_ns=5),
    ):
        assert refusal(venue.ask(ALICE, command)) == Reject.NOT_PERMITTED
        unknown = msgspec.structs.replace(command, instrument=InstrumentId(9))
        assert refusal(venue.operate(unknown)) == Reject.UNKNOWN_INSTRUMENT
        assert refusal(venue.ask(OPERATOR, command, not_after_ns=1)) == Reject.TOO_LATE


# Marks.


def fed() -> Venue:
    """Return a market whose operator's session is used with a key that may set marks."""
    venue = complete()
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.FEED | Permission.OPERATE))
    return venue


def test_a_mark_is_set_by_a_key_that_feeds() -> None:
    venue = fed()

    assert venue.operate(SetMark(instrument=BTC_USD, mark_ticks=100)).events == [
        MarkSet(instrument=BTC_USD, mark_ticks=100)
    ]
    assert instrument(venue).mark_ticks == 100
    assert refusal(venue.ask(ALICE, SetMark(instrument=BTC_USD, mark_ticks=1))) == Reject.NOT_PERMITTED
    assert refusal(complete().operate(SetMark(instrument=BTC_USD, mark_ticks=1))) == Reject.NOT_PERMITTED


@pytest.mark.parametrize(
    ("mark_ticks", "instrument_id", "reason"),
    [
        (0, BTC_USD, Reject.MALFORMED),
        (-1, BTC_USD, Reject.MALFORMED),
        (100_001, BTC_USD, Reject.PRICE_OUT_OF_RANGE),
        (5, InstrumentId(9), Reject.UNKNOWN_INSTRUMENT),
    ],
)
def test_a_mark_that_cannot_be_is_refused(
    mark_ticks: int, instrument_id: InstrumentId, reason: Reject
) -> None:
    assert refusal(fed().operate(SetMark(instrument=instrument_id, mark_ticks=mark_ticks))) == reason


def test_a_closed_instrument_has_no_mark() -> None:
    venue = fed()
    venue.move(CLOSED)

    assert refusal(venue.operate(SetMark(instrument=BTC_USD, mark_ticks=5))) == Reject.INSTRUMENT_STATE


# Schedules.


def test_a_scheduled_move_is_announced_and_made_when_its_time_comes() -> None:
    venue = complete()
    at_ns = venue.exchange.time_ns + 10 * STEP_NS

    outcome = venue.operate(ScheduleState(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=at_ns))

    assert outcome.events == [StateScheduled(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=at_ns)]
    assert venue.exchange.next_due_ns() == at_ns
    assert venue.tick(9 * STEP_NS - 1) == []
    assert venue.tick(1) == [InstrumentStateChanged(instrument=BTC_USD, before=OPEN, after=CANCEL_ONLY)]
    assert venue.tick(100 * STEP_NS) == []


def test_the_next_schedule_replaces_the_last_one() -> None:
    venue = complete()
    now_ns = venue.exchange.time_ns
    venue.accepted(ScheduleState(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=now_ns + 10 * STEP_NS))
    venue.accepted(ScheduleState(instrument=BTC_USD, state=HALTED, at_ns=now_ns + 20 * STEP_NS))

    assert venue.tick(15 * STEP_NS) == []
    assert venue.tick(15 * STEP_NS) == [InstrumentStateChanged(instrument=BTC_USD, before=OPEN, after=HALTED)]


def test_a_schedule_can_be_taken_back() -> None:
    venue = complete()
    at_ns = venue.exchange.time_ns + 10 * STEP_NS
    venue.accepted(ScheduleState(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=at_ns))

    outcome = venue.operate(ScheduleState(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=0))

    assert outcome.events == [StateScheduled(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=0)]
    assert venue.tick(100 * STEP_NS) == []


def test_a_move_that_is_not_allowed_any_more_is_dropped() -> None:
    venue = complete()
    at_ns = venue.exchange.time_ns + 10 * STEP_NS
    venue.accepted(ScheduleState(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=at_ns))
    venue.move(CLOSED)

    assert venue.tick(100 * STEP_NS) == [StateScheduled(instrument=BTC_USD, state=CANCEL_ONLY, at_ns=0)]
    assert instrument(venue).state == CLOSED


@pytest.mark.parametrize(
    ("to", "at_ns", "reason"),
    [
        (PRE_OPEN, 10**9, Reject.STATE_MOVE),
        (OPEN, 10**9, Reject.STATE_MOVE),
        (AUCTION, 10**9, Reject.STATE_MOVE),
        (HALTED, 1, Reject.EXPIRY_IN_PAST),
        (HALTED, -1, Reject.MALFORMED),
        (HALTED, INTEGER_MAX + 1, Reject.MALFORMED),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(to: InstrumentState, at_ns: int, reason: Reject) -> None:
    assert refusal(complete().operate(ScheduleState(instrument=BTC_USD, state=to, at_ns=at_ns))) == reason


# Closing.


def test_closing_expires_every_order_and_says_why() -> None:
    venue = complete()
    venue.place(ALICE, buy(1, 1, 100))
    venue.place(BOB, sell(1, 1, 110))

    events = venue.operate(SetInstrumentState(instrument=BTC_USD, state=CLOSED)).events

    assert kinds(events) == ["InstrumentStateChanged", "OrderExpired", "OrderExpired"]
    assert [event.reason for event in events if isinstance(event, OrderExpired)] == [
        Reject.INSTRUMENT_CLOSED
    ] * 2


# Halts.


def halting() -> Venue:
    """Return a market with a last price of 100 in a running window, and asks at 105, 110, 111."""
    venue = complete()
    venue.place(ALICE, sell(1, 1, 100))
    venue.place(BOB, buy(1, 1, 100))
    venue.accepted(HALTS)
    for order, price_ticks in ((2, 105), (3, 110), (4, 111)):
        venue.place(ALICE, sell(order, 1, price_ticks))
    return venue


def test_a_taker_that_would_trade_beyond_the_band_halts_the_instrument() -> None:
    venue = halting()

    outcome = venue.place(BOB, buy(2, 5, 120))

    until_ns = venue.exchange.time_ns + 20 * STEP_NS
    assert [price_ticks for *_, price_ticks, _ in trades(outcome.events)] == [105, 110]
    assert outcome.events[-4:] == [
        OrderExpired(
            account=BOB,
            instrument=BTC_USD,
            order=OrderId(2),
            number=outcome.events[0].number,  # type: ignore[union-attr]
            open_lots=3,
            reason=Reject.VOLATILITY_HALT,
        ),
        TradingHalted(instrument=BTC_USD, anchor_ticks=100, price_ticks=111, until_ns=until_ns),
        InstrumentStateChanged(instrument=BTC_USD, before=OPEN, after=HALTED),
        StateScheduled(instrument=BTC_USD, state=AUCTION, at_ns=until_ns),
    ]
    assert refusal(venue.place(BOB, buy(3, 1, 100))) == Reject.INSTRUMENT_STATE


def test_a_halt_is_followed_by_an_auction_and_by_trading() -> None:
    venue = halting()
    venue.place(BOB, buy(2, 5, 120))

    called = venue.tick(20 * STEP_NS)
    until_ns = venue.exchange.time_ns + 30 * STEP_NS
    assert called == [
        InstrumentStateChanged(instrument=BTC_USD, before=HALTED, after=AUCTION),
        StateScheduled(instrument=BTC_USD, state=OPEN, at_ns=until_ns),
    ]
    venue.place(BOB, buy(3, 1, 120))
    ended = venue.tick(30 * STEP_NS)
    assert ended[0] == AuctionEnded(instrument=BTC_USD, price_ticks=111, volume_lots=1, imbalance_lots=0)
    assert instrument(venue).state == OPEN

    # The window after it is anchored at the auction's price.
    venue.place(ALICE, sell(9, 1, 122))
    venue.place(BOB, buy(4, 1, 122))
    assert venue.exchange.state.markets.instruments[BTC_USD].state == OPEN
    venue.place(ALICE, sell(10, 1, 123))
    venue.place(BOB, buy(5, 1, 123))
    assert instrument(venue).state == HALTED


def test_the_anchor_stands_until_its_window_has_passed() -> None:
    venue = halting()
    venue.place(BOB, buy(2, 2, 110))
    assert instrument(venue).anchor_ticks == 100

    venue.tick(58 * STEP_NS)
    venue.place(BOB, buy(3, 1, 111))
    assert instrument(venue).state == HALTED
    again = halting()
    again.place(BOB, buy(2, 2, 110))
    again.tick(59 * STEP_NS)
    again.place(BOB, buy(3, 1, 111))

    assert instrument(again).state == OPEN
    assert instrument(again).anchor_ticks == 110


def test_setting_rules_ends_the_window() -> None:
    venue = halting()
    venue.place(BOB, buy(2, 2, 110))
    venue.accepted(HALTS)

    venue.place(BOB, buy(3, 1, 111))

    assert instrument(venue).state == OPEN
    assert instrument(venue).anchor_ticks == 110


def test_an_order_that_meets_nobody_begins_no_window() -> None:
    venue = halting()

    venue.place(BOB, buy(2, 1, 104))

    assert instrument(venue).anchor_ticks == 0


def test_a_halt_whose_rules_were_taken_away_waits_for_the_operator() -> None:
    venue = halting()
    venue.place(BOB, buy(2, 5, 120))
    venue.accepted(SetInstrumentRules(instrument=BTC_USD))

    assert venue.tick(20 * STEP_NS) == [StateScheduled(instrument=BTC_USD, state=AUCTION, at_ns=0)]
    assert instrument(venue).state == HALTED
