from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.analysis.rfm import SEGMENTS
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.customers import (
    FOLLOWED,
    order_cohort_curve,
    order_cohorts,
    rfm_customer_segments,
    rfm_history,
    rfm_migration,
    rfm_scores,
    rfm_segments,
    rfm_thresholds,
)
from analytics_assets.assets.marts import customer_lifetime_value, reconciliation
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.sales import ORDER_VALUE, PRODUCT_PERFORMANCE, REVENUE_DAILY, SALES_OVERVIEW
from analytics_assets.contracts.star import FACT_SALES
from analytics_assets.lake.days import Days
from analytics_assets.statistics.proportions import wilson
from analytics_assets_tests.answers import MARCH, Row, answers
from analytics_assets_tests.making import day, project, table

FUNCTIONS = [
    rfm_customer_segments, rfm_segments, rfm_scores, rfm_thresholds, rfm_history, rfm_migration, order_cohorts,
    order_cohort_curve,
]  # fmt: skip
FIRST_QUARTER = Days(dt.date(2024, 1, 1), dt.date(2024, 3, 20))
PAGE = (Path(__file__).resolve().parents[2] / "docs/customers.md").read_text()
_ids = itertools.count(1)


def order(user: str | None, when: dt.date | int, net: Any = 10) -> Row:
    """An order that counts, on a day of March 2024 or on a date."""
    on, amount = day(when) if isinstance(when, int) else when, Decimal(str(net))
    at = dt.datetime.combine(on, dt.time(12), dt.UTC)
    zeros = dict.fromkeys(("discount", "tax", "shipping", "refund"), 0)
    counts = {"status": "completed", "lines": 1, "units": 1}
    number = f"o{next(_ids):05}"
    money = {"gross": amount, "net": amount, "net_uncosted": amount}
    return {"order_id": number, "day": on, "ordered_at": at, "user_id": user, **counts, **zeros, **money}


def told(engine, *orders: Row, days: Days = MARCH) -> dict[str, list[Row]]:
    """Compute all tables of this room, each held to its contract."""
    setting = Setting(project(first_day=days.first), days, days, engine.rows)
    found = answers(engine, map(declaration, FUNCTIONS), {"order_value": table(ORDER_VALUE, *orders)}, setting)
    for function in FUNCTIONS:
        contract = declaration(function).contract
        order_by = ("place",) if "place" in {c.name for c in contract.columns} else contract.key
        found[contract.table].sort(key=lambda row: [row[name] for name in order_by])
    return found


def column(rows: Iterable[Row], *names: str) -> list[Any]:
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def total(rows: Iterable[Row], name: str) -> Any:
    return sum(row[name] for row in rows)


BUSY = [
    order("ann", dt.date(2024, 1, 3), 100), order("ann", dt.date(2024, 2, 3), 50), order("ann", 18, "0.0001"),
    order("bob", dt.date(2024, 1, 31), 5), order("cas", dt.date(2024, 2, 28), 7), order("cas", 2, -9),
    order("dan", 20, 0), order(None, 5, 1_000),
]  # fmt: skip


@pytest.mark.slow
def test_segments_are_as_of_the_last_day_delivered(engine):
    found = told(engine, *BUSY, days=FIRST_QUARTER)
    assert column(found["rfm_customer_segments"], "user_id", "recency_days", "frequency", "monetary") == [
        ("ann", 2, 3, Decimal("150.0001")),
        ("bob", 49, 1, 5),
        ("cas", 18, 2, -2),
        ("dan", 0, 1, 0),
    ]
    # one of four has fewer days than ann: 5 - floor(5/4); two of four have fewer orders than cas: 1 + floor(10/4)
    assert column(found["rfm_customer_segments"], "rfm") == ["444", "213", "331", "511"]
    assert column(found["rfm_customer_segments"], "segment") == ["Champions", "Lost", "Needs Attention", "New"]


@pytest.mark.slow
def test_means_of_a_segment_are_over_its_customers_and_orders(engine):
    found = told(engine, *BUSY, days=FIRST_QUARTER)
    best = found["rfm_segments"][0]
    assert (best["segment"], best["orders"], best["revenue"]) == ("Champions", 3, Decimal("150.0001"))
    assert (best["mean_monetary"], best["average_order"]) == (
        pytest.approx(150.0001),
        pytest.approx(50.00003, abs=1e-4),
    )
    assert (best["mean_frequency"], best["mean_recency_days"], best["share"]) == (3, 2, 0.25)


@pytest.mark.slow
def test_every_table_of_customers_adds_up_to_the_orders_of_known_customers(engine):
    found = told(engine, *BUSY, days=FIRST_QUARTER)
    known = [row for row in BUSY if row["user_id"]]
    net = total(known, "net")
    assert total(found["rfm_customer_segments"], "monetary") == net
    last = [row for row in found["rfm_history"] if row["month"] == day(1)]
    for rows in (found["rfm_segments"], found["rfm_scores"], last):
        assert (total(rows, "customers"), total(rows, "revenue")) == (4, net)
    for interval in ("month", "week"):
        cells = [row for row in found["order_cohorts"] if row["interval"] == interval]
        assert total(cells, "net") == net
        assert total([row for row in cells if row["period"] == 0], "customers") == 4
    now = {row["segment"]: row["customers"] for row in found["rfm_segments"]}
    assert {row["segment"]: row["customers"] for row in last} == now


