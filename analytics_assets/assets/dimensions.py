"""Who, what, where and when: the dimensions, each with an `(unknown)` row for references without a match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from analytics_assets.assets.catalog import Setting, table
from analytics_assets.assets.staging import kept
from analytics_assets.contracts import star
from analytics_assets.contracts.model import UNKNOWN_MEMBER, Contract

if TYPE_CHECKING:
    from ibis.expr.types import StringValue, Table

_MISSING = "\x1e"


def newest(staged: Table, key: str) -> Table:
    """Keep the newest kept row of each thing."""
    order = [ibis.desc("delivery_day"), ibis.desc("source"), ibis.desc("file"), ibis.desc("row_number")]
    placed = kept(staged).mutate(place_=ibis.row_number().over(ibis.window(group_by=key, order_by=order)))
    return placed.filter(placed.place_ == 0).drop("place_")


def with_unknown(things: Table, contract: Contract, **known: StringValue) -> Table:
    """Add the row that stands for what has no row; its columns are null but for the key and what is `known`."""
    columns = {
        column.name: things[column.name] if column.name in things.columns else ibis.null(column.type)
        for column in contract.columns
    }
    stand_in = {column.name: ibis.null(column.type) for column in contract.columns} | known
    stand_in[contract.key[0]] = ibis.literal(UNKNOWN_MEMBER)
    rows = things.filter(things[contract.key[0]] != UNKNOWN_MEMBER).select(**columns)
    one = ibis.memtable([{"one_": 1}], schema={"one_": "int64"})
    unknown = one.select(**{name: value.cast(rows[name].type()) for name, value in stand_in.items()})
    return rows.union(unknown)


def geography_id(rows: Table) -> StringValue:
    """Name a place by a hash of its country, region and city; a place of which nothing is known is `(unknown)`."""
    parts = [rows[name] for name in ("country", "region", "city")]
    joined = parts[0].fill_null(_MISSING)
    for part in parts[1:]:
        joined = joined + "\x1f" + part.fill_null(_MISSING)
    nothing = parts[0].isnull() & parts[1].isnull() & parts[2].isnull()
    return nothing.ifelse(ibis.literal(UNKNOWN_MEMBER), joined.hexdigest("md5"))


@table(star.DIM_GEOGRAPHY)
def dim_geography(staged_users: Table) -> Table:
    """List the places where users live."""
    users = newest(staged_users, "user_id")
    places = users.select("country", "region", "city", geography_id=geography_id(users)).distinct()
    return with_unknown(places, star.DIM_GEOGRAPHY)


@table(star.DIM_USERS)
def dim_users(staged_users: Table, setting: Setting) -> Table:
    """Keep the newest profile of each user."""
    users = newest(staged_users, "user_id")
    signed_up_on = setting.project.clock().day(users.signed_up_at)
    placed = users.mutate(geography_id=geography_id(users), signed_up_on=signed_up_on)
    return with_unknown(placed, star.DIM_USERS, geography_id=ibis.literal(UNKNOWN_MEMBER))


@table(star.DIM_PRODUCTS)
def dim_products(staged_products: Table) -> Table:
    """Keep the newest description of each product."""
    return with_unknown(newest(staged_products, "product_id"), star.DIM_PRODUCTS)


@table(star.DIM_CAMPAIGNS)
def dim_campaigns(staged_campaigns: Table) -> Table:
    """Keep the newest description of each campaign."""
    return with_unknown(newest(staged_campaigns, "campaign_id"), star.DIM_CAMPAIGNS)


@table(star.DIM_DATES)
def dim_dates(setting: Setting) -> Table:
    """Describe every day from the project's first to the last that has been run, or to the project's own last day."""
    first = ibis.literal(setting.days.first)
    offset = ibis.range(len(setting.days)).unnest().name("offset").as_table()
    day = offset.select(day=(first + offset.offset.as_interval("D")).cast("date"))
    weekday = (day.day.day_of_week.index() + 1).cast("int64")
    return day.select(
        "day",
        year=day.day.year().cast("int64"),
        quarter=day.day.quarter().cast("int64"),
        month=day.day.month().cast("int64"),
        month_name=day.day.strftime("%B"),
        day_of_month=day.day.day().cast("int64"),
        day_of_year=day.day.day_of_year().cast("int64"),
        iso_week=day.day.week_of_year().cast("int64"),
        iso_year=day.day.strftime("%G").cast("int64"),
        weekday=weekday,
        weekday_name=day.day.strftime("%A"),
        is_weekend=weekday >= 6,
        week_start=day.day.truncate("W").cast("date"),
        month_start=day.day.truncate("M").cast("date"),
    )
