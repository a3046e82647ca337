"""Customers as pictures: which segments they are in, where they move, and who brings the money.

Belongs here: the charts of RFM and of concentration. Does not belong here: what customers are expected to bring
(`lifetime`), and what segments and scores mean (`analysis`).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    AMBER,
    BLUE,
    DARK,
    GREEN,
    GREY,
    HEIGHT,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    About,
    NotEnoughError,
    as_numbers,
    as_percent,
    drawing,
    halo,
    money,
    number,
    records,
    share,
    sheet,
    short,
)
from analytics_assets.charts.marks import MIDDLE, bars, cell, finite, ink, log_ticks, only_bars, only_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BY_PLACE = (BLUE, SKY, GREEN, PURPLE, AMBER, ORANGE, GREY)
"""The colours of segments, from the best to the worst."""

_MOST_SEGMENTS = 9
_NOBODY = "(none)"  # rfm_migration calls so where new customers come from
_SCORES = (1, 2, 3, 4, 5)
_TOP = (1, 5, 10, 20, 50)


@drawing("Customers by recency, frequency and revenue")
def rfm(about: About, segments: pd.DataFrame, scores: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Draw the segments, what they bring, the grid of scores, and all customers by recency and revenue.

    Args:
        about: What it is of.
        segments: segment, place, customers, revenue.
        scores: r_score, f_score, customers, revenue.
        cells: recency_days, monetary (the middles of a cell), customers, segment (the one that most of them are in).
    """
    told = finite(segments, "place", "customers", "revenue").drop_duplicates("segment")
    if told.empty or not told.customers.sum() > 0:
        raise NotEnoughError("no customer has ordered yet")
    everybody, revenue = float(told.customers.sum()), float(told.revenue.sum())
    (most, *_) = records(told.sort_values(["revenue", "segment"], ascending=[False, True]))
    title = f"{short(most.segment)}: {share(most.customers / everybody)} of customers"
    title += f", who bring {share(most.revenue / revenue)} of revenue" if revenue > 0 else ""
    says = (
        f"{number(everybody)} customers, {money(revenue, about.currency)}. Scores: how recently (R) and how often (F) "
    )
    says += "they bought. A dot: customers alike, its colour their commonest segment. All are counted: no interval."
    figure = sheet(about, title, says, height=8.6)
    upper, lower = figure.subplots(2, 2, height_ratios=(1, 1.15), gridspec_kw={"hspace": 0.06})
    shown, colours = _few_segments(told), _colours(told)
    paints = [colours.get(row.segment, MUTED) for row in shown]
    labels = [f"{number(row.customers)}  ({share(row.customers / everybody)})" for row in shown]
    bars(upper[0], [row.customers for row in shown], labels, paints)
    upper[0].set_title("Customers")
    upper[0].set_yticks(range(len(shown)), [short(row.segment, 20) for row in shown])
    parts = [row.revenue / revenue if revenue > 0 else math.nan for row in shown]
    labels = [f"{number(row.revenue)}  ({share(part)})" for row, part in zip(shown, parts, strict=True)]
    bars(upper[1], [row.revenue for row in shown], labels, paints)
    upper[1].set_title(_with_unit("Revenue", about))
    upper[1].set_yticks([])
    _score_grid(lower[0], scores, about)
    _recency_and_revenue(lower[1], cells, colours, about)
    return figure


def _with_unit(told: str, about: About) -> str:
    return f"{told}, {about.currency}" if about.currency else told


def _few_segments(told: pd.DataFrame) -> list[Any]:
    """Return segments from the best to the worst; of too many, those with most revenue, and the others summed up."""
    import pandas as pd

    if len(told) > _MOST_SEGMENTS:
        ordered = told.sort_values(["revenue", "segment"], ascending=[False, True])
        kept, rest = ordered.head(_MOST_SEGMENTS - 1), ordered.iloc[_MOST_SEGMENTS - 1 :]
        summed: dict[str, Any] = {"segment": [f"{len(rest):,} more"], "place": [math.inf]}
        summed |= {name: [rest[name].sum()] for name in ("customers", "revenue")}
        told = pd.concat([kept[list(summed)], pd.DataFrame(summed)], ignore_index=True)
    return records(told.sort_values(["place", "segment"]))


