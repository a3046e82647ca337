from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.retention import Retention, retained_users, retention_cells, retention_curve
from analytics_assets_tests.making import at, day, table

STARTED = {"user_id": "string", "day": "date", "occurred_at": "timestamp('UTC', 6)", "device": "string"}
RETURNED = {**STARTED, "events": "int64"}
REVENUE = {"user_id": "string", "day": "date", "events": "int64", "revenue": "decimal(18, 4)"}
DAILY = Retention(Period("day"), periods=4)
Act = dict[str, Any]


def act(number: int, user: str | None = "ann", *, device: str | None = None, events: int = 1, hour: int = 12) -> Act:
    """Something a user did on a day of March 2024, or so many days before or after it."""
    when = day(1) + dt.timedelta(days=number - 1)
    moment = dt.datetime.combine(when, dt.time(hour), dt.UTC)
    return {"user_id": user, "day": when, "occurred_at": moment, "device": device, "events": events}


def asked(acts: Sequence[Act], types: Mapping[str, str]):
    rows = ({"events": 1, **one} for one in acts)
    return table(types, *({name: value for name, value in row.items() if name in types} for row in rows))


def cells(
    engine, started: Sequence[Act], returned: Sequence[Act] | None = None, retention: Retention = DAILY, **says: Any
) -> list[dict[str, Any]]:
    """Compute the cells; without returns, what begins a cohort counts as one."""
    first, last = says.pop("first", day(1)), says.pop("last", day(4))
    begins = asked(started, STARTED)
    returns = begins if returned is None else asked(returned, RETURNED)
    found = engine.rows(retention_cells(begins, returns, retention, first, last, **says))
    return sorted(found, key=lambda cell: (cell["left_censored"], cell["cohort"], cell["period"]))


def matrix(engine, *arguments: Any, name: str = "retained", **says: Any) -> list[list[Any]]:
    rows: dict[Any, list[Any]] = defaultdict(list)
    for cell in cells(engine, *arguments, **says):
        rows[cell["left_censored"], cell["cohort"]].append(cell[name])
    return list(rows.values())


def test_a_cohort_is_of_those_who_began_in_its_period_and_period_0_holds_it(engine):
    found = cells(engine, [act(1), act(1), act(1, "bob"), act(2, "bob")])
    assert [(c["cohort"].day, c["period"], c["users"], c["retained"], c["rate"]) for c in found[:5]] == [
        (1, 0, 2, 2, 1.0),
        (1, 1, 2, 1, 0.5),
        (1, 2, 2, 0, 0.0),
        (1, 3, 2, 0, 0.0),
        (2, 0, 0, 0, None),
    ]


