"""A mark price: the median of three, near the index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.contracts.mark import (
    basis_ticks,
    book_ticks,
    funding_ticks,
    median_of_three,
    within_band,
)

INTERVAL_NS = 8 * 3600 * 10**9
PRICES = st.integers(min_value=1, max_value=300)


def test_the_mark_is_the_median_of_three() -> None:
    one = funding_ticks(1_000_000, 100_000, INTERVAL_NS // 2, INTERVAL_NS)
    two = basis_ticks(1_000_000, [30] * 30)

    assert (one, two) == (1_000_050, 1_000_030)
    assert median_of_three(one, two, 1_000_100) == 1_000_050


def test_funding_that_is_due_already_moves_nothing() -> None:
    assert funding_ticks(1_000_000, 100_000, 0, INTERVAL_NS) == 1_000_000
    assert funding_ticks(1_000_000, 100_000, -5, INTERVAL_NS) == 1_000_000


def test_a_rate_below_zero_rounds_down_too() -> None:
    assert funding_ticks(1000, -1, INTERVAL_NS, INTERVAL_NS) == 999


def test_the_mean_basis_is_floored_and_without_samples_there_is_none() -> None:
    assert basis_ticks(1000, [1, 2]) == 1001
    assert basis_ticks(1000, [-1, -2]) == 998
    assert basis_ticks(1000, []) == 1000


@pytest.mark.parametrize(
    ("bid", "ask", "last", "expected"),
    [
        (99, 103, 101, 101),
        (99, 103, 90, 99),
        (99, 103, 0, 101),
        (99, 102, 0, 100),
        (99, None, 0, 99),
        (None, 102, 90, 96),
        (None, None, 90, 90),
        (None, None, 0, 1000),
    ],
)
def test_the_book_says_the_median_of_what_there_is(
    bid: int | None, ask: int | None, last: int, expected: int
) -> None:
    assert book_ticks(1000, bid, ask, last) == expected


def test_the_band_is_rounded_towards_the_index() -> None:
    assert within_band(900, 1001, 50_000, 10**6) == 951
    assert within_band(1200, 1001, 50_000, 10**6) == 1051
    assert within_band(1000, 1001, 50_000, 10**6) == 1000


def test_the_mark_stays_within_the_prices_of_the_contract() -> None:
    assert within_band(1040, 1001, 50_000, 1030) == 1030
    assert within_band(0, 1, 10**6, 10**6) == 1


@given(PRICES, PRICES, PRICES)
def test_the_median_of_three_is_the_one_in_the_middle(one: int, two: int, three: int) -> None:
    assert median_of_three(one, two, three) == sorted([one, two, three])[1]


@given(PRICES, PRICES, st.integers(0, 10**6))
def test_the_mark_is_within_the_band_or_at_it(price: int, index: int, band: int) -> None:
    mark = within_band(price, index, band, 10**6)

    assert index * (10**6 - band) <= mark * 10**6 or mark == 1
    assert mark * 10**6 <= index * (10**6 + band)
    assert mark == price or abs(mark - index) <= abs(price - index)
