"""How things stand: what the last run did, what is fresh, which checks fail, and what does not fit together.

Belongs here: looking at Dagster's history and the lake at one moment, and saying which command mends what is wrong.
Does not belong here: showing it (`console`), and mending.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from analytics_assets.assets.catalog import Graph
from analytics_assets.automation.alert_state import AlertState, peek
from analytics_assets.automation.behind import days_behind
from analytics_assets.automation.jobs import DAILY, UNDER_WAY, WEEKLY, covered_days, days_of, missing_days
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.lock import dead_runs, is_alive
from analytics_assets.lake.releases import RELEASES, Release, latest_release
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    from analytics_assets.lake.tables import Lake

_WEEK = dt.timedelta(days=8)
_SHOWN = 5
_LOOKED_AT = 100
"""Runs that are looked at for those that failed."""


@dataclass(frozen=True)
class LastRun:
    """Say how a run went.

    Attributes:
        run_id: Dagster's id of it.
        job: Its job.
        status: Dagster's word: SUCCESS, FAILURE, STARTED, ...
        days: Its days; None for a run without.
        began: When it began; None where it waits.
        seconds: How long it took; None where it has not ended.
    """

    run_id: str
    job: str
    status: str
    days: Days | None
    began: dt.datetime | None
    seconds: float | None


@dataclass(frozen=True)
class Freshness:
    """Say how fresh the tables of a group are.

    Attributes:
        group: The group.
        tables: How many tables it has.
        never: Those that were never computed.
        last_day: Of tables kept by day: the last day that all of them have.
        oldest: When the table was computed that was computed the longest ago.
    """

    group: str
    tables: int
    never: tuple[str, ...]
    last_day: dt.date | None
    oldest: dt.datetime | None


@dataclass(frozen=True)
class FailingCheck:
    """Name a check whose newest evaluation fails."""

    table: str
    check: str
    severity: str
    says: str
    run_id: str


@dataclass(frozen=True)
class State:
    """Say how things stand.

    Attributes:
        release: What readers see.
        runs: The newest run of each job.
        freshness: One a group.
        failing: The checks whose newest evaluation fails, errors first.
        missing: The days, to yesterday, that the release lacks.
        alerts: What the sensor of alerts knows; None where it has not looked yet.
    """

    release: Release
    runs: tuple[LastRun, ...]
    freshness: tuple[Freshness, ...]
    failing: tuple[FailingCheck, ...]
    missing: DaySet
    alerts: AlertState | None = None


@dataclass(frozen=True)
class Trouble:
    """Say what does not fit together, and what mends it.

    Attributes:
        what: What is wrong, in words.
        mend: The command that mends it, or what to do.
        details: More, such as table names.
    """

    what: str
    mend: str
    details: tuple[str, ...] = field(default=())


def state_of(project: Project, graph: Graph, lake: Lake, instance: dg.DagsterInstance, today: dt.date) -> State:
    """Look at a project's lake and history.

    Args:
        project: The project.
        graph: Its tables.
        lake: Where they are.
        instance: Dagster's history.
        today: The date in the reporting time zone.
    """
    release = latest_release(lake)
    last = min(today - dt.timedelta(days=1), project.last_day or dt.date.max)
    return State(
        release,
        tuple(run for job in (DAILY, WEEKLY) for run in _newest(instance, job)),
        tuple(_freshness(graph, release)),
        failing_checks(instance, graph),
        missing_days(project, graph.contracts().values(), release, last),
        peek(instance.daemon_cursor_storage, project.name),
    )


def _newest(instance: dg.DagsterInstance, job: str) -> Iterator[LastRun]:
    for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1):
        run = record.dagster_run
        began = None if record.start_time is None else dt.datetime.fromtimestamp(record.start_time, dt.UTC)
        ended = record.end_time is not None and record.start_time is not None
        seconds = (record.end_time or 0.0) - (record.start_time or 0.0) if ended else None
        yield LastRun(run.run_id, job, run.status.value, days_of(run.tags), began, seconds)


def _freshness(graph: Graph, release: Release) -> Iterator[Freshness]:
    groups: dict[str, list[str]] = {"raw": [contract.table for contract in graph.raw]}
    for asset in graph.tables:
        groups.setdefault(asset.group, []).append(asset.name)
    contracts = graph.contracts()
    for group, names in groups.items():
        computed = [release.computed_at[name] for name in names if name in release.computed_at]
        covered = covered_days((contracts[name] for name in names), release)
        yield Freshness(
            group,
            len(names),
            tuple(name for name in names if name not in release.versions),
            covered.ranges[-1].last if covered else None,
            min(computed, default=None),
        )


def failing_checks(instance: dg.DagsterInstance, graph: Graph) -> tuple[FailingCheck, ...]:
    """Return the checks of a graph whose newest evaluation fails, errors first."""
    keys = [
        dg.AssetCheckKey(dg.AssetKey(contract.table), check)
        for contract in graph.contracts().values()
        for check in contract.checks()
    ]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failing = []
    for key, record in found.items():
        event = record.event.dagster_event if record.event else None
        if record.status != AssetCheckExecutionRecordStatus.FAILED or event is None:
            continue
        told = event.asset_check_evaluation_data
        failing.append(
            FailingCheck(
                key.asset_key.to_user_string(),
                key.name,
                "error" if told.severity == dg.AssetCheckSeverity.ERROR else "warning",
                told.description or "",
                record.run_id,
            )
        )
    return tuple(sorted(failing, key=lambda check: (check.severity, check.table, check.check)))


def troubles(
    project: Project, graph: Graph, lake: Lake, instance: dg.DagsterInstance, now: dt.datetime
) -> tuple[Trouble, ...]:
    """Say what is inconsistent, the worst first, each with what mends it.

    Args:
        project: The project.
        graph: Its tables.
        lake: Where they are.
        instance: Dagster's history.
        now: The time, in the reporting time zone.
    """
    state = state_of(project, graph, lake, instance, now.date())
    lost = tuple(_lost_files(lake, state.release))
    return (
        *lost,
        *_dead(lake.root, instance),
        *_missing(project, state),
        *_failed(instance, state.missing),
        *(() if lost else _behind(lake, state.release, graph, state.missing)),
        *_never_or_stale(graph, state.release, now),
        *_unreleased(lake, graph, state.release),
        *_failing(state.failing),
        *_undelivered(state.alerts),
        *_strange(lake, graph, state.release),
    )


def _lost_files(lake: Lake, release: Release) -> Iterator[Trouble]:
    lost = tuple(name for name, version in release.versions.items() if not lake.is_whole(name, version))
    if lost:
        yield Trouble(
            f"files of release {release.number} are gone, of {len(lost)} tables",
            "analytics-assets restore --to RELEASE, an earlier one (analytics-assets releases lists them), or run all "
            "days again: analytics-assets run",
            lost,
        )


def _dead(root: str, instance: dg.DagsterInstance) -> Iterator[Trouble]:
    begun = instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY)))
    dead = {run.run_id for run in begun if is_alive(root, run.run_id) is False} | dead_runs(root).keys()
    if dead:
        yield Trouble(
            f"{len(dead)} killed run{'s' * (len(dead) > 1)} left copies behind, or hold up the queue",
            "analytics-assets doctor --mend",
            tuple(sorted(dead)),
        )


def _missing(project: Project, state: State) -> Iterator[Trouble]:
    if state.missing:
        first, last = state.missing.ranges[0].first, state.missing.ranges[-1].last
        begun = "" if state.release.number else "; nothing was ever run"
        yield Trouble(
            f"{len(state.missing)} days of {project.name} are not there{begun}",
            f"analytics-assets backfill {first} {last} --missing",
            _some(map(str, state.missing.ranges)),
        )


def _failed(instance: dg.DagsterInstance, missing: DaySet) -> Iterator[Trouble]:
    """Tell of runs that failed on released days, which show what they did before; no later run of them succeeded."""
    done, again = DaySet(), DaySet()
    for run in instance.get_runs(dg.RunsFilter(job_name=DAILY), limit=_LOOKED_AT):
        days = days_of(run.tags)
        if days is None:
            continue
        if run.status == dg.DagsterRunStatus.SUCCESS:
            done = done | days
        elif run.status == dg.DagsterRunStatus.FAILURE:
            again = again | (DaySet((days,)) - done)
    for days in (again - missing).ranges:
        yield Trouble(
            f"the last run of {days} failed: readers see what these days held before",
            f"analytics-assets backfill {days.first} {days.last}",
        )


def _behind(lake: Lake, release: Release, graph: Graph, missing: DaySet) -> Iterator[Trouble]:
    for days in (days_behind(lake, release, graph) - missing).ranges:
        yield Trouble(
            f"rows came late for {days}, or visitors became known: its facts are behind",
            f"analytics-assets backfill {days.first} {days.last}",
        )


def _never_or_stale(graph: Graph, release: Release, now: dt.datetime) -> Iterator[Trouble]:
    if not release.number:
        return
    never = tuple(name for name in graph.contracts() if name not in release.versions)
    if never:
        yield Trouble(
            f"{len(never)} tables were never computed", _run(never, " or the weekly job, for what it computes"), never
        )
    weekly = {asset.name for asset in graph.tables if asset.contract.cadence == "weekly"}
    stale = tuple(sorted(name for name in weekly if (at := release.computed_at.get(name)) and now - at > _WEEK))
    if stale:
        yield Trouble(f"{len(stale)} tables of the weekly job are older than a week", _run(stale), stale)


def _run(names: Iterable[str], otherwise: str = "") -> str:
    return f"analytics-assets run --select '{' or '.join(names)}'{otherwise}"


def _unreleased(lake: Lake, graph: Graph, release: Release) -> Iterator[Trouble]:
    ahead = tuple(name for name in graph.contracts() if lake.is_ahead(name, release.versions.get(name)))
    if ahead:
        yield Trouble(
            f"{len(ahead)} tables hold rows that were published and never released; readers do not see them",
            "the next run undoes them: analytics-assets run, or nothing",
            ahead,
        )


def _failing(failing: Iterable[FailingCheck]) -> Iterator[Trouble]:
    for check in failing:
        yield Trouble(
            f"{check.severity}: {check.check} of {check.table} fails",
            _look_at(check),
            (check.says,) if check.says else (),
        )


def _undelivered(known: AlertState | None) -> Iterator[Trouble]:
    lost = () if known is None else known.outbox.undelivered
    if lost:
        channels = sorted({message.channel for message in lost})
        yield Trouble(
            f"{len(lost)} message{'s' * (len(lost) > 1)} about problems did not arrive",
            " and ".join(f"analytics-assets alerts test {channel}" for channel in channels),
            tuple(f"{message.message.title}: {message.reason}" for message in lost),
        )


def _look_at(check: FailingCheck) -> str:
    if check.table.startswith(("raw_", "staged_")) or check.check == "accounting":
        return f"analytics-assets rejected {check.table.removeprefix('raw_').removeprefix('staged_')}"
    return f"analytics-assets show {check.table}"


def _strange(lake: Lake, graph: Graph, release: Release) -> Iterator[Trouble]:
    known: Mapping[str, object] = {**graph.contracts(), RELEASES.table: None}
    gone = tuple(name for name in release.versions if name not in known)
    if gone:
        yield Trouble(
            f"{len(gone)} tables of the release are made by nothing in this project any more",
            f"keep them, or remove their folders in {lake.root}",
            gone,
        )


def _some(told: Iterable[str]) -> tuple[str, ...]:
    names = list(told)
    return (*names[:_SHOWN], f"and {len(names) - _SHOWN} more") if len(names) > _SHOWN else tuple(names)
