"""What our storage writes to a real Postgres is what Dagster's own writes, in far fewer statements."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import event as sa_event

from analytics_assets.automation import postgres_storage
from analytics_assets.automation.history import STAND_IN, scrub
from analytics_assets.automation.postgres_storage import (
    BatchingPostgresEventLogStorage,
    PostgresHistory,
    sqlalchemy_url,
)
from analytics_assets.postgres import Database, PostgresError
from analytics_assets_tests.automation.test_storage import (
    TABLES,
    TIMED_COLUMNS,
    entry,
    materialized,
    mixed_batch,
    run_job,
    without,
)
from analytics_assets_tests.postgres import PASSWORD, FreshDatabase, PostgresServer, server

CUSTOM = {"custom": {"module": PostgresHistory.__module__, "class": PostgresHistory.__name__}}


def alchemy(url: str) -> str:
    return sqlalchemy_url(Database.read(url, "here"))


def instance_on(home: Path, storage: dict[str, Any]) -> dg.DagsterInstance:
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
    return dg.DagsterInstance.from_config(str(home))


def tables(storage: SqlEventLogStorage) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, without the time at which Postgres wrote them, and how often it met an asset."""
    with storage.index_connection() as connection:
        return {
            table: [
                without(dict(row), {"create_timestamp", *(("id",) if table == "asset_keys" else ())})
                for row in connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id")).mappings()
            ]
            for table in TABLES
        }


@pytest.mark.slow
def test_a_job_leaves_the_rows_of_dagster(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = FreshDatabase(postgres_server), FreshDatabase(postgres_server)
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with instance_on(tmp_path / "theirs", {"postgres": {"postgres_url": alchemy(theirs.url())}}) as instance:
        assert type(instance.event_log_storage) is PostgresEventLogStorage
        run_job(instance)
        expected = tables(instance.event_log_storage)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    monkeypatch.setenv("ANALYTICS_HISTORY_URL", ours.url(password=""))
    monkeypatch.setenv("ANALYTICS_HISTORY_PASSWORD", PASSWORD)
    with instance_on(tmp_path / "ours", CUSTOM) as instance:
        assert PASSWORD not in instance.info_str()
        again = dg.DagsterInstance.from_ref(instance.get_ref())  # as a run's process opens it
        run_job(again)
        actual = tables(instance.event_log_storage)
    for table in TABLES:
        comparable = [[without(row, TIMED_COLUMNS) for row in rows[table]] for rows in (actual, expected)]
        assert comparable[0] == comparable[1], table
    assert Counter(row["dagster_event_type"] for row in actual["event_logs"])["ASSET_MATERIALIZATION"] == 99
    for database in (theirs, ours):
        database.drop()


@pytest.fixture
def storage(database: FreshDatabase) -> BatchingPostgresEventLogStorage:
    return BatchingPostgresEventLogStorage(alchemy(database.url()))


def one_by_one(storage: SqlEventLogStorage, batch: list[dg.EventLogEntry]) -> None:
    for event in batch:
        storage.store_event(event)


@pytest.mark.parametrize("repetitions", [1, 2], ids=["empty storage", "known assets"])
def test_a_batch_of_all_kinds_of_events_writes_the_rows_of_dagster(
    postgres_server: PostgresServer, storage: BatchingPostgresEventLogStorage, repetitions: int
) -> None:
    other = FreshDatabase(postgres_server)
    theirs = PostgresEventLogStorage(alchemy(other.url()))
    for repetition in range(repetitions):
        batch = [event._replace(run_id=event.run_id and event.run_id + str(repetition)) for event in mixed_batch()]
        one_by_one(theirs, batch)
        storage.store_event_batch(batch)
    assert tables(storage) == tables(theirs)
    assert len(tables(storage)["event_logs"]) == len(mixed_batch()) * repetitions
    other.drop()


def test_dagster_itself_forgets_all_assets_of_a_batch_but_the_last(database: FreshDatabase) -> None:
    """The reason why we write batches ourselves: `BatchingPostgresEventLogStorage` keeps both."""
    batch = [entry("run", n, materialized(key, "2024-01-01")) for n, key in enumerate(("x", "y"))]
    theirs = PostgresEventLogStorage(alchemy(database.url()))
    theirs.store_event_batch(batch)
    assert [key.to_user_string() for key in theirs.all_asset_keys()] == ["y"]
    ours = BatchingPostgresEventLogStorage(alchemy(database.url()))
    ours.store_event_batch(batch)
    assert sorted(key.to_user_string() for key in ours.all_asset_keys()) == ["x", "y"]


def test_a_batch_is_one_transaction_on_one_connection(storage: BatchingPostgresEventLogStorage) -> None:
    done: list[str] = []
    engine = storage._engine
    sa_event.listen(engine, "connect", lambda *_: done.append("connect"))
    sa_event.listen(engine, "commit", lambda *_: done.append("commit"))
    storage.store_event_batch(mixed_batch())
    assert done == ["connect", "commit"]


def test_a_batch_that_fails_is_not_written_at_all(storage: BatchingPostgresEventLogStorage) -> None:
    batch = mixed_batch()
    storage.store_event_batch(batch[:4])
    before = tables(storage)
    with pytest.raises(sa.exc.IntegrityError):
        storage.store_event_batch([batch[5], batch[2]])  # plans again what is planned for run a
    assert tables(storage) == before
    storage.store_event(batch[5])  # and no connection is left behind
    assert len(tables(storage)["event_logs"]) == 5


def test_who_speaks_to_a_server_that_is_started_anew_waits(caplog: pytest.LogCaptureFixture) -> None:
    with server() as own:
        storage = BatchingPostgresEventLogStorage(alchemy(own.url()))
        own.stop()
        caplog.set_level(logging.WARNING, "dagster")
        waits = threading.Event()
        handler = logging.Handler()
        handler.emit = lambda _: waits.set()  # type: ignore[method-assign]
        logging.getLogger("dagster").addHandler(handler)
        writing = threading.Thread(target=storage.store_event_batch, args=(mixed_batch(),))
        writing.start()
        assert waits.wait(60)
        own.start()
        writing.join(60)
        logging.getLogger("dagster").removeHandler(handler)
        assert not writing.is_alive()
        assert len(tables(storage)["event_logs"]) == len(mixed_batch())
        assert PASSWORD not in caplog.text


def test_a_page_of_the_ui_does_not_wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_storage, "AT_ONCE", 0.0)
    with server() as own:
        storage = BatchingPostgresEventLogStorage(alchemy(own.url()))
        storage.optimize_for_webserver(5000, -1, 10)
        own.stop()
        with pytest.raises(PostgresError, match="cannot be reached, or went away") as refused:
            storage.all_asset_keys()
        assert refused.value.passing
        own.start()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": "wrong password"}, "refuses the password or the user"),
        ({"name": "absent"}, "has no database absent"),
        ({"user": "nobody_here"}, "refuses the password or the user"),
    ],
)
def test_what_waiting_does_not_mend_is_said_at_once_and_in_words(
    database: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], told: str
) -> None:
    place = {"user": "postgres", "password": PASSWORD, "name": database.name} | changes
    monkeypatch.setenv(
        "ANALYTICS_HISTORY_URL", f"postgresql://{place['user']}@127.0.0.1:{database.server.port}/{place['name']}"
    )
    monkeypatch.setenv("ANALYTICS_HISTORY_PASSWORD", place["password"])
    with pytest.raises(PostgresError, match=told) as refused:
        instance_on(tmp_path, CUSTOM)
    assert place["password"] not in str(refused.value)


