"""A backup by the commands of docs/deployment.md comes back by those of the same page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from analytics_assets.automation.postgres_storage import BatchingPostgresEventLogStorage, sqlalchemy_url
from analytics_assets.automation.roles import make_roles
from analytics_assets.postgres import Database
from analytics_assets.settings import Settings
from analytics_assets_tests.automation.test_storage import mixed_batch
from analytics_assets_tests.deploying import SERVICES
from analytics_assets_tests.postgres import PASSWORD, PostgresServer, server
from analytics_assets_tests.processes import ROOT

PAGE = (ROOT / "docs/deployment.md").read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
IN_POSTGRES = re.compile(r"^\$ docker compose exec -T postgres (pg_\w+ .*?) ([<>]) (\S+)$", re.MULTILINE)
IN_CODE = re.compile(r"^\$ docker compose run --rm --no-deps -T code (tar .*?) ([<>]) (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    with server() as running:
        yield running


def said(words: re.Pattern[str], direction: str) -> list[tuple[list[str], str]]:
    """Return the commands of the page that write a file (>) or read one (<)."""
    return [(shlex.split(command), name) for command, way, name in words.findall(PAGE) if way == direction]


def settings(running: PostgresServer) -> Settings:
    place = f"127.0.0.1:{running.port}"
    return Settings.model_validate(
        {
            "admin_url": f"postgresql://postgres@{place}/postgres",
            "history_url": f"postgresql://dagster@{place}/dagster",
            "warehouse_url": f"postgresql://analytics_loader@{place}/analytics",
            **{f"{who}_password": PASSWORD for who in ("admin", "history", "warehouse", "warehouse_reader")},
        }
    )


def do(running: PostgresServer, command: list[str], folder: Path, *, reads: str = "", writes: str = "") -> None:
    program, *rest = command
    place = ["--host", "127.0.0.1", "--port", str(running.port)]
    subprocess.run(
        [str(running.programs / program), *place, *rest],
        stdin=(folder / reads).open("rb") if reads else subprocess.DEVNULL,
        stdout=(folder / writes).open("wb") if writes else subprocess.DEVNULL,
        env=os.environ | {"PGPASSWORD": PASSWORD},
        check=True,
    )


def events(running: PostgresServer) -> list[tuple[object, ...]]:
    return running.ask("select id, run_id, event from event_logs order by id", database="dagster", user="dagster")


def test_both_databases_come_back_with_their_owners_and_readers(own: PostgresServer, tmp_path: Path) -> None:
    assert len(make_roles(settings(own))) == 5
    history = sqlalchemy_url(Database.read(own.url("dagster", "dagster"), "here"))
    BatchingPostgresEventLogStorage(history).store_event_batch(mixed_batch())
    before = events(own)
    for statement in (
        "create schema analytics",
        "create table analytics.fact (n int primary key)",
        "insert into analytics.fact values (1), (2)",
        "grant usage on schema analytics to analytics_reader",
        "grant select on analytics.fact to analytics_reader",
    ):
        own.ask(statement, database="analytics", user="analytics_loader")

    dumped = said(IN_POSTGRES, ">")
    assert [name for _, name in dumped] == ["dagster.dump", "analytics.dump"]
    for command, name in dumped:
        do(own, command, tmp_path, writes=name)
    for database in ("dagster", "analytics"):
        own.ask(f"drop database {database}")
    for role in ("dagster", "analytics_loader", "analytics_reader"):
        own.ask(f"drop role {role}")

    assert len(make_roles(settings(own))) == 5  # `migrate`, which also makes Dagster's tables, empty
    BatchingPostgresEventLogStorage(history)
    assert events(own) == []
    restored = said(IN_POSTGRES, "<")
    assert [name for _, name in restored] == ["dagster.dump", "analytics.dump"]
    for command, name in restored:
        do(own, command, tmp_path, reads=name)
    assert events(own) == before != []
    BatchingPostgresEventLogStorage(history).store_event_batch(mixed_batch()[4:8])  # and it goes on
    assert len(events(own)) == len(before) + 4
    assert own.ask("select n from fact order by n", database="analytics", user="analytics_reader") == [(1,), (2,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        own.ask("set transaction read write; delete from fact", database="analytics", user="analytics_reader")


def test_the_server_is_made_with_a_locale_that_no_system_changes(own: PostgresServer) -> None:
    """What the compose file asks of `initdb` is something that it takes, and it makes what the page says."""
    asked = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    own._run("initdb", "-D", str(own.folder / "data" / "other"), "--auth", "trust", "--no-sync", *asked)
    made = own.folder / "data" / "other"
    assert (made / "PG_VERSION").read_text().strip() == SERVICES["postgres"]["image"].partition(":")[2][:2] == "18"
    single = [str(own.programs / "postgres"), "--single", "-D", str(made), "template1"]
    query = (
        "select datlocprovider, datlocale, pg_encoding_to_char(encoding) from pg_database where datname = 'template1'\n"
    )
    told = subprocess.run(single, input=query, capture_output=True, text=True, check=True, **own._as).stdout
    assert all(f'= "{value}"' in told for value in ("b", "C.UTF-8", "UTF8")), told


def test_the_lake_comes_back(tmp_path: Path) -> None:
    (tmp_path / "there/lake/shop").mkdir(parents=True)
    (tmp_path / "there/lake/shop/part.parquet").write_bytes(b"rows")
    (packs, archive), (unpacks, same) = said(IN_CODE, ">")[0], said(IN_CODE, "<")[0]
    assert archive == same == "lake.tar"
    with (tmp_path / archive).open("wb") as out:
        subprocess.run(
            [word.replace("/var/lib/analytics", str(tmp_path / "there")) for word in packs], stdout=out, check=True
        )
    assert tarfile.is_tarfile(tmp_path / archive)
    (tmp_path / "here").mkdir()
    with (tmp_path / archive).open("rb") as read:
        subprocess.run(
            [word.replace("/var/lib/analytics", str(tmp_path / "here")) for word in unpacks], stdin=read, check=True
        )
    assert (tmp_path / "here/lake/shop/part.parquet").read_bytes() == b"rows"
