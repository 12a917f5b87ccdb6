"""Funding: impact prices, premiums, rates by three rules, and what a lot owes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.commands import FundingTerms
from steelyard.core.contracts.contract import Premiums
from steelyard.core.contracts.funding import (
    PREMIUM_PPB_MAX,
    add_sample,
    dead_band_ppb,
    delta_nanoatoms,
    impact_ticks,
    interval_ppb,
    premium_ppb,
)
from steelyard.core.units import ContractKind, FundingRule

LINEAR, INVERSE = ContractKind.LINEAR, ContractKind.INVERSE
MINUTE_NS = 60 * 10**9
STEP_NS = 5 * 10**9


def rate_of(terms: FundingTerms, *samples_ppb: int, step_ns: int = STEP_NS) -> int:
    premiums = Premiums()
    for n, sample_ppb in enumerate(samples_ppb, 1):
        add_sample(premiums, terms, sample_ppb, n * step_ns)
    return interval_ppb(premiums, terms)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("premium", "rate"), [(-300_000, 100_000), (800_000, 300_000)])
def test_averaged_is_pulled_towards_the_interest(weighted: bool, premium: int, rate: int) -> None:
    assert rate_of(FundingTerms(weighted=weighted), premium, premium, premium) == rate


def test_averaged_weighs_later_samples_more_and_floors() -> None:
    plain = FundingTerms(interest_ppb=0, clamp_ppb=0, weighted=False)
    weighted = FundingTerms(interest_ppb=0, clamp_ppb=0)

    assert rate_of(plain, 0, 100, 100) == 66
    assert rate_of(weighted, 0, 100, 100) == (2 * 100 + 3 * 100) // 6 == 83
    assert rate_of(weighted, 0, -100, -100) == -84


@pytest.mark.parametrize(
    ("premium", "rate"),
    [(0, 0), (250_000, 0), (-250_000, 0), (250_001, 1), (400_000, 150_000), (-600_000, -350_000)],
)
def test_dead_band_pays_what_lies_beyond_it(premium: int, rate: int) -> None:
    assert dead_band_ppb(premium, FundingTerms(rule=FundingRule.DEAD_BAND)) == rate


def test_sampled_drops_the_tails_of_the_medians() -> None:
    terms = FundingTerms(rule=FundingRule.SAMPLED, interest_ppb=0, tails_ppm=125_000)

    rate = rate_of(terms, 100, 200, 300, 400, 10_000, -9_000, 200, 300, step_ns=MINUTE_NS)

    assert rate == 250


def test_sampled_takes_the_median_of_a_minute_that_ends_with_the_sample_at_its_end() -> None:
    terms = FundingTerms(rule=FundingRule.SAMPLED, interest_ppb=7, tails_ppm=0)

    # The twelfth sample ends the first minute, the thirteenth begins the second one.
    first = [0] * 6 + [10] * 6

    assert rate_of(terms, *first) == 5 + 7
    assert rate_of(terms, *first, 100) == (5 + 100) // 2 + 7


@pytest.mark.parametrize("rule", [FundingRule.AVERAGED, FundingRule.SAMPLED])
def test_without_samples_the_rate_is_zero(rule: FundingRule) -> None:
    assert rate_of(FundingTerms(rule=rule)) == 0


@pytest.mark.parametrize("rule", [FundingRule.AVERAGED, FundingRule.SAMPLED])
def test_the_cap_holds_on_both_sides_to_a_ppb(rule: FundingRule) -> None:
    terms = FundingTerms(rule=rule, interest_ppb=0, clamp_ppb=0, cap_ppb=1000, tails_ppm=0)

    assert [rate_of(terms, premium) for premium in (999, 1000, 1001)] == [999, 1000, 1000]
    assert [rate_of(terms, premium) for premium in (-999, -1000, -1001)] == [-999, -1000, -1000]


def test_the_cap_holds_for_the_dead_band() -> None:
    terms = FundingTerms(rule=FundingRule.DEAD_BAND, dead_band_ppb=0, cap_ppb=1000)

    assert [dead_band_ppb(premium, terms) for premium in (999, 1001, -1001)] == [999, 1000, -1000]


def test_the_premium_is_what_the_impact_prices_lie_beyond_the_index() -> None:
    assert premium_ppb(1000, 1001, 1003) == 1_000_000
    assert premium_ppb(1000, 990, 998) == -2_000_000
    assert premium_ppb(1000, 990, 1010) == 0
    assert premium_ppb(1000, None, None) == 0
    assert premium_ppb(3, None, 2) == -333_333_334
    assert premium_ppb(1, 10**12, None) == PREMIUM_PPB_MAX


def test_an_impact_price_takes_whole_levels_and_of_the_last_one_as_little_as_suffices() -> None:
    # 5 * 100 * 10 = 5000 atoms of the first level, and one of the three lots of the second one.
    bids = [(100, 5), (99, 3)]

    assert impact_ticks(LINEAR, 10, bids, 5001, selling=True) == (5 * 100 + 99) // 6 == 99
    assert impact_ticks(LINEAR, 10, bids, 5000, selling=True) == 100
    assert impact_ticks(LINEAR, 10, [(100, 5), (101, 3)], 5001, selling=False) == 101


def test_a_book_too_thin_has_no_impact_price() -> None:
    assert impact_ticks(LINEAR, 10, [(100, 5)], 5001, selling=True) is None
    assert impact_ticks(LINEAR, 10, [], 5001, selling=True) is None
    assert impact_ticks(LINEAR, 10, [], 0, selling=True) is None


def test_without_an_impact_notional_the_best_price_counts() -> None:
    assert impact_ticks(LINEAR, 10, [(100, 5), (99, 3)], 0, selling=True) == 100


def test_an_inverse_impact_price_is_weighted_by_lots_as_well() -> None:
    # S = 1000: 2 lots at 100 are 20 atoms, one at 50 is 20.
    assert impact_ticks(INVERSE, 1000, [(100, 2), (50, 4)], 40, selling=True) == 250 // 3 == 83
    assert impact_ticks(INVERSE, 1000, [(50, 1), (100, 4)], 21, selling=False) == 75
    assert impact_ticks(INVERSE, 1000, [(50, 1), (100, 4)], 31, selling=False) == 84


def test_what_a_lot_owes_is_truncated_towards_zero_once() -> None:
    assert delta_nanoatoms(LINEAR, 1, 1001, 100_000) == 100_100_000
    assert delta_nanoatoms(INVERSE, 1000, 7, 100) == 14_285
    assert delta_nanoatoms(INVERSE, 1000, 7, -100) == -14_285
    assert delta_nanoatoms(LINEAR, 1, 1001, 100_000, STEP_NS, 8 * 3600 * 10**9) == 17_378
    assert delta_nanoatoms(LINEAR, 1, 1001, -100_000, STEP_NS, 8 * 3600 * 10**9) == -17_378


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20)), max_size=6),
    st.integers(1, 3000),
    st.booleans(),
)
def test_an_impact_price_lies_between_the_prices_it_is_made_of(
    levels: list[tuple[int, int]], lots_atoms: int, selling: bool
) -> None:
    ordered = sorted(levels, reverse=selling)

    linear = impact_ticks(LINEAR, 3, ordered, lots_atoms, selling=selling)
    inverse = impact_ticks(INVERSE, 10**9, ordered, lots_atoms * 10**7, selling=selling)

    for found in (linear, inverse):
        if found is not None:
            prices = [price for price, _ in ordered]
            assert min(prices) <= found <= max(prices)
