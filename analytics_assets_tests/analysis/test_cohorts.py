from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.cohorts import cohort_cells, cohort_curve
from analytics_assets.analysis.periods import Period
from analytics_assets_tests.making import day, table

ORDERS = {"user_id": "string", "day": "date", "net": "decimal(18, 4)"}
Row = dict[str, Any]


def order(user: str | None, when: dt.date | int, net: Any = 10) -> Row:
    """An order on a day of March 2024, or on a date."""
    return {"user_id": user, "day": day(when) if isinstance(when, int) else when, "net": Decimal(str(net))}


def cells(
    engine,
    *orders: Row,
    unit: Any = "day",
    periods: int = 9,
    first: dt.date = dt.date(2024, 3, 1),
    last: dt.date = dt.date(2024, 3, 4),
) -> dict[tuple[dt.date, int], Row]:
    found = engine.rows(cohort_cells(table(ORDERS, *orders), Period(unit), periods, first, last))
    return {(row["cohort"], row["period"]): row for row in found}


def test_a_cohort_is_of_first_orders_and_what_it_brought_runs_up(engine):
    found = cells(
        engine, order("ann", 1, 10), order("ann", 1, 5), order("ann", 3, 20), order("bob", 1, 1), order("bob", 3, 4)
    )
    told = ("customers", "active", "retention", "net", "cumulative_net", "cumulative_net_per_customer")
    assert [tuple(found[day(1), n][name] for name in told) for n in range(4)] == [
        (2, 2, 1.0, 16, 16, 8.0),
        (2, 0, 0.0, 0, 16, 8.0),
        (2, 2, 1.0, 24, 40, 20.0),
        (2, 0, 0.0, 0, 40, 20.0),
    ]  # fmt: skip
    assert {cohort for cohort, _ in found} == {day(1)}


def test_only_periods_that_have_begun_are_there_and_the_running_one_is_incomplete(engine):
    orders = order("ann", dt.date(2024, 1, 31)), order("bob", dt.date(2024, 2, 1))
    found = cells(engine, *orders, unit="month", first=dt.date(2024, 1, 1), last=day(30))
    assert {key: row["complete"] for key, row in found.items()} == {
        (dt.date(2024, 1, 1), 0): True,
        (dt.date(2024, 1, 1), 1): True,
        (dt.date(2024, 1, 1), 2): False,
        (dt.date(2024, 2, 1), 0): True,
        (dt.date(2024, 2, 1), 1): False,
    }


def test_weeks_start_on_monday(engine):
    found = cells(engine, order("ann", 3), order("bob", 4), order("ann", 4), unit="week", last=day(10))
    assert {key: row["active"] for key, row in found.items()} == {
        (dt.date(2024, 2, 26), 0): 1,
        (dt.date(2024, 2, 26), 1): 1,
        (day(4), 0): 1,
    }
    assert all(row["complete"] for row in found.values())


def test_the_grid_has_so_many_periods_and_no_more(engine):
    orders = order("ann", 1), order("ann", 4, 100)
    found = cells(engine, *orders, periods=2)
    assert [(key[1], row["cumulative_net"]) for key, row in sorted(found.items())] == [(0, 10), (1, 10)]


def test_nobody_and_days_to_come_are_in_no_cohort(engine):
    found = cells(engine, order(None, 1), order("ann", 2), order("ann", 5), order("bob", 5))
    assert {key: row["active"] for key, row in found.items()} == {(day(2), 0): 1, (day(2), 1): 0, (day(2), 2): 0}
    assert cells(engine) == {}
    assert cells(engine, order(None, 1)) == {}


@pytest.mark.parametrize("net", [0, -10])
def test_zero_and_negative_net_are_summed_as_they_are(engine, net):
    found = cells(engine, order("ann", 1, 4), order("ann", 2, net))
    assert [found[day(1), n]["cumulative_net"] for n in range(4)] == [4, 4 + net, 4 + net, 4 + net]


