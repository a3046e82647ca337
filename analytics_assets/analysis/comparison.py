"""Two periods beside each other: who was there, who bought, and who was there in both.

Belongs here: counts that an interval of a change needs. Does not belong here: the interval (`statistics.changes`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, Table

Days: TypeAlias = tuple[dt.date, dt.date]
"""The first and the last day of a period."""


def people(user_days: Table, now: Days, before: Days) -> Table:
    """Count users and buyers of two periods, and those of both, in one row.

    Args:
        user_days: A row a user and day, with `orders`.
        now: The one period.
        before: The other.

    >>> import ibis
    >>> rows = {"user_id": ["a", "a", "b"], "day": [dt.date(2024, 3, n) for n in (1, 2, 2)], "orders": [0, 1, 0]}
    >>> first, second = ((dt.date(2024, 3, n), dt.date(2024, 3, n)) for n in (1, 2))
    >>> int(people(ibis.memtable(rows), second, first).users_both.as_scalar().execute())
    1
    """

    def within(days: Days) -> BooleanValue:
        told: BooleanValue = user_days.day.between(*days)
        return told

    each = (
        user_days.filter(within(now) | within(before))
        .group_by("user_id")
        .aggregate(
            now=within(now).any(),
            before=within(before).any(),
            bought=(within(now) & (user_days.orders > 0)).any(),
            bought_before=(within(before) & (user_days.orders > 0)).any(),
        )
    )
    both = each.now & each.before
    return each.aggregate(
        users=each.now.sum().fill_null(0),
        users_before=each.before.sum().fill_null(0),
        users_both=both.sum().fill_null(0),
        buyers=each.bought.sum().fill_null(0),
        buyers_before=each.bought_before.sum().fill_null(0),
        buyers_both=(each.bought & each.bought_before).sum().fill_null(0),
        buyers_of_both=(each.bought & both).sum().fill_null(0),
        buyers_before_of_both=(each.bought_before & both).sum().fill_null(0),
    )


def ordering(user_day_events: Table, user_days: Table, event: str, days: Days) -> Table:
    """Count the user-days with an event, and those of them with an order, in one row."""
    did = user_day_events.filter(user_day_events.day.between(*days), user_day_events.event_type == event).select(
        "user_id", "day"
    )
    bought = user_days.filter(user_days.day.between(*days), user_days.orders > 0).select("user_id", "day")
    ordered = did.semi_join(bought, ["user_id", "day"])
    return did.aggregate(did=did.count()).cross_join(ordered.aggregate(ordered=ordered.count()))
