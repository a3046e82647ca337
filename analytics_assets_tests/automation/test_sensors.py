"""What new files, late rows and dead processes ask for, once."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.behind import days_behind
from analytics_assets.automation.jobs import DAILY, days_of, range_tags, weekly_tables
from analytics_assets.automation.runtime import open_lake
from analytics_assets.automation.sensors import Asked, bury_dead_runs, touched_days
from analytics_assets.definitions import build_definitions
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.lake.lock import clear_dead_runs, dead_runs, is_alive, life_of
from analytics_assets.lake.releases import Computed, commit_release, latest_release
from analytics_assets.sources.watching import Delivered
from analytics_assets_tests.conftest import ORDERS, STAR, Workshop, csv, day, on_history, orders
from analytics_assets_tests.making import NOON
from analytics_assets_tests.test_bad_input import EVENT_COLUMNS, EVENTS

MARCH = Days(dt.date(2024, 3, 1), dt.date(2024, 3, 31))
DATED = ORDERS | {"path": "data/orders_{day}.csv"}
EVENTS_DATED = EVENTS | {"path": "data/events_{day}.csv"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Give a project of two sources with a file a day."""
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path, instance)
        workshop.declare(last_day=None)
        workshop.source("orders", DATED)
        workshop.source("events", EVENTS_DATED)
        yield workshop


def deliver(workshop: Workshop, on: str, word: str = "x") -> None:
    full = str(day(on))
    workshop.deliver(f"orders_{full}.csv", orders(f"{word}{on},1,u1,{word},{full} 10:00:00,1,9.99"))
    workshop.deliver(f"events_{full}.csv", csv(EVENT_COLUMNS, f"{word}{on},u1,view,{full} 10:00:00"))


def look(workshop: Workshop, cursor: str | None, name: str = "new_files") -> tuple[list[str], str, str]:
    """Evaluate a sensor: the days that it asks for, its reason where it asks for none, and its cursor."""
    definitions = build_definitions(workshop.project, workshop.settings)
    sensor = definitions.resolve_sensor_def(name)
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(cursor=cursor, repository_def=repository)
    told = sensor.evaluate_tick(on_history(context, workshop.instance))
    return [str(days_of(r.tags)) for r in told.run_requests or ()], told.skip_message or "", told.cursor or ""


def test_a_day_is_asked_for_when_all_its_files_are_there_and_once(shop: Workshop) -> None:
    full = str(day("03-01"))
    shop.deliver(f"orders_{full}.csv", orders(f"o1,1,u1,p,{full} 10:00:00,1,9.99"))
    days, reason, cursor = look(shop, None)
    assert (days, reason) == ([], "waiting on 2024-03-01 for events")
    deliver(shop, "03-01")
    days, _, cursor = look(shop, cursor)
    assert days == ["2024-03-01"]
    assert look(shop, cursor) == ([], "no file is new", cursor)


def test_a_file_that_changes_asks_for_its_day_again(shop: Workshop) -> None:
    deliver(shop, "03-01")
    deliver(shop, "03-02")
    days, _, cursor = look(shop, None)
    assert days == ["2024-03-01 to 2024-03-02"]
    deliver(shop, "03-02", "another")
    assert look(shop, cursor)[0] == ["2024-03-02"]


def test_late_days_widen_what_is_asked_for(shop: Workshop) -> None:
    shop.source("orders", DATED, lateness=1)
    deliver(shop, "03-03")
    assert look(shop, None)[0] == ["2024-03-02 to 2024-03-03"]


def test_a_sensor_that_forgot_everything_asks_for_no_day_that_is_released(shop: Workshop) -> None:
    for on in ("03-01", "03-02", "03-03"):
        deliver(shop, on)
    written = {c.table: Computed(1, Days(day("03-01"), day("03-02"))) for c in resolve(shop.project).raw}
    written |= {
        asset.name: Computed(1, Days(day("03-01"), day("03-02")) if asset.contract.day else None)
        for asset in resolve(shop.project).tables
    }
    with open_lake(shop.settings, "workshop") as lake:
        commit_release(lake, "by hand", written, NOON)
    days, _, cursor = look(shop, None)
    assert days == ["2024-03-03"]
    assert look(shop, cursor)[0] == []


