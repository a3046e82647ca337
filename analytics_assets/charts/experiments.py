"""Experiments as pictures: what a variant changed, how sure that is, how it came about, and what was decided.

Belongs here: effects, their course in time, and the overview of verdicts. Does not belong here: what went into them
(`charts.trials`), and how a verdict is reached (`statistics.verdicts`).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analytics_assets.charts.house import (
    BLUE,
    DARK,
    GREY,
    HEIGHT,
    MUTED,
    ORANGE,
    About,
    NotEnoughError,
    beside,
    drawing,
    halo,
    number,
    range_of,
    records,
    share,
    sheet,
    short,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARE = "share"
"""The unit of metrics that are a share of users: their differences are told in points."""

MOST_PANELS = 8
"""As many experiments side by side as can be read."""
_MOST_ROWS = 14
_FAR = 20.0
"""A difference of more than so many times the control is told as a multiple of it."""
HOW = {
    "fixed": "at the planned end",
    "always_valid": "on any day",
    "group_sequential": "at the last of the planned looks",
}
_ROLES = ("primary", "guardrail", "secondary")


# --- how effects are written ------------------------------------------------------------------------------------------


def known(*values: Any) -> bool:  # noqa: ANN401 - whatever a frame holds
    """Say whether all of these are finite numbers.

    >>> known(1, 2.5), known(None), known(float("inf"), 1)
    (True, False, False)
    """
    return all(isinstance(value, int | float) and math.isfinite(value) for value in map(_plain, values))


def finite(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Keep the rows in which all of these columns are finite numbers."""
    import numpy as np

    kept: pd.DataFrame = frame[np.isfinite(frame[list(columns)].to_numpy(dtype=float)).all(axis=1)]
    return kept


def _plain(value: Any) -> Any:  # noqa: ANN401 - NumPy's numbers become Python's
    return value.item() if hasattr(value, "item") else value


def relative(value: float, *, signed: bool = True) -> str:
    """Write a difference as a share of the control.

    >>> relative(0.126), relative(-0.0018), relative(25.0), relative(0.05, signed=False), relative(-1e-9)
    ('+12.6 %', '-0.2 %', '+25 times', '5.0 %', '0.0 %')
    """
    told = f"{value * 100:.1f} %".replace("-0.0 %", "0.0 %") if abs(value) < _FAR else f"{number(value)} times"
    return f"+{told}" if signed and value > 0 else told


def absolute(value: float, unit: str, *, signed: bool = True) -> str:
    """Write a difference in the metric's unit.

    >>> absolute(0.0837, "share"), absolute(-1.375, "EUR"), absolute(2, "", signed=False)
    ('+8.4 points', '-1.38 EUR', '2')
    """
    points = _tenth(value * 100)
    told = (
        f"{points} point{'s' * (points not in {'1', '-1'})}"
        if unit == SHARE
        else f"{number(value)} {short(unit, 12) if unit else ''}"
    )
    return f"+{told.strip()}" if signed and value > 0 else told.strip()


def level_of(value: float, unit: str) -> str:
    """Write a metric's value.

    >>> level_of(0.7507, "share"), level_of(14.249, "EUR")
    ('75.1 %', '14.2 EUR')
    """
    return share(value) if unit == SHARE else f"{number(value)} {short(unit, 12) if unit else ''}".strip()


