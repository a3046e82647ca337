"""Commands that compute: run days, check what a project can feed.

Belongs here: their options and exit codes. Does not belong here: the work (`automation`) and how it is shown
(`console`).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analytics_assets.cli.common import DAY, FAILED, days_between, load, project_option, reading

if TYPE_CHECKING:
    from analytics_assets.automation.running import Extent
    from analytics_assets.lake.days import Days
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings


@click.command()
@project_option
@click.option("--from", "first", type=DAY, help="First day of delivery; the project's first day by default.")
@click.option("--to", "last", type=DAY, help="Last day; the project's last day, or yesterday, by default.")
@click.option(
    "--select",
    help="Tables and charts, in Dagster's selection syntax: 'fact_events', 'fact_events+', 'group:facts'.",
)
@click.option("--each", is_flag=True, help="Show every table, not only groups of them.")
def run(
    folder: Path | None, first: dt.datetime | None, last: dt.datetime | None, select: str | None, *, each: bool
) -> None:
    """Compute some days, from the sources to a release."""
    project, settings = load(folder)
    days = days_between(project, first, last)
    from analytics_assets.automation.running import extent

    try:
        asked = extent(project, settings, select)
    except Exception as error:
        raise click.BadParameter(f"{select}: {error}", param_hint="--select") from error
    if not asked.tables and not asked.charts:
        raise click.BadParameter(f"no table or chart of this project is named by {select}", param_hint="--select")
    if not _run_and_show(project, settings, days, asked, select, each=each):
        sys.exit(FAILED)


def _run_and_show(
    project: Project, settings: Settings, days: Days, asked: Extent, select: str | None = None, *, each: bool = False
) -> bool:
    """Run some days and show how it went; say whether all went well."""
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.running import run as run_days
    from analytics_assets.lake.errors import LakeError

    charts = f", {asked.charts} charts" if asked.charts else ""
    console.err.print(f"{project.name}: {days}, {asked.tables} tables{charts}")
    try:
        with console.progress(asked.tables) as hear:
            outcomes = run_days(project, settings, days, select=select, listener=hear)
    except LakeError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException("stopped. Nothing of this run is released; run the days again.") from None
    groups = {} if each else {asset.name: asset.group for asset in resolve(project).tables}
    for place, outcome in enumerate(outcomes):
        if place:
            console.out.print(f"visitors became known who acted on {outcome.days}: computed again")
        console.summary(outcome, settings.lake_root(project.name), groups)
    console.results(outcomes, settings.charts_folder(project.name))
    return all(outcome.success for outcome in outcomes)


@click.command()
@project_option
@click.argument("first", type=DAY, metavar="FROM")
@click.argument("last", type=DAY, metavar="TO")
@click.option("--missing", is_flag=True, help="Only days that the newest release lacks, a run a range.")
@click.option("--days", "size", type=click.IntRange(1), help="At most so many days a run, where memory is small.")
def backfill(folder: Path | None, first: dt.datetime, last: dt.datetime, *, missing: bool, size: int | None) -> None:
    """Compute days FROM to TO again, the oldest first, in one run as a backfill in the UI does.

    What was released stays when it is stopped; with --missing the same command goes on where it ended.
    """
    project, settings = load(folder)
    wanted = days_between(project, first, last, ("FROM", "TO"))
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.jobs import covered_days, pieces
    from analytics_assets.automation.running import extent
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.days import DaySet
    from analytics_assets.lake.releases import latest_release

    days = DaySet((wanted,))
    if missing:
        with reading(), open_lake(settings, project.name) as lake:
            days = days - covered_days(resolve(project).contracts().values(), latest_release(lake))
    if not days:
        console.out.print(f"nothing to do: the newest release has every day of {wanted}")
        return
    asked = extent(project, settings)
    for part in pieces(days, size):
        if not _run_and_show(project, settings, part, asked):
            sys.exit(FAILED)


@click.command()
@project_option
def check(folder: Path | None) -> None:
    """Say what is wrong with a project's files, and which tables it can feed."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.assets.drawing import drawable
    from analytics_assets.project.alerts import unset_variables
    from analytics_assets.project.loading import unset_in_sources

    graph = resolve(project)
    gallery = drawable(project, graph)
    groups: dict[str, list[str]] = {"raw": [contract.table for contract in graph.raw]}
    for asset in graph.tables:
        groups.setdefault(asset.group, []).append(asset.name)
    groups["charts"] = [chart.name for chart in gallery.charts]
    ended = f" to {project.last_day}" if project.last_day else " on"
    console.out.print(
        f"{project.name}: {project.first_day}{ended}, days in {project.time_zone}, amounts in {project.currency}"
    )
    console.graph(groups, {**graph.absent, **gallery.absent})
    unset = [*unset_in_sources(project, settings.environment), *unset_variables(project.folder, settings.environment)]
    console.warnings([str(problem) for problem in unset])
