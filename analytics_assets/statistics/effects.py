"""Contrasts of a treatment with a control, and what is inferred of them: difference, lift, interval, p-value.

Every way to estimate (`means`, `adjustment`, `quantiles`, ...) ends in a `Contrast`; every way to infer (here,
`sequential`, `bayes`, `noninferiority`) begins with one. What cannot be computed is None, and `reason` says why.

Belongs here: the two records, and inference at a fixed horizon. Does not belong here: how arms are estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import NormalDist
from typing import Literal, NamedTuple

Alternative = Literal["two-sided", "greater", "less"]
Reference = Literal["t", "normal"]
NORMAL = NormalDist()
MANY = 1e7
"""Degrees of freedom from which Student's distribution is taken as the normal."""


class Reason(StrEnum):
    """Say why there is no number."""

    NO_UNITS = "an arm has no units"
    ONE_UNIT = "an arm has fewer than two units"
    NOT_FINITE = "an outcome is not a finite number"
    NO_VARIANCE = "the outcomes do not vary"
    NO_DENOMINATOR = "the denominator of a ratio is zero"
    ZERO_CONTROL = "the control mean is zero"
    NOT_POSITIVE = "a mean is not above zero"
    UNBOUNDED = "the control mean cannot be told from zero"
    TOO_FEW = "there are too few units"
    COLLINEAR = "covariates determine each other"
    SEPARATED = "a covariate separates the outcomes"
    NOT_CONVERGED = "the fit did not converge"


@dataclass(frozen=True, slots=True)
class Contrast:
    """Hold the estimates of two arms and how they vary together.

    Attributes:
        control: Estimate of the control, to which a lift refers.
        treatment: Estimate of the treatment; control + difference.
        difference: Treatment minus control.
        variance: Squared standard error of the difference.
        control_variance: Squared standard error of the control.
        treatment_variance: Squared standard error of the treatment.
        covariance: Of the difference and the control; minus the control's variance where arms are independent.
        df: Degrees of freedom (Welch-Satterthwaite, where nothing else is said).
        n_control: Units (clusters, where they are what was randomised).
        n_treatment: Units.
        theta: Slope on the covariate, where there is one.
        reason: Why there is no inference; the means and the difference are there where they exist.
    """

    control: float | None
    treatment: float | None
    difference: float | None
    variance: float | None
    control_variance: float | None
    treatment_variance: float | None
    covariance: float | None
    df: float | None
    n_control: int
    n_treatment: int
    theta: float | None = None
    reason: Reason | None = None

    @property
    def n(self) -> int:
        """Units of both arms."""
        return self.n_control + self.n_treatment


