"""Power: against statsmodels, against simulation, and size, power and effect against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import power as theirs
from statsmodels.stats import proportion as sm

from analytics_assets.statistics.power import (
    Design,
    days_needed,
    detectable_effect,
    power,
    power_of_shares,
    units_for_shares,
    units_needed,
    with_covariate,
)
from analytics_assets.statistics.sequential import always_valid_critical, boundaries, tuning

LARGER = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("d", [0.05, 0.5, -0.3])
def test_power_is_that_of_statsmodels(ratio, alternative, d):
    for reference, model, n in (("normal", theirs.NormalIndPower(), 500), ("t", theirs.TTestIndPower(), 12)):
        design = Design(1.0, ratio=ratio, alternative=alternative, reference=reference, equal_variances=True)
        expected = model.power(d, n, 0.05, ratio=ratio, alternative=LARGER[alternative])
        assert power(design, d, n * (1 + ratio)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(
    st.floats(0.02, 0.5), st.floats(0.3, 0.95), st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from(["two-sided", "greater"]), st.floats(0, 0.9), st.sampled_from(["normal", "t"]),
    st.booleans(),
)  # fmt: skip
def test_size_effect_and_power_are_one_relation(effect, target, ratio, alternative, correlation, reference, relative):
    design = Design(
        4.0, mean=5.0, ratio=ratio, alternative=alternative, correlation=correlation, reference=reference,
        relative=relative,
    )  # fmt: skip
    units = units_needed(design, effect, target)
    if units > 20:
        assert power(design, effect, units) == pytest.approx(target, abs=1e-6)
        assert detectable_effect(design, units, target) == pytest.approx(effect, rel=1e-4)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("ratio", [0.5, 1, 2])
def test_power_of_shares_is_that_of_statsmodels(alternative, ratio):
    expected = sm.power_proportions_2indep(
        0.02, 0.1, 1500, ratio=ratio, alternative=LARGER[alternative], return_results=False
    )
    found = power_of_shares(0.1, 0.12, 1500 * ratio, 1500, alternative=alternative)
    assert found == pytest.approx(expected, rel=1e-9)


def test_units_for_shares_are_those_of_statsmodels():
    expected = sm.samplesize_proportions_2indep_onetail(0.01, 0.1, 0.8, ratio=1, alpha=0.025, alternative="larger")
    assert units_for_shares(0.1, 0.11, alpha=0.025, alternative="greater") == pytest.approx(expected, rel=1e-9)
    # the other tail hardly counts
    assert units_for_shares(0.1, 0.11) == pytest.approx(expected, rel=1e-5)


def test_a_covariate_saves_the_square_of_its_correlation():
    design = Design(4.0)
    plain, adjusted = units_needed(design, 0.1), units_needed(with_covariate(design, 0.7), 0.1)
    assert adjusted / plain == pytest.approx(1 - 0.49)


def test_the_power_of_a_lift_counts_the_error_of_the_control():
    """Held against simulation."""
    rng = np.random.default_rng(1)
    n, found = 400, 0
    for _ in range(4000):
        control, treatment = rng.normal(5, 4, n), rng.normal(5 * 1.12, 4, n)
        base, apart = control.mean(), treatment.mean() - control.mean()
        error = math.sqrt(treatment.var() / n / base**2 + control.var() / n * treatment.mean() ** 2 / base**4)
        found += abs(apart / base / error) > 1.959964
    assert power(Design(16.0, mean=5.0, relative=True), 0.12, 2 * n) == pytest.approx(found / 4000, abs=0.03)


def test_the_power_of_a_lift_is_that_of_its_delta_variance():
    n, base, share = 400, 5.0, 0.12
    error = math.sqrt(16 / n / base**2 + 16 / n * (base * (1 + share)) ** 2 / base**4)
    expected = stats.norm.sf(1.959963984540054 - share / error) + stats.norm.sf(1.959963984540054 + share / error)
    assert power(Design(16.0, mean=base, relative=True), share, 2 * n) == pytest.approx(expected, rel=1e-9)


def test_non_inferiority_needs_the_units_of_its_margin():
    design = Design(4.0, alternative="greater", margin=0.2)
    superiority = units_needed(Design(4.0, alternative="greater"), 0.2)
    assert units_needed(design, 0.0) == pytest.approx(superiority)
    lower = Design(4.0, alternative="less", margin=0.2)
    assert units_needed(lower, 0.0) == pytest.approx(superiority)
    assert power(lower, 0.1, 2000) == pytest.approx(power(design, -0.1, 2000))
    assert detectable_effect(design, superiority) == pytest.approx(0.0, abs=1e-6)


def test_the_power_of_a_sequential_plan_is_that_of_its_walk():
    rng = np.random.default_rng(2)
    design = Design(1.0, looks=5, spending="obrien-fleming")
    units, effect = 4000, 0.08
    drift = effect / math.sqrt(4 / units)
    looks = np.arange(1, 6) / 5
    walk = rng.normal(0, math.sqrt(0.2), (100_000, 5)).cumsum(axis=1) / np.sqrt(looks) + drift * np.sqrt(looks)
    plan = boundaries(looks, spending="obrien-fleming")
    assert power(design, effect, units) == pytest.approx((np.abs(walk) > plan.z).any(axis=1).mean(), abs=0.005)
    valid = Design(1.0, looks=5, horizon=4000)
    bounds = [always_valid_critical(units * look, tuning(0.05, 4000), 0.05) for look in looks]
    assert power(valid, effect, units) == pytest.approx((np.abs(walk) > bounds).any(axis=1).mean(), abs=0.005)


def test_looking_early_costs_units():
    fixed = units_needed(Design(1.0), 0.1)
    planned = units_needed(Design(1.0, looks=10, spending="power"), 0.1)
    anytime = units_needed(Design(1.0, looks=10, horizon=fixed), 0.1)
    assert fixed < planned < anytime < 3 * fixed


def test_an_effect_can_be_out_of_reach():
    assert units_needed(Design(1.0), 0.0) is None
    assert units_needed(Design(1.0, alternative="greater"), -0.1) is None
    assert units_needed(Design(1.0), 5.0) == pytest.approx(2.0, abs=2)
    assert units_for_shares(0.1, 0.1) is None


def test_days_are_whole_and_end_with_the_window():
    assert days_needed(1000, seen=0, units_per_day=100) == 10
    assert days_needed(1001, seen=0, units_per_day=100, window_days=7) == 18
    assert days_needed(1000, seen=1200, units_per_day=0, window_days=7) == 7
    assert days_needed(1000, seen=0, units_per_day=0) is None
    assert days_needed(None, seen=0, units_per_day=100) is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"variance": 0.0}, "a variance is above zero"),
        ({"variance": -1.0}, "a variance is above zero"),
        ({"variance": math.nan}, "a variance is above zero"),
        ({"variance": 1.0, "ratio": 0.0}, "a ratio of arms"),
        ({"variance": 1.0, "correlation": 1.0}, "a correlation is between"),
        ({"variance": 1.0, "margin": -0.1}, "a margin is not negative"),
        ({"variance": 1.0, "margin": 0.1}, "one-sided"),
        ({"variance": 1.0, "relative": True}, "needs the control's mean"),
        ({"variance": 1.0, "relative": True, "mean": 0.0}, "needs the control's mean"),
        ({"variance": 1.0, "horizon": 10, "spending": "power"}, "always-valid or group-sequential"),
        ({"variance": 1.0, "looks": 0}, "there is a look"),
        ({"variance": 1.0, "alpha": 0.0}, "alpha lies between"),
        ({"variance": 1.0, "alpha": 1.0}, "alpha lies between"),
    ],
)
def test_a_design_that_cannot_be_is_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        Design(**options)


@pytest.mark.parametrize("target", [0, 1, -0.1, 1.1])
def test_a_power_lies_between_zero_and_one(target):
    for ask in (
        lambda: units_needed(Design(1.0), 0.1, target),
        lambda: detectable_effect(Design(1.0), 100, target),
        lambda: units_for_shares(0.1, 0.2, target),
    ):
        with pytest.raises(ValueError, match="a power lies between"):
            ask()
