"""Commands about experiments: plan one, lock its plan, read its verdict.

Belongs here: their options and exit codes. Does not belong here: statistics and verdicts (`statistics`, `assets`).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from analytics_assets.cli.common import DAY, load, plan_named, project_option, reading, released
from analytics_assets.settings import Settings

if TYPE_CHECKING:
    from analytics_assets.project.model import Project


@click.command(name="power")
@project_option
@click.argument("name")
@click.option("--weeks", type=click.IntRange(1, 104), help="How many weeks; those of the plan, at most 12, by default.")
def power_of(folder: Path | None, name: str, weeks: int | None) -> None:
    """Say what the plan of an experiment can see, week by week, of what users did in the last days.

    It takes the metrics and the users of the newest release, so that it works for a plan that has not begun.
    """
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.baselines import known_of, outlook
    from analytics_assets.automation.runtime import open_lake

    plan = plan_named(project, name)
    with reading(), open_lake(settings, project.name) as lake:
        if project.questions.metrics[plan.primary.metric].kind == "quantile":
            raise click.ClickException(f"{name}: a quantile has no baseline; plan with a mean or a share")
        found = [released(lake, project, table) for table in ("experiment_baselines", "experiment_reach")]
        summed, reach = (lake.read(contract, version=version) for contract, version in found)
        sums, days = (lake.engine.rows(table) for table in known_of(name, summed, reach))
    if not days:
        raise click.ClickException(
            f"the newest release knows nothing of the plan {name}: it is newer. Compute its tables again: "
            "analytics-assets run --select 'experiment_baselines or experiment_reach'"
        )
    if not sums and not any(row["users"] for row in days):
        raise click.ClickException(
            f"nobody met the exposing event of {name} from {days[0]['day']} to {days[-1]['day']}: "
            "without users there is nothing to plan with"
        )
    console.outlook(name, plan, outlook(name, project, sums, days, weeks))


@click.group()
def experiment() -> None:
    """Register the plans of experiments, and look at them and at their verdicts."""


@experiment.command(name="list")
@project_option
def list_plans(folder: Path | None) -> None:
    """List the plans, with their state (registered, amended, retrospective or changed) and verdict."""
    project, settings = load(folder)
    from analytics_assets import console

    records: list[dict[str, object]] = []
    decided = _verdicts(project, settings)
    for name, plan in project.experiments.items():
        known = project.registration(name)
        told = {"experiment": name, "starts": plan.starts, "ends": plan.ends, "locked": known.locked_on}
        records.append({**told, "state": known.state, "verdict": decided.get(name)})
    for name in (locked for locked in project.locks if locked not in project.experiments):
        told = {"experiment": name, "starts": None, "ends": None, "locked": project.locks[name][0].locked_on}
        records.append({**told, "state": "gone: it was locked, and has no plan any more", "verdict": None})
    console.rows(records)


def _verdicts(project: Project, settings: Settings) -> dict[str, str]:
    """Read the verdicts of the newest release; none where there is no lake yet."""
    from analytics_assets.assets.verdicts import told_verdict
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.contracts.verdicts import EXPERIMENT_VERDICTS
    from analytics_assets.lake.errors import LakeError
    from analytics_assets.lake.releases import latest_release

    try:
        with open_lake(settings, project.name) as lake:
            version = latest_release(lake).versions.get(EXPERIMENT_VERDICTS.table)
            if version is None:
                return {}
            found = lake.read(EXPERIMENT_VERDICTS, version=version)
            rows = lake.engine.rows(found.select("experiment", "variant", "verdict").order_by("experiment", "variant"))
    except LakeError:  # a list of plans is one without a lake, too
        return {}
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["experiment"], []).append(row)
    return {name: told_verdict(told) for name, told in by_name.items()}


@experiment.command(name="report")
@project_option
@click.argument("name")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it here, as Markdown.")
def report_of(folder: Path | None, name: str, file: Path | None) -> None:
    """Show the verdict of an experiment with its report, of the newest release."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.runtime import open_lake

    plan_named(project, name)
    with reading(), open_lake(settings, project.name) as lake:
        contract, version = released(lake, project, f"verdict_{name}")
        rows = lake.engine.rows(lake.read(contract, version=version).select("report"))
    if not rows:
        raise click.ClickException(f"{contract.table} is empty: analytics-assets run computes it again")
    text: str = rows[0]["report"]
    if file is None:
        console.markdown(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
    console.err.print(f"{name}: {file}", markup=False, soft_wrap=True)


@experiment.command(name="lock")
@project_option
@click.argument("name")
@click.option("--on", "day", type=DAY, help="The day of the lock; today by default. The commit is its witness.")
def lockplan_named(folder: Path | None, name: str, day: dt.datetime | None) -> None:
    """Lock a plan: write what it will be judged by into plans.lock, which is to be committed.

    A plan is registered when it is locked on or before its first day. One that changed can be locked again only with an
    amendment that says what was changed, and why.
    """
    project, _ = load(folder)
    from analytics_assets import console
    from analytics_assets.project.plans import LOCK_FILE, LockError, lock, registration, write_locks

    plan = plan_named(project, name)
    today = dt.datetime.now(ZoneInfo(project.time_zone)).date()
    on = day.date() if day else today
    if on > today:
        raise click.BadParameter(f"{on} lies after today, {today}", param_hint="--on")
    before = project.locks.get(name, ())
    try:
        versions = lock(name, plan, project.questions.metrics, before, on)
        if versions != before:
            write_locks(project.folder, {**project.locks, name: versions})
    except LockError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{project.folder / LOCK_FILE} cannot be written: {error.strerror}") from error
    known = registration(name, plan, project.questions.metrics, versions)
    done = f"locked in {project.folder / LOCK_FILE}" if versions != before else "nothing to lock"
    console.out.print(f"{name}: {done}. It is {known.state}: {known.reason}", markup=False, soft_wrap=True)
    for change in known.changes:
        console.out.print(f"  {change}", markup=False, soft_wrap=True)
