"""Lifetime value: how often customers buy again (BG/NBD), and what an order of theirs comes to (Gamma-Gamma).

Belongs here: the two models, their fit by maximum likelihood, and what follows from them, from numbers alone. Does not
belong here: how these numbers are read off orders (`analysis.lifetime`).

Numbers of customers, all in one unit of time: `x` orders after the first one, `t_x` from the first to the last order
(0 where x is 0), `age` from the first order to the end of observation (T in the papers). A row may stand for several
customers: its weight says how many. Time is divided by the mean age inside, and money by the mean value, so that a fit
does not depend on their units.

Sources: Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2), whose equations
are named below; Fader, Hardie (2013), The Gamma-Gamma Model of Monetary Value, brucehardie.com/notes/025.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from analytics_assets.statistics.proportions import Z95

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Numbers: TypeAlias = NDArray[np.float64]
    Curve: TypeAlias = tuple[float, Numbers, Numbers]

State: TypeAlias = Literal[
    "fitted",
    "no customers",
    "no repeat buyers",
    "no time",
    "no positive values",
    "no variation",
    "not identified",
    "not converged",
]
Z99 = 2.5758293035489004
"""The normal deviate of a two-sided interval of 99 %."""

_FARTHEST, _PULL = math.log(1e4), 0.1
"""How far the logarithm of a parameter may go from 0 before it is pulled back, and how hard: the likelihood out there
says no more than at that place, and the search would not end."""
_FLAT, _STEEP = 1e-10, 1e-4
"""Newton's gain that is none; and the slope at which the search has not ended. Both a customer."""
_LOOSEST = 5.0
"""The largest standard error of a logarithm with which a parameter counts as known at all."""
_AT_A_TIME = 4_096
"""Customers whose likelihood is computed together: few enough for the processor's cache, and for no threads of BLAS."""
_FEWEST_TO_CORRELATE, _CERTAIN = 4, 1 - 1e-12
_EXACT, _MOST_NODES = 34.0, 400
"""How small the logarithm of a quadrature's error shall be; and how many nodes it may take for it."""


@dataclass(frozen=True)
class BetaGeometric:
    """Hold a BG/NBD model: orders at a rate ~ gamma(r, alpha), dropout after each with probability ~ beta(a, b).

    Attributes:
        r: Shape of the distribution of rates.
        alpha: Its rate, in the unit of time; the mean is r / alpha.
        a: First parameter of the distribution of dropping out.
        b: Its second one; the mean is a / (a + b).
    """

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True)
class GammaGamma:
    """Hold a Gamma-Gamma model: values ~ gamma(p, nu) of a customer whose nu ~ gamma(q, gamma).

    Attributes:
        p: Shape of an order's value around its customer's mean.
        q: Shape of the distribution of nu.
        gamma: Its rate, in the unit of money; the mean value is p gamma / (q - 1) where q > 1.
    """

    p: float
    q: float
    gamma: float


M = TypeVar("M", BetaGeometric, GammaGamma)


@dataclass(frozen=True)
class Estimate:
    """Hold what is known of a parameter.

    Attributes:
        name: Its name in the model.
        value: The value of greatest likelihood.
        standard_error: By the delta method from that of its logarithm; None where it cannot be told.
    """

    name: str
    value: float
    standard_error: float | None

    def interval(self, z: float = Z95) -> tuple[float, float] | None:
        """Return the interval that is symmetric around the logarithm, and so positive.

        >>> [round(end, 3) for end in Estimate("r", 0.5, 0.1).interval()]
        [0.338, 0.74]
        """
        if self.standard_error is None:
            return None
        width = math.exp(z * self.standard_error / self.value)
        return self.value / width, self.value * width


