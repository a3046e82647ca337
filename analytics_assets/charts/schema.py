"""The tables as a picture: which table refers to which.

Belongs here: the diagram of contracts. Does not belong here: what a contract says (`contracts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    COLOURS,
    DARK,
    GREY,
    HEIGHT,
    WIDTH,
    About,
    NotEnoughError,
    drawing,
    many,
    records,
    sheet,
    short,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_TABLES = 8
"""Most tables that others refer to, and most of the others."""
_MOST_ROWS = 7
_HEAD, _ROW, _GAP = 0.30, 0.205, 0.26
_BOX = 2.35
_PLAIN = "#B5B5B5"


@dataclass
class _Box:
    """Hold a table: its rows of the picture, and where it is, in inches from the top left."""

    name: str
    rows: list[tuple[str, str, bool]] = field(default_factory=list)
    more: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def high(self) -> float:
        return _HEAD + _ROW * (len(self.rows) + bool(self.more)) + 0.06

    def place(self, row: int) -> float:
        """Return the middle of a row."""
        return self.y + _HEAD + _ROW * (row + 0.5)


@drawing("Tables and what they refer to")
def entities(about: About, columns: pd.DataFrame) -> Figure:
    """Draw the tables of the star schema with their keys and references.

    Args:
        about: What it is of.
        columns: table, place, column, key, refers_to: one row a column of a table.
    """
    told = columns.dropna(subset=["table", "column"]).drop_duplicates(["table", "column"])
    told = told.sort_values(["table", "place"], kind="stable")
    if told.empty:
        raise NotEnoughError("the project feeds no fact and no dimension")
    referred = told.refers_to[told.refers_to.isin(told.table) & (told.refers_to != "")].value_counts()
    centre = sorted(referred.index, key=lambda name: (-referred[name], name))
    others = [name for name in dict.fromkeys(told.table) if name not in set(centre)]
    left_out = max(0, len(centre) - _MOST_TABLES) + max(0, len(others) - _MOST_TABLES)
    centre, others = centre[:_MOST_TABLES], others[:_MOST_TABLES]
    colours = dict(zip(centre, [*COLOURS[:-1], *[GREY] * _MOST_TABLES], strict=False))
    boxes = {name: _box(name, told[told.table == name], set(colours)) for name in (*centre, *others)}
    lists = _placed(boxes, centre, others)
    high = max(sum(boxes[name].high + _GAP for name in names) - _GAP for names in lists if names)

    count = many(told.table.nunique(), "tables")
    title = f"{count}: {len(referred)} of them tell what the others refer to" if len(referred) else count
    says = "Made of the contracts. Bold: the key, within a day where a table is kept by day; in colour: what refers to "
    says += "another table." + (f" {many(left_out, 'tables')} more not shown." if left_out else "")
    figure = sheet(about, title, says, height=max(HEIGHT, high + 1.6))
    axes = figure.subplots()
    for box in boxes.values():
        for place, (_, refers_to, _) in enumerate(box.rows):
            if refers_to in colours and refers_to:
                _line(axes, box, place, boxes[refers_to], colours[refers_to])
    for box in boxes.values():
        _draw(axes, box, colours)
    axes.set_xlim(-0.05, WIDTH - 0.55)
    axes.set_ylim(high + 0.05, -0.05)
    axes.set_axis_off()
    return figure


def _box(name: str, columns: pd.DataFrame, shown: set[str]) -> _Box:
    box = _Box(name)
    wanted = [
        (str(row.column), row.refers_to if row.refers_to in shown else "", row.key is True)
        for row in records(columns)
        if row.key is True or row.refers_to in shown
    ]
    box.rows = wanted[:_MOST_ROWS]
    box.more = len(columns) - len(box.rows)
    return box


def _placed(boxes: dict[str, _Box], centre: list[str], others: list[str]) -> list[list[str]]:
    """Put what others refer to in the middle, and those on both sides of it, so that the sides are as high."""
    sides: list[list[str]] = [[], [], []]
    sides[1] = centre
    for name in sorted(others, key=lambda name: (-boxes[name].high, name)):
        left, right = (sum(boxes[told].high for told in sides[side]) for side in (0, 2))
        sides[0 if left <= right else 2].append(name)
    room = WIDTH - 0.6
    tops = [sum(boxes[name].high + _GAP for name in names) - _GAP for names in sides]
    for names, x, high in zip(sides, (0.0, (room - _BOX) / 2, room - _BOX), tops, strict=True):
        # a list that is lower than the highest stands in its middle, its boxes further apart
        gap = min(_GAP + (max(tops) - high) / max(len(names) - 1, 1), 3 * _GAP)
        y = (max(tops) - high - (gap - _GAP) * (len(names) - 1)) / 2
        for name in names:
            boxes[name].x, boxes[name].y = x, y
            y += boxes[name].high + gap
    return sides


def _line(axes: Axes, box: _Box, row: int, target: _Box, colour: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    a, b = box.place(row), target.y + _HEAD / 2
    if box.x < target.x:
        left, right, bend = box.x + _BOX, target.x, 0.5
    elif box.x > target.x:
        left, right, bend = box.x, target.x + _BOX, -0.5
    else:  # both stand in the middle: around, on the right
        left = right = box.x + _BOX
        bend = 0.45
    points = [(left, a), (left + bend, a), (right + bend if left == right else right - bend, b), (right, b)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=colour, lw=1.4, alpha=0.75))
    axes.plot(right, b, "o", color=colour, ms=4.5)


def _draw(axes: Axes, box: _Box, colours: dict[str, str]) -> None:
    from matplotlib.patches import Rectangle

    own = colours.get(box.name, _PLAIN)
    style: dict[str, Any] = {"lw": 1.0, "edgecolor": own}
    axes.add_patch(Rectangle((box.x, box.y), _BOX, box.high, facecolor="white", **style))
    axes.add_patch(Rectangle((box.x, box.y), _BOX, _HEAD, facecolor=own if box.name in colours else "#EDEDED", **style))
    name = short(box.name, 24)
    head: dict[str, Any] = {
        "size": 11,
        "weight": "bold",
        "va": "center",
        "color": "white" if box.name in colours else DARK,
    }
    axes.text(box.x + 0.1, box.y + _HEAD / 2, name, **head)
    for place, (column, refers_to, key) in enumerate(box.rows):
        axes.text(
            box.x + 0.1,
            box.place(place),
            short(column, 26),
            size=10,
            va="center",
            weight="bold" if key else "normal",
            color=colours.get(refers_to, DARK),
        )
    if box.more:
        told = f"{box.more:,} more column{'' if box.more == 1 else 's'}"
        axes.text(box.x + 0.1, box.place(len(box.rows)), told, size=9.5, va="center", color=GREY)
