"""The churn model on shops made up for it: what it finds, what it says of itself, and shops that it cannot model."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from ibis.expr.types import Table

from analytics_assets.assets import churn_model
from analytics_assets.assets.catalog import Setting, declaration
from analytics_assets.assets.churn_model import (
    _number,
    customer_churn_calibration,
    customer_churn_features,
    customer_churn_importance,
    customer_churn_performance,
    customer_churn_predictions,
    customer_churn_risk,
)
from analytics_assets.contracts.audit import audit_expression, read_audit
from analytics_assets.contracts.churn_model import FEATURES, MODELS
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import DIM_GEOGRAPHY, DIM_USERS, FACT_RETURNS, FACT_SESSIONS, FACT_USER_DAY_EVENTS
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.business import Customers
from analytics_assets_tests.making import project, table

Row = dict[str, Any]
Found = dict[str, list[Row]]
FUNCTIONS = (
    customer_churn_features, customer_churn_predictions, customer_churn_risk, customer_churn_performance,
    customer_churn_calibration, customer_churn_importance,
)  # fmt: skip
FIRST, WINDOW = dt.date(2024, 1, 1), 20
LAST = 180
"""Days of history, numbered from 0."""


def on(number: float) -> Row:
    moment = dt.datetime.combine(FIRST, dt.time(0), dt.UTC) + dt.timedelta(days=number)
    return {"day": moment.date(), "at": moment}


def order(user: str | None, number: float, net: float = 20, **says: Any) -> Row:
    moment = on(number)
    told = {"order_id": f"{user}@{number}", "gross": net, "discount": 0, "net": net, **says}
    return {"day": moment["day"], "ordered_at": moment["at"], "user_id": user, **told}


def session(user: str, number: float) -> Row:
    moment = on(number)
    return {"day": moment["day"], "started_at": moment["at"], "user_id": user, "session_id": f"{user}@{number}"}


def living(customers: int = 500, last: int = LAST, seed: int = 1) -> dict[str, list[Row]]:
    """Let customers come at an own rate, order in a third of their visits, and leave for good after some orders.

    Those of the segment `fickle` leave far more often; a channel says nothing.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Row]] = {"orders": [], "sessions": [], "users": []}
    for place in range(customers):
        user, now = f"u{place:04}", float(rng.uniform(0, last * 0.8))
        fickle, rate = bool(rng.random() < 0.4), float(rng.gamma(2, 0.08)) + 0.01
        rows["users"].append(
            {
                "user_id": user,
                "segment": "fickle" if fickle else "true",
                "channel": str(rng.choice(["ads", "mail"])),
                "signed_up_on": on(now)["day"],
                "geography_id": "g",
            }
        )
        first = True
        while now < last + 1:
            rows["sessions"].append(session(user, now))
            if first or rng.random() < 1 / 3:
                rows["orders"].append(order(user, now + 0.001, float(rng.integers(5, 60))))
                if not first and rng.random() < (0.7 if fickle else 0.05):
                    break
            first, now = False, now + float(rng.exponential(1 / rate))
    return rows


def tables(rows: Mapping[str, Sequence[Row]]) -> dict[str, Table]:
    kinds = {
        "orders": ORDER_VALUE, "sessions": FACT_SESSIONS, "users": DIM_USERS, "returns": FACT_RETURNS,
        "events": FACT_USER_DAY_EVENTS, "places": DIM_GEOGRAPHY,
    }  # fmt: skip
    names = {
        "orders": "order_value", "sessions": "fact_sessions", "users": "dim_users", "returns": "fact_returns",
        "events": "fact_user_day_events", "places": "dim_geography",
    }  # fmt: skip
    return {names[name]: table(kinds[name], *told) for name, told in rows.items()}


def setting(engine: Any, last: int = LAST, window: int = WINDOW) -> Setting:
    days = Days(FIRST, FIRST + dt.timedelta(days=last))
    return Setting(project(first_day=FIRST, customers=Customers(churn_days=window)), days, days, engine.rows)


