"""From the moments of an experiment to its verdict, by written rules.

In this order:

1. *invalid*: the sample ratio is off (p below 0.001), more users than the limit saw two variants, or the plan changed;
2. *rollback*: the primary is worse, or a guardrail is worse and may be so by more than its margin; before the planned
   end only by a sequential bound;
3. *too early*: the end and the longest window have not passed, and no sequential bound is crossed;
4. *ship*: the primary is better, and every guardrail is non-inferior to its margin;
5. *no meaningful difference*: the primary's interval lies inside plus or minus the minimum effect;
6. *inconclusive*: anything else, with the effect that could have been seen.

The absolute effect decides, adjusted for its covariate where the plan has one. The primary is adjusted over arms by
Holm, its interval by Bonferroni; guardrails keep their alpha (Schultzberg, Ankargren, Frånberg, arXiv:2402.11609).

Belongs here: what is made of numbers that are computed. Does not belong here: estimation (`means`, `adjustment`), and
where moments come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analytics_assets.statistics.adjustment import cuped, cuped_ratios
from analytics_assets.statistics.bayes import Posterior, posterior
from analytics_assets.statistics.effects import Contrast, Effect, difference, lift
from analytics_assets.statistics.means import means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.multiple import holm
from analytics_assets.statistics.noninferiority import Better, NonInferiority, non_inferiority
from analytics_assets.statistics.power import Design, detectable_effect
from analytics_assets.statistics.sequential import always_valid, at_look, boundaries
from analytics_assets.statistics.srm import INVALID

Role = Literal["primary", "secondary", "guardrail"]
Method = Literal["fixed", "always_valid", "group_sequential"]
Verdict = Literal["invalid", "rollback", "too early", "ship", "no meaningful difference", "inconclusive"]
TWO_VARIANTS = 0.01
"""Share of assigned users who may have seen two variants."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Describe a metric as a plan asks for it.

    Attributes:
        metric: Its name.
        role: What it is for.
        better: Which way is better; None where neither is.
        ratio: Whether it is a ratio of means: variable 0 over 1, and before the exposure 2 over 3. Else variable 0 is
            the outcome, and 1 its covariate.
        covariate: Whether to adjust for what was before the exposure.
        margin: Of a guardrail: how much worse is accepted, above zero, in the metric's unit.
        minimum_effect: The least effect of interest, above zero, in the metric's unit; None: not said.
    """

    metric: str
    role: Role = "primary"
    better: Better | None = "higher"
    ratio: bool = False
    covariate: bool = False
    margin: float | None = None
    minimum_effect: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold what a plan fixes for its decisions.

    Attributes:
        method: How the primary is looked at.
        alpha: Error level.
        power: What the inconclusive is told at.
        looks: Share of the planned time and users at each look so far, this one last; of `group_sequential`. Without
            a look nothing is decided.
        horizon: Units for which an always-valid interval is tightest: those planned; None: not known yet, and nothing
            is read.
    """

    method: Method = "fixed"
    alpha: float = 0.05
    power: float = 0.8
    looks: tuple[tuple[float, float], ...] = ()
    horizon: float | None = 5000.0


