"""Shares of counts: intervals, and comparison of two or more.

Belongs here: what needs a count and a total alone. Does not belong here: means, and designs of experiments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from analytics_assets.statistics.effects import (
    NORMAL,
    Alternative,
    Arm,
    Contrast,
    Effect,
    Reason,
    checked_alpha,
    contrast,
    critical_value,
    p_value,
)

Z95 = 1.959963984540054
"""The normal deviate of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Difference:
    """Say how two shares differ.

    Attributes:
        difference: The first share minus the second.
        z: The difference in standard errors, under the hypothesis that there is none.
        p_value: Two-sided.
    """

    difference: float
    z: float
    p_value: float


def wilson(hits: int, total: int, z: float = Z95) -> tuple[float, float] | None:
    """Return the interval of a share (Wilson 1927); None of nothing.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not total:
        return None
    share, scale = hits / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    width = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return max(0.0, middle - width), min(1.0, middle + width)


def two_proportions(hits: int, total: int, other_hits: int, other_total: int) -> Difference | None:
    """Compare two shares by the pooled z test (Fleiss, Levin, Paik 2003, 3.1); None where one is of nothing.

    Where both shares are 0, or both are 1, they do not differ: p is 1.

    >>> compared = two_proportions(120, 1000, 90, 1000)
    >>> round(compared.difference, 3), round(compared.p_value, 4)
    (0.03, 0.0287)
    """
    if not total or not other_total:
        return None
    difference = hits / total - other_hits / other_total
    pooled = (hits + other_hits) / (total + other_total)
    error = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / other_total))
    z = difference / error if error else 0.0
    return Difference(difference, z, math.erfc(abs(z) / math.sqrt(2)))


@dataclass(frozen=True, slots=True)
class Counted:
    """Hold the result of a test of a table of counts.

    Attributes:
        statistic: The test's own: chi-square, the odds ratio (Fisher), Barnard's or Boschloo's.
        p_value: None where there is none.
        df: Degrees of freedom; None of an exact test.
        reason: Why numbers are None.
    """

    statistic: float | None
    p_value: float | None
    df: int | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Hold an interval alone.

    Attributes:
        low: Lower end.
        high: Upper end.
        reason: Why they are None.
    """

    low: float | None
    high: float | None
    reason: Reason | None = None


def share_of(successes: int, n: int) -> Arm:
    """Estimate the share of an arm: the variance of one unit is p (1 - p).

    >>> share_of(4, 10).estimate
    0.4
    """
    _checked(successes, n)
    if not n:
        return Arm(0, 0.0, 0.0, 0.0, Reason.NO_UNITS)
    return Arm(n, 0.0, successes / n, successes * (n - successes) / (n * n))


def shares(successes: int, n: int, other_successes: int, other_n: int) -> Contrast:
    """Contrast the share of a control (first) and of a treatment, each with its own variance (unpooled).

    >>> from analytics_assets.statistics.effects import difference
    >>> effect = difference(shares(1000, 10000, 1087, 10050), reference="normal")
    >>> round(effect.estimate, 6), round(effect.p_value, 4)
    (0.008159, 0.0585)
    """
    return contrast(share_of(successes, n), share_of(other_successes, other_n))


