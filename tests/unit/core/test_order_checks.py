"""What an order is refused for, and in which order its faults are looked for."""

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
    READ_TRADE,
    USD,
    Venue,
    buy,
    complete,
    kinds,
    listing,
    on_terms,
    order,
    refusal,
    sell,
)

from steelyard.core import Reject
from steelyard.core.commands import (
    OrderTerms,
    PlaceOrder,
    SetAccountRules,
    SetFrozen,
    SetInstrumentRules,
    SetLegalHold,
    SetMark,
    SetOrderLimit,
)
from steelyard.core.entry import Waiting
from steelyard.core.events import OrderAccepted, OrderTermsSet
from steelyard.core.limits import ICEBERG_SLICES_MAX, INTEGER_MAX, RECENT_ORDERS_MAX
from steelyard.core.units import (
    OPERATOR,
    InstrumentState,
    OrderId,
    OrderKind,
    OrderState,
    Permission,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)

IOC = TimeInForce.IOC
STOP = TriggerKind.STOP
MARKET_BUY = order(Side.BUY, 1, 5, kind=OrderKind.MARKET, time_in_force=IOC)
NO_SIZE = msgspec.structs.replace(MARKET_BUY, size_lots=0)


@pytest.mark.parametrize(
    ("command", "terms"),
    [
        (buy(1, 5, 100), OrderTerms(slide=True)),
        (buy(1, 5, 100, IOC), OrderTerms(expires_ns=10**18)),
        (buy(1, 5, 100), OrderTerms(expires_ns=-1)),
        (buy(1, 5, 100), OrderTerms(expires_ns=INTEGER_MAX + 1)),
        (buy(1, 5, 100), OrderTerms(trigger_ticks=90)),
        (buy(1, 5, 100), OrderTerms(callback_ppm=90)),
        (buy(1, 5, 100), OrderTerms(trigger=STOP)),
        (buy(1, 5, 100), OrderTerms(trigger=STOP, trigger_ticks=-5)),
        (buy(1, 5, 100), OrderTerms(trigger=STOP, callback_ppm=1_000_000)),
        (buy(1, 5, 100), OrderTerms(trigger=STOP, trigger_ticks=110, callback_ppm=-1)),
        (buy(1, 5, 100), OrderTerms(display_lots=5)),
        (buy(1, 5, 100), OrderTerms(display_lots=-1)),
        (buy(1, 5, 100, IOC), OrderTerms(display_lots=2)),
        (buy(1, 5, 100), OrderTerms(budget_atoms=100)),
        (MARKET_BUY, OrderTerms(budget_atoms=100)),
        (NO_SIZE, OrderTerms(budget_atoms=-1)),
        (NO_SIZE, OrderTerms(budget_atoms=100, trigger=STOP, trigger_ticks=110)),
        (msgspec.structs.replace(NO_SIZE, time_in_force=TimeInForce.FOK), OrderTerms(budget_atoms=100)),
        (msgspec.structs.replace(MARKET_BUY, limit_ticks=5), OrderTerms(expires_ns=0)),
    ],
)
def test_terms_that_make_no_sense_are_malformed(command: PlaceOrder, terms: OrderTerms) -> None:
    assert refusal(complete().place(ALICE, on_terms(command, terms))) == Reject.MALFORMED


def ruled(**rules: int) -> Venue:
    """Return a market with some rules."""
    venue = complete()
    common = SetInstrumentRules(instrument=BTC_USD)
    venue.accepted(msgspec.structs.replace(common, **rules))
    return venue


