"""Marks that several charts share: cells of a grid, bars with their values beside them, logarithmic ticks.

Belongs here: what is drawn alike on more than one subject. Does not belong here: the sheet around it (`house`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import DARK, beside, dark, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

MIDDLE: dict[str, Any] = {"ha": "center", "va": "center"}
_HUGE = 1e30  # beyond, squares and sums overflow


def finite(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Keep the rows whose numbers in these columns are there and can be drawn."""
    import numpy as np

    told = frame.dropna(subset=list(columns))
    numbers = told[list(columns)].to_numpy(float)
    kept: pd.DataFrame = told[(np.isfinite(numbers) & (np.abs(numbers) < _HUGE)).all(axis=1)]
    return kept


def shade(part: float) -> Any:  # noqa: ANN401 - a colour
    """Return the colour of a cell that is as full as a part of 1."""
    import matplotlib as mpl

    return mpl.colormaps["Blues"](0.04 + 0.86 * min(max(part, 0.0), 1.0))


def ink(part: float) -> str:
    """Return the colour of letters on such a cell."""
    return "white" if dark(shade(part)) else DARK


def cell(axes: Axes, x: float, y: float, part: float | None) -> None:
    """Fill a cell around a place as dark as a part of 1; hatched where there is none."""
    from matplotlib.patches import Rectangle

    place = (x - 0.5, y - 0.5)
    if part is None:
        axes.add_patch(Rectangle(place, 1, 1, facecolor="#F6F6F6", edgecolor="#C8C8C8", hatch="////", lw=0))
        axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor="white", lw=1.2))
    else:
        axes.add_patch(Rectangle(place, 1, 1, facecolor=shade(part), edgecolor="white", lw=1.2))


def only_cells(axes: Axes, columns: int, rows: int) -> None:
    """Leave only the cells of a grid and their names; the first row is on top."""
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=DARK)


def only_bars(axes: Axes, rows: int) -> None:
    """Leave only names and bars, which have their values beside them; the first row is on top."""
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", labelcolor=DARK)


def bars(
    axes: Axes, values: Sequence[float], labels: Sequence[str], colours: Sequence[str], *, room: float = 0.5
) -> None:
    """Draw a bar a row with its label beside it, the first on top.

    Args:
        axes: Where.
        values: How long each is; one that is missing has a label alone.
        labels: What stands beside it.
        colours: Of each.
        room: What is left for labels at the right, as a part of the longest bar.
    """
    known = [value if math.isfinite(value) else 0.0 for value in values]
    for place, (value, label, colour) in enumerate(zip(known, labels, colours, strict=True)):
        axes.barh(place, value, height=0.7, color=colour)
        beside(axes, label, (max(value, 0.0), place), size=10.5)
    top, least = max([*known, 0.0]), min([*known, 0.0])
    width = max(top, -least) or 1.0
    axes.set_xlim(least - 0.02 * width * (least < 0), top + room * width)
    only_bars(axes, len(known))
    if least < 0:
        axes.axvline(0, color="#999999", lw=0.8)


def log_ticks(axes: Axes, low: float, high: float, which: str = "y", most: int = 7) -> None:
    """Write the ticks of a logarithmic axis as short numbers: powers of ten, and some between where there is room."""
    from matplotlib.ticker import NullLocator

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    told: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        told = [digit * 10.0**power for power in powers for digit in digits]
        told = [value for value in told if low * 0.999 <= value <= high * 1.001]
        if len(told) <= most:
            break
    if len(told) < 2:  # between two of them: the middle
        told = [math.sqrt(low * high)]
    told = told[:: math.ceil(len(told) / most)]
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_ticks(told, labels=[number(value) for value in told])
    axis.set_minor_locator(NullLocator())
