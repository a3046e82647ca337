"""The files of a source: found, fetched, and made readable for the engine.

Belongs here: paths, wildcards, days in names, and the columns that each file has. Does not belong here: which columns
there must be (`columns`), what is in a file's rows (`landing`) and bytes (`text`).
"""

from __future__ import annotations

import datetime as dt
import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.lake.engine import FILE, PREFIX, CleanFile, Engine, UnreadableError
from analytics_assets.project.model import DAY_IN_PATH, Source
from analytics_assets.sources.columns import refuse_alike, refuse_missing, refuse_unknown_exclusions
from analytics_assets.sources.errors import SourceError, unread
from analytics_assets.sources.text import CsvDialect, as_utf8, count_records, csv_header, fetch, read_csv_carefully

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.lake.days import Days

_WILDCARD = re.compile(r"[*?\[{]")


def find(name: str, source: Source, days: Days) -> tuple[tuple[str, dt.date | None], ...]:
    """List the files that a source delivered on some days, each with the day in its name.

    Raises:
        SourceError: Where a file is missing and the source is not optional.
    """
    if source.day_form is None:
        found = [(url, None) for url in _matching(source.origin)]
        if not found and not source.optional:
            raise SourceError(
                f"source {name}: no file {source.origin}. Put it there, mend `path`, or say `optional: true`."
            )
        return tuple(found)
    dated: list[tuple[str, dt.date | None]] = []
    missing: list[str] = []
    for day in days:
        path = DAY_IN_PATH.sub(day.strftime(source.day_form), source.origin)
        files = _matching(path)
        missing += [] if files else [path]
        dated += [(url, day) for url in files]
    if missing and not source.optional:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SourceError(
            f"source {name}: no file {missing[0]}{more}. Have it delivered, run other days, or say `optional: true`."
        )
    return tuple(dated)


def _matching(path: str) -> list[str]:
    if "://" not in path:
        return sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else [path] * Path(path).is_file()  # noqa: PTH207
    import fsspec

    protocol = path.split("://", maxsplit=1)[0]
    try:
        system, _ = fsspec.url_to_fs(path, use_listings_cache=False)  # a process may live on when new files come
        found = system.glob(path) if glob.has_magic(path) else [path] * bool(system.exists(path))
    except (OSError, ImportError, ValueError) as error:
        told = f"{path}: it cannot be looked for: {error}. Check the URL, the rights and the network."
        raise unread(told, error) from error
    return sorted(url if "://" in url else f"{protocol}://{url.lstrip('/')}" for url in map(str, found))


def _short(url: str, source: Source) -> str:
    """Name a file by what follows the fixed part of the source's path, the same on every machine."""
    special = _WILDCARD.search(source.origin)
    fixed = source.origin[: special.start()] if special else source.origin
    return url.removeprefix(fixed[: fixed.rfind("/") + 1])


def make_readable(name: str, source: Source, days: Days, folder: Path) -> Iterator[CleanFile]:
    """Yield the files of some days as the engine can read them; copies, where any are needed, go to a folder."""
    for url, day in find(name, source, days):
        local = fetch(url, folder)
        file = CleanFile(local, _short(url, source), source.kind, day=day)
        if source.kind == "parquet":
            yield file
            continue
        clean = as_utf8(local, folder, source.encoding)
        dialect = CsvDialect(source.delimiter, source.quote)
        if source.kind == "jsonl":
            yield replace(file, path=clean, records=count_records(clean, quote=""))
            continue
        columns = csv_header(clean, dialect)
        records = count_records(clean, source.quote)
        rows = None if records is None else records - 1  # the header
        yield replace(file, path=clean, columns=columns, records=rows, delimiter=source.delimiter, quote=source.quote)


def _read_one(engine: Engine, name: str, file: CleanFile, columns: Sequence[str], folder: Path) -> None:
    try:
        engine.append(name, file, columns)
    except UnreadableError as error:
        if file.kind != "csv":
            raise SourceError(
                f"{file.name}: it cannot be read as {file.kind}: {error}. Have it delivered again, or mend `format`."
            ) from error
        # what a strict reader refuses is read row by row, so that no row is lost
        dialect = CsvDialect(file.delimiter, file.quote)
        careful = read_csv_carefully(file.path, file.columns, dialect, folder / f"{file.path.stem}_{id(file)}.parquet")
        engine.append(name, replace(file, path=careful, kind="text"), columns)


def read(
    name: str, source: Source, days: Days, engine: Engine, folder: Path
) -> tuple[Table, tuple[str, ...], tuple[str, ...]]:
    """Read a source's files of some days; see `reading.read`."""
    files = tuple(make_readable(name, source, days, folder))
    columns: dict[str, None] = {}
    for file in files:
        try:
            own = engine.columns(file)
        except UnreadableError as error:
            raise SourceError(
                f"{file.name}: it cannot be read as {file.kind}: {error}. Have it delivered again, or mend `format`."
            ) from error
        if own:
            refuse_missing(name, source, file.name, own)
        columns |= dict.fromkeys(own)
    if not columns:  # only files without even a header
        columns = dict.fromkeys(column for feed in source.feeds for column in feed.delivered_columns())
        columns |= dict.fromkeys(column for condition in source.excluded.values() for column in condition)
    refuse_unknown_exclusions(name, source, tuple(columns))
    refuse_alike(name, columns)
    table = engine.new_delivery(name, tuple(columns))
    for file in files:
        if file.kind != "csv" or file.columns:
            _read_one(engine, table, file, tuple(columns), folder)
    rows = engine.delivery(table)
    counted = {
        row["file"]: row["n"] for row in engine.rows(rows.group_by(file=PREFIX + FILE).aggregate(n=rows.count()))
    }
    return rows, tuple(columns), tuple(file.name for file in files if not counted.get(file.name))