def test_a_sensor_that_is_restarted_half_way_asks_with_the_same_key(shop: Workshop) -> None:
    """Dagster drops a request whose key it has seen, so a tick that died before it kept its cursor asks for no more."""
    deliver(shop, "03-01")
    definitions = build_definitions(shop.project, shop.settings)
    sensor = definitions.resolve_sensor_def("new_files")
    keys = []
    for _ in range(2):
        context = dg.build_sensor_context(repository_def=definitions.get_repository_def())
        keys += [
            request.run_key for request in sensor.evaluate_tick(on_history(context, shop.instance)).run_requests or ()
        ]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_a_file_that_is_again_what_it_was_asks_with_a_key_of_its_own(shop: Workshop) -> None:
    """Somebody moves the copy of a good file back, which keeps its size and its time."""
    deliver(shop, "03-01")
    sensor = build_definitions(shop.project, shop.settings).resolve_sensor_def("new_files")
    path = shop.home / "data" / f"orders_{day('03-01')}.csv"
    good, told = path.read_text(), path.stat()
    cursor, keys = None, []
    for content, at in ((good, told.st_mtime_ns), ("bad", 0), (good, told.st_mtime_ns)):
        path.write_text(content)
        os.utime(path, ns=(at, at))
        tick = sensor.evaluate_tick(on_history(dg.build_sensor_context(cursor=cursor), shop.instance))
        cursor = tick.cursor
        keys += [request.run_key for request in tick.run_requests or ()]
    assert len(keys) == len(set(keys)) == 3


def test_a_sensor_leaves_out_what_is_computed_once_a_week_when_that_is_there(shop: Workshop) -> None:
    deliver(shop, "03-01")
    graph = resolve(shop.project)
    weekly = set(weekly_tables(graph))
    assert weekly
    definitions = build_definitions(shop.project, shop.settings)
    context = dg.build_sensor_context(repository_def=definitions.get_repository_def())

    def chosen() -> set[str]:
        (request,) = (
            definitions.resolve_sensor_def("new_files").evaluate_tick(on_history(context, shop.instance)).run_requests
            or ()
        )
        return {key.to_user_string() for key in request.asset_selection or ()}

    assert not chosen()
    with open_lake(shop.settings, "workshop") as lake:
        commit_release(lake, "by hand", {name: Computed(1) for name in weekly}, NOON)
    assert not chosen() & weekly
    assert {"raw_order_lines", "fact_sales", "release", "exports"} <= chosen()


def test_files_of_today_and_of_strange_names_wait(shop: Workshop) -> None:
    deliver(shop, "03-01")
    today = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2)
    deliver(shop, str(today))
    shop.deliver("orders_backup.csv", "x")
    shop.deliver("orders_2024-13-45.csv", "x")
    assert look(shop, None)[0] == ["2024-03-01"]


@pytest.mark.slow
def test_files_without_a_day_ask_for_the_days_that_are_there(shop: Workshop) -> None:
    (shop.home / "sources" / "events.yaml").unlink()
    shop.source("orders", ORDERS)
    shop.deliver("orders.csv", orders("o1,1,u1,p,2024-03-02 10:00:00,1,9.99"))
    shop.declare(last_day=day("03-04"))
    shop.selects = STAR
    assert look(shop, None)[0] == []
    assert shop.run().succeeded
    _, _, cursor = look(shop, None)
    shop.deliver("orders.csv", orders("o1,1,u1,p,2024-03-02 10:00:00,2,9.99", "o2,1,u1,p,2024-03-03 10:00:00,1,1"))
    days, _, cursor = look(shop, cursor)
    assert days == ["2024-03-01 to 2024-03-04"]
    assert look(shop, cursor)[0] == []


days_of_march = st.dictionaries(st.sampled_from(list(MARCH)), st.sampled_from("abc"), max_size=8)


@given(days_of_march, days_of_march, st.sets(st.sampled_from(list(MARCH)), max_size=8), st.booleans())
def test_what_changed_is_asked_for_and_then_never_again(
    first: dict[dt.date, str], second: dict[dt.date, str], lacking: set[dt.date], known: bool
) -> None:
    asked = Asked(first, "") if known else Asked()
    waiting = dict.fromkeys(lacking & second.keys(), ("events",))
    told = touched_days(Delivered(second, waiting, ""), asked, DaySet(), MARCH)
    before = first if known else {}
    assert set(told.days) == {one for one, mark in second.items() if before.get(one) != mark and one not in lacking}
    assert not touched_days(Delivered(second, waiting, ""), Asked.read(told.asked.write()), DaySet(), MARCH).days
    ready = touched_days(Delivered(second, {}, ""), told.asked, DaySet(), MARCH)
    assert set(ready.days) == set(told.waiting)


