"""The delivered rows of a source, whatever kind it is: files, or a table of the synthetic shop.

Belongs here: which reader a source has, and the reading of the shop's rows. Does not belong here: files (`files`), how
the shop makes its rows (`shop`), and what becomes of rows (`landing`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import FILE_DAY, PREFIX, ROW_NUMBER, Engine
from analytics_assets.project.model import Project, ShopTable
from analytics_assets.sources import files
from analytics_assets.sources.columns import refuse_missing, refuse_unknown_exclusions

if TYPE_CHECKING:
    from ibis.expr.types import Table


def read(
    name: str, project: Project, days: Days, engine: Engine, folder: Path
) -> tuple[Table, tuple[str, ...], tuple[str, ...]]:
    """Read what a source delivered on some days once, as text.

    Returns:
        The rows, the delivered columns, and the names of the files that are oddly without rows.

    Raises:
        SourceError: Where a delivery is missing, cannot be read, or misses a column that a feed speaks of.
    """
    source = project.sources[name]
    if source.shop is None:
        return files.read(name, source, days, engine, folder)
    rows, columns = _read_shop(name, source.shop, project, days, engine)
    return rows, columns, ()  # a quiet day of the shop is nothing odd


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
