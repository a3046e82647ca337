"""Sufficient statistics: counts, means and (co)variances of the units of one arm, about shifts, and how to merge them.

Belongs here: the one record that statistics read instead of users. Does not belong here: what the moments are used for
(`means`, `adjustment`, ...), and how an engine sums them up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ROUNDING = 1e-12
"""A variance below this share of the mean square about the shift is what rounding left: it is zero."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Hold what a comparison of means needs to know of the units of an arm.

    Variables are numbered: 0 is the outcome (or the numerator of a ratio), those after it are what the method says
    (the denominator, covariates). A mean is kept as a shift and a small offset from it, so that nothing is lost when
    values are near 1e9 and differ by 1.

    Attributes:
        n: Units.
        shifts: A number near the mean of each variable, in its unit; any will do, a near one is more exact.
        offsets: Mean minus shift of each variable.
        products: Sums of products of deviations from the means, variable by variable; symmetric.

    >>> moments = Moments.of([1.0, 2.0, 4.0])
    >>> moments.n, round(moments.mean(), 4), round(moments.variance(), 4)
    (3, 2.3333, 2.3333)
    """

    n: int
    shifts: tuple[float, ...]
    offsets: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, *columns: ArrayLike) -> Moments:
        """Compute the moments of arrays of equal length, one a variable, in two passes.

        What is not a finite number stays visible: its variable has a mean that is none.

        >>> Moments.of([1e9 + 1, 1e9 + 2, 1e9 + 3]).variance()
        1.0
        """
        import numpy as np

        arrays = [np.asarray(column, dtype=np.float64) for column in columns]
        n = len(arrays[0])
        if any(array.shape != (n,) for array in arrays):
            msg = "arrays of one dimension and the same length are needed"
            raise ValueError(msg)
        if not n:
            zeros = (0.0,) * len(arrays)
            return cls(0, zeros, zeros, (zeros,) * len(arrays))
        with np.errstate(invalid="ignore", over="ignore"):
            shifts = [float(array[0]) for array in arrays]
            near = [array - shift for array, shift in zip(arrays, shifts, strict=True)]
            offsets = [float(array.mean()) for array in near]
            centred = [array - offset for array, offset in zip(near, offsets, strict=True)]
            # the second pass: what rounding left in the means is taken out of the products
            left = [float(array.sum()) for array in centred]
            products = tuple(
                tuple(float(one @ other) - left[i] * left[j] / n for j, other in enumerate(centred))
                for i, one in enumerate(centred)
            )
        return cls(n, tuple(shifts), tuple(offsets), products)

    @classmethod
    def from_sums(
        cls,
        n: int,
        sums: Sequence[float],
        products: Sequence[Sequence[float]],
        shifts: Sequence[float] | None = None,
    ) -> Moments:
        """Make moments of the sums that one pass of an engine gives.

        Args:
            n: Units.
            sums: Of each variable minus its shift.
            products: Sums of products of the variables minus their shifts; symmetric, squares on the diagonal.
            shifts: What was subtracted; zeros if nothing was.

        >>> Moments.from_sums(3, [7.0], [[21.0]]) == Moments.from_sums(3, [1.0], [[5.0]], shifts=[2.0])
        False
        >>> Moments.from_sums(3, [1.0], [[5.0]], shifts=[2.0]).mean() == 7 / 3
        True
        """
        n = int(n)
        shifts = tuple(float(shift) for shift in shifts) if shifts is not None else (0.0,) * len(sums)
        if not n:
            zeros = (0.0,) * len(sums)
            return cls(0, shifts, zeros, (zeros,) * len(sums))
        offsets = tuple(float(total) / n for total in sums)
        places = range(len(sums))
        centred = [[float(products[i][j]) - n * offsets[i] * offsets[j] for j in places] for i in places]
        for i in places:
            if centred[i][i] <= ROUNDING * abs(float(products[i][i])):
                for j in places:
                    centred[i][j] = centred[j][i] = 0.0
        return cls(n, shifts, offsets, tuple(tuple(row) for row in centred))

    @classmethod
    def from_mean(cls, n: int, mean: float, variance: float) -> Moments:
        """Make the moments of one variable of its mean and sample variance.

        >>> Moments.from_mean(10, 5.0, 4.0).variance()
        4.0
        """
        return cls(int(n), (float(mean),), (0.0,), ((float(variance) * max(int(n) - 1, 0),),))

    @classmethod
    def from_counts(cls, n: int, successes: int) -> Moments:
        """Make the moments of a variable that is 1 for some units and 0 for all others.

        >>> Moments.from_counts(10, 4).mean()
        0.4
        """
        n = int(n)
        if not n:
            return cls(0, (0.0,), (0.0,), ((0.0,),))
        return cls(n, (0.0,), (successes / n,), ((successes * (n - successes) / n,),))

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """Merge the moments of parts that share no unit (Chan, Golub, LeVeque 1983); of no parts there are none.

        >>> whole = Moments.of([1.0, 2.0, 4.0, 9.0])
        >>> parts = Moments.merged([Moments.of([1.0, 2.0]), Moments.of([4.0, 9.0])])
        >>> parts.mean() == whole.mean(), round(parts.variance() - whole.variance(), 9)
        (True, 0.0)
        """
        merged: Moments | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        return merged if merged is not None else cls(0, (0.0,), (0.0,), ((0.0,),))

    def __add__(self, other: Moments) -> Moments:
        """Merge two parts."""
        if not self.n or not other.n:
            return self if self.n else other
        n, places = self.n + other.n, range(len(self.shifts))
        moved = [other.offset_from(i, self.shifts[i]) for i in places]
        apart = [moved[i] - self.offsets[i] for i in places]
        weight = self.n * (other.n / n)
        return Moments(
            n,
            self.shifts,
            tuple(self.offsets[i] + apart[i] * (other.n / n) for i in places),
            tuple(
                tuple(self.products[i][j] + other.products[i][j] + apart[i] * apart[j] * weight for j in places)
                for i in places
            ),
        )

    def offset_from(self, variable: int, shift: float) -> float:
        """Tell a mean as the distance from any shift: exact to the last digit where shifts are near each other."""
        return (self.shifts[variable] - shift) + self.offsets[variable]

    def mean(self, variable: int = 0) -> float:
        """Give the mean of a variable."""
        return self.shifts[variable] + self.offsets[variable]

    def variance(self, variable: int = 0) -> float:
        """Give the sample variance of a variable (divisor n - 1); 0 of fewer than two units."""
        return self.products[variable][variable] / (self.n - 1) if self.n > 1 else 0.0

    def covariance(self, one: int, other: int) -> float:
        """Give the sample covariance of two variables (divisor n - 1); 0 of fewer than two units."""
        return self.products[one][other] / (self.n - 1) if self.n > 1 else 0.0

    def select(self, *variables: int) -> Moments:
        """Take some variables, in the order given.

        >>> Moments.of([1.0, 2.0], [5.0, 9.0]).select(1).mean()
        7.0
        """
        return Moments(
            self.n,
            tuple(self.shifts[i] for i in variables),
            tuple(self.offsets[i] for i in variables),
            tuple(tuple(self.products[i][j] for j in variables) for i in variables),
        )

    @property
    def finite(self) -> bool:
        """Whether every mean and product is a finite number, as it is when every value was one."""
        return math.isfinite(sum(self.offsets) + sum(self.shifts)) and math.isfinite(sum(map(sum, self.products)))


def difference_of_means(control: Moments, treatment: Moments, variable: int = 0) -> float:
    """Subtract the control's mean from the treatment's, without what rounding takes from means far from zero.

    >>> difference_of_means(Moments.of([1e9, 1e9 + 0.25]), Moments.of([1e9 + 0.5, 1e9 + 0.75]))
    0.5
    """
    return treatment.offset_from(variable, control.shifts[variable]) - control.offsets[variable]


def cleared(variance: float, of: float) -> float:
    """Give a variance that was made by subtraction, or 0 where it is what rounding left of a larger one.

    >>> cleared(1e-18, of=1.0), cleared(0.5, of=1.0)
    (0.0, 0.5)
    """
    return 0.0 if variance <= 1e-13 * of else variance