def _colours(segments: pd.DataFrame) -> dict[Any, str]:
    ordered = segments.sort_values(["place", "segment"]).segment.tolist()
    return dict(zip(ordered, BY_PLACE, strict=False))


def _score_grid(axes: Axes, scores: pd.DataFrame, about: About) -> None:
    told = finite(scores, "r_score", "f_score", "customers", "revenue")
    told = told[told.r_score.isin(_SCORES) & told.f_score.isin(_SCORES)].drop_duplicates(["r_score", "f_score"])
    top = float(told.customers.max()) if len(told) else 0.0
    for row in records(told):
        part = row.customers / top if top > 0 else 0.0
        x, y = row.f_score - 1, 5 - row.r_score
        cell(axes, x, y, part)
        if row.customers == 0:
            axes.text(x, y, "0", color=MUTED, size=11, **MIDDLE)
        else:
            axes.text(x, y - 0.15, number(row.customers), color=ink(part), size=11, **MIDDLE)
            axes.text(x, y + 0.22, number(row.revenue), color=ink(part), size=8.5, **MIDDLE)
    axes.set_title(_with_unit("Customers; small: their revenue", about))
    axes.set_xticks(range(5), [str(score) for score in _SCORES])
    axes.set_yticks(range(5), [str(score) for score in reversed(_SCORES)])
    axes.set_xlabel("F score: 5 bought most often")
    axes.set_ylabel("R score: 5 bought last")
    only_cells(axes, 5, 5)


def _recency_and_revenue(axes: Axes, cells: pd.DataFrame, colours: Mapping[Any, str], about: About) -> None:
    told = finite(cells, "recency_days", "monetary", "customers")
    told = told[(told.monetary > 0) & (told.customers > 0) & (told.recency_days >= 0)]
    axes.set_title("Recency and revenue")
    axes.set_xlabel("days since the last order")
    axes.set_ylabel(_with_unit("revenue of a customer", about))
    if told.empty:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nobody with revenue", transform=axes.transAxes, color=GREY, **MIDDLE)
        return
    size = 100 * told.customers / told.customers.max()
    shown = [colours.get(segment, MUTED) for segment in told.segment]
    axes.scatter(told.recency_days, told.monetary, s=size.clip(lower=3), c=shown, lw=0, alpha=0.9)
    axes.set_yscale("log")
    low, high = float(told.monetary.min()) / 1.3, float(told.monetary.max()) * 1.3
    axes.set_ylim(low, high)
    log_ticks(axes, low, high)
    axes.margins(x=0.02)
    axes.locator_params(axis="x", nbins=5)
    as_numbers(axes, "x")


