"""Marts of sales: order lines with all that is known of them, and what is summed up from these.

Belongs here: from the star schema to the marts, and the sums on which they must agree. Does not belong here: what
counts as a sale, a refund or a profit (`analysis.sales`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis

from analytics_assets.analysis import sales as sold
from analytics_assets.analysis.concentration import concentration, lorenz
from analytics_assets.analysis.tables import together
from analytics_assets.assets.catalog import Setting, table
from analytics_assets.contracts import sales as promised
from analytics_assets.contracts.delivered import AMOUNT
from analytics_assets.contracts.model import UNKNOWN_MEMBER

if TYPE_CHECKING:
    from ibis.expr.types import Table, Value

_OF_USERS = ("signed_up_on", "channel", "segment", "device")
_OF_PLACES = ("country", "region", "city")
_OF_PRODUCTS = {"product": "name", "category": "category", "subcategory": "subcategory", "brand": "brand"}
_OF_CAMPAIGNS = {"campaign": "name", "campaign_channel": "channel"}


def _described(rows: Table, key: str, things: Table | None, columns: dict[str, str]) -> Table:
    """Add columns of a dimension, under names of their own; null where it has no row."""
    if things is None:
        return rows.mutate(**{name: ibis.null("string") for name in columns})
    told = things.select(key, **{name: things[column] for name, column in columns.items()})
    return rows.left_join(told, key).drop(f"{key}_right")


@table(promised.SALES_OVERVIEW)
def sales_overview(
    fact_sales: Table,
    fact_returns: Table | None = None,
    dim_users: Table | None = None,
    dim_geography: Table | None = None,
    dim_products: Table | None = None,
    dim_campaigns: Table | None = None,
) -> Table:
    """Give every order line that counts its cost, profit and refunds, and the words of all its dimensions.

    Cost is what a piece costs today. A return belongs to the first line of its order with its product.
    """
    lines = sold.with_orders(sold.counting(fact_sales))
    lines = sold.with_profit(lines, dim_products)
    lines = sold.with_refunds(lines, None if fact_returns is None else sold.paid_back(fact_returns))
    if dim_users is None or dim_geography is None:
        kinds = {"signed_up_on": "date"}
        lines = lines.mutate(**{name: ibis.null(kinds.get(name, "string")) for name in (*_OF_USERS, *_OF_PLACES)})
    else:
        places = dim_geography.select("geography_id", *_OF_PLACES)
        people = dim_users.select("user_id", "geography_id", *_OF_USERS).left_join(places, "geography_id")
        told = {name: name for name in (*_OF_USERS, *_OF_PLACES)}
        lines = _described(lines, "user_id", people, told)
    lines = _described(lines, "product_id", dim_products, _OF_PRODUCTS)
    lines = _described(lines, "campaign_id", dim_campaigns, _OF_CAMPAIGNS)
    return lines.mutate(
        month_start=lines.day.truncate("M").cast("date"),
        week_start=lines.day.truncate("W").cast("date"),
        weekday=(lines.day.day_of_week.index() + 1).cast("int64"),
    )


@table(promised.ORDER_VALUE)
def order_value(sales_overview: Table) -> Table:
    """Put the lines that count together to orders."""
    return sold.orders(sales_overview)


@table(promised.PRODUCT_PERFORMANCE)
def product_performance(sales_overview: Table, dim_products: Table | None = None) -> Table:
    """Sum up what was sold of each product, with its rank and class; of those listed that never were, too."""
    listed = None
    if dim_products is not None:
        known = dim_products.filter(dim_products.product_id != UNKNOWN_MEMBER)
        listed = known.select("product_id", "name", "category", "subcategory", "brand")
    return sold.products(sales_overview, listed)


@table(promised.CUSTOMER_LIFETIME_VALUE)
def customer_lifetime_value(setting: Setting, order_value: Table) -> Table:
    """Sum up what each customer bought until now."""
    return sold.customers(order_value, setting.so_far.last)


@table(promised.REVENUE_DAILY)
def revenue_daily(
    setting: Setting, sales_overview: Table, fact_returns: Table | None = None, dim_products: Table | None = None
) -> Table:
    """Sum up each day's sales, in all and by category of products, with zeros for days without any.

    Refunds are told twice: on the day on which they were paid, and on the day of the order that they are for.
    """
    lines = sales_overview.mutate(category=sales_overview.category.fill_null(UNKNOWN_MEMBER))
    back = None if fact_returns is None else sold.paid_back(fact_returns)
    if back is not None:
        back = _described(back, "product_id", dim_products, {"category": "category"})
        back = back.mutate(category=back.category.fill_null(UNKNOWN_MEMBER))
    parts = [_by_day(lines, back, name, setting).mutate(dimension=ibis.literal(name)) for name in ("", "category")]
    still_open = setting.so_far.last - dt.timedelta(days=setting.project.customers.return_days)
    return together(parts).mutate(returns_open=ibis._.day > ibis.literal(still_open))


def _by_day(lines: Table, back: Table | None, dimension: str, setting: Setting) -> Table:
    def valued(rows: Table) -> Table:
        return rows.mutate(value=rows[dimension] if dimension else ibis.literal(""))

    daily = sold.daily(valued(lines), ["value"])
    values = daily.select("value").distinct()
    refunds = None
    if back is not None:
        told = valued(back)
        refunds = told.group_by(["day", "value"]).aggregate(refunds=told.refund.sum().cast(AMOUNT))
        values = values.union(refunds.select("value"), distinct=True)
    days = setting.so_far
    offset = ibis.range(len(days)).unnest().name("offset").as_table()
    every = offset.select(day=(ibis.literal(days.first) + offset.offset.as_interval("D")).cast("date"))
    grid = every.cross_join(values)
    full = grid.left_join(daily, ["day", "value"]).drop("day_right", "value_right")
    full = (
        full.mutate(refunds=ibis.literal(0).cast(AMOUNT))
        if refunds is None
        else (full.left_join(refunds, ["day", "value"]).drop("day_right", "value_right"))
    )
    counted = [name for name in full.columns if name not in {"day", "value", "cost", "profit"}]
    zeros = {name: full[name].fill_null(ibis.literal(0).cast(full[name].type())) for name in counted}
    return full.mutate(**zeros)


@table(promised.REVENUE_CONCENTRATION)
def revenue_concentration(customer_lifetime_value: Table) -> Table:
    """Measure how much of revenue comes from how few customers."""
    spent = _spent(customer_lifetime_value)
    negative = customer_lifetime_value.aggregate(negative=(customer_lifetime_value.net < 0).sum().fill_null(0))
    told = concentration(spent).cross_join(negative)
    return told.rename(customers="units", revenue="whole", half_of_revenue="half_of_whole")


@table(promised.REVENUE_LORENZ)
def revenue_lorenz(customer_lifetime_value: Table) -> Table:
    """Draw the Lorenz curve of revenue by customer."""
    return lorenz(_spent(customer_lifetime_value))


def _spent(customers: Table) -> Table:
    return customers.filter(customers.net >= 0).select(unit="user_id", amount="net")


@table(promised.RECONCILIATION)
def reconciliation(  # noqa: PLR0913, PLR0917 - the tables that must agree
    fact_sales: Table,
    sales_overview: Table,
    order_value: Table,
    product_performance: Table,
    revenue_daily: Table,
    customer_lifetime_value: Table,
    fact_returns: Table | None = None,
    rfm_customer_segments: Table | None = None,
    rfm_segments: Table | None = None,
    order_cohorts: Table | None = None,
) -> Table:
    """Hold the marts to each other and to the facts: the same money, to the last digit, however it is summed."""
    facts, whole = sold.counting(fact_sales), revenue_daily.filter(revenue_daily.dimension == "")
    parts = revenue_daily.filter(revenue_daily.dimension == "category")
    known = order_value.filter(order_value.user_id.notnull())
    held = [
        _Held(f"{name} of {other}", facts[name].sum(), rows[name].sum())
        for other, rows in {
            "sales_overview": sales_overview,
            "order_value": order_value,
            "product_performance": product_performance,
            "revenue_daily": whole,
            "revenue_daily by category": parts,
        }.items()
        for name in ("gross", "discount", "net", "tax", "shipping")
    ]
    held += [
        _Held(f"{name} of {other}", sales_overview[name].sum(), rows[name].sum())
        for other, rows in {"order_value": order_value, "product_performance": product_performance}.items()
        for name in ("cost", "profit", "refund")
    ]
    held += [
        _Held("lines of sales_overview", facts.count(), sales_overview.count()),
        _Held("lines of order_value", facts.count(), order_value.lines.sum()),
        _Held("orders of revenue_daily", order_value.count(), whole.orders.sum()),
        _Held("new customers of revenue_daily", customer_lifetime_value.count(), whole.new_customers.sum()),
        _Held("net of customer_lifetime_value", known.net.sum(), customer_lifetime_value.net.sum()),
        _Held("orders of customer_lifetime_value", known.count(), customer_lifetime_value.orders.sum()),
        _Held("refunds of orders of revenue_daily", sales_overview.refund.sum(), whole.refunds_of_orders.sum()),
    ]
    if fact_returns is not None:
        returned = sold.paid_back(fact_returns).refund.sum()
        held += [
            _Held(f"refunds of {name}", returned, rows.refunds.sum())
            for name, rows in {"revenue_daily": whole, "revenue_daily by category": parts}.items()
        ]
    if rfm_customer_segments is not None:
        each = rfm_customer_segments
        held += [
            _Held("customers of rfm_customer_segments", customer_lifetime_value.count(), each.count()),
            _Held("orders of rfm_customer_segments", known.count(), each.frequency.sum()),
            _Held("net of rfm_customer_segments", known.net.sum(), each.monetary.sum()),
        ]
    if rfm_segments is not None:
        held += [
            _Held("customers of rfm_segments", customer_lifetime_value.count(), rfm_segments.customers.sum()),
            _Held("orders of rfm_segments", known.count(), rfm_segments.orders.sum()),
            _Held("net of rfm_segments", known.net.sum(), rfm_segments.revenue.sum()),
        ]
    if order_cohorts is not None:
        began = order_cohorts.filter(order_cohorts.period == 0)
        held += [
            _Held(
                f"customers of order_cohorts by {unit}",
                customer_lifetime_value.count(),
                began.customers.sum(where=began.interval == unit),
            )
            for unit in ("month", "week")
        ]
    return _compared(held)


@dataclass(frozen=True)
class _Held:
    """Name a sum, with what it should be."""

    name: str
    expected: Value
    found: Value


def _compared(held: Iterable[_Held]) -> Table:
    """Make a row of each two sums that are held to each other; of nothing, a sum is 0.

    Each table is read once for all of its sums.
    """
    held = list(held)
    sums: dict[Any, dict[Any, str]] = {}
    for number, side in enumerate(side.op() for each in held for side in (each.expected, each.found)):
        (rows,) = side.relations
        sums.setdefault(rows, {}).setdefault(side, f"sum_{number}")
    whole = functools.reduce(
        lambda one, other: one.cross_join(other),
        [
            rows.to_expr().aggregate(**{name: side.to_expr() for side, name in own.items()})
            for rows, own in sums.items()
        ],
    )

    def shown(value: Value) -> Value:
        side = value.op()
        (rows,) = side.relations
        return whole[sums[rows][side]].cast(promised.SUM).fill_null(ibis.literal(0).cast(promised.SUM))

    told = [
        ibis.struct({"name": ibis.literal(each.name), "expected": shown(each.expected), "found": shown(each.found)})
        for each in held
    ]
    one = whole.select(one=ibis.array(told).unnest()).one
    return one.as_table().select(name=one["name"], expected=one["expected"], found=one["found"])
