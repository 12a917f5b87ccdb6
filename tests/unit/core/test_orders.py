"""Orders that are taken: what they trade, what rests, and what is said about it."""

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
    kinds,
    listing,
    market,
    order,
    refusal,
    sell,
)

from steelyard.core import Cancelled, Placed, Reject
from steelyard.core.commands import CancelOrder
from steelyard.core.events import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRested,
    Traded,
)
from steelyard.core.units import InstrumentState, OrderId, OrderKind, OrderNumber, Side, TimeInForce, TradeId

IOC = TimeInForce.IOC
FOK = TimeInForce.FOK


def placed(venue: Venue, *expected: int) -> None:
    """Compare the number, executed lots, executed atoms and open lots of the last order's reply."""
    replies = venue.exchange.state.sessions[venue.sessions[ALICE]].replies
    reply = replies[-1][1]
    assert isinstance(reply, Placed), reply
    assert (reply.number, reply.executed_lots, reply.executed_atoms, reply.open_lots) == expected


def test_an_order_that_meets_nobody_rests_and_is_pledged_for() -> None:
    venue = market()

    outcome = venue.place(ALICE, buy(7, 10, 100, label="mine"))

    assert outcome.events == [
        OrderAccepted(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(7),
            number=OrderNumber(1),
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            limit_ticks=100,
            size_lots=10,
            label="mine",
        ),
        OrderRested(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(7),
            number=OrderNumber(1),
            side=Side.BUY,
            price_ticks=100,
            open_lots=10,
        ),
    ]
    assert outcome.reply == Placed(
        request=1,
        fingerprint=0,
        number=OrderNumber(1),
        executed_lots=0,
        executed_atoms=0,
        fee_atoms=0,
        open_lots=10,
    )
    assert venue.held_atoms(ALICE, USD) == 1000
    assert venue.free_atoms(ALICE, USD) == 999_000


def test_a_seller_pledges_the_base() -> None:
    venue = market()

    venue.place(ALICE, sell(1, 10, 100))

    assert venue.held_atoms(ALICE, BTC) == 10
    assert venue.held_atoms(ALICE, USD) == 0


def test_a_trade_is_at_the_makers_price_and_names_everything() -> None:
    venue = market()
    venue.place(BOB, sell(3, 4, 90))

    outcome = venue.place(ALICE, buy(7, 10, 100))

    assert outcome.events[1:] == [
        Traded(
            trade=TradeId(1),
            instrument=BTC_USD,
            maker=BOB,
            maker_order=OrderId(3),
            maker_number=OrderNumber(1),
            taker=ALICE,
            taker_order=OrderId(7),
            taker_number=OrderNumber(2),
            taker_side=Side.BUY,
            price_ticks=90,
            size_lots=4,
            notional_atoms=360,
            maker_fee_atoms=0,
            taker_fee_atoms=0,
            maker_open_lots=0,
            taker_open_lots=6,
        ),
        OrderFilled(account=BOB, instrument=BTC_USD, order=OrderId(3), number=OrderNumber(1)),
        OrderRested(
            account=ALICE,
            instrument=BTC_USD,
            order=OrderId(7),
            number=OrderNumber(2),
            side=Side.BUY,
            price_ticks=100,
            open_lots=6,
        ),
    ]
    placed(venue, 2, 4, 360, 6)
    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 360 - 600
    assert venue.free_atoms(ALICE, BTC) == 1_000_004
    assert venue.free_atoms(BOB, USD) == 1_000_360
    assert venue.held_atoms(BOB, BTC) == 0


def test_when_both_are_filled_the_maker_is_said_first() -> None:
    venue = market()
    venue.place(BOB, sell(3, 4, 90))

    outcome = venue.place(ALICE, buy(7, 4, 90))

    filled = [event for event in outcome.events if isinstance(event, OrderFilled)]
    assert [event.account for event in filled] == [BOB, ALICE]
    assert kinds(outcome.events) == ["OrderAccepted", "Traded", "OrderFilled", "OrderFilled"]
    assert not venue.exchange.state.orders


def test_a_sweep_goes_by_price_and_then_by_time() -> None:
    venue = market()
    venue.place(BOB, sell(1, 5, 102))
    venue.place(CAROL, sell(1, 5, 101))
    venue.place(BOB, sell(2, 5, 101))

    outcome = venue.place(ALICE, buy(1, 12, 102))

    traded = [event for event in outcome.events if isinstance(event, Traded)]
    assert [(event.maker, event.price_ticks, event.size_lots) for event in traded] == [
        (CAROL, 101, 5),
        (BOB, 101, 5),
        (BOB, 102, 2),
    ]
    assert [event.taker_open_lots for event in traded] == [7, 2, 0]
    assert [event.maker_open_lots for event in traded] == [0, 0, 3]


