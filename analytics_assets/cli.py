"""The command line: run days, check a project, look at tables.

Belongs here: commands, their options and exit codes. Does not belong here: the work (`automation`, `lake`) and how it
is shown (`console`).
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

_FAILED = 1
_DAY = click.DateTime(["%Y-%m-%d"])


def _project_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path),
        help="The project's folder; ANALYTICS_PROJECT by default.",
    )(command)


def _load(folder: Path | None) -> tuple[Project, Settings]:
    """Load the project, or say what is wrong with it and leave."""
    from pydantic import ValidationError

    from analytics_assets import console
    from analytics_assets.project.loading import load_project
    from analytics_assets.project.problems import ProjectError

    try:
        settings = Settings() if folder is None else Settings(project=folder)
    except ValidationError as error:
        console.problems([f"setting ANALYTICS_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()])
        sys.exit(_FAILED)
    try:
        return load_project(settings.project, settings.environment), settings
    except ProjectError as error:
        console.problems([str(problem) for problem in error.problems])
        sys.exit(_FAILED)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Product analytics and experimentation as one Dagster asset graph."""


@main.command()
@_project_option
@click.option("--from", "first", type=_DAY, help="First day of delivery; the project's first day by default.")
@click.option("--to", "last", type=_DAY, help="Last day; the project's last day, or yesterday, by default.")
@click.option("--select", help="Tables, in Dagster's selection syntax: 'fact_events', 'fact_events+', 'group:facts'.")
def run(folder: Path | None, first: dt.datetime | None, last: dt.datetime | None, select: str | None) -> None:
    """Compute some days, from the sources to a release."""
    project, settings = _load(folder)
    days = _days(project, first, last)
    from analytics_assets import console
    from analytics_assets.automation.running import run as run_days
    from analytics_assets.automation.running import table_count
    from analytics_assets.lake.errors import LakeError

    try:
        tables = table_count(project, settings, select)
    except Exception as error:
        raise click.BadParameter(f"{select}: {error}", param_hint="--select") from error
    if not tables:
        raise click.BadParameter(f"no table of this project is named by {select}", param_hint="--select")
    console.err.print(f"{project.name}: {days}, {tables} tables")
    try:
        with console.progress(tables) as hear:
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
        sys.exit(_FAILED)


def _days(project: Project, first: dt.datetime | None, last: dt.datetime | None) -> Days:
    """Return the days that were asked for; like a schedule, this reads the clock where no last day is given."""
    from analytics_assets.lake.days import Days

    yesterday = dt.datetime.now(ZoneInfo(project.time_zone)).date() - dt.timedelta(days=1)
    begin = first.date() if first else project.first_day
    end = last.date() if last else project.last_day or yesterday
    latest = project.last_day or dt.datetime.now(ZoneInfo(project.time_zone)).date()
    if begin < project.first_day:
        raise click.BadParameter(
            f"{begin} lies before the project's first day {project.first_day}", param_hint="--from"
        )
    if end > latest:
        raise click.BadParameter(
            f"{end} lies after {'the last day of the project' if project.last_day else 'today'}, {latest}",
            param_hint="--to",
        )
    if end < begin:
        raise click.BadParameter(f"{end} lies before the first day {begin}", param_hint="--to")
    return Days(begin, end)


@main.command()
@_project_option
def check(folder: Path | None) -> None:
    """Say what is wrong with a project's files, and which tables it can feed."""
    project, _ = _load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve

    graph = resolve(project)
    groups: dict[str, list[str]] = {"raw": [contract.table for contract in graph.raw]}
    for asset in graph.tables:
        groups.setdefault(asset.group, []).append(asset.name)
    ended = f" to {project.last_day}" if project.last_day else " on"
    console.out.print(
        f"{project.name}: {project.first_day}{ended}, days in {project.time_zone}, amounts in {project.currency}"
    )
    console.graph(groups, graph.absent)


@contextmanager
def _reading() -> Iterator[None]:
    """Let a foreseeable failure end the command with its message."""
    from analytics_assets.lake.errors import LakeError

    try:
        yield
    except LakeError as error:
        raise click.ClickException(str(error)) from error


def _released(lake: Lake, project: Project, name: str) -> tuple[Contract, int]:
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


@main.command()
@_project_option
def tables(folder: Path | None) -> None:
    """List the tables of the newest release."""
    project, settings = _load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.releases import latest_release

    with _reading(), open_lake(settings, project.name) as lake:
        release = latest_release(lake)
        contracts = resolve(project).contracts()
        records = []
        for name, version in release.versions.items():
            extent = lake.extent(name, version)
            records.append(
                {
                    "table": name,
                    "rows": f"{extent.rows:,}",
                    "days": f"{extent.first_day} to {extent.last_day}" if extent.first_day else "",
                    "version": version,
                    "grain": contracts[name].grain if name in contracts else "",
                }
            )
    order = list(contracts)
    records.sort(key=lambda record: order.index(str(record["table"])) if record["table"] in order else len(order))
    console.rows(records)
    console.out.print(f"release {release.number} of {project.name}, in {settings.lake_root(project.name)}")


