"""Outcomes of experiments as pictures: how much users have of what is measured, and what adjusting for the past gains.

Belongs here: charts of what goes into a comparison. Does not belong here: the comparison (`experiments`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.experiments import MOST_PANELS, finite, known, panel_height, panel_title, panels, relative
from analytics_assets.charts.house import (
    BLUE,
    COLOURS,
    DARK,
    GREY,
    HEIGHT,
    LEVEL,
    MUTED,
    About,
    NotEnoughError,
    as_numbers,
    as_percent,
    drawing,
    number,
    records,
    sheet,
    short,
)
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ARMS = 4
_ARMS = (GREY, *COLOURS[: _MOST_ARMS - 1])
_MOST_BARS = 16
_LITTLE = 0.05
_Z = 1.959963984540054


@drawing("Outcomes of the arms of experiments")
def distributions(about: About, arms: pd.DataFrame, bins: pd.DataFrame) -> Figure:
    """Draw how many users of each arm have how much, a panel an experiment; those with nothing are told in words.

    Args:
        about: What it is of; `words` say how many experiments there are (`of`) and are `shown`.
        arms: experiment, called, unit, control, variant, users, nothing, q50, q90 (of those who have any).
        bins: experiment, variant, bin, begins, width, users: of those who have any.
    """
    told = arms.dropna(subset=["experiment", "variant", "users", "nothing"])
    told = told[(told.users > 0) & (told.nothing >= 0) & (told.nothing <= told.users)]
    spread = bins.dropna(subset=["experiment", "variant", "bin", "begins", "width", "users"])
    spread = finite(spread, "bin", "begins", "width", "users")
    spread = spread[(spread.width > 0) & (spread.users >= 0)]
    names = [name for name in sorted(told.experiment.unique()) if (spread.experiment == name).any()][:MOST_PANELS]
    if not names:
        raise NotEnoughError("no experiment measures an amount of which any user has something")
    told = told[told.experiment.isin(names)].drop_duplicates(["experiment", "variant"])
    says = f"Line: share of an arm's users by how much they have, band: its {LEVEL}; the last step holds all above. "
    says += "Users who have nothing are told in words. Triangles: median and 90 % quantile of those who have something."
    says += _so_many(about)
    found = _differing(told)
    figure = sheet(about, _nothing_title(found, len(names)), says, height=panel_height(len(names)) + 0.3)
    for axes, name in zip(panels(figure, len(names)), names, strict=True):
        _distribution(axes, told[told.experiment == name], spread[spread.experiment == name], differs=name in found)
    return figure


def _so_many(about: About) -> str:
    of, shown = about.words.get("of", ""), about.words.get("shown", "")
    return f" The {shown} experiments that begin last, of {of}." if of != shown else ""


def _ordered(arms: pd.DataFrame) -> list[Any]:
    """Return the arms, the control first."""
    return sorted(records(arms), key=lambda row: (row.variant != row.control, str(row.variant)))[:_MOST_ARMS]


def _differing(told: pd.DataFrame) -> set[Any]:
    """Find the experiments in which fewer or more users have nothing at all, at 5 % over all comparisons."""
    from scipy.special import ndtr

    differ, compared = [], 0
    for name, arms in told.groupby("experiment"):
        control, *others = _ordered(arms)
        tests = [_two_shares(control, other) for other in others]
        compared += len(tests)
        differ += [(name, float(2 * ndtr(-abs(z)))) for z in tests]
    return {name for name, p in differ if p < 0.05 / max(compared, 1)}


def _nothing_title(found: set[Any], many: int) -> str:
    if many == 1:
        return f"The share of users with nothing {'differs' if found else 'is not told apart'} between the arms"
    listed = f": {' and '.join(short(name, 24) for name in sorted(found))}" if 0 < len(found) < 3 else ""
    none = "None" if not found else str(len(found))
    return f"{none} of {many} experiments differ{'s' * (len(found) < 2)} in how many users have nothing{listed}"


def _two_shares(one: Any, other: Any) -> float:  # noqa: ANN401 - rows of a frame
    pooled = (one.nothing + other.nothing) / (one.users + other.users)
    error = math.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / one.users + 1 / other.users))
    return (other.nothing / other.users - one.nothing / one.users) / error if error else 0.0


def _distribution(axes: Axes, arms: pd.DataFrame, bins: pd.DataFrame, *, differs: bool) -> None:
    import numpy as np

    begins, width = float(bins.begins.min()), float(bins.width.median())
    places = max(int(bins.bin.max()) + 1, 1) if known(bins.bin.max()) else 1
    places = min(places, 100)
    edges = begins + width * np.arange(places + 1)
    top, low, high = 0.0, edges[0], edges[-1]
    ordered = _ordered(arms)
    for row, colour in zip(ordered, _ARMS, strict=False):
        counts = np.zeros(places)
        own = bins[bins.variant == row.variant]
        at = np.clip(own.bin.to_numpy(float), 0, places - 1).astype(int)
        np.add.at(counts, at, own.users.to_numpy(float))
        counts = np.minimum(counts, row.users)
        ends = np.array([wilson(int(count), int(row.users)) or (0.0, 0.0) for count in counts])
        axes.stairs(ends[:, 1], edges, baseline=ends[:, 0], fill=True, color=colour, alpha=0.25, lw=0)
        axes.stairs(counts / row.users, edges, color=colour, lw=1.8, baseline=None)
        top = max(top, float(ends[:, 1].max()))
        marked = [value for value in (row.q50, row.q90) if known(value) and low <= value <= high]
        for value in marked:
            size = 12 if row is ordered[0] else 8
            axes.plot(value, 0, "v", color=colour, ms=size, mec="white", mew=0.8, clip_on=False, zorder=5)
    _told_nothing(
        axes,
        [
            ("have nothing, differs" if differs else "have nothing", DARK if differs else GREY),
            *((_nothing(row), colour) for row, colour in zip(ordered, _ARMS, strict=False)),
        ],
    )
    axes.set_xlim(low, high)
    axes.set_ylim(0, (top or 1.0) * (1.25 + 0.12 * len(ordered)))
    axes.locator_params(nbins=4)
    as_percent(axes)
    as_numbers(axes, "x")
    axes.tick_params(labelsize=9.5)
    axes.grid(visible=False)
    unit = short(ordered[0].unit, 8) if ordered[0].unit else ""
    panel_title(axes, ordered[0].experiment, f"{ordered[0].called}{f', {unit}' if unit else ''}")


def _told_nothing(axes: Axes, lines: list[tuple[str, str]]) -> None:
    for place, (text, colour) in enumerate(lines):
        axes.annotate(
            text, (1, 1), xycoords="axes fraction", xytext=(0, -1 - 13 * place), textcoords="offset points", ha="right",
            va="top", size=9, color=colour,
        ).set_in_layout(False)  # fmt: skip


def _nothing(row: Any) -> str:  # noqa: ANN401 - a row of a frame
    low, high = wilson(int(row.nothing), int(row.users)) or (0.0, 1.0)
    return f"{short(row.variant, 13)} {row.nothing / row.users * 100:.1f} ± {(high - low) * 50:.1f} %"


@drawing("What adjusting for the days before gains")
def adjustment(about: About, results: pd.DataFrame) -> Figure:
    """Draw by how much intervals become narrower when they are adjusted for the days before exposure (CUPED).

    Args:
        about: What it is of.
        results: experiment, variant, called, role, control, n_control, n, low, high, variance_left.
    """
    told = finite(results, "n_control", "n", "low", "high", "variance_left")
    told = told[(told.variance_left > 0) & (told.n + told.n_control > 4) & (told.high > told.low)]
    if told.empty:
        raise NotEnoughError("no metric of an experiment is adjusted for the days before")
    gained = 1 - told.variance_left**0.5
    told = told.assign(gained=gained).sort_values(["gained", "experiment", "called"], ascending=[False, True, True])
    half, best = float(told.gained.median()), float(told.gained.max())
    many = len(told)
    hardly = "hardly narrows" if best < _LITTLE else "narrows"
    title = f"Adjusting for the days before {hardly} intervals: by {relative(half, signed=False)} at the median, "
    title += f"{relative(best, signed=False)} at most"
    says = f"Bar: how much narrower a metric's interval is with CUPED than without, whisker: the {LEVEL} of that. "
    says += "Right: the interval without and with it. "
    says += f"At most it is worth {relative(1 / float(told.variance_left.min()) - 1, signed=False)} more users. "
    says += f"The {_MOST_BARS} that gain most, of {many}." if many > _MOST_BARS else ""
    told = told.head(_MOST_BARS)
    figure = sheet(about, title, says, height=max(HEIGHT, 2.0 + 0.36 * len(told)))
    _gains(figure.subplots(), told)
    return figure


def _gains(axes: Axes, told: pd.DataFrame) -> None:
    arms = told.groupby("experiment").variant.transform("nunique")
    top = 0.0
    for place, (row, several) in enumerate(zip(records(told), arms > 1, strict=True)):
        low, high = _gain_interval(float(row.variance_left), float(row.n + row.n_control))
        colour = BLUE if low > 0.0005 else MUTED
        axes.barh(place, row.gained, height=0.62, color=colour, alpha=0.85)
        axes.hlines(place, low, high, color=DARK, lw=1.8)
        top = max(top, high, row.gained)
        name = f"{short(row.experiment, 22)}" + (f" ({short(row.variant, 13)})" if several else "")
        axis = axes.get_yaxis_transform()
        style: dict[str, Any] = {
            "xycoords": axis,
            "textcoords": "offset points",
            "va": "center",
            "annotation_clip": False,
        }
        axes.annotate(f"{name} · {short(row.called, 26)}", (0, place), xytext=(-6, 0), ha="right", size=10.5, **style)
        axes.annotate(_widths(row), (1, place), xytext=(8, 0), ha="left", size=10, color=GREY, **style)
    axes.set_xlim(min(0.0, float(told.gained.min())) * 1.06, top * 1.06 or 1.0)
    axes.set_ylim(len(told) - 0.4, -0.6)
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=5)
    as_percent(axes, "x")
    axes.set_xlabel("interval narrower by")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _gain_interval(left: float, users: float) -> tuple[float, float]:
    """Give the interval of what adjusting gains, from that of the correlation with the days before (Fisher 1921)."""
    tied = min(math.sqrt(max(1 - left, 0.0)), 1 - 1e-12)
    around, error = math.atanh(tied), _Z / math.sqrt(max(users - 3, 1))
    ends = [math.tanh(max(around - error, 0.0)), math.tanh(around + error)]
    low, high = (1 - math.sqrt(1 - end * end) for end in ends)
    return low, high


def _widths(row: Any) -> str:  # noqa: ANN401 - a row of a frame
    half = (row.high - row.low) / 2
    without = half / math.sqrt(row.variance_left)
    if known(row.control) and row.control and half < 10 * abs(row.control):
        scale = abs(row.control)
        return f"± {without / scale * 100:.2f} % to ± {half / scale * 100:.2f} %"
    return f"± {number(without)} to ± {number(half)}"
