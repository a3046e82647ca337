"""Speaking to Postgres: URLs with any password, connections that end, failures in words and without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.postgres import Database, PostgresError, connected, literal, quoted
from analytics_assets_tests.postgres import PASSWORD

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
