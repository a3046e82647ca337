"""Commands that look at tables: which there are, their rows, and the rows that were rejected.

Belongs here: their options and exit codes. Does not belong here: how rows are read (`lake`) and shown (`console`).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from analytics_assets.cli.common import DAY, load, project_option, reading, released

_COMPARED = ("shop_findings", "shop_dirt")
"""Tables that hold what was planted beside what was found."""


@click.command()
@project_option
def tables(folder: Path | None) -> None:
    """List the tables of the newest release."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.releases import latest_release

    with reading(), open_lake(settings, project.name) as lake:
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


@click.command()
@project_option
@click.argument("table")
@click.option("--day", type=DAY, help="Only rows of that day.")
@click.option("--columns", help="Only these columns, with commas between them.")
@click.option("--limit", default=10, show_default=True, help="How many rows.")
def show(folder: Path | None, table: str, day: dt.datetime | None, columns: str | None, limit: int) -> None:
    """Show the first rows of a table, by its key."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.days import Days

    with reading(), open_lake(settings, project.name) as lake:
        contract, version = released(lake, project, table)
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


@click.command()
@project_option
def findings(folder: Path | None) -> None:
    """Say what was planted in the synthetic shop, and what the newest release says of it."""
    project, settings = load(folder)
    if project.shop is None:
        raise click.ClickException(
            f"{project.name} has no shop.yaml: nothing was planted in it. What its tables say is in the report, "
            f"{settings.reports_folder(project.name)}"
        )
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.automation.runtime import open_lake
    from analytics_assets.lake.releases import latest_release
    from analytics_assets.report.shop import READS, answers

    contracts = resolve(project).contracts()
    with reading(), open_lake(settings, project.name) as lake:
        release = latest_release(lake)
        if not release.number:
            raise click.ClickException(f"there is no release in {lake.root} yet: analytics-assets run makes one")
        there = [name for name in READS if name in release.versions and name in contracts]
        told = answers(
            {name: lake.engine.rows(lake.read(contracts[name], version=release.versions[name])) for name in there}
        )
    console.answers(told, [name for name in _COMPARED if name in there])


@click.command()
@project_option
@click.argument("table")
@click.option("--reason", help="Only rows rejected for this reason.")
@click.option("--limit", default=10, show_default=True, help="How many rows.")
def rejected(folder: Path | None, table: str, reason: str | None, limit: int) -> None:
    """Show the rejected rows of a table, with the reasons and the row as it came."""
    project, settings = load(folder)
    from analytics_assets import console
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.assets.staging import rejected_rows
    from analytics_assets.automation.runtime import open_lake

    known = resolve(project).contracts()
    origin = known[table].accounts_for if table in known else None
    name = (origin or table).removeprefix("staged_").removeprefix("raw_")
    with reading(), open_lake(settings, project.name) as lake:
        contract, version = released(lake, project, f"staged_{name}")
        raw, raw_version = released(lake, project, f"raw_{name}")
        found = rejected_rows(lake.read(contract, version=version), lake.read(raw, version=raw_version), reason)
        (total,) = lake.engine.rows(found.aggregate(n=found.count()))
        records = lake.engine.rows(found.order_by(["delivery_day", "file", "row_number"]).limit(limit))
    filled = [name for name in found.columns if any(record[name] is not None for record in records)]
    console.rows([{name: record[name] for name in filled} for record in records], total=total["n"])
