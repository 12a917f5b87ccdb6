"""The risk ladder: which level a scope stands on, and that a ratio that dithers says nothing new."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from steelyard.core.commands import LiquidationTerms
from steelyard.core.units import RiskLevel

_SAFE: Final = RiskLevel.SAFE
_WARNING: Final = RiskLevel.WARNING
_DANGER: Final = RiskLevel.DANGER
_CRITICAL: Final = RiskLevel.CRITICAL


class Thresholds(NamedTuple):
    """From which ratio on each level holds, and how far under its threshold it is left."""

    warning_ppm: int
    danger_ppm: int
    critical_ppm: int
    hysteresis_ppm: int


#: Those of one contract, or of several.
AnyThresholds = Thresholds | LiquidationTerms


def thresholds(all_terms: Iterable[LiquidationTerms]) -> AnyThresholds:
    """Return the thresholds of a scope with lots in these contracts (at least one): the lowest of each.

    The hysteresis is the largest.
    """
    found: AnyThresholds | None = None
    for terms in all_terms:
        if found is None:
            found = terms
        elif found is not terms:
            found = Thresholds(
                min(found.warning_ppm, terms.warning_ppm),
                min(found.danger_ppm, terms.danger_ppm),
                min(found.critical_ppm, terms.critical_ppm),
                max(found.hysteresis_ppm, terms.hysteresis_ppm),
            )
    assert found is not None, "a scope without lots needs no thresholds"
    return found


def level_at(ratio_ppm: int, at: AnyThresholds) -> RiskLevel:
    """Return the highest level whose threshold the ratio reaches; never LIQUIDATING."""
    if ratio_ppm < at.warning_ppm:
        return _SAFE
    if ratio_ppm < at.danger_ppm:
        return _WARNING
    return _DANGER if ratio_ppm < at.critical_ppm else _CRITICAL


def level_after(before: RiskLevel, ratio_ppm: int, at: AnyThresholds) -> RiskLevel:
    """Return the level that follows ``before`` (not LIQUIDATING) with this ratio.

    It rises to the highest level whose threshold the ratio reaches.  It falls there as well, but only when
    the ratio is at least the hysteresis under the threshold of ``before``.
    """
    reached = level_at(ratio_ppm, at)
    if reached >= before or ratio_ppm > threshold_ppm(before, at) - at.hysteresis_ppm:
        return max(before, reached)
    return reached


def threshold_ppm(level: RiskLevel, at: AnyThresholds) -> int:
    """Return from which ratio on a level between WARNING and CRITICAL holds."""
    if level == _WARNING:
        return at.warning_ppm
    return at.danger_ppm if level == _DANGER else at.critical_ppm
