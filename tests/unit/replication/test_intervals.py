"""Every interval begins where the calendar says, from 1970 on and across leap days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.replication.candles import Candle, Trade, joined
from steelyard.replication.intervals import DAY_S, STORED, Interval, end_s, parts_of, start_s

#: Four hundred years and more: every kind of leap year.
times_s = st.integers(0, 450 * 366 * DAY_S)


def seconds(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


@given(st.sampled_from(Interval), times_s)
def test_every_moment_lies_in_one_interval_and_the_next_one_follows_at_once(
    interval: Interval, time_s: int
) -> None:
    begin_s = start_s(interval, time_s)
    finish_s = end_s(interval, begin_s)
    assert begin_s <= time_s < finish_s
    assert start_s(interval, begin_s) == begin_s
    assert start_s(interval, finish_s - 1) == begin_s
    assert start_s(interval, finish_s) == finish_s


@given(times_s)
def test_months_begin_on_their_first_day_and_weeks_on_monday(time_s: int) -> None:
    day = date(1970, 1, 1) + timedelta(days=time_s // DAY_S)
    first = (day.replace(day=1) - date(1970, 1, 1)).days
    monday = (day - timedelta(days=day.weekday()) - date(1970, 1, 1)).days
    assert start_s(Interval.MONTH, time_s) == first * DAY_S
    assert start_s(Interval.WEEK, time_s) == monday * DAY_S


@pytest.mark.parametrize(
    ("interval", "time_s", "begin_s"),
    [
        (Interval.MONTH, seconds(2024, 2, 29, 23, 59, 59), seconds(2024, 2, 1)),
        (Interval.MONTH, seconds(2024, 3, 1), seconds(2024, 3, 1)),
        (Interval.MONTH, seconds(2100, 2, 28, 23, 59, 59), seconds(2100, 2, 1)),
        (Interval.MONTH, seconds(2100, 3, 1), seconds(2100, 3, 1)),
        (Interval.MONTH, seconds(2000, 2, 29), seconds(2000, 2, 1)),
        (Interval.MONTH, seconds(1999, 12, 31, 23, 59, 59), seconds(1999, 12, 1)),
        (Interval.WEEK, seconds(2024, 3, 3, 23, 59, 59), seconds(2024, 2, 26)),
        (Interval.WEEK, seconds(2024, 3, 4), seconds(2024, 3, 4)),
        (Interval.DAYS_3, 4 * DAY_S, 3 * DAY_S),
        (Interval.HOURS_12, seconds(2024, 2, 29, 11, 59, 59), seconds(2024, 2, 29)),
        (Interval.MINUTES_30, seconds(2024, 2, 29, 11, 59, 59), seconds(2024, 2, 29, 11, 30)),
    ],
)
def test_intervals_begin_where_the_calendar_says(interval: Interval, time_s: int, begin_s: int) -> None:
    assert start_s(interval, time_s) == begin_s


@given(st.sampled_from(Interval), times_s)
def test_every_interval_consists_of_whole_stored_ones(interval: Interval, time_s: int) -> None:
    parts = parts_of(interval)
    assert parts in STORED
    begin_s = start_s(interval, time_s)
    assert start_s(parts, begin_s) == begin_s
    assert start_s(parts, end_s(interval, begin_s)) == end_s(interval, begin_s)


trades = st.lists(
    st.builds(
        Trade, st.integers(0, 10**19), st.integers(1, 9), st.integers(1, 5), st.integers(1, 50), st.booleans()
    ),
    max_size=40,
).map(sorted)


@given(st.sampled_from(Interval), trades)
def test_candles_joined_from_stored_ones_are_those_of_the_trades(interval: Interval, of: list[Trade]) -> None:
    def made(length: Interval) -> list[Candle]:
        return joined(length, (Candle.of(start_s(length, trade.time_ns // 10**9), trade) for trade in of))

    assert joined(interval, made(parts_of(interval))) == made(interval)
    assert sum(candle.trades for candle in made(interval)) == len(of)
