"""Each fault planted in memory is found by ``check_invariants``."""

from collections.abc import Callable

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, USD, Venue, buy, market, sell

from steelyard.core import Exchange
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Level
from steelyard.core.sessions import Session
from steelyard.core.units import AccountId, InstrumentState, KeyId, OrderId, OrderNumber, Side


def busy() -> Venue:
    venue = market()
    venue.place(ALICE, buy(1, 10, 100, label="one"))
    venue.place(BOB, buy(1, 5, 100))
    venue.place(ALICE, buy(2, 5, 90))
    venue.place(BOB, sell(2, 4, 110))
    return venue


def instrument(exchange: Exchange) -> Instrument:
    return exchange.state.markets.instruments[BTC_USD]


def best_bid(exchange: Exchange) -> Level:
    return instrument(exchange).book.bids.levels[100]


def session(exchange: Exchange) -> Session:
    return exchange.state.accounts[ALICE].sessions["main"]


def an_extra_free_atom(exchange: Exchange) -> None:
    exchange.state.accounts[ALICE].balances[USD].free_atoms += 1


def an_atom_moved_between_accounts_holds(exchange: Exchange) -> None:
    exchange.state.accounts[ALICE].balances[USD].held_atoms += 1
    exchange.state.accounts[BOB].balances[USD].held_atoms -= 1


def an_atom_held_for_nothing(exchange: Exchange) -> None:
    exchange.state.accounts[ALICE].balances[USD].hold(1)


def an_overdrawn_balance(exchange: Exchange) -> None:
    exchange.state.accounts[ALICE].balances[BTC].free_atoms -= 2_000_000
    exchange.state.accounts[BOB].balances[BTC].free_atoms += 2_000_000


def fees_below_zero(exchange: Exchange) -> None:
    exchange.state.ledger.houses[USD].fees_atoms -= 1
    exchange.state.accounts[BOB].balances[USD].free_atoms += 1


def the_outside_world_above_zero(exchange: Exchange) -> None:
    house = exchange.state.ledger.houses[USD]
    house.fees_atoms -= 4_000_000
    house.omnibus_atoms += 4_000_000


def a_level_that_counts_wrong(exchange: Exchange) -> None:
    best_bid(exchange).open_lots += 1


def a_level_that_counts_its_orders_wrong(exchange: Exchange) -> None:
    best_bid(exchange).count += 1


def a_queue_out_of_order(exchange: Exchange) -> None:
    level = best_bid(exchange)
    first, second = level.oldest, level.newest
    assert first is not None
    assert second is not None
    level.oldest, level.newest = second, first
    second.after, second.before, first.after, first.before = first, None, None, second


def a_broken_link(exchange: Exchange) -> None:
    newest = best_bid(exchange).newest
    assert newest is not None
    newest.before = None


def a_level_missing_from_the_index(exchange: Exchange) -> None:
    instrument(exchange).book.bids.keys.remove(90)


def a_crossed_book(exchange: Exchange) -> None:
    ask = instrument(exchange).book.asks.levels[-110].oldest
    assert ask is not None
    instrument(exchange).book.remove(ask)
    ask.price_ticks = 100
    instrument(exchange).book.rest(ask)


def an_order_with_nothing_left(exchange: Exchange) -> None:
    order = exchange.state.orders[OrderNumber(1)]
    best_bid(exchange).open_lots -= order.open_lots
    order.open_lots = 0


def an_order_on_the_wrong_side(exchange: Exchange) -> None:
    exchange.state.orders[OrderNumber(1)].side = Side.SELL


def an_order_without_its_number(exchange: Exchange) -> None:
    del exchange.state.orders[OrderNumber(1)]


def an_order_its_account_does_not_know(exchange: Exchange) -> None:
    del exchange.state.accounts[ALICE].orders[OrderId(2)]


def a_label_of_no_order(exchange: Exchange) -> None:
    del exchange.state.accounts[ALICE].labels["one"]


def an_order_that_forgot_its_pledge(exchange: Exchange) -> None:
    exchange.state.orders[OrderNumber(1)].lot_pledge_atoms -= 1


def a_number_that_will_be_given_again(exchange: Exchange) -> None:
    exchange.state.last_number -= 1


def a_key_that_will_be_given_again(exchange: Exchange) -> None:
    exchange.state.last_key -= 1


def a_key_of_nobody(exchange: Exchange) -> None:
    exchange.state.keys[KeyId(1)].account = OPERATOR_GONE


def a_reply_too_few(exchange: Exchange) -> None:
    session(exchange).replies.popleft()


def replies_out_of_order(exchange: Exchange) -> None:
    session(exchange).replies.rotate(1)


def a_session_without_a_name(exchange: Exchange) -> None:
    del exchange.state.accounts[ALICE].sessions["main"]


def a_closed_market_with_orders(exchange: Exchange) -> None:
    instrument(exchange).state = InstrumentState.CLOSED


def an_asset_without_system_accounts(exchange: Exchange) -> None:
    del exchange.state.ledger.houses[BTC]


OPERATOR_GONE = AccountId(999)

FAULTS: list[Callable[[Exchange], None]] = [
    an_extra_free_atom,
    an_atom_moved_between_accounts_holds,
    an_atom_held_for_nothing,
    an_overdrawn_balance,
    fees_below_zero,
    the_outside_world_above_zero,
    a_level_that_counts_wrong,
    a_level_that_counts_its_orders_wrong,
    a_queue_out_of_order,
    a_broken_link,
    a_level_missing_from_the_index,
    a_crossed_book,
    an_order_with_nothing_left,
    an_order_on_the_wrong_side,
    an_order_without_its_number,
    an_order_its_account_does_not_know,
    a_label_of_no_order,
    an_order_that_forgot_its_pledge,
    a_number_that_will_be_given_again,
    a_key_that_will_be_given_again,
    a_key_of_nobody,
    a_reply_too_few,
    replies_out_of_order,
    a_session_without_a_name,
    a_closed_market_with_orders,
    an_asset_without_system_accounts,
]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[Exchange], None]) -> None:
    exchange = busy().exchange
    exchange.check_invariants()

    plant(exchange)

    with pytest.raises(AssertionError):
        exchange.check_invariants()