@pytest.mark.slow
def test_migration_leads_from_one_month_of_the_history_to_the_next(engine):
    found = told(engine, *BUSY, days=FIRST_QUARTER)
    held: dict[Any, int] = {(row["month"], row["segment"]): row["customers"] for row in found["rfm_history"]}
    months = sorted({month for month, _ in held})
    assert months == [dt.date(2024, n, 1) for n in (1, 2, 3)]
    for before, month in zip([None, *months], months, strict=False):
        moves = [row for row in found["rfm_migration"] if row["month"] == month]
        for segment in (told.name for told in SEGMENTS):
            came = total([row for row in moves if row["to_segment"] == segment], "customers")
            left = total([row for row in moves if row["from_segment"] == segment], "customers")
            assert came == held[month, segment]
            assert left == (held[before, segment] if before else 0)
        new = [row for row in moves if row["from_segment"] == "(none)"]
        assert total(new, "customers") == {1: 2, 2: 1, 3: 1}[month.month]
        assert {row["share"] for row in new} == {None}
        assert {row["complete"] for row in moves} == {month.month < 3}


@pytest.mark.slow
def test_cohorts_are_by_month_and_by_week_from_monday(engine):
    found = told(engine, *BUSY, days=FIRST_QUARTER)
    january = [row for row in found["order_cohorts"] if row["cohort"] == dt.date(2024, 1, 1)]
    told_ = ("customers", "active", "net", "cumulative_net", "complete")
    assert column([row for row in january if row["interval"] == "month"], *told_) == [
        (2, 2, 105, 105, True),
        (2, 1, 50, 155, True),
        (2, 1, Decimal("0.0001"), Decimal("155.0001"), False),
    ]
    weekly = [row for row in january if row["interval"] == "week"]
    assert [row["period"] for row in weekly if row["active"]] == [0, 4, 11]
    assert [row["complete"] for row in weekly] == [True] * 11 + [False]
    curve = [row for row in found["order_cohort_curve"] if row["interval"] == "month"]
    assert column(curve, "period", "cohorts", "customers", "active") == [(0, 2, 3, 3), (1, 1, 2, 1)]
    assert (curve[1]["low"], curve[1]["high"]) == pytest.approx(wilson(1, 2))


@pytest.mark.slow
def test_the_grids_of_cohorts_are_bounded(engine):
    days = Days(dt.date(2020, 1, 1), dt.date(2024, 3, 31))
    cells = told(engine, order("ann", dt.date(2020, 1, 1)), days=days)["order_cohorts"]
    for interval, periods in FOLLOWED.items():
        assert [row["period"] for row in cells if row["interval"] == interval] == list(range(periods))
    assert all(row["complete"] for row in cells)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_orders_all_tables_are_empty(engine):
    assert not any(told(engine).values())
    assert not any(told(engine, order(None, 1)).values())


@pytest.mark.slow
@pytest.mark.parametrize("net", [10, 0, -10])
def test_one_customer(engine, net):
    found = told(engine, order("ann", 5, net))
    assert column(found["rfm_customer_segments"], "rfm", "segment", "monetary") == [("511", "New", net)]
    assert column(found["rfm_segments"], "customers") == [0, 0, 0, 1, 0, 0, 0]
    (new,) = [row for row in found["rfm_segments"] if row["customers"]]
    assert (new["share"], new["revenue_share"], new["mean_frequency"]) == (1, 1 if net else None, 1)
    assert column(found["rfm_migration"], "from_segment", "to_segment", "customers") == [("(none)", "New", 1)]
    scores = {(row["measure"], row["score"]) for row in found["rfm_thresholds"] if row["customers"]}
    assert scores == {("recency", 5), ("frequency", 1), ("monetary", 1)}
    assert column(found["order_cohorts"], "retention")[0] == 1


@pytest.mark.slow
def test_no_repeat_buyers(engine):
    found = told(engine, *(order(f"u{n:02}", n, n) for n in range(1, 31)))
    assert set(column(found["rfm_customer_segments"], "f_score")) == {1}
    assert {row["segment"] for row in found["rfm_segments"] if row["customers"]} == {"New", "Needs Attention", "Lost"}
    assert {row["active"] for row in found["order_cohorts"] if row["period"]} == {0}
    empty = [row["score"] for row in found["rfm_thresholds"] if row["measure"] == "frequency" and not row["customers"]]
    assert empty == [2, 3, 4, 5]


@pytest.mark.slow
def test_all_orders_on_one_day(engine):
    found = told(engine, *(order(user, 5, 10) for user in "aabcc"))
    assert set(column(found["rfm_customer_segments"], "r_score", "first_order_on")) == {(5, day(5))}
    assert {row["retention"] for row in found["order_cohorts"] if row["period"]} == {0.0}
    assert len(found["rfm_history"]) == len(SEGMENTS)


