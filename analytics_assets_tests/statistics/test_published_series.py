"""Series of other people, against figures that they published: see the READMEs beside the data."""

from __future__ import annotations

import csv
import datetime as dt
import math
import os
from pathlib import Path

import numpy as np
import pytest

from analytics_assets.statistics.anomalies import judge
from analytics_assets.statistics.forecasts import (
    LADDER,
    Forecast,
    accuracy,
    airline,
    backtest,
    drift,
    look_ahead,
    mean,
    naive,
    rolling_by_horizon,
    seasonal_naive,
)

DATA = Path(os.environ.get("ANALYTICS_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data in {DATA}: set ANALYTICS_SHARED"),
]


def column(name: str, of: str) -> np.ndarray:
    with (DATA / name).open() as file:
        return np.array([float(row[of]) for row in csv.DictReader(file)])


# --- Hyndman, Athanasopoulos, fpp2, 3.4 -------------------------------------------------------------------------------


def beer() -> tuple[np.ndarray, np.ndarray, int]:
    """Give quarterly beer: 1992 to 2007, and what came until the second quarter of 2010."""
    values = column("ts_textbook/ausbeer.csv", "value")  # from 1956
    return values[(1992 - 1956) * 4 : (2008 - 1956) * 4], values[(2008 - 1956) * 4 :], 4


def google() -> tuple[np.ndarray, np.ndarray, int]:
    """Give 200 days of Google, and the 40 after them."""
    values = column("ts_textbook/goog.csv", "value")
    np.testing.assert_allclose(values[:200], column("ts_textbook/goog200.csv", "value"))
    return values[:200], values[200:240], 1


@pytest.mark.parametrize(
    ("series", "model", "rmse", "mae", "mape", "mase"),
    [
        (beer, "mean", 38.447245, 34.825, 8.28339, 2.435315),
        (beer, "naive", 62.692902, 57.4, 14.184424, 4.013986),
        (beer, "seasonal naive", 14.310835, 13.4, 3.168503, 0.937063),
        (google, "mean", 114.213752, 113.269712, 20.322298, 30.280376),
        (google, "naive", 28.434837, 24.593517, 4.359981, 6.574582),
        (google, "drift", 14.077291, 11.667241, 2.070092, 3.119002),
    ],
)
def test_the_textbooks_models_have_the_published_accuracies(series, model, rmse, mae, mape, mase):
    history, actual, period = series()
    steps = len(actual)
    told: dict[str, Forecast] = {
        "mean": mean(history, steps),
        "naive": naive(history, steps),
        "seasonal naive": seasonal_naive(history, steps, period),
        "drift": drift(history, steps),
    }
    found = accuracy(actual, told[model].middle, history, period)
    assert (found.rmse, found.mae, found.mape, found.mase) == (
        pytest.approx(rmse, abs=6e-7),
        pytest.approx(mae, abs=6e-7),
        pytest.approx(mape, abs=6e-6),
        pytest.approx(mase, abs=6e-7),
    )


# --- Box, Jenkins -----------------------------------------------------------------------------------------------------


def test_the_airline_model_has_the_published_weights():
    fitted = airline(np.log(column("ts_textbook/AirPassengers.csv", "value")), 1, 12)
    assert fitted.state == "fitted"
    assert (fitted.ma, fitted.seasonal_ma) == (pytest.approx(-0.4018, abs=2e-4), pytest.approx(-0.5569, abs=2e-4))
    assert fitted.log_likelihood == pytest.approx(244.7, abs=0.05)
    assert fitted.aic == pytest.approx(-483.4, abs=0.05)


def test_passengers_of_1960_are_forecast_better_than_by_the_year_before():
    values = column("ts_textbook/AirPassengers.csv", "value")
    history, actual = values[:132], values[132:]
    before = accuracy(actual, seasonal_naive(history, 12, 12).middle, history, 12)
    assert before.mape == pytest.approx(9.987533, abs=1e-6)
    told = np.exp(airline(np.log(history), 12, 12).forecast.middle)
    assert accuracy(actual, told, history, 12).mape < 3


# --- Prophet ----------------------------------------------------------------------------------------------------------


def peyton_manning() -> np.ndarray:
    with (DATA / "ts_peyton_manning/example_wp_log_peyton_manning.csv").open() as file:
        told = {dt.date.fromisoformat(row["ds"][:10]): float(row["y"]) for row in csv.DictReader(file)}
    first, last = min(told), max(told)
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    values = np.array([told.get(day, math.nan) for day in days])
    assert (len(told), int(np.isnan(values).sum())) == (2905, 59)
    return values


def test_peyton_manning_is_forecast_better_than_prophets_own_cross_validation():
    """Prophet's diagnostics: initial 730 days, period 180, horizon 365; means over a tenth of all errors by horizon."""
    values = peyton_manning()
    cutoffs = [len(values) - 365 - 180 * step for step in range(11)][::-1]
    assert cutoffs[0] - 1 >= 730 > cutoffs[0] - 1 - 180
    errors, shares, horizons = [], [], []
    for one in backtest(values, 365, ["harmonic"], starts=cutoffs):
        came = ~np.isnan(one.actual)
        off = (one.actual - one.ahead.middle)[came]
        errors += off.tolist()
        shares += np.abs(off / one.actual[came]).tolist()
        horizons += (np.flatnonzero(came) + 1).tolist()
    of_squares = rolling_by_horizon([error**2 for error in errors], horizons)[0]
    assert of_squares[0] == 37
    assert math.sqrt(of_squares[1]) < 0.702395
    assert rolling_by_horizon([abs(error) for error in errors], horizons)[0][1] < 0.503977
    assert rolling_by_horizon(shares, horizons)[0][1] < 0.058376
    nearest = [share for share, horizon in zip(shares, horizons, strict=True) if horizon <= 37]
    assert np.median(nearest) < 0.049365


# --- Capital Bikeshare ------------------------------------------------------------------------------------------------


def test_bike_sharing_is_forecast_better_than_by_the_week_before_and_the_hurricane_is_found():
    rentals = column("ts_bike_sharing/bike_sharing_daily.csv", "cnt")
    assert (len(rentals), int(rentals.sum())) == (731, 3_292_679)
    tried = backtest(rentals, 14)
    mase = {
        model: np.mean([accuracy(t.actual, t.ahead.middle, (), 7).mae / t.scale for t in tried if t.model == model])
        for model in LADDER
    }
    assert min(mase.values()) < 0.95 * mase["seasonal_naive"]
    judged = judge(rentals[None, :], counts=[True])
    days = [dt.date(2011, 1, 1) + dt.timedelta(days=int(n)) for n in judged.anomaly[0].nonzero()[0]]
    assert dt.date(2012, 10, 29) in days
    assert len(days) <= 5


def test_look_ahead_takes_the_year_where_there_are_two():
    values = peyton_manning()[:1500]
    told = look_ahead(values, 365, ["harmonic"])["harmonic"].middle
    assert told[200:300].mean() != pytest.approx(told[20:120].mean(), rel=0.05)
