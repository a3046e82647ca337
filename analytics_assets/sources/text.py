"""Make delivered text readable: fetch a file, turn it into plain UTF-8, read CSV without losing a row.

Belongs here: bytes, encodings, compression and the CSV format. Does not belong here: tables, column mappings, types,
SQL, or the query engine that reads clean files fast. What that engine refuses is read by `read_csv_carefully`, which
keeps every row: one that cannot be split into the header's columns is kept together with the reason.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import re
import shutil
import uuid
import zlib
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from encodings.aliases import aliases
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TextIO

from analytics_assets.sources.errors import SourceError, unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

CHUNK_BYTES = 1 << 20
"""How much of a file is read at a time."""
BATCH_ROWS = 50_000
"""Rows are written when there are this many of them, or this much text in them."""
BATCH_CHARACTERS = 1 << 23
MAX_QUOTED_CHARACTERS = 1 << 24
"""A row that goes on over several lines for longer than this has an unclosed quote; a line may be of any length."""
ADDED_COLUMNS = ("row_number", "malformed")
"""What `read_csv_carefully` adds to the columns of the file."""

_MAX_VALUE = 2**31 - 1


@dataclass(frozen=True)
class CsvDialect:
    """How a CSV file separates and quotes its values; with an empty quote nothing is quoted."""

    delimiter: str = ","
    quote: str = '"'


def fetch(url: str, folder: Path, storage_options: Mapping[str, str] | None = None) -> Path:
    """Return a local path of the file: a local one as it is, any other streamed into folder under a unique name."""
    if "://" not in url:
        if not Path(url).is_file():
            raise SourceError(f"{url}: there is no such file; check the path and that the file was delivered")
        return Path(url)
    import fsspec

    address = url.partition("?")[0] if url.startswith(("http://", "https://")) else url
    local = _unique(folder, PurePosixPath(address).name)
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **(storage_options or {}))
        with filesystem.open(path, "rb") as source, local.open("wb") as copy:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
    except Exception as error:  # every kind of storage has its own exceptions
        local.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError):
            raise SourceError(f"{url}: there is no such file; check the URL and that the file was delivered") from error
        reason = f"{type(error).__name__}: {error}"
        raise unread(f"{url}: cannot be read ({reason}); check the URL and its storage options", error) from error
    return local


def as_utf8(path: Path, folder: Path, encoding: str = "utf-8") -> Path:
    r"""Return plain UTF-8 text of the file: the same path where it is that already, else a copy in folder.

    A copy is decompressed (gzip), decoded from `encoding` and has no BOM; a byte that cannot be decoded is shown as the
    text ``\xNN`` and a NUL as ``\x00``. Line ends stay as they are.
    """
    if not _is_text_codec(encoding):
        names = {name.replace("_", "-") for pair in aliases.items() for name in pair}
        near = difflib.get_close_matches(encoding.lower().replace("_", "-"), sorted(names))
        known = " or ".join(name for name in near if _is_text_codec(name)) or "a Python codec such as windows-1252"
        raise SourceError(f"{path}: the encoding {encoding!r} is not known; did you mean {known}?")
    named_gzip = path.suffix.lower() == ".gz"
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    if named_gzip and not is_gzip:
        raise SourceError(f"{path}: is named .gz but is empty or no gzip data; deliver it again or rename it")
    if codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"} and _is_clean_utf8(path):
        return path
    copy = _unique(folder, path.stem if named_gzip else path.name)
    try:
        with gzip.open(path) if is_gzip else path.open("rb") as source, copy.open("wb") as target:
            started = False
            for decoded in _decoded(source, encoding, "backslashreplace"):
                text = decoded if started else decoded.lstrip("\ufeff")
                started = started or bool(text)
                target.write(text.replace("\0", r"\x00").encode("utf-8", "backslashreplace"))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        copy.unlink()
        raise SourceError(f"{path}: the gzip data is broken or cut off ({error}); have it delivered again") from error
    except UnicodeError as error:  # UTF-16 and UTF-32 without BOM
        copy.unlink()
        raise SourceError(f"{path}: {error}; say its byte order in the encoding, such as utf-16-le") from error
    return copy


def csv_header(path: Path, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the column names of a UTF-8 file, without surrounding spaces; none for an empty file."""
    with _open_text(path) as lines:
        values, problem = next(iter(_Records(lines, dialect)), ((), None))
    if problem is not None:
        raise SourceError(f"{path}: in the header {problem}; correct the header or the quote character")
    names = tuple(value.strip() for value in values)
    if "" in names:
        places = ", ".join(str(place) for place, name in enumerate(names, 1) if not name)
        raise SourceError(f"{path}: no column name at position {places} of {list(names)}; name every column")
    lower = [name.lower() for name in names]
    repeated = [name for name in names if lower.count(name.lower()) > 1]
    if repeated:
        raise SourceError(f"{path}: column names that are the same (in any case): {', '.join(repeated)}; rename them")
    return names


