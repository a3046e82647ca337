from __future__ import annotations

import contextlib
import math
import pickle
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import pytest
import yaml as pyyaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    RootModel,
    Tag,
    field_validator,
    model_validator,
)

from analytics_assets.project.explain import QUOTES
from analytics_assets.project.problems import Positions, Problem, ProjectError
from analytics_assets.project.yaml import read_yaml


class Strict(BaseModel, extra="forbid"):
    """What every model of a project's files is."""


class Free(Strict):
    data: dict[str, Any]


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class ColumnMapping(Strict):
    source: str = Field(description="The column's name in the file")
    unit: Literal["cent", "euro"] = "euro"


class Feed(Strict):
    table: str = Field(description="The table the feed lands in")
    columns: dict[str, str | ColumnMapping] = {}
    when: Literal["daily", "hourly"] = "daily"
    size: Size | None = None
    rows: int | None = Field(default=None, ge=1)


class Local(Strict):
    kind: Literal["local"]
    folder: str
    kinds: list[str] = []


class Bucket(Strict):
    kind: Literal["bucket"]
    bucket: str
    region: str = "eu"


Storage = Annotated[Local | Bucket, Field(discriminator="kind")]


class Project(Strict):
    name: str
    feeds: list[Feed] = []
    storage: Storage | None = None
    start: date | None = None


def read(text: str | bytes, model: type[BaseModel]) -> Any:
    with TemporaryDirectory() as folder:
        file = Path(folder, "project.yaml")
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(file, model)[0]


def problems(text: str | bytes, model: type[BaseModel] = Project) -> list[Problem]:
    with pytest.raises(ProjectError) as caught:
        read(text, model)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    for jargon in ("Input should", "Field required", "Extra inputs", "validation", "pydantic", "union", "unable to"):
        assert jargon not in str(caught.value)
    return list(caught.value.problems)


def told(text: str | bytes, model: type[BaseModel] = Project) -> list[str]:
    return [
        f"{problem.line}: {problem.where}: {problem.message}" + (f" | {problem.hint}" if problem.hint else "")
        for problem in problems(text, model)
    ]


# --- problems and positions -------------------------------------------------------------------------------------------


def test_problem_reads_as_one_line() -> None:
    file = Path("path/to/file.yaml")
    hint = "Did you mean 'columns'? Allowed: columns, when, table"
    assert str(Problem(file, 12, "feeds[1].colums", "unknown key", hint)) == (
        f"path/to/file.yaml:12: feeds[1].colums: unknown key. {hint}"
    )
    assert str(Problem(file, 1, "", "the file is empty")) == "path/to/file.yaml:1: the file is empty"


def test_project_error_carries_and_joins_its_problems_and_survives_pickling() -> None:
    error = ProjectError(Problem(Path("a.yaml"), line, "", "wrong") for line in (1, 2))
    assert str(error) == "a.yaml:1: wrong\na.yaml:2: wrong"
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def test_positions_build_problems_for_later_checks(tmp_path: Path) -> None:
    file = tmp_path / "project.yaml"
    file.write_text("# comment\nname: x\nfeeds:\n  - table: a\n    columns:\n      unit price:\n        source: p\n")
    _, positions = read_yaml(file, Project)
    assert isinstance(positions, Positions)
    loc = ("feeds", 0, "columns", "unit price", "source")
    assert positions.problem(loc, "no such column", "Add it") == Problem(
        file, 7, "feeds[0].columns['unit price'].source", "no such column", "Add it"
    )
    assert positions.problem(loc[:-1], "x").line == 7  # the mapping begins below its key
    assert positions.problem(loc[:-1], "x", key=True).line == 6
    assert positions.problem(["feeds", 0, "when"], "x").line == 4  # a default, which the file does not hold
    assert positions.problem((), "x") == Problem(file, 2, "", "x")


