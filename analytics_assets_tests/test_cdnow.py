"""CDNOW: what Fader, Hardie and Lee published of 2,357 customers, found again from the log of their orders."""

from __future__ import annotations

import csv
import datetime as dt
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ibis.expr.types import Table

from analytics_assets.analysis.lifetime import alike_lives, customer_lives, later_orders
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.lifetime import clv_calibration, clv_fit, clv_model, clv_tracking
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.statistics.lifetime import (
    GammaGamma,
    expected_orders,
    fit_bg_nbd,
    fit_gamma_gamma,
    gamma_gamma_log_likelihood,
)
from analytics_assets_tests.answers import Row
from analytics_assets_tests.making import engine, project, table

__all__ = ["engine"]

SHARED = Path(os.environ.get("ANALYTICS_SHARED", Path(__file__).resolve().parents[2] / "shared"))
FOLDER = SHARED / "data/cdnow"
WHOLE = Days(dt.date(1997, 1, 1), dt.date(1998, 6, 30))
CUT = dt.date(1997, 9, 30)
"""The last day of the 39th week: half of the 78."""
WEEK = 7

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no data in {FOLDER}: set ANALYTICS_SHARED"),
]


@pytest.fixture(scope="module")
def orders() -> Table:
    """Read the log: master id, sample id, day, CDs, dollars."""
    lines = [line.split() for line in (FOLDER / "CDNOW_sample.txt").read_text().splitlines() if line.strip()]
    rows = (
        {"user_id": number, "day": dt.datetime.strptime(when, "%Y%m%d").date(), "net": dollars}  # noqa: DTZ007 (a day)
        for _, number, when, _, dollars in lines
    )
    return table({"user_id": "string", "day": "date", "net": "decimal(18, 4)"}, *rows)


@pytest.fixture(scope="module")
def lives(engine, orders) -> list[Row]:
    return sorted(engine.rows(customer_lives(orders, CUT)), key=lambda row: row["user_id"])


def columns(rows: list[Row], *names: str) -> list[np.ndarray]:
    return [np.array([row[name] for row in rows], dtype=float) for name in names]


def test_the_lives_of_all_customers_are_the_published_ones(lives):
    with (FOLDER / "cdnow_customers_summary_with_transactions.csv").open() as file:
        published = list(csv.DictReader(file))
    assert len(lives) == len(published) == 2_357
    for ours, theirs in zip(lives, published, strict=True):
        assert int(ours["user_id"]) == int(theirs["ID"])
        assert ours["x"] == int(theirs["x"])
        # theirs are weeks with two decimals, of which each is another day
        assert ours["t_x"] == round(float(theirs["t_x"]) * WEEK)
        assert ours["age"] == round(float(theirs["T"]) * WEEK)
        assert (ours["mean_value"] or 0.0) == pytest.approx(float(theirs["zbar"]), abs=0.00501)


def test_bg_nbd_is_the_published_fit(engine, orders, lives):
    alike = engine.rows(alike_lives(customer_lives(orders, CUT)))
    x, t_x, age, number = columns(alike, "x", "t_x", "age", "customers")
    fit = fit_bg_nbd(x, t_x / WEEK, age / WEEK, number)
    assert fit.state == "fitted"
    assert (fit.customers, fit.repeat_customers) == (2_357, 946)
    r, alpha, a, b = (estimate.value for estimate in fit.estimates)
    assert (round(r, 3), round(alpha, 3), round(a, 3), round(b, 3)) == (0.243, 4.414, 0.793, 2.426)
    assert fit.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    days = fit_bg_nbd(x, t_x, age, number)
    assert (days.model.r, days.model.a, days.model.b) == pytest.approx((r, a, b), rel=1e-7)
    assert days.model.alpha == pytest.approx(alpha * WEEK, rel=1e-7)
    assert days.log_likelihood + (x @ number) * math.log(WEEK) == pytest.approx(fit.log_likelihood)
    # customer 1 of the paper
    assert float(expected_orders(fit.model, 2, 30.43, 38.86, 39)) == pytest.approx(1.226, abs=5e-4)
    x, t_x, age = columns(lives, "x", "t_x", "age")
    assert expected_orders(days.model, x, t_x, age, 39 * WEEK).sum() == pytest.approx(1653.42, abs=0.2)


