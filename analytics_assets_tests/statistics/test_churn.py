"""Models on customers made up for it, and BG/NBD against its own definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analytics_assets.statistics.churn import (
    chances,
    codes,
    common_values,
    fit_boosting,
    fit_logistic,
    influence,
    no_order,
    pushes,
    usual,
)
from analytics_assets.statistics.lifetime import BetaGeometric, alive_probability
from analytics_assets.statistics.scores import auc, calibration

NUMBERS = np.array([False] * 4)
TOLD = BetaGeometric(0.8, 40.0, 0.9, 2.5)


def customers(count: int = 2_000, seed: int = 1):
    """Make customers of whom the first column, and where it is not known the second, tell who churns."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 4))
    values[:, 2] = rng.integers(0, 3, count)
    logit = 2 * values[:, 0] + np.where(values[:, 2] == 1, 1.5, 0)
    churned = rng.random(count) < 1 / (1 + np.exp(-logit))
    values[rng.random(count) < 0.2, 0] = np.nan
    return values, churned


CATEGORY = np.array([False, False, True, False])


@pytest.mark.parametrize("fit", [fit_boosting, fit_logistic])
def test_a_model_finds_what_tells_customers_apart_and_its_chances_are_true(fit):
    values, churned = customers()
    told = chances(fit(values, churned, CATEGORY), customers(seed=2)[0])
    happened = customers(seed=2)[1]
    assert auc(told, happened).value > 0.8
    outside = [part for part in calibration(told, happened) if not part.low - 0.04 < part.predicted < part.high + 0.04]
    assert len(outside) <= 1
    again = chances(fit(values, churned, CATEGORY), customers(seed=2)[0])
    assert (again == told).all()


@pytest.mark.parametrize("fit", [fit_boosting, fit_logistic])
@pytest.mark.parametrize("kind", ["constant", "unknown", "none"])
def test_a_column_that_says_nothing_changes_nothing_and_none_is_the_mean(fit, kind):
    values, churned = customers(400)
    dull = {"constant": np.ones((400, 1)), "unknown": np.full((400, 1), np.nan), "none": np.zeros((400, 0))}[kind]
    if kind == "none":
        values, categorical = np.ones((400, 3)), np.array([False, False, True])
        told = chances(fit(values, churned, categorical), values[:5])
        assert told == pytest.approx([churned.mean()] * 5, abs=1e-3)
        return
    plain = chances(fit(values, churned, CATEGORY), values)
    for category in (False, True):
        wider = np.column_stack([values, dull])
        told = chances(fit(wider, churned, np.append(CATEGORY, category)), wider)
        assert told == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize("fit", [fit_boosting, fit_logistic])
def test_a_value_that_was_never_seen_has_a_chance_too(fit):
    values, churned = customers(400)
    model = fit(values, churned, CATEGORY)
    strange = np.array([[9e9, -9e9, np.nan, np.nan], [np.nan] * 4])
    assert np.isfinite(chances(model, strange)).all()


def test_values_of_a_category_are_numbered_by_frequency_then_name():
    assert common_values(["b", "a", None, "c", "c"]) == ("c", "a", "b")
    assert len(common_values([str(number) for number in range(100)])) == 40
    assert codes(["c", "z", None], ("c", "a")).tolist()[:1] == [0.0]
    assert np.isnan(codes(["c", "z", None], ("c", "a"))[1:]).all()
    assert common_values([None]) == ()


def test_what_matters_is_what_was_planted_and_groups_are_shuffled_together():
    values, churned = customers()
    twice = np.column_stack([values, values[:, 0]])
    model = fit_boosting(twice, churned, np.append(CATEGORY, False))
    tested, happened = customers(seed=2)
    tested = np.column_stack([tested, tested[:, 0]])
    first, copy, noise, category, both = influence(model, tested, happened, [(0,), (4,), (1,), (2,), (0, 4)])
    assert both.drop > 0.2
    assert max(first.drop, copy.drop) <= both.drop + 1e-9
    assert abs(noise.drop) < 0.02 < category.drop < both.drop
    again = influence(model, tested, happened, [(0, 4)])
    assert again == [both]
    assert influence(model, tested, happened, [(3,), (3,)])[0].spread >= 0


def test_a_push_is_the_change_of_the_log_odds_from_the_usual_customer():
    values, churned = customers()
    model = fit_logistic(values, churned, CATEGORY)
    reference = usual(values, CATEGORY)
    odd = np.array([[-3.0, 0, reference[2], 0], [3.0, 0, 1, 0], reference])
    told = pushes(model, odd, reference, [(0,), (2,), (0, 2)])
    assert told[2] == pytest.approx([0, 0, 0])
    assert told[1, 0] > 1
    assert told[0, 0] < -1
    assert told[0, 1] == pytest.approx(0)
    assert told[1, 2] == pytest.approx(told[1, 0] + told[1, 1])  # of a linear model only
    changed = odd[1:2].copy()
    changed[0, 0] = reference[0]
    assert told[1, 0] == pytest.approx(float((model.log_odds(odd[1:2]) - model.log_odds(changed))[0]))


