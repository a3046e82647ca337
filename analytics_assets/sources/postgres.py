"""The rows of a Postgres table or query: some days of it, as one moment shows them, as the text that the server prints.

Belongs here: what the server is asked, what bounds a day, and refusals in words. Does not belong here: connections
(`analytics_assets.postgres`), which columns there must be (`columns`), and what becomes of rows (`landing`).

Rows are ordered by `day_by`, then `order_by`, then by all of their columns as bytes: which row is the first depends on
what is in the rows, and not on where the server keeps them.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from analytics_assets.lake.engine import FILE_DAY, PREFIX, ROW_NUMBER, Engine
from analytics_assets.postgres import Database, Line, PostgresError, literal, open_line, quoted
from analytics_assets.project.model import Project
from analytics_assets.project.postgres import PostgresRows
from analytics_assets.sources.columns import refuse_alike, refuse_missing, refuse_unknown_exclusions
from analytics_assets.sources.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

    from analytics_assets.lake.days import Days

_GRACE_SECONDS = 15.0
"""How long after its own limit a server may be silent: it should have said that it gives up."""
_LOCK_SECONDS = 30
_DAYS_AT_ONCE = 31
"""Days of one statement: with more the server would sort more at once, with fewer it would look more often."""
_MINUTE = dt.timedelta(minutes=1)
_DAY = dt.timedelta(days=1)
_SHOWN = 20
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_ROWS = "delivered"


def read(
    name: str, project: Project, days: Days, engine: Engine, environment: Mapping[str, str]
) -> tuple[Table, tuple[str, ...], tuple[str, ...], int]:
    """Read a source's rows of some days, or all of them where nothing dates them; see `reading.read`."""
    source = project.sources[name]
    asked = source.postgres
    if asked is None:
        raise ValueError(f"{name} does not read Postgres")
    with _in_words(name, asked):
        database = _database(name, asked, environment)
        session = {
            "default_transaction_isolation": "repeatable read",
            "default_transaction_read_only": "on",
            "statement_timeout": f"{asked.timeout_s}s",
            "lock_timeout": f"{min(asked.timeout_s, _LOCK_SECONDS)}s",
            "IntervalStyle": "postgres",
            "bytea_output": "hex",
        }
        with open_line(database, asked.timeout_s + _GRACE_SECONDS, **session) as line:
            return _read(name, asked, project, days, engine, line)


def _read(
    name: str, asked: PostgresRows, project: Project, days: Days, engine: Engine, line: Line
) -> tuple[Table, tuple[str, ...], tuple[str, ...], int]:
    source = project.sources[name]
    if asked.table is not None:
        _refuse_absent(name, asked, line)
    kinds = _kinds(name, asked, line)
    columns = tuple(kinds)
    refuse_missing(name, source, f"source {name}: {asked.origin}", columns)
    refuse_unknown_exclusions(name, source, columns)
    cast = _refuse_undatable(name, asked, kinds)
    undated = _count_undated(asked, cast, line) if cast else 0
    statements: list[tuple[str, Days | None]] = []
    for part in _parts(days) if cast else ():
        zones = project.time_zone, source.time_zone or project.time_zone
        bounds = [f"{literal(_bound(day, cast, *zones))}::{cast}" for day in (*part, part.last + _DAY)]
        statements.append((_statement(asked, columns, bounds), part))
    statements = statements or [(_statement(asked, columns), None)]
    table = engine.new_delivery(name, columns)
    try:
        engine.append_batches(table, asked.what, _placed(line, statements, columns), columns)
    except BaseException:
        engine.drop(table)
        raise
    rows = engine.delivery(table)
    return rows, columns, _empty(asked, rows, days, engine), undated


@contextmanager
def _in_words(name: str, asked: PostgresRows) -> Iterator[None]:
    """Say what a server's refusal means to this source; what may pass is tried again."""
    try:
        yield
    except PostgresError as error:
        hints = {
            "57014": f"Put an index on {asked.day_by}, run fewer days at once, or raise `timeout_s`"
            if asked.day_by
            else "Say `day_by`, or raise `timeout_s`",
            "25006": "A source only reads: let its query change nothing",
            "42501": f"It has to be granted SELECT on {asked.what}" if asked.table else "",
        }
        of_query = "Mend `query`" if asked.query and error.state.startswith(("42", "0A", "22")) else ""
        hint = hints.get(error.state) or of_query
        message = f"source {name}: {error}" + (f" {hint}." if hint else "")
        raise (UnreachableError(message) if error.passing else SourceError(message)) from error


