"""Orders of one house that meet: each mode, whose word counts, and what money does."""

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
    on_terms,
    order,
    sell,
)

from steelyard.core.commands import OrderTerms, PlaceOrder, SetAccountRules, SetInstrumentRules, SetSelfTrade
from steelyard.core.events import (
    AnyEvent,
    LotsTransferred,
    OrderExpired,
    OrderReduced,
    Traded,
    TradePrevented,
)
from steelyard.core.units import OrderKind, SelfTrade, Side, TimeInForce

FUNDS = 1_000_000


def house() -> Venue:
    """Return a market in which Alice and Bob are of one house, and Carol is not."""
    venue = complete(funds_atoms=FUNDS)
    for account in (ALICE, BOB):
        venue.accepted(SetAccountRules(account=account, trade_group=7, permissions=READ_TRADE))
    return venue


def wanting(command: PlaceOrder, mode: SelfTrade) -> PlaceOrder:
    return on_terms(command, OrderTerms(self_trade=mode))


def story(events: list[AnyEvent]) -> list[tuple[object, ...]]:
    """Return what happened between the orders, in few words."""
    told: list[tuple[object, ...]] = []
    for event in events:
        match event:
            case Traded():
                told.append(("traded", event.maker, event.size_lots))
            case TradePrevented():
                told.append(("prevented", event.mode.name, event.maker_lots, event.taker_lots))
            case OrderExpired():
                told.append(("expired", event.account, event.open_lots, event.reason.name))
            case OrderReduced():
                told.append(("reduced", event.account, event.open_lots))
            case LotsTransferred():
                told.append(("transferred", event.seller, event.buyer, event.size_lots))
            case _:
                pass
    return told


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (SelfTrade.NONE, [("traded", ALICE, 4), ("traded", CAROL, 6)]),
        (
            SelfTrade.EXPIRE_TAKER,
            [("prevented", "EXPIRE_TAKER", 0, 10), ("expired", BOB, 0, "SELF_TRADE")],
        ),
        (
            SelfTrade.EXPIRE_MAKER,
            [
                ("prevented", "EXPIRE_MAKER", 4, 0),
                ("expired", ALICE, 0, "SELF_TRADE"),
                ("traded", CAROL, 10),
            ],
        ),
        (
            SelfTrade.EXPIRE_BOTH,
            [
                ("prevented", "EXPIRE_BOTH", 4, 10),
                ("expired", ALICE, 0, "SELF_TRADE"),
                ("expired", BOB, 0, "SELF_TRADE"),
            ],
        ),
        (
            SelfTrade.DECREMENT,
            [
                ("prevented", "DECREMENT", 4, 4),
                ("expired", ALICE, 0, "SELF_TRADE"),
                ("traded", CAROL, 6),
            ],
        ),
        (
            SelfTrade.TRANSFER,
            [
                ("prevented", "DECREMENT", 4, 4),
                ("expired", ALICE, 0, "SELF_TRADE"),
                ("traded", CAROL, 6),
            ],
        ),
    ],
)
def test_the_takers_mode_decides_what_two_orders_of_a_house_do(
    mode: SelfTrade, expected: list[tuple[object, ...]]
) -> None:
    venue = house()
    venue.place(ALICE, sell(1, 4, 100))
    venue.place(CAROL, sell(1, 20, 100))

    outcome = venue.place(BOB, wanting(buy(1, 10, 100), mode))

    assert story(outcome.events) == expected


def test_a_maker_that_is_larger_shrinks_in_its_place_and_the_taker_is_gone() -> None:
    venue = house()
    venue.place(ALICE, sell(1, 9, 100))
    venue.place(CAROL, sell(1, 5, 100))

    outcome = venue.place(BOB, wanting(buy(1, 4, 100), SelfTrade.DECREMENT))

    assert story(outcome.events) == [
        ("prevented", "DECREMENT", 4, 4),
        ("reduced", ALICE, 5),
        ("expired", BOB, 0, "SELF_TRADE"),
    ]
    assert venue.held_atoms(ALICE, BTC) == 5
    assert venue.free_atoms(BOB, USD) == FUNDS
    assert story(venue.place(BOB, wanting(buy(2, 6, 100), SelfTrade.NONE)).events) == [
        ("traded", ALICE, 5),
        ("traded", CAROL, 1),
    ]


def test_of_two_equal_orders_both_are_gone_the_maker_first() -> None:
    venue = house()
    venue.place(ALICE, sell(1, 4, 100))

    outcome = venue.place(BOB, wanting(buy(1, 4, 100), SelfTrade.DECREMENT))

    assert story(outcome.events)[1:] == [
        ("expired", ALICE, 0, "SELF_TRADE"),
        ("expired", BOB, 0, "SELF_TRADE"),
    ]