def answers(engine: Any, rows: Mapping[str, Sequence[Row]], within: Setting | None = None) -> tuple[Found, list[str]]:
    """Compute every table, one after the other; return them, and the warnings. An error fails at once."""
    known, found, warned = tables(rows), Found(), []
    for function in FUNCTIONS:
        asset = declaration(function)
        made = engine.rows(conform(asset.compute(known, within or setting(engine)), asset.contract))
        known[asset.name] = table(asset.contract, *made)
        audit = read_audit(engine.rows(audit_expression(known[asset.name], asset.contract, {})), asset.contract, {})
        broken = [finding for finding in audit.findings if not finding.holds]
        assert not [str(finding) for finding in broken if finding.severity == "error"]
        warned += [f"{asset.name}: {finding}" for finding in broken]
        found[asset.name] = made
    return found, warned


@pytest.fixture(scope="module")
def shop() -> dict[str, list[Row]]:
    return living()


@pytest.fixture(scope="module")
def found(engine, shop) -> Found:
    return answers(engine, shop)[0]


def measure(found: Found, model: str, metric: str) -> Row:
    (row,) = [r for r in found["customer_churn_performance"] if (r["model"], r["metric"]) == (model, metric)]
    return row


# --- what it finds ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_churn_is_told_better_than_from_orders_alone(found):
    areas = {model: measure(found, model, "auc")["value"] for model in MODELS}
    assert areas["boosting"] > 0.75
    assert areas["boosting"] > areas["bg_nbd"] + 0.03
    row = measure(found, "boosting", "auc")
    assert row["low"] < row["value"] < row["high"]
    assert row["gain"] == pytest.approx(areas["boosting"] - areas[row["baseline"]])
    assert row["baseline"] == max(("logistic", "bg_nbd"), key=areas.__getitem__)
    assert row["verdict"] == ("better" if row["gain"] > 0 else "no better")
    assert {r["state"] for r in found["customer_churn_performance"]} == {"fitted"}
    assert len(found["customer_churn_performance"]) == 3 * 5


def test_the_test_comes_after_the_training_and_ends_today(found):
    row = measure(found, "boosting", "auc")
    assert row["test_cut"] == on(LAST - WINDOW)["day"]
    assert row["trained_to"] == on(LAST - 2 * WINDOW)["day"]
    assert row["trained_from"] == on(LAST - 3 * WINDOW)["day"]
    tested = [r for r in found["customer_churn_predictions"] if r["sample"] == "test"]
    assert {r["cut"] for r in tested} == {row["test_cut"]}
    assert (row["customers"], row["churned"]) == (len(tested), sum(r["churned"] for r in tested))
    trained = [r for r in found["customer_churn_features"] if row["trained_from"] <= r["cut"] <= row["trained_to"]]
    assert row["trained_on"] == len(trained)


def test_every_customer_has_a_prediction_a_rank_and_a_band(found, shop):
    today = [r for r in found["customer_churn_predictions"] if r["sample"] == "today"]
    assert sorted(r["user_id"] for r in today) == sorted({r["user_id"] for r in shop["orders"]})
    assert {r["churned"] for r in today} == {None}
    by_rank = sorted(today, key=lambda r: r["rank"])
    assert [r["rank"] for r in by_rank] == list(range(1, len(today) + 1))
    assert [(-r["boosting"], r["user_id"]) for r in by_rank] == sorted((-r["boosting"], r["user_id"]) for r in today)
    for row in today:
        assert row["band"] == ("high" if row["boosting"] >= 0.8 else "medium" if row["boosting"] >= 0.5 else "low")
        assert row["expected_loss"] == pytest.approx(row["boosting"] * row["value"])


