"""Attribution: which campaigns an order is credited to, by the touches before it.

Belongs here: touches, the three models, and credits that add up to the order to the last digit. Does not belong here:
what a campaign cost, and what would have come without it (`statistics.incrementality`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import DecimalValue, IntegerValue, Table

Model: TypeAlias = Literal["first", "last", "linear"]
MODELS: tuple[Model, ...] = get_args(Model)

NONE = "(none)"
"""The campaign of orders that no campaign is known to have touched: shown, so that credits add up to all orders."""
AMOUNT = "decimal(18, 4)"


def touches(sessions: Table) -> Table:
    """Keep the sessions that came by a campaign: columns user_id, campaign_id, touched_at, touch.

    Args:
        sessions: Columns user_id, campaign_id, started_at, session_id, excluded_as. Excluded sessions touch nobody.
    """
    came = sessions.filter(sessions.campaign_id.notnull(), sessions.excluded_as.isnull(), sessions.user_id.notnull())
    return came.select("user_id", "campaign_id", touched_at="started_at", touch="session_id")


def touched_orders(orders: Table, touched: Table | None, lookback_days: int) -> Table:
    """Number the touches of each order: at or before it, `lookback_days` times 24 hours at most.

    An order without any is touched by the campaign that it names itself, or else by `(none)`, so that each order has
    one at least.

    Args:
        orders: Columns order_id, user_id, ordered_at, campaign_id.
        touched: As `touches` makes them; None where no sessions are known.
        lookback_days: How long before an order a touch counts, that instant included.

    Returns:
        Columns order_id, campaign_id, place (of the touch: 0 is the first) and touches (of the order). Touches at one
        instant are in the order of their ids.
    """
    asked = orders.select("order_id", "user_id", "ordered_at", own=orders.campaign_id.fill_null(NONE))
    if touched is None:
        one = ibis.literal(1, "int64")
        return asked.select("order_id", campaign_id="own", place=one - 1, touches=one)
    asked = asked.rename(buyer="user_id").mutate(since=asked.ordered_at - ibis.interval(days=lookback_days))
    on = [asked.buyer == touched.user_id, touched.touched_at <= asked.ordered_at, touched.touched_at >= asked.since]
    met = asked.left_join(touched, on).select("order_id", "own", "campaign_id", "touched_at", "touch")
    of_order = ibis.window(group_by="order_id")
    in_turn = ibis.window(group_by="order_id", order_by=["touched_at", "touch", "campaign_id"])
    return met.select(
        "order_id",
        campaign_id=ibis.coalesce(met.campaign_id, met.own),
        place=ibis.row_number().over(in_turn).cast("int64"),
        touches=met.count().over(of_order).cast("int64"),
    )


def credit(orders: Table, touched: Table, measures: Sequence[str]) -> Table:
    """Credit orders to campaigns by each model: to the first touch, to the last, or to all alike.

    Linear credit goes to touches, so that a campaign with two of three touches has two thirds. Amounts are split into
    ten-thousandths, of which two touches of an order may differ by one: the credits of an order add up to the order to
    the last digit, under every model.

    Args:
        orders: Columns order_id, and `measures`: decimals of four places, which may be null or negative.
        touched: As `touched_orders` makes them.
        measures: What to credit, beside the order itself.

    Returns:
        One row an order, model and campaign: order_id, model, campaign_id, orders (the share of the order), `measures`.

    >>> from decimal import Decimal
    >>> types = {"order_id": "string", "net": AMOUNT}
    >>> orders = ibis.memtable({"order_id": ["a"], "net": [Decimal("10.0000")]}, schema=types)
    >>> touched = ibis.memtable({"order_id": ["a"] * 3, "campaign_id": ["x", "y", "x"], "place": [0, 1, 2]})
    >>> credited = credit(orders, touched.mutate(touches=ibis.literal(3, "int64")), ["net"])
    >>> linear = credited.filter(credited.model == "linear").order_by("campaign_id")
    >>> [str(net) for net in linear.net.execute()]
    ['6.6666', '3.3334']
    """
    names = ("orders", *measures)
    amounts = orders.select("order_id", *measures, orders=ibis.literal(1).cast(AMOUNT))
    met = touched.inner_join(amounts, "order_id")
    by_campaign = met.group_by(["order_id", "campaign_id"]).aggregate(
        first=(met.place == 0).any(),
        last=(met.place == met.touches - 1).any(),
        **{name: met[name].max() for name in names},
        **{f"{name}_linear": _share(met[name], met.place, met.touches).sum() for name in names},
    )
    each = by_campaign.mutate(model=ibis.array([*MODELS]).unnest())
    linear = each.model == "linear"
    credited = (each.first & (each.model == "first")) | (each.last & (each.model == "last")) | linear
    kept = each.filter(credited)
    return kept.select(
        "order_id",
        "model",
        "campaign_id",
        **{name: (kept.model == "linear").ifelse(kept[f"{name}_linear"], kept[name]).cast(AMOUNT) for name in names},
    )


def _share(amount: DecimalValue, place: IntegerValue, count: IntegerValue) -> DecimalValue:
    """Give a touch its part of an amount: what the touches up to it come to, less what those before it do.

    The last of these is the amount itself, so that parts add up to it whatever is rounded on the way.
    """
    whole = amount.cast("float64")

    def reached(number: IntegerValue) -> DecimalValue:
        rounded = (whole * number / count).round(4).cast(AMOUNT)
        return ibis.cases((number == 0, ibis.literal(0).cast(AMOUNT)), (number == count, amount), else_=rounded)

    share: DecimalValue = (reached(place + 1) - reached(place)).cast(AMOUNT)
    return share
