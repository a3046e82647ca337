"""Lifecycle: who is new, who stays, who comes back, who is gone.

Belongs here: the state of users from one period to the next, and churn. Does not belong here: cohorts (`retention`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.actives import user_periods
from analytics_assets.analysis.periods import Period, numbers, ratio, with_zeros

if TYPE_CHECKING:
    from ibis.expr.types import Table


def lifecycle(active: Table, period: Period, first: dt.date, last: dt.date, by: Sequence[str] = ()) -> Table:
    """Count new, returning, resurrecting and dormant users of each period.

    New users are there in their first period ever, returning ones were there in the period before too, resurrecting
    ones not in that but earlier. Dormant are those of the period before who are not there; their number is negative.
    The quick ratio is what came (new and resurrecting) for each user who went.

    Args:
        active: Columns user_id, day (for hours: occurred_at), and those of `by`: the full history, as far back as it
            goes, or nobody knows who is new.
        period: What users are compared from one of to the next.
        first: The first period to show: a day in it (for hours, an instant).
        last: The last period to show. Until the day `last` is the last of its period, `complete` is false: users who
            are dormant may still come.
        by: Dimensions; a user who changes has a life under each value.

    Returns:
        Columns at (the start of the period), those of `by`, users, new, returning, resurrecting, dormant, quick_ratio
        (null where nobody went), complete.

    >>> days = {"ann": (1, 2, 4), "bob": (2,)}
    >>> visits = ibis.memtable([{"user_id": u, "day": dt.date(2024, 3, d)} for u, ds in days.items() for d in ds])
    >>> told = lifecycle(visits, Period("day"), dt.date(2024, 3, 1), dt.date(2024, 3, 4)).order_by("at")
    >>> [told[name].execute().to_list() for name in ("new", "returning", "resurrecting", "dormant")]
    [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, -2, 0]]
    """
    low, high = period.number_of(first), period.number_of(last)
    seen = user_periods(active, period, by)
    before = ibis._.number.lag().over(ibis.window(group_by=["user_id", *by], order_by="number"))
    lives = seen.filter(seen.number <= high).mutate(away=ibis._.number - before)
    states = lives.group_by(["number", *by]).aggregate(
        users=lives.count(),
        new=lives.away.isnull().sum().fill_null(0),
        returning=(lives.away == 1).sum().fill_null(0),
        resurrecting=(lives.away > 1).sum().fill_null(0),
    )
    full = with_zeros(states.filter(states.number >= low - 1), numbers(low - 1, high), by)
    previous = full.users.lag().over(ibis.window(group_by=list(by) or None, order_by="number"))
    gone = full.mutate(dormant=full.returning - previous)
    shown = gone.filter(gone.number >= low)
    return shown.select(
        period.start(shown.number).name("at"),
        *by,
        "users",
        "new",
        "returning",
        "resurrecting",
        "dormant",
        quick_ratio=ratio(shown.new + shown.resurrecting, -shown.dormant),
        complete=shown.number <= period.last_complete(last),
    )


def churn(
    active: Table, period: Period, first: dt.date, last: dt.date, inactive: int = 1, by: Sequence[str] = ()
) -> Table:
    """Count the users of each period who were not there in the next `inactive` full periods.

    Only users whose next periods are all over count, whether they came back or not: those who are known to have come
    back must not be counted before those who have not. What share of the users that is, `observable_share` says.

    Args:
        active: Columns user_id, day (for hours: occurred_at), and those of `by`.
        period: What users are compared from one of to the next.
        first: The first period to show: a day in it (for hours, an instant).
        last: The last day (for hours, hour) that the data hold in full.
        inactive: After how many full periods of absence a user has churned.
        by: Dimensions; a user who changes has churned from the value that is left.

    Returns:
        Columns at (the start of the period), those of `by`, users (active in it), observable, churned (of the
        observable), rate (churned of observable), observable_share.

    >>> days = {"ann": (1,), "bob": (1, 2)}
    >>> visits = ibis.memtable([{"user_id": u, "day": dt.date(2024, 3, d)} for u, ds in days.items() for d in ds])
    >>> told = churn(visits, Period("day"), dt.date(2024, 3, 1), dt.date(2024, 3, 2)).order_by("at").execute()
    >>> told[["users", "observable", "churned"]].values.tolist()
    [[2, 2, 1], [1, 0, 0]]
    """
    if inactive < 1:
        raise ValueError(f"a user has churned after one period or more, not after {inactive}")
    low, high, over = period.number_of(first), period.number_of(last), period.last_complete(last)
    seen = user_periods(active, period, by)
    after = ibis._.number.lead().over(ibis.window(group_by=["user_id", *by], order_by="number"))
    lives = seen.filter(seen.number.between(low, high)).mutate(away=after - ibis._.number)
    stayed = lives.group_by(["number", *by]).aggregate(
        users=lives.count(), left=(lives.away.isnull() | (lives.away > inactive)).sum().fill_null(0)
    )
    full = with_zeros(stayed, numbers(low, high), by)
    seen_through = full.number + inactive <= over
    told = full.mutate(
        observable=seen_through.ifelse(full.users, ibis.literal(0, "int64")),
        churned=seen_through.ifelse(full.left, ibis.literal(0, "int64")),
    )
    return told.select(
        period.start(told.number).name("at"),
        *by,
        "users",
        "observable",
        "churned",
        rate=ratio(told.churned, told.observable),
        observable_share=ratio(told.observable, told.users),
    )
