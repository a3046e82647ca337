"""The two models against their definitions: sums over rates, probabilities and scales, without any closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from analytics_assets.statistics.lifetime import (
    Z99,
    BetaGeometric,
    Estimate,
    GammaGamma,
    alive_probability,
    bg_nbd_log_likelihood,
    count_probability,
    expected_count,
    expected_orders,
    expected_value,
    fit_bg_nbd,
    fit_gamma_gamma,
    gamma_gamma_log_likelihood,
    spend_and_frequency,
)

CDNOW = BetaGeometric(0.2426, 4.4135, 0.7929, 2.4258)
SPENT = GammaGamma(6.25, 3.74, 15.44)


def within(low: float, high: float) -> st.SearchStrategy[float]:
    """Draw a number whose logarithm is even."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


bg_nbds = st.builds(BetaGeometric, within(0.2, 5), within(0.5, 50), within(0.2, 5), within(0.3, 10))
gamma_gammas = st.builds(GammaGamma, within(0.5, 20), within(1.2, 10), within(1, 100))


@st.composite
def lives(draw: st.DrawFn, most: int = 12) -> tuple[int, float, float]:
    """Draw (x, t_x, T) of a customer."""
    age = draw(st.floats(0.5, 100))
    x = draw(st.integers(0, most))
    return x, draw(st.floats(0.01, 1)) * age if x else 0.0, age


# --- the definitions, on a grid ---------------------------------------------------------------------------------------


def rates_and_drops(model: BetaGeometric) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give a grid of rates (down) and of probabilities of dropping out (across), with the chance of each pair.

    The trapezoid rule over logarithm and logit: what is summed up falls off at both ends faster than any power.
    """
    u, v = np.linspace(-90, 8, 1200)[:, None], np.linspace(-90, 60, 1500)[None, :]
    log_rate = u - math.log(model.alpha)
    drop, stay = special.log_expit(v), special.log_expit(-v)
    gamma = model.r * u - np.exp(u) - special.gammaln(model.r)
    beta = model.a * drop + model.b * stay - special.betaln(model.a, model.b)
    step = float((u[1, 0] - u[0, 0]) * (v[0, 1] - v[0, 0]))
    return np.exp(log_rate), np.exp(drop), np.exp(gamma + beta) * step


def chance_of_history(rate: np.ndarray, drop: np.ndarray, x: int, t_x: float, age: float) -> np.ndarray:
    """Give the density of a history for one customer (eq. 3), and what of it has the customer alive."""
    return rate**x * (1 - drop) ** x * np.exp(-rate * age)


def left(rate: np.ndarray, drop: np.ndarray, x: int, t_x: float) -> np.ndarray:
    return drop * (1 - drop) ** (x - 1) * rate**x * np.exp(-rate * t_x) if x else np.zeros(drop.shape)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(bg_nbds, lives(), st.floats(0.1, 200))
def test_likelihood_alive_and_expected_orders_are_what_the_process_says(model, life, horizon):
    x, t_x, age = life
    rate, drop, chance = rates_and_drops(model)
    alive = float((chance * chance_of_history(rate, drop, x, t_x, age)).sum())
    whole = alive + float((chance * left(rate, drop, x, t_x)).sum())
    assert bg_nbd_log_likelihood(model, x, t_x, age) == pytest.approx(math.log(whole), abs=1e-6)
    assert alive_probability(model, x, t_x, age) == pytest.approx(alive / whole, abs=1e-8)
    # the orders to come of one who is alive: eq. 5
    to_come = -np.expm1(-rate * drop * horizon) / drop
    expected = float((chance * chance_of_history(rate, drop, x, t_x, age) * to_come).sum()) / whole
    assert expected_orders(model, x, t_x, age, horizon) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(bg_nbds, st.floats(0.1, 100), st.integers(0, 8))
def test_counts_are_as_probable_as_the_process_says(model, time, count):
    rate, drop, chance = rates_and_drops(model)
    arrived = np.exp(-rate * time) * (rate * time) ** count / math.factorial(count)
    one = (1 - drop) ** count * arrived
    if count:
        one = one + drop * (1 - drop) ** (count - 1) * special.gammainc(count, rate * time)
    expected = float((chance * one).sum())
    assert count_probability(model, time, count) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(bg_nbds, st.floats(0.1, 50))
def test_counts_add_up_to_one_and_to_the_expected_count(model, time):
    counts = np.arange(6_000)
    chances = count_probability(model, time, counts)
    assert chances.min() >= 0
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    assert chances @ counts == pytest.approx(float(expected_count(model, time)), rel=1e-3)


def test_nobody_orders_in_no_time():
    assert count_probability(CDNOW, 0, [0, 1, 2]).tolist() == [1, 0, 0]
    assert expected_count(CDNOW, [0]).tolist() == [0]
    assert expected_orders(CDNOW, [0, 3], [0, 5], 10, 0).tolist() == [0, 0]


@given(bg_nbds, st.floats(0.1, 100))
def test_a_new_customer_is_anybody(model, horizon):
    assert expected_orders(model, 0, 0, 0, horizon) == pytest.approx(float(expected_count(model, horizon)))


def closed(model: BetaGeometric, x: float, t_x: float, age: float, horizon: float) -> float:
    """Give equation 10 as it stands in the paper."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    until = alpha + age
    hyper = special.hyp2f1(r + x, b + x, a + b + x - 1, horizon / (until + horizon))
    above = (a + b + x - 1) / (a - 1) * (1 - (until / (until + horizon)) ** (r + x) * hyper)
    return above / (1 + (a / (b + x - 1) * (until / (alpha + t_x)) ** (r + x) if x else 0))


