"""Which rows charts of experiments pick: few, of matured users, with what the plans say of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from analytics_assets.assets import experiment_charts as picked
from analytics_assets.assets.catalog import Setting
from analytics_assets.charts.experiments import MOST_PANELS
from analytics_assets.contracts.experiments import EXPERIMENT_OUTCOMES, EXPERIMENT_TRAFFIC
from analytics_assets.contracts.verdicts import EXPERIMENT_RESULTS, EXPERIMENT_TRUST
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.settings import Settings
from analytics_assets_tests.making import engine, table

__all__ = ["engine"]

REVENUE = {"experiment": "checkout_redesign", "metric": "net_revenue", "window_days": 14, "delay_days": 0}
DAYS = Days(dt.date(2025, 1, 1), dt.date(2025, 12, 31))


@pytest.fixture(scope="module")
def shop() -> Project:
    return load_project(Settings().project, {})


def outcome(user: int, variant: str, value: float, **given: Any) -> dict[str, Any]:
    own = {"user_id": f"u{user}", "variant": variant, "value": value, "matured": True}
    return REVENUE | own | {"exposed_on": dt.date(2025, 4, 3)} | given


def test_every_plan_is_asked_once_for_each_of_its_metrics(shop: Project) -> None:
    asked = [row for row in picked.asked_by(shop) if row["experiment"] == "checkout_redesign"]
    assert [(row["place"], row["called"], row["unit"], row["better"]) for row in asked] == [
        (0, "buyers over 7 days", "share", "up"),
        (1, "net_revenue over 14 days", "EUR", "up"),
        (2, "contribution over 14 days", "EUR", "up"),
    ]


def test_every_matured_user_is_in_one_step_or_has_nothing(shop: Project, engine: Engine) -> None:
    rows = [outcome(place, "control", float(place)) for place in range(100)]
    rows += [outcome(200 + place, "treatment", 0.0 if place < 30 else 50.0 + place) for place in range(40)]
    rows += [outcome(300, "control", 7.0, matured=False), outcome(301, "control", float("nan"))]
    rows += [outcome(302, "control", 7.0, metric="buyers", window_days=7)]
    arms, bins = picked.experiments_outcomes(Setting(shop, DAYS), table(EXPERIMENT_OUTCOMES, *rows))
    told = {row["variant"]: row for row in engine.rows(arms)}
    assert {name: (row["users"], row["nothing"]) for name, row in told.items()} == {
        "control": (100, 1),
        "treatment": (40, 30),
    }
    assert (told["control"]["q50"], told["control"]["control"]) == (50.0, "control")
    steps = engine.rows(bins)
    assert sum(row["users"] for row in steps if row["variant"] == "control") == 99
    assert sum(row["users"] for row in steps if row["variant"] == "treatment") == 10
    assert len(steps) <= 2 * 30


def test_traffic_is_added_up_to_the_end_of_the_plan(shop: Project, engine: Engine) -> None:
    plan = shop.experiments["checkout_redesign"]
    days = [plan.starts, plan.starts + dt.timedelta(days=1), plan.ends + dt.timedelta(days=1)]
    rows = [
        {"experiment": "checkout_redesign", "variant": variant, "day": day, "assigned": users}
        for day in days
        for variant, users in (("control", 5), ("treatment", 7), ("", 9))
    ]
    trust = [
        {"experiment": "checkout_redesign", "question": f"sample ratio of {whom} users", "state": "fine", "value": p}
        for whom, p in (("assigned", 0.5), ("exposed", 0.6))
    ]
    traffic, tested = picked.experiments_traffic(
        Setting(shop, DAYS), table(EXPERIMENT_TRAFFIC, *rows), table(EXPERIMENT_TRUST, *trust)
    )
    told = [
        (row["variant"], row["day"], row["assigned"], row["whole"], row["planned"])
        for row in sorted(engine.rows(traffic), key=lambda row: row["day"])
    ]
    assert told == [("treatment", days[0], 7, 12, 0.5), ("treatment", days[1], 14, 24, 0.5)]
    assert [row["p_value"] for row in engine.rows(tested)] == [0.5]


def test_only_matured_users_of_no_segment_are_drawn(shop: Project, engine: Engine) -> None:
    base = REVENUE | {"role": "secondary", "variant": "treatment", "low": 1.0, "variance_left": 0.9}
    rows = [
        base | {"dimension": "", "segment": "", "maturity": "matured"},
        base | {"dimension": "", "segment": "", "maturity": "observed"},
        base | {"dimension": "device", "segment": "mobile", "maturity": "matured"},
    ]
    told = picked.experiments_adjustment(Setting(shop, DAYS), table(EXPERIMENT_RESULTS, *rows))
    assert len(engine.rows(told)) == 1
    # the plan of the A/A test adjusts for nothing
    unadjusted = table(EXPERIMENT_RESULTS, rows[0] | {"experiment": "aa_test"})
    assert engine.rows(picked.experiments_adjustment(Setting(shop, DAYS), unadjusted)) == []


def many(shop: Project, plans: int) -> Project:
    plan = shop.experiments["checkout_redesign"]
    later: Callable[[int], Any] = lambda place: plan.model_copy(  # noqa: E731
        update={"starts": plan.starts + dt.timedelta(days=place)}
    )
    return shop.model_copy(update={"experiments": {f"plan_{place:02}": later(place) for place in range(plans)}})


def test_one_sheet_shows_the_experiments_that_begin_last(shop: Project) -> None:
    charts = {chart.called: chart for chart in picked.experiment_charts(many(shop, 20))}
    words = charts["experiments_traffic"].words
    assert words == {"of": "20", "shown": str(MOST_PANELS)}
    assert "experiment_plan_00_effects" in charts
    assert list(picked._latest(many(shop, 20))) == [f"plan_{place}" for place in range(20 - MOST_PANELS, 20)]
    assert list(picked.experiment_charts(many(shop, 0))) == []