@dataclass(frozen=True)
class Fit(Generic[M]):
    """Say how the fit of a model went.

    Attributes:
        state: `fitted`; or why there is no model: no customers, no repeat buyers (whose orders tell), no time (all
            observed for 0 days), no positive values, no variation (all values are equal), not converged; or `not
            identified`: there is one, of the likeliest values found, though the likelihood is flat around it: a
            parameter tends to 0 or to infinity.
        model: The parameters of greatest likelihood, where there are some.
        estimates: The same with standard errors, in the order of the model.
        log_likelihood: At these; it depends on the units of time and money.
        customers: How many there are.
        repeat_customers: How many of them ordered again.
        left_out: Customers whose value Gamma-Gamma cannot use: it is not positive.
    """

    state: State
    model: M | None
    estimates: tuple[Estimate, ...]
    log_likelihood: float | None
    customers: int
    repeat_customers: int
    left_out: int = 0

    @property
    def converged(self) -> bool:
        """Whether the search ended at a maximum that is one in every direction."""
        return self.state == "fitted"


@dataclass(frozen=True)
class Correlation:
    """Say how two numbers of customers go together.

    Attributes:
        correlation: Pearson's.
        low: Lower end of its interval of 95 % (Fisher 1921).
        high: Upper end of it.
        customers: How many there are.
    """

    correlation: float
    low: float
    high: float
    customers: int


# --- BG/NBD -----------------------------------------------------------------------------------------------------------


def fit_bg_nbd(x: ArrayLike, t_x: ArrayLike, age: ArrayLike, weights: ArrayLike | None = None) -> Fit[BetaGeometric]:
    """Fit BG/NBD by maximum likelihood (eq. 6).

    Args:
        x: Orders after the first.
        t_x: From the first to the last order.
        age: From the first order to the end.
        weights: How many customers a row stands for; 1 without it.

    Raises:
        ValueError: The numbers cannot be: negative, t_x after age, or t_x without x.

    >>> repeats, last, number = [0, 1, 1, 2, 2, 4, 6, 9], [0, 3, 20, 10, 26, 28, 15, 29], [60, 12, 6, 3, 4, 2, 3, 2]
    >>> fit = fit_bg_nbd(repeats, last, 30, weights=number)
    >>> fit.state, fit.customers, fit.repeat_customers
    ('fitted', 92, 32)
    """
    counts, last, until, number = _customers(x, t_x, age, weights)
    customers, repeating = int(number.sum()), int(number[counts > 0].sum())
    span = float(until @ number) / customers if customers else 0.0
    if not customers or not repeating or not span:
        none: State = "no customers" if not customers else "no repeat buyers" if not repeating else "no time"
        return Fit(none, None, (), None, customers, repeating)
    likelihood = _BgNbdLikelihood(counts, last / span, until / span, number)
    rate = float(counts @ number) / float(until @ number) * span
    start = np.log([1.0, 1 / min(max(rate, 1e-3), 1e3), 1.0, 3.0])
    state, theta, errors, value = _most_likely(likelihood.curve, start, customers)
    if state == "not converged":
        return Fit(state, None, (), None, customers, repeating)
    r, alpha, a, b = np.exp(theta).tolist()
    model = BetaGeometric(r, alpha * span, a, b)
    # the density of x instants is one over time to the power of x
    level = value - float(counts @ number) * math.log(span)
    return Fit(state, model, _estimates(model, errors), level, customers, repeating)


