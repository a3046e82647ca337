"""The synthetic shop on the whole road: what was planted is found, dirt and all, in whatever order its days are run."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

import analytics_assets.shop
from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.running import run
from analytics_assets.automation.runtime import open_lake
from analytics_assets.lake.days import Days
from analytics_assets.lake.releases import latest_release
from analytics_assets.project.loading import load_project
from analytics_assets.report.shop import READS, answers
from analytics_assets.settings import Settings
from analytics_assets_tests.conftest import STAR, UNDRAWN

PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))
DIRT = {"too_late": 0.01, "unknown_products": 0.02, "duplicates": 0.02, "resent": 0.05, "mixed_case": 0.05}
DIRT |= {"bots": 0.02, "negative_quantities": 0.1, "malformed_times": 0.05, "late": 0.05}
LAST = dt.date(2025, 2, 9)
MIDDLE = dt.date(2025, 1, 20)


class Shop:
    """A small and very dirty shop in a folder of its own."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **parameters: Any) -> None:
        shutil.copytree(PACKAGED, folder / "shop", ignore=shutil.ignore_patterns("__pycache__"))
        told = {"seed": 7, "size": "tiny", "users": 400, "days": 40, "dirt": DIRT, **parameters}
        (folder / "shop" / "shop.yaml").write_text(yaml.safe_dump(told))
        declared = yaml.safe_load((folder / "shop" / "project.yaml").read_text()) | {"last_day": str(LAST)}
        (folder / "shop" / "project.yaml").write_text(yaml.safe_dump(declared))
        self.project = load_project(folder / "shop", {})
        self.settings = Settings(lake=str(folder / "lake"), exports=folder / "exports", memory="500MB")
        self.instance = instance

    def run(self, first: dt.date, last: dt.date, select: str | None = None) -> None:
        for outcome in run(self.project, self.settings, Days(first, last), select=select, instance=self.instance):
            assert outcome.success, outcome.failures

    def rows(self, table: str) -> list[dict[str, Any]]:
        with open_lake(self.settings, self.project.name) as lake:
            contract = resolve(self.project).contracts()[table]
            return lake.engine.rows(lake.read(contract, version=latest_release(lake).versions[table]))

    def made(self, names: tuple[str, ...]) -> list[str]:
        """Return which of the tables readers see."""
        with open_lake(self.settings, self.project.name) as lake:
            return [name for name in names if name in latest_release(lake).versions]

    def fingerprints(self) -> dict[str, str]:
        contracts = resolve(self.project).contracts()
        with open_lake(self.settings, self.project.name) as lake:
            versions = latest_release(lake).versions
            return {name: lake.fingerprint(contracts[name], versions[name]) for name in versions}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.mark.slow
def test_all_that_was_planted_is_found_whatever_the_order_of_the_days(tmp_path, instance):
    at_once = Shop(tmp_path / "at_once", instance)
    at_once.run(at_once.project.first_day, LAST, UNDRAWN)
    dirt = at_once.rows("shop_dirt")
    assert {row["verdict"] for row in dirt} == {"agrees"}, [row for row in dirt if row["verdict"] != "agrees"]
    assert len(dirt) >= 16
    assert all(row["planted"] > 0 for row in dirt)
    assert sum(row["rows"] for row in at_once.rows("shop_ledger")) == sum(row["found"] for row in dirt)
    findings = at_once.rows("shop_findings")
    assert not [row for row in findings if row["verdict"] == "differs"]
    assert {row["name"] for row in findings if row["low"] == row["high"] == row["planted"]} >= {
        "happened.users", "happened.orders", "happened.customers", "happened.net",
    }  # fmt: skip
    told = [answer.says for answer in answers({name: at_once.rows(name) for name in at_once.made(READS)})]
    assert "each was found as what it is." in told[-1]
    assert "found to the cent." in told[-1]
    backwards = Shop(tmp_path / "backwards", instance)
    backwards.run(MIDDLE, LAST, f"{STAR} or key:shop_ledger")  # what else is there is made of all days anew
    backwards.run(backwards.project.first_day, MIDDLE - dt.timedelta(days=1), UNDRAWN)
    assert backwards.fingerprints() == at_once.fingerprints()


@pytest.mark.slow
def test_a_plain_shop_without_campaigns_and_experiments_runs_and_agrees(tmp_path, instance):
    plain = Shop(tmp_path, instance, preset="plain", dirt={}, users=100)
    plain.run(plain.project.first_day, dt.date(2025, 1, 20))
    assert plain.rows("shop_dirt") == []
    assert not [row for row in plain.rows("shop_findings") if row["verdict"] == "differs"]
    assert plain.rows("fact_assignments") == []
