"""Every method is as often wrong as it says, by simulation; the slow form draws ten times as many experiments."""

from __future__ import annotations

import pytest
from scipy import stats

from analytics_assets.statistics.calibration import Scenario, calibrated, chance_bounds, scenarios

SCENARIOS = [pytest.param(one, id=f"{one.method}: {one.figure}, {one.setting}") for one in scenarios()]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_method_is_calibrated(scenario: Scenario):
    found = calibrated(scenario, 1000)
    assert found.calibrated, found


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_method_is_calibrated_over_many_experiments(scenario: Scenario):
    found = calibrated(scenario, 10_000, seed=7)
    assert found.calibrated, found


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95])
@pytest.mark.parametrize("experiments", [10, 200, 5000])
def test_bounds_are_those_of_the_binomial_distribution(share, experiments):
    low, high = chance_bounds(share, experiments)
    expected = stats.binom.interval(0.999, experiments, share)
    assert (low * experiments, high * experiments) == pytest.approx(expected)


def test_of_200_intervals_179_to_198_cover():
    low, high = chance_bounds(0.95, 200)
    assert (low * 200, high * 200) == (pytest.approx(179), pytest.approx(198))


def never(rng, experiments):
    return (False for _ in range(experiments))


def always(rng, experiments):
    return (True for _ in range(experiments))


def test_what_is_wrong_too_often_or_too_seldom_is_told():
    asked = ("false alarms", "approximate", "nothing", 0.05)
    assert not calibrated(Scenario("never", *asked, never)).calibrated
    assert not calibrated(Scenario("always", *asked, always)).calibrated
    sequential = ("false alarms with daily peeking", "sequential", "nothing", 0.05)
    assert calibrated(Scenario("never", *sequential, never)).calibrated
    assert not calibrated(Scenario("always", *sequential, always)).calibrated
    exact = ("coverage", "exact", "nothing", 0.95)
    assert not calibrated(Scenario("never", *exact, never)).calibrated
    assert calibrated(Scenario("always", *exact, always)).calibrated


def test_the_same_seed_gives_the_same_figure():
    scenario = scenarios()[0]
    assert calibrated(scenario, 200) == calibrated(scenario, 200)
    assert calibrated(scenario, 200, seed=1) != calibrated(scenario, 200, seed=2)
