"""The price of a call auction: most volume, least imbalance, nearest to the reference, lowest."""

from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.matching.auction import NOTHING, Clearing, clearing

Levels = dict[int, int]

LEVELS = st.dictionaries(st.integers(1, 12), st.integers(1, 9), max_size=8)


def find(bids: Levels, asks: Levels, reference_ticks: int = 0) -> Clearing:
    return clearing(sorted(bids.items(), reverse=True), sorted(asks.items()), reference_ticks)


def brute_force(bids: Levels, asks: Levels, reference_ticks: int) -> Clearing:
    """Judge every limit in the book by the four rules, one after the other."""

    def demand(price: int) -> int:
        return sum(lots for limit, lots in bids.items() if limit >= price)

    def supply(price: int) -> int:
        return sum(lots for limit, lots in asks.items() if limit <= price)

    prices = [price for price in {*bids, *asks} if min(demand(price), supply(price)) > 0]
    if not prices:
        return NOTHING
    most = max(min(demand(price), supply(price)) for price in prices)
    prices = [price for price in prices if min(demand(price), supply(price)) == most]
    least = min(abs(demand(price) - supply(price)) for price in prices)
    prices = [price for price in prices if abs(demand(price) - supply(price)) == least]
    if reference_ticks:
        nearest = min(abs(price - reference_ticks) for price in prices)
        prices = [price for price in prices if abs(price - reference_ticks) == nearest]
    price = min(prices)
    return Clearing(price, most, demand(price) - supply(price))


def test_an_empty_side_has_no_price() -> None:
    assert find({}, {}) == find({10: 1}, {}) == find({}, {10: 1}) == NOTHING


def test_bids_below_asks_have_no_price() -> None:
    assert find({9: 5, 8: 1}, {10: 5}) == NOTHING


def test_the_price_with_the_most_volume_is_taken() -> None:
    # At 10 three lots trade, at 11 five, at 12 two.
    assert find({12: 2, 11: 3}, {10: 3, 11: 2}) == Clearing(11, 5, 0)


def test_of_equal_volumes_the_least_imbalance_is_taken() -> None:
    # Four lots trade everywhere; at 11 and 12 two more are offered, though 12 is the reference.
    assert find({12: 4, 10: 1}, {8: 4, 11: 2}, 12) == Clearing(10, 4, 1)


def test_then_the_price_nearest_to_the_reference_is_taken() -> None:
    bids, asks = {12: 4}, {8: 4}

    assert find(bids, asks, 11) == Clearing(12, 4, 0)
    assert find(bids, asks, 9) == Clearing(8, 4, 0)


def test_then_the_lowest_price_is_taken() -> None:
    assert find({12: 4}, {8: 4}, 10) == find({12: 4}, {8: 4}) == Clearing(8, 4, 0)


@given(LEVELS, LEVELS, st.integers(0, 13))
def test_the_price_is_the_one_that_looking_at_every_limit_finds(
    bids: Levels, asks: Levels, reference_ticks: int
) -> None:
    assert find(bids, asks, reference_ticks) == brute_force(bids, asks, reference_ticks)
