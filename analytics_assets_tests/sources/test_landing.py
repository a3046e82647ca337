from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets.project.conditions import Question
from analytics_assets.project.model import Project, Source
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.landing import (
    NO_FEED,
    Landing,
    distinct_rows,
    land,
    meets,
    raw_rows,
    route,
    row_key,
    with_delivery_day,
)
from analytics_assets_tests.making import day, feed, project, source, table

Row = dict[str, Any]
OWN = {
    "ours__order": "int64",
    "ours__file": "string",
    "ours__file_day": "date",
    "ours__row_number": "int64",
    "ours__malformed": "string",
}
MARCH = Days(day(1), day(31))


def delivered(columns: str, *records: Row) -> Table:
    """Make delivered rows with these columns, numbered in their order."""
    rows = [
        {"ours__order": n, "ours__file": "f.csv", "ours__row_number": n, **record}
        for n, record in enumerate(records, 1)
    ]
    return table(dict.fromkeys(columns.split(), "string") | OWN, *rows)


def values(engine: Engine, rows: Table, column: str) -> list[Any]:
    return [row[column] for row in engine.rows(rows.order_by("ours__order"))]


def raw(engine: Engine, name: str, rows: Table, within: Project, place: int = 0) -> list[Row]:
    """Turn delivered rows into rows of a raw table of the first source."""
    columns = [column for column in rows.columns if not column.startswith("ours__")]
    found = raw_rows(rows, "s0", place, within, columns)
    return engine.rows(conform(found, DELIVERED[name].raw()).order_by("file", "row_number"))


# --- conditions -------------------------------------------------------------------------------------------------------

TEXTS = ["C123", "c123", "123", "12", "", None]


@pytest.mark.parametrize(
    ("test", "passing"),
    [
        ("C123", ["C123"]),
        (["C123", "12"], ["C123", "12"]),
        ({"equals": "12"}, ["12"]),
        ({"equals": ["12", ""]}, ["12", ""]),
        ({"not_equals": "12"}, ["C123", "c123", "123", ""]),
        ({"not_equals": ["12", "123"]}, ["C123", "c123", ""]),
        ({"starts_with": "C"}, ["C123"]),
        ({"ends_with": "23"}, ["C123", "c123", "123"]),
        ({"contains": "12"}, ["C123", "c123", "123", "12"]),
        ({"matches": "^[Cc]?12"}, ["C123", "c123", "123", "12"]),
        ({"matches": r"^\d+$"}, ["123", "12"]),
        ({"missing": True}, ["", None]),
        ({"missing": False}, ["C123", "c123", "123", "12"]),
        ({"starts_with": "1", "ends_with": "3"}, ["123"]),
        ({"contains": "%"}, []),
        ({"contains": "_"}, []),
        ({"starts_with": "."}, []),
    ],
)
def test_a_condition_asks_one_column(engine, test, passing):
    rows = delivered("id", *({"id": text} for text in TEXTS))
    asked = Question.model_validate(test) if isinstance(test, dict) else test
    found = values(engine, rows.mutate(held=meets(rows, {"id": asked})), "held")
    assert [text for text, held in zip(TEXTS, found, strict=True) if held] == passing


