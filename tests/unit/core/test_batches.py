"""An order in place of another, and batches: each leg for itself, or all or none."""

from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.builders import ALICE, BOB, BTC_USD, CAROL, USD, Venue, buy, complete, kinds, refusal, sell

from steelyard.core import Reject
from steelyard.core.commands import (
    AmendOrder,
    Batch,
    CancelOrder,
    Leg,
    OrderTerms,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReplaceOrder,
    SetFrozen,
    SetInstrumentRules,
    SetInstrumentState,
    StartAuction,
)
from steelyard.core.entry import Amended, Cancelled, Many, Outcome, Placed, Refused
from steelyard.core.limits import BATCH_MAX, RECENT_ORDERS_MAX
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    BatchMode,
    InstrumentState,
    ListKind,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
    TriggerKind,
)

STOP: Final = TriggerKind.STOP


def on_terms(command: PlaceOrder, account: AccountId = ALICE, **terms: object) -> PlaceOrderOnTerms:
    fields = msgspec.structs.asdict(command) | {"account": account}
    return PlaceOrderOnTerms(**fields, terms=OrderTerms(**terms))  # type: ignore[arg-type]


def cancels(order: int) -> CancelOrder:
    return CancelOrder(account=ALICE, order=OrderId(order))


def amends(order: int, size_lots: int) -> AmendOrder:
    return AmendOrder(account=ALICE, order=OrderId(order), size_lots=size_lots)


def batch(mode: BatchMode, *legs: Leg) -> Batch:
    return Batch(account=ALICE, mode=mode, legs=list(legs))


def each(venue: Venue, *legs: Leg) -> Outcome:
    return venue.ask(ALICE, batch(BatchMode.EACH, *legs))


def all_or_none(venue: Venue, *legs: Leg) -> Outcome:
    return venue.ask(ALICE, batch(BatchMode.ALL_OR_NONE, *legs))


def replaces(venue: Venue, order: int, place: PlaceOrderOnTerms, **flags: bool) -> Outcome:
    return venue.ask(ALICE, ReplaceOrder(cancel=cancels(order), place=place, **flags))


def fault(outcome: Outcome) -> tuple[Reject, int]:
    """Return why a request was refused, and which leg was at fault."""
    assert isinstance(outcome.reply, Refused), outcome
    assert outcome.events == []
    return outcome.reply.reason, outcome.reply.expected


def replies(outcome: Outcome) -> list[str | Reject]:
    assert isinstance(outcome.reply, Many), outcome
    return [leg.reason if isinstance(leg, Refused) else type(leg).__name__ for leg in outcome.reply.legs]


def queue(venue: Venue, side: Side = Side.BUY) -> list[tuple[AccountId, int]]:
    """Return (account, order) of a side of the book, first come first."""
    orders = venue.exchange.state.markets.instruments[BTC_USD].book.orders()
    return [(order.account, order.order) for order in orders if order.side == side]


def quoted(funds_atoms: int = 1_000_000) -> Venue:
    """Return a market in which Alice's order 1 stands between Bob's and Carol's at one price."""
    venue = complete(funds_atoms=funds_atoms)
    venue.place(BOB, buy(1, 5, 100))
    venue.place(ALICE, buy(1, 5, 100))
    venue.place(CAROL, buy(1, 5, 100))
    return venue


# In place of another.


def test_an_order_takes_the_place_of_another_in_one_command() -> None:
    venue = quoted()

    outcome = replaces(venue, 1, on_terms(buy(2, 5, 101)))

    assert replies(outcome) == ["Cancelled", "Placed"]
    assert kinds(outcome.events) == ["OrderCancelled", "OrderAccepted", "OrderRested"]
    assert queue(venue) == [(ALICE, 2), (BOB, 1), (CAROL, 1)]


def test_what_the_first_pledges_pays_for_the_second() -> None:
    venue = quoted(funds_atoms=505)

    assert refusal(venue.place(ALICE, buy(2, 5, 101))) == Reject.INSUFFICIENT_FUNDS
    assert replies(replaces(venue, 1, on_terms(buy(2, 5, 101)))) == ["Cancelled", "Placed"]


def test_a_second_that_is_refused_leaves_the_first_in_its_place() -> None:
    venue = quoted(funds_atoms=505)
    before = venue.business()

    assert fault(replaces(venue, 1, on_terms(buy(2, 6, 101)))) == (Reject.INSUFFICIENT_FUNDS, 2)

    assert venue.business() == before
    assert queue(venue) == [(BOB, 1), (ALICE, 1), (CAROL, 1)]
    assert replies(replaces(venue, 1, on_terms(buy(2, 6, 101)), cancel_anyway=True)) == [
        "Cancelled",
        Reject.INSUFFICIENT_FUNDS,
    ]
    assert queue(venue) == [(BOB, 1), (CAROL, 1)]


