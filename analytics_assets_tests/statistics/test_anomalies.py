"""The rate of false alarms is the stated one, and what was broken is found."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from analytics_assets.statistics.anomalies import RATE, WARM_UP, judge

DAYS = 365
SERIES = 100
PLACE = np.arange(DAYS)
STRONG = np.array([0.2, 0.3, 1, 1, 1.5, 3, 2])[PLACE % 7]
WEEKLY = np.array([0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.0])[PLACE % 7]
Maker = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def revenue_of_orders(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    orders = rng.poisson(30, size)
    return rng.gamma(6.0 * np.maximum(orders, 1), 10.0)


CLEAN: dict[str, tuple[Maker, bool]] = {
    "large counts": (lambda rng, size: rng.poisson(1000 * WEEKLY, size), True),
    "counts, strong week": (lambda rng, size: rng.poisson(100 * STRONG, size), True),
    "counts, trend": (lambda rng, size: rng.poisson((20 + 0.3 * PLACE) * WEEKLY, size), True),
    "overdispersed counts": (lambda rng, size: rng.negative_binomial(25, 1 / 3, size), True),
    "lognormal revenue": (lambda rng, size: np.exp(rng.normal(8, 0.2, size)) * WEEKLY, False),
    "wild revenue, strong week": (lambda rng, size: np.exp(rng.normal(8, 0.5, size)) * STRONG, False),
    "revenue, trend": (lambda rng, size: np.exp(rng.normal(8, 0.2, size)) * (1 + PLACE / 100), False),
    "revenue of orders": (revenue_of_orders, False),
    "normal": (lambda rng, size: rng.normal(100, 10, size), False),
    "a level that wanders": (
        lambda rng, size: np.exp(8 + np.cumsum(rng.normal(0, 0.02, size), 1) + rng.normal(0, 0.1, size)),
        False,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLEAN)
def test_the_rate_of_false_alarms_is_the_stated_one(kind):
    make, counts = CLEAN[kind]
    values = make(np.random.default_rng(17), (SERIES, DAYS)).astype(float)
    judged = judge(values, counts=[counts] * SERIES)
    days = int(np.isfinite(judged.score).sum())
    assert days == SERIES * (DAYS - WARM_UP)
    low, high = binom.ppf([0.0005, 0.9995], days, RATE)
    assert low <= judged.anomaly.sum() <= high, judged.anomaly.sum() / days


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.5, 2, 8])
def test_small_counts_alarm_at_most_so_often(mean):
    values = np.random.default_rng(5).poisson(mean, (SERIES, DAYS)).astype(float)
    judged = judge(values, counts=[True] * SERIES)
    assert judged.anomaly.sum() <= binom.ppf(0.9995, SERIES * (DAYS - WARM_UP), RATE)


@pytest.mark.slow
def test_tails_that_are_much_heavier_alarm_at_most_five_times_as_often():
    values = np.exp(8 + 0.2 * np.random.default_rng(6).standard_t(5, (SERIES, DAYS)))
    judged = judge(values, counts=[False] * SERIES)
    assert judged.anomaly.mean() < 5 * RATE


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize(
    ("kind", "least"),
    [("large counts", 1.0), ("counts, trend", 0.9), ("calm revenue", 0.95)],
)
def test_half_and_double_the_volume_is_found_as_far_as_noise_lets(kind, least, factor):
    make, counts = {**CLEAN, "calm revenue": (lambda rng, size: np.exp(rng.normal(8, 0.1, size)) * WEEKLY, False)}[kind]
    values = make(np.random.default_rng(23), (SERIES, DAYS)).astype(float)[:30, 200:]
    values[:, 120] *= factor
    judged = judge(np.round(values) if counts else values, counts=[counts] * 30)
    assert judged.anomaly[:, 120].mean() >= least
    assert (np.sign(judged.score[:, 120]) == math.copysign(1, factor - 1)).all()


def test_a_verdict_does_not_change_when_more_days_come():
    rng = np.random.default_rng(8)
    values = np.stack([rng.poisson(50, 120), rng.lognormal(5, 0.3, 120)]).astype(float)
    whole, part = (judge(values[:, :days], counts=[True, False]) for days in (120, 80))
    for name in ("expected", "low", "high", "score", "anomaly"):
        np.testing.assert_array_equal(getattr(whole, name)[:, :80], getattr(part, name))


def test_an_anomaly_is_what_lies_outside_of_its_ends_and_scores_beyond_the_stated_rate():
    rng = np.random.default_rng(9)
    values = np.stack([rng.poisson(50, 400), rng.lognormal(5, 0.3, 400)]).astype(float)
    values[:, 200] *= 4
    judged = judge(values, counts=[True, False])
    known = np.isfinite(judged.score)
    outside = (values < judged.low) | (values > judged.high)
    np.testing.assert_array_equal(outside & known, judged.anomaly)
    assert (np.abs(judged.score[1][judged.anomaly[1]]) > 3.29).all()
    assert (np.abs(judged.score[1][known[1] & ~judged.anomaly[1]]) < 3.3).all()


def test_an_anomaly_shapes_no_expectation_and_a_new_level_does():
    rng = np.random.default_rng(10)
    values = rng.poisson(200, (1, 150)).astype(float)
    calm = judge(values, counts=[True]).expected[0, 101]
    values[0, 100] = 800
    assert judge(values, counts=[True]).expected[0, 101] == pytest.approx(calm, rel=0.01)
    values[0, 100:] = rng.poisson(600, 50)
    judged = judge(values, counts=[True])
    assert judged.anomaly[0, 100:107].all()
    assert judged.anomaly[0, 112:].sum() <= 1
    assert judged.expected[0, -1] > 500


def test_named_days_are_not_judged_and_shape_nothing():
    values = np.random.default_rng(12).poisson(200, (1, 100)).astype(float)
    calm = judge(values, counts=[True]).expected[0, 81:]
    values[0, 80] = 2000
    named = np.arange(100) == 80
    judged = judge(values, counts=[True], named=named)
    assert math.isnan(judged.score[0, 80])
    assert not judged.anomaly.any()
    np.testing.assert_allclose(judged.expected[0, 81:], calm, rtol=0.02)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(60),
        np.full(60, 7.0),
        np.full(60, math.nan),
        np.ones(1),
        np.arange(20.0),
        np.r_[np.zeros(59), 5.0],
        -np.arange(60.0),
        np.r_[np.full(30, math.nan), np.arange(30.0)],
        np.where(np.arange(60) % 7 == 6, 0.0, 50.0 + np.arange(60) % 5),
    ],
    ids=["zeros", "constant", "nothing", "one", "short", "first", "negative", "late", "closed"],
)
def test_of_anything_there_is_a_verdict_without_a_warning(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for counts in (True, False):
            judged = judge(values[None, :], counts=[counts])
            assert judged.anomaly.shape == (1, len(values))
            assert not (judged.anomaly & ~np.isfinite(judged.score)).any()


def test_a_shop_that_suddenly_sells_nothing_is_found():
    values = np.random.default_rng(13).lognormal(8, 0.2, (1, 100))
    values[0, 90] = 0
    assert judge(values, counts=[False]).anomaly[0].nonzero()[0].tolist() == [90]