def _database(name: str, asked: PostgresRows, environment: Mapping[str, str]) -> Database:
    for key, variable in asked.variables.items():
        if not environment.get(variable):
            raise SourceError(
                f"source {name}: the environment variable {variable} is not set. Set it, put a file of that name into "
                f"the folder of secrets, or name another one in `{key}`."
            )
    password = environment[asked.password_env] if asked.password_env else None
    return Database.read(environment[asked.url_env], asked.url_env, password)


def _from(asked: PostgresRows) -> str:
    """Return what is read, as it stands after FROM; a query may end in a comment."""
    what = ".".join(map(quoted, asked.names)) if asked.names else f"(\n{asked.query}\n)"
    return f"{what} AS {_ROWS}"


def _column(name: str) -> str:
    return f"{_ROWS}.{quoted(name)}"


def _rows(line: Line, query: str) -> list[dict[str, Any]]:
    return [row for batch in line.batches(query) for row in batch.to_pylist()]


def _refuse_absent(name: str, asked: PostgresRows, line: Line) -> None:
    """Refuse a table that is not there, with those that are and are called alike."""
    regclass = literal(".".join(map(quoted, asked.names)))
    if _rows(line, f"SELECT to_regclass({regclass}) IS NOT NULL AS present")[0]["present"]:
        return
    found = _rows(
        line,
        "SELECT s.nspname::text AS schema, r.relname::text AS table FROM pg_class r "
        "JOIN pg_namespace s ON s.oid = r.relnamespace WHERE r.relkind IN ('r', 'v', 'm', 'f', 'p') "
        r"AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema' ORDER BY 1, 2",
    )
    there = {f"{_written(row['schema'])}.{_written(row['table'])}": row["table"] for row in found}
    named = asked.names[-1]
    alike = [written for written, table in there.items() if table.lower() == named.lower()]
    near = alike or difflib.get_close_matches(".".join(map(_written, asked.names)), there, n=1)
    near = near or [w for w, table in there.items() if table in difflib.get_close_matches(named, there.values(), n=1)]
    hint = f"Did you mean {near[0]}? " if near else ""
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    listed = f"There are: {', '.join(list(there)[:_SHOWN])}{more}." if there else "There is none in this database."
    raise SourceError(f"source {name}: there is no table {asked.table} at {line.database}. {hint}{listed}")


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else quoted(name)


def _kinds(name: str, asked: PostgresRows, line: Line) -> dict[str, pa.DataType]:
    """Name the columns that there are now, with their types."""
    fields = list(line.schema(f"SELECT {_ROWS}.* FROM {_from(asked)} LIMIT 0"))  # noqa: S608
    kinds = {field.name: field.type for field in fields}
    if len(kinds) < len(fields):
        twice = next(field.name for field in fields if [f.name for f in fields].count(field.name) > 1)
        raise SourceError(f"source {name}: its query gives two columns called '{twice}'. Call one otherwise.")
    if not kinds:
        raise SourceError(f"source {name}: {asked.what} has no column.")
    refuse_alike(name, kinds)
    return kinds


