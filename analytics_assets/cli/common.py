"""What several commands share: the project, its newest release, days as options.

Belongs here: finding what a command works on, or saying in words what is wrong with it. Does not belong here: any
command.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from analytics_assets.settings import Settings

if TYPE_CHECKING:
    from analytics_assets.contracts.model import Contract
    from analytics_assets.lake.days import Days
    from analytics_assets.lake.tables import Lake
    from analytics_assets.project.experiments import Plan
    from analytics_assets.project.model import Project

FAILED = 1
DAY = click.DateTime(["%Y-%m-%d"])


def project_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take `--project`."""
    return click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path),
        help="The project's folder; ANALYTICS_PROJECT by default.",
    )(command)


def load(folder: Path | None) -> tuple[Project, Settings]:
    """Load the project, or say what is wrong with it and leave."""
    from analytics_assets import console
    from analytics_assets.project.loading import load_project
    from analytics_assets.project.problems import ProjectError

    settings = read_settings(folder)
    try:
        return load_project(settings.project, settings.environment), settings
    except ProjectError as error:
        console.problems([str(problem) for problem in error.problems])
        sys.exit(FAILED)


def read_settings(folder: Path | None = None) -> Settings:
    """Read the settings, or say what is wrong with them and leave."""
    from pydantic import ValidationError

    from analytics_assets import console

    try:
        return Settings() if folder is None else Settings(project=folder)
    except ValidationError as error:
        console.problems([f"setting ANALYTICS_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()])
        sys.exit(FAILED)


def days_between(
    project: Project, first: dt.datetime | None, last: dt.datetime | None, names: tuple[str, str] = ("--from", "--to")
) -> Days:
    """Return the days that were asked for; like a schedule, this reads the clock where no last day is given."""
    from analytics_assets.lake.days import Days

    yesterday = dt.datetime.now(ZoneInfo(project.time_zone)).date() - dt.timedelta(days=1)
    begin = first.date() if first else project.first_day
    end = last.date() if last else project.last_day or yesterday
    latest = project.last_day or dt.datetime.now(ZoneInfo(project.time_zone)).date()
    if begin < project.first_day:
        raise click.BadParameter(
            f"{begin} lies before the project's first day {project.first_day}", param_hint=names[0]
        )
    if end > latest:
        raise click.BadParameter(
            f"{end} lies after {'the last day of the project' if project.last_day else 'today'}, {latest}",
            param_hint=names[1],
        )
    if end < begin:
        raise click.BadParameter(f"{end} lies before the first day {begin}", param_hint=names[1])
    return Days(begin, end)


@contextmanager
def reading() -> Iterator[None]:
    """Let a foreseeable failure end the command with its message."""
    from analytics_assets.lake.errors import LakeError
    from analytics_assets.postgres import PostgresError

    try:
        yield
    except (LakeError, PostgresError) as error:
        raise click.ClickException(str(error)) from error


def released(lake: Lake, project: Project, name: str) -> tuple[Contract, int]:
    """Find a table in the newest release, or say which tables there are and leave."""
    import difflib

    from analytics_assets.assets.catalog import resolve
    from analytics_assets.lake.releases import latest_release

    release = latest_release(lake)
    if not release.number:
        raise click.ClickException(f"there is no release in {lake.root} yet: analytics-assets run makes one")
    if name not in release.versions:
        near = difflib.get_close_matches(name, release.versions, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.ClickException(
            f"release {release.number} has no table {name}.{hint} It has: {', '.join(sorted(release.versions))}"
        )
    contracts = resolve(project).contracts()
    if name not in contracts:
        raise click.ClickException(f"{name} is of an earlier release: nothing in this project makes it any more")
    return contracts[name], release.versions[name]


def plan_named(project: Project, name: str) -> Plan:
    """Find a plan, or say which plans there are and leave."""
    import difflib

    if name in project.experiments:
        return project.experiments[name]
    near = difflib.get_close_matches(name, project.experiments, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    there = f"There are: {', '.join(project.experiments)}" if project.experiments else "There is no other plan either"
    raise click.ClickException(f"there is no {project.folder}/experiments/{name}.yaml.{hint} {there}")