def test_a_good_file_becomes_its_model() -> None:
    text = "\ufeffname: shop\r\nstart: 2024-01-31\r\nstorage: {kind: bucket, bucket: b}\r\n"
    text += "feeds: [{table: t, size: large}]"
    assert read(text, Project) == Project(
        name="shop",
        start=date(2024, 1, 31),
        storage=Bucket(kind="bucket", bucket="b"),
        feeds=[Feed(table="t", size=Size.LARGE)],
    )


# --- the dialect ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[(word, word) for word in ("NO", "no", "on", "off", "Yes", "y", "N")],
        *[("true", True), ("True", True), ("TRUE", True), ("false", False), ("'true'", "true")],
        *[(word, word) for word in ("12:30", "1:30:00", "190:20:30.15", "2024-01-31", "2024-01-31 10:00:00")],
        *[
            (word, word)
            for word in ("007", "010", "0x1F", "0b1", "0o7", "1_000", "1e3", "1.5e3", "12e4567", "=", "<<", "1.2.3")
        ],
        *[("0", 0), ("-12", -12), ("+3", 3), ("1.50", 1.5), (".5", 0.5), ("1.0e+3", 1000.0), ("-.inf", -math.inf)],
        *[("", None), ("~", None), ("null", None), ("'null'", "null"), ("nil", "nil")],
        *[("!!str 12", "12"), ("!!int '12'", 12), ("!!float 1", 1.0), ("!!bool yes", "yes"), ("!!int 1x", "1x")],
        *[("9" * 1001, "9" * 1001), ("a\n    b", "a b"), ("|\n    a\n    b", "a\nb\n"), ("[]", []), ("{}", {})],
        *[("{1: a, no: b, null: c, 2024-01-31: d}", {"1": "a", "no": "b", "null": "c", "2024-01-31": "d"})],
    ],
)
def test_scalars(written: str, value: object) -> None:
    found = read(f"data:\n  x: {written}\n", Free).data["x"]
    assert found == value
    assert type(found) is type(value)


def test_numbers_and_dates_kept_as_text_are_read_where_the_model_expects_them() -> None:
    class Model(Strict):
        count: int
        rate: float
        day: date
        codes: dict[int, str]
        wait: timedelta

    model = read("count: 1_000\nrate: 1e3\nday: 2024-01-31\ncodes: {404: lost}\nwait: 01:30:00", Model)
    expected = Model(count=1000, rate=1000.0, day=date(2024, 1, 31), codes={404: "lost"}, wait=timedelta(minutes=90))
    assert model == expected


def test_aliases_and_merges() -> None:
    text = """
data:
  base: &base {a: 1, b: 2}
  same: *base
  more: {<<: *base, b: 3}
  both: {<<: [{b: 4, c: 5}, *base]}
"""
    assert read(text, Free).data == {
        "base": {"a": 1, "b": 2},
        "same": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3},
        "both": {"a": 1, "b": 4, "c": 5},
    }
    assert told("data:\n  a: &a [x]\n  b: {<<: *a}", Free) == [
        "3: data.b: '<<' takes the alias of a mapping, such as *defaults, or a list of them"
    ]


def test_a_wrong_alias_is_reported_where_it_is_used_and_a_wrong_part_where_it_is_written() -> None:
    text = "name: &n [x]\nfeeds:\n  - table: *n\n  - &f\n    tabel: t\n  - *f\n"
    lines = [(problem.line, problem.where) for problem in problems(text)]
    assert lines == [
        (1, "name"),
        (3, "feeds[0].table"),
        (4, "feeds[1]"),
        (5, "feeds[1].tabel"),
        (5, "feeds[2].tabel"),
        (6, "feeds[2]"),
    ]


@pytest.mark.parametrize("text", ["data:\n  x: &a [1, *a]", "data:\n  x: &a {y: {z: *a}}", "data:\n  x: &a {<<: *a}"])
def test_an_alias_inside_itself_is_refused(text: str) -> None:
    (problem,) = problems(text, Free)
    assert problem.line == 2
    assert problem.where.startswith("data.x")
    assert "alias stands inside the value it repeats" in problem.message


