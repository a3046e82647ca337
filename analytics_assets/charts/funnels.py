"""Funnels as pictures: how many get through, where they are lost, how long it takes.

Belongs here: the charts of a funnel. Does not belong here: what a funnel is (`analysis.funnel`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    BLUE,
    DARK,
    GREY,
    HEIGHT,
    LEVEL,
    MUTED,
    ORANGE,
    About,
    End,
    NotEnoughError,
    as_days,
    as_percent,
    beside,
    drawing,
    duration,
    label_ends,
    many,
    number,
    range_of,
    records,
    share,
    sheet,
    short,
    time_ticks,
)
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMOOTHED = {"day": 7, "week": 4, "month": 3}
_COMPARED = {"day": 28, "week": 4, "month": 1}
_MANY = 45
_MOST_PERIODS = 1500
_MOST_STEPS = 12
_MOST_VALUES = 10
_MOST_PANELS = 4
_ALL_STEPS = "all steps"


@drawing("Conversion rate by day of entry")
def conversion(about: About, periods: pd.DataFrame) -> Figure:
    """Draw the rate of a funnel by period of entry: dots with intervals, and the running rate of several together.

    Args:
        about: What it is of; `words` say the `interval`, the `units`, and the `first` and `last` step.
        periods: period, entered, converted: those whose window has closed.
    """
    import numpy as np

    told = periods.dropna(subset=["period", "entered", "converted"]).sort_values("period")
    told = told[(told.entered > 0) & (told.converted >= 0) & (told.converted <= told.entered)].tail(_MOST_PERIODS)
    if told.empty:
        raise NotEnoughError("nobody entered whose window has closed")
    interval = about.words.get("interval", "day")
    counted = min(len(told), _COMPARED[interval])
    recent, before = _pooled(told.tail(counted)), told.iloc[-2 * counted : -counted]
    steps = f"from {short(about.words.get('first', 'the first step'))} to {short(about.words.get('last', 'the last'))}"
    title = f"{share(recent[0])} of {about.words.get('units', 'units')} came {steps}"
    of = many(counted, interval)
    says = f"In the {of} to {told.period.iloc[-1]:%Y-%m-%d}: {LEVEL} {range_of(*recent[1:], share)}"
    says += f"; in the {of} before: {share(_pooled(before)[0])}. " if len(before) == counted else ". "
    smoothed = _SMOOTHED[interval]
    dense = len(told) > _MANY
    says += f"A dot is a {interval} of entry, its whisker the {LEVEL}. "
    says += f"The line takes {smoothed} {interval}s together, the band is its {LEVEL}. " if dense else ""
    says += "Only entries whose window has closed."

    figure = sheet(about, title, says)
    axes = figure.subplots()
    x = told.period.to_numpy()
    own = np.array([_rate(*row) for row in zip(told.converted, told.entered, strict=True)])
    faint = 0.3 if dense else 1.0
    axes.vlines(x, own[:, 1], own[:, 2], color=BLUE, alpha=faint * 0.6, lw=1.0 if dense else 1.6)
    axes.plot(x, own[:, 0], "o", color=BLUE, alpha=faint, ms=3 if dense else 6, mew=0)
    shown = own
    if dense:
        sums = told[["converted", "entered"]].rolling(smoothed, min_periods=smoothed).sum().dropna()
        shown = np.array([_rate(*row) for row in zip(sums.converted, sums.entered, strict=True)])
        at = x[-len(shown) :]
        axes.fill_between(at, shown[:, 1], shown[:, 2], color=BLUE, alpha=0.22, lw=0)
        axes.plot(at, shown[:, 0], color=BLUE)
    elif len(told) > 1:
        axes.plot(x, own[:, 0], color=BLUE, alpha=0.5, lw=1.5)
    top = float(max(np.quantile(own[:, 2], 0.98), shown[:, 2].max()))
    axes.set_ylim(0, min(1.0, top * 1.12) if top > 0 else 1.0)
    axes.margins(x=0.01)
    axes.set_ylabel("share of entries that converted")
    axes.set_xlabel(f"{interval} of entry")
    as_percent(axes)
    as_days(axes, x)
    label_ends(axes, [End(x[-1], float(shown[-1, 0]), share(float(shown[-1, 0])), BLUE)])
    return figure


def _rate(converted: float, entered: float) -> tuple[float, float, float]:
    low, high = wilson(int(converted), int(entered)) or (0.0, 1.0)
    return converted / entered, low, high


def _pooled(periods: pd.DataFrame) -> tuple[float, float, float]:
    return _rate(float(periods.converted.sum()), float(periods.entered.sum()))


@drawing("Funnel by step")
def steps(about: About, steps: pd.DataFrame) -> Figure:
    """Draw how many reach each step: a bar a step, what goes on beneath its name.

    Args:
        about: What it is of; `words` say the `units` and the `window`.
        steps: step, name, matured, came: how many reached the step, and the one before; those whose window has closed.
    """
    told = steps.dropna(subset=["step", "matured"]).drop_duplicates("step").sort_values("step")
    told = told[told.matured >= 0]
    if told.empty or not told.matured.iloc[0] > 0:
        raise NotEnoughError("nobody entered whose window has closed")
    left_out = max(0, len(told) - _MOST_STEPS)
    told = told.head(_MOST_STEPS)
    units, entered = about.words.get("units", "units"), float(told.matured.iloc[0])
    names = [short(name) for name in told["name"]]
    reached, came = told.matured.to_numpy(float), told.came.to_numpy(float)
    says = f"A bar is the share of the {many(entered, units)} that entered{_within(about)}, its whisker the {LEVEL}. "
    says += f"The first {_MOST_STEPS} of {_MOST_STEPS + left_out} steps. " if left_out else ""
    says += "Only those whose window has closed."
    figure = sheet(about, _where_lost(names, reached, came, units), says, height=max(HEIGHT, 2.2 + 0.62 * len(told)))
    axes = figure.subplots()
    places = range(len(told))
    worst = _worst(reached, came)
    for place, here in zip(places, reached, strict=True):
        rate, low, high = _rate(min(here, entered), entered)
        axes.barh(place, rate, height=0.62, color=ORANGE if place == worst else BLUE, alpha=0.9)
        if place:
            axes.hlines(place, low, high, color=DARK, lw=2)
        end = max(rate, high if place else 0)
        beside(axes, share(rate), (end, place), (7, 0), weight="bold", size=13)
        beside(axes, number(here), (end, place), (18 + 9 * len(share(rate)), 0), color=GREY, size=11.5)
        if place and came[place] > 0:
            on, low, high = _rate(min(here, came[place]), came[place])
            told_on = f"{share(on)} go on  ({range_of(low, high, share)})"
            axes.text(
                0.0, place - 0.5, f" \u25be {told_on}", va="center", size=10, color=ORANGE if place == worst else GREY
            )
    axes.set_yticks(list(places), names)
    axes.tick_params(axis="y", labelsize=12, labelcolor=DARK)
    axes.set_ylim(max(len(told), 3) - 0.5, -0.6)
    axes.set_xlim(0, 1.24)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _within(about: About) -> str:
    return f" and came so far within {about.words['window']}" if about.words.get("window") else ""


def _worst(reached: np.ndarray, came: np.ndarray) -> int | None:
    """Return the step before which most are lost; None where none is."""
    lost = [
        (float(before - here), -place) for place, (here, before) in enumerate(zip(reached, came, strict=True)) if place
    ]
    most = max((one for one in lost if math.isfinite(one[0])), default=(0.0, 0))
    return -most[1] if most[0] > 0 else None


def _where_lost(names: list[str], reached: np.ndarray, came: np.ndarray, units: str) -> str:
    worst = _worst(reached, came)
    if len(names) == 1:
        return f"{many(float(reached[0]), units)} entered at {names[0]}"
    if worst is None:
        return f"Nobody is lost between {names[0]} and {names[-1]}"
    lost = 1 - reached[worst] / came[worst]
    return f"{share(lost)} of {units} are lost before {names[worst]}" + (", the largest loss" if len(names) > 2 else "")


@drawing("Funnel by value of a breakdown")
def breakdown(about: About, values: pd.DataFrame) -> Figure:
    """Draw the rate of each step by value of a breakdown, a panel a step, beside that of the whole funnel.

    Args:
        about: What it is of; `words` say the `units` and `by` what.
        values: value, step, name, came, went_on, rate_of_others, significant, lost.
    """
    told = values.dropna(subset=["step", "came", "went_on"])
    told = told[(told.came > 0) & (told.went_on >= 0) & (told.went_on <= told.came)]
    if told.empty:
        raise NotEnoughError("nobody entered whose window has closed")
    told = told.drop_duplicates(["value", "step"])
    by, units = short(about.words.get("by", "value")), about.words.get("units", "units")
    told, order = _few_values(told)
    panels = _panels(told)
    says = (
        f"A dot is the share of {units} that go on to the step, by {by}, its whisker the {LEVEL}; the line: everybody. "
    )
    says += "Orange: worse than all other values together, blue: better (Holm-adjusted test), grey: not told apart."
    figure = sheet(about, _worst_value(told, by), says, height=max(HEIGHT, 2.4 + 0.3 * len(order)))
    for place, (axes, (title, rows)) in enumerate(
        zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True)
    ):
        _value_panel(axes, title, rows, order)
        if place == 0:
            axes.set_yticks(range(len(order)), [short(value, 20) for value in order])
            axes.tick_params(axis="y", labelcolor=DARK)
            axes.set_ylim(len(order) - 0.4, -0.6)
    return figure


def _few_values(told: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep the values that most entered with, and pool the counts of the others."""
    import pandas as pd

    entered = told.groupby("value").came.max().reset_index().sort_values(["came", "value"], ascending=[False, True])
    kept = entered.value.tolist()
    if len(kept) <= _MOST_VALUES:
        return told, kept
    kept = kept[: _MOST_VALUES - 1]
    rest = told[~told.value.isin(kept)]
    label = f"{rest.value.nunique():,} more"
    pooled = rest.groupby("step", as_index=False).agg({"name": "first", "came": "sum", "went_on": "sum"})
    pooled = pooled.assign(value=label, significant=None, lost=math.nan, rate_of_others=math.nan)
    return pd.concat([told[told.value.isin(kept)], pooled.astype({"lost": float})], ignore_index=True), [*kept, label]


