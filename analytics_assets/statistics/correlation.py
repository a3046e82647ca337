"""Correlation of two series, with how little so many points may say.

Belongs here: coefficients, their intervals, and the number of points that dependent points are worth. Does not belong
here: any cause; two things that follow the calendar move together though neither does anything to the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    import numpy as np

State: TypeAlias = Literal["measured", "too few points", "constant"]

FEWEST_POINTS = 20
"""Effective points below which a correlation says little: nothing below 0.44 can then be told from 0."""


@dataclass(frozen=True)
class Correlation:
    """Say how two series go together.

    Attributes:
        state: `measured`; `too few points`: fewer effective points than `FEWEST_POINTS`; `constant`: one never changes.
        points: Pairs.
        effective_points: Independent pairs that would say as much.
        pearson: Of values; None where a series is constant.
        low: Lower end of its interval of 95 % (Fisher's z over effective points); None where there are 3 or fewer.
        high: Upper end of it.
        spearman: Of ranks; equal values share their mean rank.
    """

    state: State
    points: int
    effective_points: float
    pearson: float | None = None
    low: float | None = None
    high: float | None = None
    spearman: float | None = None


def correlate(one: Sequence[float], other: Sequence[float], *, in_time: bool = True) -> Correlation:
    """Correlate two series.

    Series in time repeat themselves, so that their points say less than as many independent ones: of n points,
    n / (1 + 2 sum over lags k of (1 - k/n) rho_one(k) rho_other(k)) (Bartlett 1935; with the factor 1 - k/n, Bayley
    and Hammersley 1946), over the lags to a quarter of n, and never more than n.

    Args:
        one: Values, equally spaced where they are in time.
        other: As many values.
        in_time: Whether the points are in order of time; else they are independent.

    >>> spend, revenue = [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [2.0, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
    >>> found = correlate(spend, revenue, in_time=False)
    >>> round(found.pearson, 3), round(found.low, 3), round(found.high, 3), found.state
    (0.958, 0.853, 0.988, 'too few points')
    """
    import numpy as np

    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    points = len(first)
    if not points or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation("constant" if points >= FEWEST_POINTS else "too few points", points, float(points))
    effective = _effective(first, second) if in_time else float(points)
    pearson = _pearson(first, second)
    spearman = _pearson(_ranks(first), _ranks(second))
    low = high = None
    if effective > 3:
        middle, width = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, pearson))), Z95 / math.sqrt(effective - 3)
        low, high = math.tanh(middle - width), math.tanh(middle + width)
    state: State = "measured" if effective >= FEWEST_POINTS else "too few points"
    return Correlation(state, points, effective, pearson, low, high, spearman)


def _pearson(one: np.ndarray, other: np.ndarray) -> float:
    first, second = one - one.mean(), other - other.mean()
    found = float((first * second).sum() / math.sqrt(float((first**2).sum()) * float((second**2).sum())))
    return max(-1.0, min(1.0, found))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1; equal ones share the mean of their ranks."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _effective(one: np.ndarray, other: np.ndarray) -> float:
    """Return how many independent pairs two series in time are worth."""
    import numpy as np

    points = len(one)
    lags = np.arange(1, points // 4 + 1)
    if not len(lags):
        return float(points)
    both = _autocorrelations(one, len(lags)) * _autocorrelations(other, len(lags))
    inflated = 1 + 2 * float(((1 - lags / points) * both).sum())
    return points / max(1.0, inflated)


def _autocorrelations(values: np.ndarray, lags: int) -> np.ndarray:
    """Return the autocorrelations of a series at the lags 1, 2, ..."""
    import numpy as np

    around = values - values.mean()
    spread = float((around**2).sum())
    return np.array([float((around[lag:] * around[:-lag]).sum()) / spread for lag in range(1, lags + 1)])