def _tenth(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if 0.1 <= abs(value) < 1000 else number(value, 2)


def side(low: float, high: float, better: str) -> int:
    """Say whether a whole interval is better (1) or worse (-1) than nothing, or neither (0).

    >>> side(1, 2, "up"), side(1, 2, "down"), side(-1, 2, "up"), side(1, 2, "neither")
    (1, -1, 0, 0)
    """
    if not known(low, high) or better not in {"up", "down"}:
        return 0
    where = 1 if low > 0 else -1 if high < 0 else 0
    return where if better == "up" else -where


def in_words(about: About, name: str, otherwise: float) -> float:
    """Read a number that a plan fixes."""
    try:
        return float(about.words.get(name, otherwise))
    except ValueError:
        return otherwise


def limits(
    lows: Sequence[float], highs: Sequence[float], always: Sequence[float] = (), most: float = 6.0
) -> tuple[float, float]:
    """Return the ends of an axis on which intervals are told apart; those that are far longer than most are cut.

    >>> limits([-1.0, -2.0], [1.0, 3.0])
    (-2.0, 3.0)
    >>> limits([math.nan], [math.nan])
    (-1.0, 1.0)
    """
    lows, highs, always = ([end for end in ends if math.isfinite(end)] for ends in (lows, highs, always))
    reach = sorted(max(abs(low), abs(high)) for low, high in zip(lows, highs, strict=False))
    limit = most * reach[len(reach) // 2] if reach else 1.0
    ends = [end for end in (*lows, *highs, *always, 0.0) if abs(end) <= limit or end in always]
    if any(low < -limit for low in lows):
        ends.append(-limit)
    if any(high > limit for high in highs):
        ends.append(limit)
    low, high = min(ends), max(ends)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def panels(figure: Figure, many: int, **style: Any) -> list[Axes]:  # noqa: ANN401 - what `subplots` takes
    """Make so many axes side by side, in one row or two."""
    across = many if many <= 3 else math.ceil(many / 2)
    made = figure.subplots(math.ceil(many / across), across, squeeze=False, **style).ravel().tolist()
    for axes in made[many:]:
        axes.remove()
    found: list[Axes] = made[:many]
    return found


def panel_height(many: int) -> float:
    """Return how high a sheet of so many panels is, in inches."""
    return HEIGHT if many <= 3 else HEIGHT + 1.2


def panel_title(axes: Axes, name: object, detail: str, colour: str = GREY) -> None:
    """Name a panel, with a line below the name."""
    axes.set_title(" \n ", size=11.5)  # keeps the room, and takes none beside
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    texts: tuple[tuple[str, int, dict[str, Any]], ...] = (
        (short(name, 22), 21, {"size": 11.5, "weight": "bold", "color": DARK}),
        (short(detail, 30), 7, {"size": 9.5, "color": colour}),
    )
    for text, up, told in texts:
        axes.annotate(text, (0, 1), xytext=(0, up), **style, **told).set_in_layout(False)


def _colour(told: int) -> str:
    return {1: BLUE, -1: ORANGE}.get(told, MUTED)


# --- effects of one experiment ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """Hold one line of a forest: a metric in a variant, as shares of the control."""

    name: str
    detail: str
    role: str
    difference: float
    low: float
    high: float
    colour: str
    effect: str
    says: str
    margin: float | None = None
    worse: int = -1
    minimum: float | None = None
    faint: bool = False
    effect_colour: str = ""


@drawing("Effects of an experiment on all its metrics")
def effects(about: About, effects: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    """Draw a forest of all metrics of an experiment: differences in % of the control, with corrected intervals.

    Args:
        about: What it is of; `words` say the `method`, the `alpha`, and of the primary `called`, `better` and `unit`.
        effects: place, variant, called, role, better, unit, minimum_effect, margin, non_inferior, n_control, n,
            control, treatment, difference, low, high, anytime_low, anytime_high, reason: of the users whose window is
            over.
        verdicts: variant, verdict, because, n_control, n, difference, low, high, detectable, ...: of each variant.
    """
    told = effects[effects.role.isin(_ROLES)].assign(
        order=effects.role.map({role: place for place, role in enumerate(_ROLES)})
    )
    told = told.sort_values(["order", "place", "variant"], kind="stable")
    several = told.variant.nunique() > 1
    family = max(1, int((told.role == "secondary").sum()))
    by_variant = {row.variant: row for row in records(verdicts.dropna(subset=["variant"]))}
    rows: list[_Row] = []
    for row in records(told):
        rows += _rows(row, by_variant.get(row.variant), about, several=several, family=family)
    if not rows:
        raise NotEnoughError("no metric has users of both arms whose window is over")
    left_out = max(0, len(rows) - _MOST_ROWS)
    rows = rows[:_MOST_ROWS]
    figure = sheet(
        about,
        headline(about, list(by_variant.values()), told),
        _how_to_read(about, told, family, left_out, early=any(map(is_early, by_variant.values()))),
        height=max(HEIGHT, 2.1 + 0.66 * len(rows)),
    )
    _forest(figure.subplots(), rows)
    return figure


def _rows(row: Any, verdict: Any, about: About, *, several: bool, family: int) -> list[_Row]:  # noqa: ANN401 - rows of frames
    """Make the lines of one metric and variant: one, or two where what decides is not what all users say."""
    if not known(row.control, row.difference) or row.control == 0:
        return []
    role, scale = row.role, abs(float(row.control))
    early = is_early(verdict)
    fixed = (
        (float(row.difference), row.anytime_low, row.anytime_high)
        if early
        else (float(row.difference), row.low, row.high)
    )
    shown = fixed
    if role == "primary":
        shown = _deciding(row, verdict, about) or fixed
    elif role == "secondary" and known(row.low, row.high) and not early:
        wider = _widened(in_words(about, "alpha", 0.05), family)
        shown = (fixed[0], *(fixed[0] + (end - fixed[0]) * wider for end in (row.low, row.high)))
    detail = " · ".join(part for part in (role, short(row.variant, 16) if several else "") if part)
    if row.better == "down":
        detail += " · lower is better"
    invalid = verdict is not None and verdict.verdict == "invalid"
    fewer = role == "primary" and verdict is not None and known(verdict.n, verdict.n_control) and verdict.n != row.n
    levels = f"{level_of(row.control, row.unit)} to {level_of(row.treatment, row.unit)}" if known(row.treatment) else ""
    if not fewer:
        lines = [_row(row, shown, scale, detail, levels, invalid=invalid, early=early)]
    else:
        decided, users = number(verdict.n + verdict.n_control), number(row.n_control + row.n)
        lines = [
            _row(row, shown, scale, detail, f"decided by {decided} users", invalid=invalid, early=early),
            _row(
                row,
                fixed,
                scale,
                f"all {users} users, decides nothing",
                levels,
                invalid=invalid,
                early=early,
                faint=True,
            ),
        ]
    return [line for line in lines if line is not None]


def is_early(verdict: Any) -> bool:  # noqa: ANN401 - a row of a frame
    """Say whether an experiment still runs: an interval for its end is not to be read yet."""
    return verdict is not None and known(verdict.over) and not bool(verdict.over)


def _deciding(row: Any, verdict: Any, about: About) -> tuple[float, Any, Any] | None:  # noqa: ANN401 - rows of frames
    """Return the primary's difference with the interval that decides; of a fixed plan that runs, that for any day."""
    if verdict is None or not known(verdict.difference):
        return None
    if is_early(verdict) and about.words.get("method") == "fixed":
        return float(row.difference), row.anytime_low, row.anytime_high
    return float(verdict.difference), verdict.low, verdict.high


def _row(  # noqa: PLR0913 - what is known of one line
    row: Any,  # noqa: ANN401 - a row of a frame
    shown: tuple[float, Any, Any],
    scale: float,
    detail: str,
    levels: str,
    *,
    invalid: bool,
    early: bool,
    faint: bool = False,
) -> _Row | None:
    difference, low, high = shown
    sure = known(low, high)
    low, high = (float(low), float(high)) if sure else (difference, difference)
    if not known(difference / scale, low / scale, high / scale):
        return None
    where = side(low, high, row.better) if sure else 0
    effect = relative(difference / scale)
    if sure:
        effect += f"  ({range_of(low / scale, high / scale, relative)})"
    says = (
        ""
        if invalid or faint
        else _says(row, where, sure=sure, worst=low if row.better == "up" else -high, early=early)
    )
    least = float(row.minimum_effect) / scale if known(row.minimum_effect) and row.role == "primary" else None
    return _Row(
        name="" if faint else short(row.called, 26),
        detail=detail,
        role=row.role,
        difference=difference / scale,
        low=low / scale,
        high=high / scale,
        colour=MUTED if invalid or faint else _colour(where),
        effect=effect,
        says=" · ".join(part for part in (levels, says) if part),
        margin=float(row.margin) / scale if row.role == "guardrail" and known(row.margin) else None,
        worse=1 if row.better == "down" else -1,
        minimum=None if faint else least,
        faint=faint,
    )


def _says(row: Any, where: int, *, sure: bool, worst: float, early: bool) -> str:  # noqa: ANN401 - a row of a frame
    """Say in words what an interval says."""
    if not sure:
        return "no interval yet"
    if row.role == "guardrail" and known(row.margin):
        kept = worst > -row.margin if early else known(row.non_inferior) and bool(row.non_inferior)
        if kept:
            return "within its margin"
        return "worse" if where < 0 else "may be worse than its margin"
    return {1: "better", -1: "worse"}.get(where, "not told apart from 0")


def _widened(alpha: float, family: int) -> float:
    """Return by how much an interval is wider when it is one of several (Bonferroni)."""
    from scipy.special import ndtri

    alpha = min(max(alpha, 1e-6), 0.5)
    return float(ndtri(1 - alpha / 2 / family) / ndtri(1 - alpha / 2))


def _how_to_read(about: About, told: pd.DataFrame, family: int, left_out: int, *, early: bool) -> str:
    users = (told.n_control + told.n).max()
    level = share(1 - in_words(about, "alpha", 0.05))
    arms = told.variant.nunique()
    says = f"Users whose window is over, up to {number(users)}{' a comparison' * (arms > 1)}. " if known(users) else ""
    says += f"Line: the {level} interval, of the primary the one that decides "
    method = about.words.get("method", "")
    how = HOW.get("always_valid" if early and method == "fixed" else method, "by the plan")
    says += f"({how}"
    says += f", for {arms} variants)" if arms > 1 else ")"
    says += f", of secondary metrics widened for {family} comparisons. " if family > 1 and not early else ". "
    says += "As it still runs, those of the others may be read on any day. " if early else ""
    says += "Grey: less than the minimum effect. " if known(*told.minimum_effect.dropna().head(1)) else ""
    says += "Lower is better. " if (told.better == "down").all() else ""
    says += f"{left_out} more lines are left out." if left_out else ""
    return says


def _forest(axes: Axes, rows: Sequence[_Row]) -> None:
    always = [end for row in rows if row.minimum is not None for end in (-row.minimum, row.minimum)]
    always += [row.worse * row.margin for row in rows if row.margin is not None]
    low, high = limits([row.low for row in rows], [row.high for row in rows], always)
    room = (high - low) * 0.06
    low, high = low - room, high + room
    axes.set_xlim(low, high)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.axvline(0, color=DARK, lw=1.2, zorder=1)
    for place, row in enumerate(rows):
        _line(axes, place, row, low, high)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    _relative_ticks(axes)
    axes.set_xlabel("difference in % of the control's value")


def _relative_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: relative(round(value, 12)).replace(".0 %", " %")))


def _line(axes: Axes, place: int, row: _Row, low: float, high: float) -> None:
    if row.minimum is not None:
        axes.fill_between([-row.minimum, row.minimum], place - 0.4, place + 0.4, color="#EDEDED", lw=0, zorder=0)
    if row.margin is not None:
        edge, end = row.worse * row.margin, (low if row.worse < 0 else high)
        axes.fill_between([min(edge, end), max(edge, end)], place - 0.4, place + 0.4, color=ORANGE, alpha=0.1, lw=0)
        axes.vlines(edge, place - 0.4, place + 0.4, color=ORANGE, lw=2)
        beside(
            axes, "margin", (edge, place + 0.4), (-5 * row.worse, 6), size=9, color=ORANGE,
            ha="right" if row.worse > 0 else "left", path_effects=halo(), zorder=5,
        )  # fmt: skip
    thin = row.faint
    axes.hlines(place, max(row.low, low), min(row.high, high), color=row.colour, lw=2 if thin else 3.4, zorder=3)
    for end, mark in ((row.low, "<"), (row.high, ">")):
        if not low <= end <= high:
            axes.plot(min(max(end, low), high), place, mark, color=row.colour, ms=8, zorder=3, clip_on=False)
    if low <= row.difference <= high:
        axes.plot(
            row.difference, place, "o", color=row.colour, ms=6 if thin else 10, zorder=4,
            mfc="white" if thin else row.colour,
        )  # fmt: skip
    _words_beside(axes, place, row)


def _words_beside(axes: Axes, place: int, row: _Row) -> None:
    """Write the name of a line at its left and what it says at its right, each in one line or two."""
    upper, lower = 8 if row.name else 0, 8 if row.says else 0
    weight = "bold" if row.role == "primary" else "normal"
    colour = row.effect_colour or (row.colour if row.colour != MUTED else GREY)
    effect = {"size": 10, "color": colour} if row.faint else {"size": 11.5, "color": colour, "weight": "bold"}
    texts: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
        (row.name, 0, 8, {"size": 12, "color": DARK, "weight": weight}),
        (row.detail, 0, -upper, {"size": 9.5, "color": GREY}),
        (row.effect, 1, lower, effect),
        (row.says, 1, -8, {"size": 9.5, "color": GREY}),
    )
    for text, at, up, style in texts:
        axes.annotate(
            text, (at, place), xycoords=axes.get_yaxis_transform(), xytext=(10 if at else -8, up),
            textcoords="offset points", ha="left" if at else "right", va="center", annotation_clip=False, **style,
        )  # fmt: skip


