"""Quantiles: what they are, and that their errors are those of samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.effects import Reason, difference, lift
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.quantiles import cluster_variance, quantile, quantile_of_bounds, quantiles


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_a_quantile_is_the_smallest_value_that_the_share_does_not_exceed(values, q):
    found = quantile(values, q)
    assert found.value == np.quantile(values, q, method="inverted_cdf")


@pytest.mark.parametrize("q", [0.25, 0.5, 0.9])
def test_the_error_is_that_of_samples(q):
    rng = np.random.default_rng(1)
    found = [quantile(rng.exponential(1.0, 2000), q) for _ in range(600)]
    assert np.std([one.value for one in found]) == pytest.approx(
        math.sqrt(np.mean([one.variance for one in found])), rel=0.1
    )


def test_clusters_of_one_row_are_no_clusters():
    values = np.random.default_rng(2).normal(0, 1, 500)
    plain, alone = quantile(values, 0.5), quantile(values, 0.5, clusters=np.arange(500))
    assert alone.value == plain.value
    assert math.sqrt(alone.variance) == pytest.approx(math.sqrt(plain.variance), rel=0.05)


def test_rows_that_are_repeated_say_nothing_new():
    """Ten copies of each row have the error of one."""
    values = np.random.default_rng(3).normal(0, 1, 400)
    copies = np.repeat(values, 10)
    naive, clustered = quantile(copies, 0.5), quantile(copies, 0.5, clusters=np.repeat(np.arange(400), 10))
    once = quantile(values, 0.5)
    assert math.sqrt(clustered.variance) == pytest.approx(math.sqrt(once.variance), rel=0.1)
    assert naive.variance < 0.3 * once.variance
    assert clustered.n == 400


def test_bounds_of_an_engine_make_the_same_record():
    values = np.random.default_rng(4).normal(0, 1, 1000)
    found = quantile(values, 0.9)
    assert quantile_of_bounds(0.9, found.value, found.low, found.high, 1000) == found


def test_the_share_below_a_quantile_varies_as_a_binomial_where_rows_are_alone():
    below = np.r_[np.ones(90), np.zeros(10)]
    assert cluster_variance(Moments.of(below, np.ones(100))) == pytest.approx(0.9 * 0.1 / 99)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Reason.NO_UNITS),
        ([1.0], Reason.TOO_FEW),
        ([1.0, 2.0, 3.0], Reason.TOO_FEW),
        ([1.0, math.nan], Reason.NOT_FINITE),
        ([math.inf] * 50, Reason.NOT_FINITE),
    ],
)
def test_bad_outcomes_give_a_reason(values, reason):
    good = quantile(range(100), 0.5)
    bad = quantile(values, 0.5)
    assert bad.reason == reason
    for pair in ((bad, good), (good, bad)):
        both = quantiles(*pair)
        assert both.reason == reason
        assert difference(both).p_value is None
        assert lift(both).p_value is None


def test_a_quantile_of_equal_values_does_not_vary():
    same = quantile([3.0] * 50, 0.5)
    assert (same.value, same.reason) == (3.0, Reason.NO_VARIANCE)
    assert quantiles(same, same).reason == Reason.NO_VARIANCE
    assert quantiles(same, quantile(range(100), 0.5)).reason is None


def test_one_cluster_gives_a_reason():
    assert quantile(range(50), 0.5, clusters=["a"] * 50).reason == Reason.ONE_UNIT


@pytest.mark.parametrize("q", [0, 1, -1, 2])
def test_a_quantile_lies_between_zero_and_one(q):
    with pytest.raises(ValueError, match="a quantile lies between 0 and 1"):
        quantile([1.0], q)
