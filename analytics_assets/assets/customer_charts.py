"""Charts of customers: what of segments, of who brings the money and of lifetime value is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.customers`, `charts.lifetime`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis import lifetime as lives
from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.drawing import chart
from analytics_assets.assets.lifetime import holdout
from analytics_assets.charts import customers as drawn
from analytics_assets.charts import lifetime

if TYPE_CHECKING:
    from ibis.expr.types import FloatingScalar, FloatingValue, Table

_COLUMNS, _PER_DECADE = 40, 8
_BINS_PER_DECADE = 10
_COHORTS = 18


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


@chart(lifetime.distribution)
def clv_distribution(clv_customers: Table, clv_fit: Table) -> tuple[Table, Table]:
    """Count customers by the logarithm of what is expected of them, and sum up."""
    known = clv_customers.filter(clv_customers.expected_value > 0)
    height = (known.expected_value.log10() * _BINS_PER_DECADE).floor().cast("int64")
    bins = known.group_by(height=height).aggregate(customers=known.count(), value=_exact_sum(known.expected_value))
    ends = {"low": bins.height, "high": bins.height + 1}
    edges = {name: ibis.literal(10.0) ** (end / _BINS_PER_DECADE) for name, end in ends.items()}
    return bins.select(**edges, customers="customers", value="value"), _value_sums(clv_customers, clv_fit)


def _value_sums(customers: Table, fit: Table) -> Table:
    value = customers.expected_value
    ninth = customers.mutate(ninth=value.quantile(0.9).over())
    top = ninth.expected_value >= ninth.ninth
    sums = ninth.aggregate(
        customers=ninth.count(),
        valued=ninth.expected_value.count(),
        value=_exact_sum(ninth.expected_value),
        top_value=_exact_sum(top.ifelse(ninth.expected_value, None)),
        median=ninth.expected_value.quantile(0.5),
        ninth=ninth.expected_value.quantile(0.9),
        horizon_days=ninth.horizon_days.max(),
    )
    return sums.cross_join(fit.aggregate(holdout_error=fit.holdout_error.max()))


def _exact_sum(numbers: FloatingValue) -> FloatingScalar:
    """Sum up in decimals, so that the order of rows does not change the last digits."""
    return numbers.cast("decimal(38, 9)").sum().cast("float64")


@chart(lifetime.calibration)
def clv_calibration(
    setting: Setting, clv_calibration: Table, clv_tracking: Table, order_value: Table
) -> tuple[Table, Table]:
    """Pick what was expected and what came, with how far customers differ: for the intervals."""
    cut, _ = holdout(setting.so_far, setting.project.customers.horizon_days)
    people = lives.later_orders(lives.customer_lives(order_value, cut), order_value, cut, setting.so_far.last)
    alike = people.group_by(repeat_orders=ibis.least(people.x, clv_calibration.repeat_orders.max().as_scalar()))
    spread = alike.aggregate(spread=people.later_orders.cast("float64").std(how="sample").fill_null(0.0))
    groups = clv_calibration.left_join(spread, "repeat_orders")
    columns = ("repeat_orders", "customers", "calibrated_until", "holdout_days", "orders", "expected_orders", "spread")
    return groups.select(*columns), clv_tracking.select("until", "in_calibration", "orders", "expected_orders")


@chart(lifetime.cohorts)
def order_cohorts(order_cohorts: Table) -> Table:
    """Pick the months of the last cohorts."""
    rows = order_cohorts.filter(order_cohorts.interval == "month")
    newest = rows.mutate(age=ibis.dense_rank().over(order_by=ibis.desc("cohort"))).filter(ibis._.age < _COHORTS)
    return newest.select("cohort", "period", "customers", "cumulative_net_per_customer", "complete")
