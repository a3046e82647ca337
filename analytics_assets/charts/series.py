"""Time series as pictures: what revenue is made of, what comes next, which days stand out.

Belongs here: the charts of decomposition, forecast and anomalies. Does not belong here: the statistics
(`statistics.series`, `.forecasts`, `.anomalies`).
"""

from __future__ import annotations

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
    as_numbers,
    beside,
    drawing,
    halo,
    label_ends,
    money,
    number,
    range_of,
    records,
    share,
    sheet,
    short,
    wide_enough,
)
from analytics_assets.charts.marks import MIDDLE, finite

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_NAMED = 12
_MOST_LANES = 12
_TIMES = 10  # from so many on a multiple is told as one, and not in percent
_ROOM = 0.17  # of the axis, for the words beside a day
_MULTIPLICATIVE = "multiplicative"


def _signed(value: float) -> str:
    """Write a change in percent with its sign."""
    told = share(abs(value), 0 if abs(value) >= 0.1 else 1)
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{told}"


def _writes(factors: bool, about: About) -> Callable[[float], str]:  # noqa: FBT001 - one of two ways to write
    """Say how an effect is written: a factor less 1 in percent, an amount in the currency."""
    return _signed if factors else lambda value: f"{'+' if value > 0 else ''}{money(value, about.currency)}"


def _above(axes: Axes, values: pd.Series) -> None:
    """Leave room for words above the largest value."""
    low, top = axes.get_ylim()[0], float(values.max())
    axes.set_ylim(top=top + 0.24 * (top - low) if top > low else low + 1)


@drawing("What daily revenue is made of")
def decomposition(about: About, days: pd.DataFrame, weekdays: pd.DataFrame, named: pd.DataFrame) -> Figure:
    """Draw a series, its trend and what remains, and beside them the week and the days with a name.

    Args:
        about: What it is of.
        days: day, observed, trend, yearly, remainder, named, method.
        weekdays: weekday, effect, low, high.
        named: holiday, occurrences, effect, low, high, state.
    """
    told = finite(days, "trend", "remainder").dropna(subset=["day"]).drop_duplicates("day").sort_values("day")
    if len(told) < 2:
        raise NotEnoughError("fewer than two weeks, or the same every day")
    factors = bool((told.method == _MULTIPLICATIVE).all())
    write = _writes(factors, about)
    years = bool(told.yearly.notna().all() and told.yearly.nunique() > 1)
    week = finite(weekdays, "weekday", "effect", "low", "high").drop_duplicates("weekday")
    week = week[week.weekday.isin(range(1, 8))].sort_values("weekday")
    special = finite(named, "effect", "low", "high").dropna(subset=["holiday"]).drop_duplicates("holiday")
    figure = sheet(about, _made_of(told, week, factors, about), _read_as(factors, years), height=8.2)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.6, 1), hspace=0.05, wspace=0.03)
    right = grid[:, 1].subgridspec(2, 1, height_ratios=(1, 1.35), hspace=0.06)
    upper = figure.add_subplot(grid[0, 0])
    middle, lower = (figure.add_subplot(grid[row, 0], sharex=upper) for row in (1, 2))
    x, own = told.day.to_numpy(), told.named.map(lambda name: isinstance(name, str) and bool(name)).to_numpy(bool)
    dot: dict[str, Any] = {"ls": "", "marker": "o", "ms": 5, "color": ORANGE, "zorder": 3}
    upper.plot(x, told.observed, color=BLUE, lw=1.1)
    upper.plot(x[own], told.observed[own], **dot)
    upper.set_title(f"Observed, {about.currency}" if about.currency else "Observed")
    middle.plot(x, told.trend, color=BLUE, lw=2.6)
    middle.set_title("Trend; thin: with the year" if years else "Trend")
    if years:
        middle.plot(x, told.trend * told.yearly if factors else told.trend + told.yearly, color=BLUE, lw=0.9)
    lower.axhline(1.0 if factors else 0.0, color=MUTED, lw=1)
    lower.plot(x, told.remainder, color=BLUE, lw=1.1)
    lower.plot(x[own], told.remainder[own], **dot)
    lower.set_title("Remainder" + (", as a factor" if factors else ""))
    for axes in (upper, middle):
        axes.set_ylim(bottom=min(0.0, float(told[["trend", "observed"]].min().min())))
        axes.tick_params(labelbottom=False)
    _above(upper, told.observed)
    for axes in (upper, middle, lower):
        axes.locator_params(axis="y", nbins=4)
        as_numbers(axes)
    wide_enough(lower, x)
    as_days(lower, x)
    apart = (told.observed - told.trend).abs()[own].dropna().sort_values(ascending=False, kind="stable")
    far = apart[apart >= apart.max() / 2]
    _name_days(upper, told.loc[far.index], lambda row: short(row.named, 18), most=3, weight="normal", size=9.5)
    _week(figure.add_subplot(right[0]), week, write)
    _named(figure.add_subplot(right[1]), special, write)
    return figure


