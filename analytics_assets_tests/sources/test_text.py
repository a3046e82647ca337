"""Delivered text becomes readable, and no row of it is lost, whatever bytes it is made of."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analytics_assets.sources import text
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.text import CsvDialect, as_utf8, count_records, csv_header, fetch, read_csv_carefully

COMMA = CsvDialect()

Written = Callable[[str | bytes], Path]
Row = tuple[object, ...]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(content: str | bytes, name: str = "delivered.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def _careful(path: Path, columns: Sequence[str], dialect: CsvDialect = COMMA) -> list[Row]:
    table = pq.read_table(read_csv_carefully(path, columns, dialect, path.with_suffix(".parquet")))
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


# --- fetch ------------------------------------------------------------------------------------------------------------


def test_local_file_is_used_where_it_is(written, tmp_path):
    path = written("a\n")
    assert fetch(str(path), tmp_path / "copies") == path
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("url", ["/no/such/place/events.csv", "memory://no/such/events.csv"])
def test_missing_file_is_named(url, tmp_path):
    with pytest.raises(SourceError, match=f"^{url}: there is no such file"):
        fetch(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_is_no_file(tmp_path):
    with pytest.raises(SourceError, match="there is no such file"):
        fetch(str(tmp_path), tmp_path)


def test_remote_files_of_one_name_get_copies_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "CHUNK_BYTES", 3)
    files = fsspec.filesystem("memory")
    files.pipe({"/one/events.csv.gz": b"first file", "/two/events.csv.gz": b"second"})
    one, two = (fetch(f"memory://{folder}/events.csv.gz", tmp_path / "copies") for folder in ("one", "two"))
    assert (one.read_bytes(), two.read_bytes()) == (b"first file", b"second")
    assert one != two
    assert one.name.endswith("events.csv.gz")
    assert {one.parent, two.parent} == {tmp_path / "copies"}


def test_storage_options_reach_the_storage(tmp_path, monkeypatch):
    given_options = {}

    def open_storage(url, **options):
        given_options.update(options)
        return fsspec.filesystem("memory"), "/o/events.csv"

    fsspec.filesystem("memory").pipe({"/o/events.csv": b"x"})
    monkeypatch.setattr(fsspec.core, "url_to_fs", open_storage)
    fetch("s3://o/events.csv", tmp_path, {"profile": "reader"})
    assert given_options == {"profile": "reader"}


def test_unknown_storage_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"^nosuch://x/events\.csv: cannot be read \(ValueError"):
        fetch("nosuch://x/events.csv", tmp_path)


def test_broken_off_copy_is_not_left_behind(tmp_path, monkeypatch):
    def break_off(source, copy, length):
        copy.write(source.read(2))
        raise ConnectionResetError("gone")

    fsspec.filesystem("memory").pipe({"/b/events.csv": b"half"})
    monkeypatch.setattr(text.shutil, "copyfileobj", break_off)
    with pytest.raises(SourceError, match=r"ConnectionResetError: gone"):
        fetch("memory://b/events.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- as_utf8 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize("content", [b"", b"a,b\r\n1,2\r3\n", "id\né ✓ 😀\n".encode()])
def test_clean_utf8_stays_where_it_is(written, tmp_path, monkeypatch, content, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    path = written(content)
    assert as_utf8(path, tmp_path / "copies") == path
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "encoding", "expected"),
    [
        pytest.param(b"caf\xe9,1\r\n", "utf-8", "caf\\xe9,1\r\n", id="latin-1 said to be utf-8"),
        pytest.param(b"caf\xe9 \x80\n", "windows-1252", "café €\n", id="windows-1252"),
        pytest.param(b"\x81\n", "windows-1252", "\\x81\n", id="undefined in windows-1252"),
        pytest.param("é\n".encode(), "windows-1252", "Ã©\n", id="as declared, though it is utf-8"),
        pytest.param("é ✓ 😀\n".encode("utf-16"), "utf-16", "é ✓ 😀\n", id="utf-16 with BOM"),
        pytest.param(codecs.BOM_UTF16_BE + "é😀".encode("utf-16-be"), "utf-16", "é😀", id="big-endian"),
        pytest.param("\ufeffé".encode("utf-16-le"), "utf-16-le", "é", id="BOM that the codec leaves"),
        pytest.param("a".encode("utf-16") + b"\x00\xd8", "utf-16", "a\\x00\\xd8", id="half a surrogate pair"),
        pytest.param(codecs.BOM_UTF8 + b"a\n", "utf-8", "a\n", id="utf-8 BOM"),
        pytest.param(codecs.BOM_UTF8 + b"a\n", "utf-8-sig", "a\n", id="utf-8-sig"),
        pytest.param(b"a\x00b\n", "utf-8", "a\\x00b\n", id="NUL"),
        pytest.param(b"a\xed\xa0\x80b", "utf-8", "a\\xed\\xa0\\x80b", id="surrogate in utf-8"),
        pytest.param(b"a +2AA-", "utf-7", "a \\ud800", id="surrogate that a codec lets through"),
        pytest.param("é".encode()[:1], "utf-8", "\\xc3", id="cut off inside a character"),
        pytest.param("日本\n".encode("shift-jis") + b"\x81", "shift-jis", "日本\n\\x81", id="shift-jis"),
    ],
)
def test_bytes_become_utf8_text(written, tmp_path, monkeypatch, content, encoding, expected, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    path = written(content)
    copy = as_utf8(path, tmp_path / "copies", encoding)
    assert copy.read_bytes().decode() == expected
    assert copy.parent == tmp_path / "copies"
    assert copy.suffix == ".csv"
    assert path.read_bytes() == content
    assert as_utf8(copy, tmp_path / "copies") == copy


@given(
    content=st.binary(max_size=60), chunk=st.integers(1, 9), encoding=st.sampled_from(["utf-8", "cp1252", "gb18030"])
)
@example(content="é✓😀".encode()[:-1], chunk=2, encoding="utf-8")
@settings(deadline=None)
def test_any_bytes_become_the_same_text_whatever_the_chunks(content, chunk, encoding):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK_BYTES", chunk)
        path = Path(folder) / "x.csv"
        path.write_bytes(b"x" + content)  # no gzip and no BOM
        shown = as_utf8(path, Path(folder), encoding).read_bytes().decode()
    assert shown == (b"x" + content).decode(encoding, "backslashreplace").replace("\0", "\\x00")


@pytest.mark.parametrize("name", ["events.csv.gz", "events.csv.GZ", "events.csv"])
def test_gzip_is_known_by_its_first_bytes(written, tmp_path, name):
    path = written(gzip.compress(b"caf\xe9\n") + gzip.compress(b"second\n"), name)
    copy = as_utf8(path, tmp_path / "copies", "latin-1")
    assert copy.read_bytes().decode() == "café\nsecond\n"
    assert copy.suffix == ".csv"


def test_gzip_of_clean_utf8_is_decompressed(written, tmp_path):
    path = written(gzip.compress("é\n".encode()), "events.csv.gz")
    assert as_utf8(path, tmp_path / "copies").read_bytes().decode() == "é\n"


_PACKED = gzip.compress(bytes(range(1, 200)) * 50)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_PACKED[:-9], id="cut off"),
        pytest.param(_PACKED[:5], id="cut off in the header"),
        pytest.param(_PACKED[:40] + b"\xff\xff\xff" + _PACKED[43:], id="damaged"),
        pytest.param(_PACKED[:-8] + b"\0\0\0\0" + _PACKED[-4:], id="wrong checksum"),
        pytest.param(_PACKED + b"more", id="something after it"),
        pytest.param(b"", id="empty"),
        pytest.param(b"a,b\n1,2\n", id="plain text named .gz"),
    ],
)
def test_broken_gzip_is_refused_by_name(written, tmp_path, content):
    path = written(content, "events.csv.gz")
    with pytest.raises(SourceError, match=rf"^{path}: .*gzip data"):
        as_utf8(path, tmp_path / "copies")
    assert list(tmp_path.rglob("copies/*")) == []


@pytest.mark.parametrize(
    ("encoding", "hint"),
    [("windws-1252", "windows-1252"), ("UTF_8x", "utf-8"), ("rot13", "Python codec"), ("zzzzzz", "Python codec")],
)
def test_unknown_encoding_is_refused_with_near_names(written, tmp_path, encoding, hint):
    with pytest.raises(SourceError, match=rf"delivered\.csv: the encoding '{encoding}' is not known; .*{hint}"):
        as_utf8(written("a\n"), tmp_path, encoding)


def test_utf16_without_byte_order_is_refused(written, tmp_path):
    with pytest.raises(SourceError, match=r"delivered\.csv: .*utf-16-le"):
        as_utf8(written("a\n".encode("utf-16-le")), tmp_path / "copies", "utf-16")
    assert list(tmp_path.rglob("copies/*")) == []


# --- csv_header -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "dialect", "expected"),
    [
        ("", COMMA, ()),
        ("\n\r\n", COMMA, ()),
        ("a,b", COMMA, ("a", "b")),
        ("\n\r\n a , b\n1,2\n", COMMA, ("a", "b")),
        ('"a\nx", "b""y" ,c\n1,2,3\n', COMMA, ("a\nx", 'b"y', "c")),
        ("'a;b';c\r1;2\r", CsvDialect(";", "'"), ("a;b", "c")),
        ('"a,b\n', CsvDialect(quote=""), ('"a', "b")),
    ],
)
def test_header(written, content, dialect, expected):
    assert csv_header(written(content), dialect) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a,c,b\n", r"the same .*: a, b, a, b; rename"),
        ("id,Id\n", r"the same .*: id, Id; rename"),
        ("a,, b, \n", r"no column name at position 2, 4 of"),
        ('a,"b\n1,2\n', r'a quote is opened and never closed: a,"b'),
    ],
)
def test_unusable_header_is_refused(written, content, message):
    with pytest.raises(SourceError, match=rf"delivered\.csv: .*({message})"):
        csv_header(written(content), COMMA)


# --- count_records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", 0),
        ("a", 1),
        ("a\n", 1),
        ("\n\na\r\n\r\n1\r2\n\n3", 4),
        ('a\n"1\n2"\n"3""\n"\n', 3),
        ('a\n""\n', 2),
        ('a\n"1\n2\n', None),
    ],
)
def test_records_are_counted(written, monkeypatch, content, expected, chunk):
    monkeypatch.setattr(text, "CHUNK_BYTES", chunk)
    assert count_records(written(content), '"') == expected


def test_without_quotes_lines_are_counted(written):
    assert count_records(written('{"a\n"b"}\n'), "") == 2


# --- read_csv_carefully -----------------------------------------------------------------------------------------------


def test_good_rows_are_text_with_numbers(written):
    path = written('a,b\n1,\n\n"x,\ny", z \n\r\n"say ""hi""",é')
    target = path.with_suffix(".out")
    assert read_csv_carefully(path, ("a", "b"), COMMA, target) == target
    table = pq.read_table(target)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("a", "string"),
        ("b", "string"),
        ("row_number", "int64"),
        ("malformed", "string"),
    ]
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == [
        ("1", "", 1, None),
        ("x,\ny", " z ", 2, None),
        ('say "hi"', "é", 3, None),
    ]


