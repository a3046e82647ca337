from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import event as sa_event

from analytics_assets.automation.storage import BatchingSqliteEventLogStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-31")
ASSETS = [dg.AssetKey("events"), dg.AssetKey("sessions"), dg.AssetKey(["marts", "users"])]
CHECKS = [
    dg.AssetCheckKey(ASSETS[0], "keys"),
    dg.AssetCheckKey(ASSETS[1], "order"),
    dg.AssetCheckKey(ASSETS[1], "gaps"),
]
RUNS = {
    "00000000-0000-4000-8000-000000000001": ("2024-01-01", "2024-01-30"),
    "00000000-0000-4000-8000-000000000002": ("2024-01-28", "2024-01-30"),
}
MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION
TABLES = ("event_logs", "asset_keys", "asset_event_tags", "asset_check_executions", "dynamic_partitions")
# What differs between any two runs: durations and process ids are in these messages, and times in these columns.
TIMED_MESSAGES = {
    dg.DagsterEventType.ENGINE_EVENT,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.LOGS_CAPTURED,
}
TIMED_COLUMNS = {
    "event",
    "last_materialization",
    "evaluation_event",
    "timestamp",
    "event_timestamp",
    "last_materialization_timestamp",
    "evaluation_event_timestamp",
}


# The same job on Dagster's storage and on ours.


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("keys", asset="events")],
)
def events(context):
    for day, key in enumerate(context.partition_keys):
        context.add_asset_metadata({"rows": day, "note": f"day {key}"}, partition_key=key)
    yield dg.MaterializeResult(
        metadata={"seconds": 1.5, "table": dg.MetadataValue.json({"columns": ["a", "b"]})},
        data_version=dg.DataVersion("7"),
        check_results=[dg.AssetCheckResult(check_name="keys", passed=True, metadata={"nulls": 0})],
    )


