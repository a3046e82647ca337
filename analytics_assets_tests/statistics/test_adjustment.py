"""Adjustment: against least squares, against each other, and what it must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.adjustment import cuped, cuped_ratios, lin, post_stratified, regression_adjusted
from analytics_assets.statistics.effects import Reason, difference, lift
from analytics_assets.statistics.means import means, ratios
from analytics_assets.statistics.moments import Moments


def drawn(seed: int = 1, n: int = 200, covariates: int = 2):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 1, (n, covariates)) @ rng.normal(0, 1, (covariates, covariates))
    treated = rng.integers(0, 2, n)
    return x.sum(axis=1) + 0.3 * treated * x[:, 0] + rng.exponential(1, n), treated, x


def arms(y, treated, *more):
    return [Moments.of(y[treated == arm], *(column[treated == arm] for column in more)) for arm in (0, 1)]


@pytest.mark.parametrize("errors", ["HC0", "HC1", "HC2", "HC3", "classical"])
@pytest.mark.parametrize("interact", [True, False])
def test_regression_adjustment_is_least_squares(errors, interact):
    y, treated, x = drawn()
    centred = x - x.mean(axis=0)
    design = np.column_stack([np.ones(len(y)), treated, centred, *([centred * treated[:, None]] if interact else [])])
    fit = sm.OLS(y, design).fit(cov_type="nonrobust" if errors == "classical" else errors)
    found = regression_adjusted(y, treated, x, interact=interact, errors=errors)
    assert found.difference == pytest.approx(fit.params[1])
    assert found.control == pytest.approx(fit.params[0])
    covariance = fit.cov_params()
    assert found.variance == pytest.approx(covariance[1, 1])
    assert found.control_variance == pytest.approx(covariance[0, 0])
    assert found.covariance == pytest.approx(covariance[0, 1])
    assert found.treatment_variance == pytest.approx(covariance[:2, :2].sum())
    assert found.df == fit.df_resid


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_lins_estimate_from_moments_is_that_of_the_regression(seed, covariates):
    y, treated, x = drawn(seed, 80, covariates)
    found, full = lin(*arms(y, treated, *x.T)), regression_adjusted(y, treated, x)
    assert found.difference == pytest.approx(full.difference, rel=1e-6, abs=1e-8)
    assert found.control == pytest.approx(full.control, rel=1e-6, abs=1e-8)
    # the moments' error also counts that the covariates' means are of a sample
    assert math.sqrt(found.variance) == pytest.approx(math.sqrt(full.variance), rel=0.5)


def test_lins_error_is_right_in_large_samples():
    """Held against the spread of the estimate over samples."""
    rng = np.random.default_rng(5)
    estimates, errors = [], []
    for _ in range(1500):
        x, treated = rng.normal(0, 1, 300), rng.random(300) < 0.3
        two = lin(*arms(x + 2.0 * treated * x + rng.normal(0, 1, 300), treated.astype(int), x))
        estimates.append(two.difference)
        errors.append(two.variance)
    assert np.std(estimates) == pytest.approx(math.sqrt(np.mean(errors)), rel=0.06)


@given(st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.1, 10))
def test_cuped_does_not_depend_on_the_unit_of_its_covariate(seed, origin, scale):
    y, treated, x = drawn(seed, 60, 1)
    one = cuped(*arms(y, treated, x[:, 0]))
    other = cuped(*arms(y, treated, origin + scale * x[:, 0]))
    assert other.difference == pytest.approx(one.difference, rel=1e-6, abs=1e-8)
    assert other.variance == pytest.approx(one.variance, rel=1e-6)


def test_cuped_is_the_difference_of_adjusted_outcomes():
    y, treated, x = drawn(2, 500, 1)
    found = cuped(*arms(y, treated, x[:, 0]))
    theta = np.cov(y, x[:, 0])[0, 1] / x[:, 0].var(ddof=1)
    adjusted = y - theta * (x[:, 0] - x[:, 0].mean())
    plain = means(*arms(adjusted, treated))
    assert found.theta == pytest.approx(theta)
    assert (found.difference, found.variance, found.df) == (
        pytest.approx(plain.difference), pytest.approx(plain.variance), pytest.approx(plain.df),
    )  # fmt: skip
    told = cuped(*arms(y, treated, x[:, 0]), baseline="adjusted")
    assert (told.control, told.treatment) == (pytest.approx(plain.control), pytest.approx(plain.treatment))
    assert lift(told).high == pytest.approx(lift(plain).high)
    assert found.variance < means(*arms(y, treated)).variance


def test_a_lift_of_cuped_counts_that_the_control_was_observed():
    """Held against the spread of the estimate over samples."""
    rng = np.random.default_rng(7)
    estimates, errors = [], []
    for _ in range(2000):
        x = rng.gamma(2.0, 1.0, (2, 100))
        y = x + rng.exponential(1.0, (2, 100)) * np.array([[1.0], [1.5]])
        effect = lift(cuped(*(Moments.of(y[arm], x[arm]) for arm in (0, 1))))
        estimates.append(effect.estimate)
        errors.append(effect.std_error**2)
    assert np.std(estimates) == pytest.approx(math.sqrt(np.mean(errors)), rel=0.05)


def test_cuped_without_variance_of_the_covariate_is_the_plain_difference():
    y, treated, _ = drawn()
    constant = arms(y, treated, np.full(len(y), 3.0))
    found, plain = cuped(*constant), means(*arms(y, treated))
    assert (found.theta, found.difference, found.variance) == (0.0, plain.difference, plain.variance)


def test_cuped_of_a_ratio_over_ones_is_cuped():
    y, treated, x = drawn(4, 200, 1)
    ones = np.ones(len(y))
    ratio = cuped_ratios(*arms(y, treated, ones, x[:, 0], ones))
    plain = cuped(*arms(y, treated, x[:, 0]))
    assert (ratio.difference, ratio.variance, ratio.theta) == (
        pytest.approx(plain.difference), pytest.approx(plain.variance), pytest.approx(plain.theta),
    )  # fmt: skip
    assert ratio.covariance == pytest.approx(plain.covariance)


def test_cuped_of_a_ratio_without_a_past_is_the_plain_ratio():
    rng = np.random.default_rng(3)
    zeros = np.zeros(30)
    pair = [Moments.of(rng.random(30), rng.random(30) + 1, zeros, zeros) for _ in range(2)]
    assert cuped_ratios(*pair) == ratios(*(of.select(0, 1) for of in pair))


def test_post_stratification_of_one_stratum_is_the_plain_difference():
    y, treated, x = drawn(5, 100, 1)
    pair = tuple(arms(y, treated))
    one, plain = post_stratified([pair]), means(*pair)
    assert (one.difference, one.variance, one.df) == (
        pytest.approx(plain.difference), pytest.approx(plain.variance), pytest.approx(plain.df),
    )  # fmt: skip
    ratio = tuple(arms(y, treated, x[:, 0] ** 2 + 1))
    assert post_stratified([ratio], kind="ratio").variance == pytest.approx(ratios(*ratio).variance)


def test_strata_that_explain_the_outcome_make_it_sharper():
    rng = np.random.default_rng(6)
    strata = [tuple(Moments.of(level + rng.normal(0, 1, n)) for n in (100, 120)) for level in (0.0, 10.0, 50.0)]
    whole = [Moments.merged(arm) for arm in zip(*strata, strict=True)]
    assert post_stratified(strata).variance < 0.05 * means(*whole).variance


def test_the_error_counts_that_shares_of_strata_are_of_a_sample():
    """Where effects differ between strata; held against the spread of the estimate over samples."""
    rng = np.random.default_rng(11)
    estimates, errors = [], []
    for _ in range(1500):
        stratum, treated = rng.integers(0, 2, 120), rng.random(120) < 0.5
        y = 6.0 * stratum * treated + rng.normal(0, 1, 120)
        cells = [[Moments.of(y[(stratum == s) & (treated == t)]) for t in (False, True)] for s in (0, 1)]
        two = post_stratified([(a, b) for a, b in cells])
        estimates.append(two.difference)
        errors.append(two.variance)
    assert np.std(estimates) == pytest.approx(math.sqrt(np.mean(errors)), rel=0.06)


def test_a_stratum_that_lacks_an_arm_is_merged():
    rng = np.random.default_rng(8)
    pair = tuple(Moments.of(rng.normal(0, 1, 50)) for _ in range(2))
    lonely = (Moments.of([1.0]), Moments.of([]))
    found = post_stratified([pair, lonely])
    assert found.reason is None
    assert found.n == 101
    assert found.difference == pytest.approx(means(pair[0] + lonely[0], pair[1]).difference)


def test_ancova_in_one_stratum_is_least_squares():
    y, treated, x = drawn(9, 150, 1)
    fit = sm.OLS(y, np.column_stack([np.ones(len(y)), treated, x])).fit()
    found = post_stratified([tuple(arms(y, treated, x[:, 0]))], kind="ancova")
    assert found.difference == pytest.approx(fit.params[1])
    assert math.sqrt(found.variance) == pytest.approx(fit.bse[1])


METHODS = {
    "cuped": cuped,
    "lin": lin,
    "post-stratified": lambda a, b: post_stratified([(a, b)]),
    "ancova": lambda a, b: post_stratified([(a, b)], kind="ancova"),
}
GOOD = ([1.0, 3.0, 4.0, 9.0, 8.0], [0.0, 1.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (([], []), Reason.NO_UNITS),
        (([1.0], [1.0]), Reason.ONE_UNIT),
        (([1.0, math.nan, 2.0, 4.0, 5.0], GOOD[1]), Reason.NOT_FINITE),
        ((GOOD[0], [1.0, math.inf, 2.0, 4.0, 5.0]), Reason.NOT_FINITE),
    ],
)
def test_bad_outcomes_give_a_reason(method, columns, reason):
    for pair in ((columns, GOOD), (GOOD, columns)):
        found = METHODS[method](*(Moments.of(*arm) for arm in pair))
        assert found.reason == reason
        assert difference(found).p_value is None


@pytest.mark.parametrize("method", METHODS)
def test_outcomes_that_do_not_vary_give_a_reason(method):
    same = Moments.of([2.0] * 5, GOOD[1])
    assert METHODS[method](same, same).reason == Reason.NO_VARIANCE


def test_an_outcome_that_its_past_explains_wholly_has_no_variance_left():
    x = np.array([1.0, 2.0, 5.0, 6.0, 9.0])
    found = cuped(Moments.of(3 * x, x), Moments.of(3 * x[::-1], x[::-1]))
    assert found.reason == Reason.NO_VARIANCE


def test_covariates_that_determine_each_other_are_refused():
    y, treated, x = drawn(1, 60, 1)
    twice = np.column_stack([x[:, 0], 2 * x[:, 0]])
    assert regression_adjusted(y, treated, twice).reason == Reason.COLLINEAR
    assert lin(*arms(y, treated, *twice.T)).reason == Reason.COLLINEAR
    assert regression_adjusted(y[:5], [0, 1, 0, 1, 1], drawn(1, 60, 3)[2][:5]).reason == Reason.TOO_FEW
    assert lin(*arms(y[:6], np.array([0, 1, 0, 1, 1, 0]), *drawn(1, 60, 3)[2][:6].T)).reason == Reason.TOO_FEW


def test_a_covariate_that_does_not_vary_changes_nothing():
    y, treated, x = drawn(1, 60, 1)
    more = np.column_stack([x, np.full(60, 1e9)])
    assert regression_adjusted(y, treated, more).variance == pytest.approx(regression_adjusted(y, treated, x).variance)
    assert regression_adjusted(y, treated, []).difference == pytest.approx(means(*arms(y, treated)).difference)
