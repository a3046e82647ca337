"""Sensors: new files, rows that came late, and runs whose process is gone.

Belongs here: remembering what was seen, and asking for runs of what that touches, once. Does not belong here: listing
files (`sources.watching`), which days are due (`jobs`), and telling people (`alert_sensor`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import dagster as dg

from analytics_assets.assets.catalog import Graph
from analytics_assets.automation.behind import days_behind
from analytics_assets.automation.jobs import (
    DAILY,
    UNDER_WAY,
    covered_days,
    daily_assets,
    days_of,
    days_to_run,
    in_pieces,
    range_tags,
)
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.lock import is_alive
from analytics_assets.lake.releases import latest_release
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.watching import Delivered, delivered

SECONDS = 30
_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """Remember for which files runs were asked.

    Attributes:
        days: The mark of the files of each day.
        undated: The mark of the files without a day; None before anything was seen.
        times: How often runs were asked for. It is part of a request's key, for Dagster drops a request whose key it
            has seen: files may become again what they were once.
    """

    days: Mapping[dt.date, str] = field(default_factory=dict)
    undated: str | None = None
    times: int = 0

    @classmethod
    def read(cls, cursor: str | None) -> Asked:
        """Read what `write` wrote.

        >>> Asked.read(Asked({dt.date(2024, 3, 1): "a1"}, "").write()) == Asked({dt.date(2024, 3, 1): "a1"}, "")
        True
        """
        if not cursor:
            return cls()
        told = json.loads(cursor)
        return cls(
            {dt.date.fromisoformat(day): mark for day, mark in told["days"].items()},
            told["undated"],
            told.get("times", 0),
        )

    def write(self) -> str:
        """Write it as a sensor's cursor."""
        days = {str(day): mark for day, mark in self.days.items()}
        return json.dumps({"days": days, "undated": self.undated, "times": self.times})


@dataclass(frozen=True)
class Touched:
    """Say what new files ask for.

    Attributes:
        days: The days to run.
        asked: What to remember.
        waiting: Days whose files are not all there, with the sources that lack one.
    """

    days: DaySet
    asked: Asked
    waiting: Mapping[dt.date, tuple[str, ...]]


def touched_days(found: Delivered, asked: Asked, covered: DaySet, within: Days) -> Touched:
    """Say which days new files ask for.

    A day is asked for when each source that must have a file for it has one, and any of its files is not as it was
    when it was asked for last. Files without a day ask for all days that are covered, for any of them may have changed.
    What lies there when nothing was ever seen is known, as far as its days are covered.

    Args:
        found: What lies there.
        asked: What was asked for.
        covered: The days that the newest release has.
        within: The days that may be run.
    """
    marks = {day: mark for day, mark in found.days.items() if day in within}
    known = dict(asked.days)
    if asked.undated is None:
        known = {day: mark for day, mark in marks.items() if day in covered}
    new = {day: mark for day, mark in marks.items() if known.get(day) != mark}
    waiting = {day: found.waiting[day] for day in new if day in found.waiting}
    ready = {day: mark for day, mark in new.items() if day not in waiting}
    days = DaySet.of(ready)
    if asked.undated is not None and found.undated != asked.undated:
        days = days | (covered & within)
    return Touched(days, Asked({**known, **ready}, found.undated, asked.times + bool(days)), waiting)


def new_files_sensor(
    graph: Graph, project: Project, settings: Settings, keys: Iterable[dg.AssetKey]
) -> dg.SensorDefinition:
    """Ask for the days that new or changed files touch.

    Args:
        graph: The graph.
        project: The project.
        settings: Where its tables are, and whether the sensor begins as running.
        keys: Every asset.
    """
    contracts = graph.contracts().values()
    assets = list(keys)

    @dg.sensor(
        name="new_files",
        job_name=DAILY,
        minimum_interval_seconds=SECONDS,
        default_status=sensor_status(settings),
        description="Run the days whose files are new or changed, when all that a day must have are there.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        today = dt.datetime.now(ZoneInfo(project.time_zone)).date()
        last = min(today - dt.timedelta(days=1), project.last_day or dt.date.max)
        if last < project.first_day:
            return dg.SensorResult(skip_reason=f"{project.name} begins on {project.first_day}")
        try:
            found = delivered(project)
        except SourceError as error:
            return dg.SensorResult(skip_reason=str(error))
        with open_lake(settings, project.name) as lake:
            release = latest_release(lake)
        covered, chosen = covered_days(contracts, release), daily_assets(graph, assets, release)
        touched = touched_days(found, Asked.read(context.cursor), covered, Days(project.first_day, last))
        requests = [
            _request(f"files {days} {_mark_of(touched.asked, days)}", days_to_run(project, days, covered), chosen)
            for days in in_pieces(context.instance, project, touched.days.ranges, covered)
        ]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _waits(touched.waiting),
            cursor=touched.asked.write(),
        )

    return tick


