"""Commands that compute: run days, check what a project can feed.

Belongs here: their options and exit codes. Does not belong here: the work (`automation`) and how it is shown
(`console`).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import click

from analytics_assets.cli.common import DAY, FAILED, days_between, load, project_option


@click.command()
@project_option
@click.option("--from", "first", type=DAY, help="First day of delivery; the project's first day by default.")
@click.option("--to", "last", type=DAY, help="Last day; the project's last day, or yesterday, by default.")
@click.option(
    "--select",
    help="Tables and charts, in Dagster's selection syntax: 'fact_events', 'fact_events+', 'group:facts'.",
)
def run(folder: Path | None, first: dt.datetime | None, last: dt.datetime | None, select: str | None) -> None:
    """Compute some days, from the sources to a release."""
    project, settings = load(folder)
    days = days_between(project, first, last)
    from analytics_assets import console
    from analytics_assets.automation.running import extent
    from analytics_assets.automation.running import run as run_days
    from analytics_assets.lake.errors import LakeError

    try:
        asked = extent(project, settings, select)
    except Exception as error:
        raise click.BadParameter(f"{select}: {error}", param_hint="--select") from error
    if not asked.tables and not asked.charts:
        raise click.BadParameter(f"no table or chart of this project is named by {select}", param_hint="--select")
    charts = f", {asked.charts} charts" if asked.charts else ""
    console.err.print(f"{project.name}: {days}, {asked.tables} tables{charts}")
    try:
        with console.progress(asked.tables) as hear:
            outcomes = run_days(project, settings, days, select=select, listener=hear)
    except LakeError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException("stopped. Nothing of this run is released; run the days again.") from None
    for place, outcome in enumerate(outcomes):
        if place:
            console.out.print(f"visitors became known who acted on {outcome.days}: computed again")
        console.summary(outcome, settings.lake_root(project.name))
    if not all(outcome.success for outcome in outcomes):
        sys.exit(FAILED)


@click.command()
@project_option
def check(folder: Path | None) -> None:
    """Say what is wrong with a project's files, and which tables it can feed."""
    project, _ = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.assets.drawing import drawable

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
