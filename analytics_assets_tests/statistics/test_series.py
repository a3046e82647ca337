"""What was put into a series is what is found in it."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.series import (
    YEAR,
    Decomposition,
    decompose,
    fill,
    named_effects,
    power_of,
    prepare,
    strengths,
    weekday_effects,
)

MONDAY = dt.date(2024, 1, 1)
FACTORS = np.array([0.9, 0.8, 0.9, 1.0, 1.1, 1.2, 1.1])


def factors(days: int, seed: int = 1, noise: float = 0.05) -> np.ndarray:
    """Make a series of factors: it grows, has a week, and spreads with its level."""
    place = np.arange(days)
    rng = np.random.default_rng(seed)
    return 100 * np.exp(place / 400 + rng.normal(0, noise, days)) * FACTORS[place % 7]


def taken_apart(values: np.ndarray, *, multiplicative: bool = True, named: np.ndarray | None = None) -> Decomposition:
    parts = decompose(values, multiplicative=multiplicative, named=named)
    assert parts is not None
    return parts


# --- preparation ------------------------------------------------------------------------------------------------------


def test_what_is_no_number_is_a_gap_and_a_series_that_starts_late_starts_when_it_does():
    ready = prepare([0, None, 0, 5, math.nan, 7, math.inf])
    assert ready.start == 3
    np.testing.assert_array_equal(ready.values, [5, math.nan, 7, math.nan])


def test_nothing_and_zeros_alone_stay_what_they_are():
    assert len(prepare([]).values) == 0
    assert len(prepare([None, None]).values) == 0
    np.testing.assert_array_equal(prepare([0, 0, 0]).values, [0, 0, 0])


def test_a_zero_that_cannot_be_chance_is_a_closure():
    values = factors(70)
    values[[30, 31]] = 0
    ready = prepare(values.tolist())
    assert np.flatnonzero(ready.closed).tolist() == [30, 31]
    assert np.isnan(ready.values[30:32]).all()


def test_sundays_without_sales_and_zeros_of_small_counts_are_no_closures():
    values = factors(70)
    values[6::7] = 0
    assert not prepare(values.tolist()).closed.any()
    small = np.random.default_rng(3).poisson(2, 200).astype(float)
    assert (small == 0).sum() > 10
    assert not prepare(small.tolist()).closed.any()


@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.just(math.nan), max_size=60))
def test_no_number_changes_but_closures(values):
    ready = prepare(values)
    assert len(ready.values) == len(ready.closed) <= len(values)
    for given_, found in zip(values[ready.start :], ready.values, strict=False):
        assert math.isnan(found) or found == given_


def test_gaps_are_filled_with_the_pattern():
    place = np.arange(70)
    whole = place * 1.0 + 10 * (place % 7 == 5)
    broken = whole.copy()
    broken[[26, 40, 41]] = math.nan  # a Saturday among them
    np.testing.assert_allclose(fill(broken), whole, atol=1.5)
    assert np.isnan(fill(np.full(5, math.nan))).all()


# --- additive or multiplicative ---------------------------------------------------------------------------------------


def test_logarithms_where_the_spread_grows_with_the_level_and_only_there():
    place = np.arange(364)
    rng = np.random.default_rng(2)
    level = 100 * np.exp(place / 150)
    assert power_of(level * np.exp(rng.normal(0, 0.2, 364))) == "0"
    assert power_of(rng.poisson(level).astype(float)) == "1/2"
    assert power_of(100 + place + rng.normal(0, 20, 364)) == "1"
    assert (
        power_of(rng.poisson(level).astype(float) * (place != 5), powers=("1", "0")) == "1"
    )  # a zero has no logarithm
    assert power_of(-level) == "1"
    assert power_of(level[:20]) == "1"  # too short to tell


# --- parts ------------------------------------------------------------------------------------------------------------


def test_factors_multiply_to_what_was_observed_and_amounts_add_up():
    values = factors(150)
    parts = taken_apart(values)
    np.testing.assert_allclose(parts.trend * parts.weekly * parts.yearly * parts.remainder, values)
    parts = taken_apart(values, multiplicative=False)
    np.testing.assert_allclose(parts.trend + parts.weekly + parts.yearly + parts.remainder, values)


def test_planted_weekdays_lie_inside_their_intervals_in_most_worlds():
    inside = 0
    for seed in range(40):
        effects = weekday_effects(taken_apart(factors(200, seed)), MONDAY)
        inside += sum(e.low <= f - 1 <= e.high for e, f in zip(effects, FACTORS, strict=True))
        assert math.isclose(sum(e.effect for e in effects), 0, abs_tol=1e-9)
    assert 255 <= inside <= 278  # 280 intervals of 95 %


def test_weekdays_are_told_by_the_day_and_not_by_the_place():
    effects = weekday_effects(taken_apart(factors(140)[3:]), MONDAY + dt.timedelta(days=3))
    assert [round(e.effect + 1, 1) for e in effects] == FACTORS.tolist()


def test_named_days_are_in_the_effect_of_no_weekday():
    values, sale = factors(140), np.zeros(140, dtype=bool)
    sale[[5, 12, 19, 26]] = True
    values[sale] *= 10
    effects = weekday_effects(taken_apart(values, named=sale), MONDAY)
    assert [effect.occurrences for effect in effects] == [20, 20, 20, 20, 20, 16, 20]
    assert effects[5].effect == pytest.approx(FACTORS[5] - 1, abs=0.04)


def test_a_gap_has_no_remainder_and_shapes_nothing():
    values = factors(150)
    whole = taken_apart(values)
    values[60:63] = math.nan
    parts = taken_apart(values)
    assert np.flatnonzero(np.isnan(parts.remainder)).tolist() == [60, 61, 62]
    np.testing.assert_allclose(parts.trend, whole.trend, rtol=0.03)


@pytest.mark.slow
def test_a_year_is_told_after_two_and_not_before():
    place = np.arange(3 * YEAR)
    wave = 0.3 * np.sin(2 * np.pi * place / 365.25)
    values = factors(3 * YEAR) * np.exp(wave)
    assert not taken_apart(values[: 2 * YEAR - 1]).has_year
    parts = taken_apart(values)
    assert parts.has_year
    np.testing.assert_allclose(np.log(parts.yearly), wave, atol=0.05)
    told = strengths(parts)
    assert told.yearly is not None
    assert told.yearly > 0.9


def test_strength_is_near_one_of_a_pattern_and_near_zero_of_noise():
    told = strengths(taken_apart(factors(364)))
    assert told.weekly > 0.8
    assert told.trend > 0.9
    assert told.yearly is None
    assert sum(told.shares) == pytest.approx(1)
    noise = np.random.default_rng(5).normal(100, 10, 364)
    told = strengths(taken_apart(noise, multiplicative=False))
    assert told.weekly < 0.15
    assert told.trend < 0.2


def test_strength_is_that_of_the_definition():
    parts = taken_apart(factors(100, noise=0.2))
    rest, weekly, trend = np.log(parts.remainder), np.log(parts.weekly), np.log(parts.trend)
    told = strengths(parts)
    assert told.weekly == pytest.approx(1 - rest.var() / (rest + weekly).var())
    assert told.trend == pytest.approx(1 - rest.var() / (rest + trend).var())


@pytest.mark.parametrize(
    "values", [[], [1.0], list(range(13)), [1.0] + [math.nan] * 30], ids=["none", "one", "13 days", "gaps"]
)
def test_fewer_than_two_weeks_have_no_parts(values):
    assert decompose(np.array(values, dtype=float), multiplicative=False) is None


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
def test_a_constant_series_has_no_strength(value):
    parts = taken_apart(np.full(60, value), multiplicative=False)
    told = strengths(parts)
    assert (told.trend, told.weekly, told.shares) == (0, 0, (0, 0, 0, 0))
    assert all(effect.effect == pytest.approx(0) for effect in weekday_effects(parts, MONDAY))


def test_negative_numbers_are_taken_apart_by_sums():
    values = factors(100) - 200
    parts = taken_apart(values, multiplicative=False)
    np.testing.assert_allclose(parts.trend + parts.weekly + parts.remainder, values)


# --- named days -------------------------------------------------------------------------------------------------------


def named(values: np.ndarray, **places: list[int]) -> dict[str, tuple[int, str, bool]]:
    """Tell of each name its occurrences, its state, and whether its interval leaves nothing out."""
    flags = np.zeros(len(values), dtype=bool)
    flags[[p for found in places.values() for p in found if 0 <= p < len(values)]] = True
    effects = named_effects(taken_apart(values, named=flags), places)
    return {n: (e.occurrences, e.state, e.effect is not None and e.low <= 0 <= e.high) for n, e in effects.items()}


def test_a_planted_effect_is_found_and_its_days_shape_no_part():
    values = factors(300)
    values[[100, 101, 102, 200]] *= 2
    flags = np.zeros(300, dtype=bool)
    flags[[100, 101, 102, 200]] = True
    parts = taken_apart(values, named=flags)
    effect = named_effects(parts, {"sale": [100, 101, 102, 200]})["sale"]
    assert effect.occurrences == 2
    assert effect.low < 1 < effect.high
    assert effect.low > 0.7
    assert parts.trend[101] == pytest.approx(taken_apart(factors(300)).trend[101], rel=0.03)


def test_one_occurrence_says_so_and_is_judged_by_the_spread_of_ordinary_days():
    values = factors(300)
    values[150] *= 0.5
    assert named(values, sale=[150], plain=[80], never=[400], two=[40, 90]) == {
        "sale": (1, "one occurrence", False),
        "plain": (1, "one occurrence", True),
        "never": (0, "never observed", False),
        "two": (2, "estimated", True),
    }


def test_intervals_of_days_without_an_effect_hold_nothing_at_their_rate():
    rng = np.random.default_rng(11)
    outside = 0
    for seed in range(30):
        places = {str(n): sorted(rng.choice(300, 2, replace=False).tolist()) for n in range(5)}
        outside += sum(not nothing for _, _, nothing in named(factors(300, 100 + seed), **places).values())
    assert outside <= 18  # of 150 intervals of 95 %; 99.9 % of binomial counts
