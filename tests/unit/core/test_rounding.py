"""The divisions, at both signs."""

from steelyard.core.rounding import (
    exact_div,
    mul_div_down,
    mul_div_half_up,
    mul_div_towards_zero,
    mul_div_up,
    ppm_up,
)


def test_down_is_towards_minus_infinity() -> None:
    assert mul_div_down(7, 3, 2) == 10
    assert mul_div_down(-7, 3, 2) == -11
    assert mul_div_down(4, 3, 2) == 6


def test_up_is_towards_plus_infinity() -> None:
    assert mul_div_up(7, 3, 2) == 11
    assert mul_div_up(-7, 3, 2) == -10
    assert mul_div_up(4, 3, 2) == 6


def test_a_rate_in_ppm_rounds_up() -> None:
    assert ppm_up(1, 1) == 1
    assert ppm_up(1_000_000, 1) == 1
    assert ppm_up(1_000_001, 1) == 2
    assert ppm_up(1, -1) == 0
    assert ppm_up(1_000_001, -1) == -1


def test_exact_division_gives_none_when_something_is_left() -> None:
    assert exact_div(12, 4) == 3
    assert exact_div(13, 4) is None


def test_nothing_wraps_at_the_edge_of_64_bits() -> None:
    assert mul_div_down(2**62, 2**62, 2**62) == 2**62
    assert mul_div_up(2**62, 10**6 - 1, 10**6) == 2**62 - 2**62 // 10**6


def test_halves_round_upwards() -> None:
    quarters = (-6, -5, -2, -1, 0, 1, 2, 5, 6)
    assert [mul_div_half_up(n, 1, 4) for n in quarters] == [-1, -1, 0, 0, 0, 0, 1, 1, 2]
    assert mul_div_half_up(7, 1, 3) == 2
    assert mul_div_half_up(8, 1, 3) == 3


def test_towards_zero_is_the_same_for_both_signs() -> None:
    assert mul_div_towards_zero(7, 3, 2) == 10
    assert mul_div_towards_zero(-7, 3, 2) == -10
    assert mul_div_towards_zero(-4, 3, 2) == -6
