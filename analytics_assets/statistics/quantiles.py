"""Quantiles of two arms, as contrasts, for independent rows and for rows in clusters.

Belongs here: quantiles with the interval of Deng, Knoblich and Lu (2018). Does not belong here: ranks (`ranks`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.statistics.effects import NORMAL, Arm, Contrast, Reason, contrast
from analytics_assets.statistics.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEVEL = 0.05
"""Error level of the interval of order statistics from which a standard error is read."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """Hold a quantile of an arm.

    Attributes:
        q: Which, between 0 and 1.
        value: The estimate; None where there is none.
        low: The order statistic below it that bounds its interval.
        high: The one above.
        n: Rows, or clusters where there are some: what is independent.
        variance: Squared standard error.
        reason: Why numbers are None.
    """

    q: float
    value: float | None
    low: float | None
    high: float | None
    n: int
    variance: float | None
    reason: Reason | None = None


def quantile(values: ArrayLike, q: float, *, clusters: ArrayLike | None = None) -> Quantile:
    """Estimate a quantile of an array and its standard error, by the order statistics around it.

    The interval of the share below the quantile, q +- z se, is turned into order statistics, and their distance into a
    standard error: no density is estimated. With clusters (users with several rows), se is the delta method's for the
    share as a ratio of sums over clusters (Deng, Knoblich, Lu 2018, 4).

    Args:
        values: A number a row.
        q: Which quantile, between 0 and 1, both excluded.
        clusters: A name a row, where rows of the same name hang together.

    >>> found = quantile(range(1, 1001), 0.9)
    >>> found.value, round(found.variance ** 0.5, 2)
    (900.0, 9.69)
    """
    import numpy as np

    if not 0 < q < 1:
        msg = f"a quantile lies between 0 and 1, both excluded: {q}"
        raise ValueError(msg)
    told = np.asarray(values, dtype=np.float64)
    n = len(told)
    if not n:
        return Quantile(q, None, None, None, 0, None, Reason.NO_UNITS)
    if not np.isfinite(told).all():
        return Quantile(q, None, None, None, n, None, Reason.NOT_FINITE)
    order = np.sort(told)
    value = float(order[_place(q, n)])
    units, spread = n, q * (1 - q) / n
    if clusters is not None:
        _, names = np.unique(np.asarray(clusters), return_inverse=True)
        sizes = np.bincount(names).astype(np.float64)
        below = np.bincount(names, weights=told <= value)
        units = len(sizes)
        if units < 2:
            return Quantile(q, value, None, None, units, None, Reason.ONE_UNIT)
        spread = cluster_variance(Moments.of(below, sizes))
    z = -NORMAL.inv_cdf(LEVEL / 2)
    width = z * math.sqrt(spread)
    if q - width <= 0 or q + width >= 1:
        return Quantile(q, value, None, None, units, None, Reason.TOO_FEW)
    low, high = float(order[_place(q - width, n)]), float(order[min(_place(q + width, n) + 1, n - 1)])
    return quantile_of_bounds(q, value, low, high, units)


def quantile_of_bounds(q: float, value: float, low: float, high: float, n: int, *, inflation: float = 1.0) -> Quantile:
    """Make the record of a quantile whose bounds an engine found, at q +- z sqrt(q (1 - q) / n).

    Args:
        q: Which quantile.
        value: The estimate.
        low: The order statistic at the lower bound, for z at 95 %.
        high: The one at the upper bound.
        n: Rows, or what else is independent.
        inflation: Variance of the share below the quantile, over that of independent rows: above 1 in clusters
            (`cluster_variance`).

    >>> quantile_of_bounds(0.5, 12.0, 11.7, 12.4, 5000).reason is None
    True
    """
    z = -NORMAL.inv_cdf(LEVEL / 2)
    error = (high - low) / (2 * z)
    if not math.isfinite(error):
        return Quantile(q, None, None, None, n, None, Reason.NOT_FINITE)
    variance = error * error * inflation
    return Quantile(q, value, low, high, n, variance, None if variance > 0 else Reason.NO_VARIANCE)


def cluster_variance(shares: Moments) -> float:
    """Give the variance of a share of rows whose clusters are independent.

    Args:
        shares: Of clusters: variable 0 is how many rows are below the quantile, variable 1 how many there are.

    >>> round(cluster_variance(Moments.of([1.0, 0.0, 2.0, 1.0], [2.0, 2.0, 2.0, 2.0])), 4)
    0.0417
    """
    from analytics_assets.statistics.means import ratio_of

    return ratio_of(shares).variance / shares.n


def quantiles(control: Quantile, treatment: Quantile) -> Contrast:
    """Contrast a quantile of two arms.

    >>> two = quantiles(quantile(range(1000), 0.5), quantile(range(50, 1050), 0.5))
    >>> two.difference
    50.0
    """
    arms = []
    for found in (control, treatment):
        reason = found.reason if found.reason != Reason.NO_VARIANCE else None
        arms.append(Arm(found.n, 0.0, found.value or 0.0, (found.variance or 0.0) * found.n, reason))
    return contrast(arms[0], arms[1])


def _place(share: float, n: int) -> int:
    """Give the place of the smallest value that at least this share of n values does not exceed."""
    return min(max(math.ceil(n * share - 1e-9) - 1, 0), n - 1)
