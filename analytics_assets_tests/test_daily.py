"""A morning as a user has it: the daemon fires the schedule, a bad file is blocked and told, a good one clears it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from analytics_assets_tests.conftest import ORDERS, orders
from analytics_assets_tests.processes import Ui, dagster_dev, until
from analytics_assets_tests.receivers import PATH, HttpReceiver, MailReceiver

MINUTE = 60.0
RUNS = """
{ runsOrError(limit: 20) { ... on Runs { results {
    runId status startTime endTime jobName tags { key value } } } } }
"""
TICKS = """
query ($schedule: ScheduleSelector!) {
  scheduleOrError(scheduleSelector: $schedule) {
    ... on Schedule { scheduleState { status ticks { status runIds } } } }
}
"""
SHOWN = """
{
  assetNodes { assetKey { path } groupName
    assetMaterializations(limit: 1) { runId metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
      evaluation { success } } } } }
  }
}
"""
pytestmark = pytest.mark.slow


def around_noon() -> ZoneInfo:
    """Return a time zone in which it is about noon now, so that no day ends while the test runs."""
    ahead = 12 - dt.datetime.now(dt.UTC).hour
    return ZoneInfo(f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT")


@dataclass
class Morning:
    """Hold a project whose schedule is due in a moment, who is told, and the Dagster that runs it."""

    home: Path
    zone: ZoneInfo
    webhook: HttpReceiver
    mail: MailReceiver
    ui: Ui

    @property
    def yesterday(self) -> dt.date:
        return dt.datetime.now(self.zone).date() - dt.timedelta(days=1)

    def deliver(self, text: str) -> None:
        fresh = self.home / "data" / "orders.csv.new"
        fresh.write_text(text)
        fresh.replace(self.home / "data" / "orders.csv")

    def orders(self, quantity: int) -> str:
        days = [self.yesterday - dt.timedelta(days=n) for n in range(3)]
        return orders(*(f"o{day}{n},1,u{n},p{n},{day} 12:0{n}:00,{quantity},9.99" for day in days for n in range(5)))

    def runs(self) -> list[dict[str, Any]]:
        """Return the daily runs, the oldest first."""
        found = self.ui.ask(RUNS)["runsOrError"]["results"]
        return [run for run in reversed(found) if run["jobName"] == "daily"]

    def ended(self, number: int) -> dict[str, Any]:
        """Wait for the end of a run, counted from 1."""

        def look() -> dict[str, Any] | None:
            runs = self.runs()
            done = len(runs) >= number and runs[number - 1]["status"] in {"SUCCESS", "FAILURE", "CANCELED"}
            return runs[number - 1] if done else None

        run: dict[str, Any] = until(look, f"the end of run {number}")
        return run

    def told(self, number: int) -> tuple[list[str], list[str]]:
        """Wait for so many messages; return their titles as the webhook and the mailbox have them."""
        until(lambda: len(self.webhook.got) >= number and len(self.mail.got) >= number, f"message {number}")
        return (
            [str(posted.document["title"]) for posted in self.webhook.got],
            [str(mail["Subject"]) for mail in self.mail.got],
        )


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Morning]:
    zone = around_noon()
    webhook, mail = HttpReceiver(), MailReceiver()
    home = tmp_path / "project"
    (home / "sources").mkdir(parents=True)
    (home / "data").mkdir()
    due = dt.datetime.now(zone) + dt.timedelta(seconds=75)
    first = due.date() - dt.timedelta(days=3)
    declared = {
        "name": "workshop",
        "time_zone": str(zone),
        "first_day": first,
        "daily": {"at": f"{due:%H:%M}", "fresh_by": "23:59"},
    }
    alerts = {
        "channels": {
            "pager": {"type": "webhook", "url_env": "PAGER_URL"},
            "mail": {
                "type": "email",
                "host": "127.0.0.1",
                "port": mail.port,
                "security": "none",
                "from": "data@example.com",
                "to": ["ana@example.com"],
            },
        },
        "routes": [{"to": ["pager", "mail"], "kinds": ["run"]}],
    }
    (home / "project.yaml").write_text(yaml.safe_dump(declared))
    (home / "alerts.yaml").write_text(yaml.safe_dump(alerts))
    (home / "sources" / "orders.yaml").write_text(yaml.safe_dump(ORDERS))
    environment = {
        "ANALYTICS_PROJECT": str(home),
        "ANALYTICS_LAKE": str(tmp_path / "lake"),
        "ANALYTICS_EXPORTS": str(tmp_path / "exports"),
        "ANALYTICS_CHARTS": str(tmp_path / "charts"),
        "ANALYTICS_REPORTS": str(tmp_path / "reports"),
        "ANALYTICS_MEMORY": "500MB",
        "ANALYTICS_AUTOMATION": "true",
        "PAGER_URL": webhook.url,
    }
    with dagster_dev(tmp_path / ".dagster_home", environment) as ui:
        made = Morning(home, zone, webhook, mail, ui)
        made.deliver(made.orders(1))
        yield made
    webhook.close()
    mail.close()


def test_a_morning_from_the_schedule_to_a_bad_file_and_a_good_one(morning: Morning) -> None:
    first = morning.ended(1)
    second = morning.ended(2)
    assert (first["status"], second["status"]) == ("SUCCESS", "SUCCESS")
    tags = {tag["key"]: tag["value"] for tag in second["tags"]}
    assert tags["dagster/schedule_name"] == "daily"
    assert tags["dagster/asset_partition_range_start"] == str(morning.yesterday)
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "analytics_assets"}
    schedule = morning.ui.ask(TICKS, schedule=selector | {"scheduleName": "daily"})["scheduleOrError"]["scheduleState"]
    assert schedule["status"] == "RUNNING"
    assert schedule["ticks"][0]["runIds"] == [first["runId"], second["runId"]]
    shown = {node["assetKey"]["path"][-1]: node for node in morning.ui.ask(SHOWN)["assetNodes"]}
    checks = {
        c["name"]: c["executionForLatestMaterialization"] for c in shown["fact_sales"]["assetChecksOrError"]["checks"]
    }
    assert checks["accounting"]["evaluation"]["success"]
    charts = [node for node in shown.values() if node["groupName"] == "charts"]
    assert charts
    for chart in charts:
        (drawn,) = chart["assetMaterializations"]
        preview = next(entry["mdStr"] for entry in drawn["metadataEntries"] if "mdStr" in entry)
        assert "data:image/png;base64," in preview
    assert (morning.webhook.got, morning.mail.got) == ([], [])

    morning.deliver(morning.orders(2).replace("quantity", "pieces"))  # the column that the source needs is gone
    blocked = morning.ended(3)
    assert blocked["status"] == "FAILURE"
    posted, mailed = morning.told(1)
    assert time.time() - blocked["endTime"] < MINUTE
    assert mailed == [f"[workshop] {title}" for title in posted]
    assert "quantity" in str(morning.webhook.got[0].document)
    assert blocked["runId"] in str(morning.webhook.got[0].document)

    morning.deliver(morning.orders(3))
    assert morning.ended(4)["status"] == "SUCCESS"
    posted, mailed = morning.told(2)
    assert mailed == [f"[workshop] {title}" for title in posted]
    assert len(posted) == 2
    assert morning.webhook.got[1].document["change"] == "recovered"
    log = (morning.home.parent / ".dagster_home" / "log").read_text()
    assert PATH not in log