@pytest.mark.slow
def test_rows_that_come_late_ask_for_their_released_day_again(shop: Workshop) -> None:
    shop.source("orders", DATED, lateness=2)
    shop.selects = STAR
    shop.declare(last_day=day("03-04"))
    for on in ("03-01", "03-02", "03-03", "03-04"):
        deliver(shop, on)
    assert shop.run("03-01", "03-03").succeeded
    late = "late,1,u1,x,2024-03-03 23:00:00,1,5"
    shop.deliver("orders_2024-03-04.csv", orders("o4,1,u1,x,2024-03-04 10:00:00,1,9.99", late))
    assert look(shop, None, "late_rows")[0] == []
    # somebody lands the new day in the UI, and nothing else
    assert shop.run("03-04", select="group:raw or group:staged").succeeded
    graph = resolve(shop.project)
    with open_lake(shop.settings, "workshop") as lake:
        assert str(days_behind(lake, latest_release(lake), graph)) == "2024-03-03"
    days, _, cursor = look(shop, None, "late_rows")
    assert days == ["2024-03-03"]
    assert look(shop, cursor, "late_rows")[0] == []
    assert shop.run("03-04").succeeded
    days, reason, _ = look(shop, cursor, "late_rows")
    assert (days, reason) == ([], "release 3 has every row that was delivered")
    assert ("late", dt.date(2024, 3, 3)) in shop.rows("fact_sales", "order_id", "day")


@pytest.mark.slow
def test_a_day_that_stays_behind_is_not_asked_for_for_ever(shop: Workshop) -> None:
    shop.declare(last_day=day("03-04"))
    deliver(shop, "03-01")
    shop.selects = STAR
    assert shop.run("03-01").succeeded
    with open_lake(shop.settings, "workshop") as lake:
        release = latest_release(lake)
        lake.undo("fact_sales", 0)  # its rows are gone, and a release says that they are there
        version = lake.version("fact_sales")
        assert version is not None
        commit_release(lake, "a bug", {"fact_sales": Computed(version)}, NOON)
        assert release.covered["fact_sales"]
    days, _, cursor = look(shop, None, "late_rows")
    assert days == ["2024-03-01"]
    with open_lake(shop.settings, "workshop") as lake:
        commit_release(lake, "the bug again", {"fact_sales": Computed(version)}, NOON)
    days, reason, _ = look(shop, cursor, "late_rows")
    assert days == []
    assert "still behind after they ran again: 2024-03-01" in reason


HOLD = """
import sys
from analytics_assets.lake.lock import life_of
with life_of(sys.argv[1], sys.argv[2]) as folder:
    (folder / "copy.csv").write_text("rows")
    print(folder, flush=True)
    sys.stdin.read()
"""


def begun(workshop: Workshop, run_id: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that lives as a run does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workshop.lake), run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=workshop.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_dead_are_told_from_the_living_and_cleared_away(shop: Workshop) -> None:
    root = str(shop.lake)
    assert is_alive(root, "never began") is None
    process, folder = begun(shop, "a run")
    assert is_alive(root, "a run") is True
    assert dead_runs(root) == {}
    process.kill()
    process.wait()
    assert is_alive(root, "a run") is False
    assert dead_runs(root) == {"a run": folder}
    assert (folder / "copy.csv").exists()
    assert clear_dead_runs(root) == ("a run",)
    assert not folder.exists()
    assert is_alive(root, "a run") is None
    with life_of(root, "ends in order"):
        assert is_alive(root, "ends in order") is True
    assert is_alive(root, "ends in order") is None


# a run may be killed before its history says that it has begun
@pytest.mark.slow
@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED])
def test_a_run_whose_process_is_gone_is_called_failed_and_one_that_lives_is_not(
    shop: Workshop, status: dg.DagsterRunStatus
) -> None:
    job = build_definitions(shop.project, shop.settings).resolve_job_def(DAILY)
    tags = range_tags(Days(day("03-01"), day("03-01")))
    dead, alive, waiting = (shop.instance.create_run_for_job(job, status=status, tags=tags).run_id for _ in range(3))
    killed, _ = begun(shop, dead)
    killed.kill()
    killed.wait()
    living, _ = begun(shop, alive)
    assert bury_dead_runs(shop.instance, shop.settings, shop.project) == (dead,)
    found = {run.run_id: run.status.value for run in shop.instance.get_runs()}
    assert found == {dead: "FAILURE", alive: status.value, waiting: status.value}
    assert bury_dead_runs(shop.instance, shop.settings, shop.project) == ()
    living.communicate("")


@pytest.mark.parametrize("tag", ["dagster/is_resume_retry", "dagster/is_asset_resume_retry"])
def test_a_run_that_would_go_on_where_another_failed_releases_nothing(shop: Workshop, tag: str) -> None:
    """What the failed run published is undone before: the rest of its tables would be made of what was there before."""
    deliver(shop, "03-01")
    job = build_definitions(shop.project, shop.settings).resolve_job_def(DAILY)
    ran = job.execute_in_process(
        instance=shop.instance,
        raise_on_error=False,
        tags=range_tags(Days(day("03-01"), day("03-01"))) | {tag: "true"},
        asset_selection=[dg.AssetKey(name) for name in ("fact_sales", "release")],
    )
    assert not ran.success
    told = [event.step_failure_data.user_failure_data for event in ran.all_events if event.is_step_failure]
    assert told
    assert all(failure and "Re-execute all" in failure.description for failure in told)
    assert shop.release().number == 0
