from __future__ import annotations

import math

import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from analytics_assets.charts.lifetime import calibration, cohorts, distribution
from analytics_assets_tests.charts.told import ABOUT, labels, title, words

WEEKS = pd.DataFrame(
    {
        "until": pd.date_range("2025-01-07", periods=4, freq="7D"),
        "in_calibration": [True, True, False, False],
        "orders": [1, 3, 6, 9],
        "expected_orders": [1.0, 3.0, 5.0, 7.0],
    }
)


def groups(expected: float, spread: float) -> pd.DataFrame:
    row = {"repeat_orders": 0, "customers": 100, "holdout_days": 90, "orders": 200, "expected_orders": expected}
    return pd.DataFrame([row | {"spread": spread, "calibrated_until": pd.Timestamp("2025-01-14")}])


@pytest.mark.parametrize(
    ("expected", "spread", "says", "inside"),
    [
        (180.0, 2.0, "90 days held out: 200 orders came, 180 were expected (-10 %)", "inside"),
        (180.0, 0.9, "90 days held out: 200 orders came, 180 were expected (-10 %)", "outside"),
        (240.0, 0.9, "90 days held out: 200 orders came, 240 were expected (+20 %)", "outside"),
        (200.0, 0.9, "90 days held out: 200 orders came, 200 were expected", "inside"),
    ],
)
def test_what_was_expected_is_judged_by_how_customers_differ(
    expected: float, spread: float, says: str, inside: str
) -> None:
    figure = calibration(ABOUT, groups(expected, spread), WEEKS)
    assert title(figure) == says
    half = 1.959964 * math.sqrt(100) * spread
    assert words(figure).startswith(f"95 % interval of what came: {200 - half:.0f} to {200 + half:.0f},")
    assert f"What was expected lies {inside}." in words(figure)


def test_weeks_are_drawn_each_for_itself_and_the_last_group_is_and_more() -> None:
    figure = calibration(ABOUT, groups(180, 1).assign(repeat_orders=7), WEEKS)
    left, right = figure.axes
    assert [list(line.get_ydata()) for line in right.lines] == [[1, 2, 3, 3], [1, 2, 2, 2]]
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["7+"]


def sums(holdout_error: float, valued: int = 90) -> pd.DataFrame:
    row = {"customers": 90, "valued": valued, "value": 1000.0, "top_value": 400.0, "median": 10.0, "ninth": 30.0}
    return pd.DataFrame([row | {"horizon_days": 90, "holdout_error": holdout_error}])


BINS = pd.DataFrame({"low": [1.0, 10.0], "high": [10.0, 100.0], "customers": [60, 30], "value": [300.0, 700.0]})


@pytest.mark.parametrize(
    ("error", "says"), [(-0.1, "10 % fewer orders than came"), (0.2, "20 % more orders than came"), (math.nan, "")]
)
def test_an_expected_value_is_told_with_how_the_model_did(error: float, says: str) -> None:
    figure = distribution(ABOUT, BINS, sums(error, valued=80))
    assert title(figure) == "Customers are expected to bring 1,000 EUR in the next 90 days, 40 % of it by the top tenth"
    assert ("Tried on days held out" in words(figure)) == bool(says)
    assert says in words(figure)
    assert "Left out: 10 of whom nothing can be expected." in words(figure)
    assert {"median 10 EUR", "top tenth, from 30 EUR on: 40 %"} <= set(labels(figure))


def cells(*rows: tuple[str, int, int, float, bool]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["cohort", "period", "customers", "cumulative_net_per_customer", "complete"])
    return frame.assign(cohort=pd.to_datetime(frame.cohort), complete=frame.complete.astype(object))


def test_cohorts_are_weighted_by_their_size_and_what_is_not_over_is_hatched() -> None:
    told = cells(
        ("2025-01-01", 0, 300, 10.0, True),
        ("2025-01-01", 1, 300, 20.0, True),
        ("2025-02-01", 0, 100, 30.0, True),
        ("2025-02-01", 1, 100, 31.0, False),
    )
    figure = cohorts(ABOUT, told)
    assert title(figure) == "A customer brought 15 EUR in the month of the first order, 20 EUR until 1 month later"
    assert "Title: means over 2 and 1 cohorts, by customer." in words(figure)
    (axes,) = figure.axes
    assert sum(bool(patch.get_hatch()) for patch in axes.patches if isinstance(patch, Rectangle)) == 1
    assert "31" not in labels(figure)
    assert "Hatched: not over yet." in words(figure)
    assert "Hatched" not in words(cohorts(ABOUT, told[told.complete == True]))  # noqa: E712
