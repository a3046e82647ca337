"""Inference from contrasts: against SciPy, by duality and equivariance, and what is said when there is no number."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.effects import (
    Arm,
    Effect,
    Reason,
    contrast,
    critical_value,
    difference,
    lift,
    p_value,
    welch_df,
)
from analytics_assets.statistics.means import means, ratios
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.noninferiority import non_inferiority
from analytics_assets.statistics.sequential import always_valid, mixture_sequential

values = st.lists(st.floats(0.5, 100).map(lambda x: round(x, 2)), min_size=3, max_size=30)
METHODS = ("delta", "log", "fieller")


def two(control, treatment, **options):
    return means(Moments.of(control), Moments.of(treatment), **options)


@given(values, values, st.sampled_from(["two-sided", "greater", "less"]), st.booleans())
def test_t_tests_are_those_of_scipy(control, treatment, alternative, equal):
    assume(np.ptp(control) + np.ptp(treatment) > 0.1)
    expected = stats.ttest_ind(treatment, control, equal_var=equal, alternative=alternative)
    found = difference(two(control, treatment, equal_variances=equal), alternative=alternative)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-7, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.df == pytest.approx(expected.df, rel=1e-7)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-6, abs=1e-7), pytest.approx(high, rel=1e-6, abs=1e-7))


@given(values, values, st.floats(0.001, 0.4), st.sampled_from(["two-sided", "greater", "less"]), st.floats(-0.5, 1.5))
def test_an_interval_leaves_out_what_its_test_refuses(control, treatment, alpha, alternative, null):
    assume(np.ptp(control) > 0.1 and np.ptp(treatment) > 0.1)
    both = two(control, treatment)
    asked = {"alpha": alpha, "alternative": alternative, "null": null}
    for effect in (difference(both, **asked), *(lift(both, method=method, **asked) for method in METHODS)):
        if effect.low is None:
            assert effect.reason == Reason.UNBOUNDED
            continue
        inside = effect.low <= null <= effect.high
        if min(abs(effect.low - null), abs(effect.high - null)) > 1e-9 and abs(effect.p_value - alpha) > 1e-9:
            assert inside == (effect.p_value > alpha), effect


@given(values, values, st.floats(0.1, 50), st.floats(-1e6, 1e6))
def test_effects_follow_the_scale_and_differences_ignore_the_origin(control, treatment, scale, origin):
    assume(np.ptp(control) > 0.1 and np.ptp(treatment) > 0.1)
    before = two(control, treatment)
    scaled = two(np.array(control) * scale, np.array(treatment) * scale)
    moved = two(np.array(control) + origin, np.array(treatment) + origin)
    one = difference(before)
    assert difference(scaled).low == pytest.approx(one.low * scale, rel=1e-6, abs=1e-6)
    assert difference(moved).low == pytest.approx(one.low, rel=1e-5, abs=1e-5)
    assert difference(moved).p_value == pytest.approx(one.p_value, rel=1e-4, abs=1e-9)
    for method in METHODS:
        assert lift(scaled, method=method).p_value == pytest.approx(lift(before, method=method).p_value, rel=1e-6)
    assert one.scaled(scale).high == pytest.approx(difference(scaled).high, rel=1e-6, abs=1e-6)
    assert one.scaled(scale).p_value == one.p_value


@given(values, values)
def test_the_other_arm_sees_the_opposite(control, treatment):
    assume(np.ptp(control) > 0.1 and np.ptp(treatment) > 0.1)
    there, back = difference(two(control, treatment)), difference(two(treatment, control))
    assert (there.low, there.p_value) == (pytest.approx(-back.high), pytest.approx(back.p_value))
    there, back = (lift(two(*arms), method="log") for arms in ((control, treatment), (treatment, control)))
    assert 1 + there.low == pytest.approx(1 / (1 + back.high), rel=1e-9)


def test_a_lift_below_zero_is_of_the_size_of_the_control():
    """An outcome and its negative have opposite lifts."""
    control, treatment = np.array([4.0, 5.0, 6.0, 9.0]), np.array([5.0, 6.0, 8.0, 9.0])
    plain, mirrored = lift(two(control, treatment)), lift(two(-control, -treatment))
    assert mirrored.estimate == pytest.approx(-plain.estimate)
    assert (mirrored.low, mirrored.high) == (pytest.approx(-plain.high), pytest.approx(-plain.low))


def numberless(effect: Effect) -> None:
    """Hold that nothing was computed, and that no field is NaN."""
    assert effect.reason is not None
    assert effect.significant is None
    assert (effect.low, effect.high, effect.std_error, effect.statistic, effect.p_value) == (None,) * 5
    for name, value in dataclasses.asdict(effect).items():
        assert not (isinstance(value, float) and not math.isfinite(value)), name


GOOD = [1.0, 2.0, 4.0, 7.0]
BAD = {
    "an empty control": ([], GOOD, Reason.NO_UNITS),
    "an empty treatment": (GOOD, [], Reason.NO_UNITS),
    "two empty arms": ([], [], Reason.NO_UNITS),
    "one user": ([1.0], GOOD, Reason.ONE_UNIT),
    "one user in each": ([1.0], [2.0], Reason.ONE_UNIT),
    "no variance": ([3.0, 3.0], [3.0, 3.0, 3.0], Reason.NO_VARIANCE),
    "no variance, but a difference": ([3.0, 3.0], [4.0, 4.0], Reason.NO_VARIANCE),
    "zeros": ([0.0, 0.0], [0.0, 0.0], Reason.NO_VARIANCE),
    "not a number": ([1.0, math.nan], GOOD, Reason.NOT_FINITE),
    "infinite": (GOOD, [1.0, math.inf], Reason.NOT_FINITE),
    "both infinities": (GOOD, [-math.inf, math.inf], Reason.NOT_FINITE),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_outcomes_give_a_reason_and_no_number(name):
    control, treatment, reason = BAD[name]
    both = two(control, treatment)
    assert both.reason == reason
    effects = [difference(both), always_valid(difference(both)), mixture_sequential(difference(both), 1.0)]
    effects += [non_inferiority(both, 0.1).effect, difference(both, alternative="less")]
    for effect in effects:
        numberless(effect)
        assert effect.reason == reason
    for method in METHODS:
        effect = lift(both, method=method)
        numberless(effect)
        assert effect.reason in {reason, Reason.ZERO_CONTROL}
    assert non_inferiority(both, 0.1).non_inferior is None


def test_what_is_known_is_said_also_without_a_test():
    effect = difference(two([3.0, 3.0], [4.0, 4.0]))
    assert (effect.control, effect.treatment, effect.estimate) == (3, 4, 1)
    assert lift(two([3.0, 3.0], [4.0, 4.0])).estimate == pytest.approx(1 / 3)
    assert difference(two([], GOOD)).treatment == 3.5


@pytest.mark.parametrize("method", METHODS)
def test_there_is_no_lift_over_nothing(method):
    effect = lift(two([-1.0, 1.0], GOOD), method=method)
    numberless(effect)
    assert effect.reason == Reason.ZERO_CONTROL
    assert effect.estimate is None


@pytest.mark.parametrize("method", ["log", "fieller"])
def test_some_lifts_need_a_control_above_zero(method):
    effect = lift(two([-3.0, -1.0], GOOD), method=method)
    numberless(effect)
    assert effect.reason == Reason.NOT_POSITIVE


def test_log_lift_needs_a_treatment_above_zero():
    assert lift(two(GOOD, [-3.0, -1.0]), method="log").reason == Reason.NOT_POSITIVE


def test_fieller_says_when_the_control_may_be_zero():
    effect = lift(two([-9.0, 1.0, 10.0], GOOD), method="fieller")
    assert (effect.low, effect.high, effect.reason) == (None, None, Reason.UNBOUNDED)
    assert effect.p_value is not None


def test_one_arm_without_variance_is_enough():
    assert difference(two([3.0, 3.0, 3.0], GOOD)).p_value is not None


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, math.nan])
def test_alpha_lies_between_zero_and_one(alpha):
    both = two(GOOD, GOOD)
    for infer in (difference, lift, lambda both, alpha: non_inferiority(both, 0.1, alpha=alpha)):
        with pytest.raises(ValueError, match="alpha lies between 0 and 1"):
            infer(both, alpha=alpha)


def test_a_scale_is_above_zero():
    for factor in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="a scale is a number above zero"):
            difference(two(GOOD, GOOD)).scaled(factor)


@given(st.floats(1e-300, 1e150), st.floats(1e-300, 1e150), st.integers(2, 10**9), st.integers(2, 10**9))
def test_degrees_of_freedom_are_between_the_smaller_arm_and_both(v, w, n, m):
    assert min(n, m) - 1 <= welch_df(v, n, w, m) * (1 + 1e-9)
    assert welch_df(v, n, w, m) <= (n + m - 2) * (1 + 1e-9)


@pytest.mark.parametrize("df", [1, 2.5, 30, 1e4, 1e6, 1e8, None])
@pytest.mark.parametrize("z", [0.0, 0.3, 1.96, 5.0, 12.0])
def test_tails_are_those_of_scipy(df, z):
    theirs = stats.norm if df is None else stats.t(df)
    assert p_value(z, df, "two-sided") == pytest.approx(2 * theirs.sf(z), rel=1e-5 if df == 1e8 else 1e-9)
    assert p_value(z, df, "greater") == pytest.approx(theirs.sf(z), rel=1e-5 if df == 1e8 else 1e-9)
    assert critical_value(0.05, df, "two-sided") == pytest.approx(theirs.isf(0.025), rel=1e-7)


def test_ratios_know_their_denominators():
    rows = Moments.of([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert ratios(rows, rows).reason == Reason.NO_DENOMINATOR
    assert ratios(Moments.of([], []), rows).reason == Reason.NO_UNITS


def test_a_contrast_of_arms_says_what_it_was_told():
    assert contrast(Arm(0, 0.0, 0.0, 0.0), Arm(2, 0.0, 1.0, 1.0)).reason == Reason.NO_UNITS
