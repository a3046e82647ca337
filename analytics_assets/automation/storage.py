"""Dagster's SQLite event log, with a batch of events written in one transaction per database.

A run over a range of days records one materialization per table and day, and Dagster's own storage commits each of
them to two files. With `DAGSTER_EVENT_BATCH_SIZE` set, Dagster hands such events over in batches; the storage here
writes a batch at once, as the rows that Dagster's own storage would have written.

Belongs here: how events reach the SQLite files. Does not belong here: which events there are (`assets` and the rest of
`automation`), and which storage an instance uses (its `dagster.yaml`).
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection

_INSERT = SqlEventLogStorageTable.insert()
_INSERT_RETURNING_ID = _INSERT.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
_INDEXED_EVENTS = ASSET_EVENTS | ASSET_CHECK_EVENTS | EVENT_TYPE_TO_PIPELINE_RUN_STATUS.keys()


class _Batch(threading.local):
    """The connections of the batch that the current thread writes; none outside a batch."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}


class PlannedOnce(SqlEventLogStorage):
    """What a batch says about assets and checks, written once and not once a partition."""

    def index_batch(self, index: Connection, assets: Mapping[int, EventLogEntry]) -> None:
        """Record what events about assets, by their id, say."""
        self._store_asset_event_tags(index, list(assets.values()), list(assets))
        # Events of one type set the same columns of their asset's row: the last of them is what remains.
        last = {(e.get_dagster_event().asset_key, e.dagster_event_type): event_id for event_id, e in assets.items()}
        for event_id in sorted(last.values()):
            self._store_asset_event(index, assets[event_id], event_id)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plan the check for every partition of the run, serializing the event once instead of per partition."""
        planned = event.get_dagster_event().asset_check_planned_data
        stored = self._event_to_row(event)
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": stored["event"],
            "evaluation_event_timestamp": stored["timestamp"],
            "evaluation_event_storage_id": event_id,
        }
        partitions = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
        with self.index_connection() as index:
            index.execute(AssetCheckExecutionsTable.insert(), [{**row, "partition": key} for key in partitions])


class BatchingSqliteEventLogStorage(PlannedOnce, SqliteEventLogStorage):
    """Store a batch of events in one transaction per database, none of which is committed if one of them fails.

    The databases of the runs are committed before the index, the order in which Dagster's own storage writes them.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._batch = _Batch()
        super().__init__(base_dir, inst_data)
        # Dagster's lock admits one connection at a time; a batch holds those of several databases.
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchingSqliteEventLogStorage:
        """Build the storage that the `event_log_storage` section of a `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write each event to the database of its run, and those that Dagster indexes to the index as well."""
        rows = [self._event_to_row(event) for event in events]
        run_ids = sorted({event.run_id for event in events})
        indexed = [n for n, event in enumerate(events) if event.dagster_event_type in _INDEXED_EVENTS]
        with self._transactions([INDEX_SHARD_NAME, *run_ids]) as connections:
            for run_id in run_ids:
                connections[run_id].execute(_INSERT, [row for row in rows if row["run_id"] == run_id])
            if indexed:
                index = connections[INDEX_SHARD_NAME]
                ids = index.scalars(_INSERT_RETURNING_ID, [rows[n] for n in indexed]).all()
                self._index(index, dict(zip(ids, (events[n] for n in indexed), strict=True)))

    def _index(self, index: Connection, events: Mapping[int, EventLogEntry]) -> None:
        """Record what the events, by their id in the index, say about assets and checks."""
        self.index_batch(index, {n: event for n, event in events.items() if event.dagster_event_type in ASSET_EVENTS})
        for event_id, event in events.items():
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, event_id)

    @contextmanager
    def _transactions(self, shards: Sequence[str]) -> Iterator[Mapping[str, Connection]]:
        """Begin a transaction per database; at the end commit them, the last one first, or roll all of them back."""
        with self._db_lock, ExitStack() as stack:
            stack.callback(self._batch.connections.clear)
            for shard in shards:
                self._batch.connections[shard] = stack.enter_context(super()._connect(shard))
            yield self._batch.connections

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """Connect to a database, inside a batch over the connection that the batch holds."""
        if held := self._batch.connections.get(shard):
            yield held
        else:
            with super()._connect(shard) as connection:
                yield connection