def bg_nbd_log_likelihood(
    model: BetaGeometric, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return the log-likelihood of customers under BG/NBD (eq. 6).

    >>> round(bg_nbd_log_likelihood(BetaGeometric(0.243, 4.414, 0.793, 2.426), [2], [30.43], [38.86]), 4)
    -9.4586
    """
    counts, last, until, number = _customers(x, t_x, age, weights)
    theta = np.log([model.r, model.alpha, model.a, model.b])
    return -_BgNbdLikelihood(counts, last, until, number).curve(theta)[0] * float(number.sum())


def alive_probability(model: BetaGeometric, x: ArrayLike, t_x: ArrayLike, age: ArrayLike) -> Numbers:
    """Return P(a customer has not dropped out by the end): 1 of those who never ordered again (from eq. 6).

    >>> model = BetaGeometric(0.243, 4.414, 0.793, 2.426)
    >>> alive_probability(model, [0, 2, 2], [0, 10, 30.43], 38.86).round(3).tolist()
    [1.0, 0.268, 0.727]
    """
    counts, last, until = _broadcast(x, t_x, age)
    from scipy.special import expit

    again = np.maximum(counts, 1)
    longer = (until - last) / (model.alpha + last)
    dead = math.log(model.a) - np.log(model.b + again - 1) + (model.r + again) * np.log1p(longer)
    found: Numbers = np.where(counts > 0, expit(-dead), 1.0)
    return found


def expected_orders(model: BetaGeometric, x: ArrayLike, t_x: ArrayLike, age: ArrayLike, horizon: float) -> Numbers:
    """Return how many orders to expect of customers within a horizon after the end (eq. 10).

    Given that the customer is alive, rate and dropout are independent, gamma(r + x, alpha + T) and beta(a, b + x), and
    the expectation is that of (1 - exp(-rate p t)) / p. Equation 10 writes it with the Gaussian hypergeometric
    function, (a + b + x - 1) / (a - 1) (1 - 2F1(r + x, a - 1; a + b + x - 1; -t / (alpha + T))): 0 / 0 where a = 1, and
    out of reach of floating-point numbers where x is in the hundreds. So what is left of the integral, over p, is taken
    by Gauss-Jacobi quadrature: all its terms are positive.

    >>> model = BetaGeometric(0.243, 4.414, 0.793, 2.426)
    >>> round(float(expected_orders(model, 2, 30.43, 38.86, 39.0)), 3)
    1.226
    """
    counts, last, until = _broadcast(x, t_x, age)
    if horizon < 0:
        raise ValueError(f"a horizon is not negative: {horizon}")
    alive = alive_probability(model, counts, last, until)
    flat, ages = counts.ravel(), until.ravel()
    found = np.zeros(flat.shape)
    kinds, of = np.unique(flat, return_inverse=True)
    order = np.argsort(of, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(of, minlength=len(kinds)))[:-1])
    for kind, rows in zip(kinds.tolist(), groups, strict=False):  # of nobody there is one group, an empty one
        found[rows] = _while_alive(model.r + kind, model.a, model.b + kind, horizon / (model.alpha + ages[rows]))
    return alive * found.reshape(counts.shape)


def expected_count(model: BetaGeometric, time: ArrayLike) -> Numbers:
    """Return how many orders to expect of anybody within a time after the first one, E[X(t)] (eq. 9).

    >>> expected_count(BetaGeometric(0.243, 4.414, 0.793, 2.426), [0, 39, 78]).round(4).tolist()
    [0.0, 1.1967, 1.8605]
    """
    times = np.asarray(time, dtype=np.float64)
    if np.any(times < 0):
        raise ValueError("a time after the first order is not negative")
    return _while_alive(model.r, model.a, model.b, times.ravel() / model.alpha).reshape(times.shape)


def count_probability(model: BetaGeometric, time: float, count: ArrayLike) -> Numbers:
    """Return P(X(t) = k): that anybody orders k times within a time after the first order (eq. 8).

    >>> model = BetaGeometric(0.243, 4.414, 0.793, 2.426)
    >>> count_probability(model, 39, [0, 1, 2]).round(4).tolist()
    [0.5738, 0.1994, 0.0854]
    """
    from scipy.special import betainc, betaln, gammaln

    counts = np.asarray(count, dtype=np.float64)
    if time < 0 or np.any(counts < 0) or np.any(counts % 1):
        raise ValueError("a time is not negative, and counts are whole numbers from 0 on")
    again = np.maximum(counts, 1)
    share = time / (model.alpha + time)
    whole = betaln(model.a, model.b)
    with np.errstate(divide="ignore"):
        spent = np.where(counts > 0, counts * np.log(share), 0.0) if share else np.where(counts > 0, -np.inf, 0.0)
    active = (
        betaln(model.a, model.b + counts) - whole
        + gammaln(model.r + counts) - gammaln(model.r) - gammaln(counts + 1)
        + model.r * math.log1p(-share) + spent
    )  # fmt: skip
    # the bracket of the equation is P(a negative binomial count is at least k)
    dropped = np.exp(betaln(model.a + 1, model.b + again - 1) - whole) * betainc(again, model.r, share)
    found: Numbers = np.exp(active) + np.where(counts > 0, dropped, 0.0)
    return found


def _while_alive(rate_shape: float, a: float, b: float, ratio: Numbers) -> Numbers:
    """Take the mean of (1 - (1 + p ratio)^-shape) / p over p ~ beta(a, b), for each ratio."""
    most = float(ratio.max(initial=0.0))
    if not most:
        return np.zeros(ratio.shape)
    # the integrand is smooth but for a pole at p = -1 / ratio, whose distance says how fast the quadrature converges
    near = 1 / most
    speed = 2 * math.log1p(2 * near + 2 * math.sqrt(near * (1 + near)))
    nodes, weights = _jacobi(a, b, min(_MOST_NODES, 8 + math.ceil(_EXACT / speed)))
    found = np.zeros(ratio.shape)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        if node * most > 1e-12:
            found += (weight / node) * -np.expm1(-rate_shape * np.log1p(node * ratio))
        else:
            found += weight * rate_shape * ratio
    return found


def _jacobi(a: float, b: float, count: int) -> tuple[Numbers, Numbers]:
    """Give the nodes and weights of the mean over beta(a, b), by the eigenvalues of its recurrence.

    After Golub, Welsch (1969). They need no gamma function, unlike `scipy.special.roots_jacobi`, which fails where a
    parameter is in the hundreds.
    """
    from scipy.linalg import eigh_tridiagonal

    low, high = a - 1, b - 1
    k = np.arange(1, count, dtype=np.float64)
    s = 2 * k + low + high
    middle = np.concatenate([[(low - high) / (low + high + 2)], (low - high) * (low + high) / (s * (s + 2))])
    first = 4 * (1 + low) * (1 + high) / ((2 + low + high) ** 2 * (3 + low + high))
    k, s = k[1:], s[1:]
    beside = 4 * k * (k + low) * (k + high) * (k + low + high) / (s**2 * (s + 1) * (s - 1))
    points, vectors = eigh_tridiagonal(middle, np.sqrt(np.concatenate([[first], beside])))
    return np.clip((points + 1) / 2, 0.0, 1.0), vectors[0] ** 2


class _BgNbdLikelihood:
    """Compute the mean negative log-likelihood of BG/NBD, with slope and curvature, over logarithms of parameters."""

    def __init__(self, x: Numbers, t_x: Numbers, age: Numbers, weights: Numbers) -> None:
        # what depends on x alone is computed once for each
        self.counts, of = np.unique(x, return_inverse=True)
        self.number = np.bincount(of, weights, len(self.counts))
        # those who never ordered again differ in age alone
        never = x == 0
        self.ages, of = np.unique(age[never], return_inverse=True)
        self.never = np.bincount(of, weights[never], len(self.ages))
        again = ~never
        self.rows = _parts(x[again], t_x[again], age[again], weights[again])
        self.total = float(weights.sum())

    def curve(self, theta: Numbers) -> Curve:
        """Return value, gradient and Hessian."""
        r, alpha, a, b = np.exp(theta).tolist()
        value, slope, bend = self._by_count(r, alpha, a, b)
        until = alpha + self.ages
        value -= r * float(self.never @ np.log(until))
        slope[0] -= float(self.never @ np.log(until))
        slope[1] -= r * float(self.never @ (1 / until))
        bend[0, 1] -= float(self.never @ (1 / until))
        bend[1, 1] += r * float(self.never @ (1 / until**2))
        for rows in self.rows:
            more = _of_repeat_customers(BetaGeometric(r, alpha, a, b), *rows)
            value, slope, bend = value + more[0], slope + more[1], bend + more[2]
        return _of_logarithms(value, slope, bend, np.array([r, alpha, a, b]), self.total)

    def _by_count(self, r: float, alpha: float, a: float, b: float) -> Curve:
        from scipy.special import digamma, gammaln, polygamma

        k, n, total = self.counts, self.number, self.total
        value = n @ (gammaln(r + k) + gammaln(b + k) - gammaln(a + b + k))
        value += total * (r * math.log(alpha) - gammaln(r) + gammaln(a + b) - gammaln(b))
        joint, joint2 = digamma(a + b) * total - n @ digamma(a + b + k), n @ polygamma(1, a + b + k)
        joint2 = polygamma(1, a + b) * total - joint2
        slope = np.array(
            [
                n @ digamma(r + k) + total * (math.log(alpha) - digamma(r)),
                total * r / alpha,
                joint,
                joint + n @ digamma(b + k) - total * digamma(b),
            ]
        )
        bend = np.zeros((4, 4))
        bend[0, 0] = n @ polygamma(1, r + k) - total * polygamma(1, r)
        bend[0, 1] = total / alpha
        bend[1, 1] = -total * r / alpha**2
        bend[2, 2] = bend[2, 3] = joint2
        bend[3, 3] = joint2 + n @ polygamma(1, b + k) - total * polygamma(1, b)
        return float(value), slope, bend


def _of_repeat_customers(model: BetaGeometric, x: Numbers, t_x: Numbers, age: Numbers, w: Numbers) -> Curve:
    """Sum up ln(A3 + A4) over customers who ordered again: ln A3 + ln(1 + exp(d)), where d = ln A4 - ln A3."""
    alpha, a, b = model.alpha, model.a, model.b
    orders = model.r + x
    early, late = 1 / (alpha + t_x), 1 / (alpha + age)
    longer = np.log1p((age - t_x) * early)
    until = np.log(alpha + age)
    beyond = 1 / (b + x - 1)
    d = math.log(a) + np.log(beyond) + orders * longer
    odds = np.exp(-np.abs(d))
    s = np.where(d > 0, 1, odds) / (1 + odds)  # P(dropped out)
    value = w @ (np.maximum(d, 0) + np.log1p(odds) - orders * until)
    # slopes of d by r, alpha, a and b; that by a is the same in every row
    d_alpha = orders * (late - early)
    dead = w * s
    slope = np.array([
        dead @ longer - w @ until,
        dead @ d_alpha - w @ (orders * late),
        dead.sum() / a,
        -(dead @ beyond),
    ])  # fmt: skip
    bend = np.zeros((4, 4))
    bend[0, 1] = dead @ (late - early) - w @ late
    bend[1, 1] = dead @ (orders * (early - late) * (early + late)) + w @ (orders * late * late)
    bend[2, 2] = -dead.sum() / a**2
    bend[3, 3] = dead @ (beyond * beyond)
    unsure = dead * (1 - s)
    by = (longer, d_alpha, None, -beyond)
    for i, one in enumerate(by):
        first = unsure / a if one is None else unsure * one
        for j in range(i, 4):
            other = by[j]
            bend[i, j] += first.sum() / a if other is None else first @ other
    return float(value), slope, bend


# --- Gamma-Gamma ------------------------------------------------------------------------------------------------------


def fit_gamma_gamma(x: ArrayLike, mean: ArrayLike, weights: ArrayLike | None = None) -> Fit[GammaGamma]:
    """Fit Gamma-Gamma by maximum likelihood (note of 2013, eq. 1a).

    Args:
        x: How many values each customer has; those with none tell nothing.
        mean: Their mean. What is not positive is left out, and counted.
        weights: How many customers a row stands for; 1 without it.

    >>> repeats, means = [1, 2, 1, 2, 9, 9, 9, 9], [12.0, 24.0, 39.0, 80.0, 30.0, 25.0, 20.0, 45.0]
    >>> fit = fit_gamma_gamma(repeats, means, weights=[9, 7, 3, 2, 5, 4, 3, 2])
    >>> fit.state, fit.repeat_customers
    ('fitted', 35)
    """
    counts, means = _broadcast(x, mean)
    number = np.ones(counts.shape) if weights is None else np.broadcast_to(np.asarray(weights, float), counts.shape)
    counts, means, number = counts.ravel(), means.ravel(), number.ravel()
    if np.any(counts < 0) or np.any(number < 0) or not np.all(np.isfinite(means[counts > 0])):
        raise ValueError("values are counted from 0 on, and their means are finite")
    customers, has = int(number.sum()), counts > 0
    repeating, used = int(number[has].sum()), has & (np.where(has, means, 0.0) > 0)
    left_out = repeating - int(number[used].sum())
    counts, means, number = counts[used], means[used], number[used]
    fitting = int(number.sum())
    none: State | None = None
    if not repeating:
        none = "no repeat buyers" if customers else "no customers"
    elif not fitting:
        none = "no positive values"
    elif means.min() == means.max():
        none = "no variation"
    if none:
        return Fit(none, None, (), None, customers, repeating, left_out)
    level = float(means @ number) / fitting
    likelihood = _GammaGammaLikelihood(counts, means / level, number)
    start = np.log([2.0, 3.0, 1.0])
    state, theta, errors, value = _most_likely(likelihood.curve, start, fitting)
    if state == "not converged":
        return Fit(state, None, (), None, customers, repeating, left_out)
    p, q, gamma = np.exp(theta).tolist()
    model = GammaGamma(p, q, gamma * level)
    value -= fitting * math.log(level)
    return Fit(state, model, _estimates(model, errors), value, customers, repeating, left_out)


def gamma_gamma_log_likelihood(
    model: GammaGamma, x: ArrayLike, mean: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return the log-likelihood of mean values of x orders each, all positive.

    >>> round(gamma_gamma_log_likelihood(GammaGamma(6.25, 3.74, 15.44), [2], [22.35]), 4)
    -3.5513
    """
    counts, means = _broadcast(x, mean)
    number = np.ones(counts.shape) if weights is None else np.broadcast_to(np.asarray(weights, float), counts.shape)
    likelihood = _GammaGammaLikelihood(counts.ravel(), means.ravel(), number.ravel())
    return -likelihood.curve(np.log([model.p, model.q, model.gamma]))[0] * float(number.sum())


def expected_value(model: GammaGamma, x: ArrayLike, mean: ArrayLike) -> Numbers:
    """Return what to expect of an order of a customer whose x orders had a mean value (note of 2013, eq. 5).

    It is p (gamma + x mean) / (p x + q - 1): between the customer's own mean and that of all. Of customers without
    orders it is the mean of all; where p x + q is at most 1 there is none: infinity.

    >>> expected_value(GammaGamma(6.25, 3.74, 15.44), [0, 2], [0.0, 22.35]).round(2).tolist()
    [35.22, 24.66]
    """
    counts, means = _broadcast(x, mean)
    below = model.p * counts + model.q - 1
    with np.errstate(divide="ignore"):
        above = model.p * (model.gamma + counts * means)
        found: Numbers = np.where(below > 0, above / np.maximum(below, 0.0), np.inf)
    return found


def spend_and_frequency(x: ArrayLike, mean: ArrayLike, weights: ArrayLike | None = None) -> Correlation | None:
    """Correlate how often customers order with what their orders come to: Gamma-Gamma needs the two to be independent.

    Returns:
        Pearson's correlation with Fisher's interval of 95 %, of customers with x and mean above 0; None of fewer than
        four of them, or where either does not vary.

    >>> told = spend_and_frequency([1, 2, 3, 4, 5, 6], [10.0, 20.0, 15.0, 30.0, 20.0, 40.0])
    >>> round(told.correlation, 3), round(told.low, 3), round(told.high, 3)
    (0.814, 0.006, 0.979)
    """
    counts, means, number = (each.ravel() for each in _broadcast(x, mean, 1.0 if weights is None else weights))
    used = (counts > 0) & (np.where(counts > 0, means, 0.0) > 0)
    counts, means, number = counts[used], means[used], number[used]
    customers = int(number.sum())
    if customers < _FEWEST_TO_CORRELATE or counts.min() == counts.max() or means.min() == means.max():
        return None
    one, other = counts - counts @ number / customers, means - means @ number / customers
    scale = math.sqrt(float((one * one) @ number) * float((other * other) @ number))
    found = min(max(float((one * other) @ number) / scale, -1.0), 1.0)
    width = Z95 / math.sqrt(customers - 3)
    middle = math.atanh(min(max(found, -_CERTAIN), _CERTAIN))
    return Correlation(found, math.tanh(middle - width), math.tanh(middle + width), customers)


class _GammaGammaLikelihood:
    """Compute the mean negative log-likelihood of Gamma-Gamma, with slope and curvature, over logarithms."""

    def __init__(self, x: Numbers, mean: Numbers, weights: Numbers) -> None:
        self.counts, of = np.unique(x, return_inverse=True)
        self.number = np.bincount(of, weights, len(self.counts))
        self.rows = _parts(x, x * mean, weights)
        self.logged = sum(float(w @ (k * np.log(spent))) for k, spent, w in self.rows)
        self.constant = -float((weights * np.log(mean)).sum())
        self.total = float(weights.sum())

    def curve(self, theta: Numbers) -> Curve:
        """Return value, gradient and Hessian."""
        from scipy.special import digamma, gammaln, polygamma

        p, q, gamma = np.exp(theta).tolist()
        k, n, total = self.counts, self.number, self.total
        both, both2 = digamma(p * k + q), polygamma(1, p * k + q)
        value = n @ (gammaln(p * k + q) - gammaln(p * k)) + total * (q * math.log(gamma) - gammaln(q))
        value += p * self.logged + self.constant
        slope = np.array(
            [
                n @ (k * (both - digamma(p * k))) + self.logged,
                n @ both + total * (math.log(gamma) - digamma(q)),
                total * q / gamma,
            ]
        )
        bend = np.zeros((3, 3))
        bend[0, 0] = n @ (k * k * (both2 - polygamma(1, p * k)))
        bend[0, 1] = n @ (k * both2)
        bend[1, 1] = n @ both2 - total * polygamma(1, q)
        bend[1, 2] = total / gamma
        bend[2, 2] = -total * q / gamma**2
        for x, spent, w in self.rows:
            whole, shape, xw = gamma + spent, p * x + q, w * x
            logs, parts = np.log(whole), 1 / whole
            weighed = shape * parts
            value -= w @ (shape * logs)
            slope -= [xw @ logs, w @ logs, w @ weighed]
            bend[0, 2] -= xw @ parts
            bend[1, 2] -= w @ parts
            bend[2, 2] += w @ (weighed * parts)
        return _of_logarithms(float(value), slope, bend, np.array([p, q, gamma]), total)


# --- what both need ---------------------------------------------------------------------------------------------------


def _broadcast(*values: ArrayLike) -> tuple[Numbers, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))