@pytest.mark.parametrize("content", ["", "\n\n", "a,b", "a,b\r\n", "\na,b\n\n"])
def test_no_rows(written, content):
    path = written(content)
    assert _careful(path, csv_header(path, COMMA)) == []


def test_ragged_rows_keep_what_they_have(written):
    assert _careful(written('a,b,c\n1\n1,2,3\n1,2,3,\n"1",2,"3\n",4,5\n'), ("a", "b", "c")) == [
        ("1", None, None, 1, "1 values for 3 columns: 1"),
        ("1", "2", "3", 2, None),
        ("1", "2", "3", 3, "4 values for 3 columns: 1,2,3,"),
        ("1", "2", "3\n", 4, '5 values for 3 columns: "1",2,"3\n",4,5'),
    ]


@pytest.mark.parametrize("end", ["", "\n"])
def test_quote_that_is_never_closed_costs_one_line(written, end):
    assert _careful(written('a,b\n1,2\n3,"x\n4,5\n"6","\n7"' + end), ("a", "b")) == [
        ("1", "2", 1, None),
        ("3", "x", 2, 'a quote is opened and never closed: 3,"x'),
        ("4", "5", 3, None),
        ("6", "\n7", 4, None),
    ]


def test_unclosed_quote_with_only_plain_rows_after_it(written):
    assert _careful(written('a,b\n3,"x\r\n4,5\r\n6,7\r\n8, "y'), ("a", "b")) == [
        ("3", "x", 1, 'a quote is opened and never closed: 3,"x'),
        ("4", "5", 2, None),
        ("6", "7", 3, None),
        ("8", "y", 4, 'a quote is opened and never closed: 8, "y'),
    ]