@given(bg_nbds.filter(lambda m: abs(m.a - 1) > 0.05 and abs(m.a + m.b - 1) > 0.05), lives(), st.floats(0.1, 100))
def test_the_quadrature_is_equation_10_where_that_can_be_computed(model, life, horizon):
    assert expected_orders(model, *life, horizon) == pytest.approx(closed(model, *life, horizon), rel=1e-6)


@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0, 300), (30, 280, 300), (400, 299, 300), (2_000, 3_600, 3_650)])
@pytest.mark.parametrize("a", [0.01, 1.0, 1.0000001, 300.0])
def test_expected_orders_hold_for_many_orders_and_for_a_of_one(x, t_x, age, a):
    model = BetaGeometric(0.8, 45, a, 4)
    found = float(expected_orders(model, x, t_x, age, 90))
    near = [float(expected_orders(BetaGeometric(0.8, 45, a * (1 + e), 4), x, t_x, age, 90)) for e in (-1e-5, 1e-5)]
    assert found == pytest.approx(sum(near) / 2, rel=1e-6)
    rate = (model.r + x) / (model.alpha + age)
    assert 0 < found <= rate * 90 * float(alive_probability(model, x, t_x, age)) * (1 + 1e-9)


def test_a_long_horizon_for_a_new_customer_is_computed_to_the_last_digits():
    """E[X(t)] where t / alpha is 1,000; summed over what the process says of rates and drops."""
    model = BetaGeometric(0.8, 0.1, 0.6, 1.5)
    rate, drop, chance = rates_and_drops(model)
    expected = float((chance * -np.expm1(-rate * drop * 100) / drop).sum())
    assert float(expected_count(model, 100)) == pytest.approx(expected, rel=1e-8)


# --- what holds whatever the parameters -------------------------------------------------------------------------------


@given(bg_nbds, lives(60))
def test_who_ordered_more_recently_is_more_probably_there(model, life):
    x, _, age = life
    last = np.linspace(0, age, 20) if x else np.zeros(20)
    alive = alive_probability(model, x, last, age)
    assert alive.min() >= 0
    assert alive.max() <= 1
    assert (np.diff(alive) >= 0).all()
    if not x:
        assert (alive == 1).all()


@given(bg_nbds, lives(60))
def test_a_longer_horizon_brings_more_orders_and_each_further_day_fewer(model, life):
    expected = [float(expected_orders(model, *life, horizon)) for horizon in (0, 10, 20, 30, 40)]
    gains = np.diff(expected)
    assert (gains >= 0).all()
    assert (np.diff(gains) <= 1e-9 * max(expected)).all()
    counted = expected_count(model, np.linspace(0, 100, 11))
    assert (np.diff(counted) > 0).all()


@given(bg_nbds, st.lists(lives(), min_size=1, max_size=6), st.data())
def test_a_weight_is_so_many_rows(model, rows, data):
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    x, t_x, age = zip(*rows, strict=True)
    repeated = [np.repeat(each, weights) for each in (x, t_x, age)]
    assert bg_nbd_log_likelihood(model, x, t_x, age, weights) == pytest.approx(bg_nbd_log_likelihood(model, *repeated))