@pytest.mark.slow
def test_what_a_customer_brings_is_judged_by_the_past_and_never_below_zero(engine, shop):
    more = [order("new", LAST, 300), order("minus", 0, -50), order("old", 0, 90), order("old", LAST, 90)]
    found, _ = answers(engine, {**shop, "orders": [*shop["orders"], *more]})
    value = {r["user_id"]: r["value"] for r in found["customer_churn_predictions"] if r["sample"] == "today"}
    assert (value["new"], value["minus"]) == (300, 0)
    assert value["old"] == pytest.approx(180 / LAST * WINDOW)


def test_the_list_is_of_the_high_band_by_expected_loss_with_reasons(found):
    listed = sorted(found["customer_churn_risk"], key=lambda r: r["place"])
    high = [r for r in found["customer_churn_predictions"] if r["sample"] == "today" and r["band"] == "high"]
    assert sorted(r["user_id"] for r in listed) == sorted(r["user_id"] for r in high)
    assert [r["place"] for r in listed] == list(range(1, len(listed) + 1))
    losses = [r["expected_loss"] for r in listed]
    assert losses == sorted(losses, reverse=True)
    features = {r["user_id"]: r for r in found["customer_churn_features"] if r["churned"] is None}
    for row in listed:
        told = features[row["user_id"]]
        assert (row["net"], row["days_since_visit"]) == (told["net"], told["days_since_visit"])
        assert 0 <= len(row["reasons"].split("; ")) <= 3
    said = " ".join(r["reasons"] for r in listed)
    assert re.search(r"days since the last session: \d+ \(usual: [\d.]+\)", said)
    assert "segment: fickle" in said
    assert "segment: true (" not in said
    assert not [r for r in found["customer_churn_predictions"] if r["reasons"] is not None and r["band"] != "high"]


@pytest.mark.slow
def test_only_so_many_are_listed(engine, shop, monkeypatch):
    monkeypatch.setattr(churn_model, "_LISTED", 7)
    found, _ = answers(engine, shop)
    assert len(found["customer_churn_risk"]) == 7


def test_the_ranking_rests_on_what_was_planted(found):
    themes = {r["theme"]: r for r in found["customer_churn_importance"] if not r["feature"]}
    assert set(themes) == {f.theme for f in FEATURES}
    assert themes["last visit"]["rank"] == 1
    assert themes["segment"]["drop"] > themes["channel"]["drop"] + 0.003
    assert (themes["country"]["drop"], themes["returns"]["drop"]) == (0, 0)
    alone = [r for r in found["customer_churn_importance"] if r["feature"]]
    assert {(r["theme"], r["feature"]) for r in alone} == {(f.theme, f.name) for f in FEATURES}
    assert sorted(r["rank"] for r in alone) == list(range(1, len(FEATURES) + 1))


def test_the_calibration_curve_is_of_the_tests_customers(found):
    for model in MODELS:
        bins = [r for r in found["customer_churn_calibration"] if r["model"] == model]
        row = measure(found, model, "calibration_error")
        assert sum(r["customers"] for r in bins) == row["customers"]
        assert sum(r["churned"] for r in bins) == row["churned"]
        error = sum(r["customers"] * abs(r["observed"] - r["predicted"]) for r in bins) / row["customers"]
        assert row["value"] == pytest.approx(error)
    assert measure(found, "boosting", "bias")["value"] == pytest.approx(
        np.mean([r["boosting"] - r["churned"] for r in found["customer_churn_predictions"] if r["sample"] == "test"])
    )


@pytest.mark.slow
def test_neither_the_order_of_rows_nor_another_run_changes_anything(engine, shop, found):
    turned = {name: rows[::-1] for name, rows in shop.items()}
    again, _ = answers(engine, turned)
    for name, rows in found.items():
        key = next(declaration(f).contract.key for f in FUNCTIONS if declaration(f).name == name)
        ordered = [sorted(told, key=lambda row: [str(row[k]) for k in key]) for told in (rows, again[name])]
        assert ordered[0] == ordered[1], name


