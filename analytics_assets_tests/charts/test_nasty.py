"""Every chart that is declared, drawn of whatever a table may hold: never an exception, never an unreadable figure."""

from __future__ import annotations

import io
import warnings
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from analytics_assets.assets.drawing import ChartAsset
from analytics_assets.charts.house import About
from analytics_assets.charts.rendering import render
from analytics_assets_tests.charts.worlds import WORLDS, about, charts, frames, texts

DRAWINGS = tuple({chart.draw: chart for chart in charts()}.values())
"""A chart of each kind: those of two funnels are drawn by the same function."""
QUICK = ("empty", "one row", "500 segments")
"""What is tried when there is little time; the rest takes minutes."""
ODD = [world if world in QUICK else pytest.param(world, marks=pytest.mark.slow) for world in WORLDS]
EDGE = 2.0
"""Pixels by which a text may pass the edge of the sheet, or another text: letters have bearings."""


def drawn(chart: ChartAsset, world: str) -> Figure:
    made = frames(chart, world)
    before = [frame.copy() for frame in made]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = chart.draw(about(chart, made), *made)
        figure.draw_without_rendering()  # some texts find their place only then
    assert all(frame.equals(copy) for frame, copy in zip(made, before, strict=True)), "the frames are not to be changed"
    return figure


def shown(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return the texts of a figure and where they are."""
    visible = [text for text in texts(figure) if text.get_visible() and text.get_text().strip()]
    # the extent of an annotation would hold its line too
    return [(text.get_text(), Text.get_window_extent(text)) for text in visible]


def outside(figure: Figure) -> list[str]:
    """Return the texts that leave the sheet."""
    width, height = figure.bbox.width, figure.bbox.height
    return [
        f"{text!r} at {box.extents.round()}"
        for text, box in shown(figure)
        if box.x0 < -EDGE or box.y0 < -EDGE or box.x1 > width + EDGE or box.y1 > height + EDGE
    ]


def overlapping(figure: Figure) -> list[str]:
    """Return the texts that lie on each other."""
    found = []
    for (text, box), (other, under) in combinations(shown(figure), 2):
        wide = min(box.x1, under.x1) - max(box.x0, under.x0)
        high = min(box.y1, under.y1) - max(box.y0, under.y0)
        # a line of letters has air above and below it
        if wide > EDGE and high > 0.3 * min(box.height, under.height):
            found.append(f"{text!r} and {other!r}")
    return found


@pytest.mark.parametrize("world", ODD)
@pytest.mark.parametrize("chart", DRAWINGS, ids=lambda chart: chart.called)
def test_a_chart_is_readable_whatever_its_tables_hold(chart: ChartAsset, world: str) -> None:
    figure = drawn(chart, world)
    assert outside(figure) == []
    assert overlapping(figure) == []


@pytest.mark.slow
@pytest.mark.parametrize("chart", DRAWINGS, ids=lambda chart: chart.called)
def test_a_preview_is_small_and_the_same_data_make_the_same_bytes(chart: ChartAsset) -> None:
    first, second = (render(drawn(chart, "many rows")) for _ in range(2))
    assert first == second
    assert len(first.preview) <= 70_000
    assert Image.open(io.BytesIO(first.png)).width == 1600
    assert b"<dc:date>" not in first.svg


@pytest.mark.parametrize("chart", DRAWINGS, ids=lambda chart: chart.called)
def test_nothing_to_draw_is_said(chart: ChartAsset) -> None:
    told = [text for text, _ in shown(drawn(chart, "empty"))]
    assert "Not enough data" in told
    assert any(text.startswith(chart.shows) for text in told)


def test_a_text_outside_and_one_on_another_are_found() -> None:
    from analytics_assets.charts.house import sheet, styled

    with styled():
        figure = sheet(About("shop", tables=("t",)), "A title", "Words.")
        axes = figure.subplots()
        axes.set_axis_off()
        figure.draw_without_rendering()
        assert (outside(figure), overlapping(figure)) == ([], [])
        figure.text(0.95, 0.5, "too far to the right")
        figure.text(0.5, 0.5, "one")
        figure.text(0.505, 0.5, "other")
    assert len(outside(figure)) == 1
    assert overlapping(figure) == ["'one' and 'other'"]
