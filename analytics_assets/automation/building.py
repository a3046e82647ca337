"""Functions and contracts become Dagster assets: load, compute, stage, audit, publish, report.

Belongs here: the one wrapper that every table goes through, the landing of sources, and the release that ends a run.
Does not belong here: what a table holds (`assets`, `contracts`) and how it is kept (`lake`).
"""

import datetime as dt
import inspect
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import dagster as dg
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG

from analytics_assets.assets.catalog import Graph, Setting, TableAsset
from analytics_assets.assets.people import forgotten
from analytics_assets.automation.reporting import check_results, check_specs, column_schema, counts_table, description
from analytics_assets.automation.runtime import Runtime, StepReport
from analytics_assets.contracts.audit import Audit, Finding
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import RELEASES, Computed, commit_release, latest_release
from analytics_assets.lake.suppression import SUPPRESSED
from analytics_assets.postgres import PostgresError
from analytics_assets.project.model import Project
from analytics_assets.sources.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    from ibis.expr.types import Table

    from analytics_assets.lake.tables import Lake, Staged
    from analytics_assets.sources.landing import Landing

Outcome: TypeAlias = dg.MaterializeResult[None] | dg.AssetCheckResult

RUNTIME = "runtime"
RELEASE = "release"
EXPORTS = "exports"
FORGOTTEN = "forgotten"
_KINDS = {"table", "duckdb", "deltalake"}
AGAIN = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For what reads from outside: the network may be back in a moment. What is wrong with the data is not tried again."""
_STAGED_SAYS = "Type and judge what was delivered: every row is kept, or rejected with the reasons."


def run_days(context: dg.AssetExecutionContext, project: Project) -> Days:
    """Return the days of a run; all days of the project for a run without days."""
    if not (context.has_partition_key_range or context.has_partition_key):
        return Days(project.first_day, project.last_day or project.first_day)
    keys = context.partition_key_range
    return Days(dt.date.fromisoformat(keys.start), dt.date.fromisoformat(keys.end))


def read_days(asset: Contract, read: Contract, days: Days, lateness: int) -> Days | None:
    """Return the days of a table that are read to compute some days of another; None for all of it.

    A day's facts come from its own deliveries and from those of the days after it, as many as a row may be late. What
    was delivered on as many days before makes a row a duplicate.
    """
    if asset.day is None or read.day is None:
        return None
    if read.day == "delivery_day":
        return days.widened(before=lateness) if asset.day == "delivery_day" else days.widened(after=lateness)
    return days


@contextmanager
def told_to_people() -> Iterator[None]:
    """Let a foreseeable failure end the step with its message; it is tried again only where that may help."""
    try:
        yield
    except UnreachableError as error:
        raise dg.Failure(description=str(error)) from error
    except PostgresError as error:
        raise dg.Failure(description=str(error), allow_retries=error.passing) from error
    except (LakeError, SourceError) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def refuse_the_rest_of_a_run(context: dg.AssetExecutionContext) -> None:
    """Fail a run that was to go on where another one failed: what that one published and never released is undone.

    Its tables would be made of what was there before, and be released as if they were of these days.
    """
    if any(context.run.tags.get(tag) == "true" for tag in (RESUME_RETRY_TAG, ASSET_RESUME_RETRY_TAG)):
        raise dg.Failure(
            description="a run cannot go on where another one failed, for what that one published is undone: choose "
            "Re-execute all in the UI, or compute its days again by analytics-assets backfill FROM TO",
            allow_retries=False,
        )


class Step:
    """Take one table through stage, audit and publish, and report on it."""

    def __init__(self, context: dg.AssetExecutionContext, contract: Contract) -> None:
        refuse_the_rest_of_a_run(context)
        self.context = context
        self.contract = contract
        self.key = dg.AssetKey(contract.table)
        self.runtime: Runtime = getattr(context.resources, RUNTIME)
        self._started = time.perf_counter()
        self._engine_started = self.runtime.lake.engine.seconds

    def finish(
        self,
        staged: "Staged",
        audit: Audit,
        *,
        rejected: Mapping[str, int] | None = None,
        filtered: Mapping[str, int] | None = None,
    ) -> Iterator[Outcome]:
        """Publish staged rows if every error rule holds; else fail, and leave what readers see as it was."""
        results = check_results(self.contract, audit.findings, self.key)
        if broken := audit.broken("error"):
            self.runtime.lake.discard(staged)
            message = "; ".join(map(str, broken))
            self._report(
                StepReport(self.contract.table, 0, *self._times(), None, findings=audit.findings, message=message)
            )
            yield from results
            raise dg.Failure(
                description=f"{self.contract.table} is not published, its last good version stays: {message}",
                allow_retries=False,
            )
        published = self.runtime.lake.publish(staged, self.runtime.run_id)
        self.runtime.written[self.contract.table] = Computed(published.version, staged.days)
        if published.evolved:
            self.context.log.info(published.evolved)
        report = StepReport(
            self.contract.table,
            audit.rows,
            *self._times(),
            published.version,
            rejected or {},
            filtered or {},
            audit.findings,
            published.evolved,
        )
        self._report(report)
        self._add_metadata(staged, audit, report)
        yield dg.MaterializeResult(asset_key=self.key, check_results=results, metadata=self._metadata(report))

    def _times(self) -> tuple[float, float]:
        return time.perf_counter() - self._started, self.runtime.lake.engine.seconds - self._engine_started

    def _report(self, report: StepReport) -> None:
        self.runtime.listener(report)

    def _metadata(self, report: StepReport) -> dict[str, dg.MetadataValue]:
        """Say what goes on every day of the run, so it is kept small."""
        return {
            "dagster/row_count": dg.MetadataValue.int(report.rows),
            "lake_version": dg.MetadataValue.int(report.version or 0),
        }

    def _add_metadata(self, staged: "Staged", audit: Audit, report: StepReport) -> None:
        """Say once, on the last day of the run, what is long; and on each day what differs."""
        once: dict[str, dg.MetadataValue] = {
            "seconds": dg.MetadataValue.float(round(report.seconds, 3)),
            "engine_seconds": dg.MetadataValue.float(round(report.engine_seconds, 3)),
            "sql": dg.MetadataValue.md(f"```sql\n{staged.sql}\n```"),
            "dagster/uri": dg.MetadataValue.text(self.runtime.lake.uri(self.contract.table)),
        }
        if report.rejected:
            once["rejected"] = counts_table(report.rejected, "reason")
        if report.filtered:
            once["filtered"] = counts_table(report.filtered, "condition")
        if report.message:
            once["message"] = dg.MetadataValue.text(report.message)
        if self.contract.day is None or not isinstance(staged.days, Days):
            self.context.add_asset_metadata(once, asset_key=self.key)
            return
        for day in staged.days:
            own = {"dagster/partition_row_count": dg.MetadataValue.int(audit.rows_by_day.get(day, 0))}
            added = own | once if day == staged.days.last else own
            self.context.add_asset_metadata(added, asset_key=self.key, partition_key=str(day))


def table_definition(
    asset: TableAsset, graph: Graph, project: Project, partitions: dg.PartitionsDefinition[str]
) -> dg.AssetsDefinition:
    """Turn a declared table into a Dagster asset."""
    contracts = graph.contracts()
    inputs = [name for name in asset.inputs if name in contracts]
    # a table that reads no other comes after all that was landed, whose days it may ask for
    after = inputs or [contract.table for contract in graph.raw]
    says = _STAGED_SAYS if asset.group == "staged" else inspect.getdoc(asset.function) or ""

    @dg.asset(
        name=asset.name,
        deps=[_dep(asset.contract, contracts[name], project) for name in after],
        description=description(asset.contract, says),
        metadata={"dagster/column_schema": column_schema(asset.contract), "dagster/table_name": asset.name},
        group_name=asset.group,
        kinds=_KINDS,
        owners=project.owners,
        partitions_def=partitions if asset.contract.day else None,
        backfill_policy=dg.BackfillPolicy.single_run() if asset.contract.day else None,
        check_specs=check_specs(asset.contract),
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> Iterator[Outcome]:
        step = Step(context, asset.contract)
        with told_to_people():
            lake = step.runtime.lake
            days = run_days(context, project)
            windows = {name: read_days(asset.contract, contracts[name], days, project.lateness) for name in inputs}
            tables = {name: lake.read(contracts[name], windows[name]) for name in inputs}
            setting = setting_of(step.runtime, graph, project, days if asset.contract.day else None)
            staged = lake.stage(asset.contract, asset.compute(tables, setting), days)
            audit = lake.audit(staged, {name: tables[name] for name in inputs})
            audit = _with_accounting(audit, step, asset, tables, days)
            rejected = _rejected(step, staged) if asset.group == "staged" else {}
            yield from step.finish(staged, audit, rejected=rejected)

    return body


def setting_of(runtime: Runtime, graph: Graph, project: Project, days: Days | None = None) -> Setting:
    """Return the setting of some days, or of a table without: it speaks of all days, and of those delivered yet."""
    collect = runtime.lake.engine.rows
    if days is not None:
        return Setting(project, days, collect=collect)
    last = runtime.last_day(contract.table for contract in graph.raw if contract.day)
    landed = Days(project.first_day, max(last or project.first_day, project.first_day))
    whole = landed if project.last_day is None else Days(project.first_day, project.last_day)
    return Setting(project, whole, landed, collect)


def _dep(asset: Contract, read: Contract, project: Project) -> dg.AssetDep:
    """Say which days of a table another one's day reads, for the lineage that Dagster shows."""
    if project.lateness and asset.day and read.day == "delivery_day":
        before, after = (-project.lateness, 0) if asset.day == "delivery_day" else (0, project.lateness)
        mapping = dg.TimeWindowPartitionMapping(before, after, allow_nonexistent_upstream_partitions=True)
        return dg.AssetDep(read.table, partition_mapping=mapping)
    return dg.AssetDep(read.table)


