"""DuckDB, in process: the engine of one machine.

Belongs here: every DuckDB call. Does not belong here: Delta (`tables`) and what a table means.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics_assets.lake.engine import (
    FILE,
    FILE_DAY,
    MALFORMED,
    ORDER,
    PREFIX,
    ROW_NUMBER,
    CleanFile,
    UnreadableError,
    Written,
    WrittenFile,
)
from analytics_assets.lake.errors import LakeError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from fsspec import AbstractFileSystem
    from ibis.expr.types import Table

_LONGEST_LINE = 1 << 25
_SURPLUS = "\x01one more"
_NOT_IN_PARALLEL = "does not support null_padding in conjunction with quoted new lines"
_OPEN_FILES = 200
_MAX_ROWS = 1 << 40
_ROWS_A_BATCH = 65_536
_ROWS_AT_ONCE = 1 << 20
_UPLOADS = 8  # at once: each file is in memory on its way


@dataclass(frozen=True)
class _Delivered:
    """Hold the SQL of a file's columns as text, of its row numbers, of what is malformed, and of its rows."""

    values: Mapping[str, str]
    row_number: str
    malformed: str
    rows: str


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"


def _as_text(name: str, kind: str) -> str:
    """Return the SQL that shows a typed value as the text that a CSV would hold."""
    column = _quoted(name)
    if kind in {"FLOAT", "DOUBLE"}:
        # an id that passed through a spreadsheet comes as 17850.0, and is 17850
        whole = f"{column} = floor({column}) AND abs({column}) < 9007199254740992"
        return f"CASE WHEN {whole} THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
    if kind == "BLOB":
        return f"hex({column})"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"


def _compiler() -> Any:  # noqa: ANN401 - Ibis gives compilers no public type
    """Return Ibis's compiler, which here computes a table without some columns once, however often it is used.

    Ibis makes a common table expression of a selection that is used twice, and forgets to do so where columns are
    dropped: what they are dropped from is then computed for every use.
    """
    import ibis.expr.operations as ops
    from ibis.backends.sql.compilers.duckdb import DuckDBCompiler
    from ibis.common.patterns import pattern, replace

    @replace(pattern(ops.DropColumns))  # type: ignore[untyped-decorator]
    def selected(_: Any, **kwargs: Any) -> ops.Project:  # noqa: ANN401, ARG001
        return ops.Project(_.parent, _.values)

    class Compiler(DuckDBCompiler):  # type: ignore[misc]
        rewrites = (selected, *DuckDBCompiler.rewrites)

    return Compiler()


