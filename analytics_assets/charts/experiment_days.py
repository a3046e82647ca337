"""Experiments day by day as pictures: what was known when, and whether users came in the planned shares.

Belongs here: charts of experiments whose x axis is time. Does not belong here: effects at the end (`experiments`).
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.experiments import (
    HOW,
    MOST_PANELS,
    OF_VERDICT,
    SHARE,
    absolute,
    finite,
    in_words,
    is_early,
    known,
    panel_height,
    panel_title,
    panels,
    side,
)
from analytics_assets.charts.house import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    MUTED,
    ORANGE,
    PURPLE,
    About,
    NotEnoughError,
    as_days,
    drawing,
    halo,
    number,
    records,
    share,
    sheet,
    short,
    spread,
    wide_enough,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 3


@drawing("Course of an experiment")
def timeline(about: About, days: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    """Draw what was known of the primary metric on every day, with the interval that may be read on every day.

    Args:
        about: What it is of; `words` say `called`, `better`, `unit`, `minimum_effect`, `method`, `alpha`, and `ends`.
        days: variant, day, n, difference, low, high, anytime_low, anytime_high.
        verdicts: variant, verdict, n_control, n, difference, low, high, as_of, ...: of each variant.
    """
    told = days.dropna(subset=["variant", "day", "difference", "anytime_low", "anytime_high", "n"])
    told = finite(told, "difference", "anytime_low", "anytime_high", "n")
    told = told.drop_duplicates(["variant", "day"]).sort_values(["variant", "day"])
    if told.empty:
        raise NotEnoughError("no day has users of both arms whose window was over")
    by_variant = {row.variant: row for row in records(verdicts.dropna(subset=["variant"]))}
    names = sorted(told.variant.unique(), key=str)
    shown = names[:_MOST_PANELS]
    courses = {name: told[told.variant == name] for name in shown}
    unit = about.words.get("unit", "")
    figure = sheet(about, _course_title(about, courses, by_variant, len(names)), _course_words(about, len(names)))
    low, high = _course_limits(about, courses, by_variant)
    side_by_side = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for place, (axes, (name, course)) in enumerate(zip(side_by_side, courses.items(), strict=True)):
        axes.set_ylim(low, high)
        if len(shown) > 1:
            axes.set_title(_panel_name(name, by_variant.get(name), unit, len(shown)), size=11)
        _course(axes, about, course, by_variant.get(name), first=place == 0, alone=len(shown) == 1)
    side_by_side[0].set_ylabel(f"variant - control, {'points' if unit == SHARE else short(unit, 16) or 'as measured'}")
    return figure


def _course_words(about: About, arms: int) -> str:
    level = share(1 - in_words(about, "alpha", 0.05))
    called = short(about.words.get("called", "the primary metric"), 40)
    says = (
        f"Line: difference in {called} of the users whose window was over by the day. Band: its {level} interval that "
    )
    says += "may be read on every day" + (f", for {arms} variants. " if arms > 1 else ". ")
    says += f"Dot with whisker: what decides, {HOW.get(about.words.get('method', ''), 'by the plan')}."
    says += f" The first {_MOST_PANELS} of {arms} variants." if arms > _MOST_PANELS else ""
    return says


def _course_title(about: About, courses: dict[Any, pd.DataFrame], by_variant: dict[Any, Any], arms: int) -> str:
    name, unit = short(about.asked, 40), about.words.get("unit", "")
    verdict = by_variant.get(next(iter(courses)))
    if verdict is not None and verdict.verdict == "invalid":
        return f"{name}: invalid, no day's difference counts"
    if len(courses) == 1 and arms == 1:
        (course,) = courses.values()
        called = short(about.words.get("called", "the primary metric"))
        last = absolute(float(course.difference.iloc[-1]), unit)
        place = _when(course, verdict)
        if place < len(course) - 1 and verdict is not None and known(verdict.difference):
            day = f"{course.day.iloc[place]:%Y-%m-%d}"
            return f"{name}: {called} {absolute(verdict.difference, unit)} when decided on {day}, {last} at the end"
        better = verdict is not None and side(verdict.low, verdict.high, about.words.get("better", "")) > 0
        yet = ", yet rolled back" if better and verdict is not None and verdict.verdict == "rollback" else ""
        return f"{name}: {called} {last}, {_since(course)}{yet}"
    return f"{name}: " + "; ".join(f"{short(variant, 20)} {_since(course)}" for variant, course in courses.items())


def _since(course: pd.DataFrame) -> str:
    """Say since when the band that may be read on every day has not held 0."""
    above, below = (course.anytime_low > 0).to_numpy(), (course.anytime_high < 0).to_numpy()
    for out in (above, below):
        if not out[-1]:
            continue
        begin = len(out) - 1
        while begin and out[begin - 1]:
            begin -= 1
        if begin == len(out) - 1:
            return "told apart from 0 on the last day"
        return f"told apart from 0 every day since {course.day.iloc[begin]:%Y-%m-%d}"
    if (above | below).any():
        return f"told apart from 0 on {course.day[above | below].iloc[-1]:%Y-%m-%d}, not at the end"
    return "not told apart from 0 on any day"


def _course_limits(about: About, courses: dict[Any, pd.DataFrame], by_variant: dict[Any, Any]) -> tuple[float, float]:
    """Return the ends of the y axis: those of the band once a fifth of the users are there, and of what decides."""
    ends = [0.0]
    for name, course in courses.items():
        grown = course[course.n >= 0.2 * course.n.max()]
        ends += [float(grown.anytime_low.min()), float(grown.anytime_high.max())]
        verdict = by_variant.get(name)
        if verdict is not None:
            ends += [float(end) for end in (verdict.difference, verdict.low, verdict.high) if known(end)]
    least = in_words(about, "minimum_effect", math.nan)
    span = max(ends) - min(ends)
    if known(least) and least < span:
        ends += [-least, least]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.08 or 1.0
    return low - room, high + room


def _course(axes: Axes, about: About, course: pd.DataFrame, verdict: Any, *, first: bool, alone: bool) -> None:  # noqa: ANN401
    unit, x = about.words.get("unit", ""), course.day.to_numpy()
    wide_enough(axes, x)
    invalid = verdict is not None and verdict.verdict == "invalid"
    colour = MUTED if invalid else BLUE
    axes.fill_between(x, course.anytime_low, course.anytime_high, color=colour, alpha=0.2, lw=0)
    axes.plot(x, course.difference, color=colour)
    if len(course) == 1:
        axes.vlines(x, course.anytime_low, course.anytime_high, color=colour, alpha=0.4, lw=8)
        axes.plot(x, course.difference, "o", color=colour)
    axes.axhline(0, color=DARK, lw=1.2)
    _least(axes, in_words(about, "minimum_effect", math.nan), unit, first=first)
    _planned_end(axes, about, x, alone=alone)
    if verdict is not None and known(verdict.difference):
        place = _when(course, verdict)
        _decides(axes, x[place], verdict, unread=is_early(verdict) and about.words.get("method") == "fixed")
        if alone:
            _label_decision(axes, x, place, verdict, unit)
    as_days(axes, x)
    _unit_ticks(axes, unit)


def _when(course: pd.DataFrame, verdict: Any) -> int:  # noqa: ANN401 - a row of a frame
    """Find the day on which those users were there who decide."""
    import numpy as np

    if verdict is None or not known(verdict.n, verdict.n_control):
        return len(course) - 1
    reached = np.flatnonzero(course.n.to_numpy() >= verdict.n + verdict.n_control)
    return int(reached[0]) if len(reached) else len(course) - 1


def _panel_name(name: Any, verdict: Any, unit: str, many: int) -> str:  # noqa: ANN401 - a name, and a row
    if verdict is None or not known(verdict.difference):
        return short(name, 24)
    effect = f" {absolute(verdict.difference, unit)}" if many < 3 else ""
    return f"{short(name, 16)}: {short(verdict.verdict, 24 if many < 3 else 14)}{effect}"


def _decides(axes: Axes, at: Any, verdict: Any, *, unread: bool) -> None:  # noqa: ANN401 - a day, and a row
    colour = OF_VERDICT.get(str(verdict.verdict), GREY)
    if known(verdict.low, verdict.high) and not unread:
        axes.vlines(at, verdict.low, verdict.high, color=colour, lw=3, zorder=5, clip_on=False)
    axes.plot(at, verdict.difference, "o", color=colour, ms=9, zorder=6, clip_on=False)


def _label_decision(axes: Axes, x: Any, place: int, verdict: Any, unit: str) -> None:  # noqa: ANN401 - days, and a row
    """Say what was decided beside the dot, or beyond the end of the axis where that is nearer."""
    from matplotlib.dates import date2num

    low, high = axes.get_ylim()
    inside = place < len(x) // 2
    where = verdict.high if inside and known(verdict.high) else verdict.difference
    height = min(max((where - low) / (high - low), 0.12), 0.95)
    told = short(verdict.verdict, 24).replace("no meaningful", "no meaningful\n").replace("\n ", "\n")
    style: dict[str, Any] = {
        "size": 11,
        "weight": "bold",
        "color": OF_VERDICT.get(str(verdict.verdict), GREY),
        "zorder": 7,
    }
    text = f"{told}\n{absolute(verdict.difference, unit)}"
    if inside:
        axes.annotate(
            text, (date2num(x[place]), height), xycoords=axes.get_xaxis_transform(), xytext=(10, -4),
            textcoords="offset points", va="top", path_effects=halo(), **style,
        )  # fmt: skip
        return
    axes.annotate(
        text, (1, height), xycoords="axes fraction", xytext=(8, 0), textcoords="offset points", va="center",
        annotation_clip=False, **style,
    )  # fmt: skip


def _least(axes: Axes, least: float, unit: str, *, first: bool) -> None:
    low, high = axes.get_ylim()
    if not known(least):
        return
    for edge in (-least, least):
        if low < edge < high:
            axes.axhline(edge, color=GREY, lw=1, ls=(0, (4, 3)))
    room = 0.07 * (high - low)
    if first and (low < -least or least < high):
        edge, beyond = (-least, -1) if low + room < -least else (least, 1)
        axes.annotate(
            f"minimum effect {absolute(least, unit, signed=False)}", (1.0, edge), xycoords=axes.get_yaxis_transform(),
            xytext=(-4, 3 * beyond), textcoords="offset points", size=9.5, color=GREY, ha="right",
            va="top" if beyond < 0 else "bottom", path_effects=halo(),
        )  # fmt: skip


def _planned_end(axes: Axes, about: About, x: Any, *, alone: bool) -> None:  # noqa: ANN401 - an array of days
    import numpy as np

    try:
        end = dt.date.fromisoformat(about.words.get("ends", ""))
    except ValueError:
        return
    day: Any = np.datetime64(end, "D")
    if not x[0].astype("datetime64[D]") < day <= x[-1].astype("datetime64[D]"):
        return
    axes.axvline(day, color=GREY, lw=1, ls=(0, (1, 2)))
    if alone:
        axes.annotate(
            f"last planned exposure {end:%Y-%m-%d}", (day, 1), xycoords=axes.get_xaxis_transform(), xytext=(-4, -2),
            textcoords="offset points", size=9.5, color=GREY, ha="right", va="top", path_effects=halo(),
        )  # fmt: skip


def _unit_ticks(axes: Axes, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter

    def write(value: float) -> str:
        told = number(round(value * 100, 9)) if unit == SHARE else number(round(value, 12))
        return f"+{told}" if value > 0 else told

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


# --- who came ---------------------------------------------------------------------------------------------------------

_FAR_OUT = 3.2905267314919255
"""The normal quantile that 1 of 1,000 shares lie beyond, on either side."""
_ALL_BUT = 0.999


@drawing("Shares of the arms of experiments")
def traffic(about: About, days: pd.DataFrame, trust: pd.DataFrame) -> Figure:
    """Draw how far the share of each arm is from that of the plan, so far by day, with what chance makes of it.

    Args:
        about: What it is of; `words` say how many experiments there are (`of`) and are `shown`.
        days: experiment, variant, planned, day, assigned, whole: users so far of a treatment, and of all arms.
        trust: experiment, state, p_value: of the test of the sample ratio.
    """
    told = finite(days, "planned", "assigned", "whole").dropna(subset=["experiment", "variant", "day"])
    told = told[(told.planned > 0) & (told.planned < 1) & (told.assigned >= 0)]
    told = told[(told.whole > 0) & (told.assigned <= told.whole)]
    told = told.drop_duplicates(["experiment", "variant", "day"]).sort_values("day", kind="stable")
    courses: dict[Any, pd.DataFrame] = {}
    for name in sorted(told.experiment.unique(), key=str)[:MOST_PANELS]:
        courses[name] = told[told.experiment == name]
    if not courses:
        raise NotEnoughError("nobody was assigned to an experiment on a day that is known")
    states = {row.experiment: row for row in records(trust)}
    says = (
        f"Line: share of the users assigned so far minus that of the plan, in points. Band: where {share(_ALL_BUT)} of "
    )
    says += "such shares lie by chance on one day. p: of the test of the sample ratio, below 0.001 no number counts."
    of, shown = about.words.get("of", ""), about.words.get("shown", "")
    says += f" The {shown} experiments that begin last, of {of}." if of != shown else ""
    many = len(courses)
    figure = sheet(about, _traffic_title(list(courses), states), says, height=panel_height(many) + 0.3)
    for axes, (name, course) in zip(panels(figure, many), courses.items(), strict=True):
        _share_panel(axes, name, course, states.get(name))
    return figure


def _share_panel(axes: Axes, name: Any, course: pd.DataFrame, state: Any) -> None:  # noqa: ANN401 - a name, and a row
    import numpy as np

    invalid = state is not None and state.state == "invalid"
    most = float((course.planned * (1 - course.planned)).max())
    chance = course.assign(far=100 * _FAR_OUT * np.sqrt(most / course.whole)).drop_duplicates("day")
    axes.fill_between(chance.day, -chance.far, chance.far, color="#EDEDED", lw=0)
    axes.axhline(0, color=DARK, lw=1)
    users = float(course.whole.max())
    room = [float(chance.far[chance.whole >= 0.1 * users].max())]
    ends = []
    arms = sorted(course.variant.unique(), key=str)[:_MOST_PANELS]
    for arm, colour in zip(arms, (ORANGE if invalid else BLUE, PURPLE, GREEN), strict=False):
        own = course[course.variant == arm]
        apart = (own.assigned / own.whole - own.planned) * 100
        axes.plot(own.day, apart, color=colour, lw=2, marker="o" if len(own) == 1 else "")
        room.append(float(apart[own.whole >= 0.1 * users].abs().max()))
        told = f"{short(arm, 13)} " if len(arms) > 1 else ""
        ends.append((float(apart.iloc[-1]), f"{told}{apart.iloc[-1]:+.2f}", colour))
    high = 1.35 * max(value for value in room if known(value))
    axes.set_ylim(-high, high)
    _label_shares(axes, ends, high)
    days = np.sort(course.day.unique())
    wide_enough(axes, days)
    _few_days(axes, days)
    axes.locator_params(axis="y", nbins=4)
    _unit_ticks(axes, "")
    axes.tick_params(labelsize=9.5)
    p = f"p {state.p_value:.2g}" if state is not None and known(state.p_value) else "not tested"
    who = "invalid" if invalid else f"{number(users)} users"
    panel_title(axes, name, f"{who} · {p}", ORANGE if invalid else GREY)


def _label_shares(axes: Axes, ends: list[tuple[float, str, str]], high: float) -> None:
    """Write where each line ends above or below it, apart from each other."""
    wanted = [0.5 + value / high / 2 + (0.07 if value >= 0 else -0.07) for value, _, _ in ends]
    places = spread([min(max(place, 0.05), 0.95) for place in wanted], 0.09)
    for place, (_, text, colour) in zip(places, ends, strict=True):
        axes.annotate(
            text, (1, place), xycoords="axes fraction", xytext=(-3, 0), textcoords="offset points", ha="right",
            va="center", size=9.5, weight="bold", color=colour, path_effects=halo(),
        ).set_in_layout(False)  # fmt: skip


def _few_days(axes: Axes, x: Any) -> None:  # noqa: ANN401 - an array of days
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if len(x) == 1:
        as_days(axes, x)
        return
    locator = AutoDateLocator(minticks=2, maxticks=4)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def _traffic_title(names: list[Any], states: dict[Any, Any]) -> str:
    told = {name: states[name].state if name in states else "" for name in names}
    for state, one, many in (
        ("invalid", "has shares other than planned, its numbers do not count", "have shares other than planned"),
        ("warning", "has shares that may be other than planned", "have shares that may be other than planned"),
    ):
        who = [short(name, 30) for name in names if told[name] == state]
        if who:
            listed = ", ".join(who[:2]) + (f" and {len(who) - 2} more" if len(who) > 2 else "")
            rest = f"; the other {len(names) - len(who)} show no sign of it" if len(names) > len(who) else ""
            return f"{listed} {one if len(who) == 1 else many}{rest}"
    if len(names) == 1:
        return f"{short(names[0], 40)} shows no sign of shares other than planned"
    return f"None of {len(names)} experiments shows a sign of shares other than planned"
