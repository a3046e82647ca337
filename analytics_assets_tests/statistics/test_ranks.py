"""Ranks: against SciPy, and against all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.ranks import hodges_lehmann, mann_whitney

arms = st.lists(st.integers(0, 12), min_size=2, max_size=25)


@given(arms, arms, st.sampled_from(["two-sided", "greater", "less"]), st.booleans())
def test_mann_whitney_is_that_of_scipy(control, treatment, alternative, continuity):
    assume(len({*control, *treatment}) > 1)
    expected = stats.mannwhitneyu(
        treatment, control, alternative=alternative, use_continuity=continuity, method="asymptotic"
    )
    found = mann_whitney(control, treatment, alternative=alternative, continuity=continuity, method="asymptotic")
    assert found.statistic == expected.statistic
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.superiority == pytest.approx(expected.statistic / len(control) / len(treatment))


def test_small_arms_without_ties_are_exact():
    control, treatment = [0.1, 0.5, 0.9, 1.3], [0.7, 1.1, 1.9, 2.5, 3.1]
    for alternative in ("two-sided", "greater", "less"):
        expected = stats.mannwhitneyu(treatment, control, alternative=alternative, method="exact").pvalue
        assert mann_whitney(control, treatment, alternative=alternative).p_value == expected


@given(arms, arms)
def test_hodges_and_lehmann_take_the_median_of_all_differences(control, treatment):
    differences = np.subtract.outer(treatment, control)
    found = hodges_lehmann(control, treatment)
    assert found.estimate == pytest.approx(np.median(differences))
    if found.low is not None:
        assert found.low <= found.estimate <= found.high


def test_hodges_and_lehmann_of_large_arms_make_no_table_of_pairs():
    rng = np.random.default_rng(1)
    control, treatment = rng.normal(0, 1, 3000), rng.normal(0.4, 1, 3000)
    found = hodges_lehmann(control, treatment)
    assert found.estimate == pytest.approx(np.median(np.subtract.outer(treatment, control)), abs=1e-9)
    assert found.low < 0.4 < found.high


def test_ranks_do_not_care_for_the_scale():
    rng = np.random.default_rng(2)
    control, treatment = rng.exponential(1, 40), rng.exponential(2, 50)
    assert mann_whitney(np.log(control), np.log(treatment)) == mann_whitney(control, treatment)


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        ([], [1.0, 2.0], Reason.NO_UNITS),
        ([1.0, 2.0], [], Reason.NO_UNITS),
        ([1.0, math.nan], [1.0, 2.0], Reason.NOT_FINITE),
        ([2.0, 2.0], [2.0, 2.0, 2.0], Reason.NO_VARIANCE),
    ],
)
def test_bad_outcomes_give_a_reason(control, treatment, reason):
    found = mann_whitney(control, treatment)
    assert (found.p_value, found.low, found.reason) == (None, None, reason)
    if reason != Reason.NO_VARIANCE:
        assert hodges_lehmann(control, treatment).reason == reason


def test_one_unit_in_an_arm_still_has_a_rank():
    found = mann_whitney([1.0], [2.0, 3.0, 4.0])
    assert found.p_value == 0.5
    assert found.low is None
    assert hodges_lehmann([1.0], [2.0, 3.0]).reason == Reason.TOO_FEW


def test_infinite_outcomes_have_a_rank():
    assert mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, math.inf]).superiority == 1
