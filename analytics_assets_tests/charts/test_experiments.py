"""What charts of experiments say is what the numbers say: opposite worlds, opposite titles, intervals and colours."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analytics_assets.charts import experiment_days as daily
from analytics_assets.charts import experiment_outcomes as outcomes
from analytics_assets.charts import experiment_plans as plans
from analytics_assets.charts import experiments as drawn
from analytics_assets.charts.house import BLUE, MUTED, ORANGE, About

WORDS = {
    "method": "fixed", "alpha": "0.05", "called": "buyers over 7 days", "better": "up", "unit": "share",
    "minimum_effect": "0.02", "ends": "2025-02-01", "of": "1", "shown": "1",
}  # fmt: skip
ABOUT = About("shop", "EUR", ("experiment_results",), 3, asked="banner", words=WORDS)


def effect(role: str = "primary", difference: float = 0.05, half: float = 0.02, **given: Any) -> dict[str, Any]:
    share = role != "guardrail"
    return {
        "place": 0, "variant": "treatment", "called": f"{role} metric", "role": role, "better": "up",
        "unit": "share" if share else "EUR", "minimum_effect": 0.02 if role == "primary" else math.nan,
        "margin": 0.1 if role == "guardrail" else math.nan, "non_inferior": True if role == "guardrail" else None,
        "n_control": 1000, "n": 1000, "control": 0.5, "treatment": 0.5 + difference, "difference": difference,
        "low": difference - half, "high": difference + half, "anytime_low": difference - 2 * half,
        "anytime_high": difference + 2 * half,
        "reason": None,
    } | given  # fmt: skip


def verdict(told: str = "ship", difference: float = 0.05, half: float = 0.02, **given: Any) -> dict[str, Any]:
    return {
        "variant": "treatment", "verdict": told, "because": "a rule held", "over": True, "n_control": 1000, "n": 1000,
        "as_of": pd.Timestamp(2025, 2, 8), "difference": difference, "low": difference - half,
        "high": difference + half, "detectable": math.nan,
    } | given  # fmt: skip


def forest(effects: list[dict[str, Any]], verdicts: list[dict[str, Any]]) -> Figure:
    return drawn.effects(ABOUT, pd.DataFrame(effects), pd.DataFrame(verdicts))


def title(figure: Figure) -> str:
    return figure.texts[0].get_text().replace("\n", " ").replace("\u00a0", " ")


def words(figure: Figure) -> list[str]:
    return [text.get_text().replace("\u00a0", " ") for axes in figure.axes for text in axes.texts]


def intervals(figure: Figure) -> list[tuple[float, float, str]]:
    """Return the ends and colours of the lines of a forest, from top to bottom."""
    lines = [line for line in figure.axes[0].collections if hasattr(line, "get_segments") and line.get_segments()]
    level = [(line.get_segments()[0], to_hex(line.get_color()[0])) for line in lines]
    found = [(y0, x0, x1, colour) for ((x0, y0), (x1, y1)), colour in level if y0 == y1]
    return [(round(x0, 4), round(x1, 4), colour.upper()) for _, x0, x1, colour in sorted(found)]


@pytest.mark.parametrize(
    ("effects", "verdicts", "says"),
    [
        ([effect()], [verdict()], "banner: ship, buyers over 7 days +10.0 % (+6.0 % to +14.0 %)"),
        (
            [effect(difference=-0.05)], [verdict("rollback", -0.05)],
            "roll back, buyers over 7 days -10.0 % (-14.0 % to -6.0 %)",
        ),
        (
            [effect(), effect("guardrail", -0.2, 0.05, non_inferior=False)], [verdict("rollback")],
            "roll back, guardrail metric -40.0 % (-50.0 % to -30.0 %)",
        ),
        ([effect(), effect("guardrail", 0)], [verdict()], "guardrail metric within its margin"),
        ([effect()], [verdict("invalid", because="the shares differ")], "invalid, no number counts: the shares differ"),
        ([effect(difference=0)], [verdict("inconclusive", 0, 0.05, detectable=0.03)], "6.0 % could have been seen"),
        ([effect()], [verdict("too early")], "too early to decide"),
        ([effect()], [], "there is no verdict"),
    ],
)  # fmt: skip
def test_a_title_says_what_was_decided_and_by_which_number(
    effects: list[dict[str, Any]], verdicts: list[dict[str, Any]], says: str
) -> None:
    frame = pd.DataFrame(verdicts, columns=list(verdict()))
    assert says in title(drawn.effects(ABOUT, pd.DataFrame(effects), frame))


def test_the_interval_of_the_primary_is_the_one_that_decides() -> None:
    ((low, high, colour),) = intervals(forest([effect(half=0.01)], [verdict(half=0.04)]))
    assert (low, high, colour) == (0.02, 0.18, BLUE)


def test_of_a_fixed_plan_that_still_runs_only_the_interval_for_any_day_is_shown() -> None:
    figure = forest([effect(), effect("guardrail", 0.05)], [verdict("too early", over=False)])
    assert [line[:2] for line in intervals(figure)] == [(0.02, 0.18), (0.02, 0.18)]
    assert title(figure).endswith("too early to decide, buyers over 7 days +10.0 % (+2.0 % to +18.0 %) so far")
    # at the end it would be within its margin of 0.1, and on any day it is not yet
    told = words(forest([effect(), effect("guardrail", -0.02, 0.05)], [verdict("too early", over=False)]))
    assert any("may be worse than its margin" in text for text in told)
    running = told_of(["too early"]).assign(over=False)
    assert intervals(drawn.overview(ABOUT, running))[0][:2] == (0.02, 0.18)


def test_intervals_of_several_secondary_metrics_are_wider_than_alone() -> None:
    alone = intervals(forest([effect(), effect("secondary")], [verdict()]))[1]
    three = [effect("secondary", place=place, called=f"metric {place}") for place in range(3)]
    of_three = intervals(forest([effect(), *three], [verdict()]))[1]
    assert alone[:2] == (0.06, 0.14)
    # 2.394 standard errors at 0.05 / 3, in the place of 1.960
    assert of_three[1] - 0.1 == pytest.approx(0.04 * 2.394 / 1.960, abs=2e-4)


def test_what_is_better_is_blue_and_what_is_worse_orange_whichever_way_is_up() -> None:
    def colours(**given: Any) -> str:
        return intervals(forest([effect(**given)], [verdict(variant="another")]))[0][2]

    assert colours() == BLUE
    assert colours(better="down") == ORANGE
    assert colours(difference=-0.05) == ORANGE
    assert colours(difference=-0.05, better="down") == BLUE
    assert colours(difference=0.01) == colours(better="neither") == MUTED
    assert intervals(forest([effect()], [verdict("invalid")]))[0][2] == MUTED


def test_a_decision_on_fewer_users_stands_beside_what_all_of_them_say() -> None:
    figure = forest([effect(difference=0.02, half=0.01)], [verdict(n=400, n_control=400)])
    assert [line[:2] for line in intervals(figure)] == [(0.06, 0.14), (0.02, 0.06)]
    assert "+4.0 % over all 2,000 users" in title(figure)


def test_a_guardrail_is_judged_by_its_margin() -> None:
    told = words(forest([effect(), effect("guardrail", 0, 0.05)], [verdict()]))
    assert any("within its margin" in text for text in told)
    told = words(forest([effect(), effect("guardrail", 0, 0.5, non_inferior=False)], [verdict()]))
    assert any("may be worse than its margin" in text for text in told)


def told_of(verdicts: list[str]) -> pd.DataFrame:
    rows = [
        verdict(told) | {
            "experiment": f"e{place}", "ends": pd.Timestamp(2025, 1, 1), "called": "buyers", "better": "up",
            "unit": "share", "minimum_effect": 0.02, "control": 0.5, "all_difference": 0.05, "all_low": 0.03,
            "all_high": 0.07,
            "all_anytime_low": 0.01, "all_anytime_high": 0.09, "all_n": 2000, "method": "fixed",
            "revenue_low": 100.0, "revenue_high": 300.0,
        }
        for place, told in enumerate(verdicts)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_overview_counts_the_verdicts() -> None:
    figure = drawn.overview(ABOUT, told_of(["ship", "inconclusive", "ship", "rollback"]))
    assert title(figure) == "Of 4 variants in 4 experiments 2 ship, 1 is to be rolled back and 1 is inconclusive"
    assert "ship, worth 100 to 300 EUR a month" in words(figure)
    assert title(drawn.overview(ABOUT, told_of(["invalid"]))) == "The only experiment is invalid"


def course(difference: list[float], half: float = 0.02) -> pd.DataFrame:
    days = pd.date_range(dt.date(2025, 1, 10), periods=len(difference))
    at = np.array(difference)
    return pd.DataFrame(
        {
            "variant": "treatment", "day": days, "n": np.arange(1, len(at) + 1) * 100, "difference": at,
            "low": at - half / 2, "high": at + half / 2, "anytime_low": at - half, "anytime_high": at + half,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "says"),
    [
        ([0.0, 0.05, 0.0, 0.03, 0.04], "+4 points, told apart from 0 every day since 2025-01-13"),
        ([0.0, -0.05, -0.05], "-5 points, told apart from 0 every day since 2025-01-11"),
        ([0.0, 0.05, 0.01], "+1 point, told apart from 0 on 2025-01-11, not at the end"),
        ([0.0, 0.01, 0.01], "not told apart from 0 on any day"),
    ],
)
def test_a_course_says_since_when_the_difference_is_told_apart(difference: list[float], says: str) -> None:
    figure = daily.timeline(ABOUT, course(difference), pd.DataFrame([verdict("ship", n=1e6)]))
    assert says in title(figure)


def test_the_course_of_what_is_invalid_claims_nothing() -> None:
    figure = daily.timeline(ABOUT, course([0.0, 0.05]), pd.DataFrame([verdict("invalid")]))
    assert title(figure) == "banner: invalid, no day's difference counts"


def shares(treatment: int, control: int) -> pd.DataFrame:
    rows = [
        {
            "experiment": "banner", "variant": "treatment", "planned": 0.5, "day": pd.Timestamp(2025, 1, day),
            "assigned": treatment * day, "whole": (treatment + control) * day,
        }
        for day in range(1, 6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("invalid", "banner has shares other than planned, its numbers do not count"),
        ("warning", "banner has shares that may be other than planned"),
        ("fine", "banner shows no sign of shares other than planned"),
    ],
)
def test_shares_other_than_planned_are_named(state: str, says: str) -> None:
    trust = pd.DataFrame([{"experiment": "banner", "state": state, "p_value": 0.0004}])
    figure = daily.traffic(ABOUT, shares(60, 40), trust)
    assert title(figure) == says
    assert "+10.00" in words(figure)


@pytest.mark.parametrize(
    ("nothing", "says"),
    [
        (500, "The share of users with nothing is not told apart between the arms"),
        (300, "The share of users with nothing differs between the arms"),
    ],
)
def test_outcomes_say_whether_as_many_users_have_nothing(nothing: int, says: str) -> None:
    arms = [
        {
            "experiment": "banner", "called": "revenue", "unit": "EUR", "control": "control", "variant": variant,
            "users": 1000, "nothing": n, "q50": 4.0, "q90": 8.0,
        }
        for variant, n in (("control", 500), ("treatment", nothing))
    ]  # fmt: skip
    bins = [
        {
            "experiment": "banner",
            "variant": arm["variant"],
            "bin": bin_,
            "begins": 2.0 * bin_,
            "width": 2.0,
            "users": 50,
        }
        for arm in arms
        for bin_ in range(5)
    ]
    assert title(outcomes.distributions(ABOUT, pd.DataFrame(arms), pd.DataFrame(bins))) == says


def test_what_adjusting_gains_is_what_the_widths_say() -> None:
    row = effect() | {"experiment": "banner"}
    told = pd.DataFrame([row | {"variance_left": 0.64}, row | {"variance_left": 1.0, "called": "other"}])
    figure = outcomes.adjustment(ABOUT, told)
    assert title(figure) == "Adjusting for the days before narrows intervals: by 10.0 % at the median, 20.0 % at most"
    assert "± 5.00 % to ± 4.00 %" in words(figure)


def plan(minimum_effect: float) -> pd.DataFrame:
    # half of 2,000 users buy, whatever they did before
    sums = {f"sum_{name}": 0.0 for name in ("value", "weight", "pre_value", "pre_weight")}
    names = ("value", "weight", "pre_value", "pre_weight")
    products = {
        f"product_{one}_{other}": 500.0 if one == other else 0.0
        for place, one in enumerate(names) for other in names[place:]
    }  # fmt: skip
    shifts = {"shift_value": 0.5, "shift_weight": math.nan, "shift_pre_value": 0.5, "shift_pre_weight": math.nan}
    fixed = {
        "experiment": "banner", "called": "buyers", "better": "up", "unit": "share", "minimum_effect": minimum_effect,
        "ratio": False, "covariate": False, "method": "fixed", "alpha": 0.05, "power": 0.8, "days": 28, "control": 0.5,
        "treatment": 0.5, "treatments": 1, "guardrails": 0, "looks": 5, "n": 2000,
    }  # fmt: skip
    return pd.DataFrame([fixed | sums | products | shifts])


@pytest.mark.parametrize(
    ("minimum_effect", "says"),
    [(0.05, "needs 4 weeks for its minimum effect"), (0.025, "needs 15 weeks for its minimum effect")],
)
def test_a_plan_needs_as_long_as_its_formula_says(minimum_effect: float, says: str) -> None:
    # (1.960 + 0.842)^2 x 4 x 0.25 / 0.05^2 = 3,140 users, at 120 a day 27 days; for half the effect four times as many
    users = 120
    reach = pd.DataFrame(
        {"experiment": "banner", "day": pd.date_range(dt.date(2025, 1, 1), periods=28), "users": [users] * 28}
    )
    figure = plans.power(ABOUT, plan(minimum_effect), reach)
    assert says in title(figure)
