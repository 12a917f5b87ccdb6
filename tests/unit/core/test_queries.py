"""Questions, and who may ask them."""

import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    PUBLIC_KEY,
    READ_TRADE,
    USD,
    Venue,
    buy,
    listing,
    market,
    sell,
)

from steelyard.core import Placed, Reject, limits, queries
from steelyard.core.commands import RevokeApiKey
from steelyard.core.queries import (
    AnyQuery,
    GetBalances,
    GetBook,
    GetInstrument,
    GetKey,
    GetMarkets,
    GetOpenOrders,
    GetSession,
    GetTotals,
)
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    InstrumentId,
    InstrumentState,
    KeyId,
    Permission,
)


def busy() -> Venue:
    venue = market(listing(taker_ppm=1000))
    venue.place(ALICE, buy(1, 10, 100, label="one"))
    venue.place(ALICE, buy(2, 5, 100))
    venue.place(ALICE, sell(3, 5, 120))
    venue.place(BOB, buy(1, 3, 90))
    venue.place(BOB, sell(2, 4, 100))
    return venue


def test_a_key_can_be_looked_up_without_a_key() -> None:
    venue = market()

    assert queries.answer(venue.exchange.state, KeyId(0), GetKey(key=venue.keys[ALICE])) == queries.KeyInfo(
        venue.keys[ALICE], ALICE, PUBLIC_KEY, READ_TRADE, 0, False
    )
    assert queries.answer(venue.exchange.state, KeyId(0), GetKey(key=KeyId(99))) == Reject.UNKNOWN_KEY


def test_balances_are_listed_by_asset_and_without_empty_ones() -> None:
    venue = busy()

    assert venue.query(ALICE, GetBalances(account=ALICE)) == queries.Balances(
        [
            queries.BalanceInfo(BTC, 1_000_000 + 4 - 5, 5),
            queries.BalanceInfo(USD, 1_000_000 - 10 * 101 - 5 * 101 + 4, 6 * 101 + 5 * 101),
        ]
    )
    assert market(funds_atoms=0).query(ALICE, GetBalances(account=ALICE)) == queries.Balances([])


def test_open_orders_are_listed_by_number() -> None:
    answer = busy().query(ALICE, GetOpenOrders(account=ALICE))

    assert isinstance(answer, queries.OpenOrders)
    assert [(o.order, o.number, o.label, o.size_lots, o.open_lots) for o in answer.orders] == [
        (1, 1, "one", 10, 6),
        (2, 2, "", 5, 5),
        (3, 3, "", 5, 5),
    ]


def test_open_orders_of_one_instrument() -> None:
    venue = busy()
    venue.accepted(listing(instrument=InstrumentId(2), symbol="OTHER"))

    def count(instrument: int) -> int:
        answer = venue.query(ALICE, GetOpenOrders(account=ALICE, instrument=InstrumentId(instrument)))
        assert isinstance(answer, queries.OpenOrders)
        return len(answer.orders)

    assert (count(1), count(2)) == (3, 0)
    unknown = venue.query(ALICE, GetOpenOrders(account=ALICE, instrument=InstrumentId(9)))
    assert unknown == Reject.UNKNOWN_INSTRUMENT


def test_the_book_is_given_best_first_and_only_as_deep_as_asked() -> None:
    venue = busy()

    assert venue.query(BOB, GetBook(instrument=BTC_USD, depth=10)) == queries.Book(
        bids=[(100, 11, 2), (90, 3, 1)], asks=[(120, 5, 1)]
    )
    assert venue.query(BOB, GetBook(instrument=BTC_USD, depth=1)) == queries.Book(
        bids=[(100, 11, 2)], asks=[(120, 5, 1)]
    )


@pytest.mark.parametrize("depth", [0, -1, limits.BOOK_DEPTH_MAX + 1, 2**62])
def test_a_depth_out_of_range_is_malformed(depth: int) -> None:
    assert busy().query(BOB, GetBook(instrument=BTC_USD, depth=depth)) == Reject.MALFORMED


def test_the_book_of_an_unknown_instrument() -> None:
    assert busy().query(BOB, GetBook(instrument=InstrumentId(7), depth=1)) == Reject.UNKNOWN_INSTRUMENT


def test_markets_say_what_was_listed() -> None:
    venue = market(listing(maker_ppm=-5, taker_ppm=10, notional_min_atoms=7))

    answer = venue.query(ALICE, GetMarkets())
    standing = venue.query(ALICE, GetInstrument(instrument=BTC_USD))

    assert isinstance(answer, queries.Markets)
    assert isinstance(standing, queries.InstrumentStanding)
    assert answer.assets == [queries.AssetInfo(BTC, "BTC", 0), queries.AssetInfo(USD, "USD", 0)]
    assert answer.instruments == [
        queries.InstrumentInfo(
            instrument=BTC_USD,
            symbol="BTC-USD",
            base=BTC,
            quote=USD,
            tick_mantissa=1,
            tick_decimals=0,
            lot_mantissa=1,
            lot_decimals=0,
            lot_atoms=1,
            tick_lot_atoms=1,
            price_max_ticks=100_000,
            size_max_lots=10_000,
            notional_min_atoms=7,
            maker_ppm=-5,
            taker_ppm=10,
            market_protection_ppm=50_000,
            state=InstrumentState.OPEN,
            standing=standing,
        )
    ]


