"""How often the methods are wrong, by simulation: false alarms, coverage, power, and what peeking does to them.

A scenario draws experiments whose truth is known, runs one method on each, and counts. An approximate method at a
fixed horizon is calibrated when the count is one that its level would give 999 times of 1,000; an exact or sequential
one when the count is not above that.

Belongs here: scenarios, counts, and how they are judged. Does not belong here: experiments of a project.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from analytics_assets.statistics import adjustment, bayes, proportions, quantiles, ranks
from analytics_assets.statistics.effects import Contrast, Effect, difference, lift
from analytics_assets.statistics.logistic import logistic
from analytics_assets.statistics.means import clustered_means, means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.noninferiority import non_inferiority
from analytics_assets.statistics.power import Design, power, power_of_shares
from analytics_assets.statistics.sequential import always_valid, at_look, boundaries, mixture_sequential
from analytics_assets.statistics.srm import daily_sample_ratio, sample_ratio

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

Figure = Literal["false alarms", "coverage", "power", "false alarms with daily peeking"]
Kind = Literal["approximate", "exact", "sequential"]
LEVEL = 0.999
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """Hold how often a method was wrong, or right.

    Attributes:
        method: Its name.
        figure: What was counted: false alarms, intervals that cover, effects found.
        kind: "approximate", "exact" or "sequential".
        setting: What was drawn.
        experiments: How many.
        counted: In how many of them it happened.
        rate: Share of them.
        nominal: The share that the method, or theory, promises.
        low: Lower end of what chance makes of the nominal share, 999 times of 1,000; 0 where smaller is better.
        high: Upper end; 1 where larger is better.
    """

    method: str
    figure: Figure
    kind: Kind
    setting: str
    experiments: int
    counted: int
    rate: float
    nominal: float
    low: float
    high: float

    @property
    def calibrated(self) -> bool:
        """Whether the share is within what chance makes of the promise."""
        return self.low <= self.rate <= self.high


@dataclass(frozen=True, slots=True)
class Scenario:
    """Describe a simulation.

    Attributes:
        method: Whose figure it is.
        figure: What is counted.
        kind: How it is judged.
        setting: What is drawn, in words.
        nominal: The share that is promised.
        count: Draws experiments, and says of each whether it happened.
        weight: How many of the experiments asked for are drawn, as a share: slow scenarios draw fewer.
    """

    method: str
    figure: Figure
    kind: Kind
    setting: str
    nominal: float
    count: Callable[[Generator, int], Iterator[bool]]
    weight: float = 1.0


def chance_bounds(share: float, experiments: int, level: float = LEVEL) -> tuple[float, float]:
    """Give the shares of experiments between which a binomial count falls with this chance, at least.

    >>> [round(bound * 200) for bound in chance_bounds(0.95, 200)]
    [179, 198]
    """
    from scipy.special import bdtr

    low, high, tail = 0, experiments, (1 - level) / 2

    def first(target: float) -> int:
        """Find the smallest count up to which there is this chance."""
        below, above = -1, experiments
        while above - below > 1:
            middle = (below + above) // 2
            below, above = (below, middle) if bdtr(middle, experiments, share) >= target else (middle, above)
        return above

    low, high = first(tail), first(1 - tail)
    return low / experiments, high / experiments


def calibrated(scenario: Scenario, experiments: int = 2000, seed: int = 20_240_101) -> Calibration:
    """Run a scenario; the same seed gives the same figure, whatever else is run.

    >>> found = calibrated(scenarios()[0], 200)
    >>> found.method, found.figure, found.calibrated
    ("Welch's t", 'false alarms', True)
    """
    import zlib

    import numpy as np

    drawn = max(int(experiments * scenario.weight), 1)
    name = f"{scenario.method}|{scenario.figure}|{scenario.setting}"
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    counted = sum(scenario.count(rng, drawn))
    low, high = chance_bounds(scenario.nominal, drawn)
    if scenario.kind != "approximate":
        # of false alarms fewer are better; of intervals that cover, more
        low, high = (0.0, high) if scenario.figure.startswith("false") else (low, 1.0)
    return Calibration(
        scenario.method, scenario.figure, scenario.kind, scenario.setting, drawn, counted, counted / drawn,
        scenario.nominal, low, high,
    )  # fmt: skip


def scenarios() -> list[Scenario]:
    """List the scenarios: for each method, what it promises and how it is drawn."""
    return [*_of_means(), *_of_shares(), *_adjusted(), *_of_order(), *_sequential(), *_others()]


# --- draws: experiments of two arms, as arrays of (experiments, units)

_N = 400
_LIFT = 0.15


def _skewed(rng: Generator, experiments: int, n: int, factor: float = 1.0) -> NDArray[np.float64]:
    """Draw outcomes like revenue: three of four are zero, the rest exponential; mean 1."""
    import numpy as np

    buys = rng.random((experiments, n)) < 0.25
    return np.asarray(rng.exponential(4.0 * factor, (experiments, n)) * buys, dtype=np.float64)


def _moments(*columns: NDArray[np.float64]) -> Iterator[Moments]:
    """Give the moments of each experiment of an arm, from sums over its units."""
    import numpy as np

    stack = np.stack(columns)
    n = stack.shape[2]
    sums = stack.sum(axis=2).T
    products = np.einsum("aen,ben->eab", stack, stack)
    for total, joint in zip(sums.tolist(), products.tolist(), strict=True):
        yield Moments.from_sums(n, total, joint)


def _pairs(rng: Generator, experiments: int, lifted: float = 0.0, n: int = _N) -> Iterator[tuple[Moments, Moments]]:
    control = _moments(_skewed(rng, experiments, n))
    return zip(control, _moments(_skewed(rng, experiments, n, 1 + lifted)), strict=True)


def _alarm(effect: Effect) -> bool:
    return bool(effect.significant)


def _covers(effect: Effect, truth: float) -> bool:
    return effect.low is not None and effect.high is not None and effect.low <= truth <= effect.high


def _of_means() -> list[Scenario]:
    revenue, skew = f"revenue of 2 x {_N} users, three of four zero", f"revenue of 2 x {_N} users, 15 % more"

    def alarms(infer: Callable[[Contrast], Effect], rng: Generator, experiments: int) -> Iterator[bool]:
        return (_alarm(infer(means(a, b))) for a, b in _pairs(rng, experiments))

    def covered(infer: Callable[[Contrast], Effect], truth: float, rng: Generator, experiments: int) -> Iterator[bool]:
        return (_covers(infer(means(a, b)), truth) for a, b in _pairs(rng, experiments, _LIFT, 2000))

    # a quarter has a mean of 4 and a variance of 16: the variance of all is 0.25 * 32 - 1
    design = Design(variance=7.0, variance_treatment=7.0 * (1 + _LIFT) ** 2)
    lifts = {method: partial(lift, method=method) for method in ("delta", "log", "fieller")}
    ratio_setting = "revenue per visit of 2 x 400 users with 1 to 5 visits"
    return [
        Scenario("Welch's t", "false alarms", "approximate", revenue, ALPHA, partial(alarms, difference)),
        Scenario(
            "Welch's t", "coverage", "approximate", skew.replace("400", "2000"), 1 - ALPHA,
            partial(covered, difference, _LIFT),
        ),
        Scenario(
            "Welch's t", "power", "approximate", "revenue of 2 x 2000 users, 15 % more",
            power(design, _LIFT, 4000),
            lambda rng, experiments: (
                _alarm(difference(means(a, b))) for a, b in _pairs(rng, experiments, _LIFT, 2000)
            ),
        ),
        *(
            Scenario(
                f"lift, {method}", "coverage", "approximate", "revenue of 2 x 2000 users, 15 % more", 1 - ALPHA,
                partial(covered, infer, _LIFT),
            )
            for method, infer in lifts.items()
        ),
        Scenario(
            "ratio, delta method", "false alarms", "approximate", ratio_setting, ALPHA,
            lambda rng, experiments: (_alarm(difference(ratios(a, b))) for a, b in _visits(rng, experiments)),
        ),
        Scenario(
            "ratio, delta method", "coverage", "approximate", ratio_setting + ", 15 % more", 1 - ALPHA,
            lambda rng, experiments: (
                _covers(lift(ratios(a, b)), _LIFT) for a, b in _visits(rng, experiments, _LIFT)
            ),
        ),
        Scenario(
            "clustered errors", "false alarms", "approximate", "rows of 2 x 60 clusters of 1 to 7", ALPHA,
            lambda rng, experiments: (
                _alarm(difference(clustered_means(*_rows(rng)))) for _ in range(experiments)
            ),
            0.5,
        ),
    ]  # fmt: skip


def _visits(rng: Generator, experiments: int, lifted: float = 0.0) -> Iterator[tuple[Moments, Moments]]:
    arms = []
    for factor in (1.0, 1 + lifted):
        below = rng.integers(1, 6, (experiments, _N)).astype(float)
        # users differ in what a visit of theirs is worth
        above = below * rng.gamma(2.0, 0.5 * factor, (experiments, _N))
        arms.append(_moments(above, below))
    return zip(*arms, strict=True)


def _rows(rng: Generator) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    sizes = rng.integers(1, 8, 120)
    clusters = np.repeat(np.arange(120), sizes)
    own = rng.normal(0, 1, 120)
    return own[clusters] + rng.normal(0, 1, len(clusters)), clusters % 2, clusters


def _of_shares() -> list[Scenario]:
    def counts(rng: Generator, experiments: int, n: int, a: float, b: float) -> Iterator[tuple[int, int, int, int]]:
        one, other = rng.binomial(n, a, experiments), rng.binomial(n, b, experiments)
        return ((s, n, t, n) for s, t in zip(one.tolist(), other.tolist(), strict=True))

    def table(count: tuple[int, int, int, int]) -> list[list[int]]:
        s, n, t, m = count
        return [[t, s], [m - t, n - s]]

    small, large = "shares of 20 % of 2 x 40", "shares of 10 % of 2 x 2000"
    return [
        Scenario(
            "z, pooled", "false alarms", "approximate", large, ALPHA,
            lambda rng, e: (_alarm(proportions.pooled_z(*c)) for c in counts(rng, e, 2000, 0.1, 0.1)),
        ),
        Scenario(
            "z, pooled", "power", "approximate", "shares of 10 % and 12.5 % of 2 x 2000",
            power_of_shares(0.1, 0.125, 2000, 2000),
            lambda rng, e: (_alarm(proportions.pooled_z(*c)) for c in counts(rng, e, 2000, 0.1, 0.125)),
        ),
        Scenario(
            "z, unpooled", "coverage", "approximate", "shares of 10 % and 12.5 % of 2 x 2000", 1 - ALPHA,
            lambda rng, e: (
                _covers(difference(proportions.shares(*c), reference="normal"), 0.025)
                for c in counts(rng, e, 2000, 0.1, 0.125)
            ),
        ),
        Scenario(
            "chi-square", "false alarms", "approximate", large, ALPHA,
            lambda rng, e: (
                (proportions.chi_square(table(c)).p_value or 1) < ALPHA for c in counts(rng, e, 2000, 0.1, 0.1)
            ),
        ),
        Scenario(
            "Fisher's exact test", "false alarms", "exact", small, ALPHA,
            lambda rng, e: (
                (proportions.fisher_exact(table(c)).p_value or 1) < ALPHA for c in counts(rng, e, 40, 0.2, 0.2)
            ),
            0.5,
        ),
        Scenario(
            "Clopper-Pearson", "coverage", "exact", "a share of 5 % of 60", 1 - ALPHA,
            lambda rng, e: (
                (low := proportions.share_interval(s, 60, method="clopper-pearson")).low <= 0.05 <= low.high  # type: ignore[operator]
                for s in rng.binomial(60, 0.05, e).tolist()
            ),
        ),
    ]  # fmt: skip


def _with_past(rng: Generator, experiments: int, effect: float = 0.0, n: int = _N) -> Iterator[tuple[Moments, Moments]]:
    arms = []
    for shift in (0.0, effect):
        past = rng.gamma(2.0, 1.0, (experiments, n))
        arms.append(_moments(0.8 * past + rng.exponential(1.0, (experiments, n)) + shift, past))
    return zip(*arms, strict=True)


def _ratio_with_past(rng: Generator, experiments: int) -> Iterator[tuple[Moments, Moments]]:
    arms = []
    for _ in range(2):
        worth = rng.gamma(4.0, 0.25, (experiments, _N))
        below, before = (rng.integers(1, 6, (experiments, _N)).astype(float) for _ in range(2))
        noise = rng.gamma(4.0, 0.25, (2, experiments, _N))
        arms.append(_moments(below * worth * noise[0], below, before * worth * noise[1], before))
    return zip(*arms, strict=True)


def _adjusted() -> list[Scenario]:
    past = f"2 x {_N} users whose past explains half of the outcome"

    def strata(rng: Generator, n: int = 300) -> list[tuple[Moments, Moments]]:
        stratum, arm = rng.integers(0, 3, n), rng.random(n) < 0.5
        y = stratum * 2.0 + rng.exponential(1.0, n)
        return [(Moments.of(y[(stratum == s) & ~arm]), Moments.of(y[(stratum == s) & arm])) for s in range(3)]

    def regressed(rng: Generator) -> Contrast:
        x, arm = rng.normal(0, 1, (200, 2)), rng.random(200) < 0.4
        return adjustment.regression_adjusted(x[:, 0] + x[:, 1] ** 2 + rng.exponential(1, 200), arm, x)

    return [
        Scenario(
            "CUPED", "false alarms", "approximate", past, ALPHA,
            lambda rng, e: (_alarm(difference(adjustment.cuped(a, b))) for a, b in _with_past(rng, e)),
        ),
        Scenario(
            "CUPED", "coverage", "approximate", past + ", lift of 0.3 / 2.6", 1 - ALPHA,
            lambda rng, e: (_covers(lift(adjustment.cuped(a, b)), 0.3 / 2.6) for a, b in _with_past(rng, e, 0.3)),
        ),
        Scenario(
            "CUPED", "power", "approximate", past + ", 0.25 more",
            power(Design(variance=2.28, correlation=math.sqrt(1.28 / 2.28)), 0.25, 2 * _N),
            lambda rng, e: (_alarm(difference(adjustment.cuped(a, b))) for a, b in _with_past(rng, e, 0.25)),
        ),
        Scenario(
            "CUPED of a ratio", "false alarms", "approximate", "value per visit, with the same ratio before", ALPHA,
            lambda rng, e: (_alarm(difference(adjustment.cuped_ratios(a, b))) for a, b in _ratio_with_past(rng, e)),
        ),
        Scenario(
            "regression adjustment, from moments", "false alarms", "approximate", past, ALPHA,
            lambda rng, e: (_alarm(difference(adjustment.lin(a, b))) for a, b in _with_past(rng, e)),
        ),
        Scenario(
            "regression adjustment, HC2", "false alarms", "approximate", "200 users, two covariates, a wrong model",
            ALPHA, lambda rng, e: (_alarm(difference(regressed(rng))) for _ in range(e)), 0.5,
        ),
        Scenario(
            "post-stratification", "false alarms", "approximate", "300 users in three strata", ALPHA,
            lambda rng, e: (_alarm(difference(adjustment.post_stratified(strata(rng)))) for _ in range(e)),
        ),
    ]  # fmt: skip


def _of_order() -> list[Scenario]:
    def quantile_pairs(rng: Generator, q: float, *, clustered: bool) -> Contrast:
        import numpy as np

        made = []
        for _ in range(2):
            if not clustered:
                made.append(quantiles.quantile(rng.exponential(1.0, 1000), q))
                continue
            names = np.repeat(np.arange(1500), rng.integers(1, 9, 1500))
            values = np.exp(rng.normal(0, 0.7, 1500)[names] + rng.normal(0, 0.5, len(names)))
            made.append(quantiles.quantile(values, q, clusters=names))
        return quantiles.quantiles(made[0], made[1])

    def surpassed(found: ranks.Ranked) -> bool:
        """Hold an interval against Phi(0.5 / sqrt(2))."""
        truth = 0.5 * math.erfc(-0.25)
        return found.low is not None and found.high is not None and found.low <= truth <= found.high

    return [
        Scenario(
            "Mann-Whitney", "false alarms", "approximate", "2 x 60 outcomes with many ties", ALPHA,
            lambda rng, e: (
                (ranks.mann_whitney(rng.poisson(2.0, 60), rng.poisson(2.0, 60), continuity=False).p_value or 1) < ALPHA
                for _ in range(e)
            ),
        ),
        Scenario(
            "superiority of ranks", "coverage", "approximate", "2 x 150 normal outcomes, half a deviation apart",
            1 - ALPHA,
            lambda rng, e: (
                surpassed(ranks.mann_whitney(rng.normal(0, 1, 150), rng.normal(0.5, 1, 150)))
                for _ in range(e)
            ),
        ),
        Scenario(
            "quantile", "false alarms", "approximate", "median of 2 x 1000", ALPHA,
            lambda rng, e: (_alarm(difference(quantile_pairs(rng, 0.5, clustered=False))) for _ in range(e)),
        ),
        Scenario(
            "quantile in clusters", "false alarms", "approximate", "90 % quantile of rows of 2 x 1500 users", ALPHA,
            lambda rng, e: (_alarm(difference(quantile_pairs(rng, 0.9, clustered=True))) for _ in range(e)),
            0.5,
        ),
    ]  # fmt: skip


_DAYS, _A_DAY = 28, 60


def _days(rng: Generator, experiments: int, *, window: int = 0) -> Iterator[list[tuple[Moments, Moments]]]:
    """Give the moments of matured users at each day's end: outcomes grow over a window, and count when it closes."""
    import numpy as np

    ends = np.arange(1, _DAYS + 1 - window) * _A_DAY
    for _ in range(experiments):
        arms = []
        for _ in range(2):
            steps = max(window, 1)
            grown = (rng.exponential(4.0, (_DAYS * _A_DAY, steps)) * (rng.random((_DAYS * _A_DAY, steps)) < 0.25)).sum(
                axis=1
            )
            totals, squares = grown.cumsum()[ends - 1], (grown**2).cumsum()[ends - 1]
            arms.append(
                [
                    Moments.from_sums(n, [total], [[square]])
                    for n, total, square in zip(ends.tolist(), totals.tolist(), squares.tolist(), strict=True)
                ]
            )
        yield list(zip(*arms, strict=True))


