"""What the schedules ask for: yesterday, missed days before it, and once a week what is costly."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.assets.catalog import Graph, resolve
from analytics_assets.automation.jobs import (
    DAILY,
    WEEKLY,
    covered_days,
    days_of,
    due_days,
    in_pieces,
    missing_days,
    range_tags,
    weekly_tables,
)
from analytics_assets.automation.runtime import open_lake
from analytics_assets.definitions import build_definitions
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.releases import Computed, Release, commit_release
from analytics_assets_tests.conftest import ORDERS, Workshop, day, on_history

BERLIN = ZoneInfo("Europe/Berlin")
march = st.sets(st.integers(0, 60).map(lambda n: dt.date(2024, 3, 1) + dt.timedelta(days=n)))


def days(first: str, last: str | None = None) -> Days:
    return Days(day(first), day(last or first))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Give a project of orders that goes on, with days in Berlin."""
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path, instance)
        workshop.declare(first_day=day("03-01"), last_day=None, time_zone="Europe/Berlin")
        workshop.source("orders", ORDERS)
        yield workshop


def graph_of(workshop: Workshop) -> Graph:
    return resolve(workshop.project)


def release(workshop: Workshop, computed: Days | None, at: dt.datetime, *, weekly: bool = True) -> None:
    """Release a run that computed some days, or the weekly tables alone, without running it."""
    graph = graph_of(workshop)
    names = weekly_tables(graph)
    written = (
        {c.table: Computed(1, computed if c.day else None) for c in graph.contracts().values()} if computed else {}
    )
    written = {name: table for name, table in written.items() if weekly or name not in names}
    written |= dict.fromkeys(names, Computed(1)) if weekly else {}
    with open_lake(workshop.settings, "workshop") as lake:
        commit_release(lake, "by hand", written, at)


def tick(workshop: Workshop, name: str, at: dt.datetime) -> list[dg.RunRequest] | str:
    """Evaluate a schedule at a moment: the runs that it asks for, or why it asks for none."""
    schedule = build_definitions(workshop.project, workshop.settings).resolve_schedule_def(name)
    context = dg.build_schedule_context(scheduled_execution_time=at)
    told = schedule.evaluate_tick(on_history(context, workshop.instance))
    return list(told.run_requests) if told.run_requests else str(told.skip_message)


def asked(requests: list[dg.RunRequest] | str) -> list[str]:
    assert not isinstance(requests, str), requests
    return [str(days_of(request.tags)) for request in requests]


MORNING = dt.datetime(2024, 3, 6, 6, tzinfo=BERLIN)


def test_the_first_morning_asks_for_the_days_so_far_and_then_yesterday_with_everything(shop: Workshop) -> None:
    requests = tick(shop, DAILY, MORNING)
    assert asked(requests) == ["2024-03-01 to 2024-03-04", "2024-03-05"]
    assert all(not request.asset_selection for request in requests if isinstance(request, dg.RunRequest))


def test_later_mornings_leave_out_what_is_computed_once_a_week(shop: Workshop) -> None:
    release(shop, days("03-01", "03-04"), MORNING)
    (request,) = tick(shop, DAILY, MORNING)
    assert isinstance(request, dg.RunRequest)
    assert asked([request]) == ["2024-03-05"]
    chosen = {key.to_user_string() for key in request.asset_selection or ()}
    weekly = set(weekly_tables(graph_of(shop)))
    assert weekly
    assert not chosen & weekly
    assert {"raw_order_lines", "fact_sales", "sales_overview", "release", "exports"} <= chosen


def test_missed_days_are_caught_up_the_oldest_first_and_no_more_than_allowed(shop: Workshop) -> None:
    shop.declare(daily={"catch_up_days": 2})
    release(shop, days("03-01"), MORNING)
    assert asked(tick(shop, DAILY, MORNING + dt.timedelta(days=4))) == ["2024-03-02 to 2024-03-03", "2024-03-09"]


def test_lateness_widens_the_days_of_a_run(shop: Workshop) -> None:
    shop.source("orders", ORDERS, lateness=2)
    release(shop, days("03-01", "03-04"), MORNING)
    assert asked(tick(shop, DAILY, MORNING)) == ["2024-03-03 to 2024-03-05"]


def test_a_day_that_is_released_is_not_asked_for_again(shop: Workshop) -> None:
    release(shop, days("03-01", "03-05"), MORNING)
    assert tick(shop, DAILY, MORNING) == "2024-03-05 is released, or its run is under way"


@pytest.mark.slow
def test_a_day_whose_run_is_under_way_is_not_asked_for_again(shop: Workshop) -> None:
    release(shop, days("03-01", "03-04"), MORNING)
    definitions = build_definitions(shop.project, shop.settings)
    shop.instance.create_run_for_job(
        definitions.resolve_job_def(DAILY), status=dg.DagsterRunStatus.STARTED, tags=range_tags(days("03-05"))
    )
    assert tick(shop, DAILY, MORNING) == "2024-03-05 is released, or its run is under way"


@pytest.mark.slow
def test_a_range_that_failed_is_asked_for_day_by_day_so_that_one_bad_day_holds_up_no_other(shop: Workshop) -> None:
    release(shop, days("03-01"), MORNING)
    definitions = build_definitions(shop.project, shop.settings)
    shop.instance.create_run_for_job(
        definitions.resolve_job_def(DAILY), status=dg.DagsterRunStatus.FAILURE, tags=range_tags(days("03-02", "03-04"))
    )
    assert asked(tick(shop, DAILY, MORNING)) == ["2024-03-02", "2024-03-03", "2024-03-04", "2024-03-05"]


