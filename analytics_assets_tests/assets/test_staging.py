from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.assets.staging import kept, rejected_rows, stage
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets.project.model import Project
from analytics_assets_tests.making import at, day, feed, project, source, table

Row = dict[str, Any]

LINE = {
    "order_id": "o1",
    "line": "1",
    "product_id": "p",
    "ordered_at": "2024-03-05 12:00",
    "quantity": "2",
    "unit_price": "1.5",
}
EVENT = {"event_id": "e1", "event_type": "view", "occurred_at": "2024-03-05 12:00"}
EVENTS = feed("events", "event_id", "user_id", "session_id")


def raw(name: str, *records: Row) -> Table:
    provenance = {"delivery_day": day(1), "source": "s0", "feed": 0, "file": "f.csv"}
    rows = [{**provenance, "row_number": number, **record} for number, record in enumerate(records, 1)]
    return table(DELIVERED[name].raw(), *rows)


def staged(engine: Engine, name: str, within: Project, *records: Row) -> list[Row]:
    """Stage raw rows; give each back once, in the order in which they were delivered."""
    rows = engine.rows(conform(stage(raw(name, *records), DELIVERED[name], within), DELIVERED[name].staged()))
    assert len(rows) == len(records)
    return sorted(rows, key=lambda row: (row["source"], row["feed"], row["file"], row["row_number"]))


def orders(*columns: str, within: Row | None = None, says: Row | None = None, **feed_says: Any) -> Project:
    """Declare a project with one source of order lines, all columns mapped that these tests speak of."""
    of_feed = feed("order_lines", "line", "discount", "tax", "shipping", "status", *columns, **feed_says)
    return project(source(of_feed, **(says or {})), **(within or {}))


def line(engine: Engine, within: Project | None = None, **says: Any) -> Row:
    (found,) = staged(engine, "order_lines", within or orders(), {**LINE, **says})
    return found


def test_a_good_row_is_kept_with_its_types(engine):
    found = line(engine, tax="0.25")
    assert found["rejected"] == []
    typed = {
        name: found[name] for name in ("order_id", "ordered_at", "day", "quantity", "unit_price", "tax", "currency")
    }
    assert typed == {
        "order_id": "o1",
        "ordered_at": at("05 12:00"),
        "day": day(5),
        "quantity": 2,
        "unit_price": Decimal("1.5"),
        "tax": Decimal("0.25"),
        "currency": None,
    }


BAD_LINES = {
    **{f"missing_{name}": {name: None} for name in LINE},
    "unparseable_ordered_at": {"ordered_at": "yesterday"},
    "unparseable_quantity": {"quantity": "2.5"},
    "unparseable_unit_price": {"unit_price": "NaN"},
    "unparseable_discount": {"discount": "none"},
    "nonexistent_ordered_at": {"ordered_at": "2024-03-31 01:30"},
    "out_of_range_unit_price": {"unit_price": "1e308"},
    "precision_unit_price": {"unit_price": "1.23456"},
    "negative_quantity": {"quantity": "-1"},
    "zero_quantity": {"quantity": "0"},
    "negative_price": {"unit_price": "-0.01"},
    "zero_price": {"unit_price": "0.0"},
    "negative_discount": {"discount": "-1"},
    "negative_tax": {"tax": "-1"},
    "negative_shipping": {"shipping": "-1"},
    "unknown_status": {"status": "lost"},
    "foreign_currency": {"currency": "USD"},
    "before_first_day": {"ordered_at": "2024-02-29 12:00"},
    "after_last_day": {"ordered_at": "2024-04-02 12:00"},
    "malformed": {"malformed": "2 values for 6 columns: o1,1"},
}


def test_a_bad_value_is_a_reason_of_its_own(engine):
    within = orders(
        "currency", within={"time_zone": "Europe/London", "currency": "GBP", "last_day": dt.date(2024, 4, 1)}
    )
    rows = [{**LINE, "currency": "GBP", "row_key": reason, **says} for reason, says in BAD_LINES.items()]
    found = staged(engine, "order_lines", within, *rows)
    assert {row["row_key"]: row["rejected"] for row in found} == {reason: [reason] for reason in BAD_LINES}


