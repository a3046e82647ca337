"""Charts of funnels: what of each funnel's tables is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.funnels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analytics_assets.assets.drawing import ChartAsset, chart_family, picture
from analytics_assets.charts import funnels as drawn
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
    words = {"units": f"{asked.unit}s", "first": asked.steps[0].called, "last": asked.steps[-1].called}
    own = f"funnel_{name}"
    if asked.intervals:
        finest = next(interval for interval in ("day", "week", "month") if interval in asked.intervals)

        def by_period(funnel: Table) -> Table:
            return _by_period(funnel, finest, len(asked.steps))

        yield picture(drawn.conversion, by_period, f"{own}_conversion", name, {**words, "interval": finest}, funnel=own)


def _by_period(funnel: Table, interval: str, last: int) -> Table:
    rows = funnel.filter(funnel.interval == interval, funnel.dimension == "")
    return rows.group_by("period").aggregate(
        entered=rows.matured.max(where=rows.step == 1).fill_null(0),
        converted=rows.matured.max(where=rows.step == last).fill_null(0),
    )
