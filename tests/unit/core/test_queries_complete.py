"""What can be asked about accounts, fees, orders on terms, lists, instruments and tiers, and by whom."""

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, USD, Venue, complete, market
from tests.helpers.everything import FAR_NS, OTHER, STOP, SUB, everything

from steelyard.core import queries
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import OrderTerms, SetAccountRules
from steelyard.core.queries import (
    AnyQuery,
    GetAccount,
    GetBalances,
    GetFees,
    GetInstrument,
    GetOpenOrders,
    GetOrderLists,
    GetOrders,
    GetTiers,
    GetTotals,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    HoldId,
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderState,
    Permission,
    SelfTrade,
)


def reading(venue: Venue, account: AccountId) -> None:
    """Let an account ask with a key that may only read."""
    venue.keys[account] = venue.create_key(account, int(Permission.READ))


def test_an_account_is_told_everything_that_applies_to_it() -> None:
    venue = everything()
    state = venue.exchange.state

    assert venue.query(BOB, GetAccount(account=BOB)) == queries.AccountInfo(
        account=BOB,
        master=AccountId(0),
        sub_accounts=[],
        permissions=ALL_PERMISSIONS,
        trade_group=0,
        self_trade=SelfTrade.EXPIRE_MAKER,
        orders=0,
        orders_max=0,
        order_limits=[],
        frozen=False,
        legal_hold=False,
        holds=[queries.HoldInfo(HoldId(3), BTC, 5, False), queries.HoldInfo(HoldId(7), USD, 77, True)],
        tier=0,
        referrer=CAROL,
        share_ppm=1_000_000,
        owed=[],
        countdowns=[(InstrumentId(0), state.countdowns[BOB, InstrumentId(0)])],
        rates=[(BTC_USD, -100, 750), (OTHER, 0, 0)],
    )
    of_sub = venue.query(CAROL, GetAccount(account=SUB))
    assert isinstance(of_sub, queries.AccountInfo)
    assert (of_sub.master, of_sub.legal_hold, of_sub.order_limits) == (CAROL, True, [(BTC_USD, 9, 99)])
    of_master = venue.query(CAROL, GetAccount(account=CAROL))
    assert isinstance(of_master, queries.AccountInfo)
    assert (of_master.sub_accounts, of_master.orders, of_master.orders_max) == ([SUB], 1, 77)
    assert of_master.owed == [(USD, state.ledger.houses[USD].referral_atoms)]


def test_a_common_account_has_nothing_that_applies_to_it() -> None:
    answer = complete().query(ALICE, GetAccount(account=ALICE))

    assert isinstance(answer, queries.AccountInfo)
    assert (answer.permissions, answer.self_trade, answer.holds, answer.tier) == (
        ALL_PERMISSIONS,
        None,
        [],
        0,
    )


def test_fees_are_those_of_the_accounts_tier() -> None:
    venue = everything()

    assert venue.query(ALICE, GetFees(account=ALICE, instrument=BTC_USD)) == queries.Fees(-50, 500)
    assert venue.query(ALICE, GetFees(account=ALICE, instrument=OTHER)) == queries.Fees(0, 0)
    assert venue.query(BOB, GetFees(account=BOB, instrument=BTC_USD)) == queries.Fees(-100, 750)
    assert venue.query(BOB, GetFees(account=BOB, instrument=InstrumentId(99))) == Reject.UNKNOWN_INSTRUMENT


def test_orders_come_with_their_terms_and_states() -> None:
    venue = everything()
    answer = venue.query(ALICE, GetOrders(account=ALICE))
    assert isinstance(answer, queries.Orders)
    orders = {int(order.order): order for order in answer.orders}

    assert [order.number for order in answer.orders] == sorted(order.number for order in answer.orders)
    iceberg = orders[1]
    assert iceberg.terms == OrderTerms(display_lots=10)
    assert (iceberg.size_lots, iceberg.open_lots, iceberg.prevented_lots) == (50, 27, 8)
    assert 0 < iceberg.shown_lots <= 10
    assert orders[3].post_only
    assert (orders[4].label, orders[4].terms.expires_ns) == ("expires", FAR_NS)
    waiting = orders[9]
    assert (waiting.state, waiting.shown_lots, waiting.terms.trigger) == (OrderState.WAITING, 0, STOP)
    assert orders[7].extreme_ticks == 110
    assert orders[8].extreme_ticks == 0
    assert orders[23].state == OrderState.PENDING
    assert orders[23].list_number != 0
    assert orders[24].cap_ppm == 500


def test_a_common_order_is_told_in_the_same_words() -> None:
    answer = everything().query(CAROL, GetOrders(account=CAROL, instrument=BTC_USD))

    assert isinstance(answer, queries.Orders)
    (order,) = answer.orders
    assert (order.state, order.terms, order.shown_lots, order.cap_ppm) == (
        OrderState.WORKING,
        OrderTerms(),
        4,
        750,
    )


