from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis import outcomes
from analytics_assets.analysis.experiments import Measured, Plan
from analytics_assets.analysis.outcomes import Definition
from analytics_assets_tests.analysis import naive_experiments as naive
from analytics_assets_tests.making import at, day, table

Row = dict[str, Any]
TINY = dt.timedelta(microseconds=1)
EXPOSED = {
    "experiment": "string",
    "user_id": "string",
    "variant": "string",
    "assigned_at": "timestamp('UTC', 6)",
    "assigned_on": "date",
    "exposed_at": "timestamp('UTC', 6)",
    "exposed_on": "date",
    "known_before": "boolean",
}
ROWS = {"user_id": "string", "day": "date", "at": "timestamp('UTC', 6)", "amount": "decimal(18, 4)"}
DAYS = {name: kind for name, kind in ROWS.items() if name != "at"}
PLAN = Plan("e", ("a", "b"), "a", day(9), day(12), (Measured("m", 3), Measured("m", 1, 2)), covariate_days=4)
OTHER = Plan("f", ("a", "b"), "a", day(9), day(12), (Measured("m", 3), Measured("n", 3)), covariate_days=0)
UNTIL = at("15 00:00")


def exposed(user: str, when: Any = "10 12:00", assigned: Any = None, experiment: str = "e", **says: Any) -> Row:
    instant = at(when) if isinstance(when, str) else when
    before = at(assigned) if isinstance(assigned, str) else assigned
    told = {"experiment": experiment, "user_id": user, "variant": "a", "known_before": True}
    told |= {"assigned_at": before, "assigned_on": before.date() if before else None}
    return {**told, "exposed_at": instant, "exposed_on": instant.date(), **says}


def did(user: str | None, when: Any, amount: float = 1) -> Row:
    instant = at(when) if isinstance(when, str) else when
    return {"user_id": user, "day": instant.date(), "at": instant, "amount": amount}


def by_day(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "at"}


def measured(engine, kind: str, people: list[Row], *parts: list[Row], plans=(PLAN,), days: bool = False, **says: Any):
    tables = [table(DAYS, *map(by_day, rows)) if days else table(ROWS, *rows) for rows in parts]
    definition = Definition(kind, tuple(tables), **says)
    found = outcomes.outcomes("m", definition, plans, table(EXPOSED, *people), UNTIL)
    return engine.rows(found)


def of_three_days(rows: list[Row]) -> dict[str, tuple[float, float]]:
    return {row["user_id"]: (row["value"], row["pre_value"]) for row in rows if row["delay_days"] == 0}


# what lies at the ends of windows, a microsecond before and after them
CENTRE = at("10 12:00")
AROUND = [
    CENTRE + dt.timedelta(days=days) + nudge for days in (-4, -1, 0, 1, 2, 3, 5) for nudge in (-TINY, 0 * TINY, TINY)
]
AROUND += [at("10 00:00"), at("13 00:00") - TINY, at("06 00:00"), at("06 00:00") - TINY]
people_ = st.lists(
    st.tuples(st.sampled_from(["ann", "bob", "cat"]), st.sampled_from(["e", "f"])), max_size=6, unique=True
)


acts = st.lists(
    st.builds(did, st.sampled_from(["ann", "bob", "zoe", None]), st.sampled_from(AROUND), st.integers(-2, 5)),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["count", "unique_users", "sum", "mean", "ratio", "proportion", "retention"]),
    st.booleans(),
    people_,
    st.lists(st.sampled_from([CENTRE, CENTRE, at("10 00:00"), at("12 23:59")]), min_size=6, max_size=6),
    st.lists(st.sampled_from([None, CENTRE, CENTRE - TINY, at("09 12:00"), at("02 00:00")]), min_size=6, max_size=6),
    st.tuples(acts, acts),
)
def test_outcomes_are_those_of_going_through_users_one_by_one(engine, kind, days, people, times, lists, parts):
    plans = (PLAN, OTHER)
    users = [
        exposed(
            user, times[number], min(lists[number] or times[number], times[number]) if lists[number] else None, name
        )
        for number, (user, name) in enumerate(people)
    ]
    parts = parts if kind in {"ratio", "proportion"} else parts[:1]
    after = (1, 2)
    rows = measured(engine, kind, users, *parts, plans=plans, days=days, after_days=after)
    shown = [[by_day(row) for row in part] if days else part for part in parts]
    wanted = {
        (plan.name, told.delay_days, user["user_id"]): naive.numbers(kind, shown, user, plan, told, after)
        for plan in plans
        for told in plan.measured
        if told.metric == "m"
        for user in users
        if user["experiment"] == plan.name
    }
    found = {
        (row["experiment"], row["delay_days"], row["user_id"]): {
            name: row[name] for name in ("value", "weight", "pre_value", "pre_weight")
        }
        for row in rows
    }
    assert found == wanted
    assert len(rows) == len(wanted)
    for row in rows:
        # a retention is over with its last day, the second after that of the exposure
        length = max(row["window_days"], after[1] + 1) if kind == "retention" else row["window_days"]
        user = next(u for u in users if (u["experiment"], u["user_id"]) == (row["experiment"], row["user_id"]))
        assert row["matures_at"] == user["exposed_at"] + dt.timedelta(days=length + row["delay_days"])
        assert row["matured"] == (row["matures_at"] <= UNTIL)


