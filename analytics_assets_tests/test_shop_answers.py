"""What was planted in the synthetic shop is found by the tables that a team reads, computed without a run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from ibis.expr.types import Table

import analytics_assets.shop
from analytics_assets.analysis.periods import Period
from analytics_assets.analysis.retention import Retention, retention_cells, retention_curve
from analytics_assets.analysis.sessions import sessionize
from analytics_assets.assets.activity import retentions
from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.funnels import funnels
from analytics_assets.assets.shop import _undisturbed
from analytics_assets.contracts.star import FACT_EVENTS
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.project.shop import Dirt, Shop
from analytics_assets.sources.shop.delivery import deliver
from analytics_assets.sources.shop.truth import truths
from analytics_assets.sources.shop.visits import PURCHASE
from analytics_assets.sources.shop.world import World
from analytics_assets.statistics.proportions import wilson
from analytics_assets_tests.answers import Row
from analytics_assets_tests.making import engine

__all__ = ["engine"]

pytestmark = pytest.mark.slow
Z99 = 2.5758293035489004
PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))
CLEAN = dict.fromkeys(Dirt.model_fields, 0)


@pytest.fixture(scope="module")
def shop() -> Project:
    declared = load_project(PACKAGED, {})
    shop = Shop.model_validate({"seed": 11, "users": 40_000, "products": 200, "days": 365, "dirt": CLEAN})
    return declared.model_copy(update={"shop": shop})


@pytest.fixture(scope="module")
def setting(shop: Project, engine: Any) -> Setting:
    """Stop on the last day before an experiment changes anything."""
    assert shop.shop is not None
    last = shop.first_day + dt.timedelta(days=_undisturbed(shop.shop) - 1)
    return Setting(shop, Days(shop.first_day, last), None, engine.rows)


@pytest.fixture(scope="module")
def events(setting: Setting) -> Table:
    """Give the events of signed-up users, who behave as the parameters say, with our types."""
    delivered = pa.Table.from_batches(deliver(setting.project, "events", setting.days))
    plain = [pa.field(field.name, _value_type(field.type)) for field in delivered.schema]
    rows = ibis.memtable(delivered.cast(pa.schema(plain)))
    rows = rows.filter(rows.user_id.notnull())
    instant = rows.occurred_at.cast("timestamp('UTC', 6)")
    missing = {c.name: ibis.null(c.type) for c in FACT_EVENTS.columns if c.name not in rows.columns}
    typed = rows.mutate(**missing).mutate(occurred_at=instant, day=setting.project.clock().day(instant))
    return conform(sessionize(typed.mutate(is_anonymous=False, is_mapped=False)), FACT_EVENTS)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


@pytest.fixture(scope="module")
def funnel(setting: Setting, events: Table) -> dict[str, list[Row]]:
    """Compute the tables of the packaged funnel `visit`."""
    asked = {asset.name: asset for asset in funnels(setting.project)}
    tables: dict[str, Table] = {"fact_events": events}
    found = {}
    for name in ("funnel_visit_attempts", "funnel_visit", "funnel_visit_friction"):
        rows = setting.collect(conform(asked[name].compute(tables, setting), asked[name].contract))
        schema = ibis.schema({column.name: column.type for column in asked[name].contract.columns})
        tables[name], found[name] = ibis.memtable(pa.Table.from_pylist(rows, schema=schema.to_pyarrow())), rows
    return found


def planted(setting: Setting) -> dict[str, float]:
    told = truths(setting.project, setting.days)
    return {truth.name: truth.value for truth in told if truth.name.startswith("funnel.")}


def test_the_planted_step_rates_and_the_friction_on_phones_are_found(setting, funnel):
    truth = planted(setting)
    whole = {(r["value"], r["name"]): r for r in funnel["funnel_visit"] if r["interval"] == "all"}
    checked = 0
    for (value, name), row in whole.items():
        planted_rate = truth.get(f"funnel.{name}.{value}" if name == "purchase" else f"funnel.{name}")
        if row["step"] == 1 or planted_rate is None:
            continue
        low, high = wilson(row["matured"], row["matured"] + row["drop_off"], Z99) or (0, 0)
        assert low <= planted_rate <= high, (value, name, planted_rate, low, high)
        assert high - low < (0.05 if not value else 0.15)
        checked += 1
    assert checked == 4 * 3 + 3  # three steps of everybody and of each device, and the purchase by device
    assert {row["matured"] for row in whole.values()} != {0}


def test_the_largest_friction_is_the_purchase_on_phones(funnel):
    friction = funnel["funnel_visit_friction"]
    (first,) = [row for row in friction if row["dimension"] and row["rank"] == 1]
    assert (first["dimension"], first["value"], first["name"]) == ("device", "mobile", "purchase")
    assert first["significant"]
    assert first["lost"] > 0
    better = [row for row in friction if row["name"] == "purchase" and row["value"] == "desktop"]
    assert [row["rank"] for row in better] == [None]
    elsewhere = [r for r in friction if r["dimension"] and r["significant"] and r["name"] != "purchase"]
    assert elsewhere == []  # no other step was planted to differ


def test_retention_adds_up_to_the_users(setting, events):
    asked = {asset.name: asset for asset in retentions(setting.project)}
    name = "retention_visits"
    users = events.select("user_id").distinct()
    dims = {
        "dim_users": users.mutate(channel=ibis.literal("ads"), geography_id=ibis.literal("g")),
        "dim_geography": ibis.memtable({"geography_id": ["g"], "country": ["DE"]}),
    }
    cells = setting.collect(
        conform(asked[name].compute({"fact_events": events, **dims}, setting), asked[name].contract)
    )
    first = [row for row in cells if row["period"] == 0 and not row["dimension"]]
    assert sum(row["users"] for row in first) == setting.collect(users.aggregate(n=users.count()))[0]["n"]
    assert all(row["retained"] == row["users"] for row in first)


def planted_retention(shop: Shop, begin: float, end: float) -> float:
    """Give P(a customer orders between two operational days after the first order), from the definition of BG/NBD.

    A customer who orders at rate l and drops out after an order with probability p is alive at t with probability
    exp(-l p t). With l ~ gamma(r, alpha) the integral over l is closed; that over p ~ beta(a, b) is a mean of draws.
    """
    told = shop.purchases
    drops = np.random.default_rng(5).beta(told.a, told.b, 400_000)
    alive = (told.alpha / (told.alpha + drops * begin)) ** told.r
    alive_without = (told.alpha / (told.alpha + drops * begin + end - begin)) ** told.r
    return float(np.mean(alive - alive_without))


def test_the_retention_that_the_process_of_purchases_plants_is_recovered(engine):
    shop = Shop(preset="plain", seed=3, users=30_000, days=365)
    world = World(shop, dt.date(2025, 1, 1), "UTC")
    users, moments = [], []
    for number in range(365):
        visits = world.day(number).visits
        bought = visits[visits["deep"] == PURCHASE]
        users.append(bought["user"])
        # the clock of a plain shop is operational time itself, which the hour of a visit is not
        moments.append(np.datetime64("2025-01-01", "us") + (bought["clock"] * 86_400_000_000).astype("timedelta64[us]"))
    orders = ibis.memtable(
        pa.table(
            {
                "user_id": pa.array(np.concatenate(users)).cast(pa.string()),
                "day": pa.array(np.concatenate(moments).astype("datetime64[D]")),
                "occurred_at": pa.array(np.concatenate(moments)).cast(pa.timestamp("us", "UTC")),
            }
        )
    )
    monthly = Retention(Period("month"), periods=7, elapsed=True)
    cells = retention_cells(orders, orders, monthly, dt.date(2025, 1, 1), dt.date(2025, 12, 31))
    curve = {row["period"]: row for row in engine.rows(retention_curve(cells))}
    for period in range(1, 7):
        row = curve[period]
        low, high = wilson(row["retained"], row["users"], Z99) or (0, 0)
        truth = planted_retention(shop, 30 * period, 30 * (period + 1))
        assert low < truth < high, (period, row, truth)
        assert row["users"] > 1_000
