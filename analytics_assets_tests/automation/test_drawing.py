"""Charts as assets: drawn of the release, after it, into files and a preview; what fails leaves the release alone."""

from __future__ import annotations

import base64
import io
import re

import dagster as dg
import ibis
import pytest
import yaml

from analytics_assets.assets.catalog import resolve
from analytics_assets.assets.drawing import drawable
from analytics_assets.automation.drawing import limited
from analytics_assets.charts import rendering
from analytics_assets.definitions import build_definitions
from analytics_assets.lake.engine import Engine
from analytics_assets.project.loading import load_project
from analytics_assets.settings import Settings
from analytics_assets_tests.conftest import Workshop, csv
from analytics_assets_tests.making import engine
from analytics_assets_tests.test_bad_input import EVENT_COLUMNS, EVENTS

__all__ = ["engine"]

CHART = "chart_funnel_buying_conversion"


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """Deliver events of a funnel from looking to buying."""
    workshop.source("events", EVENTS)
    steps = {"steps": [{"event": "look"}, {"event": "buy"}], "window": "1 day", "intervals": ["day"]}
    (workshop.home / "funnels").mkdir()
    (workshop.home / "funnels" / "buying.yaml").write_text(yaml.safe_dump(steps))
    workshop.deliver("events.csv", csv(EVENT_COLUMNS, *events("look", 9), *events("buy", 3)))
    workshop.selects = f"+{CHART}"
    return workshop


def events(kind: str, users: int) -> list[str]:
    minute = 0 if kind == "look" else 10
    return [f"{kind}{day}{n},u{n},{kind},2024-03-0{day} 10:{minute + n}:00" for day in (1, 2) for n in range(users)]


def metadata(workshop: Workshop, run_id: str, name: str = CHART) -> dict[str, dg.MetadataValue]:
    told = workshop.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    (found,) = (e for e in told if e.get_dagster_event().asset_key == dg.AssetKey(name))
    materialization = found.asset_materialization
    assert materialization is not None
    return dict(materialization.metadata)


@pytest.mark.slow
def test_a_chart_is_drawn_of_the_release_into_files_with_a_preview(shop: Workshop) -> None:
    from PIL import Image

    ran = shop.run()
    assert ran.succeeded, ran.outcomes
    told = metadata(shop, ran.run_id)
    png, svg = shop.folder / "charts/funnel_buying_conversion.png", shop.folder / "charts/funnel_buying_conversion.svg"
    assert (told["png"].value, told["svg"].value) == (str(png), str(svg))
    assert Image.open(png).size == (1600, 900)
    assert svg.read_text().rstrip().endswith("</svg>")
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]
    shown = str(told["preview"].value)
    assert len(shown) < 100_000
    (image,) = re.findall(r"base64,([^)]+)\)", shown)
    assert Image.open(io.BytesIO(base64.b64decode(image))).width == 800
    assert (told["rows"].value, told["release"].value) == (2, 1)

    before = png.read_bytes(), svg.read_bytes()
    assert shop.run(select=CHART).succeeded
    assert (png.read_bytes(), svg.read_bytes()) == before  # the same data, the same bytes


@pytest.mark.slow
def test_a_chart_that_fails_says_why_and_leaves_the_release(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a pen broke")

    monkeypatch.setattr(rendering, "preview", broken)
    ran = shop.run()
    assert not ran.succeeded
    assert ran.message == f"{CHART} could not be drawn, release 1 stays as it is: a pen broke"
    assert shop.release().number == 1
    assert "funnel_buying" in shop.release().versions


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(shop: Workshop) -> None:
    (shop.folder / "charts").write_text("a file")
    ran = shop.run()
    assert re.search(r"funnel_buying_conversion.png cannot be written: .* ANALYTICS_CHARTS", ran.message)
    assert shop.release().number == 1


@pytest.mark.slow
def test_a_chart_whose_table_no_release_has_yet_says_so(shop: Workshop) -> None:
    ran = shop.run(select=CHART)
    assert ran.succeeded
    assert metadata(shop, ran.run_id)["rows"].value == 0


def test_charts_come_after_the_release_and_their_tables(shop: Workshop) -> None:
    graph = build_definitions(shop.project, shop.settings).resolve_asset_graph()
    parents = graph.get(dg.AssetKey(CHART)).parent_keys
    assert parents == {dg.AssetKey("release"), dg.AssetKey("funnel_buying")}


def test_what_a_project_cannot_draw_is_said_with_the_reason(shop: Workshop) -> None:
    project = load_project(Settings().project, {})
    whole = resolve(project)
    assert drawable(project, whole).absent == {}
    graph = resolve(shop.project)
    found = drawable(project, graph)
    assert found.absent["chart_funnel_purchase_conversion"] == "needs funnel_purchase"


def test_of_too_many_rows_a_sample_is_drawn_that_is_always_the_same(engine: Engine) -> None:
    rows = ibis.memtable({"n": list(range(1000)), "name": [f"n{n % 7}" for n in range(1000)]})
    frame, total = limited(engine, rows, most=100)
    again, _ = limited(engine, rows.order_by(ibis.desc("n")), most=100)
    assert (len(frame), total) == (100, 1000)
    assert frame.equals(again)
    assert frame.n.is_monotonic_increasing
    assert 300 < frame.n.mean() < 700
    whole, total = limited(engine, rows, most=1000)
    assert (len(whole), total) == (1000, 1000)
