"""Streams of Arrow batches become delivered rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from analytics_assets.lake import duckdb as duckdb_module
from analytics_assets.lake.duckdb import DuckDBEngine

COLUMNS = ("id", "what")
FIRST = dt.date(2025, 1, 1)


def batch(number: int, rows: int, on: dt.date | None) -> Any:
    """Make a batch of texts, with words that only this batch has."""
    ids = pa.array([f"{number}-{row}" for row in range(rows)], pa.string())
    words = pa.DictionaryArray.from_arrays(
        pa.array([None, *[0] * (rows - 1)], pa.int32()), pa.array([f"word {number}"])
    )
    return pa.RecordBatch.from_arrays(
        [ids, words, pa.array(range(1, rows + 1), pa.int64()), pa.array([on] * rows, pa.date32())],
        names=[*COLUMNS, "ours__row_number", "ours__file_day"],
    )


def rows(engine: DuckDBEngine, name: str) -> list[dict[str, Any]]:
    return engine.rows(engine.delivery(name).order_by("ours__order"))


def test_a_stream_is_taken_with_the_place_of_each_row(engine):
    name = engine.new_delivery("visits", COLUMNS)
    engine.append_batches(name, "it's", iter([batch(1, 2, FIRST), batch(2, 1, FIRST + dt.timedelta(1))]), COLUMNS)
    own = ("id", "what", "ours__file", "ours__file_day", "ours__row_number", "ours__malformed")
    assert [tuple(row[column] for column in own) for row in rows(engine, name)] == [
        ("1-0", None, "it's/2025-01-01", FIRST, 1, None),
        ("1-1", "word 1", "it's/2025-01-01", FIRST, 2, None),
        ("2-0", None, "it's/2025-01-02", dt.date(2025, 1, 2), 1, None),
    ]


def test_rows_without_a_day_are_of_one_file(engine):
    name = engine.new_delivery("things", COLUMNS)
    engine.append_batches(name, "things", [batch(1, 2, None)], COLUMNS)
    assert [(row["ours__file"], row["ours__file_day"]) for row in rows(engine, name)] == [("things", None)] * 2


@pytest.mark.parametrize("batches", [[], [batch(1, 1, FIRST).slice(0, 0)]])
def test_a_stream_may_be_empty(engine, batches):
    name = engine.new_delivery("nothing", COLUMNS)
    engine.append_batches(name, "nothing", batches, COLUMNS)
    assert rows(engine, name) == []


def test_what_goes_wrong_in_the_stream_is_told(engine):
    def broken() -> Iterator[Any]:
        yield batch(1, 2, FIRST)
        raise ValueError("no such world")

    name = engine.new_delivery("visits", COLUMNS)
    with pytest.raises(ValueError, match=r"^no such world$"):
        engine.append_batches(name, "visits", broken(), COLUMNS)
    assert rows(engine, name) == []


def test_delivered_columns_may_be_called_as_ours_are(engine):
    columns = ("row_number", "file_day", "file")
    texts = [pa.array(["seven"]), pa.array(["some day"]), pa.array(["paper"])]
    own = [pa.array([1], pa.int64()), pa.array([FIRST], pa.date32())]
    told = pa.RecordBatch.from_arrays([*texts, *own], names=[*columns, "ours__row_number", "ours__file_day"])
    name = engine.new_delivery("odd", columns)
    engine.append_batches(name, "odd", [told], columns)
    (row,) = rows(engine, name)
    assert [row[column] for column in columns] == ["seven", "some day", "paper"]
    assert (row["ours__row_number"], row["ours__file_day"]) == (1, FIRST)


@pytest.mark.parametrize("at_once", [1, 2_000, 1 << 20])
def test_a_long_stream_of_small_batches_is_taken_whole(engine, monkeypatch, at_once):
    monkeypatch.setattr(duckdb_module, "_ROWS_AT_ONCE", at_once)
    name = engine.new_delivery("visits", COLUMNS)
    stream = (batch(number, 50, FIRST + dt.timedelta(days=number)) for number in range(300))
    engine.append_batches(name, "visits", stream, COLUMNS)
    found = rows(engine, name)
    assert [row["id"] for row in found] == [f"{number}-{row}" for number in range(300) for row in range(50)]
    assert all(row["what"] in {None, f"word {row['id'].partition('-')[0]}"} for row in found)
    assert [row["what"] for row in found].count(None) == 300
    assert len({row["ours__order"] for row in found}) == 15_000


@pytest.mark.slow
def test_the_memory_of_a_stream_does_not_grow_with_its_length(monkeypatch):
    monkeypatch.setattr(duckdb_module, "_ROWS_AT_ONCE", 50_000)
    size, held = 10_000, list[int]()
    before = pa.total_allocated_bytes()  # what other tests have not let go of yet

    def stream() -> Iterator[Any]:
        for number in range(120):
            held.append(pa.total_allocated_bytes() - before)
            yield batch(number, size, FIRST + dt.timedelta(days=number))

    engine = DuckDBEngine(memory="50MB", threads=2)  # with one, it lets go of batches in time
    name = engine.new_delivery("visits", COLUMNS)
    engine.append_batches(name, "visits", stream(), COLUMNS)
    delivered = engine.delivery(name)
    assert engine.rows(delivered.aggregate(n=delivered.count())) == [{"n": 120 * size}]
    engine.close()
    assert max(held) < 10 * batch(1, size, FIRST).nbytes