def test_a_history_without_a_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_HISTORY_URL", raising=False)
    with pytest.raises(PostgresError, match="ANALYTICS_HISTORY_URL is not set"):
        instance_on(tmp_path, CUSTOM)


def test_samples_in_the_history_are_rewritten(database: FreshDatabase, tmp_path: Path) -> None:
    """As `scrub` does in files: every text of every table, and nobody else's."""
    who, sample = "o'h€ra%_", "user_id o'h€ra%_, day 2024-03-01; user_id o'h€ra%_2, day 2024-03-01"
    storage = BatchingPostgresEventLogStorage(alchemy(database.url()))
    storage.store_event_batch(
        [entry("run", 0, materialized("x", "2024-01-01", metadata={"samples": sample})), entry("run", 1, None, sample)]
    )
    storage.store_event(entry("run", 2, None, "row_number o'h€ra%_"))
    done = scrub(tmp_path, [who], Database.read(database.url(), "here"))
    assert (done.places, done.left) == (3, ())  # two events, and the asset's last materialization
    logs = [record.user_message for record in storage.get_logs_for_run("run")]
    assert logs[1] == sample.replace("user_id o'h€ra%_,", f"user_id {STAND_IN},")
    assert logs[2] == "row_number o'h€ra%_"
    kept = storage.get_asset_records([dg.AssetKey("x")])[0].asset_entry.last_materialization
    assert kept is not None
    assert kept.asset_materialization is not None
    assert kept.asset_materialization.metadata["samples"].value == logs[1]
    assert scrub(tmp_path, [who], Database.read(database.url(), "here")).places == 0


def test_a_history_that_cannot_be_reached_is_named(database: FreshDatabase, tmp_path: Path) -> None:
    done = scrub(tmp_path, ["17"], Database.read(database.url(password="wrong password"), "here"))
    assert done.places == 0
    assert "refuses the password or the user" in done.left[0]
