"""The delivered rows of a source, whatever kind it is: files, Postgres, or a table of the synthetic shop.

Belongs here: which reader a source has, and the reading of the shop's rows. Does not belong here: files (`files`),
databases (`postgres`), how the shop makes its rows (`shop`), and what becomes of rows (`landing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import FILE_DAY, PREFIX, ROW_NUMBER, Engine
from analytics_assets.project.model import Project, ShopTable
from analytics_assets.sources import files, postgres
from analytics_assets.sources.columns import refuse_missing, refuse_unknown_exclusions

if TYPE_CHECKING:
    from ibis.expr.types import Table


@dataclass(frozen=True)
class Reading:
    """Hold what a source delivered, as text.

    Attributes:
        rows: The rows, in a table of the engine.
        columns: The delivered columns.
        empty: The names of the files, or days, that are oddly without rows.
        undated: Rows that belong to no day and were not read.
    """

    rows: Table
    columns: tuple[str, ...]
    empty: tuple[str, ...] = ()
    undated: int = 0


def read(
    name: str, project: Project, days: Days, engine: Engine, folder: Path, environment: Mapping[str, str]
) -> Reading:
    """Read what a source delivered on some days once, as text.

    Raises:
        SourceError: Where a delivery is missing, cannot be read, or misses a column that a feed speaks of.
    """
    source = project.sources[name]
    if source.postgres is not None:
        return Reading(*postgres.read(name, project, days, engine, environment))
    if source.shop is None:
        return Reading(*files.read(name, source, days, engine, folder))
    return Reading(*_read_shop(name, source.shop, project, days, engine))  # a quiet day of the shop is nothing odd


def _read_shop(
    name: str, table: ShopTable, project: Project, days: Days, engine: Engine
) -> tuple[Table, tuple[str, ...]]:
    from analytics_assets.sources.shop.delivery import columns, deliver

    source = project.sources[name]
    delivered = columns(project, table)
    refuse_missing(name, source, source.origin, delivered)
    refuse_unknown_exclusions(name, source, delivered)
    rows = engine.new_delivery(name, delivered)
    if days.last >= project.first_day:  # the shop opened then
        opened = Days(max(days.first, project.first_day), days.last)
        names = [*delivered, PREFIX + ROW_NUMBER, PREFIX + FILE_DAY]
        batches = (batch.rename_columns(names) for batch in deliver(project, table, opened))
        engine.append_batches(rows, table, batches, delivered)
    return engine.delivery(rows), delivered