def test_unclosed_quote_does_not_take_in_the_next_quoted_row(written):
    assert _careful(written('a,b\n1,"abc\n2,"bar"\n3,x\n'), ("a", "b")) == [
        ("1", "abc", 1, 'a quote is opened and never closed: 1,"abc'),
        ("2", "bar", 2, None),
        ("3", "x", 3, None),
    ]


def test_unclosed_quote_does_not_read_on_for_ever(written, monkeypatch):
    monkeypatch.setattr(text, "MAX_QUOTED_CHARACTERS", 20)
    content = 'a,b\n1,"' + "x" * 50 + '"\n1,"abc\n' + "".join(f"2,{n}\n" for n in range(10)) + '4,"\n"\n'
    rows = _careful(written(content), ("a", "b"))
    assert rows[1] == ("1", "abc", 2, 'a quote is opened and never closed: 1,"abc')
    assert [row[:2] for row in rows if row[-1] is None] == [
        ("1", "x" * 50),
        *[("2", str(n)) for n in range(10)],
        ("4", "\n"),
    ]


def test_text_after_a_closing_quote_is_kept(written):
    assert _careful(written('a,b\n"a"b,c\n"a" b"c,d\n'), ("a", "b")) == [
        ("ab", "c", 1, None),
        ('a b"c', "d", 2, None),
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (' "x" ,y', ("x", "y")),
        ('"x, 1"  , "y\n" ', ("x, 1", "y\n")),
        ('  "x", "y"', ('  "x"', "y")),
        ('1,""" "', ("1", '" ')),
        ('1, ""', ("1", "")),
        ('"" ,1', ("", "1")),
        ('"x""" ,1', ('x"', "1")),
        ('"" "",1', (" ", "1")),
        ('1, """x"', ("1", '"x')),
        (' "x"z,1', (' "x"z', "1")),
        ('"\n  ""x"" ", ""', ('\n  "x" ', "")),
    ],
)
def test_spaces_around_quoted_values_do_not_count(written, row, expected):
    path = written(f"a,b\n{row}\n")
    assert _careful(path, ("a", "b")) == [(*expected, 1, None)]
    assert _engine(path, ("a", "b"), COMMA) in (None, [(*expected, 1, None)])