@main.command()
@_project_option
@click.argument("table")
@click.option("--day", type=_DAY, help="Only rows of that day.")
@click.option("--columns", help="Only these columns, with commas between them.")
@click.option("--limit", default=10, show_default=True, help="How many rows.")
def show(folder: Path | None, table: str, day: dt.datetime | None, columns: str | None, limit: int) -> None:
    """Show the first rows of a table, by its key."""
    project, settings = _load(folder)
    from analytics_assets import console
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.days import Days

    with _reading(), open_lake(settings, project.name) as lake:
        contract, version = _released(lake, project, table)
        if day and contract.day is None:
            raise click.BadParameter(f"{table} is not kept by day", param_hint="--day")
        rows = lake.read(contract, Days(day.date(), day.date()) if day else None, version)
        wanted = [name.strip() for name in columns.split(",")] if columns else list(rows.columns)
        if strangers := [name for name in wanted if name not in rows.columns]:
            told = f"{table} has no column {strangers[0]}. It has: {', '.join(rows.columns)}"
            raise click.BadParameter(told, param_hint="--columns")
        order = [contract.day] if contract.day else []
        records = lake.engine.rows(rows.order_by([*order, *contract.key]).limit(limit).select(wanted))
        (total,) = lake.engine.rows(rows.aggregate(n=rows.count()))
    console.rows(records, total=total["n"])


@main.command()
@_project_option
@click.argument("table")
@click.option("--reason", help="Only rows rejected for this reason.")
@click.option("--limit", default=10, show_default=True, help="How many rows.")
def rejected(folder: Path | None, table: str, reason: str | None, limit: int) -> None:
    """Show the rejected rows of a table, with the reasons and the row as it came."""
    project, settings = _load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.assets.staging import rejected_rows
    from analytics_assets.automation.runtime import open_lake

    known = resolve(project).contracts()
    origin = known[table].accounts_for if table in known else None
    name = (origin or table).removeprefix("staged_").removeprefix("raw_")
    with _reading(), open_lake(settings, project.name) as lake:
        contract, version = _released(lake, project, f"staged_{name}")
        raw, raw_version = _released(lake, project, f"raw_{name}")
        found = rejected_rows(lake.read(contract, version=version), lake.read(raw, version=raw_version), reason)
        (total,) = lake.engine.rows(found.aggregate(n=found.count()))
        records = lake.engine.rows(found.order_by(["delivery_day", "file", "row_number"]).limit(limit))
    filled = [name for name in found.columns if any(record[name] is not None for record in records)]
    console.rows([{name: record[name] for name in filled} for record in records], total=total["n"])


@main.command(name="power")
@_project_option
@click.argument("name")
@click.option("--weeks", type=click.IntRange(1, 104), help="How many weeks; those of the plan, at most 12, by default.")
def power_of(folder: Path | None, name: str, weeks: int | None) -> None:
    """Say what the plan of an experiment can see, week by week, of what users did in the last days.

    It takes the metrics and the users of the newest release, so that it works for a plan that has not begun.
    """
    project, settings = _load(folder)
    from analytics_assets import console
    from analytics_assets.assets.baselines import known_of, outlook
    from analytics_assets.automation.runtime import open_lake

    plan = _plan(project, name)
    with _reading(), open_lake(settings, project.name) as lake:
        if project.questions.metrics[plan.primary.metric].kind == "quantile":
            raise click.ClickException(f"{name}: a quantile has no baseline; plan with a mean or a share")
        found = [_released(lake, project, table) for table in ("experiment_baselines", "experiment_reach")]
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


@main.group()
def experiment() -> None:
    """Register the plans of experiments, and look at them and at their verdicts."""


@experiment.command(name="list")
@_project_option
def list_plans(folder: Path | None) -> None:
    """List the plans, with their state (registered, amended, retrospective or changed) and verdict."""
    project, settings = _load(folder)
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
@_project_option
@click.argument("name")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it here, as Markdown.")
def report_of(folder: Path | None, name: str, file: Path | None) -> None:
    """Show the verdict of an experiment with its report, of the newest release."""
    project, settings = _load(folder)
    from analytics_assets import console
    from analytics_assets.automation.runtime import open_lake

    _plan(project, name)
    with _reading(), open_lake(settings, project.name) as lake:
        contract, version = _released(lake, project, f"verdict_{name}")
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
@_project_option
@click.argument("name")
@click.option("--on", "day", type=_DAY, help="The day of the lock; today by default. The commit is its witness.")
def lock_plan(folder: Path | None, name: str, day: dt.datetime | None) -> None:
    """Lock a plan: write what it will be judged by into plans.lock, which is to be committed.

    A plan is registered when it is locked on or before its first day. One that changed can be locked again only with an
    amendment that says what was changed, and why.
    """
    project, _ = _load(folder)
    from analytics_assets import console
    from analytics_assets.project.plans import LOCK_FILE, LockError, lock, registration, write_locks

    plan = _plan(project, name)
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


def _plan(project: Project, name: str) -> Plan:
    """Find a plan, or say which plans there are and leave."""
    import difflib

    if name in project.experiments:
        return project.experiments[name]
    near = difflib.get_close_matches(name, project.experiments, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    there = f"There are: {', '.join(project.experiments)}" if project.experiments else "There is no other plan either"
    raise click.ClickException(f"there is no {project.folder}/experiments/{name}.yaml.{hint} {there}")
