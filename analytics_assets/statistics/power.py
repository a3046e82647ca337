"""Planning: what an experiment can see, and how many units and days it takes.

Belongs here: power, sample size, detectable effect, days, at a fixed horizon and sequentially. Does not belong here:
where baselines and traffic come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from analytics_assets.statistics.effects import (
    Alternative,
    Reference,
    checked_alpha,
    critical_value,
    upper_tail,
    welch_df,
)
from analytics_assets.statistics.sequential import (
    Spending,
    always_valid_critical,
    boundaries,
    crossing_probabilities,
    tuning,
)

MOST_UNITS = 1e15
"""More units than any experiment has: an effect that needs more is out of reach."""


@dataclass(frozen=True, slots=True)
class Design:
    """Describe a comparison of one treatment with a control, before there are data.

    Attributes:
        variance: Of one unit's outcome in the control; p (1 - p) of a share; of a ratio, the delta method's.
        mean: Of the control; needed where effects are lifts.
        variance_treatment: Of one unit's outcome in the treatment; the control's, if None.
        ratio: Units of the treatment for one of the control.
        alpha: Error level.
        alternative: "two-sided", "greater" or "less".
        relative: Whether effects are lifts.
        correlation: Of the outcome and its covariate: adjustment leaves 1 - correlation^2 of the variance.
        margin: Of a non-inferiority test, in the effect's unit; 0 for superiority.
        reference: "normal", or "t" for few units.
        equal_variances: Whether Student's t will be used, and not Welch's; of "t" alone.
        horizon: Units for which an always-valid interval is tuned; None without one.
        looks: At how many equal shares of the units one looks (always-valid, or `spending`).
        spending: How a group-sequential plan spends alpha; None without one.
        spending_power: Of the spending function "power".
    """

    variance: float
    mean: float | None = None
    variance_treatment: float | None = None
    ratio: float = 1.0
    alpha: float = 0.05
    alternative: Alternative = "two-sided"
    relative: bool = False
    correlation: float = 0.0
    margin: float = 0.0
    reference: Reference = "normal"
    equal_variances: bool = False
    horizon: float | None = None
    looks: int = 1
    spending: Spending | None = None
    spending_power: float = 2.0

    def __post_init__(self) -> None:
        checked_alpha(self.alpha)
        problems = {
            "a variance is above zero": not self.variance > 0 or (self.variance_treatment or 1.0) < 0,
            "a ratio of arms is above zero": not self.ratio > 0,
            "a correlation is between -1 and 1": not -1 < self.correlation < 1,
            "a margin is not negative": not self.margin >= 0,
            "a margin needs a one-sided alternative": self.margin > 0 and self.alternative == "two-sided",
            "a lift needs the control's mean, which is not zero": self.relative and not self.mean,
            "a plan is always-valid or group-sequential": self.horizon is not None and self.spending is not None,
            "there is a look": self.looks < 1,
        }
        for problem, there in problems.items():
            if there:
                raise ValueError(problem)

    @classmethod
    def of_share(cls, share: float, **options: object) -> Design:
        """Describe a comparison of shares.

        >>> Design.of_share(0.1).variance
        0.09000000000000001
        """
        return cls(variance=share * (1 - share), mean=share, **options)  # type: ignore[arg-type]

    def variances(self, units: float, effect: float) -> tuple[float, float, float, float]:
        """Give the squared standard errors of the arms, and their units, for units of both arms together."""
        n_c = units / (1 + self.ratio)
        n_t = units - n_c
        left = 1 - self.correlation**2
        v_c = self.variance * left / n_c
        v_t = (self.variance if self.variance_treatment is None else self.variance_treatment) * left / n_t
        if self.relative and self.mean:
            v_c, v_t = v_c * (1 + effect) ** 2 / self.mean**2, v_t / self.mean**2
        return v_c, v_t, n_c, n_t


def power(design: Design, effect: float, units: float) -> float:
    """Give the chance to find an effect with so many units of both arms.

    Two-sided power counts both tails. A sequential plan counts crossing at any of its looks.

    Args:
        design: The comparison.
        effect: In the outcome's unit, or a lift; 0 is what a non-inferiority test usually assumes.
        units: Of both arms together.

    >>> round(power(Design(variance=1.0), 0.05, 2 * 6280), 4)
    0.8001
    """
    v_c, v_t, n_c, n_t = design.variances(units, effect)
    distance = effect + design.margin if design.alternative != "less" else design.margin - effect
    drift = distance / math.sqrt(v_c + v_t)
    two_sided = design.alternative == "two-sided"
    sides: Literal[1, 2] = 2 if two_sided else 1
    if design.spending is not None:
        plan = _plan(design.looks, design.alpha, sides, design.spending, design.spending_power)
        return sum(crossing_probabilities(plan[0], plan[1], drift=abs(drift) if two_sided else drift, sides=sides))
    if design.horizon is not None:
        rho2 = tuning(design.alpha, design.horizon, sides=sides)
        fractions = [(look + 1) / design.looks for look in range(design.looks)]
        bounds = [always_valid_critical(units * share, rho2, design.alpha, sides=sides) for share in fractions]
        if design.looks > 1:
            return sum(crossing_probabilities(bounds, fractions, drift=abs(drift) if two_sided else drift, sides=sides))
        return _beyond(drift, bounds[0], two_sided=two_sided)
    if design.reference == "normal":
        return _beyond(drift, critical_value(design.alpha, None, design.alternative), two_sided=two_sided)
    if n_c <= 1 or n_t <= 1:
        return 0.0
    df = units - 2 if design.equal_variances else welch_df(v_c, n_c, v_t, n_t)
    bound = critical_value(design.alpha, df, design.alternative)
    from scipy.special import nctdtr

    chance = 1 - float(nctdtr(df, abs(drift) if two_sided else drift, bound))
    return min(1.0, chance + float(nctdtr(df, abs(drift), -bound))) if two_sided else chance


def units_needed(design: Design, effect: float, target: float = 0.8) -> float | None:
    """Give the units of both arms that find an effect with a power; round up. None where no number of units would.

    >>> round(units_needed(Design(variance=1.0, reference="t"), 0.02) / 2, 1)
    39245.3
    """
    _checked_power(target)
    return _first(lambda units: power(design, effect, units), target)


def detectable_effect(design: Design, units: float, target: float = 0.8) -> float | None:
    """Give the smallest effect (in size) that so many units find with a power; None where no effect is large enough.

    It has the sign of the alternative: negative for "less". A non-inferiority test gives the true effect from which its
    margin is met: negative where the treatment may even be a little worse.

    >>> round(detectable_effect(Design.of_share(0.1), 28256), 4)
    0.01
    """
    _checked_power(target)
    from scipy.optimize import brentq

    sign = -1.0 if design.alternative == "less" else 1.0
    v_c, v_t, *_ = design.variances(units, 0.0)
    step = math.sqrt(v_c + v_t)

    def missing(size: float) -> float:
        return power(design, sign * size, units) - target

    start = -design.margin
    if missing(start) >= 0:
        return sign * start
    far = step
    while missing(start + far) < 0:
        far *= 2
        if far > 1e12 * step:
            return None
    return sign * float(brentq(missing, start, start + far, xtol=1e-12 * step, rtol=1e-12))


def days_needed(needed: float | None, *, seen: float, units_per_day: float, window_days: int = 0) -> int | None:
    """Give the days until so many units are in and the window of the last has closed; None if never.

    Args:
        needed: Units of both arms, matured.
        seen: Units exposed so far, matured or not.
        units_per_day: That come new each day.
        window_days: How long a unit's window is.

    >>> days_needed(28256, seen=10_000, units_per_day=1500, window_days=7)
    20
    """
    if needed is None:
        return None
    missing = max(needed - seen, 0.0)
    if missing and not units_per_day > 0:
        return None
    return (math.ceil(missing / units_per_day) if missing else 0) + window_days


def power_of_shares(
    control: float,
    treatment: float,
    n_control: float,
    n_treatment: float,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> float:
    """Give the power of the pooled z test of two shares (Fleiss, Levin, Paik 2003, 4.2).

    Its error is another with an effect than without.

    >>> round(power_of_shares(0.1, 0.11, 14751, 14751), 4)
    0.8
    """
    checked_alpha(alpha)
    pooled = (control * n_control + treatment * n_treatment) / (n_control + n_treatment)
    without = math.sqrt(pooled * (1 - pooled) * (1 / n_control + 1 / n_treatment))
    error = math.sqrt(control * (1 - control) / n_control + treatment * (1 - treatment) / n_treatment)
    if not error:
        return 0.0 if control == treatment else 1.0
    bound, drift = critical_value(alpha, None, alternative) * without / error, (treatment - control) / error
    return _beyond(-drift if alternative == "less" else drift, bound, two_sided=alternative == "two-sided")


def units_for_shares(
    control: float,
    treatment: float,
    target: float = 0.8,
    *,
    ratio: float = 1.0,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> float | None:
    """Give the units of the control that the pooled z test of two shares needs.

    The treatment has `ratio` times as many.

    >>> round(units_for_shares(0.1, 0.11), 1)
    14750.8
    """
    _checked_power(target)
    return _first(
        lambda n: power_of_shares(control, treatment, n, n * ratio, alpha=alpha, alternative=alternative), target
    )


def with_covariate(design: Design, correlation: float) -> Design:
    """Describe the same comparison, adjusted for a covariate with this correlation to the outcome.

    >>> round(units_needed(with_covariate(Design(variance=1.0), 0.6), 0.1) / units_needed(Design(variance=1.0), 0.1), 2)
    0.64
    """
    return replace(design, correlation=correlation)


def _beyond(drift: float, bound: float, *, two_sided: bool) -> float:
    chance = upper_tail(bound - drift, None)
    return chance + upper_tail(bound + drift, None) if two_sided else chance


@lru_cache(maxsize=64)
def _plan(
    looks: int, alpha: float, sides: Literal[1, 2], spending: Spending, spending_power: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    fractions = tuple((look + 1) / looks for look in range(looks))
    return boundaries(fractions, alpha, sides=sides, spending=spending, power=spending_power).z, fractions


def _first(chance: Callable[[float], float], target: float) -> float | None:
    """Find the number from which a growing chance reaches a target."""
    from scipy.optimize import brentq

    low, high = 2.0, 4.0
    if chance(low) >= target:
        return low
    while chance(high) < target:
        low, high = high, 2 * high
        if high > MOST_UNITS:
            return None
    return float(brentq(lambda n: chance(n) - target, low, high, xtol=1e-9, rtol=1e-12))


def _checked_power(target: float) -> None:
    if not 0 < target < 1:
        msg = f"a power lies between 0 and 1, both excluded: {target}"
        raise ValueError(msg)