@pytest.mark.slow
def test_amounts_are_rounded_where_the_mapping_says_so_and_nowhere_else(engine):
    within = orders(columns={**feed("order_lines", "tax")["columns"], "tax": {"column": "tax", "decimals": 4}})
    found = line(engine, within, tax="1.429999948", unit_price="2.5000")
    assert (found["rejected"], found["tax"]) == ([], Decimal("1.43"))
    assert line(engine, within, tax="1.429999948", unit_price="2.50001")["rejected"] == ["precision_unit_price"]
    for text, reason in {"one": "unparseable_tax", "1e300": "out_of_range_tax", "-0.00005": "negative_tax"}.items():
        assert line(engine, within, tax=text)["rejected"] == [reason]


RETURN = {"return_id": "r", "line": "1", "product_id": "p", "returned_at": "2024-03-05", "quantity": "1"}
SPEND = {"campaign_id": "c", "spent_on": "2024-03-05", "channel": "x", "spend": "1"}
ASSIGNMENT = {"experiment": "x", "user_id": "u", "variant": "a", "assigned_at": "2024-03-05"}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "returns",
            [RETURN, {**RETURN, "status": None}],
            {
                "negative_quantity": {**RETURN, "quantity": "-1"},
                "zero_quantity": {**RETURN, "quantity": "0"},
                "negative_price": {**RETURN, "unit_price": "-1"},
                "negative_refund": {**RETURN, "refund": "-1"},
                "unknown_status": {**RETURN, "status": "gone"},
                "missing_return_id": {**RETURN, "return_id": None},
            },
        ),
        (
            "campaign_spend",
            [SPEND, {**SPEND, "channel": None}, {**SPEND, "spend": "0"}],
            {
                "negative_spend": {**SPEND, "spend": "-1"},
                "negative_impressions": {**SPEND, "impressions": "-1"},
                "negative_clicks": {**SPEND, "clicks": "-1"},
                "missing_spend": {**SPEND, "spend": None},
            },
        ),
        (
            "experiment_assignments",
            [
                ASSIGNMENT,
                *(
                    {**ASSIGNMENT, **s}
                    for s in ({"variant": None}, {"assigned_at": None}, {"assigned_at": "2020-01-01"})
                ),
            ],
            {"missing_user_id": {**ASSIGNMENT, "user_id": None}},
        ),
        (
            "events",
            [EVENT, {**EVENT, "amount": "-1"}],
            {
                "missing_event_type": {**EVENT, "event_type": None},
                "missing_event_id": {**EVENT, "event_id": None},
                "unparseable_amount": {**EVENT, "amount": "x"},
            },
        ),
        ("users", [{"user_id": "u"}], {"unparseable_age": {"user_id": "u", "age": "old"}}),
        (
            "products",
            [{"product_id": "p"}],
            {"unparseable_launched_on": {"product_id": "p", "launched_on": "2024-02-30"}},
        ),
        ("campaigns", [{"campaign_id": "c"}], {"precision_budget": {"campaign_id": "c", "budget": "0.12345"}}),
        ("identities", [{"anonymous_id": "v", "user_id": "u"}], {"missing_user_id": {"anonymous_id": "v"}}),
    ],
)
def test_every_table_refuses_what_it_cannot_use(engine, name, good, bad):
    every = [column.name for column in DELIVERED[name].columns if column.name != "currency"]
    found = staged(engine, name, project(source(feed(name, *every))), *good, *bad.values())
    assert [row["rejected"] for row in found] == [[]] * len(good) + [[reason] for reason in bad]


def test_a_line_whose_amount_is_beyond_all_amounts_is_rejected(engine):
    assert line(engine, quantity=str(10**18), unit_price="10")["rejected"] != []


def test_every_reason_against_a_row_is_told_the_main_one_first(engine):
    found = line(
        engine,
        orders("currency"),
        malformed="torn",
        order_id=None,
        ordered_at="2024-02-01",
        quantity="0",
        unit_price="1.00001",
        status="lost",
        currency="XXX",
    )
    assert found["rejected"] == [
        "malformed",
        "missing_order_id",
        "precision_unit_price",
        "zero_quantity",
        "unknown_status",
        "foreign_currency",
        "before_first_day",
    ]


def test_a_row_that_counts_in_no_metric_is_kept_and_flagged(engine):
    found = line(engine, excluded_as="bot")
    assert (found["excluded_as"], found["rejected"]) == ("bot", [])


# --- what a feed means by its text ------------------------------------------------------------------------------------