def pooled_z(
    successes: int,
    n: int,
    other_successes: int,
    other_n: int,
    *,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
    correction: bool = False,
) -> Effect:
    """Test the shares of a control (first) and a treatment by z with the variance of both together.

    The interval is unpooled (Wald): a pooled one would assume the hypothesis that it is to leave. With `correction`, z
    is brought nearer to zero by Yates' (1/n + 1/m) / 2, and the interval is as much wider. Where all or none succeed,
    no difference was seen, and none could be tested.

    >>> round(pooled_z(1000, 10000, 1087, 10050).p_value, 6)
    0.05854
    """
    checked_alpha(alpha)
    both = shares(successes, n, other_successes, other_n)
    found = Effect(
        both.difference, None, None, None, None, None, None, alpha, alternative, False, 0.0,  # noqa: FBT003 - a field
        both.control, both.treatment, both.n, both.reason,
    )  # fmt: skip
    if both.difference is None:
        return found
    pooled = (successes + other_successes) / (n + other_n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if not error:
        return replace(found, reason=Reason.NO_VARIANCE)
    shift = 0.5 * (1 / n + 1 / other_n) if correction else 0.0
    z = math.copysign(max(abs(both.difference) - shift, 0.0), both.difference) / error
    if correction and alternative != "two-sided":
        z = (both.difference - (shift if alternative == "greater" else -shift)) / error
    unpooled = math.sqrt(_wald_variance(successes, n) + _wald_variance(other_successes, other_n))
    width = critical_value(alpha, None, alternative) * unpooled + shift
    return replace(
        found,
        low=-math.inf if alternative == "less" else both.difference - width,
        high=math.inf if alternative == "greater" else both.difference + width,
        std_error=error,
        statistic=z,
        p_value=p_value(z, None, alternative),
        reason=None,
    )


def share_interval(
    successes: int,
    n: int,
    *,
    alpha: float = 0.05,
    method: Literal["wilson", "clopper-pearson", "jeffreys", "agresti-coull", "wald"] = "wilson",
) -> Interval:
    """Give an interval of one share (Brown, Cai, DasGupta 2001).

    "clopper-pearson" is exact: never short of its level, and wide; "wilson" and "jeffreys" are near it on average.

    >>> share_interval(30, 30, method="clopper-pearson").low
    0.8842966917779722
    """
    checked_alpha(alpha)
    _checked(successes, n)
    if not n:
        return Interval(None, None, Reason.NO_UNITS)
    z = -NORMAL.inv_cdf(alpha / 2)
    if method == "wilson":
        low, high = wilson(successes, n, z) or (0.0, 1.0)
        return Interval(low, high)
    if method in {"wald", "agresti-coull"}:
        more = z * z if method == "agresti-coull" else 0.0
        share = (successes + more / 2) / (n + more)
        width = z * math.sqrt(share * (1 - share) / (n + more))
        return Interval(max(0.0, share - width), min(1.0, share + width))
    from scipy.special import betaincinv

    if method == "jeffreys":
        a, b = successes + 0.5, n - successes + 0.5
        low, high = float(betaincinv(a, b, alpha / 2)), float(betaincinv(a, b, 1 - alpha / 2))
    else:
        low = float(betaincinv(successes, n - successes + 1, alpha / 2)) if successes else 0.0
        high = float(betaincinv(successes + 1, n - successes, 1 - alpha / 2)) if successes < n else 1.0
    return Interval(low, high)


def difference_interval(
    successes: int,
    n: int,
    other_successes: int,
    other_n: int,
    *,
    alpha: float = 0.05,
    method: Literal["wald", "agresti-caffo", "newcombe", "score"] = "newcombe",
    correction: bool = False,
) -> Interval:
    """Give an interval of the difference of two shares, the second minus the first.

    "newcombe" (1998, method 10) and "score" (Mee 1984; with `correction` by N / (N - 1): Miettinen, Nurminen 1985) hold
    where few or none succeed; "agresti-caffo" (2000) adds a success and a failure to each arm.

    >>> found = difference_interval(14, 28, 16, 30, method="agresti-caffo")
    >>> round(found.low, 4), round(found.high, 4)
    (-0.2176, 0.2801)
    """
    checked_alpha(alpha)
    _checked(successes, n)
    _checked(other_successes, other_n)
    if not n or not other_n:
        return Interval(None, None, Reason.NO_UNITS)
    z = -NORMAL.inv_cdf(alpha / 2)
    apart = other_successes / other_n - successes / n
    if method == "agresti-caffo":
        found = shares(successes + 1, n + 2, other_successes + 1, other_n + 2)
        width = z * math.sqrt(found.variance or 0.0)
        return Interval((found.difference or 0.0) - width, (found.difference or 0.0) + width)
    if method == "wald":
        width = z * math.sqrt(_wald_variance(successes, n) + _wald_variance(other_successes, other_n))
        return Interval(apart - width, apart + width)
    if method == "newcombe":
        (low, high), (other_low, other_high) = (
            wilson(*count, z) or (0.0, 1.0) for count in ((successes, n), (other_successes, other_n))
        )
        share, other = successes / n, other_successes / other_n
        return Interval(
            apart - math.hypot(other - other_low, high - share), apart + math.hypot(other_high - other, share - low)
        )
    return _score_interval((successes, n, other_successes, other_n), z, correction=correction)


def ratio_interval(
    successes: int,
    n: int,
    other_successes: int,
    other_n: int,
    *,
    alpha: float = 0.05,
    method: Literal["log", "log-adjusted"] = "log",
) -> Interval:
    """Give an interval of the ratio of two shares, the second over the first (Katz 1978; adjusted: Walter 1975).

    >>> found = ratio_interval(1000, 10000, 1087, 10050)
    >>> round(found.low, 4), round(found.high, 4)
    (0.9971, 1.1732)
    """
    checked_alpha(alpha)
    _checked(successes, n)
    _checked(other_successes, other_n)
    if not n or not other_n:
        return Interval(None, None, Reason.NO_UNITS)
    more = 0.5 if method == "log-adjusted" else 0.0
    a, b, c, d = other_successes + more, other_n + more, successes + more, n + more
    if not a or not c:
        return Interval(None, None, Reason.NOT_POSITIVE)
    z = -NORMAL.inv_cdf(alpha / 2)
    middle, width = math.log(a / b * d / c), z * math.sqrt(max(1 / a - 1 / b + 1 / c - 1 / d, 0.0))
    return Interval(math.exp(middle - width), math.exp(middle + width))


def chi_square(
    table: Sequence[Sequence[float]], *, correction: bool = False, likelihood_ratio: bool = False
) -> Counted:
    """Test a table of counts for independence by Pearson's chi-square, with Yates' correction for 2 x 2 if asked.

    With `likelihood_ratio`, the statistic is G, twice the sum of observed log(observed / expected).

    >>> found = chi_square([[1087, 1000], [8963, 9000]])
    >>> round(found.statistic, 4), round(found.p_value, 4), found.df
    (3.5783, 0.0585, 1)
    """
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    total = sum(rows)
    if not total or not all(columns):
        return Counted(None, None, None, Reason.NO_UNITS)
    if not all(rows):
        return Counted(None, None, None, Reason.NO_VARIANCE)
    df = (len(rows) - 1) * (len(columns) - 1)
    if not df:
        return Counted(None, None, 0, Reason.NO_VARIANCE)
    statistic = 0.0
    for row, of_row in zip(table, rows, strict=True):
        for observed, of_column in zip(row, columns, strict=True):
            expected = of_row * of_column / total
            apart = observed - expected
            if correction and df == 1:
                apart -= math.copysign(min(0.5, abs(apart)), apart)
            if not likelihood_ratio:
                statistic += apart * apart / expected
            elif expected + apart > 0:
                statistic += 2 * (expected + apart) * math.log1p(apart / expected)
    return Counted(statistic, chi_square_tail(statistic, df), df)


def chi_square_tail(statistic: float, df: int) -> float:
    """Give the chance to exceed a chi-square statistic.

    >>> round(chi_square_tail(3.841458820694124, 1), 6)
    0.05
    """
    if df == 1:
        return math.erfc(math.sqrt(statistic / 2))
    from scipy.special import chdtrc

    return float(chdtrc(df, statistic))


def fisher_exact(table: Sequence[Sequence[int]], *, alternative: Alternative = "two-sided") -> Counted:
    """Test a 2 x 2 table exactly, both margins given (Fisher 1935); the statistic is the odds ratio, None if infinite.

    >>> round(fisher_exact([[9, 2], [3, 10]], alternative="greater").p_value, 6)
    0.006139
    """
    import numpy as np
    from scipy import stats

    return _exact(table, lambda: stats.fisher_exact(np.asarray(table), alternative=alternative))


def barnard_exact(
    table: Sequence[Sequence[int]], *, alternative: Alternative = "two-sided", pooled: bool = True, points: int = 32
) -> Counted:
    """Test a 2 x 2 table exactly with the sizes of its columns given (Barnard 1945), by the pooled or unpooled z.

    >>> round(barnard_exact([[9, 2], [3, 10]], pooled=False).p_value, 5)
    0.00661
    """
    from scipy import stats

    return _exact(table, lambda: stats.barnard_exact(table, alternative=alternative, pooled=pooled, n=points))


def boschloo_exact(
    table: Sequence[Sequence[int]], *, alternative: Alternative = "two-sided", points: int = 32
) -> Counted:
    """Test a 2 x 2 table exactly with the sizes of its columns given, by Fisher's p (Boschloo 1970).

    Never weaker than Fisher's own test.

    >>> round(boschloo_exact([[9, 2], [3, 10]]).p_value, 4)
    0.0066
    """
    from scipy import stats

    return _exact(table, lambda: stats.boschloo_exact(table, alternative=alternative, n=points))


class _Tested(Protocol):
    """What SciPy's tests return."""

    @property
    def statistic(self) -> float: ...

    @property
    def pvalue(self) -> float: ...


def _exact(table: Sequence[Sequence[int]], test: Callable[[], _Tested]) -> Counted:
    if not all(sum(column) for column in zip(*table, strict=True)):
        return Counted(None, None, None, Reason.NO_UNITS)
    if not all(sum(row) for row in table):
        return Counted(None, None, None, Reason.NO_VARIANCE)
    found = test()
    statistic = float(found.statistic)
    return Counted(statistic if math.isfinite(statistic) else None, min(1.0, float(found.pvalue)))


def _wald_variance(successes: int, n: int) -> float:
    return successes * (n - successes) / (n * n * n)


def _checked(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        msg = f"of {n} units, {successes} cannot have succeeded"
        raise ValueError(msg)


def _score_interval(counts: tuple[int, int, int, int], z: float, *, correction: bool) -> Interval:
    """Find the differences that the score test would not refuse."""
    from scipy.optimize import brentq

    successes, n, other_successes, other_n = counts
    apart = other_successes / other_n - successes / n
    factor = (n + other_n) / (n + other_n - 1) if correction else 1.0

    def excess(null: float) -> float:
        """How far the squared score statistic of a difference is above what is allowed, as a product to avoid 0/0."""
        share = _restricted_share(counts, null)
        other = share + null
        variance = max(share * (1 - share) / n + other * (1 - other) / other_n, 0.0) * factor
        return (apart - null) ** 2 - z * z * variance

    # at the estimate itself the variance may be zero: begin beside it
    beside, far = 1e-10, 1.0 - 1e-12
    ends = []
    for side in (-1.0, 1.0):
        inner = apart + side * beside
        if abs(inner) >= far or excess(inner) >= 0:
            ends.append(apart)
        elif excess(side * far) <= 0:
            ends.append(side)
        else:
            ends.append(float(brentq(excess, side * far, inner, xtol=1e-15, rtol=1e-14)))
    low, high = ends
    return Interval(low, high)


def _restricted_share(counts: tuple[int, int, int, int], null: float) -> float:
    """Give the likeliest first share if the second is larger by `null` (Miettinen, Nurminen 1985, appendix)."""
    successes, n, other_successes, other_n = counts
    total, hits = n + other_n, successes + other_successes
    # l3 p^3 + l2 p^2 + l1 p + l0 = 0, for the first share p
    l3 = float(total)
    l2 = (other_n + 2 * n) * null - total - hits
    l1 = (n * null - total - 2 * successes) * null + hits
    l0 = successes * null * (1 - null)
    q = l2**3 / (3 * l3) ** 3 - l1 * l2 / (6 * l3**2) + l0 / (2 * l3)
    p = math.copysign(math.sqrt(max(l2**2 / (3 * l3) ** 2 - l1 / (3 * l3), 0.0)), q)
    cosine = q / p**3 if p else 0.0
    angle = (math.pi + math.acos(max(-1.0, min(1.0, cosine)))) / 3
    share = 2 * p * math.cos(angle) - l2 / (3 * l3)
    return min(max(share, 0.0, -null), 1.0, 1.0 - null)
