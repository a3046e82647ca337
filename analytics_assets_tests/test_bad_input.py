"""Bad input ends in a message that names file, row or rule, or in rejected rows; no row is lost."""

from __future__ import annotations

import ctypes
import datetime as dt
import json
import os
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics_assets.lake.lock import run_lock
from analytics_assets_tests.conftest import FACTS, ORDER_COLUMNS, ORDERS, Workshop, csv, day, orders

GOOD = "o1,1,u1,p1,2024-03-01 10:00:00,2,9.99"
MORE = "o2,1,u2,p1,2024-03-02 11:00:00,1,5"
EVENT_COLUMNS = ("event_id", "user_id", "event_type", "occurred_at")
EVENTS: dict[str, Any] = {
    "path": "data/events.csv",
    "format": "csv",
    "feeds": [{"table": "events", "columns": {name: name for name in EVENT_COLUMNS}}],
}


@pytest.fixture
def workshop(workshop: Workshop) -> Workshop:
    """Give a workshop without marts: what happens to rows is seen in the star schema."""
    workshop.selects = FACTS
    return workshop


# what cannot be read at all ends the run, and nothing becomes visible


@pytest.mark.slow
def test_a_missing_file_fails_the_run_and_is_named(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    ran = workshop.run()
    assert not ran.succeeded
    assert "source orders: no file" in ran.message
    assert "data/orders.csv" in ran.message
    assert "optional: true" in ran.message
    assert ran.release == 0


@pytest.mark.slow
def test_a_missing_day_fails_the_run_and_is_named(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv")
    workshop.deliver("orders_2024-03-01.csv", orders(GOOD))
    ran = workshop.run("03-01", "03-03")
    assert not ran.succeeded
    assert "orders_2024-03-02.csv and 1 more" in ran.message
    assert ran.release == 0


@pytest.mark.slow
def test_a_day_whose_file_was_taken_away_is_told_before_it_is_missed(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, optional=True, path="data/orders_{day}.csv", lateness=1)
    for on in ("2024-03-01", "2024-03-02", "2024-03-03"):
        workshop.deliver(f"orders_{on}.csv", orders(f"o{on},1,u1,p,{on} 10:00:00,1,9.99"))
    assert "loses" not in workshop.run("03-01", "03-02").warnings("raw_order_lines")
    (workshop.home / "data" / "orders_2024-03-02.csv").unlink()
    ran = workshop.run("03-03")
    assert "no day loses all the rows that it had: broken by 1 row, on 2024-03-02" in ran.warnings("raw_order_lines")


@pytest.mark.slow
def test_a_missing_file_that_is_optional_gives_no_rows_and_a_warning(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, optional=True)
    ran = workshop.run()
    assert ran.succeeded
    assert workshop.rows("fact_sales") == []
    assert "at least 1 row" in ran.warnings("raw_order_lines")


@pytest.mark.slow
def test_an_empty_file_and_one_of_headers_only_have_no_rows_and_are_named_in_a_warning(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, path="data/*.csv")
    workshop.deliver("empty.csv", "")
    workshop.deliver("full.csv", orders(GOOD))
    workshop.deliver("headers.csv", orders())
    ran = workshop.run()
    assert ran.succeeded
    assert "no file is empty (empty.csv, headers.csv)" in ran.warnings("raw_order_lines")
    assert workshop.rows("fact_sales", "order_id") == ["o1"]
    assert workshop.checks(ran)["raw_order_lines", "volume"] == "warn"
    workshop.assert_accounted(ran, "order_lines", delivered=1)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"], ids=["no bytes", "blank lines", "a byte order mark"])
def test_an_empty_file_alone_has_no_rows(workshop: Workshop, content: str) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", content)
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert "no file is empty (orders.csv)" in ran.warnings("raw_order_lines")
    workshop.assert_accounted(ran, "order_lines", delivered=0)


@pytest.mark.slow
def test_an_empty_file_of_json_lines_has_no_rows(workshop: Workshop) -> None:
    workshop.source("events", EVENTS, path="data/events.jsonl", format="jsonl")
    workshop.deliver("events.jsonl", "")
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert "no file is empty (events.jsonl)" in ran.warnings("raw_events")


@pytest.mark.slow
def test_a_missing_mapped_column_is_named_with_its_file_and_the_nearest_one(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD).replace("unit_price", "unitprice"))
    ran = workshop.run()
    assert not ran.succeeded
    assert "orders.csv: there is no column 'unit_price'" in ran.message
    assert "Did you mean 'unitprice'?" in ran.message
    assert ran.release == 0


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["cut off", "no Parquet", "empty", "spoilt inside"])
def test_a_corrupt_parquet_file_is_named(workshop: Workshop, broken: str) -> None:
    workshop.source("orders", ORDERS, path="data/orders.parquet", format="parquet")
    rows = [GOOD.replace("o1", f"o{n}").split(",") for n in range(2_000)]
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(ORDER_COLUMNS)})
    path = workshop.deliver("orders.parquet", "")
    pq.write_table(table, path, compression="zstd")
    content = path.read_bytes()
    spoilt = content[:4] + bytes(255 - byte for byte in content[4:2_000]) + content[2_000:]
    path.write_bytes(
        {"cut off": content[:-100], "no Parquet": orders(GOOD).encode(), "empty": b"", "spoilt inside": spoilt}[broken]
    )
    ran = workshop.run()
    assert not ran.succeeded
    assert "orders.parquet" in ran.message
    assert "cannot be read as parquet" in ran.message
    assert ran.release == 0


