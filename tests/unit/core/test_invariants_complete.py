"""Each fault planted in what version 2 keeps is found by ``check_invariants``."""

from collections.abc import Callable

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, USD
from tests.helpers.everything import SUB, everything

from steelyard.core import Exchange
from steelyard.core.accounts import Rules
from steelyard.core.instruments import Instrument
from steelyard.core.limits import RECENT_ORDERS_MAX
from steelyard.core.matching import Order, Special
from steelyard.core.units import AccountId, HoldId, InstrumentId, ListNumber, OrderId, OrderState


def instrument(exchange: Exchange) -> Instrument:
    return exchange.state.markets.instruments[BTC_USD]


def rules(exchange: Exchange, account: AccountId) -> Rules:
    found = exchange.state.accounts[account].rules
    assert found is not None
    return found


def special(order: Order) -> Special:
    assert order.special is not None
    return order.special


def iceberg(exchange: Exchange) -> Order:
    return exchange.state.accounts[ALICE].orders[OrderId(1)]


def first_in(exchange: Exchange, state: OrderState) -> Order:
    return next(
        order
        for order in exchange.state.orders.values()
        if order.special is not None and order.special.state == state
    )


def a_hold_of_nothing_held(exchange: Exchange) -> None:
    rules(exchange, BOB).holds[HoldId(7)].amount_atoms += 1


def a_hold_forgotten(exchange: Exchange) -> None:
    del rules(exchange, BOB).holds[HoldId(7)]


def a_hold_under_another_name(exchange: Exchange) -> None:
    rules(exchange, BOB).holds[HoldId(8)] = rules(exchange, BOB).holds.pop(HoldId(7))


def a_share_owed_that_nobody_has(exchange: Exchange) -> None:
    rules(exchange, CAROL).owed[USD] += 1


def a_share_that_nobody_is_owed(exchange: Exchange) -> None:
    house = exchange.state.ledger.houses[BTC]
    house.referral_atoms += 1
    house.omnibus_atoms -= 1


def shares_below_zero(exchange: Exchange) -> None:
    house = exchange.state.ledger.houses[BTC]
    house.referral_atoms -= 1
    house.omnibus_atoms += 1


def rules_that_say_nothing(exchange: Exchange) -> None:
    exchange.state.accounts[AccountId(9)].ruled()


def a_sub_account_its_master_does_not_know(exchange: Exchange) -> None:
    rules(exchange, CAROL).sub_accounts.clear()


def a_sub_account_of_another_master(exchange: Exchange) -> None:
    rules(exchange, SUB).master = BOB


def a_sub_account_with_sub_accounts(exchange: Exchange) -> None:
    rules(exchange, SUB).sub_accounts.append(BOB)
    rules(exchange, BOB).master = SUB


def a_tier_without_rates(exchange: Exchange) -> None:
    rules(exchange, ALICE).tier = 5


def a_limit_in_an_unknown_instrument(exchange: Exchange) -> None:
    rules(exchange, SUB).order_limits[InstrumentId(99)] = (1, 1)


def too_many_recent_ids(exchange: Exchange) -> None:
    recent = exchange.state.accounts[ALICE].recent
    recent.update((OrderId(1000 + number), None) for number in range(RECENT_ORDERS_MAX))


def a_living_order_among_the_closed(exchange: Exchange) -> None:
    exchange.state.accounts[ALICE].recent[iceberg(exchange).order] = None


def a_slice_larger_than_its_order(exchange: Exchange) -> None:
    order = iceberg(exchange)
    level = order.level
    assert level is not None
    level.open_lots += 100
    special(order).shown_lots += 100


def a_level_that_counts_what_is_hidden(exchange: Exchange) -> None:
    level = iceberg(exchange).level
    assert level is not None
    level.open_lots += 1


def more_prevented_than_there_was(exchange: Exchange) -> None:
    special(iceberg(exchange)).prevented_lots += 1000


def an_uncommon_order_too_many(exchange: Exchange) -> None:
    instrument(exchange).specials += 1