def test_without_the_first_the_second_is_placed_only_if_asked() -> None:
    venue = quoted()

    assert fault(replaces(venue, 9, on_terms(buy(2, 5, 101)))) == (Reject.UNKNOWN_ORDER, 1)
    placed = replaces(venue, 9, on_terms(buy(2, 5, 101)), place_anyway=True)
    assert replies(placed) == [Reject.UNKNOWN_ORDER, "Placed"]


def test_both_may_be_refused() -> None:
    venue = quoted()
    place = on_terms(buy(2, 0, 101))

    outcome = replaces(venue, 9, place, place_anyway=True, cancel_anyway=True)

    assert replies(outcome) == [Reject.UNKNOWN_ORDER, Reject.SIZE_OUT_OF_RANGE]
    assert outcome.events == []
    assert fault(replaces(venue, 9, place, place_anyway=True)) == (Reject.SIZE_OUT_OF_RANGE, 2)


def test_the_id_of_the_first_cannot_be_that_of_the_second() -> None:
    venue = quoted()
    before = venue.business()

    assert fault(replaces(venue, 1, on_terms(buy(1, 5, 101)))) == (Reject.DUPLICATE_ORDER, 2)
    assert venue.business() == before


def test_two_accounts_replace_nothing() -> None:
    venue = quoted()
    command = ReplaceOrder(cancel=cancels(1), place=on_terms(buy(2, 5, 101), BOB))

    assert fault(venue.ask(ALICE, command)) == (Reject.MALFORMED, 0)
    assert fault(venue.ask(BOB, msgspec.structs.replace(command, place=on_terms(buy(2, 5, 101))))) == (
        Reject.NOT_PERMITTED,
        0,
    )


def test_a_frozen_account_may_cancel_by_replacing() -> None:
    venue = quoted()
    venue.accepted(SetFrozen(account=ALICE, frozen=True))

    assert fault(replaces(venue, 1, on_terms(buy(2, 5, 101)))) == (Reject.ACCOUNT_FROZEN, 2)
    outcome = replaces(venue, 1, on_terms(buy(2, 5, 101)), cancel_anyway=True)
    assert replies(outcome) == ["Cancelled", Reject.ACCOUNT_FROZEN]


def test_a_forgotten_id_is_remembered_again_when_the_second_is_refused() -> None:
    venue = quoted()
    for order in range(100, 100 + RECENT_ORDERS_MAX):
        venue.place(ALICE, buy(order, 1, 99))
        venue.cancel(ALICE, order)
    before = venue.business()

    assert fault(replaces(venue, 1, on_terms(buy(2, 0, 100)))) == (Reject.SIZE_OUT_OF_RANGE, 2)

    assert venue.business() == before
    assert refusal(venue.place(ALICE, buy(100, 1, 99))) == Reject.DUPLICATE_ORDER


# Each for itself.


def test_each_leg_stands_for_itself() -> None:
    venue = quoted()

    outcome = each(
        venue,
        on_terms(buy(2, 5, 101)),
        buy(3, 5, 0),
        amends(1, 4),
        cancels(7),
        cancels(1),
        sell(4, 5, 101),
    )

    assert replies(outcome) == [
        "Placed",
        Reject.PRICE_OUT_OF_RANGE,
        "Amended",
        Reject.UNKNOWN_ORDER,
        "Cancelled",
        "Placed",
    ]
    assert isinstance(outcome.reply, Many)
    assert all(leg.request == outcome.reply.request for leg in outcome.reply.legs)
    assert queue(venue) == [(BOB, 1), (CAROL, 1)]


def test_a_batch_whose_legs_are_all_refused_is_no_refusal() -> None:
    outcome = each(complete(), cancels(1), cancels(2))

    assert replies(outcome) == [Reject.UNKNOWN_ORDER] * 2
    assert outcome.events == []


@pytest.mark.parametrize("mode", BatchMode)
def test_a_batch_that_cannot_be_is_refused_as_a_whole(mode: BatchMode) -> None:
    venue = quoted()
    other = CancelOrder(account=BOB, order=OrderId(1))

    assert fault(venue.ask(ALICE, batch(mode))) == (Reject.MALFORMED, 0)
    assert fault(venue.ask(ALICE, batch(mode, cancels(1), other))) == (Reject.MALFORMED, 0)
    too_many = [cancels(order) for order in range(1, BATCH_MAX + 2)]
    assert fault(venue.ask(ALICE, batch(mode, *too_many))) == (Reject.TOO_MANY_LEGS, BATCH_MAX)
    assert fault(venue.ask(BOB, batch(mode, cancels(1)))) == (Reject.NOT_PERMITTED, 0)
    assert fault(venue.ask(ALICE, batch(mode, cancels(1)), not_after_ns=1)) == (Reject.TOO_LATE, 0)
    assert len(replies(venue.ask(ALICE, batch(BatchMode.EACH, *too_many[1:])))) == BATCH_MAX


