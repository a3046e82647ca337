"""Sales: what counts as one, what it cost, what came back, and sums of it by order, product, day and customer.

Belongs here: money that was taken and given back, to the last digit. Does not belong here: who a customer is to the
team (`rfm`), and what is expected of the future (`statistics.lifetime`).

All of it is decimals, so that sums do not depend on order and agree between tables.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import ratio

if TYPE_CHECKING:
    from ibis.expr.types import Table, Value

AMOUNT = "decimal(18, 4)"
AMOUNTS = ("gross", "discount", "net", "tax", "shipping", "cost", "profit", "net_uncosted")
"""What every table of sales sums up."""
_PAID_BACK = ("approved", "refunded")
_NOTHING = ibis.literal(0).cast(AMOUNT)
_CLASSES = ((0.80, "A"), (0.95, "B"))


def counting(sales: Table) -> Table:
    """Keep the order lines that count: neither cancelled nor excluded."""
    return sales.filter(sales.excluded_as.isnull(), sales.status != "cancelled")


def paid_back(returns: Table) -> Table:
    """Keep the returns for which money is paid back: approved or refunded, and not excluded."""
    return returns.filter(returns.excluded_as.isnull(), returns.status.isin(_PAID_BACK))


def with_profit(lines: Table, costs: Table | None) -> Table:
    """Add cost, profit and contribution of each line, and the net of lines whose cost is not known.

    Args:
        lines: Columns product_id, quantity, net, shipping.
        costs: Columns product_id, cost: of one piece, as it is today.
    """
    if costs is None:
        unknown = ibis.null(AMOUNT)
        return lines.mutate(cost=unknown, profit=unknown, contribution=unknown, net_uncosted=lines.net)
    each = costs.select("product_id", piece_="cost")
    told = lines.left_join(each, "product_id").drop("product_id_right")
    priced = told.mutate(cost=(told.quantity * told.piece_).cast(AMOUNT)).drop("piece_")
    return priced.mutate(
        profit=(priced.net - priced.cost).cast(AMOUNT),
        contribution=(priced.net + priced.shipping - priced.cost).cast(AMOUNT),
        net_uncosted=priced.cost.isnull().ifelse(priced.net, _NOTHING),
    )


def with_refunds(lines: Table, returns: Table | None) -> Table:
    """Add what came back of each line, and what was paid back for it.

    A return belongs to the first line of its order with its product; one without such a line belongs to none.

    Args:
        lines: Columns day, order_id, line, product_id.
        returns: Columns order_id, product_id, quantity, refund; only those that are paid back.
    """
    if returns is None:
        return lines.mutate(returned=ibis.literal(0, "int64"), refund=_NOTHING)
    by = ["order_id", "product_id"]
    back = returns.group_by(by).aggregate(returned_=returns.quantity.sum(), refund_=returns.refund.sum().cast(AMOUNT))
    placed = lines.mutate(place_=ibis.row_number().over(ibis.window(group_by=by, order_by=["day", "line"])))
    first = [placed.order_id == back.order_id, placed.product_id == back.product_id, placed.place_ == 0]
    told = placed.left_join(back, first)
    return told.select(*lines.columns, returned=told.returned_.fill_null(0), refund=told.refund_.fill_null(_NOTHING))


def with_orders(lines: Table) -> Table:
    """Add what lines have of their order: customer, day (order_day), and number among the customer's orders.

    An order begins with its first line. Where its lines name several customers, it is the first's by name. A customer's
    orders are numbered by (time of the first line, order_id); the number is null where nobody is named.
    """
    of_order = ibis.window(group_by=["order_id"])
    told = lines.mutate(
        user_id=lines.user_id.min().over(of_order),
        order_day=lines.day.min().over(of_order),
        began_=lines.ordered_at.min().over(of_order),
    )
    place = ibis.dense_rank().over(ibis.window(group_by="user_id", order_by=["began_", "order_id"]))
    told = told.mutate(order_number=place + 1)
    known = told.user_id.notnull().ifelse(told.order_number, ibis.null("int64"))
    return told.mutate(order_number=known).drop("began_")


def sums(lines: Table, names: Sequence[str] = AMOUNTS) -> dict[str, Value]:
    """Sum up amounts of lines, or of orders; a sum of nothing known is null."""
    return {name: lines[name].sum().cast(AMOUNT) for name in names}


def orders(lines: Table) -> Table:
    """Put lines together to orders: columns of `order_value`."""
    return lines.group_by("order_id").aggregate(
        day=lines.day.min(),
        ordered_at=lines.ordered_at.min(),
        user_id=lines.user_id.min(),
        order_number=lines.order_number.min(),
        status=(lines.status == "pending").any().ifelse("pending", "completed"),
        lines=lines.count(),
        units=lines.quantity.sum(),
        **sums(lines, (*AMOUNTS, "refund")),
        payment_method=lines.payment_method.min(),
        campaign_id=lines.campaign_id.min(),
    )


def customers(bought: Table, last: dt.date) -> Table:
    """Sum up the orders of each customer until a day: columns of `customer_lifetime_value`."""
    known = bought.filter(bought.user_id.notnull())
    each = known.group_by("user_id").aggregate(
        orders=known.count(),
        order_days=known.day.nunique(),
        units=known.units.sum(),
        **sums(known, (*AMOUNTS, "refund")),
        first_order_on=known.day.min(),
        last_order_on=known.day.max(),
    )
    return each.mutate(
        average_order=ratio(each.net, each.orders),
        days_since_last=ibis.literal(last).delta(each.last_order_on, unit="day"),
        lifetime_days=each.last_order_on.delta(each.first_order_on, unit="day"),
    )


def products(lines: Table, listed: Table | None) -> Table:
    """Sum up what was sold of each product, and of those listed that were not: columns of `product_performance`.

    Args:
        lines: Columns of `sales_overview`.
        listed: Columns product_id, name, category, subcategory, brand; without the row for the unknown.
    """
    names = ("product", "category", "subcategory", "brand")
    sold = lines.group_by("product_id").aggregate(
        **{name: lines[name].min() for name in names},
        orders=lines.order_id.nunique(),
        customers=lines.user_id.nunique(),
        units=lines.quantity.sum(),
        **sums(lines, (*AMOUNTS, "refund")),
        returned=lines.returned.sum(),
        first_sold_on=lines.day.min(),
        last_sold_on=lines.day.max(),
    )
    if listed is not None:
        unsold = listed.rename(product="name").anti_join(lines, "product_id")
        zeros = {
            name: ibis.literal(0).cast(kind)
            for name, kind in sold.schema().items()
            if name not in {"product_id", *names, "cost", "profit", "first_sold_on", "last_sold_on"}
        }
        told = {name: unsold[name] for name in ("product_id", *names)} | zeros
        blank = {name: told.get(name, ibis.null(kind)) for name, kind in sold.schema().items()}
        sold = sold.union(unsold.select(**blank))
    return _ranked(sold)


def _ranked(sold: Table) -> Table:
    """Rank products by net, and class them by the share of net that they and those above them bring (ABC analysis)."""
    order = ibis.window(order_by=[ibis.desc("net"), "product_id"], preceding=None, following=0)
    everything = ibis.window()
    told = sold.mutate(
        rank=ibis.row_number().over(ibis.window(order_by=[ibis.desc("net"), "product_id"])) + 1,
        whole_=sold.net.sum().over(everything),
        above_=sold.net.sum().over(order) - sold.net,
    )
    before = ratio(told.above_, told.whole_)
    classes = [((before < share) & (told.units > 0), name) for share, name in _CLASSES]
    return told.mutate(
        **{"class": ibis.cases(*classes, else_="C")},
        margin=ratio(told.profit, told.net - told.net_uncosted),
        average_price=ratio(told.net, told.units),
        return_rate=ratio(told.returned, told.units),
        net_share=ratio(told.net, told.whole_),
    ).drop("whole_", "above_")


def daily(lines: Table, by: Sequence[str] = ()) -> Table:
    """Sum up each day's sales: orders, customers, new customers, units, amounts, and refunds of its orders.

    An order of lines of several days counts on the first of them, and its amounts on the day of each line.
    """
    begun = lines.day == lines.order_day
    return lines.group_by(["day", *by]).aggregate(
        orders=lines.order_id.nunique(where=begun),
        customers=lines.user_id.nunique(),
        new_customers=lines.user_id.nunique(where=begun & (lines.order_number == 1)),
        units=lines.quantity.sum(),
        **sums(lines),
        refunds_of_orders=lines.refund.sum().cast(AMOUNT),
    )
