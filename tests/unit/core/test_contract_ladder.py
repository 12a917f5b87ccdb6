"""The risk ladder: levels, hysteresis, and thresholds of several contracts."""

import pytest

from steelyard.core.commands import LiquidationTerms
from steelyard.core.contracts.ladder import level_after, level_at, thresholds
from steelyard.core.units import RiskLevel

SAFE, WARNING, DANGER, CRITICAL = RiskLevel.SAFE, RiskLevel.WARNING, RiskLevel.DANGER, RiskLevel.CRITICAL
TERMS = LiquidationTerms()


@pytest.mark.parametrize(
    ("ratio_ppm", "level"),
    [
        (0, SAFE),
        (599_999, SAFE),
        (600_000, WARNING),
        (749_999, WARNING),
        (750_000, DANGER),
        (899_999, DANGER),
        (900_000, CRITICAL),
        (10**9, CRITICAL),
    ],
)
def test_a_level_holds_from_its_threshold_on(ratio_ppm: int, level: RiskLevel) -> None:
    assert level_at(ratio_ppm, TERMS) == level


@pytest.mark.parametrize(
    ("before", "ratio_ppm", "after"),
    [
        (SAFE, 599_999, SAFE),
        (SAFE, 900_000, CRITICAL),
        (WARNING, 550_001, WARNING),
        (WARNING, 550_000, SAFE),
        (DANGER, 700_001, DANGER),
        (DANGER, 700_000, WARNING),
        (CRITICAL, 850_001, CRITICAL),
        (CRITICAL, 850_000, DANGER),
        (CRITICAL, 600_000, WARNING),
        (CRITICAL, 599_999, SAFE),
        (DANGER, 950_000, CRITICAL),
    ],
)
def test_a_level_is_left_downwards_only_well_under_its_threshold(
    before: RiskLevel, ratio_ppm: int, after: RiskLevel
) -> None:
    assert level_after(before, ratio_ppm, TERMS) == after


@pytest.mark.parametrize("threshold_ppm", [600_000, 750_000, 900_000])
def test_a_ratio_that_dithers_says_one_thing_per_direction(threshold_ppm: int) -> None:
    level, changes = SAFE, 0
    path = [0, *([threshold_ppm, threshold_ppm - 1] * 50), *([threshold_ppm - 49_999] * 3), 0, 1, 0]
    for ratio_ppm in path:
        after = level_after(level, ratio_ppm, TERMS)
        changes += after != level
        level = after
    assert (level, changes) == (SAFE, 2)


def test_of_several_contracts_the_lowest_thresholds_count_and_the_largest_hysteresis() -> None:
    early = LiquidationTerms(warning_ppm=500_000, danger_ppm=800_000, hysteresis_ppm=10_000)

    both = thresholds([TERMS, early])

    assert (both.warning_ppm, both.danger_ppm, both.critical_ppm) == (500_000, 750_000, 900_000)
    assert both.hysteresis_ppm == 50_000
    assert thresholds([TERMS, TERMS]) is TERMS
