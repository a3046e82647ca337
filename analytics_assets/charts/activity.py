"""Activity as pictures: who is there, who comes back, which way sessions take, what is used when.

Belongs here: the charts of actives, lifecycle, retention, paths and features. Does not belong here: what these mean
(`analysis`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    AMBER,
    BLUE,
    COLOURS,
    DARK,
    GREEN,
    GREY,
    HEIGHT,
    LEVEL,
    MUTED,
    ORANGE,
    SKY,
    About,
    End,
    NotEnoughError,
    as_days,
    as_numbers,
    as_percent,
    beside,
    dark,
    drawing,
    label_ends,
    largest,
    many,
    number,
    records,
    share,
    sheet,
    short,
    wide_enough,
)
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COHORTS = 24
_MOST_PERIODS = 24
_MOST_CURVES = 6
_MOST_FEATURES = 10
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH = 30  # days that a month of active users looks back on


@drawing("Retention by cohort")
def cohorts(about: About, cells: pd.DataFrame) -> Figure:
    """Draw the share of each cohort that came back, by how long after; what is not over yet is hatched.

    Args:
        about: What it is of; `words` say the `period`.
        cells: cohort, period, period_to, users, retained, rate, complete; the last cohorts.
    """
    told = cells.dropna(subset=["cohort", "period", "users"])
    told = told[(told.period > 0) & (told.period <= _MOST_PERIODS) & (told.users > 0)]
    told = told[told.retained.isna() | told.retained.between(0, told.users)]
    told = told.drop_duplicates(["cohort", "period"])
    rows = sorted(told.cohort.unique())[-_MOST_COHORTS:]
    told = told[told.cohort.isin(rows)]
    over = told[(told.complete == True) & told.rate.between(0, 1)]  # noqa: E712 - a column of objects
    if over.empty:
        raise NotEnoughError("no cohort has had the time to come back")
    unit = about.words.get("period", "period")
    columns = sorted(told.period.unique())
    labels = _period_labels(told)
    first = over[over.period == over.period.min()]
    back = float(first.retained.sum() / first.users.sum())
    size = float(over.groupby("cohort").users.max().median())
    low, high = wilson(round(back * size), round(size)) or (0.0, 1.0)
    title = f"{share(back)} of those who began in a {unit} are there {_after(labels, first.period.iloc[0], unit)} later"
    says = (
        f"In percent. A row: who began in a {unit}, and how many they are; a column: how many {unit}s later. Hatched: "
    )
    says += f"not over yet. The {LEVEL} of a cell of {number(size)} users: about ±{50 * (high - low):.2g} points."
    figure = sheet(about, title, says, height=max(HEIGHT, 2.35 + 0.235 * len(rows)))
    axes = figure.subplots()
    _cells(axes, told, over, columns, rows)
    sizes = told.groupby("cohort").users.max()
    axes.set_yticks(range(len(rows)), [f"{row:%Y-%m-%d}   {number(float(sizes[row])):>6}" for row in rows])
    axes.set_xticks(range(len(columns)), [labels[int(column)] for column in columns])
    axes.tick_params(labelsize=10, length=0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"{unit}s after the first")
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _period_labels(cells: pd.DataFrame) -> dict[int, str]:
    """Write periods; one that stands for more than one as a range."""
    labels = {}
    for row in records(cells[["period", "period_to"]].drop_duplicates("period")):
        first = int(row.period)
        until = "+" if math.isnan(row.period_to) else f"-{number(row.period_to)}" if row.period_to > first else ""
        labels[first] = f"{first}{until}"
    return labels


def _after(labels: dict[int, str], period: float, unit: str) -> str:
    return f"{labels[int(period)]} {unit}{'' if period == 1 else 's'}"


def _cells(axes: Axes, told: pd.DataFrame, over: pd.DataFrame, columns: list[Any], rows: list[Any]) -> None:
    """Colour the cells that are over, with their percent, and hatch the others."""
    import matplotlib as mpl
    import numpy as np
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    rates = np.full((len(rows), len(columns)), np.nan)
    for row in records(over):
        rates[rows.index(row.cohort), columns.index(row.period)] = row.rate
    top = float(np.nanquantile(rates, 0.98)) or 1.0
    colours = mpl.colormaps["Blues"](0.05 + 0.9 * np.clip(rates / top, 0, 1))
    open_yet = [
        Rectangle((x - 0.5, y - 0.5), 1, 1)
        for y, x in sorted({(rows.index(row.cohort), columns.index(row.period)) for row in records(told)})
        if np.isnan(rates[y, x])
    ]
    axes.add_collection(PatchCollection(open_yet, facecolor="#F6F6F6", edgecolor="#C8C8C8", hatch="////", lw=0))
    colours[np.isnan(rates)] = 0
    edges = np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5
    axes.pcolormesh(*edges, colours, edgecolors="white", lw=1.2)
    for y, x in zip(*np.nonzero(~np.isnan(rates)), strict=True):
        rate = float(rates[y, x])
        shown = f"{100 * rate:.0f}" if rate >= 0.0995 else f"{100 * rate:.1f}"
        axes.text(x, y, shown, ha="center", va="center", size=9, color="white" if dark(colours[y, x]) else DARK)


@drawing("Retention curve")
def retention(about: About, curve: pd.DataFrame) -> Figure:
    """Draw how many of all cohorts together are there how long after, with intervals; and of the largest values.

    Args:
        about: What it is of; `words` say the `period` and `by` what.
        curve: dimension, value, period, period_to, users, rate, low, high.
    """
    told = curve.dropna(subset=["period", "rate", "low", "high"])
    told = told[
        (told.period > 0) & (told.low >= 0) & (told.low <= told.rate) & (told.rate <= told.high) & (told.high <= 1)
    ]
    everybody = told[told.dimension == ""].drop_duplicates("period").sort_values("period")
    if everybody.empty:
        raise NotEnoughError("no cohort has had the time to come back")
    unit, by = about.words.get("period", "period"), short(about.words.get("by", ""))
    labels = _period_labels(everybody)
    first, last = records(everybody)[0], records(everybody)[-1]
    title = f"{share(first.rate)} are there {_after(labels, first.period, unit)} after their first"
    if last.period > first.period:
        title += f", {share(last.rate)} after {labels[int(last.period)]}"
    values = told[(told.dimension != "") & told.period.isin(everybody.period)]
    kept = values.groupby("value").users.max().sort_values(ascending=False, kind="stable").index[:_MOST_CURVES].tolist()
    says = f"Cohorts that had the time to come back, weighted by their size; bands: {LEVEL}. "
    if kept:
        more = values.value.nunique() - len(kept)
        says += f"Thin lines: by {by}" + (f", the {len(kept)} largest of {len(kept) + more}." if more else ".")
    figure = sheet(about, title, says)
    axes = figure.subplots()
    ends = []
    lines = [*zip(kept, COLOURS[1:], strict=False)]
    for value, colour in lines:
        rows = values[values.value == value].drop_duplicates("period").sort_values("period")
        axes.fill_between(rows.period, rows.low, rows.high, color=colour, alpha=0.13, lw=0)
        axes.plot(rows.period, rows.rate, color=colour, lw=1.4, marker="o", ms=2.5)
        ends.append(End(float(rows.period.iloc[-1]), float(rows.rate.iloc[-1]), short(value, 18), colour))
    axes.fill_between(everybody.period, everybody.low, everybody.high, color=BLUE, alpha=0.25, lw=0)
    axes.plot(everybody.period, everybody.rate, color=BLUE, lw=2.8, marker="o", ms=5)
    ends.append(
        End(float(last.period), float(last.rate), f"everybody {share(last.rate)}" if kept else share(last.rate), BLUE)
    )
    shown = [everybody, *(values[values.value == value] for value in kept)]
    axes.set_ylim(0, min(1.0, max(float(rows.high.max()) for rows in shown) * 1.1) or 1.0)
    periods = [int(period) for period in everybody.period]
    told_at = periods[:: math.ceil(len(periods) / 14)]
    axes.set_xticks(told_at, [labels[period] for period in told_at])
    axes.set_xlim(periods[0] - 0.3, periods[-1] + 0.3)
    axes.set_ylabel("share of the cohort that is there")
    axes.set_xlabel(f"{unit}s after the first")
    as_percent(axes)
    label_ends(axes, ends)
    return figure


@drawing("Daily, weekly and monthly active users, and stickiness")
def actives(about: About, days: pd.DataFrame) -> Figure:
    """Draw how many were active on a day, in a week and in a month; and beneath, the share of a month on a day.

    Args:
        about: What it is of.
        days: day, dau, wau, mau, stickiness.
    """
    told = days.dropna(subset=["day", "dau", "wau", "mau"]).drop_duplicates("day").sort_values("day")
    if told.empty or not told.mau.max() > 0:
        raise NotEnoughError("nobody has been active yet")
    x, last = told.day.to_numpy(), records(told)[-1]
    begins = told.day.iloc[0]
    full = told[(told.day - begins).dt.days >= _MONTH - 1]
    sticky = full[full.stickiness.between(0, 1)]
    title = f"{many(last.mau, 'users')} active in the last {_MONTH} days"
    if len(full) > _MONTH and full.mau.iloc[-1 - _MONTH] > 0:
        change = last.mau / full.mau.iloc[-1 - _MONTH] - 1
        title += f", {'up' if change >= 0 else 'down'} {share(abs(change))}"
    says = (
        f"Distinct users of a day, of 7 days and of {_MONTH} days up to it: everybody is counted, so without interval. "
    )
    says += f"Grey: the first {_MONTH} days, in which longer counts are not complete."
    figure = sheet(about, title, says, height=HEIGHT + 0.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.1, 1))
    ends = []
    for name, told_as, colour, width in (
        ("mau", "month", BLUE, 2.4),
        ("wau", "week", GREEN, 2.0),
        ("dau", "day", ORANGE, 1.3),
    ):
        y = told[name].to_numpy(float)
        upper.plot(x, y, color=colour, lw=width, marker="o" if len(told) == 1 else None)
        ends.append(End(x[-1], float(y[-1]), f"{told_as} {number(float(y[-1]))}", colour))
    upper.set_ylim(0, float(told.mau.max()) * 1.08)
    upper.set_ylabel("active users")
    as_numbers(upper)
    label_ends(upper, ends)
    if len(sticky):
        running = sticky.stickiness.rolling(7, min_periods=1).mean()
        lower.plot(sticky.day, sticky.stickiness, color=MUTED, lw=0.8, alpha=0.7)
        lower.plot(sticky.day, running, color=DARK, marker="o" if len(sticky) == 1 else None)
        lower.set_ylim(0, float(sticky.stickiness.max()) * 1.15 or 1.0)
        label_ends(lower, [End(sticky.day.iloc[-1], float(running.iloc[-1]), share(float(running.iloc[-1])), DARK)])
    else:
        lower.set_ylim(0, 1)
        lower.text(
            0.5, 0.5, f"from the {_MONTH}th day on", transform=lower.transAxes, ha="center", va="center", color=GREY
        )
    lower.set_ylabel("day / month")
    as_percent(lower)
    wide_enough(upper, x)
    as_days(lower, x)
    if len(told) > 1:
        import pandas as pd

        for axes in (upper, lower):
            axes.axvspan(
                begins, min(begins + pd.Timedelta(days=_MONTH - 1), told.day.iloc[-1]), color="#F2F2F2", lw=0, zorder=0
            )
    return figure


@drawing("Lifecycle of users")
def lifecycle(about: About, periods: pd.DataFrame) -> Figure:
    """Draw new, returning, resurrecting and dormant users of each period as one bar.

    Args:
        about: What it is of.
        periods: interval, period, new, returning, resurrecting, dormant, complete.
    """
    told = periods.dropna(subset=["period", "new", "returning", "resurrecting", "dormant"]).drop_duplicates("period")
    told = told.sort_values("period").tail(120)
    if told.empty:
        raise NotEnoughError("nobody has been active yet")
    unit = next((unit for unit in ("day", "week", "month") if (told.interval == unit).all()), "period")
    over = told[told.complete == True]  # noqa: E712 - a column of objects
    title = f"New, returning and lost users by {unit}"
    if len(over):
        last = records(over)[-1]
        came, went = last.new + last.resurrecting, -last.dormant
        when = f"in the {unit} of {last.period:%Y-%m-%d}" if unit != "day" else f"on {last.period:%Y-%m-%d}"
        title = f"{many(came, 'users')} came or came back, {number(went)} stayed away {when}"
    says = f"Above: who is there, by what they did in the {unit} before; beneath: who was there then, not now. "
    says += "Everybody is counted, so without interval. Pale: not over yet."
    figure = sheet(about, title, says)
    axes = figure.subplots()
    x = told.period.to_numpy()
    step = (x[1:] - x[:-1]).min() if len(x) > 1 else None
    width = step * 0.84 if step is not None else 0.8
    faint = [0.35 if whole is not True else 1.0 for whole in told.complete]
    beneath = told.returning.to_numpy(float) * 0
    ends = []
    for name, colour in (("returning", BLUE), ("resurrecting", SKY), ("new", GREEN)):
        high = told[name].to_numpy(float)
        for bar, alpha in zip(axes.bar(x, high, width, bottom=beneath, color=colour, lw=0), faint, strict=True):
            bar.set_alpha(alpha)
        ends.append(End(x[-1], float(beneath[-1] + high[-1] / 2), name, colour))
        beneath = beneath + high
    lost = told.dormant.to_numpy(float)
    for bar, alpha in zip(axes.bar(x, lost, width, color=AMBER, lw=0), faint, strict=True):
        bar.set_alpha(alpha)
    ends.append(End(x[-1], float(lost[-1] / 2), "dormant", "#B97F00"))
    axes.axhline(0, color="#999999", lw=0.8)
    room = max(float(beneath.max()), 1.0) * 1.06
    axes.set_ylim(min(float(lost.min()) * 1.08, -0.02 * room), room)
    axes.set_ylabel("users")
    wide_enough(axes, x)
    as_numbers(axes)
    as_days(axes, x)
    label_ends(axes, ends)
    return figure


@drawing("When features are used")
def features(about: About, hours: pd.DataFrame, features: pd.DataFrame) -> Figure:
    """Draw the uses of all features by weekday and hour, and beside, how much each feature is used.

    Args:
        about: What it is of.
        hours: weekday, hour, uses.
        features: feature, uses.
    """
    import numpy as np

    told = hours.dropna(subset=["weekday", "hour", "uses"])
    told = told[told.weekday.between(1, 7) & told.hour.between(0, 23) & (told.uses > 0)]
    if told.empty:
        raise NotEnoughError("no feature has been used yet")
    uses = np.zeros((7, 24))
    np.add.at(uses, (told.weekday.to_numpy(int) - 1, told.hour.to_numpy(int)), told.uses.to_numpy(float))
    day, hour = np.unravel_index(int(uses.argmax()), uses.shape)
    title = f"Features are used most on {_WEEKDAYS[day]} from {hour}:00 to {hour + 1}:00"
    says = (
        f"{share(uses.max() / uses.sum())} of all uses fall into that hour of the 168. Left: uses by hour of the week, "
    )
    says += (
        "in the project's time zone; darker is more. Right: uses of each feature. All are counted, so without interval."
    )
    figure = sheet(about, title, says)
    left, right = figure.subplots(1, 2, width_ratios=(2.1, 1))
    left.imshow(uses, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
    most = number(float(uses.max()), 2)
    left.text(hour, day, most if len(most) < 6 else "", ha="center", va="center", size=8.5, color="white")
    left.set_yticks(range(7), _WEEKDAYS)
    left.set_xticks(range(0, 24, 3), [f"{at}:00" for at in range(0, 24, 3)])
    left.set_xlabel("hour of the day")
    left.grid(visible=False)
    left.spines[:].set_visible(False)
    left.tick_params(length=0, labelcolor=DARK)
    used = features[features.uses > 0].groupby("feature", as_index=False, dropna=False)[["uses"]].sum()
    bars = largest(used, "feature", "uses", _MOST_FEATURES)
    for place, row in enumerate(records(bars)):
        right.barh(place, row.uses, color=GREY if str(row.feature).endswith(" more") else BLUE, height=0.66)
        beside(right, number(float(row.uses)), (float(row.uses), place))
    right.set_yticks(range(len(bars)), [short(name, 16) for name in bars.feature])
    right.set_ylim(max(len(bars), 5) - 0.4, -0.6)
    right.set_xlim(0, (float(bars.uses.max()) if len(bars) else 1.0) * 1.35)
    right.set_xticks([])
    right.set_xlabel("uses")
    right.grid(visible=False)
    right.spines[["left", "bottom"]].set_visible(False)
    right.tick_params(axis="y", labelcolor=DARK)
    return figure