def test_the_first_time_is_the_first_one_ever(engine):
    assert matrix(engine, [act(-9), act(1), act(2, "bob"), act(3, "bob")])[:3] == [
        [0, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
    ]


def test_in_recurring_retention_a_user_is_in_the_cohort_of_each_period(engine):
    recurring = Retention(Period("day"), 4, "recurring")
    acts = [act(-9), act(1), act(2), act(4)]
    assert matrix(engine, acts, retention=recurring) == [
        [1, 1, 0, 1],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]


def test_a_return_is_what_is_named_one_and_a_cohort_needs_none(engine):
    assert matrix(engine, [act(1), act(2)], [act(3), act(3, "bob")])[0] == [1, 0, 1, 0]


def test_what_was_returned_before_or_after_counts_in_no_cell(engine):
    assert matrix(engine, [act(2)], [act(1), act(9)])[1] == [1, 0, 0, 0]


def test_unbounded_retention_counts_who_returned_then_or_later(engine):
    unbounded = Retention(Period("day"), 4, measure="unbounded")
    started = [act(1), act(1, "bob"), act(1, "cas")]
    returned = [act(2), act(3, "bob"), act(4, "bob")]
    assert matrix(engine, started, returned, unbounded)[0] == [3, 2, 1, 1]


def test_unbounded_retention_sees_beyond_the_last_column_but_not_beyond_the_last_day(engine):
    unbounded = Retention(Period("day"), 2, measure="unbounded")
    assert matrix(engine, [act(1)], [act(4)], unbounded)[0] == [1, 1]
    assert matrix(engine, [act(1)], [act(5)], unbounded)[0] == [1, 0]


def test_brackets_count_who_returned_in_any_of_their_periods(engine):
    brackets = Retention(Period("day"), measure="bracket", brackets=((1, 2), (4, 6)))
    started = [act(1), act(1, "bob")]
    returned = [act(2), act(3), act(4, "bob"), act(7, "bob")]
    found = [c for c in cells(engine, started, returned, brackets, last=day(9)) if c["cohort"] == day(1)]
    assert [(c["period"], c["period_to"], c["retained"]) for c in found] == [(0, 0, 2), (1, 2, 1), (4, 6, 1)]


def test_a_return_can_take_several_events_in_the_period(engine):
    started, returned = [act(1)], [act(2), act(2), act(3, events=2), act(4)]
    assert matrix(engine, started, returned, Retention(Period("day"), 4, at_least=2))[0] == [1, 1, 1, 0]
    unbounded = Retention(Period("day"), 4, measure="unbounded", at_least=3)
    assert matrix(engine, started, returned, unbounded)[0] == [1, 0, 0, 0]
    bracket = Retention(Period("day"), measure="bracket", brackets=((1, 3),), at_least=5)
    assert matrix(engine, started, returned, bracket)[0] == [1, 1]


def test_elapsed_days_are_24_hours_since_the_users_own_first_event(engine):
    windows = Retention(Period("day"), 3, elapsed=True)
    for moment, periods in (
        ("02 11:59:59.999999", [1, 0, 0]),
        ("02 12:00", [1, 1, 0]),
        ("03 11:59:59.999999", [1, 1, 0]),
        ("03 12:00", [1, 0, 1]),
        ("04 12:00", [1, 0, 0]),
        ("01 11:59", [1, 0, 0]),
    ):
        back = {"user_id": "ann", "day": at(moment).date(), "occurred_at": at(moment)}
        assert matrix(engine, [act(1), act(1, hour=20)], [back], windows)[0] == periods, moment


def test_elapsed_periods_of_each_cohort_have_a_beginning_of_their_own(engine):
    windows = Retention(Period("day"), 3, "recurring", elapsed=True)
    started = [act(1, hour=9), act(2, hour=23)]
    assert matrix(engine, started, [act(3, hour=22)], windows)[:2] == [[1, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("unit", "begins", "returns", "retained"),
    [
        ("hour", "01 10:59:59.999999", "01 11:00", 1),
        ("day", "01 23:59:59.999999", "02 00:00", 1),
        ("week", "03 12:00", "04 12:00", 1),
        ("week", "04 12:00", "10 12:00", 0),
        ("month", "01 12:00", "31 12:00", 0),
        ("hour", "31 00:59", "31 01:00", 1),
    ],
)
def test_periods_are_those_of_the_calendar(engine, unit, begins, returns, retained):
    started, back = ({"user_id": "ann", "day": at(m).date(), "occurred_at": at(m)} for m in (begins, returns))
    edges = (at("01 00:00"), at("31 23:00")) if unit == "hour" else (day(1), day(31))
    found = cells(engine, [started], [back], Retention(Period(unit), 2), first=edges[0], last=edges[1])
    assert sum(c["retained"] for c in found if c["period"] == 1) == retained
    assert sum(c["retained"] for c in found if c["period"] == 0) == 1


def test_a_week_can_begin_on_any_day(engine):
    monday, sunday = (Retention(Period("week", begin), 2) for begin in ("monday", "sunday"))
    acts = [act(2), act(3)]  # a Saturday and a Sunday
    assert matrix(engine, acts, retention=monday, first=day(1), last=day(9))[0] == [1, 0]
    assert matrix(engine, acts, retention=sunday, first=day(1), last=day(9))[0] == [1, 1]


def test_a_cell_is_complete_when_its_period_is_over(engine):
    daily = Retention(Period("day"), 3)
    assert matrix(engine, [act(1)], retention=daily, last=day(3), name="complete") == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
    ]
    weekly = Retention(Period("week"), 2)
    assert matrix(engine, [act(4)], retention=weekly, first=day(4), last=day(16), name="complete") == [
        [True, False],
        [False, False],
    ]


def test_an_elapsed_cell_is_complete_when_it_is_for_the_last_who_could_begin(engine):
    windows = Retention(Period("day"), 2, elapsed=True)
    assert matrix(engine, [act(1)], retention=windows, last=day(3), name="complete") == [
        [True, True],
        [True, False],
        [True, False],
    ]


def test_a_bracket_is_complete_when_its_last_period_is_over(engine):
    brackets = Retention(Period("day"), measure="bracket", brackets=((1, 2),))
    assert matrix(engine, [act(1)], retention=brackets, last=day(3), name="complete")[:2] == [
        [True, True],
        [True, False],
    ]


def curve(engine, found, by: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    rows = engine.rows(retention_curve(found, by))
    rows.sort(key=lambda row: row["period"])
    return [(*(row[name] for name in by), row["period"], row["cohorts"], row["users"], row["rate"]) for row in rows]


def test_the_curve_is_weighted_by_the_size_of_cohorts_and_leaves_incomplete_cells_out(engine):
    acts = [act(1), act(1, "bob"), act(1, "cas"), act(2, "dan"), act(2), act(3, "dan"), act(3)]
    begins = asked(acts, STARTED)
    found = retention_cells(begins, begins, Retention(Period("day"), 3), day(1), day(3))
    # ann and dan of four came back on the next day; of the third day, only the cohort of the first one is known
    assert curve(engine, found) == [(0, 2, 4, 1.0), (1, 2, 4, 0.5), (2, 1, 3, pytest.approx(1 / 3))]


def test_who_was_there_in_the_first_days_is_left_censored_and_in_no_average(engine):
    acts = [act(1), act(2, "bob"), act(2), act(3, "bob"), act(3, "cas")]
    weekly = Retention(Period("week"), 1)
    found = cells(engine, acts, retention=weekly, known_from=day(2))
    assert [(c["left_censored"], c["users"]) for c in found] == [(False, 2), (False, 0), (True, 1)]
    begins = asked(acts, STARTED)
    daily = retention_cells(begins, begins, DAILY, day(1), day(4), known_from=day(2))
    assert curve(engine, daily)[:2] == [(0, 2, 2, 1.0), (1, 2, 2, 0.5)]


def test_breakdowns_have_cohorts_of_their_own_and_no_value_is_one(engine):
    acts = [act(1, device="phone"), act(1, "bob"), act(2, "bob"), act(2, device="phone"), act(2, "cas", device="desk")]
    found = cells(engine, acts, by=["device"], last=day(2), retention=Retention(Period("day"), 2))
    assert {(c["device"], c["cohort"].day): (c["users"], c["retained"]) for c in found if c["period"] == 1} == {
        ("phone", 1): (1, 1),
        ("phone", 2): (0, 0),
        (None, 1): (1, 1),
        (None, 2): (0, 0),
        ("desk", 1): (0, 0),
        ("desk", 2): (1, 0),
    }


def test_a_first_time_has_the_value_of_the_first_event(engine):
    acts = [act(1, device="phone", hour=13), act(1, device="desk", hour=12), act(2, device="watch")]
    found = cells(engine, acts, by=["device"])
    assert {c["device"] for c in found if c["users"]} == {"desk"}


def test_returns_need_the_cohorts_value_only_where_they_have_one(engine):
    started, returned = [act(1, device="phone")], [act(2, device="desk"), act(3, device="phone")]
    assert [c["retained"] for c in cells(engine, started, returned, by=["device"])[:4]] == [1, 0, 1, 0]
    begins = asked(started, STARTED)
    anywhere = asked(returned, {"user_id": "string", "day": "date"})
    found = engine.rows(retention_cells(begins, anywhere, DAILY, day(1), day(1 + 3), by=["device"]))
    first = sorted((c for c in found if c["cohort"] == day(1)), key=lambda c: c["period"])
    assert [c["retained"] for c in first] == [1, 1, 1, 0]


def test_revenue_is_summed_in_the_same_grid(engine):
    bought = [
        {"user_id": user, "day": day(number), "events": orders, "revenue": revenue}
        for user, number, orders, revenue in (
            ("ann", 1, 1, "10.5"),
            ("ann", 2, 1, "1.25"),
            ("ann", 2, 1, "0.25"),
            ("bob", 3, 0, "-4"),
            ("nobody we know", 1, 1, "99"),
        )
    ]
    begins = asked([act(1), act(1, "bob")], STARTED)
    found = retention_cells(begins, asked(bought, REVENUE), DAILY, day(1), day(4))
    first = sorted((c for c in engine.rows(found) if c["cohort"] == day(1)), key=lambda c: c["period"])
    assert [c["revenue"] for c in first] == [Decimal("10.5"), Decimal("1.5"), Decimal(-4), Decimal(0)]
    assert [c["revenue_per_user"] for c in first] == [5.25, 0.75, -2.0, 0.0]
    assert [c["retained"] for c in first] == [2, 1, 0, 0]
    unbounded = Retention(Period("day"), 2, measure="unbounded")
    later = retention_cells(begins, asked(bought, REVENUE), unbounded, day(1), day(4))
    assert [c["revenue"] for c in engine.rows(later) if c["cohort"] == day(1) and c["period"] == 1] == [Decimal("-2.5")]
    averaged = sorted(engine.rows(retention_curve(found)), key=lambda row: row["period"])
    assert [row["revenue_per_user"] for row in averaged] == [5.25, 0.75, -2.0, 0.0]


def test_the_users_behind_the_cells_can_be_listed(engine):
    acts = asked([act(1), act(1, "bob"), act(3), act(3, None)], STARTED)
    listed = engine.rows(retained_users(acts, acts, DAILY, day(1), day(4)))
    assert {(row["user_id"], row["cohort"], row["period"]) for row in listed} == {
        ("ann", day(1), 0),
        ("ann", day(1), 2),
        ("bob", day(1), 0),
    }


def test_nobody_is_in_no_cohort(engine):
    assert matrix(engine, [act(1, None), act(2, None)], last=day(2), retention=Retention(Period("day"), 2)) == [
        [0, 0],
        [0, 0],
    ]


def test_without_any_event_there_are_empty_cohorts(engine):
    for known_from in (None, day(2)):
        assert matrix(engine, [], last=day(2), known_from=known_from) == [[0] * 4] * 2


def test_more_periods_than_there_are_data_are_incomplete(engine):
    found = cells(engine, [act(1)], retention=Retention(Period("month"), 3))
    assert [(c["retained"], c["complete"]) for c in found] == [(1, False), (0, False), (0, False)]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"periods": 0}, "at least one period"),
        ({"at_least": 0}, "one return"),
        ({"measure": "bracket"}, "it needs some"),
        ({"brackets": ((1, 2),)}, "belong to the measure"),
        ({"measure": "bracket", "brackets": ((0, 2),)}, "begin after period 0"),
        ({"measure": "bracket", "brackets": ((1, 3), (3, 4))}, "do not overlap"),
        ({"entry": "always"}, "'always'"),
    ],
)
def test_a_retention_that_means_nothing_is_refused(says, message):
    with pytest.raises(ValueError, match=message):
        Retention(**says)