# --- what was decided, in a title -------------------------------------------------------------------------------------


def headline(about: About, verdicts: Sequence[Any], effects: pd.DataFrame) -> str:
    """Say what was decided on an experiment, and by which number."""
    name = short(about.asked, 40)
    if not verdicts:
        return f"{name}: there is no verdict"
    if len(verdicts) == 1:
        return f"{name}: {_decided(about, verdicts[0], effects)}"
    if invalid := [row for row in verdicts if row.verdict == "invalid"]:
        return f"{name}: {_decided(about, invalid[0], effects)}"
    if len(verdicts) > 3:
        counted: dict[str, int] = {}
        for row in verdicts:
            counted[str(row.verdict)] = counted.get(str(row.verdict), 0) + 1
        return f"{name}: of {len(verdicts)} variants " + ", ".join(
            f"{n} {short(v)}" for v, n in sorted(counted.items())
        )
    ordered = sorted(verdicts, key=lambda row: (row.verdict != "ship", str(row.verdict), str(row.variant)))
    parts = []
    for row in ordered:
        told = _VERDICTS.get(row.verdict, short(row.verdict))
        parts.append(f"{told} for {short(row.variant, 18)}{_of_primary(about, row, effects)}")
    return f"{name}: {'; '.join(parts)}"


_VERDICTS = {"ship": "ship", "rollback": "roll back"}