def _ever(days: Sequence[tuple[Moments, Moments]], crossed: Callable[[Effect, int], bool]) -> bool:
    return any(crossed(difference(means(a, b)), day) for day, (a, b) in enumerate(days))


def _sequential() -> list[Scenario]:
    every, windowed = f"{_DAYS} days of 2 x {_A_DAY} users", f"{_DAYS} days of 2 x {_A_DAY} users, window of 7 days"
    horizon, planned = 2 * _DAYS * _A_DAY, (0.5, 0.3, 0.2)
    plan, shorter = (boundaries([(day + 1) / days for day in range(days)]) for days in (_DAYS, _DAYS - 7))

    def out(effect: Effect) -> bool:
        return effect.low is not None and effect.high is not None and not effect.low <= 0 <= effect.high

    def valid(effect: Effect, _: int) -> bool:
        return _alarm(always_valid(effect, horizon=horizon))

    def mixture(effect: Effect, _: int) -> bool:
        return _alarm(mixture_sequential(effect, 0.01))

    return [
        Scenario(
            "always-valid interval", "false alarms with daily peeking", "sequential", every, ALPHA,
            lambda rng, e: (_ever(days, valid) for days in _days(rng, e)), 0.5,
        ),
        Scenario(
            "always-valid interval", "false alarms with daily peeking", "sequential", windowed, ALPHA,
            lambda rng, e: (_ever(days, valid) for days in _days(rng, e, window=7)), 0.5,
        ),
        Scenario(
            "group-sequential plan", "false alarms with daily peeking", "sequential", every, ALPHA,
            lambda rng, e: (
                _ever(days, lambda effect, day: out(at_look(effect, plan, day))) for days in _days(rng, e)
            ), 0.5,
        ),
        Scenario(
            "group-sequential plan", "false alarms with daily peeking", "sequential", windowed, ALPHA,
            lambda rng, e: (
                _ever(days, lambda effect, day: out(at_look(effect, shorter, day))) for days in _days(rng, e, window=7)
            ), 0.5,
        ),
        Scenario(
            "mixture sequential test", "false alarms with daily peeking", "sequential", every, ALPHA,
            lambda rng, e: (_ever(days, mixture) for days in _days(rng, e)), 0.5,
        ),
        Scenario(
            "daily sample ratio", "false alarms with daily peeking", "sequential",
            "28 days of 200 users in shares of 50, 30 and 20 %", 0.01,
            lambda rng, e: (
                daily_sample_ratio(rng.multinomial(200, planned, 28).cumsum(axis=0).tolist(), planned)[-1] < 0.01
                for _ in range(e)
            ),
        ),
    ]  # fmt: skip