def _with_accounting(audit: Audit, step: Step, asset: TableAsset, tables: Mapping[str, "Table"], days: Days) -> Audit:
    """Add whether every row that went in is accounted for: raw = kept + rejected, and kept = rows of the fact."""
    if asset.group == "staged":
        (source,) = asset.requires
        rows = tables[source]
        expected = (
            rows.count() if asset.contract.day is None else rows.delivery_day.between(days.first, days.last).sum()
        )
        equation = f"{source} = kept {audit.kept:,} + rejected {audit.rows - audit.kept:,}"
    elif asset.contract.accounts_for:
        rows = tables[asset.contract.accounts_for]
        is_kept = rows.rejected.length() == 0
        if asset.contract.day is not None:
            is_kept = is_kept & (rows.day.between(days.first, days.last) | rows.day.isnull())
        expected = is_kept.sum()
        equation = f"rows kept of {asset.contract.accounts_for} = rows {audit.rows:,}"
    else:
        return audit
    (counted,) = step.runtime.lake.engine.rows(expected.name("n").as_table())
    missing = abs((counted["n"] or 0) - audit.rows)
    finding = Finding("accounting", f"{counted['n'] or 0:,} {equation}", "error", missing)
    return Audit(audit.rows, audit.rows_by_day, audit.kept, (*audit.findings, finding))


