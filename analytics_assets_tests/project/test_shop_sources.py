"""Sources that read the synthetic shop, and the shop.yaml that they need."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import SHOP_SNAPSHOTS, SHOP_TABLES, ShopTable
from analytics_assets.project.problems import Problem
from analytics_assets.settings import Settings
from analytics_assets_tests.making import feed, source
from analytics_assets_tests.project.test_loading import EVENTS, refused, write

FEEDS = "feeds:\n  - table: events\n    columns: {event_type: event_type, occurred_at: occurred_at}\n"
SHOP = f"shop: events\n{FEEDS}"
SEED = "seed: 7\n"


def shop_of(folder: Path, text: str, shop: str | None = SEED) -> Path:
    """Write a project with one source, called rows, and a shop.yaml unless it is None."""
    if shop is not None:
        (folder / "shop.yaml").write_text(shop)
    return write(folder, {"rows": text})


def problem(folder: Path, text: str, shop: str | None = SEED) -> Problem:
    (found,) = refused(shop_of(folder, text, shop))
    return found


def test_a_project_may_read_the_shop(tmp_path):
    found = load_project(shop_of(tmp_path, SHOP), {})
    rows = found.sources["rows"]
    assert found.shop is not None
    assert (found.shop.seed, rows.shop, rows.path) == (7, "events", None)
    assert (rows.origin, rows.kind) == ("the shop's events", "shop")


def test_a_project_of_files_has_no_shop(tmp_path):
    found = load_project(write(tmp_path, {"rows": EVENTS}), {})
    rows = found.sources["rows"]
    assert (found.shop, rows.shop, rows.kind) == (None, None, "csv")
    assert rows.origin == rows.path == str(tmp_path / "events.csv")


def test_files_and_the_shop_may_feed_one_project(tmp_path):
    write(tmp_path, {"web": EVENTS.replace("events.csv", "e-{day}.csv")})
    assert set(load_project(shop_of(tmp_path, SHOP), {}).sources) == {"web", "rows"}


@pytest.mark.parametrize("name", SHOP_TABLES)
def test_the_shop_delivers_by_day_except_for_lists(name):
    declared = source(feed(name), path=None, format=None, shop=name)
    dated = name not in {"products", "campaigns"}
    assert declared.by_day(declared.feeds[0]) is declared.has_many_files is dated
    assert declared.day_form == ("%Y-%m-%d" if dated else None)


def test_the_shop_has_every_raw_table():
    assert set(SHOP_TABLES) == set(get_args(ShopTable)) == set(DELIVERED)
    assert {"products", "campaigns"} == SHOP_SNAPSHOTS


def test_a_source_without_an_origin_is_told_both(tmp_path):
    found = problem(tmp_path, FEEDS, shop=None)
    assert (found.file.name, found.line, found.message) == ("rows.yaml", 1, "it does not say where its rows come from")
    assert "`path` and `format`" in found.hint
    assert "`shop:` with a table of events, users, products" in found.hint


@pytest.mark.parametrize(("given", "missing"), [("path: a.csv", "format"), ("format: csv", "path")])
def test_files_need_a_path_and_a_format(tmp_path, given, missing):
    found = problem(tmp_path, f"{given}\n{FEEDS}", shop=None)
    assert found.message == f"missing key '{missing}'"
    assert found.hint.startswith({"format": "csv, jsonl", "path": "a path or fsspec URL"}[missing])


@pytest.mark.parametrize(
    "line", ["path: a.csv", "format: csv", "encoding: latin-1", "delimiter: ;", 'quote: "\'"', "optional: true"]
)
def test_what_is_of_files_has_no_place_beside_the_shop(tmp_path, line):
    key = line.partition(":")[0]
    found = problem(tmp_path, f"{SHOP}{line}\n")
    assert (found.line, found.where, found.message) == (5, key, "rows of the shop come in no file")
    assert found.hint.startswith(f"Remove '{key}'")


@pytest.mark.parametrize("line", ["nulls: ['']", "time_zone: UTC", "timestamps: [iso]", "lateness: 3"])
def test_what_is_of_rows_has_a_place_beside_the_shop(tmp_path, line):
    assert load_project(shop_of(tmp_path, f"{SHOP}{line}\n"), {})


def test_a_table_that_the_shop_has_not_is_named_with_the_nearest(tmp_path):
    found = problem(tmp_path, f"lateness: 3\n{SHOP.replace('shop: events', 'shop: order_line')}")
    assert (found.line, found.where) == (2, "shop")
    assert "'experiment_assignments'" in found.message
    assert "Did you mean 'order_lines'" in found.hint


def test_a_source_of_the_shop_needs_a_shop(tmp_path):
    found = problem(tmp_path, f"lateness: 3\n{SHOP}", shop=None)
    assert (found.file.name, found.line, found.where) == ("rows.yaml", 2, "shop")
    assert found.message == "the project has no shop.yaml"
    assert "seed: 1" in found.hint


def test_a_shop_that_no_source_reads_is_refused(tmp_path):
    found = problem(tmp_path, EVENTS)
    assert (found.file.name, found.message) == ("shop.yaml", "no source reads the shop")
    assert "`shop: TABLE`" in found.hint


def test_a_shop_is_not_called_unread_while_a_source_is_broken(tmp_path):
    assert {p.file.name for p in refused(shop_of(tmp_path, SHOP.replace("shop:", "shp:")))} == {"rows.yaml"}


def test_a_wrong_line_of_the_shop_is_named_with_the_nearest(tmp_path):
    found = problem(tmp_path, SHOP, shop="seed: 1\n\nsize: demo\nsead: 2\n")
    assert (found.file.name, found.line, found.message) == ("shop.yaml", 4, "unknown key 'sead'")
    assert "Did you mean 'seed'" in found.hint
    assert "Allowed: seed" in found.hint


def test_a_broken_shop_is_no_missing_shop(tmp_path):
    assert [p.file.name for p in refused(shop_of(tmp_path, SHOP, shop="seed: [\n"))] == ["shop.yaml"]


@pytest.mark.parametrize("stranger", ["shop.yml", "Shop.yaml", "shops.yaml"])
def test_a_shop_by_another_name_is_told_how_it_is_called(tmp_path, stranger):
    (tmp_path / stranger).write_text(SEED)
    found = {p.file.name: p for p in refused(shop_of(tmp_path, SHOP, shop=None))}
    assert found[stranger].message == "nothing reads this"
    assert "shop.yaml" in found[stranger].hint


def test_the_shop_is_the_project_that_runs_by_default():
    default = Settings.model_fields["project"].default
    found = load_project(default, {})
    assert (found.name, found.time_zone, found.currency) == ("shop", "Europe/Berlin", "EUR")
    assert found.shop is not None
    assert {name: declared.shop for name, declared in found.sources.items()} == {name: name for name in DELIVERED}
    assert all(declared.description for declared in found.sources.values())


def test_the_default_project_maps_every_column_that_the_shop_knows():
    found = load_project(Settings.model_fields["project"].default, {})
    for name, delivered in DELIVERED.items():
        (declared,) = found.sources[name].feeds
        assert declared.columns == {
            c.name: c.name for c in delivered.columns if c.name not in {"currency", "conversions"}
        }