@pytest.mark.slow
def test_a_file_that_becomes_bad_leaves_the_last_good_version_in_place(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD, MORE))
    workshop.run()
    before = workshop.fingerprints()
    workshop.deliver("orders.csv", "something,else\n1,2\n")
    assert not workshop.run().succeeded
    assert workshop.fingerprints() == before


@pytest.mark.slow
@pytest.mark.parametrize("lake_exists", [True, False], ids=["read-only lake", "read-only parent"])
def test_a_lake_folder_without_write_permission_is_named(workshop: Workshop, lake_exists: bool) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD))
    workshop.lake.mkdir()
    workshop.lake.chmod(0o555)
    workshop.lake = workshop.lake if lake_exists else workshop.lake / "deeper"
    process = workshop.command("run", preexec_fn=obey_permissions)
    said = " ".join(process.communicate(timeout=120)[0].split())
    assert process.returncode == 1
    assert f"cannot write to the lake folder {workshop.lake}" in said
    assert "name another folder in ANALYTICS_LAKE" in said
    assert "Traceback" not in said


def obey_permissions() -> None:
    """Make root, who may write anywhere, keep to the permissions of files from the next program on."""
    if os.geteuid() == 0:
        drop_from_bounding_set, may_write_anywhere = 24, 1
        ctypes.CDLL(None).prctl(drop_from_bounding_set, may_write_anywhere, 0, 0, 0)


# what is wrong with one row rejects that row, and keeps it with its reasons