def test_an_absent_or_empty_value_means_the_default(engine):
    absent = line(engine, project(source(feed("order_lines", "line"))))
    empty = line(engine, discount="", tax=None, status="")
    for found in (absent, empty):
        assert (found["discount"], found["tax"], found["status"], found["rejected"]) == (0, 0, "completed", [])


@pytest.mark.slow
def test_a_null_marker_means_a_missing_value(engine):
    marked = orders(says={"nulls": ["", "NA", "-"]})
    assert line(engine, marked, quantity="NA")["rejected"] == ["missing_quantity"]
    assert line(engine, marked, discount="-")["discount"] == 0
    assert line(engine, orders(says={"nulls": []}), product_id="")["rejected"] == []


def test_a_constant_stands_for_every_row(engine):
    columns = {"product_id": "product_id", "quantity": {"constant": "1"}, "unit_price": "unit_price", "line": "line"}
    columns |= {"order_id": "order_id", "ordered_at": "ordered_at"}
    found = line(engine, project(source({"table": "order_lines", "columns": columns})), quantity=None)
    assert (found["quantity"], found["rejected"]) == (1, [])


def test_texts_are_replaced_and_others_pass(engine):
    columns = {"event_type": {"column": "event_type", "values": {"addtocart": "add_to_cart", "x": "NA"}}}
    columns |= {"event_id": "event_id", "occurred_at": "occurred_at"}
    within = project(source({"table": "events", "columns": columns}, nulls=["NA"]))
    texts = ["addtocart", "view", "x", None]
    found = staged(engine, "events", within, *({**EVENT, "event_id": text, "event_type": text} for text in texts))
    assert [row["event_type"] for row in found] == ["add_to_cart", "view", None, None]


def test_the_sign_of_a_number_can_be_turned(engine):
    columns = {
        **LINE,
        "quantity": {"column": "quantity", "negate": True},
        "unit_price": {"column": "unit_price", "negate": True},
    }
    within = project(
        source(
            {
                "table": "order_lines",
                "columns": {name: columns[name] if isinstance(columns[name], dict) else name for name in columns},
            }
        )
    )
    found = line(engine, within, quantity="-3", unit_price="-1.5")
    assert (found["quantity"], found["unit_price"], found["rejected"]) == (3, Decimal("1.5"), [])
    assert line(engine, within, unit_price="-1.5")["rejected"] == ["negative_quantity"]


@pytest.mark.slow
def test_times_are_read_by_the_clock_of_the_source_and_days_by_that_of_the_project(engine):
    kolkata = {"time_zone": "Asia/Kolkata", "last_day": day(31)}
    within = orders(within=kolkata, says={"time_zone": "America/New_York"})
    found = line(engine, within, ordered_at="2024-03-05 15:00")
    assert (found["ordered_at"], found["day"]) == (at("05 20:00"), day(6))
    assert line(engine, orders(within=kolkata))["ordered_at"] == at("05 06:30")


@pytest.mark.slow
def test_times_are_read_by_the_formats_of_the_source(engine):
    within = orders(says={"timestamps": ["%d/%m/%Y %H:%M", "epoch_s"]})
    assert line(engine, within, ordered_at="06/03/2024 10:00")["ordered_at"] == at("06 10:00")
    assert line(engine, within, ordered_at="1709640000")["ordered_at"] == at("05 12:00")
    assert line(engine, within)["rejected"] == ["unparseable_ordered_at"]


@pytest.mark.slow
def test_without_a_line_the_place_in_the_file_is_the_line(engine):
    within = project(source(feed("order_lines")))
    found = staged(engine, "order_lines", within, {**LINE, "line": None}, {**LINE, "line": None})
    assert [(row["line"], row["rejected"]) for row in found] == [("1", []), ("2", [])]


def test_without_an_event_id_what_makes_the_row_the_same_row_is_the_id_or_else_its_place(engine):
    within = project(source(feed("events")))
    found = staged(engine, "events", within, {**EVENT, "row_key": "hash"}, EVENT)
    assert [row["event_id"] for row in found] == ["hash", "s0:f.csv:2"]


def test_rows_at_the_same_place_of_two_sources_are_two_events(engine):
    within = project(source(feed("events")), source(feed("events")))
    first, second = staged(
        engine, "events", within, {**EVENT, "row_number": 1}, {**EVENT, "source": "s1", "row_number": 1}
    )
    assert first["event_id"] != second["event_id"]