def _decided(about: About, row: Any, effects: pd.DataFrame) -> str:  # noqa: ANN401 - a row of a frame
    told = f"{short(about.words.get('called', 'the primary metric'))}{_of_primary(about, row, effects, long=True)}"
    own = effects[effects.variant == row.variant]
    guardrails = own[own.role == "guardrail"]
    held = ", every guardrail within its margin" if len(guardrails) > 1 else ""
    if len(guardrails) == 1:
        held = f", {short(guardrails.called.iloc[0])} within its margin"
    if later := _later(row, own):
        told, held = f"{told}, {later}", ""
    by_verdict = {
        "invalid": f"invalid, no number counts: {short(row.because, 120)}",
        "ship": f"ship, {told}{held}",
        "rollback": f"roll back, {_harm(about, row, guardrails) or told}",
        "too early": f"too early to decide, {told} so far",
        "no meaningful difference": f"no meaningful difference, {told}",
        "inconclusive": f"inconclusive, {told}{_could(row, own)}",
    }
    return by_verdict.get(str(row.verdict), short(row.verdict))


def _later(row: Any, own: pd.DataFrame) -> str:  # noqa: ANN401 - a row of a frame
    """Say what all users tell of the primary where fewer have decided."""
    for primary in records(own[own.role == "primary"].head(1)):
        numbers = (primary.n, primary.n_control, primary.control, primary.difference, row.n, row.n_control)
        if known(*numbers) and primary.control and primary.n + primary.n_control != row.n + row.n_control:
            users = number(primary.n + primary.n_control)
            return f"{relative(primary.difference / abs(primary.control))} over all {users} users"
    return ""


