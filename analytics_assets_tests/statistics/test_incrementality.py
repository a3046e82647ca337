from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytics_assets.statistics import incrementality
from analytics_assets.statistics.incrementality import FEWEST_DAYS, MOST_DAYS, alike_before, increment

Z999 = stats.norm.ppf(0.9995)


def flat(days: int, *levels: float) -> np.ndarray:
    """Make units at levels of their own, each with a wave of its own, so that nothing is exactly alike."""
    waves = 1 + 0.05 * np.sin(np.arange(days)[:, None] * (1 + np.arange(len(levels))) * 0.7)
    return waves * np.array(levels)


TREATED = [True] * 4 + [False] * 4
LEVELS = (90.0, 60, 30, 20, 80, 50, 40, 10)


def test_the_estimate_is_the_change_of_the_treated_less_that_of_the_control():
    outcome = flat(42, *LEVELS)
    outcome[28:, :4] *= 1.25
    found = increment(outcome, TREATED, range(28), range(28, 42))
    before, during = outcome[:28].sum(axis=0), outcome[28:].sum(axis=0)
    grown = (during[:4].sum() / before[:4].sum()) / (during[4:].sum() / before[4:].sum())
    assert found.uplift == pytest.approx(grown - 1)
    assert found.treated == pytest.approx(during[:4].sum())
    assert found.estimate == pytest.approx(during[:4].sum() * (1 - 1 / grown))
    assert found.low < found.estimate < found.high
    assert found.uplift_low < 0.25 < found.uplift_high
    assert (found.state, found.reason, found.days_before) == ("identified", "", 28)


def test_what_multiplies_everybody_alike_falls_out():
    """Of units that are alike but for their size, a season takes nothing and adds nothing."""
    season = np.exp(np.random.default_rng(1).normal(0, 0.5, (42, 1)))
    outcome = season * np.array(LEVELS)
    outcome[28:, :4] *= 1.2
    found = increment(outcome, TREATED, range(28), range(28, 42))
    assert found.uplift == pytest.approx(0.2)
    assert found.uplift_high - found.uplift_low < 1e-6


def test_the_interval_is_the_jackknife_over_units_or_wider():
    outcome = np.random.default_rng(3).poisson(flat(42, *LEVELS)).astype(float)
    variance, parts = 0.0, []
    for group in (outcome[:, :4], outcome[:, 4:]):
        left_out = []
        for unit in range(4):
            rest = np.delete(group, unit, axis=1)
            left_out.append(math.log(rest[28:].sum() / rest[:28].sum()))
        own = 3 / 4 * sum((value - np.mean(left_out)) ** 2 for value in left_out)
        sizes = group[:28].sum(axis=0)
        parts.append((own, sizes.sum() ** 2 / (sizes**2).sum() - 1))
        variance += own
    freedom = variance**2 / sum(own**2 / each for own, each in parts)
    width = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    found = increment(outcome, TREATED, range(28), range(28, 42))
    seen = (math.log1p(found.uplift_high) - math.log1p(found.uplift_low)) / 2
    windows = []
    for start in range(28):
        inside = [(start + step) % 28 for step in range(14)]
        outside = [day for day in range(28) if day not in inside]
        changes = [math.log(g[inside].sum() / g[outside].sum()) for g in (outcome[:, :4], outcome[:, 4:])]
        windows.append(changes[0] - changes[1])
    of_dates = np.mean(np.square(windows)) * (1 / 14 + 1 / 28) / (1 / 14 + 1 / 14)
    assert seen == pytest.approx(width * math.sqrt(max(1, of_dates / variance)))
    scaled = np.abs(windows) * math.sqrt((1 / 14 + 1 / 28) / (2 / 14))
    as_much = (scaled >= abs(math.log1p(found.uplift))).sum()
    assert found.placebo_p_value == pytest.approx((1 + as_much) / 29)


def test_the_order_of_units_does_not_matter():
    outcome = np.random.default_rng(4).poisson(flat(42, *LEVELS)).astype(float)
    turned = [7, 2, 5, 0, 3, 6, 1, 4]
    one = increment(outcome, TREATED, range(28), range(28, 42))
    other = increment(outcome[:, turned], [TREATED[unit] for unit in turned], range(28), range(28, 42))
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


