"""What cases about active users, stickiness and lifecycle ask of `analysis.actives` and `analysis.lifecycle`."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from analytics_assets.analysis.actives import Frequency, active_periods, period_users, trailing_users
from analytics_assets.analysis.lifecycle import lifecycle
from analytics_assets.analysis.periods import Period
from analytics_assets_tests.oracles.reading import Case, as_table, assert_same, bounds, date, events, period, rows


def check_stickiness(case: Case) -> None:
    says = case["definition"]
    unit = says.get("interval") or "day"
    relation, number = says.get("criteria") or ("gte", 1)
    frequency = Frequency(
        period(unit, says.get("week_start")),
        length=says.get("interval_count") or 1,
        at_least=1 if relation == "lte" else number,
        at_most=None if relation == "gte" else number,
        cumulative=bool(says.get("cumulative")),
    )
    found = rows(active_periods(as_table(events(case)), frequency, *bounds(says, unit)))
    found.sort(key=lambda row: row["stretches"])
    assert_same([row["users"] for row in found], case["expected"]["data"])


def check_lifecycle(case: Case) -> None:
    says = case["definition"]
    unit = says.get("interval") or "day"
    told = lifecycle(as_table(events(case)), period(unit, says.get("week_start")), *bounds(says, unit))
    found = sorted(rows(told), key=lambda row: row["at"])
    for state, expected in case["expected"].items():
        assert_same([row[state] for row in found], expected)


def check_active_users(case: Case) -> None:
    says, expected = case["definition"], case["expected"]
    for name, wanted in expected.items():
        found = _active_users(case, says.get("interval") or "day")
        assert_same(found[-1] if name == "value" else found, wanted)


def _active_users(case: Case, interval: str) -> list[Any]:
    says, active = case["definition"], as_table(events(case))
    metric = says["metric"]
    if calendar := re.fullmatch(r"calendar_(\w+)_unique", metric):
        weeks = period(calendar[1], says.get("week_start"))
        return _in_order(period_users(active, weeks, date(says["date_from"]), date(says["date_to"])))
    window = re.fullmatch(r"trailing_(\d+)d_unique(_at_end)?", metric)
    assert window, f"no metric is called {metric}"
    days = int(window[1])
    if interval == "hour" and not window[2]:
        return _in_order(trailing_users(active, {"users": days * 24}, *bounds(says, "hour"), Period("hour")))
    first, last = date(says["date_from"]), date(says["date_to"])
    daily = _in_order(trailing_users(active, {"users": days}, first, last))
    if interval in {"day", "hour"}:
        return daily
    # of a longer interval, its last day
    unit = period(interval, says.get("week_start"))
    numbers = [unit.number_of(first + dt.timedelta(days=offset)) for offset in range(len(daily))]
    return list(dict(zip(numbers, daily, strict=True)).values())


def _in_order(counted: Any) -> list[int]:
    return [row["users"] for row in sorted(rows(counted), key=lambda row: row["at"])]