def test_averages_are_of_complete_cells_weighted_by_the_size_of_cohorts(engine):
    orders = [order(user, 1, 10) for user in "abc"] + [order("d", 2, 50), order("d", 3, 50), order("e", 4, 1_000)]
    made = cohort_cells(table(ORDERS, *orders), Period("day"), 9, day(1), day(4)).mutate(interval=ibis.literal("day"))
    curve = sorted(engine.rows(cohort_curve(made)), key=lambda row: row["period"])
    told = ("cohorts", "customers", "active", "retention", "cumulative_net", "cumulative_net_per_customer")
    assert [tuple(row[name] for name in told) for row in curve] == [
        (3, 5, 5, 1.0, 1080, 216.0),
        (2, 4, 1, 0.25, 130, 32.5),
        (2, 4, 0, 0.0, 130, 32.5),
        (1, 3, 0, 0.0, 30, 10.0),
    ]


def test_a_running_period_is_in_no_average_though_somebody_came_back(engine):
    orders = [order("ann", dt.date(2024, 2, 1)), order("ann", 1)]
    made = cohort_cells(table(ORDERS, *orders), Period("month"), 9, dt.date(2024, 2, 1), day(30))
    curve = engine.rows(cohort_curve(made.mutate(interval=ibis.literal("month"))))
    assert [(row["period"], row["cohorts"]) for row in curve] == [(0, 1)]


orders = st.lists(
    st.builds(
        order,
        st.sampled_from([*"abcdefgh", None]),
        st.dates(dt.date(2024, 2, 20), dt.date(2024, 5, 10)),
        st.decimals(-50, 1_000, places=4),
    ),
    max_size=40,
)


def asked_one_by_one(rows: Sequence[Row], period: Period, periods: int, last: dt.date) -> dict[tuple[int, int], Any]:
    """Ask of every cohort and period who ordered, and sum."""
    known = [(row["user_id"], period.number_of(row["day"]), row["net"]) for row in rows
             if row["user_id"] and row["day"] <= last]  # fmt: skip
    first: dict[str, int] = {}
    for user, number, _ in known:
        first[user] = min(number, first.get(user, number))
    expected = {}
    for cohort in set(first.values()):
        members = {user for user, number in first.items() if number == cohort}
        for after in range(min(periods, period.number_of(last) - cohort + 1)):
            came = {user for user, number, _ in known if user in members and number == cohort + after}
            net = [(number, paid) for user, number, paid in known if user in members and number <= cohort + after]
            now = sum((paid for number, paid in net if number == cohort + after), Decimal(0))
            so_far = sum((paid for _, paid in net), Decimal(0))
            over = cohort + after < period.number_of(last + dt.timedelta(days=1))
            expected[cohort, after] = (len(members), len(came), now, so_far, over)
    return expected


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    orders,
    st.sampled_from([Period("month"), Period("week")]),
    st.integers(1, 6),
    st.dates(dt.date(2024, 4, 1), dt.date(2024, 5, 10)),
    st.randoms(),
)
def test_cells_and_curve_are_those_of_asking_every_customer(engine, rows, period, periods, last, random):
    shuffled = table(ORDERS, *random.sample(rows, len(rows)))
    made = cohort_cells(shuffled, period, periods, dt.date(2024, 2, 20), last)
    told = ("customers", "active", "net", "cumulative_net", "complete")
    found = {
        (period.number_of(row["cohort"]), row["period"]): tuple(row[name] for name in told) for row in engine.rows(made)
    }
    expected = asked_one_by_one(rows, period, periods, last)
    assert found == expected
    curve = engine.rows(cohort_curve(made.mutate(interval=ibis.literal("p"))))
    afters = {after for (_, after), cell in expected.items() if cell[-1]}
    assert {row["period"] for row in curve} == afters
    for row in curve:
        counting = [cell for (_, after), cell in expected.items() if after == row["period"] and cell[-1]]
        users, active, brought = (sum(cell[place] for cell in counting) for place in (0, 1, 3))
        assert (row["cohorts"], row["customers"], row["active"]) == (len(counting), users, active)
        assert row["retention"] == pytest.approx(active / users)
        assert row["cumulative_net"] == brought
        assert row["cumulative_net_per_customer"] == pytest.approx(float(brought) / users)