HEADER = (*ORDER_COLUMNS, "discount")
JUDGED: dict[str, tuple[str, list[str]]] = {
    "good": ("1,u1,p1,2024-03-30 10:00:00,2,9.99,", []),
    "no_product": ("1,u1,,2024-03-30 10:00:00,2,9.99,", ["missing_product_id"]),
    "no_time": ("1,u1,p1,,2,9.99,", ["missing_ordered_at"]),
    # a column that changes its type half way
    "quantity_word": ("1,u1,p1,2024-03-30 10:00:00,two,9.99,", ["unparseable_quantity"]),
    "quantity_half": ("1,u1,p1,2024-03-30 10:00:00,2.5,9.99,", ["unparseable_quantity"]),
    "quantity_whole": ("1,u1,p1,2024-03-30 10:00:00,2.0,9.99,", []),
    "quantity_huge": ("1,u1,p1,2024-03-30 10:00:00,99999999999999999999,9.99,", ["unparseable_quantity"]),
    "negative_quantity": ("1,u1,p1,2024-03-30 10:00:00,-2,9.99,", ["negative_quantity"]),
    # rows that do not fit the header
    "short": ("1,u1,p1,2024-03-30 10:00:00,2,9.99", ["malformed"]),
    "long": ("1,u1,p1,2024-03-30 10:00:00,2,9.99,,left over", ["malformed"]),
    # times that never were
    "thirtieth_of_february": ("1,u1,p1,2024-02-30 10:00:00,2,9.99,", ["unparseable_ordered_at"]),
    "thirteenth_month": ("1,u1,p1,2024-13-01 10:00:00,2,9.99,", ["unparseable_ordered_at"]),
    "hour_25": ("1,u1,p1,2024-03-30 25:00:00,2,9.99,", ["unparseable_ordered_at"]),
    "day_zero": ("1,u1,p1,0000-00-00 00:00:00,2,9.99,", ["unparseable_ordered_at"]),
    "infinite_time": ("1,u1,p1,infinity,2,9.99,", ["unparseable_ordered_at"]),
    "undeclared_format": ("1,u1,p1,30/03/2024 10:00,2,9.99,", ["unparseable_ordered_at"]),
    "skipped_hour": ("1,u1,p1,2024-03-31 02:30:00,2,9.99,", ["nonexistent_ordered_at"]),
    "another_year": ("1,u1,p1,2023-03-30 10:00:00,2,9.99,", ["before_first_day"]),
    "after_the_end": ("1,u1,p1,2024-04-01 10:00:00,2,9.99,", ["after_last_day"]),
    # amounts that are none
    "nan": ("1,u1,p1,2024-03-30 10:00:00,2,NaN,", ["unparseable_unit_price"]),
    "inf": ("1,u1,p1,2024-03-30 10:00:00,2,inf,", ["unparseable_unit_price"]),
    "minus_infinity": ("1,u1,p1,2024-03-30 10:00:00,2,-Infinity,", ["unparseable_unit_price"]),
    "too_large": ("1,u1,p1,2024-03-30 10:00:00,2,1e308,", ["out_of_range_unit_price"]),
    "too_precise": ("1,u1,p1,2024-03-30 10:00:00,2,1.23456,", ["precision_unit_price"]),
    "too_precise_by_exponent": ("1,u1,p1,2024-03-30 10:00:00,2,123456e-5,", ["precision_unit_price"]),
    "just_precise": ("1,u1,p1,2024-03-30 10:00:00,2,1.23450,", []),
    "zero_price": ("1,u1,p1,2024-03-30 10:00:00,2,0,", ["zero_price"]),
    "two_reasons": ("1,u1,p1,2024-03-30 10:00:00,two,NaN,", ["unparseable_quantity", "unparseable_unit_price"]),
    "bad_discount": ("1,u1,p1,2024-03-30 10:00:00,2,9.99,NaN", ["unparseable_discount"]),
}


@pytest.fixture(scope="module")
def judged(shared_workshop: Workshop) -> Workshop:
    """Run a file of one row a kind of dirt."""
    shared_workshop.declare(first_day=day("03-30"), last_day=day("03-31"), time_zone="Europe/Berlin")
    columns = {name: name for name in HEADER}
    shared_workshop.source("orders", ORDERS, feeds=[{"table": "order_lines", "columns": columns}])
    shared_workshop.deliver("orders.csv", csv(HEADER, *(f"{key},{row}" for key, (row, _) in JUDGED.items())))
    ran = shared_workshop.run()
    assert ran.succeeded, ran.message
    shared_workshop.assert_accounted(ran, "order_lines", delivered=len(JUDGED))
    return shared_workshop