def _refuse_undatable(name: str, asked: PostgresRows, kinds: Mapping[str, pa.DataType]) -> str:
    """Refuse a column that is not there, or cannot date rows; return the SQL type of the one that does."""
    import pyarrow as pa

    for key, named in (("day_by", asked.day_by), *(("order_by", column) for column in asked.order_by)):
        if named is not None and named not in kinds:
            near = difflib.get_close_matches(named, kinds, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise SourceError(
                f"source {name}: {asked.origin} has no column '{named}', which `{key}` names. {hint}"
                f"The columns are: {', '.join(kinds)}."
            )
    if asked.day_by is None:
        return ""
    kind = kinds[asked.day_by]
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_date(kind):
        return "date"
    raise SourceError(
        f"source {name}: '{asked.day_by}', which `day_by` names, is no timestamp and no date. Name one that "
        "is, or make one in a query, such as to_timestamp(...) of seconds."
    )


def _parts(days: Days) -> Iterator[Days]:
    first = days.first
    while first <= days.last:
        last = min(first + (_DAYS_AT_ONCE - 1) * _DAY, days.last)
        yield type(days)(first, last)
        first = last + _DAY


def _bound(day: dt.date, cast: str, reporting: str, written: str) -> str:
    """Return where a day begins in a column: a date, an instant, or what clocks showed where times were written."""
    if cast == "date":
        return day.isoformat()
    midnight = dt.datetime.combine(day, dt.time(), ZoneInfo(reporting)).astimezone(dt.UTC)
    if cast == "timestamptz":
        return midnight.isoformat(" ")
    zone = ZoneInfo(written)
    # a time that clocks showed twice is the first of the two, so it is before a day that begins in the second hour
    while midnight.astimezone(zone).fold:
        midnight += _MINUTE
    return midnight.astimezone(zone).replace(tzinfo=None).isoformat(" ")


def _statement(asked: PostgresRows, columns: Sequence[str], bounds: Sequence[str] = ()) -> str:
    """Return the query of some days, each row with the place of its day among them; or of all rows.

    The column that dates rows is compared as it is, so that an index on it serves.
    """
    texts = [f'{_column(name)}::text COLLATE "C" AS {quoted(name)}' for name in columns]
    order = [_column(name) for name in ([asked.day_by] if asked.day_by else []) + asked.order_by]
    where = ""
    if asked.day_by:
        at = _column(asked.day_by)
        texts.insert(0, f"width_bucket({at}, ARRAY[{', '.join(bounds)}])::int AS {quoted(PREFIX + FILE_DAY)}")
        where = f" WHERE {at} >= {bounds[0]} AND {at} < {bounds[-1]}"
    order += [str(place + 1) for place in range(len(texts) - len(columns), len(texts))]
    return f"SELECT {', '.join(texts)} FROM {_from(asked)}{where} ORDER BY {', '.join(order)}"  # noqa: S608


def _count_undated(asked: PostgresRows, cast: str, line: Line) -> int:
    at = _column(asked.day_by or "")
    never = f"{at} IS NULL OR {at} = 'infinity'::{cast} OR {at} = '-infinity'::{cast}"
    return int(_rows(line, f"SELECT count(*) AS n FROM {_from(asked)} WHERE {never}")[0]["n"])  # noqa: S608


def _placed(
    line: Line, statements: Sequence[tuple[str, Days | None]], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Stream the rows of statements, each with its day and its number in it, counted from 1."""
    import numpy as np
    import pyarrow as pa

    own = [pa.field(PREFIX + ROW_NUMBER, pa.int64()), pa.field(PREFIX + FILE_DAY, pa.date32())]
    schema = pa.schema([*(pa.field(name, pa.string()) for name in columns), *own])
    for query, days in statements:
        known = pa.array([None] if days is None else list(days), pa.date32())
        last_day, numbered = -1, 0
        for batch in line.batches(query):
            rows = batch.num_rows
            if not rows:
                continue
            texts = batch.columns if days is None else batch.columns[1:]
            place = np.zeros(rows, np.int64) if days is None else batch.column(0).to_numpy().astype(np.int64) - 1
            every = np.arange(rows)
            begins = np.maximum.accumulate(np.where(np.diff(place, prepend=place[0]) != 0, every, 0))
            numbers = every - begins + 1
            if place[0] == last_day:
                numbers[begins == 0] += numbered
            last_day, numbered = int(place[-1]), int(numbers[-1])
            yield pa.RecordBatch.from_arrays([*texts, pa.array(numbers), known.take(pa.array(place))], schema=schema)


def _empty(asked: PostgresRows, rows: Table, days: Days, engine: Engine) -> tuple[str, ...]:
    """Name the days without a row, or a table without any."""
    found = {row["day"] for row in engine.rows(rows.select(day=PREFIX + FILE_DAY).distinct())}
    if asked.day_by is None:
        return () if found else (asked.what,)
    return tuple(f"{asked.what}/{day}" for day in days if day not in found)
