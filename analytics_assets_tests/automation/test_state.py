"""How things stand, what does not fit together, and that the command which is named mends it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.jobs import DAILY
from analytics_assets.automation.runtime import open_lake
from analytics_assets.automation.sensors import bury_dead_runs
from analytics_assets.automation.state import State, Trouble, state_of, troubles
from analytics_assets.contracts.star import FACT_SALES
from analytics_assets.lake.days import Days
from analytics_assets.lake.lock import RUNS, clear_dead_runs
from analytics_assets_tests.conftest import ORDERS, STAR, Workshop, day, orders

NOW = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Give a project of which two days were run, whose tables that are not kept by day are absent but for the star."""
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path_factory.mktemp("state"), instance)
        workshop.source("orders", ORDERS)
        sold = [f"o{n},1,u1,p,2024-03-0{n} 10:00:00,1,9.99" for n in range(1, 5)]
        workshop.deliver("orders.csv", orders(*sold))
        workshop.selects = STAR
        assert workshop.run("03-01", "03-02").succeeded
        yield workshop


def state(workshop: Workshop, today: dt.date = dt.date(2024, 3, 5)) -> State:
    project = workshop.project
    with open_lake(workshop.settings, "workshop") as lake:
        return state_of(project, resolve(project), lake, workshop.instance, today)


def found(workshop: Workshop, now: dt.datetime = NOW) -> dict[str, Trouble]:
    """Return what does not fit together, by what mends it."""
    project = workshop.project
    with open_lake(workshop.settings, "workshop") as lake:
        return {trouble.mend: trouble for trouble in troubles(project, resolve(project), lake, workshop.instance, now)}


@pytest.mark.slow
def test_the_state_says_what_was_run_what_is_there_and_what_is_not(shop: Workshop) -> None:
    told = state(shop)
    assert told.release.number == 1
    (run,) = told.runs
    assert (run.job, run.status, str(run.days)) == (DAILY, "SUCCESS", "2024-03-01 to 2024-03-02")
    assert str(told.missing) == "2024-03-03 to 2024-03-04"
    groups = {group.group: group for group in told.freshness}
    assert groups["facts"].last_day == day("03-02")
    assert groups["facts"].never == ()
    assert "revenue_daily" in groups["sales"].never
    assert groups["sales"].oldest is None


def test_a_day_that_is_not_over_is_not_missing(shop: Workshop) -> None:
    assert not state(shop, dt.date(2024, 3, 3)).missing
    assert str(state(shop, dt.date(2024, 3, 4)).missing) == "2024-03-03"


def test_missing_days_and_tables_that_were_never_computed_are_named_with_what_mends_them(shop: Workshop) -> None:
    mends = found(shop)
    assert mends["analytics-assets backfill 2024-03-03 2024-03-04 --missing"].what == "2 days of workshop are not there"
    (never,) = [trouble for trouble in mends.values() if "never computed" in trouble.what]
    assert "revenue_daily" in never.details


@pytest.mark.slow
def test_rows_that_were_published_and_never_released_are_told(shop: Workshop) -> None:
    shop.deliver("orders.csv", orders("o1,1,u1,p,2024-03-01 10:00:00,1,9.99", "o9,1,u9,p,2024-03-02 10:00:00,1,1"))
    with open_lake(shop.settings, "workshop") as lake:
        days = Days(day("03-02"), day("03-02"))
        lake.publish(lake.stage(FACT_SALES, lake.read(FACT_SALES, days).limit(0), days), "killed")
    (told,) = [trouble for trouble in found(shop).values() if "never released" in trouble.what]
    assert told.details == ("fact_sales",)
    assert shop.run("03-01", "03-02").succeeded
    assert not [trouble for trouble in found(shop).values() if "never released" in trouble.what]


def test_what_a_killed_run_left_is_told_and_cleared_away(shop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "analytics_assets_copies"
    folder.mkdir()
    (shop.lake / RUNS).mkdir(exist_ok=True)
    (shop.lake / RUNS / "gone").write_text(str(folder))
    assert found(shop)["analytics-assets doctor --mend"].details == ("gone",)
    bury_dead_runs(shop.instance, shop.settings, shop.project)
    assert clear_dead_runs(str(shop.lake)) == ("gone",)
    assert not folder.exists()
    assert "analytics-assets doctor --mend" not in found(shop)


@pytest.mark.slow
def test_a_released_day_whose_last_run_failed_is_told_until_one_succeeds(shop: Workshop) -> None:
    good = (shop.home / "data" / "orders.csv").read_text()
    shop.deliver("orders.csv", good.replace("quantity", "pieces"))
    assert not shop.run("03-02").succeeded
    assert "analytics-assets backfill 2024-03-02 2024-03-02" in found(shop)
    shop.deliver("orders.csv", good)
    assert shop.run("03-02").succeeded
    assert "analytics-assets backfill 2024-03-02 2024-03-02" not in found(shop)


def test_files_of_the_release_that_are_gone_come_first(shop: Workshop) -> None:
    gone = sorted((shop.lake / "fact_sales").glob("day=*/*.parquet"))
    for file in gone:
        file.rename(file.with_suffix(".kept"))
    try:
        first, *_ = found(shop).values()
        assert (first.what, first.details) == (
            f"files of release {state(shop).release.number} are gone, of 1 tables",
            ("fact_sales",),
        )
    finally:
        for file in gone:
            file.with_suffix(".kept").rename(file)
    assert not [trouble for trouble in found(shop).values() if "are gone" in trouble.what]
