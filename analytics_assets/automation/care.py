"""Looking after a lake: going back to a release, taking away what nobody sees, deleting a person's rows.

Belongs here: holding the lake for it, as a run does. Does not belong here: the work (`lake`, `forgetting`) and how it
is asked for and shown (`cli`, `console`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.jobs import UNDER_WAY
from analytics_assets.automation.runtime import Runtime, open_lake, open_runtime
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.lock import clear_dead_runs
from analytics_assets.lake.releases import Release, latest_release
from analytics_assets.lake.restoring import restore
from analytics_assets.lake.vacuum import Vacuumed, vacuum

if TYPE_CHECKING:
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings

Tell = Callable[[str], None]


@contextmanager
def held(project: Project, settings: Settings, what: str, tell: Tell) -> Iterator[Runtime]:
    """Hold the lake as a run does: wait for the one that has it, and undo what was never released.

    A bucket has no lock, so there nothing is done while a run is under way.
    """
    if "://" in settings.lake_root(project.name):
        _refuse_beside_a_run(settings, what)
    with open_lake(settings, project.name) as lake:
        known = {*resolve(project).contracts(), *latest_release(lake).versions}
    with open_runtime(settings, project.name, sorted(known), f"{what}-{uuid.uuid4().hex[:12]}", tell) as runtime:
        yield runtime


def _refuse_beside_a_run(settings: Settings, what: str) -> None:
    import dagster as dg

    from analytics_assets.automation.running import INSTANCE_FILE, open_history

    if not (settings.history / INSTANCE_FILE).exists():
        return
    with open_history(settings) as instance:
        active = instance.get_runs(dg.RunsFilter(statuses=list(UNDER_WAY)), limit=1)
    if active:
        raise LakeError(
            f"run {active[0].run_id} is under way, and a bucket has no lock that {what} could wait for: begin again "
            "when it has ended"
        )


def go_back(project: Project, settings: Settings, to: int | dt.datetime, tell: Tell) -> tuple[Release, Release]:
    """Make a new release of an earlier one; see `lake.restoring.restore`."""
    with held(project, settings, "restore", tell) as runtime:
        return restore(runtime.lake, to, runtime.run_id, dt.datetime.now(dt.UTC))


def tidy(project: Project, settings: Settings, tell: Tell, *, dry_run: bool = False) -> Vacuumed:
    """Forget old releases, and remove what none of the others shows; see `lake.vacuum.vacuum`."""
    retention = dt.timedelta(days=settings.retention_days)
    contracts = resolve(project).contracts()
    now = dt.datetime.now(dt.UTC)
    if dry_run:
        with open_lake(settings, project.name) as lake:
            return vacuum(lake, contracts, "dry run", now, retention, dry_run=True)
    with held(project, settings, "vacuum", tell) as runtime:
        done = vacuum(runtime.lake, contracts, runtime.run_id, now, retention)
        if dead := clear_dead_runs(runtime.lake.root):
            tell(f"cleared away what killed runs left: {', '.join(dead)}")
    return done