@dg.multi_asset(
    specs=[
        dg.AssetSpec("sessions", deps=["events"], partitions_def=DAYS, code_version="2"),
        dg.AssetSpec(["marts", "users"], deps=["sessions"], partitions_def=DAYS),
    ],
    check_specs=[dg.AssetCheckSpec("order", asset="sessions"), dg.AssetCheckSpec("gaps", asset="sessions")],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def marts(context):
    yield dg.MaterializeResult(asset_key="sessions", metadata={"rows": 3})
    context.log.info("sessions are written")
    yield dg.AssetCheckResult(asset_key="sessions", check_name="order", passed=True)
    yield dg.AssetCheckResult(
        asset_key="sessions", check_name="gaps", passed=False, severity=dg.AssetCheckSeverity.WARN
    )
    yield dg.MaterializeResult(asset_key=["marts", "users"], tags={"team": "growth"})


JOB = dg.Definitions(
    assets=[events, marts], jobs=[dg.define_asset_job("daily")], executor=dg.in_process_executor
).resolve_job_def("daily")


def instance_with(home: Path, storage: type[SqliteEventLogStorage]) -> dg.DagsterInstance:
    home.mkdir(parents=True, exist_ok=True)
    section = {"module": storage.__module__, "class": storage.__name__, "config": {"base_dir": str(home / "log")}}
    config = {"event_log_storage": section, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    return dg.DagsterInstance.from_config(str(home))


def run_job(instance: dg.DagsterInstance) -> None:
    for run_id, (first, last) in RUNS.items():
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        assert JOB.execute_in_process(instance=instance, run_id=run_id, tags=tags).success


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """What Dagster's own storage records, one event at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
        with instance_with(tmp_path_factory.mktemp("dagster"), SqliteEventLogStorage) as instance:
            run_job(instance)
            yield instance


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(1000, id="one batch per asset", marks=pytest.mark.slow),
        pytest.param(7, id="many batches per asset", marks=pytest.mark.slow),
    ],
)
def actual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """What our storage records, in batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", str(request.param))
        with instance_with(tmp_path_factory.mktemp("batching"), BatchingSqliteEventLogStorage) as instance:
            run_job(instance)
            yield instance


def test_the_yaml_of_the_instance_chooses_the_storage(actual, expected):
    assert type(actual.event_log_storage) is BatchingSqliteEventLogStorage
    assert type(expected.event_log_storage) is SqliteEventLogStorage
    assert type(dg.DagsterInstance.from_ref(actual.get_ref()).event_log_storage) is BatchingSqliteEventLogStorage


@pytest.mark.parametrize("key", ASSETS, ids=str)
def test_partitions_and_materializations_are_those_of_dagster(actual, expected, key):
    def facts(instance):
        records = instance.fetch_materializations(key, limit=1000, ascending=True).records
        latest = instance.get_latest_materialization_event(key)
        asset = instance.get_asset_records([key])[0].asset_entry
        return (
            instance.get_materialized_partitions(key),
            [(r.storage_id, r.run_id, r.partition_key, r.asset_materialization) for r in records],
            (latest.run_id, latest.asset_materialization),
            (asset.last_run_id, asset.last_materialization_storage_id),
            instance.event_log_storage.get_latest_storage_id_by_partition(key, MATERIALIZATION),
            instance.event_log_storage.get_event_tags_for_asset(key),
        )

    assert facts(actual) == facts(expected)
    assert facts(actual)[0] == set(DAYS.get_partition_keys())
    assert len(facts(actual)[1]) == 33


@pytest.mark.parametrize("key", CHECKS, ids=lambda key: key.name)
def test_check_executions_are_those_of_dagster(actual, expected, key):
    def facts(instance):
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=1000)
        return [(r.id, r.run_id, r.status, r.partition, evaluation(r)) for r in history]

    def evaluation(record):
        data = record.event.dagster_event.event_specific_data if record.event else None
        if not isinstance(data, dg.AssetCheckEvaluation):
            return data
        target = data.target_materialization_data
        return data.passed, data.severity, data.metadata, target and (target.storage_id, target.run_id)

    assert facts(actual) == facts(expected)
    assert {"FAILED" if key.name == "gaps" else "SUCCEEDED"} <= {status.value for _, _, status, _, _ in facts(actual)}


@pytest.mark.parametrize("run_id", RUNS)
def test_the_log_of_a_run_is_that_of_dagster(actual, expected, run_id):
    def facts(instance, **which):
        return [
            (
                e.user_message,
                e.level,
                e.step_key,
                e.dagster_event and (e.dagster_event.event_type, e.dagster_event.partition),
            )
            for e in instance.all_logs(run_id, **which)
            if e.dagster_event_type not in TIMED_MESSAGES
        ]

    assert facts(actual) == facts(expected)
    materialized = facts(actual, of_type=MATERIALIZATION)
    assert materialized == facts(expected, of_type=MATERIALIZATION)
    assert len(materialized) == {"2024-01-01": 90, "2024-01-28": 9}[RUNS[run_id][0]]


@pytest.mark.parametrize(
    "event_type",
    [
        MATERIALIZATION,
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_SUCCESS,
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_event_records_are_those_of_dagster(actual, expected, event_type):
    def facts(instance):
        records = instance.get_event_records(dg.EventRecordsFilter(event_type), limit=1000)
        return [(r.storage_id, r.run_id, r.partition_key, r.event_log_entry.step_key) for r in records]

    assert facts(actual) == facts(expected) != []


def test_the_tables_are_those_of_dagster(actual, expected):
    def rows(instance):
        return {
            name: [without(row, TIMED_COLUMNS) for row in rows]
            for name, rows in tables(instance.event_log_storage).items()
        }

    assert rows(actual) == rows(expected)
    assert {database for database, table in rows(actual) if table == "event_logs"} == {"index", *RUNS}


# Batches that no job writes today, event by event. Times are given, so every column is compared.


def entry(run_id: str, second: int, event: DagsterEvent | None, message: str = "") -> dg.EventLogEntry:
    return dg.EventLogEntry(
        error_info=None,
        level=10,
        user_message=message,
        run_id=run_id,
        timestamp=1_700_000_000.0 + second,
        step_key=event and event.step_key,
        job_name="daily",
        dagster_event=event,
    )


def step_event(event_type: dg.DagsterEventType, data: Any) -> DagsterEvent:
    return DagsterEvent(event_type.value, "daily", step_key="step", event_specific_data=data)


def materialized(key: str, day: str | None, **kwargs: Any) -> DagsterEvent:
    data = StepMaterializationData(dg.AssetMaterialization(key, partition=day, **kwargs))
    return step_event(MATERIALIZATION, data)


def observed(key: str, day: str) -> DagsterEvent:
    data = AssetObservationData(dg.AssetObservation(key, partition=day, tags={DATA_VERSION_TAG: "o"}))
    return step_event(dg.DagsterEventType.ASSET_OBSERVATION, data)


def planned(key: str) -> DagsterEvent:
    data = AssetMaterializationPlannedData(dg.AssetKey(key), partition="2024-01-01")
    return DagsterEvent.build_asset_materialization_planned_event("daily", "step", data)


def check_planned(key: str, days: set[str] | None) -> DagsterEvent:
    data = AssetCheckEvaluationPlanned(
        asset_key=dg.AssetKey(key), check_name="check", partitions_subset=days and DefaultPartitionsSubset(days)
    )
    return step_event(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data)


def checked(key: str, day: str | None, *, passed: bool) -> DagsterEvent:
    data = dg.AssetCheckEvaluation(dg.AssetKey(key), "check", passed, {"n": dg.MetadataValue.int(1)}, partition=day)
    return step_event(dg.DagsterEventType.ASSET_CHECK_EVALUATION, data)


def mixed_batch() -> list[dg.EventLogEntry]:
    version = {"tags": {DATA_VERSION_TAG: "1", "team": "growth"}}
    batch = [
        ("b", planned("x")),
        ("a", planned("x")),
        ("a", check_planned("x", {"2024-01-01", "2024-01-02"})),
        ("b", check_planned("x", None)),
        ("a", DagsterEvent(dg.DagsterEventType.RUN_START.value, "daily")),
        ("a", materialized("x", "2024-01-01", **version)),
        ("a", None),
        ("b", materialized("x", "2024-01-02", metadata={"rows": 5})),
        ("a", observed("x", "2024-01-01")),
        ("a", materialized("y", None, **version)),
        ("a", checked("x", "2024-01-02", passed=True)),
        ("b", checked("x", None, passed=False)),
        ("", checked("y", None, passed=True)),
        ("", checked("y", None, passed=False)),
        ("a", observed("x", "2024-01-02")),
        ("b", materialized("x", "2024-01-03")),
        ("a", step_event(dg.DagsterEventType.STEP_START, None)),
        ("a", planned("y")),
        ("b", DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "daily")),
    ]
    return [entry(run_id, second, event, "a line of the log") for second, (run_id, event) in enumerate(batch)]


def without(row: dict[str, Any], columns: set[str]) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column not in columns}


def tables(storage: SqliteEventLogStorage) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of each table that has some, by database and table, without the time at which SQLite wrote them."""
    content = {}
    for path in Path(storage.path_for_shard("index")).parent.glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            for table in TABLES:
                rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]
                if rows:
                    content[path.stem, table] = [without(row, {"create_timestamp"}) for row in rows]
    return content


def event_counts(storage: SqliteEventLogStorage) -> dict[str, int]:
    return {database: len(rows) for (database, table), rows in tables(storage).items() if table == "event_logs"}


@pytest.fixture
def storage(tmp_path: Path) -> BatchingSqliteEventLogStorage:
    return BatchingSqliteEventLogStorage(str(tmp_path / "batching"))


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [1, 2], ids=["empty storage", "known assets"])
def test_a_batch_of_all_kinds_of_events_writes_the_rows_of_dagster(tmp_path, storage, repetitions):
    theirs = SqliteEventLogStorage(str(tmp_path / "dagster"))
    for repetition in range(repetitions):
        batch = [e._replace(run_id=e.run_id and e.run_id + str(repetition)) for e in mixed_batch()]
        theirs.store_event_batch(batch)
        storage.store_event_batch(batch)

    assert tables(storage) == tables(theirs)
    assert event_counts(storage)["index"] == 17 * repetitions


def test_a_batch_commits_once_per_database(storage):
    storage.store_event_batch(mixed_batch())  # creates the databases of the runs
    commits: list[str] = []

    def note(connection: sa.Connection) -> None:
        commits.append(str(connection.engine.url.database).rpartition("/")[2])

    sa_event.listen(sa.Engine, "commit", note)
    try:
        storage.store_event_batch(mixed_batch()[4:10])
    finally:
        sa_event.remove(sa.Engine, "commit", note)

    assert commits == ["b.db", "a.db", "index.db"]


@pytest.mark.slow
def test_dagster_hands_materializations_over_in_batches(tmp_path, monkeypatch):
    batched: Counter[tuple[dg.DagsterEventType | None, int]] = Counter()
    single: list[dg.DagsterEventType | None] = []
    store_batch, store = BatchingSqliteEventLogStorage.store_event_batch, BatchingSqliteEventLogStorage.store_event

    def store_event_batch(self: Any, events: Sequence[dg.EventLogEntry]) -> None:
        batched[events[0].dagster_event_type, len(events)] += 1
        store_batch(self, events)

    def store_event(self: Any, event: dg.EventLogEntry) -> None:
        single.append(event.dagster_event_type)
        store(self, event)

    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    monkeypatch.setattr(BatchingSqliteEventLogStorage, "store_event_batch", store_event_batch)
    monkeypatch.setattr(BatchingSqliteEventLogStorage, "store_event", store_event)
    with instance_with(tmp_path, BatchingSqliteEventLogStorage) as instance:
        run_job(instance)

    assert {size: n for (kind, size), n in batched.items() if kind == MATERIALIZATION} == {30: 3, 3: 3}
    assert MATERIALIZATION not in single


# A batch that fails half-way.


def fail_on(storage: SqliteEventLogStorage, database: str, day: str) -> None:
    with closing(sqlite3.connect(storage.path_for_shard(database))) as connection:
        connection.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON event_logs WHEN NEW.partition = '{day}'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        connection.commit()


def accept_all(storage: SqliteEventLogStorage, database: str) -> None:
    with closing(sqlite3.connect(storage.path_for_shard(database))) as connection:
        connection.execute("DROP TRIGGER refuse")
        connection.commit()


@pytest.mark.parametrize(("database", "day"), [("a", "2024-01-01"), ("b", "2024-01-03"), ("index", "2024-01-03")])
def test_a_batch_refused_by_one_database_is_written_to_none(storage, database, day):
    for run_id in ("a", "b"):
        storage.store_event(entry(run_id, 0, None, "start"))
    before = tables(storage)

    fail_on(storage, database, day)
    with pytest.raises(sa.exc.IntegrityError, match="refused"):
        storage.store_event_batch(mixed_batch()[:9] + mixed_batch()[14:])
    assert tables(storage) == before

    accept_all(storage, database)
    storage.store_event_batch(mixed_batch())
    assert event_counts(storage) == {"index": 17, "a": 1 + 11, "b": 1 + 6, ".db": 2}


def test_a_batch_that_fails_on_an_asset_check_is_not_written(storage):
    batch = mixed_batch()
    storage.store_event_batch(batch[:4])
    before = tables(storage)

    with pytest.raises(sa.exc.IntegrityError):
        storage.store_event_batch([batch[5], batch[2]])  # plans again what is planned for run a

    assert tables(storage) == before


@pytest.mark.slow
def test_dagster_stores_a_failed_batch_event_by_event_without_duplicates(tmp_path, monkeypatch, capsys):
    def refuse_once(*_: object) -> None:
        monkeypatch.setattr(BatchingSqliteEventLogStorage, "_store_asset_event", original)
        raise OSError("refused")

    run_id, days = next(iter(RUNS)), DAYS.get_partition_keys()
    original = BatchingSqliteEventLogStorage._store_asset_event
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with instance_with(tmp_path, BatchingSqliteEventLogStorage) as instance:
        # The last step of a batch, when all events are written but not committed.
        monkeypatch.setattr(BatchingSqliteEventLogStorage, "_store_asset_event", refuse_once)
        for day in days:
            batch = DagsterEventBatchMetadata("batch", is_end=day == days[-1])
            instance.report_dagster_event(materialized("events", day), run_id, batch_metadata=batch)

        assert "Falling back" in capsys.readouterr().err
        assert event_counts(instance.event_log_storage) == {"index": 30, run_id: 30}
        assert instance.get_materialized_partitions(ASSETS[0]) == set(days)
        assert instance.get_latest_materialization_event(ASSETS[0]).asset_materialization.partition == days[-1]