@drawing("Where customers moved between segments")
def migration(about: About, moves: pd.DataFrame, places: pd.DataFrame) -> Figure:
    """Draw who went where within a month as a grid, and beside it what each segment gained and lost.

    Args:
        about: What it is of.
        moves: month, from_segment, to_segment, customers, of one month.
        places: segment, place: their order, from the best.
    """
    from matplotlib.patches import Rectangle

    told = finite(moves, "customers").dropna(subset=["month", "from_segment", "to_segment"])
    told = told[(told.customers > 0) & (told.month == told.month.max())]
    told = told.drop_duplicates(["from_segment", "to_segment"])
    if told.empty or not (told.from_segment != _NOBODY).any():
        raise NotEnoughError("no month is over in which a customer could move")
    when = f"{told.month.iloc[0]:%B %Y}"
    told, order = _in_order(told, places)
    sources = [*order, _NOBODY] if (told.from_segment == _NOBODY).any() else order
    before = told.groupby("from_segment").customers.sum()
    after = told.groupby("to_segment").customers.sum()
    says = "From row to column: percent of the row, and customers; framed: stayed; empty: nobody. Scores are "
    says += "relative: one can move because of what others do. All are counted: no interval."
    figure = sheet(about, _largest_move(told, before, when), says, height=max(HEIGHT, 2.5 + 0.47 * len(sources)))
    left, right = figure.subplots(1, 2, width_ratios=(2.5, 1))
    for row in records(told):
        x, y, of = order.index(row.to_segment), sources.index(row.from_segment), float(before[row.from_segment])
        part = row.customers / of
        cell(left, x, y, part)
        left.text(x, y - 0.14, share(part, 0) if part >= 0.005 else "<1 %", color=ink(part), size=10.5, **MIDDLE)
        left.text(x, y + 0.24, number(row.customers), color=ink(part), size=8.5, **MIDDLE)
    for place in range(len(order)):
        left.add_patch(Rectangle((place - 0.48, place - 0.48), 0.96, 0.96, fill=False, edgecolor=DARK, lw=1.2))
    names = [f"{_called(name)}  {number(float(before.get(name, 0)))}" for name in sources]
    left.set_yticks(range(len(sources)), names)
    left.set_xticks(range(len(order)), [_two_lines(name) for name in order])
    left.xaxis.tick_top()
    only_cells(left, len(order), len(sources))
    left.tick_params(axis="x", labelsize=9.5)
    _changes(right, order, before, after, len(sources))
    return figure


def _called(name: str) -> str:
    return "first order" if name == _NOBODY else short(name, 18)


def _two_lines(name: str) -> str:
    """Break a name of two words or more near its middle, so that it fits above a column."""
    told = short(name, 18)
    if len(told) <= 9:
        return told
    breaks = [place for place, letter in enumerate(told) if letter == " "]
    if not breaks:
        return short(told, 11)
    at = min(breaks, key=lambda place: abs(place - len(told) / 2))
    return f"{short(told[:at], 11)}\n{short(told[at + 1 :], 11)}"