def test_a_project_that_has_ended_asks_for_its_last_day_until_it_is_there(shop: Workshop) -> None:
    shop.declare(last_day=day("03-04"))
    release(shop, days("03-01", "03-03"), MORNING)
    assert asked(tick(shop, DAILY, MORNING)) == ["2024-03-04"]
    release(shop, days("03-04"), MORNING)
    assert tick(shop, DAILY, MORNING) == "2024-03-04 is released, or its run is under way"


def test_yesterday_is_that_of_the_reporting_time_zone(shop: Workshop) -> None:
    shop.declare(time_zone="Pacific/Auckland")
    assert asked(tick(shop, DAILY, dt.datetime(2024, 3, 5, 17, tzinfo=dt.UTC)))[-1] == "2024-03-05"


@pytest.mark.slow
@pytest.mark.parametrize("at", ["06:00", "02:30"])
@pytest.mark.parametrize(("month", "first"), [(3, dt.date(2024, 3, 28)), (10, dt.date(2024, 10, 24))])
def test_over_a_clock_change_each_morning_asks_once_for_its_own_yesterday(
    shop: Workshop, month: int, first: dt.date, at: str
) -> None:
    shop.declare(first_day=first, daily={"at": at, "fresh_by": "09:00"})
    schedule = build_definitions(shop.project, shop.settings).resolve_schedule_def(DAILY)
    begin = dt.datetime(first.year, month, first.day + 1, tzinfo=BERLIN)
    moments = schedule_execution_time_iterator(begin.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    ticks = list(islice(moments, 5))
    for place, moment in enumerate(ticks):
        yesterday = first + dt.timedelta(days=place)
        assert asked(tick(shop, DAILY, moment))[-1] == str(yesterday)
        release(shop, Days(first, yesterday), moment)


def test_a_clock_that_jumps_back_asks_for_nothing_twice_and_forward_for_what_was_missed(shop: Workshop) -> None:
    release(shop, days("03-01", "03-05"), MORNING)
    assert isinstance(tick(shop, DAILY, MORNING - dt.timedelta(days=2)), str)
    assert asked(tick(shop, DAILY, MORNING + dt.timedelta(days=3))) == ["2024-03-06 to 2024-03-07", "2024-03-08"]


def test_the_week_waits_for_its_day(shop: Workshop) -> None:
    monday = dt.datetime(2024, 3, 4, 6, tzinfo=BERLIN)
    assert tick(shop, WEEKLY, monday) == "there is no release yet: the daily run comes first"
    release(shop, days("03-01", "03-03"), monday + dt.timedelta(minutes=5))
    assert isinstance(tick(shop, WEEKLY, monday + dt.timedelta(days=6)), str)
    assert len(tick(shop, WEEKLY, monday + dt.timedelta(days=7))) == 1


@pytest.mark.slow
def test_a_week_whose_day_was_missed_is_made_up_for_on_the_next(shop: Workshop) -> None:
    monday = dt.datetime(2024, 3, 4, 6, tzinfo=BERLIN)
    release(shop, days("03-01", "03-03"), monday - dt.timedelta(days=1))
    for late in (1, 2):
        assert len(tick(shop, WEEKLY, monday + dt.timedelta(days=late))) == 1
    release(shop, None, monday + dt.timedelta(days=2, hours=1))
    assert isinstance(tick(shop, WEEKLY, monday + dt.timedelta(days=3)), str)


def test_a_weekly_table_that_was_never_computed_does_not_wait(shop: Workshop) -> None:
    wednesday = dt.datetime(2024, 3, 6, 6, tzinfo=BERLIN)
    release(shop, days("03-01", "03-05"), wednesday, weekly=False)
    assert len(tick(shop, WEEKLY, wednesday)) == 1


def test_schedules_and_sensors_are_off_until_a_setting_says_otherwise(shop: Workshop) -> None:
    off = build_definitions(shop.project, shop.settings)
    on = build_definitions(shop.project, shop.settings.model_copy(update={"automation": True}))
    assert {s.default_status.value for s in [*off.schedules, *off.sensors]} == {"STOPPED"}
    assert {s.default_status.value for s in [*on.schedules, *on.sensors]} == {"RUNNING"}
    assert len(list(off.schedules)) == 2


@given(march, st.integers(0, 40))
def test_what_is_due_is_the_oldest_of_what_is_missing_and_the_newest(missing: set[dt.date], most: int) -> None:
    until = dt.date(2024, 4, 30)
    due = due_days(DaySet.of(missing), until, most)
    found = [one for days in due for one in days]
    past = sorted(missing - {until})
    assert found == past[:most] + [until] * (until in missing)
    assert all(until not in days or len(days) == 1 for days in due)


def test_a_day_is_missing_until_every_table_kept_by_day_has_it(shop: Workshop) -> None:
    contracts = graph_of(shop).contracts().values()
    by_day = [contract.table for contract in contracts if contract.day]
    assert len(by_day) > 2
    whole = dict.fromkeys(by_day, DaySet((days("03-01", "03-03"),)))
    lacking = {**whole, by_day[0]: DaySet((days("03-02"),))}
    assert covered_days(contracts, Release(1, covered=whole)) == DaySet((days("03-01", "03-03"),))
    assert str(missing_days(shop.project, contracts, Release(1, covered=lacking), day("03-04"))) == (
        "2024-03-01, 2024-03-03 to 2024-03-04"
    )
    assert not missing_days(shop.project, contracts, Release(), day("02-28"))


def test_pieces_of_ranges_that_never_failed_are_whole(shop: Workshop) -> None:
    ranges = (days("03-01", "03-03"), days("03-05"))
    assert tuple(in_pieces(shop.instance, shop.project, ranges, DaySet())) == ranges
