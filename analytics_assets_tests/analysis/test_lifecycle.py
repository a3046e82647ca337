from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.lifecycle import churn, lifecycle
from analytics_assets.analysis.periods import Period
from analytics_assets_tests.making import at, day, table

TYPES = {"user_id": "string", "day": "date", "occurred_at": "timestamp('UTC', 6)", "device": "string"}
STATES = ("users", "new", "returning", "resurrecting", "dormant")
Visit = dict[str, Any]


def visit(number: int, user: str | None = "ann", device: str | None = None) -> Visit:
    return {"user_id": user, "day": day(1) + dt.timedelta(days=number - 1), "device": device}


def in_order(engine, expression, *names: str) -> list[Any]:
    rows = sorted(engine.rows(expression), key=lambda row: row["at"])
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def lives(
    engine, *visits: Visit, first: int = 1, last: int = 4, period: Period | None = None, names=STATES
) -> list[Any]:
    told = lifecycle(table(TYPES, *visits), period or Period("day"), day(first), day(last))
    return in_order(engine, told, *names)


def test_a_user_is_new_then_returning_then_dormant_then_resurrecting(engine):
    assert lives(engine, visit(1), visit(2), visit(2), visit(4)) == [
        (1, 1, 0, 0, 0),
        (1, 0, 1, 0, 0),
        (0, 0, 0, 0, -1),
        (1, 0, 0, 1, 0),
    ]


def test_who_was_there_before_the_first_day_shown_is_not_new(engine):
    assert lives(engine, visit(-100), last=1) == [(0, 0, 0, 0, 0)]
    assert lives(engine, visit(-100), visit(1), last=1) == [(1, 0, 0, 1, 0)]
    assert lives(engine, visit(0), visit(1), last=1) == [(1, 0, 1, 0, 0)]


def test_who_was_there_just_before_the_first_day_shown_is_dormant_on_it(engine):
    assert lives(engine, visit(0), last=2) == [(0, 0, 0, 0, -1), (0, 0, 0, 0, 0)]


def test_a_user_is_dormant_once(engine):
    assert lives(engine, visit(1), names=["dormant"]) == [0, -1, 0, 0]


def test_days_after_the_last_one_change_nothing(engine):
    assert lives(engine, visit(1), visit(9), visit(9, "bob")) == lives(engine, visit(1))


def test_weeks_begin_when_they_are_told_to(engine):
    visits = visit(3), visit(4)  # a Sunday and a Monday
    assert lives(engine, *visits, last=10, period=Period("week"), names=["returning"]) == [0, 1]
    assert lives(engine, *visits, last=9, period=Period("week", "sunday"), names=["users"]) == [0, 1]


def test_months_follow_each_other_over_the_turn_of_a_year(engine):
    months = [{"user_id": "ann", "day": dt.date(2023, 12, 31)}, {"user_id": "ann", "day": dt.date(2024, 1, 1)}]
    told = lifecycle(table(TYPES, *months), Period("month"), dt.date(2023, 12, 1), dt.date(2024, 2, 1))
    assert in_order(engine, told, "at", "new", "returning", "dormant") == [
        (dt.date(2023, 12, 1), 1, 0, 0),
        (dt.date(2024, 1, 1), 0, 1, 0),
        (dt.date(2024, 2, 1), 0, 0, -1),
    ]


def test_a_period_is_complete_when_its_last_day_is_over(engine):
    visits = table(TYPES, visit(1))
    for last, complete in ((30, False), (31, True)):
        assert in_order(engine, lifecycle(visits, Period("month"), day(1), day(last)), "complete") == [complete]


def test_the_quick_ratio_is_those_who_came_over_those_who_went(engine):
    came = visit(0, "gone"), visit(-5, "back"), visit(1, "back"), visit(1, "new"), visit(1, "newer")
    assert lives(engine, *came, last=1, names=["quick_ratio"]) == [3.0]
    assert lives(engine, visit(1), last=1, names=["quick_ratio"]) == [None]


def test_nobody_has_no_life(engine):
    assert lives(engine, visit(1, None), last=2) == [(0, 0, 0, 0, 0)] * 2


def test_a_value_of_a_dimension_has_lives_of_its_own(engine):
    visits = table(TYPES, visit(1, device="phone"), visit(2, device="desk"), visit(1, "bob"), visit(2, "bob"))
    told = engine.rows(lifecycle(visits, Period("day"), day(1), day(2), by=["device"]))
    assert {(r["device"], r["at"].day): (r["new"], r["returning"], r["dormant"]) for r in told} == {
        ("phone", 1): (1, 0, 0),
        ("phone", 2): (0, 0, -1),
        ("desk", 1): (0, 0, 0),
        ("desk", 2): (1, 0, 0),
        (None, 1): (1, 0, 0),
        (None, 2): (0, 1, 0),
    }