def naive(
    started: Sequence[Act], returned: Sequence[Act], retention: Retention, first: dt.date, last: dt.date
) -> dict[tuple[int, int], int]:
    """Count retained users by cohort (a period's number) and column, user by user."""
    period, counts = retention.period, defaultdict(int)
    when = (lambda one: one["occurred_at"]) if period.unit == "hour" else (lambda one: one["day"])
    numbered = lambda one: period.number_of(when(one))  # noqa: E731
    low, high = period.number_of(first), period.number_of(last)
    length = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400}[period.unit]
    for user in {one["user_id"] for one in started} - {None}:
        own = [one for one in started if one["user_id"] == user]
        cohorts = {numbered(one) for one in own}
        for cohort in {min(cohorts)} if retention.entry == "first_time" else cohorts:
            if not low <= cohort <= high:
                continue
            began = min(one["occurred_at"] for one in own if numbered(one) == cohort)
            times: dict[int, int] = defaultdict(int)
            for one in returned:
                if one["user_id"] != user or numbered(one) > high:
                    continue
                if retention.elapsed:
                    after = (one["occurred_at"] - began) // dt.timedelta(seconds=length)
                else:
                    after = numbered(one) - cohort
                if after >= 0:
                    times[after] += one["events"]
            for column, (begin, end) in enumerate(retention.columns):
                if column == 0:
                    back = True
                elif retention.measure == "unbounded":
                    back = any(after >= begin and n >= retention.at_least for after, n in times.items())
                else:
                    back = sum(n for after, n in times.items() if begin <= after <= end) >= retention.at_least
                counts[cohort, column] += back
    return counts