def test_the_holdout_has_the_published_orders(engine, orders):
    later = engine.rows(later_orders(customer_lives(orders, CUT), orders, CUT, WHOLE.last))
    assert sum(row["later_orders"] for row in later) == 1_882


def test_gamma_gamma_is_the_published_fit(lives):
    x, mean = columns([row for row in lives if row["x"]], "x", "mean_value")
    fit = fit_gamma_gamma(x, mean)
    assert (fit.state, fit.repeat_customers, fit.left_out) == ("fitted", 946, 0)
    p, q, gamma = (estimate.value for estimate in fit.estimates)
    assert (round(p, 2), round(q, 2)) == (6.25, 3.74)
    assert gamma == pytest.approx(15.44, abs=0.02)
    # the published parameters are rounded: they are almost as likely, and not more
    published = gamma_gamma_log_likelihood(GammaGamma(6.25, 3.74, 15.44), x, mean)
    assert fit.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    assert published < fit.log_likelihood < published + 0.01


@pytest.fixture(scope="module")
def told(engine, orders) -> dict[str, list[Row]]:
    """Compute the tables with half of the days as the horizon."""
    setting = Setting(project(first_day=WHOLE.first, customers={"horizon_days": 39 * WEEK}), WHOLE, WHOLE, engine.rows)
    tables: dict[str, Any] = {"order_value": orders}
    found = {}
    for asset in map(declaration, (clv_model, clv_calibration, clv_tracking, clv_fit)):
        found[asset.name] = engine.rows(
            conform(asset.compute(tables, setting), asset.contract).order_by(asset.contract.key)
        )
        tables[asset.name] = table(asset.contract, *found[asset.name])
    return found


def test_the_tables_tell_the_published_figures(told):
    estimates = {row["parameter"]: row["estimate"] for row in told["clv_model"] if row["fitted_on"] == "calibration"}
    assert estimates["alpha"] / WEEK == pytest.approx(4.414, abs=1e-3)
    assert [round(estimates[name], 3) for name in ("r", "a", "b")] == [0.243, 0.793, 2.426]
    assert estimates["gamma"] == pytest.approx(15.44, abs=0.02)
    (fit,) = (row for row in told["clv_fit"] if (row["fitted_on"], row["model"]) == ("calibration", "bg_nbd"))
    assert (fit["until"], fit["holdout_days"], fit["holdout_orders"]) == (CUT, 273, 1_882)
    assert fit["holdout_expected"] == pytest.approx(1653.42, abs=0.2)
    assert fit["holdout_error"] == pytest.approx(-0.1215, abs=5e-4)
    assert [row["customers"] for row in told["clv_calibration"]] == [1411, 439, 214, 100, 62, 38, 29, 64]
    (value,) = (row for row in told["clv_fit"] if (row["fitted_on"], row["model"]) == ("calibration", "gamma_gamma"))
    assert value["spend_independence"] == "not refuted"


def test_cumulative_orders_are_followed_through_78_weeks(told):
    weeks = told["clv_tracking"]
    assert len(weeks) == 78
    assert sum(row["in_calibration"] for row in weeks) == 39
    half, last = weeks[38], weeks[-1]
    assert (half["customers"], last["customers"]) == (2_357, 2_357)
    assert last["orders"] == half["orders"] + 1_882
    assert half["expected_orders"] == pytest.approx(half["orders"], rel=0.02)
    assert last["expected_orders"] == pytest.approx(last["orders"], rel=0.05)
