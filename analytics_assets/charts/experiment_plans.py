"""Plans of experiments as pictures: which effects they can see, and when.

Belongs here: charts of what comes before an experiment. Does not belong here: planning itself (`statistics.planning`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from analytics_assets.charts.experiments import (
    MOST_PANELS,
    known,
    panel_height,
    panel_title,
    panels,
    relative,
)
from analytics_assets.charts.house import (
    BLUE,
    DARK,
    ORANGE,
    About,
    NotEnoughError,
    drawing,
    halo,
    number,
    records,
    sheet,
    short,
)
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.planning import Planned, Prospect, Reach, baseline, prospect
from analytics_assets.statistics.verdicts import Measure, Method

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_WEEKS = 12
_SELDOM, _OFTEN = 0.5, 0.95
_PLAIN, _OF_RATIO = ("value", "pre_value"), ("value", "weight", "pre_value", "pre_weight")
_ORDER = ("value", "weight", "pre_value", "pre_weight")


@dataclass(frozen=True)
class _Curve:
    """Hold what a plan can see by week, as shares of the baseline."""

    name: str
    weeks: list[int]
    least: list[float]
    seldom: list[float]
    often: list[float]
    minimum: float
    planned: int
    needed: int | None


@drawing("Effects that plans can see")
def power(about: About, plans: pd.DataFrame, days: pd.DataFrame) -> Figure:
    """Draw the effect that each plan would find by week of exposure, beside the one that it looks for.

    Args:
        about: What it is of; `words` say how many experiments there are (`of`) and are `shown`.
        plans: experiment, what the plan fixes, and the sums of its primary metric of users of these days.
        days: experiment, day, users: who would have been exposed first on each of these days.
    """
    told = plans.dropna(subset=["experiment"]).drop_duplicates("experiment").sort_values("experiment")
    curves = []
    for row in records(told.head(MOST_PANELS)):
        own = days[days.experiment == row.experiment].dropna(subset=["day", "users"]).sort_values("day")
        curve = _curve(row, [max(int(n), 0) for n in own.users if known(n) and n < 1e12])
        curves += [curve] if curve is not None else []
    if not curves:
        raise NotEnoughError("nobody met the exposing event of a plan on the last days whose windows are over")
    says = (
        "Line: the effect on the primary metric that would be found with the plan's power, in % of the metric, if it "
    )
    says += "began now and lasted so many weeks. Band: from found half of the time to 95 %."
    of, shown = about.words.get("of", ""), about.words.get("shown", "")
    says += f" The {shown} experiments that begin last, of {of}." if of != shown else ""
    figure = sheet(about, _title(curves), says, height=panel_height(len(curves)) + 0.3)
    many = len(curves)
    across = many if many <= 3 else math.ceil(many / 2)
    for place, (axes, curve) in enumerate(zip(panels(figure, many), curves, strict=True)):
        _draw(axes, curve)
        if place >= many - across:
            axes.set_xlabel("weeks of exposure", size=10)
    return figure


def _title(curves: list[_Curve]) -> str:
    able = sum(curve.needed is not None and curve.needed <= curve.planned for curve in curves)
    if len(curves) == 1:
        (curve,) = curves
        needs = f"{curve.needed} weeks" if curve.needed is not None else "more users than ever come"
        return f"{short(curve.name, 40)} needs {needs} for its minimum effect, and has {curve.planned} planned"
    none = "None" if not able else str(able)
    its = "its" if able == 1 else "their"
    now = "if it began now" if able == 1 else "if they began now"
    return f"{none} of {len(curves)} plans would see {its} minimum effect within the weeks planned, {now}"


def _moments(row: Any) -> Moments | None:  # noqa: ANN401 - a row of a frame
    names = _OF_RATIO if row.ratio is True or (known(row.ratio) and bool(row.ratio)) else _PLAIN
    pairs = [[sorted((one, other), key=_ORDER.index) for other in names] for one in names]
    sums = [_number(row, f"sum_{name}") for name in names]
    products = [[_number(row, f"product_{one}_{other}") for one, other in pair] for pair in pairs]
    shifts = [_number(row, f"shift_{name}") for name in names]
    if not known(row.n, *sums, *shifts, *(value for line in products for value in line)) or not 2 <= row.n < 1e15:
        return None
    return Moments.from_sums(int(row.n), sums, products, shifts)


def _number(row: Any, name: str) -> float:  # noqa: ANN401 - a row of a frame
    value = getattr(row, name)
    return float(value) if value is not None and value == value else 0.0  # noqa: PLR0124 - a missing value is not itself


def _planned(row: Any) -> Planned | None:  # noqa: ANN401 - a row of a frame
    counts = (row.days, row.treatments, row.guardrails, row.looks)
    shares = (row.alpha, row.power, row.control, row.treatment)
    if row.method not in get_args(Method) or not known(*counts, *shares):
        return None
    if not all(0 < value < 1 for value in shares) or not all(0 <= value < 1e4 for value in counts):
        return None
    return Planned(
        row.method, float(row.alpha), float(row.power), max(int(row.days), 1), float(row.control), float(row.treatment),
        max(int(row.treatments), 1), int(row.guardrails), min(max(int(row.looks), 2), 50),
    )  # fmt: skip


def _curve(row: Any, users: list[int]) -> _Curve | None:  # noqa: ANN401 - a row of a frame
    moments, planned = _moments(row), _planned(row)
    if moments is None or planned is None or not users or not known(row.minimum_effect) or not row.minimum_effect > 0:
        return None
    ratio, covariate = moments_of_ratio(moments), bool(known(row.covariate) and row.covariate)
    found = baseline(moments, ratio=ratio, covariate=covariate)
    if found.reason is not None or not found.variance or not found.mean:
        return None
    measure = Measure(str(row.called), "primary", "higher", ratio, covariate, None, float(row.minimum_effect))
    told = prospect(measure, found, planned, Reach(tuple(users)), min(planned.weeks, _MOST_WEEKS))
    return _relative_curve(str(row.experiment), told, planned)


def moments_of_ratio(moments: Moments) -> bool:
    """Say whether moments are those of a ratio, and its two variables before."""
    return len(moments.shifts) == len(_OF_RATIO)


def _relative_curve(name: str, told: Prospect, planned: Planned) -> _Curve | None:
    from scipy.special import ndtri

    mean = abs(told.baseline.mean or 0.0)
    weeks = [week for week in told.weeks if known(week.detectable) and week.users > 0]
    if not weeks or not mean:
        return None
    # what is found is error x (bound + quantile of the power): another power moves the second part
    spread = (told.baseline.variance or 0.0) * (1 - told.baseline.correlation**2)
    arms = 1 / planned.control + 1 / planned.treatment
    errors = [math.sqrt(spread * arms / week.users) for week in weeks]
    least = [float(week.detectable or 0.0) for week in weeks]

    def at(chance: float) -> list[float]:
        moved = float(ndtri(chance) - ndtri(told.power))
        return [max(effect + moved * error, 0.0) / mean for effect, error in zip(least, errors, strict=True)]

    return _Curve(
        name, [week.week for week in weeks], [effect / mean for effect in least], at(_SELDOM), at(_OFTEN),
        float(told.measure.minimum_effect or 0.0) / mean, planned.weeks, told.weeks_needed,
    )  # fmt: skip


def _draw(axes: Axes, curve: _Curve) -> None:
    late = curve.needed is None or curve.needed > curve.planned
    axes.fill_between(curve.weeks, curve.seldom, curve.often, color=BLUE, alpha=0.2, lw=0)
    axes.plot(curve.weeks, curve.least, color=BLUE, marker="o" if len(curve.weeks) == 1 else "")
    axes.axhline(curve.minimum, color=ORANGE if late else DARK, lw=1.4, ls=(0, (4, 3)))
    top = max(max(curve.least[min(1, len(curve.least) - 1) :]) * 1.25, curve.minimum * 1.3)
    axes.set_ylim(0, top)
    axes.set_xlim(0.6, max(curve.weeks[-1], 2) + 0.4)
    weeks = f"after {curve.weeks[-1]} week{'s' * (curve.weeks[-1] > 1)} {relative(curve.least[-1], signed=False)}"
    axes.annotate(
        weeks, (1, 1), xycoords="axes fraction", xytext=(0, -2), textcoords="offset points", ha="right", va="top",
        size=9.5, weight="bold", color=BLUE,
    ).set_in_layout(False)  # fmt: skip
    axes.annotate(
        f"minimum effect {relative(curve.minimum, signed=False)}", (0, curve.minimum),
        xycoords=axes.get_yaxis_transform(), xytext=(4, -3), textcoords="offset points", va="top", size=9,
        color=ORANGE if late else DARK, path_effects=halo(),
    ).set_in_layout(False)  # fmt: skip
    axes.locator_params(nbins=4)
    axes.locator_params(axis="x", integer=True)
    axes.tick_params(labelsize=9.5)
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: relative(round(value, 12), signed=False).replace(".0 %", " %"))
    )
    needs = "more than ever come" if curve.needed is None else f"{number(curve.needed)} weeks"
    detail = f"needs {needs}, {number(curve.planned)} planned"
    panel_title(axes, curve.name, detail, ORANGE if late else DARK)
