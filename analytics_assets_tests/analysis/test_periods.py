from __future__ import annotations

import datetime as dt
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.periods import Period, Weekday, numbers, with_zeros
from analytics_assets_tests.making import day, table

periods = st.builds(Period, st.sampled_from(["hour", "day", "week", "month"]), st.sampled_from(get_args(Weekday)))
instants = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001


@settings(max_examples=60, deadline=None)
@given(periods, instants)
def test_the_engine_numbers_periods_as_python_does_and_starts_are_in_them(engine, period, instant):
    column = {"hour": ("occurred_at", "timestamp('UTC', 6)", instant)}.get(period.unit, ("day", "date", instant.date()))
    name, kind, value = column
    rows = table({name: kind}, {name: value})
    number = period.number(rows[name])
    ((found),) = engine.rows(rows.select(number=number, start=period.start(number), next=period.start(number + 1)))
    assert found["number"] == period.number_of(value) == period.number_of(found["start"])
    assert found["start"] <= value < found["next"]
    assert period.number_of(found["next"]) == found["number"] + 1
    if period.unit == "week":
        assert get_args(Weekday)[found["start"].weekday()] == period.week_start


@pytest.mark.parametrize(
    ("unit", "last", "over"),
    [
        ("day", 4, day(4)),
        ("week", 3, day(3)),
        ("week", 9, day(3)),
        ("week", 10, day(10)),
        ("month", 30, dt.date(2024, 2, 1)),
    ],
)
def test_a_period_is_over_with_its_last_day(unit, last, over):
    assert Period(unit).last_complete(day(last)) == Period(unit).number_of(over)


@pytest.mark.parametrize(("says", "message"), [(("year",), "'year'"), (("week", "Monday"), "'Monday'")])
def test_a_period_that_nobody_knows_is_refused(says, message):
    with pytest.raises(ValueError, match=message):
        Period(*says)


def test_numbers_may_be_none(engine):
    assert engine.rows(numbers(3, 2)) == []
    assert sorted(row["number"] for row in engine.rows(numbers(-1, 1))) == [-1, 0, 1]


def test_zeros_are_filled_in_and_counts_outside_stay(engine):
    counts = table({"number": "int64", "kind": "string", "users": "int64"}, {"number": 7, "kind": None, "users": 3})
    filled = engine.rows(with_zeros(counts, numbers(1, 2), ["kind"]))
    assert sorted((row["number"], row["kind"], row["users"]) for row in filled) == [
        (1, None, 0),
        (2, None, 0),
        (7, None, 3),
    ]
    assert engine.rows(with_zeros(counts.filter(counts.users > 9).drop("kind"), numbers(1, 1), [])) == [
        {"number": 1, "users": 0}
    ]
