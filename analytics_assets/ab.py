"""Experiments in a notebook: a data frame in, a record out.

Belongs here: `evaluate_ab` and `simulate_ab`, for people who have a frame and no plan. Does not belong here: registered
experiments (`project.experiments`), and statistics of their own (`statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from analytics_assets.statistics.adjustment import cuped
from analytics_assets.statistics.effects import Contrast, Effect, Reason, difference, lift
from analytics_assets.statistics.means import means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.power import Design, detectable_effect
from analytics_assets.statistics.power import power as power_of
from analytics_assets.statistics.proportions import pooled_z
from analytics_assets.statistics.srm import SampleRatio, sample_ratio

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Better = Literal["higher", "lower"]
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hold what a comparison of two variants says.

    Attributes:
        control: The control's name.
        treatment: The treatment's name.
        method: What was computed: "two-proportion z", "Welch t", "ratio, delta method" or "CUPED".
        n_control: Units.
        n_treatment: Units.
        control_mean: Outcome of a unit (a ratio: of a unit of weight).
        treatment_mean: Likewise.
        difference: Treatment minus control, with its interval and test.
        lift: The difference as a share of the control.
        lift_percent: The lift times 100; None without one.
        interval_percent: Ends of its interval times 100; None without one.
        p_value: Of the difference; None without a test.
        significant: Whether it is below alpha; None without a test.
        power: Chance to find an effect of the size that was seen, with so many units (it restates the p-value).
        detectable_percent: The lift, in percent, that so many units find with a power of 80 %.
        sample_ratio: The test of the number of units, with an outcome or without, against the planned shares.
        left_out: Rows without a variant, an outcome, or one of the two variants.
        insight: A sentence.
        reason: Why numbers are None.
    """

    control: str
    treatment: str
    method: str
    n_control: int
    n_treatment: int
    control_mean: float | None
    treatment_mean: float | None
    difference: Effect
    lift: Effect
    lift_percent: float | None
    interval_percent: tuple[float, float] | None
    p_value: float | None
    significant: bool | None
    power: float | None
    detectable_percent: float | None
    sample_ratio: SampleRatio
    left_out: int
    insight: str
    reason: Reason | None = None


def evaluate_ab(  # noqa: PLR0913 - a notebook's front door: what is not said has a default
    frame: pd.DataFrame,
    *,
    variant: str = "variant",
    outcome: str = "outcome",
    weight: str | None = None,
    covariate: str | None = None,
    control: str = "control",
    treatment: str | None = None,
    shares: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    better: Better = "higher",
) -> Evaluation:
    """Compare two variants in a data frame with one row a unit.

    Outcomes of 0 and 1 (or booleans) are compared by the pooled two-proportion z test, others by Welch's t. With a
    `weight`, the outcome is a ratio of sums, by the delta method. With a `covariate` from before the exposure, means
    are adjusted by CUPED.

    Args:
        frame: One row a unit that was randomised.
        variant: Column of the variant's name.
        outcome: Column of the outcome.
        weight: Column of a ratio's denominator, such as sessions.
        covariate: Column of the same outcome before the exposure; missing is 0.
        control: The control's name.
        treatment: The other's; needed where there are more than two variants.
        shares: Planned share of units by variant; equal shares by default.
        alpha: Error level.
        better: Whether a higher or a lower outcome is better, for the sentence.

    Raises:
        ValueError: Where a column, the control or the treatment is not there, or a level or share makes no sense.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"variant": ["control"] * 5000 + ["new"] * 5000,
    ...                       "outcome": [1] * 500 + [0] * 4500 + [1] * 590 + [0] * 4410})
    >>> found = evaluate_ab(frame)
    >>> round(found.lift_percent, 1), round(found.p_value, 4), found.significant
    (18.0, 0.0039, True)
    >>> print(found.insight)
    new raises outcome from 0.1 to 0.118: +18.0 % (+4.7 % to +31.3 %), p 0.0039.
    """
    import pandas as pd

    wanted = [name for name in (variant, outcome, weight, covariate) if name is not None]
    if absent := [name for name in wanted if name not in frame.columns]:
        raise ValueError(f"the frame has no column {absent[0]!r}; it has {', '.join(map(str, frame.columns))}")
    if weight is not None and covariate is not None:
        raise ValueError("a ratio takes no single covariate; leave out `weight` or `covariate`")
    # a variant may be called by a number: 0 and 1
    column, control = frame[variant].map(str, na_action="ignore").astype("string"), str(control)
    names = sorted(column.dropna().unique())
    others = [name for name in names if name != control]
    if treatment is None and len(others) != 1:
        there = f"there are {', '.join(others)}" if others else "there is none"
        raise ValueError(f"name the `treatment`: beside the control {control!r} {there}")
    treatment = str(treatment) if treatment is not None else others[0]
    for name in (control, treatment):
        if name not in names:
            raise ValueError(f"no row has the variant {name!r}; there are {', '.join(names) or 'none'}")
    if control == treatment:
        raise ValueError(f"{control!r} cannot be compared with itself; name another `treatment`")
    assigned = [int((column == name).sum()) for name in (control, treatment)]
    numbers = frame[[name for name in wanted if name != variant]].apply(pd.to_numeric)
    known = column.isin([control, treatment]) & numbers.drop(columns=[covariate] if covariate else []).notna().all(
        axis=1
    )
    arms = []
    for name in (control, treatment):
        rows = numbers[(column == name) & known]
        arms.append([rows[part].fillna(0).to_numpy("float64") for part in wanted if part != variant])
    method, told, tested = _tested(arms, weight=weight, covariate=covariate, alpha=alpha)
    counts = [len(arm[0]) for arm in arms]
    planned = {str(name): share for name, share in (shares or {control: 0.5, treatment: 0.5}).items()}
    if sum(planned.values()) > 1 + _ROUNDING or min(planned.values()) <= 0:
        raise ValueError(f"shares are above zero and come to 1 at most: {planned}")
    if missing := [name for name in (control, treatment) if name not in planned]:
        raise ValueError(f"shares say nothing of {missing[0]!r}")
    both = planned[control] + planned[treatment]
    ratio = sample_ratio(assigned, [planned[control] / both, planned[treatment] / both])
    relative = lift(told, alpha=alpha, reference="normal" if method == "two-proportion z" else "t")
    chance, detectable = _planned(told, counts, alpha)
    percent = None if relative.estimate is None else relative.estimate * 100
    ends = None if relative.low is None or relative.high is None else (relative.low * 100, relative.high * 100)
    return Evaluation(
        control=control,
        treatment=treatment,
        method=method,
        n_control=counts[0],
        n_treatment=counts[1],
        control_mean=told.control,
        treatment_mean=told.treatment,
        difference=tested,
        lift=relative,
        lift_percent=percent,
        interval_percent=ends,
        p_value=tested.p_value,
        significant=tested.significant,
        power=chance,
        detectable_percent=detectable,
        sample_ratio=ratio,
        left_out=len(frame) - sum(counts),
        insight=_insight((outcome, treatment), told, tested, relative, ratio, better),
        reason=tested.reason,
    )