def test_totals_show_where_every_atom_is() -> None:
    answer = busy().query(OPERATOR, GetTotals())

    assert isinstance(answer, queries.Totals)
    assert answer.totals == [
        queries.AssetTotal(BTC, 3_000_000, -3_000_000, 0, 0, 0),
        queries.AssetTotal(USD, 2_999_999, -3_000_000, 1, 0, 0),
    ]


def test_a_session_says_where_it_stands_and_what_it_keeps() -> None:
    venue = busy()

    def numbers(replies_from: int) -> list[int]:
        answer = venue.query(ALICE, GetSession(account=ALICE, name="main", replies_from=replies_from))
        assert isinstance(answer, queries.SessionInfo)
        assert (answer.session, answer.last_request, answer.wants_from) == (venue.sessions[ALICE], 3, 1)
        assert all(isinstance(reply, Placed) and index > 0 for index, reply in answer.replies)
        return [reply.request for _, reply in answer.replies]

    assert numbers(1) == [1, 2, 3]
    assert numbers(0) == numbers(-5) == [1, 2, 3]
    assert numbers(3) == [3]
    assert numbers(4) == numbers(2**62) == []


def test_a_session_that_is_not_there() -> None:
    venue = busy()
    assert venue.query(ALICE, GetSession(account=ALICE, name="other")) == Reject.UNKNOWN_SESSION

    venue.send(after_ns=limits.SESSION_IDLE_NS)
    assert venue.query(ALICE, GetSession(account=ALICE, name="main")) == Reject.SESSION_EXPIRED


OF_ALICE: list[AnyQuery] = [
    GetSession(account=ALICE, name="main"),
    GetBalances(account=ALICE),
    GetOpenOrders(account=ALICE),
]
PUBLIC: list[AnyQuery] = [GetBook(instrument=BTC_USD, depth=1), GetMarkets()]


@pytest.mark.parametrize("query", OF_ALICE)
def test_only_the_owner_and_operators_may_read_an_account(query: AnyQuery) -> None:
    venue = busy()

    assert not isinstance(venue.query(ALICE, query), Reject)
    assert not isinstance(venue.query(OPERATOR, query), Reject)
    assert venue.query(BOB, query) == Reject.NOT_PERMITTED


@pytest.mark.parametrize("query", OF_ALICE)
def test_a_key_without_the_permission_to_read_reads_nothing(query: AnyQuery) -> None:
    venue = busy()
    venue.keys[ALICE] = venue.create_key(ALICE, int(Permission.TRADE))

    assert venue.query(ALICE, query) == Reject.NOT_PERMITTED


@pytest.mark.parametrize("query", PUBLIC)
def test_what_is_public_needs_any_valid_key(query: AnyQuery) -> None:
    venue = busy()
    assert not isinstance(venue.query(BOB, query), Reject)
    assert queries.answer(venue.exchange.state, KeyId(99), query) == Reject.UNKNOWN_KEY


@pytest.mark.parametrize("query", [*OF_ALICE, *PUBLIC])
def test_a_key_that_is_over_reads_nothing(query: AnyQuery) -> None:
    venue = busy()
    venue.accepted(RevokeApiKey(key=venue.keys[ALICE]))
    assert venue.query(ALICE, query) == Reject.KEY_EXPIRED

    venue.keys[ALICE] = venue.create_key(ALICE, expires_ns=venue.exchange.time_ns + 10_000)
    assert venue.query(ALICE, query) != Reject.KEY_EXPIRED
    venue.send(after_ns=10_000)
    assert venue.query(ALICE, query) == Reject.KEY_EXPIRED


def test_totals_are_for_operators() -> None:
    assert busy().query(ALICE, GetTotals()) == Reject.NOT_PERMITTED


@pytest.mark.parametrize("account", [0, 1, 4242, -1, 2**63])
def test_an_account_that_is_not_there(account: int) -> None:
    venue = busy()

    assert queries.answer(venue.exchange.state, OPERATOR_KEY, GetBalances(account=AccountId(account))) == (
        Reject.UNKNOWN_ACCOUNT
    )


def test_asking_changes_nothing() -> None:
    venue = busy()
    before = venue.everything()
    for query in [*OF_ALICE, *PUBLIC, GetTotals(), GetKey(key=KeyId(1))]:
        venue.query(OPERATOR, query)

    assert venue.everything() == before
