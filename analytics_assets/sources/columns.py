"""The delivered columns of a source, held against those that its feeds and exclusions speak of.

Belongs here: refusals by the names of columns, the same for every kind of source. Does not belong here: finding out
which columns there are (`files`, `reading`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from analytics_assets.project.model import Source
from analytics_assets.sources.errors import SourceError


def refuse_missing(name: str, source: Source, where: str, own: Sequence[str]) -> None:
    """Refuse a feed that names a column which what is delivered there does not have."""
    for number, feed in enumerate(source.feeds):
        for column in feed.delivered_columns():
            if column not in own:
                raise SourceError(_no_column(where, column, f"feed {number} of source {name}", own))


def refuse_unknown_exclusions(name: str, source: Source, columns: Sequence[str]) -> None:
    """Refuse an exclusion by a column that is delivered nowhere: the rows that it means would count."""
    for why, condition in source.excluded.items():
        for column in condition:
            if column not in columns:
                raise SourceError(_no_column(f"source {name}", column, f"excluded.{why}", columns))


def _no_column(where: str, column: str, who: str, own: Sequence[str]) -> str:
    near = difflib.get_close_matches(column, own, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{where}: there is no column '{column}', which {who} names. {hint}The columns are: {', '.join(own)}."


def refuse_alike(name: str, columns: Iterable[str]) -> None:
    """Refuse columns whose names differ only in case: the engine takes them for one."""
    spelt: dict[str, str] = {}
    for column in columns:
        if (other := spelt.setdefault(column.lower(), column)) != column:
            raise SourceError(
                f"source {name}: the columns '{other}' and '{column}' differ only in case. Have them spelt alike, "
                "or read them by two sources."
            )
