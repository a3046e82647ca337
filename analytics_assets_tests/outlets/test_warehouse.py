"""The served warehouse on a real Postgres: what is there, what is loaded, who may read, and what goes wrong."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pyarrow as pa
import pytest
from click.testing import CliRunner

from analytics_assets.automation.runtime import open_lake
from analytics_assets.automation.warehouse import RECONCILIATION, WAREHOUSE
from analytics_assets.cli import main
from analytics_assets.lake.duckdb import DuckDBEngine
from analytics_assets.lake.restoring import restore
from analytics_assets.outlets.sessions import session
from analytics_assets.outlets.warehouse import ReconciliationError
from analytics_assets.postgres import PostgresError
from analytics_assets_tests import deliveries
from analytics_assets_tests.conftest import Workshop, day
from analytics_assets_tests.outlets.serving import SELECTED, Served, deliver_products, deliver_users, fill
from analytics_assets_tests.postgres import PASSWORD, FreshDatabase, PostgresServer, server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days in a lake, computed once."""
    with dg.DagsterInstance.ephemeral() as instance:
        first = Workshop(tmp_path_factory.mktemp("filled"), instance)
        fill(first)
    return first.folder


@pytest.fixture
def shop(filled: Path, workshop: Workshop, database: FreshDatabase) -> Served:
    """Three days in the lake, and an empty database."""
    shutil.copytree(filled, workshop.folder, dirs_exist_ok=True)
    workshop.selects = SELECTED
    return Served(workshop, database, database.role("reader"))


def run_next(shop: Served, *days: int) -> None:
    """Deliver and run further days."""
    for number in days:
        deliveries.deliver(shop.workshop, number)
        shop.workshop.declare(last_day=day(deliveries.DAYS[number - 1]))
        assert shop.workshop.run(deliveries.DAYS[number - 1]).succeeded


def loaded(publication: Any) -> dict[str, tuple[str, int]]:
    return {one.table: (one.how, one.rows) for one in publication.loaded}


def test_what_is_served_is_what_the_contracts_say(shop):
    assert shop.publish().warnings == ()
    assert shop.differences() == []
    assert {"dim_users", "fact_sales", "sales_overview", "vw_sales_overview"} <= {
        name
        for (name,) in shop.ask("select table_name from information_schema.tables where table_schema = 'analytics'")
    }
    types = "select column_name, data_type, is_nullable from information_schema.columns where table_name = 'fact_sales'"
    found = {name: (kind, nullable) for name, kind, nullable in shop.ask(types)}
    assert found["net"] == ("numeric", "NO")
    assert found["ordered_at"] == ("timestamp with time zone", "NO")
    assert found["campaign_id"] == ("text", "YES")
    constraints = dict(
        shop.ask(
            "select conname, pg_get_constraintdef(oid) from pg_constraint "
            "where conrelid = 'analytics.fact_sales'::regclass"
        )
    )
    assert constraints["fact_sales_key"] == "PRIMARY KEY (day, order_id, line)"
    assert "REFERENCES analytics.dim_products(product_id)" in constraints["fact_sales_product_id_fkey"]
    assert "REFERENCES analytics.dim_users(user_key)" in constraints["fact_sales_dim_users_key_fkey"]
    assert any("net = (COALESCE(gross" in text for text in constraints.values())
    assert shop.ask("select obj_description('analytics.fact_sales'::regclass)") == [("one row an order line",)]
    ((comment,),) = shop.ask(
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'analytics.fact_sales'::regclass and attname = 'net'"
    )
    assert comment == "gross - discount: the revenue of the line (project currency)"
    indexes = [text for (text,) in shop.ask("select indexdef from pg_indexes where tablename = 'fact_sales'")]
    assert any("(product_id) WHERE (product_id IS NOT NULL)" in text for text in indexes)


def test_a_table_is_a_set_of_rows_that_breaks_no_promise(shop):
    """What the database is told to hold, it holds: a row that breaks a rule is refused."""
    shop.publish()
    with pytest.raises(psycopg2.errors.CheckViolation):
        shop.ask("update analytics.fact_sales set net = net + 1")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        shop.ask("update analytics.fact_sales set product_id = 'nothing'")
    with pytest.raises(psycopg2.errors.NotNullViolation):
        shop.ask("update analytics.fact_sales set ordered_at = null")


