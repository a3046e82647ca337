"""Looking at an experiment while it runs, without paying for it in false alarms.

Two ways. An *always-valid* interval may be read at any time, for as long as one likes. A *group-sequential* plan fixes
how much of alpha is spent by which share of the planned units, and is sharper at the end.

Belongs here: intervals and boundaries for effects. Does not belong here: sequential tests of sample ratios (`srm`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from analytics_assets.statistics.effects import NORMAL, Alternative, Effect, checked_alpha

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Spending = Literal["power", "obrien-fleming", "pocock"]
FAR = 8.5
"""Standard errors beyond which nothing is integrated."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Hold the boundaries of a group-sequential plan.

    Attributes:
        fractions: Share of the planned information at each look.
        z: Number of standard errors that stops at each look; infinity where nothing is spent.
        spent: Alpha spent up to each look.
        alpha: Of the whole plan.
        sides: 2 stops for better and for worse, 1 for one of them.
    """

    fractions: tuple[float, ...]
    z: tuple[float, ...]
    spent: tuple[float, ...]
    alpha: float
    sides: Literal[1, 2]


def tuning(alpha: float, horizon: float, *, sides: Literal[1, 2] = 2) -> float:
    """Give rho^2 that makes an always-valid interval tightest when `horizon` units are seen.

    (-2 ln a + ln(1 - 2 ln a)) / N*, with 2 alpha for a one-sided one (Waudby-Smith et al., arXiv:2103.06476, B.2).

    >>> round(tuning(0.05, 5000), 6)
    0.001587
    """
    checked_alpha(alpha)
    level = alpha if sides == 2 else 2 * alpha
    if not horizon > 0 or level >= 1:
        msg = f"needed: units to be tuned for ({horizon}), and a one-sided alpha below 0.5 ({alpha})"
        raise ValueError(msg)
    return (-2 * math.log(level) + math.log1p(-2 * math.log(level))) / horizon


def always_valid_critical(n: float, rho2: float, alpha: float, *, sides: Literal[1, 2] = 2) -> float:
    """Give the number of standard errors of an always-valid interval at n units.

    >>> round(always_valid_critical(10_000, tuning(0.05, 5000), 0.05), 3)
    3.061
    """
    grown = n * rho2 + 1
    inside = math.log(math.sqrt(grown) / alpha) if sides == 2 else math.log1p(math.sqrt(grown) / (2 * alpha))
    return math.sqrt(2 * grown / (n * rho2) * inside)


def always_valid(effect: Effect, *, horizon: float = 5000) -> Effect:
    """Turn an effect at a fixed horizon into one that may be looked at any time.

    Half-width = se sqrt(n) sqrt(2 (n rho^2 + 1) / (n^2 rho^2) ln(sqrt(n rho^2 + 1) / a)) (Waudby-Smith et al.,
    arXiv:2103.06476, eq. 9; one-sided eq. 134; p-value eq. 155). It is asymptotic: begin to look when arms have some
    hundred units. Units have to be in it for good: with a metric that grows over a window, let a unit in when its
    window has closed, or the outcomes of those seen change between looks and the guarantee is lost.

    Args:
        effect: What `difference` or `lift` gave; its alpha and alternative are kept.
        horizon: Units (of both arms) at which the interval shall be tightest: about where one expects to decide.

    >>> from analytics_assets.statistics.effects import difference
    >>> from analytics_assets.statistics.proportions import shares
    >>> fixed = difference(shares(1000, 10000, 1087, 10050))
    >>> anytime = always_valid(fixed, horizon=20_000)
    >>> round(fixed.high - fixed.low, 4), round(anytime.high - anytime.low, 4), round(anytime.p_value, 3)
    (0.0169, 0.0262, 0.61)
    """
    sides: Literal[1, 2] = 2 if effect.alternative == "two-sided" else 1
    rho2 = tuning(effect.alpha, horizon, sides=sides)
    if effect.reason is not None or effect.estimate is None or effect.std_error is None or not effect.n:
        return effect
    z = (effect.estimate - effect.null) / effect.std_error
    grown = effect.n * rho2 + 1
    exponent = z * z * effect.n * rho2 / (2 * grown)
    if sides == 2:
        p = math.exp(min(0.0, 0.5 * math.log(grown) - exponent))
    else:
        toward = z if effect.alternative == "greater" else -z
        # below 700 the exponential is finite; above, the p-value is zero
        p = min(1.0, math.sqrt(grown) / (2 * math.expm1(exponent))) if 0 < exponent < 700 and toward > 0 else 1.0
        p = 0.0 if exponent >= 700 and toward > 0 else p
    width = always_valid_critical(effect.n, rho2, effect.alpha, sides=sides) * effect.std_error
    return _around(effect, width, z, p)


def mixture_sequential(effect: Effect, variance: float) -> Effect:
    """Turn an effect into the mixture sequential test (Johari, Pekelis, Walsh 2017), which may be looked at any time.

    The alternative is a normal mixture about the null with a variance chosen before the start: where effects are looked
    for. The p-value is sqrt((V + t) / V) exp(-z^2 t / (2 (V + t))), V the squared standard error.

    >>> from analytics_assets.statistics.effects import difference
    >>> from analytics_assets.statistics.proportions import shares
    >>> found = mixture_sequential(difference(shares(1000, 10000, 1087, 10050)), 0.01**2)
    >>> round(found.p_value, 3)
    0.558
    """
    if not variance > 0 or effect.alternative != "two-sided":
        msg = "the mixture test is two-sided, with a variance above zero"
        raise ValueError(msg)
    if effect.reason is not None or effect.estimate is None or effect.std_error is None:
        return effect
    z = (effect.estimate - effect.null) / effect.std_error
    grown = 1 + variance / effect.std_error**2
    p = math.exp(min(0.0, 0.5 * math.log(grown) - z * z / 2 * (1 - 1 / grown)))
    width = effect.std_error * math.sqrt(grown / (grown - 1) * (math.log(grown) - 2 * math.log(effect.alpha)))
    return _around(effect, width, z, p)


def spent(fraction: float, alpha: float, *, spending: Spending = "power", power: float = 2.0) -> float:
    """Give the alpha of one side that is spent when a share of the information is in.

    "power": alpha t^power (Kim, DeMets 1987); "obrien-fleming" and "pocock": the functions of Lan and DeMets (1983)
    that are like those plans; "obrien-fleming" spends next to nothing early.

    >>> spent(0.5, 0.025), round(spent(0.5, 0.025, spending="obrien-fleming"), 5)
    (0.00625, 0.00153)
    """
    if fraction <= 0:
        return 0.0
    share = min(fraction, 1.0)
    if spending == "power":
        return float(alpha * share**power)
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * share)
    return 2 * (1 - NORMAL.cdf(-NORMAL.inv_cdf(alpha / 2) / math.sqrt(share)))


def boundaries(
    fractions: Sequence[float],
    alpha: float = 0.05,
    *,
    sides: Literal[1, 2] = 2,
    spending: Spending = "power",
    power: float = 2.0,
    times: Sequence[float] | None = None,
) -> Boundaries:
    """Give the boundaries at which a plan stops, so that looks together alarm falsely with chance alpha.

    The looks need be fixed neither in number nor in time; what counts is the share of the planned information that each
    has seen. Integration over the canonical joint distribution (Armitage, McPherson, Rowe 1969; Jennison, Turnbull
    2000, 19), to about ten digits.

    Args:
        fractions: Share of the planned information at each look, rising; from 1 on all of alpha is spent.
        alpha: Of both sides together, if there are two: each spends a half of it.
        sides: 2, with the same boundary for better and for worse, or 1.
        spending: How alpha is spent, see `spent`.
        power: Of the spending function "power".
        times: What alpha is spent by at each look, such as the share of the planned time (Lan, DeMets 1989); the
            fractions, if None. Then fractions need say no more than how the looks' information compares, and the
            boundary of a look does not depend on what comes after it.

    >>> [round(z, 3) for z in boundaries([0.25, 0.5, 0.75, 1.0]).z]
    [2.955, 2.559, 2.301, 2.092]
    >>> [[round(z, 3) for z in boundaries(looks, times=[0.5, 1.0]).z] for looks in ([0.1, 0.7], [0.2, 1.4])]
    [[2.498, 2.061], [2.498, 2.061]]
    """
    checked_alpha(alpha)
    looks = _checked(fractions)
    from scipy.optimize import brentq

    clock = looks if times is None else _checked(times)
    if len(clock) != len(looks):
        msg = "a time is needed for each look"
        raise ValueError(msg)
    walk = _Walk(sides)
    used, bounds, totals = 0.0, [], []
    for fraction, time in zip(looks, clock, strict=True):
        total = max(sides * spent(time, alpha / sides, spending=spending, power=power), used)
        due = total - used
        walk.step(fraction)
        if due <= 1e-14:
            bound = math.inf
        else:
            bound = float(
                brentq(lambda z, due=due: walk.crossing(z) - due, -FAR if sides == 1 else 1e-9, FAR, xtol=1e-12)
            )
            used = total
        walk.go_on(bound)
        bounds.append(bound)
        totals.append(used)
    return Boundaries(looks, tuple(bounds), tuple(totals), alpha, sides)


def crossing_probabilities(
    z: Sequence[float], fractions: Sequence[float], *, drift: float = 0.0, sides: Literal[1, 2] = 2
) -> tuple[float, ...]:
    """Give the chance to stop at each look, for any boundaries.

    With a drift of 0 their sum is the false alarm rate of looking so often; with the effect over its standard error at
    the end it is the power.

    Args:
        z: Boundary at each look, in standard errors.
        fractions: Share of the information at each look, rising.
        drift: Expected z when the information is 1.
        sides: 2 stops on both sides, 1 on the upper one.

    >>> round(sum(crossing_probabilities([1.96] * 5, [0.2, 0.4, 0.6, 0.8, 1.0])), 3)
    0.142
    """
    looks = _checked(fractions)
    if len(looks) != len(z):
        msg = "a boundary is needed for each look"
        raise ValueError(msg)
    walk = _Walk(sides, drift)
    chances = []
    for bound, fraction in zip(z, looks, strict=True):
        walk.step(fraction)
        chances.append(max(walk.crossing(bound), 0.0) if math.isfinite(bound) else 0.0)
        walk.go_on(bound)
    return tuple(chances)


def at_look(effect: Effect, plan: Boundaries, look: int) -> Effect:
    """Give the repeated confidence interval of a plan at one of its looks (Jennison, Turnbull 1989).

    It excludes the null exactly when the boundary is crossed. There is no p-value at a single look.

    Args:
        effect: As `difference` or `lift` gave it, of the units seen so far.
        plan: Boundaries up to this look at least.
        look: Which, from 0.

    >>> from analytics_assets.statistics.effects import difference
    >>> from analytics_assets.statistics.proportions import shares
    >>> found = at_look(difference(shares(1000, 10000, 1087, 10050)), boundaries([0.5, 1.0]), 0)
    >>> round(found.low, 4), round(found.high, 4)
    (-0.0026, 0.0189)
    """
    if effect.reason is not None or effect.estimate is None or effect.std_error is None:
        return effect
    z = (effect.estimate - effect.null) / effect.std_error
    shown = _around(effect, plan.z[look] * effect.std_error, z, 1.0)
    return replace(shown, p_value=None, alpha=plan.alpha)


def _around(effect: Effect, width: float, z: float, p: float) -> Effect:
    estimate = effect.estimate or 0.0
    alternative: Alternative = effect.alternative
    return replace(
        effect,
        low=-math.inf if alternative == "less" else estimate - width,
        high=math.inf if alternative == "greater" else estimate + width,
        statistic=z,
        p_value=p,
        df=None,
    )


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    looks = tuple(float(fraction) for fraction in fractions)
    if not looks or looks[0] <= 0 or any(b <= a for a, b in pairwise(looks)):
        msg = "looks have rising shares of the information, above zero"
        raise ValueError(msg)
    return looks


_SIZES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


@lru_cache(maxsize=len(_SIZES))
def _nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the points and weights of Gauss and Legendre, which take a while to find."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


class _Walk:
    """Follow the density of a Brownian motion with drift that has not crossed a boundary yet, look by look."""

    def __init__(self, sides: Literal[1, 2], drift: float = 0.0) -> None:
        self.sides, self.drift, self.time, self.root = sides, drift, 0.0, 0.0
        self.points: NDArray[np.float64] | None = None
        self.masses: NDArray[np.float64] | None = None

    def step(self, fraction: float) -> None:
        """Go to the next look."""
        self.passed = fraction - self.time
        self.time, self.root = fraction, math.sqrt(fraction)

    def crossing(self, bound: float) -> float:
        """Give the chance to be beyond a boundary at this look, having been inside all before."""
        from scipy.special import ndtr

        edge, step, moved = bound * self.root, math.sqrt(self.passed), self.drift * self.passed
        if self.points is None or self.masses is None:
            chance = float(ndtr(-(edge - moved) / step))
            return chance + float(ndtr((-edge - moved) / step)) if self.sides == 2 else chance
        above = ndtr(-(edge - self.points - moved) / step)
        if self.sides == 2:
            above = above + ndtr((-edge - self.points - moved) / step)
        return float(self.masses @ above)

    def go_on(self, bound: float) -> None:
        """Keep what is inside the boundary."""
        import numpy as np

        reach = FAR * self.root
        high = min(bound * self.root, reach + max(self.drift * self.time, 0.0))
        low = -min(bound * self.root, reach - min(self.drift * self.time, 0.0))
        if self.sides == 1:
            low = -reach + min(self.drift * self.time, 0.0)
        low = min(low, high)
        step, moved = math.sqrt(self.passed), self.drift * self.passed
        count = 24 + 6 * (high - low) / step
        nodes, weights = _nodes(next((size for size in _SIZES if size >= count), _SIZES[-1]))
        points = (high + low) / 2 + (high - low) / 2 * nodes
        scale = (high - low) / 2 * weights / (step * math.sqrt(2 * math.pi))
        if self.points is None or self.masses is None:
            self.masses = scale * np.exp(-0.5 * ((points - moved) / step) ** 2)
        else:
            kernel = np.exp(-0.5 * ((points[:, None] - self.points[None, :] - moved) / step) ** 2)
            self.masses = scale * (kernel @ self.masses)
        self.points = points
