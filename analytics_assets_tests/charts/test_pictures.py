"""The shop's charts look as they did when their author looked at them, and their titles say what they said."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

from analytics_assets.assets.drawing import ChartAsset
from analytics_assets.charts.rendering import Picture, render
from analytics_assets.outlets.pictures import write_picture
from analytics_assets_tests.charts.remember import LOOKS, apart, kept, look
from analytics_assets_tests.charts.worlds import about, charts

MOST_APART = 0.05
"""Letters that are drawn otherwise (no hinting, no smoothing) change 2.5 % of the cells; the two most alike of all
charts, the same drawing of the two funnels by device, differ in 7.8 %."""


def drawn(chart: ChartAsset) -> Picture:
    frames = kept(chart)
    return render(chart.draw(about(chart, frames), *frames))


@pytest.mark.slow
@pytest.mark.parametrize("chart", charts(), ids=lambda chart: chart.called)
def test_a_chart_looks_as_it_did(chart: ChartAsset, tmp_path: Path) -> None:
    known = json.loads(LOOKS.read_text())
    assert chart.called in known, "look at it, then keep it: python -m analytics_assets_tests.charts.remember"
    png, _ = write_picture(drawn(chart), chart.called, tmp_path)
    assert apart(look(png), known[chart.called]) <= MOST_APART


def test_other_drawings_look_otherwise_and_no_look_is_kept_of_a_chart_that_is_gone() -> None:
    known = json.loads(LOOKS.read_text())
    by_name = {chart.called: chart for chart in charts()}
    assert set(known) == set(by_name)
    alike = [
        (one, other)
        for one, other in combinations(sorted(known), 2)
        if by_name[one].draw is not by_name[other].draw
        and len(known[one]) == len(known[other])
        and apart(known[one], known[other]) <= MOST_APART
    ]
    assert alike == []


def test_looks_are_apart_by_the_cells_that_differ() -> None:
    assert apart(["0f", "88"], ["0f", "88"]) == 0
    assert apart(["0f", "88"], ["2d", "6a"]) == 0
    assert apart(["0f", "88"], ["0f", "8b"]) == 0.25