def test_the_hour_that_clocks_skip_is_no_period_and_the_one_they_show_twice_is_two(engine):
    # in Berlin, clocks go from 2:00 to 3:00 at 01:00 UTC of the 31st: the hours before and after follow each other
    visits = table(TYPES, *({"user_id": "ann", "occurred_at": at(moment)} for moment in ("31 00:59:59.9", "31 01:00")))
    told = lifecycle(visits, Period("hour"), at("31 00:00"), at("31 02:00"))
    assert in_order(engine, told, "returning") == [0, 1, 0]


def gone(engine, *visits: Visit, last: int = 4, **says: Any) -> list[Any]:
    told = churn(table(TYPES, *visits), Period("day"), day(1), day(last), **says)
    return in_order(engine, told, "users", "observable", "churned")


def test_who_is_not_there_in_the_next_period_has_churned(engine):
    assert gone(engine, visit(1), visit(2), visit(1, "bob")) == [(2, 2, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(("back", "churned"), [(2, 0), (3, 0), (4, 1)])
def test_after_how_many_full_periods_is_said(engine, back, churned):
    assert gone(engine, visit(1), visit(back), inactive=2)[0] == (1, 1, churned)


def test_users_whose_periods_are_not_over_are_left_out_even_if_they_came_back(engine):
    assert gone(engine, visit(3), visit(4), visit(3, "bob"), inactive=2) == [(0, 0, 0)] * 2 + [(2, 0, 0), (1, 0, 0)]
    assert gone(engine, visit(3), visit(4), visit(3, "bob"), inactive=2, last=5)[2] == (2, 2, 1)


def test_a_month_is_observable_when_the_next_one_is_over(engine):
    visits = table(TYPES, visit(1))
    for last, share in ((dt.date(2024, 4, 29), 0.0), (dt.date(2024, 4, 30), 1.0)):
        told = churn(visits, Period("month"), day(1), last)
        assert in_order(engine, told, "observable_share")[0] == share


def test_rates_are_of_observable_users_and_of_nobody_there_are_none(engine):
    visits = table(TYPES, visit(1), visit(2), visit(1, "bob"), visit(1, None))
    told = churn(visits, Period("day"), day(1), day(3))
    assert in_order(engine, told, "rate", "observable_share") == [(0.5, 1.0), (1.0, 1.0), (None, None)]


visits = st.lists(
    st.builds(visit, st.integers(-3, 12), st.sampled_from(["ann", "bob", "cas", None]), st.none()), max_size=30
)


def seen_by(rows: Sequence[Visit], period: Period) -> dict[str, set[int]]:
    seen: dict[str, set[int]] = {}
    for row in rows:
        if row["user_id"]:
            seen.setdefault(row["user_id"], set()).add(period.number_of(row["day"]))
    return seen


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    visits, st.sampled_from([Period("day"), Period("week"), Period("week", "thursday"), Period("month")]), st.randoms()
)
def test_states_are_those_of_asking_every_user_in_every_period(engine, rows, period, random):
    first, last = day(1), day(10)
    seen = seen_by(rows, period)
    expected = []
    for now in range(period.number_of(first), period.number_of(last) + 1):
        there = [when for when in seen.values() if now in when]
        expected.append(
            (
                len(there),
                sum(min(when) == now for when in there),
                sum(now - 1 in when for when in there),
                sum(now - 1 not in when and min(when) < now for when in there),
                -sum(now - 1 in when and now not in when for when in seen.values()),
            )
        )
    random.shuffle(rows)
    assert in_order(engine, lifecycle(table(TYPES, *rows), period, first, last), *STATES) == expected
    for users, new, returning, resurrecting, _ in expected:
        assert users == new + returning + resurrecting


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(visits, st.sampled_from([Period("day"), Period("week")]), st.integers(1, 3), st.integers(8, 14), st.randoms())
def test_churn_is_that_of_asking_every_user_in_every_period(engine, rows, period, inactive, last, random):
    seen = seen_by(rows, period)
    over = period.number_of(day(last) + dt.timedelta(days=1)) - 1
    expected = []
    for now in range(period.number_of(day(1)), period.number_of(day(last)) + 1):
        there = [when for when in seen.values() if now in when]
        known = there if now + inactive <= over else []
        left = sum(not when & set(range(now + 1, now + inactive + 1)) for when in known)
        expected.append((len(there), len(known), left))
    random.shuffle(rows)
    told = churn(table(TYPES, *rows), period, day(1), day(last), inactive)
    assert in_order(engine, told, "users", "observable", "churned") == expected
