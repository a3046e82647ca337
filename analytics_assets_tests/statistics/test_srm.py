"""Sample ratios: known values, and alarms that are as rare as they say."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.srm import (
    binomial_sample_ratio,
    checked_shares,
    daily_sample_ratio,
    judged,
    sample_ratio,
)

counts = st.lists(st.integers(1, 10_000), min_size=2, max_size=5)


@given(counts)
def test_the_chi_square_is_that_of_scipy(observed):
    shares = [1 / len(observed)] * len(observed)
    expected = stats.chisquare(observed)
    found = sample_ratio(observed, shares)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)


def test_verdicts_are_by_two_limits():
    assert [judged(p) for p in (0.0009, 0.001, 0.0099, 0.01, 1)] == ["invalid", "warning", "warning", "fine", "fine"]
    assert sample_ratio([44_700, 45_489], [0.5, 0.5]).verdict == "warning"
    assert sample_ratio([26_968, 23_532], [0.5, 0.5]).verdict == "invalid"
    assert sample_ratio([0, 0], [0.5, 0.5]).verdict is None


@pytest.mark.parametrize(("control", "treatment", "share"), [(12, 5, 0.5), (90, 12, 0.1), (0, 7, 0.5)])
def test_the_exact_test_is_that_of_scipy(control, treatment, share):
    expected = stats.binomtest(treatment, control + treatment, share).pvalue
    assert binomial_sample_ratio(control, treatment, share).p_value == pytest.approx(expected)


def test_z_without_a_correction_is_chi_square():
    found = binomial_sample_ratio(5020, 4890, exact=False, correction=False)
    assert found.p_value == pytest.approx(sample_ratio([5020, 4890], [0.5, 0.5]).p_value)
    assert binomial_sample_ratio(5020, 4890, exact=False).p_value > found.p_value
    assert binomial_sample_ratio(50, 50, exact=False).p_value == 1


def test_the_daily_factor_is_a_beta_binomial_over_a_binomial():
    """With two arms, the Dirichlet mixture is a beta-binomial distribution."""
    told = daily_sample_ratio([[70, 130]], [0.5, 0.5], concentration=40)
    factor = stats.betabinom(200, 20, 20).pmf(70) / stats.binom(200, 0.5).pmf(70)
    assert told[0] == pytest.approx(min(1.0, 1 / factor))
    (other,) = daily_sample_ratio([[100, 100]], [0.3, 0.7], concentration=40)
    assert other == pytest.approx(stats.binom(200, 0.3).pmf(100) / stats.betabinom(200, 12, 28).pmf(100))


def test_daily_alarms_are_rarer_than_their_level_however_often_one_looks():
    rng = np.random.default_rng(1)
    shares = (0.5, 0.3, 0.2)
    alarms, naive = 0, 0
    for _ in range(600):
        days = rng.multinomial(300, shares, 60).cumsum(axis=0).tolist()
        alarms += daily_sample_ratio(days, shares)[-1] < 0.05
        naive += any(sample_ratio(day, shares).p_value < 0.05 for day in days)
    assert alarms <= stats.binom.ppf(0.9995, 600, 0.05)
    # the reason for it: a chi-square that is tested daily
    assert naive > 5 * 600 * 0.05


def test_a_daily_p_value_never_rises_and_finds_what_is_wrong():
    rng = np.random.default_rng(2)
    days = rng.multinomial(500, (0.53, 0.47), 30).cumsum(axis=0).tolist()
    told = daily_sample_ratio(days, (0.5, 0.5))
    assert all(a >= b for a, b in pairwise(told))
    assert told[-1] < 0.001
    gross = daily_sample_ratio([[20, 80]], (0.5, 0.5))
    assert gross[0] < 0.01


def test_there_is_no_ratio_of_nobody():
    assert sample_ratio([0, 0], [0.5, 0.5]).reason == Reason.NO_UNITS
    assert binomial_sample_ratio(0, 0).reason == Reason.NO_UNITS
    assert daily_sample_ratio([[0, 0]], [0.5, 0.5]) == (1.0,)
    assert daily_sample_ratio([], [0.5, 0.5]) == ()
    assert sample_ratio([7], [1.0]).reason == Reason.NO_VARIANCE


def test_an_empty_arm_is_a_mismatch():
    assert sample_ratio([0, 100], [0.5, 0.5]).verdict == "invalid"
    assert daily_sample_ratio([[0, 100]], [0.5, 0.5])[0] < 1e-6


@pytest.mark.parametrize("shares", [[0.5, 0.6], [0.5, 0.4], [1.0, 0.0], [1.5, -0.5], [], [math.nan, 0.5]])
def test_shares_are_above_zero_and_sum_to_one(shares):
    asks = (
        lambda: checked_shares(shares),
        lambda: sample_ratio([1] * len(shares), shares),
        lambda: daily_sample_ratio([[1] * len(shares)], shares),
    )
    for ask in asks:
        with pytest.raises(ValueError, match="shares are above zero and sum to 1"):
            ask()


def test_a_count_is_needed_for_each_share():
    for observed in ([1], [1, 2, 3], [-1, 2]):
        with pytest.raises(ValueError, match="a count of units is needed"):
            sample_ratio(observed, [0.5, 0.5])
    with pytest.raises(ValueError, match="a concentration is above zero"):
        daily_sample_ratio([[1, 2]], [0.5, 0.5], concentration=0)


def test_thirds_are_shares():
    assert checked_shares([1 / 3] * 3) == (1 / 3,) * 3