@given(bg_nbds, lives(), within(0.001, 1_000))
def test_the_unit_of_time_changes_nothing_but_alpha(model, life, unit):
    x, t_x, age = life
    other = BetaGeometric(model.r, model.alpha * unit, model.a, model.b)
    assert alive_probability(model, *life) == pytest.approx(alive_probability(other, x, t_x * unit, age * unit))
    assert expected_orders(model, *life, 9) == pytest.approx(
        expected_orders(other, x, t_x * unit, age * unit, 9 * unit)
    )
    said = bg_nbd_log_likelihood(other, x, t_x * unit, age * unit) + x * math.log(unit)
    assert said == pytest.approx(bg_nbd_log_likelihood(model, *life))


def test_expectations_keep_the_shape_of_what_they_are_asked():
    assert expected_orders(CDNOW, [[0, 1], [2, 2]], [[0, 1], [5, 9]], 10, 5).shape == (2, 2)
    assert alive_probability(CDNOW, 1, 2, [3, 4]).shape == (2,)
    assert expected_count(CDNOW, [[1], [2]]).shape == (2, 1)
    assert expected_orders(CDNOW, [], [], [], 5).shape == (0,)


@pytest.mark.parametrize(
    ("x", "t_x", "age"), [([-1], [0], [1]), ([1], [2], [1]), ([0], [1], [2]), ([1], [-1], [2]), ([1], [1], [math.inf])]
)
def test_numbers_that_no_customer_has_are_refused(x, t_x, age):
    with pytest.raises(ValueError, match=r"customers have|t_x is 0"):
        fit_bg_nbd(x, t_x, age)


def test_times_and_counts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="horizon"):
        expected_orders(CDNOW, 1, 1, 2, -1)
    with pytest.raises(ValueError, match="not negative"):
        expected_count(CDNOW, -1)
    for time, count in ((-1, 1), (1, -1), (1, 1.5)):
        with pytest.raises(ValueError, match="whole numbers"):
            count_probability(CDNOW, time, count)
    with pytest.raises(ValueError, match="finite"):
        fit_gamma_gamma([1], [math.nan])


# --- fits -------------------------------------------------------------------------------------------------------------


def simulated(model: BetaGeometric, customers: int, longest: float, seed: int) -> tuple[np.ndarray, ...]:
    """Draw customers order by order, as the definition says."""
    rng = np.random.default_rng(seed)
    rate, drop = rng.gamma(model.r, 1 / model.alpha, customers), rng.beta(model.a, model.b, customers)
    age = rng.uniform(longest / 4, longest, customers)
    x, t_x, now = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    there = np.ones(customers, dtype=bool)
    while there.any():
        now = np.where(there, now + rng.exponential(1 / np.maximum(rate, 1e-12)), now)
        there &= now <= age
        x[there] += 1
        t_x[there] = now[there]
        there &= rng.random(customers) >= drop
    return x, t_x, age


def spent(model: GammaGamma, x: np.ndarray, seed: int) -> np.ndarray:
    """Draw mean values of x orders."""
    rng = np.random.default_rng(seed)
    nu = rng.gamma(model.q, 1 / model.gamma, len(x))
    return rng.gamma(model.p * x, 1 / (nu * x))


@pytest.mark.parametrize("model", [CDNOW, BetaGeometric(0.8, 45, 1, 4), BetaGeometric(2, 10, 0.5, 1.5)])
def test_a_fit_finds_what_was_planted_and_its_intervals_hold_it(model):
    x, t_x, age = simulated(model, 6_000, 10 * model.alpha, seed=8)
    fit = fit_bg_nbd(x, t_x, age)
    assert fit.state == "fitted"
    assert fit.converged
    assert [estimate.name for estimate in fit.estimates] == ["r", "alpha", "a", "b"]
    for estimate in fit.estimates:
        low, high = estimate.interval(Z99) or (0, 0)
        assert low < getattr(model, estimate.name) < high, estimate
        assert high / low < 6
    assert fit.log_likelihood == pytest.approx(bg_nbd_log_likelihood(fit.model, x, t_x, age))
    assert fit.log_likelihood > bg_nbd_log_likelihood(model, x, t_x, age)


