"""Speaking to Postgres: URLs with any password, connections that end, failures in words and without secrets."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.postgres import Database, PostgresError, connected, literal, open_line, quoted
from analytics_assets_tests.postgres import PASSWORD
from analytics_assets_tests.processes import until

printable = st.text(st.characters(min_codepoint=33, max_codepoint=0x1F600, exclude_categories=["Cs"]), min_size=1)


@given(password=printable, user=printable, name=printable)
def test_a_url_says_what_it_was_made_of_whatever_the_password_is(password, user, name):
    made = Database("db.example.com", "5433", name, user, password, {"sslmode": "require"})
    assert Database.read(made.url(), "X") == made


def test_a_password_of_its_own_is_taken_as_it_is():
    read = Database.read("postgresql://bi@db.example.com/shop", "X", password=PASSWORD)
    assert (read.user, read.host, read.port, read.name, read.password) == (
        "bi",
        "db.example.com",
        "5432",
        "shop",
        PASSWORD,
    )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a:hidden@b/c",
        "hidden",
        "postgresql://a:hid%zzden@b/c",
        "postgresql://a:hid%dezden@b/c",
        "postgresql://a:hidden?x@b/c",
        "postgresql://a:hidden@x@b/c",
        "postgresql://a:hidden/x@b/c",
        "postgresql://a:hidden#x@b/c",
    ],
)
def test_a_url_that_cannot_be_read_is_told_of_and_never_repeated(url):
    with pytest.raises(PostgresError, match="WAREHOUSE") as told:
        Database.read(url, "WAREHOUSE")
    assert "hid" not in str(told.value)


def test_a_database_shows_where_it_is_and_no_password():
    read = Database.read(f"postgresql://bi:{'hidden'}@db.example.com/shop?sslmode=require", "X")
    assert str(read) == "bi at db.example.com:5432/shop"
    assert "hidden" not in repr(read)


@settings(deadline=None, max_examples=20)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_texts_and_names_are_written_so_that_the_server_reads_what_was_meant(postgres_server, text):
    name = "x" + text[:15]
    asked = f"select v, (to_json(t)->>{literal(name)})::int from (select {literal(text)} as v, 1 as {quoted(name)}) t"
    ((found, called),) = postgres_server.ask(asked)
    assert (found, called) == (text, 1)


def reach(url: str) -> None:
    with connected(Database.read(url, "X")) as connection, connection.cursor() as cursor:
        cursor.execute("select 1 as one")
        assert cursor.fetchall() == [(1,)]


def test_a_database_is_reached_by_a_url_with_any_password(database):
    reach(database.url(database.role("any")))


def test_a_refusal_names_the_server_and_no_password(database, postgres_server):
    role = database.role("known")
    with pytest.raises(PostgresError, match=r"refuses the password or the user.*Check both") as told:
        reach(database.url(role, "not it"))
    assert "not it" not in str(told.value)
    assert not told.value.passing
    with pytest.raises(PostgresError, match=r"has no database nowhere\. Make it"):
        reach(postgres_server.url("nowhere"))


def test_a_server_that_is_not_there_may_be_there_later():
    with pytest.raises(PostgresError, match="cannot be reached") as told:
        reach("postgresql://a@127.0.0.1:1/b")
    assert told.value.passing


def test_a_statement_that_takes_too_long_is_ended(database):
    def ask() -> None:
        read = Database.read(database.url(), "X")
        with connected(read, statement_timeout="50ms") as connection, connection.cursor() as cursor:
            cursor.execute("select pg_sleep(60) is null as slept")
            cursor.fetchall()

    with pytest.raises(PostgresError, match="took longer than it may"):
        ask()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "insert into people values (2, E'Ada\n(ada@example.com)', -1)",
            'violates check constraint "people_age_check"',
        ),
        ("insert into people values (2, null, 36)", 'null value in column "name" of relation "people"'),
        ("insert into people values (2, 'Ada (ada@example.com)', 3)", "DETAIL:  Key (name) already exists"),
        ("create unique index twice on people (lower(name))", "DETAIL:  Key (lower(name)) is duplicated"),
        ("insert into visits values ('Ada')", 'DETAIL:  Key (name) is not present in table "people"'),
        ("delete from people where id = 1", 'DETAIL:  Key (name) is still referenced from table "visits"'),
    ],
    ids=["check", "null", "twice", "index", "nobody", "somebody"],
)
def test_a_row_that_is_refused_may_be_a_person_and_is_not_shown(database, statement, says):
    database.ask("create table people (id int, name text not null unique, age int check (age > 0))")
    database.ask("create table visits (name text references people (name))")
    database.ask("insert into people values (1, 'Ada (ada@example.com)', 36), (1, 'ADA (ada@example.com)', 36)")
    database.ask("insert into visits values ('Ada (ada@example.com)')")
    with pytest.raises(PostgresError) as told, connected(Database.read(database.url(), "X")) as connection:
        connection.cursor().execute(statement)
    assert says in str(told.value)
    assert "ada" not in str(told.value).lower()


def test_a_text_comes_as_it_is_whatever_the_encoding_of_the_database(database):
    name = f"{database.name}_latin"
    database.ask(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        database.server.ask("create table t as select 'Zoë' as v", database=name)
        with connected(Database.read(database.server.url(name), "X")) as connection, connection.cursor() as cursor:
            cursor.execute("select v from t")
            assert cursor.fetchall() == [("Zoë",)]
    finally:
        database.ask(f"drop database {name} with (force)")


# --- a line: a connection that is waited for so long and no longer ----------------------------------------------------

NUMBERS = "select i::text as i, repeat('x', 1000) as x from generate_series(1, 100000) as i"


def test_a_line_streams_what_a_query_finds(database):
    with open_line(Database.read(database.url(), "X"), 60) as line:
        sizes = [batch.num_rows for batch in line.batches(NUMBERS)]
        again = [batch.num_rows for batch in line.batches("select 1 as one")]
    assert (sum(sizes), len(sizes) > 3, again) == (100_000, True, [1])


def test_a_line_answers_with_what_was_done_and_fails_with_what_failed(database):
    with open_line(Database.read(database.url(), "X"), 60) as line:
        assert line.ask(lambda connection: connection.adbc_current_db_schema) == "public"
        with pytest.raises(PostgresError, match=r"relation \"nowhere\" does not exist \(SQLSTATE 42P01\)\.$"):
            list(line.batches("select * from nowhere"))
        with pytest.raises(ZeroDivisionError):
            line.ask(lambda _: 1 / 0)


def test_a_line_says_what_broke_a_stream(database):
    late = "select 1 / (90000 - i) as x, repeat('x', 1000) as y from generate_series(1, 100000) as i"
    broken = pytest.raises(PostgresError, match=r": division by zero \(SQLSTATE 22012\)")
    with open_line(Database.read(database.url(), "X"), 60) as line, broken as told:
        list(line.batches(late))
    assert not told.value.passing


def test_a_line_that_is_cut_may_be_whole_later(database, postgres_server):
    with open_line(Database.read(database.url(), "X"), 60) as line:
        stream = line.batches(NUMBERS)
        next(stream)
        (backend,) = postgres_server.backends()
        postgres_server.ask("select pg_terminate_backend(%s)", backend)
        with pytest.raises(PostgresError, match="went away") as told:
            list(stream)
    assert told.value.passing


def test_a_server_that_hangs_is_waited_for_so_long_and_no_longer(database, postgres_server):
    with open_line(Database.read(database.url(), "X"), 1) as line:
        stream = line.batches(NUMBERS)
        next(stream)
        with postgres_server.frozen(), pytest.raises(PostgresError, match="has not answered for 1 s") as told:
            list(stream)
    assert told.value.passing
    until(lambda: not postgres_server.backends(), "the end of the connection that was left behind")


def test_what_goes_on_is_waited_for(database):
    with open_line(Database.read(database.url(), "X"), 2) as line:

        def work(_: object) -> str:
            for _step in range(6):
                threading.Event().wait(0.5)
                line.heard()
            return "done"

        assert line.ask(work) == "done"


def test_a_line_closes_its_connection_whatever_happened(database, postgres_server):
    def fail() -> None:
        with open_line(Database.read(database.url(), "X"), 60) as line, closing(line.batches(NUMBERS)) as stream:
            next(stream)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    until(lambda: not postgres_server.backends(), "the end of the connection")
