from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from ibis.expr.types import Table

from analytics_assets.analysis.quality import activity, rejections, rows_and_nulls, sold, values, with_zeros
from analytics_assets_tests.making import day, table

EVENTS = {"day": "date", "event_type": "string", "device": "string"}
NAMES = ("table", "measure", "column", "value", "count", "total", "amount")


def told(engine: Any, found: Table, number: int = 1) -> set[tuple[Any, ...]]:
    """Give what is told of a day in March."""
    return {tuple(row[name] for name in NAMES) for row in engine.rows(found) if row["day"] == day(number)}


def test_rows_and_missing_values_are_counted_by_day(engine):
    rows = table(
        EVENTS,
        {"day": day(1), "event_type": "view", "device": "phone"},
        {"day": day(1), "event_type": "view"},
        {"day": day(2), "event_type": "buy"},
    )
    found = rows_and_nulls("fact_events", rows, ["device", "event_type"])
    assert told(engine, found) == {
        ("fact_events", "rows", "", "", 2, None, None),
        ("fact_events", "nulls", "device", "", 1, 2, None),
        ("fact_events", "nulls", "event_type", "", 0, 2, None),
    }
    assert ("fact_events", "nulls", "device", "", 1, 1, None) in told(engine, found, 2)


def test_values_are_counted_by_column_and_those_beyond_the_most_frequent_together(engine):
    kinds = ["a"] * 3 + ["b"] * 2 + ["c", "d"]
    rows = table(EVENTS, *({"day": day(1), "event_type": kind, "device": None} for kind in kinds))
    found = values({"fact_events": (rows, ["event_type", "device"])}, 2, "(other)")
    assert told(engine, found) == {
        ("fact_events", "values", "event_type", "a", 3, 7, None),
        ("fact_events", "values", "event_type", "b", 2, 7, None),
        ("fact_events", "values", "event_type", "(other)", 2, 7, None),
    }


def test_values_of_two_tables_are_told_apart(engine):
    rows = table(EVENTS, {"day": day(1), "event_type": "view", "device": "phone"})
    found = values({"one": (rows, ["device"]), "two": (rows, ["device", "event_type"])}, 9, "(other)")
    assert {row[:4] for row in told(engine, found)} == {
        ("one", "values", "device", "phone"),
        ("two", "values", "device", "phone"),
        ("two", "values", "event_type", "view"),
    }


def test_rejected_rows_are_counted_by_day_of_delivery_and_main_reason(engine):
    staged = table(
        {"delivery_day": "date", "rejected": "array<string>"},
        {"delivery_day": day(1), "rejected": []},
        {"delivery_day": day(1), "rejected": ["late", "duplicate"]},
        {"delivery_day": day(1), "rejected": ["duplicate"]},
        {"delivery_day": day(2), "rejected": []},
    )
    found = rejections({"staged_events": staged})
    assert told(engine, found) == {
        ("staged_events", "rejected", "", "", 2, 3, None),
        ("staged_events", "rejected", "", "late", 1, 3, None),
        ("staged_events", "rejected", "", "duplicate", 1, 3, None),
    }
    assert told(engine, found, 2) == {("staged_events", "rejected", "", "", 0, 1, None)}


def test_active_users_are_those_with_a_session(engine):
    users = table(
        {"day": "date", "sessions": "int64", "orders": "int64"},
        {"day": day(1), "sessions": 2, "orders": 1},
        {"day": day(1), "sessions": 1, "orders": 0},
        {"day": day(1), "sessions": 0, "orders": 1},
    )
    assert told(engine, activity("fact_user_days", users)) == {
        ("fact_user_days", "metric", "active_users", "", 2, None, None),
        ("fact_user_days", "metric", "conversion", "", 1, 2, None),
    }


def test_orders_are_those_that_count_and_their_revenue_is_a_decimal(engine):
    kinds = {"day": "date", "order_id": "string", "net": "decimal(18, 4)", "status": "string", "excluded_as": "string"}
    line = {"day": day(1), "order_id": "o1", "net": "0.1", "status": "completed"}
    lines = table(kinds, line, {**line, "net": "0.2"}, {**line, "status": "cancelled"}, {**line, "excluded_as": "test"})
    assert told(engine, sold("fact_sales", lines)) == {
        ("fact_sales", "metric", "orders", "", 1, None, None),
        ("fact_sales", "metric", "net_revenue", "", 1, None, Decimal("0.3000")),
    }


def test_a_day_without_rows_is_a_zero_where_one_is_expected(engine):
    rows = table(EVENTS, {"day": day(1), "event_type": "view"})
    counted = rows_and_nulls("fact_events", rows, [])
    expected = [("fact_events", "rows", ""), ("users", "metric", "conversion"), ("sales", "metric", "net_revenue")]
    found = with_zeros(counted, day(1), day(2), expected)
    assert ("fact_events", "rows", "", "", 1, None, None) in told(engine, found, 1)
    assert told(engine, found, 2) == {
        ("fact_events", "rows", "", "", 0, None, None),
        ("users", "metric", "conversion", "", 0, 0, None),
        ("sales", "metric", "net_revenue", "", 0, None, Decimal(0)),
    }
    assert len(engine.rows(found)) == 6
    assert {type(row["day"]) for row in engine.rows(found)} == {dt.date}