def _read_as(factors: bool, years: bool) -> str:  # noqa: FBT001 - one of two ways to read
    how = (" x " if factors else " + ").join(["trend", "week", *(["year"] if years else []), "remainder"])
    return (
        f"Net revenue of a day = {how}. Orange: days with a name, which the rest is fitted without. Whiskers: {LEVEL}."
    )


def _made_of(told: pd.DataFrame, week: pd.DataFrame, factors: bool, about: About) -> str:  # noqa: FBT001
    """Say what the trend did over the days, and which day of the week is told apart most."""
    first, last = float(told.trend.iloc[0]), float(told.trend.iloc[-1])
    went = f"The trend of daily revenue went from {number(first)} to {money(last, about.currency)}"
    apart = week[(week.low > 0) | (week.high < 0)]
    if apart.empty:
        return went + "; no day of the week is told apart" if len(week) else went
    (most, *_) = records(apart.reindex(apart.effect.abs().sort_values(ascending=False, kind="stable").index))
    by = share(abs(most.effect)) if factors else money(abs(most.effect), about.currency)
    side = "above" if most.effect > 0 else "below"
    return f"{went}; {_LONG_WEEKDAYS[int(most.weekday) - 1]}s are {by} {side} the mean of the week"


def _week(axes: Axes, week: pd.DataFrame, write: Callable[[float], str]) -> None:
    axes.set_title("Weekdays")
    _effects(axes, [_WEEKDAYS[int(day) - 1] for day in week.weekday], week, write)


def _named(axes: Axes, special: pd.DataFrame, write: Callable[[float], str]) -> None:
    """Draw named days, those that did most; hollow where one occurrence is all there is."""
    axes.set_title("Named days")
    told = special.assign(size=special.effect.abs()).sort_values(["size", "holiday"], ascending=[False, True])
    told = told.head(_MOST_NAMED).sort_values(["effect", "holiday"], ascending=[False, True])
    _effects(axes, [short(name, 17) for name in told.holiday], told, write)
    if len(told):
        axes.set_xlabel("hollow: one occurrence", size=10)


def _effects(axes: Axes, names: list[str], rows: pd.DataFrame, write: Callable[[float], str]) -> None:
    """Draw effects with their intervals, one a row, the value at the right end."""
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", labelcolor=DARK, labelsize=10)
    if not names:
        axes.text(0.5, 0.5, "none is known", transform=axes.transAxes, color=GREY, **MIDDLE)
        return
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color="#999999", lw=0.9, zorder=0)
    low, high = min(float(rows.low.min()), 0.0), max(float(rows.high.max()), 0.0)
    width = (high - low) or 1.0
    axes.set_xlim(low - 0.04 * width, high + 0.42 * width)
    for place, row in enumerate(records(rows)):
        apart = row.low > 0 or row.high < 0
        colour = ORANGE if apart else MUTED
        once = getattr(row, "state", "estimated") == "one occurrence"
        axes.hlines(place, row.low, row.high, color=colour, lw=2)
        axes.plot(row.effect, place, "o", color=colour, ms=6, mfc="white" if once else colour)
        beside(axes, write(row.effect), (high, place), (8, 0), color=DARK if apart else GREY)