@dataclass(frozen=True, slots=True)
class Effect:
    """Hold an estimated effect with its interval and test.

    Attributes:
        estimate: Difference in the outcome's unit, or lift as a share of the control (0.1 is 10 %).
        low: Lower end of the interval at level 1 - alpha; minus infinity where the alternative is "less".
        high: Upper end; infinity where the alternative is "greater".
        std_error: Standard error of the estimate (of log(1 + lift) where the method is "log").
        statistic: (estimate - null) / standard error, as the method forms it.
        p_value: Of the hypothesis that the effect is `null`, against the alternative.
        df: Degrees of freedom; None where the reference is normal.
        alpha: Error level of interval and test.
        alternative: "two-sided", "greater" or "less".
        relative: Whether it is a lift.
        null: The hypothesis.
        control: Estimate of the control.
        treatment: Estimate of the treatment.
        n: Units of both arms.
        reason: Why numbers are None.
    """

    estimate: float | None
    low: float | None
    high: float | None
    std_error: float | None
    statistic: float | None
    p_value: float | None
    df: float | None
    alpha: float
    alternative: Alternative
    relative: bool
    null: float
    control: float | None
    treatment: float | None
    n: int
    reason: Reason | None = None

    @property
    def significant(self) -> bool | None:
        """Whether the p-value is below alpha; None without one."""
        return None if self.p_value is None else self.p_value < self.alpha

    def scaled(self, factor: float) -> Effect:
        """Tell the effect in another unit: estimate, interval and error times a number above zero that is known.

        This turns a difference per user into one per month for all users; p-value and statistic stay.
        """
        if not (factor > 0 and math.isfinite(factor)):
            msg = f"a scale is a number above zero, not {factor}"
            raise ValueError(msg)
        if self.estimate is None:
            return self
        low, high, error = (None if it is None else it * factor for it in (self.low, self.high, self.std_error))
        control, treatment = (None if it is None else it * factor for it in (self.control, self.treatment))
        return replace(
            self, estimate=self.estimate * factor, low=low, high=high, std_error=error, null=self.null * factor,
            control=control, treatment=treatment,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arm:
    """Hold the estimate of one arm.

    Attributes:
        n: Units.
        shift: A number near the estimate.
        offset: Estimate minus shift.
        variance: Of one unit: the squared standard error is variance / n.
        reason: Why there is none.
    """

    n: int
    shift: float
    offset: float
    variance: float
    reason: Reason | None = None

    @property
    def estimate(self) -> float:
        """The estimate."""
        return self.shift + self.offset


def checked_alpha(alpha: float) -> float:
    """Return an error level, or raise ValueError where it is none: it lies between 0 and 1, both excluded."""
    if not 0 < alpha < 1:
        msg = f"alpha lies between 0 and 1, both excluded: {alpha}"
        raise ValueError(msg)
    return alpha


def contrast(control: Arm, treatment: Arm, *, equal_variances: bool = False, theta: float | None = None) -> Contrast:
    """Contrast two independent arms (Welch 1947; with equal variances, Student 1908).

    >>> two = contrast(Arm(50, 0.0, 10.0, 4.0), Arm(60, 0.0, 11.0, 5.0))
    >>> two.difference, round(two.variance, 4), round(two.df, 1)
    (1.0, 0.1633, 107.4)
    """
    n_c, n_t = control.n, treatment.n
    reason = control.reason or treatment.reason
    if reason is None and (n_c < 1 or n_t < 1):
        reason = Reason.NO_UNITS
    if reason is not None and reason != Reason.ONE_UNIT:
        known = [arm.estimate if arm.n and arm.reason is None else None for arm in (control, treatment)]
        return Contrast(known[0], known[1], None, None, None, None, None, None, n_c, n_t, theta, reason)
    difference = (treatment.shift - control.shift) + (treatment.offset - control.offset)
    base = control.estimate
    if not (math.isfinite(difference) and math.isfinite(control.variance + treatment.variance)):
        return Contrast(None, None, None, None, None, None, None, None, n_c, n_t, theta, Reason.NOT_FINITE)
    if n_c < 2 or n_t < 2:
        reason = Reason.ONE_UNIT
    elif control.variance <= 0 and treatment.variance <= 0:
        reason = Reason.NO_VARIANCE
    if reason is not None:
        return Contrast(
            base, treatment.estimate, difference, None, None, None, None, None, n_c, n_t, theta, reason
        )  # fmt: skip
    if equal_variances:
        df: float = n_c + n_t - 2
        pooled = ((n_c - 1) * control.variance + (n_t - 1) * treatment.variance) / df
        v_c, v_t = pooled / n_c, pooled / n_t
    else:
        v_c, v_t = max(control.variance, 0.0) / n_c, max(treatment.variance, 0.0) / n_t
        df = welch_df(v_c, n_c, v_t, n_t)
    return Contrast(base, treatment.estimate, difference, v_c + v_t, v_c, v_t, -v_c, df, n_c, n_t, theta)


def welch_df(v_control: float, n_control: float, v_treatment: float, n_treatment: float) -> float:
    """Give the degrees of freedom of Welch and Satterthwaite for two squared standard errors.

    >>> round(welch_df(0.08, 50, 0.0833, 60), 1)
    107.4
    """
    # scaled, so that squares of very small or large variances neither vanish nor overflow
    share = v_control / (v_control + v_treatment)
    return 1 / (share * share / (n_control - 1) + (1 - share) * (1 - share) / (n_treatment - 1))


def upper_tail(statistic: float, df: float | None) -> float:
    """Give the chance to exceed a statistic, of Student's distribution or, without df, of the normal."""
    if df is None or df > MANY:
        return 0.5 * math.erfc(statistic / math.sqrt(2))
    from scipy.special import stdtr

    return float(stdtr(df, -statistic))


def p_value(statistic: float, df: float | None, alternative: Alternative) -> float:
    """Give the p-value of a statistic.

    >>> round(p_value(1.96, None, "two-sided"), 4)
    0.05
    """
    if alternative == "two-sided":
        return min(1.0, 2 * upper_tail(abs(statistic), df))
    return upper_tail(statistic if alternative == "greater" else -statistic, df)


def critical_value(alpha: float, df: float | None, alternative: Alternative) -> float:
    """Give the number of standard errors of an interval at level 1 - alpha.

    >>> round(critical_value(0.05, None, "two-sided"), 4)
    1.96
    """
    tail = alpha / 2 if alternative == "two-sided" else alpha
    if df is None or df > MANY:
        return -NORMAL.inv_cdf(tail)
    from scipy.special import stdtrit

    return -float(stdtrit(df, tail))


def difference(
    contrast: Contrast,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    reference: Reference = "t",
    null: float = 0.0,
) -> Effect:
    """Infer the difference of a contrast.

    >>> two = contrast(Arm(50, 0.0, 10.0, 4.0), Arm(60, 0.0, 11.0, 5.0))
    >>> effect = difference(two)
    >>> round(effect.low, 3), round(effect.high, 3), round(effect.p_value, 4)
    (0.199, 1.801, 0.0149)
    """
    asked = _Asked(checked_alpha(alpha), alternative, null, relative=False)
    if contrast.reason is not None or contrast.variance is None or contrast.difference is None:
        return _without(contrast, contrast.difference, asked)
    df = contrast.df if reference == "t" else None
    return _wald(contrast, contrast.difference, math.sqrt(contrast.variance), df, asked)


def lift(
    contrast: Contrast,
    *,
    method: Literal["delta", "log", "fieller"] = "delta",
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    reference: Reference = "t",
    null: float = 0.0,
) -> Effect:
    """Infer the lift, (treatment - control) / |control|.

    "delta" is symmetric about the estimate, with the difference's degrees of freedom (Deng, Knoblich, Lu 2018); a
    control below zero is taken by its size. "log" is symmetric for log(treatment / control) and never below -100 %; it
    needs both means above zero. "fieller" (1954) inverts the test that treatment - (1 + lift) control is zero: it stays
    right when the control is uncertain, and has no interval when the control cannot be told from zero.

    >>> two = contrast(Arm(50, 0.0, 10.0, 4.0), Arm(60, 0.0, 11.0, 5.0))
    >>> [[round(end, 3) for end in (effect.low, effect.high)] for effect in (
    ...     lift(two), lift(two, method="log"), lift(two, method="fieller"))]
    [[0.016, 0.184], [0.019, 0.187], [0.019, 0.188]]
    """
    asked = _Asked(checked_alpha(alpha), alternative, null, relative=True)
    base, apart = contrast.control, contrast.difference
    if base is None or apart is None:
        return _without(contrast, None, asked)
    if base == 0 or (method != "delta" and base < 0):
        return _without(contrast, None, asked, Reason.ZERO_CONTROL if base == 0 else Reason.NOT_POSITIVE)
    if contrast.reason is not None or contrast.variance is None:
        return _without(contrast, apart / abs(base), asked)
    df = contrast.df if reference == "t" else None
    if method == "log":
        return _log_lift(contrast, base, apart, df, asked)
    if method == "fieller":
        return _fieller(contrast, base, apart, df, asked)
    # a control below zero is taken by its size: its deviations change sign with it
    spread, level, joint = contrast.variance, contrast.control_variance or 0.0, contrast.covariance or 0.0
    along = joint if base > 0 else -joint
    estimate = apart / abs(base)
    error = math.sqrt(max(spread - 2 * estimate * along + estimate * estimate * level, 0.0)) / abs(base)
    return _wald(contrast, estimate, error, df, asked)


class _Asked(NamedTuple):
    """What is asked of a contrast."""

    alpha: float
    alternative: Alternative
    null: float
    relative: bool


def _log_lift(contrast: Contrast, base: float, apart: float, df: float | None, asked: _Asked) -> Effect:
    if asked.null <= -1:
        msg = f"a lift is above -1, not {asked.null}"
        raise ValueError(msg)
    if base + apart <= 0:
        return _without(contrast, apart / base, asked, Reason.NOT_POSITIVE)
    of_apart, of_base = 1 / (base + apart), -apart / (base * (base + apart))
    spread, level, joint = contrast.variance or 0.0, contrast.control_variance or 0.0, contrast.covariance or 0.0
    error = math.sqrt(max(of_apart**2 * spread + of_base**2 * level + 2 * of_apart * of_base * joint, 0.0))
    if df is not None and joint == -level:
        # independent arms: the degrees of freedom are those of the scaled variances
        v_c, v_t = level / base**2, (contrast.treatment_variance or 0.0) / (base + apart) ** 2
        df = welch_df(v_c, contrast.n_control, v_t, contrast.n_treatment)
    growth = math.log1p(apart / base)
    found = _wald(contrast, growth, error, df, asked._replace(null=math.log1p(asked.null)))
    if found.low is None or found.high is None:
        return replace(found, estimate=apart / base, null=asked.null)
    return replace(
        found,
        estimate=apart / base,
        low=-math.inf if math.isinf(found.low) else math.expm1(found.low),
        high=math.inf if math.isinf(found.high) else math.expm1(min(found.high, 700.0)),
        null=asked.null,
    )


def _fieller(contrast: Contrast, base: float, apart: float, df: float | None, asked: _Asked) -> Effect:
    spread, level, joint = contrast.variance or 0.0, contrast.control_variance or 0.0, contrast.covariance or 0.0
    null, quantile = asked.null, critical_value(asked.alpha, df, asked.alternative)
    error = math.sqrt(max(spread - 2 * null * joint + null * null * level, 0.0))
    if not error:
        return _without(contrast, apart / base, asked, Reason.NO_VARIANCE)
    statistic = (apart - null * base) / error
    found = _wald(contrast, apart / base, error / base, df, asked)
    found = replace(found, statistic=statistic, p_value=p_value(statistic, df, asked.alternative))
    squared = quantile * quantile
    lead = base * base - squared * level
    if lead <= 0:
        return replace(found, low=None, high=None, reason=Reason.UNBOUNDED)
    middle = apart * base - squared * joint
    # above an alpha of a half, the end of a one-sided interval is on the other side of the estimate
    root = math.copysign(math.sqrt(max(middle * middle - lead * (apart * apart - squared * spread), 0.0)), quantile)
    return replace(
        found,
        low=-math.inf if asked.alternative == "less" else (middle - root) / lead,
        high=math.inf if asked.alternative == "greater" else (middle + root) / lead,
    )


def _wald(contrast: Contrast, estimate: float, error: float, df: float | None, asked: _Asked) -> Effect:
    if error <= 0:
        return _without(contrast, estimate, asked, Reason.NO_VARIANCE)
    alpha, alternative, null, relative = asked
    width = critical_value(alpha, df, alternative) * error
    statistic = (estimate - null) / error
    return Effect(
        estimate,
        -math.inf if alternative == "less" else estimate - width,
        math.inf if alternative == "greater" else estimate + width,
        error,
        statistic,
        p_value(statistic, df, alternative),
        df,
        alpha,
        alternative,
        relative,
        null,
        contrast.control,
        contrast.treatment,
        contrast.n_control + contrast.n_treatment,
    )


def _without(contrast: Contrast, estimate: float | None, asked: _Asked, reason: Reason | None = None) -> Effect:
    alpha, alternative, null, relative = asked
    return Effect(
        estimate, None, None, None, None, None, None, alpha, alternative, relative, null,
        contrast.control, contrast.treatment, contrast.n, reason or contrast.reason,
    )  # fmt: skip
