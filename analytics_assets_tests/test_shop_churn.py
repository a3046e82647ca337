"""The churn model on the year of the demo comes close to the best that is possible, which the shop knows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from ibis.expr.types import Table

import analytics_assets.shop
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.churn_model import (
    customer_churn_features,
    customer_churn_importance,
    customer_churn_performance,
    customer_churn_predictions,
    customer_churn_risk,
)
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import DIM_GEOGRAPHY, DIM_USERS, FACT_SESSIONS, FACT_USER_DAY_EVENTS
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.loading import load_project
from analytics_assets.project.shop import DEVICES, SEGMENTS
from analytics_assets.sources.shop.orders import CANCELLED
from analytics_assets.sources.shop.truth import HORIZON, ChurnCeiling, History, area_under_curve
from analytics_assets.sources.shop.visits import STEPS, USER
from analytics_assets.sources.shop.vocabulary import COUNTRIES
from analytics_assets.sources.shop.world import World
from analytics_assets_tests.making import engine

__all__ = ["engine"]

pytestmark = pytest.mark.slow
Row = dict[str, Any]
PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))


@dataclass(frozen=True)
class Found:
    """Hold the tables of the churn model, and the best that is possible at the same cut."""

    tables: dict[str, list[Row]]
    ceiling: ChurnCeiling


def _table(contract: Any, columns: dict[str, Any]) -> Table:
    rows = ibis.memtable(pa.table(columns))
    missing = {c.name: ibis.null(c.type) for c in contract.columns if c.name not in rows.columns}
    return conform(rows.mutate(**missing), contract)


def _names(kind: str, numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add(kind, numbers.astype(str)))


@pytest.fixture(scope="module")
def found(engine: Any) -> Found:
    """Live through the year, make of it what the model reads, and ask what is known at the cut of the test."""
    project = load_project(PACKAGED, {})
    assert project.shop is not None
    world = World(project.shop, project.first_day, project.time_zone)
    last = project.shop.days - 1
    history = History(world, last - HORIZON)
    parts: dict[str, list[Any]] = {"visits": [], "lines": [], "people": []}
    day_of: list[int] = []
    for number in range(last + 1):
        lived = world.day(number)
        history.add(lived)
        visits = lived.visits[lived.visits["kind"] == USER]
        parts["visits"].append(visits)
        day_of += [number] * len(visits)
        parts["lines"].append(lived.lines[lived.lines["status"] != CANCELLED])
        parts["people"].append((number, lived.people))
    chance, churned = history.churn(HORIZON)
    ceiling = ChurnCeiling(area_under_curve(chance, churned), len(churned), int(churned.sum()))
    days = Days(project.first_day, project.first_day + dt.timedelta(days=last))
    setting = Setting(project, days, days, engine.rows)
    tables = _tables(project.first_day, parts, np.array(day_of))
    rows: dict[str, list[Row]] = {}
    for function in (
        customer_churn_features, customer_churn_predictions, customer_churn_risk, customer_churn_performance,
        customer_churn_importance,
    ):  # fmt: skip
        asset = declaration(function)
        made = engine.backend.to_pyarrow(conform(asset.compute(tables, setting), asset.contract))
        tables[asset.name] = ibis.memtable(made)
        rows[asset.name] = made.to_pylist() if made.num_rows < 2_000 else []
    return Found(rows, ceiling)


def _tables(first: dt.date, parts: dict[str, list[Any]], day_of: np.ndarray) -> dict[str, Table]:
    midnight = np.datetime64(first, "D")

    def instants(days: np.ndarray, milliseconds: np.ndarray) -> pa.Array:
        told = (midnight + days).astype("datetime64[us]") + (milliseconds * 1_000).astype("timedelta64[us]")
        return pa.array(told).cast(pa.timestamp("us", "UTC"))

    visits, lines = (np.concatenate(parts[name]) for name in ("visits", "lines"))
    _, firsts, of = np.unique(
        lines["day"].astype(np.int64) * 10**6 + lines["order"], return_index=True, return_inverse=True
    )
    one = lines[firsts]
    sums = {name: np.bincount(of, lines[name]) / 100 for name in ("net", "discount")}
    orders = {
        "order_id": _names("o", firsts), "user_id": _names("u", one["user"]), "day": pa.array(midnight + one["day"]),
        "ordered_at": instants(one["day"], one["at"]), **sums, "gross": sums["net"] + sums["discount"],
    }  # fmt: skip
    who = [people for _, people in parts["people"]]
    joined = {
        name: np.concatenate([getattr(p, name) for p in who]) for name in ("number", "segment", "device", "country")
    }
    signed = np.repeat([number for number, _ in parts["people"]], [len(people) for people in who])
    countries = [country.code for country in COUNTRIES]
    people = {
        "user_id": _names("u", joined["number"]), "segment": np.array(SEGMENTS)[joined["segment"]],
        "device": np.array(DEVICES)[joined["device"]], "geography_id": np.array(countries)[joined["country"]],
        "signed_up_on": pa.array(midnight + signed),
    }  # fmt: skip
    steps = [(day_of[visits["deep"] > place], visits["user"][visits["deep"] > place]) for place in range(len(STEPS))]
    did = {
        "user_id": _names("u", np.concatenate([user for _, user in steps])),
        "day": pa.array(midnight + np.concatenate([day for day, _ in steps])),
        "event_type": np.repeat(STEPS, [len(day) for day, _ in steps]),
        "events": np.ones(sum(len(day) for day, _ in steps), dtype=np.int64),
    }
    seen = {
        "user_id": _names("u", visits["user"]), "day": pa.array(midnight + day_of),
        "started_at": instants(day_of, visits["start"]),
    }  # fmt: skip
    return {
        "order_value": _table(ORDER_VALUE, orders),
        "fact_sessions": _table(FACT_SESSIONS, seen),
        "fact_user_day_events": _table(FACT_USER_DAY_EVENTS, did),
        "dim_users": _table(DIM_USERS, people),
        "dim_geography": _table(DIM_GEOGRAPHY, {"geography_id": countries, "country": countries}),
    }


def measure(found: Found, model: str, metric: str) -> Row:
    told = found.tables["customer_churn_performance"]
    (row,) = [row for row in told if (row["model"], row["metric"]) == (model, metric)]
    return row


def test_churn_is_told_within_two_hundredths_of_the_best_that_is_possible(found):
    area = measure(found, "boosting", "auc")
    assert abs(area["value"] - found.ceiling.auc) < 0.02
    assert found.ceiling.auc == pytest.approx(0.905, abs=0.003)
    assert area["churn_days"] == HORIZON
    # orders that are cancelled do not count, and make no customer
    assert 0.95 * found.ceiling.customers < area["customers"] < found.ceiling.customers


def test_boosting_is_better_than_its_baselines_and_may_be_taken_at_its_word(found):
    area = measure(found, "boosting", "auc")
    assert (area["verdict"], area["state"]) == ("better", "fitted")
    assert area["gain_low"] > 0
    assert measure(found, "boosting", "calibration_error")["verdict"] == "calibrated"
    assert measure(found, "bg_nbd", "auc")["value"] < area["value"] - 0.1  # it knows nothing of visits
    assert measure(found, "boosting", "brier")["value"] < measure(found, "bg_nbd", "brier")["value"]


def test_it_rests_on_what_the_best_possible_is_made_of(found):
    themes = [row for row in found.tables["customer_churn_importance"] if not row["feature"]]
    best = [row["theme"] for row in sorted(themes, key=lambda row: row["rank"])]
    assert set(best[:3]) == {"last visit", "visits", "visits without an order"}
    segment = next(row for row in themes if row["theme"] == "segment")
    channel = next(row for row in themes if row["theme"] == "channel")
    assert segment["drop"] > channel["drop"]


def test_the_list_is_full_and_says_why(found):
    listed = found.tables["customer_churn_risk"]
    assert len(listed) == 1_000
    assert sum(not row["reasons"] for row in listed) < 20  # usual customers may be at risk too
    assert sum("session" in row["reasons"] for row in listed) > 900
