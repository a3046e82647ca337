"""Odd days on the whole road: a run answers for its own days alone, and is held back where a team says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import numpy as np
import pytest

from analytics_assets.automation.jobs import DAILY
from analytics_assets.definitions import build_definitions
from analytics_assets_tests.conftest import Workshop, csv, day

FIRST = dt.date(2024, 3, 1)
DAYS = 45
COLUMNS = ("event_id", "user_id", "event_type", "occurred_at", "device")
EVENTS = {
    "path": "data/events_{day}.csv",
    "format": "csv",
    "feeds": [{"table": "events", "columns": {name: name for name in COLUMNS}}],
}
pytestmark = pytest.mark.slow
SELECT = "+key:quality_findings or +key:quality_sums"
OLD, LAST = FIRST + dt.timedelta(days=40), FIRST + dt.timedelta(days=DAYS - 1)


def deliver(workshop: Workshop, number: int, rows: int, device: str = "phone") -> None:
    """Deliver a day of so many events."""
    date = FIRST + dt.timedelta(days=number)
    kinds = ("view", "view", "buy")
    told = [f"{date}-{n},u{n % 40},{kinds[n % 3]},{date} 12:{n % 60:02}:00,{device}" for n in range(rows)]
    workshop.deliver(f"events_{date}.csv", csv(COLUMNS, *told))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Run six weeks of which one day came by half, and all days but the last are released."""
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path_factory.mktemp("quality"), instance, selects=SELECT)
        workshop.declare(first_day=FIRST, last_day=LAST)
        workshop.source("events", EVENTS)
        dice = np.random.default_rng(1)
        for number in range(DAYS):
            deliver(workshop, number, 130 if number == 40 else int(dice.poisson(300)))
        before = workshop.run(str(FIRST), str(LAST - dt.timedelta(days=1)))
        assert before.succeeded, before.message
        yield workshop


def checked(workshop: Workshop, first: dt.date, last: dt.date | None = None) -> dict[str, str]:
    """Run days, and give how the checks of what stands out went."""
    ran = workshop.run(str(first), str(last or first))
    assert ran.succeeded, ran.message
    return {check: how for (table, check), how in workshop.checks(ran).items() if table == "quality_findings"}


def test_a_run_answers_for_its_own_days_and_not_for_others(filled):
    told = checked(filled, LAST)
    assert set(told) == {"keys", "values", "volume", "metrics", "nulls", "rejections", "categories", "new_values"}
    assert set(told.values()) == {"passed"}
    assert filled.rows("quality_findings", "day", "kind") == [(OLD, "volume")]
    assert {check for check, how in checked(filled, OLD).items() if how == "warn"} == {"volume"}
    assert {check for check, how in checked(filled, FIRST, LAST).items() if how == "warn"} == {"volume"}


def test_what_stands_out_is_told_by_key_and_in_words(filled):
    ran = filled.run(str(OLD))
    (finding,) = ran.broken("quality_findings", "warning")
    assert (finding.violations, finding.days) == (1, (OLD,))
    assert f"day {OLD}, kind volume, table fact_events" in finding.samples[0]
    assert "130 rows in fact_events: " in finding.samples[0]


def test_an_error_blocks_the_release_until_the_day_is_accepted(filled):
    number = filled.release().number
    filled.declare(quality={"errors": ["volume"]})
    ran = filled.run(str(OLD))
    assert not ran.succeeded
    assert "quality_findings is not published, its last good version stays: nothing stands out" in ran.message
    assert filled.release().number == number
    filled.declare(quality={"errors": ["volume"], "accepted": [{"day": OLD, "reason": "half a day of maintenance"}]})
    assert set(checked(filled, OLD).values()) == {"passed"}
    assert filled.rows("quality_findings", "severity", "accepted") == [("error", "half a day of maintenance")]
    filled.declare(quality={})


def test_a_broken_delivery_is_found_and_a_good_one_mends_it(filled):
    deliver(filled, DAYS - 1, 300, device="")
    assert {check for check, how in checked(filled, LAST).items() if how == "warn"} == {"nulls"}
    deliver(filled, DAYS - 1, 300)
    assert set(checked(filled, LAST).values()) == {"passed"}
    assert filled.rows("quality_findings", "day") == [OLD]


def test_sums_of_a_day_agree_and_days_left_behind_are_told_when_they_are_compared(filled):
    deliver(filled, DAYS - 1, 310)
    ran = filled.run(str(LAST), select="+fact_events")  # sessions and hubs stay behind
    assert ran.succeeded, ran.message
    other = LAST - dt.timedelta(days=1)
    assert filled.run(str(other), select="key:quality_sums").succeeded
    ran = filled.run(str(LAST), select="key:quality_sums")
    assert "found = expected: broken by" in ran.message
    assert str(LAST) in ran.message
    assert filled.run(str(LAST)).succeeded
    assert {row["expected"] == row["found"] for row in filled.rows("quality_sums")} == {True}


def test_a_run_of_one_partition_is_a_run_of_its_day(filled):
    definitions = build_definitions(filled.project, filled.settings)
    names = ["raw_events", "staged_events", "fact_events", "quality_measures", "quality_findings", "release"]
    result = definitions.resolve_job_def(DAILY).execute_in_process(
        instance=filled.instance,
        partition_key=str(OLD),
        asset_selection=[dg.AssetKey(name) for name in names],
        raise_on_error=False,
    )
    assert result.success
    done = {event.partition for event in result.get_asset_materialization_events() if event.partition}
    assert done == {str(OLD)}
    found = {
        evaluation.check_name: evaluation.passed
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key.to_user_string() == "quality_findings"
    }
    assert [name for name, passed in found.items() if not passed] == ["volume"]
    assert day("03-01") == FIRST
