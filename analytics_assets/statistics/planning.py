"""Planning an experiment of what is known of its users: what it can see by week, and how long it takes.

The primary is judged by the plan's method at alpha over the arms (Bonferroni, which Holm is at worst), guardrails
one-sided at alpha against their margin, others at a fixed horizon at alpha. As everything that decides must go well at
once, the power of each is raised to 1 - (1 - power) / (guardrails + 1) (Schultzberg, Ankargren, Frånberg,
arXiv:2402.11609).

Belongs here: from moments and traffic to a forecast. Does not belong here: power itself (`power`), and where moments
and traffic come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from analytics_assets.statistics.adjustment import linearised
from analytics_assets.statistics.effects import Reason, checked_alpha
from analytics_assets.statistics.means import mean_of, ratio_of
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.power import Design, detectable_effect, power, units_needed
from analytics_assets.statistics.verdicts import Measure, Method

WEEK = 7
MOST_LOOKS = 10
"""How often an always-valid plan is taken to be looked at, at most: more looks change little."""
LEAST_UNITS = 100.0
_ALMOST_ONE = 0.999_999


@dataclass(frozen=True, slots=True)
class Baseline:
    """Hold what a metric is like without any treatment.

    Attributes:
        units: Units that it rests on.
        mean: The metric: a mean a unit, or a ratio of means.
        variance: Of one unit; of a ratio, the delta method's.
        correlation: With the same metric in the days before; 0 without a covariate.
        reason: Why there is none.
    """

    units: int
    mean: float | None
    variance: float | None
    correlation: float
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Hold how many units are exposed first on each day from a start on.

    Attributes:
        daily: New units of each day.

    >>> reach = Reach((100, 50, 30, 20, 10, 10, 10))
    >>> reach.after(2), reach.after(14), reach.days_until(150), Reach(()).days_until(1)
    (150.0, 460.0, 2, None)
    """

    daily: tuple[int, ...]

    @property
    def later(self) -> float:
        """New units a day on days beyond those seen: as on the last week of them."""
        last = self.daily[-WEEK:]
        return sum(last) / len(last) if last else 0.0

    def after(self, days: int) -> float:
        """Give the units exposed in the first so many days."""
        return float(sum(self.daily[:days])) + max(days - len(self.daily), 0) * self.later

    def days_until(self, units: float) -> int | None:
        """Give the days until so many units are exposed; None if never."""
        so_far = 0
        for day, new in enumerate(self.daily, 1):
            so_far += new
            if so_far >= units:
                return day
        missing = units - so_far
        return len(self.daily) + math.ceil(missing / self.later) if self.later else None


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold what a plan fixes.

    Attributes:
        method: How the primary is looked at.
        alpha: Error level.
        power: With which all that decides shall go well.
        days: Days of exposure.
        control: Share of the control.
        treatment: Share of the treatment that has the least.
        treatments: How many there are.
        guardrails: How many there are.
        looks: Of a group-sequential plan.
    """

    method: Method
    alpha: float
    power: float
    days: int
    control: float
    treatment: float
    treatments: int = 1
    guardrails: int = 0
    looks: int = 5

    @property
    def weeks(self) -> int:
        """Weeks of exposure, the last one begun."""
        return math.ceil(self.days / WEEK)

    @property
    def raised_power(self) -> float:
        """The power of each that decides."""
        return 1 - (1 - self.power) / (self.guardrails + 1)


@dataclass(frozen=True, slots=True)
class Week:
    """Hold what a metric can see if exposure lasts so many weeks.

    Attributes:
        week: How many.
        users: Exposed by then, of all arms.
        detectable: The effect that is found with the power, in the metric's unit; None: none is large enough, or a
            guardrail.
        relative: detectable / |mean|; None where the mean is 0.
        chance: Of a guardrail: to be found non-inferior where nothing differs. Of others with a minimum effect: to find
            it.
    """

    week: int
    users: float
    detectable: float | None
    relative: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class Prospect:
    """Hold what a plan can see of one metric.

    Attributes:
        measure: The metric, as planned.
        baseline: What it is like.
        power: That is aimed at.
        users_needed: Of all arms, for the minimum effect or the margin; None: there is none, or never.
        days_needed: Days of exposure until they are there; None: never.
        weeks: By week.
    """

    measure: Measure
    baseline: Baseline
    power: float
    users_needed: float | None
    days_needed: int | None
    weeks: tuple[Week, ...]

    @property
    def weeks_needed(self) -> int | None:
        """Weeks of exposure, the last one begun."""
        return None if self.days_needed is None else math.ceil(self.days_needed / WEEK)


def baseline(moments: Moments, *, ratio: bool = False, covariate: bool = False) -> Baseline:
    """Describe a metric by the moments of units that nobody treated.

    Args:
        moments: Of the outcome and its covariate; with `ratio` of numerator, denominator and both before.
        ratio: Whether the metric is a ratio of means.
        covariate: Whether the plan adjusts for what was before.

    >>> baseline(Moments.of([1.0, 2.0, 3.0], [1.0, 2.0, 3.5]), covariate=True).correlation > 0.9
    True
    """
    arm = ratio_of(moments) if ratio else mean_of(moments)
    reason = arm.reason or (Reason.ONE_UNIT if arm.n < 2 else None if arm.variance > 0 else Reason.NO_VARIANCE)
    mean = None if arm.reason is not None else arm.estimate
    if reason is not None or not covariate:
        return Baseline(arm.n, mean, None if arm.reason is not None else arm.variance, 0.0, reason)
    if ratio:
        now, joint, before = linearised(moments) if moments.mean(3) else (arm.variance, 0.0, 0.0)
    else:
        now, joint, before = moments.variance(), moments.covariance(0, 1), moments.variance(1)
    tied = joint / math.sqrt(now * before) if now > 0 and before > 0 else 0.0
    return Baseline(arm.n, mean, arm.variance, max(-_ALMOST_ONE, min(_ALMOST_ONE, tied)))


def prospect(measure: Measure, found: Baseline, planned: Planned, reach: Reach, weeks: int) -> Prospect:
    """Say what a plan can see of a metric by week, and how long it takes for its minimum effect or margin.

    Args:
        measure: The metric, as planned.
        found: What it is like.
        planned: What the plan fixes.
        reach: New units by day.
        weeks: How many weeks are told.

    >>> planned = Planned("fixed", 0.05, 0.8, 28, 0.5, 0.5)
    >>> told = prospect(
    ...     Measure("buyers", minimum_effect=0.01), Baseline(9000, 0.1, 0.09, 0.0), planned, Reach((1000,) * 28), 4
    ... )
    >>> round(told.users_needed), told.weeks_needed, round(told.weeks[3].detectable, 5)
    (28256, 5, 0.01005)
    """
    target = planned.power if measure.role == "secondary" else planned.raised_power
    if found.reason is not None or not found.variance:
        return Prospect(measure, found, target, None, None, ())
    design = _design(measure, found, planned, reach)
    share = planned.control + planned.treatment
    units = None
    if measure.role == "guardrail":
        units = units_needed(design, 0.0, target)
    elif measure.minimum_effect is not None:
        units = units_needed(design, measure.minimum_effect, target)
    users = None if units is None else units / share
    days = None if users is None else reach.days_until(users)
    told = (_week(measure, found, design, week, reach, (target, share)) for week in range(1, weeks + 1))
    return Prospect(measure, found, target, users, days, tuple(told))


def _design(measure: Measure, found: Baseline, planned: Planned, reach: Reach) -> Design:
    """Describe how a metric will be judged."""
    alpha = checked_alpha(planned.alpha)
    common = {
        "variance": found.variance or 0.0,
        "mean": found.mean,
        "ratio": planned.treatment / planned.control,
        "correlation": found.correlation,
    }
    if measure.role == "guardrail":
        return Design(**common, alpha=alpha, alternative="greater", margin=measure.margin or 0.0)  # type: ignore[arg-type]
    if measure.role == "secondary":
        return Design(**common, alpha=alpha)  # type: ignore[arg-type]
    each = alpha / planned.treatments
    if planned.method == "always_valid":
        horizon, looks = max(LEAST_UNITS, reach.after(planned.days)), max(1, min(planned.weeks, MOST_LOOKS))
        return Design(**common, alpha=each, horizon=horizon, looks=looks)  # type: ignore[arg-type]
    if planned.method == "group_sequential":
        return Design(**common, alpha=each, looks=planned.looks, spending="power")  # type: ignore[arg-type]
    return Design(**common, alpha=each)  # type: ignore[arg-type]


def _week(
    measure: Measure, found: Baseline, design: Design, week: int, reach: Reach, asked: tuple[float, float]
) -> Week:
    target, share = asked
    users = reach.after(week * WEEK)
    units = users * share
    if units < 4:
        return Week(week, users, None, None, None)
    if measure.role == "guardrail":
        return Week(week, users, None, None, power(design, 0.0, units))
    least = detectable_effect(design, units, target)
    relative = least / abs(found.mean) if least is not None and found.mean else None
    chance = None if measure.minimum_effect is None else power(design, measure.minimum_effect, units)
    return Week(week, users, least, relative, chance)
