from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.verdicts import (
    Measure,
    Rules,
    Trust,
    contrasted,
    decide,
    evaluate,
)

PRIMARY = Measure("conversion", minimum_effect=0.01)
GUARD = Measure("margin", role="guardrail", margin=0.5)
N = 20_000


def shares(*rates: float, n: int = N) -> dict[str, Moments]:
    names = ["control", "treatment", "third", "fourth"]
    return {name: Moments.from_counts(n, round(rate * n)) for name, rate in zip(names, rates, strict=False)}


def money(*means: float, n: int = N, variance: float = 25.0) -> dict[str, Moments]:
    names = ["control", "treatment", "third", "fourth"]
    return {name: Moments.from_mean(n, mean, variance) for name, mean in zip(names, means, strict=False)}


def judged(primary, *, guard=None, trust=None, over=True, rules=None, variant="treatment", measure=PRIMARY):
    """Decide on the metrics of an experiment: the moments of its primary, and of a guardrail where there is one."""
    rules = rules or Rules()
    results = evaluate(measure, primary, "control", rules)
    results += evaluate(GUARD, guard, "control", rules) if guard else []
    mine = [result for result in results if result.variant == variant]
    return decide(variant, mine, trust or Trust(), over=over, rules=rules)


BETTER, WORSE, SAME = shares(0.10, 0.13), shares(0.10, 0.08), shares(0.10, 0.1005)
GOOD, BAD, OPEN = money(10, 10), money(10, 9), money(10, 9.7, variance=2500.0)


@pytest.mark.parametrize(
    ("verdict", "case"),
    [
        ("ship", {"primary": BETTER}),
        ("ship", {"primary": BETTER, "guard": GOOD}),
        ("rollback", {"primary": WORSE}),
        ("rollback", {"primary": BETTER, "guard": BAD}),
        ("inconclusive", {"primary": BETTER, "guard": OPEN}),
        ("no meaningful difference", {"primary": SAME}),
        ("inconclusive", {"primary": shares(0.10, 0.1005, n=500)}),
        ("too early", {"primary": BETTER, "over": False}),
        ("too early", {"primary": SAME, "over": False}),
        ("rollback", {"primary": WORSE, "over": False}),
        ("invalid", {"primary": BETTER, "trust": Trust(assigned_p=0.0009)}),
        ("invalid", {"primary": BETTER, "trust": Trust(exposed_p=1e-8)}),
        ("invalid", {"primary": BETTER, "trust": Trust(two_variants=0.011)}),
        ("invalid", {"primary": WORSE, "trust": Trust(changed="alpha 0.05 to 0.1")}),
        ("ship", {"primary": BETTER, "trust": Trust(assigned_p=0.002, exposed_p=0.5, two_variants=0.009)}),
    ],
)
def test_the_rules_are_taken_in_their_order(verdict, case):
    assert judged(**case).verdict == verdict


def test_harm_before_the_end_takes_a_sequential_bound_and_more_of_it():
    slightly = shares(0.10, 0.0935)
    assert judged(slightly).verdict == "rollback"
    assert judged(slightly, over=False).verdict == "too early"
    inside = money(10, 9.8)
    assert judged(BETTER, guard=inside).verdict == "ship"  # worse for certain, and inside its margin for certain


def test_a_sequential_plan_may_ship_before_its_end_and_a_fixed_one_never():
    anytime = Rules(method="always_valid", horizon=2.0 * N)
    assert judged(BETTER, over=False, rules=anytime).verdict == "ship"
    assert judged(shares(0.10, 0.107), over=False, rules=anytime).verdict == "too early"
    grouped = Rules(method="group_sequential", looks=((0.2, 3000), (0.4, 6000)))
    assert judged(BETTER, over=False, rules=grouped).verdict == "ship"
    assert judged(BETTER, over=False).verdict == "too early"
    assert judged(BETTER, guard=OPEN, over=False, rules=anytime).verdict == "too early"


def test_less_is_better_where_the_metric_says_so():
    fewer = Measure("returns", better="lower", minimum_effect=0.01)
    assert judged(WORSE, measure=fewer).verdict == "ship"
    assert judged(BETTER, measure=fewer).verdict == "rollback"
    neither = Measure("visits", better=None, minimum_effect=0.01)
    assert judged(BETTER, measure=neither).verdict == "inconclusive"


def test_the_primary_is_adjusted_over_arms_and_guardrails_are_not():
    arms = shares(0.10, 0.1064, 0.1064, 0.1064)
    alone = judged({name: arms[name] for name in ("control", "treatment")})
    assert alone.verdict == "ship"
    assert judged(arms).verdict == "inconclusive"
    results = evaluate(PRIMARY, shares(0.10, 0.108, 0.11, 0.10), "control", Rules())
    raw = [result.fixed.p_value for result in results]
    adjusted = [result.p_adjusted for result in results]
    assert adjusted == pytest.approx([2 * raw[0], 3 * raw[1], 1.0], abs=1e-9)
    guards = evaluate(GUARD, money(10, 9.9, 9.8), "control", Rules())
    assert [result.p_adjusted for result in guards] == [result.fixed.p_value for result in guards]