@pytest.mark.parametrize(
    ("rules", "command", "fault"),
    [
        ({"price_step_ticks": 5}, buy(1, 5, 101), Reject.PRICE_OFF_STEP),
        ({"size_min_lots": 6}, buy(1, 5, 100), Reject.SIZE_OUT_OF_RANGE),
        ({"size_step_lots": 2}, buy(1, 5, 100), Reject.SIZE_OFF_STEP),
        ({"size_step_lots": 2}, on_terms(buy(1, 6, 100), OrderTerms(display_lots=3)), Reject.SIZE_OFF_STEP),
        ({"notional_max_atoms": 499}, buy(1, 5, 100), Reject.NOTIONAL_OUT_OF_RANGE),
        ({}, on_terms(NO_SIZE, OrderTerms(budget_atoms=10**7)), Reject.INSUFFICIENT_FUNDS),
        (
            {"notional_max_atoms": 9},
            on_terms(NO_SIZE, OrderTerms(budget_atoms=10)),
            Reject.NOTIONAL_OUT_OF_RANGE,
        ),
        ({}, on_terms(buy(1, 5, 100), OrderTerms(expires_ns=1)), Reject.EXPIRY_IN_PAST),
        (
            {},
            on_terms(buy(1, 5, 100), OrderTerms(trigger=STOP, trigger_ticks=100_001)),
            Reject.TRIGGER_OUT_OF_RANGE,
        ),
        ({}, on_terms(buy(1, 5, 100), OrderTerms(trigger=STOP, callback_ppm=9)), Reject.NO_REFERENCE_PRICE),
        (
            {},
            on_terms(sell(1, ICEBERG_SLICES_MAX + 1, 100), OrderTerms(display_lots=1)),
            Reject.SIZE_OUT_OF_RANGE,
        ),
        # Two faults: the first is named.
        ({"price_step_ticks": 5, "size_min_lots": 6}, buy(1, 5, 101), Reject.PRICE_OFF_STEP),
        ({"size_min_lots": 6}, buy(1, 5, 10**9), Reject.PRICE_OUT_OF_RANGE),
        ({"size_min_lots": 6}, on_terms(buy(1, 5, 100), OrderTerms(expires_ns=1)), Reject.SIZE_OUT_OF_RANGE),
    ],
)
def test_numbers_are_judged_in_their_order(rules: dict[str, int], command: PlaceOrder, fault: Reject) -> None:
    assert refusal(ruled(**rules).place(ALICE, command)) == fault


def test_what_lies_on_the_steps_and_within_the_bounds_is_taken() -> None:
    venue = ruled(price_step_ticks=5, size_step_lots=2, size_min_lots=6, notional_max_atoms=600)

    outcome = venue.place(ALICE, on_terms(buy(1, 6, 100), OrderTerms(display_lots=2)))

    assert kinds(outcome.events) == ["OrderAccepted", "OrderTermsSet", "OrderRested"]


def test_orders_are_counted_of_an_account_and_of_an_account_in_an_instrument() -> None:
    venue = ruled(orders_max=2)
    venue.accepted(SetAccountRules(account=BOB, trade_group=0, permissions=READ_TRADE, orders_max=1))

    for account, bound in ((ALICE, 2), (BOB, 1)):
        for number in range(1, bound + 1):
            assert kinds(venue.place(account, sell(number, 1, 100)).events)[-1] == "OrderRested"
        assert refusal(venue.place(account, sell(9, 1, 100))) == Reject.TOO_MANY_ORDERS
        venue.cancel(account, 1)
        assert kinds(venue.place(account, sell(9, 1, 100)).events)[-1] == "OrderRested"


@pytest.mark.parametrize(
    ("limit", "fault"),
    [
        ({"size_max_lots": 4}, Reject.SIZE_OUT_OF_RANGE),
        ({"notional_max_atoms": 499}, Reject.NOTIONAL_OUT_OF_RANGE),
    ],
)
def test_an_account_has_limits_of_its_own(limit: dict[str, int], fault: Reject) -> None:
    venue = complete()
    venue.accepted(SetOrderLimit(account=ALICE, instrument=BTC_USD, **limit))

    assert refusal(venue.place(ALICE, buy(1, 5, 100))) == fault
    assert kinds(venue.place(ALICE, buy(1, 4, 100)).events)[-1] == "OrderRested"
    assert kinds(venue.place(BOB, buy(1, 5, 100)).events)[-1] == "OrderRested"


def test_a_stopped_account_is_told_so_before_anything_about_its_order() -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 5, 100))
    venue.accepted(SetFrozen(account=ALICE, frozen=True))
    assert refusal(venue.place(ALICE, sell(1, 0, 0))) == Reject.ACCOUNT_FROZEN

    venue.accepted(SetLegalHold(account=ALICE, on=True))
    assert refusal(venue.place(ALICE, sell(1, 0, 0))) == Reject.LEGAL_HOLD
    assert kinds(venue.cancel(ALICE, 1).events) == ["OrderCancelled"]


def test_the_last_closed_ids_may_not_come_again_and_older_ones_may() -> None:
    venue = complete()
    for number in range(1, RECENT_ORDERS_MAX + 2):
        venue.place(ALICE, sell(number, 1, 100))
        venue.cancel(ALICE, number)

    assert refusal(venue.place(ALICE, sell(2, 1, 100))) == Reject.DUPLICATE_ORDER
    assert kinds(venue.place(ALICE, sell(1, 1, 100)).events)[-1] == "OrderRested"


def test_orders_that_never_rested_are_closed_ones_too() -> None:
    venue = complete()
    venue.place(ALICE, sell(1, 1, 100))
    venue.place(BOB, buy(1, 1, 100, IOC))

    assert refusal(venue.place(ALICE, sell(1, 1, 100))) == Reject.DUPLICATE_ORDER
    assert refusal(venue.place(BOB, buy(1, 1, 100, IOC))) == Reject.DUPLICATE_ORDER


