"""Actives: how many users were there, in a day, the last seven, the last thirty, and on how many days each.

Belongs here: distinct users in windows of periods, and the distribution of active periods. Does not belong here: who
came back (`retention`), and who is new (`lifecycle`).

All of it comes from the periods in which a user was active, one row a user and period, and most of it from one number
more: how many periods later the user was active next. Between the two, a window of w periods sees the user from the
period itself until the earlier of w periods later and the next active one, where the next row takes over: nobody is
counted twice, and no window is joined to its days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.periods import Period, known_users, numbers, ratio, with_zeros

if TYPE_CHECKING:
    from ibis.expr.types import Table

DAYS: Mapping[str, int] = {"dau": 1, "wau": 7, "mau": 30}
"""The windows of the well-known measures, in days."""


@dataclass(frozen=True)
class Frequency:
    """Say how often a user must have been active in a stretch of time to count as active in it.

    Attributes:
        period: What stretches of time are made of.
        length: How many periods make one stretch. Stretches are counted back from the last period, so that the newest
            is a full one.
        at_least: The fewest events in a stretch with which it counts.
        at_most: The most events in a stretch with which it counts.
        cumulative: Count users active in so many stretches or more, instead of exactly so many.
    """

    period: Period = field(default_factory=Period)
    length: int = 1
    at_least: int = 1
    at_most: int | None = None
    cumulative: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"a stretch has one period or more, not {self.length}")


def actives(user_days: Table, first: dt.date, last: dt.date, by: Sequence[str] = ()) -> Table:
    """Count daily, weekly and monthly active users of each day, and stickiness.

    DAU of d are the distinct users on d, WAU those in [d-6, d], MAU those in [d-29, d]; stickiness is DAU/MAU of the
    same day, and null where there is no MAU.

    Args:
        user_days: Columns day, user_id, and those of `by`; the days before `first` as well, as far as there are.
        first: The first day to show.
        last: The last day to show.
        by: Dimensions. A user with two values on a day is counted in both.

    Returns:
        Columns day, those of `by`, dau, wau, mau, stickiness; a row for each day, with zeros where nobody was there.

    >>> day = dt.date(2024, 3, 1)
    >>> visits = ibis.memtable([{"day": day, "user_id": "ann"}, {"day": day + dt.timedelta(days=6), "user_id": "bob"}])
    >>> counted = actives(visits, day, dt.date(2024, 3, 8)).order_by("day")
    >>> counted.wau.execute().to_list()
    [1, 1, 1, 1, 1, 1, 2, 1]
    """
    counted = trailing_users(user_days, DAYS, first, last, by=by)
    return counted.rename(day="at").mutate(stickiness=ratio(ibis._.dau, ibis._.mau))


def trailing_users(
    active: Table,
    windows: Mapping[str, int],
    first: dt.date,
    last: dt.date,
    period: Period | None = None,
    by: Sequence[str] = (),
) -> Table:
    """Count the distinct users of each period and the periods before it, for several windows at once.

    Args:
        active: Columns user_id, day (for hours: occurred_at), and those of `by`; any number of rows a user and period.
        windows: How many periods each window has, its own included, by the name of its column.
        first: The first period to show: a day in it (for hours, an instant).
        last: The last period to show.
        period: What is counted in; days without it.
        by: Dimensions.

    Returns:
        Columns at (the start of the period), those of `by`, and one for each window.
    """
    period = period or Period()
    low, high, longest = period.number_of(first), period.number_of(last), max(windows.values())
    seen = user_periods(active, period, by)
    seen = seen.filter(seen.number > low - longest, seen.number <= high)
    of_user = ibis.window(group_by=["user_id", *by], order_by="number")
    gap = (ibis._.number.lead().over(of_user) - ibis._.number).fill_null(longest)
    gaps = seen.mutate(gap=ibis.least(gap, longest)).group_by(["number", "gap", *by]).aggregate(users=ibis._.count())

    def change(at: ibis.Value, users: Mapping[str, ibis.Value]) -> Table:
        return gaps.select(number=at, **{name: gaps[name] for name in by}, **users)

    zero = ibis.literal(0, "int64")
    changes = change(gaps.number, dict.fromkeys(windows, gaps.users))
    for name, width in windows.items():
        leave = {other: -gaps.users if other == name else zero for other in windows}
        changes = changes.union(change(gaps.number + ibis.least(gaps.gap, width), leave))
    daily = with_zeros(changes, numbers(low, high), by)
    so_far = ibis.window(group_by=list(by) or None, order_by="number", preceding=None, following=0)
    counted = daily.mutate(**{name: daily[name].sum().over(so_far).cast("int64") for name in windows})
    shown = counted.filter(counted.number.between(low, high))
    return shown.select(period.start(shown.number).name("at"), *by, *windows)


def period_users(active: Table, period: Period, first: dt.date, last: dt.date, by: Sequence[str] = ()) -> Table:
    """Count the distinct users of each calendar period: those of a week from its first day to its last.

    Returns:
        Columns at (the start of the period), those of `by`, and users.
    """
    counted = user_periods(active, period, by).group_by(["number", *by]).aggregate(users=ibis._.count())
    low, high = period.number_of(first), period.number_of(last)
    shown = with_zeros(counted, numbers(low, high), by).filter(ibis._.number.between(low, high))
    return shown.select(period.start(shown.number).name("at"), *by, "users")


def active_periods(active: Table, frequency: Frequency, first: dt.date, last: dt.date, by: Sequence[str] = ()) -> Table:
    """Count users by the number of stretches of time in which they were active: the distribution behind stickiness.

    Args:
        active: Columns user_id, day (for hours: occurred_at), those of `by`, and events, where a row stands for
            several.
        frequency: What counts as active.
        first: The first period: a day in it (for hours, an instant).
        last: The last period.
        by: Dimensions; each value has a distribution of its own.

    Returns:
        Columns stretches (1, 2, ... to the most that fit), those of `by`, and users.

    >>> days = [dt.date(2024, 3, number) for number in (1, 2, 3)]
    >>> visits = ibis.memtable([{"day": day, "user_id": "ann"} for day in days] + [{"day": days[0], "user_id": "bob"}])
    >>> active_periods(visits, Frequency(), days[0], days[2]).order_by("stretches").users.execute().to_list()
    [1, 0, 1]
    """
    period = frequency.period
    low, high = period.number_of(first), period.number_of(last)
    users = known_users(active)
    placed = users.select(
        "user_id",
        *by,
        number=period.number(users[period.column]),
        events=users.events if "events" in users.columns else ibis.literal(1, "int64"),
    )
    stretch = ((high - placed.number) // frequency.length).name("stretch")
    did = placed.filter(placed.number.between(low, high)).group_by(["user_id", *by, stretch])
    often = did.aggregate(events=ibis._.events.sum()).filter(ibis._.events >= frequency.at_least)
    if frequency.at_most is not None:
        often = often.filter(often.events <= frequency.at_most)
    each = often.group_by(["user_id", *by]).aggregate(stretches=ibis._.count())
    counted = each.group_by(["stretches", *by]).aggregate(users=ibis._.count())
    most = -(-(high - low + 1) // frequency.length)
    full = with_zeros(counted, numbers(1, most).rename(stretches="number"), by)
    if not frequency.cumulative:
        return full
    or_more = ibis.window(group_by=list(by) or None, order_by=ibis.desc("stretches"), preceding=None, following=0)
    return full.mutate(users=full.users.sum().over(or_more).cast("int64"))


def user_periods(active: Table, period: Period, by: Sequence[str] = ()) -> Table:
    """List the periods in which each user was active, once: columns user_id, those of `by`, and number."""
    users = known_users(active)
    return users.select("user_id", *by, number=period.number(users[period.column])).distinct()