@pytest.mark.parametrize("key", JUDGED)
def test_a_row_is_kept_or_rejected_with_its_reasons(judged: Workshop, key: str) -> None:
    assert judged.reasons("order_lines", "order_id")[key] == JUDGED[key][1]


def test_only_kept_rows_are_sold(judged: Workshop) -> None:
    assert sorted(judged.rows("fact_sales", "order_id")) == sorted(key for key, (_, why) in JUDGED.items() if not why)


@pytest.mark.parametrize("key", ["short", "long"])
def test_a_ragged_row_is_kept_with_its_text(judged: Workshop, key: str) -> None:
    (malformed,) = [row["malformed"] for row in judged.rows("raw_order_lines") if row["order_id"] == key]
    assert f"values for {len(HEADER)} columns: {key},{JUDGED[key][0]}" in malformed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "text", "instant"),
    [
        ("Europe/Berlin", "2024-10-27 02:30:00", "2024-10-27T00:30:00+00:00"),
        ("America/New_York", "2024-11-03 01:30:00", "2024-11-03T05:30:00+00:00"),
        ("Australia/Lord_Howe", "2024-04-07 01:45:00", "2024-04-06T14:45:00+00:00"),
        # an offset says which of the two it is, whatever the zone
        ("Europe/Berlin", "2024-10-27 02:30:00+01:00", "2024-10-27T01:30:00+00:00"),
        ("Europe/Berlin", "2024-10-27T02:30:00Z", "2024-10-27T02:30:00+00:00"),
    ],
)
def test_an_hour_that_clocks_show_twice_is_the_first(workshop: Workshop, zone: str, text: str, instant: str) -> None:
    workshop.declare(first_day=day(text[:10]), last_day=day(text[:10]), time_zone=zone)
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(f"twice,1,u1,p1,{text},1,1"))
    assert workshop.run().succeeded
    assert [at.isoformat() for at in workshop.rows("fact_sales", "ordered_at")] == [instant]


@pytest.mark.slow
def test_a_source_in_a_zone_of_its_own_skips_hours_of_its_own(workshop: Workshop) -> None:
    workshop.declare(first_day=day("03-09"), last_day=day("03-10"))
    workshop.source("orders", ORDERS, time_zone="America/New_York")
    workshop.deliver("orders.csv", orders("a,1,u1,p1,2024-03-10 02:30:00,1,1", "b,1,u1,p1,2024-03-09 23:30:00,1,1"))
    assert workshop.run().succeeded
    assert workshop.reasons("order_lines", "order_id") == {"a": ["nonexistent_ordered_at"], "b": []}
    assert workshop.rows("fact_sales", "day") == [day("03-10")]


@pytest.mark.slow
def test_times_in_two_declared_formats_are_both_read(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, timestamps=["iso", "%d.%m.%Y %H:%M"])
    workshop.deliver("orders.csv", orders(GOOD, "o2,1,u1,p1,02.03.2024 11:30,1,5", "o3,1,u1,p1,31.02.2024 11:30,1,5"))
    ran = workshop.run()
    assert workshop.rows("fact_sales", "ordered_at") == [
        dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC),
        dt.datetime(2024, 3, 2, 11, 30, tzinfo=dt.UTC),
    ]
    assert ran.report("staged_order_lines").rejected == {"unparseable_ordered_at": 1}


# what looks odd is kept, as text, in the raw table


