"""Shares of counts: intervals, comparison, and what to do when many are compared.

Belongs here: what needs a count and a total alone. Does not belong here: means, and designs of experiments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false alarm stays below alpha (Holm 1979), in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, most = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = most
    return adjusted
