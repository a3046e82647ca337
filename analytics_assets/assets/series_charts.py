"""Charts of time series: what of decomposition, forecast and anomalies is drawn, of all revenue.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.series`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.drawing import chart
from analytics_assets.charts import series as drawn

if TYPE_CHECKING:
    from ibis.expr.types import Table

_MEASURE = "revenue"
_SHOWN_DAYS = 56
_MOST_DAYS = 1500


def _of_all(rows: Table) -> Table:
    return rows.filter(rows.measure == _MEASURE, rows.dimension == "")


def _last(rows: Table, days: int) -> Table:
    """Keep the last days there are."""
    return rows.mutate(age=ibis.row_number().over(order_by=ibis.desc("day"))).filter(ibis._.age < days).drop("age")


@chart(drawn.decomposition)
def revenue_decomposition(
    series_decomposition: Table, series_weekdays: Table, series_holidays: Table
) -> tuple[Table, Table, Table]:
    """Pick the days, the week and the named days of all revenue."""
    days = _last(_of_all(series_decomposition), _MOST_DAYS)
    return (
        days.select("day", "observed", "trend", "yearly", "remainder", "named", "method"),
        _of_all(series_weekdays).select("weekday", "effect", "low", "high"),
        _of_all(series_holidays).select("holiday", "occurrences", "effect", "low", "high", "state"),
    )


@chart(drawn.forecast)
def revenue_forecast(
    forecast: Table, revenue_daily: Table, forecast_backtest: Table, forecast_accuracy: Table
) -> tuple[Table, Table, Table, Table]:
    """Pick the forecast of all revenue, the days before it, and the backtest of the model that makes it."""
    ahead = _of_all(forecast)
    days = revenue_daily.filter(revenue_daily.dimension == "")
    backtest = _of_all(forecast_backtest).semi_join(ahead, "model")
    accuracy = _of_all(forecast_accuracy).filter(ibis._.chosen)
    ends = ("forecast", "low_80", "high_80", "low_95", "high_95")
    return (
        ahead.select("day", *ends, "named", "model", "state"),
        _last(days.select("day", observed=days.net.cast("float64")), _SHOWN_DAYS),
        backtest.select("origin", "day", "actual", "forecast", "score"),
        accuracy.select("origins", "days", "mape", "mase", "coverage_80", "coverage_95", "width_95"),
    )


@chart(drawn.anomalies)
def revenue_anomalies(anomalies: Table) -> tuple[Table, Table, Table]:
    """Pick the days of all revenue, and of its categories those that stand out."""
    revenue = anomalies.filter(anomalies.measure == _MEASURE)
    days = _last(_of_all(anomalies), _MOST_DAYS)
    flagged = revenue.filter(revenue.dimension != "", revenue.is_anomaly)
    judged = revenue.group_by("value").aggregate(days=revenue.count(), false_alarm_rate=revenue.false_alarm_rate.max())
    return (
        days.select("day", "observed", "expected", "low", "high", "is_anomaly"),
        flagged.select("value", "day", "observed", "expected", "low", "high", "score"),
        judged,
    )