@pytest.mark.parametrize(
    ("content", "dialect", "expected"),
    [
        ("a\tb\n1\t'\t'\n", CsvDialect("\t", "'"), ("1", "\t")),
        ('a,b\n"1,2"\n', CsvDialect(",", ""), ('"1', '2"')),
        ('a b\n"1" " 2"\n', CsvDialect(" "), ("1", " 2")),
        ("a|b\n ^x^ |2\n", CsvDialect("|", "^"), ("x", "2")),
        ("a|b\n.1..|.|2\n", CsvDialect(".", "|"), ("", "1")),
    ],
)
def test_dialects(written, content, dialect, expected):
    assert _careful(written(content), ("a", "b"), dialect)[0][:2] == expected


@pytest.mark.slow
def test_very_long_lines(written):
    line, quoted = "x" * 3_500_000, 'y\n"' * 1_200_000
    content = f'a,b\n1,{line}\n2,"{quoted.replace(chr(34), chr(34) * 2)}"\n3,{line},4\n'
    assert _careful(written(content), ("a", "b")) == [
        ("1", line, 1, None),
        ("2", quoted, 2, None),
        ("3", line, 3, f"3 values for 2 columns: 3,{line},4"),
    ]


@pytest.mark.parametrize(("constant", "value"), [("BATCH_ROWS", 2), ("BATCH_CHARACTERS", 8)])
def test_rows_are_written_in_batches(written, monkeypatch, constant, value):
    monkeypatch.setattr(text, constant, value)
    path = written("a,b\n" + "".join(f"{number},x\n" for number in range(5)))
    assert [row[2] for row in _careful(path, ("a", "b"))] == [1, 2, 3, 4, 5]
    assert pq.ParquetFile(path.with_suffix(".parquet")).num_row_groups == 3


def test_nothing_half_written_is_left(written, tmp_path, monkeypatch):
    def fail(records):
        raise OSError("disk full")

    monkeypatch.setattr(text, "BATCH_ROWS", 1)
    monkeypatch.setattr(text._Records, "text", fail)
    path = written("a,b\n1,2\n3\n")
    with pytest.raises(OSError, match="disk full"):
        _careful(path, ("a", "b"))
    assert list(tmp_path.iterdir()) == [path]


def test_column_named_as_an_added_one_is_refused(written):
    with pytest.raises(SourceError, match=r"delivered\.csv: .*rename Row_Number"):
        _careful(written("a,Row_Number\n1,2\n"), ("a", "Row_Number"))


@pytest.mark.slow
@given(body=st.text('a,"\n\r ', max_size=40))
@settings(deadline=None, max_examples=300)
def test_no_text_is_ever_lost(body):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(f"x,y\n{body}".encode())
        rows = _careful(path, ("x", "y"))
    shown = "".join(str(row[-1]).partition(": ")[2] if row[-1] else "".join(map(str, row[:2])) for row in rows)
    assert shown.count("a") == body.count("a")
    assert [row[2] for row in rows] == list(range(1, len(rows) + 1))


