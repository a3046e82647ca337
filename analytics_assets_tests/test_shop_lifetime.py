"""BG/NBD and Gamma-Gamma as planted in the synthetic shop are found again, from instants and from days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import ibis
import numpy as np
import pyarrow as pa
import pytest
from ibis.expr.types import Table

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.lifetime import clv_calibration, clv_fit, clv_model
from analytics_assets.contracts.lifetime import CLV_CALIBRATION, CLV_FIT, CLV_MODEL
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.visits import PURCHASE
from analytics_assets.sources.shop.world import World
from analytics_assets.statistics.lifetime import Z99, fit_bg_nbd, fit_gamma_gamma
from analytics_assets_tests.making import engine, project, table

__all__ = ["engine"]

pytestmark = pytest.mark.slow
FIRST, DAYS = dt.date(2025, 1, 1), 365
SHOP = Shop(preset="plain", users=30_000, days=DAYS)
PLANTED = {
    **{name: getattr(SHOP.purchases, name) for name in ("r", "alpha", "a", "b")},
    **{name: getattr(SHOP.spend, name) for name in ("p", "q", "gamma")},
}


@dataclass(frozen=True)
class Bought:
    """Every order of a plain shop, by customer and time: when by the clock of its process, and net in cents."""

    user: np.ndarray
    clock: np.ndarray
    cents: np.ndarray

    @property
    def day(self) -> np.ndarray:
        return np.floor(self.clock).astype(int)


@pytest.fixture(scope="module")
def bought() -> Bought:
    world = World(SHOP, FIRST, "UTC")
    parts = []
    for number in range(DAYS):
        today = world.day(number)
        visits = today.visits[today.visits["deep"] == PURCHASE]
        net = np.bincount(today.lines["order"], today.lines["net"], 1)
        parts.append((visits["user"], visits["clock"], net[visits["order"]]))
    user, clock, cents = (np.concatenate(each) for each in zip(*parts, strict=True))
    turn = np.lexsort((clock, user))
    return Bought(user[turn], clock[turn], cents[turn])


def test_from_the_instants_of_orders_both_models_are_found(bought):
    """Nothing is between the process and the likelihood here: time runs on, and every order is one."""
    first = np.flatnonzero(np.diff(bought.user, prepend=-1))
    count = np.diff(first, append=len(bought.user))
    x, begun = count - 1.0, bought.clock[first]
    spent = (np.add.reduceat(bought.cents, first) - bought.cents[first]) / 100
    again = x > 0
    orders = fit_bg_nbd(x, bought.clock[first + count - 1] - begun, DAYS - begun)
    value = fit_gamma_gamma(x[again], spent[again] / x[again])
    assert (orders.state, value.state) == ("fitted", "fitted")
    for estimate in (*orders.estimates, *value.estimates):
        low, high = estimate.interval(Z99) or (0, 0)
        assert low < PLANTED[estimate.name] < high, estimate
        assert high / low < 2.5


@pytest.fixture(scope="module")
def setting(engine) -> Setting:
    days = Days(FIRST, FIRST + dt.timedelta(days=DAYS - 1))
    return Setting(project(first_day=FIRST), days, days, engine.rows)


@pytest.fixture(scope="module")
def orders(bought) -> Table:
    """Give the columns of `order_value` that are read."""
    days = np.datetime64(FIRST) + bought.day
    rows = pa.table({"user_id": pa.array(bought.user).cast(pa.string()), "day": days, "cents": bought.cents})
    told = ibis.memtable(rows)
    return told.select("user_id", "day", net=(told.cents.cast("decimal(18, 4)") / 100).cast("decimal(18, 4)"))


def test_from_the_days_of_orders_both_models_are_found_through_the_tables(engine, setting, orders):
    """Whole days move r and alpha up by some percent (docs/lifetime_value.md), less than the intervals do."""
    model = engine.rows(conform(clv_model(setting, orders), CLV_MODEL))
    found = {row["parameter"]: row for row in model if row["fitted_on"] == "all"}
    assert {row["state"] for row in found.values()} == {"fitted"}
    for name, planted in PLANTED.items():
        assert found[name]["low_99"] < planted < found[name]["high_99"], found[name]
    models = table(CLV_MODEL, *model)
    calibration = table(
        CLV_CALIBRATION, *engine.rows(conform(clv_calibration(setting, orders, models), CLV_CALIBRATION))
    )
    fits = engine.rows(conform(clv_fit(setting, models, calibration), CLV_FIT))
    (missed,) = [row["holdout_error"] for row in fits if row["holdout_error"] is not None]
    assert abs(missed) < 0.06
    assert {row["spend_independence"] for row in fits if row["model"] == "gamma_gamma"} == {"not refuted"}