@pytest.mark.slow
def test_an_extra_column_is_kept_in_the_raw_rows_of_the_file_that_has_it(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv")
    workshop.deliver("orders_2024-03-01.csv", orders(GOOD))
    workshop.deliver("orders_2024-03-02.csv", csv((*ORDER_COLUMNS, "coupon"), f"{MORE},SPRING"))
    ran = workshop.run("03-01", "03-02")
    assert ran.succeeded, ran.message
    extra = dict(workshop.rows("raw_order_lines", "order_id", "extra"))
    assert json.loads(extra["o2"]) == {"coupon": "SPRING"}
    assert extra["o1"] is None
    workshop.assert_accounted(ran, "order_lines", delivered=2)


@pytest.mark.slow
def test_latin_1_bytes_in_a_file_said_to_be_utf_8_are_shown_and_the_row_is_kept(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD.replace("p1", "café"), MORE.replace("p1", "thé")).encode("latin-1"))
    ran = workshop.run()
    assert workshop.rows("fact_sales", "product_id") == [r"caf\xe9", r"th\xe9"]
    workshop.assert_accounted(ran, "order_lines", delivered=2)


@pytest.mark.slow
def test_a_declared_encoding_is_read(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, encoding="windows-1252")
    workshop.deliver("orders.csv", orders(GOOD.replace("p1", "10 €")).encode("windows-1252"))
    workshop.run()
    assert workshop.rows("fact_sales", "product_id") == ["10 €"]


@pytest.mark.slow
def test_a_line_of_three_megabytes_is_read_whole(workshop: Workshop) -> None:
    long = "x" * 3_000_000
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD, f"o2,1,u1,{long},2024-03-02 11:00:00,1,5", MORE.replace("o2", "o3")))
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert workshop.rows("fact_sales", "order_id", "product_id") == [("o1", "p1"), ("o2", long), ("o3", "p1")]


@pytest.mark.slow
def test_a_json_line_of_three_megabytes_is_read_whole(workshop: Workshop) -> None:
    long = "x" * 3_000_000
    lines = [
        dict(zip(EVENT_COLUMNS, (f"e{n}", name, "view", "2024-03-01T10:00:00Z"), strict=True))
        for n, name in enumerate(("u1", long))
    ]
    workshop.source("events", EVENTS, path="data/events.jsonl", format="jsonl")
    workshop.deliver("events.jsonl", "\n".join(map(json.dumps, lines)))
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert workshop.rows("fact_events", "user_id") == ["u1", long]


@pytest.mark.slow
def test_a_broken_json_line_is_rejected_with_its_text(workshop: Workshop) -> None:
    workshop.source("events", EVENTS, path="data/events.jsonl", format="jsonl")
    good = '{"event_id": "e1", "user_id": "u1", "event_type": "view", "occurred_at": "2024-03-01T10:00:00Z"}'
    broken = [good[:-9], "[1, 2]", "null"]
    workshop.deliver("events.jsonl", "\n".join([good, *broken, good.replace("e1", "e2")]) + "\n")
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert ran.report("staged_events").rejected == {"malformed": 3}
    assert [text for text in workshop.rows("raw_events", "malformed") if text] == [
        f"not a JSON object: {line}" for line in broken
    ]
    assert workshop.rows("fact_events", "event_id") == ["e1", "e2"]
    workshop.assert_accounted(ran, "events", delivered=5)


@pytest.mark.slow
def test_ids_that_a_spreadsheet_made_floats_lose_their_decimal_point(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, path="data/orders.parquet", format="parquet")
    rows = {
        "order_id": ["o1", "o2", "o3"],
        "line": [1, 2, 3],
        "user_id": [17850.0, None, 17850.5],
        "product_id": ["p1", "p1", "p1"],
        "ordered_at": [dt.datetime(2024, 3, 1, 10)] * 3,  # noqa: DTZ001
        "quantity": [1.0, 2.0, 3.0],
        "unit_price": [0.1, 2.55, 1e15],
    }
    pq.write_table(pa.table(rows), workshop.deliver("orders.parquet", ""))
    ran = workshop.run()
    assert workshop.reasons("order_lines", "order_id") == {"o1": [], "o2": [], "o3": ["out_of_range_unit_price"]}
    assert workshop.rows("fact_sales", "user_id", "quantity", "unit_price") == [
        ("17850", 1, Decimal("0.1")),
        (None, 2, Decimal("2.55")),
    ]
    assert workshop.rows("raw_order_lines", "user_id") == ["17850", None, "17850.5"]
    workshop.assert_accounted(ran, "order_lines", delivered=3)


