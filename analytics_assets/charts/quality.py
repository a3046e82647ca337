"""Quality of data as pictures: what every day is judged by.

Belongs here: volumes, metrics, missing values and rejections over time, with the days that stand out. Does not belong
here: how a day is judged (`statistics.monitoring`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    BLUE,
    HEIGHT,
    LEVEL,
    ORANGE,
    About,
    NotEnoughError,
    as_days,
    as_numbers,
    as_percent,
    drawing,
    many,
    records,
    sheet,
    short,
    wide_enough,
)
from analytics_assets.statistics.proportions import wilson

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SERIES = 8
_COLUMNS = 2


@drawing("Days that stand out")
def volumes(about: About, days: pd.DataFrame) -> Figure:
    """Draw rows and metrics of every day in the band that the weeks before say, and the days outside it.

    Args:
        about: What it is of.
        days: day, kind, table, column, observed, low, high, odd.
    """
    told = days.dropna(subset=["day", "observed"]).drop_duplicates(["day", "kind", "table", "column"])
    if told.empty:
        raise NotEnoughError("no day has been counted yet")
    odd = told[told.odd == True]  # noqa: E712 - a column of objects
    series = _chosen(told, odd)
    counted = told.day.nunique()
    title = f"None of {many(counted, 'days')} stands out"
    if len(odd):
        last, days_out = records(odd.sort_values("day"))[-1], odd.day.nunique()
        title = f"{days_out:,} of {many(counted, 'days')} {'stands' if days_out == 1 else 'stand'} out, the last on "
        title += f"{last.day:%Y-%m-%d}"
    says = "Blue: what was; band: what the weeks before say of a day, wide enough for few false alarms; orange: a day "
    says += "that lies outside. Where there is no band, too few days are before."
    shown, all_of = len(series), told.groupby(["kind", "table", "column"], dropna=False).ngroups
    says += f" {shown} of {many(all_of, 'series')}." if all_of > shown else ""
    figure = sheet(about, title, says, height=_height(shown))
    for axes, (name, rows) in zip(_panels(figure, shown), series, strict=True):
        axes.set_title(name, size=11)
        band = rows[rows.low.notna() | rows.high.notna()]
        top = _top(rows)
        axes.fill_between(band.day, band.low.fillna(0.0), band.high.fillna(top), color=BLUE, alpha=0.18, lw=0)
        axes.plot(rows.day, rows.observed, color=BLUE, lw=1.0, marker="o" if len(rows) == 1 else None, ms=4)
        out = rows[rows.odd == True]  # noqa: E712 - a column of objects
        axes.plot(out.day, out.observed, "o", color=ORANGE, ms=5)
        axes.set_ylim(min(0.0, float(rows.observed.min()) * 1.05), top)
        as_numbers(axes)
        _days(axes, told)
    return figure


@drawing("Missing values and rejected rows by week")
def shares(about: About, weeks: pd.DataFrame, findings: pd.DataFrame) -> Figure:
    """Draw the share of missing values and of rejected rows, week by week, and the weeks with a finding.

    Args:
        about: What it is of.
        weeks: week, table, measure, column, count, total.
        findings: week, table, measure, column, days.
    """
    told = weeks.dropna(subset=["week", "count", "total"]).drop_duplicates(["week", "table", "measure", "column"])
    told = told[(told.total > 0) & (told["count"] >= 0) & (told["count"] <= told.total)]
    told = told.assign(kind=told.measure, observed=told["count"] / told.total)
    told = told[told.groupby(["kind", "table", "column"], dropna=False)["observed"].transform("max") > 0]
    if told.empty:
        raise NotEnoughError("no value is missing, and no row was rejected")
    found = findings.dropna(subset=["week"]).drop_duplicates(["week", "table", "measure", "column"])
    told = told.merge(found, how="left", on=["week", "table", "measure", "column"])
    odd = told[told.days > 0]
    series = _chosen(told, odd)
    title = "No missing values and no rejections stand out"
    if len(odd):
        last = records(odd.sort_values("week"))[-1]
        title = f"{_series(last)} stands out in the week of {last.week:%Y-%m-%d}"
    all_of = told.groupby(["kind", "table", "column"], dropna=False).ngroups
    says = (
        f"Share of values that are missing, or of rows that were rejected, by week; band: {LEVEL}; orange: weeks with "
    )
    says += "a day that stands out." + (f" {len(series)} of {many(all_of, 'series')}." if all_of > len(series) else "")
    figure = sheet(about, title, says, height=_height(len(series)))
    for axes, (name, rows) in zip(_panels(figure, len(series)), series, strict=True):
        axes.set_title(name, size=11)
        ends = [wilson(int(row.count), int(row.total)) for row in records(rows)]
        low, high = zip(*((end or (0.0, 1.0)) for end in ends), strict=True)
        axes.fill_between(rows.week, low, high, color=BLUE, alpha=0.22, lw=0)
        axes.plot(rows.week, rows.observed, color=BLUE, lw=1.6, marker="o" if len(rows) == 1 else None, ms=4)
        out = rows[rows.days > 0]
        axes.plot(out.week, out.observed, "o", color=ORANGE, ms=6)
        axes.set_ylim(0, min(1.0, float(rows.observed.max()) * 1.5))
        as_percent(axes)
        _days(axes, told.rename(columns={"week": "day"}))
    return figure


def _chosen(told: pd.DataFrame, odd: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Choose the series that are shown: those with most that stands out, then rejections, then what changes most."""
    keys = ["kind", "table", "column"]
    outside = odd.groupby(keys, dropna=False).size()
    groups: list[tuple[Any, pd.DataFrame]] = list(told.groupby(keys, dropna=False))

    def wanted(group: tuple[Any, pd.DataFrame]) -> tuple[float, bool, float, str]:
        key, rows = group
        changes = float(rows.observed.max() - rows.observed.min())
        return -float(outside.get(key, 0)), key[0] != "rejected", -changes, str(key)

    groups.sort(key=wanted)
    by = "day" if "day" in told else "week"
    return [(_series(records(rows.head(1))[0]), rows.sort_values(by)) for _, rows in groups[:_MOST_SERIES]]


def _series(row: Any) -> str:  # noqa: ANN401 - a row
    """Name a series."""
    table, column = short(row.table, 28), short(row.column, 20)
    match row.kind:
        case "nulls":
            return f"{column} missing in {table}"
        case "rejected":
            return f"rejected rows of {table}"
        case "metric":
            return f"{column} ({table})"
        case _:
            return f"rows of {table}"


def _height(panels: int) -> float:
    return max(HEIGHT, 1.9 + 1.55 * -(-panels // _COLUMNS))


def _panels(figure: Figure, panels: int) -> list[Axes]:
    rows, columns = -(-panels // _COLUMNS), min(panels, _COLUMNS)
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in every[panels:]:
        spare.set_visible(False)
    return every[:panels]


def _top(rows: pd.DataFrame) -> float:
    return float(max(rows.observed.max(), rows.high.max() if rows.high.notna().any() else 0.0, 0.0)) * 1.08 or 1.0


def _days(axes: Axes, told: pd.DataFrame) -> None:
    axes.locator_params(axis="y", nbins=4)
    axes.tick_params(labelsize=9.5)
    wide_enough(axes, told.day.to_numpy())
    as_days(axes, told.day, most=5)
