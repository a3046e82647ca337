from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.assets.user_days import fact_user_days
from analytics_assets.contracts.star import FACT_SALES, FACT_SESSIONS, FACT_USER_DAYS
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import day, table

Row = dict[str, Any]


def session(**says: Any) -> Row:
    return {"day": day(1), "user_id": "ann", "is_anonymous": False, "events": 2, "duration": 60.0, **says}


def sale(**says: Any) -> Row:
    return {"day": day(1), "user_id": "ann", "order_id": "o", "status": "completed", "quantity": 2, "net": 5, **says}


def user_days(engine: Engine, sessions: list[Row] | None = None, sales: list[Row] | None = None) -> list[Row]:
    found = fact_user_days(
        None if sessions is None else table(FACT_SESSIONS, *sessions),
        None if sales is None else table(FACT_SALES, *sales),
    )
    return engine.rows(conform(found, FACT_USER_DAYS).order_by("day", "user_id"))


IDLE = {"sessions": 0, "events": 0, "active_time": 0.0, "orders": 0, "units": 0, "revenue": Decimal(0)}


def test_a_project_with_events_alone_has_no_sales(engine):
    found = user_days(engine, sessions=[session(), session(events=3, duration=1.5), session(user_id="bob")])
    ann = {
        "day": day(1),
        "user_id": "ann",
        "is_anonymous": False,
        **IDLE,
        "sessions": 2,
        "events": 5,
        "active_time": 61.5,
    }
    bob = {
        "day": day(1),
        "user_id": "bob",
        "is_anonymous": False,
        **IDLE,
        "sessions": 1,
        "events": 2,
        "active_time": 60.0,
    }
    assert found == [ann, bob]


def test_a_project_with_sales_alone_has_no_sessions(engine):
    found = user_days(engine, sales=[sale(), sale(), sale(order_id="p", net="0.0001"), sale(day=day(2))])
    first = {"day": day(1), "user_id": "ann", "is_anonymous": False, **IDLE, "orders": 2, "units": 6}
    second = {"day": day(2), "user_id": "ann", "is_anonymous": False, **IDLE, "orders": 1, "units": 2}
    assert found == [{**first, "revenue": Decimal("10.0001")}, {**second, "revenue": Decimal(5)}]


def test_who_acted_and_bought_on_a_day_has_one_row(engine):
    (found,) = user_days(engine, sessions=[session(), session()], sales=[sale()])
    assert (found["sessions"], found["orders"]) == (2, 1)
    assert (found["active_time"], found["revenue"]) == (120.0, Decimal(5))


@pytest.mark.parametrize(
    "says",
    [{"status": "cancelled"}, {"excluded_as": "test"}, {"user_id": None}],
    ids=["cancelled", "excluded", "nobody"],
)
def test_a_line_that_is_cancelled_or_excluded_or_of_nobody_is_left_out(engine, says):
    assert user_days(engine, sales=[sale(**says)]) == []
    (found,) = user_days(engine, sessions=[session()], sales=[sale(**says), sale(status="pending", net=7)])
    assert (found["orders"], found["revenue"]) == (1, Decimal(7))


def test_an_excluded_session_is_left_out(engine):
    assert user_days(engine, sessions=[session(excluded_as="bot")]) == []
    (found,) = user_days(engine, sessions=[session(excluded_as="bot"), session()], sales=[])
    assert found["sessions"] == 1


def test_a_visitor_is_anonymous_until_they_buy(engine):
    visits = [session(user_id="v1", is_anonymous=True), session(user_id="v2", is_anonymous=True)]
    found = user_days(engine, sessions=visits, sales=[sale(user_id="v2")])
    assert {row["user_id"]: row["is_anonymous"] for row in found} == {"v1": True, "v2": False}


some = st.sampled_from
sales_rows = st.fixed_dictionaries(
    {
        "day": some([day(1), day(2)]),
        "user_id": some(["ann", "bob", None]),
        "order_id": some(["o", "p"]),
        "status": some(["completed", "pending", "cancelled"]),
        "quantity": st.integers(1, 5),
        "net": st.decimals(0, 100, places=4),
        "excluded_as": some([None, None, "bot"]),
    }
)
session_rows = st.fixed_dictionaries(
    {
        "day": some([day(1), day(2)]),
        "user_id": some(["ann", "bob"]),
        "is_anonymous": st.just(False),
        "events": st.integers(1, 9),
        "duration": st.integers(0, 1000).map(float),
        "excluded_as": some([None, None, "bot"]),
    }
)


@settings(max_examples=20, deadline=None)
@given(st.lists(session_rows, max_size=10), st.lists(sales_rows, max_size=10))
def test_each_user_day_is_what_plain_python_sums_up(engine, sessions, sales):
    acted = [row for row in sessions if row["excluded_as"] is None]
    bought = [r for r in sales if r["excluded_as"] is None and r["user_id"] and r["status"] != "cancelled"]
    expected = []
    for date, user in sorted({(row["day"], row["user_id"]) for row in acted + bought}):
        visits = [row for row in acted if (row["day"], row["user_id"]) == (date, user)]
        lines = [row for row in bought if (row["day"], row["user_id"]) == (date, user)]
        expected.append(
            {
                "day": date,
                "user_id": user,
                "is_anonymous": False,
                "sessions": len(visits),
                "events": sum(row["events"] for row in visits),
                "active_time": sum(row["duration"] for row in visits),
                "orders": len({row["order_id"] for row in lines}),
                "units": sum(row["quantity"] for row in lines),
                "revenue": sum(row["net"] for row in lines),
            }
        )
    assert user_days(engine, sessions, sales) == expected
