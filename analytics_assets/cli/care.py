"""Commands that look after the lake: list releases, go back to one, vacuum, delete a person's rows.

Belongs here: their options, what is asked before they act, exit codes. Does not belong here: the work (`automation`,
`lake`) and how it is shown (`console`).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from analytics_assets.cli.common import FAILED, load, project_option, reading
from analytics_assets.cli.serving import serve

if TYPE_CHECKING:
    from analytics_assets.project.model import Project


@click.command()
@project_option
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
def releases(folder: Path | None, limit: int) -> None:
    """List the releases that are remembered: when they were made, by which run, and what each changed."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.releases import Release, all_releases

    with reading(), open_lake(settings, project.name) as lake:
        known = all_releases(lake)
    zone = ZoneInfo(project.time_zone)
    records = []
    for before, release in zip([Release(), *known], known, strict=False):
        changed = [name for name, version in release.versions.items() if before.versions.get(name) != version]
        gone = before.versions.keys() - release.versions.keys()
        days = [day for covered in release.covered.values() for day in covered]
        made = release.released_at
        records.append(
            {
                "release": release.number,
                "made": made.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if made else "",
                "run": release.run_id,
                "days": f"{min(days)} to {max(days)}" if days else "",
                "tables": len(release.versions),
                "changed": console.few([*changed, *(f"without {name}" for name in sorted(gone))]),
            }
        )
    console.rows(records[::-1][:limit], total=len(records))


@click.command()
@project_option
@click.option("--to", required=True, help="A release's number, or a date or time, in the project's time zone.")
def restore(folder: Path | None, to: str) -> None:
    """Go back: make a new release of what an earlier one showed.

    Of a time, it is the newest release that was made no later; of a date, no later than that day. Nothing is deleted,
    so this can be taken back in the same way. The next daily run catches up with what is missing since.
    """
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.care import go_back

    wanted = _release_or_time(to, project)
    with reading():
        old, new = go_back(project, settings, wanted, console.note)
    if old is new:
        console.out.print(f"readers see what that release showed already, as release {new.number}: nothing to do")
        return
    console.restored(old, new)
    serve(project, settings, console.note)


def _release_or_time(text: str, project: Project) -> int | dt.datetime:
    """Read a release's number or a time; a date stands for the end of that day."""
    if text.isdecimal() and len(text) < len("20240301"):
        return int(text)
    try:
        day = dt.date.fromisoformat(text)
        end = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), ZoneInfo(project.time_zone))
        return end - dt.timedelta(microseconds=1)
    except ValueError:
        pass
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        told = f"{text} is neither the number of a release nor a date or time such as 2024-03-01 or 2024-03-01T06:30"
        raise click.BadParameter(told, param_hint="--to") from None
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(project.time_zone))


@click.command()
@project_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def vacuum(folder: Path | None, *, dry_run: bool) -> None:
    """Put small files together, forget old releases, and remove what none of the others shows.

    Releases are forgotten after ANALYTICS_RETENTION_DAYS; the newest three never are.
    """
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.care import tidy

    with reading():
        done = tidy(project, settings, console.note, dry_run=dry_run)
    console.vacuumed(done, settings.retention_days, dry_run=dry_run)


@click.command()
@project_option
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-run", is_flag=True, help="Leave it to the next run to compute sums and averages anew.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def forget(folder: Path | None, user_id: str, *, yes: bool, no_run: bool, as_json: bool) -> None:
    """Delete a person's rows from every table, from every version of it, and leave them out if they come again."""
    project, settings = load(folder)
    from dataclasses import replace

    from analytics_assets import console
    from analytics_assets.automation.care import held
    from analytics_assets.automation.forgetting import compute_marts, find, stale_marts
    from analytics_assets.automation.forgetting import forget as delete
    from analytics_assets.lake.releases import latest_release

    with reading():
        with held(project, settings, "forget", console.note) as runtime:
            found = find(runtime.lake, project, user_id)
            if not found.rows and found.since is None:
                raise click.ClickException(
                    f"no table of release {found.release.number} knows {user_id}: nothing was done and nothing is "
                    "recorded"
                )
            if found.rows:
                console.sighting(found)
                if not yes:
                    click.confirm("Delete these rows for good?", abort=True, err=True)
            receipt = delete(runtime, project, settings, found, dt.datetime.now(dt.UTC))
            release = latest_release(runtime.lake)
        if not no_run and (marts := stale_marts(project, release, receipt.deleted_at)):
            computed, failed = compute_marts(project, settings, release, marts)
            receipt = replace(receipt, computed=computed, failed=failed)
    console.receipt(receipt, found.since if not found.rows else None, as_json=as_json)
    serve(project, settings, console.note)
    if receipt.failed or receipt.history.left:
        sys.exit(FAILED)