@pytest.mark.parametrize(
    ("first", "further"), [("[x, x]", "[{}]"), ("{x: 1}", "{{<<: [{}]}}"), ("[]", "[{}]"), ("{}", "{{<<: [{}]}}")]
)
def test_an_alias_bomb_is_refused(first: str, further: str) -> None:
    lines = ["data:", f"  a0: &a0 {first}"]
    lines += [f"  a{n}: &a{n} {further.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 30)]
    (problem,) = problems("\n".join(lines), Free)
    assert "more than 100000 values" in problem.message
    assert read("\n".join(lines[:4]), Free).data["a1"] or first in {"[]", "{}"}


def test_a_duplicate_key_names_both_lines_and_does_not_hide_the_rest() -> None:
    assert told("name: a\nfeeds:\n- table: a\n  when: daily\n  table: b\nname: b\nnmae: c") == [
        "5: feeds[0].table: key 'table' is given twice, on line 3 and on line 5 | Keep one of them",
        "6: name: key 'name' is given twice, on line 1 and on line 6 | Keep one of them",
        "7: nmae: unknown key 'nmae' | Did you mean 'name'? Allowed: name, feeds, storage, start",
    ]


def test_keys_that_are_no_text_and_tags_are_refused() -> None:
    found = told(
        "data:\n  ? [a]\n  : 1\n  {day}: 2\n  x: !env HOME\n  y: !!python/name:os.system ''\n  z: !!set {a}", Free
    )
    assert [line.split(" | ")[0] for line in found] == [
        "2: data: a key must be text, not a list",
        "4: data: a key must be text, not a mapping",
        "5: data.x: the tag !env is not supported",
        "6: data.y: the tag !!python/name:os.system is not supported",
        "7: data.z: the tag !!set is not supported",
    ]
    assert "needs quotes" in found[1]


# --- not YAML, or no file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("name: a\nfolder: {day}/x.csv\nz: 1\n", 2, "expected <block end>, but found '<scalar>'", "begins with '{'"),
        ("name: a\nfolder: @x\n", 2, "found character '@' that cannot start any token", "'@'"),
        ("name: a\nfolder: %x\n", 2, "found character '%' that cannot start any token", "'%'"),
        ("name: a\nfolder: *.csv\n", 2, "alias", "'*'"),
        ("name: a\nfolder: &\n", 2, "anchor", "'&'"),
        ("name: a\nfolder: a: b\n", 2, "mapping values are not allowed here (line 2, column 10)", "contains ': '"),
        ("name: a\n  feeds: b\n", 2, "mapping values are not allowed here", "indentation"),
        ("feeds:\n  - a: 1\n    b: 1\n   c: 1\n", 4, "while parsing a block collection", "indentation"),
        ("name: a\nfeeds:\n\t- a\n", 3, "found character '\\t'", "not with tabs"),
        (
            "name: a\nx: 'b\nc: d\ne: f\n",
            2,
            "quoted scalar that starts on line 2, found unexpected end",
            "Close the quote",
        ),
        ('name: a\nx: "b\n', 2, "quoted scalar that starts on line 2, found unexpected end", "Close the quote"),
        ("name: a\nx: {b: c\nd: e\n", 2, "expected ',' or '}', but got ':' (line 3, column 2)", "Close the quote"),
        ("name: a\nx: [b\n", 2, "expected ',' or ']', but got", "Close the quote or bracket"),
        ("feeds:\nname a\nstart: b\n", 2, "could not find expected ':' (line 3, column 1)", "space after the colon"),
        ("name: a\n---\nname: b\n", 2, "expected a single document in the stream", "'---'"),
        ("name: a\nb: \x07\n", 2, "a character that YAML does not allow (U+0007)", ""),
        ('name: "\\UFFFFFFFF"\n', 1, "not valid YAML: ", ""),
        (b"name: a\nb: caf\xe9\n", 2, "not UTF-8", "UTF-8"),
        ("name: a\n".encode("utf-16"), 1, "not UTF-8", "UTF-8"),
        ("x: " + "[" * 5000 + "]" * 5000, 1, "nested too deeply", ""),
        ("", 1, "the file is empty", ""),
        ("# nothing\n\n", 1, "the file is empty", ""),
        ("---\n", 1, "the file is empty", ""),
        ("# a list\n- a\n", 2, "must hold keys with values (key: value), not a list", ""),
        ("name\n", 1, "must hold keys with values (key: value), not 'name'", ""),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str | bytes, line: int, words: str, hint: str) -> None:
    (problem,) = problems(text)
    assert problem.line == line
    assert problem.where == ""
    assert words in problem.message
    assert hint in problem.hint


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(path: Path) -> str:
        with pytest.raises(ProjectError) as caught:
            read_yaml(path, Project)
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.where) == (path, 1, "")
        return problem.message

    assert message(tmp_path / "none.yaml") == "the file does not exist"
    assert message(tmp_path) == "this is a folder, not a file"
    file = tmp_path / "closed.yaml"
    file.write_text("name: a")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert message(file) == "the file cannot be read: Permission denied"


