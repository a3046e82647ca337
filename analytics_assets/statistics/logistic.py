"""Logistic regression of an outcome that happens or not, on the treatment and what was known before it.

Belongs here: the fit, odds ratios, and saying when there are none. Does not belong here: refusing regressors from after
the exposure (plans do).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.statistics.effects import NORMAL, Reason, checked_alpha, p_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

INTERCEPT = "intercept"
ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Term:
    """Hold one coefficient.

    Attributes:
        name: Of the regressor.
        log_odds: The coefficient.
        std_error: Of the coefficient.
        odds_ratio: exp(coefficient): by what the odds are multiplied if the regressor is larger by 1.
        low: Lower end of the odds ratio's Wald interval.
        high: Upper end.
        z: Coefficient over its standard error.
        p_value: Two-sided.
    """

    name: str
    log_odds: float
    std_error: float
    odds_ratio: float
    low: float
    high: float
    z: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Logistic:
    """Hold a fit.

    Attributes:
        terms: The intercept first, then the regressors in their order; none where there is no fit.
        n: Units.
        successes: Units with the outcome.
        log_likelihood: Of the fit.
        pseudo_r2: McFadden's: 1 - log-likelihood over that of the intercept alone.
        alpha: Of the intervals.
        robust: Whether errors are the sandwich's.
        separated: Regressors that determine the outcome of some units for sure.
        reason: Why there is no fit.
    """

    terms: tuple[Term, ...]
    n: int
    successes: int
    log_likelihood: float | None
    pseudo_r2: float | None
    alpha: float
    robust: bool
    separated: tuple[str, ...] = ()
    reason: Reason | None = None

    def __getitem__(self, name: str) -> Term:
        """Look a term up by its name."""
        return {term.name: term for term in self.terms}[name]


def logistic(
    successes: ArrayLike,
    regressors: Mapping[str, ArrayLike],
    *,
    trials: ArrayLike | None = None,
    alpha: float = 0.05,
    robust: bool = False,
) -> Logistic:
    """Fit log odds = intercept + sum of coefficients x regressors, by maximum likelihood (iterated least squares).

    Rows are units, or groups of units that are alike: with `trials`, a row counts for many, and the fit is the same as
    of the units one by one. With `robust`, errors are Huber's and White's (HC0) over units. If regressors separate
    outcomes, the likelihood has no largest value, and no odds ratio is given (Albert, Anderson 1984).

    Args:
        successes: Units with the outcome in each row; 0 or 1 without `trials`.
        regressors: By name, a number a row; a category is a column of 0 and 1 for each value but one.
        trials: Units in each row.
        alpha: Of the intervals.
        robust: Whether errors shall hold where the model does not.

    >>> found = logistic([1000, 1087], {"treatment": [0, 1]}, trials=[10_000, 10_050])
    >>> term = found["treatment"]
    >>> round(term.odds_ratio, 4), round(term.low, 4), round(term.high, 4), round(term.p_value, 4)
    (1.0915, 0.9968, 1.1951, 0.0586)
    """
    import numpy as np

    checked_alpha(alpha)
    y = np.asarray(successes, dtype=np.float64)
    m = np.ones(len(y)) if trials is None else np.asarray(trials, dtype=np.float64)
    columns = [np.asarray(column, dtype=np.float64) for column in regressors.values()]
    x = np.column_stack([np.ones(len(y)), *columns])
    there = m > 0
    y, m, x = y[there], m[there], x[there]
    finite = bool(np.isfinite(y).all() and np.isfinite(m).all() and np.isfinite(x).all())
    n, hits = (int(m.sum()), int(y.sum())) if finite else (0, 0)
    names = (INTERCEPT, *regressors)
    reason = _reason(y, m, x, finite=finite)
    if reason is None and ((y < 0) | (y > m)).any():
        msg = "a row cannot have more successes than units, or fewer than none"
        raise ValueError(msg)
    if reason is not None:
        return Logistic((), n, hits, None, None, alpha, robust, (), reason)
    # regressors on one scale, so that units of measurement do not matter to the fit
    middle, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    middle[1:] = (m @ x[:, 1:]) / n
    scale[1:] = np.sqrt((m @ (x[:, 1:] - middle[1:]) ** 2) / n)
    z = (x - middle) / scale
    fitted, converged = _fit(y, m, z)
    if not converged or np.abs(fitted).max() > 5 or np.abs(z @ fitted).max() > 12:
        apart = _separating(y, m, z)
        if apart is not None:
            told = tuple(name for name, is_so in zip(names, apart, strict=True) if is_so and name != INTERCEPT)
            return Logistic((), n, hits, None, None, alpha, robust, told, Reason.SEPARATED)
    if not converged:
        return Logistic((), n, hits, None, None, alpha, robust, (), Reason.NOT_CONVERGED)
    covariance = _covariance(y, m, z, fitted, robust=robust)
    # back to the regressors' own scale
    turn = np.diag(1 / scale)
    turn[0, 1:] = -middle[1:] / scale[1:]
    fitted, covariance = turn @ fitted, turn @ covariance @ turn.T
    deviate = -NORMAL.inv_cdf(alpha / 2)
    terms = tuple(
        _term(name, float(value), math.sqrt(float(spread)), deviate)
        for name, value, spread in zip(names, fitted, np.diag(covariance), strict=True)
    )
    likelihood = _log_likelihood(y, m, x @ fitted)
    null = hits * math.log(hits / n) + (n - hits) * math.log1p(-hits / n)
    return Logistic(terms, n, hits, likelihood, 1 - likelihood / null, alpha, robust)


def _reason(y: NDArray[np.float64], m: NDArray[np.float64], x: NDArray[np.float64], *, finite: bool) -> Reason | None:
    import numpy as np

    if not len(y):
        return Reason.NO_UNITS
    if not finite:
        return Reason.NOT_FINITE
    if y.sum() == 0 or y.sum() == m.sum():
        return Reason.NO_VARIANCE
    if m.sum() <= x.shape[1]:
        return Reason.TOO_FEW
    spread = np.abs(x).max(axis=0)
    if (spread == 0).any() or np.linalg.matrix_rank(x / spread, tol=1e-10 * math.sqrt(len(x))) < x.shape[1]:
        return Reason.COLLINEAR
    return None


def _fit(y: NDArray[np.float64], m: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    import numpy as np

    fitted = np.zeros(x.shape[1])
    fitted[0] = math.log(y.sum() / (m.sum() - y.sum()))
    last = _log_likelihood(y, m, x @ fitted)
    for _ in range(ROUNDS):
        chance = _chance(x @ fitted)
        weights = m * chance * (1 - chance)
        try:
            step = np.linalg.solve((x * weights[:, None]).T @ x, x.T @ (y - m * chance))
        except np.linalg.LinAlgError:
            return fitted, False
        # halved until the likelihood does not fall
        for _ in range(30):
            now = _log_likelihood(y, m, x @ (fitted + step))
            if now >= last - 1e-12 * abs(last):
                break
            step = step / 2
        fitted = fitted + step
        if np.abs(step).max() < 1e-10 * max(1.0, float(np.abs(fitted).max())):
            return fitted, True
        last = now
    return fitted, False


def _chance(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    return expit(log_odds)


def _log_likelihood(y: NDArray[np.float64], m: NDArray[np.float64], log_odds: NDArray[np.float64]) -> float:
    import numpy as np

    return float(y @ log_odds - m @ np.logaddexp(0.0, log_odds))


def _covariance(
    y: NDArray[np.float64], m: NDArray[np.float64], x: NDArray[np.float64], fitted: NDArray[np.float64], *, robust: bool
) -> NDArray[np.float64]:
    import numpy as np

    chance = _chance(x @ fitted)
    bread = np.asarray(np.linalg.inv((x * (m * chance * (1 - chance))[:, None]).T @ x), dtype=np.float64)
    if not robust:
        return bread
    squared = y * (1 - chance) ** 2 + (m - y) * chance**2
    return bread @ ((x * squared[:, None]).T @ x) @ bread


def _separating(y: NDArray[np.float64], m: NDArray[np.float64], x: NDArray[np.float64]) -> list[bool] | None:
    """Find a direction along which no outcome is on the wrong side and some are on the right one (Konis 2007)."""
    import numpy as np
    from scipy.optimize import linprog

    sides = np.unique(np.concatenate([x[y > 0], -x[y < m]]), axis=0)
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1), method="highs")
    if found.x is None or found.fun is None or -found.fun < 1e-7:
        return None
    return [bool(abs(part) > 1e-9) for part in found.x]


def _term(name: str, value: float, error: float, deviate: float) -> Term:
    z = value / error
    ends = [math.exp(min(max(end, -700.0), 700.0)) for end in (value, value - deviate * error, value + deviate * error)]
    return Term(name, value, error, ends[0], ends[1], ends[2], z, p_value(z, None, "two-sided"))