def test_placebo_dates_are_the_days_before_in_windows_the_latest_first():
    found = increment(flat(67, *LEVELS), TREATED, range(60), range(60, 67))
    assert found.days_before == MOST_DAYS
    assert [placebo.days for placebo in found.placebos] == [
        tuple(range(end - 7, end)) for end in range(MOST_DAYS, 0, -7)
    ]
    long = increment(flat(50, *LEVELS), TREATED, range(20), range(20, 50))
    assert [placebo.days for placebo in long.placebos] == [tuple(range(10, 20)), tuple(range(10))]


def test_a_placebo_date_is_compared_with_all_other_days_before():
    outcome = np.random.default_rng(9).poisson(flat(42, *LEVELS)).astype(float)
    found = increment(outcome, TREATED, range(28), range(28, 42))
    inside, outside = outcome[14:28].sum(axis=0), outcome[:14].sum(axis=0)
    grown = (inside[:4].sum() / outside[:4].sum()) / (inside[4:].sum() / outside[4:].sum())
    assert found.placebos[0].uplift == pytest.approx(grown - 1)
    assert found.placebos[1].uplift == pytest.approx(1 / grown - 1)
    assert found.placebos[0].low < found.placebos[0].uplift < found.placebos[0].high


def test_days_longer_ago_than_eight_weeks_are_not_compared():
    outcome = flat(MOST_DAYS + 30, *LEVELS)
    cut = increment(outcome[16:], TREATED, range(MOST_DAYS), range(MOST_DAYS, MOST_DAYS + 14))
    outcome[:16, :4] *= 5
    whole = increment(outcome, TREATED, range(16 + MOST_DAYS), range(16 + MOST_DAYS, MOST_DAYS + 30))
    assert whole == cut


def test_where_placebo_dates_show_something_nothing_is_identified():
    outcome = np.random.default_rng(5).poisson(flat(42, *LEVELS)).astype(float)
    outcome[14:28, :4] *= 1.5  # somebody did something that nobody told of
    found = increment(outcome, TREATED, range(28), range(28, 42))
    assert found.state == "not identified"
    assert found.reason.startswith("2 of 2 placebo dates show something, +")
    assert all(placebo.shows for placebo in found.placebos)
    assert found.estimate is not None


@pytest.mark.parametrize(
    ("treated", "before", "during", "reason"),
    [
        ([False] * 8, range(28), range(28, 42), "no treated units"),
        ([True] * 8, range(28), range(28, 42), "no control units"),
        ([], range(28), range(28, 42), "no treated units"),
        (TREATED, range(28), (), "no days on which it was done"),
        (TREATED, range(FEWEST_DAYS - 1), range(28, 42), "13 days before it to compare with, of 14 at least"),
        (TREATED, (), range(28, 42), "0 days before it to compare with, of 14 at least"),
    ],
)
def test_what_cannot_be_compared_has_no_number_but_a_reason(treated, before, during, reason):
    outcome = flat(42, *LEVELS)[:, : len(treated)]
    found = increment(outcome, treated, before, during)
    assert (found.state, found.reason, found.estimate, found.placebos) == ("not identified", reason, None, ())


@pytest.mark.parametrize(
    ("days", "units", "reason"),
    [
        (slice(0, 28), slice(0, 4), "treated units have none before"),
        (slice(28, 42), slice(4, 8), "control units have none while it was done"),
        (slice(14, 28), slice(0, 8), "there are days before without any"),
    ],
)
def test_what_never_happened_cannot_grow(days, units, reason):
    outcome = flat(42, *LEVELS)
    outcome[days, units] = 0
    found = increment(outcome, TREATED, range(28), range(28, 42))
    assert (found.state, found.reason, found.estimate) == ("not identified", reason, None)


def test_of_one_unit_dates_alone_give_the_interval():
    outcome = np.random.default_rng(6).poisson(flat(49, 100, 100)).astype(float)
    outcome[42:, 0] *= 1.4
    found = increment(outcome, [True, False], range(42), range(42, 49))
    assert found.state == "identified"
    assert found.reason == "a group is one unit: the interval is that of dates alone"
    assert found.low < found.estimate < found.high
    assert all(placebo.p_value is None and not placebo.shows for placebo in found.placebos)
    one_that_counts = np.column_stack([outcome[:, 0], np.zeros(49), outcome[:, 1]])
    assert increment(one_that_counts, [True, True, False], range(42), range(42, 49)).low == pytest.approx(found.low)


def test_a_wild_uplift_is_a_number_still():
    outcome = flat(42, *LEVELS)
    outcome[28:, :4] *= 1e6
    outcome[28:, 4:] *= 1e-6
    found = increment(outcome, TREATED, range(28), range(28, 42))
    assert found.state == "identified"
    assert 0 < found.low <= found.estimate <= found.high <= found.treated


