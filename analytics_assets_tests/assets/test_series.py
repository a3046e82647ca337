"""The tables of time series, of days made by hand: what they promise, and what they say of bad input."""

from __future__ import annotations

import datetime as dt
import math
import warnings
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from analytics_assets.assets import series
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.series import CATEGORIES, daily, named_days
from analytics_assets.contracts.sales import REVENUE_DAILY
from analytics_assets.lake.days import Days
from analytics_assets.project.business import Forecasts
from analytics_assets_tests.answers import Row, answers
from analytics_assets_tests.making import project, table

TABLES = [
    declaration(function)
    for function in (
        series.series_decomposition,
        series.series_strength,
        series.series_weekdays,
        series.series_holidays,
        series.forecast_backtest,
        series.forecast_accuracy,
        series.forecast,
        series.anomalies,
    )
]
FIRST = dt.date(2024, 1, 1)
AMOUNTS = ("gross", "discount", "tax", "shipping", "net_uncosted", "refunds", "refunds_of_orders")
EMPTY: dict[str, Any] = {**dict.fromkeys(AMOUNTS, 0), "customers": 0, "new_customers": 0}


def shop(days: int, seed: int = 1, mean: float = 60) -> list[float]:
    week = np.array([0.9, 0.8, 0.9, 1.0, 1.1, 1.2, 1.1])[np.arange(days) % 7]
    return [float(n) for n in np.random.default_rng(seed).poisson(mean * week)]


def sold(orders: Sequence[float | None], *, value: str = "", net: Sequence[float] | None = None) -> list[Row]:
    """Make days of a series: twice as many units as orders, 30 an order; None leaves a day out."""
    rows = []
    for place, count in enumerate(orders):
        if count is None:
            continue
        revenue = Decimal(str(round(net[place] if net else 30 * count, 4)))
        named = {"day": FIRST + dt.timedelta(days=place), "dimension": "category" if value else "", "value": value}
        told = {"orders": int(count), "units": int(2 * count), "net": revenue, "gross": revenue}
        rows.append({**EMPTY, **named, **told, "net_uncosted": revenue})
    return rows


