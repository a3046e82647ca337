"""Dagster's history in Postgres: where the settings say, waiting for a server that is away, with batches written whole.

Belongs here: how Dagster's runs, events and ticks reach Postgres. Does not belong here: which storage an instance uses
(its `dagster.yaml`), the same for SQLite (`storage`), and who may enter the database (`roles`).

Dagster's own Postgres storage gives up on a server after six seconds, so a run that is under way when the server is
started anew dies, and cannot even say so. It is asked for with a connection for every statement; here they are patient.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClass
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy.exc import DBAPIError

from analytics_assets.automation.history import URL, history_database
from analytics_assets.automation.storage import PlannedOnce
from analytics_assets.postgres import Database, PostgresError, in_words
from analytics_assets.settings import Settings

if TYPE_CHECKING:
    from dagster import EventLogEntry
    from dagster._config.config_schema import UserConfigSchema
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine

PATIENCE = 300.0
"""Seconds that a run or a service waits for a server that is away, longer than any restart of it takes."""
AT_ONCE = 10.0
"""Seconds that a page of the UI, or the start of a process, waits."""
_PAUSE = 0.5
_INSERT = SqlEventLogStorageTable.insert()
_RETURNING_ID = _INSERT.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)


def sqlalchemy_url(database: Database) -> str:
    """Return the URL as SQLAlchemy and psycopg2 read it, whatever the password is. It holds the password."""
    asked = {"application_name": "dagster", "connect_timeout": "10", **database.parameters}
    url = sa.URL.create(
        "postgresql+psycopg2",
        database.user,
        database.password or None,
        database.host,
        int(database.port),
        database.name,
        asked,
    )
    return url.render_as_string(hide_password=False)


@contextmanager
def _patient(engine: Engine, seconds: float) -> Iterator[Connection]:
    """Connect, and wait for a server that is away; what waiting does not mend is said at once."""
    deadline, told = time.monotonic() + seconds, False
    while True:
        try:
            connection = engine.connect()
            break
        except DBAPIError as error:
            cause = in_words(error.orig or error, _place(engine))
            if not cause.passing or time.monotonic() > deadline:
                raise cause from error
            if not told:
                logging.getLogger("dagster").warning("Waiting up to %.0f s: %s", seconds, cause)
            told = True
            time.sleep(_PAUSE)
    with connection:
        yield connection


def _place(engine: Engine) -> Database:
    url = engine.url
    return Database(url.host or "", str(url.port or ""), url.database or "", url.username or "", "")


class _RunStorage(PostgresRunStorage):
    patience = PATIENCE

    def connect(self) -> AbstractContextManager[Connection]:
        """Connect, patiently."""
        return _patient(self._engine, self.patience)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Let nobody wait long before a page."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        self.patience = AT_ONCE


class _ScheduleStorage(PostgresScheduleStorage):
    patience = PATIENCE

    def connect(self, run_id: str | None = None) -> AbstractContextManager[Connection]:
        """Connect, patiently."""
        del run_id
        return _patient(self._engine, self.patience)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Let nobody wait long before a page."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        self.patience = AT_ONCE


class _Batch(threading.local):
    """The connection of the batch that the current thread writes; none outside a batch."""

    connection: Connection | None = None


class BatchingPostgresEventLogStorage(PlannedOnce, PostgresEventLogStorage):
    """Store a batch of events of any kinds, of any assets and runs, in one transaction: all of it or nothing.

    Dagster's own storage writes batches of one kind only, and of an asset's row only that of the last event's asset.
    """

    patience = PATIENCE

    def __init__(self, postgres_url: str) -> None:
        self._batch = _Batch()
        super().__init__(postgres_url)

    def _connect(self) -> AbstractContextManager[Connection]:
        return self._held() if self._batch.connection is not None else _patient(self._engine, self.patience)

    @contextmanager
    def _held(self) -> Iterator[Connection]:
        assert self._batch.connection is not None
        yield self._batch.connection

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Let nobody wait long before a page."""
        super().optimize_for_webserver(statement_timeout, pool_recycle, max_overflow)
        self.patience = AT_ONCE

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write the events, and what they say about assets and checks."""
        with self._transaction() as connection:
            rows = [self._event_to_row(event) for event in events]
            ids = connection.scalars(_RETURNING_ID, rows).all()
            stored = dict(zip(ids, events, strict=True))
            self.index_batch(connection, {n: event for n, event in stored.items() if _is_about(event, ASSET_EVENTS)})
            for event_id, event in stored.items():
                if _is_about(event, ASSET_CHECK_EVENTS):
                    self.store_asset_check_event(event, event_id)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._connect() as plain:
            connection = plain.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                self._batch.connection = connection
                try:
                    yield connection
                finally:
                    self._batch.connection = None


def _is_about(event: EventLogEntry, kinds: Any) -> bool:  # noqa: ANN401 - a set of Dagster's types of events
    return event.is_dagster_event and event.dagster_event_type in kinds


class PostgresHistory(DagsterStorage, ConfigurableClass):
    """Keep Dagster's runs, events and ticks in the database that the settings name."""

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._runs = _RunStorage(url)
        self._events = BatchingPostgresEventLogStorage(url)
        self._ticks = _ScheduleStorage(url)
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PostgresHistory:
        """Build the storage that the `storage` section of a `dagster.yaml` asks for."""
        database = history_database(Settings())
        if database is None:
            raise PostgresError(f"{URL} is not set: write postgresql://USER@HOST:5432/DATABASE of Dagster's history")
        url = sqlalchemy_url(database)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with _patient(engine, AT_ONCE):  # so that a wrong password is said in words
            return cls(url, inst_data, **config_value)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Return how the `dagster.yaml` names this class."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return what may be configured: nothing; where the database is, the settings say."""
        return {}

    @property
    def run_storage(self) -> PostgresRunStorage:
        """Return what keeps runs."""
        return self._runs

    @property
    def event_log_storage(self) -> BatchingPostgresEventLogStorage:
        """Return what keeps events."""
        return self._events

    @property
    def schedule_storage(self) -> PostgresScheduleStorage:
        """Return what keeps schedules, sensors and their ticks."""
        return self._ticks
