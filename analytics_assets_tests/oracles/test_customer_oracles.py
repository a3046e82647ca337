"""Segments and order cohorts of data sets that others have counted: CDNOW, and Tableau's superstore."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from ibis.expr.types import Table

from analytics_assets.analysis.cohorts import cohort_cells
from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.rfm import rfm, segment_sums, thresholds

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ANALYTICS_SHARED", ROOT.parent / "shared"))
KINDS = {"user_id": "string", "day": "date", "net": "decimal(18, 4)"}

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"no data in {SHARED}: set ANALYTICS_SHARED"),
]


def as_orders(users: Any, days: pd.Series, net: Any) -> Table:
    columns = {"user_id": list(users), "day": [at.date() for at in days], "net": list(net)}
    return ibis.memtable(pa.table(columns, schema=ibis.schema(KINDS).to_pyarrow()))


@pytest.fixture(scope="module")
def cdnow() -> Table:
    told = pd.read_csv(SHARED / "data/cdnow/CDNOW_master.txt", sep=r"\s+", dtype=str)
    return as_orders(told.customer_id, pd.to_datetime(told.date, format="%Y%m%d"), told.dollar_value.map(Decimal))


def test_cdnow_has_23570_customers_of_whom_half_bought_once(engine, cdnow):
    last = dt.date(1998, 6, 30)
    each = rfm(cdnow, last)
    segments = {row["segment"]: row for row in engine.rows(segment_sums(each))}
    assert sum(row["customers"] for row in segments.values()) == 23_570
    assert sum(row["revenue"] for row in segments.values()) == Decimal("2500315.63")
    assert sum(row["orders"] for row in segments.values()) == 69_659
    frequency = {row["score"]: row for row in engine.rows(thresholds(each)) if row["measure"] == "frequency"}
    # 50.5 % tie at one order, so that the next ones have more than two fifths below them
    assert (frequency[1]["customers"], frequency[1]["highest"], frequency[2]["customers"]) == (11_908, 1, 0)
    assert (frequency[3]["lowest"], frequency[5]["highest"]) == (2, 217)


def test_cdnow_cohorts_are_the_published_ones(engine, cdnow):
    cells = cohort_cells(cdnow, Period("month"), 25, dt.date(1997, 1, 1), dt.date(1998, 6, 30))
    found = {(row["cohort"].month, row["period"]): row for row in engine.rows(cells)}
    assert {key[0]: row["customers"] for key, row in found.items()} == {1: 7_846, 2: 8_476, 3: 7_248}
    assert found[1, 1]["active"] == 1_157
    assert found[1, 17]["complete"]
    assert (1, 18) not in found
    assert sum(row["net"] for row in found.values()) == Decimal("2500315.63")


def test_superstore_has_793_customers_and_5009_orders(engine):
    told = pd.read_csv(SHARED / "data/superstore/Sample - Superstore.csv.gz", encoding="latin-1", dtype=str)
    told["net"] = told["Sales"].map(Decimal)
    by_order = told.groupby(["Order ID", "Customer ID", "Order Date"], as_index=False)["net"].sum()
    orders = as_orders(by_order["Customer ID"], pd.to_datetime(by_order["Order Date"], format="%m/%d/%Y"), by_order.net)
    segments = engine.rows(segment_sums(rfm(orders, dt.date(2019, 12, 30))))
    assert sum(row["customers"] for row in segments) == 793
    assert sum(row["orders"] for row in segments) == 5_009
    assert sum(row["revenue"] for row in segments) == Decimal("2297200.8603")
    assert all(row["customers"] for row in segments)
