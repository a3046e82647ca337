"""Activity: who is there, who comes back, which way sessions take, and what is used.

Belongs here: the tables of actives, lifecycle, churn and features, and those of the retention and paths that a project
asks for. Does not belong here: what each of these means (`analysis`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis import paths as ways
from analytics_assets.analysis import retention as cohorts
from analytics_assets.analysis.actives import actives
from analytics_assets.analysis.intervals import wilson
from analytics_assets.analysis.lifecycle import churn as churned
from analytics_assets.analysis.lifecycle import lifecycle as lived
from analytics_assets.analysis.periods import Period, ratio
from analytics_assets.analysis.tables import together
from analytics_assets.assets.asking import askable, matching, read_for, with_users
from analytics_assets.assets.catalog import Setting, TableAsset, declaration, family, table
from analytics_assets.contracts import activity as promised
from analytics_assets.contracts.model import UNKNOWN_MEMBER
from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Paths, Retention

if TYPE_CHECKING:
    from ibis.expr.types import Table

_PERIODS: tuple[Period, ...] = (Period("day"), Period("week"), Period("month"))
_ABSENCES: tuple[tuple[Period, int], ...] = ((Period("week"), 1), (Period("week"), 4), (Period("month"), 1))
_BY = "by_"


def _by_each(answer: Callable[[Sequence[str]], Table], names: Sequence[str]) -> Table:
    """Answer for everybody, and by each dimension; `answer` is given the column that holds the dimension."""
    whole = answer(()).mutate(dimension=ibis.literal(""), value=ibis.literal(""))
    parts = [whole]
    for name in names:
        column = _BY + name
        found = answer((column,)).rename(value=column)
        parts.append(found.mutate(dimension=ibis.literal(name)).select(*whole.columns))
    return together(parts)


@table(promised.ACTIVE_USERS)
def active_users(
    setting: Setting, fact_user_days: Table, fact_sessions: Table | None = None, dim_users: Table | None = None
) -> Table:
    """Count daily, weekly and monthly active users and stickiness; by device and country where there are sessions."""
    days = setting.so_far
    parts = [_actives(fact_user_days.select("day", "user_id"), days, "")]
    if fact_sessions is not None:
        counting = fact_sessions.filter(fact_sessions.excluded_as.isnull())
        parts += [
            _actives(counting.select("day", "user_id", **{_BY: counting[name]}), days, name)
            for name in ("device", "country")
        ]
    if dim_users is not None:
        known = with_users(fact_user_days.select("day", "user_id"), ["user.channel"], dim_users)
        parts.append(_actives(known.rename(**{_BY: "user.channel"}), days, "channel"))
    return together(parts)


def _actives(user_days: Table, days: Days, dimension: str) -> Table:
    if not dimension:
        return actives(user_days, days.first, days.last).mutate(dimension=ibis.literal(""), value=ibis.literal(""))
    told = user_days.mutate(**{_BY: user_days[_BY].fill_null(UNKNOWN_MEMBER)})
    counted = actives(told, days.first, days.last, by=[_BY]).rename(value=_BY)
    shown = counted.mutate(dimension=ibis.literal(dimension))
    return shown.select("day", "dau", "wau", "mau", "stickiness", "dimension", "value")


@table(promised.ACTIVE_DAYS)
def active_days(setting: Setting, fact_user_days: Table) -> Table:
    """Count users by the number of days in a month on which they were active: what stickiness is made of."""
    month = Period("month")
    each = fact_user_days.group_by(number=month.number(fact_user_days.day), user_id=fact_user_days.user_id).aggregate(
        days=ibis._.day.nunique()
    )
    counted = each.group_by(["number", "days"]).aggregate(users=each.count())
    all_of_month = counted.users.sum().over(ibis.window(group_by="number"))
    return counted.select(
        "days",
        "users",
        month=month.start(counted.number),
        share=ratio(counted.users, all_of_month),
        complete=counted.number <= month.last_complete(setting.so_far.last),
    )


@table(promised.LIFECYCLE)
def lifecycle(setting: Setting, fact_user_days: Table) -> Table:
    """Count new, returning, resurrecting and dormant users by day, week and month."""
    first, last = setting.so_far.first, setting.so_far.last
    return together(
        [
            lived(fact_user_days, period, first, last)
            .rename(period="at")
            .mutate(interval=ibis.literal(period.unit), dormant=ibis._.dormant.fill_null(0))
            for period in _PERIODS
        ]
    )


@table(promised.CHURN)
def churn(setting: Setting, fact_user_days: Table) -> Table:
    """Count the users who were not there in the 1 or 4 weeks, or the month, after a period."""
    first, last = setting.so_far.first, setting.so_far.last
    return together(
        [
            churned(fact_user_days, period, first, last, inactive)
            .rename(period="at")
            .mutate(interval=ibis.literal(period.unit), inactive=ibis.literal(inactive, "int64"))
            for period, inactive in _ABSENCES
        ]
    )


@family
def retentions(project: Project) -> Iterator[TableAsset]:
    """Make the tables of each retention."""
    for name, asked in project.questions.retention.items():
        yield from _retention_tables(name, asked)


def _retention_tables(name: str, asked: Retention) -> Iterator[TableAsset]:
    named = [*asked.cohort.where, *asked.returned.where, *asked.breakdowns]

    def cells(setting: Setting, **tables: Table) -> Table:
        return _cells(asked, askable(tables, named), setting, tables.get("fact_sales"))

    def curve(**tables: Table) -> Table:
        return _curve(tables[f"retention_{name}"])

    cells.__doc__ = asked.description or "Count who of each cohort came back."
    curve.__doc__ = "Average the cohorts that had the time to return, by their size."
    requires = (*read_for(named), *(("fact_sales",) if asked.revenue else ()))
    yield TableAsset(promised.retention(name, revenue=asked.revenue), cells, requires, ())
    yield TableAsset(promised.retention_curve(name, revenue=asked.revenue), curve, (f"retention_{name}",), ())


def _cells(asked: Retention, events: Table, setting: Setting, sales: Table | None) -> Table:
    days = setting.so_far
    told = asked.analysed()
    acted = events.filter(events.day <= ibis.literal(days.last))
    # the instant says which of a user's events is the first
    columns = ["user_id", "day", "occurred_at"]
    known_from = days.first + dt.timedelta(days=asked.censored_days) if asked.censored_days else None

    def answer(by: Sequence[str]) -> Table:
        started = matching(acted, asked.cohort)
        values = {column: started[column.removeprefix(_BY)] for column in by}
        began = started.select(
            *columns, **{column: value.cast("string").fill_null(UNKNOWN_MEMBER) for column, value in values.items()}
        )
        back = matching(acted, asked.returned).select(*columns)
        if sales is not None:
            back = _with_revenue(back, sales)
        cells = cohorts.retention_cells(began, back, told, days.first, days.last, by=by, known_from=known_from)
        return cells.filter(~cells.left_censored | (cells.users > 0))

    return _by_each(answer, asked.breakdowns)


def _with_revenue(returned: Table, sales: Table) -> Table:
    """Add what users paid, as rows of their own that count for no return."""
    paid = sales.filter(sales.excluded_as.isnull(), sales.user_id.notnull(), sales.status != "cancelled")
    nothing = ibis.literal(0).cast(sales.net.type())
    came = returned.mutate(events=ibis.literal(1, "int64"), revenue=nothing)
    money = paid.select(
        "user_id", "day", occurred_at=paid.ordered_at, events=ibis.literal(0, "int64"), revenue=paid.net
    )
    return came.union(money)


def _curve(cells: Table) -> Table:
    averaged = cohorts.retention_curve(cells, by=["dimension", "value"])
    low, high = wilson(averaged.retained, averaged.users)
    return averaged.mutate(low=low, high=high)


@family
def path_tables(project: Project) -> Iterator[TableAsset]:
    """Make the edges of each question after paths."""
    for name, asked in project.questions.paths.items():
        yield declaration(table(promised.paths(name))(_edges(asked)))


def _edges(asked: Paths) -> Callable[..., Table]:
    def paths(fact_events: Table) -> Table:
        """Count the sessions that go from one event to another, step by step."""
        told = ways.Paths(asked.steps, asked.start, asked.end, asked.nodes, None, asked.collapse_repeats)
        return ways.path_edges(askable({"fact_events": fact_events}, ()), told)

    return paths


@table(promised.TRANSITIONS)
def transitions(fact_events: Table) -> Table:
    """Count how often each event directly follows each other one in a session."""
    return ways.transition_matrix(askable({"fact_events": fact_events}, ()))


@table(promised.FEATURE_USAGE)
def feature_usage(setting: Setting, fact_events: Table) -> Table:
    """Count uses of each feature by weekday and hour of the reporting time zone."""
    used = fact_events.filter(fact_events.excluded_as.isnull(), fact_events.feature.notnull())
    shown = setting.project.clock().shown(used.occurred_at)
    placed = used.select(
        "feature",
        "user_id",
        weekday=(used.day.day_of_week.index() + 1).cast("int64"),
        hour=shown.hour().cast("int64"),
    )
    return placed.group_by(["feature", "weekday", "hour"]).aggregate(
        uses=placed.count(), users=placed.user_id.nunique()
    )


@table(promised.FEATURE_ADOPTION)
def feature_adoption(fact_events: Table, fact_user_days: Table, dim_users: Table | None = None) -> Table:
    """Say who uses each feature: the share of active users, and who comes back to it; by segment where there is one."""
    used = fact_events.filter(
        fact_events.excluded_as.isnull(), fact_events.feature.notnull(), fact_events.user_id.notnull()
    )
    by_user = used.group_by(["feature", "user_id"]).aggregate(
        uses=used.count(), days=used.day.nunique(), first_use=used.day.min(), last_use=used.day.max()
    )
    active = fact_user_days.select("user_id").distinct()
    parts = [_adopted(by_user, active, "")]
    if dim_users is not None:
        column = "user.segment"
        parts.append(
            _adopted(
                with_users(by_user, [column], dim_users).rename(value=column),
                with_users(active, [column], dim_users).rename(value=column),
                "segment",
            )
        )
    return together(parts)


def _adopted(by_user: Table, active: Table, dimension: str) -> Table:
    if not dimension:
        by_user, active = by_user.mutate(value=ibis.literal("")), active.mutate(value=ibis.literal(""))
    by_user = by_user.mutate(value=by_user.value.fill_null(UNKNOWN_MEMBER))
    active = active.mutate(value=active.value.fill_null(UNKNOWN_MEMBER))
    there = active.group_by("value").aggregate(active_users=active.count())
    told = by_user.group_by(["feature", "value"]).aggregate(
        users=by_user.count(),
        uses=by_user.uses.sum().cast("int64"),
        repeat_users=(by_user.days > 1).sum().cast("int64"),
        first_use=by_user.first_use.min(),
        last_use=by_user.last_use.max(),
    )
    both = told.inner_join(there, "value")
    return both.select(
        "feature",
        "value",
        "active_users",
        "users",
        "uses",
        "repeat_users",
        "first_use",
        "last_use",
        dimension=ibis.literal(dimension),
        adoption=ratio(both.users, both.active_users),
        repeat_share=ratio(both.repeat_users, both.users),
    )