@pytest.mark.slow
def test_parquet_files_that_type_a_column_differently_are_read_together(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS, path="data/*.parquet", format="parquet")
    for name, quantity in (("a", 2), ("b", "two"), ("c", 2.0)):
        values = (f"o_{name}", "1", "u1", "p1", "2024-03-01 10:00:00", quantity, "1.5")
        table = pa.table({column: [value] for column, value in zip(ORDER_COLUMNS, values, strict=True)})
        pq.write_table(table, workshop.deliver(f"{name}.parquet", ""))
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert workshop.reasons("order_lines", "order_id") == {"o_a": [], "o_b": ["unparseable_quantity"], "o_c": []}


@pytest.mark.slow
def test_rows_with_the_same_key_are_kept_once_and_the_others_rejected(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD, GOOD, GOOD.replace("9.99", "8"), MORE))
    ran = workshop.run()
    assert ran.report("staged_order_lines").rejected == {"duplicate": 2}
    assert workshop.rows("fact_sales", "order_id", "unit_price") == [("o1", Decimal("9.99")), ("o2", Decimal(5))]
    workshop.assert_accounted(ran, "order_lines", delivered=4)


@pytest.mark.slow
def test_an_acceptable_row_is_no_duplicate_of_a_rejected_one(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD.replace("9.99", "nothing"), GOOD))
    ran = workshop.run()
    assert ran.report("staged_order_lines").rejected == {"unparseable_unit_price": 1}
    assert workshop.rows("fact_sales", "unit_price") == [Decimal("9.99")]


@pytest.mark.slow
def test_ids_that_differ_only_in_case_or_spaces_are_kept_apart_with_a_warning(workshop: Workshop) -> None:
    workshop.source(
        "products",
        {
            "path": "data/products.csv",
            "format": "csv",
            "feeds": [{"table": "products", "columns": {"product_id": "id"}}],
        },
    )
    workshop.deliver("products.csv", 'id\nsku1\nSKU1\n"sku1 "\nsku2\n')
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert workshop.rows("dim_products", "product_id") == ["(unknown)", "SKU1", "sku1", "sku1 ", "sku2"]
    said = ran.warnings("dim_products")
    assert "no two product_id differ only in case or spaces: broken by 2 rows" in said
    assert "SKU1 | sku1 | sku1 " in said
    assert workshop.checks(ran)["dim_products", "keys"] == "warn"


@pytest.mark.slow
def test_an_assignment_without_a_time_or_from_before_the_first_day_is_not_lost(workshop: Workshop) -> None:
    columns = ("experiment", "user_id", "variant", "assigned_at")
    feed = {"table": "experiment_assignments", "columns": {name: name for name in columns}}
    workshop.source("roster", {"path": "data/roster.csv", "format": "csv", "feeds": [feed]})
    rows = ("x,u1,A,2024-03-01 10:00:00", "x,u2,B,", "x,u3,A,2024-02-01 10:00:00", "x,u4,B,2024-04-01 10:00:00")
    workshop.deliver("roster.csv", csv(columns, *rows))
    ran = workshop.run()
    assert ran.report("staged_experiment_assignments").rejected == {"after_last_day": 1}
    assert sorted(workshop.rows("fact_assignments", "user_id")) == ["u1", "u2", "u3"]
    workshop.assert_accounted(ran, "experiment_assignments", delivered=4)


# late rows