def test_the_usual_customer_is_the_median_and_the_most_frequent():
    values = np.array([[1.0, 2.0, np.nan], [np.nan, 1.0, np.nan], [5.0, 2.0, np.nan]])
    found = usual(values, np.array([False, True, False]))
    assert found[:2].tolist() == [3.0, 2.0]
    assert np.isnan(found[2])


# --- BG/NBD -----------------------------------------------------------------------------------------------------------


def lived(told: BetaGeometric, age: np.ndarray, days: float, seed: int = 0):
    """Let customers buy by the definition of BG/NBD: further orders, the last of them, and whether one comes later."""
    rng = np.random.default_rng(seed)
    rate, drops = rng.gamma(told.r, 1 / told.alpha, len(age)), rng.beta(told.a, told.b, len(age))
    further, recency, later = np.zeros(len(age)), np.zeros(len(age)), np.zeros(len(age), dtype=bool)
    now, living = np.zeros(len(age)), np.arange(len(age))
    while len(living):
        now[living] += rng.exponential(1 / rate[living])
        ahead = now[living] > age[living]
        later[living[ahead & (now[living] <= age[living] + days)]] = True
        bought = living[~ahead]
        further[bought] += 1
        recency[bought] = now[bought]
        living = bought[rng.random(len(bought)) >= drops[bought]]
    return further, recency, later


def test_the_chance_of_no_order_is_what_happens():
    age = np.random.default_rng(9).uniform(1, 300, 60_000)
    for days in (10, 60):
        further, recency, later = lived(TOLD, age, days)
        told = no_order(TOLD, further, recency, age, days)
        for group in (further == 0, further == 1, further > 1, further > 5, told < 0.3, told > 0.9):
            variance = (told[group] * (1 - told[group])).sum()
            assert abs((~later[group]).sum() - told[group].sum()) < 3.9 * math.sqrt(variance)
        assert max(part.predicted - part.high for part in calibration(told, ~later)) < 0.004
        assert max(part.low - part.predicted for part in calibration(told, ~later)) < 0.004


@pytest.mark.parametrize(("x", "last", "until"), [(0, 0, 30), (1, 5, 100), (4, 90, 100), (12, 99, 100)])
def test_the_chance_of_no_order_is_the_integral_over_rates_and_dropping_out(x, last, until):
    """Integrate the likelihood by quadrature: of being alive, with and without an order in the days to come."""
    from scipy.integrate import dblquad

    told, days = TOLD, 45.0

    def weighed(after: float, alive: bool):
        def density(rate: float, p: float) -> float:
            prior = rate ** (told.r - 1) * math.exp(-told.alpha * rate) * p ** (told.a - 1) * (1 - p) ** (told.b - 1)
            if alive:
                return prior * (1 - p) ** x * rate**x * math.exp(-rate * (until + after))
            return prior * p * (1 - p) ** (x - 1) * rate**x * math.exp(-rate * last) if x else 0.0

        return dblquad(density, 0, 1, 0, 2, epsabs=0, epsrel=1e-6)[0]

    gone = weighed(0, alive=False) if x else 0.0
    expected = (gone + weighed(days, alive=True)) / (gone + weighed(0, alive=True))
    found = no_order(told, np.array([float(x)]), np.array([float(last)]), np.array([float(until)]), days)
    assert found[0] == pytest.approx(expected, rel=2e-3)


def test_in_the_long_run_only_who_dropped_out_stays_away_and_at_once_nobody_has_ordered():
    x, last, until = np.array([0.0, 2, 9]), np.array([0.0, 30, 99]), np.array([50.0, 60, 100])
    alive = alive_probability(TOLD, x, last, until)
    assert no_order(TOLD, x, last, until, 0) == pytest.approx([1, 1, 1])
    assert no_order(TOLD, x, last, until, 1e30) == pytest.approx(1 - alive)
    days = [no_order(TOLD, x, last, until, days) for days in (1, 10, 60, 400)]
    assert all((later < earlier).all() for earlier, later in itertools.pairwise(days))


def test_extreme_customers_have_a_chance_between_0_and_1():
    told = no_order(TOLD, np.array([0.0, 500, 500]), np.array([0.0, 1, 600]), np.array([0.0, 600, 600]), 60)
    assert ((told >= 0) & (told <= 1)).all()
    assert told[1] == 1.0
    assert told[2] < 0.01
    one = no_order(TOLD, np.array([1.0]), np.array([0.0]), np.array([0.0]), 60)
    assert 0 < one[0] < 1