def test_the_inconclusive_is_told_what_it_could_have_seen():
    found = judged(shares(0.10, 0.1005, n=500))
    error = (2 * 0.1 * 0.9 / 500) ** 0.5
    assert found.detectable == pytest.approx((1.96 + 0.8416) * error, rel=0.02)
    assert "could have been seen with power 80%" in found.because


def test_a_covariate_decides_where_there_is_one():
    rng = np.random.default_rng(3)
    before = rng.normal(10, 3, (2, 3000))
    after = before + rng.normal(0, 0.5, (2, 3000)) + np.array([[0.0], [0.05]])
    arms = {name: Moments.of(after[n], before[n]) for n, name in enumerate(("control", "treatment"))}
    assert judged(arms, measure=Measure("spend", minimum_effect=1.0)).verdict == "no meaningful difference"
    assert judged(arms, measure=Measure("spend", covariate=True)).verdict == "ship"
    plain, adjusted = contrasted(Measure("spend", covariate=True), arms["control"], arms["treatment"])
    assert adjusted.variance < plain.variance / 10
    assert contrasted(Measure("spend"), arms["control"], arms["treatment"])[1] is not None


@pytest.mark.parametrize(
    "arms",
    [
        shares(0.0, 0.0),
        shares(1.0, 1.0),
        {"control": Moments.from_counts(100, 10), "treatment": Moments.of([])},
        {"control": Moments.of([1.0]), "treatment": Moments.of([2.0])},
        {"control": Moments.of([1.0, float("nan")]), "treatment": Moments.of([2.0, 3.0])},
    ],
    ids=["nobody converts", "all convert", "an empty arm", "one user each", "not a number"],
)
def test_what_has_no_number_is_inconclusive_with_the_reason(arms):
    found = judged(arms)
    assert found.verdict == "inconclusive"
    assert found.because


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 400), st.integers(0, 400), st.booleans(), st.sampled_from(["fixed", "always_valid"]),
    st.sampled_from([None, 1e-5, 0.5]),
)  # fmt: skip
def test_there_is_always_one_verdict_and_it_keeps_to_its_rule(control, treatment, over, method, p):
    arms = {"control": Moments.from_counts(400, control), "treatment": Moments.from_counts(400, treatment)}
    rules = Rules(method=method, horizon=800)
    (result,) = evaluate(PRIMARY, arms, "control", rules)
    found = decide("treatment", [result], Trust(exposed_p=p), over=over, rules=rules)
    assert (found.verdict == "invalid") == (p == 1e-5)
    if found.verdict == "ship":
        assert result.decisive.low > 0
        assert over or method == "always_valid"
    if found.verdict == "rollback":
        assert treatment < control
    if found.verdict == "no meaningful difference":
        assert -0.01 < result.decisive.low <= result.decisive.high < 0.01
    if found.verdict == "too early":
        assert not over


def test_before_its_first_look_a_group_sequential_plan_decides_nothing():
    waiting = Rules(method="group_sequential", looks=())
    for arms in (BETTER, WORSE):
        found = judged(arms, over=False, rules=waiting)
        assert found.verdict == "too early"


def test_an_always_valid_plan_decides_nothing_before_its_traffic_is_known():
    waiting = Rules(method="always_valid", horizon=None)
    assert judged(BETTER, over=False, rules=waiting).verdict == "too early"
    assert judged(WORSE, over=False, rules=Rules(horizon=None)).verdict == "too early"


def test_a_boundary_does_not_depend_on_looks_to_come():
    looks = ((0.2, 500), (0.4, 2000), (0.6, 9000), (1.0, 12000))
    arms = shares(0.10, 0.104)
    for place in range(1, len(looks)):
        (now,) = evaluate(PRIMARY, arms, "control", Rules(method="group_sequential", looks=looks[:place]))
        scaled = tuple((time, 3 * units) for time, units in looks[:place])
        (again,) = evaluate(PRIMARY, arms, "control", Rules(method="group_sequential", looks=scaled))
        assert (now.decisive.low, now.decisive.high) == pytest.approx((again.decisive.low, again.decisive.high))


def test_harm_is_judged_over_arms_as_benefit_is():
    arms = shares(0.10, 0.0925, 0.0925, 0.0925)
    assert judged(arms).verdict == "rollback"
    assert judged(shares(0.10, 0.1075, 0.1075, 0.1075)).verdict == "ship"


def test_before_the_end_a_guardrail_is_held_to_the_interval_for_every_day():
    anytime = Rules(method="always_valid", horizon=2.0 * N)
    (result,) = evaluate(GUARD, money(10, 10 - 0.38), "control", anytime)
    assert result.non_inferior.non_inferior
    assert result.anytime.low < -0.5
    assert judged(BETTER, guard=money(10, 10 - 0.38), over=False, rules=anytime).verdict != "ship"
