"""Sums of a day agree between layers, and a row that is lost on the way is a difference."""

from __future__ import annotations

from typing import Any

import pytest
from ibis.expr.types import Table

from analytics_assets.assets.catalog import Setting, asked
from analytics_assets.assets.events import fact_sessions, fact_user_day_events
from analytics_assets.assets.layers import quality_sums, quality_sums_of_metrics
from analytics_assets.assets.metrics import metric_daily
from analytics_assets.assets.user_days import fact_user_days
from analytics_assets.contracts import star
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.metrics import METRIC_DAILY
from analytics_assets.contracts.quality import QUALITY_SUMS, QUALITY_SUMS_OF_METRICS
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets_tests.answers import Row, event, happened, inquiring
from analytics_assets_tests.making import at, day, feed, project, source, staged, table

SALE = {
    "day": day(1), "user_id": "ann", "product_id": "p", "ordered_at": at("01 12:00"), "status": "completed",
    "quantity": 2, "unit_price": 5, "gross": 10, "discount": 0, "net": 10, "tax": 0, "shipping": 0,
}  # fmt: skip


def compute(engine: Any, found: Table, contract: Any) -> Table:
    return table(contract, *engine.rows(conform(found, contract)))


@pytest.fixture
def tables(engine: Any) -> dict[str, Table]:
    """Make two days of every layer, with rows that are rejected, excluded, of nobody, or cancelled."""
    events = happened(
        event("ann", "view", "01 10:00"),
        event("ann", "buy", "01 10:05"),
        event("bot", "view", "01 10:00", excluded_as="bot"),
        event(None, "view", "01 11:00"),
        event("bob", "view", "02 10:00"),
    )
    rows = [{"day": row["day"], "delivery_day": row["day"]} for row in engine.rows(events)]
    rejected = {"day": day(1), "delivery_day": day(1), "rejected": ["duplicate"]}
    sales = table(
        star.FACT_SALES,
        {**SALE, "order_id": "o1", "line": "1"},
        {**SALE, "order_id": "o1", "line": "2"},
        {**SALE, "order_id": "o1", "line": "3", "user_id": "bob"},
        {**SALE, "order_id": "o2", "line": "1", "status": "cancelled"},
        {**SALE, "order_id": "o3", "line": "1", "user_id": None},
        {**SALE, "order_id": "o4", "line": "1", "excluded_as": "test"},
    )
    raw = DELIVERED["events"].raw()
    origin = {"source": "s0", "feed": 0, "file": "f.csv"}
    delivered = [row["delivery_day"] for row in (*rows, rejected)]
    told = {
        "raw_events": table(raw, *({"delivery_day": d, "row_number": n, **origin} for n, d in enumerate(delivered))),
        "staged_events": staged("events", *rows, rejected),
        "fact_events": events,
        "fact_sales": sales,
    }
    told["fact_sessions"] = compute(engine, fact_sessions(events), star.FACT_SESSIONS)
    told["fact_user_day_events"] = compute(engine, fact_user_day_events(events), star.FACT_USER_DAY_EVENTS)
    users = fact_user_days(told["fact_sessions"], sales)
    return told | {"fact_user_days": compute(engine, users, star.FACT_USER_DAYS)}


def sums(engine: Any, tables: dict[str, Table], first: int = 1, last: int = 2) -> list[Row]:
    setting = Setting(project(), Days(day(first), day(last)))
    return engine.rows(conform(quality_sums(setting, **tables), QUALITY_SUMS))


def test_sums_of_layers_agree_day_by_day(engine, tables):
    rows = sums(engine, tables)
    assert all(row["expected"] == row["found"] for row in rows), rows
    told = {(row["day"].day, row["name"]): row["found"] for row in rows}
    assert told[1, "rows kept and rejected in staged_events, of raw_events"] == 5
    assert told[1, "rows of fact_events, kept in staged_events"] == 4
    assert told[1, "events of fact_sessions, of fact_events"] == 3
    assert told[1, "events of fact_user_day_events, of fact_events"] == 2
    assert told[1, "sessions of fact_user_days, of fact_sessions"] == 1
    assert told[1, "orders of fact_user_days, of fact_sales"] == 2
    assert told[1, "revenue of fact_user_days, of fact_sales"] == 30
    assert told[2, "events of fact_user_days, of fact_sessions"] == 1


@pytest.mark.parametrize(
    ("lost", "names"),
    [
        ("raw_events", {"rows kept and rejected in staged_events, of raw_events"}),
        (
            "staged_events",
            {"rows kept and rejected in staged_events, of raw_events", "rows of fact_events, kept in staged_events"},
        ),
        ("fact_user_day_events", {"events of fact_user_day_events, of fact_events"}),
        (
            "fact_user_days",
            {"sessions of fact_user_days, of fact_sessions", "events of fact_user_days, of fact_sessions"},
        ),
    ],
)
def test_what_is_lost_in_a_layer_is_a_difference_of_its_day_alone(engine, tables, lost, names):
    by = "delivery_day" if lost.startswith(("raw", "staged")) else "day"
    without = tables | {lost: tables[lost].filter(tables[lost][by] != day(2))}
    differ = {(row["day"], row["name"]) for row in sums(engine, without) if row["expected"] != row["found"]}
    assert differ == {(day(2), name) for name in names}
    # a run of the other day says nothing of it
    assert all(row["expected"] == row["found"] for row in sums(engine, without, 1, 1))


def test_days_without_any_row_are_told_of_nothing(engine, tables):
    assert sums(engine, tables, 3, 4) == []
    assert sums(engine, {name: rows.limit(0) for name, rows in tables.items()}) == []


QUESTIONS: dict[str, Any] = {
    "metrics": {
        "orders": {"kind": "sum", "fact": "fact_user_days", "value": "orders"},
        "views": {"kind": "count", "fact": "fact_events", "where": {"event_type": "view"}},
        "time": {"kind": "sum", "fact": "fact_user_days", "value": "active_time"},
        "capped": {"kind": "sum", "fact": "fact_user_days", "value": "revenue", "cap": 5},
        "users": {"kind": "unique_users", "fact": "fact_events"},
    }
}


def test_metrics_that_add_up_agree_with_their_facts(engine, tables):
    within = inquiring(QUESTIONS, source(feed("events", "user_id")), source(feed("order_lines", "user_id")))
    setting = Setting(within, Days(day(1), day(2)), Days(day(1), day(2)), engine.rows)
    read = {name: tables[name] for name in ("fact_user_days", "fact_events")}
    daily = compute(engine, metric_daily(setting, **read), METRIC_DAILY)

    def held(metrics: Table) -> dict[str, tuple[Any, Any]]:
        found = conform(quality_sums_of_metrics(setting, metrics, **read), QUALITY_SUMS_OF_METRICS)
        return {row["name"].split()[0]: (row["expected"], row["found"]) for row in engine.rows(found)}

    assert held(daily) == {"orders": (2, 2), "views": (3, 3)}
    assert held(daily.filter(daily.period != day(2))) == {"orders": (2, 2), "views": (3, 2)}
    (asset,) = (asset for asset in asked(within) if asset.contract is QUALITY_SUMS_OF_METRICS)
    assert set(asset.requires) == {"metric_daily", "fact_user_days", "fact_events"}


def test_metrics_none_of_which_adds_up_have_no_table():
    within = inquiring({"metrics": {"users": QUESTIONS["metrics"]["users"]}})
    assert QUALITY_SUMS_OF_METRICS not in [asset.contract for asset in asked(within)]