# --- coverage ---------------------------------------------------------------------------------------------------------


def worlds(kind: str, treated: int, control: int, uplift: float, *, days: int = 21, before: int = 42) -> Any:
    """Make worlds with units of all sizes, weekdays and a season, and how much was planted in each."""
    rng = np.random.default_rng(abs(hash_of(kind, treated, control, uplift)))
    for _ in range(200):
        units, length = treated + control, before + days
        size = 40 * (rng.gamma(2, 0.5, units) + 0.1)
        mean = size * np.exp(rng.normal(0, 0.1, (length, 1)) + 0.2 * np.sin(np.arange(length)[:, None] / 7 * 2 * np.pi))
        if kind == "overdispersed":
            mean = mean * rng.gamma(4, 1 / 4, (length, units))
        if kind == "autocorrelated":
            drift, noise = np.zeros((length, units)), rng.normal(0, 0.15 * math.sqrt(1 - 0.9**2), (length, units))
            for day in range(1, length):
                drift[day] = 0.9 * drift[day - 1] + noise[day]
            mean = mean * np.exp(drift)
        outcome = rng.poisson(mean).astype(float)
        added = rng.poisson(uplift * outcome[before:, :treated])
        outcome[before:, :treated] += added
        yield outcome, [True] * treated + [False] * control, range(before), range(before, length), added.sum()


def hash_of(*told: Any) -> int:
    """Give a seed that is the same in every process."""
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(repr(told)))


@pytest.mark.parametrize("uplift", [0.0, 0.25])
@pytest.mark.parametrize("kind", ["counts", "overdispersed", "autocorrelated"])
def test_intervals_cover_what_was_planted_as_often_as_they_say(kind, uplift):
    """Of 200 intervals at 95 %, 179 to 199 cover: inside the 99.9 % interval of a binomial, and somewhat cautious."""
    found = [(increment(*world), planted) for *world, planted in worlds(kind, 12, 12, uplift)]
    covered = sum(told.low <= planted <= told.high for told, planted in found)
    assert 179 <= covered <= 199
    refused = sum(told.state == "not identified" for told, _ in found)
    assert refused <= 200 * 0.05 + Z999 * math.sqrt(200 * 0.05 * 0.95)
    seen = sum(told.low > 0 for told, _ in found)
    assert seen > 100 if uplift else seen < 13


@pytest.mark.parametrize(("treated", "control"), [(3, 3), (2, 4), (1, 1), (1, 8)])
def test_with_few_units_intervals_are_wide_rather_than_wrong(treated, control):
    found = [(increment(*world), planted) for *world, planted in worlds("autocorrelated", treated, control, 0.2)]
    assert sum(told.low <= planted <= told.high for told, planted in found) >= 179


# --- days -------------------------------------------------------------------------------------------------------------


spans = st.tuples(st.integers(-5, 60), st.integers(0, 40)).map(lambda told: range(told[0], told[0] + told[1]))


@given(st.tuples(st.integers(0, 60), st.integers(1, 12)), st.dictionaries(st.sampled_from("abcd"), spans))
@settings(max_examples=200)
def test_days_before_are_those_on_which_the_same_others_ran(told, others):
    during = range(told[0], sum(told))
    found = alike_before(during, others)
    on = [{name for name, days in others.items() if day in days} for day in range(sum(told))]
    while_it_ran = [on[day] for day in during]
    alike = [day for day in range(told[0]) if on[day] == while_it_ran[0]][-MOST_DAYS:]
    if any(names != while_it_ran[0] for names in while_it_ran):
        assert (found.days, "began or ended" in found.reason) == ((), True)
    elif while_it_ran[0] and len(alike) < FEWEST_DAYS:
        assert (found.days, "one effect" in found.reason) == ((), True)
    else:
        assert (found.days, found.reason) == (tuple(alike), "")


def test_two_at_once_are_one_effect_unless_one_ran_before():
    assert alike_before(range(30, 40), {"other": range(30, 40)}).reason == (
        "other ran on the same days, and on 0 days alone before: one effect"
    )
    assert alike_before(range(30, 40), {"always": range(5, 99)}).days == tuple(range(5, 30))


def test_nothing_heavy_is_opened_where_nothing_can_be_compared():
    assert "scipy" not in vars(incrementality)
    assert "np" not in vars(incrementality)
