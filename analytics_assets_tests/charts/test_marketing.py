from __future__ import annotations

import math

import pandas as pd
import pytest

from analytics_assets.charts.marketing import returns, spend
from analytics_assets_tests.charts.told import ABOUT, labels, title

Interval = tuple[float, float]


def campaigns(*intervals: Interval | None) -> pd.DataFrame:
    rows = []
    for place, interval in enumerate(intervals):
        low, high = interval or (math.nan, math.nan)
        row = {"campaign_id": f"C{place}", "name": f"Campaign {place}", "channel": "search", "spend": 1000.0 - place}
        row |= {"naive": 9.0, "attributed_first": 2.0, "attributed_last": 4.0, "attributed_linear": 3.0}
        row |= {"incremental": (low + high) / 2, "low": low, "high": high}
        row |= {"state": "identified" if interval else "not identified", "reason": "" if interval else "no control"}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("intervals", "says"),
    [
        (((0.2, 3), (0, 2)), "None of 2 campaigns with a control is shown to bring back its spend"),
        (((1.1, 3), (0, 2), None), "1 of 2 campaigns with a control is shown to bring back its spend"),
        (((1.1, 3), (2, 3)), "2 of 2 campaigns with a control are shown to bring back their spend"),
        (((-1, 0.9),), "None of 1 campaigns with a control is shown to bring back its spend, 1 is shown not to"),
        ((None, None), "What came because of 2 campaigns is not identified"),
    ],
)
def test_a_return_is_claimed_only_where_its_interval_leaves_out_the_spend(
    intervals: tuple[Interval | None, ...], says: str
) -> None:
    known = sum(interval is not None for interval in intervals)
    assert title(returns(ABOUT, campaigns(*intervals))) == says + f"; attribution says {known} did" * (known > 0)


def test_what_is_not_identified_is_shown_as_such_with_its_reason() -> None:
    told = labels(returns(ABOUT, campaigns((0, 2), None)))
    assert "not identified no control" in told
    assert "1.0 (0.0 to 2.0)" in told


def test_one_very_wide_interval_does_not_hide_the_others() -> None:
    axes = returns(ABOUT, campaigns((0, 2), (0.5, 1.5), (0, 3), (-900, 900))).axes[2]
    low, high = axes.get_xlim()
    assert -10 < low < high < 10
    assert {line.get_marker() for line in axes.lines} >= {"<", ">", "o"}


def test_without_spend_there_is_nothing_to_return() -> None:
    figure = returns(ABOUT, campaigns((0, 2)).assign(spend=0.0))
    assert "Not enough data" in [text.get_text() for text in figure.texts]


DAYS = pd.DataFrame(
    {"day": pd.date_range("2025-01-01", periods=3), "spend": [0.0, 10.0, 20.0], "net": [5.0, 50.0, 70.0]}
)


@pytest.mark.parametrize(
    ("r", "low", "high", "says"),
    [
        (0.5, 0.2, 0.7, "Days with more spend have more revenue: r 0.50 (0.20 to 0.70)"),
        (-0.5, -0.7, -0.2, "Days with more spend have less revenue: r -0.50 (-0.70 to -0.20)"),
        (0.1, -0.2, 0.4, "Revenue is not shown to go with spend: r 0.10 (-0.20 to 0.40)"),
    ],
)
def test_revenue_goes_with_spend_only_where_the_interval_leaves_out_zero(
    r: float, low: float, high: float, says: str
) -> None:
    row = {"dimension": "", "value": "", "lag": 0, "r": r, "low": low, "high": high}
    known = pd.DataFrame([row | {"points": 90, "effective_points": 40.0, "state": "measured"}])
    assert title(spend(ABOUT, DAYS, known)) == says


def test_too_few_days_are_no_correlation() -> None:
    none = pd.DataFrame(
        columns=["dimension", "value", "lag", "r", "low", "high", "points", "effective_points", "state"]
    )
    assert title(spend(ABOUT, DAYS, none)) == "Too few days to say whether revenue goes with spend"
