"""Lifetimes: what the models of lifetime value need to know of customers, read off their orders.

Belongs here: orders as (x, t_x, T), their values, who ordered how often afterwards, and when customers came. Does not
belong here: the models (`statistics.lifetime`), and what was bought until now (`analysis.sales`).

All of it is in whole days: the orders of a customer on one day are one order, worth their sum, and the first order is
not part of the process: it makes the customer.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import known_users

if TYPE_CHECKING:
    from ibis.expr.types import Table

_SUM = "decimal(38, 4)"


def order_days(orders: Table, last: dt.date) -> Table:
    """Make one order of those of a customer and day, until a day; orders of nobody are left out.

    Args:
        orders: Columns user_id, day, net.
        last: The last day that counts.

    Returns:
        Columns user_id, day, net.
    """
    known = known_users(orders)
    known = known.filter(known.day <= ibis.literal(last))
    return known.group_by(["user_id", "day"]).aggregate(net=known.net.sum().cast(_SUM))


def customer_lives(orders: Table, last: dt.date) -> Table:
    """Give each customer's (x, t_x, T) at the end of a day, and what their orders came to.

    Args:
        orders: Columns user_id, day, net.
        last: The last day that counts.

    Returns:
        Columns user_id, first_on (the day of the first order), x (further days with an order), t_x (days from the first
        to the last), age (days from the first until `last`: T), mean_value (of the x further days; null without any).

    >>> days = [("ann", 1, 9), ("ann", 4, 20), ("ann", 4, 5), ("ann", 8, 15), ("bob", 3, 7)]
    >>> orders = ibis.memtable([{"user_id": u, "day": dt.date(2024, 3, d), "net": n} for u, d, n in days])
    >>> lives = customer_lives(orders, dt.date(2024, 3, 11)).order_by("user_id").to_pyarrow().to_pylist()
    >>> [(one["x"], one["t_x"], one["age"], one["mean_value"]) for one in lives]
    [(2, 7, 10, 20.0), (0, 0, 8, None)]
    """
    days = order_days(orders, last)
    lives = days.group_by("user_id").aggregate(
        first_on=days.day.min(),
        last_on=days.day.max(),
        x=(days.count() - 1).cast("int64"),
        net=days.net.sum().cast(_SUM),
        first_net=days.net.argmin(days.day).cast(_SUM),
    )
    repeated = (lives.net - lives.first_net).cast("float64")
    return lives.select(
        "user_id",
        "first_on",
        "x",
        t_x=lives.last_on.delta(lives.first_on, unit="day").cast("int64"),
        age=ibis.literal(last).delta(lives.first_on, unit="day").cast("int64"),
        mean_value=repeated / lives.x.nullif(0),
    )


def alike_lives(lives: Table) -> Table:
    """Count the customers of each (x, t_x, T): columns x, t_x, age, customers, in order."""
    alike = lives.group_by(["x", "t_x", "age"]).aggregate(customers=lives.count())
    return alike.order_by("x", "t_x", "age")


def alike_values(lives: Table) -> Table:
    """Count the repeat customers of each number and mean of values: columns x, mean_value, customers, in order."""
    again = lives.filter(lives.x > 0)
    alike = again.group_by(["x", "mean_value"]).aggregate(customers=again.count())
    return alike.order_by("x", "mean_value")


def later_orders(lives: Table, orders: Table, after: dt.date, last: dt.date) -> Table:
    """Add what each customer did after a day, until another: columns later_orders (days with one), later_value.

    Args:
        lives: As `customer_lives` makes them of the days until `after`.
        orders: Columns user_id, day, net.
        after: The last day that does not count.
        last: The last day that counts.
    """
    days = order_days(orders, last).filter(ibis._.day > ibis.literal(after))
    later = days.group_by("user_id").aggregate(later_orders=days.count(), later_value=days.net.sum().cast(_SUM))
    told = lives.left_join(later, "user_id").drop("user_id_right")
    nothing = ibis.literal(0).cast(_SUM)
    return told.mutate(later_orders=told.later_orders.fill_null(0), later_value=told.later_value.fill_null(nothing))


def arrivals_and_repeats(orders: Table, acquired: dt.date, last: dt.date) -> Table:
    """Count by day the customers who came until a day, and all further order days of the same customers.

    Args:
        orders: Columns user_id, day, net.
        acquired: Customers with a first order after it are left out.
        last: The last day that counts.

    Returns:
        Columns day (those with an order), arrivals, repeats, in order.
    """
    days = order_days(orders, last)
    placed = days.mutate(first_on=days.day.min().over(ibis.window(group_by="user_id")))
    placed = placed.filter(placed.first_on <= ibis.literal(acquired))
    first = placed.day == placed.first_on
    counted = placed.group_by("day").aggregate(arrivals=first.sum().cast("int64"), repeats=(~first).sum().cast("int64"))
    return counted.order_by("day")


def with_expected_value(lives: Table, p: float, q: float, gamma: float) -> Table:
    """Add what to expect of an order of each customer under Gamma-Gamma: p (gamma + x mean) / (p x + q - 1).

    It is the form for any engine of `statistics.lifetime.expected_value`.

    Args:
        lives: Columns x, mean_value.
        p: See `statistics.lifetime.GammaGamma`.
        q: The same.
        gamma: The same.

    Returns:
        The columns of `lives`, expected_order_value, and value_state: fitted; `no positive mean` where the customer's
        mean value is not; `no finite mean` where that of the model is not.

    >>> lives = ibis.memtable({"x": [0, 2], "mean_value": [None, 22.35]})
    >>> with_expected_value(lives, 6.25, 3.74, 15.44).expected_order_value.round(2).execute().to_list()
    [35.22, 24.66]
    """
    below = lives.x * p + (q - 1)
    expected = (lives.x * lives.mean_value.fill_null(0.0) + gamma) * p / below
    state = ibis.cases((lives.mean_value <= 0, "no positive mean"), (below <= 0, "no finite mean"), else_="fitted")
    return lives.mutate(
        expected_order_value=(state == "fitted").ifelse(expected, ibis.null("float64")), value_state=state
    )
