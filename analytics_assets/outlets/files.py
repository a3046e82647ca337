"""Released tables as CSV files, for spreadsheets and BI tools that read files.

Belongs here: how a table is written as text, and that a reader sees a whole file. Does not belong here: which tables
(`exports` in `project.yaml`).

The text is RFC 4180 in UTF-8 with a header, rows by key: dates as 2025-01-31, instants as ISO 8601 in UTC, decimals as
they are, true and false, a missing value as nothing.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_assets.contracts.model import Contract
from analytics_assets.lake.errors import LakeError

if TYPE_CHECKING:
    from analytics_assets.lake.releases import Release
    from analytics_assets.lake.tables import Lake


def write_csv(
    lake: Lake, release: Release, contracts: Mapping[str, Contract], tables: Iterable[str], folder: Path
) -> dict[str, Path]:
    """Write tables of a release into a folder, each as NAME.csv; a file is replaced as a whole.

    Returns:
        The file of each table that the release has.

    Raises:
        LakeError: Where the folder or a file cannot be written.
    """
    written = {}
    for name in tables:
        if name not in release.versions or name not in contracts:
            continue
        contract = contracts[name]
        rows = lake.read(contract, version=release.versions[name]).order_by(list(contract.key))
        path, fresh = folder / f"{name}.csv", folder / f".{name}.csv.new"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\r\n")
                writer.writerow([column.name for column in contract.columns])
                for batch in lake.engine.batches(rows):
                    writer.writerows(map(texts, zip(*(column.to_pylist() for column in batch.columns), strict=True)))
            fresh.replace(path)
        except OSError as error:
            told = f"{path} cannot be written: {error.strerror}. Name another folder in ANALYTICS_EXPORTS."
            raise LakeError(told) from error
        written[name] = path
    return written


def texts(row: Iterable[Any]) -> list[str]:
    """Give the values of a row as a CSV file holds them.

    >>> texts([dt.datetime(2025, 1, 31, 9, tzinfo=dt.UTC), dt.date(2025, 1, 31), True, None, 1.5])
    ['2025-01-31T09:00:00+00:00', '2025-01-31', 'true', '', '1.5']
    """
    return [_text(value) for value in row]


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column may hold
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return value.isoformat() if isinstance(value, dt.date) else str(value)
