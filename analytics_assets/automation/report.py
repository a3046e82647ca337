"""The executive report becomes a Dagster asset: read a release, gather, write, show a preview.

Belongs here: the one step that joins findings, sentences and files. Does not belong here: what is gathered
(`assets.report`), said (`report`) and kept (`outlets.reports`).
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg

from analytics_assets.assets.catalog import Graph
from analytics_assets.assets.drawing import ChartAsset
from analytics_assets.automation.building import RELEASE, RUNTIME, setting_of, told_to_people
from analytics_assets.automation.runtime import Runtime
from analytics_assets.lake.releases import latest_release
from analytics_assets.project.model import Project
from analytics_assets.report.desk import Chart, candidates
from analytics_assets.report.tree import Document

REPORT = "report"
_PREVIEWED = ("glance", "kpis", "recommendations")
"""The sections of which Dagster keeps the text of each run."""


def report_definition(graph: Graph, project: Project, charts: tuple[ChartAsset, ...]) -> dg.AssetsDefinition:
    """Make the asset of the executive report. It comes after the release and the charts that it shows."""
    from analytics_assets.assets.report import reads

    known = {asset.called: Chart(_title(asset), asset.inputs) for asset in charts}
    shown = candidates(known)
    names = reads(project, graph)

    @dg.asset(
        name=REPORT,
        deps=[RELEASE, *names, *(asset.name for asset in charts if asset.called in shown)],
        description=(
            "Say what the release tells: key figures with their intervals, what is recommended by written rules, what "
            "cannot be told. Written as Markdown, plain text and one HTML page: open the file beside `html` under "
            "Metadata in a browser; *Show Markdown* beside `report` shows its beginning."
        ),
        group_name=REPORT,
        kinds={"markdown", "html"},
        owners=project.owners,
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from analytics_assets.assets.report import gather
        from analytics_assets.outlets.reports import write_report
        from analytics_assets.report import rendering
        from analytics_assets.report.writing import document

        started = time.perf_counter()
        runtime: Runtime = getattr(context.resources, RUNTIME)
        with told_to_people():
            release = latest_release(runtime.lake)
            contracts = graph.contracts()
            tables = {
                name: runtime.lake.read(contracts[name], version=release.versions[name])
                for name in names
                if name in release.versions
            }
            findings = gather(tables, setting_of(runtime, graph, project), release.number, graph.absent)
            drawn = {
                asset.called: known[asset.called]
                for asset in charts
                if all(name in release.versions for name in asset.requires.values())
                and _picture(runtime.charts, asset.called)
            }
            grains = {name: contract.grain for name, contract in contracts.items()}
            told = document(findings, drawn, grains)
            paths = {name: _seen_from(runtime.reports, runtime.charts / f"{name}.png") for name in told.figures}
            pictures = {name: found for name in told.figures if (found := _picture(runtime.charts, name))}
            forms = {
                "md": rendering.markdown(told, paths),
                "txt": rendering.text(told),
                "html": rendering.html(told, pictures),
            }
            written = write_report(forms, findings.as_of, runtime.reports)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.md(rendering.markdown(_short(told), {}, figures=False)),
                **{form: dg.MetadataValue.path(path) for form, path in written.items()},
                "as_of": str(findings.as_of),
                "figures": len(pictures),
                "html_bytes": len(forms["html"].encode()),
                "release": release.number,
                "seconds": round(time.perf_counter() - started, 3),
            }
        )

    return body


def _short(told: Document) -> Document:
    return replace(told, sections=tuple(part for part in told.sections if part.name in _PREVIEWED), sources=())


def _title(asset: ChartAsset) -> str:
    return f"{asset.shows} ({asset.asked})" if asset.asked else asset.shows


def _picture(folder: Path, name: str) -> tuple[bytes, bytes] | None:
    """Read a chart's PNG and SVG; None where it was not drawn."""
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    return (png.read_bytes(), svg.read_bytes()) if png.is_file() and svg.is_file() else None


def _seen_from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
