from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.statistics.calibration import chance_bounds
from analytics_assets.statistics.effects import Reason, difference
from analytics_assets.statistics.rerandomisation import BUCKETS, BucketSums, arms, false_positives, p_values
from analytics_assets.statistics.verdicts import Measure, Rules, evaluate

COUNT = 12
ESTIMATORS = [(ratio, covariate) for ratio in (False, True) for covariate in (False, True)]


def drawn(seed: int, users: int = 60, *, offset: float = 0.0, ratio: bool = False) -> BucketSums:
    rng = np.random.default_rng(seed)
    before = rng.exponential(size=users)
    columns = [offset + before + rng.exponential(size=users), offset + before]
    if ratio:
        columns = [columns[0], 1.0 + rng.poisson(2, users), columns[1], 1.0 + rng.poisson(2, users)]
    return BucketSums.of(rng.integers(0, COUNT, users), *columns, count=COUNT)


def one_by_one(units: BucketSums, treated: np.ndarray, *, ratio: bool, covariate: bool) -> list[float | None]:
    """Evaluate each draw by itself, as an experiment is."""
    measure = Measure("any", ratio=ratio, covariate=covariate)
    found = []
    for chosen in treated:
        moments = {"control": units.moments(~chosen), "treatment": units.moments(chosen)}
        (result,) = evaluate(measure, moments, "control", Rules())
        found.append(result.fixed.p_value)
        assert result.fixed == difference(result.contrast)
    return found


def same(found: np.ndarray, told: list[float | None], tolerance: float = 1e-9) -> None:
    assert [None if np.isnan(p) else True for p in found] == [None if p is None else True for p in told]
    assert np.allclose(found, [np.nan if p is None else p for p in told], rtol=tolerance, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(("ratio", "covariate"), ESTIMATORS)
@given(st.integers(0, 10_000), st.integers(1, 80), st.sampled_from([0.0, -3.0, 1e4]))
@settings(max_examples=25, deadline=None)
def test_every_draw_is_what_an_experiment_would_say(ratio: bool, covariate: bool, seed: int, users: int, offset: float):
    units, treated = drawn(seed, users, offset=offset, ratio=ratio), arms(8, COUNT, seed)
    told = one_by_one(units, treated, ratio=ratio, covariate=covariate)
    same(p_values(units, treated, ratio=ratio, covariate=covariate), told, 1e-6)


@pytest.mark.parametrize(("ratio", "covariate"), ESTIMATORS)
@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_a_metric_that_does_not_vary_is_tested_in_no_draw(ratio: bool, covariate: bool, value: float):
    columns = [np.full(40, value)] * (4 if ratio else 2)
    units = BucketSums.of(np.arange(40) % COUNT, *columns, count=COUNT)
    treated = arms(20, COUNT)
    assert np.isnan(p_values(units, treated, ratio=ratio, covariate=covariate)).all()
    found = false_positives(units, treated, ratio=ratio, covariate=covariate)
    reason = Reason.NO_DENOMINATOR if ratio and not value else Reason.NO_VARIANCE
    assert (found.draws, found.rate, found.flagged, found.reason) == (0, None, False, reason)


def test_a_covariate_that_does_not_vary_adjusts_nothing():
    rng = np.random.default_rng(1)
    places, values = rng.integers(0, COUNT, 50), rng.normal(size=50)
    treated = arms(20, COUNT)
    for columns, ratio in (((values, np.zeros(50)), False), ((values, np.ones(50), *[np.zeros(50)] * 2), True)):
        units = BucketSums.of(places, *columns, count=COUNT)
        adjusted = p_values(units, treated, ratio=ratio, covariate=True)
        same(adjusted, one_by_one(units, treated, ratio=ratio, covariate=True))
        assert np.allclose(adjusted, p_values(units, treated, ratio=ratio))


def test_arms_without_units_and_of_one_unit_are_not_tested():
    units = BucketSums.of([0, 1, 2, 3, 4], [1.0, 2.0, 4.0, 3.0, 1.0], count=5)
    treated = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    assert np.isnan(p_values(units, treated)).tolist() == [True, True, False, True]
    nobody = BucketSums.of([], [], count=5)
    assert false_positives(nobody, treated).reason == Reason.NO_UNITS
    assert false_positives(BucketSums.of([0], [1.0], count=5), treated).reason == Reason.TOO_FEW


def test_arms_are_the_same_whenever_they_are_drawn_and_even():
    treated = arms()
    assert treated.shape == (500, BUCKETS)
    assert (treated == arms()).all()
    assert (treated[:100] != arms(100, seed=2)).any()
    assert abs(treated.mean() - 0.5) < 4 * 0.5 / np.sqrt(treated.size)
    assert np.abs(treated.mean(axis=1) - 0.5).max() < 5 * 0.5 / np.sqrt(BUCKETS)


def test_a_sound_metric_is_not_flagged_and_one_whose_users_hang_together_is():
    rng = np.random.default_rng(3)
    places, values = rng.integers(0, BUCKETS, 8000), rng.exponential(size=8000)
    treated = arms()
    sound = false_positives(BucketSums.of(places, values), treated)
    assert (sound.draws, sound.flagged, (sound.low, sound.high)) == (500, False, chance_bounds(0.05, 500))
    # each user four times, as devices of one user would be
    again = false_positives(BucketSums.of(np.repeat(places, 4), np.repeat(values, 4)), treated)
    assert again.flagged
    assert again.rate > again.high


def test_a_metric_of_one_user_who_spends_it_all_raises_too_few_alarms():
    values = np.zeros(4000)
    values[0] = 1e6
    found = false_positives(BucketSums.of(np.arange(4000), values), arms())
    assert (found.alarms, found.flagged) == (0, True)


@pytest.mark.parametrize(("ratio", "covariate"), ESTIMATORS)
def test_every_estimator_keeps_its_promise(ratio: bool, covariate: bool):
    rng = np.random.default_rng(9)
    users = 6000
    before = rng.exponential(size=users)
    columns = [before + rng.exponential(size=users), before]
    if ratio:
        columns = [columns[0], 1.0 + rng.poisson(2, users), columns[1], 1.0 + rng.poisson(2, users)]
    units = BucketSums.of(rng.integers(0, BUCKETS, users), *columns)
    assert not false_positives(units, arms(), ratio=ratio, covariate=covariate).flagged


def test_alpha_is_one():
    with pytest.raises(ValueError, match="alpha lies between 0 and 1"):
        false_positives(drawn(1), arms(2, COUNT), alpha=0.0)


def test_what_rounding_leaves_is_no_variance():
    rng = np.random.default_rng(2)
    n = np.ones(40)
    still = BucketSums(n, np.full((40, 1), 0.1), np.full((40, 1, 1), 0.1**2), (0.0,))
    treated = arms(50, 40)
    assert np.isnan(p_values(still, treated)).all()
    # the days before say all there is to say
    values = rng.exponential(size=40)
    told = BucketSums.of(np.arange(40), values, 3 * values, count=40)
    found = p_values(told, treated, covariate=True)
    same(found, one_by_one(told, treated, ratio=False, covariate=True))
    assert np.isnan(found).all()