@drawing("Forecast of daily revenue")
def forecast(
    about: About, ahead: pd.DataFrame, days: pd.DataFrame, backtest: pd.DataFrame, accuracy: pd.DataFrame
) -> Figure:
    """Draw the days ahead with their intervals, and how forecasts of the same kind did before.

    Args:
        about: What it is of.
        ahead: day, forecast, low_80, high_80, low_95, high_95, named, model, state.
        days: day, observed: the last days before.
        backtest: origin, day, actual, forecast, score, of the model that forecasts.
        accuracy: origins, days, mape, mase, coverage_80, coverage_95, width_95, of the same: one row, or none.
    """
    ends = ["forecast", "low_80", "high_80", "low_95", "high_95"]
    told = finite(ahead, *ends).dropna(subset=["day"]).drop_duplicates("day").sort_values("day")
    if told.empty:
        raise NotEnoughError("fewer than two weeks to forecast from")
    before = finite(days, "observed").dropna(subset=["day"]).drop_duplicates("day").sort_values("day")
    before = before[before.day < told.day.iloc[0]]
    mean = float(told.forecast.mean())
    about_so = money(float(f"{mean:.3g}"), about.currency)
    title = f"The next {len(told)} days are expected to bring about {about_so} a day"
    title = title if len(told) > 1 else f"{told.day.iloc[0]:%Y-%m-%d} is expected to bring about {about_so}"
    if len(before) >= 2 * len(told) and (past := float(before.observed.tail(len(told)).mean())) > 0:
        title += f", {_signed(mean / past - 1)} on the last {len(told)}"
    tried = finite(backtest, "actual", "forecast", "score").dropna(subset=["day", "origin"])
    figure = sheet(about, title, _how_good(told, accuracy, about), height=HEIGHT if tried.empty else 7.6)
    if tried.empty:
        _fan(figure.subplots(), told, before, about)
        return figure
    upper, lower = figure.subplots(2, 1, height_ratios=(1.25, 1))
    _fan(upper, told, before, about)
    _before(lower, tried, accuracy, about)
    return figure


def _how_good(told: pd.DataFrame, accuracy: pd.DataFrame, about: About) -> str:
    low, high = (float(f"{value:.3g}") for value in (told.low_95.min(), told.high_95.max()))
    says = f"95 % of single days: {range_of(low, high)} {about.currency}".rstrip() + ". "
    model = short(told.model.iloc[0]).replace("_", " ")
    known = finite(accuracy, "origins", "mape", "coverage_80", "coverage_95")
    if known.empty:
        return f"{says}By {model}: too short a history to try it on earlier days; the textbook's intervals."
    (row, *_) = records(known)
    says += (
        f"By {model}, the best of the models tried from {number(row.origins)} earlier days: off by {row.mape:.0f} % on "
    )
    says += f"average; {share(row.coverage_80, 0)} of days fell inside the 80 % interval, {share(row.coverage_95, 0)} "
    return says + "inside that of 95 %."


def _fan(axes: Axes, told: pd.DataFrame, before: pd.DataFrame, about: About) -> None:
    import numpy as np

    x = told.day.to_numpy()
    if len(told) == 1:
        axes.vlines(x, told.low_95, told.high_95, color=ORANGE, alpha=0.35, lw=5)
        axes.vlines(x, told.low_80, told.high_80, color=ORANGE, alpha=0.6, lw=5)
    axes.fill_between(x, told.low_95, told.high_95, color=ORANGE, alpha=0.16, lw=0)
    axes.fill_between(x, told.low_80, told.high_80, color=ORANGE, alpha=0.26, lw=0)
    axes.plot(x, told.forecast, color=ORANGE, marker="o", ms=4)
    if len(before):
        axes.plot(before.day, before.observed, color=BLUE, lw=1.8, marker="o", ms=3)
    top = max([float(told.high_95.max()), *before.observed])
    axes.set_ylim(min(0.0, float(told.low_95.min())), top * 1.08 if top > 0 else 1.0)
    everything = np.concatenate([before.day.to_numpy(), x])
    wide_enough(axes, everything)
    as_days(axes, everything)
    as_numbers(axes)
    axes.set_title("What came, and what is expected")
    axes.set_ylabel(f"net revenue of a day, {about.currency}".rstrip(", "))
    last = records(told)[-1]
    words = (
        ("high_95", "95 % of days", "#B97F4F"),
        ("high_80", "80 % of days", "#B9602F"),
        ("forecast", "middle", ORANGE),
    )
    label_ends(axes, [End(x[-1], float(getattr(last, name)), said, colour) for name, said, colour in words])
    low, high = axes.get_xlim()
    for row in records(told):
        if isinstance(row.named, str) and row.named:
            at = (axes.convert_xunits(row.day) - low) / (high - low)
            axes.annotate(
                short(row.named, 18),
                (row.day, row.high_95),
                xytext=(0, 4),
                textcoords="offset points",
                ha="left" if at < _ROOM else "right" if at > 1 - _ROOM else "center",
                size=9,
                color=GREY,
            )
            break


