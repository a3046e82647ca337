"""What computes: a small interface, so that another engine can take DuckDB's place.

Belongs here: what the rest of the package may ask of an engine. Does not belong here: how one does it (`duckdb`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from ibis.expr.types import Table

ROW_NUMBER = "row_number"
MALFORMED = "malformed"
FILE = "file"
FILE_DAY = "file_day"
ORDER = "order"
PREFIX = "ours__"
"""Put before the names above where they stand beside delivered columns, which may be called anything."""


@dataclass(frozen=True)
class WrittenFile:
    """Describe one Parquet file that the engine wrote.

    Attributes:
        path: Its path or URL.
        rows: Rows in it.
        size: Bytes.
        day: The day that all of its rows belong to; None in a table without days.
    """

    path: str
    rows: int
    size: int
    day: dt.date | None


@dataclass(frozen=True)
class Written:
    """Hold the files of one write, and the query that made them."""

    files: tuple[WrittenFile, ...]
    sql: str


@dataclass(frozen=True)
class CleanFile:
    """Describe one delivered file, made readable.

    Attributes:
        path: A local file: UTF-8 text, or Parquet.
        name: The name under which its rows remember it.
        kind: How to read it. `csv`: strictly; `parquet` turns every value into the text that a CSV would hold;
            `text` is Parquet that already holds text, row numbers and malformed rows; `jsonl` is a JSON object a line.
        columns: The columns of a CSV file, in order.
        records: How many rows a text file has by the count of its line ends; None where its quotes do not pair up.
        day: The day in its name, if any.
        delimiter: Of a CSV file.
        quote: Of a CSV file.
    """

    path: Path
    name: str
    kind: str
    columns: tuple[str, ...] = ()
    records: int | None = None
    day: dt.date | None = None
    delimiter: str = ","
    quote: str = '"'


class UnreadableError(Exception):
    """Say that the engine cannot read a file, and why."""


class Engine(Protocol):
    """Compute Ibis expressions over files.

    Attributes:
        seconds: Time spent inside the engine so far.
    """

    seconds: float

    def table(self, name: str, files: Sequence[str], types: Mapping[str, str], day: str | None) -> Table:
        """Return the rows of Parquet files as a table; `day` is the column that their folders' names carry.

        Raises:
            LakeError: Where the files lack a column.
        """

    def new_delivery(self, name: str, columns: Sequence[str]) -> str:
        """Make a temporary table for delivered rows, with these columns and `ours__` provenance; return its name."""

    def append(self, name: str, file: CleanFile, columns: Sequence[str]) -> None:
        """Read a delivered file once, as text, into such a table; all of it, or none and an UnreadableError."""

    def append_batches(self, name: str, file: str, batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> None:
        """Take a stream of Arrow batches into such a table, which nothing else goes into; memory stays bounded.

        Args:
            name: The table.
            file: The name under which the rows remember their file, followed by `/` and the day where they have one.
            batches: Rows with these columns as text, `ours__row_number` and `ours__file_day`; all of one schema.
                What goes wrong in the stream is raised as it is.
            columns: The delivered columns.
        """

    def delivery(self, name: str) -> Table:
        """Return such a table."""

    def columns(self, file: CleanFile) -> tuple[str, ...]:
        """Return the names of the columns that a delivered file has."""

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """Compute a small table."""

    def frame(self, expression: Table) -> pd.DataFrame:
        """Compute a small table as a pandas frame, for drawing: decimals as floats, dates as instants."""

    def batches(self, expression: Table) -> Iterator[pa.RecordBatch]:
        """Compute a table as a stream of Arrow batches; memory stays bounded."""

    def write(self, expression: Table, folder: str, day: str | None, stem: str, *, together: bool = False) -> Written:
        """Compute a table into Parquet files in a folder, a subfolder a day where `day` names a column.

        Args:
            expression: The table.
            folder: The folder.
            day: The column that the rows are kept by.
            stem: What the files' names begin with.
            together: Write one file a day, of rows that come by day.
        """

    def fingerprint(self, table: Table) -> str:
        """Return a hash of a table's rows that does not depend on their order."""

    def drop(self, name: str) -> None:
        """Forget a temporary table."""

    def close(self) -> None:
        """Let go of memory and temporary files."""