def _others() -> list[Scenario]:
    def believed(rng: Generator, experiments: int) -> Iterator[bool]:
        """Draw the truth from the prior: then credible intervals cover as often as they say."""
        prior = bayes.Prior(0.0, 0.2)
        for truth in rng.normal(prior.mean, prior.sd, experiments).tolist():
            a, b = (Moments.of(rng.normal(mean, 1.0, 100)) for mean in (1.0, 1.0 + truth))
            found = bayes.posterior(difference(means(a, b)), prior=prior)
            yield found.low is not None and found.high is not None and found.low <= truth <= found.high

    def odds(rng: Generator, experiments: int, *, robust: bool) -> Iterator[bool]:
        import numpy as np

        cells = np.array([(arm, age) for arm in (0, 1) for age in range(3)])
        chance = 1 / (1 + np.exp(1.5 - 0.5 * cells[:, 1]))
        for _ in range(experiments):
            trials = rng.multinomial(600, np.full(6, 1 / 6))
            fit = logistic(
                rng.binomial(trials, chance),
                {"treatment": cells[:, 0], "age": cells[:, 1]},
                trials=trials,
                robust=robust,
            )
            yield bool(fit.terms) and fit["treatment"].p_value < ALPHA

    return [
        Scenario(
            "non-inferiority", "false alarms", "approximate", f"revenue of 2 x {_N} users, worse by the margin", ALPHA,
            lambda rng, e: (
                bool(non_inferiority(means(a, b), 0.15).non_inferior) for a, b in _pairs(rng, e, -0.15, 2000)
            ),
        ),
        Scenario(
            "Bayesian posterior", "coverage", "approximate", "truth drawn from the prior, 2 x 100 users", 1 - ALPHA,
            believed,
        ),
        Scenario(
            "logistic regression", "false alarms", "approximate", "600 users of three ages", ALPHA,
            partial(odds, robust=False), 0.5,
        ),
        Scenario(
            "logistic regression, robust", "false alarms", "approximate", "600 users of three ages", ALPHA,
            partial(odds, robust=True), 0.5,
        ),
        Scenario(
            "sample ratio, chi-square", "false alarms", "approximate", "10,000 users in three shares", 0.01,
            lambda rng, e: (
                (sample_ratio(row, (0.5, 0.3, 0.2)).p_value or 1) < 0.01
                for row in rng.multinomial(10_000, (0.5, 0.3, 0.2), e).tolist()
            ),
        ),
    ]  # fmt: skip