def _before(axes: Axes, backtest: pd.DataFrame, accuracy: pd.DataFrame, about: About) -> None:
    told = backtest.drop_duplicates(["origin", "day"]).sort_values(["origin", "day"])
    came = told.drop_duplicates("day").sort_values("day")
    axes.plot(came.day, came.actual, color=BLUE, lw=1.4, marker="o" if len(came) == 1 else None)
    for _, rows in told.groupby("origin"):
        axes.plot(rows.day, rows.forecast, color=ORANGE, lw=1.8, marker="o" if len(rows) == 1 else None)
    known = finite(accuracy, "width_95")
    title = "Backtest: forecasts from earlier days"
    if len(known):
        out = told[told.score > float(known.width_95.iloc[0])]
        axes.plot(out.day, out.actual, ls="", marker="o", ms=6, mfc="none", mec=DARK, mew=1.3)
        title += f"; circled: {len(out)} of {len(told)} days outside 95 %" if len(out) else ""
    axes.set_title(title)
    low, high = float(told[["actual", "forecast"]].min().min()), float(told[["actual", "forecast"]].max().max())
    axes.set_ylim(min(0.0, low), high * 1.08 if high > 0 else 1.0)
    axes.set_ylabel(f"a day, {about.currency}".rstrip(", "))
    wide_enough(axes, came.day.to_numpy())
    as_days(axes, came.day.to_numpy())
    as_numbers(axes)
    last = records(told)[-1]
    words = ((last.actual, "came", BLUE), (last.forecast, "forecast", ORANGE))
    label_ends(axes, [End(last.day, float(value), said, colour) for value, said, colour in words])


@drawing("Days whose revenue stands out")
def anomalies(about: About, days: pd.DataFrame, flagged: pd.DataFrame, judged: pd.DataFrame) -> Figure:
    """Draw a series with what was to be expected of each day, and beneath the days that stand out, by category.

    Args:
        about: What it is of.
        days: day, observed, expected, low, high, is_anomaly, of all.
        flagged: value, day, observed, expected, low, high, score: the days of categories that stand out.
        judged: value, days, false_alarm_rate: how many days were judged, a row a category; of all, value is empty.
    """
    told = finite(days, "observed", "expected", "low", "high").dropna(subset=["day"])
    told = told.drop_duplicates("day").sort_values("day")
    if told.empty:
        raise NotEnoughError("no day has eight weeks before it to be judged by")
    out = told[told.is_anomaly == True]  # noqa: E712 - a column of objects
    lanes = _lanes(flagged[flagged.day.between(told.day.min(), told.day.max())], judged)
    says = "Band: ordinary days, by the eight weeks before each. Days with a name are not judged. "
    says += _by_chance(judged, len(out) + sum(map(len, lanes.values())))
    figure = sheet(
        about, _stands_out(out, len(told), about), says, height=HEIGHT + (0.4 + 0.26 * len(lanes) if lanes else 0)
    )
    upper, *rest = figure.subplots(2 if lanes else 1, 1, sharex=True, squeeze=False,
                                   height_ratios=(8, 1.2 + 0.55 * len(lanes)) if lanes else (1,))[:, 0]  # fmt: skip
    x = told.day.to_numpy()
    drawn = _with_gaps(told)
    upper.fill_between(drawn.day, drawn.low, drawn.high, color=BLUE, alpha=0.14, lw=0)
    upper.plot(drawn.day, drawn.expected, color=MUTED, lw=1.4)
    upper.plot(drawn.day, drawn.observed, color=BLUE, lw=1.2, marker="o", ms=6 if len(told) == 1 else 1.5)
    upper.plot(out.day, out.observed, "o", color=ORANGE, ms=8)
    low, high = float(told[["low", "observed"]].min().min()), float(told[["high", "observed"]].max().max())
    upper.set_ylim(min(0.0, low), high * 1.12 if high > 0 else 1.0)
    upper.set_ylabel(f"net revenue of a day, {about.currency}".rstrip(", "))
    as_numbers(upper)
    last = records(told)[-1]
    words = ((last.observed, "observed", BLUE), (last.expected, "expected", GREY))
    label_ends(upper, [End(x[-1], float(value), said, colour) for value, said, colour in words])
    apart = (out.observed - out.expected).abs().sort_values(ascending=False, kind="stable")
    _name_days(upper, out.loc[apart.index], lambda row: f"{row.day:%b %d}  {_against(row)}")
    if lanes:
        _draw_lanes(rest[0], lanes, (told.day.iloc[-1] - told.day.iloc[0]).days)
    wide_enough(upper, x)
    as_days(rest[0] if rest else upper, x)
    return figure


