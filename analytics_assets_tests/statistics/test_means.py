"""Ratios and clusters: against least squares with clustered errors, and against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from analytics_assets.statistics.effects import Reason, difference
from analytics_assets.statistics.means import clustered_means, means, ratio_of, ratios
from analytics_assets.statistics.moments import Moments


def rows(seed: int = 1, clusters: int = 30):
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(clusters), rng.integers(1, 9, clusters))
    return rng.normal(0, 1, clusters)[names] + rng.normal(5, 1, len(names)), names % 2, names


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("crossed", [True, False])
def test_clustered_errors_are_those_of_statsmodels(correction, crossed):
    y, treated, names = rows()
    if crossed:
        treated = np.random.default_rng(2).integers(0, 2, len(y))
    fit = sm.OLS(y, sm.add_constant(treated)).fit(
        cov_type="cluster", cov_kwds={"groups": names, "use_correction": correction}, use_t=True
    )
    found = clustered_means(y, treated, names, correction=correction)
    effect = difference(found)
    assert effect.estimate == pytest.approx(fit.params[1])
    assert effect.std_error == pytest.approx(fit.bse[1])
    assert effect.p_value == pytest.approx(fit.pvalues[1])
    covariance = fit.cov_params()
    assert found.covariance == pytest.approx(covariance[0, 1])
    assert found.control_variance == pytest.approx(covariance[0, 0])


def test_clusters_are_a_ratio_of_their_sums():
    y, treated, names = rows()
    arms = []
    for arm in (0, 1):
        kept = names[treated == arm]
        _, places = np.unique(kept, return_inverse=True)
        arms.append(Moments.of(np.bincount(places, weights=y[treated == arm]), np.bincount(places)))
    one, other = ratios(*arms), clustered_means(y, treated, names, correction=False)
    assert one.difference == pytest.approx(other.difference)
    # n - 1 and not n, in each arm
    assert one.variance == pytest.approx(other.variance * 15 / 14, rel=1e-6)


def test_a_ratio_over_ones_is_a_mean():
    rng = np.random.default_rng(3)
    a, b = rng.exponential(1, 50), rng.exponential(1, 60)
    plain = means(Moments.of(a), Moments.of(b))
    ratio = ratios(Moments.of(a, np.ones(50)), Moments.of(b, np.ones(60)))
    assert ratio.difference == pytest.approx(plain.difference)
    assert ratio.variance == pytest.approx(plain.variance)


def test_a_ratio_that_is_the_same_for_all_does_not_vary():
    counts = np.array([1.0, 2.0, 5.0, 7.0])
    assert ratio_of(Moments.of(0.3 * counts, counts)).variance == 0
    of = Moments.of(0.3 * counts, counts)
    assert ratios(of, of).reason == Reason.NO_VARIANCE


@pytest.mark.parametrize(
    ("outcomes", "treated", "clusters", "reason"),
    [
        ([1.0, 2.0], [0, 0], [0, 1], Reason.NO_UNITS),
        ([], [], [], Reason.NO_UNITS),
        ([1.0, 2.0, 3.0], [0, 0, 1], [0, 1, 2], Reason.ONE_UNIT),
        ([1.0, math.nan, 3.0, 4.0], [0, 0, 1, 1], [0, 1, 2, 3], Reason.NOT_FINITE),
        ([1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1], [0, 1, 2, 3], Reason.NO_VARIANCE),
    ],
)
def test_bad_clusters_give_a_reason(outcomes, treated, clusters, reason):
    found = clustered_means(outcomes, treated, clusters)
    assert found.reason == reason
    assert difference(found).p_value is None
