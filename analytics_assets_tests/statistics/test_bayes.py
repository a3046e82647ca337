"""Posteriors: against integration and draws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics.bayes import Prior, best_share, posterior
from analytics_assets.statistics.effects import Reason, difference
from analytics_assets.statistics.means import means
from analytics_assets.statistics.moments import Moments

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(180)
BASE = difference(means(Moments.from_mean(100, 0.0, 1.0), Moments.from_mean(100, 0.2, 1.0)))


@given(st.floats(-3, 3), st.floats(0.01, 2), st.sampled_from(["higher", "lower"]))
def test_chances_and_losses_are_integrals(mean, sd, better):
    found = posterior(replace(BASE, estimate=mean, std_error=sd), better=better)
    gains = (mean + sd * NODES) * (1 if better == "higher" else -1)
    weights = WEIGHTS / WEIGHTS.sum()
    assert found.chance_to_win == pytest.approx(stats.norm.cdf((mean if better == "higher" else -mean) / sd), abs=1e-12)
    assert found.risk_treatment == pytest.approx(float(weights @ np.maximum(-gains, 0)), abs=0.02 * sd)
    assert found.risk_control == pytest.approx(float(weights @ np.maximum(gains, 0)), abs=0.02 * sd)
    # what one loses with either differs by the effect
    assert found.risk_control - found.risk_treatment == pytest.approx(float(weights @ gains), abs=1e-9)


@given(st.floats(-3, 3), st.floats(0.05, 2), st.floats(-1, 1), st.floats(0.05, 2))
def test_a_prior_draws_the_estimate_to_itself(mean, sd, before, sure):
    found = posterior(replace(BASE, estimate=mean, std_error=sd), prior=Prior(before, sure))
    assert min(mean, before) - 1e-9 <= found.mean <= max(mean, before) + 1e-9
    assert found.sd < min(sd, sure)
    assert found.low < found.mean < found.high


def test_a_wide_prior_is_no_prior():
    flat, wide = posterior(BASE), posterior(BASE, prior=Prior(0.0, 1e6))
    assert (wide.mean, wide.sd) == (pytest.approx(flat.mean), pytest.approx(flat.sd))
    assert (flat.mean, flat.sd) == (BASE.estimate, BASE.std_error)


def test_far_from_zero_losses_neither_vanish_below_nor_become_negative():
    for mean in (-1e3, -40.0, 40.0, 1e3):
        found = posterior(replace(BASE, estimate=mean, std_error=1.0))
        assert found.risk_treatment >= 0
        assert found.risk_control >= 0
        assert 0 <= found.chance_to_win <= 1


def test_without_an_effect_there_is_no_posterior():
    found = posterior(difference(means(Moments.of([]), Moments.of([1.0, 2.0]))))
    assert (found.chance_to_win, found.reason) == (None, Reason.NO_UNITS)


@pytest.mark.parametrize("sd", [0, -1, math.nan, math.inf])
def test_a_prior_has_a_spread(sd):
    with pytest.raises(ValueError, match="a prior has a finite mean"):
        Prior(0.0, sd)


@pytest.mark.slow
def test_the_best_share_is_that_of_draws():
    counts = [(60, 900), (75, 910), (66, 880), (0, 40)]
    found = best_share(counts)
    draws = np.random.default_rng(1).beta(
        [s + 0.5 for s, _ in counts], [n - s + 0.5 for s, n in counts], (2_000_000, len(counts))
    )
    chances = np.bincount(draws.argmax(axis=1), minlength=4) / len(draws)
    losses = (draws.max(axis=1, keepdims=True) - draws).mean(axis=0)
    assert found.chances == pytest.approx(list(chances), abs=2e-3)
    assert found.losses == pytest.approx(list(losses), abs=1e-4)


def test_the_chances_of_two_shares_have_a_closed_form():
    """Evan Miller's sum, for whole parameters."""
    (s, n), (t, m) = (12, 100), (20, 110)
    a, b, c, d = 1 + s, 1 + n - s, 1 + t, 1 + m - t
    from scipy.special import betaln

    closed = sum(math.exp(betaln(a + i, b + d) - math.log(d + i) - betaln(1 + i, d) - betaln(a, b)) for i in range(c))
    assert best_share([(s, n), (t, m)], prior=(1, 1)).chances[1] == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize("counts", [[(0, 10), (0, 10)], [(10**6, 10**8), (10**6 + 900, 10**8)], [(0, 0), (5, 5)]])
def test_narrow_wide_and_empty_shares_are_integrated(counts):
    found = best_share(counts)
    assert sum(found.chances) == pytest.approx(1)
    assert min(found.losses) >= 0
    mirrored = best_share([(n - s, n) for s, n in counts], better="lower")
    assert mirrored.chances == pytest.approx(found.chances, abs=1e-8)
