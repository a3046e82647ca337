"""The UI as a user starts it: real processes, a run launched from it, and what it shows of tables and checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from analytics_assets_tests.processes import ROOT, Ui, dagster_dev, until

BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
RUNS = """
query ($filter: RunsFilter) {
  runsOrError(filter: $filter) { ... on Runs { results { runId status tags { key value } } } }
}
"""
ASSETS = """
{ assetNodes {
    assetKey { path } groupName description
    assetMaterializations(limit: 1) { metadataEntries { label ... on TableSchemaMetadataEntry { label } } }
    metadataEntries { label }
    assetChecksOrError { ... on AssetChecks { checks {
      name executionForLatestMaterialization { evaluation { success severity } } } } }
} }
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui") / ".dagster_home"
    with dagster_dev(
        home, {"ANALYTICS_PROJECT": str(ROOT / "examples/starter"), "ANALYTICS_MEMORY": "500MB"}
    ) as asking:
        yield asking


@pytest.fixture(scope="module")
def launched(ui: Ui) -> dict[str, Any]:
    """Launch a backfill of the project's days from the UI, and return what it shows of each table."""
    days = [str(dt.date(2024, 3, 27) + dt.timedelta(days=n)) for n in range(7)]
    repository = {"repositoryName": "__repository__", "repositoryLocationName": "analytics_assets"}
    selector = {"partitionSetName": "daily_partition_set", "repositorySelector": repository}
    params = {"selector": selector, "partitionNames": days, "fromFailure": False}
    answer = ui.ask(BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    tag = {"key": "dagster/backfill", "value": answer["backfillId"]}

    def ended() -> dict[str, Any] | None:
        runs = ui.ask(RUNS, filter={"tags": [tag]})["runsOrError"]["results"]
        return runs[0] if runs and runs[0]["status"] in {"SUCCESS", "FAILURE", "CANCELED"} else None

    run = until(ended, "the end of the run")
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert run["status"] == "SUCCESS"
    assert len(ui.ask(RUNS, filter={"tags": [tag]})["runsOrError"]["results"]) == 1, "a range of days is one run"
    assert tags["dagster/asset_partition_range_start"] == days[0]
    assert tags["dagster/asset_partition_range_end"] == days[-1]
    return {node["assetKey"]["path"][-1]: node for node in ui.ask(ASSETS)["assetNodes"]}


def test_tables_are_shown_in_groups_with_descriptions_and_schemas(launched: dict[str, Any]) -> None:
    groups = {node["groupName"] for node in launched.values()}
    marts = {"activity", "paths", "sums", "sales", "customers", "forecasts", "marketing", "quality"}
    assert groups == {"raw", "staged", "dimensions", "facts", *marts, "release", "charts", "report"}
    for name, node in launched.items():
        if name == "exports" or node["groupName"] in {"charts", "report"}:
            continue  # they are files, and no table
        assert "**Grain**" in node["description"], name
        if name != "release":
            assert "dagster/column_schema" in {entry["label"] for entry in node["metadataEntries"]}, name


def test_a_run_from_the_ui_shows_row_counts_sql_time_and_version(launched: dict[str, Any]) -> None:
    for name, node in launched.items():
        (materialization,) = node["assetMaterializations"]
        labels = {entry["label"] for entry in materialization["metadataEntries"]}
        if node["groupName"] == "charts":
            assert labels >= {"preview", "png", "svg", "rows", "release"}, name
        elif name == "report":
            assert labels >= {"report", "md", "txt", "html", "as_of", "release"}
        elif name not in {"release", "exports"}:
            assert labels >= {"dagster/row_count", "lake_version", "sql", "seconds", "engine_seconds"}, name


def test_the_ui_shows_the_results_of_checks(launched: dict[str, Any]) -> None:
    def results(table: str) -> dict[str, tuple[bool, str]]:
        checks = launched[table]["assetChecksOrError"]["checks"]
        told = {check["name"]: check["executionForLatestMaterialization"]["evaluation"] for check in checks}
        return {name: (evaluation["success"], evaluation["severity"]) for name, evaluation in told.items()}

    assert results("staged_events") == {
        "keys": (True, "ERROR"),
        "values": (True, "ERROR"),
        "accounting": (True, "ERROR"),
    }
    assert results("dim_products")["keys"] == (False, "WARN")