@dataclass(frozen=True, slots=True)
class Result:
    """Hold what is known of one metric in one arm against the control.

    Attributes:
        measure: The metric, as planned.
        variant: The arm.
        plain: The contrast as observed.
        contrast: The contrast that decides: adjusted where there is a covariate.
        fixed: The difference at a fixed horizon, at the plan's alpha.
        decisive: The difference that decides: by the plan's method, and over arms.
        anytime: The difference that may be read at any time.
        lift: The lift, shown beside; Fieller where it has an interval, else delta.
        posterior: Of the difference, with a flat prior.
        p_adjusted: Of the decisive difference, adjusted over arms; None where the method has none.
        non_inferior: The test against the margin, of a guardrail.
    """

    measure: Measure
    variant: str
    plain: Contrast
    contrast: Contrast
    fixed: Effect
    decisive: Effect
    anytime: Effect
    lift: Effect
    posterior: Posterior
    p_adjusted: float | None
    non_inferior: NonInferiority | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Hold what can make an experiment's numbers worthless.

    Attributes:
        assigned_p: P-value of the sample ratio of assigned users; None: not tested.
        exposed_p: Of exposed users.
        two_variants: Share of assigned users who saw two variants.
        changed: What changed in the plan since it was locked; empty: nothing.
    """

    assigned_p: float | None = None
    exposed_p: float | None = None
    two_variants: float = 0.0
    changed: str = ""

    @property
    def broken(self) -> str:
        """Why the numbers are worthless, in words; empty where they are not."""
        for whom, p in (("assigned", self.assigned_p), ("exposed", self.exposed_p)):
            if p is not None and p < INVALID:
                return f"the shares of {whom} users are not those of the plan (p {p:.2g})"
        if self.two_variants > TWO_VARIANTS:
            return f"{self.two_variants:.1%} of assigned users saw two variants, more than {TWO_VARIANTS:.0%}"
        return f"the plan changed after it was locked: {self.changed}" if self.changed else ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Hold the verdict on one arm.

    Attributes:
        variant: The arm.
        verdict: By the rules of this module.
        because: The reason, in words, with the numbers it rests on.
        detectable: The effect that could have been seen with the planned power; of the inconclusive.
    """

    variant: str
    verdict: Verdict
    because: str
    detectable: float | None = None


def contrasted(measure: Measure, control: Moments, treatment: Moments) -> tuple[Contrast, Contrast]:
    """Contrast two arms as observed, and as adjusted for the covariate; the same twice without one."""
    if measure.ratio:
        plain = ratios(control, treatment)
        return plain, cuped_ratios(control, treatment) if measure.covariate else plain
    plain = means(control, treatment)
    return plain, cuped(control, treatment) if measure.covariate else plain


def evaluate(measure: Measure, arms: Mapping[str, Moments], control: str, rules: Rules) -> list[Result]:
    """Compare every arm with the control on one metric.

    >>> arms = {"control": Moments.from_counts(5000, 500), "treatment": Moments.from_counts(5000, 590)}
    >>> (found,) = evaluate(Measure("conversion"), arms, "control", Rules())
    >>> round(found.fixed.estimate, 3), round(found.p_adjusted, 4), round(found.posterior.chance_to_win, 3)
    (0.018, 0.0039, 0.998)
    """
    contrasts = {name: contrasted(measure, arms[control], moments) for name, moments in arms.items() if name != control}
    return conclude(measure, contrasts, rules)


def conclude(measure: Measure, contrasts: Mapping[str, tuple[Contrast, Contrast]], rules: Rules) -> list[Result]:
    """Infer what the contrasts of all arms with the control say: each as observed, and as adjusted."""
    results = [_concluded(measure, name, told, len(contrasts), rules) for name, told in contrasts.items()]
    if measure.role != "primary":
        return results
    made = [result.p_adjusted for result in results if result.p_adjusted is not None]
    adjusted = iter(holm(made))
    return [r if r.p_adjusted is None else replace(r, p_adjusted=next(adjusted)) for r in results]


