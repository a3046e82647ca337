"""Order cohorts: of the customers who first bought in a period, how many buy again later, and what they have brought.

Belongs here: what money adds to `retention`: its running sum, and what of it came from each acquired customer. Does not
belong here: who is in a cohort, who came back, and when a cell is complete (`retention`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import Period, known_users, ratio
from analytics_assets.analysis.retention import Retention, retention_cells, retention_curve

if TYPE_CHECKING:
    from ibis.expr.types import Table

_MONEY = "decimal(38, 4)"


def cohort_cells(orders: Table, period: Period, periods: int, first: dt.date, last: dt.date) -> Table:
    """Count, for each cohort of customers and period after its own, who ordered and what they brought: a row a cell.

    A cohort is of those whose first order ever is in its period. Only cells that have begun are there: the newest one
    of each cohort may be incomplete.

    Args:
        orders: Columns user_id, day, net: a row an order; the full history. Rows of nobody are left out.
        period: What cohorts are made by, and orders counted in.
        periods: How many periods to follow, the cohort's own included.
        first: The first day of the data.
        last: The last day that the data hold in full.

    Returns:
        Columns cohort (the start of its period), period, customers (of the cohort), active (those who ordered in the
        period), retention, net (of the period), cumulative_net, cumulative_net_per_customer (of all of the cohort),
        complete (the period is over).

    >>> bought = {"user_id": ["ann", "ann", "bob"], "day": [dt.date(2024, 3, d) for d in (1, 2, 1)]}
    >>> orders = ibis.memtable({**bought, "net": [10, 20, 30]}).cast({"net": "decimal(18, 4)"})
    >>> cells = cohort_cells(orders, Period("day"), 3, dt.date(2024, 3, 1), dt.date(2024, 3, 2)).order_by("period")
    >>> cells.select("customers", "active", "cumulative_net_per_customer").execute().values.tolist()
    [[2.0, 2.0, 20.0], [2.0, 1.0, 30.0]]
    """
    low, high = period.number_of(first), period.number_of(last)
    bought = known_users(orders).filter(ibis._.day <= ibis.literal(last))
    began = bought.select("user_id", "day")
    followed = Retention(period, min(periods, high - low + 1))
    paid = bought.select("user_id", "day", revenue=bought.net.cast(_MONEY))
    cells = retention_cells(began, paid, followed, first, last)
    cells = cells.filter(cells.users > 0, period.number(cells.cohort) + cells.period <= high)
    so_far = ibis.window(group_by="cohort", order_by="period", preceding=None, following=0)
    summed = cells.mutate(cumulative_net=cells.revenue.sum().over(so_far).cast(_MONEY))
    return summed.select(
        "cohort",
        "period",
        "cumulative_net",
        "complete",
        customers=summed.users,
        active=summed.retained,
        retention=summed.rate,
        net=summed.revenue,
        cumulative_net_per_customer=ratio(summed.cumulative_net, summed.users),
    )


def cohort_curve(cells: Table) -> Table:
    """Average cohorts by period, weighted by their customers: complete cells alone.

    Each period has its own cohorts, those that have come so far: cumulative net may fall from one period to the next
    where young cohorts, which are no longer among them, brought more.

    Args:
        cells: As `cohort_cells` makes them, with the column `interval`; each interval is averaged for itself.

    Returns:
        Columns interval, period, cohorts, customers (of these), active, retention, cumulative_net,
        cumulative_net_per_customer.
    """
    told = cells.select(
        "interval",
        "period",
        "complete",
        users=cells.customers,
        retained=cells.active,
        revenue=cells.cumulative_net,
        period_to=cells.period,
        left_censored=cells.customers < 0,
    )
    curve = retention_curve(told, by=["interval"])
    return curve.select(
        "interval",
        "period",
        "cohorts",
        customers=curve.users,
        active=curve.retained,
        retention=curve.rate,
        cumulative_net=curve.revenue,
        cumulative_net_per_customer=curve.revenue_per_user,
    )