def _in_order(told: pd.DataFrame, places: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Give segments their order, and sum up those with few customers as others."""
    known = finite(places, "place").drop_duplicates("segment").set_index("segment").place.to_dict()
    ends = ["from_segment", "to_segment"]
    counted: Counter[str] = Counter()
    for row in records(told):
        counted.update({row.from_segment: row.customers, row.to_segment: row.customers})
    del counted[_NOBODY]
    kept = sorted(counted, key=lambda name: (-counted[name], name))
    others = []
    if len(kept) > _MOST_SEGMENTS:
        others = [f"{len(kept) - _MOST_SEGMENTS + 1:,} more"]
        kept = kept[: _MOST_SEGMENTS - 1]
        told = told.assign(**{end: told[end].where(told[end].isin([*kept, _NOBODY]), others[0]) for end in ends})
        told = told.groupby(ends).customers.sum().reset_index()
    return told, [*sorted(kept, key=lambda name: (known.get(name, math.inf), name)), *others]


def _changes(axes: Axes, order: Sequence[str], before: pd.Series, after: pd.Series, rows: int) -> None:
    changes = [float(after.get(name, 0) - before.get(name, 0)) for name in order]
    now = [float(after.get(name, 0)) for name in order]
    labels = [
        f"{number(many)}  ({'+' if change > 0 else ''}{number(change)})"
        for many, change in zip(now, changes, strict=True)
    ]
    bars(axes, now, labels, [ORANGE if change < 0 else BLUE for change in changes], room=0.95)
    only_bars(axes, rows)
    axes.set_yticks([])
    axes.set_title("Customers now (change)", size=11.5)


def _largest_move(told: pd.DataFrame, before: pd.Series, when: str) -> str:
    """Say which move between two segments was the largest."""
    moved = told[(told.from_segment != told.to_segment) & (told.from_segment != _NOBODY)]
    if moved.empty:
        return f"Nobody changed the segment in {when}"
    (most, *_) = records(moved.sort_values(["customers", "from_segment", "to_segment"], ascending=[False, True, True]))
    part = share(most.customers / float(before[most.from_segment]), 0)
    where = f"from {short(most.from_segment)} to {short(most.to_segment)}"
    return f"{when}: {number(most.customers)} customers went {where}, {part} of those who were there"


@drawing("Lorenz curve of revenue")
def lorenz(about: About, curve: pd.DataFrame, concentration: pd.DataFrame) -> Figure:
    """Draw which share of revenue the customers who spend least bring, and beside it what the top ones bring.

    Args:
        about: What it is of.
        curve: percent, share.
        concentration: customers, revenue, negative, gini, top_decile_share, half_of_revenue: one row.
    """
    told = finite(curve, "percent", "share").drop_duplicates("percent").sort_values("percent")
    told = told[told.percent.between(0, 100) & told.share.between(0, 1)]
    whole = finite(concentration, "customers", "revenue", "gini", "top_decile_share", "half_of_revenue")
    whole = whole[
        (whole.customers > 0) & whole[["gini", "top_decile_share", "half_of_revenue"]].apply(_shares).all(axis=1)
    ]
    if len(told) < 3 or whole.empty:
        raise NotEnoughError("no customer with revenue")
    (sums, *_) = records(whole)
    half = share(sums.half_of_revenue)
    title = f"{half} of customers bring half of the revenue; the top 10 % bring {share(sums.top_decile_share)}"
    says = f"{number(sums.customers)} customers, {money(sums.revenue, about.currency)}. Gini: 0 where all spend "
    says += "alike, near 1 where one spends all. All are counted: no interval."
    if math.isfinite(sums.negative) and sums.negative > 0:
        says += f" Left out: {number(sums.negative)} with revenue below zero."
    figure = sheet(about, title, says)
    left, right = figure.subplots(1, 2, width_ratios=(1.55, 1))
    x, y = told.percent.to_numpy(float) / 100, told.share.to_numpy(float)
    left.fill_between(x, y, x, color=BLUE, alpha=0.12, lw=0)
    left.plot([0, 1], [0, 1], color=MUTED, lw=1.2, ls=(0, (4, 3)))
    left.plot(x, y, color=BLUE, lw=2.8)
    left.text(0.36, 0.42, "all spend alike", color=GREY, size=10.5, ha="right", va="bottom")
    left.text(0.66, 0.47, f"Gini {sums.gini:.2f}", color=BLUE, size=15, weight="bold", path_effects=halo(), **MIDDLE)
    line = {"arrowstyle": "-", "color": DARK, "lw": 0.8, "relpos": (0.5, 1)}
    left.plot(1 - sums.half_of_revenue, 0.5, "o", color=DARK, ms=7)
    left.annotate(
        f"half of the revenue:\nthe top {half}",
        (1 - sums.half_of_revenue, 0.5),
        xytext=(0.97, 0.13),
        arrowprops=line,
        ha="right",
        va="center",
        size=10.5,
        linespacing=1.3,
    )
    left.set_xlim(0, 1)
    left.set_ylim(0, 1)
    as_percent(left, "x")
    as_percent(left)
    left.set_xlabel("share of customers, from those who spend least")
    left.set_ylabel("share of revenue")
    _top(right, dict(zip(told.percent.astype(int), y, strict=True)))
    return figure


def _shares(column: pd.Series) -> pd.Series:
    return column.between(0, 1)


def _top(axes: Axes, at: Mapping[int, float]) -> None:
    """Draw what the customers who spend most bring."""
    known = [percent for percent in _TOP if 100 - percent in at]
    parts = [1 - at[100 - percent] for percent in known]
    bars(axes, parts, [share(part) for part in parts], [BLUE] * len(known), room=0.3)
    axes.set_yticks(range(len(known)), [f"top {percent} %" for percent in known])
    axes.set_title("Share of revenue")
