"""Sums across layers: what was delivered, judged, published and put into hubs is the same, day by day.

Belongs here: which sums must agree, to the last digit. Does not belong here: sums of marts of sales (`marts`), and
whether a day is odd (`quality`).

Each day is compared with itself alone, so that a run of some days says nothing of others that it left behind.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import ibis

from analytics_assets.analysis.sales import counting
from analytics_assets.analysis.tables import together
from analytics_assets.assets.catalog import Setting, TableAsset, family
from analytics_assets.assets.metrics import measured_rows, measures
from analytics_assets.contracts import quality as promised
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.metrics import METRIC_DAILY
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.sales import SUM
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Metric

if TYPE_CHECKING:
    from ibis.expr.types import Table, Value

_HUBS = ("fact_user_days", "fact_user_day_events")
_ADDED_UP = ("count", "sum")


def watched(project: Project) -> tuple[Contract, ...]:
    """List the facts that are counted day by day: those that are kept by day."""
    fed = {fact: (fact.accounts_for or "staged_events").removeprefix("staged_") for fact in promised.WATCHED}
    return tuple(fact for fact, origin in fed.items() if project.feeds(origin) and project.by_day(origin))


@family
def sums_across_layers(project: Project) -> Iterator[TableAsset]:
    """Make the table of sums that must agree day by day, and that of the metrics that add up."""
    if facts := watched(project):
        staged = [fact.accounts_for for fact in facts if fact.accounts_for]
        raw = [name.replace("staged_", "raw_") for name in staged]
        uses = (*raw, *staged, *(fact.table for fact in facts), *_HUBS)
        yield TableAsset(promised.QUALITY_SUMS, quality_sums, (), uses)
    if adding := _that_add_up(project):
        read = (METRIC_DAILY.table, *sorted({measures(metric)[0].fact for metric in adding.values()}))
        yield TableAsset(promised.QUALITY_SUMS_OF_METRICS, quality_sums_of_metrics, read, ())


def quality_sums(setting: Setting, **tables: Table) -> Table:
    """Hold every day of a layer to the same day of the layer before: rows, events, sessions, orders, money."""
    days = setting.days
    rows = together(_rows(tables)).group_by(["day", "name"])
    counted = rows.aggregate(expected=ibis._.expected.sum().cast(SUM), found=ibis._.found.sum().cast(SUM))
    held = together([counted, *_of_events(tables), *_of_sales(tables)])
    within = held.filter(held.day.between(days.first, days.last))
    summed = within.group_by(["day", "name"])
    return summed.aggregate(expected=within.expected.sum().cast(SUM), found=within.found.sum().cast(SUM))


def _rows(tables: Mapping[str, Table]) -> Iterator[Table]:
    """Give every row of raw, staged and fact tables as one that is expected, or found."""

    def each(rows: Table, day: str, said: str, *, found: bool) -> Table:
        one = {"expected": ibis.literal(int(not found), "int64"), "found": ibis.literal(int(found), "int64")}
        return rows.select(day=day, name=ibis.literal(said), **one)

    for name in DELIVERED:
        raw, staged = tables.get(f"raw_{name}"), tables.get(f"staged_{name}")
        if raw is not None and staged is not None:
            said = f"rows kept and rejected in staged_{name}, of raw_{name}"
            yield each(raw, "delivery_day", said, found=False)
            yield each(staged, "delivery_day", said, found=True)
    for fact in promised.WATCHED:
        judged, rows = tables.get(fact.accounts_for or ""), tables.get(fact.table)
        if judged is not None and rows is not None:
            said = f"rows of {fact.table}, kept in {fact.accounts_for}"
            yield each(judged.filter(judged.rejected.length() == 0), "day", said, found=False)
            yield each(rows, "day", said, found=True)


def _of_events(tables: Mapping[str, Table]) -> Iterator[Table]:
    events, sessions = tables.get("fact_events"), tables.get("fact_sessions")
    if events is None or sessions is None:
        return
    acted, typed = "events of fact_sessions, of fact_events", "events of fact_user_day_events, of fact_events"
    read = {acted: events.session_id.count()}
    if (types := tables.get("fact_user_day_events")) is not None:
        read[typed] = (events.user_id.notnull() & events.excluded_as.isnull()).sum()
        yield _by_day(types, "found", {typed: types.events.sum()})
    yield _by_day(events, "expected", read)
    yield _by_day(sessions, "found", {acted: sessions.events.sum()})
    if (users := tables.get("fact_user_days")) is not None:
        names = {name: f"{name} of fact_user_days, of fact_sessions" for name in ("sessions", "events")}
        told = sessions.filter(sessions.excluded_as.isnull())
        yield _by_day(told, "expected", {names["sessions"]: told.count(), names["events"]: told.events.sum()})
        yield _by_day(users, "found", {said: users[name].sum() for name, said in names.items()})


def _of_sales(tables: Mapping[str, Table]) -> Iterator[Table]:
    sales, users = tables.get("fact_sales"), tables.get("fact_user_days")
    if sales is None or users is None:
        return
    names = {name: f"{name} of fact_user_days, of fact_sales" for name in ("orders", "units", "revenue")}
    bought = counting(sales)
    bought = bought.filter(bought.user_id.notnull())
    each = ibis.struct({"user": bought.user_id, "order": bought.order_id})
    read = {"orders": each.nunique(), "units": bought.quantity.sum(), "revenue": bought.net.sum()}
    yield _by_day(bought, "expected", {said: read[name] for name, said in names.items()})
    yield _by_day(users, "found", {said: users[name].sum() for name, said in names.items()})


def _by_day(rows: Table, side: str, sums: Mapping[str, Value]) -> Table:
    """Give sums by day, a row each: of what is read (`expected`), or of what is made of it (`found`)."""
    told = ibis.array([ibis.struct({"name": ibis.literal(n), "sum": v.cast(SUM)}) for n, v in sums.items()])
    each = rows.group_by("day").aggregate(told=told).select("day", one=ibis._.told.unnest())
    nothing = ibis.literal(0).cast(SUM)
    sides = {"expected": nothing, "found": nothing} | {side: each.one["sum"]}
    return each.select("day", name=each.one["name"], **sides)


# --- metrics ----------------------------------------------------------------------------------------------------------


def _that_add_up(project: Project) -> dict[str, Metric]:
    """Name the metrics whose days add up to the sum of their fact: counts, and sums that are not capped."""
    asked = project.questions.metrics
    return {name: metric for name, metric in asked.items() if metric.kind in _ADDED_UP and metric.cap is None}


def quality_sums_of_metrics(setting: Setting, metric_daily: Table, **tables: Table) -> Table:
    """Hold the days of every metric that adds up to the fact that it counts."""
    days = setting.so_far
    daily = metric_daily.filter(metric_daily.interval == "day", metric_daily.dimension == "")
    parts = []
    for name, metric in _that_add_up(setting.project).items():
        rows = measured_rows(measures(metric)[0], metric, tables)
        rows = rows.filter(rows.day.between(days.first, days.last))
        whole = rows.amount.sum()
        if whole.type().is_floating():  # its digits depend on the order of rows
            continue
        found = daily.filter(daily.metric == name).estimate.sum()
        one = whole.name("expected").as_table().cross_join(found.name("found").as_table())
        zero = ibis.literal(0).cast(SUM)
        sums = {side: one[side].cast(SUM).fill_null(zero) for side in one.columns}
        parts.append(one.select(name=ibis.literal(f"{name} of metric_daily, of {measures(metric)[0].fact}"), **sums))
    if not parts:
        nothing = {column.name: ibis.null(column.type) for column in promised.QUALITY_SUMS_OF_METRICS.columns}
        return ibis.memtable({"n": [0]}).select(**nothing).limit(0)
    return functools.reduce(lambda one, other: one.union(other), parts)