def count_records(path: Path, quote: str) -> int | None:
    """Count the records of a well-formed UTF-8 file, header included; None where quotes do not pair up.

    Counted are the line ends outside of quotes, without blank lines, which is fast and independent of any parser: one
    that finds another number has lost rows, or the file is not well-formed.
    """
    import numpy as np

    records, in_quotes, at_end = 0, False, True
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            data = np.frombuffer(chunk, np.uint8)
            ends = (data == ord("\n")) | (data == ord("\r"))
            if quote and (in_quotes or quote.encode() in chunk):
                quoted = np.bitwise_xor.accumulate(data == ord(quote)) ^ in_quotes
                ends &= ~quoted
                in_quotes = bool(quoted[-1])
            records += int(np.count_nonzero(ends[1:] & ~ends[:-1])) + int(ends[0] and not at_end)
            at_end = bool(ends[-1])
    return None if in_quotes else records + (not at_end)


def read_csv_carefully(path: Path, columns: Sequence[str], dialect: CsvDialect, target: Path) -> Path:
    """Write every row of a UTF-8 file to Parquet as text, with its `row_number` and what is `malformed` about it.

    Malformed are a row with too few or too many values and a line that opens a quote without closing it: what fits is
    in its columns, and `malformed` has the text as delivered.
    """
    taken = [name for name in columns if name.lower() in ADDED_COLUMNS]
    if taken:
        raise SourceError(
            f"{path}: the reader adds columns named {', '.join(ADDED_COLUMNS)}; rename {', '.join(taken)}"
        )
    width = len(columns)
    rows: list[Sequence[str | None]] = []
    problems: list[str | None] = []
    with _open_text(path) as lines, _parquet(target, columns) as write:
        records = _Records(lines, dialect)
        data = iter(records)
        next(data, None)
        for values, problem in data:
            if problem is None and len(values) == width:
                rows.append(values)
                problems.append(None)
            else:
                rows.append([*values[:width], *[None] * (width - len(values))])
                problems.append(problem or f"{len(values)} values for {width} columns: {records.text()}")
            if len(rows) >= BATCH_ROWS or records.characters >= BATCH_CHARACTERS:
                write(rows, problems)
                rows, problems, records.characters = [], [], 0
        if rows:
            write(rows, problems)
    return target


class _Records:
    """The records of CSV text as (values, None), or as (values, problem) for a line that opens a quote for good.

    A quote that is never closed makes a CSV parser take all that follows for one value. Such a record shows itself:
    it goes on over its first line, then breaks the rules of quoting, or never ends. Its first line alone is given as
    the record, and the lines after it are parsed again.
    """

    def __init__(self, lines: Iterable[str], dialect: CsvDialect) -> None:
        self._lines = iter(lines)
        self._dialect = dialect
        self._tight = _space_remover(dialect)
        self._again: deque[str] = deque()
        self._held: list[str] = []
        self.characters = 0

    def __iter__(self) -> Iterator[tuple[Sequence[str], str | None]]:
        while True:
            try:
                for values in _parser(self._feed(), self._dialect, strict=True):
                    if values:
                        yield values, None
                    self._held.clear()
            except csv.Error:
                self._again.extendleft(reversed(self._held[1:]))
                del self._held[1:]
                feed = iter((self._tight(self.text(), ""), ""))
                values = next(_parser(feed, self._dialect, strict=False))
                closed = next(feed, None) is not None
                yield values, None if closed else f"a quote is opened and never closed: {self.text()}"
                self._held.clear()
            else:
                return

    def text(self) -> str:
        """Return the present record as delivered."""
        return "".join(self._held).rstrip("\r\n")

    def _feed(self) -> Iterator[str]:
        size = 0
        while line := self._again.popleft() if self._again else next(self._lines, ""):
            size = size + len(line) if self._held else len(line)
            if self._held and size > MAX_QUOTED_CHARACTERS:
                self._again.appendleft(line)
                return
            tight = self._tight(line, self._dialect.quote if self._held else "")
            self._held.append(line)
            self.characters += len(line)
            yield tight


