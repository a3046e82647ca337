"""Customers: their RFM segments, and the cohorts of their first orders.

Belongs here: the tables, of the orders that count. Does not belong here: what each of these means (`analysis`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis import cohorts
from analytics_assets.analysis import rfm as scoring
from analytics_assets.analysis.intervals import wilson
from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.tables import together
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.contracts import customers as promised

if TYPE_CHECKING:
    from ibis.expr.types import Table

FOLLOWED = {"month": 25, "week": 53}
"""How many periods of an order cohort are shown, its own included: two years of months, a year of weeks."""


@table(promised.RFM_CUSTOMER_SEGMENTS)
def rfm_customer_segments(setting: Setting, order_value: Table) -> Table:
    """Score every customer by how recently, how often and for how much they bought, and name their segment."""
    return scoring.rfm(order_value, setting.so_far.last)


@table(promised.RFM_SEGMENTS)
def rfm_segments(rfm_customer_segments: Table) -> Table:
    """Sum up customers, orders and revenue by segment."""
    return scoring.segment_sums(rfm_customer_segments)


@table(promised.RFM_SCORES)
def rfm_scores(rfm_customer_segments: Table) -> Table:
    """Count customers and revenue by scores of recency and frequency."""
    return scoring.score_grid(rfm_customer_segments)


@table(promised.RFM_THRESHOLDS)
def rfm_thresholds(rfm_customer_segments: Table) -> Table:
    """Say which values each score stands for."""
    return scoring.thresholds(rfm_customer_segments)


@table(promised.RFM_HISTORY)
def rfm_history(setting: Setting, order_value: Table) -> Table:
    """Count customers and revenue by segment at the end of each month, by the orders until then."""
    first, last = setting.so_far.first, setting.so_far.last
    return scoring.history(scoring.monthly_rfm(order_value, first, last), first, last)


@table(promised.RFM_MIGRATION)
def rfm_migration(setting: Setting, order_value: Table) -> Table:
    """Count the customers who moved from one segment to another between two month ends."""
    first, last = setting.so_far.first, setting.so_far.last
    return scoring.migration(scoring.monthly_rfm(order_value, first, last), first, last)


@table(promised.ORDER_COHORTS)
def order_cohorts(setting: Setting, order_value: Table) -> Table:
    """Follow the customers of each month and week of first orders: who orders again, and what they have brought."""
    days = setting.so_far
    return together(
        [
            cohorts.cohort_cells(order_value, period, FOLLOWED[period.unit], days.first, days.last).mutate(
                interval=ibis.literal(period.unit)
            )
            for period in (Period("month"), Period("week"))
        ]
    )


@table(promised.ORDER_COHORT_CURVE)
def order_cohort_curve(order_cohorts: Table) -> Table:
    """Average the order cohorts for which a period is over, by their size."""
    averaged = cohorts.cohort_curve(order_cohorts)
    low, high = wilson(averaged.active, averaged.customers)
    return averaged.mutate(low=low, high=high)
