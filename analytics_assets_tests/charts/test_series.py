from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics_assets.charts.series import anomalies, decomposition, forecast
from analytics_assets_tests.charts.told import ABOUT, labels, title, words

DAYS = pd.date_range("2025-01-01", periods=60, freq="D")


def parts(method: str = "multiplicative", yearly: object = 1.0) -> pd.DataFrame:
    trend = np.linspace(1000, 2000, 60)
    frame = pd.DataFrame({"day": DAYS, "observed": trend, "trend": trend, "remainder": 1.0, "method": method})
    return frame.assign(named=["" if day != 30 else "Sale" for day in range(60)], yearly=yearly)


def effects(name: str, rows: list[tuple[object, float, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[name, "effect", "low", "high"])
    return frame.assign(occurrences=1, state="one occurrence")


SALE = effects("holiday", [("Sale", 1.0, 0.5, 1.5)])


@pytest.mark.parametrize(
    ("week", "says"),
    [
        ([(1, -0.2, -0.3, -0.1), (2, 0.1, 0.05, 0.15)], "Mondays are 20 % below the mean of the week"),
        ([(1, -0.2, -0.5, 0.1), (2, 0.1, 0.05, 0.15)], "Tuesdays are 10 % above the mean of the week"),
        ([(1, -0.2, -0.5, 0.1), (2, 0.1, -0.1, 0.15)], "no day of the week is told apart"),
    ],
)
def test_a_weekday_is_named_only_where_its_interval_leaves_out_nothing(
    week: list[tuple[object, float, float, float]], says: str
) -> None:
    figure = decomposition(ABOUT, parts(), effects("weekday", week), SALE)
    assert title(figure) == f"The trend of daily revenue went from 1,000 to 2,000 EUR; {says}"


def test_what_a_day_is_made_of_is_told_as_it_was_computed() -> None:
    week = effects("weekday", [(1, 5.0, 1.0, 9.0)])
    assert "= trend x week x remainder." in words(decomposition(ABOUT, parts(), week, SALE))
    additive = decomposition(ABOUT, parts("additive", np.arange(60.0)), week, SALE)
    assert "= trend + week + year + remainder." in words(additive)
    assert "Mondays are 5 EUR above" in title(additive)


def ahead(level: float) -> pd.DataFrame:
    days = pd.date_range("2025-03-02", periods=7, freq="D")
    ends = {"low_80": 0.8, "high_80": 1.2, "low_95": 0.7, "high_95": 1.3, "forecast": 1.0}
    told = {name: level * part for name, part in ends.items()}
    return pd.DataFrame({"day": days, **told, "named": "", "model": "theta", "state": "chosen by backtest"})


BEFORE = pd.DataFrame({"day": DAYS, "observed": 100.0})
BACKTEST = pd.DataFrame(
    {"origin": DAYS[40], "day": DAYS[41:43], "actual": [100.0, 500.0], "forecast": [90.0, 110.0], "score": [1.0, 9.0]}
)
ACCURACY = pd.DataFrame(
    [{"origins": 5, "days": 2, "mape": 12.0, "mase": 0.8, "coverage_80": 0.8, "coverage_95": 0.9, "width_95": 2.0}]
)


@pytest.mark.parametrize(("level", "change"), [(150.0, "+50 %"), (50.0, "-50 %")])
def test_a_forecast_is_told_against_the_days_before(level: float, change: str) -> None:
    figure = forecast(ABOUT, ahead(level), BEFORE, BACKTEST, ACCURACY)
    told = f"The next 7 days are expected to bring about {level:.0f} EUR a day, {change} on the last 7"
    assert title(figure) == told
    assert f"95 % of single days: {level * 0.7:.0f} to {level * 1.3:.0f} EUR." in words(figure)
    assert "circled: 1 of 2 days outside 95 %" in figure.axes[1].get_title(loc="left")


def test_a_forecast_that_was_never_tried_says_so() -> None:
    figure = forecast(ABOUT, ahead(50), BEFORE.tail(7), BACKTEST.head(0), ACCURACY.head(0))
    assert title(figure) == "The next 7 days are expected to bring about 50 EUR a day"
    assert "too short a history to try it" in words(figure)
    assert len(figure.axes) == 1


def judged_days(*out: int) -> pd.DataFrame:
    observed = [300.0 if day in out else 100.0 for day in range(60)]
    frame = pd.DataFrame({"day": DAYS, "observed": observed, "expected": 100.0, "low": 50.0, "high": 200.0})
    return frame.assign(is_anomaly=[day in out for day in range(60)])


def flagged(*days: int) -> pd.DataFrame:
    frame = pd.DataFrame({"value": "Books", "day": DAYS[list(days)], "observed": 5.0, "expected": 10.0})
    return frame.assign(low=7.0, high=20.0, score=-4.0)


JUDGED = pd.DataFrame({"value": ["", "Books"], "days": [60, 440], "false_alarm_rate": 0.001})


def test_days_that_stand_out_are_told_with_how_many_would_by_chance() -> None:
    figure = anomalies(ABOUT, judged_days(10), flagged(20, 50), JUDGED)
    assert title(figure) == "1 of 60 days stands out: 2025-01-11 with 300 EUR (+200 %)"
    assert "about 0.5 of the 500 days of 2 series: 3 do." in words(figure)
    assert {"Jan 11 +200 %", "-50 %"} <= set(labels(figure))


def test_where_no_day_stands_out_it_is_said() -> None:
    figure = anomalies(ABOUT, judged_days(), flagged(), JUDGED)
    assert title(figure) == "No day of 60 stands out from what was to be expected"
    assert len(figure.axes) == 1


def test_no_line_goes_over_days_that_were_not_judged() -> None:
    figure = anomalies(ABOUT, judged_days().drop(index=[30, 31]), flagged(), JUDGED)
    for line in figure.axes[0].lines[:2]:
        assert np.isnan(np.asarray(line.get_ydata(), dtype=float)).sum() == 1