def test_the_second_time_there_is_nothing_to_do_and_a_day_loads_that_day(shop):
    shop.publish()
    before = dict(shop.ask("select event_id, xmin::text from analytics.fact_events where day < '2024-03-02'"))
    assert shop.publish().loaded == ()
    run_next(shop, 4)
    done = shop.publish()
    assert shop.differences() == []
    assert loaded(done)["fact_sales"] == ("days", 8)  # of the two days that ran again, and the new one
    assert loaded(done)["dim_dates"] == ("rows", 1)
    # what did not change is not written again: not even the rows of days that ran again
    assert dict(shop.ask("select event_id, xmin::text from analytics.fact_events where day < '2024-03-02'")) == before
    assert shop.read("select release from analytics.release") == [(shop.workshop.release().number,)]


def test_readers_see_all_but_persons(shop):
    shop.publish()
    assert shop.read("select count(*) from analytics.vw_sales_overview") == shop.ask(
        "select count(*) from analytics.sales_overview"
    )
    assert shop.read("select count(distinct user_key) from analytics.fact_sales") == [(3,)]
    for table, column in [("dim_users", "email"), ("dim_users", "user_id"), ("fact_events", "anonymous_id")]:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.read(f"select {column} from analytics.{table}")
    for forbidden in (
        "delete from analytics.fact_sales",
        "insert into analytics.dim_products (product_id) values ('x')",
        "select salt from analytics._loader",
        "create table analytics.mine (a int)",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.read(forbidden)
    # each personal column of each contract, whatever it is called
    personal = [(t.name, c.name) for t in shop.tables.values() for c in t.columns if c.personal]
    assert ("map_identity", "anonymous_id") in personal
    asked = "select has_column_privilege(%s, %s, %s, 'select')"
    assert not any(shop.ask(asked, shop.reader, f"analytics.{table}", name)[0][0] for table, name in personal)
    assert all(
        shop.ask(asked, shop.reader, f"analytics.{table.name}", name)[0][0]
        for table in shop.tables.values()
        for name in table.readable
    )


def test_a_pseudonym_is_the_same_everywhere_and_stays_so(shop):
    shop.publish()
    joined = """
        select u.user_id, count(*) from analytics.fact_sales s join analytics.dim_users u on u.user_key = s.user_key
        where s.user_id = u.user_id group by 1 order by 1"""
    assert shop.ask(joined) == shop.ask("select user_id, count(*) from analytics.fact_sales group by 1 order by 1")
    before = shop.ask("select user_id, user_key from analytics.dim_users order by 1")
    shop.publish(anew=True)
    assert shop.ask("select user_id, user_key from analytics.dim_users order by 1") == before
    other = Served(shop.workshop, shop.database, shop.reader, schema="other")
    other.publish()
    assert not {key for _, key in before} & {key for (key,) in shop.ask("select user_key from other.dim_users")}, (
        "whoever knows one warehouse knows nobody of another"
    )


def test_a_reader_that_is_not_there_is_told_of_and_served_once_it_is(shop):
    shop.reader = f"{shop.database.name}_later"
    assert "there is no role" in shop.publish().warnings[0]
    shop.database.role("later")
    assert shop.publish().warnings == ()
    assert shop.read("select count(*) > 0 from analytics.fact_sales") == [(True,)]
    shop.ask(f"drop owned by {shop.reader}")
    shop.ask(f"drop role {shop.reader}")
    shop.database.role("later")  # has the name of the old one, and none of its rights
    shop.publish()
    assert shop.read("select count(*) > 0 from analytics.vw_sales_overview") == [(True,)]


@pytest.mark.parametrize("length", [55, 62, 63])
def test_a_long_name_of_a_schema_is_taken_as_it_is(shop, length):
    shop.schema = "s" * length
    shop.publish()
    shop.publish(anew=True)
    assert shop.differences() == []


def test_a_name_that_postgres_would_cut_off_is_refused(shop):
    shop.schema = "é" * 40
    with pytest.raises(PostgresError, match="ANALYTICS_WAREHOUSE_SCHEMA has 80 bytes"):
        shop.publish()


def test_rights_that_were_given_by_default_are_taken_back_and_so_are_those_of_a_reader_before(shop):
    everybody = shop.database.role("everybody")
    shop.ask("alter default privileges grant all on tables to public")
    shop.ask(f"alter default privileges grant all on tables to {shop.reader}")
    assert shop.publish().warnings == ()
    for forbidden in (
        "select salt from analytics._loader",
        "select email from analytics.dim_users",
        "delete from analytics.dim_users",
    ):
        for user in (shop.reader, everybody):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                shop.ask(forbidden, user=user)
    before, shop.reader = shop.reader, shop.database.role("after")
    shop.publish()
    assert shop.read("select count(*) > 0 from analytics.vw_sales_overview") == [(True,)]
    for name in ("vw_sales_overview", "fact_sales", "release"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.ask(f"select count(*) from analytics.{name}", user=before)


def test_a_reader_that_may_read_persons_by_another_role_is_told_of(shop):
    shop.ask(f"grant pg_read_all_data to {shop.reader}")
    (warning,) = shop.publish().warnings
    assert "may read what is personal: _loader.salt, dim_users.email, " in warning
    shop.reader = "postgres"
    with pytest.raises(PostgresError, match="ANALYTICS_WAREHOUSE_READER names postgres, who loads"):
        shop.publish()


def plain_loader(shop: Served) -> Served:
    """Let somebody load who is no superuser, and owns nothing yet."""
    user = shop.database.role("loader")
    shop.ask(f"grant create, temporary on database {shop.database.name} to {user}")
    return replace(shop, loader=user)


def test_who_loads_need_own_no_more_than_a_schema(shop):
    shop = plain_loader(shop)
    assert shop.publish().warnings == ()
    run_next(shop, 4)
    shop.publish()
    assert shop.differences() == []
    assert shop.read("select count(*) > 0 from analytics.vw_sales_overview") == [(True,)]


def test_a_schema_of_somebody_else_is_used_as_far_as_its_owner_lets_us(shop):
    shop = plain_loader(shop)
    shop.ask("create schema analytics")
    with pytest.raises(PostgresError, match=r"permission denied for schema analytics.*Grant it the right"):
        shop.publish()
    shop.ask(f"grant create, usage on schema analytics to {shop.loader}")
    (warning,) = shop.publish().warnings
    assert "may not enter the schema analytics" in warning
    shop.ask(f"grant usage on schema analytics to {shop.reader}")
    assert shop.publish().warnings == ()
    assert shop.read("select count(*) > 0 from analytics.vw_sales_overview") == [(True,)]


def members(shop: Served, table: str, key: str) -> dict[str, bool]:
    return dict(shop.ask(f"select {key}, inferred from analytics.{table} where {key} <> '(unknown)'"))


def test_a_reference_without_a_match_is_kept_and_served_as_the_unknown_member(shop):
    shop.publish()
    assert members(shop, "dim_products", "product_id") == {"p1": False, "p2": True, "p3": True}
    assert members(shop, "dim_users", "user_id") == {"u0": False, "u1": False, "u2": True}
    both = "analytics.fact_sales s left join analytics.dim_products p using (product_id)"
    lost = f"select count(*) from {both} where p.product_id is null"
    assert shop.ask(lost) == [(0,)]
    # a member that its source describes at last is that; one that is gone is inferred as long as rows refer to it
    deliver_products(shop.workshop, "p2,Chair,seats")
    deliver_users(shop.workshop, "u2,Mary Shelley,mary@example.com,GB")
    assert shop.workshop.run("03-03").succeeded
    shop.publish()
    assert members(shop, "dim_products", "product_id") == {"p1": True, "p2": False, "p3": True}
    assert members(shop, "dim_users", "user_id") == {"u0": True, "u1": True, "u2": False}
    places = "analytics.dim_users join analytics.dim_geography using (geography_id)"
    assert shop.ask(f"select name, email, country from {places} where user_id = 'u1'") == [(None, None, None)]
    assert shop.differences() == []


def test_what_is_not_referred_to_any_more_is_not_inferred_any_more(shop):
    shop.publish()
    for number in (1, 2, 3):
        text = (shop.workshop.home / "data" / f"orders_{day(deliveries.DAYS[number - 1])}.csv").read_text()
        shop.workshop.deliver(f"orders_{day(deliveries.DAYS[number - 1])}.csv", text.replace("p3", "p1"))
    assert shop.workshop.run("03-01", "03-03").succeeded
    shop.publish()
    assert members(shop, "dim_products", "product_id") == {"p1": False, "p2": True}
    assert shop.differences() == []


def test_a_release_that_is_restored_is_served(shop):
    shop.publish()
    first = shop.workshop.release().number
    run_next(shop, 4)
    shop.publish()
    with open_lake(shop.workshop.settings, "workshop") as lake:
        restore(lake, first, "run", dt.datetime.now(dt.UTC))
    shop.publish()
    assert shop.differences() == []
    assert shop.ask("select max(day) from analytics.fact_sales") == [(day("03-03"),)]


def test_files_that_are_gone_and_a_lake_begun_anew_make_no_difference(shop):
    shop.publish()
    run_next(shop, 4)
    for name in ("fact_sales", "dim_products", "order_value"):
        for file in (shop.workshop.lake / name).rglob("*.parquet"):
            served = shop.ask("select files from analytics._tables where name = %s", name)[0][0]
            with open_lake(shop.workshop.settings, "workshop") as lake:
                if file.name in served and file.name not in lake.files_at(name):
                    file.unlink()
    done = loaded(shop.publish())
    assert {done["fact_sales"][0], done["dim_products"][0], done["order_value"][0]} == {"days"}
    assert shop.differences() == []
    shop.workshop.start_over()
    assert shop.workshop.run("03-01", "03-04").succeeded
    shop.publish()
    assert shop.differences() == []
    assert shop.read("select release from analytics.release") == [(1,)]


def test_a_table_of_ours_that_somebody_changed_is_made_anew(shop):
    shop.publish()
    shop.ask("alter table analytics.fact_sales alter column net type numeric(6, 2)")
    shop.ask("alter table analytics.dim_products drop column category")
    assert loaded(shop.publish()) == {"dim_products": ("made", 2), "fact_sales": ("made", 8)}
    assert shop.differences() == []
    assert shop.read("select sum(net) from analytics.vw_sales_overview") == shop.ask(
        "select sum(net) from analytics.fact_sales"
    )
    assert (
        len(
            shop.ask(
                "select oid from pg_constraint where contype = 'f' and confrelid = 'analytics.dim_products'::regclass"
            )
        )
        == 2
    )


def test_a_dimension_is_made_anew_while_the_rows_that_refer_to_it_change(shop):
    """As after an upgrade that changes a contract, on a day with orders."""
    shop.publish()
    run_next(shop, 4)
    shop.ask("alter table analytics.dim_products drop column category")
    done = loaded(shop.publish())
    assert (done["dim_products"], done["fact_sales"]) == (("made", 2), ("days", 8))
    assert shop.differences() == []


def test_a_table_of_somebody_else_is_left_alone(shop):
    shop.ask("create schema analytics")
    shop.ask("create table analytics.fact_sales (mine text)")
    with pytest.raises(PostgresError, match=r"has a table fact_sales in schema analytics .* move it away, or name"):
        shop.publish()
    assert shop.ask("select * from analytics.fact_sales") == []


def test_a_view_that_somebody_built_on_a_table_is_not_torn_down(shop):
    shop.publish()
    shop.ask("create view public.mine as select net from analytics.fact_sales")
    with pytest.raises(PostgresError, match="mine depends on"):
        shop.publish(anew=True)
    assert shop.ask("select count(*) > 0 from public.mine") == [(True,)]


def test_whatever_else_is_in_the_database_stays(shop):
    for name in ("fresh_rows", "gone_keys"):
        shop.ask(f"create table public.{name} (mine text)")
    shop.publish()
    deliver_products(shop.workshop, "p2,Chair,seats")
    assert shop.workshop.run("03-03").succeeded
    shop.publish()
    assert shop.ask("select * from public.fresh_rows, public.gone_keys") == []
    shop.ask("create table public.budgets (product_id text references analytics.dim_products)")
    with pytest.raises(PostgresError, match="budgets_product_id_fkey on table budgets depends on"):
        shop.publish(anew=True)
    shop.ask("drop table public.budgets")
    shop.publish(anew=True)
    shop.ask("create schema analytics_loading")
    shop.ask("create table analytics_loading.mine (text text)")
    with pytest.raises(PostgresError, match="has a schema analytics_loading that was not made by analytics-assets"):
        shop.publish(anew=True)
    assert shop.ask("select * from analytics_loading.mine") == []


def test_a_lake_without_a_release_takes_nothing_away(shop):
    shop.publish()
    shop.workshop.start_over()
    with pytest.raises(PostgresError, match="the lake has no release"):
        shop.publish()
    assert shop.read("select release, (select count(*) from analytics.fact_sales) from analytics.release") == [(1, 8)]


def test_facts_are_served_without_dimensions_and_refer_to_them_once_they_are_there(shop):
    shop.workshop.start_over()
    shop.workshop.selects = "key:raw_order_lines or key:staged_order_lines or key:fact_sales"
    assert shop.workshop.run("03-01", "03-03").succeeded
    assert loaded(shop.publish()) == {"fact_sales": ("made", 8)}
    shop.workshop.selects = SELECTED
    assert shop.workshop.run("03-01", "03-03").succeeded
    shop.publish()
    assert members(shop, "dim_products", "product_id") == {"p1": False, "p2": True, "p3": True}
    assert shop.differences() == []


def test_a_schema_may_be_called_anything(shop):
    shop.schema = 'the "best" schema; drop'
    shop.publish()
    run_next(shop, 4)
    shop.publish()
    assert shop.differences() == []


def test_what_was_changed_behind_our_back_is_found_told_and_mended(shop):
    shop.publish()
    shop.ask(
        "update analytics.fact_sales set gross = gross + 0.01, net = net + 0.01 where order_id = 'o1' and line = '1'"
    )
    shop.ask("delete from analytics.order_value where order_id = 'o1'")
    with pytest.raises(ReconciliationError, match=r"order_value has 2, the lake 3") as told:
        shop.publish(compare_all=True)
    assert "fact_sales sums net to" in str(told.value)
    broken = {(one.table, one.figure) for one in told.value.compared if not one.holds}
    assert ("fact_sales", "net") in broken
    assert ("order_value", "rows") in broken
    shop.publish(anew=True, compare_all=True)
    assert shop.differences() == []


def test_odd_texts_arrive_as_they_are(shop):
    long, odd = "".join(map(str, range(200_000))), 'Lamp, ""big"" 💡 \\N \\. é'
    shop.publish()
    # what a mart has in its key may be longer than an index takes, and may be so on any day
    deliver_products(shop.workshop, f'p1,"{odd}",{long}', "p2,,")
    assert shop.workshop.run("03-03").succeeded
    shop.publish()
    ((name, category),) = shop.ask("select name, category from analytics.dim_products where product_id = 'p1'")
    assert (name, category) == (odd.replace('""', '"'), long)
    assert shop.ask("select max(length(value)) from analytics.revenue_daily") == [(len(long),)]
    assert shop.differences() == []
    run_next(shop, 4)
    shop.publish()
    assert shop.differences() == []


def test_nul_becomes_what_stands_for_the_unknown_and_is_told_of(shop):
    rows = pa.record_batch({"name": ["a\0b\0", "c", None], "n": [1, 2, 3]})
    shop.ask("create table public.odd (name text, n bigint)")
    with session(shop.target.database, 60) as writing:
        copied = writing.copy("public", "odd", [rows], rows.schema)
        writing.commit()
    assert (copied.rows, copied.cleaned) == (3, 1)
    assert shop.ask("select * from public.odd order by n") == [("a\ufffdb\ufffd", 1), ("c", 2), (None, 3)]


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("numeric(6, 2)", pa.array([Decimal("1234567.0000")], pa.decimal128(18, 4)), "numeric field overflow"),
        ("timestamptz", pa.array([2**63 - 1], pa.timestamp("us", "UTC")), "holds infinity"),
        ("timestamptz", pa.array([-(2**63)], pa.timestamp("us", "UTC")), "holds infinity"),
    ],
    ids=["numeric overflow", "infinity", "-infinity"],
)
def test_a_value_that_postgres_cannot_hold_is_told_of_and_nothing_is_loaded(shop, kind, values, says):
    shop.ask(f"create table public.odd (v {kind})")

    def write() -> None:
        with session(shop.target.database, 60) as writing:
            writing.copy("public", "odd", [pa.record_batch({"v": values})], pa.schema([("v", values.type)]))
            writing.commit()

    with pytest.raises(PostgresError, match=says):
        write()
    assert shop.ask("select * from public.odd") == []


