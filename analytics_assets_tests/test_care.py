"""Looking after a lake, as a person does: going back, taking away what is old, deleting somebody's rows."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from analytics_assets.assets.catalog import resolve
from analytics_assets.automation.care import go_back, held, tidy
from analytics_assets.automation.forgetting import Receipt, compute_marts, find, forget, stale_marts
from analytics_assets.automation.history import STAND_IN, scrub
from analytics_assets.automation.jobs import missing_days
from analytics_assets.automation.running import open_history
from analytics_assets.automation.runtime import open_lake
from analytics_assets.cli import main
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import all_releases, latest_release
from analytics_assets.lake.suppression import receipts, suppressed
from analytics_assets_tests.conftest import STAR, Workshop, csv, day

pytestmark = pytest.mark.slow
WHO, VISITOR, ORDER = "gone-person-17", "gone-visitor-17", "gone-order-17"
IDS = (WHO, VISITOR, ORDER)
OTHER = "staying-person-2"
NOBODY = "nobody-of-that-name"
EVENT = ("event_id", "user_id", "anonymous_id", "event_type", "occurred_at", "page")
LINE = ("order_id", "line", "user_id", "product_id", "ordered_at", "quantity", "unit_price")
RETURN = ("return_id", "line", "order_id", "product_id", "returned_at", "quantity", "unit_price")
PEOPLE = ("user_id", "signed_up_at", "email")
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")


def source(name: str, table: str, columns: tuple[str, ...], **says: Any) -> dict[str, Any]:
    feed = {"table": table, "columns": {column: column for column in columns if column != "page"}}
    return {"path": f"data/{name}_{{day}}.csv", "format": "csv", "feeds": [feed], **says}


def declare(workshop: Workshop) -> None:
    workshop.selects = STAR
    workshop.declare(last_day=day(DAYS[-1]), exports=["fact_sales", "dim_users"])
    workshop.source("events", source("events", "events", EVENT))
    workshop.source("orders", source("orders", "order_lines", LINE))
    workshop.source("returns", source("returns", "returns", RETURN, optional=True))
    workshop.source("people", source("people", "users", PEOPLE))
    workshop.source("identities", source("identities", "identities", ("anonymous_id", "user_id"), optional=True))


def deliver(workshop: Workshop, without: bool = False) -> None:
    """Deliver four days of two people, each of whom was a visitor before; or the same without one of them."""

    def lines(*rows: str) -> list[str]:
        return [row for row in rows if not (without and any(of in row for of in IDS))]

    for n, on in enumerate(DAYS):
        workshop.deliver(
            f"events_{on}.csv",
            csv(
                EVENT,
                *lines(
                    f"e{n}1,{WHO},{VISITOR},view,{on} 10:00:00,/a",
                    f"e{n}2,,{VISITOR},click,{on} 11:00:00,/b",
                    f"e{n}3,{OTHER},v2,view,{on} 10:00:00,/a",
                    f"e{n}4,,v2,click,{on} 12:00:00,/b",
                    f"e{n}5,{WHO},,view,not a time,/b",
                    f"e{n}6,{WHO},short",
                ),
            ),
        )
        workshop.deliver(
            f"orders_{on}.csv",
            csv(
                LINE,
                *lines(
                    f"{ORDER}-{n},1,{WHO},p1,{on} 10:30:00,1,9.99",
                    f"{ORDER}-{n},2,,p2,{on} 10:30:00,1,9.99",
                    f"{ORDER}-{n},3,{WHO},p2,{on} 10:30:00,-1,9.99",
                    f"o{n},1,{OTHER},p1,{on} 10:30:00,2,9.99",
                    f"x{n},1,,p1,{on} 10:30:00,2,9.99",
                ),
            ),
        )
        workshop.deliver(
            f"people_{on}.csv",
            csv(PEOPLE, *lines(f"{WHO},2024-03-01,{WHO}@example.com", f"{OTHER},2024-03-01,b@example.com")),
        )
    workshop.deliver(
        f"returns_{DAYS[2]}.csv",
        csv(RETURN, *lines(f"r1,1,{ORDER}-0,p1,{DAYS[2]} 10:00:00,1,9.99", f"r2,1,o1,p1,{DAYS[2]} 10:00:00,1,9.99")),
    )
    workshop.deliver(
        f"identities_{DAYS[1]}.csv", csv(("anonymous_id", "user_id"), *lines(f"{VISITOR},{WHO}", f"v2,{OTHER}"))
    )


@pytest.fixture(scope="module")
def shared_lake(shared_workshop: Workshop) -> Workshop:
    """Give a workshop whose days were run twice, so that there are old files, to tests that change nothing."""
    declare(shared_workshop)
    deliver(shared_workshop)
    assert shared_workshop.run().succeeded
    assert shared_workshop.run().succeeded
    return shared_workshop


@pytest.fixture
def copied(tmp_path: Path, shared_lake: Workshop) -> Callable[[str], Workshop]:
    """Copy the shared workshop into a folder of its own."""

    def copy(name: str) -> Workshop:
        own = Workshop(tmp_path / name, shared_lake.instance)
        for part in ("project", "lake", "exports"):
            shutil.copytree(shared_lake.folder / part, own.folder / part, dirs_exist_ok=True)
        own.declared, own.selects = dict(shared_lake.declared), STAR
        return own

    return copy


@pytest.fixture
def filled(copied: Callable[[str], Workshop]) -> Workshop:
    """Give a workshop whose days were run twice, to a test that changes it."""
    return copied("filled")


def told(message: str) -> None:
    """Hear what a command says meanwhile."""


def delete(workshop: Workshop, user: str = WHO) -> Receipt:
    with held(workshop.project, workshop.settings, "forget", told) as runtime:
        found = find(runtime.lake, workshop.project, user)
        return forget(runtime, workshop.project, workshop.settings, found, dt.datetime.now(dt.UTC))


def texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Read every file under a folder: Parquet decoded, databases as they lie, anything else as text."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            yield path, json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str)
        elif path.is_file():
            yield path, path.read_bytes().decode("utf-8", errors="replace")


def places(workshop: Workshop, *words: str) -> list[str]:
    """Name the files of the lake, the exports and the history in which one of the words stands."""
    folders = [folder for name in ("lake", "exports", "history") if (folder := workshop.folder / name).exists()]
    return [str(path) for folder in folders for path, text in texts(folder) if any(word in text for word in words)]


# going back


def test_a_restored_release_shows_what_it_showed_and_the_next_run_catches_up(workshop: Workshop) -> None:
    declare(workshop)
    deliver(workshop)
    assert workshop.run(DAYS[0], DAYS[1]).succeeded
    before = workshop.fingerprints()
    assert workshop.run(DAYS[2], DAYS[3]).succeeded
    whole = workshop.fingerprints()
    old, new = go_back(workshop.project, workshop.settings, 1, told)
    assert (old.number, new.number) == (1, 3)
    assert workshop.fingerprints() == before
    contracts = [resolve(workshop.project).contracts()[name] for name in ("fact_events", "raw_events")]
    assert str(missing_days(workshop.project, contracts, new, day(DAYS[-1]))) == f"{DAYS[2]} to {DAYS[3]}"
    assert workshop.run(DAYS[2], DAYS[3]).succeeded
    assert workshop.fingerprints() == whole


def invoke(workshop: Workshop, *arguments: str, **options: Any) -> Result:
    return CliRunner(env={**workshop.environment, "PYTHONWARNINGS": "ignore"}).invoke(main, arguments, **options)


def test_releases_are_listed_and_restored_from_the_command_line(filled: Workshop) -> None:
    listed = invoke(filled, "releases")
    assert listed.exit_code == 0, listed.output
    assert f"{DAYS[0]} to {DAYS[-1]}" in listed.output
    restored = invoke(filled, "restore", "--to", "1")
    assert "readers see release 3, which shows what release 1" in restored.output
    assert "restore-" in invoke(filled, "releases").output
    again = invoke(filled, "restore", "--to", "2999-01-01")
    assert "nothing to do" in again.output


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("77", "there is no release 77. Remembered are releases 1 to 2"),
        ("1999-01-01", "no release was made by 1999-01-01 23:59:59"),
        ("yesterday", "neither the number of a release nor a date or time"),
    ],
)
def test_what_cannot_be_restored_is_said(shared_lake: Workshop, to: str, message: str) -> None:
    answered = invoke(shared_lake, "restore", "--to", to)
    assert answered.exit_code != 0
    assert message in answered.output.replace("\n", " ")


def test_a_time_without_an_offset_is_one_of_the_reporting_time_zone() -> None:
    from analytics_assets.cli.care import _release_or_time
    from analytics_assets_tests.making import project

    there = project(time_zone="Asia/Tokyo")
    assert _release_or_time("12", there) == 12
    assert _release_or_time("2024-03-05T09:00", there) == dt.datetime(2024, 3, 5, tzinfo=dt.UTC)
    assert _release_or_time("2024-03-05T09:00Z", there) == dt.datetime(2024, 3, 5, 9, tzinfo=dt.UTC)
    end = _release_or_time("2024-03-05", there)
    assert isinstance(end, dt.datetime)
    assert dt.timedelta() < dt.datetime(2024, 3, 5, 15, tzinfo=dt.UTC) - end < dt.timedelta(seconds=1)


# vacuum


def test_a_vacuum_changes_nothing_that_readers_see(filled: Workshop) -> None:
    before = filled.fingerprints()
    planned = tidy(filled.project, filled.settings, told, dry_run=True)
    assert filled.release().number == 2
    done = tidy(filled.project, filled.settings, told)
    assert done.removed == planned.removed == {}  # all of it is of today
    assert filled.fingerprints() == before
    said = invoke(filled, "vacuum", "--dry-run")
    assert (
        "no release forgotten (older than 30 days), kept 1 to 2; 0 files with 0 bytes would be removed" in said.output
    )


# deleting a person's rows


def test_an_id_that_was_deleted_stands_nowhere(filled: Workshop) -> None:
    assert places(filled, *IDS)
    with open_lake(filled.settings, "workshop") as lake:
        found = find(lake, filled.project, WHO)
    assert (found.person.visitors, len(found.person.orders)) == ({VISITOR}, 4)
    receipt = delete(filled)
    assert places(filled, *IDS) == []
    expected = {
        "raw_events": 16, "staged_events": 16, "fact_events": 8, "fact_sessions": 8,
        "raw_order_lines": 12, "staged_order_lines": 12, "fact_sales": 8,
        "raw_returns": 1, "staged_returns": 1, "fact_returns": 1,
        "raw_users": 4, "staged_users": 4, "dim_users": 1,
        "raw_identities": 1, "staged_identities": 1, "map_identity": 1,
    }  # fmt: skip
    assert {name: receipt.rows[name] for name in expected} == expected
    filled.assert_nothing_lost()


def about_things(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was measured of a day, which stays until the day is run again."""
    return {name: content for name, content in contents.items() if not name.startswith("quality_")}


