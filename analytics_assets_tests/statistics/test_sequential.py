"""Sequential inference: published boundaries, simulated peeking, and what is always-valid about the always-valid."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.effects import difference, lift
from analytics_assets.statistics.means import means
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.sequential import (
    always_valid,
    always_valid_critical,
    at_look,
    boundaries,
    crossing_probabilities,
    mixture_sequential,
    spent,
    tuning,
)

EVERY_FIFTH = [0.2, 0.4, 0.6, 0.8, 1.0]


def effect(estimate: float = 0.3, n: int = 4000, **options):
    pair = Moments.from_mean(n // 2, 1.0, 25.0), Moments.from_mean(n // 2, 1.0 + estimate, 25.0)
    return difference(means(*pair), **options)


@pytest.mark.parametrize(
    ("looks", "bound"),
    [  # Pocock (1977); Jennison and Turnbull (2000), table 2.1, alpha 0.05
        (1, 1.960), (2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413), (10, 2.555), (20, 2.672),
    ],
)  # fmt: skip
def test_pococks_constants_spend_alpha(looks, bound):
    chances = crossing_probabilities([bound] * looks, [(k + 1) / looks for k in range(looks)])
    assert sum(chances) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(
    ("looks", "bound"),
    [  # O'Brien and Fleming (1979); Jennison and Turnbull (2000), table 2.3, alpha 0.05
        (2, 1.977), (3, 2.004), (4, 2.024), (5, 2.040), (10, 2.087),
    ],
)  # fmt: skip
def test_obrien_and_flemings_constants_spend_alpha(looks, bound):
    z = [bound * math.sqrt(looks / (k + 1)) for k in range(looks)]
    assert sum(crossing_probabilities(z, [(k + 1) / looks for k in range(looks)])) == pytest.approx(0.05, abs=1e-4)


def test_lan_and_demets_boundaries_are_the_published_ones():
    """Those of ldbounds (R) and of Reboussin et al. (2000) for the O'Brien-Fleming type, one- and two-sided."""
    two = boundaries(EVERY_FIFTH, 0.05, spending="obrien-fleming").z
    assert two == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    pocock = boundaries(EVERY_FIFTH, 0.05, spending="pocock").z
    assert pocock == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(0.05, 1), min_size=1, max_size=6, unique=True).map(sorted).filter(
        lambda looks: all(b - a > 0.02 for a, b in pairwise(looks))
    ),
    st.sampled_from([0.01, 0.05, 0.2]),
    st.sampled_from([1, 2]),
    st.sampled_from(["power", "pocock", "obrien-fleming"]),
)  # fmt: skip
def test_boundaries_spend_what_the_function_says_at_each_look(looks, alpha, sides, spending):
    plan = boundaries(looks, alpha, sides=sides, spending=spending)
    chances = np.cumsum(crossing_probabilities(plan.z, looks, sides=sides))
    due = [sides * spent(look, alpha / sides, spending=spending) for look in looks]
    assert chances == pytest.approx(due, abs=1e-9)
    assert plan.spent == pytest.approx(list(chances), abs=1e-9)


def test_boundaries_agree_with_a_random_walk():
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 1, (200_000, 10)).cumsum(axis=1) / np.sqrt(np.arange(1, 11))
    looks = [(k + 1) / 10 for k in range(10)]
    for sides in (1, 2):
        plan = boundaries(looks, 0.05, sides=sides)
        crossed = (np.abs(steps) if sides == 2 else steps) > plan.z
        assert crossed.any(axis=1).mean() == pytest.approx(0.05, abs=0.002)
        drift = 2.5
        drifted = steps + drift * np.sqrt(looks)
        crossed = (np.abs(drifted) if sides == 2 else drifted) > plan.z
        found = sum(crossing_probabilities(plan.z, looks, drift=drift, sides=sides))
        assert crossed.any(axis=1).mean() == pytest.approx(found, abs=0.005)


def test_one_look_is_the_fixed_horizon():
    assert boundaries([1.0], 0.05).z == pytest.approx([stats.norm.isf(0.025)])
    assert boundaries([1.0], 0.05, sides=1).z == pytest.approx([stats.norm.isf(0.05)])
    drift = 2.8
    expected = stats.norm.sf(1.96 - drift) + stats.norm.sf(1.96 + drift)
    assert crossing_probabilities([1.96], [1.0], drift=drift) == pytest.approx([expected])


def test_many_looks_keep_the_digits():
    """Ninety days: one look more or fewer changes nothing that the others spent."""
    plan = boundaries([(day + 1) / 90 for day in range(90)])
    assert sum(crossing_probabilities(plan.z, plan.fractions)) == pytest.approx(0.05, abs=1e-9)
    assert plan.z[:30] == pytest.approx(boundaries(plan.fractions[:30]).z, abs=1e-9)


