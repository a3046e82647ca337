"""Charts become Dagster assets: read a release, draw, save, show a preview.

Belongs here: the one wrapper that every chart goes through, and the limit on how many rows come to Python. Does not
belong here: which rows a chart shows (`assets`) and how it looks (`charts`).
"""

import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from analytics_assets.assets.catalog import Graph
from analytics_assets.assets.drawing import ChartAsset
from analytics_assets.automation.building import RELEASE, RUNTIME, setting_of, told_to_people
from analytics_assets.automation.runtime import Runtime
from analytics_assets.lake.releases import Release, latest_release
from analytics_assets.project.model import Project

if TYPE_CHECKING:
    import pandas as pd
    from ibis.expr.types import Table

    from analytics_assets.charts.house import About
    from analytics_assets.charts.rendering import Picture
    from analytics_assets.lake.engine import Engine

CHARTS = "charts"
MOST_ROWS = 50_000
"""Most rows that a chart takes into Python; of more it shows a sample, and says so."""


def chart_definition(asset: ChartAsset, graph: Graph, project: Project) -> dg.AssetsDefinition:
    """Turn a declared chart into a Dagster asset. It comes after the release: where it fails, the release stays."""
    contracts = graph.contracts()

    @dg.asset(
        name=asset.name,
        deps=[RELEASE, *(name for name in asset.inputs if name in contracts)],
        description=description(asset),
        group_name=CHARTS,
        kinds={"matplotlib"},
        owners=project.owners,
        required_resource_keys={RUNTIME},
    )
    def body(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from analytics_assets.outlets.pictures import write_picture

        started = time.perf_counter()
        runtime: Runtime = getattr(context.resources, RUNTIME)
        with told_to_people():
            release = latest_release(runtime.lake)
            picture, about = drawn(asset, graph, project, runtime, release)
            png, svg = write_picture(picture, asset.called, runtime.charts)
        shown = base64.b64encode(picture.preview).decode()
        return dg.MaterializeResult(
            metadata={
                "preview": dg.MetadataValue.md(f"![{asset.shows}](data:image/png;base64,{shown})"),
                "png": dg.MetadataValue.path(png),
                "svg": dg.MetadataValue.path(svg),
                "rows": about.rows,
                "release": release.number,
                "seconds": round(time.perf_counter() - started, 3),
            }
        )

    return body


def description(asset: ChartAsset) -> str:
    """Describe a chart: what it shows, of what, and in which files."""
    of = f" (`{asset.asked}`)" if asset.asked else ""
    tables = ", ".join(f"`{name}`" for name in asset.inputs)
    drawn_of = f"of {tables}, as the release shows them" if tables else "of the contracts"
    return (
        f"{asset.shows}{of}.\n\nDrawn {drawn_of}, into `{asset.called}.png` and `.svg`. "
        "Its last picture is under Metadata: *Show Markdown* beside `preview`."
    )


def drawn(
    asset: ChartAsset, graph: Graph, project: Project, runtime: Runtime, release: Release
) -> "tuple[Picture, About]":
    """Draw a chart of a release's tables."""
    from analytics_assets.charts.house import About, nothing
    from analytics_assets.charts.rendering import render

    contracts = graph.contracts()
    lake, setting = runtime.lake, setting_of(runtime, graph, project)
    about = About(
        project=project.name,
        currency=project.currency,
        tables=tuple(name for name in asset.inputs if name in release.versions),
        first=setting.so_far.first,
        last=setting.so_far.last,
        asked=asset.asked,
        words=asset.words,
    )
    if missing := [name for name in asset.requires.values() if name not in release.versions]:
        why = f"release {release.number} has no {' and no '.join(missing)}: analytics-assets run makes it"
        return render(nothing(about, asset.shows, why)), about
    tables = {name: lake.read(contracts[name], version=release.versions[name]) for name in about.tables}
    selected = asset.select(tables, setting)
    frames = [limited(lake.engine, table) for table in selected]
    rows = sum(len(frame) for frame, _ in frames)
    total = sum(total for _, total in frames)
    about = replace(about, rows=rows, of=None if rows == total else total)
    try:
        return render(asset.draw(about, *(frame for frame, _ in frames))), about
    except Exception as error:  # whatever goes wrong in a picture, the release is made
        told = f"{asset.name} could not be drawn, release {release.number} stays as it is: {error}"
        raise dg.Failure(description=told, allow_retries=False) from error


def limited(engine: "Engine", table: "Table", most: int = MOST_ROWS) -> "tuple[pd.DataFrame, int]":
    """Compute what is drawn, in an order that is always the same; of too many rows, a sample that is too.

    Returns:
        The rows, and how many there are.
    """
    import ibis

    found = engine.frame(table.order_by(table.columns).limit(most + 1))
    if len(found) <= most:
        return found, len(found)
    (counted,) = engine.rows(table.count().name("n").as_table())
    # a row is in the sample by its content alone
    picked = table.order_by([ibis.struct({name: table[name] for name in table.columns}).hash(), *table.columns])
    sample = picked.limit(most)
    return engine.frame(sample.order_by(sample.columns)), int(counted["n"])
