"""A workshop: a project in a folder of its own, its files, its lake, and runs of it on a history that nobody keeps."""

from __future__ import annotations

import datetime as dt
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.running import RunOutcome, run
from analytics_assets.automation.runtime import StepReport, open_lake
from analytics_assets.contracts.audit import Finding
from analytics_assets.lake.days import Days
from analytics_assets.lake.releases import Release, latest_release
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings
from analytics_assets_tests.postgres import database, postgres_server

ORDER_COLUMNS = ("order_id", "line", "user_id", "product_id", "ordered_at", "quantity", "unit_price")
ORDERS: dict[str, Any] = {
    "path": "data/orders.csv",
    "format": "csv",
    "feeds": [{"table": "order_lines", "columns": {name: name for name in ORDER_COLUMNS}}],
}
"""A source of order lines whose columns are called as ours are."""
MEMORY = "500MB"
FIXTURES = (database, postgres_server)
"""Those of other modules, for every test."""


def pytest_collection_finish() -> None:
    """Let the collector of garbage look seldom, and not at what was imported: it takes a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def on_history(context: Any, instance: dg.DagsterInstance) -> Any:
    """Give the context of a tick a history in memory; Dagster's own way wants one on disk, which is slow to write."""
    context._instance_ref, context._instance = True, instance
    return context


def day(text: str) -> dt.date:
    """Read `2024-03-01`, or `03-01` for a day of 2024."""
    return dt.date.fromisoformat(text if len(text) > 5 else f"2024-{text}")


def csv(header: Sequence[str], *rows: str) -> str:
    """Return the text of a CSV file."""
    return "\n".join([",".join(header), *rows]) + "\n"


def orders(*rows: str) -> str:
    """Return the text of a CSV file of order lines."""
    return csv(ORDER_COLUMNS, *rows)


@dataclass(frozen=True)
class Ran:
    """Say how a run went, the repeated days included."""

    outcomes: tuple[RunOutcome, ...]

    @property
    def succeeded(self) -> bool:
        return all(outcome.success for outcome in self.outcomes)

    @property
    def message(self) -> str:
        """What a person is told of the failures; a failure that nobody foresaw is no message."""
        assert not any(outcome.unexpected for outcome in self.outcomes), [o.failures for o in self.outcomes]
        return "\n".join(message for outcome in self.outcomes for message in outcome.failures.values())

    @property
    def release(self) -> int:
        return self.outcomes[-1].release.number

    @property
    def run_id(self) -> str:
        return self.outcomes[0].run_id

    def report(self, table: str) -> StepReport:
        return next(report for report in self.outcomes[0].reports if report.table == table)

    def broken(self, table: str, severity: str) -> list[Finding]:
        """Return the findings of that severity about a table."""
        return [f for f in self.report(table).findings if f.severity == severity and not f.holds]

    def warnings(self, table: str) -> str:
        return "\n".join(map(str, self.broken(table, "warning")))


FACTS = "group:raw or group:staged or group:dimensions or group:facts"
"""The tables that the road ends in; marts are made of them, and take as long."""
STAR = f"{FACTS} or key:quality_measures or key:quality_sums"
"""Those, and what is told of each of their days."""
UNDRAWN = "not group:charts and not group:report"
"""Every table, and neither a picture of them nor a report."""