moments = st.integers(-3 * 4, 14 * 4).map(lambda quarter: at("01 00:00") + dt.timedelta(hours=6 * quarter))
near = st.sampled_from([0, 0, -1, 1]).map(lambda microseconds: dt.timedelta(microseconds=microseconds))
acts = st.lists(
    st.builds(
        lambda moment, off, user, events, zone: {
            "user_id": user,
            "day": (moment + off).astimezone(ZoneInfo(zone)).date(),
            "occurred_at": moment + off,
            "events": events,
        },
        moments,
        near,
        st.sampled_from(["ann", "bob", "cas", None]),
        st.integers(1, 2),
        # in New York, the tenth of March 2024 has 23 hours
        st.sampled_from(["UTC", "America/New_York"]),
    ),
    max_size=20,
)
definitions = st.builds(
    lambda period, entry, measure, elapsed, at_least: Retention(
        period, 4, entry, measure, ((1, 1), (2, 4)) if measure == "bracket" else (), elapsed, at_least
    ),
    st.sampled_from([Period("day"), Period("week"), Period("week", "wednesday"), Period("month"), Period("hour")]),
    st.sampled_from(["first_time", "recurring"]),
    st.sampled_from(["n_day", "unbounded", "bracket"]),
    st.booleans(),
    st.integers(1, 3),
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(acts, acts, definitions, st.booleans(), st.randoms(use_true_random=False))
def test_cells_are_those_of_asking_every_user_in_any_order_of_rows(engine, started, returned, retention, alike, random):
    hourly = retention.period.unit == "hour"
    first, last = (at("01 00:00"), at("04 23:00")) if hourly else (day(1), day(12))
    returned = [{**one, "events": 1} for one in started] if alike else returned
    expected = naive(started, returned, retention, first, last)
    found = {
        (retention.period.number_of(cell["cohort"]), column % len(retention.columns)): cell["retained"]
        for column, cell in enumerate(
            cells(engine, started, None if alike else returned, retention, first=first, last=last)
        )
    }
    assert {key: n for key, n in found.items() if n} == {key: n for key, n in expected.items() if n}
    random.shuffle(started)
    random.shuffle(returned)
    again = cells(engine, started, returned, retention, first=first, last=last)
    assert [cell["retained"] for cell in again] == list(found.values())
