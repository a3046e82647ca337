"""A year of the demo shop without dirt raises few alarms, campaigns and all, and planted breaks are found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from ibis.expr.types import Table

import analytics_assets.shop
from analytics_assets.analysis.sessions import sessionize
from analytics_assets.assets import quality
from analytics_assets.assets.catalog import Setting
from analytics_assets.assets.events import fact_sessions
from analytics_assets.assets.user_days import fact_user_days
from analytics_assets.contracts import quality as promised
from analytics_assets.contracts.delivered import AMOUNT
from analytics_assets.contracts.model import Contract
from analytics_assets.contracts.star import FACT_EVENTS, FACT_SALES, FACT_SESSIONS, FACT_USER_DAYS
from analytics_assets.lake.days import Days
from analytics_assets.lake.tables import conform
from analytics_assets.project.loading import load_project
from analytics_assets.project.shop import Dirt
from analytics_assets.sources.shop.delivery import deliver
from analytics_assets_tests.answers import Row
from analytics_assets_tests.making import engine

__all__ = ["engine"]

pytestmark = pytest.mark.slow
PACKAGED = Path(next(iter(analytics_assets.shop.__path__)))
HALF, TWICE, NULLS, NEW, FEW_ORDERS, NOTHING = (
    dt.date(2025, month, number) for month, number in ((3, 4), (5, 14), (7, 9), (9, 16), (10, 14), (11, 11))
)


def _plain(delivered: pa.Table) -> Table:
    kinds = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in delivered.schema]
    named = zip(delivered.schema.names, kinds, strict=True)
    return ibis.memtable(delivered.cast(pa.schema([pa.field(name, kind) for name, kind in named])))


@pytest.fixture(scope="module")
def setting(engine: Any) -> Setting:
    declared = load_project(PACKAGED, {})
    assert declared.shop is not None
    clean = Dirt.model_validate(dict.fromkeys(Dirt.model_fields, 0))
    plain = declared.model_copy(update={"shop": declared.shop.model_copy(update={"dirt": clean})})
    days = Days(declared.first_day, declared.first_day + dt.timedelta(days=364))
    return Setting(plain, days, days, engine.rows)


@pytest.fixture(scope="module")
def facts(setting: Setting, engine: Any) -> dict[str, Table]:
    """Give the events and order lines of a year, typed as the road types them."""

    def typed(rows: Table, at: str, contract: Contract, **columns: Any) -> Table:
        instant = rows[at].cast("timestamp('UTC', 6)")
        missing = {
            column.name: ibis.null(column.type) for column in contract.columns if column.name not in rows.columns
        }
        return rows.mutate(**missing).mutate(**{at: instant}, day=setting.project.clock().day(instant), **columns)

    def kept(rows: Table, contract: Contract) -> Table:
        return ibis.memtable(pa.Table.from_batches(list(engine.batches(conform(rows, contract)))))

    delivered = {
        name: _plain(pa.Table.from_batches(deliver(setting.project, name, setting.days)))
        for name in ("events", "order_lines")
    }
    events, lines = delivered["events"], delivered["order_lines"]
    who = {"user_id": ibis.coalesce(events.user_id, events.anonymous_id), "is_anonymous": events.user_id.isnull()}
    acted = typed(events, "occurred_at", FACT_EVENTS, is_mapped=False, **who)
    pieces, price = lines.quantity.cast("int64"), lines.unit_price.cast(AMOUNT)
    discount = lines.discount.cast(AMOUNT).fill_null(0)
    gross = (pieces * price).cast(AMOUNT)
    money = {"gross": gross, "discount": discount, "net": (gross - discount).cast(AMOUNT)}
    return {
        "fact_events": kept(sessionize(acted), FACT_EVENTS),
        "fact_sales": kept(typed(lines, "ordered_at", FACT_SALES, quantity=pieces, **money), FACT_SALES),
    }


def findings(facts: Mapping[str, Table], setting: Setting, engine: Any) -> list[Row]:
    def kept(rows: Table, contract: Contract) -> Table:
        return ibis.memtable(pa.Table.from_batches(list(engine.batches(conform(rows, contract)))))

    told = dict(facts)
    told["fact_sessions"] = kept(fact_sessions(told["fact_events"]), FACT_SESSIONS)
    told["fact_user_days"] = kept(fact_user_days(told["fact_sessions"], told["fact_sales"]), FACT_USER_DAYS)
    measures = kept(quality.quality_measures(setting, **told), promised.QUALITY_MEASURES)
    within = measures.filter(measures.day.between(setting.days.first, setting.days.last))
    return engine.rows(conform(quality.quality_findings(setting, within), promised.QUALITY_FINDINGS))


def test_at_most_one_day_in_a_hundred_alarms_where_nothing_is_wrong(facts, setting, engine):
    found = findings(facts, setting, engine)
    assert len({row["day"] for row in found}) <= 3, [row["reason"] for row in found]


def test_planted_breaks_are_found_on_their_day(facts, setting, engine):
    events, sales = facts["fact_events"], facts["fact_sales"]
    is_second = events.user_id.hash() % 2 == 0
    broken = events.filter(~((events.day == HALF) & is_second) & (events.day != NOTHING))
    again = events.filter((events.day == TWICE) & (events.event_type == "add_to_cart"))
    broken = broken.union(again.mutate(event_id=again.event_id + "/2"))
    broken = broken.mutate(
        device=((broken.day == NULLS) & is_second_of(broken)).ifelse(ibis.null("string"), broken.device),
        event_type=((broken.day == NEW) & (broken.event_type == "search") & is_second_of(broken)).ifelse(
            "suggest", broken.event_type
        ),
    )
    fewer = sales.filter(~((sales.day == FEW_ORDERS) & (sales.order_id.hash() % 2 == 0)))
    found = findings({"fact_events": broken, "fact_sales": fewer}, setting, engine)
    told = {
        date: {(row["kind"], row["table"], row["column"], row["value"]) for row in found if row["day"] == date}
        for date in (HALF, TWICE, NULLS, NEW, FEW_ORDERS, NOTHING)
    }
    assert {("volume", "fact_events", "", ""), ("volume", "fact_sessions", "", "")} <= told[HALF]
    assert ("categories", "fact_events", "event_type", "add_to_cart") in told[TWICE]
    assert ("nulls", "fact_events", "device", "") in told[NULLS]
    assert ("new_value", "fact_events", "event_type", "suggest") in told[NEW]
    assert ("metric", "fact_sales", "orders", "") in told[FEW_ORDERS]
    assert ("volume", "fact_events", "", "") in told[NOTHING]
    # what follows a break is not taken for one
    others = {row["day"] for row in found} - told.keys()
    assert len(others) <= 3, [row["reason"] for row in found if row["day"] in others]


def is_second_of(events: Table) -> Any:
    return events.event_id.hash() % 2 == 0