def test_lines_of_one_order_at_the_same_place_of_two_files_are_two_lines(engine):
    within = project(source(feed("order_lines"), path="{day}.csv", lateness=1))
    files = [{"file": "05.csv", "delivery_day": day(5)}, {"file": "06.csv", "delivery_day": day(6)}]
    first, second = staged(engine, "order_lines", within, *({**LINE, **file, "row_number": 1} for file in files))
    assert (first["rejected"], second["rejected"]) == ([], [])
    assert first["line"] != second["line"]


def test_delivered_columns_are_kept_as_properties_in_their_own_words(engine):
    columns = {"event_type": "what", "occurred_at": "when", "event_id": "id"}
    within = project(source({"table": "events", "columns": columns, "properties": ["page", "what", "ref erer"]}))
    extra = json.dumps({"page": '/a"b', "ref erer": None, "other": "x"})
    (found,) = staged(engine, "events", within, {**EVENT, "extra": extra})
    assert json.loads(found["properties"]) == {"page": '/a"b', "what": "view"}
    assert staged(engine, "events", project(source(EVENTS)), {**EVENT, "extra": extra})[0]["properties"] is None


@pytest.mark.parametrize("name", ["geo.country", "$cost", "a:b", 'the "id"', "*"])
def test_a_property_may_have_any_name(engine, name):
    within = project(source({**EVENTS, "properties": [name]}))
    (found,) = staged(engine, "events", within, {**EVENT, "extra": json.dumps({name: "x"})})
    assert json.loads(found["properties"]) == {name: "x"}


def test_each_feed_is_read_in_its_own_way(engine):
    first = source({**EVENTS, "when": {"kind": "a"}}, feed("events", "event_id"), timestamps=["epoch_s"])
    second = source(EVENTS, time_zone="America/New_York")
    found = staged(
        engine,
        "events",
        project(first, second),
        {**EVENT, "occurred_at": "1709640000", "user_id": "ann"},
        {**EVENT, "occurred_at": "1709640000", "user_id": "ann", "feed": 1},
        {**EVENT, "occurred_at": "2024-03-05 12:00", "user_id": "ann", "source": "s1"},
    )
    assert [(row["occurred_at"], row["user_id"]) for row in found] == [
        (at("05 12:00"), "ann"),
        (at("05 12:00"), None),
        (at("05 17:00"), "ann"),
    ]


# --- days of delivery -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_row_may_come_as_many_days_late_as_its_source_says(engine):
    within = orders(says={"path": "orders-{day}.csv", "lateness": 2})
    rows = [{**LINE, "delivery_day": day(number)} for number in (4, 5, 6, 7, 8, 20)]
    assert [row["rejected"] for row in staged(engine, "order_lines", within, *rows)] == [
        ["too_early"],
        [],
        [],
        [],
        ["too_late"],
        ["too_late"],
    ]


def test_without_a_day_in_the_file_name_no_row_is_late(engine):
    assert line(engine, orders(), delivery_day=day(20))["rejected"] == []


def test_a_row_that_may_go_without_a_time_is_of_the_day_of_its_delivery(engine):
    within = project(source(feed("experiment_assignments", "assigned_at"), path="{day}.csv", lateness=30))
    times = ["2024-03-05 10:00", "2020-01-01", None]
    rows = [{**ASSIGNMENT, "assigned_at": time, "variant": None, "delivery_day": day(7)} for time in times]
    found = staged(engine, "experiment_assignments", within, *rows)
    assert [(row["day"], row["rejected"]) for row in found] == [(day(5), []), (day(7), []), (day(7), [])]


@pytest.mark.slow
def test_a_row_of_days_that_the_project_lacks_is_neither_late_nor_early(engine):
    within = orders(within={"last_day": day(9)}, says={"path": "orders-{day}.csv"})
    assert line(engine, within, ordered_at="2024-02-01", delivery_day=day(5))["rejected"] == ["before_first_day"]
    assert line(engine, within, ordered_at="2024-03-12", delivery_day=day(5))["rejected"] == ["after_last_day"]


# --- duplicates -------------------------------------------------------------------------------------------------------


def reasons(engine: Engine, *records: Row, name: str = "events", within: Project | None = None) -> list[list[str]]:
    good = EVENT if name == "events" else {"user_id": "u"}
    found = staged(engine, name, within or project(source(EVENTS)), *({**good, **record} for record in records))
    return [row["rejected"] for row in found]


