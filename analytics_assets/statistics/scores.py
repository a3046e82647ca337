"""How good chances are: of things that happen or not, each with the chance that somebody gave it before.

Belongs here: ranking (ROC, precision and recall), accuracy and calibration of given chances. Does not belong here: what
gave them (`churn`, `lifetime`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from analytics_assets.statistics.proportions import Z95, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

Chances: TypeAlias = "NDArray[np.float64]"
Happened: TypeAlias = "NDArray[np.bool_]"


@dataclass(frozen=True)
class Estimate:
    """Hold a number and its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Hold what became of those who were given about the same chance.

    Attributes:
        count: How many.
        happened: To how many of them it happened.
        lowest: The least chance among them.
        highest: The greatest.
        predicted: The mean chance.
        observed: happened / count.
        low: Lower end of the 95 % interval of `observed` (Wilson).
        high: Upper end.
    """

    count: int
    happened: int
    lowest: float
    highest: float
    predicted: float
    observed: float
    low: float
    high: float


def auc(chances: Chances, happened: Happened) -> Estimate | None:
    """Return the area under the ROC curve with DeLong's interval; None where all happened, or none did.

    It is the chance that one to whom it happened was given a higher chance than one to whom it did not, ties counting
    half. The variance is that of DeLong, DeLong and Clarke-Pearson (1988), by midranks (Sun and Xu 2014); the interval
    is made on the logit scale, so that it stays between 0 and 1. Of a perfect order the variance is 0, and so is the
    interval's width.

    >>> scores = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3])
    >>> found = auc(scores, np.array([True, True, False, True, False, False]))
    >>> [round(number, 3) for number in (found.value, found.low, found.high)]
    [0.889, 0.261, 0.995]
    """
    parts = _placements(chances, happened)
    if parts is None:
        return None
    ours, others = parts
    value = float(ours.mean())
    return _on_logits(value, math.sqrt(_spread(ours) + _spread(others)))


def auc_gain(chances: Chances, baseline: Chances, happened: Happened) -> Estimate | None:
    """Return by how much the area of one ROC curve is above another's of the same people; None as for `auc`.

    The interval is DeLong, DeLong and Clarke-Pearson's (1988) for two curves of one sample, eq. 4 to 6.

    >>> happened = np.array([True, True, False, False])
    >>> auc_gain(np.array([4.0, 3, 2, 1]), np.array([4.0, 2, 3, 1]), happened).value
    0.25
    """
    one, other = _placements(chances, happened), _placements(baseline, happened)
    if one is None or other is None:
        return None
    differences = [mine - its for mine, its in zip(one, other, strict=True)]
    value = float(differences[0].mean())
    width = Z95 * math.sqrt(sum(_spread(part) for part in differences))
    return Estimate(value, value - width, value + width)


def _placements(chances: Chances, happened: Happened) -> tuple[Chances, Chances] | None:
    """Return, of each one to whom it happened, the share of the others below; and of each other, the share above."""
    from scipy.stats import rankdata

    count, others = int(happened.sum()), int((~happened).sum())
    if not count or not others:
        return None
    among_all = rankdata(chances)
    above = (among_all[happened] - rankdata(chances[happened])) / others
    below = 1 - (among_all[~happened] - rankdata(chances[~happened])) / count
    return above, below


def _spread(values: Chances) -> float:
    """Return the variance of a mean; 0 of one value."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0


def _on_logits(value: float, error: float) -> Estimate:
    """Make an interval of a share on the logit scale, by the delta method."""
    if not 0 < value < 1:
        return Estimate(value, value, value)
    logit, width = math.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(end, -700.0), 700.0))) for end in (logit - width, logit + width))
    return Estimate(value, low, high)


def average_precision(chances: Chances, happened: Happened) -> Estimate | None:
    """Return the average precision, sum of (R_i - R_(i-1)) P_i over falling chances; None where nothing happened.

    Those with one chance come together. The interval is the logit one of Boyd, Eng and Page (2013), eq. 5: its width
    depends on how many it happened to.

    >>> found = average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    >>> round(found.value, 4)
    0.8333
    """
    count = int(happened.sum())
    if not count:
        return None
    order = np.argsort(-chances, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(chances[order])), len(order) - 1)
    hits = np.cumsum(happened[order])[ends]
    value = float(np.sum(np.diff(hits, prepend=0) / count * hits / (ends + 1)))
    return _on_logits(value, math.sqrt(value * (1 - value) / count))


def brier(chances: Chances, happened: Happened) -> Estimate | None:
    """Return the mean squared error of chances (Brier 1950) with its normal interval; None of nothing.

    >>> brier(np.array([0.5, 1.0]), np.array([True, True])).value
    0.125
    """
    if not len(chances):
        return None
    errors = (chances - happened) ** 2
    value, width = float(errors.mean()), Z95 * math.sqrt(_spread(errors))
    return Estimate(value, max(0.0, value - width), min(1.0, value + width))


def calibration(chances: Chances, happened: Happened, bins: int = 10) -> list[Bin]:
    """Compare chances with what happened, in bins of as many people each, from the lowest chances up.

    Those with one chance are in one bin, whatever their order, so that there may be fewer bins.

    >>> [(part.count, part.observed) for part in calibration(np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4) > 1, bins=2)]
    [(2, 0.0), (2, 1.0)]
    """
    if not len(chances):
        return []
    _, place, counts = np.unique(chances, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    of_bin = np.minimum((middle * bins / len(chances)).astype(int), bins - 1)[place]
    found = []
    for number in np.unique(of_bin):
        ours = of_bin == number
        count, hits = int(ours.sum()), int(happened[ours].sum())
        low, high = wilson(hits, count) or (0.0, 1.0)
        mine = np.sort(chances[ours])
        found.append(Bin(count, hits, float(mine[0]), float(mine[-1]), float(mine.mean()), hits / count, low, high))
    return found


def calibration_error(bins: list[Bin]) -> float | None:
    """Return by how much chances are off on average over bins, weighted by their size; None of nothing.

    >>> calibration_error(calibration(np.array([0.25, 0.25, 0.75, 0.75]), np.array([False, False, True, True])))
    0.25
    """
    total = sum(part.count for part in bins)
    return sum(part.count * abs(part.observed - part.predicted) for part in bins) / total if total else None
