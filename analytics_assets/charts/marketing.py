"""Marketing as pictures: what campaigns return, told in three ways, and whether revenue goes with spend.

Belongs here: the charts of campaigns. Does not belong here: credit and increments (`analysis.attribution`,
`statistics.incrementality`).
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
    NotEnoughError,
    as_numbers,
    beside,
    drawing,
    number,
    records,
    sheet,
    short,
)
from analytics_assets.charts.marks import MIDDLE, bars, finite, only_bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CAMPAIGNS = 15
_MOST_CHANNELS = 8
_MOST_DAYS = 1500
_WIDE = 16.0  # beyond, 0 and 1 cannot be told apart


@drawing("Return on the spend of campaigns, told in three ways")
def returns(about: About, campaigns: pd.DataFrame) -> Figure:
    """Draw for each campaign what came back for a unit of spend: naive, credited, and because of it.

    Args:
        about: What it is of.
        campaigns: campaign_id, name, channel, spend, naive, attributed_first, attributed_last, attributed_linear,
            incremental, low, high (revenue / spend of each), state, reason (of incremental).
    """
    told = finite(campaigns, "spend").drop_duplicates("campaign_id")
    told = told[told.spend > 0].sort_values(["spend", "campaign_id"], ascending=[False, True])
    if told.empty:
        raise NotEnoughError("no campaign has cost anything")
    unit = about.currency or "unit"
    says = f"Net revenue, not profit, per {unit} of spend. Naive: all on its days. Attributed: by touches, alike; "
    says += "line: first to last touch alone. Incremental: what would not have come without it, by comparison "
    says += f"with a control, and its {LEVEL}; orange: below the spend, blue: above."
    left_out = len(told) - _MOST_CAMPAIGNS
    rows = records(told.head(_MOST_CAMPAIGNS))
    title = _paid_back(told) + (f" ({number(left_out)} with less spend not shown)" if left_out > 0 else "")
    figure = sheet(about, title, says, height=max(HEIGHT, 2.35 + 0.36 * len(rows)))
    naive, credited, because = figure.subplots(1, 3, width_ratios=(1, 1, 2))
    names = [f"{short(row.name if _named(row.name) else row.campaign_id, 20)}  {_amount(row.spend)}" for row in rows]
    bars(naive, [row.naive for row in rows], [number(row.naive) for row in rows], [MUTED] * len(rows), room=0.42)
    naive.set_yticks(range(len(rows)), names)
    naive.set_title("Naive")
    spent = f"spend, {about.currency}" if about.currency else "spend"
    naive.annotate(spent, (0, 1), xycoords="axes fraction", xytext=(-6, 10), textcoords="offset points", ha="right",
                   size=10, color=GREY)  # fmt: skip
    linear = [row.attributed_linear for row in rows]
    bars(credited, linear, [""] * len(rows), [BLUE] * len(rows), room=0.42)
    _models(credited, rows)
    credited.set_yticks([])
    credited.set_title("Attributed")
    _because(because, rows)
    return figure


def _named(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _amount(value: float) -> str:
    return number(float(f"{value:.3g}"))


def _paid_back(told: pd.DataFrame) -> str:
    """Say of how many campaigns it is known that they brought, or did not bring, what they cost."""
    known = finite(told[told.state == "identified"], "incremental", "low", "high")
    if known.empty:
        many = f"{number(len(told))} campaigns" if len(told) > 1 else "the campaign"
        return f"What came because of {many} is not identified"
    more, less = int((known.low > 1).sum()), int((known.high < 1).sum())
    credited = finite(known, "attributed_linear").attributed_linear
    shown = f"{number(more) if more else 'None'} of {len(known)} campaigns with a control"
    title = f"{shown} {'are' if more > 1 else 'is'} shown to bring back {'their' if more > 1 else 'its'} spend"
    title += f", {number(less)} {'are' if less > 1 else 'is'} shown not to" if less else ""
    return title + (f"; attribution says {int((credited > 1).sum())} did" if len(credited) else "")


def _models(axes: Axes, rows: Sequence[Any]) -> None:
    """Add how far the models of attribution differ, and the number of the linear one."""
    most = 0.0
    for place, row in enumerate(rows):
        known = [row.attributed_first, row.attributed_last, row.attributed_linear]
        known = [value for value in known if math.isfinite(value)]
        if not known:
            beside(axes, "none", (0, place), size=10.5, color=GREY)
            continue
        axes.hlines(place, min(known), max(known), color=DARK, lw=1.6)
        most = max(most, *known)
        beside(axes, number(row.attributed_linear), (max(*known, 0.0), place), size=10.5)
    axes.set_xlim(right=max(most * 1.42, axes.get_xlim()[1]))


def _because(axes: Axes, rows: Sequence[Any]) -> None:
    """Draw increments with their intervals; hatched, with the reason, where nothing is identified."""
    from matplotlib.patches import Rectangle

    known = [row for row in rows if row.state == "identified" and _whole(row)]
    low, high = _limits(known)
    axes.axvline(1, color="#999999", lw=1, zorder=0)
    axes.set_xlim(low - 0.03 * (high - low), high + 0.6 * (high - low))
    for place, row in enumerate(rows):
        if row not in known:
            box = Rectangle((low, place - 0.38), 1.6 * (high - low), 0.76, facecolor="#F6F6F6", edgecolor="#D8D8D8")
            box.set(hatch="////", lw=0)
            axes.add_patch(box)
            why = "not identified" + (f"\n{short(row.reason, 50)}" if _named(row.reason) else "")
            pale = {"facecolor": "#F6F6F6", "lw": 0, "pad": 1}
            axes.text(low + 0.8 * (high - low), place, why, size=8, color=DARK, bbox=pale, linespacing=1.15, **MIDDLE)
            continue
        colour = BLUE if row.low > 1 else ORANGE if row.high < 1 else MUTED
        axes.hlines(place, max(row.low, low), min(row.high, high), color=colour, lw=2.4)
        for end, edge, mark in ((row.low, low, "<"), (row.high, high, ">")):
            if (end < edge) if mark == "<" else (end > edge):
                axes.plot(edge, place, mark, color=colour, ms=7, clip_on=False)
        if low <= row.incremental <= high:
            axes.plot(row.incremental, place, "o", color=colour, ms=8)
        text = f"{_short_number(row.incremental)}  ({_short_number(row.low)} to {_short_number(row.high)})"
        beside(axes, text, (high, place), (8, 0), size=10, color=DARK)
    only_bars(axes, len(rows))
    axes.set_yticks([])
    axes.set_xticks([1] if high - low > _WIDE else [0, 1])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("Incremental")
    axes.set_xlabel("revenue / spend", size=10)


def _short_number(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else number(value)


def _whole(row: Any) -> bool:  # noqa: ANN401 - a row
    return all(math.isfinite(value) and abs(value) < 1e30 for value in (row.incremental, row.low, row.high))


def _limits(known: Sequence[Any]) -> tuple[float, float]:
    """Return where the axis begins and ends: a few very wide intervals do not make all others unreadable."""
    if not known:
        return 0.0, 2.0
    lows, highs = sorted(min(row.low, 0.0) for row in known), sorted(max(row.high, 1.2) for row in known)
    return lows[len(known) // 4], highs[len(known) - 1 - len(known) // 4]


@drawing("Spend and revenue of a day")
def spend(about: About, days: pd.DataFrame, correlations: pd.DataFrame) -> Figure:
    """Draw the days by spend and revenue, and how far the two go together, by lag and by channel.

    Args:
        about: What it is of.
        days: day, spend, net.
        correlations: dimension, value, lag, r, low, high, points, effective_points, state.
    """
    told = finite(days, "spend", "net").tail(_MOST_DAYS)
    told = told[told.spend >= 0]
    if told.empty or not told.spend.max() > 0:
        raise NotEnoughError("nothing was spent on any day with orders")
    known = finite(correlations, "lag", "r", "low", "high").drop_duplicates(["dimension", "value", "lag"])
    known = known[(known.r.abs() <= 1) & (known.low >= -1) & (known.high <= 1) & (known.low <= known.high)]
    everything = known[known.dimension == ""].sort_values("lag")
    channels = known[(known.dimension == "channel") & (known.lag == 0)].sort_values("value").head(_MOST_CHANNELS)
    same = records(everything[everything.lag == 0])
    says = "Left: a dot is a day; hollow: nothing was spent. Right: Pearson's r of spend and net revenue of the "
    says += f"day or later, with its {LEVEL}"
    if same:
        says += f"; {_amount(same[0].points)} days say as much as {same[0].effective_points:.0f}"
    says += ". A correlation is no increment."
    figure = sheet(about, _goes_with(same), says)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    paid = told[told.spend > 0]
    free = told[told.spend == 0]
    left.plot(free.spend, free.net, "o", ms=5, mfc="none", mec=MUTED, alpha=0.6)
    left.plot(paid.spend, paid.net, "o", ms=5, color=BLUE, alpha=0.55, mew=0)
    left.set_xlabel(f"spend of the day, {about.currency}".rstrip(", "))
    left.set_ylabel(f"net revenue of the day, {about.currency}".rstrip(", "))
    left.set_ylim(min(0.0, float(told.net.min())), (float(told.net.max()) or 1.0) * 1.06)
    left.locator_params(axis="x", nbins=5)
    as_numbers(left)
    as_numbers(left, "x")
    _correlations(right, records(everything), records(channels))
    return figure


def _goes_with(same: Sequence[Any]) -> str:
    if not same:
        return "Too few days to say whether revenue goes with spend"
    row = same[0]
    told = f"r {row.r:.2f} ({row.low:.2f} to {row.high:.2f})"
    if row.low > 0:
        return f"Days with more spend have more revenue: {told}"
    if row.high < 0:
        return f"Days with more spend have less revenue: {told}"
    return f"Revenue is not shown to go with spend: {told}"


def _correlations(axes: Axes, everything: Sequence[Any], channels: Sequence[Any]) -> None:
    names = ["same day" if row.lag == 0 else f"{number(row.lag)} d later" for row in everything]
    names += [short(row.value, 16) for row in channels]
    rows = [*everything, *channels]
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-1, 1)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel("r")
    axes.set_title("All spend" + ("; channels: same day" if channels else ""))
    if not rows:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "too few points", transform=axes.transAxes, color=GREY, **MIDDLE)
        return
    gap = 0.6 if channels and everything else 0.0
    places = [place + (gap if place >= len(everything) else 0.0) for place in range(len(rows))]
    axes.axvline(0, color="#999999", lw=1, zorder=0)
    for place, row in zip(places, rows, strict=True):
        colour = MUTED if row.low <= 0 <= row.high else ORANGE
        axes.hlines(place, row.low, row.high, color=colour, lw=2.2)
        axes.plot(row.r, place, "o", color=colour, ms=6.5)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", labelcolor=DARK, labelsize=10)
    axes.set_ylim(places[-1] + 0.6, -0.6)
