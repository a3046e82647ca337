"""Experiments in a notebook: what `evaluate_ab` says of a frame, and what `simulate_ab` finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analytics_assets.ab import evaluate_ab, simulate_ab
from analytics_assets.statistics.effects import Reason


def frame(control: list[float], treatment: list[float], **columns: Any) -> pd.DataFrame:
    names = ["control"] * len(control) + ["new"] * len(treatment)
    return pd.DataFrame({"variant": names, "outcome": [*control, *treatment], **columns})


@pytest.fixture
def spent() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    before = rng.gamma(2, 10, 4000)
    after = before + rng.gamma(2, 5, 4000)
    after[2000:] *= 1.05
    return frame(list(after[:2000]), list(after[2000:]), before=before, visits=rng.integers(1, 6, 4000))


def test_means_are_compared_by_welch_s_t(spent):
    found = evaluate_ab(spent)
    control, treatment = (spent.outcome[spent.variant == name] for name in ("control", "new"))
    tested = stats.ttest_ind(treatment, control, equal_var=False)
    interval = tested.confidence_interval(0.95)
    assert found.method == "Welch t"
    assert found.p_value == pytest.approx(tested.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.lift_percent == pytest.approx((treatment.mean() / control.mean() - 1) * 100)


def test_shares_are_compared_by_the_pooled_z():
    found = evaluate_ab(frame([1] * 100 + [0] * 900, [1] * 130 + [0] * 870))
    z = 0.03 / (0.115 * 0.885 * 2 / 1000) ** 0.5
    assert (found.method, found.p_value) == ("two-proportion z", pytest.approx(2 * stats.norm.sf(z)))
    as_booleans = evaluate_ab(frame([True] * 100 + [False] * 900, [True] * 130 + [False] * 870))
    assert as_booleans.p_value == found.p_value


def test_a_covariate_narrows_the_interval_and_a_weight_makes_a_ratio(spent):
    plain, adjusted = evaluate_ab(spent), evaluate_ab(spent, covariate="before")
    assert adjusted.method == "CUPED"
    assert adjusted.difference.std_error < plain.difference.std_error / 2
    ratio = evaluate_ab(spent, weight="visits")
    rows = spent[spent.variant == "control"]
    assert ratio.control_mean == pytest.approx(rows.outcome.sum() / rows.visits.sum())


def test_the_sentence_says_what_was_found():
    better = frame([1] * 100 + [0] * 900, [1] * 150 + [0] * 850)
    assert evaluate_ab(better).insight.startswith("new raises outcome from 0.1 to 0.15: +50.0 % (")
    assert "which is worse" in evaluate_ab(better, better="lower").insight
    same = frame([1] * 100 + [0] * 900, [1] * 101 + [0] * 899)
    assert "no difference to outcome that can be told from chance" in evaluate_ab(same).insight


def test_shares_that_are_not_as_planned_are_told():
    found = evaluate_ab(frame([1, 0] * 500, [1, 0] * 400))
    assert found.sample_ratio.verdict == "invalid"
    assert "do not trust this" in found.insight
    planned = evaluate_ab(frame([1, 0] * 500, [1, 0] * 400), shares={"control": 5 / 9, "new": 4 / 9})
    assert planned.sample_ratio.verdict == "fine"


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        ([0] * 50, [0] * 50, Reason.NO_VARIANCE),
        ([1] * 50, [1] * 50, Reason.NO_VARIANCE),
        ([3.5] * 50, [3.5] * 50, Reason.NO_VARIANCE),
        ([2.0, float("inf"), 1.0], [1.0, 2.0, 3.0], Reason.NOT_FINITE),
        ([2.5], [1.0, 2.0, 3.0], Reason.ONE_UNIT),
    ],
)
def test_what_cannot_be_compared_is_told_and_raises_nothing(control, treatment, reason):
    found = evaluate_ab(frame(control, treatment))
    assert (found.reason, found.p_value, found.significant, found.power) == (reason, None, None, None)
    assert str(reason) in found.insight


def test_a_control_of_zero_has_a_difference_and_no_lift():
    found = evaluate_ab(frame([0] * 100, [1] * 20 + [0] * 80))
    assert found.significant
    assert (found.lift_percent, found.interval_percent) == (None, None)


def test_rows_without_variant_or_outcome_are_left_out_and_counted(spent):
    spent = spent.astype({"variant": object})
    spent.loc[0, "variant"], spent.loc[1, "outcome"], spent.loc[2, "variant"] = None, None, "third"
    found = evaluate_ab(spent, treatment="new")
    assert (found.left_out, found.n_control) == (3, 1997)


def test_units_without_an_outcome_are_units_of_the_sample_ratio():
    rows = frame([1.0, 2.0] * 100, [1.0, 3.0] * 50 + [None] * 100)
    found = evaluate_ab(rows)
    assert (found.sample_ratio.observed, found.n_treatment, found.left_out) == ((200, 200), 100, 100)


def test_variants_may_be_numbers():
    rows = frame([1.5, 2.5, 3.5], [1.0, 3.0, 4.0]).assign(variant=[0, 0, 0, 1, 1, 1])
    assert (evaluate_ab(rows, control=0).control, evaluate_ab(rows, control="0").treatment) == ("0", "1")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"outcome": "revenue"}, "no column 'revenue'; it has variant, outcome"),
        ({"control": "old"}, "name the `treatment`: beside the control 'old' there are control, new"),
        ({"control": "old", "treatment": "new"}, "no row has the variant 'old'"),
        ({"treatment": "newer"}, "no row has the variant 'newer'"),
        ({"treatment": "control"}, "'control' cannot be compared with itself"),
        ({"shares": {"control": 0.9, "new": 0.9}}, "shares are above zero and come to 1 at most"),
        ({"alpha": 1.5}, "alpha lies between 0 and 1"),
        ({"shares": {"control": 0.5}}, "shares say nothing of 'new'"),
        ({"weight": "w", "covariate": "c"}, "a ratio takes no single covariate"),
    ],
)
def test_what_makes_no_sense_is_told(asked, message):
    rows = frame([1.5, 2.5], [1.0, 3.0], w=[1] * 4, c=[1] * 4)
    with pytest.raises(ValueError, match=message):
        evaluate_ab(rows, **asked)


@pytest.mark.slow
def test_an_a_a_test_alarms_as_often_as_it_says_and_peeking_more_often():
    found = simulate_ab(units=400, baseline=20, sd=30, experiments=1500, looks=10)
    assert found.found_interval[0] - 0.01 < 0.05 < found.found_interval[1] + 0.01
    assert found.covered == pytest.approx(1 - found.found)
    assert found.peeked > 2 * found.found


def test_a_planted_effect_is_found_as_often_as_theory_says():
    found = simulate_ab(units=2000, baseline=0.2, effect=0.15, experiments=600)
    low, high = found.found_interval
    assert low - 0.02 < found.expected < high + 0.02
    assert abs(found.bias) < 0.002
    assert simulate_ab(units=50, baseline=0.2, experiments=5) == simulate_ab(units=50, baseline=0.2, experiments=5)


@pytest.mark.parametrize(
    "asked",
    [{"units": 1}, {"baseline": 0}, {"effect": -1}, {"baseline": 0.9, "effect": 0.5}, {"sd": 0}, {"experiments": 0}],
)
def test_a_simulation_that_makes_no_sense_is_refused(asked):
    with pytest.raises(ValueError, match=r"above|simulate|no share"):
        simulate_ab(**{"units": 10, "baseline": 0.1, **asked})