def _concluded(measure: Measure, name: str, told: tuple[Contrast, Contrast], arms: int, rules: Rules) -> Result:
    plain, decides = told
    family = arms if measure.role == "primary" else 1
    fixed = difference(decides, alpha=rules.alpha)
    each = difference(decides, alpha=rules.alpha / family)
    unread = replace(each, low=None, high=None, p_value=None)
    anytime = unread if rules.horizon is None else always_valid(each, horizon=rules.horizon)
    decisive = each
    if measure.role == "primary" and rules.method == "always_valid":
        decisive = anytime
    elif measure.role == "primary" and rules.method == "group_sequential":
        decisive = _at_last_look(each, rules, rules.alpha / family) if rules.looks else unread
    shown = lift(decides, method="fieller", alpha=rules.alpha)
    if shown.low is None:
        shown = lift(decides, alpha=rules.alpha)
    tested = None
    if measure.role == "guardrail" and measure.margin is not None and measure.better is not None:
        tested = non_inferiority(decides, measure.margin, better=measure.better, alpha=rules.alpha)
    return Result(
        measure, name, plain, decides, fixed, decisive, anytime, shown,
        posterior(fixed, better=measure.better or "higher"), decisive.p_value, tested,
    )  # fmt: skip


def _at_last_look(effect: Effect, rules: Rules, alpha: float) -> Effect:
    """Give the interval of the last look; alpha is spent by the planned time, so that no boundary moves later."""
    times = [time for time, _ in rules.looks]
    most = max(units for _, units in rules.looks)
    plan = boundaries([units / most for _, units in rules.looks], alpha, times=times)
    return at_look(effect, plan, len(times) - 1)


def decide(variant: str, results: Sequence[Result], trust: Trust, *, over: bool, rules: Rules) -> Decision:
    """Decide on one arm.

    Args:
        variant: The arm.
        results: Of all metrics in this arm, the primary among them.
        trust: What can make the numbers worthless.
        over: Whether the planned end and the longest window have passed.
        rules: The plan's.

    >>> arms = {"control": Moments.from_counts(5000, 500), "treatment": Moments.from_counts(5000, 590)}
    >>> found = evaluate(Measure("conversion"), arms, "control", Rules())
    >>> decide("treatment", found, Trust(), over=True, rules=Rules()).verdict
    'ship'
    >>> decide("treatment", found, Trust(), over=False, rules=Rules()).verdict
    'too early'
    >>> decide("treatment", found, Trust(exposed_p=1e-9), over=True, rules=Rules()).verdict
    'invalid'
    """
    (primary,) = (result for result in results if result.measure.role == "primary")
    guardrails = tuple(result for result in results if result.measure.role == "guardrail")
    case = _Case(variant, primary, guardrails, trust, over, rules)
    return next(decision for rule in _IN_ORDER if (decision := rule(case)) is not None)


@dataclass(frozen=True, slots=True)
class _Case:
    variant: str
    primary: Result
    guardrails: tuple[Result, ...]
    trust: Trust
    over: bool
    rules: Rules

    @property
    def side(self) -> int:
        """Whether the primary is better (1) or worse (-1) by the p-value over arms, or else by the interval."""
        result = self.primary
        if result.p_adjusted is None:
            return _side(result.decisive, result.measure.better)
        significant = result.p_adjusted < self.rules.alpha
        return _direction(result.decisive, result.measure.better) if significant else 0

    def kept(self, guardrail: Result) -> bool:
        """Whether a guardrail is non-inferior to its margin; before the end by the interval for every day."""
        if self.over or guardrail.measure.margin is None:
            return guardrail.non_inferior is not None and bool(guardrail.non_inferior.non_inferior)
        worst = guardrail.anytime.low if guardrail.measure.better == "higher" else guardrail.anytime.high
        if worst is None:
            return False
        return (worst if guardrail.measure.better == "higher" else -worst) > -guardrail.measure.margin

    @property
    def open_guardrails(self) -> str:
        """The guardrails that cannot be told from their margin, in words."""
        return " and ".join(f"the guardrail {r.measure.metric}" for r in self.guardrails if not self.kept(r))

    def told(self, verdict: Verdict, because: str, detectable: float | None = None) -> Decision:
        return Decision(self.variant, verdict, because, detectable)


def _invalid(case: _Case) -> Decision | None:
    return case.told("invalid", case.trust.broken) if case.trust.broken else None


