"""Bayesian readings of an effect: what a prior and the data say together.

Belongs here: the normal posterior of a difference or lift, and shares with beta priors. Does not belong here: the
verdict, which rests on intervals and tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analytics_assets.statistics.effects import NORMAL, Effect, Reason
from analytics_assets.statistics.noninferiority import Better


@dataclass(frozen=True, slots=True)
class Prior:
    """Hold a normal prior of an effect, in the effect's own unit.

    Attributes:
        mean: What one expects before the data.
        sd: How sure one is of it; above zero.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (self.sd > 0 and math.isfinite(self.mean + self.sd)):
            msg = f"a prior has a finite mean and a standard deviation above zero: {self.mean}, {self.sd}"
            raise ValueError(msg)

    def scaled(self, factor: float) -> Prior:
        """Tell a prior of lifts as one of differences, by the size of the control mean.

        >>> Prior(0.01, 0.05).scaled(20.0)
        Prior(mean=0.2, sd=1.0)
        """
        return Prior(self.mean * abs(factor), self.sd * abs(factor))


@dataclass(frozen=True, slots=True)
class Posterior:
    """Hold the posterior of an effect.

    Attributes:
        mean: Of the effect.
        sd: Of the effect.
        low: Lower end of the credible interval at level 1 - alpha, with equal tails.
        high: Upper end.
        chance_to_win: That the treatment is better.
        risk_control: Expected loss if the control is kept, in the effect's unit.
        risk_treatment: Expected loss if the treatment is taken.
        alpha: Of the interval.
        reason: Why numbers are None.
    """

    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    chance_to_win: float | None
    risk_control: float | None
    risk_treatment: float | None
    alpha: float
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Best:
    """Hold which of several arms is best.

    Attributes:
        chances: Of each arm to be the best.
        losses: Expected distance of each arm from the best.
    """

    chances: tuple[float, ...]
    losses: tuple[float, ...]


def posterior(effect: Effect, *, prior: Prior | None = None, better: Better = "higher") -> Posterior:
    """Combine an effect's estimate and standard error with a normal prior; without one, the prior is flat.

    Precision adds up: 1/s^2 = 1/se^2 + 1/sd^2. The chance to win is Phi(m/s); the expected loss of the treatment
    s phi(m/s) - m Phi(-m/s), that of the control m Phi(m/s) + s phi(m/s).

    >>> from analytics_assets.statistics.effects import lift
    >>> from analytics_assets.statistics.proportions import shares
    >>> found = posterior(lift(shares(1000, 10000, 1087, 10050)))
    >>> round(found.chance_to_win, 4), round(found.risk_treatment, 6)
    (0.9655, 0.000611)
    """
    alpha = effect.alpha
    if effect.reason is not None or effect.estimate is None or effect.std_error is None:
        return Posterior(None, None, None, None, None, None, None, alpha, effect.reason)
    mean, sd = effect.estimate, effect.std_error
    if prior is not None:
        data, before = 1 / sd**2, 1 / prior.sd**2
        mean, sd = (mean * data + prior.mean * before) / (data + before), math.sqrt(1 / (data + before))
    width = -NORMAL.inv_cdf(alpha / 2) * sd
    toward = mean if better == "higher" else -mean
    return Posterior(
        mean,
        sd,
        mean - width,
        mean + width,
        _below(toward / sd),
        _loss(-toward, sd),
        _loss(toward, sd),
        alpha,
    )


def best_share(
    counts: Sequence[tuple[int, int]], *, prior: tuple[float, float] = (0.5, 0.5), better: Better = "higher"
) -> Best:
    """Tell which of several shares is best, by integration over their beta posteriors.

    Args:
        counts: Successes and units of each arm.
        prior: The two parameters of the beta prior of each share; (0.5, 0.5) is Jeffreys'.
        better: Whether a higher or a lower share is better.

    >>> found = best_share([(60, 900), (75, 910), (66, 880)])
    >>> [round(chance, 3) for chance in found.chances]
    [0.06, 0.681, 0.259]
    """
    import numpy as np
    from scipy.special import betainc, betaincinv, betaln

    shapes = [(prior[0] + s, prior[1] + n - s) for s, n in counts]
    if better == "lower":
        shapes = [(b, a) for a, b in shapes]
    a, b = (np.array(part, dtype=np.float64)[:, None] for part in zip(*shapes, strict=True))
    low = float(betaincinv(a, b, 1e-15).min())
    high = float(betaincinv(a, b, 1 - 1e-15).max())
    # on pieces, because an arm with many units is a narrow peak
    edges = np.unique(np.concatenate([[low, high], *(betaincinv(a[:, 0], b[:, 0], q) for q in _QUANTILES)]))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = np.diff(edges)[:, None] / 2
    x = ((edges[1:] + edges[:-1])[:, None] / 2 + half * nodes).ravel()
    w = (half * weights).ravel()
    inside = (x > 0) & (x < 1)
    x, w = x[inside], w[inside]
    below = betainc(a, b, x)
    density = np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b))
    others = np.array([np.prod(np.delete(below, arm, axis=0), axis=0) for arm in range(len(counts))])
    chances = (w * density * others).sum(axis=1)
    chances = chances / chances.sum()
    # the loss of an arm: the best of the others is above x while this arm is below it
    losses = (w * below * (1 - others)).sum(axis=1)
    return Best(tuple(float(c) for c in chances), tuple(float(loss) for loss in losses))


_QUANTILES = (1e-12, 1e-8, 1e-5, 1e-3, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1 - 1e-3, 1 - 1e-5, 1 - 1e-8, 1 - 1e-12)


def _below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _loss(mean: float, sd: float) -> float:
    """Give the expected loss of taking what is better by a normal: E[max(-X, 0)]."""
    z = mean / sd
    return max(sd * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - mean * _below(-z), 0.0)