def told(engine: Any, rows: Sequence[Row], length: int, **asked: Any) -> dict[str, list[Row]]:
    """Compute all tables, each held to its contract; nothing is warned of."""
    span = Days(FIRST, FIRST + dt.timedelta(days=length - 1))
    declared = project(first_day=FIRST, forecasts=asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        return answers(
            engine,
            TABLES,
            {"revenue_daily": table(REVENUE_DAILY, *rows)},
            Setting(declared, span, span, engine.rows),
        )


def of(rows: Sequence[Row], measure: str = "orders", value: str = "") -> list[Row]:
    return [row for row in rows if (row["measure"], row["value"]) == (measure, value)]


# --- an ordinary shop -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordinary(engine: Any) -> dict[str, list[Row]]:
    """Tell of 120 days of a shop with two categories, one of which starts late; day 100 was twice as busy."""
    total = shop(120)
    total[100] *= 2
    late = [0.0] * 40 + shop(80, 2, 20)
    rows = [*sold(total), *sold(shop(120, 3, 20), value="Books"), *sold(late, value="Toys")]
    return told(engine, rows, 120, special_days={"Fair": [FIRST + dt.timedelta(days=50)]})


@pytest.mark.slow
def test_parts_come_back_to_what_was_observed(ordinary):
    for row in ordinary["series_decomposition"]:
        parts = [row[name] for name in ("trend", "weekly", "yearly", "remainder")]
        found = math.prod(parts) if row["method"] == "multiplicative" else math.fsum(parts)
        assert found == pytest.approx(row["observed"], rel=1e-6, abs=1e-5)


def test_there_is_a_row_a_day_from_the_first_on_which_anything_was_sold(ordinary):
    days = [row["day"] for row in of(ordinary["series_decomposition"])]
    assert days == [FIRST + dt.timedelta(days=n) for n in range(120)]
    assert of(ordinary["series_decomposition"], value="Toys")[0]["day"] == FIRST + dt.timedelta(days=40)
    (strength,) = of(ordinary["series_strength"], value="Toys")
    assert (strength["days"], strength["state"], strength["yearly_strength"]) == (80, "decomposed", None)
    assert {row["named"] for row in of(ordinary["series_decomposition"])} == {"", "Fair"}


def test_every_weekday_has_an_effect_and_an_interval(ordinary):
    rows = of(ordinary["series_weekdays"])
    assert [row["weekday"] for row in rows] == list(range(1, 8))
    assert all(row["low"] < row["effect"] < row["high"] for row in rows)
    assert sum(row["days"] for row in rows) == 119  # the named day is in none of them
    assert max(rows, key=lambda row: row["effect"])["weekday"] == 6


def test_a_day_that_was_named_once_says_so(ordinary):
    rows = ordinary["series_holidays"]
    assert {(row["measure"], row["holiday"], row["state"]) for row in rows} == {
        (measure, "Fair", "one occurrence") for measure in ("orders", "units", "revenue")
    }


def test_the_chosen_model_forecasts_inside_of_intervals_that_widen(ordinary):
    for value, measures in (("", ("orders", "units", "revenue")), ("Books", ("units", "revenue"))):
        for measure in measures:
            (best,) = [row for row in of(ordinary["forecast_accuracy"], measure, value) if row["chosen"]]
            rows = of(ordinary["forecast"], measure, value)
            assert [row["horizon"] for row in rows] == list(range(1, 15))
            assert {row["model"] for row in rows} == {best["model"]}
            assert {row["state"] for row in rows} == {"chosen by backtest"}
            assert {row["as_of"] for row in rows} == {FIRST + dt.timedelta(days=119)}
            for row in rows:
                assert 0 <= row["low_95"] <= row["low_80"] <= row["forecast"] <= row["high_80"] <= row["high_95"]
    assert of(ordinary["forecast"], "orders", "Books") == []


def test_named_days_ahead_say_their_name_and_have_the_effect_that_they_had(engine):
    orders = shop(120, mean=300)
    for place in (60, 90):
        orders[place] *= 3
    fair = [FIRST + dt.timedelta(days=place) for place in (60, 90, 125)]
    rows = of(told(engine, sold(orders), 120, special_days={"Fair": fair})["forecast"])
    assert [row["named"] for row in rows] == ["Fair" if row["day"] == fair[2] else "" for row in rows]
    ahead = {row["horizon"]: row["forecast"] for row in rows}
    assert ahead[6] == pytest.approx(3 * ahead[13], rel=0.2)


def test_accuracy_is_that_of_the_backtest(ordinary):
    rows = [row for row in of(ordinary["forecast_backtest"]) if row["model"] == "seasonal_naive"]
    (found,) = [row for row in of(ordinary["forecast_accuracy"]) if row["model"] == "seasonal_naive"]
    off = [abs(row["actual"] - row["forecast"]) for row in rows]
    assert found["mae"] == pytest.approx(sum(off) / len(off))
    assert found["mape"] == pytest.approx(100 * sum(o / r["actual"] for o, r in zip(off, rows, strict=True)) / len(off))
    scaled = [o / row["scale"] for o, row in zip(off, rows, strict=True)]
    assert found["mase"] == pytest.approx(sum(scaled) / len(scaled))
    assert found["origins"] == len({row["origin"] for row in rows}) == 4
    chosen = [row for row in of(ordinary["forecast_accuracy"]) if row["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["mase"] == min(row["mase"] for row in of(ordinary["forecast_accuracy"]))


def test_the_busy_day_is_an_anomaly_and_the_named_one_is_not_judged(ordinary):
    rows = of(ordinary["anomalies"])
    assert [row["day"] for row in rows if row["is_anomaly"]] == [FIRST + dt.timedelta(days=100)]
    assert {row["false_alarm_rate"] for row in rows} == {0.001}
    days = {row["day"] for row in rows}
    assert FIRST + dt.timedelta(days=50) not in days
    assert min(days) == FIRST + dt.timedelta(days=28)


@pytest.mark.slow
def test_the_order_of_rows_does_not_matter(engine, ordinary):
    rows = [*sold(shop(60)), *sold(shop(60, 3, 20), value="Books")]
    assert told(engine, rows, 60) == told(engine, rows[::-1], 60)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orders", "state", "forecasts"),
    [
        ([], None, 0),
        ([5], "always the same", 0),
        ([0], "always the same", 0),
        (shop(13), "fewer than two weeks", 0),
        (shop(14), "decomposed", 14),
        ([0] * 90, "always the same", 14),
        ([5] * 90, "always the same", 14),
        ([0] * 80 + shop(10), "fewer than two weeks", 0),
        ([0, 0, 1] * 30, "nothing on most days", 14),
        ([None if n % 10 == 3 else count for n, count in enumerate(shop(90))], "decomposed", 14),
        ([0 if 40 <= n < 47 else count for n, count in enumerate(shop(90, mean=600))], "decomposed", 14),
        ([0 if n % 7 == 6 else count for n, count in enumerate(shop(90))], "decomposed", 14),
    ],
    ids=[
        "nothing", "one point", "one zero", "13 days", "14 days", "all zeros", "constant", "late", "sparse", "gaps",
        "closure", "closed on Sundays",
    ],
)  # fmt: skip
def test_of_bad_input_the_tables_say_why_there_is_no_number(engine, orders, state, forecasts):
    found = told(engine, sold(orders), max(1, len(orders)), special_days={"Fair": [FIRST]})
    assert {row["state"] for row in found["series_strength"]} == ({state} if state else set())
    assert len(of(found["forecast"])) == forecasts
    if state != "decomposed":
        assert found["series_decomposition"] == []
        assert found["series_weekdays"] == []
    if state == "always the same":
        assert found["forecast_backtest"] == []
        assert {row["state"] for row in found["forecast"]} <= {"always the same"}
        assert {row["high_95"] for row in of(found["forecast"])} <= {float(value) for value in set(orders)}
        assert found["anomalies"] == []


def test_a_closure_is_counted_left_out_of_accuracy_and_still_an_alarm(engine):
    orders = [0 if 60 <= n < 63 else count for n, count in enumerate(shop(90, mean=600))]
    found = told(engine, sold(orders), 90)
    (strength,) = of(found["series_strength"])
    assert strength["closures"] == 3
    closed = {FIRST + dt.timedelta(days=n) for n in (60, 61, 62)}
    assert {row["day"] for row in of(found["series_decomposition"]) if row["observed"] is None} == closed
    assert {row["day"] for row in of(found["forecast_backtest"]) if row["actual"] is None} == closed
    assert {row["day"] for row in of(found["anomalies"]) if row["is_anomaly"]} == closed


def test_negative_net_is_taken_apart_by_sums_and_forecast_below_zero(engine):
    net = [count - 70 for count in shop(90)]
    found = told(engine, sold(shop(90), net=net), 90)
    assert {row["method"] for row in of(found["series_decomposition"], "revenue")} == {"additive"}
    assert min(row["low_95"] for row in of(found["forecast"], "revenue")) < 0
    assert of(found["anomalies"], "revenue")


def test_a_short_series_is_forecast_by_the_week_before_and_says_so(engine):
    orders = shop(20)
    found = told(engine, sold(orders), 20, days=7)
    assert found["forecast_accuracy"] == []
    rows = of(found["forecast"])
    assert [row["forecast"] for row in rows] == orders[-7:]
    assert {(row["model"], row["state"]) for row in rows} == {("seasonal_naive", "too short to compare")}


@pytest.mark.slow
def test_a_project_of_a_few_days_asks_for_no_library(engine):
    import subprocess
    import sys

    code = (
        "import sys, datetime as dt, ibis\n"
        "from analytics_assets.assets import series\n"
        "from analytics_assets.assets.catalog import Setting\n"
        "from analytics_assets.lake.days import Days\n"
        "from analytics_assets_tests.making import project, table\n"
        "from analytics_assets.contracts.sales import REVENUE_DAILY\n"
        "span = Days(dt.date(2024, 3, 1), dt.date(2024, 3, 3))\n"
        "setting = Setting(project(), span, span, lambda rows: rows.to_pyarrow().to_pylist())\n"
        "days = table(REVENUE_DAILY)\n"
        "for make in (series.series_decomposition, series.forecast_backtest, series.anomalies): make(setting, days)\n"
        "print(sorted({'scipy', 'statsmodels', 'sklearn', 'holidays'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not done.stderr


# --- which series, which days -----------------------------------------------------------------------------------------


def test_only_the_categories_with_the_most_revenue_are_looked_at(engine):
    rows = [row for n in range(CATEGORIES + 5) for row in sold([n + 1.0] * 2, value=f"c{n:02}")]
    span = Days(FIRST, FIRST + dt.timedelta(days=1))
    setting = Setting(project(first_day=FIRST), span, span, engine.rows)
    found = {one.value for one in daily(setting, table(REVENUE_DAILY, *rows, *sold([1.0, 1.0])))}
    assert found == {"", *(f"c{n:02}" for n in range(5, CATEGORIES + 5))}


def test_days_are_named_by_the_holidays_of_a_place_and_by_the_team():
    christmas = Days(dt.date(2024, 12, 20), dt.date(2025, 1, 3))
    own = {"Sale": [dt.date(2024, 12, 27)], "Long ago": [dt.date(2020, 1, 1)]}
    assert named_days(Forecasts(), christmas) == {}
    told_of = named_days(Forecasts(holidays="DE", special_days=own), christmas)
    days = sorted(day for dates in told_of.values() for day in dates)
    assert days == [dt.date(2024, 12, 25), dt.date(2024, 12, 26), dt.date(2024, 12, 27), dt.date(2025, 1, 1)]
    assert told_of["Sale"] == [dt.date(2024, 12, 27)]
    bavarian = named_days(Forecasts(holidays="DE-BY"), Days(dt.date(2025, 1, 6), dt.date(2025, 1, 6)))
    assert len(bavarian) == 1