def an_uncommon_order_not_counted(exchange: Exchange) -> None:
    order = next(order for order in exchange.state.orders.values() if order.special is None)
    order.special = Special()


def an_account_miscounted(exchange: Exchange) -> None:
    counts = instrument(exchange).counts
    assert counts is not None
    counts[ALICE] += 1


def a_count_where_nothing_is_bounded(exchange: Exchange) -> None:
    exchange.state.markets.instruments[InstrumentId(2)].counts = {}


def a_waiting_order_out_of_the_index(exchange: Exchange) -> None:
    instrument(exchange).triggers.remove(first_in(exchange, OrderState.WAITING))


def a_waiting_order_in_two_places(exchange: Exchange) -> None:
    exchange.state.work.append(first_in(exchange, OrderState.WAITING))


def a_waiting_order_that_rests(exchange: Exchange) -> None:
    order = first_in(exchange, OrderState.PENDING)
    order.price_ticks = 1000
    instrument(exchange).book.rest(order)


def a_resting_order_that_waits(exchange: Exchange) -> None:
    special(iceberg(exchange)).state = OrderState.PENDING


def a_list_without_its_leg(exchange: Exchange) -> None:
    next(iter(exchange.state.lists.values())).legs.pop()


def an_order_of_no_list(exchange: Exchange) -> None:
    order = first_in(exchange, OrderState.PENDING)
    special(order).list_number = ListNumber(0)


def a_list_whose_holder_is_the_other(exchange: Exchange) -> None:
    for order_list in exchange.state.lists.values():
        if order_list.holder:
            order_list.holder = next(leg for leg in order_list.legs if leg != order_list.holder)


def a_countdown_without_a_timer(exchange: Exchange) -> None:
    exchange.state.countdowns[CAROL, InstrumentId(0)] = 10**12


def a_countdown_whose_timer_is_late(exchange: Exchange) -> None:
    scope = next(iter(exchange.state.countdowns))
    exchange.state.countdowns[scope] -= 1


def a_schedule_without_a_timer(exchange: Exchange) -> None:
    exchange.state.timers.keep_urgent([])
    exchange.state.countdowns.clear()


def a_schedule_of_nothing(exchange: Exchange) -> None:
    instrument(exchange).next_state = None


def an_expiry_without_a_timer(exchange: Exchange) -> None:
    exchange.state.timers.keep_expiries(exchange.state.timers.expiries[1:])


def an_auction_that_nobody_continues(exchange: Exchange) -> None:
    exchange.state.markets.instruments[InstrumentId(2)].uncross_ticks = 5


FAULTS: list[Callable[[Exchange], None]] = [
    a_hold_of_nothing_held,
    a_hold_forgotten,
    a_hold_under_another_name,
    a_share_owed_that_nobody_has,
    a_share_that_nobody_is_owed,
    shares_below_zero,
    rules_that_say_nothing,
    a_sub_account_its_master_does_not_know,
    a_sub_account_of_another_master,
    a_sub_account_with_sub_accounts,
    a_tier_without_rates,
    a_limit_in_an_unknown_instrument,
    too_many_recent_ids,
    a_living_order_among_the_closed,
    a_slice_larger_than_its_order,
    a_level_that_counts_what_is_hidden,
    more_prevented_than_there_was,
    an_uncommon_order_too_many,
    an_uncommon_order_not_counted,
    an_account_miscounted,
    a_count_where_nothing_is_bounded,
    a_waiting_order_out_of_the_index,
    a_waiting_order_in_two_places,
    a_waiting_order_that_rests,
    a_resting_order_that_waits,
    a_list_without_its_leg,
    an_order_of_no_list,
    a_list_whose_holder_is_the_other,
    a_countdown_without_a_timer,
    a_countdown_whose_timer_is_late,
    a_schedule_without_a_timer,
    a_schedule_of_nothing,
    an_expiry_without_a_timer,
    an_auction_that_nobody_continues,
]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[Exchange], None]) -> None:
    exchange = everything().exchange
    exchange.check_invariants()

    plant(exchange)

    with pytest.raises(AssertionError):
        exchange.check_invariants()
