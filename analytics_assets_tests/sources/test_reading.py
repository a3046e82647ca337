"""Rows of the shop, read through a stand-in for its generator."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from analytics_assets.lake.days import Days
from analytics_assets.project.model import Project
from analytics_assets.project.shop import Shop
from analytics_assets.sources.errors import SourceError
from analytics_assets.sources.landing import Landing, land
from analytics_assets_tests.making import day, feed, project, source

EVENT_COLUMNS = ("event_id", "event_type", "occurred_at", "agent")
PRODUCT_COLUMNS = ("product_id", "name")


def batch(columns: Sequence[str], rows: Sequence[Sequence[str | None]], on: dt.date | None, start: int = 1) -> Any:
    """Make a batch as the shop does: the second column of words, the others texts."""
    values = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(columns))]
    values[1] = values[1].dictionary_encode()
    numbers = pa.array(range(start, start + len(rows)), pa.int64())
    days = pa.array([on] * len(rows), pa.date32())
    return pa.RecordBatch.from_arrays([*values, numbers, days], names=[*columns, "row_number", "file_day"])


class FakeShop:
    """Deliver three events a day in two batches, none on the third of a month, and two products."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Days]] = []

    def columns(self, project: Project, table: str) -> tuple[str, ...]:
        return {"events": EVENT_COLUMNS, "products": PRODUCT_COLUMNS}[table]

    def deliver(self, project: Project, table: str, days: Days) -> Iterator[Any]:
        assert project.shop is not None
        self.asked.append((table, days))
        if table == "products":
            yield batch(PRODUCT_COLUMNS, [("1", "pot"), ("2", None)], None)
            return
        for on in days:
            if on.day == 3:
                continue
            at = f"{on}T12:00:00Z"
            yield batch(EVENT_COLUMNS, [(f"{on.day}a", "view", at, None), (f"{on.day}b", "buy", at, "crawler")], on)
            yield batch(EVENT_COLUMNS, [(f"{on.day}c", f"only_{on.day}", at, None)], on, start=3)


@pytest.fixture
def shop(monkeypatch) -> FakeShop:
    fake = FakeShop()
    module = SimpleNamespace(columns=fake.columns, deliver=fake.deliver)
    monkeypatch.setitem(sys.modules, "analytics_assets.sources.shop.delivery", module)
    return fake


EVENTS = feed("events", "event_id")


def landed(
    engine, folder, name: str, *feeds: Any, days: Days, first_day: dt.date | None = None, **says: Any
) -> Landing:
    declared = source(*feeds, path=None, format=None, shop=name, **says)
    return land("s0", project(declared, shop=Shop(), first_day=first_day or day(1)), days, engine, folder)


def places(engine, found: Landing, table: str, *columns: str) -> list[Any]:
    rows = engine.rows(found.raw[table])
    return sorted(tuple(row[column] for column in ("file", "row_number", *columns)) for row in rows)


def test_a_day_of_the_shop_is_landed_as_text_with_its_place(engine, tmp_path, shop):
    found = landed(engine, tmp_path, "events", EVENTS, days=Days(day(5), day(5)))
    assert places(engine, found, "events", "event_id", "event_type", "delivery_day", "malformed") == [
        ("events/2024-03-05", 1, "5a", "view", day(5), None),
        ("events/2024-03-05", 2, "5b", "buy", day(5), None),
        ("events/2024-03-05", 3, "5c", "only_5", day(5), None),
    ]
    assert (found.delivered, found.routed, found.other_days, found.files) == (3, {"events": 3}, 0, 1)
    assert shop.asked == [("events", Days(day(5), day(5)))]


def test_many_days_are_asked_for_at_once_and_a_quiet_one_is_no_empty_file(engine, tmp_path, shop):
    found = landed(engine, tmp_path, "events", EVENTS, days=Days(day(1), day(4)))
    assert [file for file, *_ in places(engine, found, "events")] == [
        f"events/2024-03-0{n}" for n in (1, 2, 4) for _ in range(3)
    ]
    assert {row["event_type"] for row in engine.rows(found.raw["events"])} == {
        "view",
        "buy",
        "only_1",
        "only_2",
        "only_4",
    }
    assert (found.delivered, found.files, found.empty_files) == (9, 3, ())
    assert shop.asked == [("events", Days(day(1), day(4)))]


def test_days_without_any_row_are_landed_too(engine, tmp_path, shop):
    found = landed(engine, tmp_path, "events", EVENTS, days=Days(day(3), day(3)))
    assert (found.delivered, found.routed, found.files, found.empty_files) == (0, {"events": 0}, 0, ())
    assert engine.rows(found.raw["events"]) == []


def test_the_shop_delivers_nothing_before_it_opened(engine, tmp_path, shop):
    found = landed(engine, tmp_path, "events", EVENTS, days=Days(day(1), day(5)), first_day=day(4))
    assert found.delivered == 6
    assert landed(engine, tmp_path, "events", EVENTS, days=Days(day(1), day(3)), first_day=day(4)).delivered == 0
    assert shop.asked == [("events", Days(day(4), day(5)))]


def test_a_snapshot_of_the_shop_has_no_day(engine, tmp_path, shop):
    found = landed(engine, tmp_path, "products", feed("products", "name"), days=Days(day(4), day(5)))
    assert places(engine, found, "products", "product_id", "name", "delivery_day") == [
        ("products", 1, "1", "pot", None),
        ("products", 2, "2", None, None),
    ]
    assert (found.routed, found.files, found.empty_files) == ({"products": 2}, 1, ())


def test_rows_of_the_shop_are_routed_and_excluded_as_those_of_files(engine, tmp_path, shop):
    feeds = ({"drop": "views", "when": {"event_type": "view"}}, EVENTS)
    excluded = {"bot": {"agent": "crawler"}}
    found = landed(engine, tmp_path, "events", *feeds, days=Days(day(1), day(2)), excluded=excluded)
    assert (found.filtered, found.routed) == ({"views": 2}, {"events": 4})
    assert [why for *_, why in places(engine, found, "events", "excluded_as")] == ["bot", None, "bot", None]


def test_the_last_word_is_by_day_whatever_order_the_batches_come_in(engine, tmp_path, shop, monkeypatch):
    def deliver(project: Project, table: str, days: Days) -> Iterator[Any]:
        for on in reversed(list(days)):
            yield batch(EVENT_COLUMNS, [("1", f"on {on.day}", f"{on}T12:00:00Z", None)], on)

    monkeypatch.setattr(sys.modules["analytics_assets.sources.shop.delivery"], "deliver", deliver)
    found = landed(engine, tmp_path, "events", EVENTS, days=Days(day(1), day(3)))
    rows = engine.delivery(found.delivery)
    (last,) = engine.rows(rows.aggregate(last=rows.event_type.argmax(rows["ours__order"])))
    assert last["last"] == "on 3"


def test_a_column_that_the_shop_has_not_is_named_with_the_nearest(engine, tmp_path, shop):
    wrong = {**EVENTS, "columns": {**EVENTS["columns"], "device": "agnt"}}
    with pytest.raises(SourceError, match=r"shop's events: there is no column 'agnt', which feed 0 of source s0 names"):
        landed(engine, tmp_path, "events", wrong, days=Days(day(1), day(1)))
    with pytest.raises(SourceError, match=r"excluded\.bot names\. Did you mean 'agent'\?"):
        landed(engine, tmp_path, "events", EVENTS, days=Days(day(1), day(1)), excluded={"bot": {"agnt": "crawler"}})
    assert shop.asked == []