# What goes wrong


def configure(shop: Served, monkeypatch: pytest.MonkeyPatch, url: str, **more: str) -> None:
    """Let runs publish, by the settings."""
    for name, value in {"URL": url, "READER": shop.reader, **more}.items():
        monkeypatch.setenv(f"ANALYTICS_WAREHOUSE_{name}", value)


def test_a_run_ends_with_what_is_served_and_records_it(shop, monkeypatch):
    configure(shop, monkeypatch, shop.database.url().replace(PASSWORD, ""), PASSWORD=PASSWORD)
    deliveries.deliver(shop.workshop, 4)
    shop.workshop.declare(last_day=day("03-04"))
    ran = shop.workshop.run("03-04")
    assert ran.succeeded
    assert shop.differences() == []
    checks = shop.workshop.checks(ran)
    assert checks[WAREHOUSE, RECONCILIATION] == "passed"
    assert checks[WAREHOUSE, "served"] == "passed"
    told = str([event.message for event in shop.workshop.instance.all_logs(ran.run_id)])
    assert PASSWORD not in told


def test_a_difference_fails_its_check_and_the_run(shop, monkeypatch):
    configure(shop, monkeypatch, shop.database.url())
    shop.publish()
    shop.ask("insert into analytics.dim_products (product_id) values ('mine')")
    shop.ask("update analytics._loader set compared_at = compared_at - interval '8 days'")
    ran = shop.workshop.run("03-03")
    assert "dim_products has 3, the lake 2" in ran.message
    assert shop.workshop.checks(ran)[WAREHOUSE, RECONCILIATION] == "error"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (lambda shop: shop.database.url(password="not it"), "refuses the password or the user"),
        (lambda shop: shop.database.server.url("nowhere"), "has no database nowhere"),
        (lambda shop: shop.database.url(shop.database.role("nobody")), "permission denied for database"),
        (lambda shop: "postgresql://u:p#w@h/d", "ANALYTICS_WAREHOUSE_URL cannot be read as a URL"),
    ],
    ids=["wrong password", "no database", "no privilege", "no URL"],
)
def test_a_server_that_refuses_is_told_of_and_the_release_stays(shop, monkeypatch, place, says):
    configure(shop, monkeypatch, place(shop))
    ran = shop.workshop.run("03-03")
    assert says in ran.message
    assert "not it" not in ran.message
    assert "p#w" not in ran.message
    assert ran.release == shop.workshop.release().number