def test_the_tables_are_those_of_a_world_without_the_person(filled: Workshop) -> None:
    delete(filled)
    places_differ = ("raw_", "staged_")  # a file without the person's rows counts its rows otherwise
    names = [name for name in about_things(filled.fingerprints()) if not name.startswith(places_differ)]
    assert {"fact_events", "fact_sessions", "fact_sales", "fact_user_days", "map_identity", "dim_users"} <= set(names)
    rows = {name: filled.rows(name) for name in names}
    filled.start_over()
    deliver(filled, without=True)
    assert filled.run().succeeded
    assert {name: filled.rows(name) for name in names} == rows


def test_rows_that_come_again_are_left_out_and_counted(filled: Workshop) -> None:
    delete(filled)
    before = about_things(filled.fingerprints())
    ran = filled.run()
    assert ran.succeeded, ran.message
    assert about_things(filled.fingerprints()) == before
    assert ran.report("raw_events").filtered == {"forgotten": 16}
    assert ran.report("raw_order_lines").filtered == {"forgotten": 12}
    assert places(filled, *IDS) == []
    filled.assert_nothing_lost()


def test_one_release_is_left_and_everybody_else_is_still_there(filled: Workshop) -> None:
    others = filled.rows("fact_sales", "user_id").count(OTHER)
    receipt = delete(filled)
    with open_lake(filled.settings, "workshop") as lake:
        assert [r.number for r in all_releases(lake)] == [3] == [receipt.release]
    assert filled.rows("fact_sales", "user_id").count(OTHER) == others > 0
    with pytest.raises(LakeError, match=r"there is no release 2\. Remembered are releases 3"):
        go_back(filled.project, filled.settings, 2, told)