def _rejected(step: Step, staged: "Staged") -> dict[str, int]:
    """Count rejected rows by main reason."""
    rows = step.runtime.lake.rows_of(staged)
    rejected = rows.filter(rows.rejected.length() > 0)
    counted = rejected.group_by(reason=rejected.rejected[0]).aggregate(n=rejected.count())
    return {row["reason"]: row["n"] for row in step.runtime.lake.engine.rows(counted)}


def landing_definitions(
    graph: Graph, project: Project, partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetsDefinition]:
    """Turn sources into assets: one step reads a file once for all the raw tables that it feeds."""
    return [_landing_definition(sources, graph, project, partitions) for sources in _connected(project)]


def _connected(project: Project) -> list[tuple[str, ...]]:
    """Group the sources that feed a raw table together."""
    groups: list[tuple[set[str], set[str]]] = []
    for name, source in project.sources.items():
        tables = {feed.table for feed in source.feeds if feed.table}
        joined = [group for group in groups if group[1] & tables]
        groups = [group for group in groups if group not in joined]
        groups.append(({name}.union(*(g[0] for g in joined)), tables.union(*(g[1] for g in joined))))
    return [tuple(sorted(sources)) for sources, tables in groups if tables]


def _landing_definition(
    sources: tuple[str, ...], graph: Graph, project: Project, partitions: dg.PartitionsDefinition[str]
) -> dg.AssetsDefinition:
    fed = {feed.table for name in sources for feed in project.sources[name].feeds if feed.table}
    contracts = [contract for contract in graph.raw if contract.table.removeprefix("raw_") in fed]

    def says(contract: Contract) -> str:
        feeding = [name for name, *_ in project.feeds(contract.table.removeprefix("raw_"))]
        told = [
            f"`{name}`: {project.sources[name].description or project.sources[name].origin}"
            for name in dict.fromkeys(feeding)
        ]
        return "Keep what was delivered, once, as text.\n\n" + "\n".join(f"- {line}" for line in told)

    @dg.multi_asset(
        name=f"land_{'_and_'.join(sources)}",
        specs=[
            dg.AssetSpec(
                contract.table,
                description=description(contract, says(contract)),
                metadata={"dagster/column_schema": column_schema(contract), "dagster/table_name": contract.table},
                group_name="raw",
                kinds={*_KINDS, *(project.sources[name].kind for name in sources)} - {"jsonl"},
                owners=project.owners,
                partitions_def=partitions if contract.day else None,
            )
            for contract in contracts
        ],
        can_subset=True,
        retry_policy=AGAIN,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[spec for contract in contracts for spec in check_specs(contract)],
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> Iterator[Outcome]:
        from analytics_assets.sources.landing import land

        runtime: Runtime = getattr(context.resources, RUNTIME)
        selected = [contract for contract in contracts if dg.AssetKey(contract.table) in context.selected_asset_keys]
        with told_to_people():
            days = run_days(context, project)
            landings = [
                land(name, project, days, runtime.lake.engine, runtime.folder, runtime.environment) for name in sources
            ]
            for contract in selected:
                yield from _land_table(Step(context, contract), contract, landings, project, days)
            for landing in landings:
                runtime.lake.engine.drop(landing.delivery)

    return body


def _land_table(
    step: Step, contract: Contract, landings: list["Landing"], project: Project, days: Days
) -> Iterator[Outcome]:
    name = contract.table.removeprefix("raw_")
    feeding = [landing for landing in landings if name in landing.raw]
    rows = feeding[0].raw[name]
    for landing in feeding[1:]:
        rows = rows.union(landing.raw[name])
    rows, left_out = _without_forgotten(rows, contract, step.runtime.lake, project, days)
    staged = step.runtime.lake.stage(contract, rows, days)
    audit = step.runtime.lake.audit(staged, {})
    expected = sum(landing.routed[name] for landing in feeding)
    findings = [
        *audit.findings,
        Finding(
            "accounting",
            f"{expected:,} rows delivered for it = {audit.rows:,} landed"
            + (f" + {left_out:,} of people whose rows were deleted" if left_out else ""),
            "error",
            abs(expected - audit.rows - left_out),
        ),
    ]
    for landing in feeding:
        # what a file held beside this table's rows went to its other tables, to other days, or was left out
        total = sum(landing.routed.get(table, 0) for table in landing.routed if table not in landing.things)
        total += landing.other_days + sum(landing.filtered.values())
        parts = f"{landing.delivered:,} delivered by {landing.source} = {total:,} routed, of other days, or filtered"
        findings.append(Finding("accounting", parts, "error", abs(landing.delivered - total)))
        if landing.empty_files:
            shown = ", ".join(landing.empty_files[:5])
            what = "file" if project.sources[landing.source].path else "day"
            findings.append(Finding("volume", f"no {what} is empty ({shown})", "warning", len(landing.empty_files)))
        if landing.undated:
            told = f"each row of {landing.source} has a day to be delivered on"
            findings.append(Finding("volume", told, "warning", landing.undated))
    if contract.day:
        # a file that was archived takes its rows along: they are gone from the tables, and somebody has to know
        before = step.runtime.lake.rows_by_day(contract.table)
        emptied = tuple(day for day in days if before.get(day) and not audit.rows_by_day.get(day))
        lost = sum(before[day] for day in emptied)
        findings.append(Finding("volume", "no day loses all the rows that it had", "warning", lost, days=emptied))
    filtered: dict[str, int] = {}
    for landing in feeding:
        for condition, count in landing.filtered.items():
            filtered[f"{landing.source}: {condition}"] = count
    if left_out:
        filtered[FORGOTTEN] = left_out
    yield from step.finish(staged, Audit(audit.rows, audit.rows_by_day, audit.kept, tuple(findings)), filtered=filtered)


def _without_forgotten(
    rows: "Table", contract: Contract, lake: "Lake", project: Project, days: Days
) -> tuple["Table", int]:
    """Leave out rows of people whose rows were deleted; count those of the days."""
    if lake.open(SUPPRESSED.table) is None:
        return rows, 0
    theirs = forgotten(rows, contract, lake.read(SUPPRESSED), project)
    if theirs is None:
        return rows, 0
    gone = rows.filter(theirs)
    if contract.day is not None:
        gone = gone.filter(gone[contract.day].between(days.first, days.last))
    (counted,) = lake.engine.rows(gone.aggregate(n=gone.count()))
    return rows.filter(~theirs), counted["n"]


def exports_definition(graph: Graph, project: Project) -> dg.AssetsDefinition:
    """Make the asset that writes released tables as CSV files."""

    @dg.asset(
        name=EXPORTS,
        deps=[RELEASE],
        description="Write the tables that `exports` of project.yaml names as CSV files, as the release shows them.",
        group_name=RELEASE,
        kinds={"csv"},
        owners=project.owners,
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from analytics_assets.outlets.files import write_csv

        runtime: Runtime = getattr(context.resources, RUNTIME)
        with told_to_people():
            release = latest_release(runtime.lake)
            written = write_csv(runtime.lake, release, graph.contracts(), project.exports, runtime.exports)
        absent = [name for name in project.exports if name not in written]
        return dg.MaterializeResult(
            metadata={
                "files": dg.MetadataValue.md("\n".join(f"- `{path}`" for path in written.values()) or "none"),
                "absent": ", ".join(absent) or "none",
                "release": release.number,
            }
        )

    return body


def release_definition(graph: Graph, project: Project) -> dg.AssetsDefinition:
    """Make the asset that ends a run: readers see its tables from here on, all at once."""

    @dg.asset(
        name=RELEASE,
        deps=list(graph.contracts()),
        description=description(
            RELEASES, "Show readers the tables of this run, all at once, and only when its error checks hold."
        ),
        group_name=RELEASE,
        kinds={"deltalake"},
        owners=project.owners,
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        refuse_the_rest_of_a_run(context)
        runtime: Runtime = getattr(context.resources, RUNTIME)
        with told_to_people():
            release = commit_release(runtime.lake, runtime.run_id, runtime.written, dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(
            metadata={
                "release": release.number,
                "tables": counts_table(release.versions, "table"),
                "run_id": release.run_id,
            }
        )

    return body