def _mark_of(asked: Asked, days: Days) -> str:
    told = "".join(asked.days.get(day, "") for day in days) + (asked.undated or "") + str(asked.times)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _waits(waiting: Mapping[dt.date, tuple[str, ...]]) -> str:
    if not waiting:
        return "no file is new"
    told = [f"{day} for {' and '.join(names)}" for day, names in sorted(waiting.items())[:_SHOWN]]
    more = f" and {len(waiting) - _SHOWN} more days" if len(waiting) > _SHOWN else ""
    return f"waiting on {', '.join(told)}{more}"


def _request(key: str, days: Days, chosen: list[dg.AssetKey] | None) -> dg.RunRequest:
    return dg.RunRequest(run_key=key, tags=range_tags(days), asset_selection=chosen)


def late_rows_sensor(
    graph: Graph, project: Project, settings: Settings, keys: Iterable[dg.AssetKey]
) -> dg.SensorDefinition:
    """Ask again for released days of which rows came since, or whose visitors became known.

    Args:
        graph: The graph.
        project: The project.
        settings: Where its tables are, and whether the sensor begins as running.
        keys: Every asset.
    """
    assets = list(keys)

    @dg.sensor(
        name="late_rows",
        job_name=DAILY,
        minimum_interval_seconds=SECONDS,
        default_status=sensor_status(settings),
        description="Run days again of which rows came after they were released, or whose visitors became known since.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        looked_at, _, asked = (context.cursor or "").partition(" ")
        with open_lake(settings, project.name) as lake:
            release = latest_release(lake)
            if str(release.number) == looked_at:
                return dg.SensorResult(skip_reason=f"release {release.number} was looked at", cursor=context.cursor)
            behind = days_behind(lake, release, graph)
        # a day that is still behind after it was asked for is not asked for again and again
        new = behind - DaySet.read(asked)
        left = f"; still behind after they ran again: {behind & DaySet.read(asked)}" if len(new) < len(behind) else ""
        return dg.SensorResult(
            run_requests=[
                _request(f"late {days} of release {release.number}", days, daily_assets(graph, assets, release))
                for days in new.ranges
            ],
            skip_reason=None if new else f"release {release.number} has every row that was delivered{left}",
            cursor=f"{release.number} {behind}",
        )

    return tick


def dead_runs_sensor(project: Project, settings: Settings) -> dg.SensorDefinition:
    """End the record of runs whose process is gone: they would hold up the queue for ever."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=SECONDS,
        default_status=sensor_status(settings),
        description="Call runs failed whose process was killed, so that they do not hold up the queue.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        ended = bury_dead_runs(context.instance, settings, project)
        return dg.SkipReason(f"called failed: {', '.join(ended)}" if ended else "every run that has begun is alive")

    return tick


def bury_dead_runs(instance: dg.DagsterInstance, settings: Settings, project: Project) -> tuple[str, ...]:
    """Call the runs failed that have begun, and whose process is gone; return their ids."""
    root = settings.lake_root(project.name)
    begun = instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY)))
    dead = [run for run in begun if is_alive(root, run.run_id) is False]
    for run in dead:
        days = days_of(run.tags)
        told = f"The process of this run is gone; nothing of it is released.{f' Its days: {days}.' if days else ''}"
        instance.report_run_failed(run, told)
    return tuple(run.run_id for run in dead)


def sensor_status(settings: Settings) -> dg.DefaultSensorStatus:
    """Say whether sensors begin as running."""
    return dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED
