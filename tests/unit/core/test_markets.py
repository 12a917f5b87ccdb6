"""Listings, scales, bounds, and an instrument's life."""

import itertools

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    USD,
    Venue,
    buy,
    founded,
    kinds,
    listing,
    market,
    refusal,
    sell,
)

from steelyard.core import Reject
from steelyard.core.commands import ListAsset, ListInstrument, SetInstrumentState
from steelyard.core.events import AssetListed, InstrumentListed, InstrumentStateChanged, OrderCancelled
from steelyard.core.instruments import MOVES, spot_scales
from steelyard.core.units import AssetId, InstrumentId, InstrumentState

PRE_OPEN, POST_ONLY, OPEN, CANCEL_ONLY, HALTED, CLOSED, AUCTION = InstrumentState


def with_assets(base_decimals: int = 8, quote_decimals: int = 8) -> Venue:
    venue = founded()
    venue.accepted(ListAsset(asset=BTC, symbol="BTC", decimals=base_decimals))
    venue.accepted(ListAsset(asset=USD, symbol="USD", decimals=quote_decimals))
    return venue


def test_an_asset_is_listed() -> None:
    outcome = founded().operate(ListAsset(asset=BTC, symbol="BTC", decimals=8))

    assert outcome.events == [AssetListed(asset=BTC, symbol="BTC", decimals=8)]


@pytest.mark.parametrize(
    ("asset", "symbol", "decimals", "reason"),
    [
        (0, "ETH", 8, Reject.MALFORMED),
        (-1, "ETH", 8, Reject.MALFORMED),
        (2**62, "ETH", 8, Reject.MALFORMED),
        (7, "", 8, Reject.MALFORMED),
        (7, "x" * 33, 8, Reject.MALFORMED),
        (7, "E TH", 8, Reject.MALFORMED),
        (7, "ÉTH", 8, Reject.MALFORMED),
        (7, "ETH", -1, Reject.MALFORMED),
        (7, "ETH", 19, Reject.MALFORMED),
        (7, "ETH", 2**62, Reject.MALFORMED),
        (1, "ETH", 8, Reject.ASSET_EXISTS),
        (7, "BTC", 8, Reject.ASSET_EXISTS),
    ],
)
def test_a_bad_asset_is_refused(asset: int, symbol: str, decimals: int, reason: Reject) -> None:
    venue = with_assets()
    before = venue.business()

    outcome = venue.operate(ListAsset(asset=AssetId(asset), symbol=symbol, decimals=decimals))

    assert refusal(outcome) == reason
    assert venue.business() == before


def test_an_instrument_is_listed_with_its_scales() -> None:
    venue = with_assets()

    outcome = venue.operate(listing(tick_decimals=2, lot_decimals=3))

    assert outcome.events == [
        InstrumentListed(
            instrument=BTC_USD, symbol="BTC-USD", base=BTC, quote=USD, lot_atoms=10**5, tick_lot_atoms=1000
        )
    ]
    assert venue.exchange.state.markets.instruments[BTC_USD].state == PRE_OPEN


def test_the_scales_of_the_design_example() -> None:
    # Tick 0.01 USDT, lot 0.001 ETH, 8 decimals.
    scales = spot_scales(listing(tick_decimals=2, lot_decimals=3), 8, 8)

    assert scales is not None
    assert scales.tick_lot_atoms == 1000
    assert 3 * 145_684 * scales.tick_lot_atoms == 437_052_000


