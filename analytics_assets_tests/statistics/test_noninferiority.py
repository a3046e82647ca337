"""Non-inferiority: the test, its interval and its margin say the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.means import means
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.noninferiority import non_inferiority


def two(control: float = 10.0, treatment: float = 9.9, n: int = 400):
    return means(Moments.from_mean(n, control, 25.0), Moments.from_mean(n, treatment, 25.0))


@given(st.floats(-2, 2), st.floats(0.01, 2), st.booleans(), st.sampled_from(["higher", "lower"]))
def test_an_interval_beyond_the_margin_is_non_inferior(moved, margin, relative, better):
    found = non_inferiority(two(10, 10 + moved), margin, relative=relative, better=better)
    bound = found.effect.low if better == "higher" else -found.effect.high
    assert found.non_inferior == (bound > -margin)
    assert math.isinf(found.effect.high if better == "higher" else found.effect.low)


def test_the_test_is_a_t_test_of_the_shifted_treatment():
    rng = stats.norm(10, 3)
    control, treatment = rng.rvs(50, random_state=1), rng.rvs(60, random_state=2)
    found = non_inferiority(means(Moments.of(control), Moments.of(treatment)), 1.0)
    expected = stats.ttest_ind(treatment + 1.0, control, equal_var=False, alternative="greater")
    assert found.effect.p_value == pytest.approx(expected.pvalue)


def test_a_relative_margin_is_a_t_test_of_the_scaled_control():
    rng = stats.norm(10, 3)
    control, treatment = rng.rvs(500, random_state=1), rng.rvs(600, random_state=2)
    found = non_inferiority(means(Moments.of(control), Moments.of(treatment)), 0.1, relative=True, reference="normal")
    expected = (treatment.mean() - 0.9 * control.mean()) / math.sqrt(
        treatment.var(ddof=1) / 600 + 0.81 * control.var(ddof=1) / 500
    )
    assert found.effect.statistic == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_is_above_zero(margin):
    with pytest.raises(ValueError, match="a margin is above zero"):
        non_inferiority(two(), margin)


def test_what_cannot_be_tested_is_neither():
    found = non_inferiority(means(Moments.of([]), Moments.of([1.0, 2.0])), 0.1)
    assert (found.non_inferior, found.effect.reason) == (None, Reason.NO_UNITS)
    assert non_inferiority(two(-1.0), 0.1, relative=True).effect.reason == Reason.NOT_POSITIVE