@pytest.mark.parametrize("model", [SPENT, GammaGamma(1.5, 8, 100)])
def test_a_fit_of_values_finds_what_was_planted_and_its_intervals_hold_it(model):
    x = np.random.default_rng(1).geometric(0.3, 5_000).astype(float)
    mean = spent(model, x, seed=2)
    fit = fit_gamma_gamma(x, mean)
    assert fit.state == "fitted"
    for estimate in fit.estimates:
        low, high = estimate.interval(Z99) or (0, 0)
        assert low < getattr(model, estimate.name) < high, estimate
    assert fit.log_likelihood == pytest.approx(gamma_gamma_log_likelihood(fit.model, x, mean))
    assert fit.log_likelihood > gamma_gamma_log_likelihood(model, x, mean)


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say():
    """Of 100 fits, those whose 95 % interval holds the truth: inside the 99.9 % range of a binomial of 95 %."""
    truth = BetaGeometric(0.8, 20, 1, 3)
    covered = dict.fromkeys(("r", "alpha", "a", "b"), 0)
    for seed in range(100):
        for estimate in fit_bg_nbd(*simulated(truth, 1_500, 200, seed)).estimates:
            low, high = estimate.interval() or (0, 0)
            covered[estimate.name] += low < getattr(truth, estimate.name) < high
    least, most = stats.binom.ppf([0.0005, 0.9995], 100, 0.95)
    assert all(least <= count <= most for count in covered.values()), covered


