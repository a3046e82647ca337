"""The deployment of docker-compose.yml, natively: a morning on Postgres, and what happens when any part of it dies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import dagster as dg
import pytest
import yaml

from analytics_assets.lake.lock import run_lock
from analytics_assets_tests.conftest import Workshop, csv
from analytics_assets_tests.deploying import STAYING, Deployment, deployed
from analytics_assets_tests.postgres import PASSWORD, server
from analytics_assets_tests.processes import until
from analytics_assets_tests.receivers import HttpReceiver
from analytics_assets_tests.test_daily import around_noon

COLUMNS = ("return_id", "product_id", "returned_at", "quantity")
RETURNS = {
    "path": "data/returns.csv",
    "format": "csv",
    "feeds": [{"table": "returns", "columns": {name: name for name in COLUMNS}}],
}
"""The kind of data that fewest tables follow from."""
SENSOR = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { id status } } } }
"""
STOP = "mutation ($id: String) { stopSensor(id: $id) { __typename } }"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
pytestmark = pytest.mark.slow


@dataclass
class Place:
    """Hold a deployed project of one day, yesterday, and the same project undisturbed."""

    deployment: Deployment
    workshop: Workshop
    webhook: HttpReceiver
    day: dt.date
    delivered: tuple[int, int] = (1, 0)
    expected: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)

    def deliver(self, quantity: int, rows: int = 3) -> None:
        """Deliver a file of which every row says the quantity, to the deployment and to the undisturbed."""
        self.delivered = quantity, rows
        sent = [f"r{n},p{n},{self.day} 12:0{n}:00,{quantity}" for n in range(rows)]
        for home in (self.deployment.folder / "project", self.workshop.home):
            (home / "data").mkdir(exist_ok=True)
            fresh = home / "data" / "returns.new"
            fresh.write_text(csv(COLUMNS, *sent))
            fresh.replace(home / "data" / "returns.csv")

    def undisturbed(self) -> dict[str, str]:
        """Return the content of every table after a run that nothing disturbs."""
        if self.delivered not in self.expected:
            assert self.workshop.run(str(self.day)).succeeded
            self.expected[self.delivered] = self.workshop.fingerprints()
        return self.expected[self.delivered]

    def released(self) -> dict[str, str]:
        """Return the content of every table that readers of the deployment see."""
        self.workshop.lake, own = self.deployment.lake, self.workshop.lake
        try:
            return self.workshop.fingerprints()
        finally:
            self.workshop.lake = own

    def launch(self) -> str:
        day = str(self.day)
        return self.deployment.launch(asset_partition_range_start=day, asset_partition_range_end=day)

    def status(self, run_id: str) -> str:
        return next((status for run, status, _ in self.deployment.runs() if run == run_id), "")

    def ended(self, run_id: str) -> str:
        """Wait for the end of a run and of those that begin it anew; return the last one's status."""

        def look() -> str | None:
            runs = self.deployment.runs()
            status = next((status for run, status, _ in runs if run == run_id), "")
            if status not in ENDED or (status == "FAILURE" and self.tag(run_id, "dagster/will_retry") is None):
                return None
            if self.tag(run_id, "dagster/will_retry") != "true":
                return status
            again = next((run for run, _, parent in runs if parent == run_id), None)
            return self.ended(again) if again else None

        return str(until(look, f"the end of run {run_id}"))

    def tag(self, run_id: str, name: str) -> str | None:
        found = self.deployment.ask("select value from run_tags where run_id = %s and key = %s", run_id, name)
        return found[0][0] if found else None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    zone, webhook = around_noon(), HttpReceiver()
    folder = tmp_path_factory.mktemp("deployment")
    soon = dt.datetime.now(zone) + dt.timedelta(seconds=30 + 59)
    yesterday = soon.date() - dt.timedelta(days=1)
    given = {f"ANALYTICS_{who}_PASSWORD": PASSWORD for who in ("ADMIN", "HISTORY", "WAREHOUSE", "WAREHOUSE_READER")}
    given["ANALYTICS_MEMORY"] = "500MB"
    with ExitStack() as stack:
        stack.callback(webhook.close)
        running = stack.enter_context(server())
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        workshop = Workshop(tmp_path_factory.mktemp("undisturbed"), instance, selects=None)
        workshop.declare(
            first_day=yesterday,
            last_day=None,
            time_zone=str(zone),
            daily={"at": f"{soon:%H:%M}", "fresh_by": "23:59"},
        )
        workshop.source("returns", RETURNS)
        project = folder / "project"
        (project / "sources").mkdir(parents=True)
        for name in ("project.yaml", "sources/returns.yaml"):
            (project / name).write_bytes((workshop.home / name).read_bytes())
        pager = {"channels": {"pager": {"type": "webhook", "url_env": "PAGER_URL"}}, "routes": [{"to": ["pager"]}]}
        (project / "alerts.yaml").write_text(yaml.safe_dump(pager))
        deployment = Deployment(folder, running, given, {"PAGER_URL": webhook.url, "ANALYTICS_THREADS": "1"})
        made = Place(deployment, workshop, webhook, yesterday)
        made.deliver(1, rows=0)  # of which a check warns
        stack.enter_context(deployed(deployment))
        selector = {"repositoryName": "__repository__", "repositoryLocationName": "analytics_assets"}
        told = deployment.ui.ask(SENSOR, sensor=selector | {"sensorName": "new_files"})["sensorOrError"]["sensorState"]
        assert told["status"] == "RUNNING"
        deployment.ui.ask(STOP, id=told["id"])  # or each delivery would ask for a run besides the one of the test
        first = until(deployment.runs, "the tick of the schedule")[0][0]
        assert made.ended(first) == "SUCCESS"
        yield made


