"""The demo shop's experiments come to the verdicts that were planted, by a run of all its days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import analytics_assets.shop
from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.running import run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.days import Days
from analytics_assets.lake.releases import latest_release
from analytics_assets.project.loading import load_project
from analytics_assets.settings import Settings

pytestmark = pytest.mark.slow
PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))
PLANTED = {
    ("aa_test", "treatment"): "no meaningful difference",
    ("checkout_redesign", "treatment"): "ship",
    ("free_shipping_banner", "treatment"): "rollback",
    ("loyalty_badge", "treatment"): "ship",
    ("pdp_redesign", "treatment"): "inconclusive",
    ("pricing_page", "monthly_first"): "inconclusive",
    ("pricing_page", "yearly_first"): "ship",
    ("recommendations_v2", "treatment"): "invalid",
    ("search_ranking", "treatment"): "ship",
}


TABLES = ("experiment_verdicts", "experiment_impact", "experiment_calibration", "experiment_aa")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    project = load_project(PACKAGED, {})
    assert project.last_day is not None
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(lake=str(folder), exports=folder / "exports", memory="2GB")
    with dg.DagsterInstance.ephemeral() as instance:
        days = Days(project.first_day, project.last_day)
        select = " or ".join(f"+{name}" for name in TABLES)
        outcomes = run(project, settings, days, select=select, instance=instance)
    assert all(outcome.success for outcome in outcomes)
    contracts = resolve(project).contracts()
    with open_lake(settings, project.name) as lake:
        versions = latest_release(lake).versions
        return {name: lake.engine.rows(lake.read(contracts[name], version=versions[name])) for name in TABLES}


def test_every_planted_verdict_is_found(shop: dict[str, list[dict[str, Any]]]) -> None:
    found = {(row["experiment"], row["variant"]): row for row in shop["experiment_verdicts"]}
    assert {key: row["verdict"] for key, row in found.items()} == PLANTED
    assert "the effect fades" in found["search_ranking", "treatment"]["notes"]
    assert "user.segment loyal" in found["loyalty_badge", "treatment"]["notes"]
    assert {row["plan"] for row in found.values()} == {"registered"}


def test_impact_is_claimed_of_all_but_the_invalid(shop: dict[str, list[dict[str, Any]]]) -> None:
    states = {row["experiment"]: row["state"] for row in shop["experiment_impact"]}
    assert {name for name, state in states.items() if state != "told"} == {"recommendations_v2"}


def test_every_method_is_calibrated(shop: dict[str, list[dict[str, Any]]]) -> None:
    assert {row["state"] for row in shop["experiment_calibration"]} == {"calibrated"}


def test_arms_drawn_at_random_of_the_shop_s_own_users_differ_as_often_as_they_should(
    shop: dict[str, list[dict[str, Any]]],
) -> None:
    assert {row["state"] for row in shop["experiment_aa"]} == {"fine"}
