"""Charts of marketing: what of the returns of campaigns, and of spend beside revenue, is drawn.

Belongs here: the rows of each chart. Does not belong here: how they look (`charts.marketing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.assets.drawing import chart
from analytics_assets.charts import marketing as drawn

if TYPE_CHECKING:
    from ibis.expr.types import Table

_COUNTED = ("naive", "attributed_first", "attributed_last", "attributed_linear")


@chart(drawn.returns)
def campaign_roi(campaign_roi_analysis: Table) -> Table:
    """Put the methods of a campaign side by side, as revenue of a unit of spend."""
    rows = campaign_roi_analysis
    told = rows.mutate(low=rows.roi_low + 1, high=rows.roi_high + 1)
    incremental = told.method == "incremental"
    return told.group_by("campaign_id").aggregate(
        name=told["name"].max(),
        channel=told.channel.max(),
        spend=told.spend.max().cast("float64"),
        **{method: told.roas.max(where=told.method == method) for method in _COUNTED},
        incremental=told.roas.max(where=incremental),
        low=told.low.max(where=incremental),
        high=told.high.max(where=incremental),
        state=told.state.max(where=incremental),
        reason=told.reason.max(where=incremental),
    )


@chart(drawn.spend)
def campaign_spend(campaign_daily: Table, campaign_correlation: Table) -> tuple[Table, Table]:
    """Sum up spend and revenue by day, and pick the correlations of all spend and of channels."""
    days = campaign_daily.group_by("day").aggregate(
        spend=campaign_daily.spend.sum().cast("float64"), net=campaign_daily.net.sum().cast("float64")
    )
    of = campaign_correlation.filter(campaign_correlation.dimension.isin(["", "channel"]))
    columns = ("dimension", "value", "lag", "r", "low", "high", "points", "effective_points", "state")
    return days, of.select(*columns)
