"""What orders and models of an experiment read: orders in users' windows, and users alike counted together.

Belongs here: sums over exposed users that no outcome is. Does not belong here: what becomes of them (`statistics`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import NumericValue, Table, Value

_INSTANT = "timestamp('UTC', 6)"
_ARM = ["experiment", "variant"]
_MONEY = "decimal(38, 4)"
AMOUNTS = ("net", "refund", "profit", "net_uncosted")
Window = tuple[str, int, int]
"""An experiment, how many days its window takes, and after how many it begins."""


def _elapsed(days: NumericValue) -> Value:
    return (days * 24).as_interval("h")


def _windows(windows: Sequence[Window]) -> Table:
    names = ("experiment", "window_days", "delay_days")
    rows = [dict(zip(names, window, strict=True)) for window in windows]
    return ibis.memtable(rows, schema={"experiment": "string", "window_days": "int64", "delay_days": "int64"})


def window_orders(
    exposed: Table, orders: Table, windows: Sequence[Window], until: dt.datetime, open_from: dt.date
) -> Table:
    """Sum up the orders of users whose window is over, by experiment and variant.

    An order counts in [exposure + delay, exposure + delay + window), days being 24 hours.

    Args:
        exposed: The users who are compared: experiment, user_id, variant, exposed_at.
        orders: Orders that count: user_id, day, ordered_at, net, refund, profit (null: no cost is known), net_uncosted.
        windows: One of each experiment.
        until: The end of the last day delivered.
        open_from: The first day whose orders may still come back.

    Returns:
        Columns experiment, variant; users (whose window is over), orders, open_returns; net, refund, net_uncosted
        (0 where there is no order) and profit (null where none is known), as exact sums.

    >>> at = dt.datetime(2024, 3, 1, tzinfo=dt.timezone.utc)
    >>> users = ibis.memtable([{"experiment": "e", "user_id": "u", "variant": "a", "exposed_at": at}])
    >>> money = dict.fromkeys(AMOUNTS, 5)
    >>> orders = ibis.memtable([{"user_id": "u", "day": at.date(), "ordered_at": at + dt.timedelta(days=d), **money}
    ...                         for d in (0, 6, 7)])
    >>> found = window_orders(users, orders, [("e", 7, 0)], at + dt.timedelta(days=7), dt.date(2024, 4, 1))
    >>> found.select("users", "orders", "net").execute().values.tolist()
    [[1, 2, Decimal('10.0000')]]
    """
    told = exposed.inner_join(_windows(windows), "experiment")
    exposed_at = told.exposed_at.cast(_INSTANT)
    over_at = exposed_at + _elapsed(told.delay_days + told.window_days)
    users = told.select(*_ARM, "user_id", from_at=exposed_at + _elapsed(told.delay_days), over_at=over_at)
    users = users.filter(users.over_at <= ibis.literal(until.astimezone(dt.UTC), _INSTANT))
    bought = orders.filter(orders.user_id.notnull()).select(
        "user_id",
        ordered_at=orders.ordered_at.cast(_INSTANT),
        open=orders.day >= ibis.literal(open_from),
        **{name: orders[name].cast(_MONEY) for name in AMOUNTS},
    )
    met = users.inner_join(bought, "user_id")
    met = met.filter(met.ordered_at >= met.from_at, met.ordered_at < met.over_at)
    sums = met.group_by(_ARM).aggregate(
        orders=met.count(), open_returns=met.open.sum(), **{name: met[name].sum() for name in AMOUNTS}
    )
    arms = users.group_by(_ARM).aggregate(users=users.count())
    both = arms.left_join(sums, _ARM)
    return both.select(
        *_ARM,
        "users",
        profit=both.profit.cast(_MONEY),
        **{name: both[name].cast("int64").fill_null(0) for name in ("orders", "open_returns")},
        **{name: both[name].cast(_MONEY).fill_null(ibis.literal(0, _MONEY)) for name in AMOUNTS if name != "profit"},
    )


def alike(outcomes: Table, segments: Table, by: Sequence[str]) -> Table:
    """Count the users who are alike in all that was known of them before, and those of them with the outcome.

    Args:
        outcomes: One row a user and experiment, of one metric: experiment, user_id, variant, value, pre_value,
            known_before. Users whose value is no finite number are left out.
        segments: The same users: experiment, user_id, and the columns that tell them apart.
        by: These columns.

    Returns:
        Columns experiment, variant, known_before, active_before (pre_value above 0), those of `by`; users, successes
        (value above 0).

    >>> users = ibis.memtable({"experiment": ["e", "e"], "user_id": ["u", "v"], "variant": ["a", "a"],
    ...                        "value": [0.0, 2.0], "pre_value": [1.0, 3.0], "known_before": [True, True]})
    >>> alike(users, users.select("experiment", "user_id"), []).select("users", "successes").execute().values.tolist()
    [[2, 1]]
    """
    finite = ~(outcomes.value.isnan() | outcomes.value.isinf() | outcomes.value.isnull())
    users = outcomes.filter(finite).inner_join(segments.select("experiment", "user_id", *by), ["experiment", "user_id"])
    before = users.pre_value.fill_null(0.0)
    told = users.select(
        *_ARM,
        *by,
        known_before=users.known_before.fill_null(False),  # noqa: FBT003 - a literal of the column
        active_before=(before > 0) & ~before.isnan(),
        hit=users.value > 0,
    )
    cells = [*_ARM, "known_before", "active_before", *by]
    return told.group_by(cells).aggregate(users=told.count(), successes=told.hit.sum())