DELIVERIES = {
    "03-01": ["a,1,u1,p1,2024-03-01 10:00:00,1,1"],
    "03-02": ["b,1,u1,p1,2024-03-02 10:00:00,1,1", "late,1,u1,p1,2024-03-01 12:00:00,1,1"],
    "03-03": [
        "c,1,u1,p1,2024-03-03 10:00:00,1,1",
        "too_late,1,u1,p1,2024-03-01 12:00:00,1,1",
        "early,1,u1,p1,2024-03-04 10:00:00,1,1",
    ],
    "03-04": ["d,1,u1,p1,2024-03-04 10:00:00,1,1"],
}


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    "order",
    [
        "all",
        pytest.param("03-02 03-04 03-01 03-03", marks=pytest.mark.slow),
        pytest.param("03-01 03-02 03-03 03-04", marks=pytest.mark.slow),
        pytest.param("03-04 03-03 03-02 03-01", marks=pytest.mark.slow),
    ],
)
def test_a_late_row_lands_in_the_day_it_happened_and_a_too_late_one_is_rejected(workshop: Workshop, order: str) -> None:
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv", lateness=1)
    for delivered, rows in DELIVERIES.items():
        workshop.deliver(f"orders_2024-{delivered}.csv", orders(*rows))
    runs = [workshop.run("03-01", "03-04")] if order == "all" else [workshop.run(each) for each in order.split()]
    assert all(ran.succeeded for ran in runs)
    sold = [(str(day), key) for day, key in workshop.rows("fact_sales", "day", "order_id")]
    assert sold == [
        ("2024-03-01", "a"),
        ("2024-03-01", "late"),
        ("2024-03-02", "b"),
        ("2024-03-03", "c"),
        ("2024-03-04", "d"),
    ]
    reasons = workshop.reasons("order_lines", "order_id")
    assert (reasons["late"], reasons["too_late"], reasons["early"]) == ([], ["too_late"], ["too_early"])
    assert len(workshop.rows("raw_order_lines")) == sum(map(len, DELIVERIES.values()))
    workshop.assert_nothing_lost()


# two runs at once


@pytest.mark.slow
def test_two_runs_of_the_same_day_at_once_end_in_one_of_them_whole(workshop: Workshop, tmp_path: Path) -> None:
    other = Workshop(tmp_path / "other", workshop.instance)
    for each, key in ((workshop, "x"), (other, "y")):
        each.source("orders", ORDERS)
        each.deliver("orders.csv", orders(*(f"{key}{n},1,u{key},p1,2024-03-01 10:00:00,1,1" for n in range(5))))
    whole = []
    for each in (workshop, other):
        each.lake, each.selects = tmp_path / "one_lake", FACTS
        assert each.run().succeeded
        whole.append(each.fingerprints())
        each.start_over()
    assert whole[0].keys() == whole[1].keys()
    processes = [each.command("run", "--select", FACTS) for each in (workshop, other)]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert workshop.fingerprints() in whole
    assert workshop.release().number == 2


def test_a_run_waits_for_the_one_that_holds_the_lake_and_says_which(tmp_path: Path) -> None:
    waits, told = threading.Event(), []

    def second() -> None:
        def waiting(message: str) -> None:
            told.append(message)
            waits.set()

        with run_lock(str(tmp_path), "second", waiting):
            told.append("in")

    thread = threading.Thread(target=second)
    with run_lock(str(tmp_path), "first", told.append):
        thread.start()
        assert waits.wait(timeout=60)
        assert told == [f"waiting for another run on this lake to end: run first, process {os.getpid()}"]
    thread.join(timeout=60)
    assert told[1:] == ["in"]


@pytest.mark.slow
def test_the_command_line_says_that_it_waits_and_then_runs(workshop: Workshop) -> None:
    workshop.source("orders", ORDERS)
    workshop.deliver("orders.csv", orders(GOOD))
    with run_lock(str(workshop.lake), "first", print):
        process = workshop.command("run", "--select", "+fact_sales")
        assert process.stdout is not None
        patience = threading.Timer(60, process.kill)
        patience.start()
        said = next((line for line in process.stdout if "waiting for another run" in line), "")
        patience.cancel()
    process.communicate(timeout=120)
    assert f"run first, process {os.getpid()}" in said
    assert process.returncode == 0
