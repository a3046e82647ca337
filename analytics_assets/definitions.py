"""The front door: a project and the settings of a machine become Dagster definitions.

Belongs here: putting the rooms together. Does not belong here: any work of theirs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from analytics_assets.automation.runtime import Listener, Runtime
    from analytics_assets.project.model import Project
    from analytics_assets.settings import Settings

# backfill policies and partition mappings are what a range of days in one run rests on, beta or not
warnings.filterwarnings("ignore", category=dg.BetaWarning)

__all__ = ["build_definitions", "defs"]


def build_definitions(
    project: Project,
    settings: Settings,
    *,
    listener: Listener | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Build the asset graph that a project can feed.

    Args:
        project: What a team declared.
        settings: Where this machine keeps tables and history.
        listener: Is told of every table that a run finishes.
        resource_overrides: Take the place of resources by name, for tests.
    """
    # the rooms are opened here, so that Dagster can import this module without waiting for what they import
    from analytics_assets.assets.catalog import resolve
    from analytics_assets.assets.drawing import drawable
    from analytics_assets.automation.alert_sensor import alert_sensor
    from analytics_assets.automation.building import (
        RUNTIME,
        exports_definition,
        landing_definitions,
        release_definition,
        table_definition,
    )
    from analytics_assets.automation.drawing import chart_definition
    from analytics_assets.automation.jobs import daily_job, daily_partitions, weekly_job, weekly_tables
    from analytics_assets.automation.report import report_definition
    from analytics_assets.automation.runtime import open_runtime
    from analytics_assets.automation.schedules import daily_schedule, weekly_schedule
    from analytics_assets.automation.sensors import dead_runs_sensor, late_rows_sensor, new_files_sensor
    from analytics_assets.automation.warehouse import warehouse_definition

    graph = resolve(project)
    charts = drawable(project, graph).charts
    partitions = daily_partitions(project)

    @dg.resource(description="The lake, held for one run")
    def runtime(context: dg.InitResourceContext) -> Iterator[Runtime]:
        def tell(message: str) -> None:
            sys.stderr.write(f"{message}\n")
            if context.log:
                context.log.info(message)

        run_id = context.run.run_id if context.run else "no run"
        told = {"listener": listener} if listener else {}
        with open_runtime(settings, project.name, graph.contracts(), run_id, tell, **told) as opened:
            yield opened

    assets = [
        *landing_definitions(graph, project, partitions),
        *(table_definition(asset, graph, project, partitions) for asset in graph.tables),
        release_definition(graph, project),
        exports_definition(graph, project),
        *([warehouse_definition(graph, project, settings)] if settings.warehouse_url else []),
        *(chart_definition(asset, graph, project) for asset in charts),
        report_definition(graph, project, charts),
    ]
    keys = [key for definition in assets for key in definition.keys]
    tables = graph.contracts()
    after = [key for key in keys if key.to_user_string() not in tables]
    return dg.Definitions(
        assets=assets,
        jobs=[daily_job(partitions), *([weekly_job(graph, after)] if weekly_tables(graph) else [])],
        schedules=[
            daily_schedule(graph, project, settings, keys),
            *([weekly_schedule(graph, project, settings)] if weekly_tables(graph) else []),
        ],
        sensors=[
            *(
                [new_files_sensor(graph, project, settings, keys)]
                if any(s.path for s in project.sources.values())
                else []
            ),
            late_rows_sensor(graph, project, settings, keys),
            dead_runs_sensor(project, settings),
            alert_sensor(graph, project, settings),
        ],
        resources={RUNTIME: runtime, **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project that the settings name; Dagster calls this when it opens the code location."""
    from analytics_assets.project.loading import load_project
    from analytics_assets.settings import Settings

    settings = Settings()
    return build_definitions(load_project(settings.project, settings.environment), settings)
