"""A team's own Postgres from table to star: the same as files, whatever the order of days, and told where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from analytics_assets.automation import building
from analytics_assets.cli import main
from analytics_assets.sources import postgres
from analytics_assets_tests.conftest import STAR, Workshop, csv
from analytics_assets_tests.postgres import PASSWORD, FreshDatabase

URL = "SHOP_DATABASE_URL"
EVENT_COLUMNS = ("event_id", "user_id", "event_type", "occurred_at", "amount", "device", "n")
LINE_COLUMNS = ("order_id", "line", "user_id", "product_id", "ordered_at", "quantity", "unit_price", "note", "n")
LONG = "ß" * 500_000
EVENTS = {
    "2024-03-01": [
        ("e1", "u1", "view", "2024-03-01 10:00:00+00", "", "📱 phone", "1"),
        ("e2", "u1", "buy", "2024-03-01 23:30:00+00", "9.99", "phone", "2"),  # the second, in Berlin
        ("e3", "u2", "view", "infinity", "", "phone", "3"),
        ("e4", "u2", "buy", "2024-03-01 11:00:00+00", "1" + "0" * 40, "tablet", "4"),
    ],
    "2024-03-02": [
        ("e1", "u1", "view", "2024-03-01 10:00:00+00", "", "again", "5"),
        ("e5", "u3", "view", "2024-03-01 12:00:00+00", "", "late", "6"),
        ("e6", "u3", "view", "2024-03-02 12:00:00+00", "1.23456", "phone", "7"),
    ],
    "2024-03-03": [],
    "2024-03-04": [
        ("e7", "u1", "view", "2024-03-01 12:00:00+00", "", "too late", "8"),
        ("e8", "u1", "view", "2024-03-04 12:00:00+00", "", LONG, "9"),
    ],
}
LINES = {
    "2024-03-01": [("o1", "1", "u1", "p1", "2024-03-01 10:00:00", "2", "9.9900", "gift, wrapped", "1")],
    "2024-03-02": [
        ("o2", "1", "u2", "p1", "2024-03-02 10:00:00", "1", "0.5", "", "2"),
        ("o2", "2", "u2", "p2", "2024-03-02 10:00:00", "-1", "5", 'say "no"', "3"),
        ("o2", "1", "u2", "p1", "2024-03-02 10:00:00", "1", "0.5", "", "4"),
    ],
    "2024-03-03": [("o3", "1", "u2", "p1", "2024-03-03 10:00:00", "1", "NaN", "", "5")],
    "2024-03-04": [],
}
SOURCES: dict[str, Any] = {
    "events": {
        "lateness": 1,
        "excluded": {"bot": {"device": "tablet"}},
        "feeds": [
            {
                "table": "events",
                "columns": {name: name for name in EVENT_COLUMNS[:5]},
                "properties": ["device"],
            }
        ],
    },
    "lines": {
        "time_zone": "Europe/London",
        "feeds": [{"table": "order_lines", "columns": {name: name for name in LINE_COLUMNS[:7]}}],
    },
}
TYPES = {"occurred_at": "timestamptz", "amount": "numeric", "ordered_at": "timestamp", "quantity": "int",
         "unit_price": "numeric", "n": "int"}  # fmt: skip
GIVEN = {"events": (EVENT_COLUMNS, EVENTS), "lines": (LINE_COLUMNS, LINES)}


@pytest.fixture
def shop(workshop: Workshop, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """Give a project of two tables of a database, with four days of rows in them."""
    monkeypatch.setenv(URL, database.url())
    workshop.selects = STAR
    workshop.declare(time_zone="Europe/Berlin", last_day=None)
    for name, (columns, days) in GIVEN.items():
        typed = ", ".join(f"{column} {TYPES.get(column, 'text')}" for column in columns)
        database.ask(f"create table {name}_raw ({typed}, came date)")
        for day, rows in days.items():
            for row in rows:
                told = [
                    None if text == "" and TYPES.get(column) else text
                    for column, text in zip(columns, row, strict=True)
                ]
                database.ask(f"insert into {name}_raw values ({'%s, ' * len(row)}%s)", *told, day)
        asked = {"url_env": URL, "table": f"{name}_raw", "day_by": "came", "order_by": ["n"]}
        workshop.source(name, SOURCES[name], postgres=asked)
    return workshop


def staged(workshop: Workshop, table: str) -> list[Any]:
    """Give the staged rows without the name of their file."""
    return [{**row, "file": ""} for row in workshop.rows(f"staged_{table}")]


def stars(workshop: Workshop) -> dict[str, str]:
    return {name: told for name, told in workshop.fingerprints().items() if not name.startswith(("raw_", "staged_"))}


@pytest.mark.slow
def test_rows_of_files_and_of_postgres_end_in_the_same_tables(shop: Workshop) -> None:
    ran = shop.run("03-01", "03-04")
    assert ran.succeeded, ran.message
    assert shop.reasons("events", "event_id") == {
        "e1": ["duplicate"], "e2": ["too_early"], "e3": ["unparseable_occurred_at"], "e4": ["out_of_range_amount"],
        "e5": [], "e6": ["precision_amount"], "e7": ["too_late"], "e8": [],
    }  # fmt: skip
    assert ("e8", LONG) in [(row["event_id"], row["properties"][11:-2]) for row in shop.rows("fact_events")]
    assert any("📱" in (row["properties"] or "") for row in shop.rows("fact_events"))
    assert "no day is empty (events_raw/2024-03-03)" in ran.warnings("raw_events")
    shop.assert_accounted(ran, "events", 9)
    shop.assert_accounted(ran, "order_lines", 5)
    of_postgres = stars(shop), staged(shop, "events"), staged(shop, "order_lines")

    shop.start_over()
    for name, (columns, days) in GIVEN.items():
        for day, rows in days.items():
            lines = [",".join('"' + text.replace('"', '""') + '"' for text in (*row, day)) for row in rows]
            shop.deliver(f"{name}/{day}.csv", csv((*columns, "came"), *lines))
        shop.source(name, SOURCES[name], path=f"data/{name}/{{day}}.csv", format="csv")
    ran = shop.run("03-01", "03-04")
    assert ran.succeeded, ran.message
    assert (stars(shop), staged(shop, "events"), staged(shop, "order_lines")) == of_postgres


@pytest.mark.slow
def test_days_in_any_order_end_in_the_same_tables(shop: Workshop) -> None:
    (shop.home / "sources" / "lines.yaml").unlink()
    assert shop.run("03-01", "03-04").succeeded
    at_once = shop.fingerprints()
    shop.start_over()
    for day in ("03-04", "03-02", "03-01", "03-03", "03-02"):
        assert shop.run(day).succeeded
    assert shop.fingerprints() == at_once


def test_rows_without_a_day_are_told(shop: Workshop, database: FreshDatabase) -> None:
    database.ask("update lines_raw set came = 'infinity' where n = 4")
    database.ask("update lines_raw set came = null where n = 3")
    ran = shop.run("03-01", "03-04")
    assert ran.succeeded, ran.message
    told = "each row of lines has a day to be delivered on: broken by 2 rows"
    assert told in ran.warnings("raw_order_lines")
    shop.assert_accounted(ran, "order_lines", 3)


def breaking(monkeypatch: pytest.MonkeyPatch, database: FreshDatabase, times: int) -> Callable[[], int]:
    """Cut the connection after the first batch of a stream, so many times; return how often a stream was begun."""
    placed, begun = postgres._placed, [0]

    def stream(*arguments: Any) -> Iterator[Any]:
        begun[0] += 1
        for batch in placed(*arguments):
            yield batch
            if begun[0] <= times:
                for backend in database.server.backends():
                    database.server.ask("select pg_terminate_backend(%s)", backend)

    monkeypatch.setattr(postgres, "_placed", stream)
    monkeypatch.setattr(building, "AGAIN", dg.RetryPolicy(max_retries=2))
    return lambda: begun[0]


@pytest.fixture
def large(shop: Workshop, database: FreshDatabase) -> Workshop:
    """Give the shop's events alone, of which there are more than one batch holds."""
    (shop.home / "sources" / "lines.yaml").unlink()
    database.ask(
        "insert into events_raw select 'x' || i, 'u1', 'view', '2024-03-01 12:00+00', null, repeat('x', 1000), 0, "
        "'2024-03-01' from generate_series(1, 50000) i"
    )
    return shop


