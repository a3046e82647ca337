"""Jobs and their days.

Belongs here: which assets run together, over which days, and which days are due. Does not belong here: when that is
asked (`schedules`, `sensors`) and what an asset does (`building`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from analytics_assets.assets.catalog import Graph
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analytics_assets.lake.releases import Release

DAILY = "daily"
WEEKLY = "weekly"
UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_DAY = dt.timedelta(days=1)
# a run that was killed begins anew: what it had published and not released is undone, so it cannot go on half way
_RETRIED_AS_A_WHOLE = {"dagster/retry_strategy": "ALL_STEPS"}


def daily_partitions(project: Project) -> dg.DailyPartitionsDefinition:
    """Return the days of a project, one object for every table, so that they run together."""
    end = None if project.last_day is None else str(project.last_day + dt.timedelta(days=1))
    return dg.DailyPartitionsDefinition(str(project.first_day), end, timezone=project.time_zone)


def daily_job(partitions: dg.PartitionsDefinition[str]) -> dg.UnresolvedAssetJobDefinition:
    """Return the job over the whole graph; the schedule leaves out what is computed once a week."""
    return dg.define_asset_job(
        DAILY,
        selection=dg.AssetSelection.all(),
        partitions_def=partitions,
        description="Land, stage and publish some days, compute every mart, then release them all at once.",
        tags=_RETRIED_AS_A_WHOLE,
    )


def weekly_job(graph: Graph, after: Iterable[dg.AssetKey]) -> dg.UnresolvedAssetJobDefinition:
    """Return the job over the tables that are computed once a week, and what follows on every run."""
    return dg.define_asset_job(
        WEEKLY,
        selection=dg.AssetSelection.assets(*weekly_tables(graph), *after),
        description="Compute models and calibrations anew, which is costly and changes little in a week.",
        tags=_RETRIED_AS_A_WHOLE,
    )


def weekly_tables(graph: Graph) -> tuple[str, ...]:
    """Name the tables that are computed once a week."""
    return tuple(asset.name for asset in graph.tables if asset.contract.cadence == "weekly")


def daily_assets(graph: Graph, keys: Iterable[dg.AssetKey], release: Release) -> list[dg.AssetKey] | None:
    """Return what a daily run computes that nobody asked for by hand: all but what is computed once a week.

    None stands for everything: as long as something of the weekly tables is not there yet.
    """
    weekly = weekly_tables(graph)
    if any(name not in release.versions for name in weekly):
        return None
    return [key for key in keys if key.to_user_string() not in weekly]


def days_to_run(project: Project, delivered: Days, covered: DaySet) -> Days:
    """Widen days of delivery by the days before them whose rows may come late, and by those after them that ran before.

    A run of delivery D computes D-N to D again, N the longest lateness, so that the order of runs does not matter.
    Where D was delivered anew, or after the days behind it, D to D+N are computed again, too: a row that came on both
    may be a duplicate now, or none any more.

    Args:
        project: The project.
        delivered: Days of delivery.
        covered: The days that the newest release has.
    """
    first, last = delivered.widened(before=project.lateness).first, delivered.last
    latest = delivered.widened(after=project.lateness).last
    while last < latest and last + _DAY in covered:
        last += _DAY
    return Days(max(first, project.first_day), last)


def range_tags(days: Days) -> dict[str, str]:
    """Return the tags that give a run its days."""
    return {ASSET_PARTITION_RANGE_START_TAG: str(days.first), ASSET_PARTITION_RANGE_END_TAG: str(days.last)}


def days_of(tags: Mapping[str, str]) -> Days | None:
    """Read the days of a run from its tags; None for a run without."""
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get("dagster/partition")
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    if not first or not last:
        return None
    return Days(dt.date.fromisoformat(first), dt.date.fromisoformat(last))


def covered_days(contracts: Iterable[Contract], release: Release) -> DaySet:
    """Return the days that a release has of every table that is kept by day."""
    covered = [release.covered.get(contract.table, DaySet()) for contract in contracts if contract.day]
    if not covered:
        return DaySet()
    first, *others = covered
    for other in others:
        first &= other
    return first


def missing_days(project: Project, contracts: Iterable[Contract], release: Release, until: dt.date) -> DaySet:
    """Return the days of a project, to `until`, that a release lacks."""
    if until < project.first_day:
        return DaySet()
    return DaySet((project.days(until),)) - covered_days(contracts, release)


def due_days(missing: DaySet, until: dt.date, most: int) -> tuple[Days, ...]:
    """Say which days to run for what is missing: the oldest first, at most so many, and then the newest by itself.

    The newest day is by itself, so that a day of the past that fails again does not keep it from being there.

    >>> missing = DaySet.read("2024-03-01 to 2024-03-04, 2024-03-09 to 2024-03-10")
    >>> [str(days) for days in due_days(missing, dt.date(2024, 3, 10), most=3)]
    ['2024-03-01 to 2024-03-03', '2024-03-10']
    """
    newest = [Days(until, until)] if until in missing else []
    past = sorted(day for day in missing if day != until)[:most]
    return (*DaySet.of(past).ranges, *newest)


def pieces(days: DaySet, size: int | None) -> Iterator[Days]:
    """Give the ranges of a set of days, the oldest first, and none longer than `size`.

    >>> [str(part) for part in pieces(DaySet.read("2024-03-01 to 2024-03-05"), 2)]
    ['2024-03-01 to 2024-03-02', '2024-03-03 to 2024-03-04', '2024-03-05']
    """
    for whole in days.ranges:
        first = whole.first
        while first <= whole.last:
            last = whole.last if size is None else min(whole.last, first + dt.timedelta(days=size - 1))
            yield Days(first, last)
            first = last + dt.timedelta(days=1)


def runs_under_way(instance: dg.DagsterInstance, job: str) -> list[dg.DagsterRun]:
    """Return the runs of a job that wait or run."""
    return list(instance.get_runs(dg.RunsFilter(job_name=job, statuses=list(UNDER_WAY))))


def days_under_way(instance: dg.DagsterInstance) -> DaySet:
    """Return the days for which a daily run waits or runs."""
    running = (days_of(run.tags) for run in runs_under_way(instance, DAILY))
    return DaySet.of(day for days in running if days for day in days)


def has_failed(instance: dg.DagsterInstance, days: Days) -> bool:
    """Say whether a run of exactly these days failed before."""
    failed = dg.RunsFilter(job_name=DAILY, statuses=[dg.DagsterRunStatus.FAILURE], tags=range_tags(days))
    return instance.get_runs_count(failed) > 0


def in_pieces(
    instance: dg.DagsterInstance, project: Project, ranges: Iterable[Days], covered: DaySet
) -> Iterator[Days]:
    """Give ranges of days as they are, and day by day where a run of the whole range failed before.

    So a single bad day does not keep the others of its range from being caught up.
    """
    for days in ranges:
        if len(days) > 1 and has_failed(instance, days_to_run(project, days, covered)):
            yield from (Days(day, day) for day in days)
        else:
            yield days
