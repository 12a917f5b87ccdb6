"""Decimals at the edge: exact, or refused before anything is sent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.client import (
    Asset,
    CancelOrder,
    Instrument,
    InstrumentState,
    OrderKind,
    Placed,
    PlaceOrder,
    PriceOffStep,
    Side,
    SizeOffStep,
    TimeInForce,
)
from steelyard.client.admin import mantissa_and_decimals
from steelyard.client.orders import cancel, order

BTC_USD = Instrument(
    instrument=1,
    symbol="BTC-USD",
    base=Asset(1, "BTC", 8),
    quote=Asset(2, "USD", 2),
    tick_mantissa=5,
    tick_decimals=1,
    lot_mantissa=2,
    lot_decimals=2,
    lot_atoms=2_000_000,
    tick_lot_atoms=1,
    price_max_ticks=10**6,
    size_max_lots=10**4,
    notional_min_atoms=1,
    maker_ppm=0,
    taker_ppm=0,
    market_protection_ppm=50_000,
    state=InstrumentState.OPEN,
)


def test_steps_are_what_the_listing_says() -> None:
    assert (BTC_USD.tick, BTC_USD.lot) == (Decimal("0.5"), Decimal("0.02"))
    assert BTC_USD.ticks(Decimal("65123.5")) == 130_247
    assert BTC_USD.ticks(7) == 14
    assert BTC_USD.lots(Decimal("1.0400")) == 52
    assert BTC_USD.price(130_247) == Decimal("65123.5")
    assert BTC_USD.size(52) == Decimal("1.04")


@given(st.integers(-(10**30), 10**30))
def test_a_multiple_of_the_step_comes_back_exactly_however_large(steps: int) -> None:
    price = Decimal(steps * 5).scaleb(-1) if abs(steps) < 10**27 else steps // 2
    ticks = BTC_USD.ticks(price)
    assert ticks == (steps if abs(steps) < 10**27 else steps // 2 * 2)


@pytest.mark.parametrize("limit", ["65123.4", "0.50000000000000000000000000000000001", "NaN", "Infinity"])
def test_a_price_off_step_is_refused(limit: str) -> None:
    with pytest.raises(PriceOffStep):
        BTC_USD.ticks(Decimal(limit))


@pytest.mark.parametrize("size", ["0.01", "1.999", "-Infinity"])
def test_a_size_off_step_is_refused(size: str) -> None:
    with pytest.raises(SizeOffStep):
        BTC_USD.lots(Decimal(size))


@pytest.mark.parametrize("number", [0.5, 1.0, "1", True, None])
def test_only_exact_numbers_are_taken(number: object) -> None:
    with pytest.raises(TypeError):
        BTC_USD.ticks(number)  # type: ignore[arg-type]


def test_assets_convert_between_units_and_atoms() -> None:
    assert BTC_USD.base.atoms(Decimal("0.00000003")) == 3
    assert BTC_USD.base.amount(150_000_000) == Decimal("1.5")
    with pytest.raises(SizeOffStep):
        BTC_USD.quote.atoms(Decimal("0.001"))


def test_an_order_in_decimals_becomes_integers() -> None:
    command = order(BTC_USD, Side.BUY, size=Decimal("0.04"), limit=Decimal("10.5"), post_only=True)
    assert command == PlaceOrder(
        instrument=1,
        side=Side.BUY,
        size_lots=2,
        limit_ticks=21,
        post_only=True,
        time_in_force=TimeInForce.GTC,
    )


def test_a_market_order_has_no_limit_and_never_rests() -> None:
    command = order(BTC_USD, Side.SELL, size_lots=3, market=True)
    assert (command.kind, command.limit_ticks, command.time_in_force) == (
        OrderKind.MARKET,
        0,
        TimeInForce.IOC,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit_ticks": 5},
        {"size_lots": 1, "size": Decimal(1), "limit_ticks": 5},
        {"size_lots": 1},
        {"size_lots": 1, "limit": Decimal(1), "limit_ticks": 5},
        {"size_lots": 1, "limit_ticks": 5, "market": True},
        {"size_lots": 1.0, "limit_ticks": 5},
        {"size_lots": 1, "limit_ticks": True},
    ],
)
def test_an_order_that_says_too_little_or_too_much_is_a_type_error(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        order(BTC_USD, Side.BUY, **arguments)  # type: ignore[arg-type]


def test_a_cancel_names_what_place_returned_by_its_number() -> None:
    placed = Placed(1, 2, 3, number=77, executed_lots=0, executed_atoms=0, fee_atoms=0, open_lots=1)
    assert cancel(placed) == CancelOrder(number=77)
    assert cancel(5) == CancelOrder(order=5)
    assert cancel(None, label="x") == CancelOrder(label="x")


@pytest.mark.parametrize(
    ("step", "expected"),
    [("0.5", (5, 1)), ("0.010", (1, 2)), ("10", (10, 0)), ("1E+2", (100, 0)), ("2.50", (25, 1))],
)
def test_a_step_is_sent_as_its_smallest_integers(step: str, expected: tuple[int, int]) -> None:
    assert mantissa_and_decimals(Decimal(step)) == expected


@pytest.mark.parametrize("step", ["0", "-1", "NaN", "Infinity"])
def test_a_step_must_be_above_zero(step: str) -> None:
    with pytest.raises(ValueError, match="step"):
        mantissa_and_decimals(Decimal(step))


def test_a_step_must_be_exact() -> None:
    with pytest.raises(TypeError):
        mantissa_and_decimals(0.1)  # type: ignore[arg-type]
