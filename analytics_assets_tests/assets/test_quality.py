"""What is counted becomes findings in words, by kind; the days that a project names or accepts are told as such."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analytics_assets.assets import quality
from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.layers import watched
from analytics_assets.contracts import quality as promised
from analytics_assets.contracts import star
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets_tests.answers import Row, conforming, event, happened
from analytics_assets_tests.making import day, feed, project, source, staged, table

FIRST = dt.date(2024, 1, 1)
DAYS = 90
BROKEN = FIRST + dt.timedelta(days=80)
Counts = dict[quality.Key, Any]


def steady(*, rows: int = 5_000, days: int = DAYS) -> dict[str, Any]:
    """Make what an ordinary shop counts: its series by key, each with counts and totals (or None) by day."""
    dice = np.random.default_rng(7)
    events = dice.poisson(rows, days).astype(float)
    users, orders = dice.poisson(800, days).astype(float), dice.poisson(300, days).astype(float)
    told: dict[str, Any] = {
        "fact_events/rows//": (events, None),
        "fact_events/nulls/device/": (np.zeros(days), events.copy()),
        "staged_events/rejected//": (dice.binomial(events.astype(int), 0.005).astype(float), events.copy()),
        "fact_user_days/metric/active_users/": (users, None),
        "fact_user_days/metric/conversion/": (dice.binomial(users.astype(int), 0.1).astype(float), users.copy()),
        "fact_sales/metric/orders/": (orders, None),
        "fact_sales/metric/net_revenue/": (orders.copy(), None),
    }
    shares = dice.multinomial(events.astype(int), [0.6, 0.3, 0.1]).T.astype(float)
    for place, kind in enumerate(("view", "search", "buy")):
        told[f"fact_events/values/event_type/{kind}"] = shares[place], events.copy()
    return told


def counted(told: dict[str, Any]) -> list[Row]:
    """Make rows of `quality_measures`; what is NaN is no row."""
    rows = []
    for name, (counts, totals) in told.items():
        table_, measure, column, value = name.split("/")
        for number, count in enumerate(counts):
            if not np.isnan(count):
                amount = round(60 * count, 4) if column == "net_revenue" else None
                rows.append(
                    {"day": FIRST + dt.timedelta(days=number), "table": table_, "measure": measure, "column": column,
                     "value": value, "count": int(count), "amount": amount,
                     "total": None if totals is None else int(totals[number])}
                )  # fmt: skip
    return rows


def setting(engine: Any, **says: Any) -> Setting:
    days = Days(FIRST, FIRST + dt.timedelta(days=DAYS - 1))
    return Setting(project(first_day=FIRST, **says), days, days, engine.rows)


def findings(engine: Any, told: dict[str, Any], **says: Any) -> list[Row]:
    measures = table(promised.QUALITY_MEASURES, *counted(told))
    found = quality.quality_findings(setting(engine, **says), measures)
    return engine.rows(conform(found, promised.QUALITY_FINDINGS))


def test_an_ordinary_shop_has_no_findings(engine):
    assert findings(engine, steady()) == []


def _halved(told: dict[str, Any]) -> None:
    told["fact_events/rows//"][0][80] //= 2


def _empty(told: dict[str, Any]) -> None:
    told["fact_events/rows//"][0][80] = 0
    for name, (counts, totals) in told.items():
        if totals is not None and name.startswith("fact_events"):
            counts[80], totals[80] = 0, 0


def _no_orders(told: dict[str, Any]) -> None:
    for name in ("orders", "net_revenue"):
        told[f"fact_sales/metric/{name}/"][0][80] = 0
    told["fact_user_days/metric/conversion/"][0][80] = 0


def _nulls(told: dict[str, Any]) -> None:
    told["fact_events/nulls/device/"][0][80] = 1_000


def _rejected(told: dict[str, Any]) -> None:
    told["staged_events/rejected//"][0][80] = 400


def _doubled(told: dict[str, Any]) -> None:
    counts, _ = told["fact_events/values/event_type/buy"]
    for kind in ("view", "search", "buy"):
        told[f"fact_events/values/event_type/{kind}"][1][80] += counts[80]
    counts[80] *= 2


def _gone(told: dict[str, Any]) -> None:
    told["fact_events/values/event_type/buy"][0][80] = 0


def _new(told: dict[str, Any]) -> None:
    counts = np.full(DAYS, np.nan)
    counts[80] = 25
    told["fact_events/values/event_type/wish"] = counts, told["fact_events/values/event_type/buy"][1]


KINDS: dict[str, tuple[Callable[[dict[str, Any]], None], set[tuple[str, str]], str]] = {
    "a day at half volume": (_halved, {("volume", "")}, r"2,\d\d\d rows in fact_events: [45],\d\d\d expected, 3,"),
    "an empty day": (_empty, {("volume", "")}, "0 rows in fact_events: "),
    "no orders": (
        _no_orders,
        {("metric", "orders"), ("metric", "net_revenue"), ("metric", "conversion")},
        r"conversion is 0.0 %: \d+.\d % expected",
    ),
    "a flood of nulls": (
        _nulls,
        {("nulls", "device")},
        r"device of fact_events is missing in \d\d.\d % of rows: 0.0 %",
    ),
    "a flood of rejected rows": (
        _rejected,
        {("rejected", "")},
        r"\d.\d % of staged_events is rejected: 0.\d % expected",
    ),
    "a doubled event type": (_doubled, {("categories", "event_type")}, r"event_type buy is 1\d.\d % of fact_events: "),
    "an event type that is gone": (
        _gone,
        {("gone_value", "event_type"), ("categories", "event_type")},
        "event_type buy is gone from fact_events",
    ),
    "a new event type": (_new, {("new_value", "event_type")}, "event_type wish is new in fact_events, with 25 rows"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_planted_is_found_on_its_day_and_told_in_words(engine, name):
    plant, kinds, reason = KINDS[name]
    told = steady()
    plant(told)
    found = findings(engine, told)
    assert {row["day"] for row in found} == {BROKEN}
    assert {(row["kind"], row["column"]) for row in found} <= kinds
    assert any(re.match(reason, row["reason"]) for row in found), [row["reason"] for row in found]
    assert all(row["severity"] == "warning" and row["accepted"] is None for row in found)


def test_a_finding_says_what_was_expected_and_what_is_usual(engine):
    told = steady()
    _halved(told)
    (row,) = findings(engine, told)
    assert (row["table"], row["measure"], row["rows"]) == ("fact_events", "rows", None)
    assert row["observed"] < row["low"] < row["expected"] < row["high"]
    assert row["expected"] == pytest.approx(5_000, rel=0.05)
    told = steady()
    _nulls(told)
    (row,) = findings(engine, told)
    assert (row["low"], row["rows"]) == (None, int(told["fact_events/rows//"][0][80]))
    assert row["observed"] == pytest.approx(1_000 / row["rows"])


def test_a_check_that_the_project_calls_an_error_is_one(engine):
    told = steady()
    _halved(told)
    _nulls(told)
    found = findings(engine, told, quality={"errors": ["nulls"]})
    assert {row["kind"]: row["severity"] for row in found} == {"volume": "warning", "nulls": "error"}


def test_an_accepted_day_is_told_with_the_reason(engine):
    told = steady()
    _halved(told)
    _rejected(told)
    accepted = {
        "day": str(BROKEN - dt.timedelta(days=1)),
        "last": str(BROKEN),
        "reason": "sale",
        "table": "fact_events",
    }
    found = findings(engine, told, quality={"accepted": [accepted]})
    assert {row["kind"]: row["accepted"] for row in found} == {"volume": "sale", "rejected": None}


def test_a_named_day_is_judged_by_four_and_named_in_the_reason(engine):
    told = steady()
    _halved(told)
    named = {"special_days": {"Sale": [BROKEN]}}
    assert findings(engine, told, forecasts=named) == []
    _empty(told)
    (row,) = findings(engine, told, forecasts=named)
    assert row["reason"].endswith("is usual, on Sale")


def test_days_whose_rows_are_still_to_come_wait(engine):
    told = steady()
    _halved(told)
    assert findings(engine, told, quality={"wait_days": 9})
    assert not findings(engine, told, quality={"wait_days": 10})


def test_the_least_change_is_a_setting(engine):
    told = steady()
    told["fact_events/rows//"][0][80] *= 1.3
    assert not findings(engine, told)
    assert findings(engine, told, quality={"least_change": 0.2})


def test_spend_and_assignments_come_and_go_by_plan(engine):
    told = steady()
    for fact, column in (("fact_assignments", "experiment"), ("fact_campaign_spend", "channel")):
        counts = np.where(np.arange(DAYS) < 70, 0.0, 500.0)
        told[f"{fact}/rows//"] = counts, None
        told[f"{fact}/values/{column}/x"] = np.where(counts > 0, counts, np.nan), counts
    assert findings(engine, told) == []


def test_a_day_that_was_never_run_is_no_number(engine):
    told = steady()
    for counts, _ in told.values():
        counts[78:81] = np.nan
    assert findings(engine, told) == []


def test_a_table_that_begins_late_is_judged_from_its_sixth_week_on(engine):
    told = steady()
    late = np.concatenate([np.zeros(40), np.full(50, 500.0)])
    late[70] = 0
    late[85] = 0
    told["fact_returns/rows//"] = late, None
    assert [row["day"] for row in findings(engine, told)] == [FIRST + dt.timedelta(days=85)]


def test_a_column_with_too_many_values_has_no_new_ones(engine):
    told = steady()
    totals = told["fact_events/rows//"][0]
    told["fact_events/values/country/(other)"] = totals - 100, totals
    told["fact_events/values/country/XY"] = np.where(np.arange(DAYS) == 80, 100.0, np.nan), totals
    assert not [row for row in findings(engine, told) if row["kind"] == "new_value"]


def test_findings_do_not_depend_on_the_order_of_rows(engine):
    told = steady()
    for plant, *_ in KINDS.values():
        plant(told)
    rows = counted(told)
    found = [
        engine.rows(quality.quality_findings(setting(engine), table(promised.QUALITY_MEASURES, *some)))
        for some in (rows, rows[::-1])
    ]
    assert found[0]
    assert sorted(map(str, found[0])) == sorted(map(str, found[1]))


def test_what_stood_out_does_not_change_when_more_days_come(engine):
    told = steady()
    _halved(told)
    _new(told)
    whole = findings(engine, told)
    until = {name: (counts[:81], totals) for name, (counts, totals) in told.items()}
    assert sorted(map(str, findings(engine, until))) == sorted(map(str, whole))


def test_nothing_counted_is_nothing_found(engine):
    assert findings(engine, {}) == []
    nothing = table(promised.QUALITY_MEASURES)
    assert engine.rows(quality.quality_series(setting(engine), nothing)) == []


def test_every_finding_has_a_check_and_keeps_its_contract(engine):
    assert {kind for kinds in promised.CHECKS.values() for kind in kinds} == set(promised.KINDS)
    told = steady()
    for plant, *_ in KINDS.values():
        plant(told)
    kinds = {row["kind"] for row in findings(engine, told)}
    assert kinds <= set(promised.KINDS)
    assert promised.QUALITY_FINDINGS.checks() == ("keys", "values", *promised.CHECKS)


def test_the_rate_of_false_alarms_is_shared_out_as_a_whole():
    assert sum(quality.BUDGET.values()) == pytest.approx(1)


def test_a_series_shows_every_day_with_what_was_usual(engine):
    told = steady()
    _halved(told)
    measures = table(promised.QUALITY_MEASURES, *counted(told))
    named = {"special_days": {"Sale": [FIRST]}}
    rows = conforming(
        engine, quality.quality_series(setting(engine, forecasts=named), measures), promised.QUALITY_SERIES
    )
    assert {(row["kind"], row["column"]) for row in rows} == {
        ("volume", ""), ("metric", "active_users"), ("metric", "conversion"), ("metric", "orders"),
        ("metric", "net_revenue"),
    }  # fmt: skip
    assert len(rows) == 5 * DAYS
    assert [row["day"] for row in rows if row["odd"]] == [BROKEN]
    assert {row["named"] for row in rows if row["day"] == FIRST} == {"Sale"}
    first = next(row for row in rows if row["kind"] == "volume")
    assert (first["expected"], first["low"], first["high"]) == (None, None, None)
    (money,) = (row for row in rows if row["column"] == "net_revenue" and row["day"] == BROKEN)
    assert money["expected"] == pytest.approx(300 * 60, rel=0.1)


# --- what is counted --------------------------------------------------------------------------------------------------


def test_a_day_is_counted_by_all_that_the_contracts_say(engine):
    events = happened(
        event("ann", "view", "01 10:00", device="phone"),
        event("bob", "buy", "01 11:00"),
        event("bot", "view", "01 12:00", excluded_as="bot"),
    )
    sessions = table(star.FACT_SESSIONS)
    users = table(star.FACT_USER_DAYS, {"day": day(1), "user_id": "ann", "sessions": 1, "orders": 0})
    tables = {
        "fact_events": events,
        "fact_sessions": sessions,
        "fact_user_days": users,
        "staged_events": staged("events", {"rejected": ["duplicate"]}, {}),
    }
    march = Setting(project(), Days(day(1), day(2)), collect=engine.rows)
    rows = conforming(engine, quality.quality_measures(march, **tables), promised.QUALITY_MEASURES)
    told = {(row["table"], row["measure"], row["column"], row["value"]): (row["count"], row["total"]) for row in rows
            if row["day"] == day(1)}  # fmt: skip
    assert told["fact_events", "rows", "", ""] == (2, None)
    assert told["fact_events", "nulls", "device", ""] == (1, 2)
    assert told["fact_events", "values", "event_type", "view"] == (1, 2)
    assert told["fact_events", "values", "device", "phone"] == (1, 1)
    assert told["staged_events", "rejected", "", "duplicate"] == (1, 2)
    assert told["fact_user_days", "metric", "active_users", ""] == (1, None)
    assert told["fact_sessions", "rows", "", ""] == (0, None)
    assert not {column for _, measure, column, _ in told if measure == "nulls"} & promised.COME_AND_GO
    second = {(row["table"], row["measure"], row["column"]) for row in rows if row["day"] == day(2)}
    assert second == {
        ("fact_events", "rows", ""), ("fact_sessions", "rows", ""),
        ("fact_user_days", "metric", "active_users"), ("fact_user_days", "metric", "conversion"),
    }  # fmt: skip


def test_only_facts_that_are_kept_by_day_are_counted():
    roster = project(source(feed("experiment_assignments", "variant")))
    assert watched(roster) == ()
    assert not [name for name in resolve(roster).contracts() if name.startswith("quality")]
    sales = project(source(feed("order_lines", "user_id")))
    assert watched(sales) == (star.FACT_SALES,)
    names = {name for name in resolve(sales).contracts() if name.startswith("quality")}
    assert names == {"quality_measures", "quality_findings", "quality_series", "quality_sums"}
