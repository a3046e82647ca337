"""Schedules: what runs every morning, and once a week.

Belongs here: reading the clock of a tick, and asking for runs of what is due. Does not belong here: what is due
(`jobs`), and what files and late rows ask for (`sensors`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_assets.assets.catalog import Graph
from analytics_assets.automation.jobs import (
    DAILY,
    WEEKLY,
    covered_days,
    daily_assets,
    days_to_run,
    days_under_way,
    due_days,
    in_pieces,
    missing_days,
    range_tags,
    runs_under_way,
    weekly_tables,
)
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.releases import Release, latest_release
from analytics_assets.project.model import Project
from analytics_assets.project.operations import WEEKDAYS
from analytics_assets.settings import Settings

Asked = Iterator[dg.RunRequest | dg.SkipReason]


def daily_schedule(
    graph: Graph, project: Project, settings: Settings, keys: Iterable[dg.AssetKey]
) -> dg.ScheduleDefinition:
    """Ask every morning for yesterday, and before it for days that were missed.

    Args:
        graph: The graph.
        project: The project.
        settings: Where its tables are, and whether the schedule begins as running.
        keys: Every asset.
    """
    contracts = graph.contracts().values()
    assets = list(keys)

    @dg.schedule(
        name=DAILY,
        job_name=DAILY,
        cron_schedule=f"{project.daily.at.minute} {project.daily.at.hour} * * *",
        execution_timezone=project.time_zone,
        default_status=_status(settings),
        description=f"Run yesterday at {project.daily.at:%H:%M} {project.time_zone}, after days that were missed.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Asked:
        # of data that has ended, the last day is tried again until it is there
        yesterday = min(_yesterday(context, project), project.last_day or dt.date.max)
        with open_lake(settings, project.name) as lake:
            release = latest_release(lake)
        covered = covered_days(contracts, release)
        missing = missing_days(project, contracts, release, yesterday) - days_under_way(context.instance)
        ranges = due_days(missing, yesterday, project.daily.catch_up_days)
        if not ranges:
            yield dg.SkipReason(f"{yesterday} is released, or its run is under way")
        chosen = daily_assets(graph, assets, release)
        for days in in_pieces(context.instance, project, ranges, covered):
            computed = days_to_run(project, days, covered)
            yield dg.RunRequest(
                run_key=f"{context.scheduled_execution_time.isoformat()} {days}",
                tags=range_tags(computed),
                asset_selection=chosen,
            )

    return tick


def weekly_schedule(graph: Graph, project: Project, settings: Settings) -> dg.ScheduleDefinition:
    """Ask for what is computed once a week, on its day, or on the first day after it that can."""

    @dg.schedule(
        name=WEEKLY,
        job_name=WEEKLY,
        cron_schedule=f"{project.daily.at.minute} {project.daily.at.hour} * * *",
        execution_timezone=project.time_zone,
        default_status=_status(settings),
        description=f"On {project.daily.weekly_on}, after the daily run: models and calibrations. Looks every day, so "
        "that a week whose day was missed, or a table that was never computed, does not wait for the next.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Asked:
        due = _begin_of_week(context, project)
        with open_lake(settings, project.name) as lake:
            release = latest_release(lake)
        stale = stale_tables(graph, release, due)
        if not release.number:
            yield dg.SkipReason("there is no release yet: the daily run comes first")
        elif not stale:
            yield dg.SkipReason(f"everything was computed since {due:%A, %Y-%m-%d %H:%M}")
        elif runs_under_way(context.instance, WEEKLY):
            yield dg.SkipReason("a weekly run is under way")
        else:
            context.log.info("due since %s: %s", due.isoformat(), ", ".join(stale))
            yield dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())

    return tick


def stale_tables(graph: Graph, release: Release, since: dt.datetime) -> tuple[str, ...]:
    """Name the tables of the weekly job that a release does not have, or has from before an instant."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return tuple(name for name in weekly_tables(graph) if release.computed_at.get(name, never) < since)


def _status(settings: Settings) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED


def _yesterday(context: dg.ScheduleEvaluationContext, project: Project) -> dt.date:
    now = context.scheduled_execution_time.astimezone(ZoneInfo(project.time_zone))
    return now.date() - dt.timedelta(days=1)


def _begin_of_week(context: dg.ScheduleEvaluationContext, project: Project) -> dt.datetime:
    """Return the last moment at which the weekly run was due."""
    now = context.scheduled_execution_time.astimezone(ZoneInfo(project.time_zone))
    back = (now.weekday() - WEEKDAYS.index(project.daily.weekly_on)) % 7
    return dt.datetime.combine(now.date() - dt.timedelta(days=back), project.daily.at, now.tzinfo)