@pytest.mark.slow
def test_today_is_the_last_day_delivered_and_later_orders_are_not_read(engine, shop):
    early, _ = answers(engine, shop, setting(engine, LAST - 30))
    cut = {name: [r for r in rows if r.get("day", FIRST) <= on(LAST - 30)["day"]] for name, rows in shop.items()}
    only, _ = answers(engine, cut, setting(engine, LAST - 30))
    assert measure(early, "boosting", "auc") == measure(only, "boosting", "auc")


@pytest.mark.slow
def test_no_prediction_of_the_test_changes_with_what_came_after_its_cut(engine, shop, found):
    """Every other customer leaves for good on the day after the cut, or comes each day."""
    cut = LAST - WINDOW
    after = on(cut)["day"]
    names = sorted({row["user_id"] for row in shop["orders"]})
    gone, back = set(names[::2]), names[1::2]
    other = {
        name: [row for row in shop[name] if row["day"] <= after or row["user_id"] not in gone]
        for name in ("orders", "sessions")
    }
    other["orders"] += [order(user, day + 0.5) for user in back for day in range(cut + 1, LAST + 1)]
    other["sessions"] += [session(user, day + 0.4) for user in back for day in range(cut + 1, LAST + 1)]
    changed, _ = answers(engine, {**shop, **other})

    def tested(tables: Found) -> dict[str, tuple[float, ...]]:
        rows = [row for row in tables["customer_churn_predictions"] if row["sample"] == "test"]
        return {row["user_id"]: tuple(row[model] for model in MODELS) for row in rows}

    assert tested(changed) == tested(found)
    assert measure(changed, "boosting", "auc")["value"] != measure(found, "boosting", "auc")["value"]


# --- what it says of itself -------------------------------------------------------------------------------------------


def by_chance(seed: int = 3) -> dict[str, list[Row]]:
    """Let everybody order on any day with the same probability: there is nothing to know."""
    rng = np.random.default_rng(seed)
    days = [np.flatnonzero(rng.random(LAST + 1) < 0.05) for _ in range(300)]
    return {"orders": [order(f"u{place}", int(day)) for place, told in enumerate(days) for day in told]}


@pytest.mark.slow
def test_a_model_that_is_no_better_or_off_is_warned_of(engine, monkeypatch):
    monkeypatch.setattr(churn_model, "OFF", 0.0)
    found, warned = answers(engine, by_chance())
    row = measure(found, "boosting", "auc")
    assert row["verdict"] == ("better" if row["gain"] > 0 else "no better")
    assert measure(found, "boosting", "calibration_error")["verdict"] == "off"
    assert [text for text in warned if "verdict is one of better, calibrated" in text]


def test_a_worse_ranking_than_the_baselines_is_no_better():
    rng = np.random.default_rng(1)
    happened = rng.random(400) < 0.5
    good = np.where(happened, 0.6, 0.4) + rng.normal(0, 0.1, 400)
    rows = [
        {"user_id": str(n), "churned": bool(h), "boosting": float(b), "logistic": float(g), "bg_nbd": None}
        for n, (h, g, b) in enumerate(zip(happened, good, rng.random(400), strict=True))
    ]
    found = churn_model._measured(rows)
    assert found["boosting", "auc"]["verdict"] == "no better"
    assert found["boosting", "auc"]["baseline"] == "logistic"
    assert found["boosting", "auc"]["gain_high"] < 0
    assert ("bg_nbd", "auc") not in found


# --- what it cannot model ---------------------------------------------------------------------------------------------


def orders_of(days: Mapping[str, Sequence[int]]) -> dict[str, list[Row]]:
    return {"orders": [order(user, day) for user, told in days.items() for day in told]}


