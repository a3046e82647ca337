"""Intervals of shares, as expressions: what `statistics.proportions` says of two numbers, of whole columns.

Belongs here: intervals that the engine computes a row. Does not belong here: tests, which take numbers (`statistics`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    from ibis.expr.types import NumericValue


def wilson(hits: NumericValue, total: NumericValue, z: float = Z95) -> tuple[NumericValue, NumericValue]:
    """Give the ends of the interval of a share (Wilson 1927); null of nothing.

    >>> counted = ibis.memtable({"hits": [8], "total": [10]})
    >>> low, high = wilson(counted.hits, counted.total)
    >>> counted.select(low=low.round(4), high=high.round(4)).execute().values.tolist()
    [[0.4902, 0.9433]]
    """
    seen = total.cast("float64").nullif(0)
    share = hits.cast("float64") / seen
    scale = 1 + z**2 / seen
    middle = (share + z**2 / (2 * seen)) / scale
    width = z * (share * (1 - share) / seen + z**2 / (4 * seen * seen)).sqrt() / scale
    # rounding must not leave an end on the wrong side of the share, or of 0 and 1
    low, high = (middle - width).clip(lower=0.0), (middle + width).clip(upper=1.0)
    nothing = share.isnull()
    return nothing.ifelse(ibis.null("float64"), ibis.least(share, low)), nothing.ifelse(
        ibis.null("float64"), ibis.greatest(share, high)
    )
