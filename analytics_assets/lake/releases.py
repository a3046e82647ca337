"""Releases: the list of table versions that readers read by, committed last in a run.

Belongs here: naming one consistent state of the whole lake. Does not belong here: deciding when a run has earned one
(`automation`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analytics_assets.contracts.model import Column, Contract
from analytics_assets.lake.days import Days, DaySet

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.lake.tables import Lake

RELEASES = Contract(
    table="releases",
    grain="one row a release and table",
    columns=(
        Column("release", "int64", "number of the release, counted from 1", nullable=False),
        Column("run_id", "string", "the run that made it", nullable=False),
        Column("table", "string", "a table", nullable=False),
        Column("version", "int64", "the version of it that readers of the release see", nullable=False),
        Column("released_at", "timestamp('UTC')", "when the release was made"),
        Column("computed_at", "timestamp('UTC')", "when the release was made that last computed the table"),
        Column("covered", "string", "of a table kept by day: all days that were ever computed of it"),
    ),
    key=("release", "table"),
)


@dataclass(frozen=True)
class Computed:
    """Say what a run wrote of one table.

    Attributes:
        version: The version that shows it.
        days: Of a table kept by day, the days that it computed.
    """

    version: int
    days: Days | DaySet | None = None


@dataclass(frozen=True)
class Release:
    """Name one consistent state of the lake.

    Attributes:
        number: Counted from 1; 0 stands for a lake without a release.
        run_id: The run that made it.
        versions: The version of each table that it shows.
        released_at: When it was made.
        computed_at: When each table was last computed, or rather released.
        covered: All days that were ever computed of each table that is kept by day, with rows or without.
    """

    number: int = 0
    run_id: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)
    released_at: dt.datetime | None = None
    computed_at: Mapping[str, dt.datetime] = field(default_factory=dict)
    covered: Mapping[str, DaySet] = field(default_factory=dict)


def latest_release(lake: Lake) -> Release:
    """Return the newest release; number 0 and no tables where there is none."""
    table = lake.read(RELEASES)
    found = _releases(lake.engine.rows(table.filter(table.release == table.release.max())))
    return found[0] if found else Release()


def all_releases(lake: Lake) -> tuple[Release, ...]:
    """Return every release that is remembered, the oldest first."""
    return _releases(lake.engine.rows(lake.read(RELEASES)))


def _releases(rows: Iterable[Mapping[str, Any]]) -> tuple[Release, ...]:
    by_number: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_number.setdefault(row["release"], []).append(row)
    return tuple(
        Release(
            number,
            told[0]["run_id"],
            {row["table"]: row["version"] for row in told},
            told[0]["released_at"],
            {row["table"]: row["computed_at"] for row in told if row["computed_at"]},
            {row["table"]: DaySet.read(row["covered"]) for row in told if row["covered"] is not None},
        )
        for number, told in sorted(by_number.items())
    )


def undo_unreleased(lake: Lake, tables: Iterable[str]) -> tuple[str, ...]:
    """Take back what runs published and never released, so that no later release shows half of them.

    Returns:
        The tables that had such rows.
    """
    released = latest_release(lake).versions
    return tuple(name for name in tables if lake.undo(name, released.get(name)))


def commit_release(lake: Lake, run_id: str, written: Mapping[str, Computed], at: dt.datetime) -> Release:
    """Release a run: what it wrote, and for every other table the version that readers had.

    Args:
        lake: The lake.
        run_id: The run.
        written: What it wrote, by table.
        at: Now.
    """
    before = latest_release(lake)
    days = {name: DaySet(()) | table.days for name, table in written.items() if table.days}
    release = Release(
        before.number + 1,
        run_id,
        {**before.versions, **{name: table.version for name, table in written.items()}},
        at,
        {**before.computed_at, **dict.fromkeys(written, at)},
        {**before.covered, **{name: before.covered.get(name, DaySet()) | new for name, new in days.items()}},
    )
    append_release(lake, release)
    return release


def append_release(lake: Lake, release: Release) -> None:
    """Make a release what readers see."""
    lake.publish(lake.stage(RELEASES, lake.read(RELEASES).union(_rows([release]))), release.run_id)


def keep_releases(lake: Lake, releases: Iterable[Release], run_id: str) -> None:
    """Remember these releases and no other; the newest of them is what readers see."""
    lake.publish(lake.stage(RELEASES, _rows(releases)), run_id)


def _rows(releases: Iterable[Release]) -> Table:
    import ibis

    rows = [
        {
            "release": release.number,
            "run_id": release.run_id,
            "table": name,
            "version": version,
            "released_at": release.released_at,
            "computed_at": release.computed_at.get(name),
            "covered": str(release.covered[name]) if name in release.covered else None,
        }
        for release in releases
        for name, version in sorted(release.versions.items())
    ]
    return ibis.memtable(rows, schema=ibis.schema({column.name: column.type for column in RELEASES.columns}))