def _tested(
    arms: list[list[NDArray[np.float64]]], *, weight: str | None, covariate: str | None, alpha: float
) -> tuple[str, Contrast, Effect]:
    """Choose the method by what there is, and test the difference."""
    import numpy as np

    control, treatment = (Moments.of(*columns) for columns in arms)
    if weight is not None:
        told = ratios(control, treatment)
        return "ratio, delta method", told, difference(told, alpha=alpha)
    if covariate is not None:
        told = cuped(control, treatment)
        return "CUPED", told, difference(told, alpha=alpha)
    told = means(control, treatment)
    if all(len(columns[0]) and np.isin(columns[0], (0.0, 1.0)).all() for columns in arms):
        hits = [int(columns[0].sum()) for columns in arms]
        tested = pooled_z(hits[0], len(arms[0][0]), hits[1], len(arms[1][0]), alpha=alpha)
        return "two-proportion z", told, tested
    return "Welch t", told, difference(told, alpha=alpha)


def _planned(told: Contrast, counts: list[int], alpha: float) -> tuple[float | None, float | None]:
    """Give the power for the effect that was seen, and the lift in percent that so many units can find."""
    if not told.control_variance or not told.treatment_variance or told.difference is None or not min(counts):
        return None, None
    design = Design(
        variance=told.control_variance * counts[0],
        variance_treatment=told.treatment_variance * counts[1],
        ratio=counts[1] / counts[0],
        alpha=alpha,
    )
    seen = detectable_effect(design, sum(counts))
    percent = None if seen is None or not told.control else seen / abs(told.control) * 100
    return power_of(design, told.difference, sum(counts)), percent


def _insight(
    named: tuple[str, str], told: Contrast, tested: Effect, relative: Effect, ratio: SampleRatio, better: Better
) -> str:
    outcome, treatment = named
    doubt = ""
    if ratio.verdict == "invalid":
        doubt = f" The numbers of units are not as planned (p {ratio.p_value:.2g}): do not trust this."
    elif ratio.verdict == "warning":
        doubt = f" The numbers of units may not be as planned (p {ratio.p_value:.2g})."
    if tested.p_value is None or told.control is None or told.treatment is None:
        return f"{treatment} cannot be compared on {outcome}: {tested.reason}.{doubt}"
    change = "" if relative.estimate is None else f": {relative.estimate:+.1%}"
    if change and relative.low is not None and relative.high is not None:
        change += f" ({relative.low:+.1%} to {relative.high:+.1%})"
    change = change.replace("%", " %")
    chance = f"p {tested.p_value:.2g}"
    if not tested.significant:
        return f"{treatment} makes no difference to {outcome} that can be told from chance{change}, {chance}.{doubt}"
    verb = "raises" if (tested.estimate or 0.0) > 0 else "lowers"
    worse = ", which is worse" if (verb == "raises") != (better == "higher") else ""
    moved = f"from {told.control:.4g} to {told.treatment:.4g}{change}"
    return f"{treatment} {verb} {outcome} {moved}, {chance}{worse}.{doubt}"