def test_a_buyer_that_trades_below_its_limit_keeps_the_difference() -> None:
    venue = market()
    venue.place(BOB, sell(1, 10, 60))

    venue.place(ALICE, buy(1, 10, 100))

    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 600
    assert venue.held_atoms(ALICE, USD) == 0


def test_a_resting_buyer_pays_its_own_price() -> None:
    venue = market()
    venue.place(ALICE, buy(1, 10, 100))

    venue.place(BOB, sell(1, 4, 50))

    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 1000
    assert venue.held_atoms(ALICE, USD) == 600
    assert venue.free_atoms(ALICE, BTC) == 1_000_004
    assert venue.free_atoms(BOB, USD) == 1_000_400


def test_what_an_ioc_cannot_trade_expires() -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))

    outcome = venue.place(ALICE, buy(1, 10, 100, IOC))

    assert outcome.events[-1] == OrderExpired(
        account=ALICE,
        instrument=BTC_USD,
        order=OrderId(1),
        number=OrderNumber(2),
        open_lots=6,
        reason=Reject.NO_LIQUIDITY,
    )
    placed(venue, 2, 4, 400, 0)
    assert not venue.exchange.state.orders
    assert venue.held_atoms(ALICE, USD) == 0


def test_an_ioc_that_meets_nobody_is_accepted_and_expires() -> None:
    venue = market()

    outcome = venue.place(ALICE, buy(1, 10, 100, IOC))

    assert kinds(outcome.events) == ["OrderAccepted", "OrderExpired"]
    placed(venue, 1, 0, 0, 0)


def test_a_fok_trades_all_at_once() -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))
    venue.place(CAROL, sell(1, 6, 101))

    outcome = venue.place(ALICE, buy(1, 10, 101, FOK))

    assert kinds(outcome.events)[-1] == "OrderFilled"
    placed(venue, 3, 10, 1006, 0)


@pytest.mark.parametrize(("size_lots", "limit_ticks"), [(11, 101), (5, 100), (1, 99)])
def test_a_fok_that_cannot_trade_all_leaves_the_book_untouched(size_lots: int, limit_ticks: int) -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))
    venue.place(CAROL, sell(1, 6, 101))
    book = list(venue.exchange.state.markets.instruments[BTC_USD].book.orders())
    lots = [resting.open_lots for resting in book]

    outcome = venue.place(ALICE, buy(1, size_lots, limit_ticks, FOK))

    assert kinds(outcome.events) == ["OrderAccepted", "OrderExpired"]
    assert list(venue.exchange.state.markets.instruments[BTC_USD].book.orders()) == book
    assert [resting.open_lots for resting in book] == lots
    assert venue.free_atoms(ALICE, USD) == 1_000_000


def test_a_post_only_order_rests_behind_the_spread() -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))

    assert kinds(venue.place(ALICE, buy(1, 1, 99, post_only=True)).events) == ["OrderAccepted", "OrderRested"]


@pytest.mark.parametrize("limit_ticks", [100, 101])
def test_a_post_only_order_that_would_trade_is_refused(limit_ticks: int) -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))
    before = venue.business()

    outcome = venue.place(ALICE, buy(1, 1, limit_ticks, post_only=True))

    assert refusal(outcome) == Reject.POST_ONLY_WOULD_TRADE
    assert venue.business() == before


