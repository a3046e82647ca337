"""The definitions, pair by pair, and what scikit-learn says of the same chances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.statistics.proportions import Z95, wilson
from analytics_assets.statistics.scores import (
    auc,
    auc_gain,
    average_precision,
    brier,
    calibration,
    calibration_error,
)

SOME = [0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0]
drawn = st.lists(
    st.tuples(st.sampled_from(SOME), st.sampled_from(SOME), st.booleans()), min_size=1, max_size=30
)  # fmt: skip


def arrays(rows):
    one, other, happened = zip(*rows, strict=True)
    return np.array(one), np.array(other), np.array(happened, dtype=bool)


def pairs(chances, happened):
    """Compare each to whom it happened with each other: 1, 1/2 or 0."""
    above = chances[happened][:, None] - chances[~happened][None, :]
    return (above > 0) + (above == 0) / 2


def covariance(one, other):
    """Give the covariance of two areas by DeLong, DeLong and Clarke-Pearson (1988), eq. 4 to 6, of all pairs."""
    total = 0.0
    for axis in (1, 0):
        a, b = one.mean(axis=axis), other.mean(axis=axis)
        if len(a) > 1:
            total += float(np.cov(a, b, ddof=1)[0, 1]) / len(a)
    return total


@settings(deadline=None)
@given(drawn)
def test_the_area_is_that_of_all_pairs_with_delongs_variance(rows):
    chances, _, happened = arrays(rows)
    found = auc(chances, happened)
    if happened.all() or not happened.any():
        assert found is None
        return
    whole = pairs(chances, happened)
    assert found.value == pytest.approx(whole.mean())
    assert 0 <= found.low <= found.value <= found.high <= 1
    if 0 < whole.mean() < 1:
        spread = math.sqrt(max(covariance(whole, whole), 0)) / (whole.mean() * (1 - whole.mean()))
        logit = math.log(whole.mean() / (1 - whole.mean()))
        ends = [1 / (1 + math.exp(-(logit + side * Z95 * spread))) for side in (-1, 1)]
        assert [found.low, found.high] == pytest.approx(ends)


@settings(deadline=None)
@given(drawn)
def test_the_gain_is_the_difference_of_areas_with_the_variance_of_pairs(rows):
    one, other, happened = arrays(rows)
    found = auc_gain(one, other, happened)
    if happened.all() or not happened.any():
        assert found is None
        return
    mine, its = pairs(one, happened), pairs(other, happened)
    assert found.value == pytest.approx(mine.mean() - its.mean())
    variance = covariance(mine, mine) + covariance(its, its) - 2 * covariance(mine, its)
    assert found.high - found.value == pytest.approx(Z95 * math.sqrt(max(variance, 0)), abs=1e-7)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_intervals_of_areas_cover_the_truth_as_often_as_they_say():
    """Of normal distributions, one standard deviation apart, the area is Phi(1 / sqrt 2); 179 to 198 of 200 cover."""
    truth = 0.5 * math.erfc(-0.5)
    covered = gains = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        happened = np.arange(200) < 80
        shared = rng.normal(size=200)
        one, other = (happened + 0.8 * shared + 0.6 * rng.normal(size=200) for _ in range(2))
        area, gain = auc(one, happened), auc_gain(one, other, happened)
        covered += area.low <= truth <= area.high
        gains += gain.low <= 0 <= gain.high
    assert 179 <= covered <= 198
    assert 179 <= gains <= 198


@settings(deadline=None)
@given(drawn)
def test_average_precision_is_that_of_scikit_learn_whatever_the_order(rows):
    from sklearn.metrics import average_precision_score

    chances, _, happened = arrays(rows)
    found = average_precision(chances, happened)
    if not happened.any():
        assert found is None
        return
    assert found.value == pytest.approx(average_precision_score(happened, chances))
    assert found.low - 1e-12 <= found.value <= found.high + 1e-12
    turned = average_precision(chances[::-1], happened[::-1])
    assert turned.value == pytest.approx(found.value)


def test_the_interval_of_average_precision_depends_on_how_many_it_happened_to():
    few = average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    many = average_precision(np.tile([0.9, 0.8, 0.7, 0.6], 100), np.tile([True, False, True, False], 100))
    assert few.high - few.low > 3 * (many.high - many.low)
    logit, width = math.log(few.value / (1 - few.value)), Z95 / math.sqrt(2 * few.value * (1 - few.value))
    assert few.low == pytest.approx(1 / (1 + math.exp(width - logit)))


@settings(deadline=None)
@given(drawn)
def test_the_brier_score_is_the_mean_squared_error(rows):
    chances, _, happened = arrays(rows)
    errors = [(chance - hit) ** 2 for chance, hit in zip(chances, happened, strict=True)]
    found = brier(chances, happened)
    assert found.value == pytest.approx(np.mean(errors))
    width = Z95 * np.std(errors, ddof=1) / math.sqrt(len(errors)) if len(errors) > 1 else 0
    assert found.low == pytest.approx(max(0, found.value - width))
    assert found.high == pytest.approx(min(1, found.value + width))


@settings(deadline=None)
@given(drawn, st.integers(1, 10))
def test_bins_hold_everybody_once_and_those_with_one_chance_together(rows, bins):
    chances, _, happened = arrays(rows)
    found = calibration(chances, happened, bins)
    assert 1 <= len(found) <= bins
    assert sum(part.count for part in found) == len(chances)
    assert sum(part.happened for part in found) == happened.sum()
    assert all(one.highest < other.lowest for one, other in itertools.pairwise(found))
    for part in found:
        ours = (chances >= part.lowest) & (chances <= part.highest)
        assert ours.sum() == part.count
        assert part.predicted == pytest.approx(chances[ours].mean())
        assert part.observed == happened[ours].mean()
        assert (part.low, part.high) == wilson(part.happened, part.count)
    error = sum(part.count * abs(part.predicted - part.observed) for part in found) / len(chances)
    assert calibration_error(found) == pytest.approx(error)


def test_bins_are_as_large_as_each_other_where_chances_differ():
    chances = np.linspace(0, 1, 1_000)
    assert [part.count for part in calibration(chances, chances > 0.5)] == [100] * 10


def test_those_with_one_chance_are_in_the_bin_of_the_middle_one_of_them():
    chances = np.array([0.1, *[0.5] * 8, 0.9])
    assert [part.count for part in calibration(chances, chances > 0.5, bins=2)] == [1, 9]


def test_of_nothing_there_is_no_score():
    nobody, nothing = np.zeros(0), np.zeros(0, dtype=bool)
    assert [measure(nobody, nothing) for measure in (auc, average_precision, brier)] == [None] * 3
    assert auc_gain(nobody, nobody, nothing) is None
    assert calibration(nobody, nothing) == []
    assert calibration_error([]) is None


def test_a_perfect_order_has_an_area_of_1_and_no_width():
    found = auc(np.array([0.9, 0.8, 0.1]), np.array([True, True, False]))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
