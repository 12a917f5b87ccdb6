"""The taker phase of uncommon orders: budgets, icebergs, bands, makers whose time has come."""

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
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
from steelyard.core.commands import OrderTerms, PlaceOrder, SetInstrumentRules
from steelyard.core.entry import Outcome, Placed
from steelyard.core.events import AnyEvent, OrderExpired, OrderReplenished, OrderRested, Traded
from steelyard.core.limits import WORK_PER_ENTRY_MAX
from steelyard.core.queries import Book, GetBook
from steelyard.core.units import AccountId, OrderKind, Side, TimeInForce

FUNDS = 10**9


def by_budget(side: Side, number: int, budget_atoms: int) -> PlaceOrder:
    command = order(side, number, 0, kind=OrderKind.MARKET, time_in_force=TimeInForce.IOC)
    return on_terms(command, OrderTerms(budget_atoms=budget_atoms))


def placed(outcome: Outcome) -> Placed:
    assert isinstance(outcome.reply, Placed), outcome
    return outcome.reply


def trades(events: list[AnyEvent]) -> list[tuple[int, int, int]]:
    """Return (maker's order, price in ticks, lots) of each trade."""
    return [(e.maker_order, e.price_ticks, e.size_lots) for e in events if isinstance(e, Traded)]


def expiries(events: list[AnyEvent]) -> list[tuple[int, int, Reject]]:
    """Return (order, lots left, reason) of each expiry."""
    return [(e.order, e.open_lots, e.reason) for e in events if isinstance(e, OrderExpired)]


def with_asks(*asks: tuple[AccountId, int, int, int], funds_atoms: int = FUNDS) -> Venue:
    """Return a market with k = 100 and 750 ppm for takers, and (account, order, lots, ticks) for sale."""
    venue = complete(listing(tick_mantissa=100, taker_ppm=750), funds_atoms=funds_atoms)
    for account, number, lots, ticks in asks:
        placed(venue.place(account, sell(number, lots, ticks)))
    return venue


def test_a_budget_buys_what_it_pays_for_with_its_fees_and_gives_back_the_rest() -> None:
    venue = with_asks((ALICE, 1, 3, 12345), (ALICE, 2, 10, 12400))

    outcome = venue.place(BOB, by_budget(Side.BUY, 1, 10_000_000))

    assert trades(outcome.events) == [(1, 12345, 3), (2, 12400, 5)]
    assert [e.taker_fee_atoms for e in outcome.events if isinstance(e, Traded)] == [2778, 4650]
    assert kinds(outcome.events)[-1] == "OrderFilled"
    reply = placed(outcome)
    assert (reply.executed_lots, reply.open_lots) == (8, 0)
    assert reply.executed_atoms + reply.fee_atoms == 10_000_000 - 89072
    assert venue.free_atoms(BOB, USD) == FUNDS - 10_000_000 + 89072
    assert venue.held_atoms(BOB, USD) == 0


def test_a_budget_that_buys_nothing_expires_and_one_that_outlives_the_book_too() -> None:
    venue = with_asks((ALICE, 1, 3, 12345))

    poor = venue.place(BOB, by_budget(Side.BUY, 1, 1_000_000))
    rich = venue.place(BOB, by_budget(Side.BUY, 2, 10_000_000))

    assert kinds(poor.events) == ["OrderAccepted", "OrderTermsSet", "OrderExpired"]
    assert trades(rich.events) == [(1, 12345, 3)]
    assert expiries(poor.events) == [(1, 0, Reject.NO_LIQUIDITY)]
    assert expiries(rich.events) == [(2, 0, Reject.NO_LIQUIDITY)]


def test_a_seller_by_budget_sells_no_more_than_brings_it_and_than_it_has() -> None:
    venue = complete(listing(), funds_atoms=0)
    venue.deposit(ALICE, USD, 10_000)
    venue.deposit(BOB, BTC, 7)
    venue.place(ALICE, buy(1, 5, 100))
    venue.place(ALICE, buy(2, 50, 99))

    some = venue.place(BOB, by_budget(Side.SELL, 1, 399))
    assert trades(some.events) == [(1, 100, 3)]
    assert venue.free_atoms(BOB, BTC) == 4
    all_it_has = venue.place(BOB, by_budget(Side.SELL, 2, 10_000))
    assert trades(all_it_has.events) == [(1, 100, 2), (2, 99, 2)]
    assert kinds(all_it_has.events)[-1] == "OrderFilled"
    assert refusal(venue.place(BOB, by_budget(Side.SELL, 3, 1))) == Reject.INSUFFICIENT_FUNDS


def test_a_budget_trades_within_its_protection_price() -> None:
    venue = with_asks((ALICE, 1, 1, 1000), (ALICE, 2, 10, 1051))

    outcome = venue.place(BOB, by_budget(Side.BUY, 1, 10**8))

    assert trades(outcome.events) == [(1, 1000, 1)]