def test_a_market_buy_trades_up_to_its_protection_price() -> None:
    venue = market(listing(market_protection_ppm=15_000))
    for number, price in enumerate((1000, 1015, 1016), 1):
        venue.place(BOB, sell(number, 1, price))

    outcome = venue.place(ALICE, order(Side.BUY, 1, 5, kind=OrderKind.MARKET, time_in_force=IOC))

    accepted = outcome.events[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.limit_ticks == 1015
    assert kinds(outcome.events) == [
        "OrderAccepted",
        "Traded",
        "OrderFilled",
        "Traded",
        "OrderFilled",
        "OrderExpired",
    ]
    placed(venue, 4, 2, 2015, 0)


@pytest.mark.parametrize(
    ("side", "best_ticks", "protection_ppm", "limit_ticks"),
    [
        (Side.BUY, 1001, 50_000, 1051),
        (Side.SELL, 1001, 50_000, 951),
        (Side.BUY, 99_000, 50_000, 100_000),
        (Side.SELL, 1, 1_000_000, 1),
        (Side.SELL, 1000, 1_000_000, 1),
        (Side.BUY, 1000, 0, 1000),
        (Side.SELL, 1000, 0, 1000),
    ],
)
def test_the_protection_price_is_rounded_towards_the_best_and_kept_within_bounds(
    side: Side, best_ticks: int, protection_ppm: int, limit_ticks: int
) -> None:
    venue = market(listing(market_protection_ppm=protection_ppm))
    venue.place(BOB, (sell if side == Side.BUY else buy)(1, 1, best_ticks))

    accepted = venue.place(ALICE, order(side, 1, 1, kind=OrderKind.MARKET, time_in_force=IOC)).events[0]

    assert isinstance(accepted, OrderAccepted)
    assert accepted.limit_ticks == limit_ticks


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("time_in_force", [IOC, FOK])
def test_a_market_order_with_nobody_to_trade_with_expires(side: Side, time_in_force: TimeInForce) -> None:
    venue = market()

    outcome = venue.place(ALICE, order(side, 1, 3, kind=OrderKind.MARKET, time_in_force=time_in_force))

    assert kinds(outcome.events) == ["OrderAccepted", "OrderExpired"]
    accepted = outcome.events[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.limit_ticks == 0
    assert venue.free_atoms(ALICE, USD) == venue.free_atoms(ALICE, BTC) == 1_000_000


def test_a_market_fok_is_all_or_nothing() -> None:
    venue = market()
    venue.place(BOB, sell(1, 4, 100))

    too_much = venue.place(ALICE, order(Side.BUY, 1, 5, kind=OrderKind.MARKET, time_in_force=FOK))
    enough = venue.place(ALICE, order(Side.BUY, 2, 4, kind=OrderKind.MARKET, time_in_force=FOK))

    assert kinds(too_much.events) == ["OrderAccepted", "OrderExpired"]
    assert kinds(enough.events)[-1] == "OrderFilled"


def test_own_orders_trade_with_each_other_and_money_stays() -> None:
    venue = market(listing(taker_ppm=1000, maker_ppm=500))
    venue.place(ALICE, sell(1, 4, 1000))

    outcome = venue.place(ALICE, buy(2, 4, 1000))

    assert kinds(outcome.events) == ["OrderAccepted", "Traded", "OrderFilled", "OrderFilled"]
    assert venue.free_atoms(ALICE, BTC) == 1_000_000
    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 4 - 2
    assert venue.held_atoms(ALICE, USD) == venue.held_atoms(ALICE, BTC) == 0


def test_all_funds_can_be_pledged_and_not_an_atom_more() -> None:
    venue = market(funds_atoms=1000)

    assert refusal(venue.place(ALICE, buy(1, 7, 143))) == Reject.INSUFFICIENT_FUNDS
    assert venue.place(ALICE, buy(1, 10, 100)).events
    assert refusal(venue.place(ALICE, buy(2, 1, 1))) == Reject.INSUFFICIENT_FUNDS
    assert venue.free_atoms(ALICE, USD) == 0


def test_a_cancel_gives_back_what_is_left() -> None:
    venue = market()
    venue.place(ALICE, buy(1, 10, 100))
    venue.place(BOB, sell(1, 4, 100))

    outcome = venue.cancel(ALICE, 1)

    assert outcome.events == [
        OrderCancelled(
            account=ALICE, instrument=BTC_USD, order=OrderId(1), number=OrderNumber(1), open_lots=6
        )
    ]
    assert outcome.reply == Cancelled(request=2, fingerprint=0, number=OrderNumber(1), open_lots=6)
    assert venue.held_atoms(ALICE, USD) == 0
    assert venue.free_atoms(ALICE, USD) == 1_000_000 - 400


@pytest.mark.parametrize(
    "command",
    [
        CancelOrder(account=ALICE, order=OrderId(5)),
        CancelOrder(account=ALICE, number=OrderNumber(1)),
        CancelOrder(account=ALICE, label="five"),
    ],
)
def test_an_order_can_be_cancelled_by_each_of_its_names(command: CancelOrder) -> None:
    venue = market()
    venue.place(ALICE, buy(5, 10, 100, label="five"))

    assert kinds(venue.ask(ALICE, command).events) == ["OrderCancelled"]
    assert not venue.exchange.state.orders
    assert venue.free_atoms(ALICE, USD) == 1_000_000


def test_names_are_free_again_when_their_order_is_gone() -> None:
    venue = market()
    for _ in range(3):
        assert venue.place(ALICE, buy(1, 1, 1, label="again")).events
        venue.cancel(ALICE, 1)


def test_accounts_may_use_the_same_names() -> None:
    venue = market()

    assert venue.place(ALICE, buy(1, 1, 1, label="x")).events
    assert venue.place(BOB, buy(1, 1, 1, label="x")).events


@pytest.mark.parametrize(
    "state", [InstrumentState.CANCEL_ONLY, InstrumentState.HALTED, InstrumentState.POST_ONLY]
)
def test_a_cancel_passes_in_every_state_with_orders(state: InstrumentState) -> None:
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    venue.move(state)

    assert kinds(venue.cancel(ALICE, 1).events) == ["OrderCancelled"]


def test_numbers_go_up_by_one_for_each_accepted_order() -> None:
    venue = market()
    venue.place(ALICE, buy(1, 1, 1))
    venue.place(ALICE, buy(1, 1, 1))
    venue.place(ALICE, buy(2, 1, 1, IOC))
    venue.place(ALICE, buy(3, 1, 1))

    assert [resting.number for resting in venue.exchange.state.orders.values()] == [1, 3]