# All or none.


@pytest.mark.parametrize(
    "leg",
    [
        buy(2, 5, 90, TimeInForce.IOC),
        buy(2, 5, 90, TimeInForce.FOK),
        msgspec.structs.replace(buy(2, 5, 0, TimeInForce.IOC), kind=OrderKind.MARKET),
        on_terms(buy(2, 5, 120), trigger=STOP, trigger_ticks=110),
        AmendOrder(account=ALICE, order=OrderId(1)),
        AmendOrder(account=ALICE, order=OrderId(1), size_lots=4, limit_ticks=100),
        AmendOrder(account=ALICE, order=OrderId(1), size_lots=4, new_label="x"),
        AmendOrder(account=ALICE, order=OrderId(1), size_lots=4, expires_ns=-1),
    ],
)
def test_what_might_trade_cannot_be_one_of_all(leg: Leg) -> None:
    assert fault(all_or_none(quoted(), cancels(1), leg)) == (Reject.MALFORMED, 0)


def test_cancels_and_amends_act_before_orders() -> None:
    venue = complete(funds_atoms=1000)
    venue.place(ALICE, buy(1, 5, 100))
    venue.place(ALICE, buy(2, 5, 100))

    outcome = all_or_none(venue, buy(3, 6, 101), cancels(1), amends(2, 3))

    assert replies(outcome) == ["Placed", "Cancelled", "Amended"]
    assert kinds(outcome.events) == ["OrderCancelled", "OrderReduced", "OrderAccepted", "OrderRested"]
    assert venue.free_atoms(ALICE, USD) == 1000 - 300 - 606


@pytest.mark.parametrize(
    ("legs", "reason", "place"),
    [
        ([cancels(1), cancels(1)], Reject.UNKNOWN_ORDER, 2),
        ([amends(1, 4), cancels(1)], Reject.UNKNOWN_ORDER, 1),
        ([amends(1, 3), amends(1, 4)], Reject.SIZE_OUT_OF_RANGE, 2),
        ([amends(1, 5)], Reject.SIZE_OUT_OF_RANGE, 1),
        ([amends(1, -1)], Reject.MALFORMED, 1),
        ([buy(2, 1, 99), buy(2, 1, 98)], Reject.DUPLICATE_ORDER, 2),
        ([buy(2, 1, 99, label="a"), buy(3, 1, 98, label="a")], Reject.DUPLICATE_LABEL, 2),
        ([buy(2, 1, 99), buy(3, 0, 99), cancels(1)], Reject.SIZE_OUT_OF_RANGE, 2),
        ([buy(2, 1, 105), sell(3, 1, 105)], Reject.POST_ONLY_WOULD_TRADE, 2),
        ([buy(2, 1, 105), sell(3, 1, 105, post_only=True)], Reject.POST_ONLY_WOULD_TRADE, 2),
        ([cancels(1), sell(2, 1, 100)], Reject.POST_ONLY_WOULD_TRADE, 2),
        ([buy(2, 5000, 99), buy(3, 6000, 99)], Reject.INSUFFICIENT_FUNDS, 2),
        ([cancels(1), buy(1, 5, 100)], Reject.DUPLICATE_ORDER, 2),
    ],
)
def test_one_fault_names_its_leg_and_nothing_has_happened(
    legs: list[Leg], reason: Reject, place: int
) -> None:
    venue = quoted()
    before = venue.business()

    legs = [msgspec.structs.replace(leg, account=ALICE) for leg in legs]
    assert fault(all_or_none(venue, *legs)) == (reason, place)

    assert venue.business() == before
    assert queue(venue) == [(BOB, 1), (ALICE, 1), (CAROL, 1)]


@pytest.mark.parametrize("order", [11, 12, 16, 17, 18, 19])
def test_an_amend_of_what_waits_or_depends_cannot_be_one_of_all(order: int) -> None:
    assert fault(all_or_none(with_waiting(), cancels(1), amends(order, 1))) == (Reject.MALFORMED, 2)


def test_in_an_auction_all_or_none_may_cross() -> None:
    venue = quoted()
    venue.move(InstrumentState.CANCEL_ONLY)
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=10**9))

    assert replies(all_or_none(venue, sell(2, 1, 90), buy(3, 1, 110))) == ["Placed", "Placed"]


def test_the_bound_of_open_orders_counts_the_legs_before() -> None:
    venue = quoted()
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, orders_max=2))
    before = venue.business()

    assert fault(all_or_none(venue, buy(2, 1, 99), buy(3, 1, 99))) == (Reject.TOO_MANY_ORDERS, 2)
    assert venue.business() == before
    assert replies(all_or_none(venue, buy(2, 1, 99), buy(3, 1, 99), cancels(1)))[:2] == ["Placed"] * 2


