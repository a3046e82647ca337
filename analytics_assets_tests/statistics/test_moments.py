"""Moments: any split merges to the whole, and nothing is lost far from zero or in large counts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.effects import difference
from analytics_assets.statistics.means import means
from analytics_assets.statistics.moments import Moments, difference_of_means

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
rows = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40)


def same(found: Moments, expected: Moments, scale: float = 1e6) -> None:
    assert found.n == expected.n
    for i in range(len(expected.shifts)):
        assert found.mean(i) == pytest.approx(expected.mean(i), abs=1e-9 * scale**0.5)
        for j in range(len(expected.shifts)):
            assert found.products[i][j] == pytest.approx(expected.products[i][j], rel=1e-9, abs=1e-9 * scale)


@given(rows, st.lists(st.integers(0, 40), max_size=5))
def test_parts_merge_to_the_whole_however_it_is_split(told, cuts):
    values = np.array(told)
    places = sorted({0, len(told), *(cut for cut in cuts if cut < len(told))})
    parts = [Moments.of(*values[a:b].T) for a, b in pairwise(places)]
    same(Moments.merged(parts), Moments.of(*values.T))
    same(Moments.merged(reversed(parts)), Moments.of(*values.T))


@given(rows, numbers, numbers)
def test_shifted_sums_give_what_arrays_give(told, shift, other_shift):
    values = np.array(told)
    near = values - [shift, other_shift]
    found = Moments.from_sums(len(told), near.sum(axis=0), near.T @ near, [shift, other_shift])
    same(found, Moments.of(*values.T), 1e7)


@given(rows)
def test_moments_are_what_numpy_says(told):
    values = np.array(told)
    found = Moments.of(*values.T)
    assert found.mean() == pytest.approx(values[:, 0].mean(), abs=1e-9)
    if len(told) > 1:
        covariance = np.cov(values.T)
        assert found.variance(1) == pytest.approx(covariance[1, 1], rel=1e-9, abs=1e-9)
        assert found.covariance(0, 1) == pytest.approx(covariance[0, 1], rel=1e-9, abs=1e-7)
    else:
        assert found.variance() == 0


def test_a_billion_away_from_zero_nothing_is_lost():
    near = np.random.default_rng(1).normal(0, 1, 10_000)
    far = near + 2.0**30
    whole = Moments.merged([Moments.of(far[:3000]), Moments.of(far[3000:])])
    exact = near + (far - near - 2.0**30)
    assert whole.variance() == pytest.approx(np.var(far - 2.0**30, ddof=1), rel=1e-12)
    assert whole.offset_from(0, 2.0**30) == pytest.approx((far - 2.0**30).mean(), abs=1e-12)
    assert np.abs(exact - near).max() < 1e-6


def test_a_billion_units_keep_their_digits():
    """The parts of an arm of 1e9 units, as an engine sums them about a shift near the mean."""
    part = Moments.from_sums(10**7, [0.25e7], [[2.5e7]], shifts=[1e9])
    whole = Moments.merged([part] * 100)
    assert whole.n == 10**9
    assert whole.offset_from(0, 1e9) == pytest.approx(0.25, rel=1e-13)
    assert whole.variance() == pytest.approx(2.5 - 0.25**2, rel=1e-8)
    other = Moments.merged([Moments.from_sums(10**7, [0.2501e7], [[2.5e7]], shifts=[1e9])] * 100)
    effect = difference(means(whole, other))
    assert effect.estimate == pytest.approx(1e-4, rel=1e-9)
    assert effect.std_error == pytest.approx(math.sqrt(2 * 2.4375 / 1e9), rel=1e-4)


def test_a_difference_of_means_far_from_zero_is_exact():
    one = Moments.of(np.array([0.0, 1.0, 2.0]) + 1e9)
    other = Moments.of(np.array([0.25, 1.25, 2.25]) + 1e9)
    assert difference_of_means(one, other) == 0.25
    assert difference_of_means(other, one) == -0.25


def test_what_does_not_vary_has_no_variance_whatever_it_is():
    for value in (0.1, 1 / 3, 1e9 + 0.1, -7.0):
        assert Moments.of(np.full(1000, value)).variance() == 0
        sums = np.full(1000, value)
        assert Moments.from_sums(1000, [sums.sum()], [[(sums**2).sum()]]).variance() == 0


def test_counts_are_moments_of_zeros_and_ones():
    same(Moments.from_counts(10, 4), Moments.of([1.0] * 4 + [0.0] * 6))
    assert Moments.from_mean(10, 5.0, 4.0).variance() == 4


def test_nothing_and_one_unit():
    nothing = Moments.of([])
    assert (nothing.n, nothing.mean(), nothing.variance()) == (0, 0, 0)
    assert (nothing + Moments.of([2.0])).mean() == 2
    assert (Moments.of([2.0]) + nothing).mean() == 2
    assert Moments.merged([]).n == 0
    assert Moments.of([3.0]).variance() == 0
    assert Moments.from_sums(0, [0.0], [[0.0]]).n == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_stays_visible(bad):
    assert not Moments.of([1.0, bad, 2.0]).finite
    assert not (Moments.of([1.0, 2.0]) + Moments.of([bad])).finite
    assert not Moments.from_sums(3, [bad], [[1.0]]).finite
    assert Moments.of([1.0, 2.0]).finite


def test_variables_can_be_taken_out():
    of = Moments.of([1.0, 2.0, 4.0], [0.0, 1.0, 5.0])
    assert of.select(1, 0).covariance(0, 1) == of.covariance(0, 1)
    assert of.select(1).variance() == of.variance(1)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="same length"):
        Moments.of([1.0, 2.0], [1.0])