@pytest.mark.parametrize(
    ("tick_decimals", "lot_decimals", "base_decimals", "quote_decimals", "exact"),
    [(2, 6, 8, 8, True), (3, 6, 8, 8, False), (0, 8, 8, 8, True), (0, 9, 8, 18, False), (0, 0, 0, 0, True)],
)
def test_scales_that_are_no_integers_are_refused(
    tick_decimals: int, lot_decimals: int, base_decimals: int, quote_decimals: int, exact: bool
) -> None:
    venue = with_assets(base_decimals, quote_decimals)
    terms = listing(
        tick_decimals=tick_decimals, lot_decimals=lot_decimals, price_max_ticks=100, size_max_lots=100
    )

    outcome = venue.operate(terms)

    if exact:
        assert kinds(outcome.events) == ["InstrumentListed"]
    else:
        assert refusal(outcome) == Reject.SCALE_NOT_INTEGER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument": 0}, Reject.MALFORMED),
        ({"instrument": -1}, Reject.MALFORMED),
        ({"instrument": 2**62}, Reject.MALFORMED),
        ({"symbol": ""}, Reject.MALFORMED),
        ({"symbol": "a b"}, Reject.MALFORMED),
        ({"quote": BTC}, Reject.MALFORMED),
        ({"tick_mantissa": 0}, Reject.MALFORMED),
        ({"tick_mantissa": -1}, Reject.MALFORMED),
        ({"lot_mantissa": 0}, Reject.MALFORMED),
        ({"tick_decimals": -1}, Reject.MALFORMED),
        ({"tick_decimals": 19}, Reject.MALFORMED),
        ({"lot_decimals": 2**62}, Reject.MALFORMED),
        ({"price_max_ticks": 0}, Reject.MALFORMED),
        ({"size_max_lots": -1}, Reject.MALFORMED),
        ({"notional_min_atoms": -1}, Reject.MALFORMED),
        ({"notional_min_atoms": 2**62}, Reject.MALFORMED),
        ({"market_protection_ppm": -1}, Reject.MALFORMED),
        ({"market_protection_ppm": 1_000_001}, Reject.MALFORMED),
        ({"base": AssetId(9)}, Reject.UNKNOWN_ASSET),
        ({"quote": AssetId(9)}, Reject.UNKNOWN_ASSET),
        ({"symbol": "TAKEN"}, Reject.INSTRUMENT_EXISTS),
        ({"instrument": 7}, Reject.INSTRUMENT_EXISTS),
        ({"price_max_ticks": 2**62}, Reject.BOUNDS_TOO_WIDE),
        ({"size_max_lots": 2**64 - 1}, Reject.BOUNDS_TOO_WIDE),
        ({"tick_mantissa": 2**64 - 1}, Reject.BOUNDS_TOO_WIDE),
        ({"lot_mantissa": 2**64 - 1}, Reject.BOUNDS_TOO_WIDE),
        ({"price_max_ticks": 10**9, "size_max_lots": 10**9 + 1}, Reject.BOUNDS_TOO_WIDE),
        ({"taker_ppm": -1}, Reject.FEE_OUT_OF_RANGE),
        ({"taker_ppm": 100_001}, Reject.FEE_OUT_OF_RANGE),
        ({"maker_ppm": 100_001}, Reject.FEE_OUT_OF_RANGE),
        ({"maker_ppm": -11, "taker_ppm": 10}, Reject.FEE_OUT_OF_RANGE),
        ({"taker_ppm": 2**64 - 1}, Reject.FEE_OUT_OF_RANGE),
    ],
)
def test_a_bad_listing_is_refused(changes: dict[str, int], reason: Reject) -> None:
    venue = with_assets(0, 0)
    venue.accepted(listing(instrument=InstrumentId(7), symbol="TAKEN"))
    before = venue.business()

    assert refusal(venue.operate(msgspec.structs.replace(listing(), **changes))) == reason

    assert venue.business() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"price_max_ticks": 10**9, "size_max_lots": 10**9},
        {"maker_ppm": -10, "taker_ppm": 10},
        {"maker_ppm": 100_000, "taker_ppm": 100_000},
        {"market_protection_ppm": 0},
        {"market_protection_ppm": 1_000_000},
    ],
)
def test_a_listing_at_its_bounds_is_accepted(changes: dict[str, int]) -> None:
    venue = with_assets(0, 0)

    assert venue.operate(msgspec.structs.replace(listing(), **changes)).events


def test_the_base_must_fit_the_ledger_too() -> None:
    # One atom of the quote per tick and lot, but 10**18 of the base per lot.
    venue = with_assets(18, 0)
    terms = listing(price_max_ticks=10, size_max_lots=2)

    assert refusal(venue.operate(terms)) == Reject.BOUNDS_TOO_WIDE
    assert venue.operate(msgspec.structs.replace(terms, size_max_lots=1)).events


def test_the_largest_order_of_the_widest_listing_fits() -> None:
    venue = market(
        listing(price_max_ticks=1, size_max_lots=10**18, taker_ppm=100_000, maker_ppm=100_000), funds_atoms=0
    )
    venue.deposit(ALICE, USD, 2 * 10**18)
    venue.deposit(BOB, BTC, 10**18)

    assert kinds(venue.place(ALICE, buy(1, 10**18, 1)).events)[-1] == "OrderRested"
    assert kinds(venue.place(BOB, sell(1, 10**18, 1)).events)[-1] == "OrderFilled"
    assert venue.free_atoms(ALICE, USD) == 2 * 10**18 - 10**18 - 10**17


def test_the_first_fault_of_a_listing_is_reported() -> None:
    venue = with_assets(0, 0)
    venue.accepted(listing(instrument=InstrumentId(7), symbol="TAKEN"))
    terms = listing(
        instrument=InstrumentId(7), tick_decimals=1, price_max_ticks=2**62, taker_ppm=-1, base=AssetId(9)
    )
    reasons: list[Reject] = []
    for fix in ({}, {"base": BTC}, {"instrument": 8}, {"tick_decimals": 0}, {"price_max_ticks": 10}):
        terms = msgspec.structs.replace(terms, **fix)
        reasons.append(refusal(venue.operate(terms)))

    assert reasons == [
        Reject.UNKNOWN_ASSET,
        Reject.INSTRUMENT_EXISTS,
        Reject.SCALE_NOT_INTEGER,
        Reject.BOUNDS_TOO_WIDE,
        Reject.FEE_OUT_OF_RANGE,
    ]
    assert reasons == sorted(reasons)


