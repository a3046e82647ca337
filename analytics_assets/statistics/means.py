"""Means and ratios of two arms, as contrasts.

Belongs here: averages of units, ratios of sums over units, and both where clusters were randomised. Does not belong
here: adjustment for covariates (`adjustment`), shares alone (`proportions`), inference (`effects`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics_assets.statistics.effects import Arm, Contrast, Reason, contrast
from analytics_assets.statistics.moments import Moments, cleared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mean_of(moments: Moments, variable: int = 0) -> Arm:
    """Estimate the mean of an arm.

    >>> mean_of(Moments.of([1.0, 2.0, 3.0])).estimate
    2.0
    """
    reason = Reason.NO_UNITS if not moments.n else None if moments.finite else Reason.NOT_FINITE
    return Arm(moments.n, moments.shifts[variable], moments.offsets[variable], moments.variance(variable), reason)


def means(control: Moments, treatment: Moments, *, equal_variances: bool = False) -> Contrast:
    """Contrast the means of variable 0: Welch's t, or Student's where variances are taken as equal.

    >>> from analytics_assets.statistics.effects import difference
    >>> a, b = Moments.of([1.0, 2.0, 3.0, 4.0]), Moments.of([2.0, 4.0, 5.0, 7.0])
    >>> effect = difference(means(a, b))
    >>> effect.estimate, round(effect.p_value, 4)
    (2.0, 0.1633)
    """
    return contrast(mean_of(control), mean_of(treatment), equal_variances=equal_variances)


def ratio_of(moments: Moments) -> Arm:
    """Estimate a ratio of means, variable 0 over variable 1, with the delta method's variance of one unit.

    R = mM / mD, variance (s2M - 2 R sMD + R^2 s2D) / mD^2 (Deng, Knoblich, Lu 2018, 3.1).

    >>> arm = ratio_of(Moments.of([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]))
    >>> arm.estimate, round(arm.variance, 4)
    (2.5, 0.4375)
    """
    if not moments.n:
        return Arm(0, 0.0, 0.0, 0.0, Reason.NO_UNITS)
    if not moments.finite:
        return Arm(moments.n, 0.0, 0.0, 0.0, Reason.NOT_FINITE)
    below = moments.mean(1)
    if below == 0:
        return Arm(moments.n, 0.0, 0.0, 0.0, Reason.NO_DENOMINATOR)
    ratio = moments.mean() / below
    spread = moments.variance() - 2 * ratio * moments.covariance(0, 1) + ratio * ratio * moments.variance(1)
    return Arm(moments.n, 0.0, ratio, cleared(spread, moments.variance()) / (below * below))


def ratios(control: Moments, treatment: Moments) -> Contrast:
    """Contrast ratios of means, variable 0 over variable 1, where the unit of analysis is not the one randomised.

    With variable 0 the sum and variable 1 the count of a cluster's rows, this is the mean of rows with the error that
    the clusters allow.

    >>> two = ratios(Moments.of([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]), Moments.of([3.0, 4.0, 8.0], [1.0, 2.0, 2.0]))
    >>> two.difference
    0.5000000000000004
    """
    return contrast(ratio_of(control), ratio_of(treatment))


def clustered_means(
    outcomes: ArrayLike, treated: ArrayLike, clusters: ArrayLike, *, correction: bool = True
) -> Contrast:
    """Contrast means of rows whose errors hang together within clusters (Liang, Zeger 1986).

    The difference and its error are those of a least-squares fit on the treatment with a cluster-robust covariance:
    CR1 with the correction G/(G-1) (N-1)/(N-2), else CR0; degrees of freedom are G - 1. A cluster may have rows in both
    arms.

    Args:
        outcomes: A number a row.
        treated: Whether the row is the treatment's.
        clusters: A name a row.
        correction: Whether to correct for few clusters.

    >>> two = clustered_means([1, 2, 4, 5, 3, 4, 6, 8], [0, 0, 0, 0, 1, 1, 1, 1], list("aabbccdd"))
    >>> two.difference, round(two.variance ** 0.5, 4), two.df
    (2.25, 2.0327, 3.0)
    """
    import numpy as np

    y, arm = np.asarray(outcomes, dtype=np.float64), np.asarray(treated).astype(bool)
    _, names = np.unique(np.asarray(clusters), return_inverse=True)
    rows, groups = len(y), int(names.max()) + 1 if len(y) else 0
    n_t = int(arm.sum())
    of_arm = [len(np.unique(names[chosen])) for chosen in (~arm, arm)]
    reason = None
    if not n_t or n_t == rows:
        reason = Reason.NO_UNITS
    elif not np.isfinite(y).all():
        reason = Reason.NOT_FINITE
    elif groups < 2 or min(of_arm) < 2:
        reason = Reason.ONE_UNIT
    if reason is not None:
        known = [float(y[chosen].mean()) if chosen.any() else None for chosen in (~arm, arm)]
        if reason == Reason.NOT_FINITE:
            known = [None, None]
        apart = None if known[0] is None or known[1] is None else known[1] - known[0]
        return Contrast(known[0], known[1], apart, None, None, None, None, None, of_arm[0], of_arm[1], None, reason)
    shift = float(y[0])
    near = y - shift
    m_c, m_t = float(near[~arm].mean()), float(near[arm].mean())
    scores = {
        name: np.bincount(names[chosen], weights=(near[chosen] - mean) / chosen.sum(), minlength=groups)
        for name, chosen, mean in (("control", ~arm, m_c), ("treatment", arm, m_t))
    }
    factor = groups / (groups - 1) * (rows - 1) / (rows - 2) if correction else 1.0
    apart_scores = scores["treatment"] - scores["control"]
    variance = factor * float(apart_scores @ apart_scores)
    of_control, of_treatment = (factor * float(scores[name] @ scores[name]) for name in ("control", "treatment"))
    return Contrast(
        shift + m_c,
        shift + m_t,
        m_t - m_c,
        variance,
        of_control,
        of_treatment,
        factor * float(apart_scores @ scores["control"]),
        float(groups - 1),
        of_arm[0],
        of_arm[1],
        reason=None if variance > 0 else Reason.NO_VARIANCE,
    )