@dataclass
class Workshop:
    """Write a project, deliver files, run days, and read back what came of it.

    Attributes:
        selects: The tables of a run that does not say which; every table and no chart by default.
    """

    folder: Path
    instance: dg.DagsterInstance
    declared: dict[str, Any] = field(default_factory=dict)
    lake: Path = Path()
    selects: str | None = UNDRAWN

    def __post_init__(self) -> None:
        self.lake = self.folder / "lake"
        self.declared = {"name": "workshop", "first_day": day("03-01"), "last_day": day("03-04")}
        (self.home / "sources").mkdir(parents=True)
        self.declare()

    @property
    def home(self) -> Path:
        """The project's folder."""
        return self.folder / "project"

    def declare(self, **changes: Any) -> None:
        """Write `project.yaml`."""
        self.declared |= changes
        (self.home / "project.yaml").write_text(yaml.safe_dump(self.declared, sort_keys=False))

    def source(self, name: str, base: Mapping[str, Any], **changes: Any) -> None:
        """Write a source's YAML."""
        (self.home / "sources" / f"{name}.yaml").write_text(yaml.safe_dump({**base, **changes}, sort_keys=False))

    def deliver(self, name: str, content: str | bytes) -> Path:
        """Write a data file."""
        path = self.home / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def project(self) -> Project:
        return load_project(self.home, {})

    @property
    def settings(self) -> Settings:
        return Settings(
            project=self.home,
            lake=str(self.lake),
            exports=self.folder / "exports",
            charts=self.folder / "charts",
            reports=self.folder / "reports",
            memory=MEMORY,
            threads=1,
        )

    def run(self, first: str | None = None, last: str | None = None, select: str | None = None) -> Ran:
        """Run some days of delivery: all of the project's, one, or a range."""
        project = self.project
        begin = day(first) if first else project.first_day
        end = day(last) if last else begin if first else project.last_day
        chosen = select or self.selects
        return Ran(run(project, self.settings, Days(begin, end or begin), select=chosen, instance=self.instance))

    def release(self) -> Release:
        """Return what readers see."""
        with open_lake(self.settings, "workshop") as lake:
            return latest_release(lake)

    def rows(self, table: str, *columns: str, version: int | None = None) -> list[Any]:
        """Read a table of the newest release: its rows by key, or the values of some columns."""
        contract = resolve(self.project).contracts()[table]
        with open_lake(self.settings, "workshop") as lake:
            at = latest_release(lake).versions[table] if version is None else version
            rows = lake.read(contract, version=at)
            order = [*([contract.day] if contract.day else []), *contract.key]
            found = lake.engine.rows(rows.order_by(order))
        if not columns:
            return found
        return [row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns) for row in found]

    def reasons(self, table: str, key: str) -> dict[str, list[str]]:
        """Return why each row of a staged table was rejected, by its key; nothing where it is kept."""
        return {row[key]: row["rejected"] for row in self.rows(f"staged_{table}")}

    def fingerprints(self) -> dict[str, str]:
        """Return the content hash of every table that readers see."""
        contracts = resolve(self.project).contracts()
        with open_lake(self.settings, "workshop") as lake:
            versions = latest_release(lake).versions
            return {name: lake.fingerprint(contracts[name], version) for name, version in versions.items()}

    def checks(self, ran: Ran) -> dict[tuple[str, str], str]:
        """Return how Dagster recorded the checks of a run, by table and check: `passed`, `warn` or `error`."""
        events = self.instance.all_logs(ran.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [event.dagster_event.asset_check_evaluation_data for event in events if event.dagster_event]
        return {
            (data.asset_key.to_user_string(), data.check_name): "passed" if data.passed else data.severity.value.lower()
            for data in found
        }

    def assert_accounted(self, ran: Ran, table: str, delivered: int) -> None:
        """Hold a run to: delivered = landed + filtered, landed = kept + rejected, and kept = rows of the fact."""
        landed, staged = ran.report(f"raw_{table}"), ran.report(f"staged_{table}")
        assert delivered == landed.rows + sum(landed.filtered.values())
        assert landed.rows == staged.rows
        assert self.kept(table) == staged.rows - sum(staged.rejected.values())
        self.assert_nothing_lost()

    def assert_nothing_lost(self) -> None:
        """Hold what readers see to: landed = judged, and kept = rows of the fact."""
        for table in self.project.raw_tables():
            assert len(self.rows(f"raw_{table}")) == len(self.rows(f"staged_{table}"))
        for asset in resolve(self.project).tables:
            if asset.contract.accounts_for:
                kept = self.kept(asset.contract.accounts_for.removeprefix("staged_"))
                assert len(self.rows(asset.name)) == kept, asset.name

    def kept(self, table: str) -> int:
        """Count the rows of a staged table that are not rejected."""
        return sum(not row["rejected"] for row in self.rows(f"staged_{table}"))

    def start_over(self) -> None:
        """Forget every table."""
        shutil.rmtree(self.lake, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that works on this project alone."""
        temporary = self.folder / "temporary"  # what a killed process leaves goes with the test's folder
        temporary.mkdir(exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANALYTICS_", "DAGSTER_"))}
        return inherited | {
            "ANALYTICS_PROJECT": str(self.home),
            "ANALYTICS_LAKE": str(self.lake),
            "ANALYTICS_EXPORTS": str(self.folder / "exports"),
            "ANALYTICS_CHARTS": str(self.folder / "charts"),
            "ANALYTICS_REPORTS": str(self.folder / "reports"),
            "ANALYTICS_MEMORY": MEMORY,
            "ANALYTICS_THREADS": "1",
            "DAGSTER_HOME": str(self.folder / "history"),
            "TMPDIR": str(temporary),
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "200",
        }

    def command(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the real command line in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from analytics_assets.cli import main; main()", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Give one workshop to all tests of a module that look at the same run."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Workshop(tmp_path_factory.mktemp("workshop"), instance)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """Give an empty project with days from 2024-03-01 to 2024-03-04."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Workshop(tmp_path, instance)
