"""Charts of the quality of data: what of its tables is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.quality`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.drawing import chart
from analytics_assets.charts import quality as drawn
from analytics_assets.contracts.quality import NULLS, REJECTED

if TYPE_CHECKING:
    from ibis.expr.types import Table

_DAYS = 400
_SERIES = ("table", "measure", "column")


@chart(drawn.volumes)
def quality_series(quality_series: Table) -> Table:
    """Pick the newest days of all series."""
    newest = quality_series.day >= quality_series.day.max() - ibis.interval(days=_DAYS)
    rows = quality_series.filter(newest)
    return rows.select("day", "kind", "table", "column", "observed", "low", "high", "odd")


@chart(drawn.shares)
def quality_shares(quality_measures: Table, quality_findings: Table) -> tuple[Table, Table]:
    """Sum up missing values and rejected rows by week, and count the days of each that stand out."""
    newest = quality_measures.day >= quality_measures.day.max() - ibis.interval(days=_DAYS)
    counted = quality_measures.filter(
        newest, quality_measures.measure.isin([NULLS, REJECTED]), quality_measures.value == ""
    )
    weeks = counted.group_by(week=counted.day.truncate("W"), **{name: counted[name] for name in _SERIES}).aggregate(
        count=counted["count"].sum().cast("int64"), total=counted.total.sum().cast("int64")
    )
    found = quality_findings.filter(
        quality_findings.measure.isin([NULLS, REJECTED]), quality_findings.accepted.isnull()
    )
    days = found.group_by(week=found.day.truncate("W"), **{name: found[name] for name in _SERIES}).aggregate(
        days=found.day.nunique()
    )
    return weeks, days
