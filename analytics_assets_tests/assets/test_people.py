"""Whose a row is: told by the ids in it, the same of rows that are there and of rows that come again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import pytest

from analytics_assets.assets.catalog import catalogue
from analytics_assets.assets.people import PERSONAL_IDS, Hashed, Known, Person, forgotten, of_person
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Column, Contract
from analytics_assets.contracts.star import DIM_PRODUCTS, DIM_USERS, FACT_EVENTS, FACT_RETURNS, MAP_IDENTITY
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.suppression import SUPPRESSED, suppress, suppressed
from analytics_assets.lake.tables import Lake
from analytics_assets.project.model import Project
from analytics_assets_tests.making import NOON, day, feed, project, source, table

GONE = Person("u1", frozenset({"v1"}), frozenset({"o1"}), frozenset({"u1/2024-03-01/1"}))


@pytest.fixture(params=["plain", "hashed"])
def known(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine) -> Known:
    """Know the person by ids, or by their hashes alone."""
    if request.param == "plain":
        return GONE
    lake = Lake(str(tmp_path), engine)
    suppress(lake, {kind: ids for kind, ids in GONE.ids.items() if kind != "session"}, "a run", NOON)
    return Hashed(lake.read(SUPPRESSED))


def raw(name: str, *records: Mapping[str, Any]) -> Any:
    provenance = {"delivery_day": day(1), "source": "s0", "feed": 0, "file": "f.csv"}
    rows = [{**provenance, "row_number": number, **record} for number, record in enumerate(records, 1)]
    return table(DELIVERED[name].raw(), *rows)


def whose(engine: Engine, rows: Any, contract: Contract, known: Known, of: Project | None = None) -> list[bool]:
    """Say of each row, in the order of the row numbers, whether it is the person's."""
    says = of_person(rows, contract, known, of or project(source(feed("events"), path="x.csv")))
    assert says is not None
    key = "row_number" if "row_number" in rows.columns else contract.key[0]
    return [row["theirs"] for row in engine.rows(rows.select(key, theirs=says).order_by(key))]


EVENTS = project(source(feed("events", "user_id", "anonymous_id")))
RETURNS = project(source(feed("returns", "user_id", "order_id")))


def test_a_row_that_names_another_user_is_that_users(engine: Engine, known: Known) -> None:
    rows = raw(
        "events",
        {"user_id": "u1", "anonymous_id": "v9"},
        {"user_id": "u2", "anonymous_id": "v1"},
        {"user_id": None, "anonymous_id": "v1"},
        {"user_id": None, "anonymous_id": "v2"},
        {"user_id": "U1"},
        {},
    )
    assert whose(engine, rows, DELIVERED["events"].raw(), known, EVENTS) == [True, False, True, False, False, False]


def test_a_return_without_a_user_is_of_who_ordered(engine: Engine, known: Known) -> None:
    rows = raw(
        "returns", {"order_id": "o1"}, {"order_id": "o1", "user_id": "u2"}, {"order_id": "o2"}, {"user_id": "u1"}
    )
    assert whose(engine, rows, DELIVERED["returns"].raw(), known, RETURNS) == [True, False, False, True]


def test_a_word_on_the_persons_visitor_is_the_persons_whoever_it_names(engine: Engine, known: Known) -> None:
    rows = raw("identities", {"anonymous_id": "v1", "user_id": "u2"}, {"anonymous_id": "v2", "user_id": "u2"})
    there = project(source(feed("identities")))
    assert whose(engine, rows, DELIVERED["identities"].raw(), known, there) == [True, False]


def test_text_is_read_as_its_feed_means_it(engine: Engine, known: Known) -> None:
    mapped = {"column": "who", "values": {"one": "u1"}}
    there = project(
        source(
            {"table": "events", "columns": {"event_type": "t", "occurred_at": "at", "user_id": mapped}}, nulls=["-"]
        ),
        source(feed("events", "user_id", "anonymous_id"), nulls=["-"]),
    )
    rows = raw(
        "events",
        {"user_id": "one"},
        {"user_id": "one", "source": "s1"},
        {"user_id": "-", "anonymous_id": "v1", "source": "s1"},
        {"user_id": "u1", "source": "of a source that is gone"},
    )
    assert whose(engine, rows, DELIVERED["events"].raw(), known, there) == [True, False, True, True]


