"""The command that serves the newest release from Postgres, by hand.

Belongs here: its options and exit codes, and serving after what changes a release without a run. Does not belong here:
the work (`outlets.warehouse`) and how it is shown (`console`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analytics_assets.cli.common import load, project_option, reading

if TYPE_CHECKING:
    from analytics_assets.outlets.warehouse import Publication
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings


@click.command()
@project_option
@click.option("--compare-all", is_flag=True, help="Compare every table with the lake, and not only what was loaded.")
@click.option("--anew", is_flag=True, help="Make every table again, whatever is served.")
@click.option("--each", is_flag=True, help="Show every table that was loaded.")
def publish(folder: Path | None, *, compare_all: bool, anew: bool, each: bool) -> None:
    """Serve the newest release from Postgres, as every run does at its end where ANALYTICS_WAREHOUSE_URL is set."""
    project, settings = load(folder)
    if settings.warehouse_url is None:
        raise click.ClickException(
            "no warehouse is named: set ANALYTICS_WAREHOUSE_URL to postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        )
    from analytics_assets import console

    done = serve(project, settings, console.out.print, compare_all=compare_all, anew=anew)
    if done and each:
        records = [{"table": one.table, "how": one.how, "rows": one.rows, "days": one.days} for one in done.loaded]
        console.rows(records, total=len(records))


def serve(
    project: Project,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    compare_all: bool = False,
    anew: bool = False,
) -> Publication | None:
    """Serve the newest release, where a warehouse is named, and tell what was done."""
    if settings.warehouse_url is None:
        return None
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.automation.warehouse import warehouse_of
    from analytics_assets.outlets.warehouse import publish as publish_release

    with reading(), _asking(), open_lake(settings, project.name) as lake:
        target = warehouse_of(settings, project.name)
        assert target is not None
        done = publish_release(lake, resolve(project).contracts(), target, compare_all=compare_all, anew=anew)
    tell(
        f"schema {target.schema} of {target.database} shows release {done.release}: {len(done.loaded)} tables changed, "
        f"{sum(one.rows for one in done.loaded):,} rows were written, {len(done.compared):,} counts and sums compared"
    )
    console.warnings(list(done.warnings))
    return done


@contextmanager
def _asking() -> Iterator[None]:
    """Let what a server refuses end the command with its message."""
    from analytics_assets.postgres import PostgresError

    try:
        yield
    except PostgresError as error:
        raise click.ClickException(str(error)) from error
