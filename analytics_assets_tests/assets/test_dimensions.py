from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.dimensions import dim_campaigns, dim_dates, dim_geography, dim_products, dim_users
from analytics_assets.contracts.model import UNKNOWN_MEMBER, Contract
from analytics_assets.contracts.star import DIM_CAMPAIGNS, DIM_DATES, DIM_GEOGRAPHY, DIM_PRODUCTS, DIM_USERS
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.tables import conform
from analytics_assets_tests.making import at, day, project, staged

Rows = dict[str, dict[str, Any]]


def by_key(engine: Engine, found: Table, contract: Contract) -> Rows:
    """Return the rows by key, each key once."""
    rows = engine.rows(conform(found, contract))
    keyed = {row[contract.key[0]]: row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def products(engine: Engine, *rows: dict[str, Any]) -> Rows:
    return by_key(engine, dim_products(staged("products", *rows)), DIM_PRODUCTS)


def campaigns(engine: Engine, *rows: dict[str, Any]) -> Rows:
    return by_key(engine, dim_campaigns(staged("campaigns", *rows)), DIM_CAMPAIGNS)


def users(engine: Engine, *rows: dict[str, Any], zone: str = "UTC") -> Rows:
    setting = Setting(project(time_zone=zone), Days(day(1), day(2)))
    return by_key(engine, dim_users(staged("users", *rows), setting), DIM_USERS)


def places(engine: Engine, *rows: dict[str, Any]) -> Rows:
    return by_key(engine, dim_geography(staged("users", *rows)), DIM_GEOGRAPHY)


every_dimension = pytest.mark.parametrize(
    ("things", "key"),
    [(products, "product_id"), (campaigns, "campaign_id"), (users, "user_id")],
    ids=["products", "campaigns", "users"],
)


@every_dimension
def test_a_dimension_has_the_unknown_row_even_without_any_other(engine, things: Callable[..., Rows], key):
    found = things(engine)
    assert list(found) == [UNKNOWN_MEMBER]
    known = {key, "geography_id"}
    assert all(value is None for name, value in found[UNKNOWN_MEMBER].items() if name not in known)


@every_dimension
def test_the_newest_version_of_a_thing_wins(engine, things: Callable[..., Rows], key):
    found = things(
        engine,
        {key: "a", "name": "first", "delivery_day": day(1)},
        {key: "a", "name": "newest", "delivery_day": day(3)},
        {key: "a", "name": "second", "delivery_day": day(2)},
        {key: "b", "name": "only"},
    )
    assert {k: row["name"] for k, row in found.items()} == {"a": "newest", "b": "only", UNKNOWN_MEMBER: None}


@every_dimension
def test_of_one_delivery_the_last_row_wins_whatever_the_order_of_rows(engine, things: Callable[..., Rows], key):
    rows = [
        {key: "a", "name": "last", "row_number": 9, "file": "f2.csv"},
        {key: "a", "name": "earlier", "row_number": 10, "file": "f1.csv"},
        {key: "a", "name": "earlier still", "row_number": 2, "file": "f1.csv"},
    ]
    assert things(engine, *rows)["a"]["name"] == things(engine, *rows[::-1])["a"]["name"] == "last"


@every_dimension
def test_a_rejected_version_never_wins(engine, things: Callable[..., Rows], key):
    found = things(
        engine, {key: "a", "name": "good"}, {key: "a", "name": "bad", "delivery_day": day(2), "rejected": ["x"]}
    )
    assert found["a"]["name"] == "good"


@every_dimension
def test_a_delivered_thing_that_is_called_like_the_unknown_one_does_not_take_its_place(
    engine, things: Callable[..., Rows], key
):
    assert things(engine, {key: UNKNOWN_MEMBER, "name": "impostor"})[UNKNOWN_MEMBER]["name"] is None


def test_the_other_columns_of_a_product_come_from_its_newest_version(engine):
    found = products(engine, {"product_id": "p", "list_price": "2.5", "launched_on": day(4), "properties": '{"x":"y"}'})
    assert (found["p"]["list_price"], found["p"]["launched_on"], found["p"]["properties"]) == (
        Decimal("2.5"),
        day(4),
        '{"x":"y"}',
    )


@pytest.mark.slow
def test_a_user_signed_up_on_the_day_of_the_reporting_zone(engine):
    row = {"user_id": "a", "signed_up_at": at("02 03:00")}
    assert users(engine, row)["a"]["signed_up_on"] == day(2)
    assert users(engine, row, {"user_id": "b"}, zone="America/New_York")["a"]["signed_up_on"] == day(1)
    assert users(engine, {"user_id": "b"})["b"]["signed_up_on"] is None


ANN = {"user_id": "ann", "country": "UK", "region": "Wales", "city": "Bala"}
BOB = {"user_id": "bob", "country": "UK", "region": "Wales", "city": "Bala"}
CID = {"user_id": "cid", "country": "UK"}
DAN = {"user_id": "dan"}


def test_users_of_one_place_share_it_and_whoever_says_nothing_lives_at_the_unknown_one(engine):
    found = users(engine, ANN, BOB, CID, DAN)
    where = {user: row["geography_id"] for user, row in found.items()}
    assert where["ann"] == where["bob"] != where["cid"]
    assert where["dan"] == where[UNKNOWN_MEMBER] == UNKNOWN_MEMBER


def test_every_user_lives_at_a_place_that_is_listed_once(engine):
    listed = places(engine, ANN, BOB, CID, DAN)
    assert {row["geography_id"] for row in users(engine, ANN, BOB, CID, DAN).values()} == set(listed)
    assert sorted((r["country"] or "", r["region"] or "", r["city"] or "") for r in listed.values()) == [
        ("", "", ""),
        ("UK", "", ""),
        ("UK", "Wales", "Bala"),
    ]


def test_places_that_only_run_together_are_two_places(engine):
    rows = [
        {"user_id": "a", "country": "x", "region": "y"},
        {"user_id": "b", "country": "x", "city": "y"},
        {"user_id": "c", "country": "xy"},
        {"user_id": "d", "country": "x", "region": ""},
        {"user_id": "e", "country": "x"},
        {"user_id": "f", "country": "ab", "region": "c", "city": "d"},
        {"user_id": "g", "country": "a", "region": "bc", "city": "d"},
    ]
    assert len(places(engine, *rows)) == len(rows) + 1


def test_a_place_that_a_user_left_is_not_listed(engine):
    moved = {"user_id": "ann", "country": "FR", "delivery_day": day(2)}
    assert {row["country"] for row in places(engine, ANN, moved).values()} == {"FR", None}


def dates(engine: Engine, first: dt.date, last: dt.date) -> Rows:
    return by_key(engine, dim_dates(Setting(project(), Days(first, last))), DIM_DATES)


def test_every_day_from_the_first_to_the_last_is_there_once(engine):
    assert sorted(dates(engine, dt.date(2024, 2, 27), dt.date(2024, 3, 2))) == [
        dt.date(2024, 2, 27),
        dt.date(2024, 2, 28),
        dt.date(2024, 2, 29),
        dt.date(2024, 3, 1),
        dt.date(2024, 3, 2),
    ]
    assert len(dates(engine, day(1), day(1))) == 1


@settings(max_examples=20, deadline=None)
@given(st.dates(dt.date(1980, 1, 1), dt.date(2060, 12, 20)), st.integers(0, 10))
def test_days_are_described_as_pythons_calendar_does(engine, first, more):
    for date, row in dates(engine, first, first + dt.timedelta(days=more)).items():
        iso = date.isocalendar()
        assert row == {
            "day": date,
            "year": date.year,
            "quarter": (date.month + 2) // 3,
            "month": date.month,
            "month_name": date.strftime("%B"),
            "day_of_month": date.day,
            "day_of_year": date.timetuple().tm_yday,
            "iso_week": iso.week,
            "iso_year": iso.year,
            "weekday": iso.weekday,
            "weekday_name": date.strftime("%A"),
            "is_weekend": iso.weekday >= 6,
            "week_start": date - dt.timedelta(days=iso.weekday - 1),
            "month_start": date.replace(day=1),
        }


@pytest.mark.parametrize(
    ("date", "week"),
    [(dt.date(2020, 12, 31), (2020, 53)), (dt.date(2021, 1, 3), (2020, 53)), (dt.date(2024, 12, 30), (2025, 1))],
)
def test_the_days_around_new_year_belong_to_the_iso_year_of_their_week(engine, date, week):
    (row,) = dates(engine, date, date).values()
    assert (row["iso_year"], row["iso_week"]) == week