def test_all_tests_of_a_condition_must_hold(engine):
    rows = delivered("a b", {"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "1"}, {"b": "1"})
    assert values(engine, rows.mutate(held=meets(rows, {"a": "1", "b": "1"})), "held") == [True, False, False, False]
    assert values(engine, rows.mutate(held=meets(rows, {})), "held") == [True] * 4


# --- routing ----------------------------------------------------------------------------------------------------------


def routes(engine: Engine, declared: Source, rows: Table) -> list[int]:
    return values(engine, rows.mutate(feed=route(rows, declared)), "feed")


EVENTS = {**feed("events"), "columns": {"event_type": "kind", "occurred_at": "at"}}


def test_a_row_goes_to_the_first_feed_that_takes_it(engine):
    declared = source(
        {**EVENTS, "when": {"kind": ["a", "b"]}}, {"drop": "b and c", "when": {"kind": ["b", "c"]}}, EVENTS
    )
    rows = delivered("kind at", *({"kind": kind} for kind in ["a", "b", "c", "d", None]))
    assert routes(engine, declared, rows) == [0, 0, 1, 2, 2]


def test_a_row_that_no_feed_takes_goes_nowhere(engine):
    rows = delivered("kind at", {"kind": "a"}, {"kind": "b"}, {})
    assert routes(engine, source({**EVENTS, "when": {"kind": "a"}}), rows) == [0, -1, -1]


def test_a_distinct_feed_takes_no_row_from_the_others(engine):
    users = {"table": "users", "columns": {"user_id": "kind"}, "distinct": True}
    rows = delivered("kind at", {"kind": "a"}, {"kind": "b"})
    assert routes(engine, source(users, EVENTS), rows) == [1, 1]
    assert routes(engine, source(users), rows) == [-1, -1]


def test_a_malformed_row_goes_to_the_last_table_that_does_not_refuse_it_so_that_it_is_rejected_there(engine):
    declared = source(
        {**EVENTS, "when": {"kind": "a"}}, {**EVENTS, "when": {"kind": "b"}}, {"drop": "c", "when": {"kind": "c"}}
    )
    torn = {"ours__malformed": "1 value for 2 columns"}
    rows = delivered("kind at", {"kind": "a", **torn}, {"kind": "x", **torn}, {"kind": "x"})
    assert routes(engine, declared, rows) == [0, 1, -1]


# --- what makes a row the same row ------------------------------------------------------------------------------------


def keys(engine: Engine, says: Row, *records: Row, columns: str = "a b c") -> list[str | None]:
    rows = delivered(columns, *records)
    declared = source({"table": "users", "columns": {"user_id": "a"}, **says}).feeds[0]
    return values(engine, rows.mutate(key=row_key(rows, declared, columns.split())), "key")


def test_one_column_is_the_key_as_it_is(engine):
    assert keys(engine, {}, {"a": "17850"}, {"a": "x y"}) == ["17850", "x y"]


def test_named_columns_make_the_key_and_others_do_not(engine):
    same, other = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "2", "c": "4"}
    first, second, third = keys(engine, {"unique_by": ["a", "b"]}, same, other, {"a": "1", "b": "3"})
    assert first == second != third


def test_without_a_key_all_columns_make_it(engine):
    unkeyed = {"table": "events", "columns": {"event_type": "a", "occurred_at": "b"}}
    first, second, third = keys(
        engine, unkeyed, {"a": "1", "b": "2"}, {"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}
    )
    assert first == second != third


def test_every_row_may_be_its_own(engine):
    assert keys(engine, {"unique_by": "row"}, {"a": "1"}, {"a": "1"}) == [None, None]


@pytest.mark.parametrize("unique_by", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_keys_that_only_run_together_are_two(engine, unique_by):
    records = [{"a": "12", "b": "3"}, {"a": "1", "b": "23"}, {"a": "1", "c": "23"}, {"a": "1"}, {"a": "1", "b": ""}, {}]
    found = keys(engine, {"unique_by": unique_by}, *records)
    distinct = {tuple(record.get(column) for column in unique_by) for record in records}
    assert len(set(found)) == len(distinct)
    assert None not in found


# --- the day of delivery ----------------------------------------------------------------------------------------------


def delivery_days(engine: Engine, within: Project, rows: Table) -> list[dt.date | None]:
    declared = within.sources["s0"]
    dated = with_delivery_day(rows, declared.feeds[0], declared, within)
    assert set(dated.columns) == {*rows.columns, "ours__delivery_day"}
    return values(engine, dated, "ours__delivery_day")


def test_the_day_in_a_files_name_is_the_day_of_delivery(engine):
    within = project(source(EVENTS, path="{day}.csv"))
    rows = delivered("kind at", {"at": "2024-03-09 10:00", "ours__file_day": day(4)}, {"ours__file_day": day(5)})
    assert delivery_days(engine, within, rows) == [day(4), day(5)]


def test_without_one_it_is_the_day_of_the_rows_own_time_in_the_reporting_zone(engine):
    within = project(source(EVENTS, time_zone="America/New_York"), time_zone="Asia/Kolkata", last_day=day(31))
    rows = delivered("kind at", {"at": "2024-03-05 12:00"}, {"at": "2024-03-05 15:00"})
    assert delivery_days(engine, within, rows) == [day(5), day(6)]


def test_rows_without_a_day_or_from_before_the_project_come_on_its_first_day(engine):
    within = project(source(EVENTS), first_day=day(3))
    rows = delivered("kind at", *({"at": at} for at in ["2024-03-02", "soon", None, "2024-02-30", "2024-03-03"]))
    assert delivery_days(engine, within, rows) == [day(3)] * 5


def test_rows_from_after_the_project_come_on_its_last_day(engine):
    rows = delivered("kind at", {"at": "2024-03-09"}, {"at": "2024-03-20"}, {"at": "2025-01-01"})
    within = project(source(EVENTS), last_day=day(10))
    assert delivery_days(engine, within, rows) == [day(9), day(10), day(10)]
    assert delivery_days(engine, project(source(EVENTS)), rows) == [day(9), day(20), dt.date(2025, 1, 1)]


def test_things_and_rows_without_a_time_come_on_no_day(engine):
    users = {"table": "users", "columns": {"user_id": "kind"}}
    roster = {"table": "experiment_assignments", "columns": {"experiment": "kind", "user_id": "at"}}
    rows = delivered("kind at", {"at": "2024-03-09"})
    assert delivery_days(engine, project(source(users)), rows) == [None]
    assert delivery_days(engine, project(source(roster)), rows) == [None]


# --- raw rows ---------------------------------------------------------------------------------------------------------


def test_a_raw_row_is_what_was_delivered_as_text_under_our_names_and_with_its_place(engine):
    rows = delivered("kind at page", {"kind": " Buy", "at": "2024-03-05", "page": "/a", "ours__row_number": 7})
    (found,) = raw(
        engine,
        "events",
        rows,
        project(source({**EVENTS, "columns": {**EVENTS["columns"], "device": {"constant": "web"}}})),
    )
    given = {name: value for name, value in found.items() if value is not None}
    assert json.loads(given.pop("extra")) == {"page": "/a"}
    assert len(given.pop("row_key")) == 32
    assert given == {
        "event_type": " Buy",
        "occurred_at": "2024-03-05",
        "delivery_day": day(5),
        "source": "s0",
        "feed": 0,
        "file": "f.csv",
        "row_number": 7,
    }


def test_columns_that_no_mapping_took_are_kept_as_json_whatever_they_hold(engine):
    record = {"kind": "a", "it's": "x", 'say "b.c"': 'q"\\\n\té', "none": None, "empty": ""}
    rows = table(dict.fromkeys(["at", *record], "string") | OWN, {"ours__file": "f", "ours__row_number": 1, **record})
    (found,) = raw(engine, "events", rows, project(source(EVENTS)))
    assert json.loads(found["extra"]) == {k: v for k, v in record.items() if k != "kind" and v is not None}


def test_a_table_that_takes_all_columns_has_no_others(engine):
    (found,) = raw(engine, "events", delivered("kind at", {"kind": "a"}), project(source(EVENTS)))
    assert found["extra"] is None


def test_a_malformed_row_keeps_its_text(engine):
    (found,) = raw(engine, "events", delivered("kind at", {"ours__malformed": "1 value: x"}), project(source(EVENTS)))
    assert (found["malformed"], found["delivery_day"]) == ("1 value: x", day(1))


def test_rows_that_count_in_no_metric_are_flagged_by_the_first_condition_that_holds(engine):
    excluded = {"bot": {"kind": {"starts_with": "bot"}}, "staff": {"at": {"contains": "office"}}}
    rows = delivered("kind at", {"kind": "bot7", "at": "office"}, {"kind": "a", "at": "office"}, {"kind": "a"})
    found = raw(engine, "events", rows, project(source(EVENTS, excluded=excluded)))
    assert [row["excluded_as"] for row in found] == ["bot", "staff", None]
    assert raw(engine, "events", rows, project(source(EVENTS)))[0]["excluded_as"] is None


# --- things told from other rows --------------------------------------------------------------------------------------

PRODUCTS = {"table": "products", "columns": {"product_id": "sku", "name": "title", "brand": "maker"}, "distinct": True}


def things(engine: Engine, *records: Row, **says: Any) -> list[Row]:
    within = project(source({**PRODUCTS, **says.pop("feed", {})}, **says))
    found = distinct_rows(delivered("sku title maker kind", *records), "s0", 0, within)
    return engine.rows(conform(found, DELIVERED["products"].raw()).order_by("product_id", "delivery_day"))


def test_a_thing_has_the_last_word_of_each_column(engine):
    (found,) = things(
        engine,
        {"sku": "1", "title": "old", "maker": "acme"},
        {"sku": "1", "title": "new", "maker": ""},
        {"sku": "1", "title": None},
    )
    assert (found["product_id"], found["name"], found["brand"]) == ("1", "new", "acme")
    assert (found["row_number"], found["row_key"], found["delivery_day"]) == (3, "1", None)


def test_last_is_by_the_order_of_delivery_and_not_of_rows(engine):
    first, last = {"sku": "1", "title": "first", "ours__order": 5}, {"sku": "1", "title": "last", "ours__order": 6}
    for rows in ([first, last], [last, first]):
        assert things(engine, *rows)[0]["name"] == "last"


def test_rows_without_the_key_and_malformed_rows_tell_of_nothing(engine):
    records = [{"sku": ""}, {"sku": None}, {"sku": "NA"}, {"sku": "9", "ours__malformed": "torn"}, {"sku": "1"}]
    assert [row["product_id"] for row in things(engine, *records, nulls=["", "NA"])] == ["1"]


def test_only_rows_that_meet_the_condition_tell_of_things(engine):
    records = [{"sku": "1", "kind": "sale"}, {"sku": "2", "kind": "fee"}]
    assert [row["product_id"] for row in things(engine, *records, feed={"when": {"kind": "sale"}})] == ["1"]


def test_ids_that_differ_in_case_or_spaces_are_different_things(engine):
    assert len(things(engine, {"sku": "a"}, {"sku": "A"}, {"sku": "a "})) == 3


def test_of_files_by_day_each_day_tells_of_its_own_things(engine):
    records = [{"sku": "1", "title": f"on {n}", "ours__file_day": day(n)} for n in (1, 2, 2)]
    found = things(engine, *records, path="{day}.csv")
    assert [(row["name"], row["delivery_day"]) for row in found] == [("on 1", day(1)), ("on 2", day(2))]


def test_a_thing_is_not_excluded_for_a_column_that_it_was_not_told_from(engine):
    (found,) = things(engine, {"sku": "1", "kind": "x"}, excluded={"test": {"kind": {"missing": True}}})
    assert found["excluded_as"] is None


# --- all of it together -----------------------------------------------------------------------------------------------


def landed(
    engine: Engine, folder: Path, files: dict[str, str], declared: Source, days: Days = MARCH, **says: Any
) -> Landing:
    for name, text in files.items():
        (folder / name).write_text(text)
    within = project(declared.model_copy(update={"path": str(folder / declared.path)}), **says)
    return land("s0", within, days, engine, folder)


def counts(engine: Engine, found: Landing) -> dict[str, int]:
    return {name: len(engine.rows(rows)) for name, rows in found.raw.items()}


RETURNS = {"return_id": "order", "product_id": "sku", "returned_at": "at", "quantity": "n"}
ORDERS = {
    "order_id": "order",
    "product_id": "sku",
    "ordered_at": "at",
    "quantity": "n",
    "unit_price": {"constant": "1"},
}
SHOP = source(
    PRODUCTS,
    {"table": "returns", "when": {"order": {"starts_with": "C"}}, "columns": RETURNS},
    {"drop": "test orders", "when": {"order": {"starts_with": "T"}}},
    {"drop": "fees", "when": {"sku": "FEE"}},
    {"drop": "test orders", "when": {"title": "TEST"}},
    {"table": "order_lines", "when": {"n": {"not_equals": "0"}}, "columns": ORDERS},
)
LINES = """\
order,sku,title,maker,at,n
1,a,A,,2024-03-01,1
2,b,B,x,2024-03-02,2
C1,a,A2,,2024-03-02,-1
T1,z,,,2024-03-02,1
3,FEE,,,2024-03-03,1
4,b,TEST,,2024-03-03,1
5,c,C,,2024-03-03,0
6,c,C,,2024-03-09,3
"""


def test_every_delivered_row_is_routed_filtered_or_of_another_day(engine, tmp_path):
    found = landed(engine, tmp_path, {"rows.csv": LINES}, SHOP, Days(day(1), day(3)))
    assert (found.delivered, found.files, found.empty_files) == (8, 1, ())
    assert found.routed == {"returns": 1, "order_lines": 2, "products": 5}
    assert found.filtered == {"test orders": 2, "fees": 1, NO_FEED: 1}
    assert (found.other_days, found.things) == (1, frozenset({"products"}))
    rows = sum(count for name, count in found.routed.items() if name not in found.things)
    assert found.delivered == rows + found.other_days + sum(found.filtered.values())
    assert [row["order_id"] for row in engine.rows(found.raw["order_lines"].order_by("row_number"))] == ["1", "2", "6"]
    assert [row["row_number"] for row in engine.rows(found.raw["returns"])] == [3]


def test_two_feeds_of_one_table_are_landed_together(engine, tmp_path):
    declared = source({**EVENTS, "when": {"kind": "a"}}, {**EVENTS, "when": {"kind": "b"}})
    found = landed(
        engine, tmp_path, {"rows.csv": "kind,at\na,2024-03-01\nb,2024-03-01\nb,2024-03-02\nc,2024-03-01\n"}, declared
    )
    assert (found.routed, counts(engine, found), found.filtered) == ({"events": 3}, {"events": 3}, {NO_FEED: 1})
    assert Counter(row["feed"] for row in engine.rows(found.raw["events"])) == {0: 1, 1: 2}


def test_files_by_day_are_read_for_the_days_of_the_run_alone(engine, tmp_path):
    files = {f"2024-03-0{n}.csv": f"kind,at\na,2024-03-0{n}\nb,2024-03-01\n" for n in (1, 2, 3)}
    found = landed(engine, tmp_path, files, source(EVENTS, path="{day}.csv"), Days(day(2), day(3)))
    assert (found.delivered, found.routed, found.other_days, found.files) == (4, {"events": 4}, 0, 2)
    assert {(row["file"], row["delivery_day"]) for row in engine.rows(found.raw["events"])} == {
        ("2024-03-02.csv", day(2)),
        ("2024-03-03.csv", day(3)),
    }


def test_a_snapshot_belongs_to_every_run(engine, tmp_path):
    users = source({"table": "users", "columns": {"user_id": "id"}})
    found = landed(engine, tmp_path, {"rows.csv": "id\na\nb\n"}, users, Days(day(9), day(9)))
    assert (found.routed, found.other_days, counts(engine, found)) == ({"users": 2}, 0, {"users": 2})


@pytest.mark.parametrize("text", ["", "kind,at\n"])
def test_a_file_without_rows_is_named(engine, tmp_path, text):
    files = {"a.csv": "kind,at\na,2024-03-01\n", "b.csv": text}
    found = landed(engine, tmp_path, files, source(EVENTS, path="*.csv"))
    assert (found.delivered, found.files, found.empty_files) == (1, 2, ("b.csv",))


def test_a_missing_file_is_named_unless_it_is_optional(engine, tmp_path):
    with pytest.raises(SourceError, match=r"no file .*rows\.csv"):
        landed(engine, tmp_path, {}, source(EVENTS))
    found = landed(engine, tmp_path, {}, source(EVENTS, optional=True))
    assert (found.delivered, found.files, counts(engine, found)) == (0, 0, {"events": 0})


def test_a_condition_may_ask_a_column_that_only_some_files_have(engine, tmp_path):
    files = {"a.csv": "kind,at,browser\na,2024-03-01,bot\n", "b.csv": "kind,at\na,2024-03-01\n"}
    declared = source(EVENTS, path="*.csv", excluded={"bot": {"browser": "bot"}})
    found = landed(engine, tmp_path, files, declared)
    assert {row["file"]: row["excluded_as"] for row in engine.rows(found.raw["events"])} == {
        "a.csv": "bot",
        "b.csv": None,
    }


def test_a_missing_column_is_named_with_the_feed_that_asks_for_it(engine, tmp_path):
    with pytest.raises(SourceError, match=r"rows\.csv: there is no column 'kind'.*feed 0 of source s0.*'kid'"):
        landed(engine, tmp_path, {"rows.csv": "kid,at\na,2024-03-01\n"}, source(EVENTS))


OURS = ["delivery_day", "_at", "_route", "_order", "_file", "_file_day", "_malformed"]


@pytest.mark.parametrize("name", ["row_number", "source", "extra", *OURS])
def test_a_delivered_column_may_be_called_as_one_of_ours(engine, tmp_path, name):
    found = landed(engine, tmp_path, {"rows.csv": f"kind,at,{name}\na,2024-03-05,x\n"}, source(EVENTS))
    (row,) = engine.rows(found.raw["events"])
    assert (json.loads(row["extra"]), row["delivery_day"], row["row_number"]) == ({name: "x"}, day(5), 1)


def test_files_may_spell_a_column_in_different_cases(engine, tmp_path):
    files = {"1.csv": "kind,at,Page\na,2024-03-05,x\n", "2.csv": "kind,at,page\na,2024-03-05,y\n"}
    try:
        found = landed(engine, tmp_path, files, source(EVENTS, path="[12].csv"))
    except SourceError as refused:
        assert "page" in str(refused)  # noqa: PT017 - to refuse the files by name would do as well
    else:
        assert len(engine.rows(found.raw["events"])) == 2


cells = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["1", "2", "C1", "T1", ""]),
        "sku": st.sampled_from(["a", "b", "FEE", ""]),
        "title": st.sampled_from(["A", "TEST", ""]),
        "maker": st.sampled_from(["", "x"]),
        "at": st.sampled_from(["2024-03-01", "2024-03-02", "2024-02-01", "soon", "2024-04-01", ""]),
        "n": st.sampled_from(["0", "1", "-1"]),
    }
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.lists(cells, max_size=30))
def test_no_row_is_lost_and_none_comes_twice(engine, tmp_path_factory, rows):
    header = ["order", "sku", "title", "maker", "at", "n"]
    text = "".join(",".join(line) + "\n" for line in [header, *([row[name] for name in header] for row in rows)])
    found = landed(engine, tmp_path_factory.mktemp("land"), {"rows.csv": text}, SHOP, Days(day(1), day(1)))
    lines = {name: engine.rows(raw) for name, raw in found.raw.items()}
    places = [row["row_number"] for name in ("order_lines", "returns") for row in lines[name]]
    assert len(set(places)) == len(places) == len(rows) - sum(found.filtered.values())
    today = sum(row["delivery_day"] == day(1) for name in ("order_lines", "returns") for row in lines[name])
    assert found.routed["order_lines"] + found.routed["returns"] == today == len(places) - found.other_days
    assert sorted(row["product_id"] for row in lines["products"]) == sorted({row["sku"] for row in rows} - {""})
