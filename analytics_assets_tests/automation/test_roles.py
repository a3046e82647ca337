"""Roles and databases are made once, for those whom the settings name, with whatever password they have."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from analytics_assets.automation.roles import make_roles
from analytics_assets.cli import main
from analytics_assets.postgres import PostgresError
from analytics_assets.settings import Settings
from analytics_assets_tests.postgres import PASSWORD, PostgresServer
from analytics_assets_tests.processes import ROOT


@dataclass
class Place:
    """Name the roles and databases of one test on a server of many."""

    server: PostgresServer
    mark: str

    def settings(self, **changes: str | None) -> Settings:
        said = {
            "admin_url": f"postgresql://postgres@127.0.0.1:{self.server.port}/postgres",
            "admin_password": PASSWORD,
            "history_url": f"postgresql://{self.mark}_dagster@127.0.0.1:{self.server.port}/{self.mark}_dagster",
            "history_password": PASSWORD,
            "warehouse_url": f"postgresql://{self.mark}_loader@127.0.0.1:{self.server.port}/{self.mark}_shop",
            "warehouse_password": PASSWORD,
            "warehouse_reader": f"{self.mark}_reader",
            "warehouse_reader_password": PASSWORD,
        } | changes
        return Settings(**{name: _secret(name, value) for name, value in said.items() if value is not None})

    def enter(self, role: str, database: str, password: str = PASSWORD):
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=f"{self.mark}_{role}",
            dbname=f"{self.mark}_{database}",
            password=password,
        )

    def ask(self, role: str, database: str, query: str):
        with self.enter(role, database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


def _secret(name: str, value: str) -> SecretStr | str:
    return SecretStr(value) if name.endswith(("url", "password")) else value


@pytest.fixture
def place(postgres_server: PostgresServer) -> Iterator[Place]:
    here = Place(postgres_server, f"r{uuid.uuid4().hex[:8]}")
    yield here
    for (name,) in postgres_server.ask("select datname from pg_database where datname like %s", f"{here.mark}%"):
        postgres_server.ask(f"drop database {name} with (force)")
    for (name,) in postgres_server.ask("select rolname from pg_roles where rolname like %s", f"{here.mark}%"):
        postgres_server.ask(f'drop role "{name}"')


def test_each_role_may_enter_its_own_database_and_no_other(place: Place) -> None:
    assert len(make_roles(place.settings())) == 5
    assert make_roles(place.settings()) == ()  # a second time nothing is left to make
    place.ask("dagster", "dagster", "create table runs (n int)")
    place.ask("loader", "shop", 'create schema "analytics" create table fact (n int)')
    place.ask("loader", "shop", f'grant usage on schema analytics to "{place.mark}_reader"')
    place.ask("loader", "shop", f'grant select on analytics.fact to "{place.mark}_reader"')
    assert place.ask("reader", "shop", "select * from fact") == []  # the schema is where the reader looks first
    for role, database in (("dagster", "shop"), ("loader", "dagster"), ("reader", "dagster")):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            place.enter(role, database)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        place.ask("reader", "shop", "create temporary table t (n int)")
    for database in ("dagster", "shop"):
        (row,) = place.server.ask(
            "select count(*) from pg_namespace where nspname = 'public' and has_schema_privilege(%s, oid, 'create')",
            f"{place.mark}_reader",
            database=f"{place.mark}_{database}",
        )
        assert row == (0,)
    powers = "select bool_or(rolsuper or rolcreatedb or rolcreaterole) from pg_roles where rolname like %s"
    assert place.server.ask(powers, f"{place.mark}%") == [(False,)]


@pytest.mark.parametrize("password", [PASSWORD, "''''''''", "\\\\x\\\\'\"$$;--", "пароль и пробел", "%41%42%43%44"])
def test_any_password_works_and_is_changed_by_running_again(place: Place, password: str) -> None:
    make_roles(place.settings(history_password="the one before"))
    make_roles(place.settings(history_password=password))
    place.enter("dagster", "dagster", password).close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        place.enter("dagster", "dagster", "the one before")


def test_the_server_is_never_shown_a_password(place: Place) -> None:
    place.server.ask("alter system set log_statement = 'all'")
    place.server.ask("select pg_reload_conf()")
    make_roles(place.settings(history_password="planted-password"))
    place.server.ask("alter system reset log_statement")
    log = (place.server.folder / "log").read_text()
    assert f'ALTER ROLE "{place.mark}_dagster"' in log
    assert "planted-password" not in log


@pytest.mark.parametrize("keeper", ["loader", "dagster"])
def test_who_reads_is_nobody_who_keeps(place: Place, keeper: str) -> None:
    with pytest.raises(PostgresError, match=f"{keeper} is named in ANALYTICS_WAREHOUSE_READER and keeps a database"):
        make_roles(place.settings(warehouse_reader=f"{place.mark}_{keeper}"))
    assert place.server.ask("select rolname from pg_roles where rolname like %s", f"{place.mark}%") == []


def test_the_administrator_enters_every_database_as_the_url_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = psycopg2.connect
    monkeypatch.setattr(psycopg2, "connect", lambda url, **more: asked.append(url) or real(url, **more))
    url = f"postgresql://postgres@127.0.0.1:{place.server.port}/postgres?sslmode=disable"
    make_roles(place.settings(admin_url=url))
    assert len(asked) == 3
    assert all("sslmode=disable" in one for one in asked)


def test_an_administrator_without_all_rights_will_do(place: Place) -> None:
    name = f"{place.mark}_admin"
    place.server.ask(f"create role {name} login createdb createrole password %s", PASSWORD)
    admin = f"postgresql://{name}@127.0.0.1:{place.server.port}/postgres"
    assert len(make_roles(place.settings(admin_url=admin))) == 5
    place.ask("loader", "shop", "create schema analytics")
    assert make_roles(place.settings(admin_url=admin)) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"history_password": "short"}, r"the password of .*_dagster has fewer than 8 characters. .*HISTORY_PASSWORD"),
        ({"history_password": None}, r"the password of .*_dagster is not set. Set ANALYTICS_HISTORY_PASSWORD"),
        ({"warehouse_password": None}, r"the password of .*_loader is not set. Set ANALYTICS_WAREHOUSE_PASSWORD"),
        ({"history_url": None}, r"ANALYTICS_HISTORY_URL is not set"),
        ({"admin_password": "wrong password"}, "refuses the password or the user"),
        ({"history_url": "postgresql://postgres@localhost/x"}, "postgres is the administrator"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(place: Place, changes: dict[str, str | None], told: str) -> None:
    with pytest.raises(PostgresError, match=told) as refused:
        make_roles(place.settings(**changes))
    assert PASSWORD not in str(refused.value)
    roles = place.server.ask("select rolname from pg_roles where rolname like %s", f"{place.mark}%")
    assert roles == []  # and nothing was made


def test_a_superuser_and_the_database_of_somebody_else_are_left_alone(place: Place) -> None:
    place.server.ask(f'create role "{place.mark}_loader" superuser')
    with pytest.raises(PostgresError, match="_loader is a superuser"):
        make_roles(place.settings())
    place.server.ask(f'alter role "{place.mark}_loader" nosuperuser')
    place.server.ask(f'create database "{place.mark}_shop"')
    with pytest.raises(PostgresError, match=r"_shop belongs to postgres and not to .*_loader"):
        make_roles(place.settings())


def test_without_an_administrator_nothing_is_made(place: Place) -> None:
    assert make_roles(place.settings(admin_url=None)) == ()
    assert "ANALYTICS_ADMIN_URL" not in os.environ


@pytest.mark.parametrize(
    ("password", "code", "told"),
    [(PASSWORD, 0, "Dagster's history is up to date"), ("wrong password", 1, "refuses the password or the user")],
    ids=["right", "wrong"],
)
def test_the_command_makes_all_of_it_or_says_why_not(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, code: int, told: str
) -> None:
    said = place.settings(admin_password=password)
    for name in ("admin_url", "admin_password", "history_url", "history_password"):
        monkeypatch.setenv(f"ANALYTICS_{name.upper()}", getattr(said, name).get_secret_value())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copyfile(ROOT / "deploy/dagster.yaml", tmp_path / "dagster.yaml")
    ran = CliRunner().invoke(main, ["migrate"])
    assert (ran.exit_code, ran.exception is None or isinstance(ran.exception, SystemExit)) == (code, True)
    assert told in ran.output
    assert password not in ran.output
    if code == 0:
        assert f"made the role {place.mark}_dagster" in ran.output
        tables = place.ask("dagster", "dagster", "select tableowner from pg_tables where tablename = 'event_logs'")
        assert tables == [(f"{place.mark}_dagster",)]
