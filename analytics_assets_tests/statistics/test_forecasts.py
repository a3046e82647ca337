"""Models are the textbook's, measures are the definitions, and intervals cover what they promise."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics import forecasts
from analytics_assets.statistics.forecasts import (
    LADDER,
    Ahead,
    accuracy,
    airline,
    backtest,
    choose,
    coverage,
    drift,
    harmonic,
    lags_of,
    look_ahead,
    mean,
    naive,
    origins,
    rolling_by_horizon,
    seasonal_naive,
    seasonal_scale,
    theta,
    widths,
)

WEEK = np.array([0.9, 0.8, 0.9, 1.0, 1.1, 1.2, 1.1])


def shop(days: int, seed: int = 1, noise: float = 0.1) -> np.ndarray:
    place = np.arange(days)
    rng = np.random.default_rng(seed)
    level = np.cumsum(rng.normal(0, 0.01, days))
    return 100 * np.exp(level + rng.normal(0, noise, days)) * WEEK[place % 7]


# --- measures ---------------------------------------------------------------------------------------------------------

numbers = st.lists(st.floats(1, 1000), min_size=8, max_size=30)


@given(numbers, numbers, st.integers(1, 4))
def test_measures_are_those_of_the_definition(actual, told, period):
    size = min(len(actual), len(told))
    actual, told = actual[:size], told[:size]
    found = accuracy(actual, told, actual, period)
    off = [abs(a - t) for a, t in zip(actual, told, strict=True)]
    scale = [abs(a - b) for a, b in zip(actual[period:], actual[:-period], strict=True)]
    assert found.mae == pytest.approx(sum(off) / size)
    assert found.rmse == pytest.approx(math.sqrt(sum(o * o for o in off) / size))
    assert found.mape == pytest.approx(100 * sum(o / a for o, a in zip(off, actual, strict=True)) / size)
    both = [a + t for a, t in zip(actual, told, strict=True)]
    assert found.smape == pytest.approx(200 * sum(o / b for o, b in zip(off, both, strict=True)) / size)
    if sum(scale) > 0:
        assert found.mase == pytest.approx(found.mae / (sum(scale) / len(scale)))


def test_measures_leave_out_what_did_not_come_and_are_undefined_of_nothing():
    assert accuracy([10, math.nan], [12, 5], [1, 2, 4, 8], 2).mae == 2
    assert math.isnan(accuracy([math.nan], [1], [1, 2], 1).mae)
    zeros = accuracy([0, 0], [1, 0], [3, 3, 3], 1)
    assert math.isnan(zeros.mape)
    assert math.isnan(zeros.mase)  # the history never changed
    assert zeros.smape == 100
    assert math.isnan(seasonal_scale([1, 2], 7))


# --- the textbook -----------------------------------------------------------------------------------------------------


def test_the_textbooks_models_have_the_textbooks_errors():
    history = np.array([3.0, 5, 4, 8, 6, 9, 7, 11])
    step = np.diff(history)
    assert mean(history, 1).error[0] == pytest.approx(history.std(ddof=1) * math.sqrt(1 + 1 / 8))
    np.testing.assert_allclose(naive(history, 3).error, math.sqrt((step**2).mean()) * np.sqrt([1, 2, 3]))
    of_drift = math.sqrt(((step - step.mean()) ** 2).sum() / 6)
    np.testing.assert_allclose(drift(history, 2).error, of_drift * np.sqrt([1 * (1 + 1 / 7), 2 * (1 + 2 / 7)]))
    season = history[2:] - history[:-2]
    expected = math.sqrt((season**2).mean()) * np.sqrt([1, 1, 2, 2])
    np.testing.assert_allclose(seasonal_naive(history, 4, 2).error, expected)
    np.testing.assert_allclose(drift(history, 2).middle, 11 + step.mean() * np.array([1, 2]))


def test_seasonal_naive_looks_farther_back_where_a_day_is_missing():
    history = np.array([1.0, 2, 3, math.nan, 5, math.nan])
    np.testing.assert_array_equal(seasonal_naive(history, 3, 2).middle, [5, 2, 5])


# --- the models, against statsmodels ----------------------------------------------------------------------------------


def test_theta_is_that_of_statsmodels():
    from statsmodels.tsa.forecasting.theta import ThetaModel

    values = np.log(shop(200))
    flat = values - forecasts._classical(values, 7)[np.arange(200) % 7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = np.asarray(ThetaModel(flat, period=1, deseasonalize=False).fit().forecast(14))
    np.testing.assert_allclose(theta(flat, 14, 1).middle, oracle, atol=1e-5)


def test_the_pattern_is_that_of_classical_decomposition():
    from statsmodels.tsa.seasonal import seasonal_decompose

    for period in (7, 12):
        values = shop(120)
        oracle = seasonal_decompose(values, period=period).seasonal[:period]
        np.testing.assert_allclose(forecasts._classical(values, period), oracle, atol=1e-9)


@pytest.mark.parametrize("days", [70, 300])
def test_harmonic_is_the_autoregression_of_statsmodels(days):
    from statsmodels.tsa.ar_model import AutoReg

    values = np.log(shop(days))
    fitted = AutoReg(values, lags=list(lags_of(days)), trend="ct", seasonal=True, period=7).fit()
    oracle = fitted.get_prediction(days, days + 13)
    found = harmonic(values, 14)
    np.testing.assert_allclose(found.middle, oracle.predicted_mean, rtol=1e-6)
    parameters = len(lags_of(days)) + 8
    observed = days - lags_of(days)[-1]  # ours divides by the degrees of freedom, theirs by the observations
    by_freedom = np.asarray(oracle.se_mean) * math.sqrt(observed / (observed - parameters))
    np.testing.assert_allclose(found.error, by_freedom, rtol=1e-6)


def test_harmonic_never_explodes():
    values = np.exp(np.arange(100) / 10.0)
    told = harmonic(values, 365).middle
    assert np.isfinite(told).all()
    assert np.abs(told).max() < 1e3 * values.max()
    assert harmonic(np.log(shop(800)), 365, year=365.25).error[-1] < 1


@pytest.mark.slow
def test_the_airline_model_says_when_it_did_not_converge(monkeypatch):
    fitted = airline(np.log(shop(120)), 7, 7)
    assert fitted.state == "fitted"
    assert len(fitted.forecast.middle) == 7
    assert (np.diff(fitted.forecast.error) > 0).all()


# --- a daily series ---------------------------------------------------------------------------------------------------


def test_models_come_with_the_length_of_the_history():
    assert [list(look_ahead(shop(days), 3)) for days in (13, 14, 28, 56)] == [
        [],
        ["seasonal_naive"],
        ["seasonal_naive", "theta"],
        list(LADDER),
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(100),
        np.full(100, 5.0),
        np.r_[np.zeros(60), shop(40)],
        np.where(np.arange(100) % 9 == 0, math.nan, shop(100)),
        np.where(np.arange(100) % 7 == 6, 0.0, shop(100)),
        shop(100) - 150,
        np.random.default_rng(1).poisson(0.3, 100).astype(float),
        np.r_[shop(99), 1e9],
        np.r_[np.full(99, 5.0), 6.0],
        np.r_[shop(80), np.full(20, math.nan)],
    ],
    ids=["zeros", "constant", "late", "gaps", "closed", "negative", "sparse", "huge", "nearly", "silent"],
)
def test_of_anything_there_is_a_forecast_whose_ends_lie_around_it(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = look_ahead(values, 14)
        tried = backtest(values, 14)
    assert found
    for ahead in found.values():
        low, high = ahead.interval(1.96)
        assert np.isfinite([ahead.middle, low, high]).all()
        assert (low <= ahead.middle + 1e-6 * np.abs(ahead.middle)).all()
        assert (ahead.middle <= high + 1e-6 * np.abs(high)).all()
        if np.nanmin(values) >= 0:
            assert (low >= 0).all()
    for one in tried:
        assert not np.isnan(one.ahead.middle).any()


def test_a_name_that_was_there_twice_is_forecast_with_its_effect_and_one_that_was_there_once_is_not():
    values = shop(200, noise=0.02)
    values[[100, 150]] *= 2
    values[170] *= 3
    named = {"sale": [100, 150, 204], "once": [170, 208]}
    plain, told = (look_ahead(values, 14, ["theta"], given_)["theta"].middle for given_ in ({}, named))
    ratio = told / plain
    assert ratio[4] / np.median(ratio) == pytest.approx(2, rel=0.15)
    assert ratio[8] / np.median(ratio) == pytest.approx(1, rel=0.05)


def test_a_backtest_knows_nothing_of_what_came_later():
    values = shop(150)
    first = backtest(values, 14)
    changed = values.copy()
    changed[-14:] *= 5
    second = backtest(changed, 14)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.ahead.middle, other.ahead.middle)
    named = {"sale": [70, 140]}  # the second one has not happened yet at any origin
    third = backtest(changed, 14, named=named)
    assert {one.origin for one in third} == {one.origin for one in first}


def test_origins_are_a_horizon_apart_and_leave_half_of_the_days_to_learn_from():
    assert origins(365, 14) == list(range(183, 352, 14))
    assert origins(60, 14) == [32, 46]
    assert origins(41, 14) == []


def test_a_model_that_cannot_be_had_from_every_origin_is_left_out():
    tried = backtest(shop(100), 14)
    assert {one.origin for one in tried} == {58, 72, 86}
    assert {one.model for one in tried} == set(LADDER)
    assert {one.model for one in backtest(shop(80), 14)} == {"seasonal_naive", "theta"}


def test_seasonal_naive_stays_where_nothing_is_better():
    assert choose({}) == "seasonal_naive"
    assert choose({"theta": 1.0, "seasonal_naive": 0.9}) == "seasonal_naive"
    assert choose({"theta": 0.8, "combination": 0.8, "seasonal_naive": 0.9}) == "theta"


# --- intervals --------------------------------------------------------------------------------------------------------


def test_widths_are_those_that_would_have_covered():
    scores = np.arange(1, 100) / 10
    assert widths(scores) == (8.0, 9.5)
    assert widths([1.0] * 27) == widths([])  # too few to tell
    assert widths([math.nan, math.inf, *scores]) == (8.0, 9.5)


def test_coverage_judges_each_origin_by_the_others():
    wild = [[10.0] * 14, [0.1] * 14, [0.1] * 14, [0.1] * 14]
    low, high = coverage(wild)
    assert low == high == 0.75
    assert math.isnan(coverage([])[0])
    assert math.isnan(coverage([[math.nan]])[0])


def test_intervals_cover_days_to_come_of_series_like_a_shops():
    inside = np.zeros(2)
    total = 0
    for seed in range(40):
        values = shop(254, seed)
        history, actual = values[:-14], values[-14:]
        scores = [s for one in backtest(history, 14, ["harmonic"]) for s in one.ahead.score(one.actual)]
        ahead = look_ahead(history, 14, ["harmonic"])["harmonic"]
        for place, width in enumerate(widths(scores)):
            low, high = ahead.interval(width)
            inside[place] += ((low <= actual) & (actual <= high)).sum()
        total += 14
    # days of one series err together: the bounds are those of 40 series that count for about 4 days each
    assert 0.71 <= inside[0] / total <= 0.89
    assert 0.89 <= inside[1] / total <= 0.99


def test_a_score_of_one_is_the_end_of_an_interval_of_width_one():
    for power in ("1", "1/2", "0"):
        ahead = Ahead(np.array([100.0]), np.array([0.3]), power, 0.0)
        for end in ahead.interval(1.0):
            assert ahead.score(end)[0] == pytest.approx(1)
    assert Ahead(np.array([5.0]), np.array([0.0]), "1", 0.0).score(np.array([5.0]))[0] == 0


# --- errors by horizon ------------------------------------------------------------------------------------------------


def test_errors_by_horizon_are_averaged_as_prophet_does():
    errors, horizons = [1.0, 2, 3, 10, 20, 30], [1, 1, 2, 2, 3, 3]
    # three errors a window: of horizon 2 both, and half of horizon 1
    assert rolling_by_horizon(errors, horizons, 0.5) == [(2, (3 + 10 + 1.5) / 3), (3, (20 + 30 + 6.5) / 3)]