def test_the_first_of_several_events_with_one_key_is_kept(engine):
    assert reasons(engine, {"row_key": "k"}, {"row_key": "k"}, {"row_key": "k"}, {"row_key": "l"}) == [
        [],
        ["duplicate"],
        ["duplicate"],
        [],
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"delivery_day": day(1), "row_number": 9, "file": "z"},
            {"delivery_day": day(2), "row_number": 1, "file": "a"},
        ),
        ({"file": "a.csv", "row_number": 9}, {"file": "b.csv", "row_number": 1}),
        ({"file": "a.csv", "row_number": 9}, {"file": "a.csv", "row_number": 10}),
    ],
)
def test_first_is_by_delivery_then_file_then_place(engine, first, second):
    for rows in ([first, second], [second, first]):
        found = staged(
            engine, "events", project(source(EVENTS, lateness=1)), *({**EVENT, "row_key": "k", **row} for row in rows)
        )
        assert {(row["file"], row["row_number"]): row["rejected"] for row in found} == {
            (first.get("file", "f.csv"), first["row_number"]): [],
            (second.get("file", "f.csv"), second["row_number"]): ["duplicate"],
        }


def test_a_row_that_comes_again_later_than_rows_may_come_is_a_row_of_its_own(engine):
    within = project(source(EVENTS, lateness=2))
    rows = [{"row_key": "k", "delivery_day": day(number)} for number in (1, 3, 5, 8)]
    assert reasons(engine, *rows, within=within) == [[], ["duplicate"], ["duplicate"], []]


def test_a_delivery_is_judged_alike_whatever_older_ones_are_read(engine):
    within = project(source(EVENTS, lateness=2))
    rows = [{"row_key": "k", "delivery_day": day(number), "row_number": number} for number in (1, 3, 4, 7, 8)]
    whole = dict(zip((row["row_number"] for row in rows), reasons(engine, *rows, within=within), strict=True))
    for run in (4, 7, 8):
        read = [row for row in rows if run - 2 <= row["row_number"] <= run]
        assert reasons(engine, *read, within=within)[-1] == whole[run]


def test_the_last_word_on_a_thing_is_kept_of_each_delivery(engine):
    within = project(source(feed("users")))
    rows = [{"row_key": "k"}, {"row_key": "k"}, {"row_key": "k", "delivery_day": day(2)}]
    assert reasons(engine, *rows, name="users", within=within) == [["duplicate"], [], []]


def test_a_snapshot_has_one_last_word(engine):
    within = project(source(feed("users")))
    rows = [{"row_key": "k", "delivery_day": None}, {"row_key": "k", "delivery_day": None}]
    assert reasons(engine, *rows, name="users", within=within) == [["duplicate"], []]


def test_a_bad_row_does_not_make_a_good_one_a_duplicate_and_is_none_itself(engine):
    assert reasons(
        engine, {"row_key": "k", "event_type": None}, {"row_key": "k"}, {"row_key": "k", "event_type": None}
    ) == [
        ["missing_event_type"],
        [],
        ["missing_event_type"],
    ]


def test_rows_without_a_key_are_each_their_own(engine):
    assert reasons(engine, {}, {}) == [[], []]


def test_a_feed_whose_rows_are_each_their_own_has_no_duplicates(engine):
    within = project(source({**EVENTS, "unique_by": "row"}))
    assert reasons(engine, {}, {}, within=within) == [[], []]


def test_one_row_from_two_sources_is_kept_from_the_first(engine):
    within = project(source(EVENTS), source(EVENTS))
    assert reasons(engine, {"row_key": "k"}, {"row_key": "k", "source": "s1"}, within=within) == [[], ["duplicate"]]


# --- all of it together -----------------------------------------------------------------------------------------------

