"""The same bytes, whoever asks, in whatever order."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.project.shop import Shop
from analytics_assets.sources.shop.delivery import columns, deliver, open_shop
from analytics_assets_tests.making import project
from analytics_assets_tests.sources.shop.digests import digest
from analytics_assets_tests.sources.shop.readings import DAILY, LISTS, TABLES, shops, text, tiny

DIRTY = dict.fromkeys(
    ("duplicates", "resent", "late", "too_late", "malformed_times", "unknown_products", "mixed_case",
     "negative_quantities", "bots"), 0.1
)  # fmt: skip
DAYS = 9
"""More than a late row takes."""


def orders() -> dict[str, list[int]]:
    days = list(range(DAYS))
    return {"backward": days[::-1], "shuffled": random.Random(5).sample(days, DAYS), "one alone": [DAYS - 2]}


SHOP = tiny(users=150, days=8, dirt=DIRTY)

_CODE = """
from analytics_assets.project.shop import Shop
from analytics_assets_tests.sources.shop.digests import digest
for key, value in sorted(digest(Shop.model_validate_json({shop!r}), {order}).items()):
    print(*key, value)
"""


@pytest.fixture(scope="module")
def forward() -> dict[tuple[str, int], str]:
    return digest(SHOP.shop, list(range(DAYS)))


@pytest.mark.slow
def test_other_processes_and_orders_make_the_same_bytes(forward):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _CODE.format(shop=SHOP.shop.model_dump_json(), order=order)],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, zone, order in ((1, "UTC", list(range(DAYS))), (77, "Asia/Tokyo", orders()["shuffled"]))
    ]
    wanted = "".join(f"{table} {day} {value}\n" for (table, day), value in sorted(forward.items()))
    assert [process.communicate(timeout=60)[0] for process in started] == [wanted, wanted]


@pytest.mark.parametrize("name", orders())
def test_the_order_of_days_does_not_matter(forward, name):
    found = digest(SHOP.shop, orders()[name])
    assert found == {key: forward[key] for key in found}


def test_no_day_is_like_another(forward):
    for table in ("events", "users", "order_lines"):
        assert len({forward[table, day] for day in range(DAYS)}) == DAYS


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(shops(), st.data())
def test_any_days_of_any_shop_are_the_same_in_any_order(opened, data):
    last = data.draw(st.integers(0, opened.shop.days + 5))
    asked = data.draw(st.lists(st.integers(0, last), min_size=1, max_size=5))
    tables = data.draw(st.lists(st.sampled_from(DAILY), min_size=1, max_size=4, unique=True))
    whole = opened.deliveries()
    wanted = {table: text(whole, table, opened.days(0, last)) for table in tables}
    wandering = opened.deliveries()
    for number in asked:
        for table in tables:
            found = text(wandering, table, opened.days(number))
            (day,) = opened.days(number)
            of_day = wanted[table].filter(pa.compute.equal(wanted[table]["file_day"], pa.scalar(day, pa.date32())))
            assert found.equals(of_day.combine_chunks()), (table, number)


@pytest.mark.parametrize("table", DAILY)
def test_a_range_is_its_days_one_by_one(table):
    last = SHOP.shop.days + 6  # beyond the days in which users sign up as told
    whole = text(SHOP.deliveries(), table, SHOP.days(0, last))
    one_by_one = SHOP.deliveries()
    parts = [text(one_by_one, table, SHOP.days(number)) for number in range(last + 1)]
    assert whole.equals(pa.concat_tables(parts).combine_chunks())
    middle = text(SHOP.deliveries(), table, SHOP.days(3, 6))
    assert middle.equals(pa.concat_tables(parts[3:7]).combine_chunks())


def test_rows_are_numbered_from_one_in_every_file():
    rows = text(SHOP.deliveries(), "events", SHOP.days(0, DAYS - 1)).to_pandas()
    for _, numbers in rows.groupby("file_day")["row_number"]:
        assert numbers.tolist() == list(range(1, len(numbers) + 1))
    for table in LISTS:
        listed = text(SHOP.deliveries(), table, SHOP.days(4)).to_pandas()
        assert listed["row_number"].tolist() == list(range(1, len(listed) + 1))
        assert listed["file_day"].isna().all()


def test_batches_end_when_they_are_large_and_lose_nothing(monkeypatch):
    whole = text(SHOP.deliveries(), "events", SHOP.days(0, DAYS - 1))
    monkeypatch.setattr("analytics_assets.sources.shop.delivery._BATCH", 150)
    batches = list(SHOP.deliveries().batches("events", SHOP.days(0, DAYS - 1)))
    assert len(batches) > 3
    assert all(len(batch) >= 150 for batch in batches[:-1])
    assert text(SHOP.deliveries(), "events", SHOP.days(0, DAYS - 1)).equals(whole)


def test_days_that_were_forgotten_are_lived_through_again_alike(forward, monkeypatch):
    monkeypatch.setattr("analytics_assets.sources.shop.world._KEPT_DAYS", 1)
    monkeypatch.setattr("analytics_assets.sources.shop.world._KEPT_VISITS", 1)
    monkeypatch.setattr("analytics_assets.sources.shop.delivery._KEPT", 1)
    found = digest(SHOP.shop, [7, 2])
    assert found == {key: forward[key] for key in found}
    world = SHOP.deliveries().world
    for number in range(8):
        world.day(number)
    assert len(world._days) == 1


@pytest.mark.slow
def test_another_seed_is_another_world():
    other = tiny(users=150, days=8, dirt=DIRTY, seed=2)
    for table in TABLES:
        one, two = (text(opened.deliveries(), table, SHOP.days(0, 25)) for opened in (SHOP, other))
        assert one.num_rows > 0, table
        assert not one.equals(two), table


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**63 - 2))
def test_neighbouring_seeds_have_nothing_in_common(seed):
    one, other = (
        text(opened.deliveries(), "events", opened.days(0, 5)).to_pandas()
        for opened in (tiny(seed=seed), tiny(seed=seed + 1))
    )
    times = set(one["occurred_at"]) & set(other["occurred_at"])
    assert len(times) < 0.01 * len(one)


def test_a_shop_that_goes_on_beyond_its_days():
    opened = tiny(users=100, days=5)
    rows = text(opened.deliveries(), "users", opened.days(0, 24)).to_pandas()
    after = rows[rows["file_day"] > opened.days(4).last]
    assert len(after) > 100
    assert text(opened.deliveries(), "order_lines", opened.days(20, 24)).num_rows > 0


def test_the_project_says_which_shop_opens_where():
    told = project(shop=Shop(size="tiny"), time_zone="America/New_York")
    opened = open_shop(told)
    assert open_shop(told) is opened
    assert open_shop(project(shop=Shop(size="tiny", seed=4), time_zone="America/New_York")) is not opened
    assert (opened.world.calendar.first_day, opened.world.shop.users) == (told.first_day, 600)
    with pytest.raises(ValueError, match=r"project shop has no shop\.yaml"):
        open_shop(project())


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_those_of_the_rows(table):
    told = SHOP.project()
    (batch,) = deliver(told, table, SHOP.days(0))
    assert (*columns(told, table), "row_number", "file_day") == tuple(batch.schema.names)
    for name in columns(told, table):
        kind = batch.schema.field(name).type
        assert pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind), name
