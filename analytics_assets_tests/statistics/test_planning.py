from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.statistics.effects import Reason
from analytics_assets.statistics.means import ratio_of
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.planning import Baseline, Planned, Reach, baseline, prospect
from analytics_assets.statistics.power import Design, power, units_needed
from analytics_assets.statistics.verdicts import Measure

PLANNED = Planned("fixed", 0.05, 0.8, 28, 0.5, 0.5)
SHARE = Baseline(9000, 0.1, 0.09, 0.0)
PRIMARY = Measure("buyers", minimum_effect=0.01)
GUARDRAIL = Measure("contribution", "guardrail", margin=0.01)
STEADY = Reach((1000,) * 28)


@given(st.lists(st.integers(0, 500), max_size=40), st.floats(1, 30_000))
def test_the_days_until_units_are_there_are_the_first_on_which_they_are(daily: list[int], units: float):
    reach = Reach(tuple(daily))
    days = reach.days_until(units)
    if days is None:
        assert reach.later == 0
        assert reach.after(10_000) < units
    else:
        assert reach.after(days) >= units - 1e-6
        assert reach.after(days - 1) < units + 1e-6


def test_the_primary_needs_what_the_formula_says():
    told = prospect(PRIMARY, SHARE, PLANNED, STEADY, 6)
    assert told.users_needed == pytest.approx(units_needed(Design.of_share(0.1), 0.01, 0.8))
    assert (told.weeks_needed, told.days_needed) == (5, 29)
    assert [week.week for week in told.weeks] == [1, 2, 3, 4, 5, 6]
    assert [week.users for week in told.weeks] == [7000.0 * n for n in range(1, 7)]
    assert told.weeks[4].detectable < 0.01 < told.weeks[3].detectable
    assert told.weeks[4].chance > 0.8 > told.weeks[3].chance
    assert told.weeks[0].relative == pytest.approx(told.weeks[0].detectable / 0.1)


@pytest.mark.parametrize("method", ["fixed", "always_valid", "group_sequential"])
def test_the_weeks_agree_with_what_is_needed_by_every_method(method: str):
    planned = replace(PLANNED, method=method, days=70, guardrails=1)
    told = prospect(PRIMARY, SHARE, planned, STEADY, 12)
    enough = [week.week for week in told.weeks if week.detectable <= 0.01]
    assert told.weeks_needed == enough[0]
    assert told.power == pytest.approx(0.9)


def test_looking_early_costs_users():
    needed = [
        prospect(PRIMARY, SHARE, replace(PLANNED, method=method), STEADY, 1).users_needed
        for method in ("fixed", "group_sequential", "always_valid")
    ]
    assert needed == sorted(needed)
    assert needed[0] < needed[2]


def test_more_arms_need_more_users_each_and_together():
    three = replace(PLANNED, control=0.34, treatment=0.33, treatments=2)
    told = prospect(PRIMARY, SHARE, three, STEADY, 1)
    design = Design.of_share(0.1, alpha=0.025, ratio=0.33 / 0.34)
    assert told.users_needed == pytest.approx(units_needed(design, 0.01, 0.8) / 0.67)


def test_a_covariate_saves_users():
    plain, adjusted = (
        prospect(PRIMARY, replace(SHARE, correlation=r), PLANNED, STEADY, 1).users_needed for r in (0.0, 0.6)
    )
    assert adjusted / plain == pytest.approx(0.64)


def test_a_guardrail_is_planned_for_where_nothing_differs():
    planned = replace(PLANNED, guardrails=2)
    told = prospect(GUARDRAIL, SHARE, planned, STEADY, 5)
    design = Design.of_share(0.1, margin=0.01, alternative="greater")
    assert told.power == pytest.approx(1 - 0.2 / 3)
    assert told.users_needed == pytest.approx(units_needed(design, 0.0, told.power))
    assert told.weeks[1].chance == pytest.approx(power(design, 0.0, 14_000))
    assert {week.detectable for week in told.weeks} == {None}


def test_a_secondary_is_judged_at_a_fixed_horizon_and_the_planned_power():
    planned = replace(PLANNED, method="always_valid", guardrails=3, treatments=2)
    told = prospect(Measure("carts", "secondary"), SHARE, planned, STEADY, 4)
    alone = prospect(replace(PRIMARY, minimum_effect=None), SHARE, PLANNED, STEADY, 4)
    assert (told.power, told.users_needed, told.weeks) == (0.8, None, alone.weeks)


def test_what_cannot_be_planned_says_why():
    for found, reason in (
        (baseline(Moments.of([], [])), Reason.NO_UNITS),
        (baseline(Moments.of([1.0], [1.0]), covariate=True), Reason.ONE_UNIT),
        (baseline(Moments.of([1.0, 1.0], [1.0, 2.0]), covariate=True), Reason.NO_VARIANCE),
        (baseline(Moments.of([1.0, 2.0], [0.0, 0.0]), ratio=True), Reason.NO_DENOMINATOR),
        (baseline(Moments.of([1.0, math.nan], [0.0, 0.0])), Reason.NOT_FINITE),
    ):
        assert found.reason == reason
        told = prospect(PRIMARY, found, PLANNED, STEADY, 4)
        assert (told.users_needed, told.weeks_needed, told.weeks) == (None, None, ())


def test_without_users_it_takes_for_ever():
    told = prospect(PRIMARY, SHARE, replace(PLANNED, method="always_valid"), Reach((0,) * 28), 2)
    assert told.users_needed is not None
    assert told.weeks_needed is None
    assert [(week.users, week.detectable, week.chance) for week in told.weeks] == [(0.0, None, None)] * 2


def test_the_baseline_of_a_mean_and_of_a_ratio():
    rng = np.random.default_rng(2)
    before = rng.exponential(size=4000)
    after = before + rng.exponential(size=4000)
    mean = baseline(Moments.of(after, before), covariate=True)
    assert mean.correlation == pytest.approx(np.corrcoef(after, before)[0, 1])
    assert (mean.mean, mean.variance) == (pytest.approx(after.mean()), pytest.approx(after.var(ddof=1)))
    assert baseline(Moments.of(after, before)).correlation == 0
    ones = np.ones(4000)
    of_ones = baseline(Moments.of(after, ones, before, ones), ratio=True, covariate=True)
    assert of_ones.correlation == pytest.approx(mean.correlation)
    assert of_ones.variance == ratio_of(Moments.of(after, ones)).variance
    nothing_before = baseline(Moments.of(after, ones, 0 * ones, 0 * ones), ratio=True, covariate=True)
    assert (nothing_before.correlation, nothing_before.reason) == (0.0, None)
    assert baseline(Moments.of(after, after), covariate=True).correlation < 1
