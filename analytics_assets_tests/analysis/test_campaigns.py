from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from analytics_assets.analysis.campaigns import campaigns, daily, performance, unit_days
from analytics_assets.contracts.marketing import ATTRIBUTION_ORDERS
from analytics_assets.contracts.sales import ORDER_VALUE
from analytics_assets.contracts.star import DIM_CAMPAIGNS, FACT_CAMPAIGN_SPEND, FACT_SESSIONS
from analytics_assets_tests.making import day, table

Row = dict[str, Any]


def spent(campaign: str, number: int, spend: Any = "1", channel: str = "mail", **says: Any) -> Row:
    return {"campaign_id": campaign, "day": day(number), "channel": channel, "spend": spend, **says}


def listed(engine: Any, told: list[Row], spend: list[Row], credited: list[str] | None = None) -> dict[str, Row]:
    named = None if credited is None else table({"campaign_id": "string"}, *({"campaign_id": c} for c in credited))
    rows = campaigns(table(DIM_CAMPAIGNS, *told), table(FACT_CAMPAIGN_SPEND, *spend), named, day(31))
    return {row["campaign_id"]: row for row in engine.rows(rows)}


def test_a_campaign_runs_on_the_days_that_are_told_or_else_on_those_it_cost_something(engine):
    told = [
        {"campaign_id": "told", "starts_on": day(2), "ends_on": day(5)},
        {"campaign_id": "spent"},
        {"campaign_id": "open", "starts_on": day(9)},
        {"campaign_id": "half", "starts_on": day(3)},
        {"campaign_id": "never"},
        {"campaign_id": "(unknown)"},
    ]
    spend = [
        spent("told", 9), spent("spent", 4), spent("spent", 7, 0), spent("spent", 6), spent("half", 8),
        spent("stranger", 2, 0),
    ]  # fmt: skip
    found = listed(engine, told, spend, credited=["ordered", "(none)", "told"])
    assert {name: (row["first_day"], row["last_day"]) for name, row in found.items()} == {
        "told": (day(2), day(5)),
        "spent": (day(4), day(6)),
        "open": (day(9), day(31)),
        "half": (day(3), day(8)),
        "never": (None, None),
        "stranger": (None, None),
        "ordered": (None, None),
    }
    assert {name: row["spend"] for name, row in found.items() if row["spend"]} == {"told": 1, "spent": 2, "half": 1}


def test_a_campaigns_channel_is_the_one_told_or_the_only_one_of_its_spend(engine):
    told = [{"campaign_id": "told", "channel": "video"}]
    spend = [spent("told", 1, channel="mail"), spent("one", 1), spent("two", 1), spent("two", 2, channel="video")]
    found = listed(engine, told, spend)
    assert {name: row["channel"] for name, row in found.items()} == {
        "told": "video", "one": "mail", "two": "(unknown)",
    }  # fmt: skip


def performed(engine: Any, spend: list[Row], orders: dict[str, int] | None = None) -> dict[tuple[str, str], Row]:
    facts = table(FACT_CAMPAIGN_SPEND, *spend)
    rows = [{"campaign_id": name, "orders": n, "net": 10 * n} for name, n in (orders or {}).items()]
    credited = None if orders is None else table(ATTRIBUTION_ORDERS, *rows)
    found = performance(campaigns(None, facts, credited, day(31)), facts, credited)
    return {(row["dimension"], row["value"]): row for row in engine.rows(found)}


def test_costs_are_of_sums_and_not_means_of_rates(engine):
    spend = [
        spent("a", 1, "30", impressions=1000, clicks=10, conversions=2),
        spent("a", 2, "10", impressions=3000, clicks=10, conversions=0),
        spent("b", 1, "5", channel="video", impressions=500, clicks=0),
    ]
    found = performed(engine, spend, {"a": 4, "b": 0})
    told = found["campaign", "a"]
    assert (told["ctr"], told["cpc"], told["cpm"], told["cpa"]) == (0.005, 2.0, 10.0, 10.0)
    assert (told["cost_per_conversion"], told["days"], told["spend"]) == (20.0, 2, Decimal(40))
    assert (found["campaign", "b"]["cpc"], found["campaign", "b"]["cpa"], found["campaign", "b"]["ctr"]) == (
        None,
        None,
        0,
    )
    whole = found["", ""]
    assert (whole["spend"], whole["impressions"], whole["clicks"], whole["orders"]) == (45, 4500, 20, 4)
    assert (whole["cpc"], whole["ctr"], whole["cpa"]) == (2.25, 20 / 4500, 11.25)
    assert whole["cost_per_conversion"] == 20.0  # of the spend whose conversions are known
    assert {value for dimension, value in found if dimension == "channel"} == {"mail", "video"}


