"""What is counted of every day: rows, nulls, values, rejections, and a few metrics.

Belongs here: from the rows of some days to numbers of these days, each row looked at once. Does not belong here: which
columns are counted (`contracts.quality`) and whether a number is odd (`statistics.monitoring`).

Every function gives the same columns: day, table, measure, column, value, count, total, amount.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.analysis.sales import counting
from analytics_assets.analysis.tables import together

if TYPE_CHECKING:
    from ibis.expr.types import Table

SUM = "decimal(38, 4)"
_NAMES = ("day", "table", "measure", "column", "value", "count", "total", "amount")


def rows_and_nulls(name: str, rows: Table, nullable: Sequence[str]) -> Table:
    """Count the rows of each day, and those without a value of each of some columns.

    Args:
        name: What the table is called.
        rows: Columns day and those of `nullable`.
        nullable: Columns whose missing values are counted.
    """
    whole = rows.count()
    told = [_struct(measure="rows", column="", count=whole, total=ibis.null("int64"))]
    told += [_struct(measure="nulls", column=null, count=rows[null].isnull().sum(), total=whole) for null in nullable]
    return _apart(name, rows.group_by("day").aggregate(told=ibis.array(told)))


def values(facts: Mapping[str, tuple[Table, Sequence[str]]], most: int, other: str) -> Table:
    """Count the values of columns on each day: those that occur most, and all others as one.

    Args:
        facts: By name, tables with a column day, and their columns with few values.
        most: How many values of a column are told apart on a day.
        other: What the others are called.
    """
    each = together(
        rows.select(
            "day",
            table=ibis.literal(name),
            told=ibis.array([_struct(column=column, value=rows[column]) for column in columns]).unnest(),
        )
        for name, (rows, columns) in facts.items()
    )
    by = ["day", "table", "column"]
    told = each.select("day", "table", column=each.told["column"], value=each.told["value"])
    counts = told.filter(told["value"].notnull()).group_by([*by, "value"]).aggregate(n=ibis._.count())
    largest = ibis.window(group_by=by, order_by=[ibis.desc("n"), "value"])
    placed = counts.mutate(
        value=(ibis.row_number().over(largest) < most).ifelse(counts["value"], other),
        total=counts.n.sum().over(ibis.window(group_by=by)),
    )
    summed = placed.group_by([*by, "value", "total"]).aggregate(count=placed.n.sum())
    return summed.mutate(measure=ibis.literal("values"), amount=ibis.null(SUM)).select(_NAMES)


def rejections(staged: Mapping[str, Table]) -> Table:
    """Count the rejected rows of each day of delivery, in all and by main reason; a day without a delivery has none.

    Args:
        staged: By name, tables with the columns delivery_day and rejected.
    """
    each = together(
        rows.select(day="delivery_day", table=ibis.literal(name), value=rows.rejected[0])
        for name, rows in staged.items()
    )
    counts = each.group_by(["day", "table", "value"]).aggregate(count=each.count())
    counts = counts.mutate(total=counts["count"].sum().over(ibis.window(group_by=["day", "table"])))
    refused = counts["value"].notnull()
    whole = counts.group_by(["day", "table", "total"]).aggregate(
        value=ibis.literal(""), count=counts["count"].sum(where=refused).fill_null(0)
    )
    parts = counts.filter(refused).select(whole.columns).union(whole)
    return parts.mutate(measure=ibis.literal("rejected"), column=ibis.literal(""), amount=ibis.null(SUM)).select(_NAMES)


def activity(name: str, user_days: Table) -> Table:
    """Count the users who were there on each day, and those of them who ordered.

    Args:
        name: What the table is called.
        user_days: Columns day, sessions, orders.
    """
    there = user_days.filter(user_days.sessions > 0)
    told = [
        _struct(measure="metric", column="active_users", count=there.count(), total=ibis.null("int64")),
        _struct(measure="metric", column="conversion", count=(there.orders > 0).sum(), total=there.count()),
    ]
    return _apart(name, there.group_by("day").aggregate(told=ibis.array(told)))


def sold(name: str, sales: Table) -> Table:
    """Count the orders of each day, and sum up their net revenue: neither cancelled nor excluded.

    Args:
        name: What the table is called.
        sales: Columns day, order_id, net, status, excluded_as.
    """
    lines = counting(sales)
    orders = lines.order_id.nunique()
    told = [
        _struct(measure="metric", column="orders", count=orders, total=ibis.null("int64"), amount=ibis.null(SUM)),
        _struct(
            measure="metric",
            column="net_revenue",
            count=orders,
            total=ibis.null("int64"),
            amount=lines.net.sum().cast(SUM),
        ),
    ]
    return _apart(name, lines.group_by("day").aggregate(told=ibis.array(told)))


def with_zeros(told: Table, first: dt.date, last: dt.date, expected: Iterable[tuple[str, str, str]]) -> Table:
    """Add a 0 for every day on which a number is expected and nothing was there to be counted.

    Args:
        told: What was counted.
        first: The first day.
        last: The last day.
        expected: Table, measure and column of the numbers that every day has.
    """
    offset = ibis.range((last - first).days + 1).unnest().name("offset").as_table()
    each = offset.select(
        day=(ibis.timestamp(str(first)) + offset.offset.as_interval("D")).date(),
        told=ibis.array([_struct(table=table, measure=m, column=c) for table, m, c in expected]).unnest(),
    )
    column, zero = each.told["column"], ibis.literal(0, "int64")
    nothing = each.select(
        "day",
        table=each.told["table"],
        measure=each.told["measure"],
        column=column,
        value=ibis.literal(""),
        count=zero,
        total=(column == "conversion").ifelse(zero, ibis.null("int64")),
        amount=(column == "net_revenue").ifelse(zero.cast(SUM), ibis.null(SUM)),
    )
    # a sum, and not a join: what was counted is computed once
    both = told.union(nothing)
    summed = both.group_by(["day", "table", "measure", "column", "value"])
    return summed.aggregate(count=both["count"].sum(), total=both.total.max(), amount=both.amount.sum())


def _struct(**told: Any) -> Any:  # noqa: ANN401 - Ibis does not say what a struct of values is
    return ibis.struct({name: ibis.literal(value) if isinstance(value, str) else value for name, value in told.items()})


def _apart(name: str, daily: Table) -> Table:
    """Give each number of a day a row of its own."""
    each = daily.select("day", one=daily.told.unnest())
    amount = each.one["amount"] if "amount" in each.one.names else ibis.null(SUM)
    return each.select(
        "day",
        table=ibis.literal(name),
        measure=each.one["measure"],
        column=each.one["column"],
        value=ibis.literal(""),
        count=each.one["count"],
        total=each.one["total"],
        amount=amount,
    )
