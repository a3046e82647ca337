"""Means and ratios adjusted for what was known before the exposure, as contrasts.

Belongs here: CUPED, regression adjustment, post-stratification. Does not belong here: which covariates are
pre-exposure (plans say so), and models of odds (`logistic`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from analytics_assets.statistics.effects import Arm, Contrast, Reason, contrast, welch_df
from analytics_assets.statistics.means import means, ratio_of, ratios
from analytics_assets.statistics.moments import Moments, cleared, difference_of_means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Baseline = Literal["observed", "adjusted"]
Errors = Literal["HC0", "HC1", "HC2", "HC3", "classical"]


def cuped(control: Moments, treatment: Moments, *, baseline: Baseline = "observed") -> Contrast:
    """Contrast means of variable 0, adjusted for the covariate in variable 1 (Deng, Xu, Kohavi, Walker 2013).

    theta = cov(Y, X) / var(X) over both arms together; a covariate that does not vary adjusts nothing (theta 0). A lift
    refers to the control as it was observed, or as adjusted to the covariate's mean over both arms.

    >>> from analytics_assets.statistics.effects import difference
    >>> a = Moments.of([1.0, 2.0, 3.0, 5.0], [0.0, 1.0, 2.0, 4.5])
    >>> b = Moments.of([3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0])
    >>> two = cuped(a, b)
    >>> round(two.theta, 3), round(difference(two).estimate, 3)
    (1.006, 1.122)
    """
    plain = means(control, treatment)
    if plain.reason is not None:
        return plain
    both = control + treatment
    theta = _slope(both.covariance(0, 1), both.variance(1))
    arms = [
        Arm(
            of.n,
            0.0,
            0.0,
            cleared(of.variance() + theta * theta * of.variance(1) - 2 * theta * of.covariance(0, 1), of.variance()),
        )
        for of in (control, treatment)
    ]
    apart = difference_of_means(control, treatment) - theta * difference_of_means(control, treatment, 1)
    if baseline == "adjusted":
        base = control.mean() - theta * (control.mean(1) - both.mean(1))
        return _adjusted(arms[0], arms[1], apart, base, theta)
    n = control.n
    together = -(control.variance() - theta * control.covariance(0, 1)) / n
    return _adjusted(arms[0], arms[1], apart, control.mean(), theta, (control.variance() / n, together))


def cuped_ratios(
    control: Moments, treatment: Moments, *, baseline: Baseline = "observed", pooling: Literal["both", "arms"] = "both"
) -> Contrast:
    """Contrast ratios, variable 0 over 1, adjusted for the same ratio before, variable 2 over 3.

    Ratios are linearised in each arm: the delta method on four means (Deng, Xu, Kohavi, Walker 2013, appendix B; Deng,
    Knoblich, Lu 2018). theta is that of both arms together, or the sum of the arms' covariances over that of their
    variances.

    >>> a = Moments.of([2.0, 4.0, 9.0, 1.0], [1.0, 2.0, 3.0, 1.0], [1.0, 3.0, 7.0, 1.0], [1.0, 2.0, 3.0, 1.0])
    >>> b = Moments.of([3.0, 4.0, 8.0, 2.0], [1.0, 2.0, 2.0, 1.0], [2.0, 3.0, 4.0, 1.0], [1.0, 2.0, 2.0, 1.0])
    >>> two = cuped_ratios(a, b)
    >>> round(two.difference, 3), round(two.theta, 3)
    (0.606, 1.226)
    """
    plain = ratios(control, treatment)
    before = [ratio_of(arm.select(2, 3)) for arm in (control, treatment)]
    if plain.reason is not None or any(arm.reason is not None for arm in before):
        return plain
    both = control + treatment
    if pooling == "both":
        linear = linearised(both)
        theta = _slope(linear[1], linear[2])
    else:
        one, other = linearised(control), linearised(treatment)
        theta = _slope(one[1] + other[1], one[2] + other[2])
    arms, together = [], []
    for of in (control, treatment):
        now, joint, earlier = linearised(of)
        arms.append(Arm(of.n, 0.0, 0.0, cleared(now + theta * theta * earlier - 2 * theta * joint, now)))
        together.append(-(now - theta * joint) / of.n)
    apart = (plain.difference or 0.0) - theta * (before[1].estimate - before[0].estimate)
    if baseline == "adjusted":
        middle = both.mean(2) / both.mean(3)
        base = (plain.control or 0.0) - theta * (before[0].estimate - middle)
        return _adjusted(arms[0], arms[1], apart, base, theta)
    return _adjusted(
        arms[0], arms[1], apart, plain.control or 0.0, theta, (linearised(control)[0] / control.n, together[0])
    )


def lin(control: Moments, treatment: Moments) -> Contrast:
    """Contrast means of variable 0, adjusted for covariates in the variables after it, with slopes of each arm's own.

    This is the regression with all interactions (Lin 2013), from moments: in large samples it never loses to the plain
    difference. The error counts what each arm's fit leaves and that the covariates' means are of a sample.

    >>> a = Moments.of([1.0, 2.0, 3.0, 5.0, 4.0], [0.0, 1.0, 2.0, 4.5, 3.0], [1.0, 0.0, 0.0, 1.0, 1.0])
    >>> b = Moments.of([3.0, 4.0, 5.0, 6.0, 5.0], [1.0, 2.0, 3.0, 4.0, 3.5], [0.0, 1.0, 0.0, 1.0, 1.0])
    >>> round(lin(a, b).difference, 3)
    1.039
    """
    import numpy as np

    plain = means(control, treatment)
    k = len(control.shifts) - 1
    if plain.reason is not None or not k:
        return plain
    if min(control.n, treatment.n) < k + 2:
        return _because(plain, Reason.TOO_FEW)
    slopes, residuals = [], []
    for of in (control, treatment):
        products = np.array(of.products)
        slope = _solved(products[1:, 1:], products[1:, 0])
        if slope is None:
            return _because(plain, Reason.COLLINEAR)
        slopes.append(slope)
        left = cleared(float(products[0, 0] - slope @ products[1:, 0]), float(products[0, 0]))
        residuals.append(left / (of.n - 1 - k) / of.n)
    both = control + treatment
    apart = np.array([difference_of_means(control, treatment, i) for i in range(1, k + 1)])
    # the distance of each arm's covariates from those of both arms together
    off_c, off_t = -apart * (treatment.n / both.n), apart * (control.n / both.n)
    spread = np.array(both.products)[1:, 1:] / (both.n - 1)
    turn = slopes[1] - slopes[0]
    moved = float(turn @ spread @ turn) / both.n
    base = control.mean() - float(slopes[0] @ off_c)
    effect = difference_of_means(control, treatment) - float(slopes[1] @ off_t) + float(slopes[0] @ off_c)
    along = float(slopes[0] @ spread @ turn) / both.n
    level = float(slopes[0] @ spread @ slopes[0]) / both.n
    variance = residuals[0] + residuals[1] + moved
    if variance <= 0:
        return _because(plain, Reason.NO_VARIANCE)
    df = (
        welch_df(residuals[0], control.n - k, residuals[1], treatment.n - k)
        if residuals[0] + residuals[1] > 0
        else float(both.n - 2 - 2 * k)
    )
    return Contrast(
        base, base + effect, effect, variance, residuals[0] + level, residuals[1] + level + moved + 2 * along,
        along - residuals[0], df, control.n, treatment.n,
    )  # fmt: skip


def regression_adjusted(
    outcomes: ArrayLike, treated: ArrayLike, covariates: ArrayLike, *, interact: bool = True, errors: Errors = "HC2"
) -> Contrast:
    """Contrast means by least squares on the treatment and pre-exposure covariates, from arrays.

    With `interact`, the treatment interacts with every covariate about its mean over all units (Lin 2013); without, it
    is ANCOVA. Errors are the sandwich's HC0 to HC3 (MacKinnon, White 1985).

    Args:
        outcomes: A number a unit.
        treated: Whether the unit is the treatment's.
        covariates: A row a unit, a column a covariate; one dimension for one covariate.
        interact: Whether each arm has slopes of its own.
        errors: Which covariance.

    >>> two = regression_adjusted([1, 2, 3, 5, 3, 4, 5, 6.5], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 4.5, 1, 2, 3, 4])
    >>> round(two.difference, 3)
    1.24
    """
    import numpy as np

    y, arm = np.asarray(outcomes, dtype=np.float64), np.asarray(treated).astype(bool)
    x = np.asarray(covariates, dtype=np.float64)
    x = x.reshape(len(y), -1) if x.size else np.empty((len(y), 0))
    plain = means(Moments.of(y[~arm]), Moments.of(y[arm]))
    if plain.reason is not None:
        return plain
    if not np.isfinite(x).all():
        return _because(plain, Reason.NOT_FINITE)
    centred = x - x.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    varies = scale > 1e-12 * (np.abs(x).max(axis=0) + 1e-300) if x.size else np.zeros(0, dtype=bool)
    centred = centred[:, varies] / scale[varies]
    design = np.column_stack([np.ones(len(y)), arm, centred, *([centred * arm[:, None]] if interact else [])])
    rows, terms = design.shape
    if rows <= terms:
        return _because(plain, Reason.TOO_FEW)
    if np.linalg.matrix_rank(design) < terms:
        return _because(plain, Reason.COLLINEAR)
    shift = float(y.mean())
    q, r = np.linalg.qr(design)
    back = np.linalg.inv(r)
    fitted = back @ (q.T @ (y - shift))
    left = (y - shift) - design @ fitted
    leverage = (q**2).sum(axis=1)
    weights = _weights(left, leverage, rows, terms, errors)
    covariance = back @ ((q * weights[:, None]).T @ q) @ back.T
    base, apart = shift + float(fitted[0]), float(fitted[1])
    v_base, variance, together = float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1])
    reason = None if variance > 1e-26 * (plain.variance or 0.0) else Reason.NO_VARIANCE
    return Contrast(
        base, base + apart, apart, variance, v_base, v_base + variance + 2 * together, together,
        float(rows - terms), plain.n_control, plain.n_treatment, reason=reason,
    )  # fmt: skip


def post_stratified(
    strata: Sequence[tuple[Moments, Moments]], *, kind: Literal["mean", "ratio", "ancova"] = "mean"
) -> Contrast:
    """Contrast arms within strata, and weigh the strata by their share of all units (Miratrix, Sekhon, Yu 2013).

    Strata are as they were before the exposure. The error counts that the shares of strata are of a sample. A
    stratum in which an arm has fewer than two units is merged into the largest.

    Args:
        strata: The control's and the treatment's moments of each stratum.
        kind: "mean": of variable 0. "ratio": variable 0 over variable 1. "ancova": of variable 0, adjusted for the
            covariate in variable 1 by least squares within each stratum, with one slope a stratum.

    >>> one = (Moments.of([1.0, 2.0, 3.0]), Moments.of([2.0, 3.0, 4.0, 3.0]))
    >>> other = (Moments.of([10.0, 12.0]), Moments.of([13.0, 12.0, 14.0]))
    >>> round(post_stratified([one, other]).difference, 3)
    1.417
    """
    import numpy as np

    whole = [Moments.merged(arm) for arm in zip(*strata, strict=True)] if strata else [Moments.merged([])] * 2
    plain = ratios(*whole) if kind == "ratio" else cuped(*whole) if kind == "ancova" else means(*whole)
    if plain.reason is not None:
        return plain
    cells = _viable(strata, 3 if kind == "ancova" else 2)
    total = sum(c.n + t.n for c, t in cells)
    shares = np.array([(c.n + t.n) / total for c, t in cells])
    made = [_ancova_cell(c, t) if kind == "ancova" else _cell(c, t, 2 if kind == "ratio" else 1) for c, t in cells]
    levels = np.array([cell[0] for cell in made])
    mean = shares @ levels
    around = levels - mean
    covariance = (shares[:, None] * around).T @ around / total
    covariance = covariance + np.einsum("s,sij->ij", shares**2, np.array([cell[1] for cell in made]))
    # means by arm: control first, then treatment; a ratio has two for each
    if kind == "ratio":
        above_c, below_c, above_t, below_t = (float(value) for value in mean)
        if not below_c or not below_t:
            return _because(plain, Reason.NO_DENOMINATOR)
        base, level = above_c / below_c, above_t / below_t
        turn = np.array([[1 / below_c, -base / below_c, 0, 0], [0, 0, 1 / below_t, -level / below_t]])
        covariance = turn @ covariance @ turn.T
    else:
        base, level = (float(value) for value in mean)
    v_c, v_t, joint = float(covariance[0, 0]), float(covariance[1, 1]), float(covariance[0, 1])
    variance = v_c + v_t - 2 * joint
    if variance <= 1e-13 * (plain.variance or 0.0):
        return _because(plain, Reason.NO_VARIANCE)
    return Contrast(
        base, level, level - base, variance, v_c, v_t, joint - v_c, plain.df, whole[0].n, whole[1].n, plain.theta
    )


def _slope(joint: float, variance: float) -> float:
    return joint / variance if variance > 0 and math.isfinite(joint / variance) else 0.0


def _adjusted(
    control: Arm,
    treatment: Arm,
    apart: float,
    base: float,
    theta: float,
    observed: tuple[float, float] | None = None,
) -> Contrast:
    """Contrast adjusted arms; `observed` are the control's variance and its covariance with the difference."""
    both = contrast(control, treatment, theta=theta)
    if both.reason is not None:
        return Contrast(
            base, base + apart, apart, None, None, None, None, None, control.n, treatment.n, theta, both.reason
        )
    level, together = observed if observed is not None else (both.control_variance, both.covariance)
    return Contrast(
        base, base + apart, apart, both.variance, level, both.treatment_variance, together,
        both.df, control.n, treatment.n, theta,
    )  # fmt: skip