@dataclass(frozen=True, slots=True)
class Simulation:
    """Hold how a test behaved in simulated experiments whose effect is known.

    Attributes:
        experiments: How many were simulated.
        effect: The planted lift.
        found: Share of them with a p-value below alpha: the false-positive rate where the effect is 0, else the power.
        found_interval: 95 % interval of that share (Wilson).
        covered: Share of intervals that hold the planted difference.
        covered_interval: 95 % interval of that share.
        expected: What theory says of `found`: alpha, or the planned power.
        bias: Mean estimated difference minus the planted one.
        peeked: Share of experiments with a p-value below alpha at any of the looks; None of one look.
        looks: How often each was looked at.
    """

    experiments: int
    effect: float
    found: float
    found_interval: tuple[float, float]
    covered: float
    covered_interval: tuple[float, float]
    expected: float
    bias: float
    peeked: float | None
    looks: int


def simulate_ab(  # noqa: PLR0913 - a notebook's front door
    *,
    units: int,
    baseline: float,
    effect: float = 0.0,
    sd: float | None = None,
    experiments: int = 1000,
    looks: int = 1,
    alpha: float = 0.05,
    seed: int = 1,
) -> Simulation:
    """Simulate A/A tests, or experiments with a planted effect, and count what a test of means makes of them.

    Args:
        units: Of each arm.
        baseline: The control's mean; with no `sd`, a share of units that convert.
        effect: The planted lift; 0 is an A/A test.
        sd: Standard deviation of a unit's outcome, which is then gamma distributed: never negative, and skewed.
        experiments: How many.
        looks: At how many equal steps each is looked at, to see what peeking costs.
        alpha: Error level.
        seed: The same seed gives the same numbers.

    >>> found = simulate_ab(units=2000, baseline=0.1, experiments=400, looks=5)
    >>> found.found < 0.09 < found.peeked
    True
    """
    import numpy as np

    from analytics_assets.statistics.proportions import wilson

    if units < 2 or experiments < 1 or looks < 1 or not baseline > 0:
        raise ValueError("simulate two units or more, an experiment and a look or more, and a baseline above zero")
    if sd is None and not baseline * (1 + effect) < 1:
        raise ValueError(f"a share of {baseline:g} with a lift of {effect:g} is no share; give `sd` for other outcomes")
    if effect <= -1 or (sd is not None and not sd > 0):
        raise ValueError("a lift is above -1, and a standard deviation above zero")
    rng = np.random.default_rng(seed)
    steps = [max(2, round(units * (look + 1) / looks)) for look in range(looks)]
    hits = covered = ever = 0
    apart = baseline * effect
    off = 0.0

    def outcomes(mean: float) -> NDArray[np.float64]:
        if sd is None:
            return (rng.random(units) < mean).astype(np.float64)
        spread = sd * mean / baseline
        return rng.gamma((mean / spread) ** 2, spread**2 / mean, units)

    for _ in range(experiments):
        control, treatment = outcomes(baseline), outcomes(baseline * (1 + effect))
        tests = [difference(means(Moments.of(control[:n]), Moments.of(treatment[:n])), alpha=alpha) for n in steps]
        last = tests[-1]
        hits += bool(last.significant)
        ever += any(test.significant for test in tests)
        covered += last.low is not None and last.high is not None and last.low <= apart <= last.high
        off += (last.estimate or 0.0) - apart
    variance = baseline * (1 - baseline) if sd is None else sd * sd
    changed = baseline * (1 + effect)
    other = changed * (1 - changed) if sd is None else (sd * (1 + effect)) ** 2
    design = Design(variance=variance, variance_treatment=other, alpha=alpha)
    return Simulation(
        experiments=experiments,
        effect=effect,
        found=hits / experiments,
        found_interval=wilson(hits, experiments) or (0.0, 1.0),
        covered=covered / experiments,
        covered_interval=wilson(covered, experiments) or (0.0, 1.0),
        expected=power_of(design, apart, 2 * units) if effect else alpha,
        bias=off / experiments,
        peeked=ever / experiments if looks > 1 else None,
        looks=looks,
    )