def curvature(says, place: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Take second differences."""
    size, steps = len(place), np.eye(len(place)) * step
    return np.array(
        [
            [
                (says(place + steps[i] + steps[j]) - says(place + steps[i] - steps[j])
                 - says(place - steps[i] + steps[j]) + says(place - steps[i] - steps[j])) / (4 * step * step)
                for j in range(size)
            ]
            for i in range(size)
        ]
    )  # fmt: skip


def test_standard_errors_come_from_the_curvature_of_the_likelihood():
    x, t_x, age = simulated(CDNOW, 3_000, 39, seed=3)
    fit = fit_bg_nbd(x, t_x, age)
    place = np.log([estimate.value for estimate in fit.estimates])
    bend = curvature(lambda theta: bg_nbd_log_likelihood(BetaGeometric(*np.exp(theta)), x, t_x, age), place)
    errors = np.sqrt(np.diag(np.linalg.inv(-bend))) * np.exp(place)
    assert [estimate.standard_error for estimate in fit.estimates] == pytest.approx(errors, rel=1e-3)
    orders = x[x > 0]
    mean = spent(SPENT, orders, seed=4)
    values = fit_gamma_gamma(orders, mean)
    place = np.log([estimate.value for estimate in values.estimates])
    bend = curvature(lambda theta: gamma_gamma_log_likelihood(GammaGamma(*np.exp(theta)), orders, mean), place)
    errors = np.sqrt(np.diag(np.linalg.inv(-bend))) * np.exp(place)
    assert [estimate.standard_error for estimate in values.estimates] == pytest.approx(errors, rel=1e-3)


def test_no_parameter_near_the_fit_is_more_likely():
    x, t_x, age = simulated(CDNOW, 2_000, 39, seed=5)
    fit = fit_bg_nbd(x, t_x, age)
    for name, value in vars(fit.model).items():
        for factor in (0.97, 1.03):
            other = BetaGeometric(**{**vars(fit.model), name: value * factor})
            assert bg_nbd_log_likelihood(other, x, t_x, age) < fit.log_likelihood


@pytest.mark.parametrize("unit", [1 / 365, 7.0, 86_400.0])
def test_a_fit_in_other_units_differs_in_alpha_and_gamma_alone(unit):
    x, t_x, age = simulated(CDNOW, 2_000, 39, seed=6)
    weeks, other = fit_bg_nbd(x, t_x, age), fit_bg_nbd(x, t_x * unit, age * unit)
    assert (other.model.r, other.model.a, other.model.b) == pytest.approx(
        (weeks.model.r, weeks.model.a, weeks.model.b), rel=1e-7
    )
    assert other.model.alpha == pytest.approx(weeks.model.alpha * unit, rel=1e-7)
    assert other.log_likelihood + x.sum() * math.log(unit) == pytest.approx(weeks.log_likelihood)
    assert [e.standard_error / e.value for e in other.estimates] == pytest.approx(
        [e.standard_error / e.value for e in weeks.estimates], rel=1e-5
    )
    mean = spent(SPENT, x[x > 0], seed=7)
    euros, cents = fit_gamma_gamma(x[x > 0], mean), fit_gamma_gamma(x[x > 0], mean * unit)
    assert (cents.model.p, cents.model.q) == pytest.approx((euros.model.p, euros.model.q), rel=1e-7)
    assert cents.model.gamma == pytest.approx(euros.model.gamma * unit, rel=1e-7)
    assert cents.log_likelihood + len(mean) * math.log(unit) == pytest.approx(euros.log_likelihood)


def test_a_fit_of_weights_is_that_of_as_many_rows_in_any_order():
    rng = np.random.default_rng(9)
    x, t_x, age = (np.floor(each) for each in simulated(CDNOW, 3_000, 39, seed=9))
    t_x = np.where(x > 0, t_x, 0)
    alike, number = np.unique(np.stack([x, t_x, age], axis=1), axis=0, return_counts=True)
    assert len(alike) < 1_000
    mixed = rng.permutation(3_000)
    one, other = fit_bg_nbd(*alike.T, weights=number), fit_bg_nbd(x[mixed], t_x[mixed], age[mixed])
    assert vars(one.model) == pytest.approx(vars(other.model), rel=1e-8)
    assert (one.log_likelihood, one.customers) == (pytest.approx(other.log_likelihood), other.customers)
    counts = x[x > 0]
    mean = np.round(spent(SPENT, counts, seed=1))
    positive = mean > 0
    alike, number = np.unique(np.stack([counts[positive], mean[positive]], axis=1), axis=0, return_counts=True)
    one_value, other_value = fit_gamma_gamma(*alike.T, weights=number), fit_gamma_gamma(counts, mean)
    assert vars(one_value.model) == pytest.approx(vars(other_value.model), rel=1e-8)
    assert other_value.left_out == (~positive).sum()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(lives(4), max_size=30), st.integers(1, 50))
def test_whatever_the_customers_a_fit_says_how_it_went(rows, weight):
    x, t_x, age = zip(*rows, strict=True) if rows else ((), (), ())
    fit = fit_bg_nbd(x, t_x, age, weights=[weight] * len(rows))
    assert fit.customers == weight * len(rows)
    assert (fit.model is None) == (fit.state not in {"fitted", "not identified"})
    assert fit.converged == (fit.state == "fitted")
    assert all((estimate.standard_error is None) == (not fit.converged) for estimate in fit.estimates)
    if fit.model:
        expected = expected_orders(fit.model, x, t_x, age, 30)
        assert np.isfinite(expected).all()
        assert expected.min() >= 0


def test_the_likeliest_place_of_a_flat_likelihood_is_not_an_estimate():
    """Nobody who came back ever left: a, the share of those who do, tends to 0."""
    fit = fit_bg_nbd([0, 2, 3, 5] * 20, [0, 30, 30, 30] * 20, [30] * 80)
    assert fit.state == "not identified"
    assert fit.model is not None
    assert fit.estimates[0].standard_error is None
    assert fit.estimates[0].interval() is None
    assert alive_probability(fit.model, 3, 30, 30) > 0.999


def test_a_parameter_that_may_be_anything_is_not_an_estimate():
    """The likelihood has a maximum here, and the standard error of the logarithm of b is 19."""
    fit = fit_bg_nbd([0, 0, 3, 1, 0], [0, 0, 9, 8, 0], 30, weights=[26, 2, 4, 19, 25])
    assert (fit.state, fit.customers) == ("not identified", 76)
    assert fit.model is not None


# --- bad input --------------------------------------------------------------------------------------------------------


def test_of_nobody_there_is_no_model():
    assert fit_bg_nbd([], [], []).state == "no customers"
    assert fit_gamma_gamma([], []).state == "no customers"
    assert fit_bg_nbd([1], [1], [2], weights=[0]).state == "no customers"


def test_of_one_customer_there_is_a_state_and_no_error():
    for x, t_x in ((0, 0), (3, 9)):
        fit = fit_bg_nbd([x], [t_x], [10])
        assert not fit.converged
        assert fit.customers == 1
    assert fit_gamma_gamma([3], [9.5]).state == "no variation"


def test_without_repeat_buyers_there_is_no_model():
    fit = fit_bg_nbd([0, 0, 0], [0, 0, 0], [5, 9, 30])
    assert (fit.state, fit.model, fit.estimates, fit.log_likelihood) == ("no repeat buyers", None, (), None)
    assert fit_gamma_gamma([0, 0], [0.0, math.nan]).state == "no repeat buyers"


def test_where_no_time_has_passed_there_is_no_model():
    assert fit_bg_nbd([0, 0], [0, 0], [0, 0]).state == "no repeat buyers"
    assert fit_bg_nbd([1, 0], [0, 0], [0, 0]).state == "no time"


def test_what_is_not_positive_is_left_out_and_counted():
    x = np.random.default_rng(1).geometric(0.3, 500).astype(float)
    mean = spent(SPENT, x, seed=2)
    clean = fit_gamma_gamma(x, mean)
    dirty = fit_gamma_gamma([*x, 1, 2, 0], [*mean, 0.0, -5.0, -1.0])
    assert dirty.model == clean.model
    assert (dirty.customers, dirty.repeat_customers, dirty.left_out) == (503, 502, 2)
    assert fit_gamma_gamma([1, 2], [-1, 0]).state == "no positive values"


def test_values_that_do_not_vary_have_no_model():
    assert fit_gamma_gamma([1, 2, 3], [20.0, 20.0, 20.0]).state == "no variation"


# --- values -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(gamma_gammas, st.integers(1, 12), within(0.5, 500))
def test_values_are_as_likely_as_the_process_says_and_so_is_the_next(model, x, mean):
    scale = np.linspace(-60, 12, 20_001)
    nu = np.exp(scale) / model.gamma
    log_nu = scale - math.log(model.gamma)
    prior = model.q * scale - np.exp(scale) - special.gammaln(model.q)
    shape = model.p * x
    told = shape * (math.log(x) + log_nu) + (shape - 1) * math.log(mean) - nu * x * mean - special.gammaln(shape)
    chance = np.exp(prior + told)
    whole = chance.sum() * (scale[1] - scale[0])
    assert gamma_gamma_log_likelihood(model, x, mean) == pytest.approx(math.log(whole), abs=1e-6)
    assert expected_value(model, x, mean) == pytest.approx((chance * model.p / nu).sum() / chance.sum(), rel=1e-6)


@given(gamma_gammas, st.integers(1, 50), within(0.5, 500))
def test_what_is_expected_lies_between_the_customers_mean_and_that_of_all(model, x, mean):
    of_all = float(expected_value(model, 0, 0.0))
    assert of_all == pytest.approx(model.p * model.gamma / (model.q - 1))
    found = float(expected_value(model, x, mean))
    assert min(mean, of_all) * (1 - 1e-9) <= found <= max(mean, of_all) * (1 + 1e-9)
    assert abs(float(expected_value(model, x + 1, mean)) - mean) <= abs(found - mean) + 1e-9 * mean


def test_where_the_model_has_no_mean_nothing_finite_is_expected():
    assert expected_value(GammaGamma(0.3, 0.5, 10), [0, 1, 2], [0, 5, 5]).tolist()[:2] == [math.inf, math.inf]
    assert math.isfinite(expected_value(GammaGamma(0.3, 0.5, 10), 2, 5))


def test_an_interval_is_symmetric_around_the_logarithm():
    low, high = Estimate("r", 2.0, 1.0).interval() or (0, 0)
    assert low * high == pytest.approx(4)
    assert low > 0
    assert high == pytest.approx(2 * math.exp(stats.norm.ppf(0.975) / 2))


@given(st.lists(st.tuples(st.integers(1, 9), within(1, 100)), min_size=5, max_size=30))
def test_the_correlation_of_spend_and_frequency_is_pearsons(rows):
    x, mean = (np.array(each, dtype=float) for each in zip(*rows, strict=True))
    found = spend_and_frequency([*x, 0, 1], [*mean, math.nan, -1.0])
    if x.min() == x.max() or mean.min() == mean.max():
        assert found is None
        return
    told = stats.pearsonr(x, mean)
    assert found is not None
    assert found.correlation == pytest.approx(told.statistic, abs=1e-9)
    low, high = told.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert found.customers == len(rows)


def test_a_correlation_takes_four_customers():
    assert spend_and_frequency([1, 2, 3], [1.0, 2.0, 4.0]) is None
    weighted = spend_and_frequency([1, 2, 3], [1.0, 2.0, 4.0], weights=[2, 1, 3])
    repeated = spend_and_frequency([1, 1, 2, 3, 3, 3], [1.0, 1.0, 2.0, 4.0, 4.0, 4.0])
    assert weighted is not None
    assert repeated is not None
    assert vars(weighted) == pytest.approx(vars(repeated))
