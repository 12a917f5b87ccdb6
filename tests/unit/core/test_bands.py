"""Where prices may be: between factors of a reference, ends included, both rounded inwards."""

import pytest
from tests.helpers.builders import BTC_USD, listing

from steelyard.core.commands import SetInstrumentRules
from steelyard.core.instruments import (
    NO_BOUNDS,
    Instrument,
    collar,
    execution_bounds,
    halt_bounds,
    halt_window,
    reference_ticks,
)
from steelyard.core.units import InstrumentState, Side


def instrument(*, last_ticks: int = 0, mark_ticks: int = 0, **rules: int) -> Instrument:
    made = Instrument(listing(), 1, 1, InstrumentState.OPEN)
    made.rules = SetInstrumentRules(instrument=BTC_USD, **rules)  # type: ignore[arg-type]
    made.last_ticks = last_ticks
    made.mark_ticks = mark_ticks
    return made


def test_the_reference_is_the_mark_else_the_last_price() -> None:
    assert reference_ticks(instrument()) == 0
    assert reference_ticks(instrument(last_ticks=7)) == 7
    assert reference_ticks(instrument(last_ticks=7, mark_ticks=9)) == 9


def test_a_reference_of_ten_with_a_half_and_two_allows_five_to_twenty() -> None:
    bounds = execution_bounds(
        instrument(last_ticks=1000, execution_down_ppm=500_000, execution_up_ppm=2_000_000)
    )

    assert [bounds.allow(ticks) for ticks in (499, 500, 2000, 2001)] == [False, True, True, False]


def test_bounds_between_two_ticks_round_inwards() -> None:
    # 7 * 0.6 = 4.2 and 7 * 1.4 = 9.8.
    bounds = execution_bounds(
        instrument(last_ticks=7, execution_down_ppm=600_000, execution_up_ppm=1_400_000)
    )

    assert [bounds.allow(ticks) for ticks in (4, 5, 9, 10)] == [False, True, True, False]


def test_a_factor_of_zero_is_no_bound() -> None:
    upper = execution_bounds(instrument(last_ticks=100, execution_up_ppm=1_100_000))
    lower = execution_bounds(instrument(last_ticks=100, execution_down_ppm=900_000))

    assert [upper.allow(ticks) for ticks in (1, 110, 111)] == [True, True, False]
    assert [lower.allow(ticks) for ticks in (89, 90, 10**9)] == [False, True, True]


def test_without_a_reference_there_are_no_bounds() -> None:
    assert execution_bounds(instrument(execution_down_ppm=900_000)) == NO_BOUNDS
    assert collar(instrument(buy_up_ppm=1_000_000), Side.BUY) == NO_BOUNDS


def test_each_side_has_its_own_collar() -> None:
    made = instrument(
        last_ticks=100,
        buy_down_ppm=500_000,
        buy_up_ppm=1_000_000,
        sell_down_ppm=1_000_000,
        sell_up_ppm=3_000_000,
    )
    buys, sells = collar(made, Side.BUY), collar(made, Side.SELL)

    assert [buys.allow(ticks) for ticks in (49, 50, 100, 101)] == [False, True, True, False]
    assert [sells.allow(ticks) for ticks in (99, 100, 300, 301)] == [False, True, True, False]


def test_an_instrument_without_rules_has_no_bounds() -> None:
    made = instrument(last_ticks=100)
    made.rules = None

    assert collar(made, Side.SELL) == execution_bounds(made) == halt_bounds(made, 100) == NO_BOUNDS
    assert halt_window(made, 5) == (0, 0)


def test_a_halt_band_allows_what_is_exactly_so_far_from_its_anchor() -> None:
    bounds = halt_bounds(instrument(halt_ppm=50_000), 210)

    # 210 * 0.95 = 199.5 and 210 * 1.05 = 220.5.
    assert [bounds.allow(ticks) for ticks in (199, 200, 220, 221)] == [False, True, True, False]
    assert halt_bounds(instrument(halt_ppm=100_000), 200) == (180, 220)


def test_a_halt_band_wider_than_the_price_has_no_lower_end() -> None:
    assert halt_bounds(instrument(halt_ppm=2_000_000), 100) == (0, 300)


@pytest.mark.parametrize(("time_ns", "window"), [(1099, (90, 100)), (1100, (95, 1100)), (5000, (95, 5000))])
def test_a_window_lasts_until_its_time_has_passed(time_ns: int, window: tuple[int, int]) -> None:
    made = instrument(last_ticks=95, halt_ppm=50_000, halt_window_ns=1000)
    made.anchor_ticks, made.anchor_ns = 90, 100

    assert halt_window(made, time_ns) == window


def test_no_window_begins_before_there_is_a_last_price() -> None:
    assert halt_window(instrument(mark_ticks=9, halt_ppm=50_000, halt_window_ns=1000), 7) == (0, 0)
