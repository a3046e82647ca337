"""Rows of Postgres, read from a real server: all of them, as text, by day, and refusals in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.sources.landing import Landing, land
from analytics_assets_tests.making import day, feed, project, source
from analytics_assets_tests.postgres import FreshDatabase

EVENTS = feed("events", "event_id")
TABLE = "event_id text, event_type text, occurred_at timestamptz, ingested_at timestamptz"


def declared(*feeds: Any, zone: str = "UTC", says: Mapping[str, Any] | None = None, **asked: Any) -> Project:
    """Declare a project with one source of a database."""
    rows = {"url_env": "SHOP_URL", **asked}
    told = source(*(feeds or (EVENTS,)), path=None, format=None, postgres=rows, **(says or {}))
    return project(told, time_zone=zone)


def landed(engine, database: FreshDatabase, within: Project, *days: int, url: str | None = None) -> Landing:
    """Land some days of March 2024, the first and the last of which are given."""
    wanted = Days(day(days[0]), day(days[-1]))
    return land("s0", within, wanted, engine, None, {"SHOP_URL": url or database.url()})


def rows(engine, found: Landing, table: str = "events") -> list[dict[str, Any]]:
    taken = engine.rows(found.raw[table])
    engine.drop(found.delivery)
    return sorted(taken, key=lambda row: (row["file"], row["row_number"]))


def values(engine, found: Landing, *columns: str) -> list[Any]:
    return [tuple(row[column] for column in columns) for row in rows(engine, found)]


@pytest.fixture
def events(database: FreshDatabase) -> FreshDatabase:
    """Give a database with a table of events."""
    database.ask(f"create table events_raw ({TABLE})")
    return database


def add(database: FreshDatabase, *told: str, table: str = "events_raw") -> None:
    """Add events: `id occurred ingested`, times of March 2024 such as 05T10:30."""
    for line in told:
        event, *times = line.split()
        at = [None if time == "-" else time if "infinity" in time else f"2024-03-{time}Z" for time in times]
        database.ask(f"insert into {table} values (%s, 'view', %s, %s)", event, *at)


# --- which rows -------------------------------------------------------------------------------------------------------


def test_the_rows_of_a_run_s_days_are_read_each_with_its_day_and_its_number_in_it(engine, events):
    add(events, "e3 02T12:00 03T00:00", "e1 01T10:00 02T09:00", "e2 01T10:00 02T08:00", "e0 01T10:00 01T23:59")
    add(events, "e4 04T00:00 04T00:00")
    found = landed(engine, events, declared(table="events_raw", day_by="ingested_at"), 2, 3)
    assert (found.delivered, found.files, found.empty_files, found.undated) == (3, 2, (), 0)
    assert values(engine, found, "event_id", "delivery_day", "file", "row_number") == [
        ("e2", day(2), "events_raw/2024-03-02", 1),
        ("e1", day(2), "events_raw/2024-03-02", 2),
        ("e3", day(3), "events_raw/2024-03-03", 1),
    ]
