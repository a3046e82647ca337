"""Comparison by ranks: for outcomes whose order means more than their size.

Belongs here: Mann-Whitney and the shift that goes with it. Does not belong here: quantiles (`quantiles`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from analytics_assets.statistics.effects import NORMAL, Alternative, Reason, checked_alpha, p_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

EXACT = 8
"""Up to so many units in an arm, and without ties, the distribution is computed and not approximated."""
TABLE = 250_000
"""Up to so many pairs, a table of them is made."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hold a comparison by ranks.

    Attributes:
        statistic: U of the treatment: pairs in which the treatment's outcome is larger, ties counting half.
        p_value: Of the hypothesis that both arms are distributed alike.
        superiority: Chance that a unit of the treatment exceeds one of the control, ties counting half; U / (n m).
        low: Lower end of its interval (DeLong, DeLong, Clarke-Pearson 1988), on the scale of log odds.
        high: Upper end.
        std_error: Of `superiority`.
        alpha: Error level of the interval.
        n_control: Units.
        n_treatment: Units.
        reason: Why numbers are None.
    """

    statistic: float | None
    p_value: float | None
    superiority: float | None
    low: float | None
    high: float | None
    std_error: float | None
    alpha: float
    n_control: int
    n_treatment: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """Hold the Hodges-Lehmann shift: the median of all differences between units of two arms.

    Attributes:
        estimate: In the outcome's unit.
        low: Lower end of the interval that inverts Mann-Whitney's test.
        high: Upper end.
        reason: Why numbers are None.
    """

    estimate: float | None
    low: float | None
    high: float | None
    reason: Reason | None = None


def mann_whitney(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    continuity: bool = True,
    method: Literal["auto", "asymptotic", "exact"] = "auto",
) -> Ranked:
    """Compare two arrays by ranks (Mann, Whitney 1947), with ties in the variance and a correction for continuity.

    The p-value is of the hypothesis that both arms are distributed alike; where only their spreads may differ, read the
    interval of `superiority`, which does not assume that.

    >>> found = mann_whitney([1, 2, 3, 4, 5, 6, 7, 8, 9], [4, 5, 6, 7, 8, 9, 10, 11, 12])
    >>> found.statistic, round(found.p_value, 4), round(found.superiority, 3)
    (63.0, 0.0513, 0.778)
    """
    import numpy as np

    checked_alpha(alpha)
    one, other = np.asarray(control, dtype=np.float64), np.asarray(treatment, dtype=np.float64)
    n, m = len(one), len(other)
    reason = None
    if not n or not m:
        reason = Reason.NO_UNITS
    elif np.isnan(one).any() or np.isnan(other).any():
        reason = Reason.NOT_FINITE
    if reason is not None:
        return Ranked(None, None, None, None, None, None, alpha, n, m, reason)
    sorted_one, sorted_other = np.sort(one), np.sort(other)
    # how many of the other arm are below each unit, ties counting half
    below_other = (np.searchsorted(sorted_one, other, "left") + np.searchsorted(sorted_one, other, "right")) / 2
    u = float(below_other.sum())
    counts = np.unique(np.concatenate([one, other]), return_counts=True)[1].astype(np.float64)
    total = n + m
    spread = n * m / 12 * (total + 1 - float((counts**3 - counts).sum()) / (total * (total - 1)))
    if spread <= 0:
        return Ranked(u, None, 0.5, None, None, None, alpha, n, m, Reason.NO_VARIANCE)
    exact = method == "exact" or (method == "auto" and len(counts) == total and min(n, m) <= EXACT)
    if exact:
        from scipy import stats

        p = float(stats.mannwhitneyu(other, one, alternative=alternative, method="exact").pvalue)
    else:
        apart = u - n * m / 2
        if continuity:
            apart -= math.copysign(min(0.5, abs(apart)), apart) if alternative == "two-sided" else 0.0
            apart += {"two-sided": 0.0, "greater": -0.5, "less": 0.5}[alternative]
        p = p_value(apart / math.sqrt(spread), None, alternative)
    superiority = u / (n * m)
    above_one = m - (np.searchsorted(sorted_other, one, "left") + np.searchsorted(sorted_other, one, "right")) / 2
    low, high, error = _superiority(above_one / m, below_other / n, superiority, alpha)
    return Ranked(u, min(p, 1.0), superiority, low, high, error, alpha, n, m)


def hodges_lehmann(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Shift:
    """Estimate by how much the treatment moves outcomes, if it moves all alike (Hodges, Lehmann 1963).

    >>> hodges_lehmann([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0]).estimate
    2.0
    """
    import numpy as np

    checked_alpha(alpha)
    one, other = (np.sort(np.asarray(arm, dtype=np.float64)) for arm in (control, treatment))
    n, m = len(one), len(other)
    if not n or not m:
        return Shift(None, None, None, Reason.NO_UNITS)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return Shift(None, None, None, Reason.NOT_FINITE)
    pairs = n * m

    table = np.sort((other[:, None] - one[None, :]).ravel()) if pairs <= TABLE else None

    def at(place: int) -> float:
        """Find a difference by its place in order; of many pairs by halving, without a table of them."""
        if table is not None:
            return float(table[place])
        low, high = float(other[0] - one[-1]), float(other[-1] - one[0])
        while low < (middle := (low + high) / 2) < high:
            # pairs whose difference is not above the middle
            below = pairs - int(np.searchsorted(one, other - middle, "left").sum())
            low, high = (low, middle) if below > place else (middle, high)
        return high

    middle = (at((pairs - 1) // 2) + at(pairs // 2)) / 2
    z = -NORMAL.inv_cdf(alpha / 2)
    first = math.floor(pairs / 2 - z * math.sqrt(pairs * (n + m + 1) / 12))
    if first < 1:
        return Shift(middle, None, None, Reason.TOO_FEW)
    return Shift(middle, at(first - 1), at(pairs - first))


def _superiority(
    of_control: NDArray[np.float64], of_treatment: NDArray[np.float64], superiority: float, alpha: float
) -> tuple[float | None, float | None, float | None]:
    import numpy as np

    if min(len(of_control), len(of_treatment)) < 2:
        return None, None, None
    variance = float(np.var(of_control, ddof=1) / len(of_control) + np.var(of_treatment, ddof=1) / len(of_treatment))
    error = math.sqrt(variance)
    if not 0 < superiority < 1 or not error:
        return None, None, error or None
    z = -NORMAL.inv_cdf(alpha / 2)
    odds, width = math.log(superiority / (1 - superiority)), z * error / (superiority * (1 - superiority))
    low, high = (1 / (1 + math.exp(-end)) if end > -700 else 0.0 for end in (odds - width, odds + width))
    return low, high, error