def _panels(told: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Choose what is shown side by side: the whole funnel, and the steps at which values differ most."""
    first, last = told.step.min(), told.step.max()
    by_step: dict[Any, pd.DataFrame] = dict(iter(told.groupby("step")))
    if len(by_step) > _MOST_PANELS:
        told_apart = sorted(by_step, key=lambda step: (-_spread_of(by_step[step]), step))[:_MOST_PANELS]
        by_step = {step: by_step[step] for step in sorted(told_apart)}
    panels = [(short(rows["name"].iloc[0], 15), rows) for rows in by_step.values()]
    if first == last:
        return panels
    ends = told[told.step == last][["value", "went_on"]].merge(told[told.step == first][["value", "came"]], on="value")
    ends = ends[ends.went_on <= ends.came]
    return [*panels, (_ALL_STEPS, ends.assign(significant=None, lost=math.nan))] if len(ends) else panels


def _spread_of(rows: pd.DataFrame) -> float:
    return float((rows.went_on / rows.came).std(ddof=0))


def _value_panel(axes: Axes, title: str, rows: pd.DataFrame, order: list[str]) -> None:
    ends = []
    untested = DARK if title == _ALL_STEPS else MUTED
    for row in records(rows):
        place = order.index(row.value)
        rate, low, high = _rate(float(row.went_on), float(row.came))
        colour = untested if row.significant is not True else ORANGE if row.lost > 0 else BLUE
        axes.hlines(place, low, high, color=colour, lw=2.4)
        axes.plot(rate, place, "o", color=colour, ms=8)
        beside(axes, share(rate), (high, place), bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.5})
        ends += [low, high]
    axes.axvline(rows.went_on.sum() / rows.came.sum(), color="#999999", lw=1, zorder=0)
    room = max(max(ends) - min(ends), 0.02)
    axes.set_xlim(min(ends) - 0.12 * room, max(ends) + 0.75 * room)
    axes.set_title(title, size=11.5)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="x", labelsize=9.5)
    axes.locator_params(axis="x", nbins=2)
    as_percent(axes, "x")


def _worst_value(told: pd.DataFrame, by: str) -> str:
    worse = told[(told.significant == True) & (told.lost > 0)]  # noqa: E712 - a column of objects
    if worse.empty:
        return f"No {by} is told apart from the others at any step"
    (worst,) = records(worse.nlargest(1, "lost"))
    others = f", against {share(worst.rate_of_others)} elsewhere" if math.isfinite(worst.rate_of_others) else ""
    return f"{short(worst.value)} loses most at {short(worst.name)}: {share(worst.went_on / worst.came)} go on{others}"


@drawing("Time to convert")
def times(about: About, quantiles: pd.DataFrame, bins: pd.DataFrame) -> Figure:
    """Draw how long it takes to reach each step, and how many conversions are done after which time.

    Args:
        about: What it is of; `words` say the `units`.
        quantiles: step, name, q25, q50, q75, q90: seconds since the entry.
        bins: step, bin, seconds, units: stretches of time since the entry, of the last step that was reached.
    """
    told = quantiles.dropna(subset=["step", "q25", "q50", "q75", "q90"]).sort_values("step").tail(_MOST_STEPS)
    told = told[(told.q25 >= 0) & (told.q25 <= told.q50) & (told.q50 <= told.q75) & (told.q75 <= told.q90)]
    if told.empty:
        raise NotEnoughError("nobody has reached the second step")
    units, last = about.words.get("units", "units"), records(told)[-1]
    title = f"Half of those who reach {short(last.name)} need {duration(last.q50)} or less, a tenth more than "
    title += duration(last.q90)
    says = "Left: from the entry to each step. Bar: the middle half; dot: the median; line: to the slowest tenth. "
    done = _done(bins, last)
    says += f"Right: how many of the {units} that reach it have done so after which time." if done is not None else ""
    says += " Only those whose window has closed."
    figure = sheet(about, title, says, height=max(HEIGHT, 2.2 + 0.42 * len(told)))
    if done is None:
        left, right = figure.subplots(), None
    else:
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _quantile_panel(left, told)
    if right is not None and done is not None:
        _done_panel(right, done)
    return figure


def _quantile_panel(axes: Axes, told: pd.DataFrame) -> None:
    least = 0.5  # seconds; less is drawn as so much
    for place, row in enumerate(records(told)):
        quarter, half, three, most = (max(float(value), least) for value in (row.q25, row.q50, row.q75, row.q90))
        axes.hlines(place, three, most, color=BLUE, lw=1.6)
        axes.hlines(place, quarter, three, color=BLUE, lw=11, alpha=0.45, capstyle="butt")
        axes.plot(half, place, "o", color=BLUE, ms=9)
        beside(axes, duration(half), (half, place), (0, 14), ha="center", weight="bold", size=11.5)
        beside(axes, duration(most), (most, place), color=GREY)
    low, high = max(float(told.q25.min()), least), max(float(told.q90.max()), least)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.8, high * (high / low) ** 0.22 * 1.8)
    time_ticks(axes, low / 1.5, high * 1.5)
    axes.set_yticks(range(len(told)), [short(name, 18) for name in told["name"]])
    axes.tick_params(axis="y", labelcolor=DARK)
    axes.set_ylim(len(told) - 0.5, -0.7)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time since the entry")


def _done(bins: pd.DataFrame, last: Any) -> list[tuple[float, float]] | None:  # noqa: ANN401 - a row
    """Return until when which share was done, of stretches of time and of quantiles; None of fewer than two."""
    told = bins[bins.step == last.step].dropna(subset=["seconds", "units"]).sort_values("seconds")
    told = told[told.units >= 0]
    if len(told) < 2 or not told.units.sum() > 0:
        return None
    begins = told.seconds.to_numpy(float)
    done = told.units.to_numpy(float).cumsum() / float(told.units.sum())
    # a stretch is counted at its end, where the next begins; what happens in the first of them the quantiles say
    points = [(0.0, 0.0), *zip([*begins[1:], 2 * begins[-1] - begins[-2]], done, strict=True)]
    points += [(float(getattr(last, f"q{part}")), part / 100) for part in (25, 50, 75, 90)]
    points.sort()
    return [point for place, point in enumerate(points) if all(point[1] >= before[1] for before in points[:place])]


def _done_panel(axes: Axes, points: list[tuple[float, float]]) -> None:
    import numpy as np

    at, done = np.array(points).T
    span = float(at[-1])
    scale, unit = next(
        (s, u) for s, u in ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "s")) if span >= 2 * s or s == 1
    )
    axes.plot(at / scale, done, color=BLUE)
    axes.fill_between(at / scale, 0, done, color=BLUE, alpha=0.12, lw=0)
    axes.set_ylim(0, 1.04)
    axes.set_xlim(0, span / scale * 1.02)
    as_percent(axes)
    axes.set_ylabel("share of conversions")
    axes.set_xlabel(f"{unit} since the entry")