# --- the models' words ------------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
feeds:
  - table: orders
    colums: {a: b}
    when: dayly
  - columns:
      unit_price:
        sorce: price
        unit: cents
      day: [x]
      code: 7
    size: smal
    rows: many
storage:
  kind: buckett
start: soon
"""
    quotes = QUOTES
    assert told(text) == [
        "1: : missing key 'name'",
        "3: feeds[0].colums: unknown key 'colums' | Did you mean 'columns'? Allowed: table, columns, when, size, rows",
        "4: feeds[0].when: must be one of 'daily', 'hourly', not 'dayly' | Did you mean 'daily'?",
        "5: feeds[1]: missing key 'table' | The table the feed lands in",
        "7: feeds[1].columns.unit_price: missing key 'source' | The column's name in the file",
        "7: feeds[1].columns.unit_price.sorce: unknown key 'sorce' | Did you mean 'source'? Allowed: source, unit",
        "8: feeds[1].columns.unit_price.unit: must be one of 'cent', 'euro', not 'cents' | Did you mean 'cent'?",
        f"9: feeds[1].columns.day: must be text or a mapping, not a list | {quotes}",
        "10: feeds[1].columns.code: must be text, not 7 | Put quotes around it to make it text",
        "11: feeds[1].size: must be one of 'small', 'large', not 'smal' | Did you mean 'small'?",
        "12: feeds[1].rows: must be a whole number, not 'many'",
        "14: storage.kind: must be one of 'local', 'bucket', not 'buckett' | Did you mean 'bucket'?",
        "15: start: must be a date such as 2024-01-31, not 'soon'",
    ]


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        (str, "1", "must be text, not 1"),
        (str, "true", "must be text, not true"),
        (str, "", "must be text, not empty"),
        (str, "{day}", "must be text, not a mapping"),
        (Path, "[a]", "must be text, not a list"),
        (int, "abc", "must be a whole number, not 'abc'"),
        (int, "1.5", "must be a whole number, not 1.5"),
        (int, "[]", "must be a whole number, not a list"),
        (int, "x" * 99, f"must be a whole number, not '{'x' * 49}...'"),
        (float, "abc", "must be a number, not 'abc'"),
        (bool, "maybe", "must be true or false, not 'maybe'"),
        (date, "2024-02-30", "must be a date such as 2024-01-31, not '2024-02-30'"),
        (date, "{}", "must be a date such as 2024-01-31, not a mapping"),
        (timedelta, "soon", "must be a duration such as 01:30:00, not 'soon'"),
        (list[str], "a", "must be a list, not 'a'"),
        (Sequence[str], "a", "must be a list, not 'a'"),
        (Sequence[str], "1", "must be a list, not 1"),
        (dict[str, str], "a", "must be a mapping, not 'a'"),
        (Mapping[str, str], "a", "must be a mapping, not 'a'"),
        (ColumnMapping, "a", "must be a mapping, not 'a'"),
        (ColumnMapping | None, "a", "must be a mapping, not 'a'"),
        (Storage, "a", "must be a mapping, not 'a'"),
        (int | None, "abc", "must be a whole number, not 'abc'"),
        (int | bool, "abc", "must be a whole number or true or false, not 'abc'"),
        (int | ColumnMapping, "abc", "must be a whole number, not 'abc'"),
        (Literal["daily"] | date, "dayly", "must be 'daily' or a date such as 2024-01-31, not 'dayly'"),
        (str | list[str], "{}", "must be text or a list, not a mapping"),
        (Literal["a"], "b", "must be 'a', not 'b'"),
        (Literal[1, 2], "3", "must be one of 1, 2, not 3"),
        (Annotated[int, Field(ge=1)], "0", "must be 1 or more, not 0"),
        (Annotated[int, Field(lt=1)], "1", "must be less than 1, not 1"),
        (Annotated[str, Field(pattern="^a$")], "b", "must be text that matches the pattern ^a$, not 'b'"),
        (Annotated[str, Field(min_length=2)], "b", "must be text of 2 or more characters, not 'b'"),
        (Annotated[list[str], Field(min_length=1)], "[]", "must have at least 1 item, not 0"),
        (
            Annotated[str, Field(pattern="^a$")] | Annotated[str, Field(pattern="^b$")],
            "c",
            "must be text that matches the pattern ^a$ or text that matches the pattern ^b$, not 'c'",
        ),
    ],
)
def test_values_of_a_wrong_type(kind: Any, written: str, message: str) -> None:
    class Model(Strict):
        before: str
        value: kind

    (problem,) = problems(f"before: x\nvalue: {written}", Model)
    assert (problem.line, problem.where, problem.message) == (2, "value", message)


def test_hints_for_text_that_yaml_reads_as_something_else() -> None:
    (mapping,), (number,), (empty,) = (problems(f"name: {written}") for written in ("{day}", "1.10", ""))
    assert "needs quotes" in mapping.hint
    assert "Put quotes around it" in number.hint
    assert empty.hint == ""


def _even(value: int) -> int:
    if value % 2:
        raise AssertionError("must be even")
    return value


def test_validators_speak_for_themselves() -> None:
    class Window(Strict):
        first: int
        last: Annotated[int, AfterValidator(_even)]

        @field_validator("first")
        @classmethod
        def positive(cls, value: int) -> int:
            if value < 0:
                raise ValueError("a window begins at 0 or later")
            return value

        @model_validator(mode="after")
        def ordered(self) -> Window:
            if self.first > self.last:
                raise ValueError("'first' is later than 'last'")
            return self

    class Model(Strict):
        windows: dict[str, int | Window]

    text = "windows:\n  a:\n    first: -1\n    last: 3\n  b:\n    first: 3\n    last: 2\n  c: {first: 0, lst: 0}"
    assert told(text, Model) == [
        "3: windows.a.first: a window begins at 0 or later",
        "4: windows.a.last: must be even",
        "6: windows.b: 'first' is later than 'last'",
        "8: windows.c: missing key 'last'",
        "8: windows.c.lst: unknown key 'lst' | Did you mean 'last' or 'first'? Allowed: first, last",
    ]


def test_validators_around_models_and_unions_do_not_spoil_the_place() -> None:
    class Outer(Strict):
        column: Annotated[
            str | ColumnMapping, BeforeValidator(lambda value: value), AfterValidator(lambda value: value)
        ]
        names: Literal["all"] | ColumnMapping = "all"
        short: Annotated[ColumnMapping, BeforeValidator(lambda value: {"sorce": value})]

    assert told("column:\n  source: a\n  unit: dollar\nshort: a\nnames: {sorce: a}", Outer) == [
        "3: column.unit: must be one of 'cent', 'euro', not 'dollar'",
        "4: short: missing key 'source' | The column's name in the file",
        "4: short.sorce: unknown key 'sorce' | Did you mean 'source'? Allowed: source, unit",
        "5: names: missing key 'source' | The column's name in the file",
        "5: names.sorce: unknown key 'sorce' | Did you mean 'source'? Allowed: source, unit",
    ]


def test_unions_of_models_report_the_nearest_branch() -> None:
    class Ratio(Strict):
        numerator: str
        denominator: str

    class Sum(Strict):
        column: str

    class Model(Strict):
        metric: list[Ratio | Sum | str]

    hint = "Did you mean 'denominator'? Allowed: numerator, denominator"
    assert told("metric:\n- numerator: a\n  denominater: b\n- colum: a\n- x\n- 3", Model) == [
        "2: metric[0]: missing key 'denominator'",
        f"3: metric[0].denominater: unknown key 'denominater' | {hint}",
        "4: metric[1]: missing key 'column'",
        "4: metric[1].colum: unknown key 'colum' | Did you mean 'column'? Allowed: column",
        "6: metric[3]: must be text, not 3 | Put quotes around it to make it text",
    ]


def test_keys_named_like_a_branch_of_a_union() -> None:
    class Sum(Strict):
        kind: Literal["sum"]
        value: int
        sum: dict[str, int] = {}

    class Count(Strict):
        kind: Literal["count"]

    class Model(Strict):
        metric: Annotated[Sum | Count, Field(discriminator="kind")] | str
        by_name: dict[str, str | ColumnMapping] = {}

    text = (
        "metric:\n  kind: sum\n  sum: {sum: x}\n  valeu: 3\nby_name:\n  ColumnMapping: {source: 1}\n  str: {surce: x}"
    )
    assert told(text, Model) == [
        "2: metric: missing key 'value'",
        "3: metric.sum.sum: must be a whole number, not 'x'",
        "4: metric.valeu: unknown key 'valeu' | Did you mean 'value'? Allowed: kind, value, sum",
        "6: by_name.ColumnMapping.source: must be text, not 1 | Put quotes around it to make it text",
        "7: by_name.str: missing key 'source' | The column's name in the file",
        "7: by_name.str.surce: unknown key 'surce' | Did you mean 'source'? Allowed: source, unit",
    ]


def test_discriminated_unions() -> None:
    class Model(Strict):
        at: list[Storage | str]

    text = "at:\n- kind: bucket\n  buckt: b\n- kinds: []\n- knd: local\n  folder: f\n- kind: [local]\n- kind:\n- x"
    assert told(text, Model) == [
        "2: at[0]: missing key 'bucket'",
        "3: at[0].buckt: unknown key 'buckt' | Did you mean 'bucket'? Allowed: kind, bucket, region",
        "4: at[1]: missing key 'kind' | It must be one of 'local', 'bucket'",
        "5: at[2].knd: unknown key 'knd' | Did you mean 'kind'?",
        "7: at[3].kind: must be one of 'local', 'bucket', not a list",
        "8: at[4].kind: must be one of 'local', 'bucket', not empty",
    ]


def test_unions_discriminated_by_a_function_or_by_an_enum() -> None:
    class Small(Strict):
        size: Literal[Size.SMALL]
        rows: int

    class Large(Strict):
        size: Literal[Size.LARGE]

    class Model(Strict):
        enum: Annotated[Small | Large, Field(discriminator="size")]
        called: Annotated[
            Annotated[Local, Tag("loc")] | Annotated[Bucket, Tag("buck")],
            Discriminator(lambda value: value.get("type") if isinstance(value, dict) else None),
        ]

    storage = "called: {type: loc, folder: f, kind: local}"
    extra = "1: called.type: unknown key 'type' | Allowed: kind, folder, kinds"
    assert told(f"{storage}\nenum:\n  size: small\n  rows: x", Model) == [
        extra,
        "4: enum.rows: must be a whole number, not 'x'",
    ]
    assert told(f"{storage}\nenum: {{size: smal}}", Model) == [
        extra,
        "2: enum.size: must be one of 'small', 'large', not 'smal' | Did you mean 'small'?",
    ]
    assert told("enum: {size: large}\ncalled: {type: lok}", Model) == [
        "2: called: must be one of 'loc', 'buck', not 'lok' | Did you mean 'loc'?"
    ]
    assert told("enum: {size: large}\ncalled: {typ: lok}", Model) == [
        "2: called: must be one of 'loc', 'buck', not a mapping"
    ]


def test_two_models_of_one_name_are_still_told_in_plain_words() -> None:
    def sum_of(**fields: Any) -> type[BaseModel]:
        return type("Sum", (Strict,), {"__annotations__": fields, "__module__": __name__})

    class Model(Strict):
        metric: sum_of(column=str) | sum_of(table=str)

    assert {(problem.line, problem.where, problem.message) for problem in problems("metric:\n  clumn: a", Model)} == {
        (2, "metric", "missing key 'column'"),
        (2, "metric", "missing key 'table'"),
        (2, "metric.clumn", "unknown key 'clumn'"),
    }


def test_aliases_of_keys() -> None:
    class Model(Strict):
        from_: int = Field(alias="from", description="The first day")
        to: int = Field(default=1, validation_alias="until")

    class Both(Strict, populate_by_name=True):
        from_: Literal["a"] = Field(alias="from")

    assert told("form: 1\nto: 2\nuntil: x", Model) == [
        "1: : missing key 'from' | The first day",
        "1: form: unknown key 'form' | Did you mean 'from'? Allowed: from, until",
        "2: to: unknown key 'to' | Allowed: from, until",
        "3: until: must be a whole number, not 'x'",
    ]
    for key in ("from", "from_"):
        assert told(f"# x\n{key}: b", Both) == [f"2: {key}: must be 'a', not 'b'"]


def test_keys_of_a_dict_and_parts_of_a_tuple() -> None:
    class Model(Strict):
        by_size: dict[Literal["small", "large"], int]
        sequence: Sequence[ColumnMapping] = ()
        span: tuple[int, Literal["days", "weeks"]]
        names: set[str]

    assert told("by_size:\n  smal:\n    1\n  large: x\nspan:\n- x\n- day\nnames: a\nsequence: [{sorce: a}]", Model) == [
        "2: by_size.smal: must be one of 'small', 'large', not 'smal' | Did you mean 'small'?",
        "4: by_size.large: must be a whole number, not 'x'",
        "6: span[0]: must be a whole number, not 'x'",
        "7: span[1]: must be one of 'days', 'weeks', not 'day' | Did you mean 'days'?",
        "8: names: must be a list, not 'a'",
        "9: sequence[0]: missing key 'source' | The column's name in the file",
        "9: sequence[0].sorce: unknown key 'sorce' | Did you mean 'source'? Allowed: source, unit",
    ]


class Tree(Strict):
    name: str
    children: list[Tree] = []
    by_name: dict[str, Tree | str] = {}


def test_recursive_models_and_root_models() -> None:
    class Forest(RootModel[dict[str, Tree]]):
        pass

    text = "oak:\n  name: a\n  children:\n  - name: b\n    by_name:\n      c:\n        nam: d\n"
    hint = "Did you mean 'name' or 'by_name'? Allowed: name, children, by_name"
    assert told(text, Forest) == [
        "7: oak.children[0].by_name.c: missing key 'name'",
        f"7: oak.children[0].by_name.c.nam: unknown key 'nam' | {hint}",
    ]


# --- properties -------------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(st.text(), plain, max_size=5), st.booleans(), st.booleans())
def test_plain_data_survives_writing_and_reading(data: dict[str, Any], unicode: bool, flow: bool) -> None:
    text = pyyaml.safe_dump({"data": data}, allow_unicode=unicode, default_flow_style=flow)
    assume(not unicode or not re.search("[\x85\u2028\u2029]", text))  # PyYAML writes these such that they are lost
    assert read(text, Free).data == data


word = st.text("abcdefghij_", min_size=1, max_size=8)
document = st.fixed_dictionaries(
    {
        "name": word,
        "feeds": st.lists(
            st.fixed_dictionaries(
                {"table": word},
                optional={
                    "columns": st.dictionaries(word, word | st.fixed_dictionaries({"source": word}), max_size=3),
                    "when": st.sampled_from(["daily", "hourly"]),
                    "rows": st.integers(1, 9),
                },
            ),
            max_size=3,
        ),
    },
    optional={
        "storage": st.fixed_dictionaries({"kind": st.just("local"), "folder": word})
        | st.fixed_dictionaries({"kind": st.just("bucket"), "bucket": word}, optional={"region": word}),
        "start": st.dates().map(str),
    },
)


def _key_places(data: Any, loc: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the places of the models' keys: all but the names of columns, which are free."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = []
    for step, value in parts:
        if isinstance(step, str) and (not loc or loc[-1] != "columns"):
            found.append((*loc, step))
        found += _key_places(value, (*loc, step))
    return found


@settings(deadline=None)
@given(document, st.data())
def test_a_misspelled_key_is_found_on_its_line_with_its_right_spelling(
    data: dict[str, Any], draw: st.DataObject
) -> None:
    assert read(pyyaml.safe_dump(data), Project)
    *way, right = draw.draw(st.sampled_from(_key_places(data)))
    at, letter = draw.draw(st.integers(0, len(right) - 1)), draw.draw(st.sampled_from("qxzw_"))
    wrong = draw.draw(st.sampled_from([right[:at] + letter + right[at:], right[:at] + right[at + 1 :], right.upper()]))
    line_of_wrong = re.compile(rf"^[ -]*{wrong}:", re.MULTILINE)
    assume(not line_of_wrong.search(pyyaml.safe_dump(data)))
    parent: Any = data
    for step in way:
        parent = parent[step]
    renamed = {wrong if key == right else key: value for key, value in parent.items()}
    parent.clear()
    parent.update(renamed)
    text = pyyaml.safe_dump(data, sort_keys=draw.draw(st.booleans()))
    (match,) = line_of_wrong.finditer(text)
    (problem,) = [problem for problem in problems(text) if problem.message == f"unknown key {wrong!r}"]
    assert problem.line == text.count("\n", 0, match.end()) + 1
    assert problem.where.endswith(wrong)
    assert repr(right) in problem.hint


# what YAML is made of, and what it stumbles over; a space is part of a piece where YAML needs one after it
words = st.sampled_from(
    ["name", "feeds", "storage", "kind", "local", "table", "columns", "x", "1", "=", "~", "%YAML 9"]
)
marks = st.sampled_from(
    ["<<", "&a ", "*a", "!t ", "!!int ", ": ", ":", "- ", "-", "? ", "#", "%", "@", "---", "...", ">"]
)
layout = st.sampled_from(["\n", "\n  ", "\n    ", "\t", "[", "]", "{", "}", ", ", "'", '"', "|"])
letters = st.sampled_from(["\\x", "\\uD800", "\\UFFFFFFFF", "\x85", "\u2028", "\ufeff", "\x00", "\U0001f600"])


@settings(deadline=None)
@given(st.lists(words | marks | layout | letters, max_size=30).map("".join) | st.text())
def test_any_text_is_read_or_refused_with_problems(text: str) -> None:
    with contextlib.suppress(ProjectError):
        read(text.encode("utf-8", "surrogatepass"), Project)