def _rollback(case: _Case) -> Decision | None:
    primary, early = case.primary, not case.over
    by_bound = early and case.rules.method == "fixed"
    harm = primary.anytime if by_bound else primary.decisive
    if (_side(harm, primary.measure.better) if by_bound else case.side) < 0:
        return case.told("rollback", f"{_told(primary, harm)}, which is worse")
    for result in case.guardrails:
        harm = result.anytime if early else result.fixed
        if _side(harm, result.measure.better) < 0 and not case.kept(result):
            return case.told("rollback", f"the guardrail {_told(result, harm)}, which is worse")
    return None


def _too_early(case: _Case) -> Decision | None:
    if case.over:
        return None
    if case.rules.method == "fixed" or case.side <= 0:
        return case.told("too early", "the planned end and the longest window have not passed")
    if case.open_guardrails:
        return case.told("too early", f"it is better, and {case.open_guardrails} cannot be told from its margin yet")
    return None


def _ship(case: _Case) -> Decision | None:
    if case.side <= 0 or case.open_guardrails:
        return None
    safe = ", and every guardrail is non-inferior to its margin" if case.guardrails else ""
    return case.told("ship", f"{_told(case.primary, case.primary.decisive)}, which is better{safe}")


def _no_meaningful_difference(case: _Case) -> Decision | None:
    least, found = case.primary.measure.minimum_effect, case.primary.decisive
    if case.side > 0 or least is None or found.low is None or found.high is None:
        return None
    if not -least < found.low <= found.high < least:
        return None
    because = f"{_told(case.primary, found)}, inside plus or minus the minimum effect {least:.4g}"
    return case.told("no meaningful difference", because)


def _inconclusive(case: _Case) -> Decision:
    told, seen = _told(case.primary, case.primary.decisive), _detectable(case.primary, case.rules)
    if case.side > 0:
        return case.told(
            "inconclusive", f"{told}, which is better, but {case.open_guardrails} may be worse than its margin"
        )
    could = "" if seen is None else f"; {seen:.4g} could have been seen with power {case.rules.power:.0%}"
    return case.told("inconclusive", f"{told}{could}", seen)


_IN_ORDER: tuple[Callable[[_Case], Decision | None], ...] = (
    _invalid, _rollback, _too_early, _ship, _no_meaningful_difference, _inconclusive,
)  # fmt: skip


def _direction(effect: Effect, better: Better | None) -> int:
    """Say whether an estimate is better (1) or worse (-1) than nothing, or neither (0)."""
    if not effect.estimate or better is None:
        return 0
    return 1 if (effect.estimate > 0) == (better == "higher") else -1


def _side(effect: Effect, better: Better | None) -> int:
    """Say whether the whole interval is better (1) or worse (-1) than nothing, or neither (0)."""
    if effect.low is None or effect.high is None or better is None:
        return 0
    side = 1 if effect.low > 0 else -1 if effect.high < 0 else 0
    return side if better == "higher" else -side


def _told(result: Result, effect: Effect) -> str:
    name = result.measure.metric
    if effect.estimate is None:
        return f"{name} has no effect to tell: {effect.reason}"
    if effect.low is None or effect.high is None:
        return f"{name} differs by {effect.estimate:+.4g}, without an interval: {effect.reason}"
    return f"{name} differs by {effect.estimate:+.4g} ({effect.low:+.4g} to {effect.high:+.4g})"


def _detectable(result: Result, rules: Rules) -> float | None:
    """Give the effect that could have been seen with the planned power, from the error that was reached."""
    told = result.contrast
    if not told.control_variance or not told.treatment_variance or not told.n_control or not told.n_treatment:
        return None
    design = Design(
        variance=told.control_variance * told.n_control,
        variance_treatment=told.treatment_variance * told.n_treatment,
        ratio=told.n_treatment / told.n_control,
        alpha=result.decisive.alpha,
    )
    found = detectable_effect(design, told.n, rules.power)
    return found if found is not None and math.isfinite(found) else None
