"""When a candle begins, in integers: from one second to a calendar month, all in UTC."""

from enum import IntEnum
from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S
#: 1970-01-01 was a Thursday: three days after a Monday.
_DAYS_AFTER_MONDAY: Final = 3
_WEEK_DAYS: Final = 7

# The calendar repeats every 400 years; a year that begins in March has its leap day at the end.
_ERA_YEARS: Final = 400
_ERA_DAYS: Final = 146_097
#: From 0000-03-01 to 1970-01-01.
_EPOCH_DAYS: Final = 719_468
_FIVE_MONTHS_DAYS: Final = 153


class Interval(IntEnum):
    """How long a candle is; the numbers are those of the protocol."""

    SECOND = 1
    MINUTE = 2
    MINUTES_3 = 3
    MINUTES_5 = 4
    MINUTES_15 = 5
    MINUTES_30 = 6
    HOUR = 7
    HOURS_2 = 8
    HOURS_4 = 9
    HOURS_6 = 10
    HOURS_8 = 11
    HOURS_12 = 12
    DAY = 13
    DAYS_3 = 14
    WEEK = 15
    """From Monday."""
    MONTH = 16
    """Of the calendar."""


#: The seconds of those whose length never changes; weeks have another beginning than 1970.
_FIXED_S: Final = {
    Interval.SECOND: 1,
    Interval.MINUTE: MINUTE_S,
    Interval.MINUTES_3: 3 * MINUTE_S,
    Interval.MINUTES_5: 5 * MINUTE_S,
    Interval.MINUTES_15: 15 * MINUTE_S,
    Interval.MINUTES_30: 30 * MINUTE_S,
    Interval.HOUR: HOUR_S,
    Interval.HOURS_2: 2 * HOUR_S,
    Interval.HOURS_4: 4 * HOUR_S,
    Interval.HOURS_6: 6 * HOUR_S,
    Interval.HOURS_8: 8 * HOUR_S,
    Interval.HOURS_12: 12 * HOUR_S,
    Interval.DAY: DAY_S,
    Interval.DAYS_3: 3 * DAY_S,
}
#: Those whose candles are kept; every other interval consists of whole ones of the longest that fits.
STORED: Final = (Interval.SECOND, Interval.MINUTE, Interval.HOUR, Interval.DAY)


def start_s(interval: Interval, time_s: int) -> int:
    """Return the second at which the interval begins that holds ``time_s``, seconds since 1970."""
    length_s = _FIXED_S.get(interval)
    if length_s is not None:
        return time_s - time_s % length_s
    day = time_s // DAY_S
    if interval is Interval.WEEK:
        return (day - (day + _DAYS_AFTER_MONDAY) % _WEEK_DAYS) * DAY_S
    return _first_of_month(day) * DAY_S


def end_s(interval: Interval, begin_s: int) -> int:
    """Return the second at which the interval ends that begins at ``begin_s``: the next one begins there."""
    length_s = _FIXED_S.get(interval)
    if length_s is not None:
        return begin_s + length_s
    if interval is Interval.WEEK:
        return begin_s + _WEEK_DAYS * DAY_S
    return _first_of_month(begin_s // DAY_S + 31) * DAY_S


def parts_of(interval: Interval) -> Interval:
    """Return the stored interval of which this one consists."""
    if interval < Interval.MINUTE:
        return Interval.SECOND
    if interval < Interval.HOUR:
        return Interval.MINUTE
    return Interval.HOUR if interval < Interval.DAY else Interval.DAY


def _first_of_month(day: int) -> int:
    """Return the first day of the month that holds ``day``; both count from 1970-01-01.

    Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", ``civil_from_days``.
    """
    day_of_era = (day + _EPOCH_DAYS) % _ERA_DAYS
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // (_ERA_DAYS - 1)) // 365
    assert 0 <= year < _ERA_YEARS, year
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // _FIVE_MONTHS_DAYS
    return day - (day_of_year - (_FIVE_MONTHS_DAYS * month + 2) // 5)
