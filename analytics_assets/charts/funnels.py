"""Funnels as pictures: how many get through, where they are lost, how long it takes.

Belongs here: the charts of a funnel. Does not belong here: what a funnel is (`analysis.funnel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.charts.house import (
    BLUE,
    LEVEL,
    About,
    End,
    NotEnoughError,
    as_days,
    as_percent,
    drawing,
    label_ends,
    range_of,
    share,
    sheet,
    short,
)
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SMOOTHED = {"day": 7, "week": 4, "month": 3}
_COMPARED = {"day": 28, "week": 4, "month": 1}
_MANY = 45
_MOST_PERIODS = 1500


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
    of = f"{counted} {interval}s" if counted > 1 else interval
    says = f"In the {of} to {told.period.iloc[-1]:%Y-%m-%d}: {LEVEL} {range_of(*recent[1:], share)}"
    says += f"; in the {of} before: {share(_pooled(before)[0])}. " if len(before) == counted else ". "
    smoothed = _SMOOTHED[interval]
    many = len(told) > _MANY
    says += f"A dot is a {interval} of entry, its whisker the {LEVEL}. "
    says += f"The line takes {smoothed} {interval}s together, the band is its {LEVEL}. " if many else ""
    says += "Only entries whose window has closed."

    figure = sheet(about, title, says)
    axes = figure.subplots()
    x = told.period.to_numpy()
    own = np.array([_rate(*row) for row in zip(told.converted, told.entered, strict=True)])
    faint = 0.3 if many else 1.0
    axes.vlines(x, own[:, 1], own[:, 2], color=BLUE, alpha=faint * 0.6, lw=1.0 if many else 1.6)
    axes.plot(x, own[:, 0], "o", color=BLUE, alpha=faint, ms=3 if many else 6, mew=0)
    shown = own
    if many:
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