def with_waiting() -> Venue:
    """Return a market with one of each kind of order that waits, of Alice's, and a last price of 100."""
    venue = quoted()
    venue.place(CAROL, sell(9, 1, 100))
    venue.ask(ALICE, on_terms(buy(11, 2, 120), trigger=STOP, trigger_ticks=110))
    venue.ask(ALICE, on_terms(sell(12, 2, 80), trigger=STOP, callback_ppm=100_000))
    venue.ask(ALICE, on_terms(sell(13, 2, 80), trigger=STOP, callback_ppm=100_000))
    venue.ask(ALICE, on_terms(sell(14, 2, 80), trigger=STOP, trigger_ticks=90, callback_ppm=100_000))
    venue.ask(ALICE, on_terms(buy(15, 9, 97), display_lots=2, expires_ns=10**12))
    legs = [on_terms(sell(16, 3, 130)), on_terms(sell(17, 3, 70), trigger=STOP, trigger_ticks=75)]
    venue.ask(ALICE, PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OCO, legs=legs))
    legs = [
        on_terms(buy(18, 3, 96)),
        on_terms(sell(19, 3, 140)),
        on_terms(sell(20, 3, 60), trigger=STOP, trigger_ticks=65),
    ]
    venue.ask(ALICE, PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=ListKind.OTOCO, legs=legs))
    assert sorted(venue.exchange.state.accounts[ALICE].orders) == [1, *range(11, 21)]
    return venue


@pytest.mark.parametrize("order", [1, *range(11, 21)])
def test_whatever_is_replaced_in_vain_stands_where_it_stood(order: int) -> None:
    venue, untouched = with_waiting(), with_waiting()

    for _ in range(3):
        before = venue.business()
        assert fault(replaces(venue, order, on_terms(buy(99, 0, 100)))) == (Reject.SIZE_OUT_OF_RANGE, 2)
        assert venue.business() == before
        each(untouched, cancels(99))

    # Nor does anything hidden differ: what follows is the same.
    for price_ticks in (111, 104, 92, 85, 74, 64):
        for other in (venue, untouched):
            number = other.exchange.state.last_number + 1000
            other.place(BOB, sell(number, 99, price_ticks, TimeInForce.IOC))
            other.place(BOB, buy(number + 1, 99, price_ticks, TimeInForce.IOC))
            other.place(BOB, sell(number + 2, 1, price_ticks))
            other.place(CAROL, buy(number + 2, 1, price_ticks))
            assert other.exchange.state.markets.instruments[BTC_USD].last_ticks == price_ticks
        assert venue.business() == untouched.business()


LEGS = st.one_of(
    st.builds(cancels, st.integers(1, 24)),
    st.builds(amends, st.integers(1, 24), st.integers(-1, 9)),
    st.builds(buy, st.integers(21, 26), st.integers(0, 9), st.integers(90, 131)),
    st.builds(sell, st.integers(21, 26), st.integers(0, 9), st.integers(90, 131)),
)


@settings(max_examples=150)
@given(st.lists(st.lists(LEGS, min_size=1, max_size=6), max_size=8))
def test_a_batch_of_all_or_none_does_one_or_the_other(batches: list[list[Leg]]) -> None:
    venue = with_waiting()
    for legs in batches:
        before = venue.business()
        outcome = all_or_none(venue, *(msgspec.structs.replace(leg, account=ALICE) for leg in legs))
        if isinstance(outcome.reply, Refused):
            assert outcome.events == []
            assert venue.business() == before
        else:
            assert isinstance(outcome.reply, Many)
            assert all(isinstance(reply, Placed | Cancelled | Amended) for reply in outcome.reply.legs)
            assert "Traded" not in kinds(outcome.events)


def test_a_triggered_order_that_is_replaced_in_vain_keeps_its_turn() -> None:
    venue = quoted()
    venue.place(CAROL, sell(9, 1, 100))
    for order in (11, 12, 13):
        venue.ask(ALICE, on_terms(buy(order, 2, 120), trigger=STOP, trigger_ticks=110))
    venue.place(CAROL, sell(10, 1, 110))
    venue.send(
        venue.request(BOB, msgspec.structs.replace(buy(10, 1, 110), account=BOB)),
        venue.request(OPERATOR, SetInstrumentState(instrument=BTC_USD, state=InstrumentState.HALTED)),
    )
    before = venue.business()
    turns = list(venue.exchange.state.work)
    assert len(turns) == 3

    for order in (12, 11, 13):
        assert fault(replaces(venue, order, on_terms(buy(99, 1, 100)))) == (Reject.INSTRUMENT_STATE, 2)

        assert list(venue.exchange.state.work) == turns
        assert venue.business() == before
