"""A/A tests by dividing the same units again and again: does a metric raise alarms as often as it promises?

Units are in buckets by a hash, and buckets go to two arms at random; sums by bucket are all that is needed. Units of
a bucket have nothing in common, so that units may be analysed as if each had been drawn.

Belongs here: drawing arms, and all their tests at once. Does not belong here: the estimators themselves (`means`,
`adjustment`), to which each draw is equal, and where sums come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics_assets.statistics.adjustment import linearised
from analytics_assets.statistics.calibration import ALPHA, chance_bounds
from analytics_assets.statistics.effects import MANY, Reason, checked_alpha
from analytics_assets.statistics.moments import ROUNDING, Moments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

BUCKETS = 4096
DRAWS = 500
SEED = 20_240_101


@dataclass(frozen=True, slots=True, eq=False)
class BucketSums:
    """Hold the shifted sums of units by bucket; variables are numbered as in `Moments`.

    Attributes:
        n: Units of each bucket.
        sums: Of each variable minus its shift: a row a bucket.
        products: Sums of products of the variables minus their shifts: a matrix a bucket.
        shifts: What was subtracted, in all buckets alike.
    """

    n: NDArray[np.float64]
    sums: NDArray[np.float64]
    products: NDArray[np.float64]
    shifts: tuple[float, ...]

    @classmethod
    def of(cls, buckets: ArrayLike, *columns: ArrayLike, count: int = BUCKETS) -> BucketSums:
        """Sum up arrays, one a variable, by the number of each unit's bucket.

        >>> BucketSums.of([0, 1, 1], [1.0, 2.0, 6.0], count=2).sums.tolist()
        [[-2.0], [2.0]]
        """
        import numpy as np

        places = np.asarray(buckets, dtype=np.int64)
        values = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
        shifts = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
        near = values - shifts
        n, sums = np.zeros(count), np.zeros((count, near.shape[1]))
        products = np.zeros((count, near.shape[1], near.shape[1]))
        np.add.at(n, places, 1.0)
        np.add.at(sums, places, near)
        np.add.at(products, places, near[:, :, None] * near[:, None, :])
        return cls(n, sums, products, tuple(map(float, shifts)))

    def moments(self, chosen: NDArray[np.bool_] | None = None) -> Moments:
        """Give the moments of the units of some buckets, or of all."""
        n, sums, products = (
            part.sum(axis=0) if chosen is None else part[chosen].sum(axis=0)
            for part in (self.n, self.sums, self.products)
        )
        return Moments.from_sums(int(n), sums.tolist(), products.tolist(), self.shifts)


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """Hold how often arms that are alike were told apart.

    Attributes:
        draws: Divisions that could be tested.
        alarms: Of them, p-values below alpha.
        rate: alarms / draws; None without draws.
        low: Lower end of what chance makes of alpha, 999 times of 1,000.
        high: Upper end.
        reason: Why nothing could be tested.
    """

    draws: int
    alarms: int
    rate: float | None
    low: float | None
    high: float | None
    reason: Reason | None = None

    @property
    def flagged(self) -> bool:
        """Whether the rate is not what alpha promises."""
        return None not in (self.rate, self.low, self.high) and not self.low <= self.rate <= self.high  # type: ignore[operator]


def arms(draws: int = DRAWS, buckets: int = BUCKETS, seed: int = SEED) -> NDArray[np.bool_]:
    """Draw which buckets are in the treatment: a row a draw, each bucket with an even chance.

    >>> arms(2, 4, seed=1).shape, bool((arms(3, 9) == arms(3, 9)).all())
    ((2, 4), True)
    """
    import numpy as np

    return np.random.default_rng(seed).random((draws, buckets)) < 0.5


def p_values(
    units: BucketSums, treated: NDArray[np.bool_], *, ratio: bool = False, covariate: bool = False
) -> NDArray[np.float64]:
    """Test the difference of two arms for every draw at once, two-sided; NaN where there is no test.

    Each is what `verdicts.evaluate` gives at a fixed horizon of the moments of the two arms.

    Args:
        units: Sums by bucket: of the outcome and its covariate, or with `ratio` of numerator, denominator and the two
            of the days before.
        treated: Which buckets are in the treatment, a row a draw.
        ratio: Whether the metric is a ratio of means.
        covariate: Whether to adjust for what was before.

    >>> units = BucketSums.of([0, 1, 2, 3], [1.0, 2.0, 3.0, 5.0], count=4)
    >>> import numpy as np
    >>> p_values(units, np.array([[False, True, False, True], [False, False, False, False]])).round(4).tolist()
    [0.5038, nan]
    """
    import numpy as np

    one, other = _Arms.of(units, ~treated), _Arms.of(units, treated)
    with np.errstate(all="ignore"):
        apart, v_c, v_t = _ratios(one, other) if ratio else _means(one, other)
        plain = _tested(one, other, apart, v_c, v_t)
        if not covariate:
            return plain
        whole = units.moments()
        if ratio:
            there = (one.mean(3) != 0) & (other.mean(3) != 0)
            if not (whole.n and whole.mean(1) and whole.mean(3)):
                return plain
            theta = _slope(*linearised(whole)[1:])
            adjusted = _adjusted_ratios(one, other, theta)
        else:
            there = np.ones(len(plain), dtype=bool)
            theta = _slope(whole.covariance(0, 1), whole.variance(1))
            adjusted = _adjusted_means(one, other, theta)
        found = _tested(one, other, *adjusted)
        return np.where(there, np.where(np.isnan(plain), np.nan, found), plain)


def false_positives(
    units: BucketSums,
    treated: NDArray[np.bool_],
    *,
    ratio: bool = False,
    covariate: bool = False,
    alpha: float = ALPHA,
) -> FalsePositives:
    """Count how often arms of the same units are told apart.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> units = BucketSums.of(rng.integers(0, BUCKETS, 20_000), rng.exponential(size=20_000))
    >>> found = false_positives(units, arms())
    >>> found.draws, found.alarms, found.flagged
    (500, 29, False)
    """
    import numpy as np

    checked_alpha(alpha)
    found = p_values(units, treated, ratio=ratio, covariate=covariate)
    draws, alarms = int((~np.isnan(found)).sum()), int((found < alpha).sum())
    if not draws:
        return FalsePositives(0, 0, None, None, None, _why(units, ratio=ratio))
    low, high = chance_bounds(alpha, draws)
    return FalsePositives(draws, alarms, alarms / draws, low, high)


def _why(units: BucketSums, *, ratio: bool) -> Reason:
    whole = units.moments()
    if not whole.n:
        return Reason.NO_UNITS
    if not whole.finite:
        return Reason.NOT_FINITE
    if whole.n < 4:
        return Reason.TOO_FEW
    return Reason.NO_DENOMINATOR if ratio and not whole.mean(1) else Reason.NO_VARIANCE


@dataclass(frozen=True, slots=True, eq=False)
class _Arms:
    """Hold the moments of one arm in every draw."""

    n: NDArray[np.float64]
    shifts: Sequence[float]
    offsets: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, units: BucketSums, chosen: NDArray[np.bool_]) -> _Arms:
        import numpy as np

        picked = chosen.astype(np.float64)
        width = len(units.shifts)
        n, sums = picked @ units.n, picked @ units.sums
        raw = (picked @ units.products.reshape(len(units.n), width * width)).reshape(-1, width, width)
        with np.errstate(all="ignore"):
            offsets = sums / n[:, None]
            centred = raw - n[:, None, None] * offsets[:, :, None] * offsets[:, None, :]
        places = np.arange(width)
        # as `Moments.from_sums`: what rounding left of a variance is none
        still = centred[:, places, places] <= ROUNDING * np.abs(raw[:, places, places])
        centred[still[:, :, None] | still[:, None, :]] = 0.0
        return cls(n, units.shifts, offsets, centred)

    def mean(self, variable: int) -> NDArray[np.float64]:
        return self.shifts[variable] + self.offsets[:, variable]

    def covariance(self, one: int, other: int) -> NDArray[np.float64]:
        return self.products[:, one, other] / (self.n - 1)

    def linear(self, above: int, below: int) -> NDArray[np.float64]:
        """Give the weights of the variables in the linearised ratio of two of them."""
        import numpy as np

        weights = np.zeros_like(self.offsets)
        weights[:, above] = 1 / self.mean(below)
        weights[:, below] = -self.mean(above) / self.mean(below) ** 2
        return weights

    def joint(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the covariance of two weighted sums of the variables."""
        import numpy as np

        return np.asarray(np.einsum("di,dij,dj->d", one, self.products, other) / (self.n - 1))


