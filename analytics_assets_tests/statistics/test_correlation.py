from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.correlation import FEWEST_POINTS, correlate

SHARED = Path(os.environ.get("ANALYTICS_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
ADVERTISING = SHARED / "data/isl_advertising/Advertising.csv"


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=4, max_size=60))
@settings(max_examples=150)
def test_of_independent_points_it_is_what_scipy_says(pairs):
    one, other = [list(map(float, side)) for side in zip(*pairs, strict=True)]
    found = correlate(one, other, in_time=False)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found.pearson is None
        return
    pearson = stats.pearsonr(one, other)
    assert found.pearson == pytest.approx(pearson.statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(one, other).statistic)
    if abs(pearson.statistic) < 1 - 1e-9:
        assert (found.low, found.high) == pytest.approx(tuple(pearson.confidence_interval(0.95)))
    assert found.effective_points == len(pairs)


def test_too_few_points_are_flagged():
    noise = np.random.default_rng(1).normal(size=(FEWEST_POINTS, 2))
    enough, less = (correlate(noise[:n, 0], noise[:n, 1], in_time=False) for n in (FEWEST_POINTS, FEWEST_POINTS - 1))
    assert (enough.state, less.state) == ("measured", "too few points")
    assert less.low < less.pearson < less.high
    assert correlate([], []).state == "too few points"
    assert correlate([1], [2]).pearson is None
    assert correlate([1, 2, 4], [2, 1, 3]).low is None


def test_what_never_changes_goes_with_nothing():
    found = correlate([5.0] * 40, range(40))
    assert (found.state, found.pearson, found.points) == ("constant", None, 40)


def test_a_perfect_correlation_is_one():
    found = correlate(range(40), range(40), in_time=False)
    assert (found.pearson, found.spearman) == (pytest.approx(1), pytest.approx(1))
    assert 0.999 < found.low <= found.high <= 1
    assert correlate(range(40), range(40, 0, -1), in_time=False).pearson == pytest.approx(-1)


def autoregressive(rng: np.random.Generator, rho: float, days: int) -> np.ndarray:
    """Make two series that have nothing to do with each other, each of which remembers its last value."""
    noise, series = rng.normal(size=(days + 100, 2)), np.zeros((days + 100, 2))
    for day in range(1, days + 100):
        series[day] = rho * series[day - 1] + noise[day]
    return series[100:]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("days", [60, 250])
def test_series_that_repeat_themselves_are_worth_fewer_points(rho, days):
    """Of 300 intervals at 95 %, 271 to 297 cover: the 99.9 % interval of a binomial."""
    rng = np.random.default_rng(days)
    found = [correlate(*autoregressive(rng, rho, days).T) for _ in range(300)]
    assert 271 <= sum(told.low <= 0 <= told.high for told in found) <= 297
    assert all(told.effective_points <= days for told in found)


def test_the_points_that_a_series_is_worth_are_those_of_the_formula():
    one, other = autoregressive(np.random.default_rng(5), 0.7, 40).T
    total = 0.0
    for lag in range(1, 11):
        rhos = []
        for series in (one, other):
            around = series - series.mean()
            rhos.append(sum(around[day] * around[day - lag] for day in range(lag, 40)) / sum(around**2))
        total += (1 - lag / 40) * rhos[0] * rhos[1]
    assert total > 0
    assert correlate(one, other).effective_points == pytest.approx(40 / (1 + 2 * total))


def test_a_long_series_is_worth_what_bartlett_says():
    rng = np.random.default_rng(3)
    found = [correlate(*autoregressive(rng, 0.8, 3_000).T).effective_points / 3_000 for _ in range(30)]
    assert np.mean(found) == pytest.approx((1 - 0.8**2) / (1 + 0.8**2), rel=0.25)


def test_a_naive_interval_would_cry_wolf():
    rng = np.random.default_rng(7)
    naive = [correlate(*autoregressive(rng, 0.9, 100).T, in_time=False) for _ in range(100)]
    assert sum(told.low <= 0 <= told.high for told in naive) < 70


@pytest.mark.acceptance
@pytest.mark.skipif(not ADVERTISING.is_file(), reason=f"no data in {SHARED}: set ANALYTICS_SHARED")
def test_advertising_goes_with_sales_as_the_book_says():
    """James, Witten, Hastie, Tibshirani, tables 3.1 and 3.5: TV .7822, radio .5762, newspaper .2283."""
    with ADVERTISING.open() as file:
        rows = [{name.lower(): value for name, value in row.items()} for row in csv.DictReader(file)]
    sales = [float(row["sales"]) for row in rows]
    found = {
        name: correlate([float(row[name]) for row in rows], sales, in_time=False)
        for name in ("tv", "radio", "newspaper")
    }
    assert {name: round(told.pearson or 0, 4) for name, told in found.items()} == {
        "tv": 0.7822, "radio": 0.5762, "newspaper": 0.2283,
    }  # fmt: skip
    assert (found["tv"].points, found["tv"].state) == (200, "measured")