def test_a_look_that_spends_nothing_never_stops():
    plan = boundaries([0.001, 0.5, 1.0], spending="obrien-fleming")
    assert plan.z[0] == math.inf
    assert boundaries([0.5, 1.0], spending="obrien-fleming").z == pytest.approx(plan.z[1:], abs=1e-6)
    assert boundaries([0.5, 1.0, 1.5]).z[2] == math.inf


@pytest.mark.parametrize("looks", [[], [0.5, 0.5], [0.6, 0.4], [0.0, 1.0], [-0.5, 1.0]])
def test_looks_rise(looks):
    with pytest.raises(ValueError, match="rising shares"):
        boundaries(looks)


@pytest.mark.parametrize("alpha", [0, 1, -0.05, 1.05])
def test_alpha_lies_between_zero_and_one(alpha):
    for ask in (lambda: boundaries([1.0], alpha), lambda: tuning(alpha, 1000)):
        with pytest.raises(ValueError, match="alpha lies between"):
            ask()


def test_a_repeated_interval_leaves_out_zero_when_its_boundary_is_crossed():
    plan = boundaries(EVERY_FIFTH)
    for look, bound in enumerate(plan.z):
        for factor in (0.99, 1.01):
            fixed = effect()
            shown = at_look(replace(fixed, estimate=factor * bound * fixed.std_error), plan, look)
            assert (shown.low > 0) == (factor > 1)
            assert shown.p_value is None


@given(
    st.floats(-1, 1), st.integers(100, 10**6), st.floats(0.001, 0.4),
    st.sampled_from(["two-sided", "greater", "less"]), st.floats(100, 1e6),
)  # fmt: skip
def test_an_always_valid_interval_leaves_out_what_its_test_refuses(estimate, n, alpha, alternative, horizon):
    shown = always_valid(effect(estimate, n, alpha=alpha, alternative=alternative), horizon=horizon)
    if abs(shown.p_value - alpha) > 1e-9:
        assert (shown.low <= 0 <= shown.high) == (shown.p_value > alpha)


@given(st.integers(100, 10**7), st.floats(0.001, 0.4), st.floats(100, 1e6))
def test_always_valid_is_wider_than_fixed(n, alpha, horizon):
    fixed = effect(0.3, n, alpha=alpha)
    shown = always_valid(fixed, horizon=horizon)
    assert shown.low < fixed.low
    assert shown.p_value >= fixed.p_value


def test_an_always_valid_interval_is_tightest_near_its_horizon():
    ratio = {
        horizon: always_valid_critical(10_000, tuning(0.05, horizon), 0.05) for horizon in (100, 1000, 10_000, 10**6)
    }
    assert min(ratio, key=ratio.get) == 10_000


def test_the_mixture_test_is_dual_and_needs_a_variance():
    for estimate in np.linspace(0, 1, 41):
        shown = mixture_sequential(effect(float(estimate)), 0.04)
        assert (shown.low <= 0 <= shown.high) == (shown.p_value > 0.05)
    with pytest.raises(ValueError, match="two-sided"):
        mixture_sequential(effect(), 0.0)
    with pytest.raises(ValueError, match="two-sided"):
        mixture_sequential(effect(alternative="less"), 1.0)


def test_the_bound_of_a_variance_that_shrinks_is_crossed_in_the_end():
    """Why the mixing variance is fixed before the start: one that follows the data makes a bound that stands still."""
    rng = np.random.default_rng(4)
    walks = rng.normal(0, 1, (1000, 400))
    z = walks.cumsum(axis=1) / np.sqrt(np.arange(1, 401))
    looks = (np.abs(z) > 3.0).any(axis=1).mean(), (np.abs(z[:, :40]) > 3.0).any(axis=1).mean()
    assert looks[0] > looks[1]
    rho2 = tuning(0.05, 400)
    always = [always_valid_critical(n, rho2, 0.05) for n in range(1, 401)]
    assert (np.abs(z) > always).any(axis=1).mean() < 0.05


def test_lifts_can_be_looked_at_any_time():
    pair = Moments.from_mean(2000, 1.0, 4.0), Moments.from_mean(2000, 1.3, 4.0)
    shown = always_valid(lift(means(*pair)), horizon=4000)
    assert shown.relative
    assert shown.low < 0.3 < shown.high


def test_a_tuning_needs_units_and_a_small_one_sided_alpha():
    for ask in (lambda: tuning(0.05, 0), lambda: tuning(0.6, 100, sides=1)):
        with pytest.raises(ValueError, match="needed: units"):
            ask()
