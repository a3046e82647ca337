from __future__ import annotations

import datetime as dt
from typing import Any

from analytics_assets.assets.series_charts import revenue_anomalies, revenue_forecast
from analytics_assets.contracts.sales import REVENUE_DAILY
from analytics_assets.contracts.series import ANOMALIES, FORECAST, FORECAST_ACCURACY, FORECAST_BACKTEST
from analytics_assets_tests.making import table

DAY = dt.date(2025, 6, 1)
REVENUE = {"measure": "revenue", "dimension": "", "value": ""}


def rows(found: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = found.to_pyarrow().to_pylist()
    return told


def test_a_forecast_comes_with_the_backtest_of_its_own_model_and_the_days_just_before() -> None:
    models = ("theta", "harmonic")
    ahead = [series | {"day": DAY, "model": "theta"} for series in (REVENUE, REVENUE | {"measure": "orders"})]
    days = [
        {"day": DAY - dt.timedelta(days=age), "dimension": dimension, "value": "", "net": age}
        for age in range(1, 100)
        for dimension in ("", "category")
    ]
    told = revenue_forecast(
        table(FORECAST, *ahead),
        table(REVENUE_DAILY, *days),
        table(FORECAST_BACKTEST, *[REVENUE | {"model": model, "origin": DAY, "day": DAY} for model in models]),
        table(FORECAST_ACCURACY, *[REVENUE | {"model": model, "chosen": model == "theta"} for model in models]),
    )
    assert [len(rows(one)) for one in told] == [1, 56, 1, 1]
    assert {row["observed"] for row in rows(told[1])} == set(range(1, 57))


def test_of_categories_only_days_that_stand_out_are_drawn_and_all_that_were_judged_counted() -> None:
    told = [
        {"day": DAY, "measure": measure, "dimension": "category" * bool(value), "value": value, "is_anomaly": out}
        | {"false_alarm_rate": 0.001}
        for measure, value, out in (
            ("revenue", "", False),
            ("revenue", "Books", True),
            ("revenue", "Toys", False),
            ("units", "Toys", True),
        )
    ]
    days, flagged, judged = revenue_anomalies(table(ANOMALIES, *told))
    assert len(rows(days)) == 1
    assert [row["value"] for row in rows(flagged)] == ["Books"]
    assert {row["value"]: row["days"] for row in rows(judged)} == {"": 1, "Books": 1, "Toys": 1}