class Interrupted:
    """Do something to the server once a table's rows are on their way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: str, act: Any) -> None:
        real = DuckDBEngine.batches
        self.done = threading.Event()

        def batches(engine: DuckDBEngine, expression: Any) -> Iterator[Any]:
            if table in str(expression) and not self.done.is_set():
                self.done.set()
                act()
            yield from real(engine, expression)

        monkeypatch.setattr(DuckDBEngine, "batches", batches)


def test_a_connection_that_is_lost_half_way_leaves_what_was_served(shop, monkeypatch):
    shop.publish()
    before = shop.ask("select release, (select sum(net) from analytics.fact_sales) from analytics.release")
    run_next(shop, 4)

    def kill() -> None:
        for pid in shop.database.server.backends():
            shop.ask("select pg_terminate_backend(%s)", pid)

    interrupted = Interrupted(monkeypatch, "fact_sales", kill)
    with pytest.raises(PostgresError, match=r"terminating connection|cannot be reached, or went away") as told:
        shop.publish()
    assert interrupted.done.is_set()
    assert told.value.passing
    assert shop.ask("select release, (select sum(net) from analytics.fact_sales) from analytics.release") == before
    shop.publish()
    assert shop.differences() == []


def test_a_first_publication_that_was_interrupted_begins_anew(shop, monkeypatch):
    def kill() -> None:
        for pid in shop.database.server.backends():
            shop.ask("select pg_terminate_backend(%s)", pid)

    Interrupted(monkeypatch, "fact_sales", kill)
    with pytest.raises(PostgresError):
        shop.publish()
    assert shop.ask("select count(*) from analytics.release") == [(0,)]
    shop.publish()
    assert shop.differences() == []
    assert shop.ask("select count(*) from pg_namespace where nspname = 'analytics_loading'") == [(0,)]


def test_what_a_killed_publication_left_is_cleared_away_by_the_next_one(shop, monkeypatch):
    """Copies of persons are in it, which nobody would look for."""
    left = "select count(*) from pg_tables where schemaname = 'analytics_loading' and tablename = 'dim_users'"

    def kill() -> None:
        for pid in shop.database.server.backends():
            shop.ask("select pg_terminate_backend(%s)", pid)

    shop.publish()
    Interrupted(monkeypatch, "fact_sales", kill)
    with pytest.raises(PostgresError):
        shop.publish(anew=True)
    assert shop.ask(left) == [(1,)]
    assert shop.publish().loaded == ()
    assert shop.ask(left) == [(0,)]


def test_two_who_publish_at_once_take_turns(shop):
    failed: list[BaseException] = []

    def publish() -> None:
        try:
            shop.publish()
        except BaseException as error:  # noqa: BLE001 - the test tells
            failed.append(error)

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert shop.differences() == []


def test_a_reader_of_a_long_story_sees_one_release_to_its_end(shop):
    shop.publish()
    sums = "select (select sum(net) from analytics.fact_sales), (select sum(net) from analytics.order_value)"
    with closing(shop.database.connect(shop.reader)) as reading, reading.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("select release from analytics.release")
        cursor.fetchall()
        run_next(shop, 4)
        shop.publish()
        cursor.execute(sums)
        ((sales, orders),) = cursor.fetchall()
    assert sales == orders
    assert shop.ask(sums) != [(sales, orders)]


@pytest.mark.slow
def test_a_server_that_hangs_ends_the_waiting(shop, monkeypatch):
    with server() as frozen:
        database = FreshDatabase(frozen)
        served = Served(shop.workshop, database, database.role("reader"))
        served.publish()
        run_next(shop, 4)
        served.seconds = 2
        freezing = frozen.frozen()
        Interrupted(monkeypatch, "fact_sales", freezing.__enter__)
        try:
            with pytest.raises(PostgresError, match=r"has not answered for 2 s") as told:
                served.publish()
        finally:
            freezing.__exit__(None, None, None)
        assert told.value.passing
        served.seconds = 60
        served.publish()
        assert served.differences() == []


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_of_and_readers_read_on(shop, tmp_path):
    with server() as full:
        place = full.folder / "small"
        place.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=777", "tmpfs", str(place)], check=False)
        if mounted.returncode:
            pytest.skip("no small disk can be made here")
        try:
            full.ask(f"create tablespace small location '{_owned(place)}'")
            database = FreshDatabase(full)
            full.ask(f"alter database {database.name} set tablespace small")
            served = Served(shop.workshop, database, database.role("reader"))
            served.publish()
            noise = random.Random(1)  # what repeats itself would be packed into nothing
            deliver_products(shop.workshop, *(f"q{n},{noise.randbytes(40_000).hex()},{n}" for n in range(800)))
            assert shop.workshop.run("03-03").succeeded
            with pytest.raises(PostgresError, match=r"has no space left on its disk.*Make room there"):
                served.publish()
            assert served.read("select count(*) from analytics.fact_sales") == [(8,)]
        finally:
            full.stop()
            subprocess.run(["umount", str(place)], check=True)


def _owned(place: Path) -> Path:
    """Give a folder to the server."""
    inner = place / "tables"
    inner.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(inner, "nobody", "nogroup")
    return inner


def test_the_server_of_a_session_is_one(postgres_server: PostgresServer):
    assert postgres_server.answers()


# The command line


def test_publish_and_doctor_by_hand(shop, monkeypatch):
    monkeypatch.setenv("ANALYTICS_PROJECT", str(shop.workshop.home))
    monkeypatch.setenv("ANALYTICS_LAKE", str(shop.workshop.lake))
    monkeypatch.setenv("DAGSTER_HOME", str(shop.workshop.folder / "history"))
    bare = CliRunner().invoke(main, ["publish"])
    assert bare.exit_code == 1
    assert "set ANALYTICS_WAREHOUSE_URL to postgresql://" in bare.output
    configure(shop, monkeypatch, shop.database.url())
    assert "the warehouse shows none, the newest is 1" in CliRunner().invoke(main, ["doctor"]).output.replace("\n", " ")
    done = CliRunner().invoke(main, ["publish", "--each"])
    assert done.exit_code == 0, done.output
    assert "shows release 1" in done.output
    assert PASSWORD not in done.output
    assert shop.differences() == []
    assert "warehouse" not in CliRunner().invoke(main, ["doctor"]).output
    configure(shop, monkeypatch, shop.database.url(password="not it"))
    refused = CliRunner().invoke(main, ["publish"])
    assert refused.exit_code == 1
    assert "refuses the password" in refused.output
    assert "not it" not in refused.output


def test_a_schema_is_of_one_project(shop):
    shop.publish()
    shop.project = "another"
    with pytest.raises(PostgresError, match="serves project workshop: name another schema for another in ANALYTICS_"):
        shop.publish()
    assert shop.differences() == []