EVERY_WEEK = range(0, LAST + 1, 7)
MANY = [f"u{place}" for place in range(200)]
UNFIT = {
    "no orders": ({}, "too few customers"),
    "one customer": ({"ann": EVERY_WEEK}, "too few customers"),
    "no repeat buyers": ({user: [place % 100] for place, user in enumerate(MANY)}, "everybody churned"),
    "all orders on one day": ({user: [3] for user in MANY}, "everybody churned"),
    "all orders today": ({user: [LAST] for user in MANY}, "too few customers"),
    "nobody churned": (dict.fromkeys(MANY, EVERY_WEEK), "nobody churned"),
    "hardly anybody churned": (dict.fromkeys(MANY, EVERY_WEEK) | {"bob": [0]}, "too few churned"),
    "hardly anybody stayed": ({user: [3] for user in MANY} | {"bob": EVERY_WEEK}, "too few stayed"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_where_there_is_no_model_it_says_why_and_warns(engine, kind):
    days, state = UNFIT[kind]
    found, warned = answers(engine, orders_of(days))
    assert {row["state"] for row in found["customer_churn_performance"]} == {state}
    assert {row["value"] for row in found["customer_churn_performance"]} == {None}
    for name in ("predictions", "risk", "calibration", "importance"):
        assert found[f"customer_churn_{name}"] == []
    assert len(warned) == 1
    assert "state is one of fitted, history too short" in warned[0]


@pytest.mark.parametrize("last", [0, WINDOW - 1, 2 * WINDOW - 1])
def test_a_history_of_less_than_two_windows_has_no_model_and_is_not_looked_at(engine, shop, last):
    def unasked(expression: Table) -> list[Row]:
        raise AssertionError

    within = setting(engine, last)
    found, warned = answers(engine, shop, Setting(within.project, within.days, within.landed, unasked))
    assert {row["state"] for row in found.pop("customer_churn_performance")} == {"history too short"}
    assert {name: rows for name, rows in found.items() if rows} == {}
    assert warned == []


@pytest.mark.slow
def test_orders_alone_are_enough(engine, shop):
    found, _ = answers(engine, {"orders": shop["orders"]})
    assert measure(found, "boosting", "auc")["value"] > 0.6
    assert {r["segment"] for r in found["customer_churn_features"]} == {None}
    assert {r["visits"] for r in found["customer_churn_features"]} == {None}
    assert {r["days_since_visit"] for r in found["customer_churn_risk"]} <= {None}
    assert "none" not in " ".join(r["reasons"] for r in found["customer_churn_risk"])


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["sessions", "users"])
def test_a_table_that_is_not_there_is_done_without(engine, shop, missing):
    found, _ = answers(engine, {name: rows for name, rows in shop.items() if name != missing})
    assert measure(found, "boosting", "auc")["state"] == "fitted"


@pytest.mark.slow
def test_tables_without_rows_are_done_without_too(engine, shop):
    empty = {"sessions": [], "users": [], "returns": [], "events": [], "places": []}
    found, _ = answers(engine, {"orders": shop["orders"], **empty})
    assert measure(found, "boosting", "auc")["value"] > 0.6


@pytest.mark.slow
def test_negative_and_zero_amounts_are_numbers_too(engine, shop):
    odd = [{**row, "net": net, "gross": net} for row, net in zip(shop["orders"], [0, -5, 7] * 10**6, strict=False)]
    found, _ = answers(engine, {**shop, "orders": odd})
    assert measure(found, "boosting", "auc")["value"] > 0.7
    assert min(r["value"] for r in found["customer_churn_predictions"]) == 0


def test_without_repeat_buyers_bg_nbd_has_no_say(found):
    rows = [r for r in found["customer_churn_features"] if r["order_days"] == 1]
    assert set(churn_model._silent(rows, WINDOW)) == {None}


def test_numbers_are_written_for_people():
    assert [_number(value) for value in (0, 12.0, 0.126, 1234.5, -3)] == ["0", "12", "0.13", "1,234.5", "-3"]
