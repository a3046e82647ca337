"""The same deliveries end in the same tables, however the days were run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_assets.automation import running
from analytics_assets.lake.days import Days
from analytics_assets_tests.conftest import ORDER_COLUMNS, ORDERS, Workshop, csv, day, orders
from analytics_assets_tests.deliveries import DAYS, FIRST, LAST, deliver, fill

FEW = 5
Tables = dict[str, str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Tables]:
    """Give the tables of so many days that were run as one range."""
    known: dict[int, Tables] = {}

    def tables(days: int = len(DAYS)) -> Tables:
        if days not in known:
            with dg.DagsterInstance.ephemeral() as instance:
                workshop = Workshop(tmp_path_factory.mktemp("whole"), instance)
                fill(workshop, days)
                assert workshop.run().succeeded
                known[days] = workshop.fingerprints()
        return known[days]

    return tables


def run_each(workshop: Workshop, days: Iterable[str]) -> None:
    for each in days:
        ran = workshop.run(each)
        assert ran.succeeded, ran.message


def test_the_deliveries_hold_what_makes_the_order_matter(workshop: Workshop) -> None:
    fill(workshop)
    ran = workshop.run()
    assert ran.succeeded, ran.message
    rejected = ran.report("staged_events").rejected
    assert {"duplicate", "too_late", "malformed"} <= rejected.keys()
    late = [row for row in workshop.rows("staged_events") if not row["rejected"] and row["day"] != row["delivery_day"]]
    assert {(row["delivery_day"] - row["day"]).days for row in late} == {1, 2}
    assert workshop.rows("map_identity", "anonymous_id", "user_id") == [
        ("v1", "u1"),
        ("v2", "u3"),
        ("v3", "u3"),
        ("v5", "u1"),
    ]
    assert {row["anonymous_id"] for row in workshop.rows("fact_events") if row["is_anonymous"]} == {
        "v4",
        "v6",
        "v7",
        "v8",
    }


@pytest.mark.slow
def test_a_range_run_twice(workshop: Workshop, whole: Callable[..., Tables]) -> None:
    fill(workshop)
    for _ in range(2):
        assert workshop.run(FIRST, LAST).succeeded
    assert workshop.fingerprints() == whole()


@pytest.mark.slow
def test_day_by_day(workshop: Workshop, whole: Callable[..., Tables]) -> None:
    fill(workshop)
    run_each(workshop, DAYS)
    assert workshop.fingerprints() == whole()


@pytest.mark.slow
def test_backwards(workshop: Workshop, whole: Callable[..., Tables]) -> None:
    fill(workshop)
    run_each(workshop, reversed(DAYS))
    assert workshop.fingerprints() == whole()


@pytest.mark.slow
@given(order=st.permutations(DAYS[:FEW]))
@settings(max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_in_any_order(tmp_path_factory: pytest.TempPathFactory, whole: Callable[..., Tables], order: list[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path_factory.mktemp("ordered"), instance)
        fill(workshop, FEW)
        run_each(workshop, order)
        assert workshop.fingerprints() == whole(FEW)


@pytest.mark.slow
def test_each_day_as_it_is_delivered(workshop: Workshop, whole: Callable[..., Tables]) -> None:
    fill(workshop, FEW)
    for path in (workshop.home / "data").iterdir():
        path.unlink()
    for number in range(1, FEW + 1):
        deliver(workshop, number)
        run_each(workshop, [DAYS[number - 1]])
    assert workshop.fingerprints() == whole(FEW)


@pytest.mark.slow
def test_after_a_file_that_was_bad_is_mended(workshop: Workshop, whole: Callable[..., Tables]) -> None:
    fill(workshop, FEW)
    bad = workshop.home / "data" / f"orders_{day(DAYS[2])}.csv"
    good = bad.read_text()
    bad.write_text(good.replace("quantity", "pieces"))
    run_each(workshop, DAYS[:2])
    before = workshop.fingerprints()
    assert not workshop.run(DAYS[2]).succeeded
    assert workshop.fingerprints() == before
    bad.write_text(good)
    run_each(workshop, DAYS[2:FEW])
    assert workshop.fingerprints() == whole(FEW)
