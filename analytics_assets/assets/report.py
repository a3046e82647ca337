"""What the executive report tells: findings, gathered from the tables of a release.

Belongs here: which periods are compared, and one record of it all. Does not belong here: single findings
(`report_business`, `report_models`, `report_quality`), and their words (`report`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from analytics_assets.assets import report_business as business
from analytics_assets.assets import report_models as models
from analytics_assets.assets import report_quality as quality
from analytics_assets.assets.catalog import Graph, Setting
from analytics_assets.assets.series import named_days
from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.report.findings import Findings, Range

if TYPE_CHECKING:
    from ibis.expr.types import Table

LONGEST = 28
"""Days of the period: four weeks, so that every weekday is there as often."""
_WEEK = 7
_YEAR = 364

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Active users and conversion": ("fact_user_days", "fact_events"),
    "Orders and revenue": ("revenue_daily",),
    "Experiments": ("experiment_verdicts",),
    "Customer segments": ("rfm_segments",),
    "Expected value of customers": ("clv_customers",),
    "Churn": ("customer_churn_performance",),
    "Products": ("product_performance",),
    "Geography": ("dim_geography", "sales_overview"),
    "Outlook": ("forecast",),
    "Marketing": ("campaign_roi_analysis",),
}


def reads(project: Project, graph: Graph) -> tuple[str, ...]:
    """Name the tables that the report of a project reads, of those that there are."""
    funnels = [f"funnel_{name}{suffix}" for name in project.questions.funnels for suffix in ("", "_friction")]
    staged = [f"staged_{name}" for name in project.raw_tables()]
    wanted = (*business.READS, *models.READS, *quality.READS, *funnels, *staged)
    return tuple(name for name in dict.fromkeys(wanted) if name in graph.contracts())


def gather(
    tables: Mapping[str, Table], setting: Setting, release: int = 0, absent: Mapping[str, str] | None = None
) -> Findings:
    """Gather what the report tells.

    Args:
        tables: The tables that `reads` names, as a release shows them.
        setting: The project and its days.
        release: The number of the release.
        absent: Why tables are not there.
    """
    project, days = setting.project, setting.so_far
    period, before, year = periods(days.first, days.last)
    compared = before or period
    named = named_days(project.forecasts, Days(compared.first, period.last))
    look = business.Look(setting, period, before, year, frozenset(day for found in named.values() for day in found))
    kpis = business.kpis(tables, look)
    order = business.average_order(tables, look)
    segments = models.segments(tables, setting)
    return Findings(
        project=project.name,
        currency=project.currency,
        as_of=days.last,
        description=project.description,
        period=period,
        before=before,
        year=year,
        first_day=days.first,
        release=release,
        kpis=kpis,
        funnels=business.funnels(tables, look, order),
        experiments=models.experiments(tables, setting),
        segments=segments,
        churn=models.churn(tables, setting),
        lifetime=models.lifetime(tables, setting),
        products=business.products(tables, look),
        returned=business.returned(tables, look),
        places=business.places(tables, look),
        outlook=models.outlook(tables, setting),
        season=models.season(tables, setting, period, before),
        campaigns=models.campaigns(tables, setting),
        quality=quality.quality(tables, setting, period),
        absent=left_out(tables, project, absent or {}),
    )


def periods(first: dt.date, last: dt.date) -> tuple[Range, Range | None, Range | None]:
    """Choose the last whole weeks, four at most, the weeks before them, and the same weeks of the year before.

    Where there is no room for two such periods, all days are the period, and nothing is compared.

    >>> [told and told.first.isoformat() for told in periods(dt.date(2024, 1, 1), dt.date(2025, 2, 28))]
    ['2025-02-01', '2025-01-04', '2024-02-03']
    >>> [told and told.days for told in periods(dt.date(2024, 1, 1), dt.date(2024, 1, 30))]
    [14, 14, None]
    >>> [told and told.days for told in periods(dt.date(2024, 1, 1), dt.date(2024, 1, 9))]
    [9, None, None]
    """
    there = (last - first).days + 1
    weeks = min(LONGEST, there // (2 * _WEEK) * _WEEK)
    if not weeks:
        return Range(first, last), None, None

    def ending(day: dt.date) -> Range:
        return Range(day - dt.timedelta(days=weeks - 1), day)

    period = ending(last)
    year = ending(last - dt.timedelta(days=_YEAR))
    return period, ending(period.first - dt.timedelta(days=1)), year if year.first >= first else None


def left_out(tables: Mapping[str, Table], project: Project, absent: Mapping[str, str]) -> dict[str, str]:
    """Say which sections have no tables, and why."""
    found = {
        section: "; ".join(
            f"{name} {absent.get(name, 'is not in the release')}" for name in needs if name not in tables
        )
        for section, needs in _SECTIONS.items()
        if any(name not in tables for name in needs)
    }
    if not any(f"funnel_{name}" in tables for name in project.questions.funnels):
        found["Funnels"] = "the project asks for none" if not project.questions.funnels else "no events are delivered"
    return found