Estimates = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]
"""The difference, and the variance of one unit in the control and in the treatment, of every draw."""


def _means(one: _Arms, other: _Arms) -> Estimates:
    return other.offsets[:, 0] - one.offsets[:, 0], one.covariance(0, 0), other.covariance(0, 0)


def _adjusted_means(one: _Arms, other: _Arms, theta: float) -> Estimates:
    apart = other.offsets - one.offsets
    left = [
        _cleared(
            arm.covariance(0, 0) + theta * theta * arm.covariance(1, 1) - 2 * theta * arm.covariance(0, 1),
            arm.covariance(0, 0),
        )
        for arm in (one, other)
    ]
    return apart[:, 0] - theta * apart[:, 1], left[0], left[1]


def _ratios(one: _Arms, other: _Arms) -> Estimates:
    found, spread = [], []
    for arm in (one, other):
        below = arm.mean(1)
        ratio = arm.mean(0) / below
        raw = arm.covariance(0, 0) - 2 * ratio * arm.covariance(0, 1) + ratio * ratio * arm.covariance(1, 1)
        found.append(ratio)
        spread.append(_cleared(raw, arm.covariance(0, 0)) / (below * below))
    return found[1] - found[0], spread[0], spread[1]


def _adjusted_ratios(one: _Arms, other: _Arms, theta: float) -> Estimates:
    left, found = [], []
    for arm in (one, other):
        now, before = arm.linear(0, 1), arm.linear(2, 3)
        here, joint, there = arm.joint(now, now), arm.joint(now, before), arm.joint(before, before)
        left.append(_cleared(here + theta * theta * there - 2 * theta * joint, here))
        found.append(arm.mean(0) / arm.mean(1) - theta * arm.mean(2) / arm.mean(3))
    return found[1] - found[0], left[0], left[1]


def _slope(joint: float, variance: float) -> float:
    return joint / variance if variance > 0 else 0.0


def _cleared(variance: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `moments.cleared`, of every draw."""
    import numpy as np

    return np.where(variance <= 1e-13 * of, 0.0, variance)


def _tested(
    one: _Arms, other: _Arms, apart: NDArray[np.float64], v_c: NDArray[np.float64], v_t: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the p-value of Welch's t of every draw."""
    import numpy as np
    from scipy.special import ndtr, stdtr

    e_c, e_t = np.maximum(v_c, 0.0) / one.n, np.maximum(v_t, 0.0) / other.n
    variance = e_c + e_t
    share = e_c / variance
    df = 1 / (share * share / (one.n - 1) + (1 - share) * (1 - share) / (other.n - 1))
    size = np.abs(apart) / np.sqrt(variance)
    p = np.minimum(1.0, 2 * np.where(df > MANY, ndtr(-size), stdtr(df, -size)))
    fine = (one.n >= 2) & (other.n >= 2) & (variance > 0) & np.isfinite(size)
    return np.where(fine, p, np.nan)