#: A way to each state from PRE_OPEN.
WAYS: dict[InstrumentState, tuple[InstrumentState, ...]] = {
    PRE_OPEN: (),
    POST_ONLY: (POST_ONLY,),
    OPEN: (POST_ONLY, OPEN),
    CANCEL_ONLY: (POST_ONLY, OPEN, CANCEL_ONLY),
    HALTED: (POST_ONLY, OPEN, HALTED),
    CLOSED: (CLOSED,),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WAYS, WAYS)))
def test_an_instrument_moves_only_as_the_table_says(before: InstrumentState, after: InstrumentState) -> None:
    venue = with_assets(0, 0)
    venue.accepted(listing())
    venue.move(*WAYS[before])

    outcome = venue.operate(SetInstrumentState(instrument=BTC_USD, state=after))

    if after in MOVES[before]:
        assert outcome.events == [InstrumentStateChanged(instrument=BTC_USD, before=before, after=after)]
        assert venue.exchange.state.markets.instruments[BTC_USD].state == after
    else:
        assert refusal(outcome) == Reject.STATE_MOVE
        assert venue.exchange.state.markets.instruments[BTC_USD].state == before


def test_the_table_of_moves_is_the_one_of_the_design() -> None:
    assert {(before, after) for before in MOVES for after in MOVES[before]} == {
        (PRE_OPEN, POST_ONLY),
        *itertools.permutations((POST_ONLY, OPEN, CANCEL_ONLY, HALTED), 2),
        *((AUCTION, after) for after in (CANCEL_ONLY, HALTED)),
        *((state, CLOSED) for state in InstrumentState if state != CLOSED),
    } - {(CANCEL_ONLY, OPEN), (HALTED, OPEN)}


@pytest.mark.parametrize("instrument", [0, -1, 9, 2**63])
def test_an_unknown_instrument_has_no_state_to_change(instrument: int) -> None:
    venue = market()

    outcome = venue.operate(SetInstrumentState(instrument=InstrumentId(instrument), state=HALTED))

    assert refusal(outcome) == Reject.UNKNOWN_INSTRUMENT


def test_only_an_operator_moves_an_instrument() -> None:
    venue = market()

    assert refusal(venue.ask(ALICE, SetInstrumentState(instrument=BTC_USD, state=HALTED))) == (
        Reject.NOT_PERMITTED
    )
    assert refusal(venue.ask(ALICE, listing(instrument=InstrumentId(2), symbol="X"))) == Reject.NOT_PERMITTED


def test_closing_cancels_all_orders_in_the_order_of_their_numbers() -> None:
    venue = market()
    for number, command in enumerate((buy(1, 3, 10), sell(2, 4, 20), buy(3, 5, 12), sell(4, 6, 15)), 1):
        venue.place(ALICE if number % 2 else BOB, command)

    outcome = venue.operate(SetInstrumentState(instrument=BTC_USD, state=CLOSED))

    assert kinds(outcome.events) == ["InstrumentStateChanged"] + 4 * ["OrderCancelled"]
    cancelled = [event for event in outcome.events if isinstance(event, OrderCancelled)]
    assert [(event.number, event.open_lots) for event in cancelled] == [(1, 3), (2, 4), (3, 5), (4, 6)]
    for account, asset in itertools.product((ALICE, BOB), (BTC, USD)):
        assert venue.held_atoms(account, asset) == 0
        assert venue.free_atoms(account, asset) == 1_000_000
    assert not venue.exchange.state.orders


def test_closing_one_instrument_leaves_another_alone() -> None:
    venue = market()
    other: ListInstrument = listing(instrument=InstrumentId(2), symbol="OTHER")
    venue.accepted(other)
    venue.move(POST_ONLY, OPEN, instrument=InstrumentId(2))
    venue.place(ALICE, msgspec.structs.replace(buy(1, 1, 1), instrument=InstrumentId(2)))

    venue.move(CLOSED)

    assert len(venue.exchange.state.orders) == 1


def test_listings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.markets.ASSETS_MAX", 2)
    monkeypatch.setattr("steelyard.core.handlers.markets.INSTRUMENTS_MAX", 1)
    venue = market()

    assert refusal(venue.operate(ListAsset(asset=AssetId(3), symbol="ETH", decimals=8))) == (
        Reject.TOO_MANY_LISTINGS
    )
    assert refusal(venue.operate(listing(instrument=InstrumentId(2), symbol="X"))) == Reject.TOO_MANY_LISTINGS