@pytest.mark.parametrize(
    ("step_ticks", "best", "command", "ticks"),
    [
        (1, sell(1, 1, 105), buy(1, 1, 110, post_only=True), 104),
        (5, sell(1, 1, 105), buy(1, 1, 110, post_only=True), 100),
        (1, buy(1, 1, 105), sell(1, 1, 90, post_only=True), 106),
        (5, buy(1, 1, 105), sell(1, 1, 90, post_only=True), 110),
        (1, sell(1, 1, 105), buy(1, 1, 104, post_only=True), 104),
    ],
)
def test_a_post_only_order_slides_behind_the_best_price(
    step_ticks: int, best: PlaceOrder, command: PlaceOrder, ticks: int
) -> None:
    venue = complete()
    venue.place(BOB, best)
    if step_ticks > 1:
        venue.accepted(SetInstrumentRules(instrument=BTC_USD, price_step_ticks=step_ticks))
        venue.place(BOB, msgspec.structs.replace(best, order=OrderId(2)))

    plain = venue.place(ALICE, msgspec.structs.replace(command, order=OrderId(7)))
    slid = venue.place(ALICE, on_terms(command, OrderTerms(slide=True)))

    assert isinstance(slid.events[0], OrderAccepted)
    assert slid.events[0].limit_ticks == ticks
    assert kinds(slid.events)[-1] == "OrderRested"
    if command.limit_ticks != ticks:
        assert refusal(plain) == Reject.POST_ONLY_WOULD_TRADE


def test_nobody_slides_below_one_tick() -> None:
    venue = complete()
    venue.place(BOB, sell(1, 1, 1))

    outcome = venue.place(ALICE, on_terms(buy(1, 1, 1, post_only=True), OrderTerms(slide=True)))

    assert refusal(outcome) == Reject.POST_ONLY_WOULD_TRADE


def test_a_trigger_that_is_met_is_refused_and_one_that_is_not_waits_with_its_pledge() -> None:
    venue = complete()
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.FEED | Permission.OPERATE))
    venue.accepted(SetMark(instrument=BTC_USD, mark_ticks=100))
    by_mark = OrderTerms(trigger=STOP, trigger_source=PriceSource.MARK, trigger_ticks=100)

    met = venue.place(ALICE, on_terms(buy(1, 5, 120), by_mark))
    waits = venue.place(ALICE, on_terms(buy(1, 5, 120), msgspec.structs.replace(by_mark, trigger_ticks=101)))

    assert refusal(met) == Reject.TRIGGER_ALREADY_MET
    assert isinstance(waits.reply, Waiting)
    assert kinds(waits.events) == ["OrderAccepted", "OrderTermsSet"]
    assert isinstance(waits.events[1], OrderTermsSet)
    assert waits.events[1].state == OrderState.WAITING
    assert venue.held_atoms(ALICE, USD) == 600


@pytest.mark.parametrize(
    ("state", "command", "taken"),
    [
        (InstrumentState.POST_ONLY, buy(1, 1, 90), False),
        (InstrumentState.POST_ONLY, buy(1, 1, 90, post_only=True), True),
        (
            InstrumentState.POST_ONLY,
            on_terms(buy(1, 1, 120), OrderTerms(trigger=STOP, trigger_ticks=110)),
            True,
        ),
        (InstrumentState.CANCEL_ONLY, buy(1, 1, 90, post_only=True), False),
        (InstrumentState.HALTED, buy(1, 1, 90), False),
    ],
)
def test_an_instruments_state_takes_some_orders_only(
    state: InstrumentState, command: PlaceOrder, taken: bool
) -> None:
    venue = complete()
    venue.move(state)

    outcome = venue.place(ALICE, command)

    assert (outcome.events != []) == taken
    assert taken or refusal(outcome) == Reject.INSTRUMENT_STATE


def test_a_refused_order_of_any_kind_changes_nothing() -> None:
    venue = complete(listing(notional_min_atoms=1000), funds_atoms=0)
    venue.deposit(BOB, BTC, 5)
    venue.place(BOB, sell(1, 1, 1000))
    before = venue.business()

    for command in (
        on_terms(NO_SIZE, OrderTerms(budget_atoms=1000)),
        on_terms(buy(1, 5, 1000), OrderTerms(expires_ns=10**18)),
        on_terms(sell(1, 5, 1000), OrderTerms(display_lots=1)),
        on_terms(buy(1, 1, 999), OrderTerms(trigger=STOP, trigger_ticks=2000)),
    ):
        refusal(venue.place(CAROL, command))

    assert venue.business() == before