def test_the_receipt_says_what_and_not_who(filled: Workshop) -> None:
    receipt = delete(filled)
    with open_lake(filled.settings, "workshop") as lake:
        rows = receipts(lake)
        known = suppressed(lake)
    assert {row["table"]: row["rows"] for row in rows} == dict(receipt.rows)
    assert {row["person"] for row in rows} == {receipt.person} == {known.hash(WHO)}
    assert {row["release"] for row in rows} == {3}
    assert re.fullmatch("[0-9a-f]{64}", receipt.person)
    assert receipt.person != hashlib.sha256(WHO.encode()).hexdigest()


def test_a_second_time_removes_nothing_and_says_since_when(filled: Workshop) -> None:
    first = delete(filled)
    before = filled.fingerprints()
    second = delete(filled)
    assert (second.rows, second.deleted_at, second.release) == ({}, first.deleted_at, 3)
    assert filled.fingerprints() == before
    assert filled.release().number == 3


def test_two_people_share_a_salt_and_nothing_else(filled: Workshop) -> None:
    delete(filled)
    receipt = delete(filled, OTHER)
    assert places(filled, *IDS, OTHER) == []
    with open_lake(filled.settings, "workshop") as lake:
        assert len({row["person"] for row in receipts(lake)}) == 2
        assert suppressed(lake).known("user", WHO)
        assert suppressed(lake).known("visitor", "v2")
    assert receipt.release == 4
    ran = filled.run()
    assert ran.report("raw_events").filtered == {"forgotten": 24}