def test_orders_of_another_instrument_are_not_told() -> None:
    venue = everything()

    assert venue.query(ALICE, GetOrders(account=ALICE, instrument=OTHER)) == queries.Orders([])
    unknown = venue.query(ALICE, GetOrders(account=ALICE, instrument=InstrumentId(99)))
    assert unknown == Reject.UNKNOWN_INSTRUMENT


def test_the_old_question_tells_of_orders_in_the_book_only() -> None:
    venue = everything()
    old = venue.query(ALICE, GetOpenOrders(account=ALICE))
    new = venue.query(ALICE, GetOrders(account=ALICE))

    assert isinstance(old, queries.OpenOrders)
    assert isinstance(new, queries.Orders)
    assert [order.number for order in old.orders] == [
        order.number for order in new.orders if order.state == OrderState.WORKING
    ]
    assert len(old.orders) < len(new.orders)


def test_lists_are_told_with_the_numbers_of_their_orders() -> None:
    venue = everything()
    answer = venue.query(ALICE, GetOrderLists(account=ALICE))

    assert isinstance(answer, queries.OrderLists)
    assert [(found.kind, len(found.legs)) for found in answer.lists] == [
        (ListKind.OCO, 2),
        (ListKind.OTO, 2),
        (ListKind.OTOCO, 3),
    ]
    assert all(number in venue.exchange.state.orders for found in answer.lists for number in found.legs)
    assert venue.query(BOB, GetOrderLists(account=BOB)) == queries.OrderLists([])


def test_anybody_may_ask_where_an_instrument_stands_and_what_tiers_there_are() -> None:
    venue = everything()

    instrument = venue.exchange.state.markets.instruments[BTC_USD]
    assert instrument.rules is not None
    assert instrument.anchor_ns > 0
    assert venue.query(BOB, GetInstrument(instrument=BTC_USD)) == queries.InstrumentStanding(
        instrument=BTC_USD,
        state=InstrumentState.OPEN,
        rules=instrument.rules,
        last_ticks=110,
        mark_ticks=104,
        next_state=InstrumentState.HALTED,
        next_ns=FAR_NS // 4,
        uncross_ticks=0,
        anchor_ticks=110,
        anchor_ns=instrument.anchor_ns,
    )
    assert venue.query(BOB, GetInstrument(instrument=InstrumentId(99))) == Reject.UNKNOWN_INSTRUMENT
    assert venue.query(BOB, GetTiers()) == queries.Tiers(
        [queries.TierInfo(1, InstrumentId(0), 0, 600), queries.TierInfo(2, BTC_USD, -50, 500)]
    )


@pytest.mark.parametrize("kind", [GetAccount, GetBalances, GetOpenOrders, GetOrders, GetOrderLists])
def test_an_account_is_read_by_itself_by_its_master_and_by_operators(kind: type[GetAccount]) -> None:
    venue = everything()
    for account in (ALICE, BOB, CAROL):
        reading(venue, account)
    about_sub, about_bob = kind(account=SUB), kind(account=BOB)

    for asker, query in ((CAROL, about_sub), (OPERATOR, about_sub), (BOB, about_bob)):
        assert not isinstance(venue.query(asker, query), Reject)
    for asker, query in ((ALICE, about_sub), (CAROL, about_bob)):
        assert venue.query(asker, query) == Reject.NOT_PERMITTED


def test_a_sub_account_does_not_read_its_master() -> None:
    venue = everything()
    reading(venue, SUB)

    assert not isinstance(venue.query(SUB, GetAccount(account=SUB)), Reject)
    assert venue.query(SUB, GetAccount(account=CAROL)) == Reject.NOT_PERMITTED


def test_the_rules_of_an_account_can_take_reading_away() -> None:
    venue = complete()
    venue.accepted(SetAccountRules(account=ALICE, trade_group=0, permissions=int(Permission.TRADE)))

    assert venue.query(ALICE, GetBalances(account=ALICE)) == Reject.NOT_PERMITTED
    assert not isinstance(venue.query(OPERATOR, GetBalances(account=ALICE)), Reject)


def test_unknown_accounts_are_unknown_to_operators() -> None:
    queries_of_nobody: list[AnyQuery] = [
        GetAccount(account=AccountId(1999)),
        GetFees(account=AccountId(1999), instrument=BTC_USD),
        GetOrderLists(account=AccountId(1999)),
    ]
    for query in queries_of_nobody:
        assert complete().query(OPERATOR, query) == Reject.UNKNOWN_ACCOUNT


def test_referral_shares_are_part_of_the_sum() -> None:
    venue = everything()
    answer = venue.query(OPERATOR, GetTotals())

    assert isinstance(answer, queries.Totals)
    assert [total.sum_atoms for total in answer.totals] == [0, 0, 0]
    assert answer.totals[1].referral_atoms > 0


def test_version_1_answers_the_new_questions_too() -> None:
    venue = market()

    assert isinstance(venue.query(ALICE, GetAccount(account=ALICE)), queries.AccountInfo)
    assert venue.query(ALICE, GetOrders(account=ALICE)) == queries.Orders([])