def _could(row: Any, own: pd.DataFrame) -> str:  # noqa: ANN401 - a row of a frame
    """Say what the inconclusive could have seen."""
    for control in own[own.role == "primary"].control.head(1):
        if known(row.detectable, control) and control:
            return f"; {relative(row.detectable / abs(control), signed=False)} could have been seen"
    return ""


def _of_primary(about: About, row: Any, effects: pd.DataFrame, *, long: bool = False) -> str:  # noqa: ANN401
    for own in records(effects[(effects.variant == row.variant) & (effects.role == "primary")].head(1)):
        shown = _deciding(own, row, about)
        if shown is None or not known(own.control) or own.control == 0:
            return ""
        scale = abs(float(own.control))
        interval = f" ({range_of(shown[1] / scale, shown[2] / scale, relative)})" if known(*shown[1:]) else ""
        told = relative(shown[0] / scale)
        return f" {told}{interval}" if long else f" ({told})"
    return ""


def _harm(about: About, row: Any, guardrails: pd.DataFrame) -> str:  # noqa: ANN401 - a row of a frame
    """Name the guardrail that is worse, where the primary is not."""
    if side(row.low, row.high, about.words.get("better", "")) < 0:
        return ""
    for told in records(guardrails):
        low, high = (told.anytime_low, told.anytime_high) if is_early(row) else (told.low, told.high)
        if side(low, high, told.better) < 0 and known(told.control) and told.control:
            scale = abs(float(told.control))
            return (
                f"{short(told.called)} {relative(told.difference / scale)} "
                f"({range_of(low / scale, high / scale, relative)})"
            )
    return ""


