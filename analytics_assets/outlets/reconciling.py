"""Whether the warehouse holds what the lake holds: rows counted and amounts summed on both sides, to the last digit.

Belongs here: what is compared, and how. Does not belong here: what follows from a difference (`warehouse`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from analytics_assets.outlets.served import INFERRED, ServedTable
from analytics_assets.outlets.sessions import Session, sql_name
from analytics_assets.postgres import quoted

if TYPE_CHECKING:
    import datetime as dt

    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.tables import Lake

Within = frozenset["dt.date | None"] | None
"""The days that are compared; None: the whole table."""
_ROWS = "rows"


@dataclass(frozen=True)
class Compared:
    """Hold one figure of both sides.

    Attributes:
        table: The table.
        figure: `rows`, or the column that is summed.
        lake: What the lake has.
        warehouse: What the warehouse has.
    """

    table: str
    figure: str
    lake: Decimal
    warehouse: Decimal

    @property
    def holds(self) -> bool:
        """Whether both are the same."""
        return self.lake == self.warehouse

    def __str__(self) -> str:
        figure = "has" if self.figure == _ROWS else f"sums {self.figure} to"
        return f"{self.table} {figure} {self.warehouse:,}, the lake {self.lake:,}"


def compare(
    session: Session, lake: Lake, release: Release, tables: Mapping[str, tuple[ServedTable, Within]], schema: str
) -> Iterator[Compared]:
    """Count rows and sum every whole number and amount, of tables or of some of their days.

    Args:
        session: The warehouse, within the transaction that is looked at.
        lake: The lake.
        release: The release that both show.
        tables: Each table and the days that are compared.
        schema: The schema.
    """
    for name, (table, within) in tables.items():
        figures = [c.name for c in table.contract.columns if c.type.startswith(("decimal", "int"))]
        ours = _of_lake(lake, release, table, within, figures)
        theirs = _of_warehouse(session, table, within, figures, schema)
        for figure in (_ROWS, *figures):
            yield Compared(name, figure, ours[figure], theirs[figure])


def _of_lake(
    lake: Lake, release: Release, table: ServedTable, within: Within, figures: list[str]
) -> dict[str, Decimal]:
    rows = lake.read(table.contract, within, release.versions[table.name])
    sums = {f"sum_{n}": rows[name].cast("decimal(38, 4)").sum() for n, name in enumerate(figures)}
    (found,) = lake.engine.rows(rows.aggregate(**{_ROWS: rows.count()}, **sums))
    return _read(found, figures)


def _of_warehouse(
    session: Session, table: ServedTable, within: Within, figures: list[str], schema: str
) -> dict[str, Decimal]:
    sums = [f"sum({quoted(name)})::text AS sum_{n}" for n, name in enumerate(figures)]
    chosen = days_condition(table, within)
    if table.identified_by:
        chosen += f" AND NOT {INFERRED}"
    query = (
        f"SELECT {', '.join(['count(*)::text AS rows', *sums])} FROM {sql_name(schema, table.name)} t WHERE {chosen}"
    )
    (found,) = session.rows(query)
    return _read(found, figures)


def _read(found: Mapping[str, Any], figures: list[str]) -> dict[str, Decimal]:
    sums = {name: Decimal(found[f"sum_{n}"] or 0) for n, name in enumerate(figures)}
    return {_ROWS: Decimal(found[_ROWS]), **sums}


def days_condition(table: ServedTable, within: Within, rows: str = "t") -> str:
    """Return the condition of the rows of some days; of all rows where there are no days to choose.

    Args:
        table: The table.
        within: The days; None: all.
        rows: What the table is called in the statement.
    """
    if within is None or table.contract.day is None:
        return "true"
    day = f"{rows}.{quoted(table.contract.day)}"
    known = ", ".join(f"'{one}'" for one in sorted(one for one in within if one is not None))
    return f"({day} = ANY (ARRAY[{known}]::date[]){f' OR {day} IS NULL' if None in within else ''})"
