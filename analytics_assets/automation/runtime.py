"""What a run holds from its first table to its release: the lake, its lock, its engine, a folder for copies.

Belongs here: the life of one run's resources, and what is told of its steps. Does not belong here: what a step does
(`building`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analytics_assets.contracts.audit import Finding
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.lock import life_of, run_lock
from analytics_assets.lake.releases import Computed, undo_unreleased
from analytics_assets.lake.tables import Lake

if TYPE_CHECKING:
    from analytics_assets.settings import Settings


@dataclass(frozen=True)
class StepReport:
    """Say what one step did to one table.

    Attributes:
        table: The table.
        rows: Rows that it wrote; 0 where the step failed.
        rejected: Of a staged table, rejected rows by main reason.
        filtered: Of a raw table, rows that its source left out, by condition.
        findings: What the audit found.
        seconds: How long the step took.
        engine_seconds: How much of that was spent inside queries and writes.
        version: The version that was published; None where nothing was.
        message: What a person should know: how a table followed its contract, or why the step failed.
    """

    table: str
    rows: int
    seconds: float
    engine_seconds: float
    version: int | None
    rejected: Mapping[str, int] = field(default_factory=dict)
    filtered: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    message: str = ""


Listener = Callable[[StepReport], None]


def _nobody(_: StepReport) -> None:
    """Listen to nothing."""


@dataclass
class Runtime:
    """Hold what the steps of one run share; `environment` has the secrets that sources name."""

    lake: Lake
    run_id: str
    folder: Path
    exports: Path
    charts: Path
    reports: Path
    listener: Listener
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    written: dict[str, Computed] = field(default_factory=dict)
    _last_days: dict[tuple[tuple[str, Computed | None], ...], dt.date | None] = field(default_factory=dict)

    def last_day(self, tables: Iterable[str]) -> dt.date | None:
        """Return the last day that any of the tables has rows of.

        Every table without days asks. Nobody else writes during the run, so the tables are looked at again only when it
        has written one of them.
        """
        written = tuple((table, self.written.get(table)) for table in tables)
        if written not in self._last_days:
            days = (self.lake.extent(table).last_day for table, _ in written)
            self._last_days[written] = max((day for day in days if day), default=None)
        return self._last_days[written]


@contextmanager
def open_runtime(
    settings: Settings,
    project: str,
    tables: Iterable[str],
    run_id: str,
    tell: Callable[[str], None],
    listener: Listener = _nobody,
) -> Iterator[Runtime]:
    """Hold the lake for one run: nobody else writes to it until the run ends.

    What an earlier run published and never released, because it failed or was killed, is undone first.

    Args:
        settings: Where the lake is.
        project: The project's name.
        tables: The names of its tables.
        run_id: The run.
        tell: Is told, in words, whom the run waits for and what it undid.
        listener: Is told of every table that the run finishes.
    """
    root = settings.lake_root(project)
    with (
        life_of(root, run_id) as folder,
        run_lock(root, run_id, tell),
        open_lake(settings, project) as lake,
    ):
        if undone := undo_unreleased(lake, tables):
            tell(f"undone, because the run that published it never released it: {', '.join(undone)}")
        yield Runtime(
            lake,
            run_id,
            folder,
            settings.exports_folder(project),
            settings.charts_folder(project),
            settings.reports_folder(project),
            listener,
            settings.environment,
        )


@contextmanager
def open_lake(settings: Settings, project: str) -> Iterator[Lake]:
    """Open a project's lake, with an engine, to read."""
    engine = DuckDBEngine(settings.engine_memory, settings.threads)
    try:
        yield Lake(settings.lake_root(project), engine, settings.storage_options)
    finally:
        engine.close()