# --- all experiments --------------------------------------------------------------------------------------------------

_WORTH = "worth"
_ORDER = ("ship", "rollback", "no meaningful difference", "inconclusive", "too early", "invalid")
_COUNTED = {
    "ship": ("ships", "ship"),
    "rollback": ("is to be rolled back", "are to be rolled back"),
    "no meaningful difference": ("makes no meaningful difference", "make no meaningful difference"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "too early": ("is too early to tell", "are too early to tell"),
    "invalid": ("is invalid", "are invalid"),
}


@drawing("What experiments decided")
def overview(about: About, verdicts: pd.DataFrame) -> Figure:
    """Draw the primary effect of every experiment and variant with the interval that decides, and the verdict.

    Args:
        about: What it is of.
        verdicts: experiment, variant, verdict, over, ends, called, better, unit, minimum_effect, control, difference,
            low, high, n_control, n, because, method, all_difference, all_low, all_high,
            all_anytime_low, all_anytime_high, all_n, revenue_low, revenue_high.
    """
    told = verdicts[verdicts.verdict.isin(_ORDER)]
    if told.empty:
        raise NotEnoughError("there is no verdict on any experiment yet")
    title = _counted(told)
    left_out = max(0, len(told) - _MOST_ROWS)
    told = told.sort_values(["ends", "experiment", "variant"], ascending=[False, True, True]).head(_MOST_ROWS)
    order = told.verdict.map({verdict: place for place, verdict in enumerate(_ORDER)})
    size = (told.difference / told.control.abs()).abs()
    told = told.assign(order=order, size=size).sort_values(
        ["order", "size", "experiment"], ascending=[True, False, True]
    )
    arms = told.groupby("experiment").variant.transform("nunique") if len(told) else told.variant
    rows = [
        line
        for row, n in zip(records(told), arms, strict=True)
        for line in (_verdict_row(about, row, several=n > 1), _everybody(row))
        if line is not None
    ]
    says = "Line: the interval that decides on the primary metric, blue where it is better, orange where it is worse. "
    says += "Grey ground: less than the minimum effect."
    if any(_WORTH in row.effect for row in rows):
        says += " Worth: net revenue if everybody had it, by the interval of the effect."
    says += f" The {_MOST_ROWS} that ended last, of {_MOST_ROWS + left_out}." if left_out else ""
    figure = sheet(about, title, says, height=max(HEIGHT, 2.1 + 0.58 * len(rows)))
    _forest(figure.subplots(), rows)
    return figure


def _counted(told: pd.DataFrame) -> str:
    counts = told.verdict.value_counts().to_dict()
    parts = [f"{counts[verdict]} {_COUNTED[verdict][counts[verdict] > 1]}" for verdict in _ORDER if verdict in counts]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    experiments = told.experiment.nunique()
    if len(told) == 1:
        return f"The only experiment {listed.removeprefix('1 ')}"
    of = f"{len(told)} variants in {experiments} experiment{'s' * (experiments != 1)}"
    return f"Of {of} {listed}"


def _verdict_row(about: About, row: Any, *, several: bool) -> _Row:  # noqa: ANN401 - a row of a frame
    verdict = str(row.verdict)
    scale = abs(float(row.control)) if known(row.control) and row.control else math.nan
    told = (row.difference, row.low, row.high)
    if is_early(row) and row.method == "fixed":
        told = (row.all_difference, row.all_anytime_low, row.all_anytime_high)
    shown = [float(value) / scale if known(value) else math.nan for value in told]
    sure = known(*shown)
    says = "no effect to tell"
    if known(shown[0]):
        says = relative(shown[0]) + (f" ({range_of(shown[1], shown[2], relative)})" if sure else "")
    effect = verdict
    if verdict == "invalid":
        says = textwrap.fill(short(row.because, 90), 46)
    elif verdict == "rollback" and known(shown[0]):
        effect = f"rollback: {short(str(row.because).split(' differs')[0].removeprefix('the '), 30)} is worse"
    elif verdict == "ship" and known(row.revenue_low, row.revenue_high):
        effect = f"ship, {_WORTH} {range_of(row.revenue_low, row.revenue_high)} {short(about.currency, 6)} a month"
    where = side(shown[1], shown[2], row.better) if sure else 0
    return _Row(
        name=short(row.experiment, 24),
        detail=short(row.called, 22) + (f" · {short(row.variant, 14)}" if several else ""),
        role="",
        difference=shown[0],
        low=shown[1],
        high=shown[2],
        colour=MUTED if verdict == "invalid" else _colour(where),
        effect=effect,
        effect_colour=OF_VERDICT.get(verdict, GREY),
        says=says,
        minimum=float(row.minimum_effect) / scale if known(row.minimum_effect, scale) else None,
    )


OF_VERDICT = {"ship": BLUE, "rollback": ORANGE, "no meaningful difference": DARK}


def _everybody(row: Any) -> _Row | None:  # noqa: ANN401 - a row of a frame
    """Say what all users tell where fewer have decided."""
    if not known(row.control, row.all_difference, row.all_low, row.all_high, row.n, row.n_control, row.all_n):
        return None
    if row.control == 0 or row.all_n == row.n + row.n_control:
        return None
    scale = abs(float(row.control))
    shown = [float(value) / scale for value in (row.all_difference, row.all_low, row.all_high)]
    return _Row(
        name="",
        detail=f"all {number(row.all_n)} users, decides nothing",
        role="",
        difference=shown[0],
        low=shown[1],
        high=shown[2],
        colour=MUTED,
        effect=f"{relative(shown[0])} ({range_of(shown[1], shown[2], relative)})",
        says="",
        faint=True,
    )
