"""Releases: the list of table versions that readers read by, committed last in a run.

Belongs here: naming one consistent state of the whole lake. Does not belong here: deciding when a run has earned one
(`automation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analytics_assets.contracts.model import Column, Contract

if TYPE_CHECKING:
    from analytics_assets.lake.tables import Lake

RELEASES = Contract(
    table="releases",
    grain="one row a release and table",
    columns=(
        Column("release", "int64", "number of the release, counted from 1", nullable=False),
        Column("run_id", "string", "the run that made it", nullable=False),
        Column("table", "string", "a table", nullable=False),
        Column("version", "int64", "the version of it that readers of the release see", nullable=False),
    ),
    key=("release", "table"),
)


@dataclass(frozen=True)
class Release:
    """Name one consistent state of the lake.

    Attributes:
        number: Counted from 1; 0 stands for a lake without a release.
        run_id: The run that made it.
        versions: The version of each table that it shows.
    """

    number: int = 0
    run_id: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)


def latest_release(lake: Lake) -> Release:
    """Return the newest release; number 0 and no tables where there is none."""
    table = lake.read(RELEASES)
    rows = lake.engine.rows(table.filter(table.release == table.release.max()))
    if not rows:
        return Release()
    return Release(rows[0]["release"], rows[0]["run_id"], {row["table"]: row["version"] for row in rows})


def undo_unreleased(lake: Lake, tables: Iterable[str]) -> tuple[str, ...]:
    """Take back what runs published and never released, so that no later release shows half of them.

    Returns:
        The tables that had such rows.
    """
    released = latest_release(lake).versions
    return tuple(name for name in tables if lake.undo(name, released.get(name)))


def commit_release(lake: Lake, run_id: str, versions: Mapping[str, int]) -> Release:
    """Release a run: the versions that it published, and for every other table the version that readers had."""
    import ibis

    before = latest_release(lake)
    release = Release(before.number + 1, run_id, {**before.versions, **versions})
    rows = [
        {"release": release.number, "run_id": run_id, "table": name, "version": version}
        for name, version in sorted(release.versions.items())
    ]
    added = ibis.memtable(rows, schema=ibis.schema({column.name: column.type for column in RELEASES.columns}))
    history = lake.read(RELEASES)
    lake.publish(lake.stage(RELEASES, history.union(added)), run_id)
    return release
