from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import ibis
import numpy as np
import pytest

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.customer_charts import clv_calibration, clv_distribution, rfm, rfm_migration
from analytics_assets.contracts.customers import RFM_CUSTOMER_SEGMENTS, RFM_MIGRATION, RFM_SCORES, RFM_SEGMENTS
from analytics_assets.contracts.lifetime import CLV_CALIBRATION, CLV_CUSTOMERS, CLV_FIT, CLV_TRACKING
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.lake.days import Days
from analytics_assets_tests.making import project, table

FIRST = dt.date(2025, 1, 1)


def rows(found: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = found.to_pyarrow().to_pylist()
    return told


def test_customers_are_counted_by_recency_and_revenue_in_few_cells() -> None:
    chance = np.random.default_rng(1)
    recency, money = chance.integers(0, 400, 20_000), chance.lognormal(4, 1.5, 20_000)
    people = ibis.memtable(
        {
            "user_id": [f"u{n}" for n in range(20_000)],
            "recency_days": recency.astype(np.int64),
            "monetary": money.round(2),
            "segment": ["Lost" if day > 100 else "Champions" for day in recency],
        }
    )
    _, _, cells = rfm(table(RFM_SEGMENTS), table(RFM_SCORES), people)
    found = rows(cells)
    assert sum(cell["customers"] for cell in found) == 20_000
    assert len(found) <= 40 * 60
    assert len({cell["recency_days"] for cell in found}) <= 40
    for cell in found:
        assert (
            cell["segment"] == ("Champions" if cell["recency_days"] < 95 else "Lost")
            or 95 <= cell["recency_days"] <= 106
        )


def test_a_cell_has_the_segment_that_most_of_its_customers_are_in_and_the_first_of_two_alike() -> None:
    one = {"recency_days": 3, "frequency": 1, "monetary": 50, "r_score": 5, "f_score": 1, "m_score": 1}
    told = [one | {"user_id": f"u{n}", "segment": segment} for n, segment in enumerate(["b", "a", "a", "b", "c"])]
    none = [one | {"user_id": "u9", "segment": "c", "monetary": 0}]
    people = table(RFM_CUSTOMER_SEGMENTS, *told + none)
    (cell,) = rows(rfm(table(RFM_SEGMENTS), table(RFM_SCORES), people)[2])
    assert (cell["segment"], cell["customers"], cell["recency_days"]) == ("a", 5, 3.0)
    assert 10 ** (13 / 8) <= cell["monetary"] <= 10 ** (14 / 8)


def test_only_the_last_month_that_is_over_is_shown() -> None:
    one = {"from_segment": "a", "to_segment": "b", "customers": 1, "share": 1.0}
    months = [(dt.date(2025, month, 1), month < 3) for month in (1, 2, 3)]
    told = table(RFM_MIGRATION, *[one | {"month": month, "complete": over} for month, over in months])
    moves, _ = rfm_migration(told, table(RFM_SEGMENTS))
    assert [row["month"] for row in rows(moves)] == [dt.date(2025, 2, 1)]


def test_expected_values_are_counted_in_bins_that_hold_them() -> None:
    values = [None, 0.0, 1.0, 9.99, 12.0, 99.0]
    one = {"first_on": FIRST, "x": 0, "t_x": 0, "age": 1, "horizon_days": 90, "orders_state": "fitted"}
    told = [one | {"user_id": f"u{n}", "expected_value": value} for n, value in enumerate(values)]
    fit = table(CLV_FIT, {"fitted_on": "calibration", "model": "bg_nbd", "holdout_error": -0.1})
    bins, sums = clv_distribution(table(CLV_CUSTOMERS, *told), fit)
    for value in values[2:]:
        (bin_,) = (row for row in rows(bins) if row["low"] <= value < row["high"])
        assert bin_["customers"] == 1
        assert bin_["value"] == value
    (whole,) = rows(sums)
    assert (whole["customers"], whole["valued"], whole["holdout_error"]) == (6, 5, -0.1)
    assert whole["median"] == 9.99
    assert whole["top_value"] == 99.0


def test_the_spread_of_a_group_is_that_of_its_customers_later_orders() -> None:
    days = Days(FIRST, dt.date(2025, 3, 1))  # 60 days: the last 30 are held out
    orders = {"ann": [1, 40, 41, 42], "bob": [2], "cid": [3, 5, 50], "dan": [4, 33], "eve": [45, 46]}
    told = [
        {"order_id": f"{user}{day}", "user_id": user, "day": FIRST + dt.timedelta(days=day), "net": 10}
        for user, when in orders.items()
        for day in when
    ]
    groups = [
        {"repeat_orders": repeats, "customers": many, "calibrated_until": days.last, "holdout_days": 30, "orders": came}
        for repeats, many, came in ((0, 3, 4), (1, 1, 1))
    ]
    found, _ = clv_calibration(
        Setting(project(), days), table(CLV_CALIBRATION, *groups), table(CLV_TRACKING), table(ORDER_VALUE, *told)
    )
    spread = {row["repeat_orders"]: row["spread"] for row in rows(found)}
    assert spread == {0: pytest.approx(np.std([3, 0, 1], ddof=1)), 1: 0.0}
    assert Counter(row["repeat_orders"] for row in rows(found)) == {0: 1, 1: 1}