def _customers(
    x: ArrayLike, t_x: ArrayLike, age: ArrayLike, weights: ArrayLike | None
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    counts, last, until, number = (
        each.ravel() for each in _broadcast(x, t_x, age, 1.0 if weights is None else weights)
    )
    if np.any(counts < 0) or np.any(last < 0) or np.any(last > until) or np.any(number < 0):
        raise ValueError("customers have 0 <= x, 0 <= t_x <= age, and no negative weight")
    if np.any((counts == 0) & (last > 0)) or not np.all(np.isfinite(until)):
        raise ValueError("t_x is 0 where x is 0, and every age is finite")
    return counts, last, until, number


def _parts(*columns: Numbers) -> list[tuple[Numbers, ...]]:
    """Cut columns into parts of a size that is quick to compute with."""
    return [
        tuple(np.ascontiguousarray(column[begin : begin + _AT_A_TIME]) for column in columns)
        for begin in range(0, len(columns[0]), _AT_A_TIME)
    ]


def _of_logarithms(value: float, slope: Numbers, bend: Numbers, parameters: Numbers, total: float) -> Curve:
    """Turn a sum with its slope and curvature (upper half) by parameters into minus the mean, by their logarithms."""
    whole = np.triu(bend) + np.triu(bend, 1).T
    by_log = whole * np.outer(parameters, parameters) + np.diag(slope * parameters)
    return -value / total, -slope * parameters / total, -by_log / total


def _most_likely(
    curve: Callable[[Numbers], Curve], start: Numbers, customers: int
) -> tuple[State, Numbers, Numbers | None, float]:
    """Find the maximum by a trust region with exact curvature; return state, place, standard errors, log-likelihood."""
    from scipy.optimize import minimize

    last: list[tuple[Numbers, Curve]] = []

    def at(theta: Numbers) -> Curve:
        if not last or not np.array_equal(last[0][0], theta):
            last[:] = [(theta.copy(), _pulled(theta, curve(theta)))]
        return last[0][1]

    def level_at(theta: Numbers) -> float:
        return at(theta)[0]

    def slope_at(theta: Numbers) -> Numbers:
        return at(theta)[1]

    def bend_at(theta: Numbers) -> Numbers:
        return at(theta)[2]

    found = minimize(
        level_at,
        start,
        method="trust-exact",
        jac=slope_at,
        hess=bend_at,
        options={"gtol": 1e-6, "maxiter": 300, "max_trust_radius": 4.0},
    )
    theta: Numbers = found.x
    _, slope, bend = at(theta)
    # the search stops where rounding hides that a step gains anything; slopes are exact for some steps more
    for _ in range(4):
        further = theta + np.linalg.lstsq(bend, -slope, rcond=None)[0]
        if not np.max(np.abs(further - theta)) < 1:
            break
        there = at(further)
        if not np.linalg.norm(there[1]) < np.linalg.norm(slope):
            break
        theta, (_, slope, bend) = further, there
    if not np.linalg.norm(slope) <= _STEEP:
        return "not converged", theta, None, math.nan
    level = -curve(theta)[0] * customers
    errors = _errors(slope, bend, customers) if np.max(np.abs(theta)) <= _FARTHEST else None
    return "not identified" if errors is None else "fitted", theta, errors, level


def _pulled(theta: Numbers, curve: Curve) -> Curve:
    """Pull logarithms back that go too far, softly, so that the search ends where the likelihood is flat."""
    beyond = np.sign(theta) * np.maximum(np.abs(theta) - _FARTHEST, 0.0)
    level, slope, bend = curve
    return level + _PULL / 2 * float(beyond @ beyond), slope + _PULL * beyond, bend + _PULL * np.diag(beyond != 0)


def _errors(slope: Numbers, bend: Numbers, customers: int) -> Numbers | None:
    """Give the standard errors of the logarithms; None where the place is no maximum in every direction."""
    try:
        np.linalg.cholesky(bend)
        inverse = np.linalg.inv(bend)
    except np.linalg.LinAlgError:
        return None
    errors: Numbers = np.sqrt(np.maximum(np.diag(inverse), 0.0) / customers)
    known = np.all(np.isfinite(errors)) and np.all(errors > 0) and errors.max() <= _LOOSEST
    return errors if known and slope @ inverse @ slope <= _FLAT else None


def _estimates(model: BetaGeometric | GammaGamma, errors: Numbers | None) -> tuple[Estimate, ...]:
    named = list(vars(model).items())
    if errors is None:
        return tuple(Estimate(name, value, None) for name, value in named)
    return tuple(Estimate(name, value, value * e) for (name, value), e in zip(named, errors.tolist(), strict=True))
