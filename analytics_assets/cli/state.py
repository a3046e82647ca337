"""Commands about the state of things: how they stand, and what does not fit together.

Belongs here: their options and exit codes. Does not belong here: looking (`automation.state`) and how it is shown
(`console`).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from analytics_assets.cli.common import FAILED, load, project_option, reading

if TYPE_CHECKING:
    from analytics_assets.project.model import Project


def _now(project: Project) -> dt.datetime:
    return dt.datetime.now(ZoneInfo(project.time_zone))


@click.command()
@project_option
def status(folder: Path | None) -> None:
    """Say how things stand: the last run, how fresh tables are, which checks fail."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.running import open_history
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.automation.state import state_of

    now = _now(project)
    with reading(), open_lake(settings, project.name) as lake, open_history(settings) as instance:
        console.state(project, state_of(project, resolve(project), lake, instance, now.date()), now)


@click.command()
@project_option
@click.option("--mend", is_flag=True, help="Clear away what killed runs left, and end the record of those.")
def doctor(folder: Path | None, *, mend: bool) -> None:
    """Say what does not fit together, and which command mends it; fail where anything is found."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.running import open_history
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.automation.sensors import bury_dead_runs
    from analytics_assets.automation.state import troubles
    from analytics_assets.automation.warehouse import troubles_of
    from analytics_assets.lake.lock import clear_dead_runs
    from analytics_assets.lake.releases import latest_release

    with reading(), open_lake(settings, project.name) as lake, open_history(settings) as instance:
        if mend:
            ended = bury_dead_runs(instance, settings, project)
            cleared = clear_dead_runs(lake.root)
            console.out.print(f"called failed: {len(ended)} runs; cleared away after {len(cleared)} runs")
        found = troubles(project, resolve(project), lake, instance, _now(project))
        found += troubles_of(settings, project.name, latest_release(lake))
    console.troubles(project, found)
    if found:
        sys.exit(FAILED)