# --- the careful reader and the query engine give the same ------------------------------------------------------------


def _sql(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _engine_scan(path: Path, columns: Sequence[str], dialect: CsvDialect, more: str) -> list[Row]:
    types = ", ".join(f"{_sql(name)}: 'VARCHAR'" for name in columns)
    delimiter, quote = _sql(dialect.delimiter), _sql(dialect.quote)
    return duckdb.sql(
        f"SELECT *, row_number() OVER () FROM read_csv({_sql(str(path))}, header=true, auto_detect=false, "
        f"delim={delimiter}, quote={quote}, escape={quote}, columns={{{types}}}, nullstr=chr(0), strict_mode=true, "
        f"max_line_size=33554432, buffer_size=33554432, {more})"
    ).fetchall()


def _engine(path: Path, columns: Sequence[str], dialect: CsvDialect) -> list[Row] | None:
    """Read with DuckDB as far as it can be trusted, and give None where the careful reader has to read.

    DuckDB ignores an empty value too many, so it looks for one column more than there is. It loses the rest of a file
    after an unclosed quote (when not parallel) and a last row without line end across a buffer's end, so records are
    counted.
    """
    more = [*columns, "\x01one more"]
    try:
        try:
            rows = _engine_scan(path, more, dialect, "null_padding=true")
        except duckdb.Error as error:
            if "does not support null_padding in conjunction with quoted new lines" not in str(error):
                raise
            _engine_scan(path, columns, dialect, "null_padding=false")
            rows = _engine_scan(path, more, dialect, "null_padding=true, parallel=false")
    except duckdb.Error:
        return None
    width = len(columns)
    if len(rows) + 1 != count_records(path, dialect.quote):
        return None
    if any(row[width] is not None or row[width - 1] is None for row in rows):
        return None
    return [(*row[:width], row[-1], None) for row in rows]


_VALUES = st.text(
    st.one_of(st.sampled_from(",;\t|'\" \n\r\\#N"), st.characters(exclude_characters="\0", codec="utf-8"))
)


@st.composite
def _well_formed(draw: st.DrawFn) -> tuple[str, CsvDialect, list[str], list[list[str]]]:
    dialect = CsvDialect(draw(st.sampled_from([",", ";", "\t", "|", "\x01", "¦"])), draw(st.sampled_from(['"', "'"])))
    columns = draw(
        st.lists(st.text("xX \"\n'é,", min_size=1), min_size=1, max_size=4, unique_by=lambda n: n.strip().lower())
    )
    columns = [name.strip() or "blank" for name in columns]
    rows = draw(st.lists(st.lists(_VALUES, min_size=len(columns), max_size=len(columns)), max_size=8))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines: list[str] = []
    for row in [columns, *rows]:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=dialect.delimiter, quotechar=dialect.quote, quoting=quoting).writerow(row)
        lines += [line.getvalue().removesuffix("\r\n"), *[""] * draw(st.sampled_from([0, 0, 0, 1, 2]))]
    content = end.join(lines) + draw(st.sampled_from([end, ""]))
    return content, dialect, columns, rows


@given(_well_formed())
@example(("x\n\n1\n\n", COMMA, ["x"], [["1"]]))
@example(('x\n""\n""', COMMA, ["x"], [[""], [""]]))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_both_readers_agree_on_well_formed_csv(delivered):
    content, dialect, columns, rows = delivered
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(content.encode())
        assert csv_header(path, dialect) == tuple(columns)
        careful, quick = _careful(path, columns, dialect), _engine(path, columns, dialect)
    assert careful == [(*row, number, None) for number, row in enumerate(rows, 1)]
    # DuckDB takes the first line end in the file for that of all lines, and refuses any other
    if quick is not None or not any("\n" in name for name in columns):
        assert quick == careful


@given(body=st.text('a,"\n ', max_size=14), more=st.sampled_from(["", "\n", '\n1,"\n"\n']))
@example(body='a","', more="")
@example(body="1,2,\n3,4", more="")
@example(body='1,2\n3,"x\n4,5\n', more="")
@example(body='"a" "b",1\n "x" ,""" """', more="\n")
@settings(deadline=None, max_examples=500)
def test_what_the_engine_accepts_of_broken_csv_is_the_same_too(body, more):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(f"x,y\n{body}{more}".encode())
        quick = _engine(path, ("x", "y"), COMMA)
        if quick is not None:
            assert quick == _careful(path, ("x", "y"))
