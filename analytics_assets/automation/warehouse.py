"""The served warehouse becomes a Dagster asset: after the release, publish it; report what was loaded and compared.

Belongs here: where the warehouse is, by the settings, and what Dagster shows of a publication. Does not belong here:
what a publication does (`outlets.warehouse`).
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from analytics_assets.assets.catalog import Graph
from analytics_assets.automation.building import AGAIN, RELEASE, RUNTIME, Outcome, told_to_people
from analytics_assets.automation.runtime import Runtime
from analytics_assets.automation.state import Trouble
from analytics_assets.lake.releases import Release
from analytics_assets.postgres import Database, PostgresError
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings

if TYPE_CHECKING:
    from analytics_assets.outlets.reconciling import Compared
    from analytics_assets.outlets.warehouse import Loaded, Target

WAREHOUSE = "warehouse"
RECONCILIATION = "reconciliation"
SERVED = "served"
_SHOWN = 200


def warehouse_of(settings: Settings, project: str) -> "Target | None":
    """Return where tables are served, by the settings; None where they are not.

    Raises:
        PostgresError: Where the URL cannot be read.
    """
    from analytics_assets.outlets.warehouse import Target

    if settings.warehouse_url is None:
        return None
    password = settings.warehouse_password
    database = Database.read(
        settings.warehouse_url.get_secret_value(),
        "ANALYTICS_WAREHOUSE_URL",
        None if password is None else password.get_secret_value(),
    )
    return Target(database, settings.warehouse_schema, settings.warehouse_reader, project, settings.warehouse_seconds)


def warehouse_definition(graph: Graph, project: Project, settings: Settings) -> dg.AssetsDefinition:
    """Make the asset that serves a release from Postgres."""

    @dg.asset(
        name=WAREHOUSE,
        deps=[RELEASE],
        description=(
            "Serve every dimension, fact and mart from Postgres, as the release shows them: all at once, and only what "
            "has changed. Readers see the release before until then."
        ),
        group_name=RELEASE,
        kinds={"postgres"},
        owners=project.owners,
        retry_policy=AGAIN,
        check_specs=[
            dg.AssetCheckSpec(
                RECONCILIATION, asset=WAREHOUSE, description="Rows and sums are those of the lake, to the last digit."
            ),
            dg.AssetCheckSpec(
                SERVED, asset=WAREHOUSE, description="Every value is served as it is, and the reader may read."
            ),
        ],
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> Iterator[Outcome]:
        from analytics_assets.outlets.warehouse import ReconciliationError, publish

        started = time.perf_counter()
        runtime: Runtime = getattr(context.resources, RUNTIME)
        with told_to_people():
            target = warehouse_of(settings, project.name)
            assert target is not None, "the asset is there only where a warehouse is"
            try:
                done = publish(runtime.lake, graph.contracts(), target)
            except ReconciliationError as error:
                yield _reconciled(error.compared)
                raise dg.Failure(description=str(error), allow_retries=False) from error
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(WAREHOUSE),
            check_results=[_reconciled(done.compared), _served(done.warnings)],
            metadata={
                "release": done.release,
                "rows": sum(one.rows for one in done.loaded),
                "loaded": _loaded(done.loaded),
                "place": f"schema {target.schema} of {target.database}",
                "seconds": round(time.perf_counter() - started, 3),
            },
        )

    return body


def troubles_of(settings: Settings, project: str, release: Release) -> tuple[Trouble, ...]:
    """Say what does not fit together between the newest release and what is served."""
    from analytics_assets.outlets.warehouse import served_release

    try:
        if (target := warehouse_of(settings, project)) is None:
            return ()
        number = served_release(target)
    except PostgresError as error:
        return (Trouble(f"the warehouse cannot be looked at: {error}", "mend it, then: analytics-assets publish"),)
    if number == release.number:
        return ()
    shown = f"shows release {number}" if number else "shows none"
    return (Trouble(f"the warehouse {shown}, the newest is {release.number}", "analytics-assets publish"),)


def _reconciled(compared: "Sequence[Compared]") -> dg.AssetCheckResult:
    broken = [one for one in compared if not one.holds]
    return dg.AssetCheckResult(
        passed=not broken,
        check_name=RECONCILIATION,
        asset_key=WAREHOUSE,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(map(str, broken[:_SHOWN])) or None,
        metadata={"compared": len(compared), "tables": len({one.table for one in compared}), "different": len(broken)},
    )


def _served(warnings: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not warnings,
        check_name=SERVED,
        asset_key=WAREHOUSE,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(warnings) or None,
    )


def _loaded(loaded: "Iterable[Loaded]") -> dg.TableMetadataValue:
    columns = [dg.TableColumn("table", "string"), dg.TableColumn("how", "string")]
    columns += [dg.TableColumn("rows", "int"), dg.TableColumn("days", "int")]
    records = [
        dg.TableRecord({"table": one.table, "how": one.how, "rows": one.rows, "days": one.days}) for one in loaded
    ]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))
