"""Jobs and their days.

Belongs here: which assets run together, and over which days. Does not belong here: what an asset does (`building`).
"""

from __future__ import annotations

import datetime as dt

import dagster as dg

from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project

DAILY = "daily"


def daily_partitions(project: Project) -> dg.DailyPartitionsDefinition:
    """Return the days of a project, one object for every table, so that they run together."""
    end = None if project.last_day is None else str(project.last_day + dt.timedelta(days=1))
    return dg.DailyPartitionsDefinition(str(project.first_day), end, timezone=project.time_zone)


def daily_job(partitions: dg.PartitionsDefinition[str]) -> dg.UnresolvedAssetJobDefinition:
    """Return the job over the whole graph."""
    return dg.define_asset_job(
        DAILY,
        selection=dg.AssetSelection.all(),
        partitions_def=partitions,
        description="Land, stage and publish some days, then release them.",
    )


def days_to_run(project: Project, delivered: Days) -> Days:
    """Widen days of delivery by the days before them whose rows may come late.

    A run of delivery D computes D-N to D again, N the longest lateness, so that the order of runs does not matter.
    """
    widened = delivered.widened(before=project.lateness)
    return Days(max(widened.first, project.first_day), widened.last)
