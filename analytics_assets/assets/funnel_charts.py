"""Charts of funnels: what of each funnel's tables is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.funnels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analytics_assets.assets.drawing import ChartAsset, chart_family, picture
from analytics_assets.charts import funnels as drawn
from analytics_assets.charts.house import duration
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Funnel

if TYPE_CHECKING:
    from ibis.expr.types import Table


@chart_family
def funnel_charts(project: Project) -> Iterator[ChartAsset]:
    """Make the charts of each funnel."""
    for name, asked in project.questions.funnels.items():
        yield from _charts(name, asked)


def _charts(name: str, asked: Funnel) -> Iterator[ChartAsset]:
    own, words = f"funnel_{name}", _words(asked)
    if asked.intervals:
        finest = next(interval for interval in ("day", "week", "month") if interval in asked.intervals)

        def by_period(funnel: Table) -> Table:
            return _by_period(funnel, finest, len(asked.steps))

        yield picture(drawn.conversion, by_period, f"{own}_conversion", name, {**words, "interval": finest}, funnel=own)
    yield picture(drawn.steps, _steps, f"{own}_steps", name, words, funnel=own)
    yield picture(drawn.times, _times, f"{own}_times", name, words, funnel=own, times=f"{own}_times")
    for breakdown in asked.broken_down():
        by = breakdown.by

        def values(friction: Table, by: str = by) -> Table:
            return _values(friction, by)

        called = f"{own}_by_{breakdown.column.removeprefix('by_')}"
        yield picture(drawn.breakdown, values, called, name, {**words, "by": by}, friction=f"{own}_friction")


def _words(asked: Funnel) -> dict[str, str]:
    """Say of a question what its charts are to say."""
    window = "" if asked.window is None else duration(asked.window.total_seconds())
    return {
        "units": f"{asked.unit}s",
        "first": asked.steps[0].called,
        "last": asked.steps[-1].called,
        "window": window,
    }


def _by_period(funnel: Table, interval: str, last: int) -> Table:
    rows = funnel.filter(funnel.interval == interval, funnel.dimension == "")
    return rows.group_by("period").aggregate(
        entered=rows.matured.max(where=rows.step == 1).fill_null(0),
        converted=rows.matured.max(where=rows.step == last).fill_null(0),
    )


def _whole(funnel: Table) -> Table:
    return funnel.filter(funnel.interval == "all", funnel.dimension == "")


def _steps(funnel: Table) -> Table:
    rows = _whole(funnel)
    return rows.select("step", "name", "matured", came=rows.matured + rows.drop_off)


def _times(funnel: Table, times: Table) -> tuple[Table, Table]:
    rows = _whole(funnel).filter(lambda funnel: funnel.step > 1)
    quantiles = {f"q{part}": rows[f"seconds_from_entry_q{part}"] for part in (25, 50, 75, 90)}
    last = times.filter(times.step == times.step.max())
    return rows.select("step", "name", **quantiles), last.select("step", "bin", "seconds", "units")


def _values(friction: Table, by: str) -> Table:
    rows = friction.filter(friction.dimension == by)
    return rows.select("value", "step", "name", "came", "went_on", "rate_of_others", "significant", "lost")