def _with_gaps(days: pd.DataFrame) -> pd.DataFrame:
    """Add an empty row where days are missing, so that no line goes over them."""
    import pandas as pd

    step = days.day.diff().dt.days
    gaps = pd.DataFrame({"day": days.day[step > 1] - pd.Timedelta(days=1)})
    return pd.concat([days, gaps], ignore_index=True).sort_values("day")


def _against(row: Any) -> str:  # noqa: ANN401 - a row
    """Say how far a day is from what was expected."""
    if not row.expected > 0:
        return number(row.observed)
    times = row.observed / row.expected
    return f"{number(round(times))} times" if times >= _TIMES else _signed(times - 1)


def _stands_out(out: pd.DataFrame, days: int, about: About) -> str:
    if out.empty:
        return f"No day of {number(days)} stands out from what was to be expected"
    apart = (out.observed - out.expected).abs().sort_values(ascending=False, kind="stable")
    most = records(out.loc[apart.index])[:2]
    said = " and ".join(
        f"{row.day:%Y-%m-%d} with {money(row.observed, about.currency)} ({_against(row)})" for row in most
    )
    many = f"{len(out)} of {number(days)} days stand{'s' if len(out) == 1 else ''} out"
    return f"{many}{', most' if len(out) > len(most) else ''}: {said}"


def _by_chance(judged: pd.DataFrame, found: int) -> str:
    told = finite(judged, "days", "false_alarm_rate")
    told = told[(told.days > 0) & told.false_alarm_rate.between(0, 1)]
    if told.empty:
        return ""
    chance = float((told.days * told.false_alarm_rate).sum())
    rate = share(float(told.false_alarm_rate.iloc[0]))
    of = f"{number(float(told.days.sum()))} days of {len(told)} series"
    return f"By chance {rate} of ordinary days stand out, about {chance:.1f} of the {of}: {number(found)} do."


def _name_days(axes: Axes, days: pd.DataFrame, told: Callable[[Any], str], most: int = 6, **style: Any) -> None:  # noqa: ANN401
    """Say of days what is told of them, the first ones first, where there is room beside those that have words."""
    low, high = axes.get_xlim()
    taken: list[float] = []
    for row in records(days):
        if len(taken) == most:
            break
        at = (axes.convert_xunits(row.day) - low) / ((high - low) or 1.0)
        if any(abs(at - other) < _ROOM for other in taken):
            continue
        taken.append(at)
        side = "left" if at < _ROOM / 2 else "right" if at > 1 - _ROOM / 2 else "center"
        above = not hasattr(row, "expected") or row.observed >= row.expected
        axes.annotate(
            told(row),
            (row.day, row.observed),
            xytext=(0, 8 if above else -8),
            textcoords="offset points",
            ha=side,
            va="bottom" if above else "top",
            color=ORANGE,
            path_effects=halo(),
            **{"size": 10.5, "weight": "bold", **style},
        )


def _lanes(flagged: pd.DataFrame, judged: pd.DataFrame) -> dict[str, list[Any]]:
    """Give each category its days; of too many, those with the most, and of none, nothing."""
    told = finite(flagged, "observed", "expected", "score").dropna(subset=["day", "value"])
    told = told.drop_duplicates(["value", "day"]).sort_values(["value", "day"])
    told = told[told.value.isin(set(judged.value.dropna()))]
    counted = told.groupby("value").day.count().sort_values(ascending=False, kind="stable").index[:_MOST_LANES]
    return {value: records(told[told.value == value]) for value in sorted(counted)}


def _draw_lanes(axes: Axes, lanes: dict[str, list[Any]], days: int) -> None:
    """Draw the days of categories that stand out: a triangle up for more than expected, down for less."""
    for place, rows in enumerate(lanes.values()):
        for row in rows:
            more = row.observed >= row.expected
            axes.plot(row.day, place, "^" if more else "v", color=ORANGE if more else DARK, ms=8)
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            if following is None or (following.day - row.day).days > _ROOM / 2 * days:
                beside(axes, _against(row), (row.day, place), (8, 0), size=9.5, color=GREY, path_effects=halo())
    axes.set_yticks(range(len(lanes)), [short(value, 18) for value in lanes])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=DARK, labelsize=10)
    axes.set_title("Days of categories that stand out", size=11.5)
    axes.spines["left"].set_visible(False)