def test_exports_of_before_are_written_anew_or_removed(filled: Workshop) -> None:
    folder = filled.folder / "exports"
    assert WHO in (folder / "fact_sales.csv").read_text()
    (folder / "fact_events.csv").write_text(f"an earlier export of {WHO}")
    (folder / "mine.csv").write_text("not an export")
    delete(filled)
    text = (folder / "fact_sales.csv").read_text()
    assert WHO not in text
    assert OTHER in text
    assert not (folder / "fact_events.csv").exists()
    assert (folder / "mine.csv").exists()


@pytest.mark.parametrize(
    ("user", "message"),
    [(NOBODY, f"no table of release 2 knows {NOBODY}"), ("(unknown)", "is nobody"), ("", "an empty id is nobody")],
)
def test_who_is_not_there_is_not_recorded(shared_lake: Workshop, user: str, message: str) -> None:
    answered = invoke(shared_lake, "forget", user, "--yes")
    assert answered.exit_code != 0
    assert message in answered.output
    assert not (shared_lake.lake / "suppressed").exists()
    assert not (shared_lake.lake / "receipts").exists()
    assert shared_lake.release().number == 2


def test_nothing_is_deleted_where_the_answer_is_no(shared_lake: Workshop) -> None:
    answered = invoke(shared_lake, "forget", WHO, input="n\n")
    assert answered.exit_code != 0
    assert "raw_events" in answered.output
    assert "cannot be taken back" in answered.output
    assert shared_lake.release().number == 2


def test_the_command_prints_a_receipt_that_names_nobody(filled: Workshop) -> None:
    answered = invoke(filled, "forget", WHO, "--yes", "--no-run", "--json")
    assert answered.exit_code == 0, answered.output
    record = json.loads(answered.stdout)
    assert record["rows"]["fact_sales"] == 8
    assert not any(word in answered.stdout for word in IDS)
    again = invoke(filled, "forget", WHO, "--no-run")
    assert again.exit_code == 0
    assert "nothing to delete: these rows were deleted on" in again.output


