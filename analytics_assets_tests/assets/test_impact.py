"""Models, impact and calibration of experiments, against direct evaluation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import statsmodels.api as sm

from analytics_assets.assets import calibration
from analytics_assets.assets.regression import known, regressors
from analytics_assets.project.experiments import Plan
from analytics_assets.statistics.calibration import Calibration
from analytics_assets.statistics.regressors import Regressor, design, refusal
from analytics_assets_tests.experimenting import PLAN, World, assigned, did, drawn, experimented, ordered, setting
from analytics_assets_tests.making import day

PLANNED = Plan.model_validate({**PLAN, "segments": ["device", "user.country"]})


def shop(net: float = 10, **says: object) -> World:
    """Make 100 users an arm: 20 buy in the control and 60 in the new one; those of the control order in the window."""
    world = World()
    for variant, buying in (("control", 20), ("new", 60)):
        for number in range(100):
            user = f"{variant}{number:03}"
            world.assigned.append(assigned(user, variant, 5))
            world.events.append(did(user, "open", 5.1))
            if number < buying:
                world.events.append(did(user, "buy", 6, amount=net))
                world.orders.append(ordered(user, 6, net, **says))
    world.orders.append(ordered("control000", 12.0999, net, **says))  # within seven days to the second
    world.orders.append(ordered("control000", 12.1, net, **says))
    world.orders.append(ordered("control000", 5.0999, net, **says))
    return world


@pytest.mark.slow
def test_impact_is_the_product_of_the_numbers_in_its_row(engine):
    tables = experimented(engine, shop(refund=1), setting(engine, {"e": {}}, day(31)))
    (found,) = tables["experiment_impact"]
    lift = next(r for r in tables["experiment_results"] if r["maturity"] == "matured")
    assert (found["state"], found["reason"], found["verdict"]) == ("told", None, "ship")
    assert (found["exposed"], found["exposure_days"], found["control_users"], found["control_orders"]) == (
        200,
        10,
        100,
        21,
    )
    assert (found["control_net"], found["control_refund"], found["control_profit"]) == (210, 21, 105)
    assert found["orders_a_treated"] == 0.6
    assert [found[f"lift{end}"] for end in ("", "_low", "_high")] == [
        lift[f"lift{end}"] for end in ("", "_low", "_high")
    ]
    assert found["lift"] == pytest.approx(2)
    for end in ("", "_low", "_high"):
        orders = 200 / 10 * 30.44 * 0.21 * lift[f"lift{end}"]
        assert found[f"orders{end}"] == pytest.approx(orders)
        assert found[f"revenue{end}"] == pytest.approx(orders * 9)
        assert found[f"margin{end}"] == pytest.approx(orders * 4)
    assert found["assumptions"].startswith("orders rise as the primary does (buyers over 7 days); ")
    assert found["open_returns"] == 21  # thirty days to come back
    assert "21 of the 21 orders may still come back" in found["assumptions"]


@pytest.mark.slow
def test_without_costs_there_is_no_margin_and_a_loss_turns_its_interval_around(engine):
    without = {"cost": None, "profit": None, "net_uncosted": 10}
    (found,) = experimented(engine, shop(**without), setting(engine, {"e": {}}, day(31)))["experiment_impact"]
    assert (found["state"], found["reason"], found["margin"]) == ("told", "no margin: no cost is known", None)
    assert found["revenue"] > 0
    loss = {"cost": 15, "profit": -5}
    (found,) = experimented(engine, shop(**loss), setting(engine, {"e": {}}, day(31)))["experiment_impact"]
    assert found["margin_low"] < found["margin"] < found["margin_high"] < 0 < found["revenue_low"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "last", "state"),
    [
        ({"variants": {"control": 0.8, "new": 0.2}}, 31, "invalid"),
        ({}, 10, "not yet"),
        ({"primary": {"metric": "errors", "window_days": 7, "minimum_effect": 1}}, 31, "not of orders"),
    ],
)
def test_no_impact_is_claimed_where_nothing_can_be(engine, plan, last, state):
    (found,) = experimented(engine, shop(), setting(engine, {"e": plan}, day(last)))["experiment_impact"]
    assert found["state"] == state
    assert found["reason"]
    assert found["orders"] is found["revenue_low"] is found["margin_high"] is None
    assert found["exposed"] == 200


@pytest.mark.slow
def test_a_control_without_orders_or_buyers_has_no_impact(engine):
    world = shop()
    world.orders.clear()
    (found,) = experimented(engine, world, setting(engine, {"e": {}}, day(31)))["experiment_impact"]
    assert (found["state"], found["control_net"], found["control_profit"]) == ("no orders", 0, None)
    world.events = [told for told in world.events if told["event_type"] == "open"]
    (found,) = experimented(engine, world, setting(engine, {"e": {}}, day(31)))["experiment_impact"]
    assert found["state"] == "no lift"


# --- regression -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_model_is_that_of_statsmodels_on_users_one_by_one(engine):
    world = drawn(lift=0.3)
    within = setting(engine, {"e": {"segments": ["user.country"]}}, day(31))
    tables = experimented(engine, world, within)
    rows = {r["term"]: r for r in tables["experiment_regression"]}
    users = [r for r in tables["experiment_outcomes"] if r["metric"] == "buyers" and r["matured"]]
    country = {row["user_id"]: row["country"] for row in world.users}
    counted = Counter(country[r["user_id"]] for r in users)
    (reference, _), *others = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    levels = sorted(name for name, _ in others)
    names = ["intercept", "treatment", "known_before", "active_before", *(f"user.country: {name}" for name in levels)]
    x = [
        [1.0, float(r["variant"] == "new"), float(r["known_before"]), float(r["pre_value"] > 0)]
        + [float(country[r["user_id"]] == name) for name in levels]
        for r in users
    ]
    fit = sm.Logit([float(r["value"] > 0) for r in users], x).fit(disp=0)
    assert set(rows) == set(names)
    assert rows[names[-1]]["reference"] == reference
    assert [rows[name]["odds_ratio"] for name in names] == pytest.approx(list(np.exp(fit.params)), rel=1e-5)
    assert [rows[name]["p_value"] for name in names] == pytest.approx(list(fit.pvalues), rel=1e-4)
    assert [rows[name]["low"] for name in names] == pytest.approx(list(np.exp(fit.conf_int()[:, 0])), rel=1e-4)
    assert rows["treatment"]["n"] == len(users)


def test_what_is_measured_after_exposure_is_refused_with_the_reason(engine):
    more = ["experiment_outcomes.value", "experiment_outcomes.pre_value", "sessions"]
    asked = regressors(PLANNED, more)
    refused = {one.name: refusal(one) for one in asked}
    assert {name for name, why in refused.items() if why} == {"experiment_outcomes.value", "sessions"}
    assert "is measured after exposure: the variant may have changed it" in (refused["sessions"] or "")
    values = {one.name: [1.0, 2.0, 3.0, 4.0] for one in asked}
    terms = design([True, False, True, False], values, asked, [50, 50, 50, 50])
    assert {term.name: bool(term.column) for term in terms if term.refused} == dict.fromkeys(
        ("experiment_outcomes.value", "sessions"), False
    )
    assert known("experiment_exposures.device") == "before exposure"


def test_columns_that_say_nothing_new_are_left_out():
    asked = [Regressor(name, "before exposure") for name in ("same", "twice", "own")]
    values = {"same": [1, 1, 1, 1], "twice": [2, 0, 2, 0], "own": [0, 1, 1, 1]}
    terms = {term.name: term.left_out for term in design([True, False, True, False], values, asked, [9, 9, 9, 9])}
    assert terms == {
        "treatment": "", "same": "it is the same for all users", "twice": "the terms before it determine it", "own": ""
    }  # fmt: skip


@pytest.mark.slow
def test_a_covariate_that_separates_outcomes_is_a_state(engine):
    world = World()
    for number in range(200):
        user, variant = f"u{number:03}", ("control", "new")[number % 2]
        world.assigned.append(assigned(user, variant, 5))
        world.events.append(did(user, "view", 3, device="mobile" if number < 100 else "desktop"))
        world.events.append(did(user, "open", 5.1, device="mobile" if number < 100 else "desktop"))
        if number < 50:
            world.events.append(did(user, "buy", 6))
    rows = experimented(engine, world, setting(engine, {"e": {"segments": ["device"]}}, day(31)))[
        "experiment_regression"
    ]
    told = {r["term"]: (r["state"], r["odds_ratio"]) for r in rows}
    assert told["treatment"] == ("separated", None)
    assert told["known_before"] == ("left out", None)
    assert any("device" in (r["reason"] or "") for r in rows)


# --- calibration ------------------------------------------------------------------------------------------------------


def test_a_figure_outside_is_told_and_warned_of(engine, monkeypatch):
    off = Calibration("m", "coverage", "approximate", "s", 1000, 800, 0.8, 0.95, 0.93, 0.97)
    monkeypatch.setattr(calibration, "figures", lambda: (off,))
    (found,) = engine.rows(calibration.experiment_calibration())
    assert found["state"] == "off"
    assert found["rate_low"] < 0.8 < found["rate_high"] < 0.85
    assert [asset.name for asset in calibration.calibration_tables(setting(engine, {}, day(9)).project)] == []
