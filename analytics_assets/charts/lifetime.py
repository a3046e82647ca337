"""Lifetime value as pictures: what customers are expected to bring, how good that is, and what they brought so far.

Belongs here: the charts of lifetime value and of order cohorts. Does not belong here: the models
(`statistics.lifetime`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    AMBER,
    BLUE,
    DARK,
    GREY,
    HEIGHT,
    LEVEL,
    ORANGE,
    About,
    End,
    NotEnoughError,
    as_days,
    as_numbers,
    drawing,
    halo,
    label_ends,
    money,
    number,
    range_of,
    records,
    share,
    sheet,
    wide_enough,
)
from analytics_assets.charts.marks import MIDDLE, cell, finite, ink, log_ticks, only_cells
from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COHORTS = 18
_WIDE = 4  # letters of a tick of which ten do not fit
_BOTH = ["orders", "expected_orders"]
_BESIDE = 0.13  # how far dots stand beside each other
_LEAST = 0.02  # of customers, who are left out at the lower end of the picture
_PEOPLE = 2  # with fewer there is no spread
_AND_MORE = 7  # clv_calibration: who ordered 7 times again, or more often


@drawing("What customers are expected to bring")
def distribution(about: About, bins: pd.DataFrame, sums: pd.DataFrame) -> Figure:
    """Draw how many customers are expected to bring how much, and how much they bring together.

    Args:
        about: What it is of.
        bins: low, high (of the expected value of a customer), customers, value.
        sums: customers, valued, value, top_value (of the tenth that is expected to bring most), median, ninth
            (where that tenth begins), horizon_days, holdout_error: one row.
    """
    told = finite(bins, "low", "high", "customers", "value")
    told = told[(told.low > 0) & (told.high > told.low) & (told.customers > 0) & (told.value >= 0)]
    told = told.drop_duplicates("low").sort_values("low")
    whole = finite(sums, "customers", "valued", "value", "top_value", "median", "horizon_days")
    whole = whole[(whole.valued > 0) & (whole.value > 0) & (whole["median"] > 0)]
    if told.empty or whole.empty:
        raise NotEnoughError("no model of lifetime value could be fitted")
    (whole, *_) = records(whole)
    days = number(whole.horizon_days)
    top = share(whole.top_value / whole.value, 0) if 0 < whole.top_value <= whole.value else ""
    title = f"Customers are expected to bring {money(whole.value, about.currency)} in the next {days} days"
    title += f", {top} of it by the top tenth" if top else ""
    says = f"Net revenue of {number(whole.valued)} customers, by BG/NBD and Gamma-Gamma. "
    if math.isfinite(whole.holdout_error):
        missed = f"{share(abs(whole.holdout_error))} {'fewer' if whole.holdout_error < 0 else 'more'} orders than came"
        says += f"Tried on days held out, the model expected {missed}: see the calibration. "
    says += "Expected values have no interval of their own."
    if whole.customers > whole.valued:
        says += f" Left out: {number(whole.customers - whole.valued)} of whom nothing can be expected."
    figure = sheet(about, title, says, height=HEIGHT + 0.9)
    shown = told[told.customers.cumsum() > _LEAST * told.customers.sum()]
    hidden = told.customers.sum() - shown.customers.sum()
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, name, colour in ((upper, "customers", BLUE), (lower, "value", AMBER)):
        axes.bar(shown.low, shown[name], shown.high - shown.low, align="edge", color=colour, edgecolor="white", lw=0.6)
        axes.set_ylim(0, float(shown[name].max()) * 1.16 or 1.0)
        as_numbers(axes)
    low, high = float(shown.low.iloc[0]), float(shown.high.iloc[-1])
    upper.set_xscale("log")
    upper.set_xlim(low / 1.04, high * 1.04)
    log_ticks(lower, low, high, "x", 10)
    upper.set_ylabel("customers")
    lower.set_ylabel(f"expected, {about.currency}".rstrip(", "))
    less = f"; {number(float(hidden))} customers with less are not shown" if hidden else ""
    lower.set_xlabel(f"expected of a customer within {days} days, {about.currency}".rstrip(", ") + less)
    _mark(upper, whole.median, (low, high), f"median {money(whole.median, about.currency)}")
    if top and whole.ninth > 0:
        told_as = f"top tenth, from {money(whole.ninth, about.currency)} on: {top}"
        _mark(lower, whole.ninth, (low, high), told_as)
    return figure


def _mark(axes: Axes, value: float, ends: tuple[float, float], told: str) -> None:
    """Mark a value on a logarithmic axis, with its words on the side where there is more room."""
    at = min(max(value, ends[0]), ends[1])
    left = at > math.sqrt(ends[0] * ends[1])
    axes.axvline(at, color=DARK, lw=1.4)
    axes.annotate(
        told,
        (at, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        size=10.5,
        path_effects=halo(),
    )


@drawing("Expected orders against those that came")
def calibration(about: About, groups: pd.DataFrame, weeks: pd.DataFrame) -> Figure:
    """Draw what was expected of days held out beside what came, by the orders before, and along the weeks.

    Args:
        about: What it is of.
        groups: repeat_orders, customers, calibrated_until, holdout_days, orders, expected_orders, spread: the standard
            deviation of orders between the customers of a row.
        weeks: until, in_calibration, orders, expected_orders.
    """
    told = finite(groups, "repeat_orders", "customers", "holdout_days", "orders", "expected_orders", "spread")
    told = told[(told.customers > 0) & (told.orders >= 0) & (told.expected_orders >= 0) & (told.spread >= 0)]
    told = told.drop_duplicates("repeat_orders").sort_values("repeat_orders").tail(20)
    if told.empty or not told.orders.sum() > 0:
        raise NotEnoughError("no customer of whom anything was expected before the days held out")
    came, expected = float(told.orders.sum()), float(told.expected_orders.sum())
    half = Z95 * math.sqrt(float((told.customers * told.spread**2).sum()))
    days = number(float(told.holdout_days.iloc[0]))
    missed = expected / came - 1
    title = f"{days} days held out: {number(came)} orders came, {number(expected)} were expected"
    title += f" ({'+' if missed > 0 else '-'}{share(abs(missed))})" if abs(missed) >= 0.0005 else ""
    inside = abs(expected - came) <= half
    says = f"{LEVEL} of what came: {range_of(max(came - half, 0.0), came + half)}, by how customers differ. "
    says += "What was expected lies inside. " if inside else "What was expected lies outside. "
    says += "Orders are days with one, of customers who had bought before. The models know no season and no campaign."
    figure = sheet(about, title, says)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _groups(left, told)
    _weeks(right, weeks)
    return figure


def _groups(axes: Axes, told: pd.DataFrame) -> None:
    import numpy as np

    x = np.arange(len(told), dtype=float)
    number_of = told.customers.to_numpy(float)
    came, expected = told.orders.to_numpy(float) / number_of, told.expected_orders.to_numpy(float) / number_of
    half = Z95 * told.spread.to_numpy(float) / number_of**0.5
    known = number_of >= _PEOPLE
    axes.plot(x + _BESIDE, expected, "D", color=ORANGE, ms=6.5)
    axes.vlines(x[known] - _BESIDE, (came - half).clip(min=0)[known], (came + half)[known], color=BLUE, lw=2.4)
    axes.plot(x - _BESIDE, came, "o", color=BLUE, ms=7)
    top = max(float((came + half).max()), float(expected.max()))
    axes.set_ylim(0, top * 1.12 or 1.0)
    axes.set_xlim(x[0] - 0.6, x[-1] + 0.6)
    labels = [f"{number(before)}{'+' * (before == _AND_MORE)}" for before in told.repeat_orders]
    step = math.ceil(len(x) / (10 if max(map(len, labels)) < _WIDE else 5))
    axes.set_xticks(x[::step], labels[::step])
    axes.set_xlabel("orders after the first, before the holdout")
    axes.set_title("Orders of a customer in the holdout")
    as_numbers(axes)
    style: dict[str, Any] = {"transform": axes.transAxes, "weight": "bold", "size": 11, "ha": "left", "va": "center"}
    axes.text(0.04, 0.94, f"came, with {LEVEL}", color=BLUE, path_effects=halo(), **style)
    axes.text(0.04, 0.86, "expected", color=ORANGE, path_effects=halo(), **style)


def _weeks(axes: Axes, weeks: pd.DataFrame) -> None:
    told = finite(weeks, *_BOTH).dropna(subset=["until"])
    told = told[(told.orders >= 0) & (told.expected_orders >= 0)].drop_duplicates("until").sort_values("until")
    axes.set_title("Repeat orders by week")
    if told.empty:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no week is over", transform=axes.transAxes, color=GREY, **MIDDLE)
        return
    x = told.until.to_numpy()
    held = told[told.in_calibration != True]  # noqa: E712 - a column of objects
    dot = "o" if len(told) == 1 else None
    told = told.assign(**{name: told[name].diff().fillna(told[name]).clip(lower=0) for name in _BOTH})
    axes.plot(x, told.orders, color=BLUE, marker=dot, lw=1.8)
    axes.plot(x, told.expected_orders, color=ORANGE, marker=dot, lw=2.4)
    axes.set_ylim(0, max(float(told[_BOTH].max().max()), 1.0) * 1.1)
    wide_enough(axes, x)
    if len(held) and len(held) < len(told):
        axes.axvspan(held.until.iloc[0], x[-1], color="#F2F2F2", lw=0, zorder=0)
        place = (held.until.iloc[0], 0.03)
        axes.annotate(
            "held out",
            place,
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            color=GREY,
            size=10,
        )
    as_numbers(axes)
    as_days(axes, x)
    words = zip(_BOTH, ("came", "expected"), (BLUE, ORANGE), strict=True)
    label_ends(axes, [End(x[-1], float(told[name].iloc[-1]), said, colour) for name, said, colour in words])


@drawing("What customers have brought, by cohort of the first order")
def cohorts(about: About, cells: pd.DataFrame) -> Figure:
    """Draw the revenue of a customer of each cohort until so many months after the first; what is not over is hatched.

    Args:
        about: What it is of.
        cells: cohort, period, customers, cumulative_net_per_customer, complete; of months.
    """
    told = finite(cells, "period", "customers", "cumulative_net_per_customer").dropna(subset=["cohort"])
    told = told[(told.period >= 0) & (told.customers > 0)].drop_duplicates(["cohort", "period"])
    rows = sorted(told.cohort.unique())[-_MOST_COHORTS:]
    told = told[told.cohort.isin(rows) & (told.period < _MOST_COHORTS)]
    over = told[told.complete == True]  # noqa: E712 - a column of objects
    if over.empty:
        raise NotEnoughError("no month is over")
    columns = [int(period) for period in sorted(told.period.unique())]
    title, means = _grown(over, about)
    unit = f", {about.currency}" if about.currency else ""
    says = f"Net revenue of a customer until then{unit}. A row: who ordered first in a month, and how many they are; a "
    says += f"column: months after. {means} All are counted: no interval."
    says += " Hatched: not over yet." if len(over) < len(told) else ""
    figure = sheet(about, title, says, height=max(HEIGHT, 2.35 + 0.3 * len(rows)))
    axes = figure.subplots()
    values = over.cumulative_net_per_customer
    low, top = min(float(values.min()), 0.0), float(values.quantile(0.98))
    for row in records(told):
        x, y = columns.index(int(row.period)), rows.index(row.cohort)
        if row.complete is not True:
            cell(axes, x, y, None)
            continue
        part = (row.cumulative_net_per_customer - low) / (top - low) if top > low else 0.0
        cell(axes, x, y, part)
        axes.text(x, y, number(row.cumulative_net_per_customer), color=ink(part), size=9.5, **MIDDLE)
    sizes = told.groupby("cohort").customers.max()
    axes.set_yticks(range(len(rows)), [f"{row:%Y-%m}   {number(float(sizes[row])):>6}" for row in rows])
    axes.set_xticks(range(len(columns)), [str(column) for column in columns])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("months after the first order")
    only_cells(axes, len(columns), len(rows))
    axes.tick_params(labelsize=10.5)
    return figure


def _grown(over: pd.DataFrame, about: About) -> tuple[str, str]:
    """Say what customers brought at first and until the last month that half of the cohorts had; and of how many."""
    counted = over.groupby("period").cohort.nunique()
    enough = counted[counted >= max(1, counted.max() / 2)]
    said, of = [], []
    for period in dict.fromkeys((over.period.min(), enough.index.max())):
        rows = over[over.period == period]
        mean = float((rows.cumulative_net_per_customer * rows.customers).sum() / rows.customers.sum())
        said.append(f"{money(mean, about.currency)} {_when(int(period))}")
        of.append(f"{len(rows)}")
    means = f"Title: mean{'s' * (len(of) > 1)} over {' and '.join(of)} cohort{'s' * (of != ['1'])}, by customer."
    return f"A customer brought {', '.join(said)}", means


def _when(period: int) -> str:
    if period == 0:
        return "in the month of the first order"
    return f"until {period} month{'' if period == 1 else 's'} later"
