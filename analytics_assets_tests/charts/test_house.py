"""The house: words are cut and turned as people read them, labels do not lie on each other, settings are put back."""

from __future__ import annotations

import datetime as dt
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analytics_assets.charts.house import (
    About,
    End,
    NotEnoughError,
    drawing,
    footer,
    label_ends,
    largest,
    number,
    share,
    sheet,
    short,
    shows,
    spread,
    wrapped,
)
from analytics_assets.charts.rendering import render
from analytics_assets_tests.charts.test_nasty import overlapping, shown

ABOUT = About("shop", "EUR", ("active_users",), rows=3, first=dt.date(2025, 1, 1), last=dt.date(2025, 1, 3), asked="x")


@drawing("Three lines")
def lines(about: About, rows: pd.DataFrame) -> Figure:
    if rows.empty:
        raise NotEnoughError("there are no lines")
    figure = sheet(about, "Three lines end at one place", "Words.")
    axes = figure.subplots()
    axes.plot(rows.x, rows.y)
    axes.set_ylim(0, 1)
    label_ends(axes, [End(2, 0.5, name, "black") for name in ("one", "two", "three")])
    return figure


ROWS = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, math.inf, 0.5]})


def test_a_drawing_says_what_it_shows_and_what_it_is_of() -> None:
    told = [text for text, _ in shown(lines(ABOUT, ROWS))]
    assert shows(lines) == "Three lines"
    assert told[-3:] == [
        "Three lines end at one place",
        "Words.",
        "shop · 2025-01-01 to 2025-01-03 · 3 rows of active_users",
    ]


def test_too_little_to_draw_is_a_sheet_that_says_why() -> None:
    told = [text for text, _ in shown(lines(ABOUT, ROWS.head(0)))]
    assert told[0] == "Three lines: x"
    assert told[-2:] == ["Not enough data", "there are no lines"]


def test_a_sample_is_told_in_the_footer() -> None:
    assert "a sample of 50,000 of 1,234,567 rows of orders" in footer(
        About("shop", tables=("orders",), rows=50_000, of=1_234_567)
    )


def test_labels_of_line_ends_are_moved_apart() -> None:
    figure = lines(ABOUT, ROWS)
    figure.draw_without_rendering()
    assert overlapping(figure) == []


@pytest.mark.slow
def test_threads_draw_the_same_and_matplotlib_is_left_as_it_was() -> None:
    before = dict(mpl.rcParams)
    alone = render(lines(ABOUT, ROWS))
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda _: render(lines(ABOUT, ROWS)), range(8)))
    assert all(picture == alone for picture in drawn)
    assert dict(mpl.rcParams) == before


def test_a_setting_of_the_machine_changes_nothing() -> None:
    alone = render(lines(ABOUT, ROWS))
    with mpl.rc_context({"lines.linewidth": 9.0, "font.size": 30.0, "axes.grid": False}):
        assert render(lines(ABOUT, ROWS)) == alone


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.3))
def test_places_are_spread_in_order_inside_and_apart(places: list[float], gap: float) -> None:
    moved = spread(places, gap)
    kept = min(gap, 1 / max(len(places) - 1, 1))
    ordered = [moved[place] for place in sorted(range(len(places)), key=lambda place: (places[place], place))]
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)
    assert all(after - before >= kept - 1e-9 for before, after in pairwise(ordered))


@given(st.text(), st.integers(3, 40))
def test_any_name_is_one_short_line(name: str, most: int) -> None:
    told = short(name, most).removeprefix("\N{FIRST STRONG ISOLATE}").removesuffix("\N{POP DIRECTIONAL ISOLATE}")
    assert 0 < len(told) <= max(most, len("(unknown)"))
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("lines_", [1, 2, 3])
def test_a_text_of_any_length_is_cut_to_its_lines(lines_: int) -> None:
    figure = sheet(ABOUT, "t")
    for text in ("word " * 300, "w" * 900, "short"):
        told = wrapped(figure, text, 12, "normal", 5.0, lines_)
        assert told.count("\n") < lines_
        assert told.endswith("…") == (text != "short")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_is_written_short(value: float) -> None:
    assert len(number(value)) <= 10
    assert math.isfinite(value) or number(value) == share(value) == "n/a"


def test_what_is_beyond_the_largest_is_one_row() -> None:
    frame = pd.DataFrame({"name": list("abcde"), "n": [5.0, 1.0, 4.0, math.nan, 1.0]})
    assert largest(frame, "name", "n", 3).values.tolist() == [["a", 5.0], ["c", 4.0], ["2 more", 2.0]]
    assert largest(frame, "name", "n", 4).name.tolist() == ["a", "c", "b", "e"]
