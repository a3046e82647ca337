"""Tables made by hand, and an engine that computes what is asked of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from ibis.expr.types import Table

from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.engine import Engine
from analytics_assets.project.model import Project, Source


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Give an engine, one for all tests: it keeps nothing between them."""
    opened = DuckDBEngine(memory="500MB", threads=1)
    yield opened
    opened.close()


def table(types: Contract | Mapping[str, str], *records: Mapping[str, Any]) -> Table:
    """Make a table of a contract's columns, or of names and types; what a record does not say is null."""
    kinds = {column.name: column.type for column in types.columns} if isinstance(types, Contract) else dict(types)
    rows = []
    for record in records:
        assert record.keys() <= kinds.keys(), record.keys() - kinds.keys()
        rows.append({name: _plain(record.get(name), kind) for name, kind in kinds.items()})
    return ibis.memtable(pa.Table.from_pylist(rows, schema=ibis.schema(kinds).to_pyarrow()))


def _plain(value: Any, kind: str) -> Any:
    return Decimal(str(value)) if kind.startswith("decimal") and value is not None else value


def day(number: int) -> dt.date:
    """Give a day of March 2024, a month that begins on a Friday."""
    return dt.date(2024, 3, number)


def at(text: str) -> dt.datetime:
    """Give an instant of March 2024: `05 10:30` is the fifth at half past ten in UTC."""
    return dt.datetime.fromisoformat(f"2024-03-{text}").replace(tzinfo=dt.UTC)


def source(*feeds: Mapping[str, Any], **says: Any) -> Source:
    """Declare a source of CSV files."""
    return Source.model_validate({"path": "rows.csv", "format": "csv", "feeds": feeds, **says})


def project(*sources: Source, **says: Any) -> Project:
    """Declare a project from March 2024 on; the sources are called s0, s1, ..."""
    named = {f"s{number}": declared for number, declared in enumerate(sources)}
    declared = {"name": "shop", "first_day": day(1), "folder": Path(), **says}
    return Project.model_validate({**declared, "sources": {}}).model_copy(update={"sources": named})


def feed(name: str, *columns: str, **says: Any) -> dict[str, Any]:
    """Declare a feed whose delivered columns are called as ours: those named, and all that are required."""
    required = [column.name for column in DELIVERED[name].columns if not column.nullable]
    return {"table": name, "columns": {column: column for column in dict.fromkeys((*required, *columns))}, **says}


def staged(name: str, *records: Mapping[str, Any]) -> Table:
    """Make a staged table, row by row of the first day's delivery; rows are kept unless they say otherwise."""
    provenance = {"delivery_day": day(1), "source": "s0", "feed": 0, "file": "f.csv", "rejected": []}
    rows = [{**provenance, "row_number": number, **record} for number, record in enumerate(records, 1)]
    return table(DELIVERED[name].staged(), *rows)


NOON = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)
"""When what is made by hand was released."""
