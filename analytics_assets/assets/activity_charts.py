"""Charts of activity: what of actives, lifecycle, retention, paths and features is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.activity`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.drawing import ChartAsset, chart, chart_family, picture
from analytics_assets.charts import activity as drawn
from analytics_assets.charts import paths as ways
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from ibis.expr.types import Table

_COHORTS = 24
_FEW_DAYS, _MANY_DAYS = 45, 550


@chart(drawn.actives)
def active_users(active_users: Table) -> Table:
    """Pick the days of everybody."""
    rows = active_users.filter(active_users.dimension == "")
    return rows.select("day", "dau", "wau", "mau", "stickiness")


@chart(drawn.lifecycle)
def lifecycle(setting: Setting, lifecycle: Table) -> Table:
    """Pick the periods of the length at which the project's days make a readable number of bars."""
    days = (setting.so_far.last - setting.so_far.first).days + 1
    interval = "day" if days <= _FEW_DAYS else "week" if days <= _MANY_DAYS else "month"
    rows = lifecycle.filter(lifecycle.interval == interval)
    return rows.select("interval", "period", "new", "returning", "resurrecting", "dormant", "complete")


@chart(drawn.features)
def feature_usage(feature_usage: Table) -> tuple[Table, Table]:
    """Sum up uses by hour of the week, and by feature."""
    uses = feature_usage.uses.sum().cast("int64")
    by_hour = feature_usage.group_by(["weekday", "hour"]).aggregate(uses=uses)
    return by_hour, feature_usage.group_by("feature").aggregate(uses=uses)


@chart_family
def retention_charts(project: Project) -> Iterator[ChartAsset]:
    """Make the charts of each retention."""
    for name, asked in project.questions.retention.items():
        own = f"retention_{name}"
        words = {"period": asked.period, "by": asked.breakdowns[0] if asked.breakdowns else ""}
        yield picture(drawn.cohorts, _cohorts, f"{own}_cohorts", name, words, retention=own)

        def curve(curve: Table, by: str = words["by"]) -> Table:
            return _curve(curve, by)

        yield picture(drawn.retention, curve, f"{own}_curve", name, words, curve=f"{own}_curve")


def _cohorts(retention: Table) -> Table:
    rows = retention.filter(retention.dimension == "", ~retention.left_censored)
    newest = rows.mutate(age=ibis.dense_rank().over(order_by=ibis.desc("cohort"))).filter(
        lambda cells: cells.age < _COHORTS
    )
    return newest.select("cohort", "period", "period_to", "users", "retained", "rate", "complete")


def _curve(curve: Table, by: str) -> Table:
    rows = curve.filter(curve.dimension.isin(["", by]))
    return rows.select("dimension", "value", "period", "period_to", "users", "rate", "low", "high")


@chart_family
def path_charts(project: Project) -> Iterator[ChartAsset]:
    """Make the chart of each question after paths."""
    for name, asked in project.questions.paths.items():
        end = asked.end or "" if asked.start is None else ""
        yield picture(ways.flows, _edges, f"paths_{name}", name, {"end": end}, paths=f"paths_{name}")


def _edges(paths: Table) -> Table:
    return paths.select("step", "source", "target", "sessions")
