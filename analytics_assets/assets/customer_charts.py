"""Charts of customers: what of segments, of who brings the money and of lifetime value is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.customers`, `charts.lifetime`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.drawing import chart
from analytics_assets.charts import customers as drawn

if TYPE_CHECKING:
    from ibis.expr.types import Table

_COLUMNS, _PER_DECADE = 40, 8


@chart(drawn.rfm)
def rfm(rfm_segments: Table, rfm_scores: Table, rfm_customer_segments: Table) -> tuple[Table, Table, Table]:
    """Pick segments and scores, and count the customers of each cell of recency and revenue."""
    segments = rfm_segments.select("segment", "place", "customers", "revenue")
    scores = rfm_scores.select("r_score", "f_score", "customers", "revenue")
    return segments, scores, _cells(rfm_customer_segments)


def _cells(customers: Table) -> Table:
    """Count customers by recency, in at most so many columns, and by the logarithm of revenue."""
    paying = customers.filter(customers.monetary > 0)
    step = (paying.recency_days.max().over() + 1) / _COLUMNS
    placed = paying.select("segment", "recency_days", "monetary", step=ibis.greatest(step.ceil(), 1).cast("int64"))
    by = placed.select(
        "segment",
        recency_days=(placed.recency_days // placed.step * placed.step + (placed.step - 1) / 2).cast("float64"),
        height=(placed.monetary.cast("float64").log10() * _PER_DECADE).floor().cast("int64"),
    )
    counted = by.group_by(["recency_days", "height", "segment"]).aggregate(customers=by.count())
    cell = ibis.window(group_by=["recency_days", "height"])
    largest = ibis.window(group_by=["recency_days", "height"], order_by=[ibis.desc("customers"), ibis.asc("segment")])
    ranked = counted.mutate(everybody=counted.customers.sum().over(cell), rank=ibis.row_number().over(largest))
    first = ranked.filter(ranked["rank"] == 0)
    return first.select(
        "recency_days",
        "segment",
        monetary=ibis.literal(10.0) ** ((first.height + 0.5) / _PER_DECADE),
        customers=first.everybody.cast("int64"),
    )


@chart(drawn.migration)
def rfm_migration(rfm_migration: Table, rfm_segments: Table) -> tuple[Table, Table]:
    """Pick the moves of the last month that is over, and the order of segments."""
    over = rfm_migration.filter(rfm_migration.complete)
    moves = over.filter(over.month == over.month.max())
    return moves.select("month", "from_segment", "to_segment", "customers"), rfm_segments.select("segment", "place")


@chart(drawn.lorenz)
def revenue_lorenz(revenue_lorenz: Table, revenue_concentration: Table) -> tuple[Table, Table]:
    """Pick the curve and what is said of it."""
    sums = ("customers", "revenue", "negative", "gini", "top_decile_share", "half_of_revenue")
    return revenue_lorenz.select("percent", "share"), revenue_concentration.select(*sums)
