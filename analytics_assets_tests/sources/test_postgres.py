"""Rows of Postgres, read from a real server: all of them, as text, by day, and refusals in words."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.sources import postgres
from analytics_assets.sources.errors import SourceError, UnreachableError
from analytics_assets.sources.landing import Landing, land
from analytics_assets_tests.making import day, feed, project, source
from analytics_assets_tests.postgres import PASSWORD, FreshDatabase
from analytics_assets_tests.processes import until

EVENTS = feed("events", "event_id")
DATED = {"table": "events_raw", "day_by": "ingested_at"}
TABLE = "event_id text, event_type text, occurred_at timestamptz, ingested_at timestamptz"


def declared(*feeds: Any, zone: str = "UTC", says: Mapping[str, Any] | None = None, **asked: Any) -> Project:
    """Declare a project with one source of a database."""
    rows = {"url_env": "SHOP_URL", **asked}
    told = source(*(feeds or (EVENTS,)), path=None, format=None, postgres=rows, **(says or {}))
    return project(told, time_zone=zone)


RAW = declared(**DATED)
ALL = declared(table="events_raw")


def landed(engine, database: FreshDatabase, within: Project, *days: Any, url: str | None = None) -> Landing:
    """Land some days, the first and the last of which are given."""
    first, last = (on if isinstance(on, dt.date) else day(on) for on in (days[0], days[-1]))
    return land("s0", within, Days(first, last), engine, None, {"SHOP_URL": url or database.url()})  # type: ignore[arg-type]


def delivered(engine, found: Landing) -> list[dict[str, Any]]:
    """Give the rows as they were read."""
    taken = engine.rows(engine.delivery(found.delivery).order_by("ours__order"))
    engine.drop(found.delivery)
    return taken


def values(engine, found: Landing, *columns: str, table: str = "events") -> list[Any]:
    """Give some columns of the raw rows, in the order in which they were delivered."""
    taken = engine.rows(found.raw[table])
    engine.drop(found.delivery)
    taken = sorted(taken, key=lambda row: (row["file"], row["row_number"]))
    return [row[columns[0]] if len(columns) == 1 else tuple(row[column] for column in columns) for row in taken]


def refused(engine, database: FreshDatabase, within: Project, url: str | None = None) -> SourceError:
    """Give the error that the first days of March end in, which never shows a password."""
    with pytest.raises(SourceError) as told:
        landed(engine, database, within, 1, 3, url=url)
    assert PASSWORD not in str(told.value)
    assert quote(PASSWORD, safe="") not in str(told.value)
    assert str(told.value).startswith("source s0: ")
    return told.value


def leftovers(engine) -> list[str]:
    """Name the deliveries that the engine holds."""
    return [name for name in engine.backend.list_tables() if name.startswith("delivered_")]


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


def interrupting(monkeypatch, interrupt: Callable[[], None], times: int = 1) -> None:
    """Have something happen after the first batch of a stream, so many times."""
    placed, left = postgres._placed, [times]

    def stream(*arguments: Any) -> Iterator[Any]:
        for batch in placed(*arguments):
            yield batch
            if left[0]:
                left[0] -= 1
                interrupt()

    monkeypatch.setattr(postgres, "_placed", stream)


def many(database: FreshDatabase, rows: int = 100_000) -> None:
    """Add many long events to two days, more than one batch holds."""
    database.ask("alter table events_raw add filler text")
    database.ask(
        "insert into events_raw select i::text, 'view', '2024-03-01', date '2024-03-01' + i / %s, repeat('x', 1000)"
        "from generate_series(0, %s) as i",
        rows // 2,
        rows - 1,
    )


# --- which rows -------------------------------------------------------------------------------------------------------


def test_the_rows_of_a_run_s_days_are_read_each_with_its_day_and_its_number_in_it(engine, events):
    add(events, "e3 02T12:00 03T00:00", "e1 01T10:00 02T09:00", "e2 01T10:00 02T08:00", "e0 01T10:00 01T23:59")
    add(events, "e4 04T00:00 04T00:00")
    found = landed(engine, events, RAW, 2, 3)
    assert (found.delivered, found.files, found.empty_files, found.undated) == (3, 2, (), 0)
    assert values(engine, found, "event_id", "delivery_day", "file", "row_number") == [
        ("e2", day(2), "events_raw/2024-03-02", 1),
        ("e1", day(2), "events_raw/2024-03-02", 2),
        ("e3", day(3), "events_raw/2024-03-03", 1),
    ]


def test_a_day_without_rows_is_named(engine, events):
    add(events, "e1 01T10:00 02T09:00")
    found = landed(engine, events, RAW, 1, 3)
    assert (found.delivered, found.empty_files) == (1, ("events_raw/2024-03-01", "events_raw/2024-03-03"))
    events.ask("truncate events_raw")
    assert landed(engine, events, ALL, 1, 3).empty_files == ("events_raw",)


def test_rows_that_belong_to_no_day_are_counted(engine, events):
    add(events, "e1 01T10:00 01T10:00", "e2 01T10:00 -", "e3 01T10:00 infinity", "e4 01T10:00 -infinity")
    found = landed(engine, events, RAW, 1)
    assert (found.delivered, found.undated) == (1, 3)


def test_without_a_column_that_dates_rows_all_of_them_are_read_and_dated_by_their_own_time(engine, events):
    add(events, "e1 01T10:00 -", "e2 02T10:00 -", "e3 03T10:00 -")
    found = landed(engine, events, ALL, 2)
    assert (found.delivered, found.routed, found.other_days) == (3, {"events": 1}, 2)
    assert values(engine, found, "event_id", "delivery_day", "row_number") == [
        ("e1", day(1), 1),
        ("e2", day(2), 2),
        ("e3", day(3), 3),
    ]


def test_things_are_a_snapshot_whose_last_word_is_said_by_order_by(engine, database):
    database.ask("create table people (id text, name text, seen int)")
    database.ask("insert into people values ('u1', 'new', 10), ('u1', 'old', 9), ('u2', 'only', 1)")
    users = {"table": "users", "columns": {"user_id": "id", "name": "name"}}
    found = landed(engine, database, declared(users, table="people", order_by=["seen"]), 1)
    told = values(engine, found, "user_id", "name", "delivery_day", table="users")
    assert told == [("u2", "only", None), ("u1", "old", None), ("u1", "new", None)]


def test_a_row_s_number_depends_on_what_is_in_the_rows_and_not_on_where_they_are_kept(engine, database):
    lines = ["b 01T10:00 01T11:00", "a 01T10:00 01T11:00", "ä 01T10:00 01T11:00", "B 01T10:00 01T11:00"]
    found = []
    for name, told in {"one": lines, "two": lines[::-1]}.items():
        database.ask(f"create table {name} ({TABLE})")
        add(database, *told, table=name)
        within = declared(table=name, day_by="ingested_at")
        found.append(values(engine, landed(engine, database, within, 1), "event_id"))
    assert found == [["B", "a", "b", "ä"]] * 2


def test_rows_are_numbered_through_batches_and_days(engine, events):
    many(events, 60_000)
    (counted,) = engine.rows(
        engine.delivery((found := landed(engine, events, RAW, 1, 2)).delivery)
        .group_by(day="ours__file_day")
        .aggregate(
            n=lambda t: t.count(), last=lambda t: t.ours__row_number.max(), own=lambda t: t.ours__row_number.nunique()
        )
        .order_by("day")
        .aggregate(all=lambda t: t.n.collect(), last=lambda t: t["last"].collect(), own=lambda t: t.own.collect())
    )
    engine.drop(found.delivery)
    assert [list(counted[column]) for column in ("all", "last", "own")] == [[30_000, 30_000]] * 3


def test_an_index_on_the_column_that_dates_rows_serves(events):
    events.ask("create index on events_raw (ingested_at)")
    events.ask(
        "insert into events_raw select i, 'view', now(), timestamp '2024-01-01' + i * interval '1 minute' "
        "from generate_series(1, 200000) i"
    )
    events.ask("analyze events_raw")
    asked = RAW.sources["s0"].postgres
    assert asked is not None
    bounds = [f"'{postgres._bound(day(n), 'timestamptz', 'Europe/Berlin', 'UTC')}'::timestamptz" for n in (1, 2)]
    query = postgres._statement(asked, ["event_id", "ingested_at"], bounds)
    assert query.count('::text COLLATE "C"') == 2  # in the same order on every server
    plan = "\n".join(line for (line,) in events.ask("explain " + query))
    assert re.search(r"Index Cond: \(\(ingested_at >= .*\) AND \(ingested_at < .*\)\)", plan), plan


def test_all_is_read_as_of_one_moment(engine, events, monkeypatch):
    add(events, "e1 01T10:00 01T10:00", "e2 02T10:00 02T10:00")
    monkeypatch.setattr(postgres, "_DAYS_AT_ONCE", 1)
    interrupting(monkeypatch, lambda: add(events, "late 02T10:00 02T11:00"))
    assert values(engine, landed(engine, events, RAW, 1, 2), "event_id") == ["e1", "e2"]


# --- days -------------------------------------------------------------------------------------------------------------

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Costa_Rica", "America/Havana", "Asia/Beirut",
         "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "Asia/Kathmandu"]  # fmt: skip


@given(
    reporting=st.sampled_from(ZONES),
    written=st.sampled_from(ZONES),
    on=st.dates(dt.date(2015, 1, 1), dt.date(2030, 12, 31)),
    minutes=st.integers(-2 * 24 * 60, 2 * 24 * 60),
)
@example(
    "America/Costa_Rica", "America/New_York", dt.date(2024, 11, 3), -30
)  # it begins in an hour that is shown twice
def test_a_day_begins_where_the_first_of_its_instants_is(reporting, written, on, minutes):
    zone = ZoneInfo(written)
    midnight = dt.datetime.combine(on, dt.time(), ZoneInfo(reporting)).astimezone(dt.UTC)
    near = midnight + dt.timedelta(minutes=minutes)
    instant = dt.datetime.fromisoformat(postgres._bound(on, "timestamptz", reporting, written))
    assert (near >= instant) == (near.astimezone(ZoneInfo(reporting)).date() >= on)
    shown = near.astimezone(zone).replace(tzinfo=None)
    meant = shown.replace(tzinfo=zone).astimezone(dt.UTC)  # a time that is shown twice is the first
    local = dt.datetime.fromisoformat(postgres._bound(on, "timestamp", reporting, written))
    assert (shown >= local) == (meant.astimezone(ZoneInfo(reporting)).date() >= on)
    assert postgres._bound(on, "date", reporting, written) == str(on)


@pytest.mark.parametrize("turn", [dt.date(2024, 3, 31), dt.date(2024, 10, 27)])
@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("timestamptz", "at"),
        ("stamp", "at"),
        ("timestamp", "at at time zone 'Europe/Berlin'"),
        ("date", "(at at time zone 'Europe/Berlin')::date"),
    ],
)
def test_days_on_which_clocks_are_set_are_read_whole_whatever_the_column_s_type(engine, database, turn, kind, made):
    database.ask("create domain stamp as timestamptz(3) check (value is not null)")
    database.ask(
        f"create table t as select at::text event_id, 'view' event_type, at as occurred_at, ({made})::{kind} as d "
        "from generate_series(%s::timestamptz, %s::timestamptz, '15 minutes') as at",
        turn - dt.timedelta(days=2),
        turn + dt.timedelta(days=3),
    )
    within = declared(table="t", day_by="d", zone="Europe/Berlin")
    around = (turn - dt.timedelta(days=1), turn + dt.timedelta(days=1))
    read = values(engine, landed(engine, database, within, *around), "event_id", "delivery_day")
    assert len(read) == 3 * 96 + (4 if turn.month == 10 else -4)
    assert all(
        dt.datetime.fromisoformat(at + ":00").astimezone(ZoneInfo("Europe/Berlin")).date() == on for at, on in read
    )


def test_days_in_any_order_and_at_once_are_the_same_rows(engine, events, monkeypatch):
    add(events, *(f"e{n} 01T10:00 0{n % 4 + 1}T1{n}:00" for n in range(9)))
    at_once = values(engine, landed(engine, events, RAW, 1, 4), "event_id", "file", "row_number")
    monkeypatch.setattr(postgres, "_DAYS_AT_ONCE", 3)
    in_parts = values(engine, landed(engine, events, RAW, 1, 4), "event_id", "file", "row_number")
    apart = [
        row
        for n in (4, 2, 1, 3)
        for row in values(engine, landed(engine, events, RAW, n), "event_id", "file", "row_number")
    ]
    assert at_once == in_parts == sorted(apart, key=lambda row: row[1:])


# --- values -----------------------------------------------------------------------------------------------------------

KINDS = {
    "numeric": ("1" + "0" * 60 + ".123456789", "1" + "0" * 60 + ".123456789"),
    "numeric(10,2)": ("17850", "17850.00"),
    "float8": ("17850.0", "17850"),
    "float4": ("0.1", "0.1"),
    "int8": ("-9223372036854775808", "-9223372036854775808"),
    "timestamptz": ("infinity", "infinity"),
    "timestamp": ("-infinity", "-infinity"),
    "timestamptz[]": ('{"2024-03-01 10:00+01"}', '{"2024-03-01 09:00:00+00"}'),
    "date": ("2024-02-29", "2024-02-29"),
    "time": ("10:00:00.5", "10:00:00.5"),
    "interval": ("1 year 2 days 03:04:05", "1 year 2 days 03:04:05"),
    "bool": ("t", "true"),
    "uuid": ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "json": ('{"a": [1,  null]}', '{"a": [1,  null]}'),
    "jsonb": ('{"b":1,"a":"\\u00e9"}', '{"a": "é", "b": 1}'),
    "bytea": ("\\x00ff", "\\x00ff"),
    "text[]": ('{a,"b c",NULL}', '{a,"b c",NULL}'),
    "inet": ("10.0.0.1/8", "10.0.0.1/8"),
    "int4range": ("[1,5)", "[1,5)"),
    "mood": ("so-so", "so-so"),
    "pair": ('(1,"x y")', '(1,"x y")'),
    "cents": ("12", "12"),
    "text": ('Zoë 🫖\t"quoted"\r\nand more', 'Zoë 🫖\t"quoted"\r\nand more'),
    "varchar": ("", ""),
    "char(3)": ("a", "a"),
}


def test_every_value_comes_as_the_text_that_postgres_prints(engine, database):
    for ours in ("bytea_output = escape", "intervalstyle = iso_8601", "datestyle = German", "timezone = 'Asia/Tokyo'",
                 "extra_float_digits = -9", "default_transaction_isolation = serializable"):  # fmt: skip
        database.ask(f"alter database {database.name} set {ours}")
    database.ask("create type mood as enum ('so-so'); create type pair as (a int, b text); create domain cents as int")
    database.ask(
        f"create table odd ({', '.join(f'c{n} {kind}' for n, kind in enumerate(KINDS))}, long text, gone text)"
    )
    texts = [text for text, _ in KINDS.values()]
    marks = ", ".join(f"%s::{kind}" for kind in KINDS)
    database.ask(f"insert into odd values ({marks}, repeat('é', 500000), null)", *texts)
    users = {"table": "users", "columns": {"user_id": "c0"}}
    (row,) = delivered(engine, landed(engine, database, declared(users, table="odd"), 1))
    assert {kind: row[f"c{n}"] for n, kind in enumerate(KINDS)} == {kind: text for kind, (_, text) in KINDS.items()}
    assert (row["long"], row["gone"]) == ("é" * 500_000, None)


def test_columns_that_came_since_are_kept_and_types_may_change(engine, events):
    add(events, "e1 01T10:00 01T10:00")
    assert values(engine, landed(engine, events, RAW, 1), "extra")[0].count("{") == 1
    events.ask("alter table events_raw add device text default 'phone', alter event_type type bytea using 'view'")
    (row,) = values(engine, landed(engine, events, RAW, 1), "event_type", "extra")
    assert (row[0], json.loads(row[1])) == (
        "\\x76696577",
        {"device": "phone", "ingested_at": "2024-03-01 10:00:00+00"},
    )


def test_a_mapped_column_that_is_gone_is_named(engine, events):
    events.ask("alter table events_raw rename event_type to event_typ")
    assert str(refused(engine, events, RAW)).startswith(
        "source s0: postgres table events_raw of SHOP_URL: there is no column 'event_type', which feed 0 of source s0 "
        "names. Did you mean 'event_typ'? The columns are: event_id, event_typ, occurred_at, ingested_at."
    )


def test_names_may_have_quotes_spaces_and_capitals(engine, database):
    database.ask(
        'create schema "we""ird Schéma"; create table "we""ird Schéma"."Events; Raw" as select 1 as "Event\'s ""Id""", '
        "'view' as row_number, timestamptz '2024-03-01' as file_day, timestamptz '2024-03-01' as \"Wann %s\""
    )
    mapped = {"event_id": 'Event\'s "Id"', "event_type": "row_number", "occurred_at": "file_day"}
    within = declared({"table": "events", "columns": mapped}, table='"we""ird Schéma"."Events; Raw"', day_by="Wann %s")
    assert values(engine, landed(engine, database, within, 1), "event_id", "event_type", "occurred_at") == [
        ("1", "view", "2024-03-01 00:00:00+00")
    ]