def test_marts_that_count_the_person_are_computed_anew(filled: Workshop) -> None:
    filled.declare(exports=[])
    assert filled.run(select="order_value or active_users").succeeded
    receipt = delete(filled)
    release = filled.release()
    stale = stale_marts(filled.project, release, receipt.deleted_at)
    assert {"order_value", "active_users"} <= set(stale)
    computed, failed = compute_marts(
        filled.project, filled.settings, release, ("order_value", "active_users"), filled.instance
    )
    assert (set(computed), failed) == ({"order_value", "active_users"}, "")
    assert {row["dau"] for row in filled.rows("active_users") if row["dau"]} == {1}
    assert "active_users" not in stale_marts(filled.project, filled.release(), receipt.deleted_at)


def test_samples_in_the_history_are_rewritten(tmp_path: Path) -> None:
    history = tmp_path / "history"
    (history / "storage").mkdir(parents=True)
    sample = "user_id 17, day 2024-03-01; user_id 170, day 2024-03-01; unit 17/2024-03-01/1; row_number 17"
    with sqlite3.connect(history / "index.db") as database:
        database.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
        database.execute("INSERT INTO event_logs (event) VALUES (?)", (json.dumps({"samples": sample, "n": 17}),))
        database.execute("INSERT INTO event_logs (event) VALUES (?)", ('{"spellings": "spellings 17 | x17"}',))
    (history / "storage" / "run.err").write_text(f"failed: {sample}\n")
    done = scrub(history, ["17"])
    assert (done.places, done.left) == (4, ())
    with sqlite3.connect(history / "index.db") as database:
        one, two = (event for (event,) in database.execute("SELECT event FROM event_logs ORDER BY id"))
    changed = sample.replace("user_id 17,", f"user_id {STAND_IN},").replace("unit 17/", f"unit {STAND_IN}/")
    assert json.loads(one) == {"samples": changed, "n": 17}
    assert two == f'{{"spellings": "spellings {STAND_IN} | x17"}}'
    assert (history / "storage" / "run.err").read_text() == f"failed: {changed}\n"


def test_a_history_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_text("this is no database at all, " * 100)
    done = scrub(tmp_path, ["17"])
    assert done.places == 0
    assert "index.db: file is not a database" in done.left[0]


def test_a_deletion_that_is_killed_leaves_a_readable_lake_and_is_ended_by_the_next(
    shared_lake: Workshop, copied: Callable[[str], Workshop]
) -> None:
    before = shared_lake.fingerprints()
    seed = random.randrange(1_000)
    moments = random.Random(seed)
    killed = 0
    for number in range(4):
        own = copied(f"round{number}")
        process = own.command("forget", WHO, "--yes", "--no-run")
        assert process.stdout is not None
        process.stdout.readline()
        moment = moments.random() * 2.5
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() != 0
        where = f"round {number} after {moment:.2f} s, seed {seed}"
        halfway = own.fingerprints()
        assert halfway == before or WHO not in own.rows("fact_events", "user_id"), where
        delete(own)
        assert places(own, *IDS) == [], where
        own.assert_nothing_lost()
        with open_lake(own.settings, "workshop") as lake:
            assert len(all_releases(lake)) == 1, where
            release = latest_release(lake).number
            assert {row["release"] for row in receipts(lake)} == {release}, where
            assert len({row["deleted_at"] for row in receipts(lake)}) == 1, where
    assert killed, seed


def test_a_bucket_is_left_alone_beside_a_run_wherever_the_history_is(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(workshop)
    monkeypatch.setenv("DAGSTER_HOME", "set, so that it is restored in the end")
    monkeypatch.delenv("DAGSTER_HOME")  # as on a machine where the history is in .dagster_home
    monkeypatch.chdir(workshop.folder)
    settings = workshop.settings.model_copy(update={"lake": "s3://no-bucket/lake"})
    with open_history(settings) as instance:
        run = instance.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED))
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(LakeError, match=rf"run {run.run_id} is under way.*vacuum"):
        tidy(workshop.project, settings, print)