def _because(plain: Contrast, reason: Reason) -> Contrast:
    return Contrast(
        plain.control, plain.treatment, plain.difference, None, None, None, None, None,
        plain.n_control, plain.n_treatment, None, reason,
    )  # fmt: skip


def linearised(of: Moments) -> tuple[float, float, float]:
    """Give the variance now, the covariance and the variance before of the ratios 0/1 and 2/3, linearised."""
    now, before = of.mean(0) / of.mean(1), of.mean(2) / of.mean(3)
    here, there = 1 / of.mean(1), 1 / of.mean(3)
    turn = ((0, here), (1, -now * here)), ((2, there), (3, -before * there))

    def joint(one: int, other: int) -> float:
        return sum(a * b * of.covariance(i, j) for i, a in turn[one] for j, b in turn[other])

    return joint(0, 0), joint(0, 1), joint(1, 1)


def _solved(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Solve normal equations on the scale of correlations; None where they have no single solution."""
    import numpy as np

    scale = np.sqrt(np.diag(matrix))
    if (scale <= 0).any():
        return None
    correlations = matrix / np.outer(scale, scale)
    if np.linalg.cond(correlations) > 1e10:
        return None
    return np.asarray(np.linalg.solve(correlations, vector / scale) / scale, dtype=np.float64)


def _weights(
    left: NDArray[np.float64], leverage: NDArray[np.float64], rows: int, terms: int, errors: Errors
) -> NDArray[np.float64]:
    """Give what a unit's squared residual weighs in the sandwich."""
    import numpy as np

    squared = left**2
    spare = np.maximum(1 - leverage, 1e-12)
    if errors == "classical":
        return np.full(rows, squared.sum() / (rows - terms))
    if errors == "HC1":
        return squared * rows / (rows - terms)
    powers = {"HC0": 0, "HC2": 1, "HC3": 2}
    return np.asarray(squared / spare ** powers[errors], dtype=np.float64)


def _viable(strata: Sequence[tuple[Moments, Moments]], least: int) -> list[tuple[Moments, Moments]]:
    cells = sorted((cell for cell in strata if cell[0].n + cell[1].n), key=lambda cell: -(cell[0].n + cell[1].n))
    kept, merged = [], cells[0]
    for cell in cells[1:]:
        if min(cell[0].n, cell[1].n) < least:
            merged = (merged[0] + cell[0], merged[1] + cell[1])
        else:
            kept.append(cell)
    return [merged, *kept]


def _cell(control: Moments, treatment: Moments, variables: int) -> tuple[list[float], NDArray[np.float64]]:
    import numpy as np

    covariance = np.zeros((2 * variables, 2 * variables))
    levels = []
    for place, of in enumerate((control, treatment)):
        levels += [of.mean(i) for i in range(variables)]
        here = slice(place * variables, (place + 1) * variables)
        covariance[here, here] = [[of.covariance(i, j) / of.n for j in range(variables)] for i in range(variables)]
    return levels, covariance


def _ancova_cell(control: Moments, treatment: Moments) -> tuple[list[float], NDArray[np.float64]]:
    """Adjust both arms of a stratum to the stratum's mean of the covariate, with one slope and one variance."""
    import numpy as np

    n_c, n_t = control.n, treatment.n
    within = [[control.products[i][j] + treatment.products[i][j] for j in (0, 1)] for i in (0, 1)]
    both = control + treatment
    if within[1][1] <= 0:
        return _cell(control, treatment, 1)
    slope = within[0][1] / within[1][1]
    noise = cleared(within[0][0] - slope * within[0][1], within[0][0]) / (n_c + n_t - 3)
    apart = difference_of_means(control, treatment, 1)
    off = np.array([-apart * (n_t / both.n), apart * (n_c / both.n)])
    base = control.mean() - slope * float(off[0])
    effect = difference_of_means(control, treatment) - slope * apart
    moved = both.variance(1) / both.n
    covariance = noise * (np.diag([1 / n_c, 1 / n_t]) + np.outer(off, off) / within[1][1])
    # the mean of the covariate is of a sample, for both arms alike
    covariance = covariance + (noise / within[1][1] + slope * slope) * moved
    return [base, base + effect], covariance
