"""Frames as no demo has them: empty, alone, null, many, long, right-to-left, huge; made of what each chart reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import ibis
import numpy as np
import pandas as pd

from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.drawing import ChartAsset, drawable
from analytics_assets.charts.house import About
from analytics_assets.lake.days import Days
from analytics_assets.project.loading import load_project
from analytics_assets.settings import Settings

FIRST, LAST = dt.date(2025, 1, 1), dt.date(2025, 12, 31)
LONG = "A name of four hundred letters that nobody can read at one glance, whose end says which one it is; " * 4
RIGHT_TO_LEFT = (
    "العربية",
    "متجر الكتب الكبير في المدينة القديمة",
    "עברית",
    "חנות הספרים הגדולה",
    "שלום 123",
    "كتاب A/B",
)
Made = Callable[[np.random.Generator, int], Any]


@cache
def charts() -> tuple[ChartAsset, ...]:
    """Return every chart of the shop, which asks every kind of question."""
    project = load_project(Settings().project, {})
    return drawable(project, resolve(project)).charts


@cache
def schemas(chart: str) -> tuple[Any, ...]:
    """Return the names and types of the frames of a chart."""
    project = load_project(Settings().project, {})
    graph = resolve(project)
    contracts = graph.contracts()
    (asset,) = (asset for asset in charts() if asset.name == chart)
    tables = {
        name: ibis.table({column.name: column.type for column in contracts[name].columns}, name=name)
        for name in asset.inputs
        if name in contracts
    }
    return tuple(table.schema() for table in asset.select(tables, Setting(project, Days(FIRST, LAST))))


def about(chart: ChartAsset, frames: list[pd.DataFrame]) -> About:
    """Say what a chart is of."""
    return About(
        project="shop",
        currency="EUR",
        tables=chart.inputs,
        rows=sum(map(len, frames)),
        first=FIRST,
        last=LAST,
        asked=chart.asked,
        words=chart.words,
    )


def frames(chart: ChartAsset, world: str) -> list[pd.DataFrame]:
    """Return the frames of a chart in a world, always the same."""
    return [WORLDS[world](schema) for schema in schemas(chart.name)]


def _frame(
    schema: Any, rows: int, strings: Made, numbers: Made, *, nulls: float = 0.0, grow: float = 0.0
) -> pd.DataFrame:
    chance = np.random.default_rng(1)
    columns = {}
    for place, (name, kind) in enumerate(schema.items()):
        columns[name] = _column(chance, name, kind, rows, strings, lambda *of, place=place: numbers(*of) + place * grow)
        if nulls:
            columns[name] = columns[name].mask(pd.Series(chance.random(rows) < nulls))
    return pd.DataFrame(columns)


def _column(chance: np.random.Generator, name: str, kind: Any, rows: int, strings: Made, numbers: Made) -> pd.Series:
    if kind.is_boolean():
        return pd.Series(chance.random(rows) < 0.5, dtype=object)
    if kind.is_date() or kind.is_timestamp():
        days = pd.Timestamp(FIRST) + pd.to_timedelta(np.arange(rows) % 365, unit="D")
        return pd.Series(days).dt.tz_localize("UTC") if kind.is_timestamp() and kind.timezone else pd.Series(days)
    if kind.is_string():
        return pd.Series([strings(chance, row) for row in range(rows)], dtype=object)
    if kind.is_integer() and name in {"step", "period", "bin", "position", "weekday", "hour"}:
        return pd.Series(np.arange(rows) % 9 + 1)
    told = [numbers(chance, row) for row in range(rows)]
    return pd.Series(told, dtype=float).round() if kind.is_integer() else pd.Series(told, dtype=float)


def _few(chance: np.random.Generator, row: int) -> str:
    return ("", "alpha", "beta", "gamma")[row % 4]


def _share(chance: np.random.Generator, row: int) -> float:
    return float(chance.random())


def _amount(chance: np.random.Generator, row: int) -> float:
    return float(chance.lognormal(5, 2))


def _huge(chance: np.random.Generator, row: int) -> float:
    return float(chance.random() * 10 ** int(chance.integers(0, 18)))


def _either(chance: np.random.Generator, row: int) -> float:
    return float(chance.normal() * 10 ** int(chance.integers(-6, 18)))


def _null(schema: Any, rows: int) -> pd.DataFrame:
    made = _frame(schema, rows, _few, _amount)
    for name, kind in schema.items():
        nothing = [None] * rows
        if kind.is_numeric():
            made[name] = pd.Series(nothing, dtype=float)
        elif kind.is_temporal():
            made[name] = pd.Series(nothing, dtype=made[name].dtype)
        else:
            made[name] = pd.Series(nothing, dtype=object)
    return made


AWKWARD = ("$x^2$", "a\nb\tc", " ", "\\frac{", "<b>&amp;")
ENDLESS = (float("inf"), float("-inf"), 0.5)
WORLDS: dict[str, Callable[[Any], pd.DataFrame]] = {
    "empty": lambda schema: _frame(schema, 0, _few, _amount),
    "one row": lambda schema: _frame(schema, 1, _few, _amount),
    "one row of shares": lambda schema: _frame(schema, 1, _few, _share),
    "only nulls": lambda schema: _null(schema, 5),
    "half nulls": lambda schema: _frame(schema, 80, _few, _share, nulls=0.5),
    "zeros": lambda schema: _frame(schema, 20, _few, lambda *_: 0.0),
    "the same twice": lambda schema: pd.concat([_frame(schema, 30, _few, _share)] * 2, ignore_index=True),
    "500 segments": lambda schema: _frame(schema, 500, lambda _, row: f"segment {row}", _amount),
    "long names": lambda schema: _frame(schema, 60, lambda _, row: f"{LONG}{row % 20}", _share),
    "right to left": lambda schema: _frame(schema, 60, lambda _, row: RIGHT_TO_LEFT[row % 6], _share),
    "awkward names": lambda schema: _frame(schema, 60, lambda _, row: AWKWARD[row % 5], _amount),
    "huge numbers": lambda schema: _frame(schema, 60, _few, _huge),
    "numbers of either sign": lambda schema: _frame(schema, 60, _few, _either),
    "each column more than the one before": lambda schema: _frame(schema, 8, _few, _share, grow=1.0),
    "each column less than the one before": lambda schema: _frame(schema, 8, _few, lambda *_: 100.0, grow=-1.0),
    "shares that grow by column": lambda schema: _frame(schema, 8, _few, lambda *_: 0.0, grow=0.04),
    "infinite numbers": lambda schema: _frame(schema, 12, _few, lambda _, row: ENDLESS[row % 3]),
    "many rows": lambda schema: _frame(schema, 5000, _few, _amount),
}


def texts(figure: Any) -> Iterator[Any]:
    """Give every text that a figure has: those of ticks only where the axis shows them."""
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        yield from (axes.title, axes._left_title, axes._right_title, *axes.texts)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_visible() and axes.axison:
                for tick in axis._update_ticks():
                    yield from (tick.label1, tick.label2)
                yield from (axis.label, axis.offsetText)
        if legend := axes.get_legend():
            yield from legend.get_texts()
    yield from figure.texts