def test_a_malformed_line_is_the_persons_if_an_id_stands_in_it_as_a_word(engine: Engine, known: Known) -> None:
    rows = raw(
        "events",
        {"malformed": "3 values for 5 columns: e1,u1,x"},
        {"malformed": "3 values for 5 columns: e1,u11,x"},
        {"malformed": 'a quote is open: "v1,"'},
        {"malformed": "xu1,au1b"},
    )
    assert whose(engine, rows, DELIVERED["events"].raw(), known, EVENTS) == [True, False, True, False]


def test_tables_that_are_computed_go_by_their_personal_columns(engine: Engine, known: Known) -> None:
    users = table(DIM_USERS, {"user_id": "(unknown)"}, {"user_id": "u1"}, {"user_id": "u2"})
    assert whose(engine, users, DIM_USERS, known) == [False, True, False]
    events = table(
        FACT_EVENTS, *({"event_id": f"e{n}", "user_id": who} for n, who in enumerate(["u1", "v1", "u2", None]))
    )
    assert whose(engine, events, FACT_EVENTS, known) == [True, True, False, False]
    mapped = table(MAP_IDENTITY, {"anonymous_id": "v1", "user_id": "u1"}, {"anonymous_id": "v2", "user_id": "u2"})
    assert whose(engine, mapped, MAP_IDENTITY, known) == [True, False]
    back = table(
        FACT_RETURNS,
        {"return_id": "r1", "order_id": "o1"},
        {"return_id": "r2", "order_id": "o1", "user_id": "u2"},
        {"return_id": "r3", "order_id": "o2"},
    )
    assert whose(engine, back, FACT_RETURNS, known) == [True, False, False]


def test_a_unit_may_be_a_user_a_visitor_or_a_session(engine: Engine) -> None:
    attempts = Contract("attempts", "one row a unit", (Column("unit", "string", "who", personal=True),), ("unit",))
    rows = table(attempts, *({"unit": unit} for unit in ("a", "u1", "u1/2024-03-01/1", "u2", "v1")))
    assert whose(engine, rows, attempts, GONE) == [False, True, True, False, True]


def test_a_table_of_things_knows_no_persons(known: Known) -> None:
    there = project(source(feed("products")))
    assert of_person(table(DIM_PRODUCTS, {"product_id": "u1"}), DIM_PRODUCTS, known, there) is None
    assert of_person(raw("products", {"product_id": "u1"}), DELIVERED["products"].raw(), known, there) is None
    assert forgotten(raw("products", {}), DELIVERED["products"].raw(), ibis.memtable({"kind": [""]}), there) is None


def test_every_table_with_a_column_of_a_persons_ids_is_understood(engine: Engine) -> None:
    """A table that calls a column of ids personal, and whose rows nobody can tell, would keep them."""
    for asset in catalogue():
        personal = {column.name for column in asset.contract.columns if column.personal} - {"row_key", "name", "email"}
        assert personal <= {*PERSONAL_IDS}, asset.name
        rows = table(asset.contract)
        assert (of_person(rows, asset.contract, GONE, EVENTS) is not None) == bool(personal), asset.name


def test_hashes_are_salted_once_a_lake_and_remember_since_when(tmp_path: Path, engine: Engine) -> None:
    one, other = (Lake(str(tmp_path / name), engine) for name in ("one", "other"))
    first = suppress(one, {"user": ["u1"]}, "a run", NOON)
    suppress(one, {"user": ["u1", "u2"]}, "a run", NOON.replace(year=2025))
    assert (suppressed(one).salt, suppressed(one).known("user", "u1")) == (first.salt, NOON)
    assert suppressed(one).known("user", "u2") == NOON.replace(year=2025)
    assert suppressed(one).known("visitor", "u1") is None
    assert suppressed(other).known("user", "u1") is None
    assert suppress(other, {"user": ["u1"]}, "a run", NOON).hash("u1") != first.hash("u1")
