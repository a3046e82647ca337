"""What retention cases ask of `analysis.retention`."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any

from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.retention import Retention, retained_users, retention_cells
from analytics_assets_tests.oracles.reading import Case, as_table, assert_same, date, events, instant, matching, period
from analytics_assets_tests.oracles.reading import rows as computed


def check(case: Case) -> None:
    if case["definition"].get("kind") == "conditions":
        check_conditions(case)
    else:
        check_matrix(case)


def check_matrix(case: Case) -> None:
    says, expected = case["definition"], case["expected"]
    happened = events(case)
    broken_down = says.get("breakdown")
    value = broken_down["prop"] if broken_down else None
    unit = period(says["period"], says.get("week_start"))
    intervals = says["intervals"]
    cohorts = says.get("cohorts") or intervals
    retention = Retention(
        period=unit,
        periods=intervals,
        entry=says.get("type") or "recurring",
        measure="unbounded" if says.get("unbounded") else "n_day",
        elapsed=says.get("window_mode") == "24h",
        at_least=says.get("min_occurrences") or 1,
    )
    first = instant(says["start"], says.get("timezone") or "UTC") if unit.unit == "hour" else date(says["start"])
    # a triangle ends with the last period of its first cohort, a square with that of its last one; windows of a user's
    # own end up to a period later
    periods = intervals + (cohorts - 1 if says.get("square") else 0) + retention.elapsed
    cells = retention_cells(
        as_table(matching(happened, says.get("target")), value),
        as_table(matching(happened, says.get("returning")), value),
        retention,
        first,
        end_of(unit, first, periods),
        by=["value"] if broken_down else (),
    )
    wanted = str(broken_down["value"]) if broken_down else None
    found: dict[Any, dict[int, int]] = defaultdict(dict)
    for cell in computed(cells):
        if cell.get("value") == wanted:
            found[cell["cohort"]][cell["period"]] = cell["retained"]
    starts = sorted(found) or [None] * cohorts
    matrix = [
        [found[start].get(number, 0) for number in range(intervals if says.get("square") else intervals - row)]
        for row, start in enumerate(starts[:cohorts])
    ]
    assert_same(matrix, expected["matrix"])


def check_conditions(case: Case) -> None:
    """Users who were there on the first day, and those of them who were there on each other day."""
    says, expected = case["definition"], case["expected"]
    days = [date(day) for day in says["days"]]
    happened = events(case)
    users = sorted({event["user_id"] for event in happened if event["user_id"] is not None}, key=lambda u: (len(u), u))
    there = as_table(happened)
    retention = Retention(Period("day"), (max(days) - days[0]).days + 1, entry="recurring")
    listed = computed(retained_users(there, there, retention, days[0], max(days)))
    seen = {(row["user_id"], row["period"]) for row in listed if row["cohort"] == days[0]}
    per_user = {user: [int((user, (day - days[0]).days) in seen) for day in days] for user in users}
    if "sums" in expected:
        assert_same([sum(flags[n] for flags in per_user.values()) for n in range(len(days))], expected["sums"])
    if "per_user" in expected:
        wanted = expected["per_user"]
        if isinstance(wanted, dict):
            assert_same({user: per_user.get(user, [0] * len(days)) for user in wanted}, wanted)
        else:
            assert_same(list(per_user.values()), wanted)


def end_of(unit: Period, first: dt.date, periods: int) -> dt.date:
    """Give the last day (for hours, the last hour) of so many periods from the one of `first` on."""
    if unit.unit == "hour":
        return first + dt.timedelta(hours=periods - 1)
    last = unit.number_of(first) + periods - 1
    day = first
    while unit.number_of(day + dt.timedelta(days=1)) <= last:
        day += dt.timedelta(days=1)
    return day