@pytest.mark.slow
def test_all_orders_on_the_last_day(engine):
    found = told(engine, *(order(user, 31, 10) for user in "ab"))
    assert set(column(found["rfm_customer_segments"], "recency_days", "r_score")) == {(0, 5)}
    assert column(found["order_cohorts"], "interval", "period") == [("month", 0), ("week", 0)]


@pytest.mark.slow
def test_negative_and_zero_net_keep_their_customers(engine):
    found = told(engine, order("owes", 1, -30), order("nothing", 1, 0), order("pays", 1, 30))
    assert column(found["rfm_customer_segments"], "m_score") == [1, 1, 4]
    assert total(found["rfm_segments"], "revenue") == 0
    assert set(column(found["rfm_segments"], "revenue_share")) == {None}  # all of them together brought nothing
    assert column(found["order_cohorts"], "cumulative_net_per_customer")[0] == 0
    (lowest,) = [r for r in found["rfm_thresholds"] if (r["measure"], r["score"]) == ("monetary", 1)]
    assert (lowest["lowest"], lowest["highest"], lowest["customers"]) == (-30, 0, 2)


@pytest.mark.slow
def test_a_month_without_orders_is_in_history_and_migration(engine):
    found = told(engine, order("ann", dt.date(2024, 1, 9)), order("bob", 9), days=FIRST_QUARTER)
    february = dt.date(2024, 2, 1)
    assert total([row for row in found["rfm_history"] if row["month"] == february], "customers") == 1
    moves = [row for row in found["rfm_migration"] if row["month"] == february]
    assert column(moves, "from_segment", "to_segment", "share") == [("New", "New", 1.0)]
    assert [row["active"] for row in found["order_cohorts"] if row["cohort"] == dt.date(2024, 1, 1)] == [1, 0, 0]


@pytest.mark.slow
def test_orders_of_nobody_are_in_no_number(engine):
    orders = [order("ann", 3), order("bob", 4, 20)]
    assert told(engine, *orders) == told(engine, order(None, 1, 500), *orders, order(None, 30, -500))


@pytest.mark.slow
def test_the_order_of_rows_does_not_matter(engine):
    assert told(engine, *BUSY, days=FIRST_QUARTER) == told(engine, *reversed(BUSY), days=FIRST_QUARTER)


# --- what they are held to --------------------------------------------------------------------------------------------


def held(engine, orders: Sequence[Row], **changed: Any) -> dict[str, tuple[Decimal, Decimal]]:
    """Reconcile these tables with the orders, some of them changed."""
    setting = Setting(project(first_day=FIRST_QUARTER.first), FIRST_QUARTER, FIRST_QUARTER, engine.rows)
    empty: list[Contract] = [FACT_SALES, SALES_OVERVIEW, PRODUCT_PERFORMANCE, REVENUE_DAILY]
    tables = {"order_value": table(ORDER_VALUE, *orders), **{contract.table: table(contract) for contract in empty}}
    for function in (customer_lifetime_value, rfm_customer_segments, rfm_segments, order_cohorts):
        made = declaration(function)
        tables[made.name] = changed.get(made.name, lambda rows: rows)(made.compute(tables, setting))
    rows = engine.rows(declaration(reconciliation).compute(tables, setting))
    return {row["name"]: (row["expected"], row["found"]) for row in rows if re.search("rfm|cohort", row["name"])}


@pytest.mark.slow
def test_customers_orders_and_net_are_reconciled_with_the_orders(engine):
    found = held(engine, BUSY)
    assert len(found) == 8
    assert found["net of rfm_segments"] == (Decimal("153.0001"), Decimal("153.0001"))
    assert all(expected == got != 0 for expected, got in found.values())


@pytest.mark.slow
def test_a_lost_customer_breaks_the_reconciliation(engine):
    found = held(engine, BUSY, rfm_customer_segments=lambda rows: rows.filter(rows.user_id != "ann"))
    wrong = {name for name, (expected, got) in found.items() if expected != got}
    assert wrong == {f"{what} of {name}" for what in ("customers", "orders", "net")
                     for name in ("rfm_customer_segments", "rfm_segments")}  # fmt: skip
    found = held(engine, BUSY, order_cohorts=lambda rows: rows.filter(rows.interval == "week"))
    assert {name for name, (expected, got) in found.items() if expected != got} == {
        "customers of order_cohorts by month"
    }


def test_the_page_tells_the_rules_that_the_code_has():
    (chapter,) = (part for part in PAGE.split("\n### ") if part.startswith("Segments"))
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", chapter, re.MULTILINE)
    assert rows == [
        ("segment", "rule", "who they are"),
        *((segment.name, str(segment), segment.meaning) for segment in SEGMENTS),
    ]


def test_the_page_tells_how_many_periods_there_are():
    assert f"{FOLLOWED['month']} months and {FOLLOWED['week']} weeks" in PAGE
