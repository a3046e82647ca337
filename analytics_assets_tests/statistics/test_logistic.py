"""Logistic regression: against statsmodels, grouped and one by one, and where there is no odds ratio."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.logistic import logistic


def drawn(seed: int = 1, n: int = 400):
    rng = np.random.default_rng(seed)
    treated, age, country = rng.integers(0, 2, n), rng.normal(40, 12, n), rng.integers(0, 3, n)
    log_odds = -2 + 0.5 * treated + 0.03 * age + 0.4 * (country == 1)
    y = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int)
    columns = {"treatment": treated, "age": age, "country_1": country == 1, "country_2": country == 2}
    return y, {name: np.asarray(column, dtype=float) for name, column in columns.items()}


@pytest.mark.parametrize("robust", [False, True])
def test_the_fit_is_that_of_statsmodels(robust):
    y, columns = drawn()
    fit = sm.Logit(y, sm.add_constant(np.column_stack(list(columns.values())))).fit(
        disp=0, tol=1e-12, cov_type="HC0" if robust else "nonrobust"
    )
    found = logistic(y, columns, robust=robust)
    assert [term.log_odds for term in found.terms] == pytest.approx(list(fit.params), rel=1e-7)
    assert [term.std_error for term in found.terms] == pytest.approx(list(fit.bse), rel=1e-6)
    assert [term.p_value for term in found.terms] == pytest.approx(list(fit.pvalues), rel=1e-5)
    assert [(term.low, term.high) for term in found.terms] == [
        (pytest.approx(low, rel=1e-6), pytest.approx(high, rel=1e-6)) for low, high in np.exp(fit.conf_int())
    ]
    assert found.log_likelihood == pytest.approx(fit.llf)
    assert found.pseudo_r2 == pytest.approx(fit.prsquared)
    assert [term.name for term in found.terms] == ["intercept", *columns]


@pytest.mark.parametrize("robust", [False, True])
def test_groups_are_their_units(robust):
    y, columns = drawn()
    kept = {name: columns[name] for name in ("treatment", "country_1")}
    cells = np.column_stack(list(kept.values()))
    unique, places = np.unique(cells, axis=0, return_inverse=True)
    one = logistic(y, kept, robust=robust)
    grouped = logistic(
        np.bincount(places, weights=y), dict(zip(kept, unique.T, strict=True)), trials=np.bincount(places),
        robust=robust,
    )  # fmt: skip
    assert grouped.n == one.n == 400
    for mine, theirs in zip(grouped.terms, one.terms, strict=True):
        assert mine.log_odds == pytest.approx(theirs.log_odds, rel=1e-8)
        assert mine.std_error == pytest.approx(theirs.std_error, rel=1e-8)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 400), st.integers(1, 400))
def test_of_two_arms_the_odds_ratio_is_that_of_the_table(a, b, c, d):
    term = logistic([a, c], {"treatment": [0, 1]}, trials=[a + b, c + d])["treatment"]
    assert term.odds_ratio == pytest.approx(c / d / (a / b), rel=1e-7)
    assert term.std_error == pytest.approx(math.sqrt(1 / a + 1 / b + 1 / c + 1 / d), rel=1e-7)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_the_unit_of_a_covariate_does_not_matter(origin, scale):
    y, columns = drawn(2)
    moved = logistic(y, {**columns, "age": origin + scale * columns["age"]})
    plain = logistic(y, columns)
    assert moved["treatment"].log_odds == pytest.approx(plain["treatment"].log_odds, rel=1e-5)
    assert moved["age"].log_odds * scale == pytest.approx(plain["age"].log_odds, rel=1e-4)


def test_separation_is_detected_and_named():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, 200)
    found = logistic(x > 0.2, {"noise": rng.normal(0, 1, 200), "cause": x})
    assert found.reason == Reason.SEPARATED
    assert "cause" in found.separated
    assert found.terms == ()
    # a group in which nobody ever converts separates too, though not the whole
    quasi = logistic([0, 30, 25], {"a": [1, 0, 0], "treatment": [0, 0, 1]}, trials=[50, 100, 100])
    assert (quasi.reason, quasi.separated) == (Reason.SEPARATED, ("a",))
    assert logistic([0, 30], {"treatment": [0, 1]}, trials=[50, 60]).reason == Reason.SEPARATED


def test_strong_effects_are_not_separation():
    found = logistic([1, 9_999], {"treatment": [0, 1]}, trials=[10_000, 10_000])
    assert found.reason is None
    assert found["treatment"].odds_ratio == pytest.approx(9999**2, rel=1e-6)


@pytest.mark.parametrize(
    ("y", "columns", "trials", "reason"),
    [
        ([], {"treatment": []}, None, Reason.NO_UNITS),
        ([0, 0], {"treatment": [0, 1]}, [0, 0], Reason.NO_UNITS),
        ([0, 0, 0, 0], {"treatment": [0, 1, 0, 1]}, None, Reason.NO_VARIANCE),
        ([1, 1, 1, 1], {"treatment": [0, 1, 0, 1]}, None, Reason.NO_VARIANCE),
        ([1, 0], {"treatment": [0, 1]}, None, Reason.TOO_FEW),
        ([1, 0, 1, 0], {"treatment": [1, 1, 1, 1]}, None, Reason.COLLINEAR),
        ([1, 0, 1, 0], {"treatment": [0, 0, 0, 0]}, None, Reason.COLLINEAR),
        ([1, 0, 1, 0, 1], {"a": [0, 1, 0, 1, 1], "b": [0, 2, 0, 2, 2]}, None, Reason.COLLINEAR),
        ([1, 0, math.nan, 0], {"treatment": [0, 1, 0, 1]}, None, Reason.NOT_FINITE),
        ([1, 0, 1, 0], {"treatment": [0, 1, math.inf, 1]}, None, Reason.NOT_FINITE),
        ([30, 0], {"treatment": [0, 1]}, [60, 0], Reason.COLLINEAR),
    ],
)
def test_bad_data_give_a_reason(y, columns, trials, reason):
    found = logistic(y, columns, trials=trials)
    assert (found.terms, found.log_likelihood, found.reason) == ((), None, reason)


def test_more_successes_than_units_are_refused():
    with pytest.raises(ValueError, match="more successes than units"):
        logistic([3, 1], {"treatment": [0, 1]}, trials=[2, 5])
    with pytest.raises(ValueError, match="alpha lies between"):
        logistic([1, 0], {"treatment": [0, 1]}, alpha=1.0)


def test_a_term_is_looked_up_by_its_name():
    with pytest.raises(KeyError):
        logistic([10, 20], {"treatment": [0, 1]}, trials=[50, 60])["absent"]