def test_a_window_begins_with_the_exposure_and_ends_before_its_end(engine):
    rows = [did("ann", at("10 12:00") - TINY, 1), did("ann", "10 12:00", 10), did("ann", at("13 12:00") - TINY, 100)]
    rows.append(did("ann", "13 12:00", 1000))
    found = measured(engine, "sum", [exposed("ann")], rows)
    assert of_three_days(found) == {"ann": (110, 1)}
    assert [row["value"] for row in found if row["delay_days"] == 2] == [100]


def test_what_is_between_assignment_and_exposure_is_in_neither(engine):
    rows = [did("ann", "09 11:59", 1), did("ann", "09 12:00", 10), did("ann", "10 11:59", 10)]
    found = measured(engine, "sum", [exposed("ann", assigned="09 12:00")], rows)
    assert of_three_days(found) == {"ann": (0, 1)}


def test_facts_that_know_days_count_whole_ones_from_that_of_the_exposure(engine):
    rows = [did("ann", "09 23:00", 1), did("ann", "10 00:00", 10), did("ann", "12 23:59", 100), did("ann", "13 00:00")]
    found = measured(engine, "sum", [exposed("ann")], rows, days=True)
    assert of_three_days(found) == {"ann": (110, 1)}


def test_a_user_has_matured_when_the_window_is_over_with_the_last_day(engine):
    people = [exposed("ann", "12 00:00"), exposed("bob", at("12 00:00") + TINY)]
    found = measured(engine, "sum", people, [])
    assert {row["user_id"]: row["matured"] for row in found if not row["delay_days"]} == {"ann": True, "bob": False}


def test_a_window_longer_than_the_time_passed_has_numbers_and_has_not_matured(engine):
    plan = Plan("e", ("a", "b"), "a", day(9), day(12), (Measured("m", 365, 90),))
    (row,) = measured(engine, "count", [exposed("ann", "01 12:00")], [did("ann", "10 12:00")], plans=(plan,))
    assert (row["value"], row["matured"]) == (0, False)


def test_without_exposed_users_there_are_no_outcomes(engine):
    assert measured(engine, "sum", [], [did("ann", "10 12:00")]) == []


def test_rows_of_nobody_are_of_no_user(engine):
    found = measured(engine, "count", [exposed("ann")], [did(None, "10 12:00"), did("ann", "10 12:00")])
    assert of_three_days(found) == {"ann": (1, 0)}
    spend = table({"day": "date", "amount": "int64"}, {"day": day(10), "amount": 5})
    found = outcomes.outcomes("m", Definition("sum", (spend,)), [PLAN], table(EXPOSED, exposed("ann")), UNTIL)
    assert of_three_days(engine.rows(found)) == {"ann": (0, 0)}


def test_one_user_in_two_experiments_is_measured_in_each(engine):
    people = [exposed("ann"), exposed("ann", "11 12:00", experiment="f", variant="b")]
    found = measured(engine, "sum", people, [did("ann", "10 13:00", 5), did("ann", "13 13:00", 7)], plans=(PLAN, OTHER))
    values = {(row["experiment"], row["variant"]): row["value"] for row in found if not row["delay_days"]}
    assert values == {("e", "a"): 5, ("f", "b"): 7}


def test_experiments_that_do_not_measure_a_metric_are_not_there(engine):
    rows = table(ROWS, did("ann", "10 13:00"))
    both = table(EXPOSED, exposed("ann"), exposed("ann", experiment="f"))
    found = engine.rows(outcomes.outcomes("n", Definition("sum", (rows,)), [PLAN, OTHER], both, UNTIL))
    assert [row["experiment"] for row in found] == ["f"]
    with pytest.raises(ValueError, match="no experiment measures other"):
        outcomes.outcomes("other", Definition("sum", (rows,)), [PLAN, OTHER], both, UNTIL)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so_in_the_user_whose_it_is(engine, bad):
    kinds = {**ROWS, "amount": "float64"}
    rows = table(kinds, did("ann", "10 12:00", bad), did("ann", "10 13:00", 1.0), did("bob", "10 13:00", 2.0))
    found = outcomes.outcomes(
        "m", Definition("sum", (rows,)), [PLAN], table(EXPOSED, exposed("ann"), exposed("bob")), UNTIL
    )
    values = of_three_days(engine.rows(found))
    assert not math.isfinite(values["ann"][0])
    assert values["bob"] == (2, 0)


def test_a_quantile_has_amounts_of_rows_and_no_number_of_users(engine):
    rows = table(
        ROWS, did("ann", "10 12:00", 3), did("ann", "13 11:00", 4), did("ann", "13 12:00", 5), did("bob", "09 12:00", 6)
    )
    people = table(EXPOSED, exposed("ann"), exposed("bob"))
    definition = Definition("quantile", (rows,))
    found = engine.rows(outcomes.amounts("m", definition, [PLAN], people, UNTIL))
    assert sorted((row["delay_days"], row["user_id"], row["amount"]) for row in found) == [
        (0, "ann", 3.0),
        (0, "ann", 4.0),
        (2, "ann", 4.0),
    ]
    with pytest.raises(ValueError, match="ask for `amounts`"):
        outcomes.outcomes("m", definition, [PLAN], people, UNTIL)


def test_a_ratio_needs_two_tables_of_rows():
    rows = table(ROWS)
    with pytest.raises(ValueError, match="a ratio has 2 tables of rows, not 1"):
        Definition("ratio", (rows,))
