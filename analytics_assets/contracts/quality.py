"""What the tables of quality promise: what is counted of every day, which days stand out, and sums that must agree.

Belongs here: one contract a table, and which facts and columns are watched. Does not belong here: how a day is judged
(`statistics.monitoring`) and what a team sets (`project.quality`).
"""

from __future__ import annotations

from analytics_assets.contracts import star
from analytics_assets.contracts.model import Accepted, CheckName, Column, Contract, Identity, InRange, Quiet
from analytics_assets.contracts.sales import SUM

WATCHED: tuple[Contract, ...] = (
    star.FACT_EVENTS,
    star.FACT_SESSIONS,
    star.FACT_SALES,
    star.FACT_RETURNS,
    star.FACT_CAMPAIGN_SPEND,
    star.FACT_ASSIGNMENTS,
)
"""The facts whose days are counted."""
COME_AND_GO = frozenset({"campaign_id", "excluded_as", "properties"})
"""Columns that are missing or there by nature, as campaigns run or do not: their nulls are not counted."""
BY_PLAN = frozenset({star.FACT_CAMPAIGN_SPEND.table, star.FACT_ASSIGNMENTS.table})
"""Facts that begin and end with campaigns and experiments: their volume and values are counted, and not judged."""
OTHER = "(other)"
"""The values of a column beyond those that occur most on a day."""

ROWS, NULLS, VALUES, REJECTED, METRIC = MEASURES = ("rows", "nulls", "values", "rejected", "metric")
KINDS = ("volume", "metric", "nulls", "rejected", "categories", "gone_value", "new_value")
"""What a finding may be about."""
CHECKS: dict[CheckName, tuple[str, ...]] = {
    "volume": ("volume",),
    "metrics": ("metric",),
    "nulls": ("nulls",),
    "rejections": ("rejected",),
    "categories": ("categories", "gone_value"),
    "new_values": ("new_value",),
}
"""The check that findings of a kind fail."""

_SERIES = (
    Column("day", "date", "the day; of staged tables, the day of delivery", nullable=False),
    Column("table", "string", "the table whose rows are counted", nullable=False),
    Column("measure", "string", f"what is counted: {', '.join(MEASURES)}", nullable=False),
    Column(
        "column", "string", "the column whose nulls or values are counted, or the metric; else empty", nullable=False
    ),
    Column("value", "string", "the value, or the main reason of rejection; empty for all", nullable=False),
)
_KEY = ("table", "measure", "column", "value")
_JUDGED = (
    Column("observed", "float64", "the number of the day: rows, an amount, or a share"),
    Column("expected", "float64", "what the days before say; null: there are too few"),
    Column("low", "float64", "the least that is no finding; null: any"),
    Column("high", "float64", "the most; null: any"),
)

QUALITY_MEASURES = Contract(
    table="quality_measures",
    grain="one row a day, table, measure, column and value: a number that is watched from day to day",
    columns=(
        *_SERIES,
        Column("count", "int64", "rows of which it is true; users or orders of a metric", nullable=False),
        Column("total", "int64", "rows, or users, of which it might be; null where the count is no share"),
        Column("amount", SUM, "of a metric that is an amount: its sum", "project currency"),
    ),
    key=_KEY,
    day="day",
    rules=(Accepted("measure", MEASURES), InRange("count", minimum=0), InRange("total", minimum=0)),
)

QUALITY_FINDINGS = Contract(
    table="quality_findings",
    grain="one row a day and series that stands out from the days before it",
    columns=(
        _SERIES[0],
        Column("kind", "string", f"what it is about: {', '.join(KINDS)}", nullable=False),
        *_SERIES[1:],
        *_JUDGED,
        Column("rows", "int64", "of a share: of how many rows or users"),
        Column("severity", "string", "error: it blocks the release; warning: it is told", nullable=False),
        Column("accepted", "string", "why the project accepts the day; null: it does not"),
        Column("reason", "string", "the same in words", nullable=False),
    ),
    key=("day", "kind", *_KEY),
    rules=(
        Accepted("kind", KINDS),
        Accepted("severity", ("error", "warning")),
        *(
            Quiet(
                check, (("kind", kinds), ("severity", (severity,))), unless="accepted", says="reason", severity=severity
            )
            for check, kinds in CHECKS.items()
            for severity in ("error", "warning")
        ),
    ),
)

QUALITY_SERIES = Contract(
    table="quality_series",
    grain="one row a day and series of volume or a metric: what was, and what the days before said",
    columns=(
        _SERIES[0],
        Column("kind", "string", "volume or metric", nullable=False),
        *_SERIES[1:4],
        *_JUDGED,
        Column("odd", "boolean", "whether it is a finding; false while there are too few days before", nullable=False),
        Column("named", "string", "the holiday or special day that it is; empty for none", nullable=False),
    ),
    key=("day", "kind", "table", "measure", "column"),
    rules=(Accepted("kind", ("volume", "metric")),),
)

QUALITY_SUMS = Contract(
    table="quality_sums",
    grain="one row a day and sum that two layers must agree on",
    columns=(
        _SERIES[0],
        Column("name", "string", "what is summed, and in which tables", nullable=False),
        Column("expected", SUM, "the sum in the table that is read", "project currency, or rows", nullable=False),
        Column("found", SUM, "the sum in the table that is made of it", "project currency, or rows", nullable=False),
    ),
    key=("name",),
    day="day",
    rules=(Identity("found", plus=("expected",)),),
)

QUALITY_SUMS_OF_METRICS = Contract(
    table="quality_sums_of_metrics",
    grain="one row a metric whose days add up: a count, or a sum that is not capped",
    columns=(
        Column("name", "string", "the metric, and what it counts", nullable=False),
        Column("expected", SUM, "the sum in the fact", "the metric's", nullable=False),
        Column("found", SUM, "the sum of its days", "the metric's", nullable=False),
    ),
    key=("name",),
    rules=(Identity("found", plus=("expected",)),),
)
