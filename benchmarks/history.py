"""Measure what a run costs that records the materializations of many days in Postgres, batched and one by one.

`make bench` prints a line a storage. The server is that of the tests, on this machine; the run computes nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIRST, LAST, DAYS = "2022-01-01", "2024-09-27", 1001
OURS = {"custom": {"module": "analytics_assets.automation.postgres_storage", "class": "PostgresHistory"}}


def job() -> Any:
    """Make a job of one asset by day, with a check."""
    import dagster as dg

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition(FIRST),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("keys", asset="events")],
    )
    def events() -> Any:
        yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="keys", passed=True)])

    made = dg.Definitions(assets=[events], jobs=[dg.define_asset_job("daily")], executor=dg.in_process_executor)
    return made.resolve_job_def("daily")


def measured(storage: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds of a run on a storage, and those of this process."""
    import dagster as dg
    import yaml

    daily = job()
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}}))
        with dg.DagsterInstance.from_config(home) as instance:
            tags = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": LAST}
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            begun, own = time.perf_counter(), time.process_time()
            assert daily.execute_in_process(instance=instance, tags=tags, run_config=quiet).success
            took = time.perf_counter() - begun, time.process_time() - own
            assert len(instance.get_materialized_partitions(dg.AssetKey("events"))) == DAYS
    return took


def main() -> None:
    sys.path.insert(0, str(ROOT))
    warnings.filterwarnings("ignore")
    from analytics_assets_tests.postgres import server

    print(f"A run that records {DAYS:,} days of one table in Postgres:")
    with server() as running:
        for number, (name, ours, batch) in enumerate(
            (
                ("Dagster's storage, one by one", False, None),
                ("Dagster's storage, batches of 1000", False, "1000"),
                ("our storage, batches of 1000", True, "1000"),
            )
        ):
            running.ask(f"create database history{number}")
            url = running.url(f"history{number}")
            os.environ["ANALYTICS_HISTORY_URL"] = url
            os.environ.pop("DAGSTER_EVENT_BATCH_SIZE", None)
            if batch:
                os.environ["DAGSTER_EVENT_BATCH_SIZE"] = batch
            theirs = {"postgres": {"postgres_url": url.replace("postgresql:", "postgresql+psycopg2:")}}
            seconds, own = measured(OURS if ours else theirs)
            print(f"- {name}: {seconds:.1f} s, of which {own:.1f} s in this process")


if __name__ == "__main__":
    main()