def test_what_both_want_transferred_changes_hands_without_a_fee() -> None:
    venue = house()
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, self_trade=SelfTrade.TRANSFER))
    venue.place(ALICE, sell(1, 4, 100))

    outcome = venue.place(BOB, buy(1, 10, 120))

    assert story(outcome.events) == [
        ("prevented", "TRANSFER", 4, 4),
        ("transferred", ALICE, BOB, 4),
        ("expired", ALICE, 0, "SELF_TRADE"),
    ]
    assert kinds(outcome.events)[-1] == "OrderRested"
    assert (venue.free_atoms(ALICE, USD), venue.free_atoms(BOB, BTC)) == (FUNDS + 400, FUNDS + 4)
    assert venue.free_atoms(BOB, USD) == FUNDS - 400 - 6 * 120
    assert venue.exchange.state.markets.instruments[BTC_USD].last_ticks == 0


def test_an_account_does_not_transfer_to_itself() -> None:
    venue = complete()
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, self_trade=SelfTrade.TRANSFER))
    venue.place(ALICE, sell(1, 4, 100))

    outcome = venue.place(ALICE, buy(2, 4, 100))

    assert story(outcome.events)[0] == ("prevented", "DECREMENT", 4, 4)


def test_the_orders_word_goes_before_the_accounts_and_that_before_the_instruments() -> None:
    venue = complete()
    venue.accepted(SetInstrumentRules(instrument=BTC_USD, self_trade=SelfTrade.EXPIRE_TAKER))
    venue.place(ALICE, sell(1, 4, 100))
    assert story(venue.place(ALICE, buy(2, 1, 100)).events)[0] == ("prevented", "EXPIRE_TAKER", 0, 1)

    venue.ask(ALICE, SetSelfTrade(account=ALICE, mode=SelfTrade.DECREMENT))
    assert story(venue.place(ALICE, buy(3, 1, 100)).events)[0] == ("prevented", "DECREMENT", 1, 1)

    own = venue.place(ALICE, wanting(buy(4, 1, 100), SelfTrade.NONE))
    assert story(own.events) == [("traded", ALICE, 1)]


def test_prevention_acts_only_when_an_own_order_is_next_in_line() -> None:
    venue = house()
    venue.place(CAROL, sell(1, 5, 99))
    venue.place(ALICE, sell(1, 4, 100))

    outcome = venue.place(BOB, wanting(buy(1, 5, 100), SelfTrade.EXPIRE_TAKER))

    assert story(outcome.events) == [("traded", CAROL, 5)]


@pytest.mark.parametrize(
    ("mode", "fills"),
    [
        (SelfTrade.EXPIRE_TAKER, False),
        (SelfTrade.EXPIRE_MAKER, True),
        (SelfTrade.EXPIRE_BOTH, False),
        (SelfTrade.DECREMENT, False),
    ],
)
def test_fill_or_kill_counts_without_what_prevention_takes_away(mode: SelfTrade, fills: bool) -> None:
    venue = house()
    venue.place(ALICE, sell(1, 4, 100))
    venue.place(CAROL, sell(1, 20, 100))

    outcome = venue.place(BOB, wanting(buy(1, 10, 100, TimeInForce.FOK), mode))

    told = story(outcome.events)
    assert told[-1] == (("traded", CAROL, 10) if fills else ("expired", BOB, 10, "NO_LIQUIDITY"))
    assert fills or len(told) == 1


def test_a_whole_iceberg_is_taken_away_hidden_lots_too() -> None:
    venue = house()
    venue.place(ALICE, on_terms(sell(1, 9, 100), OrderTerms(display_lots=2)))

    outcome = venue.place(BOB, wanting(buy(1, 3, 100), SelfTrade.EXPIRE_MAKER))

    assert story(outcome.events) == [("prevented", "EXPIRE_MAKER", 9, 0), ("expired", ALICE, 0, "SELF_TRADE")]
    assert venue.held_atoms(ALICE, BTC) == 0


def test_a_budget_falls_by_what_is_prevented() -> None:
    venue = house()
    venue.place(ALICE, sell(1, 4, 100))
    venue.place(CAROL, sell(1, 20, 100))
    command = order(Side.BUY, 1, 0, kind=OrderKind.MARKET, time_in_force=TimeInForce.IOC)
    terms = OrderTerms(budget_atoms=1000, self_trade=SelfTrade.DECREMENT)

    outcome = venue.place(BOB, on_terms(command, terms))

    assert story(outcome.events) == [
        ("prevented", "DECREMENT", 4, 4),
        ("expired", ALICE, 0, "SELF_TRADE"),
        ("traded", CAROL, 6),
    ]
    assert kinds(outcome.events)[-1] == "OrderFilled"
    assert venue.free_atoms(BOB, USD) == FUNDS - 600
