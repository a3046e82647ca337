"""The ledger of the dirt against a naive reading of the deliveries."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings

from analytics_assets.lake.days import Days
from analytics_assets.project.shop import Dirt
from analytics_assets.sources.shop.truth import ledger
from analytics_assets_tests.sources.shop.readings import DAILY, KEYS, Reading, binomial, quantile, readings, tiny

Ledger = Counter[tuple[int, str, str]]
DIRTIEST = ("events", "order_lines", "users")
DIRTY = dict.fromkeys(Dirt.model_fields, 0.1)


def listed(reading: Reading, days: Days | None = None) -> Ledger:
    """Give the ledger: rows by day of delivery, table and dirt."""
    found: Ledger = Counter()
    for date, planted in ledger(reading.opened.project(), days or reading.opened.days(0, reading.days - 1)):
        dirt = planted.found_as.rsplit(" ", 1)[-1] if planted.dirt == "missing" else planted.dirt
        found[(date - reading.opened.first_day).days, planted.table, dirt] += planted.rows
    return found


def counted(reading: Reading) -> Ledger:
    """Count the dirt row by row, as anybody would who sees the text alone."""
    found: Ledger = Counter()

    def note(rows: pd.DataFrame, table: str, dirt: str) -> None:
        for day, count in rows["day"].value_counts().items():
            found[day, table, dirt] += count

    for table in DAILY:
        rows = reading.all(table)
        again = rows[rows["duplicate"]]
        if not again.empty:
            key = KEYS[table]
            first = rows[~rows["duplicate"]].set_index(key)["day"]
            came = first.loc[pd.MultiIndex.from_frame(again[key]) if len(key) > 1 else again[key[0]]].to_numpy()
            note(again[again["day"] == came], table, "duplicates")
            note(again[again["day"] != came], table, "resent")
        once = rows[~rows["duplicate"]]
        if "bad_time" in rows:
            note(once[once["bad_time"]], table, "malformed_times")
    events = reading.all("events")
    once = events[~events["duplicate"] & ~events["bad_time"]]
    note(once[once["too_late"]], "events", "too_late")
    note(once[(once["day"] > once["on"]) & ~once["too_late"]], "events", "late")
    note(once[once["unknown"]], "events", "unknown_products")
    note(once[once["agent"] == "crawler"], "events", "bots")
    lines = reading.all("order_lines")
    once = lines[~lines["duplicate"] & ~lines["bad_time"]]
    note(once[once["quantity"] < 0], "order_lines", "negative_quantities")
    note(once[(once["quantity"] > 0) & ~once["as_listed"]], "order_lines", "mixed_case")
    users = reading.all("users")
    for name in ("age", "gender", "city"):
        note(users[~users["duplicate"] & users[name].isna()], "users", name)
    products = reading.all("products")
    twice = products["product_id"].str.strip().str.upper().duplicated().sum()
    if twice:
        found[0, "products", "mixed_case"] = twice
    return found


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(readings())
def test_the_ledger_is_what_anybody_finds(reading):
    told = listed(reading)
    assert told == counted(reading)
    assert all(count > 0 for count in told.values())
    one_by_one: Ledger = Counter()
    for day in range(reading.days):
        one_by_one += listed(reading, reading.opened.days(day))
    assert one_by_one == told


@pytest.mark.slow
def test_every_kind_of_dirt_is_planted_where_it_should_be():
    reading = Reading(tiny(users=800, dirt=DIRTY, orders={"returned": 0.5}), 30)
    told = listed(reading)
    assert told == counted(reading)
    assert {(table, dirt) for _, table, dirt in told} == {
        *((table, dirt) for table in ("events", "order_lines", "returns", "experiment_assignments")
          for dirt in ("duplicates", "resent")),
        *(("events", dirt) for dirt in ("late", "too_late", "malformed_times", "unknown_products", "bots")),
        *(("order_lines", dirt) for dirt in ("malformed_times", "mixed_case", "negative_quantities")),
        *(("users", dirt) for dirt in ("duplicates", "age", "gender", "city")),
        ("products", "mixed_case"),
    }  # fmt: skip


@pytest.mark.slow
def test_dirt_is_as_frequent_as_planted():
    reading = Reading(tiny(users=3000, days=20, dirt=DIRTY), 26)  # nothing of the first 20 days is on its way
    events, lines, users = (reading.clean(table)[lambda rows: rows["on"] < 20] for table in DIRTIEST)
    ours = events[events["user_id"].notna()]
    told: Counter[tuple[str, str]] = Counter()
    for (day, table, dirt), count in listed(reading).items():
        told[table, dirt] += count if day < 20 else 0
    views = (ours["event_type"] == "view_product").sum()
    among = {
        ("events", "malformed_times"): len(ours), ("events", "unknown_products"): views,
        ("order_lines", "negative_quantities"): len(lines), ("order_lines", "mixed_case"): len(lines),
        ("order_lines", "duplicates"): len(lines), ("users", "duplicates"): len(users), ("users", "age"): len(users),
        ("users", "city"): len(users),
    }  # fmt: skip
    for (table, dirt), rows in among.items():
        assert binomial(told[table, dirt], rows, 0.1) < quantile(len(among)), (table, dirt)


def test_a_clean_shop_delivers_everything_on_its_day_once():
    reading = Reading(tiny(users=500, preset="plain"), 20)
    assert listed(reading) == counted(reading) == Counter()
    for table in DAILY:
        rows = reading.all(table)
        assert not rows["duplicate"].any()
        if "on" in rows:
            assert (rows["on"] == rows["day"]).all()


def test_dirt_takes_nothing_of_the_world_away():
    """What is left when the dirt is refused is the world without any; crawlers are part of the world."""
    dirty = Reading(tiny(users=500, dirt=DIRTY), 24)
    clean = Reading(tiny(users=500, dirt={**dict.fromkeys(DIRTY, 0), "bots": DIRTY["bots"]}), 24)
    for table in ("events", "order_lines", "returns", "experiment_assignments"):
        came = ["day", "row_number", "file_day", "as_listed"]
        left, right = (
            reading.whole(table)
            .drop(columns=came, errors="ignore")
            .sort_values(KEYS[table], ignore_index=True)
            for reading in (dirty, clean)
        )  # fmt: skip
        pd.testing.assert_frame_equal(left, right)


def test_a_ledger_of_later_days_leaves_the_lists_out():
    reading = Reading(tiny(dirt=DIRTY), 5)
    told = ledger(reading.opened.project(), reading.opened.days(1, 4))
    assert "products" not in {planted.table for _, planted in told}
    assert {date for date, _ in told} == set(reading.opened.days(1, 4))
    assert all(isinstance(date, dt.date) and planted.rows > 0 for date, planted in told)