def test_an_iceberg_shows_slice_after_slice_each_at_the_back_of_the_queue() -> None:
    venue = complete()
    iceberg = venue.place(ALICE, on_terms(sell(1, 10, 100), OrderTerms(display_lots=4)))
    venue.place(BOB, sell(2, 3, 100))
    assert isinstance(iceberg.events[-1], OrderRested)
    assert iceberg.events[-1].open_lots == 4
    assert placed(iceberg).open_lots == 10
    assert venue.query(CAROL, GetBook(instrument=BTC_USD, depth=5)) == Book([], [(100, 7, 2)])

    outcome = venue.place(CAROL, buy(3, 12, 100))

    assert trades(outcome.events) == [(1, 100, 4), (2, 100, 3), (1, 100, 4), (1, 100, 1)]
    replenished = [event for event in outcome.events if isinstance(event, OrderReplenished)]
    assert [(e.before, e.number, e.shown_lots, e.open_lots) for e in replenished] == [
        (1, 4, 4, 6),
        (4, 5, 2, 2),
    ]
    assert venue.query(CAROL, GetBook(instrument=BTC_USD, depth=5)) == Book([], [(100, 1, 1)])
    assert venue.cancel(ALICE, 1).events[-1].open_lots == 1  # type: ignore[union-attr]
    assert venue.held_atoms(ALICE, BTC) == 0


def test_fill_or_kill_counts_hidden_lots() -> None:
    venue = complete()
    venue.place(ALICE, on_terms(sell(1, 10, 100), OrderTerms(display_lots=1)))

    killed = venue.place(BOB, buy(1, 11, 100, TimeInForce.FOK))
    filled = venue.place(BOB, buy(2, 10, 100, TimeInForce.FOK))

    assert trades(killed.events) == []
    assert expiries(killed.events) == [(1, 11, Reject.NO_LIQUIDITY)]
    assert len(trades(filled.events)) == 10


def test_a_maker_whose_time_has_come_never_trades_even_before_its_turn_to_expire() -> None:
    venue = complete()
    due_ns = venue.exchange.time_ns + 10**6
    for number in range(1, WORK_PER_ENTRY_MAX + 2):
        venue.place(ALICE, on_terms(sell(number, 1, 100), OrderTerms(expires_ns=due_ns)))
    venue.place(BOB, sell(1, 5, 100))
    venue.tick(after_ns=due_ns - venue.exchange.time_ns - 1)
    request = venue.request(CAROL, msgspec.structs.replace(buy(1, 2, 100), account=CAROL))

    (outcome,) = venue.send(request, after_ns=1)

    assert len(expiries(venue.due)) == WORK_PER_ENTRY_MAX
    assert expiries(outcome.events) == [(WORK_PER_ENTRY_MAX + 1, 1, Reject.EXPIRED)]
    assert [e.maker for e in outcome.events if isinstance(e, Traded)] == [BOB]
    assert venue.held_atoms(ALICE, BTC) == 0


BAND = SetInstrumentRules(
    instrument=BTC_USD,
    execution_down_ppm=500_000,
    execution_up_ppm=2_000_000,
    buy_up_ppm=3_000_000,
    sell_down_ppm=300_000,
)


def banded() -> Venue:
    """Return a market whose last price is 1000, with the bands of the design's example around it."""
    venue = complete(funds_atoms=10**8)
    venue.place(ALICE, sell(1, 1, 1000))
    venue.place(BOB, buy(1, 1, 1000))
    venue.accepted(BAND)
    return venue


@pytest.mark.parametrize(("ticks", "trades_there"), [(2000, True), (2001, False)])
def test_a_buyer_trades_up_to_the_band_and_what_would_trade_beyond_expires(
    ticks: int, trades_there: bool
) -> None:
    venue = banded()
    venue.place(ALICE, sell(2, 1, ticks))

    outcome = venue.place(BOB, buy(2, 1, 3000))

    assert trades(outcome.events) == ([(2, ticks, 1)] if trades_there else [])
    assert expiries(outcome.events) == ([] if trades_there else [(2, 1, Reject.PRICE_BAND)])


@pytest.mark.parametrize(("ticks", "trades_there"), [(500, True), (499, False)])
def test_a_seller_trades_down_to_the_band_and_what_would_trade_beyond_expires(
    ticks: int, trades_there: bool
) -> None:
    venue = banded()
    venue.place(ALICE, buy(2, 1, ticks))

    outcome = venue.place(BOB, sell(2, 1, 300))

    assert trades(outcome.events) == ([(2, ticks, 1)] if trades_there else [])


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (buy(2, 1, 3001), Reject.PRICE_BAND),
        (sell(2, 1, 299), Reject.PRICE_BAND),
        (buy(2, 1, 1), None),
        (sell(2, 1, 100_000), None),
    ],
)
def test_the_collar_bounds_limits_of_each_side(command: PlaceOrder, fault: Reject | None) -> None:
    outcome = banded().place(BOB, command)

    assert (refusal(outcome) if fault else None) == fault


def test_the_bands_stand_where_they_stood_when_the_taker_came() -> None:
    venue = banded()
    for number, ticks in enumerate((1500, 2000, 2500), 2):
        venue.place(ALICE, sell(number, 1, ticks))

    outcome = venue.place(BOB, buy(9, 3, 3000))

    assert [ticks for _, ticks, _ in trades(outcome.events)] == [1500, 2000]
    assert expiries(outcome.events) == [(9, 1, Reject.PRICE_BAND)]


def test_a_fill_of_a_pledge_releases_what_it_did_not_cost() -> None:
    venue = with_asks((ALICE, 1, 10, 12345))

    before_atoms = venue.free_atoms(BOB, USD)
    venue.place(BOB, on_terms(buy(1, 10, 12345), OrderTerms(expires_ns=10**18)))

    assert before_atoms - venue.free_atoms(BOB, USD) == 12_345_000 + 9259
    assert venue.held_atoms(BOB, USD) == 0


def test_an_uncommon_order_pledges_like_a_common_one() -> None:
    venue = with_asks()

    venue.place(BOB, on_terms(buy(1, 10, 12345), OrderTerms(expires_ns=10**18)))

    assert venue.held_atoms(BOB, USD) == 12_354_260
