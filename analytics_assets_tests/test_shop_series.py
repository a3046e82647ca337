"""The demo shop's planted weekly pattern and special days are found, and its days are forecast well enough."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

import analytics_assets.shop
from analytics_assets.assets import series
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.contracts.sales import REVENUE_DAILY
from analytics_assets.lake.days import Days
from analytics_assets.project.loading import load_project
from analytics_assets.project.shop import Dirt
from analytics_assets.sources.shop.delivery import deliver
from analytics_assets.sources.shop.truth import truths
from analytics_assets_tests.answers import Row, answers
from analytics_assets_tests.making import engine, table

__all__ = ["engine"]

pytestmark = pytest.mark.slow
PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))
Z99 = 2.5758293035489004
Z95 = 1.959963984540054
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@pytest.fixture(scope="module")
def setting(engine: Any) -> Setting:
    """Give the demo without dirt, which only adds or delays rows."""
    declared = load_project(PACKAGED, {})
    assert declared.shop is not None
    clean = Dirt.model_validate(dict.fromkeys(Dirt.model_fields, 0))
    plain = declared.model_copy(update={"shop": declared.shop.model_copy(update={"dirt": clean})})
    days = Days(declared.first_day, declared.first_day + dt.timedelta(days=364))
    return Setting(plain, days, days, engine.rows)


@pytest.fixture(scope="module")
def found(setting: Setting, engine: Any) -> dict[str, list[Row]]:
    delivered = pa.Table.from_batches(deliver(setting.project, "order_lines", setting.so_far))
    lines = ibis.memtable(delivered.select(["order_id", "ordered_at", "status", "quantity", "unit_price"]).cast(PLAIN))
    lines = lines.filter(lines.status != "cancelled")
    day = setting.project.clock().day(lines.ordered_at.cast("timestamp('UTC', 6)"))
    counted = lines.group_by(day=day).aggregate(
        orders=lines.order_id.nunique(), units=lines.quantity.cast("int64").sum()
    )
    zero = dict.fromkeys(("gross", "discount", "net", "tax", "shipping", "net_uncosted", "refunds"), 0)
    nothing = {**zero, "refunds_of_orders": 0, "customers": 0, "new_customers": 0, "dimension": "", "value": ""}
    rows = [{**nothing, **row} for row in engine.rows(counted) if row["day"] in setting.so_far]
    tables = [declaration(f) for f in (
        series.series_decomposition, series.series_weekdays, series.series_holidays, series.forecast_backtest,
        series.forecast_accuracy,
    )]  # fmt: skip
    return answers(engine, tables, {"revenue_daily": table(REVENUE_DAILY, *rows)}, setting)


PLAIN = pa.schema([(name, pa.string()) for name in ("order_id", "ordered_at", "status", "quantity", "unit_price")])


def test_the_planted_weekly_pattern_lies_inside_its_intervals(setting, found):
    truth = {told.name: told.value for told in truths(setting.project, setting.so_far)}
    rows = [row for row in found["series_weekdays"] if row["measure"] == "orders"]
    for row, name in zip(rows, WEEKDAYS, strict=True):
        ends = row["effect"], (row["high"] - row["low"]) / 2 * Z99 / Z95
        assert abs(ends[0] - (truth[f"season.{name}"] - 1)) <= ends[1], name
        assert row["high"] - row["low"] < 0.12


def test_planted_special_days_lie_inside_their_intervals(found):
    rows = {row["holiday"]: row for row in found["series_holidays"] if row["measure"] == "orders"}
    assert rows["Christmas sales"]["state"] == "estimated"
    assert rows["Black Friday"]["state"] == "one occurrence"
    for name, planted in (("Christmas sales", 1.34), ("Christmas Eve", 0.6), ("New Year's Eve", 0.7)):
        assert rows[name]["low"] <= planted - 1 <= rows[name]["high"], name
    assert rows["Black Friday"]["low"] > 0.5  # planted 0.9, and a campaign besides


@pytest.mark.parametrize("measure", ["orders", "units"])
def test_the_demand_of_fourteen_days_is_forecast_within_15_percent(found, measure):
    told = [row for row in found["forecast_accuracy"] if row["measure"] == measure]
    (best,) = [row for row in told if row["chosen"]]
    (naive,) = [row for row in told if row["model"] == "seasonal_naive"]
    assert best["origins"] == 13
    assert best["mape"] < 15
    assert best["mase"] < 0.8 * naive["mase"]
    assert 0.7 <= best["coverage_80"] <= 0.9
    assert 0.9 <= best["coverage_95"] <= 1
    rows = [r for r in found["forecast_backtest"] if (r["measure"], r["model"]) == (measure, best["model"])]
    by_origin = {}
    for row in rows:
        by_origin.setdefault(row["origin"], []).append(abs(row["actual"] - row["forecast"]) / row["actual"])
    within = [100 * float(np.mean(off)) < 15 for _, off in sorted(by_origin.items())]
    assert sum(within) >= 9  # the origins before Black Friday and Christmas, which nobody had seen, are the others
