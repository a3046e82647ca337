"""What a source of a database may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from analytics_assets.project.loading import load_project, unset_in_sources
from analytics_assets.project.model import Source
from analytics_assets.project.postgres import PostgresRows
from analytics_assets.project.problems import Problem, ProjectError

PROJECT = "name: shop\nfirst_day: 2024-03-01\n"
FEEDS = "feeds:\n  - table: users\n    columns: {user_id: id}\n"
EVENTS = "feeds:\n  - table: events\n    columns: {event_type: kind, occurred_at: at}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project.yaml").write_text(PROJECT)
    (tmp_path / "sources").mkdir()
    return tmp_path


def loaded(folder: Path, text: str, feeds: str = FEEDS) -> Source:
    (folder / "sources" / "rows.yaml").write_text(text + feeds)
    return load_project(folder, {}).sources["rows"]


def refused(folder: Path, text: str, feeds: str = FEEDS) -> list[Problem]:
    with pytest.raises(ProjectError) as told:
        loaded(folder, text, feeds)
    return list(told.value.problems)


def test_a_table_and_what_dates_its_rows(folder):
    found = loaded(folder, "postgres: {url_env: SHOP_URL, table: public.events_raw, day_by: ingested_at}\n", EVENTS)
    assert found.postgres == PostgresRows(url_env="SHOP_URL", table="public.events_raw", day_by="ingested_at")
    assert (found.origin, found.kind) == ("postgres table public.events_raw of SHOP_URL", "postgres")
    assert (found.day_form, found.has_many_files, found.by_day(found.feeds[0])) == ("%Y-%m-%d", True, True)


def test_a_query_that_nothing_dates_is_a_snapshot(folder):
    found = loaded(folder, "postgres:\n  url_env: SHOP_URL\n  query: |\n    select count(*)\n    from x;\n")
    assert found.postgres is not None
    assert (found.postgres.query, found.origin) == (
        "select count(*)\n    from x".replace("    ", ""),
        "postgres query of SHOP_URL",
    )
    assert (found.day_form, found.has_many_files, found.by_day(found.feeds[0])) == (None, False, False)


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("events_raw", ("events_raw",)),
        ("public.events_raw", ("public", "events_raw")),
        ('"Raw Data"."it""s; --"', ("Raw Data", 'it"s; --')),
        ('raw."Events.2024"', ("raw", "Events.2024")),
        ("größe", ("größe",)),
    ],
)
def test_a_table_is_called_as_in_sql(table, names):
    assert PostgresRows(url_env="X", table=table).names == names


@pytest.mark.parametrize("table", ["", "a b", "a.", ".a", "a..b", "a.b.c", '"a', '""', "a;b", 'a"b"', "1a", "a-b"])
def test_what_is_no_table_is_refused(folder, table):
    (problem,) = refused(folder, f"postgres:\n  url_env: X\n  table: '{table}'\n")
    assert (problem.line, problem.where) == (3, "postgres.table")
    assert f"'{table}' is no table; write it as in SQL: public.events_raw" in problem.message


def test_a_name_with_capitals_stands_in_quotes(folder):
    (problem,) = refused(folder, "postgres:\n  url_env: X\n  table: public.Events\n")
    assert problem.message == "'Events' has capital letters, and then Postgres wants double quotes around it"


@pytest.mark.parametrize(
    "query", ["delete from x", "", "-- select", "insert into x select 1", "/* select */ drop table x", "selected"]
)
def test_what_is_no_select_is_refused(folder, query):
    (problem,) = refused(folder, f"postgres:\n  url_env: X\n  query: '{query}'\n")
    assert (problem.line, problem.where) == (3, "postgres.query")
    assert problem.message.startswith("must be one SELECT")


@pytest.mark.parametrize(
    "query", ["SELECT 1", "(select 1)", "-- why\nwith x as (select 1) table x", "values (1)", "/* a\n */select 1"]
)
def test_what_reads_is_a_query(query):
    assert PostgresRows(url_env="X", query=query).query == query


def test_a_table_or_a_query_and_not_both(folder):
    for both in ("{url_env: X}", "{url_env: X, table: a, query: select 1}"):
        (problem,) = refused(folder, f"postgres: {both}\n")
        assert (problem.line, problem.message) == (1, "needs either `table` or `query`")


def test_a_secret_in_the_file_is_refused_and_not_repeated(folder):
    for keys in ("url_env: postgresql://a:hunter2@b/c", "url: postgresql://a:hunter2@b/c\n  url_env: X",
                 "url_env: X\n  password_env: hunter2"):  # fmt: skip
        (problem,) = refused(folder, f"postgres:\n  table: t\n  {keys}\n")
        assert problem.line in {3, 4}
        assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "key", ["format: csv", "encoding: latin-1", "delimiter: ;", "quote: '|'", "optional: true", "path: a.csv"]
)
def test_keys_of_files_are_refused_with_their_lines(folder, key):
    (problem,) = refused(folder, f"postgres: {{url_env: X, table: t}}\n{key}\n")
    assert (problem.line, problem.where) == (2, key.partition(":")[0])
    assert problem.message == "rows of Postgres come in no file"


def test_a_source_has_one_origin(folder):
    (folder / "shop.yaml").write_text("seed: 1\n")
    (problem,) = refused(folder, "postgres: {url_env: X, table: t}\nshop: users\n")
    assert (problem.line, problem.message) == (2, "rows come from Postgres or from the shop")
    (problem,) = refused(folder, "description: nothing\n")
    assert "or `postgres:` with `url_env` and `table`" in problem.hint


def test_a_table_that_comes_by_day_from_elsewhere_wants_a_day_here(folder):
    (folder / "sources" / "files.yaml").write_text("path: a_{day}.csv\nformat: csv\n" + FEEDS)
    (problem,) = refused(folder, "postgres: {url_env: X, table: t}\n")
    assert (problem.file.name, problem.hint) == ("rows.yaml", "Say `day_by`")


def test_variables_that_are_not_set_are_found_with_their_lines(folder):
    loaded(folder, "postgres:\n  url_env: SHOP_URL\n  password_env: SHOP_PASSWORD\n  table: t\n")
    project = load_project(folder, {})
    found = unset_in_sources(project, {"SHOP_URL": ""})
    assert [(problem.file.name, problem.line, problem.where) for problem in found] == [
        ("rows.yaml", 2, "postgres.url_env"),
        ("rows.yaml", 3, "postgres.password_env"),
    ]
    assert unset_in_sources(project, {"SHOP_URL": "x", "SHOP_PASSWORD": "y"}) == ()