def _parser(lines: Iterable[str], dialect: CsvDialect, *, strict: bool) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_VALUE)
    if not dialect.quote:
        return csv.reader(lines, delimiter=dialect.delimiter, quotechar=None, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=strict)


def _space_remover(dialect: CsvDialect) -> Callable[[str, str], str]:
    """Give a function that takes the spaces around quoted values out of a line, given the quote open where it begins.

    The csv module takes them for a part of the value, or for an error. The query engine does not, and both have to
    give the same values: one space before the opening quote and any after the closing one do not count.
    """
    if not dialect.quote or " " in (dialect.quote, dialect.delimiter):
        return lambda line, _: line
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    before, after = f" {dialect.quote}", f"{dialect.quote} "
    inner = f"[^{quote}]*+(?:{quote} *+{quote}[^{quote}]*+)*+"
    quoted = rf" ?{quote}({inner})(?:({quote}) *+(?=[{delimiter}\r\n]|\Z)|\Z)"
    field = re.compile(rf"{quoted}|[^{delimiter}]+")
    pair = re.compile(f"{quote}( *+){quote}")
    # a line with such spaces has one of these: an odd run of quotes, or an even one at the start of a value, and spaces
    even, end = f"(?:{quote}{quote})", rf"(?=[{quote}{delimiter}\r\n]|\Z)"
    signs = (
        re.compile(f"{quote}(?<!{quote}{quote}){even}*+ +{end}"),
        re.compile(f"{delimiter} ?{even}++ +{end}"),
        re.compile(rf"{delimiter} (?:{quote}{even}*+(?!{quote})|{even}++(?=[ {delimiter}\r\n]|\Z))"),
    )

    def tight(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        return dialect.quote + pair.sub(lambda quotes: quotes[1] or quotes[0], match[1]) + (match[2] or "")

    def remove(line: str, opened: str) -> str:
        if (before in line or after in line) and any(sign.search(dialect.delimiter + line) for sign in signs):
            return field.sub(tight, opened + line)[len(opened) :]
        return line

    return remove


@contextmanager
def _parquet(
    target: Path, columns: Sequence[str]
) -> Iterator[Callable[[Sequence[Sequence[str | None]], Sequence[str | None]], None]]:
    """Give a function that appends rows; the target appears only when all of them are written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [*[pa.string()] * len(columns), pa.int64(), pa.string()]
    schema = pa.schema(list(zip((*columns, *ADDED_COLUMNS), types, strict=True)))
    partial = target.with_name(f"{target.name}.partial")
    written = 0

    def write(rows: Sequence[Sequence[str | None]], problems: Sequence[str | None]) -> None:
        nonlocal written
        numbers = range(written + 1, written + len(rows) + 1)
        arrays = [
            pa.array(*column) for column in zip((*zip(*rows, strict=True), numbers, problems), types, strict=True)
        ]
        writer.write_batch(pa.record_batch(arrays, schema=schema))
        written += len(rows)

    try:
        with pq.ParquetWriter(partial, schema) as writer:
            yield write
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _open_text(path: Path) -> TextIO:
    return path.open(encoding="utf-8", newline="")


def _is_text_codec(encoding: str) -> bool:
    try:
        b"a".decode(encoding, "backslashreplace")
    except (LookupError, ValueError):
        return False
    return True


def _is_clean_utf8(path: Path) -> bool:
    started = False
    with path.open("rb") as file:
        try:
            for text in _decoded(file, "utf-8", "strict"):
                if "\0" in text or (not started and text.startswith("\ufeff")):
                    return False
                started = started or bool(text)
        except UnicodeDecodeError:
            return False
    return True


def _decoded(source: BinaryIO | gzip.GzipFile, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    while chunk := source.read(CHUNK_BYTES):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _unique(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{uuid.uuid4().hex}-{name[-100:]}"
