"""An index price: which sources count, which stand out, and what the others come to."""

from steelyard.core.commands import IndexQuote
from steelyard.core.contracts.index import counting, index_ticks, median_down

SECOND_NS = 10**9
OUTLIER_PPM = 50_000


def quotes(*prices: int) -> list[IndexQuote]:
    return [
        IndexQuote(source=source, price_ticks=price, weight=1, time_ns=0)
        for source, price in enumerate(prices)
    ]


def test_one_source_that_stands_out_has_no_weight() -> None:
    # 10610 is 5.05 % from the median of all.
    assert index_ticks(quotes(10_000, 10_100, 10_610), OUTLIER_PPM) == 10_050


def test_with_two_that_stand_out_the_index_is_the_median_of_all() -> None:
    assert index_ticks(quotes(10_000, 10_050, 10_100, 10_700, 10_700), OUTLIER_PPM) == 10_100


def test_a_source_exactly_at_the_bound_still_counts_and_one_tick_further_does_not() -> None:
    assert index_ticks(quotes(10_000, 10_000, 10_500), OUTLIER_PPM) == 10_166
    assert index_ticks(quotes(10_000, 10_000, 10_501), OUTLIER_PPM) == 10_000


def test_the_mean_is_weighted_and_floored() -> None:
    weighted = [
        IndexQuote(source=1, price_ticks=1000, weight=3, time_ns=0),
        IndexQuote(source=2, price_ticks=1001, weight=4, time_ns=0),
    ]

    assert index_ticks(weighted, OUTLIER_PPM) == (3 * 1000 + 4 * 1001) // 7 == 1000


def test_one_source_is_the_index() -> None:
    assert index_ticks(quotes(777), OUTLIER_PPM) == 777


def test_two_sources_far_apart_both_stand_out_and_their_median_counts() -> None:
    assert index_ticks(quotes(100, 201), OUTLIER_PPM) == 150


def test_sources_that_are_old_or_of_times_to_come_or_without_weight_do_not_count() -> None:
    now_ns, stale_ns = 100 * SECOND_NS, 10 * SECOND_NS
    said = [
        IndexQuote(source=1, price_ticks=1, weight=1, time_ns=now_ns - stale_ns),
        IndexQuote(source=2, price_ticks=2, weight=1, time_ns=now_ns - stale_ns + 1),
        IndexQuote(source=3, price_ticks=3, weight=1, time_ns=now_ns + SECOND_NS),
        IndexQuote(source=4, price_ticks=4, weight=1, time_ns=now_ns + SECOND_NS + 1),
        IndexQuote(source=5, price_ticks=5, weight=0, time_ns=now_ns),
    ]

    assert [quote.source for quote in counting(said, stale_ns, now_ns)] == [2, 3]


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two_floored() -> None:
    assert median_down([4, 1, 2, 9]) == 3
    assert median_down([-4, -1]) == -3
    assert median_down([5, 1, 2]) == 2