class DuckDBEngine:
    """Compute with DuckDB in this process, its session pinned to UTC.

    Args:
        memory: The most memory that it may use, such as `4GB`; beyond it, work goes to the temporary folder.
        threads: How many threads; None for all cores.
        folder: Where the temporary folder is made; None for the system's.
    """

    def __init__(self, memory: str, threads: int | None = None, folder: Path | None = None) -> None:
        import ibis

        # one SELECT a step: fused, an expression that is used ten times is computed ten times
        ibis.options.sql.fuse_selects = False
        self.seconds = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="analytics_assets_", dir=folder)
        self._names = 0
        self._files = 0
        self._views: dict[str, str] = {}
        self._systems: dict[str, AbstractFileSystem] = {}
        settings: dict[str, Any] = {"memory_limit": memory, "temp_directory": self._folder.name}
        if threads is not None:
            settings["threads"] = threads
        self.backend = ibis.duckdb.connect(**settings)
        self.backend.compiler = _compiler()
        for statement in (
            "SET TimeZone = 'UTC'",
            "SET enable_progress_bar = false",  # it would stand between the lines of what a command prints
            f"SET partitioned_write_max_open_files = {_OPEN_FILES}",
            # files of the lake never change, and a table kept by day has one for each
            "SET parquet_metadata_cache = true",
        ):
            self.backend.raw_sql(statement)

    @contextmanager
    def _clock(self) -> Iterator[None]:
        import duckdb

        started = time.perf_counter()
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise LakeError(
                f"the engine ran out of memory: {_first_line(error)}. Raise ANALYTICS_MEMORY, free space for temporary "
                "files, or run fewer days at a time."
            ) from error
        finally:
            self.seconds += time.perf_counter() - started

    def _run(self, statement: str) -> list[tuple[Any, ...]]:
        with self._clock():
            return list(self.backend.con.execute(statement).fetchall())

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Let one thread do the work: each has its own files."""
        ((threads,),) = self._run("SELECT current_setting('threads')")
        self._run("SET threads = 1")
        try:
            yield
        finally:
            self._run(f"SET threads = {threads}")

    def _query(self, expression: Table) -> str:
        """Return the SQL of an expression, with its in-memory tables in place, as Ibis has them when it executes."""
        with self._clock():
            self.backend._run_pre_execute_hooks(expression)  # noqa: SLF001
        return str(self.backend.compile(expression, pretty=True))

    def _new_name(self, name: str) -> str:
        self._names += 1
        return f"{name}_{self._names}"

    @contextmanager
    def _bucket(self, url: str) -> Iterator[AbstractFileSystem]:
        """Reach a URL through fsspec, which DuckDB then reads it by; credentials come from the environment."""
        import fsspec

        protocol = url.partition("://")[0]
        try:
            with self._clock():
                if protocol not in self._systems:
                    # DuckDB asks for the ranges that it needs: what is read ahead of them is read in vain
                    system = fsspec.filesystem(protocol, default_cache_type="none", skip_instance_cache=True)
                    self.backend.con.register_filesystem(system)
                    # a file of the lake never changes: what was read of it is not asked for again
                    self.backend.raw_sql("SET validate_external_file_cache = 'NO_VALIDATION'")
                    self._systems[protocol] = system
                yield self._systems[protocol]
        except ImportError as error:
            raise LakeError(f"cannot reach {url}: {error}. Run pip install 'analytics-assets[{protocol}]'.") from error
        except Exception as error:  # every kind of storage has its own exceptions
            raise LakeError(
                f"cannot reach {url}: {_first_line(error)}. Check the bucket's name, the rights on it, and the AWS_* "
                "variables, then run the days again."
            ) from error

    def _list(self, files: Sequence[str]) -> None:
        """Ask once about the files in a bucket, which is remembered: DuckDB asks a dozen times about each."""
        folders = [file.partition("://")[2].rpartition("/")[0] for file in files]
        with self._bucket(files[0]) as system:
            system.find(os.path.commonpath(folders))

    def _upload(self, files: Sequence[WrittenFile], source: str, folder: str) -> tuple[WrittenFile, ...]:
        """Move files that were written to a local folder to a bucket, several at once."""
        moved = tuple(replace(file, path=folder + file.path.removeprefix(source)) for file in files)
        with self._bucket(folder) as system:
            system.put([file.path for file in files], [file.path for file in moved], batch_size=_UPLOADS)
        shutil.rmtree(source)
        return moved

    def table(self, name: str, files: Sequence[str], types: Mapping[str, str], day: str | None) -> Table:
        """Return the rows of Parquet files as a table; see `Engine.table`."""
        import duckdb
        import ibis
        import ibis.expr.operations as ops

        if not files:
            return ibis.memtable([], schema=ibis.schema(dict(types)))
        if "://" in files[0]:
            self._list(files)
        hive = (
            f", hive_partitioning = true, hive_types = {{{_quoted(day)}: DATE}}"
            if day
            else ", hive_partitioning = false"
        )
        columns = ", ".join(map(_quoted, types))
        query = f"SELECT {columns} FROM read_parquet({_list(list(files))}{hive})"  # noqa: S608
        if query not in self._views:
            view = self._new_name(name)
            try:
                self._run(f"CREATE VIEW {_quoted(view)} AS {query}")
            except duckdb.BinderException as error:
                raise LakeError(f"files of {name} are of another contract: {_first_line(error)}") from error
            self._views[query] = view
        # the types are known: asking the engine for those of every view takes as long as making it
        schema = ibis.schema(dict(types))
        rows: Table = ops.DatabaseTable(self._views[query], schema, self.backend, ops.Namespace()).to_expr()
        return rows

    def rows(self, expression: Table) -> list[dict[str, Any]]:
        """Compute a small table; see `Engine.rows`."""
        with self._clock():
            answer: list[dict[str, Any]] = self.backend.to_pyarrow(expression).to_pylist()
        return answer

    def frame(self, expression: Table) -> pd.DataFrame:
        """Compute a small table as a pandas frame; see `Engine.frame`."""
        import pyarrow as pa

        with self._clock():
            found = self.backend.to_pyarrow(expression)
        types = [pa.float64() if pa.types.is_decimal(field.type) else field.type for field in found.schema]
        plain = found.cast(pa.schema(list(zip(found.schema.names, types, strict=True))))
        frame: pd.DataFrame = plain.to_pandas(date_as_object=False)
        return frame

    def batches(self, expression: Table) -> Iterator[pa.RecordBatch]:
        """Compute a table as a stream; see `Engine.batches`."""
        with self._clock():
            yield from self.backend.to_pyarrow_batches(expression, chunk_size=_ROWS_A_BATCH)

    def write(self, expression: Table, folder: str, day: str | None, stem: str, *, together: bool = False) -> Written:
        """Compute a table into Parquet files; see `Engine.write`."""
        import duckdb

        query = self._query(expression)
        options = "FORMAT parquet, COMPRESSION zstd, RETURN_STATS"
        # one file after the other into a bucket takes five round trips each
        place = f"{self._folder.name}/{stem}" if "://" in folder else folder
        if day:
            target, options = (
                place,
                f"{options}, PARTITION_BY ({_quoted(day)}), FILENAME_PATTERN '{stem}-{{uuid}}', APPEND",
            )
        else:
            target = f"{place}/{stem}.parquet"
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
            with self._one_thread() if together else nullcontext():
                written = self._run(f"COPY ({query}) TO {_text(target)} ({options})")
        except (OSError, duckdb.IOException) as error:
            raise LakeError(
                f"cannot write to {place}: {_first_line(error)}. Give this user the right to write there and see that "
                "the disk is not full, or name another folder in ANALYTICS_LAKE."
            ) from error
        files = tuple(
            WrittenFile(path, rows, size, dt.date.fromisoformat(partition[day]) if day else None)
            for path, rows, size, _, _, partition in written
            if rows or not day
        )
        return Written(files if place == folder else self._upload(files, place, folder), query)

    def fingerprint(self, table: Table) -> str:
        """Return a hash of a table's rows that does not depend on their order; see `Engine.fingerprint`."""
        columns = ", ".join(map(_quoted, sorted(table.columns)))
        query = self._query(table)
        hashes = f"SELECT hash({columns}) AS h FROM ({query})"  # noqa: S608
        ((rows, total, mixed),) = self._run(f"SELECT count(*), sum(h::HUGEINT), bit_xor(h) FROM ({hashes})")  # noqa: S608
        return f"{rows}-{total or 0:x}-{mixed or 0:x}"

    def columns(self, file: CleanFile) -> tuple[str, ...]:
        """Return the names of the columns that a delivered file has; see `Engine.columns`."""
        match file.kind:
            case "csv":
                return file.columns
            case "jsonl":
                keys = "SELECT unnest(json_keys(object)) AS k"
                lines = f"{keys} FROM {self._lines(file)} WHERE json_type(object) = 'OBJECT'"
                return tuple(key for (key,) in self._run(f"SELECT DISTINCT k FROM ({lines}) ORDER BY k"))  # noqa: S608
            case _:
                described = self._parquet_columns(file)
                own = {ROW_NUMBER, MALFORMED} if file.kind == "text" else set()
                return tuple(name for name in described if name not in own)

    def _parquet_columns(self, file: CleanFile) -> dict[str, str]:
        import duckdb

        try:
            described = self._run(f"DESCRIBE SELECT * FROM read_parquet({_text(str(file.path))})")  # noqa: S608
        except duckdb.Error as error:
            raise UnreadableError(_first_line(error)) from error
        return {row[0]: row[1] for row in described}

    def new_delivery(self, name: str, columns: Sequence[str]) -> str:
        """Make a temporary table for delivered rows; see `Engine.new_delivery`."""
        table = self._new_name(f"delivered_{name}")
        own = {ORDER: "BIGINT", FILE: "VARCHAR", FILE_DAY: "DATE", ROW_NUMBER: "BIGINT", MALFORMED: "VARCHAR"}
        held = [f"{_quoted(column)} VARCHAR" for column in columns]
        held += [f"{PREFIX}{column} {kind}" for column, kind in own.items()]
        self._run(f"CREATE TEMP TABLE {_quoted(table)} ({', '.join(held)})")
        return table

    def append(self, name: str, file: CleanFile, columns: Sequence[str]) -> None:
        """Read a delivered file once, as text; see `Engine.append`."""
        import duckdb

        try:
            if file.kind != "csv":
                self._insert(name, file, columns, self._delivered(file))
                return
            try:
                self._insert(name, file, columns, self._csv(file, "null_padding = true"))
            except duckdb.Error as error:
                if _NOT_IN_PARALLEL not in str(error):
                    raise
                # read by one thread, the rest of a file after an unclosed quote would be lost: the plain scan finds it
                self._run(f"SELECT count(COLUMNS(*)) FROM {self._csv_scan(file, file.columns, 'null_padding = false')}")  # noqa: S608
                self._insert(name, file, columns, self._csv(file, "null_padding = true, parallel = false"))
        except duckdb.Error as error:
            raise UnreadableError(_first_line(error)) from error

    def _insert(self, name: str, file: CleanFile, columns: Sequence[str], delivered: _Delivered) -> None:
        self._files += 1
        order = f"{self._files} * {_MAX_ROWS}"
        day = f"DATE '{file.day}'" if file.day else "NULL"
        chosen = [delivered.values.get(column, "NULL") for column in columns]
        own = [f"{order} + {delivered.row_number}", _text(file.name), day, delivered.row_number, delivered.malformed]
        query = f"SELECT {', '.join([*chosen, *own])} FROM {delivered.rows}"  # noqa: S608
        ((inserted,),) = self._run(f"INSERT INTO {_quoted(name)} {query}")
        if file.kind in {"csv", "jsonl"} and inserted != file.records:
            self._run(f"DELETE FROM {_quoted(name)} WHERE {PREFIX}{ORDER} > {order}")  # noqa: S608
            raise UnreadableError(
                f"{inserted:,} rows were read, and its line ends make {file.records or 'an unclear number of'}"
            )

    def append_batches(self, name: str, file: str, batches: Iterable[pa.RecordBatch], columns: Sequence[str]) -> None:
        """Take a stream of Arrow batches into a delivery table; see `Engine.append_batches`."""
        import duckdb
        import pyarrow as pa

        # the days order the files, whatever order they come in
        day, row_number = PREFIX + FILE_DAY, PREFIX + ROW_NUMBER
        order = f"coalesce({day} - DATE '1970-01-01', 0) * {_MAX_ROWS} + {row_number}"
        files = f"{_text(file)} || coalesce('/' || {day}::VARCHAR, '')"
        chosen = [f"{_quoted(column)}::VARCHAR" for column in columns]
        selected = ", ".join([*chosen, order, files, day, row_number, "NULL"])
        failed: list[Exception] = []
        view, stream = self._new_name("batches"), _remembering(batches, failed)
        for first in stream:
            reader = pa.RecordBatchReader.from_batches(first.schema, _some(first, stream))
            self.backend.con.register(view, reader)
            try:
                self._run(f"INSERT INTO {_quoted(name)} SELECT {selected} FROM {_quoted(view)}")  # noqa: S608
            except duckdb.Error as error:
                raise (failed or [error])[0] from None
            finally:
                self.backend.con.unregister(view)

    def delivery(self, name: str) -> Table:
        """Return a table of delivered rows; see `Engine.delivery`."""
        return self.backend.table(name)

    def _csv_scan(self, file: CleanFile, columns: Sequence[str], more: str) -> str:
        types = ", ".join(f"{_text(column)}: 'VARCHAR'" for column in columns)
        return (
            f"read_csv({_text(str(file.path))}, auto_detect = false, header = true, delim = {_text(file.delimiter)}, "
            f"quote = {_text(file.quote)}, escape = {_text(file.quote)}, columns = {{{types}}}, nullstr = chr(0), "
            f"strict_mode = true, max_line_size = {_LONGEST_LINE}, buffer_size = {_LONGEST_LINE}, {more})"
        )

    def _csv(self, file: CleanFile, more: str) -> _Delivered:
        """Describe the strict scan of a CSV file.

        DuckDB passes over an empty value too many, so the scan looks for one column more than there is; and a row that
        is too short is padded, so the last column must hold something.
        """
        scan = self._csv_scan(file, [*file.columns, _SURPLUS], more)
        ragged = f"{_quoted(_SURPLUS)} IS NOT NULL OR {_quoted(file.columns[-1])} IS NULL"
        values = {column: _quoted(column) for column in file.columns}
        row_number = (
            f"CASE WHEN {ragged} THEN error('a row has too few or too many values') ELSE row_number() OVER () END"
        )
        return _Delivered(values, row_number, "NULL", scan)

    def _delivered(self, file: CleanFile) -> _Delivered:
        """Describe the scan of a file that is no CSV."""
        path = _text(str(file.path))
        match file.kind:
            case "jsonl":
                # a line that is no JSON object is a malformed row, with its text
                known = "json_type(object) = 'OBJECT'"
                values = {
                    column: f"CASE WHEN {known} THEN json_extract_string(object, {_text('/' + _pointer(column))}) END"
                    for column in self.columns(file)
                }
                malformed = f"CASE WHEN coalesce({known}, false) THEN NULL ELSE 'not a JSON object: ' || line END"
                return _Delivered(values, "row_number() OVER ()", malformed, self._lines(file))
            case "text":
                values = {column: _quoted(column) for column in self._parquet_columns(file)}
                return _Delivered(values, ROW_NUMBER, MALFORMED, f"read_parquet({path})")
            case _:
                values = {column: _as_text(column, kind) for column, kind in self._parquet_columns(file).items()}
                rows = f"read_parquet({path}, file_row_number = true)"
                return _Delivered(values, "file_row_number + 1", "NULL", rows)

    def _lines(self, file: CleanFile) -> str:
        """Return the SQL of a text file's lines, each beside the JSON that it is, null where it is none."""
        scan = (
            f"read_csv({_text(str(file.path))}, auto_detect = false, header = false, delim = '\x01', quote = '', "
            f"escape = '', columns = {{'line': 'VARCHAR'}}, nullstr = chr(0), max_line_size = {_LONGEST_LINE}, "
            f"buffer_size = {_LONGEST_LINE}, parallel = false)"
        )
        return f"(SELECT line, CASE WHEN json_valid(line) THEN line END AS object FROM {scan})"  # noqa: S608

    def drop(self, name: str) -> None:
        """Forget a temporary table; see `Engine.drop`."""
        self._run(f"DROP TABLE IF EXISTS {_quoted(name)}")

    def close(self) -> None:
        """Let go of memory and temporary files; see `Engine.close`."""
        self.backend.disconnect()
        self._folder.cleanup()


def _remembering(batches: Iterable[pa.RecordBatch], failed: list[Exception]) -> Iterator[pa.RecordBatch]:
    """Keep what goes wrong in a stream: the engine has only its words."""
    try:
        yield from batches
    except Exception as error:
        failed.append(error)
        raise


def _some(first: pa.RecordBatch, stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take as many batches as one statement should read: DuckDB holds most of them until it ends."""
    rows = first.num_rows
    yield first
    while rows < _ROWS_AT_ONCE and (batch := next(stream, None)) is not None:
        rows += batch.num_rows
        yield batch


def _pointer(key: str) -> str:
    """Escape a key for a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