def test_a_connection_that_broke_is_opened_again_and_no_row_is_lost_or_there_twice(
    large: Workshop, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = breaking(monkeypatch, database, times=1)
    ran = large.run("03-01")
    assert ran.succeeded, ran.message
    assert begun() == 2
    assert ran.report("raw_events").rows == 50_004


def test_a_connection_that_breaks_every_time_ends_the_run_and_nothing_is_landed(
    large: Workshop, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = breaking(monkeypatch, database, times=99)
    ran = large.run("03-01")
    assert (ran.succeeded, ran.release, begun()) == (False, 0, 3)
    assert "source events: Postgres (postgres at 127.0.0.1:" in ran.message
    assert "went away" in ran.message


def test_no_secret_stands_anywhere(shop: Workshop, database: FreshDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    role = database.role("blind")
    monkeypatch.setenv(URL, database.url(role))
    ran = shop.run("03-01")
    assert f"does not let {role} do this: permission denied" in ran.message
    monkeypatch.setenv(URL, database.url())
    again = shop.run("03-01")
    assert again.succeeded
    secret = database.url().partition("postgres:")[2].partition("@")[0]
    told = [
        str(event) + str(event.dagster_event and event.dagster_event.event_specific_data)
        for run in (ran, again)
        for event in shop.instance.all_logs(run.run_id)
    ]
    told += [str(run.run_config) + str(run.tags) for run in shop.instance.get_runs()]
    assert any("permission denied" in line for line in told)
    assert not [line for line in told if secret in line or PASSWORD in line]


def test_the_page_of_a_raw_table_says_where_its_rows_come_from(shop: Workshop) -> None:
    from analytics_assets.definitions import build_definitions

    specs = build_definitions(shop.project, shop.settings).resolve_all_asset_specs()
    (spec,) = [spec for spec in specs if spec.key == dg.AssetKey("raw_events")]
    assert f"- `events`: postgres table events_raw of {URL}" in (spec.description or "")
    assert "postgres" in spec.kinds


def test_check_says_where_a_variable_is_not_set(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["check", "--project", str(shop.home)]
    assert "is not set" not in CliRunner().invoke(main, asked).output
    monkeypatch.delenv(URL)
    checked = CliRunner().invoke(main, asked)
    assert checked.exit_code == 0
    output = " ".join(checked.output.split())
    assert f"postgres.url_env: the environment variable {URL} is not set here. events cannot be read" in output