def test_clicks_without_impressions_have_no_rate_and_spoil_none(engine):
    spend = [spent("a", 1, "4", clicks=8), spent("a", 2, "6", impressions=1000, clicks=2), spent("b", 1, "1", clicks=1)]
    found = performed(engine, spend)
    assert (found["campaign", "a"]["ctr"], found["campaign", "a"]["cpm"], found["campaign", "a"]["cpc"]) == (
        0.002,
        6.0,
        1.0,
    )
    assert (found["campaign", "b"]["ctr"], found["campaign", "b"]["impressions"]) == (None, None)
    zero = performed(engine, [spent("a", 1, "4", clicks=8, impressions=0)])
    assert zero["campaign", "a"]["ctr"] is None


def test_spend_whose_clicks_nobody_tells_is_in_no_price_of_a_click(engine):
    found = performed(engine, [spent("a", 1, "4", clicks=8), spent("a", 2, "100", impressions=10), spent("a", 3, "9")])
    told = found["campaign", "a"]
    assert (told["cpc"], told["cpm"], told["spend"], told["cost_per_conversion"]) == (0.5, 10_000.0, 113, None)


@pytest.mark.slow
def test_zero_spend_costs_nothing_and_divides_nothing(engine):
    (free,) = [
        row for key, row in performed(engine, [spent("a", 1, 0, clicks=3)], {"a": 2}).items() if key[0] == "campaign"
    ]
    assert (free["cpc"], free["cpa"], free["days"], free["first_day"]) == (0.0, 0.0, 0, None)
    (bare,) = [row for key, row in performed(engine, [spent("a", 1, 0, clicks=0)], {}).items() if key[0] == "campaign"]
    assert (bare["cpc"], bare["cpa"], bare["orders"]) == (None, None, 0)


def test_orders_without_spend_are_there_and_a_channel_of_several_has_its_own_spend(engine):
    spend = [spent("a", 1, "1"), spent("a", 2, "2", channel="video")]
    found = performed(engine, spend, {"a": 1, "gift": 3, "(none)": 9})
    assert (found["campaign", "gift"]["spend"], found["campaign", "gift"]["orders"]) == (0, 3)
    assert found["campaign", "gift"]["cpa"] == 0.0
    assert found["", ""]["orders"] == 4  # what no campaign touched is no campaign's
    assert {key[1]: row["spend"] for key, row in found.items() if key[0] == "channel"} == {
        "mail": 1, "video": 2, "(unknown)": 0,
    }  # fmt: skip


def test_days_have_what_was_spent_and_what_is_credited_side_by_side(engine):
    spend = table(FACT_CAMPAIGN_SPEND, spent("a", 1, "2", clicks=3), spent("a", 1, "1", channel="video", clicks=1))
    rows = [{"campaign_id": c, "day": day(n), "orders": 1, "net": 10} for c, n in (("a", 1), ("a", 2), ("(none)", 1))]
    found = {(r["campaign_id"], r["day"].day): r for r in engine.rows(daily(spend, table(ATTRIBUTION_ORDERS, *rows)))}
    assert {key: (row["spend"], row["clicks"], row["orders"], row["net"]) for key, row in found.items()} == {
        ("a", 1): (3, 4, 1, 10), ("a", 2): (0, None, 1, 10), ("(none)", 1): (0, None, 1, 10),
    }  # fmt: skip
    (alone,) = engine.rows(daily(spend, None))
    assert (alone["spend"], alone["orders"], alone["net"]) == (3, None, None)


@pytest.mark.parametrize("with_sessions", [True, False])
def test_what_happened_is_counted_by_day_and_unit_and_nobody_is_lost(engine, with_sessions):
    people = table({"user_id": "string", "unit": "string"}, {"user_id": "ann", "unit": "north"}, {"user_id": "bob"})
    orders = table(
        ORDER_VALUE,
        *(
            {"order_id": f"{u}{n}", "day": day(n), "user_id": u, "net": 5}
            for u, n in (("ann", 1), ("ann", 1), ("bob", 2), (None, 2))
        ),
    )
    came = (("ann", 1, None), ("ann", 3, None), ("ann", 3, "bot"), ("guest", 2, None))
    sessions = table(FACT_SESSIONS, *({"day": day(n), "user_id": u, "excluded_as": why} for u, n, why in came))
    found = engine.rows(unit_days(people, orders, sessions if with_sessions else None))
    seen = {(row["day"].day, row["unit"]): (row["visits"], row["orders"], row["revenue"]) for row in found}
    none = 0 if with_sessions else None
    assert seen == {
        (1, "north"): (1 if with_sessions else none, 2, 10),
        (2, "(unknown)"): (1 if with_sessions else none, 2, 10),
        **({(3, "north"): (1, 0, 0)} if with_sessions else {}),
    }