def test_the_schedule_ticks_and_its_run_releases_the_day(place: Place) -> None:
    (run_id, status, _), *_ = place.deployment.runs()
    assert status == "SUCCESS"
    assert place.tag(run_id, "dagster/schedule_name") == "daily"
    ticks = "select status from job_ticks where status = 'SUCCESS' and tick_body like %s"
    assert place.deployment.ask(ticks, f"%{run_id}%") == [("SUCCESS",)]
    assert place.released() == place.undisturbed()


def test_a_check_that_fails_is_recorded_and_told(place: Place) -> None:
    (run_id, *_), *_ = place.deployment.runs()
    failed = "select check_name from asset_check_executions where run_id = %s and execution_status = 'FAILED'"
    assert place.deployment.ask(failed, run_id) == [("volume",)]
    until(lambda: any("raw_returns" in str(posted.document) for posted in place.webhook.got), "the alert")
    assert run_id in str([posted.document for posted in place.webhook.got])


@pytest.mark.parametrize("victim", [*STAYING, "postgres"])
def test_whatever_dies_during_a_run_the_day_is_released_and_the_record_true(place: Place, victim: str) -> None:
    deployment = place.deployment
    deployment.stop_sensor("new_files")  # the day is run once, when the test says so
    until(lambda: {status for _, status, _ in deployment.runs()} <= ENDED, "the end of every run")
    place.deliver(place.delivered[0] % 2 + 1)
    expected = place.undisturbed()
    with ExitStack() as held:
        held.enter_context(run_lock(str(deployment.lake), "the test", print))
        run_id = place.launch()
        until(lambda: "waiting for another run on this lake" in deployment.events(run_id), "the wait of the run")
        assert place.status(run_id) == "STARTED"
        begun = deployment.begun.get(victim)
        deployment.kill(victim)
        if victim in STAYING:
            until(lambda: deployment.begun[victim] > begun, f"the new start of {victim}")
    if victim == "postgres":  # the run goes on without it
        until(lambda: "Waiting up to" in deployment.log("code"), "the run's wait for Postgres")
        deployment.server.start()
    assert place.ended(run_id) == "SUCCESS"
    assert place.released() == expected
    record = deployment.events(run_id)
    if victim == "code":
        assert place.status(run_id) == "FAILURE"
        assert "the code server was started anew" in record or "The process of this run is gone" in record
        assert [parent for _, _, parent in deployment.runs()].count(run_id) == 1
    else:
        assert place.status(run_id) == "SUCCESS"
    assert {status for _, status, _ in deployment.runs()} <= ENDED  # nothing is held up
    if victim == "webserver":
        until(deployment.ui.up, "the new start of the UI")


@pytest.mark.parametrize("name", STAYING)
def test_who_runs_is_healthy_and_who_does_not_is_not(place: Place, name: str) -> None:
    until(lambda: place.deployment.healthy(name), f"the health of {name}")


@pytest.mark.parametrize("words", [("status",), ("doctor",), ("alerts",)], ids=" ".join)
def test_commands_work_where_the_code_server_is(place: Place, words: tuple[str, ...]) -> None:
    ran = place.deployment.once("code", "analytics-assets", *words)
    assert ran.returncode in {0, 1}, ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert {"status": str(place.day), "doctor": "", "alerts": "open"}[words[0]] in ran.stdout


def test_no_password_stands_in_a_log_nor_in_the_history(place: Place) -> None:
    for name in STAYING:
        assert "dagster" in place.deployment.log(name)
        assert PASSWORD not in place.deployment.log(name)
    for path in place.deployment.home.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
    assert PASSWORD not in place.deployment.dumped("dagster")


def test_nothing_is_written_but_on_the_volumes(place: Place) -> None:
    home = place.deployment.home
    written = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith("storage/")} == {"dagster.yaml", "workspace.yaml"}
    assert {path.name for path in place.deployment.data.iterdir()} <= {"lake", "exports", "charts", "reports", "tmp"}