TEXTS = {
    "order_id": ["p", "", None],
    "line": ["2", None],
    "product_id": ["NA", None],
    "ordered_at": ["2024-02-29", "2024-03-31 01:30", "31/03/2024", "", None, "now"],
    "quantity": ["2.0", "0", "-1", "x", None, "9" * 30],
    "unit_price": ["0", "-1", "1.23456", "NaN", "1e308", None],
    "discount": ["0.5", "-1", "?", None],
    "status": ["lost", None],
    "malformed": ["torn"],
    "delivery_day": [day(4), day(6), day(9)],
}
slips = st.sampled_from([(name, value) for name, values in TEXTS.items() for value in values])
keys = st.sampled_from(["k", "l", "m", None])
rows = st.lists(st.tuples(keys, st.lists(slips, max_size=2).map(dict)), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_every_row_is_there_once_kept_or_rejected_whatever_the_order_of_rows(engine, records, random):
    within = orders(
        within={"time_zone": "Europe/London"}, says={"path": "{day}.csv", "nulls": ["", "NA"], "lateness": 1}
    )
    delivered = [{**LINE, "delivery_day": day(5), "row_key": key, **slip} for key, slip in records]
    numbered = [{**row, "row_number": number} for number, row in enumerate(delivered, 1)]
    found = staged(engine, "order_lines", within, *numbered)
    assert [row["row_number"] for row in found] == [row["row_number"] for row in numbered]
    good = [row for row in found if not row["rejected"]]
    assert all(row["quantity"] > 0 and row["unit_price"] > 0 and row["discount"] >= 0 for row in good)
    assert all(row["order_id"] and row["line"] and row["product_id"] and row["status"] == "completed" for row in good)
    assert all(dt.timedelta() <= row["delivery_day"] - row["day"] <= dt.timedelta(days=1) for row in good)
    kept_keys = [row["row_key"] for row in good if row["row_key"]]
    assert len(kept_keys) == len(set(kept_keys))
    assert {key for key, slip in records if key and not slip} <= set(kept_keys)
    random.shuffle(numbered)
    assert staged(engine, "order_lines", within, *numbered) == found


def test_kept_rows_are_those_without_a_reason(engine):
    rows = stage(raw("events", EVENT, {**EVENT, "event_type": None}), DELIVERED["events"], project(source(EVENTS)))
    assert [row["row_number"] for row in engine.rows(kept(rows))] == [1]


def test_rejected_rows_are_shown_with_their_reasons_as_they_came(engine):
    came = raw("events", EVENT, {**EVENT, "event_type": None, "extra": '{"a":"b"}'}, {**EVENT, "occurred_at": "soon"})
    rows = stage(came, DELIVERED["events"], project(source(EVENTS)))
    found = engine.rows(rejected_rows(rows, came).order_by("row_number"))
    assert [(row["rejected"], row["row_number"], row["occurred_at"], row["extra"]) for row in found] == [
        (["missing_event_type"], 2, "2024-03-05 12:00", '{"a":"b"}'),
        (["unparseable_occurred_at"], 3, "soon", None),
    ]
    assert [row["row_number"] for row in engine.rows(rejected_rows(rows, came, "missing_event_type"))] == [2]


# --- other currencies -------------------------------------------------------------------------------------------------


def exchanged(engine, day_, price, **says):
    rates = {"EUR": {"2024-03-01": "1.1", "2024-03-10": "1.25"}, "JPY": {"2024-03-05": "0.0067"}}
    within = orders("currency", within={"rates": rates})
    return line(engine, within, ordered_at=f"2024-03-{day_:02} 10:00:00", unit_price=price, **says)


@pytest.mark.parametrize(
    ("number", "currency", "worth"),
    [(1, "EUR", "11"), (9, "EUR", "11"), (10, "EUR", "12.5"), (6, "JPY", "0.067"), (6, "USD", "10"), (6, None, "10")],
)
def test_an_amount_in_another_currency_is_worth_the_rate_of_its_day(engine, number, currency, worth):
    found = exchanged(engine, number, "10", currency=currency)
    assert (found["unit_price"], found["rejected"]) == (Decimal(worth), [])


@pytest.mark.parametrize(("number", "currency"), [(4, "JPY"), (6, "GBP")])
def test_a_currency_without_a_rate_on_its_day_is_refused(engine, number, currency):
    assert exchanged(engine, number, "10", currency=currency)["rejected"] == ["foreign_currency"]


@pytest.mark.slow
def test_an_exchanged_amount_is_rounded_to_the_fourth_decimal_and_may_be_too_large(engine):
    assert exchanged(engine, 6, "1.0001", currency="JPY")["unit_price"] == Decimal("0.0067")
    found = exchanged(engine, 1, "95000000000000", currency="EUR")
    assert "out_of_range_unit_price" in found["rejected"]
