"""A run of some days, in this process and on Dagster's history, so that the UI shows it.

Belongs here: what the command line, tests and scripts share to start a run and to learn how it went. Does not belong
here: showing it (`console`) and schedules (`jobs`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.assets.catalog import resolve
from analytics_assets.assets.drawing import drawable
from analytics_assets.automation.behind import days_to_repeat
from analytics_assets.automation.building import EXPORTS, RELEASE
from analytics_assets.automation.jobs import DAILY, covered_days, days_to_run, range_tags
from analytics_assets.automation.report import REPORT
from analytics_assets.automation.runtime import Listener, StepReport, open_lake
from analytics_assets.automation.warehouse import WAREHOUSE
from analytics_assets.lake.days import Days
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Release, latest_release
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings
from analytics_assets.sources.errors import SourceError

if TYPE_CHECKING:
    import dagster as dg

INSTANCE_FILE = "dagster.yaml"
EVENT_BATCH = "1000"
_FORESEEN = {LakeError.__name__, SourceError.__name__}


@dataclass(frozen=True)
class RunOutcome:
    """Say how a run went.

    Attributes:
        run_id: Dagster's id of the run.
        days: The days that were computed.
        success: Whether every step ended well.
        reports: One a table, in the order in which they were finished.
        failures: What failed, in words, by step.
        unexpected: Whether a failure is none that the package foresees.
        seconds: How long the run took, all in all.
        release: The release that readers see after it.
        charts: How many charts it drew.
        report: The executive report that it wrote; None where it wrote none.
    """

    run_id: str
    days: Days
    success: bool
    reports: tuple[StepReport, ...]
    failures: dict[str, str] = field(default_factory=dict)
    unexpected: bool = False
    seconds: float = 0.0
    release: Release = field(default_factory=Release)
    charts: int = 0
    report: Path | None = None


def prepare_history(settings: Settings) -> Path:
    """Make the folder of Dagster's history and let Dagster find it."""
    history = settings.history
    history.mkdir(parents=True, exist_ok=True)
    if not (history / INSTANCE_FILE).exists():
        shutil.copyfile(Path(__file__).with_name(INSTANCE_FILE), history / INSTANCE_FILE)
    os.environ["DAGSTER_HOME"] = str(history)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH)
    return history


@contextmanager
def open_history(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's history; it is made where there is none."""
    import dagster as dg

    prepare_history(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance


@dataclass(frozen=True)
class Extent:
    """Say how much a run will do: how many tables it will finish, and how many charts."""

    tables: int
    charts: int


def extent(project: Project, settings: Settings, select: str | None = None) -> Extent:
    """Count the tables and charts that a run will finish."""
    graph = resolve(project)
    tables, charts = set(graph.contracts()), {chart.name for chart in drawable(project, graph).charts}
    if select is not None:
        from analytics_assets.definitions import build_definitions

        assets = build_definitions(project, settings).resolve_asset_graph()
        chosen = {key.to_user_string() for key in selection(project, select).resolve(assets)}
        tables, charts = tables & chosen, charts & chosen
    return Extent(len(tables), len(charts))


def selection(project: Project, select: str) -> dg.AssetSelection:
    """Read Dagster's selection syntax, in which the name of a table, chart or report alone stands for `key:NAME`.

    Dagster reads a name alone by an older syntax, in which `fact_events+` ends after one layer.
    """
    import dagster as dg

    graph = resolve(project)
    names = "|".join([*graph.contracts(), *(chart.name for chart in drawable(project, graph).charts), REPORT])
    return dg.AssetSelection.from_string(re.sub(rf'(?<![\w:"])({names})(?!\w)', r"key:\1", select))


def run(
    project: Project,
    settings: Settings,
    delivered: Days,
    *,
    select: str | None = None,
    listener: Listener | None = None,
    instance: dg.DagsterInstance | None = None,
) -> tuple[RunOutcome, ...]:
    """Run the daily job for some days of delivery, and again for the days whose visitors became known by it.

    Args:
        project: The project.
        settings: Where its tables and history are.
        delivered: Days of delivery; the days before them whose rows may come late are computed too, and days after
            them that they may change.
        select: Dagster's selection syntax, such as `fact_events+`; everything by default. The release is always made.
        listener: Is told of every table as it is finished.
        instance: Dagster's history; the one that the settings name by default.

    Returns:
        The run, and after it a run for each range of days that it asked for again.
    """
    if instance is None:
        import dagster as dg

        prepare_history(settings)
        with dg.DagsterInstance.get() as opened:
            return run(project, settings, delivered, select=select, listener=listener, instance=opened)
    with open_lake(settings, project.name) as lake:
        covered = covered_days(resolve(project).contracts().values(), latest_release(lake))
    first = _run_once(project, settings, days_to_run(project, delivered, covered), select, listener, instance)
    outcomes = [first]
    if first.success and "map_identity" in first.release.versions:
        with open_lake(settings, project.name) as lake:
            repeated = days_to_repeat(lake, first.release, first.days)
        outcomes += [_run_once(project, settings, days, "fact_events+", listener, instance) for days in repeated]
    return tuple(outcomes)


def _run_once(
    project: Project,
    settings: Settings,
    days: Days,
    select: str | None,
    listener: Listener | None,
    instance: dg.DagsterInstance,
) -> RunOutcome:
    import time

    import dagster as dg

    from analytics_assets.definitions import build_definitions

    reports: list[StepReport] = []

    def hear(report: StepReport) -> None:
        reports.append(report)
        if listener:
            listener(report)

    started = time.perf_counter()
    definitions = build_definitions(project, settings, listener=hear)
    chosen = None
    if select is not None:
        ends = [RELEASE, EXPORTS, *([WAREHOUSE] if settings.warehouse_url else [])]
        selected = selection(project, select) | dg.AssetSelection.assets(*ends)
        chosen = sorted(selected.resolve(definitions.resolve_asset_graph()))
    result = definitions.resolve_job_def(DAILY).execute_in_process(
        instance=instance,
        raise_on_error=False,
        asset_selection=chosen,
        tags=range_tags(days),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    failures: dict[str, str] = {}
    unexpected = False
    drawn, report = 0, None
    for event in result.all_events:
        if event.is_step_materialization:
            metadata = event.step_materialization_data.materialization.metadata
            drawn += "png" in metadata
            report = Path(str(metadata["html"].value)) if "html" in metadata else report
        elif event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                failures[event.step_key or ""] = failure.user_failure_data.description
            else:
                unexpected = True
                failures[event.step_key or ""] = _innermost(failure.error)
        elif event.is_run_failure and not failures:
            error = event.job_failure_data.error
            failures["run"] = _innermost(error) if error else "the run failed"
    with open_lake(settings, project.name) as lake:
        release = latest_release(lake)
    return RunOutcome(
        run_id=result.run_id,
        days=days,
        success=result.success,
        reports=tuple(reports),
        failures=failures,
        unexpected=unexpected,
        seconds=time.perf_counter() - started,
        release=release,
        charts=drawn,
        report=report,
    )


def _innermost(error: object) -> str:
    """Return the message of the error at the root of a chain, or of the first in it that the package foresees."""
    foreseen = False
    while not foreseen and (cause := getattr(error, "cause", None)) is not None:
        error = cause
        foreseen = getattr(error, "cls_name", "") in _FORESEEN
    message = str(getattr(error, "message", error)).strip()
    return message.partition(": ")[2] if foreseen else message