def test_a_query_is_read_as_a_table_is(engine, events):
    add(events, "e1 01T10:00 01T10:00", "e2 01T10:00 02T10:00", "test 01T10:00 02T10:00")
    query = "with kept as (select * from events_raw where event_id <> 'test') select * from kept -- 100 % of them;"
    found = landed(engine, events, declared(query=query, day_by="ingested_at"), 2)
    assert values(engine, found, "event_id", "file") == [("e2", "query/2024-03-02")]


def test_views_and_tables_in_parts_are_tables_too(engine, database):
    database.ask(f"create table parted ({TABLE}) partition by range (ingested_at)")
    for n in (1, 2):
        database.ask(
            f"create table p{n} partition of parted for values from ('2024-03-0{n}Z') to ('2024-03-0{n + 1}Z')"
        )
    add(database, "e1 01T10:00 01T10:00", "e2 01T10:00 02T10:00", table="parted")
    database.ask("create view seen as select * from parted; create materialized view kept as select * from seen")
    for name in ("parted", "seen", "kept"):
        found = landed(engine, database, declared(table=name, day_by="ingested_at"), 1, 2)
        assert values(engine, found, "event_id") == ["e1", "e2"]


def test_columns_that_differ_only_in_case_are_refused(engine, database):
    database.ask('create table t as select 1 as a, 2 as "A"')
    assert "the columns 'a' and 'A'" in str(refused(engine, database, declared(table="t")))


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"table": "event_raw"}, "no table event_raw at postgres at 127.0.0.1:.* Did you mean public.events_raw.$ALL"),
        ({"table": "raw.events_raw"}, "Did you mean public.events_raw.$ALL"),
        ({"table": '"Events_Raw"'}, "Did you mean public.events_raw.$ALL"),
        ({**DATED, "day_by": "ingested"}, "column 'ingested', which `day_by` names. Did you mean 'ingested_at'?"),
        ({**DATED, "order_by": ["seq"]}, "column 'seq', which `order_by` names. The columns are: event_id, event_type"),
        ({**DATED, "day_by": "event_id"}, "'event_id', which `day_by` names, is no timestamp and no date"),
        ({"query": "select * from nowhere"}, 'relation "nowhere" does not exist .SQLSTATE 42P01.. Mend `query`.'),
        ({"query": "select 1 as a, 2 as a"}, "two columns called 'a'"),
        ({"query": "select * from events_raw) as x; delete from events_raw; --"}, "Mend `query`"),
        ({"query": "with gone as (delete from events_raw returning *) select * from gone"}, "Mend `query`"),
        ({"query": "select nextval('n'), * from events_raw"}, "read-only transaction.*let its query change nothing"),
        ({"query": "select 1 / (event_id::int - 1), * from events_raw"}, "division by zero .SQLSTATE 22012.. Mend"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_what_to_do(engine, events, asked, told):
    events.ask("create sequence n")
    add(events, "1 01T10:00 01T10:00")
    before = leftovers(engine)
    error = refused(engine, events, declared(**asked))
    assert not isinstance(error, UnreachableError)
    assert re.search(told.replace("$ALL", " There are: public.events_raw.$"), str(error))
    assert leftovers(engine) == before
    assert events.ask("select count(*) from events_raw") == [(1,)]


def test_a_database_without_tables_has_none(engine, database):
    assert "There is none in this database." in str(refused(engine, database, RAW))


def test_a_role_that_may_not_read_is_named_with_the_right_that_it_lacks(engine, events):
    role = events.role("blind")
    error = refused(engine, events, RAW, events.url(role))
    assert f"does not let {role} do this: permission denied for table events_raw" in str(error)
    assert str(error).endswith("It has to be granted SELECT on events_raw.")
    events.ask("create schema closed; create table closed.t ()")
    assert "permission denied for schema closed" in str(
        refused(engine, events, declared(table="closed.t"), events.url(role))
    )


def test_a_role_that_may_read_one_table_needs_no_other_right(engine, events):
    role = events.role("reader")
    events.ask(f"grant select on events_raw to {role}; revoke temporary on database {events.name} from public")
    add(events, "e1 01T10:00 01T10:00")
    assert landed(engine, events, RAW, 1, url=events.url(role)).delivered == 1


def test_a_wrong_password_and_a_database_that_is_not_there_end_at_once(engine, events):
    wrong = refused(engine, events, RAW, events.url(password="not it"))
    assert "refuses the password or the user" in str(wrong)
    absent = refused(engine, events, RAW, events.server.url("nowhere"))
    assert "has no database nowhere. Make it, or name another one." in str(absent)
    unread = refused(engine, events, RAW, "mysql://a:hidden@b/c")
    assert "SHOP_URL is no URL of Postgres" in str(unread)
    assert not any(isinstance(error, UnreachableError) for error in (wrong, absent, unread))


def test_a_variable_that_is_not_set_is_named(engine, events, tmp_path):
    for password, environment, told in [
        (None, {}, "SHOP_URL"),
        ("DB_PASSWORD", {"SHOP_URL": events.url()}, "DB_PASSWORD"),
    ]:
        within = declared(table="events_raw", password_env=password)
        with pytest.raises(SourceError, match=f"source s0: the environment variable {told} is not set. Set it"):
            land("s0", within, Days(day(1), day(1)), engine, tmp_path, environment)


def test_a_password_may_stand_apart_as_it_is(engine, events, tmp_path):
    environment = {"SHOP_URL": events.url(password="another"), "DB_PASSWORD": PASSWORD}
    within = declared(table="events_raw", password_env="DB_PASSWORD")
    assert land("s0", within, Days(day(1), day(1)), engine, tmp_path, environment).delivered == 0


def test_the_packages_that_are_missing_are_named(engine, events, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    assert "pip install 'analytics-assets[postgres]'" in str(refused(engine, events, RAW))


# --- what may pass ----------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_tried_again(engine, events):
    error = refused(engine, events, RAW, "postgresql://a@127.0.0.1:1/b")
    assert isinstance(error, UnreachableError)


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_a_connection_that_breaks_half_way_leaves_nothing_and_is_tried_again(engine, events, monkeypatch, how):
    many(events)

    def cut() -> None:
        for backend in events.server.backends():
            events.server.ask(f"select {how}(%s)", backend)

    interrupting(monkeypatch, cut)
    before = leftovers(engine)
    error = refused(engine, events, RAW)
    assert isinstance(error, UnreachableError), error
    assert leftovers(engine) == before


def test_a_server_that_hangs_half_way_is_given_up(engine, events, monkeypatch):
    many(events)
    monkeypatch.setattr(postgres, "_GRACE_SECONDS", 0.5)
    within = declared(table="events_raw", day_by="ingested_at", timeout_s=5)
    frozen = events.server.frozen()
    interrupting(monkeypatch, frozen.__enter__)
    try:
        error = refused(engine, events, within)
    finally:
        frozen.__exit__(None, None, None)
    assert isinstance(error, UnreachableError)
    assert "has not answered for 5.5 s" in str(error)
    until(lambda: not events.server.backends(), "the end of the connection that was left behind")


def test_a_server_that_hangs_from_the_start_is_given_up(engine, events):
    with events.server.frozen():
        error = refused(engine, events, RAW, events.url() + "?connect_timeout=2")
    assert isinstance(error, UnreachableError)


def test_a_statement_that_takes_too_long_is_given_up_with_what_helps(engine, events):
    query = "select *, pg_sleep(60)::text as slept from events_raw"
    add(events, "e1 01T10:00 01T10:00")
    error = refused(engine, events, declared(query=query, day_by="ingested_at", timeout_s=1))
    assert isinstance(error, UnreachableError)
    assert "Put an index on ingested_at, run fewer days at once, or raise `timeout_s`." in str(error)


def test_a_table_that_somebody_holds_is_not_waited_for_for_ever(engine, events):
    with closing(events.connect()) as other, other.cursor() as cursor:
        cursor.execute("lock table events_raw in access exclusive mode")
        error = refused(engine, events, declared(table="events_raw", timeout_s=1))
    assert isinstance(error, UnreachableError)


def test_nothing_is_left_at_the_server(engine, events):
    landed(engine, events, RAW, 1)
    until(lambda: not events.server.backends(), "the end of the connection")
