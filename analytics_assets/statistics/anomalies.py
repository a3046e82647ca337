"""Days that are out of the ordinary, with a stated rate of false alarms.

Belongs here: what a day was expected to be by the days before it, and how far off it must be. Does not belong here: why
it was (named days come as places in the series), and forecasts of more than a day.

Every day is judged by the days before it alone, so that a verdict never changes when more days come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from analytics_assets.statistics.series import WEEK
from analytics_assets.statistics.threads import one_thread

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[float64]
    Flags: TypeAlias = NDArray[bool_]

RATE = 0.001
"""Share of ordinary days that are called anomalies: one in a thousand."""
WARM_UP = 4 * WEEK
"""Days before the first that is judged."""
_WINDOW = 8 * WEEK
_TERMS = WEEK + 1
_LONGEST_RUN = WEEK
_TAILS = ((math.inf, 0.94), (10.0, 0.03), (4.0, 0.03))
_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.45, 1.7, 2.0)
_SCALES_VARY = 0.15
_FARTHEST = 8.0
_REACHES = 141
_LEAST = 0.25


@dataclass(frozen=True)
class Judged:
    """Hold the verdicts on a panel of series: a row a series, a column a day; NaN where a day is not judged.

    Attributes:
        expected: What the days before say.
        low: The least that is no anomaly.
        high: The most.
        score: How far off, in standard deviations of a normal distribution that is as unlikely.
        anomaly: Whether the day is out of the ordinary.
    """

    expected: Numbers
    low: Numbers
    high: Numbers
    score: Numbers
    anomaly: Flags


def judge(panel: Numbers, *, counts: Sequence[bool], named: Flags | None = None, rate: float = RATE) -> Judged:
    """Judge every day of every series by the 8 weeks before it.

    A regression on the day of the week and a line gives what is expected, and its error ahead, which grows with what is
    not known of the weights. Counts are judged by the negative binomial distribution of that mean and spread (of
    Poisson's at least), other numbers by Student's: on their fourth roots or logarithms, whichever told the days before
    better, on their roots once there was a 0, and as they are once one was negative. A day's score is the normal
    deviate that is as unlikely.

    How far scores reach is learned from those of the series so far: a mixture of two-piece t distributions (Fernandez,
    Steel 1998), heavy and light, each as likely as its prior and the scores before say. It begins near the normal one,
    and widens where days hang together, jump, or have more small orders than large ones.

    Days that were anomalies, gaps and named days shape no expectation; a run of more than 7 anomalies is a new level,
    and counts. No day is judged without 4 weeks before it, or where the weeks before do not vary.

    Args:
        panel: A number a series (rows) and day (columns); NaN for gaps.
        counts: Which series are counts: whole numbers that are not negative.
        named: Days that are not like others, and not judged.
        rate: The share of ordinary days that may be called anomalies.

    >>> import numpy as np
    >>> noise = np.random.default_rng(1).poisson(100, (1, 60)).astype(float)
    >>> noise[0, 59] = 200
    >>> judge(noise, counts=[True]).anomaly.nonzero()[1]
    array([59])
    """
    import numpy as np

    series, days = panel.shape
    empty = np.full((series, days), math.nan)
    found = {name: empty.copy() for name in ("expected", "low", "high", "score")}
    anomaly = np.zeros((series, days), dtype=bool)
    special = np.zeros(days, dtype=bool) if named is None else named
    counted = np.asarray(counts, dtype=bool)
    scales = _Scales(panel, counted)
    usable = ~np.isnan(panel) & ~special
    runs = np.zeros(series, dtype=int)
    with one_thread("scipy.linalg"):
        for day in range(WARM_UP, days):
            window = slice(max(0, day - _WINDOW), day)
            fit = _fit(scales.values[:, :, window], usable[:, window])
            scores, ahead = scales.score(fit, day)
            reach = scales.reach(rate)
            able = fit.able & np.isfinite(scores) & (ahead.error > 0)
            low, high = scales.ends(ahead, reach)
            here = panel[:, day]
            known = able & ~np.isnan(here) & ~special[day]
            out = known & ((here < low) | (here > high))
            found["expected"][able, day] = scales.back(ahead.middle)[able]
            found["low"][able, day], found["high"][able, day] = low[able], high[able]
            side = np.where(scores < 0, reach[0], reach[1])
            found["score"][known, day] = (scores / side)[known] * _normal(rate)
            anomaly[:, day] = out
            scales.learn(known)
            runs = np.where(out, runs + 1, 0)
            usable[out, day] = False
            for row in np.flatnonzero(runs > _LONGEST_RUN):
                since = day - runs[row] + 1
                usable[row, since : day + 1] = ~np.isnan(panel[row, since : day + 1]) & ~special[since : day + 1]
    return Judged(found["expected"], found["low"], found["high"], found["score"], anomaly)


def _normal(rate: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri(rate / 2))


@dataclass(frozen=True)
class _Fit:
    """Hold the regressions of a window: by series, and scale."""

    middle: Numbers
    error: Numbers
    leverage: Numbers
    dispersion: Numbers
    freedom: Numbers
    able: Flags


@dataclass(frozen=True)
class _Next:
    """Hold what is expected of a day, each series on its own scale."""

    middle: Numbers
    error: Numbers


def _fit(values: Numbers, usable: Flags) -> _Fit:
    """Fit the days of the week and a line to a window, at once for all series and scales; the next day is at 0."""
    import numpy as np

    length = values.shape[2]
    back = np.arange(-length, 0)
    design = np.zeros((length, _TERMS))
    design[np.arange(length), back % WEEK] = 1.0
    design[:, WEEK] = back / _WINDOW
    next_day = np.zeros(_TERMS)
    next_day[0] = 1.0
    weights = usable.astype(float)
    by_weekday = weights @ design[:, :WEEK]
    able = (by_weekday.min(axis=1) >= 1) & (weights.sum(axis=1) >= 2 * _TERMS)
    normal = np.einsum("ti,st,tj->sij", design, weights, design)
    normal[~able] = np.eye(_TERMS)
    inverse = np.linalg.inv(normal)
    zeroed = np.where(usable[None, :, :], np.nan_to_num(values), 0.0)
    beta = np.einsum("sij,tj,kst->ksi", inverse, design, zeroed)
    fitted = np.einsum("ti,ksi->kst", design, beta)
    residual = np.where(usable[None, :, :], zeroed - fitted, 0.0)
    freedom = np.maximum(weights.sum(axis=1) - _TERMS, 1.0)
    squares = (residual**2).sum(axis=2)
    dispersion = (residual**2 / np.maximum(fitted, _LEAST)).sum(axis=2)
    level = np.abs(zeroed).max(axis=2)
    squares = np.where(squares <= 1e-18 * (1 + level**2), 0.0, squares)
    return _Fit(
        middle=beta[:, :, 0],
        error=np.sqrt(squares / freedom),
        leverage=np.einsum("i,sij,j->s", next_day, inverse, next_day),
        dispersion=dispersion / freedom,
        freedom=freedom,
        able=able,
    )


class _Scales:
    """Look at each series as it is, as roots, fourth roots and logarithms, and learn how far its scores reach."""

    def __init__(self, panel: Numbers, counted: Flags) -> None:
        import numpy as np

        self.panel, self.counted = panel, counted
        roots, positive = np.sqrt(np.maximum(panel, 0.0)), np.where(panel > 0, panel, 1.0)
        self.values = np.stack([panel, roots, np.sqrt(roots), np.log(positive)])
        self.slopes = np.stack([-0.75 * np.log(positive) - math.log(4), -np.log(positive)])
        self.told = np.zeros((2, len(panel)))
        self.least = np.fmin.accumulate(panel, axis=1)
        self.shapes = _Shapes.make()
        self.likelihood = np.tile(self.shapes.prior, (4, len(panel), 1))
        self.latest = np.zeros((4, len(panel)))
        self.density = np.zeros((2, len(panel)))
        self.power = np.zeros(len(panel), dtype=int)
        self.freedom = np.zeros(len(panel))

    def score(self, fit: _Fit, day: int) -> tuple[Numbers, _Next]:
        """Score the day on every scale, and give the scores and what was expected on the scale of each series."""
        import numpy as np
        from scipy.special import ndtri, stdtr

        before = self.least[:, day - 1]
        positive = np.where(self.told[1] > self.told[0], 3, 2)
        self.power = np.where(self.counted | ~(before >= 0), 0, np.where(before > 0, positive, 1))
        error = fit.error * np.sqrt(1 + fit.leverage)
        with np.errstate(divide="ignore", invalid="ignore"):
            off = (self.values[:, :, day] - fit.middle) / error
            self.density = self.slopes[:, :, day] - np.log(error[2:]) - 0.5 * np.minimum(off[2:] ** 2, _FARTHEST**2)
        off[2:] = np.where(self.panel[:, day] > 0, off[2:], -math.inf)
        mean = np.maximum(fit.middle[0], _LEAST)
        wide = fit.dispersion[0] > 1 + 2 * np.sqrt(2 / fit.freedom)
        variance = mean * np.where(wide, fit.dispersion[0], 1.0) * (1 + fit.leverage)
        self.freedom = np.where(self.counted & ~wide, 1e9, fit.freedom)
        if self.counted.any():
            of_counts = _score_of_counts(np.nan_to_num(self.panel[:, day]), mean, variance)
            off[0] = np.where(self.counted, of_counts, off[0])
        self.latest = np.sign(off) * -ndtri(np.maximum(stdtr(self.freedom, -np.abs(off)), 1e-300))
        rows = np.arange(len(before))
        middle = np.where(self.counted, mean, fit.middle[self.power, rows])
        spread = np.where(self.counted, np.sqrt(variance) * (fit.error[0] > 0), error[self.power, rows])
        return self.latest[self.power, rows], _Next(middle, spread)

    def reach(self, rate: float) -> Numbers:
        """Give how far scores of each series may lie below and above."""
        import numpy as np

        told = self.likelihood[self.power, np.arange(len(self.power))]
        weights = np.exp(told - told.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return np.stack([self.shapes.quantile(weights @ tail, rate / 2) for tail in self.shapes.beyond])

    def ends(self, ahead: _Next, reach: Numbers) -> tuple[Numbers, Numbers]:
        """Give the least and the most that is no anomaly, in the series' unit."""
        import numpy as np
        from scipy.special import ndtr, stdtrit
        from scipy.stats import nbinom

        below, above = -stdtrit(self.freedom, np.maximum(ndtr(-reach), 1e-15))
        low, high = self.back(ahead.middle - below * ahead.error), self.back(ahead.middle + above * ahead.error)
        if self.counted.any():
            size, share = _negative_binomial(ahead.middle, ahead.error**2)
            low = np.where(self.counted, nbinom.ppf(ndtr(-below), size, share), low)
            high = np.where(self.counted, nbinom.isf(ndtr(-above), size, share), high)
        return low, high

    def back(self, values: Numbers) -> Numbers:
        """Give numbers on the series' scales in their unit."""
        import numpy as np

        positive = np.maximum(values, 0.0)
        undone = [positive**2, positive**4, np.exp(np.minimum(values, 700.0))]
        return np.select([self.power == power for power in (1, 2, 3)], undone, values)

    def learn(self, known: Flags) -> None:
        """Remember how the day's scores lay, for the days to come."""
        import numpy as np

        self.told += np.where(known & np.isfinite(self.density).all(axis=0), self.density, 0.0)
        told = np.clip(np.where(known, np.nan_to_num(self.latest), 0.0), -_FARTHEST, _FARTHEST)
        self.likelihood += np.where(known[None, :, None], self.shapes.likely(told), 0.0)


@dataclass(frozen=True)
class _Shapes:
    """Hold the distributions that scores may have: two halves of t distributions, each with a scale of its own.

    Attributes:
        tails: Degrees of freedom.
        below: The scale of negative scores.
        above: That of positive ones.
        prior: Logarithms of how likely each is before any score is seen.
        beyond: How likely a score lies farther off than `reaches`, below and above: shapes x reaches.
        reaches: Scores.
    """

    tails: Numbers
    below: Numbers
    above: Numbers
    prior: Numbers
    beyond: tuple[Numbers, Numbers]
    reaches: Numbers

    @classmethod
    def make(cls) -> _Shapes:
        """Make the grid of shapes."""
        import itertools

        import numpy as np
        from scipy.special import stdtr

        grid = np.array(list(itertools.product((tail for tail, _ in _TAILS), _SCALES, _SCALES)))
        tails, below, above = grid.T
        heavy = {tail: math.log(share) for tail, share in _TAILS}
        vary = (np.log(below) ** 2 + np.log(above) ** 2) / (2 * _SCALES_VARY**2)
        prior = np.array([heavy[tail] for tail in tails]) - vary
        reaches = np.linspace(1.0, _FARTHEST, _REACHES)
        large = np.minimum(tails, 1e9)[:, None]
        beyond = [
            2 * (own / (below + above))[:, None] * stdtr(large, -reaches[None, :] / own[:, None])
            for own in (below, above)
        ]
        return cls(tails, below, above, prior, (beyond[0], beyond[1]), reaches)

    def likely(self, scores: Numbers) -> Numbers:
        """Give the logarithm of the density of scores, by shape."""
        import numpy as np

        found = np.empty((*scores.shape, len(self.tails)))
        for tail in {float(tail) for tail in self.tails}:
            here = self.tails == tail
            scale = np.where(scores[..., None] < 0, self.below[here], self.above[here])
            square = (scores[..., None] / scale) ** 2
            if math.isinf(tail):
                density = -0.5 * square - 0.5 * math.log(2 * math.pi)
            else:
                constant = math.lgamma((tail + 1) / 2) - math.lgamma(tail / 2) - 0.5 * math.log(math.pi * tail)
                density = constant - (tail + 1) / 2 * np.log1p(square / tail)
            found[..., here] = density - np.log((self.below[here] + self.above[here]) / 2)
        return found

    def quantile(self, beyond: Numbers, share: float) -> Numbers:
        """Give the score beyond which that share lies, by series; the farthest there is, where more does."""
        import numpy as np

        logs = -np.log(np.maximum(beyond, 1e-300))
        return np.array([np.interp(-math.log(share), row, self.reaches) for row in logs])


def _score_of_counts(here: Numbers, mean: Numbers, variance: Numbers) -> Numbers:
    """Score counts by the middle of the probability that the negative binomial distribution gives them."""
    import numpy as np
    from scipy.special import ndtri
    from scipy.stats import nbinom

    size, share = _negative_binomial(mean, variance)
    below, above = nbinom.cdf(here - 1, size, share), nbinom.sf(here, size, share)
    point = np.maximum(1 - below - above, 0.0) / 2
    lower, upper = np.maximum(below + point, 1e-300), np.maximum(above + point, 1e-300)
    return np.asarray(np.where(lower < upper, ndtri(np.minimum(lower, 0.5)), -ndtri(np.minimum(upper, 0.5))))


def _negative_binomial(mean: Numbers, variance: Numbers) -> tuple[Numbers, Numbers]:
    """Give the size and share of the distribution of that mean and variance; the variance is above the mean."""
    import numpy as np

    mean = np.maximum(mean, _LEAST)
    variance = np.maximum(variance, mean * 1.0001)
    share = mean / variance
    return mean * share / (1 - share), share
